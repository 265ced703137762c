// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_mdev - mediated devices: they do their DMA in software, and their drivers do not know who translates
 *
 * What can be done in a container of type 1 is done there, on the node of the device, and in its group with an iommufd
 * in place of the container; with the same results. What only a node can do comes after it.
 */
#include "iommu_test.h"
#include "fail_nth.h"
#include "fdinfo.h"
#include "test_mdev.h"

#include <poll.h>
#include <signal.h>

#define PAGES		32UL
#define MEM_SIZE	(PAGES * PAGE)
#define IOVA		0x2000000UL
/* Where the two ways of translating say it differently: what is not mapped */
#define NOT_MAPPED	(self->mdev.way == BY_CONTAINER ? -EINVAL : -ENOENT)
/* A device whose driver cannot be told to let go may not pin */
#define MAY_NOT_PIN	(self->mdev.way == BY_CONTAINER ? -EINVAL : -EOPNOTSUPP)

/* All the memory, each page with other bytes */
static uint8_t *patterned_memory(void)
{
	uint8_t *mem = small_pages(MEM_SIZE);

	for (unsigned long i = 0; mem && i < PAGES; i++)
		pattern_fill(mem + i * PAGE, PAGE, i);
	return mem;
}

static void nothing_is_left(struct __test_metadata *_metadata)
{
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* ---- every way ---- */

FIXTURE(mdev)
{
	struct mdev mdev, plain;
	uint8_t *mem, *buf;
};

FIXTURE_VARIANT(mdev)
{
	enum mdev_way way;
};

FIXTURE_VARIANT_ADD(mdev, container)
{
	.way = BY_CONTAINER,
};

FIXTURE_VARIANT_ADD(mdev, node)
{
	.way = BY_NODE,
};

FIXTURE_VARIANT_ADD(mdev, group_on_iommufd)
{
	.way = BY_GROUP,
};

FIXTURE_SETUP(mdev)
{
	self->mem = patterned_memory();
	self->buf = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_NE(NULL, self->buf);
	ASSERT_EQ(0, mdev_create(&self->mdev, "pinning", 1));
	ASSERT_EQ(0, mdev_open(&self->mdev, variant->way));
}

FIXTURE_TEARDOWN(mdev)
{
	mdev_close(&self->mdev);
	EXPECT_EQ(0, mdev_remove(&self->mdev));
	munmap(self->mem, MEM_SIZE);
	munmap(self->buf, MEM_SIZE);
	nothing_is_left(_metadata);
}

#define MAP(_first, _count, _iova, _flags) \
	mdev_map(&self->mdev, self->mem + (_first) * PAGE, (_count) * PAGE, _iova, _flags)
/* The device knows of them and so does the kernel; each of them once */
#define PINNED(_pages) ({ \
	long pages = (_pages); \
	EXPECT_EQ(pages, mdev_state(&self->mdev).pinned); \
	EXPECT_EQ(pages, pages_pinned()); \
})

TEST_F(mdev, fdinfo_says_where_it_is)
{
	bool by_container = self->mdev.way == BY_CONTAINER;
	static char text[8192];
	long long context;

	ASSERT_LT(0, fdinfo_read(self->mdev.container, text, sizeof(text)));
	context = fdinfo_number(text, "iommufd:\tversion=1", "context");
	ASSERT_LT(0, fdinfo_read(self->mdev.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "vfio:\tname=%s opened=%s", self->mdev.uuid,
				self->mdev.way == BY_NODE ? "node" : "group"));
	EXPECT_EQ(!by_container, fdinfo_says(text, "iommufd:\tcontext=%lld", context));
	EXPECT_EQ(!by_container, fdinfo_count(text, "access:"));
	if (self->mdev.way == BY_NODE)
		EXPECT_TRUE(fdinfo_says(text, "access:\tid=%u ioas=%u", self->mdev.devid, self->mdev.ioas));
}

TEST_F(mdev, pins_what_is_mapped)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, MAP(0, 16, IOVA, TYPE1_RW));
	PINNED(0);
	ASSERT_EQ(0, mdev_pin(m, IOVA, 1, self->mem, MDEV_BOTH));
	ASSERT_EQ(0, mdev_pin(m, IOVA + 3 * PAGE, 4, self->mem + 3 * PAGE, MDEV_BOTH));
	PINNED(5);
	/* the device sees what the process writes now */
	memset(self->mem, 0xa5, PAGE);
	ASSERT_EQ(0, mdev_unpin(m, IOVA, 1));
	ASSERT_EQ(0, mdev_pin(m, IOVA, 1, self->mem, MDEV_READ));
	/* the test itself notices other pages */
	EXPECT_EQ(-EBADE, mdev_pin(m, IOVA + PAGE, 1, self->mem, MDEV_READ));
	PINNED(5);
	ASSERT_EQ(0, mdev_unpin(m, IOVA, 1));
	ASSERT_EQ(0, mdev_unpin(m, IOVA + 3 * PAGE, 4));
	PINNED(0);
	EXPECT_EQ(0, mdev_state(m).unmaps);
}

TEST_F(mdev, unpins_pages_in_other_ranges_than_it_pinned_them)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, MAP(0, 8, IOVA, TYPE1_RW));
	/* one by one, and back at once */
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, mdev_pin(m, IOVA + i * PAGE, 1, self->mem + i * PAGE, MDEV_BOTH));
	PINNED(4);
	ASSERT_EQ(0, mdev_unpin(m, IOVA, 4));
	PINNED(0);
	/* and the other way round, with pages that are pinned twice */
	ASSERT_EQ(0, mdev_pin(m, IOVA, 4, self->mem, MDEV_BOTH));
	ASSERT_EQ(0, mdev_pin(m, IOVA + 2 * PAGE, 4, self->mem + 2 * PAGE, MDEV_READ));
	EXPECT_EQ(8, mdev_state(m).pinned);
	EXPECT_EQ(6, pages_pinned());
	ASSERT_EQ(0, mdev_unpin(m, IOVA, 1));
	ASSERT_EQ(0, mdev_unpin(m, IOVA + 2 * PAGE, 1));
	EXPECT_EQ(6, mdev_state(m).pinned);
	EXPECT_EQ(5, pages_pinned());
	ASSERT_EQ(0, mdev_unpin(m, IOVA + PAGE, 5));
	EXPECT_EQ(1, mdev_state(m).pinned);
	EXPECT_EQ(1, pages_pinned());
	ASSERT_EQ(0, mdev_unpin(m, IOVA + 3 * PAGE, 1));
	PINNED(0);
	/* what is not pinned is passed over */
	ASSERT_EQ(0, mdev_unpin(m, IOVA, 4));
	PINNED(0);
}

/* vfio_ap pins the page of a byte by the address of the byte */
TEST_F(mdev, pins_the_page_of_any_address)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, MAP(0, 4, IOVA, TYPE1_RW));
	ASSERT_EQ(0, mdev_pin(m, IOVA + PAGE + 123, 1, self->mem + PAGE, MDEV_BOTH));
	PINNED(1);
	ASSERT_EQ(0, mdev_unpin(m, IOVA + PAGE + 123, 1));
	PINNED(0);
}

TEST_F(mdev, says_why_it_does_not_pin)
{
	struct mdev *m = &self->mdev;
	const struct {
		uint64_t iova;
		uint32_t npages, flags;
		int rc;
	} cases[] = {
		{ IOVA - PAGE, 1, MDEV_READ, NOT_MAPPED }, { IOVA + 4 * PAGE, 1, MDEV_READ, NOT_MAPPED },
		/* not the first page */
		{ IOVA + 2 * PAGE, 3, MDEV_READ, NOT_MAPPED }, { IOVA - PAGE, 2, MDEV_READ, NOT_MAPPED },
		/* the second half is read-only */
		{ IOVA + 8 * PAGE, 1, MDEV_WRITE, -EPERM }, { IOVA + 8 * PAGE, 1, MDEV_BOTH, -EPERM },
		{ IOVA + 6 * PAGE, 4, MDEV_BOTH, -EPERM },
		/* and this can only be written */
		{ IOVA + 12 * PAGE, 1, MDEV_BOTH, -EPERM }, { IOVA + 12 * PAGE, 1, MDEV_READ, -EPERM },
		/* how many */
		{ IOVA, 0, MDEV_READ, -EINVAL }, { IOVA, 513, MDEV_READ, -E2BIG },
		{ IOVA, UINT32_MAX / 2, MDEV_READ, -E2BIG },
		/* from the last page to the first */
		{ 0UL - PAGE, 1, MDEV_READ, NOT_MAPPED },
		{ 0UL - PAGE, 2, MDEV_READ, m->way == BY_CONTAINER ? -EINVAL : -EOVERFLOW },
	};

	ASSERT_EQ(0, MAP(0, 4, IOVA, TYPE1_RW));
	ASSERT_EQ(0, MAP(6, 2, IOVA + 6 * PAGE, TYPE1_RW));
	ASSERT_EQ(0, MAP(8, 2, IOVA + 8 * PAGE, TYPE1_READ));
	ASSERT_EQ(0, MAP(12, 1, IOVA + 12 * PAGE, VFIO_DMA_MAP_FLAG_WRITE));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ_FOR(cases[i].rc, mdev_pin(m, cases[i].iova, cases[i].npages, NULL, cases[i].flags),
			      "case %zu", i);
		PINNED(0);
	}
	/* and these are all right */
	EXPECT_EQ(0, mdev_pin(m, IOVA + 6 * PAGE, 4, self->mem + 6 * PAGE, MDEV_READ));
	EXPECT_EQ(0, mdev_pin(m, IOVA + 6 * PAGE, 2, self->mem + 6 * PAGE, MDEV_BOTH));
	EXPECT_EQ(0, mdev_pin(m, IOVA + 12 * PAGE, 1, self->mem + 12 * PAGE, MDEV_WRITE));
	EXPECT_EQ(5, pages_pinned());
}

TEST_F(mdev, lets_go_when_memory_is_unmapped)
{
	struct mdev *m = &self->mdev;
	struct mdev_state state;

	ASSERT_EQ(0, MAP(0, 8, IOVA, TYPE1_RW));
	ASSERT_EQ(0, MAP(8, 8, IOVA + 8 * PAGE, TYPE1_RW));
	ASSERT_EQ(0, mdev_pin(m, IOVA + 2 * PAGE, 3, self->mem + 2 * PAGE, MDEV_BOTH));
	ASSERT_EQ(0, mdev_pin(m, IOVA + 3 * PAGE, 1, self->mem + 3 * PAGE, MDEV_BOTH));
	ASSERT_EQ(0, mdev_pin(m, IOVA + 9 * PAGE, 2, self->mem + 9 * PAGE, MDEV_BOTH));
	EXPECT_EQ(6, mdev_state(m).pinned);
	EXPECT_EQ(5, pages_pinned());

	ASSERT_EQ(0, mdev_unmap(m, IOVA, 8 * PAGE));
	PINNED(2);
	state = mdev_state(m);
	EXPECT_LE(1, state.unmaps);
	EXPECT_LE(IOVA, state.unmap_iova);
	EXPECT_GE(IOVA + 8 * PAGE, state.unmap_iova + state.unmap_length);
	EXPECT_EQ(NOT_MAPPED, mdev_pin(m, IOVA + 2 * PAGE, 1, NULL, MDEV_READ));
	/* other memory at the same address */
	ASSERT_EQ(0, MAP(16, 8, IOVA, TYPE1_RW));
	EXPECT_EQ(0, mdev_pin(m, IOVA + 2 * PAGE, 2, self->mem + 18 * PAGE, MDEV_BOTH));
	PINNED(4);
	ASSERT_EQ(0, mdev_unmap(m, IOVA, 16 * PAGE));
	PINNED(0);
}

/* vfio_ap does it like this */
TEST_F(mdev, may_let_go_of_one_pin_at_a_time)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, MAP(0, 8, IOVA, TYPE1_RW));
	ASSERT_EQ(0, mdev_keep(m, MDEV_KEEP_BUT_ONE));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, mdev_pin(m, IOVA + 2 * PAGE, 1, self->mem + 2 * PAGE, MDEV_BOTH));
	ASSERT_EQ(0, mdev_pin(m, IOVA + 3 * PAGE, 1, self->mem + 3 * PAGE, MDEV_BOTH));
	ASSERT_EQ(0, mdev_unmap(m, IOVA, 8 * PAGE));
	EXPECT_EQ(4, mdev_state(m).unmaps);
	PINNED(0);
}

TEST_F(mdev, shadows_memory_until_it_goes)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, MAP(0, 8, IOVA, TYPE1_RW));
	ASSERT_EQ(0, mdev_shadow(m, IOVA + PAGE, 2));
	EXPECT_EQ(0, mdev_read_shadow(m, IOVA + PAGE, self->buf));
	EXPECT_TRUE(pattern_is(self->buf, PAGE, 1));
	EXPECT_EQ(-ENOENT, mdev_read_shadow(m, IOVA, self->buf));
	pattern_fill(self->mem + PAGE, PAGE, 101);
	pattern_fill(self->mem + 2 * PAGE, PAGE, 102);
	EXPECT_EQ(0, mdev_read_shadow(m, IOVA + PAGE, self->buf));
	EXPECT_TRUE(pattern_is(self->buf, PAGE, 1));

	/* told before the pages go, the device had a last look at them */
	ASSERT_EQ(0, mdev_unmap(m, IOVA, 8 * PAGE));
	EXPECT_EQ(0, mdev_read_shadow(m, IOVA + PAGE, self->buf));
	EXPECT_TRUE(pattern_is(self->buf, PAGE, 101));
	EXPECT_EQ(0, mdev_read_shadow(m, IOVA + 2 * PAGE, self->buf));
	EXPECT_TRUE(pattern_is(self->buf, PAGE, 102));
	PINNED(0);
}

TEST_F(mdev, reads_and_writes_across_mappings)
{
	const uint32_t ways[] = { 0, MDEV_THREAD };
	struct mdev *m = &self->mdev;

	/* neighbours in the address space and not in the process */
	ASSERT_EQ(0, MAP(8, 4, IOVA, TYPE1_RW));
	ASSERT_EQ(0, MAP(0, 4, IOVA + 4 * PAGE, TYPE1_RW));
	ASSERT_EQ(0, MAP(16, 1, IOVA + 8 * PAGE, TYPE1_READ));
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		uint8_t *buf = self->buf;
		uint32_t flags = ways[i];

		memset(buf, 0, MEM_SIZE);
		ASSERT_EQ(0, mdev_rw(m, IOVA, buf, 9 * PAGE, flags));
		EXPECT_TRUE(!memcmp(buf, self->mem + 8 * PAGE, 4 * PAGE));
		EXPECT_TRUE(!memcmp(buf + 4 * PAGE, self->mem, 4 * PAGE));
		EXPECT_TRUE(!memcmp(buf + 8 * PAGE, self->mem + 16 * PAGE, PAGE));
		/* across the border, at odd addresses */
		pattern_fill(buf, 2 * PAGE, 200 + i);
		ASSERT_EQ(0, mdev_rw(m, IOVA + 4 * PAGE - 77, buf, PAGE + 11, flags | MDEV_WRITE));
		EXPECT_TRUE(!memcmp(self->mem + 12 * PAGE - 77, buf, 77));
		EXPECT_TRUE(!memcmp(self->mem, buf + 77, PAGE + 11 - 77));
		EXPECT_TRUE(pattern_is(self->mem + 2 * PAGE, PAGE, 2));
		EXPECT_EQ(0, mdev_rw(m, IOVA + 4 * PAGE - 1, buf, 1, flags));
		EXPECT_EQ(self->mem[12 * PAGE - 1], buf[0]);

		EXPECT_EQ(-EPERM, mdev_rw(m, IOVA + 8 * PAGE, buf, 1, flags | MDEV_WRITE));
		EXPECT_EQ(NOT_MAPPED, mdev_rw(m, IOVA + 9 * PAGE, buf, 1, flags));
		EXPECT_EQ(NOT_MAPPED, mdev_rw(m, IOVA + 9 * PAGE - 1, buf, 2, flags));
		EXPECT_EQ(NOT_MAPPED, mdev_rw(m, IOVA - 1, buf, 2, flags | MDEV_WRITE));
		EXPECT_TRUE(pattern_is(self->mem + 16 * PAGE, PAGE, 16));
		EXPECT_EQ(-EINVAL, mdev_rw(m, IOVA, buf, 0, flags));
	}
	PINNED(0);
	ASSERT_EQ(0, mdev_unmap(m, IOVA, 4 * PAGE));
	EXPECT_EQ(NOT_MAPPED, mdev_rw(m, IOVA, self->buf, 1, 0));
	/* nobody is told who only copied */
	EXPECT_EQ(0, mdev_state(m).unmaps);
}

TEST_F(mdev, is_charged_for_what_it_pins)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, memlock_limit(4 * PAGE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	ASSERT_EQ(0, MAP(0, 16, IOVA, TYPE1_RW));
	EXPECT_EQ(-ENOMEM, mdev_pin(m, IOVA, 5, self->mem, MDEV_BOTH));
	PINNED(0);
	EXPECT_EQ(0, mdev_pin(m, IOVA, 4, self->mem, MDEV_BOTH));
	EXPECT_EQ(-ENOMEM, mdev_pin(m, IOVA + 4 * PAGE, 1, self->mem + 4 * PAGE, MDEV_BOTH));
	/* a page that is pinned already costs nothing */
	EXPECT_EQ(0, mdev_pin(m, IOVA, 1, self->mem, MDEV_BOTH));
	ASSERT_EQ(0, mdev_unpin(m, IOVA, 1));
	ASSERT_EQ(0, mdev_unpin(m, IOVA, 1));
	EXPECT_EQ(0, mdev_pin(m, IOVA + 4 * PAGE, 1, self->mem + 4 * PAGE, MDEV_BOTH));
	EXPECT_EQ(4, pages_pinned());
	capability(CAP_IPC_LOCK, true);
}

TEST_F(mdev, without_dma_unmap_copies_and_does_not_pin)
{
	struct mdev *m = &self->mdev;

	mdev_close(m);
	ASSERT_EQ(0, mdev_create(&self->plain, "copying", 2));
	ASSERT_EQ(0, mdev_open(&self->plain, variant->way));
	ASSERT_EQ(0, mdev_map(&self->plain, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
	EXPECT_EQ(MAY_NOT_PIN, mdev_pin(&self->plain, IOVA, 1, self->mem, MDEV_READ));
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, mdev_rw(&self->plain, IOVA, self->buf, MEM_SIZE, 0));
	EXPECT_TRUE(!memcmp(self->mem, self->buf, MEM_SIZE));
	EXPECT_EQ(0, mdev_unmap(&self->plain, IOVA, MEM_SIZE));
	mdev_close(&self->plain);
	EXPECT_EQ(0, mdev_remove(&self->plain));
}

TEST_F(mdev, that_is_closed_leaves_nothing_pinned)
{
	struct mdev *m = &self->mdev;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, MAP(0, 16, IOVA, TYPE1_RW));
		ASSERT_EQ(0, mdev_pin(m, IOVA, 16, self->mem, MDEV_BOTH));
		ASSERT_EQ(0, mdev_shadow(m, IOVA + PAGE, 2));
		EXPECT_EQ(16, pages_pinned());
		mdev_close(m);
		EXPECT_EQ(0, pages_pinned());
		ASSERT_EQ(0, mdev_open(m, variant->way));
		PINNED(0);
	}
}

TEST_F(mdev, of_a_killed_process_leaves_nothing_pinned)
{
	struct mdev *m = &self->mdev;
	int ready[2];
	char byte;
	pid_t pid;

	mdev_close(m);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!mdev_open(m, variant->way));
		CHILD_NEEDS(!mdev_map(m, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
		CHILD_NEEDS(!mdev_pin(m, IOVA, PAGES, self->mem, MDEV_BOTH));
		CHILD_NEEDS(write(ready[1], "", 1) == 1);
		pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ(PAGES, pages_pinned());
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	/* what a process held is given back before it can be waited for, but for work that was put off */
	for (int i = 0; i < 1000 && pages_pinned(); i++)
		sleep_ms(10);
	EXPECT_EQ(0, pages_pinned());
	close(ready[0]);
	close(ready[1]);
	ASSERT_EQ(0, mdev_open(m, variant->way));
	PINNED(0);
}

/* The device goes when the last file is closed; until then it works. */
TEST_F(mdev, is_removed_when_nobody_has_it_open)
{
	struct mdev *m = &self->mdev;
	struct pollfd done;
	int ends[2], other;
	pid_t pid;

	ASSERT_EQ(0, MAP(0, 16, IOVA, TYPE1_RW));
	ASSERT_EQ(0, mdev_pin(m, IOVA, 4, self->mem, MDEV_BOTH));
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* not the one who keeps it */
		mdev_close(m);
		CHILD_NEEDS(!mdev_remove(m));
		_exit(0);
	}
	close(ends[1]);
	done = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	EXPECT_EQ(0, poll(&done, 1, 200));
	/* nobody else comes in by a node; who has the group may open the device once more */
	other = mdev_open_node(m);
	EXPECT_GT(0, other);
	PINNED(4);
	EXPECT_EQ(0, mdev_pin(m, IOVA + 8 * PAGE, 4, self->mem + 8 * PAGE, MDEV_BOTH));
	EXPECT_EQ(0, mdev_rw(m, IOVA, self->buf, PAGE, 0));
	EXPECT_EQ(0, mdev_unmap(m, IOVA, 16 * PAGE));
	PINNED(0);
	mdev_close(m);
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_EQ(1, poll(&done, 1, 0));
	close(ends[0]);
	EXPECT_FALSE(mdev_exists(m));
	ASSERT_EQ(0, mdev_create(m, "pinning", 1));
}

/* ---- only on a node ---- */

FIXTURE(node)
{
	struct mdev mdev;
	uint8_t *mem, *buf;
	uint32_t other;
};

FIXTURE_SETUP(node)
{
	self->mem = patterned_memory();
	self->buf = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_NE(NULL, self->buf);
	ASSERT_EQ(0, mdev_create(&self->mdev, "pinning", 1));
	ASSERT_EQ(0, mdev_open(&self->mdev, BY_NODE));
	/* the first half here, the second half there */
	ASSERT_EQ(0, MAP(0, 16, IOVA, TYPE1_RW));
	ASSERT_EQ(0, ioas_alloc(self->mdev.container, &self->other));
	ASSERT_EQ(0, ioas_map_at(self->mdev.container, self->other, self->mem + 16 * PAGE, 16 * PAGE, IOVA));
}

FIXTURE_TEARDOWN(node)
{
	mdev_close(&self->mdev);
	EXPECT_EQ(0, mdev_remove(&self->mdev));
	munmap(self->mem, MEM_SIZE);
	munmap(self->buf, MEM_SIZE);
	nothing_is_left(_metadata);
}

TEST_F(node, has_an_id_that_is_no_device)
{
	struct iommu_hw_info_routing routing;
	struct mdev *m = &self->mdev;
	uint32_t hwpt;

	EXPECT_NE(0, m->devid);
	EXPECT_NE(m->ioas, m->devid);
	EXPECT_EQ(-ENOENT, device_routing(m->container, m->devid, &routing));
	EXPECT_EQ(-ENOENT, hwpt_alloc(m->container, m->devid, m->ioas, 0, &hwpt));
	EXPECT_EQ(-EBUSY, iommu_destroy(m->container, m->devid));
	/* the address space is in use */
	EXPECT_EQ(-EBUSY, iommu_destroy(m->container, m->ioas));
	EXPECT_EQ(0, vfio_detach(m->fd));
	EXPECT_EQ(0, iommu_destroy(m->container, m->ioas));
}

TEST_F(node, moves_between_address_spaces)
{
	struct mdev *m = &self->mdev;
	struct mdev_state state;
	uint32_t out;

	ASSERT_EQ(0, mdev_pin(m, IOVA + 3 * PAGE, 2, self->mem + 3 * PAGE, MDEV_BOTH));
	/* where it is already: nobody is told */
	ASSERT_EQ(0, vfio_attach(m->fd, m->ioas, &out));
	EXPECT_EQ(m->ioas, out);
	PINNED(2);
	EXPECT_EQ(0, mdev_state(m).unmaps + mdev_state(m).forgets);

	ASSERT_EQ(0, vfio_attach(m->fd, self->other, &out));
	EXPECT_EQ(self->other, out);
	PINNED(0);
	state = mdev_state(m);
	/* told of what it had pinned, page by page, and of all that it may have looked up */
	EXPECT_EQ(2, state.unmaps);
	EXPECT_EQ(IOVA + 4 * PAGE, state.unmap_iova);
	EXPECT_EQ(PAGE, state.unmap_length);
	EXPECT_EQ(1, state.forgets);
	EXPECT_EQ(0, state.forget_iova);
	EXPECT_EQ(UINT64_MAX, state.forget_last);
	ASSERT_EQ(0, mdev_pin(m, IOVA, 1, self->mem + 16 * PAGE, MDEV_BOTH));
	ASSERT_EQ(0, mdev_rw(m, IOVA, self->buf, PAGE, 0));
	EXPECT_TRUE(pattern_is(self->buf, PAGE, 16));
	/* what goes there is nothing to it any more */
	EXPECT_EQ(0, mdev_unmap(m, IOVA, 16 * PAGE));
	PINNED(1);
	EXPECT_EQ(0, iommu_destroy(m->container, m->ioas));

	ASSERT_EQ(0, vfio_detach(m->fd));
	PINNED(0);
	EXPECT_EQ(-ENOENT, mdev_pin(m, IOVA, 1, NULL, MDEV_READ));
	EXPECT_EQ(-ENOENT, mdev_rw(m, IOVA, self->buf, 1, 0));
	EXPECT_EQ(0, vfio_detach(m->fd));
	ASSERT_EQ(0, vfio_attach(m->fd, self->other, NULL));
	EXPECT_EQ(0, mdev_pin(m, IOVA, 1, self->mem + 16 * PAGE, MDEV_BOTH));
}

TEST_F(node, refuses_what_it_cannot_attach)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach), .flags = VFIO_DEVICE_ATTACH_PASID, .pt_id = self->other, .pasid = 1,
	};
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach), .flags = VFIO_DEVICE_DETACH_PASID, .pasid = 1,
	};
	struct mdev *m = &self->mdev;
	uint32_t devid;

	ASSERT_EQ(0, mdev_pin(m, IOVA, 1, self->mem, MDEV_BOTH));
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(m->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(m->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	EXPECT_EQ(-ENOENT, vfio_attach(m->fd, UNKNOWN_ID, NULL));
	EXPECT_EQ(-ENOENT, vfio_attach(m->fd, 0, NULL));
	EXPECT_EQ(-ENOENT, vfio_attach(m->fd, m->devid, NULL));
	EXPECT_EQ(-EINVAL, vfio_bind(m->fd, m->container, &devid));
	PINNED(1);
	EXPECT_EQ(0, mdev_state(m).unmaps + mdev_state(m).forgets);
}

/* A driver that does not do what it is told keeps its memory, and its place */
TEST_F(node, stays_where_it_does_not_let_go)
{
	struct mdev *m = &self->mdev;

	ASSERT_EQ(0, mdev_shadow(m, IOVA + PAGE, 1));
	ASSERT_EQ(0, mdev_keep(m, MDEV_KEEP_ALL));
	EXPECT_EQ(-EDEADLOCK, mdev_unmap(m, IOVA, 16 * PAGE));
	EXPECT_EQ(-EDEADLOCK, vfio_attach(m->fd, self->other, NULL));
	EXPECT_EQ(-EDEADLOCK, vfio_detach(m->fd));
	PINNED(1);
	EXPECT_EQ(3, mdev_state(m).unmaps);
	EXPECT_EQ(0, mdev_pin(m, IOVA, 1, self->mem, MDEV_BOTH));
	ASSERT_EQ(0, mdev_keep(m, MDEV_KEEP_NONE));
	EXPECT_EQ(0, vfio_detach(m->fd));
	PINNED(0);
	/* and one that is closed lets go whatever it was told */
	ASSERT_EQ(0, vfio_attach(m->fd, self->other, NULL));
	ASSERT_EQ(0, mdev_pin(m, IOVA, 4, self->mem + 16 * PAGE, MDEV_BOTH));
	ASSERT_EQ(0, mdev_keep(m, MDEV_KEEP_ALL));
}

TEST_F(node, and_group_exclude_each_other)
{
	struct mdev *m = &self->mdev;
	int second = mdev_open_node(m), group;
	uint32_t devid;

	ASSERT_LE(0, second);
	EXPECT_EQ(-EINVAL, vfio_bind(second, m->container, &devid));
	EXPECT_EQ(-EBUSY, mdev_open_group(m));
	mdev_close(m);
	group = mdev_open_group(m);
	ASSERT_LE(0, group);
	ASSERT_LE(0, m->container = iommu_open());
	EXPECT_EQ(-EBUSY, vfio_bind(second, m->container, &devid));
	close(group);
	EXPECT_EQ(0, vfio_bind(second, m->container, &devid));
	close(second);
}

TEST_F(node, reaches_memory_files)
{
	struct mdev *m = &self->mdev;
	int file = memfd_create("mdev", MFD_CLOEXEC);
	struct mdev_cmd cmd;
	uint8_t *shared;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, MEM_SIZE));
	shared = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	memcpy(shared, self->mem, MEM_SIZE);
	ASSERT_EQ(0, ioas_map_file_at(m->container, m->ioas, file, PAGE, 4 * PAGE, IOVA + MIB));
	EXPECT_EQ(0, mdev_pin(m, IOVA + MIB, 4, shared + PAGE, MDEV_BOTH));
	PINNED(4);
	/* mapped by file and by address, one behind the other */
	ASSERT_EQ(0, ioas_map_at(m->container, m->ioas, self->mem, PAGE, IOVA + MIB + 4 * PAGE));
	ASSERT_EQ(0, mdev_rw(m, IOVA + MIB, self->buf, 5 * PAGE, 0));
	EXPECT_TRUE(!memcmp(self->buf, self->mem + PAGE, 4 * PAGE));
	EXPECT_TRUE(!memcmp(self->buf + 4 * PAGE, self->mem, PAGE));
	/* a file has no address in a process, wherever it is mapped */
	EXPECT_EQ(-EOPNOTSUPP, mdev_lookup(m, IOVA + MIB, &cmd));
	EXPECT_EQ(0, mdev_lookup(m, IOVA + MIB + 4 * PAGE, &cmd));
	EXPECT_EQ(0, ioas_unmap_all(m->container, m->ioas));
	PINNED(0);
	munmap(shared, MEM_SIZE);
	close(file);
}

TEST_F(node, finds_where_addresses_lie_in_the_process)
{
	struct mdev *m = &self->mdev;
	struct mdev_cmd cmd;
	struct mdev_state state;
	uint64_t iova = IOVA + 64 * PAGE;
	struct mdev plain;

	ASSERT_EQ(0, ioas_map(m->container, m->ioas, self->mem + 16 * PAGE, 2 * PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	ASSERT_EQ(0, mdev_lookup(m, IOVA, &cmd));
	EXPECT_EQ(to_u64(self->mem), cmd.uptr);
	EXPECT_EQ(16 * PAGE, cmd.length);
	EXPECT_EQ(MDEV_BOTH, cmd.flags);
	ASSERT_EQ(0, mdev_lookup(m, IOVA + 5 * PAGE + 17, &cmd));
	EXPECT_EQ(to_u64(self->mem) + 5 * PAGE + 17, cmd.uptr);
	EXPECT_EQ(11 * PAGE - 17, cmd.length);
	ASSERT_EQ(0, mdev_lookup(m, iova + 2 * PAGE - 1, &cmd));
	EXPECT_EQ(to_u64(self->mem) + 18 * PAGE - 1, cmd.uptr);
	EXPECT_EQ(1, cmd.length);
	EXPECT_EQ(MDEV_READ, cmd.flags);
	EXPECT_EQ(-ENOENT, mdev_lookup(m, IOVA - 1, &cmd));
	EXPECT_EQ(-ENOENT, mdev_lookup(m, IOVA + 16 * PAGE, &cmd));
	EXPECT_EQ(-ENOENT, mdev_lookup(m, UINT64_MAX, &cmd));
	/* a copy leads to the same place */
	ASSERT_EQ(0, ioas_copy_to(m->container, m->ioas, IOVA + MIB, m->ioas, IOVA + 2 * PAGE, PAGE));
	ASSERT_EQ(0, mdev_lookup(m, IOVA + MIB, &cmd));
	EXPECT_EQ(to_u64(self->mem) + 2 * PAGE, cmd.uptr);
	EXPECT_EQ(PAGE, cmd.length);
	PINNED(0);

	/* the answer ends when the device is told, though it has pinned nothing there */
	ASSERT_EQ(0, mdev_unmap(m, IOVA, 16 * PAGE));
	state = mdev_state(m);
	EXPECT_EQ(1, state.forgets);
	EXPECT_EQ(IOVA, state.forget_iova);
	EXPECT_EQ(IOVA + 16 * PAGE - 1, state.forget_last);
	EXPECT_EQ(0, state.unmaps);
	EXPECT_EQ(-ENOENT, mdev_lookup(m, IOVA, &cmd));
	EXPECT_EQ(0, mdev_lookup(m, IOVA + MIB, &cmd));
	ASSERT_EQ(0, vfio_detach(m->fd));
	EXPECT_EQ(-ENOENT, mdev_lookup(m, IOVA + MIB, &cmd));

	/* one that cannot be told is not answered, and a container answers nobody */
	ASSERT_EQ(0, mdev_create(&plain, "copying", 2));
	ASSERT_EQ(0, mdev_open(&plain, BY_NODE));
	ASSERT_EQ(0, mdev_map(&plain, self->mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(-EOPNOTSUPP, mdev_lookup(&plain, IOVA, &cmd));
	mdev_close(&plain);
	EXPECT_EQ(0, mdev_remove(&plain));
	mdev_close(m);
	ASSERT_EQ(0, mdev_open(m, BY_CONTAINER));
	ASSERT_EQ(0, MAP(0, 1, IOVA, TYPE1_RW));
	EXPECT_EQ(-EOPNOTSUPP, mdev_lookup(m, IOVA, &cmd));
}

/* The memory is that of the process that mapped it, whoever lets the device work */
TEST_F(node, works_on_memory_of_another_process)
{
	struct mdev *m = &self->mdev;
	struct mdev_cmd cmd;
	int told[2];
	char byte;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		memset(self->mem, 0, MEM_SIZE);
		CHILD_NEEDS(!mdev_rw(m, IOVA, self->buf, PAGE, 0));
		CHILD_NEEDS(pattern_is(self->buf, PAGE, 0));
		CHILD_NEEDS(!mdev_pin(m, IOVA + PAGE, 1, NULL, MDEV_BOTH));
		CHILD_NEEDS(mdev_pin(m, IOVA + 2 * PAGE, 1, self->mem + 2 * PAGE, MDEV_BOTH) == -EBADE);
		CHILD_NEEDS(mdev_lookup(m, IOVA, &cmd) == -EXDEV);
		memset(self->buf, 0x77, PAGE);
		CHILD_NEEDS(!mdev_rw(m, IOVA, self->buf, PAGE, MDEV_WRITE));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(bytes_are(self->mem, PAGE, 0x77));
	PINNED(1);

	/* and of one that is gone */
	ASSERT_EQ(0, pipe(told));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!ioas_map_at(m->container, m->ioas, self->mem, 4 * PAGE, IOVA + MIB));
		CHILD_NEEDS(!mdev_pin(m, IOVA + MIB, 1, self->mem, MDEV_BOTH));
		CHILD_NEEDS(write(told[1], "", 1) == 1);
		_exit(0);
	}
	ASSERT_EQ(1, read(told[0], &byte, 1));
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_EQ(-EFAULT, mdev_pin(m, IOVA + MIB + PAGE, 1, NULL, MDEV_READ));
	EXPECT_EQ(-EFAULT, mdev_rw(m, IOVA + MIB + PAGE, self->buf, 1, 0));
	EXPECT_EQ(-EFAULT, mdev_rw(m, IOVA + MIB + PAGE, self->buf, 1, MDEV_THREAD));
	PINNED(2);
	EXPECT_EQ(0, ioas_unmap(m->container, m->ioas, IOVA + MIB, 4 * PAGE, NULL));
	PINNED(1);
	close(told[0]);
	close(told[1]);
}

/* ---- while memory is short ---- */

/* What is done with the device, one call a step; those before it succeed */
enum { STEP_BIND, STEP_ATTACH, STEP_PIN, STEP_SHADOW, STEP_RW, STEP_RW_THREAD, STEP_MOVE, STEPS };

static int mdev_step(struct mdev *m, uint8_t *mem, uint8_t *buf, uint32_t other, int step)
{
	switch (step) {
	case STEP_BIND:
		return vfio_bind(m->fd, m->container, &m->devid);
	case STEP_ATTACH:
		return vfio_attach(m->fd, m->ioas, NULL);
	case STEP_PIN:
		return mdev_pin(m, IOVA + PAGE, 4, mem + PAGE, MDEV_BOTH);
	case STEP_SHADOW:
		return mdev_shadow(m, IOVA + 8 * PAGE, 4);
	case STEP_RW:
		return mdev_rw(m, IOVA, buf, 2 * PAGE, 0);
	case STEP_RW_THREAD:
		return mdev_rw(m, IOVA, buf, 2 * PAGE, MDEV_THREAD);
	default:
		return vfio_attach(m->fd, other, NULL);
	}
}

TEST_F(node, loses_nothing_when_a_call_fails)
{
	/* pages that are pinned after each step */
	const long pinned[STEPS] = { 0, 0, 4, 8, 8, 8, 0 };
	struct mdev *m = &self->mdev;
	int nth, failed = 0;

	if (may_fail_everywhere())
		SKIP(return, NO_FAULT_INJECTION);
	nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, nth);
	for (int step = 0; step < STEPS; step++) {
		for (int n = 1, left = 1; left && n < MANY; n++) {
			long before;
			int rc;

			mdev_close(m);
			ASSERT_LE(0, m->container = iommu_open());
			ASSERT_LE(0, m->fd = mdev_open_node(m));
			ASSERT_EQ(0, ioas_alloc(m->container, &m->ioas));
			ASSERT_EQ(0, MAP(0, 16, IOVA, TYPE1_RW));
			ASSERT_EQ(0, ioas_alloc(m->container, &self->other));
			ASSERT_EQ(0, ioas_map_at(m->container, self->other, self->mem, 16 * PAGE, IOVA));
			for (int i = 0; i < step; i++)
				ASSERT_EQ_FOR(0, mdev_step(m, self->mem, self->buf, self->other, i), "step %d", i);
			before = pages_pinned();

			ASSERT_EQ(0, fail_arm_in_turn(nth, n));
			rc = mdev_step(m, self->mem, self->buf, self->other, step);
			left = fail_left_in_turn(nth, n);
			if (rc) {
				failed++;
				EXPECT_TRUE_FOR(rc == -ENOMEM || rc == -EFAULT, "step %d, n %d: %d", step, n, rc);
				EXPECT_EQ_FOR(before, pages_pinned(), "step %d, n %d", step, n);
				ASSERT_EQ_FOR(0, mdev_step(m, self->mem, self->buf, self->other, step), "step %d, n %d",
					      step, n);
			}
			ASSERT_EQ_FOR(pinned[step], pages_pinned(), "step %d, n %d", step, n);
		}
	}
	close(nth);
	TH_LOG("%d calls failed", failed);
	EXPECT_LE(20, failed);
}

TEST_HARNESS_MAIN
