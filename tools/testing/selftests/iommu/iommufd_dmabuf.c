// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_dmabuf - dma-bufs in address spaces, and what happens when their exporter takes them back
 *
 * The dma-bufs are those of the test ioctl: one physical range each, that is revoked on request. A process may map one,
 * and sees what a device does to it. Foreign ones come from /dev/udmabuf.
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"

#include <linux/udmabuf.h>
#include <pthread.h>
#include <sys/wait.h>

#define BUF_PAGES	8
#define BUF_SIZE	(BUF_PAGES * PAGE)
#define IOVA		MOCK_FIRST
#define BYTES		512

FIXTURE(dmabuf)
{
	int iommufd, buf;
	uint32_t ioas;
	uint8_t *view;
};

FIXTURE_SETUP(dmabuf)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	self->buf = test_dmabuf_get(self->iommufd, BUF_SIZE, O_CLOEXEC);
	ASSERT_LT(2, self->buf);
	self->view = mmap(NULL, BUF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->buf, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->view);
}

FIXTURE_TEARDOWN(dmabuf)
{
	munmap(self->view, BUF_SIZE);
	if (self->buf >= 0)
		close(self->buf);
	close(self->iommufd);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* Whether all of the buffer is at @iova in a page table of the mock, or none of it */
#define EXPECT_THERE(_hwpt, _iova) \
	EXPECT_EQ(0, mock_check_map(self->iommufd, _hwpt, _iova, BUF_SIZE, self->view))

#define EXPECT_GONE(_hwpt, _iova) do { \
	for (unsigned int _page = 0; _page < BUF_PAGES; _page++) \
		EXPECT_EQ_FOR(-EINVAL, mock_check_map(self->iommufd, _hwpt, (_iova) + _page * PAGE, PAGE, \
						      self->view + _page * PAGE), "page %u", _page); \
} while (0)

TEST_F(dmabuf, parts_of_it_are_mapped_where_they_are)
{
	struct mock_device dev;
	uint64_t iova = 0;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	EXPECT_THERE(dev.hwpt, IOVA);
	ASSERT_EQ(0, ioas_map_file(self->iommufd, self->ioas, self->buf, 2 * PAGE, 3 * PAGE, &iova, MAP_RW));
	EXPECT_EQ(0, mock_check_map(self->iommufd, dev.hwpt, iova, 3 * PAGE, self->view + 2 * PAGE));
	EXPECT_EQ(-EINVAL, mock_check_map(self->iommufd, dev.hwpt, iova, 3 * PAGE, self->view + 3 * PAGE));
	/* half a page, as this page table can have it */
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, PAGE + MOCK_PAGE, PAGE, 4 * IOVA));
	EXPECT_EQ(0, mock_check_map(self->iommufd, dev.hwpt, 4 * IOVA, PAGE, self->view + PAGE + MOCK_PAGE));
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, IOVA, BUF_SIZE, NULL));
	EXPECT_GONE(dev.hwpt, IOVA);
	EXPECT_EQ(0, mock_check_map(self->iommufd, dev.hwpt, iova, 3 * PAGE, self->view + 2 * PAGE));
}

TEST_F(dmabuf, each_mapping_leaves_each_page_table_by_itself)
{
	struct mock_device dev;
	uint32_t more;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, dev.id, self->ioas, 0, &more));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	/* on the same source, so that all are in one list */
	ASSERT_EQ(0, ioas_copy_to(self->iommufd, self->ioas, 2 * IOVA, self->ioas, IOVA, BUF_SIZE));
	ASSERT_EQ(0, iommu_destroy(self->iommufd, more));
	EXPECT_THERE(dev.hwpt, IOVA);
	EXPECT_THERE(dev.hwpt, 2 * IOVA);
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, 2 * IOVA, BUF_SIZE, NULL));
	EXPECT_THERE(dev.hwpt, IOVA);
	EXPECT_GONE(dev.hwpt, 2 * IOVA);
	/* in the page table that came last, too */
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, dev.id, self->ioas, 0, &more));
	EXPECT_THERE(more, IOVA);
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	EXPECT_GONE(dev.hwpt, IOVA);
	EXPECT_GONE(more, IOVA);
}

TEST_F(dmabuf, what_lies_outside_is_einval)
{
	struct mock_device dev;

	/* found out at once, with a page table and without */
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, 0, IOVA));
		EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE + 1, IOVA));
		EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE + PAGE, IOVA));
		EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->buf, BUF_SIZE, PAGE, IOVA));
		EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->buf, PAGE, BUF_SIZE, IOVA));
		EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 1UL << 63, PAGE, IOVA));
		EXPECT_EQ(-EOVERFLOW, ioas_map_file_at(self->iommufd, self->ioas, self->buf, -PAGE, PAGE, IOVA));
		if (!i)
			ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	}
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, BUF_SIZE - PAGE, PAGE, IOVA));
}

TEST_F(dmabuf, buffers_of_other_drivers_are_refused)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = PAGE };
	int udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), foreign;

	ASSERT_LE(0, udmabuf) TH_LOG("/dev/udmabuf: %s", strerror(errno));
	create.memfd = memfd_create("iommufd_dmabuf", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(create.memfd, PAGE));
	ASSERT_EQ(0, fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	foreign = ioctl(udmabuf, UDMABUF_CREATE, &create);
	ASSERT_LE(0, foreign) TH_LOG("UDMABUF_CREATE: %s", strerror(errno));
	EXPECT_EQ(-EOPNOTSUPP, ioas_map_file_at(self->iommufd, self->ioas, foreign, 0, PAGE, IOVA));
	EXPECT_EQ(-EOPNOTSUPP, test_dmabuf_revoke(self->iommufd, foreign, true));
	close(foreign);
	close(create.memfd);
	close(udmabuf);
}

TEST_F(dmabuf, descriptor_and_view_may_go)
{
	struct mock_device dev;
	uint8_t *view;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	view = mmap(NULL, BUF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->buf, 0);
	ASSERT_NE(MAP_FAILED, (void *)view);
	ASSERT_EQ(0, munmap(view, BUF_SIZE));
	close(self->buf);
	self->buf = -1;
	EXPECT_THERE(dev.hwpt, IOVA);
}

TEST_F(dmabuf, nothing_is_pinned_or_charged)
{
	struct mock_device dev;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	ASSERT_EQ(0, memlock_limit(0));
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, true));
	EXPECT_THERE(dev.hwpt, IOVA);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(dmabuf, software_users_are_refused)
{
	int access = test_access_create(self->iommufd, self->ioas, ACCESS_PINS);
	uint8_t byte = 0;
	uint32_t id;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	EXPECT_EQ(-EINVAL, test_access_pin(self->iommufd, access, IOVA, PAGE, NULL, 0, &id));
	EXPECT_EQ(-EINVAL, test_access_pin(self->iommufd, access, IOVA, PAGE, NULL, ACCESS_WRITE, &id));
	EXPECT_EQ(-EINVAL, test_access_rw(self->iommufd, access, IOVA, &byte, 1, 0));
	EXPECT_EQ(-EINVAL, test_access_rw(self->iommufd, access, IOVA, &byte, 1, ACCESS_WRITE));
	EXPECT_EQ(-EINVAL, test_access_rw(self->iommufd, access, IOVA, &byte, 1, ACCESS_REMOTE));
	close(access);
}

TEST_F(dmabuf, cannot_be_handed_to_another_process)
{
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_change_process(self->iommufd));
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	EXPECT_EQ(0, ioas_change_process(self->iommufd));
}

/* ---- taken back ---- */

TEST_F(dmabuf, revoke_takes_it_out_everywhere)
{
	struct mock_device dev, second;
	uint32_t other, more;

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &other));
	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, mock_device_create(self->iommufd, other, &second));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, dev.id, self->ioas, 0, &more));
	/* two mappings, one with a copy in another address space, and an unconcerned neighbour */
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, 2 * IOVA));
	ASSERT_EQ(0, ioas_copy_to(self->iommufd, other, 3 * IOVA, self->ioas, IOVA, BUF_SIZE));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->view, PAGE, IOVA + BUF_SIZE));
	EXPECT_THERE(dev.hwpt, IOVA);
	EXPECT_THERE(more, 2 * IOVA);
	EXPECT_THERE(second.hwpt, 3 * IOVA);

	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, true));
	EXPECT_GONE(dev.hwpt, IOVA);
	EXPECT_GONE(dev.hwpt, 2 * IOVA);
	EXPECT_GONE(more, IOVA);
	EXPECT_GONE(more, 2 * IOVA);
	EXPECT_GONE(second.hwpt, 3 * IOVA);
	EXPECT_EQ(0, mock_check_map(self->iommufd, dev.hwpt, IOVA + BUF_SIZE, PAGE, self->view));

	/* the addresses stay taken until they are given up */
	EXPECT_EQ(-EEXIST, ioas_map_at(self->iommufd, self->ioas, self->view, PAGE, IOVA));
}

TEST_F(dmabuf, revoked_one_stays_out_for_good)
{
	struct mock_device dev;
	uint32_t more, other;
	uint64_t bytes = 0;

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &other));
	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, true));
	EXPECT_EQ(-ENODEV, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, 2 * IOVA));

	/* a page table that comes now is made without it, and so is a copy; also when the buffer is there again */
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, dev.id, self->ioas, 0, &more));
	EXPECT_GONE(more, IOVA);
	ASSERT_EQ(0, iommu_destroy(self->iommufd, more));
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, false));
	EXPECT_GONE(dev.hwpt, IOVA);
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, dev.id, self->ioas, 0, &more));
	EXPECT_GONE(more, IOVA);
	ASSERT_EQ(0, ioas_copy_to(self->iommufd, self->ioas, 3 * IOVA, self->ioas, IOVA, BUF_SIZE));
	EXPECT_GONE(dev.hwpt, 3 * IOVA);

	/* who wants it maps it anew */
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, 2 * IOVA));
	EXPECT_THERE(dev.hwpt, 2 * IOVA);
	EXPECT_THERE(more, 2 * IOVA);
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, IOVA, BUF_SIZE, &bytes));
	EXPECT_EQ(BUF_SIZE, bytes);
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	EXPECT_THERE(dev.hwpt, IOVA);
	EXPECT_THERE(more, IOVA);
}

TEST_F(dmabuf, any_move_ends_the_mapping)
{
	struct mock_device dev;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	/* it was not revoked, but it may be somewhere else now */
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, false));
	EXPECT_GONE(dev.hwpt, IOVA);
	EXPECT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
}

TEST_F(dmabuf, revoked_before_the_first_page_table)
{
	struct mock_device dev;

	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, true));
	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	EXPECT_GONE(dev.hwpt, IOVA);
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, false));
	EXPECT_GONE(dev.hwpt, IOVA);
	EXPECT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
}

TEST_F(dmabuf, revoke_finds_nobody_who_has_left)
{
	struct mock_device dev;
	int other = iommu_open();
	uint32_t ioas;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	/* the page table goes, the mapping stays */
	ASSERT_EQ(0, iommu_destroy(self->iommufd, dev.stdev));
	/* a whole context goes */
	ASSERT_LE(0, other);
	ASSERT_EQ(0, ioas_alloc(other, &ioas));
	ASSERT_EQ(0, mock_device_create(other, ioas, &dev));
	ASSERT_EQ(0, ioas_map_file_at(other, ioas, self->buf, 0, BUF_SIZE, IOVA));
	close(other);
	EXPECT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, true));
	EXPECT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
}

/* ---- a device at work ---- */

TEST_F(dmabuf, dma_ends_when_it_is_revoked)
{
	struct edu edu;
	uint32_t ioas;
	long faults;

	ASSERT_EQ(0, edu_open_bound(&edu, 0, self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &ioas));
	ASSERT_EQ(0, vfio_attach(edu.fd, ioas, NULL));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, ioas, self->buf, 0, BUF_SIZE, IOVA));
	pattern_fill(self->view, BYTES, 1);
	ASSERT_EQ(0, edu_copy(&edu, IOVA, IOVA + 3 * PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->view + 3 * PAGE, BYTES, 1));

	/* its IOTLB knows the page, and must forget it */
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, self->buf, true));
	memset(self->view, 0x5a, BUF_SIZE);
	faults = iommu_fault_count();
	ASSERT_EQ(0, edu_store(&edu, IOVA + 3 * PAGE, BYTES));
	EXPECT_TRUE(iommu_fault_seen(faults));
	EXPECT_TRUE(bytes_are(self->view, BUF_SIZE, 0x5a));
	edu_close(&edu);
}

/* ---- everybody at the same time ---- */

struct race {
	int iommufd, buf;
	uint32_t ioas;
	bool stop;
};

static void *keep_revoking(void *arg)
{
	struct race *race = arg;
	long failed = 0;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		failed |= test_dmabuf_revoke(race->iommufd, race->buf, true);
		failed |= test_dmabuf_revoke(race->iommufd, race->buf, false);
	}
	return (void *)failed;
}

static void *keep_attaching(void *arg)
{
	struct race *race = arg;
	struct mock_device dev = {};
	long failed = 0;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		failed |= mock_device_create(race->iommufd, race->ioas, &dev);
		failed |= iommu_destroy(race->iommufd, dev.stdev);
	}
	return (void *)failed;
}

TEST_F(dmabuf, revoke_beside_map_unmap_and_attach)
{
	struct race race = { .iommufd = self->iommufd, .buf = self->buf, .ioas = self->ioas };
	double end = seconds() + 1.5;
	struct mock_device dev;
	pthread_t threads[2];
	int mapped = 0, rc;
	void *failed;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, keep_revoking, &race));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, keep_attaching, &race));
	while (seconds() < end) {
		for (unsigned int i = 0; i < 8; i++) {
			rc = ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA + i * BUF_SIZE);
			if (!rc)
				mapped++;
			else
				EXPECT_EQ(-ENODEV, rc);
		}
		EXPECT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
	EXPECT_LT(0, mapped);
	/* the last word was that it is there */
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->buf, 0, BUF_SIZE, IOVA));
	EXPECT_THERE(dev.hwpt, IOVA);
}

TEST_HARNESS_MAIN
