// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_type1 - VFIO's own container, as Linux 6.1 has it, with a device that does DMA
 *
 * Nothing here needs /dev/iommu: it is what programs of today rely on, and what must be the same on a kernel with
 * iommufd and on one without it.
 */
#include "iommu_test.h"
#include "type1.h"

#define MEM_SIZE	(4 * MIB)
#define IOVA		0x1000000UL
#define BYTES		512

FIXTURE(type1)
{
	struct type1 t;
	uint8_t *mem;
	long faults;
};

FIXTURE_VARIANT(type1)
{
	unsigned long version;
};

FIXTURE_VARIANT_ADD(type1, v1)
{
	.version = VFIO_TYPE1_IOMMU,
};

FIXTURE_VARIANT_ADD(type1, v2)
{
	.version = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_SETUP(type1)
{
	self->faults = iommu_fault_count();
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, type1_open(&self->t, type1_container_open(), variant->version, EDU_ALONE));
}

FIXTURE_TEARDOWN(type1)
{
	type1_close(&self->t);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(type1, device_reaches_what_is_mapped)
{
	struct edu *edu = &self->t.edu;

	ASSERT_EQ(0, type1_map(self->t.container, self->mem, HUGE_PAGE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_map(self->t.container, self->mem + HUGE_PAGE, PAGE, 2 * IOVA, TYPE1_READ));
	EXPECT_EQ((long)(HUGE_PAGE + PAGE) / 1024, vm_lck_kb());
	memset(self->mem, 0x5a, HUGE_PAGE + PAGE);
	pattern_fill(self->mem, BYTES, 1);
	ASSERT_EQ(0, edu_copy(edu, IOVA, IOVA + HUGE_PAGE - BYTES, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + HUGE_PAGE - BYTES, BYTES, 1));
	EXPECT_EQ(self->faults, iommu_fault_count());
	/* read only */
	ASSERT_EQ(0, edu_store(edu, 2 * IOVA, BYTES));
	EXPECT_TRUE(bytes_are(self->mem + HUGE_PAGE, PAGE, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(self->faults));
	/* and not what was unmapped */
	self->faults = iommu_fault_count();
	memset(self->mem, 0x5a, PAGE);
	ASSERT_EQ(HUGE_PAGE, type1_unmap_bytes(self->t.container, IOVA, HUGE_PAGE));
	ASSERT_EQ(0, edu_store(edu, IOVA, BYTES));
	EXPECT_TRUE(bytes_are(self->mem, PAGE, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(self->faults));
	EXPECT_EQ(4, vm_lck_kb());
}

/* The first version unmaps what begins in a range, whole; the second refuses to cut. */
TEST_F(type1, unmap_of_a_part)
{
	const int64_t cut = variant->version == VFIO_TYPE1_IOMMU ? 0 : -EINVAL;

	ASSERT_EQ(0, type1_map(self->t.container, self->mem, 4 * PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(-EEXIST, type1_map(self->t.container, self->mem, PAGE, IOVA + PAGE, TYPE1_RW));
	EXPECT_EQ(cut, type1_unmap_bytes(self->t.container, IOVA + PAGE, PAGE));
	EXPECT_EQ(16, vm_lck_kb());
	EXPECT_EQ(cut ?: 4 * (int64_t)PAGE, type1_unmap_bytes(self->t.container, IOVA, PAGE));
	EXPECT_EQ(cut ? 4 * (int64_t)PAGE : 0, type1_unmap_all(self->t.container));
	EXPECT_EQ(0, type1_unmap_bytes(self->t.container, IOVA, PAGE));
}

TEST_F(type1, tells_what_it_can)
{
	union type1_answer answer;
	struct vfio_iommu_type1_info_cap_iova_range *ranges;
	struct vfio_iommu_type1_info_cap_migration *migration;

	EXPECT_EQ(1, type1_extension(self->t.container, VFIO_TYPE1_IOMMU));
	EXPECT_EQ(1, type1_extension(self->t.container, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(1, type1_extension(self->t.container, VFIO_UNMAP_ALL));
	ASSERT_EQ(0, type1_info(self->t.container, &answer));
	EXPECT_NE(0, answer.info.iova_pgsizes & PAGE);
	ranges = type1_capability(&answer, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	ASSERT_NE(NULL, ranges);
	ASSERT_EQ(2, ranges->nr_iovas);
	EXPECT_EQ(MSI_WINDOW - 1, ranges->iova_ranges[0].end);
	EXPECT_EQ(MSI_WINDOW_LAST + 1, ranges->iova_ranges[1].start);
	migration = type1_capability(&answer, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
	ASSERT_NE(NULL, migration);
	EXPECT_EQ(PAGE, migration->pgsize_bitmap);
	EXPECT_EQ(65535, type1_room(self->t.container));
	ASSERT_EQ(0, type1_map(self->t.container, self->mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(65534, type1_room(self->t.container));
}

/* Without tracking in the IOMMU every page is dirty, always, and the ioctl belongs to the second version. */
TEST_F(type1, log_says_that_every_page_is_dirty)
{
	const uint64_t size = 70 * PAGE;
	uint64_t bits[2] = { }, bytes = size;

	ASSERT_EQ(0, type1_map(self->t.container, self->mem, size, IOVA, TYPE1_RW));
	if (variant->version == VFIO_TYPE1_IOMMU) {
		EXPECT_EQ(-EACCES, type1_log_start(self->t.container));
		return;
	}
	EXPECT_EQ(-EINVAL, type1_log_get(self->t.container, IOVA, size, bits));
	ASSERT_EQ(0, type1_log_start(self->t.container));
	for (int round = 0; round < 2; round++) {
		memset(bits, 0, sizeof(bits));
		ASSERT_EQ(0, type1_log_get(self->t.container, IOVA, size, bits));
		EXPECT_EQ(UINT64_MAX, bits[0]);
		EXPECT_EQ(0x3f, bits[1]);
	}
	EXPECT_EQ(-EINVAL, type1_log_get(self->t.container, IOVA, size - PAGE, bits));
	memset(bits, 0, sizeof(bits));
	ASSERT_EQ(0, type1_unmap_logged(self->t.container, IOVA, &bytes, bits));
	EXPECT_EQ(size, bytes);
	EXPECT_EQ(UINT64_MAX, bits[0]);
	EXPECT_EQ(0x3f, bits[1]);
	EXPECT_EQ(0, type1_log_stop(self->t.container));
	EXPECT_EQ(-EINVAL, type1_log_get(self->t.container, IOVA, size, bits));
}

/* The memory and the group of a process that is killed while its device works are free again. */
TEST_F(type1, killed_while_the_device_works)
{
	struct type1 again;
	int ready[2];
	char byte;
	pid_t pid;

	type1_close(&self->t);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct type1 t;

		CHILD_NEEDS(!type1_open(&t, type1_container_open(), variant->version, EDU_ALONE));
		CHILD_NEEDS(!type1_map(t.container, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
		edu_start_store(&t.edu, IOVA, BYTES);
		CHILD_NEEDS(write(ready[1], "x", 1) == 1);
		pause();
		_exit(1);
	}
	close(ready[1]);
	EXPECT_EQ(1, read(ready[0], &byte, 1));
	close(ready[0]);
	EXPECT_EQ((long)(MEM_SIZE / PAGE), pages_pinned());
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, type1_open(&again, type1_container_open(), variant->version, EDU_ALONE));
	ASSERT_EQ(0, type1_map(again.container, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
	pattern_fill(self->mem, BYTES, 7);
	ASSERT_EQ(0, edu_copy(&again.edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 7));
	type1_close(&again);
}

TEST_HARNESS_MAIN
