// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of pin_dmabuf: buffers of a driver that exists here only, at addresses that nobody reads.
 */
#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/iommufd.h>
#include <linux/mm.h>

#include "../pin_dmabuf.h"

#define BUF_PAGES	16UL
#define BUF_PFN		0x123400UL

/**
 * struct buffer - What is behind a dma-buf
 * @start: where it is, bytes
 * @rc: what its driver answers when it is asked where
 */
struct buffer {
	phys_addr_t start;
	int rc;
};

static int buffer_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static void buffer_unpin(struct dma_buf_attachment *attach)
{
}

static struct sg_table *buffer_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void buffer_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt, enum dma_data_direction dir)
{
}

static void buffer_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops ours = {
	.pin = buffer_pin,
	.unpin = buffer_unpin,
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.release = buffer_release,
};

/* The same driver, before it learned to tell that a buffer moves */
static const struct dma_buf_ops static_ops = {
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.release = buffer_release,
};

static int buffer_phys(struct dma_buf *dmabuf, phys_addr_t *start, size_t *length)
{
	struct buffer *buffer = dmabuf->priv;

	dma_resv_assert_held(dmabuf->resv);
	*start = buffer->start;
	*length = dmabuf->size;
	return buffer->rc;
}

static struct iommufd_dmabuf_exporter exporter = {
	.ops = &ours,
	.phys = buffer_phys,
};

static struct dma_buf *export(struct kunit *test, struct buffer *buffer)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;

	buffer->start = PFN_PHYS(BUF_PFN);
	buffer->rc = 0;
	info.ops = &ours;
	info.size = BUF_PAGES * PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_FALSE(test, IS_ERR(dmabuf));
	return dmabuf;
}

static void move(struct dma_buf *dmabuf)
{
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_move_notify(dmabuf);
	dma_resv_unlock(dmabuf->resv);
}

static int refusal(struct dma_buf *dmabuf, unsigned long first, unsigned long npages)
{
	struct pin_dmabuf *d = pin_dmabuf_open(dmabuf, first, npages);

	if (IS_ERR(d))
		return PTR_ERR(d);
	pin_dmabuf_close(d);
	return 0;
}

static void parts_are_where_the_exporter_says(struct kunit *test)
{
	struct buffer buffer;
	struct dma_buf *dmabuf = export(test, &buffer);
	struct pin_dmabuf *d = pin_dmabuf_open(dmabuf, 3, BUF_PAGES - 3);

	KUNIT_ASSERT_FALSE(test, IS_ERR(d));
	KUNIT_EXPECT_EQ(test, d->pfn, BUF_PFN + 3);
	KUNIT_EXPECT_FALSE(test, d->revoked);
	/* the buffer is not needed by anybody else */
	dma_buf_put(dmabuf);
	KUNIT_EXPECT_EQ(test, file_count(dmabuf->file), 1L);
	pin_dmabuf_close(d);
}

static void what_is_not_there_is_refused(struct kunit *test)
{
	struct buffer buffer;
	struct dma_buf *dmabuf = export(test, &buffer);

	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 0, BUF_PAGES), 0);
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 0, BUF_PAGES + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 1, BUF_PAGES), -EINVAL);
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, BUF_PAGES, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, ULONG_MAX, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 1, ULONG_MAX), -EINVAL);
	buffer.rc = -ENODEV;
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 0, 1), -ENODEV);
	buffer.rc = 0;
	buffer.start += 512;
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 0, 1), -EOPNOTSUPP);
	/* refusing leaves nothing behind */
	KUNIT_EXPECT_TRUE(test, list_empty(&dmabuf->attachments));
	KUNIT_EXPECT_EQ(test, file_count(dmabuf->file), 1L);
	dma_buf_put(dmabuf);
}

static void drivers_must_take_part(struct kunit *test)
{
	struct iommufd_dmabuf_exporter too_old = { .ops = &static_ops, .phys = buffer_phys };
	struct buffer buffer;
	struct dma_buf *dmabuf = export(test, &buffer);

	KUNIT_EXPECT_EQ(test, iommufd_dmabuf_exporter_add(&too_old), -EINVAL);
	iommufd_dmabuf_exporter_remove(&exporter);
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 0, 1), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, iommufd_dmabuf_exporter_add(&exporter), 0);
	KUNIT_EXPECT_EQ(test, refusal(dmabuf, 0, 1), 0);
	dma_buf_put(dmabuf);
}

/**
 * struct counting_user - One who counts how often it is told
 * @user: in the part's list
 * @revoked: how often
 */
struct counting_user {
	struct pin_dmabuf_user user;
	unsigned int revoked;
};

static void count(struct pin_dmabuf_user *user)
{
	container_of(user, struct counting_user, user)->revoked++;
}

static void add_user(struct pin_dmabuf *d, struct counting_user *user)
{
	user->user.revoke = count;
	pin_dmabuf_lock(d);
	list_add(&user->user.entry, &d->users);
	pin_dmabuf_unlock(d);
}

static void every_user_is_told_once(struct kunit *test)
{
	struct counting_user a = { }, b = { }, other = { };
	struct buffer buffer, second_buffer;
	struct dma_buf *dmabuf = export(test, &buffer);
	struct dma_buf *second = export(test, &second_buffer);
	struct pin_dmabuf *d = pin_dmabuf_open(dmabuf, 0, 1);
	struct pin_dmabuf *o = pin_dmabuf_open(second, 0, 1);

	KUNIT_ASSERT_FALSE(test, IS_ERR(d));
	KUNIT_ASSERT_FALSE(test, IS_ERR(o));
	add_user(d, &a);
	add_user(d, &b);
	add_user(o, &other);
	move(dmabuf);
	KUNIT_EXPECT_EQ(test, a.revoked, 1U);
	KUNIT_EXPECT_EQ(test, b.revoked, 1U);
	KUNIT_EXPECT_TRUE(test, d->revoked);
	move(dmabuf);
	KUNIT_EXPECT_EQ(test, a.revoked, 1U);
	/* another buffer is none of its business */
	KUNIT_EXPECT_EQ(test, other.revoked, 0U);
	KUNIT_EXPECT_FALSE(test, o->revoked);
	move(second);
	KUNIT_EXPECT_EQ(test, other.revoked, 1U);
	pin_dmabuf_close(d);
	pin_dmabuf_close(o);
	dma_buf_put(dmabuf);
	dma_buf_put(second);
}

static void revoked_part_stays_dead_and_a_new_one_is_alive(struct kunit *test)
{
	struct buffer buffer;
	struct dma_buf *dmabuf = export(test, &buffer);
	struct pin_dmabuf *d = pin_dmabuf_open(dmabuf, 0, 1), *again;

	KUNIT_ASSERT_FALSE(test, IS_ERR(d));
	buffer.rc = -ENODEV;
	move(dmabuf);
	buffer.rc = 0;
	buffer.start += PAGE_SIZE;
	move(dmabuf);
	KUNIT_EXPECT_TRUE(test, d->revoked);
	again = pin_dmabuf_open(dmabuf, 0, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(again));
	KUNIT_EXPECT_FALSE(test, again->revoked);
	KUNIT_EXPECT_EQ(test, again->pfn, BUF_PFN + 1);
	pin_dmabuf_close(again);
	pin_dmabuf_close(d);
	dma_buf_put(dmabuf);
}

static int pin_dmabuf_suite_init(struct kunit_suite *suite)
{
	return iommufd_dmabuf_exporter_add(&exporter);
}

static void pin_dmabuf_suite_exit(struct kunit_suite *suite)
{
	iommufd_dmabuf_exporter_remove(&exporter);
}

static struct kunit_case pin_dmabuf_cases[] = {
	KUNIT_CASE(parts_are_where_the_exporter_says),
	KUNIT_CASE(what_is_not_there_is_refused),
	KUNIT_CASE(drivers_must_take_part),
	KUNIT_CASE(every_user_is_told_once),
	KUNIT_CASE(revoked_part_stays_dead_and_a_new_one_is_alive),
	{}
};

static struct kunit_suite pin_dmabuf_suite = {
	.name = "pin_dmabuf",
	.suite_init = pin_dmabuf_suite_init,
	.suite_exit = pin_dmabuf_suite_exit,
	.test_cases = pin_dmabuf_cases,
};

kunit_test_suite(pin_dmabuf_suite);
