// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_vfio_log - the log of dirty pages of a VFIO container, on the file of /dev/iommu
 *
 * What a device may write is dirty; what an emulated device did not write is not. That is told by range or with an
 * unmap, and is not lost when it cannot be told.
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"
#include "type1.h"

#define IOVA	0x1000000UL
#define NPAGES	200UL
#define SIZE	(NPAGES * PAGE)
#define WORDS	4

FIXTURE(log)
{
	int fd;
	uint32_t ioas;
	uint8_t *mem;
	uint64_t bits[WORDS];
};

FIXTURE_SETUP(log)
{
	struct iommu_vfio_ioas cmd = { .size = sizeof(cmd), .op = IOMMU_VFIO_IOAS_SET };

	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas));
	cmd.ioas_id = self->ioas;
	ASSERT_EQ(0, iommu_call(self->fd, IOMMU_VFIO_IOAS, &cmd));
	self->mem = small_pages(SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(log)
{
	close(self->fd);
	munmap(self->mem, SIZE);
	EXPECT_EQ(0, pages_pinned());
}

/* Looks at a range, with bits that the kernel must overwrite */
static int look(struct _test_data_log *self, uint64_t iova, uint64_t size)
{
	memset(self->bits, 0xa5, sizeof(self->bits));
	return type1_log_get(self->fd, iova, size, self->bits);
}

/* Whether the bits of @count pages from @first on are set, and no other of @npages */
static bool only(struct _test_data_log *self, unsigned long npages, unsigned long first, unsigned long count)
{
	for (unsigned long i = 0; i < (npages + 63) / 64 * 64; i++)
		if ((self->bits[i / 64] >> i % 64 & 1) != (i >= first && i < first + count)) {
			fprintf(stderr, "# bit %lu\n", i);
			return false;
		}
	return true;
}

TEST_F(log, is_read_only_after_it_was_started)
{
	ASSERT_EQ(0, type1_map(self->fd, self->mem, SIZE, IOVA, TYPE1_RW));
	EXPECT_EQ(-EINVAL, look(self, IOVA, SIZE));
	EXPECT_EQ(0xa5a5a5a5a5a5a5a5, self->bits[0]);
	EXPECT_EQ(0, type1_log_stop(self->fd));
	EXPECT_EQ(0, type1_log_start(self->fd));
	EXPECT_EQ(0, type1_log_start(self->fd));
	EXPECT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 0, 0));
	EXPECT_EQ(0, type1_log_stop(self->fd));
	EXPECT_EQ(-EINVAL, look(self, IOVA, SIZE));
}

TEST_F(log, refuses_bad_arguments)
{
	const uint32_t get = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	struct type1_bitmap_get good = {
		.cmd = { .argsz = sizeof(good), .flags = get },
		.get = {
			.iova = IOVA, .size = SIZE,
			.bitmap = { .pgsize = PAGE, .size = sizeof(self->bits), .data = (void *)self->bits },
		},
	};
	struct type1_bitmap_get arg;

	ASSERT_EQ(0, type1_map(self->fd, self->mem, SIZE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_log_start(self->fd));
	arg = good;
	ASSERT_EQ(0, iommu_call(self->fd, VFIO_IOMMU_DIRTY_PAGES, &arg));
	for (uint32_t argsz = 0; argsz < sizeof(arg); argsz++) {
		arg.cmd.argsz = argsz;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_DIRTY_PAGES, &arg), "argsz %u", argsz);
	}
	for (uint32_t flags = 0; flags < 16; flags++) {
		arg = good;
		arg.cmd.flags = flags;
		EXPECT_EQ_FOR(flags == 1 || flags == 2 || flags == 4 ? 0 : -EINVAL,
			      iommu_call(self->fd, VFIO_IOMMU_DIRTY_PAGES, &arg), "flags %u", flags);
		/* 2 stopped it */
		ASSERT_EQ(0, type1_log_start(self->fd));
	}
	for (int bit = 3; bit < 32; bit++) {
		arg.cmd.flags = get | 1U << bit;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_DIRTY_PAGES, &arg), "flag %d", bit);
	}

#define BAD(_field, _value) do { \
	arg = good; \
	arg.get._field = (_value); \
	EXPECT_EQ(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_DIRTY_PAGES, &arg)) \
		TH_LOG(#_field " = " #_value); \
} while (0)
	BAD(bitmap.pgsize, 0);
	BAD(bitmap.pgsize, 2 * PAGE);
	BAD(bitmap.pgsize, PAGE / 2);
	BAD(bitmap.size, 0);
	BAD(bitmap.size, sizeof(self->bits) - 1);
	BAD(bitmap.size, (1UL << 28) + 1);
	BAD(bitmap.size, UINT64_MAX);
	BAD(bitmap.data, (void *)-PAGE);
	BAD(iova, IOVA + 1);
	BAD(size, 0);
	BAD(size, SIZE - 1);
	BAD(size, UINT64_MAX - PAGE + 1);
	BAD(iova, UINT64_MAX - PAGE + 1);
	/* a mapping that reaches out of the range */
	BAD(size, SIZE - PAGE);
	BAD(iova, IOVA + PAGE);
#undef BAD
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_DIRTY_PAGES, NULL));

	/* the last page of all, and more than was asked for */
	EXPECT_EQ(0, look(self, UINT64_MAX - PAGE + 1, PAGE));
	EXPECT_EQ(0, look(self, IOVA - PAGE, SIZE + 2 * PAGE));
	/* mappings of the first version have no bounds */
	EXPECT_EQ(0, type1_set_iommu(self->fd, VFIO_TYPE1_IOMMU));
	EXPECT_EQ(-EACCES, look(self, IOVA, SIZE));
	EXPECT_EQ(-EACCES, type1_log_start(self->fd));
}

TEST_F(log, has_what_a_device_may_write)
{
	struct edu edu;

	ASSERT_EQ(0, edu_open_bound(&edu, 0, self->fd));
	ASSERT_EQ(0, type1_log_start(self->fd));
	/* read only, a gap, then for writing */
	ASSERT_EQ(0, type1_map(self->fd, self->mem, 70 * PAGE, IOVA, TYPE1_READ));
	ASSERT_EQ(0, type1_map(self->fd, self->mem + 80 * PAGE, 100 * PAGE, IOVA + 80 * PAGE, TYPE1_RW));
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 0, 0));
	ASSERT_EQ(0, vfio_attach(edu.fd, self->ioas, NULL));
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, look(self, IOVA, SIZE));
		EXPECT_TRUE(only(self, NPAGES, 80, 100));
	}
	/* what it wrote last is still to be told when it has gone */
	ASSERT_EQ(0, vfio_detach(edu.fd));
	edu_close(&edu);
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 80, 100));
	ASSERT_EQ(0, type1_log_stop(self->fd));
	ASSERT_EQ(0, type1_log_start(self->fd));
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 0, 0));
}

TEST_F(log, has_what_was_written_by_software)
{
	int access = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	uint8_t buf[3 * PAGE] = { };
	uint32_t pin;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, type1_map(self->fd, self->mem, 100 * PAGE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_map(self->fd, self->mem + 100 * PAGE, 100 * PAGE, IOVA + 100 * PAGE, TYPE1_RW));
	/* before anybody wanted to know */
	ASSERT_EQ(0, test_access_rw(self->fd, access, IOVA, buf, PAGE, ACCESS_WRITE));
	ASSERT_EQ(0, type1_log_start(self->fd));

	/* reading is not writing */
	ASSERT_EQ(0, test_access_rw(self->fd, access, IOVA, buf, PAGE, 0));
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA, PAGE, NULL, 0, &pin));
	ASSERT_EQ(0, test_access_unpin(self->fd, access, pin));
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 0, 0));

	/* across two mappings, and the ends of pages; once told it is told */
	ASSERT_EQ(0, test_access_rw(self->fd, access, IOVA + 99 * PAGE - 1, buf, PAGE + 2, ACCESS_WRITE));
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 98, 3));
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 0, 0));

	/* a page that is pinned may be written at any time, until it is not any more */
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA + 63 * PAGE, 2 * PAGE, NULL, ACCESS_WRITE, &pin));
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, look(self, IOVA, SIZE));
		EXPECT_TRUE(only(self, NPAGES, 63, 2));
	}
	ASSERT_EQ(0, test_access_unpin(self->fd, access, pin));
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 63, 2));
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 0, 0));

	/* pinned before the log was started */
	ASSERT_EQ(0, type1_log_stop(self->fd));
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA + PAGE, PAGE, NULL, ACCESS_WRITE, &pin));
	ASSERT_EQ(0, type1_log_start(self->fd));
	ASSERT_EQ(0, look(self, IOVA, 100 * PAGE));
	EXPECT_TRUE(only(self, 100, 1, 1));
	ASSERT_EQ(0, test_access_unpin(self->fd, access, pin));
	close(access);
}

TEST_F(log, is_read_in_parts)
{
	const uint64_t base = 0x7ffff000000UL, pages = 3 * 32768;
	int access = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	uint64_t *bits = calloc(pages / 64 + 1, 8), *mem;

	/* as many pages as three looks of the kernel take, at an address where none of them begins */
	ASSERT_LE(0, access);
	ASSERT_NE(NULL, bits);
	mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)mem);
	ASSERT_EQ(0, type1_map(self->fd, mem, pages * PAGE, base, TYPE1_RW));
	ASSERT_EQ(0, type1_log_start(self->fd));
	for (uint64_t i = 0; i < pages; i += 1021)
		ASSERT_EQ(0, test_access_rw(self->fd, access, base + i * PAGE + i % PAGE, &i, 1, ACCESS_WRITE));
	ASSERT_EQ(0, type1_log_get(self->fd, base, pages * PAGE, bits));
	for (uint64_t i = 0; i < pages; i++)
		ASSERT_EQ_FOR(i % 1021 == 0, bits[i / 64] >> i % 64 & 1, "page %lu", i);
	/* before the mapping is nothing */
	ASSERT_EQ(0, test_access_rw(self->fd, access, base + 40000 * PAGE, bits, 1, ACCESS_WRITE));
	ASSERT_EQ(0, type1_log_get(self->fd, base - 64 * PAGE, (pages + 64) * PAGE, bits));
	for (uint64_t i = 0; i < pages + 64; i++)
		ASSERT_EQ_FOR(i == 40064, bits[i / 64] >> i % 64 & 1, "page %lu", i);
	munmap(mem, pages * PAGE);
	free(bits);
	close(access);
}

TEST_F(log, keeps_what_it_could_not_tell)
{
	int access = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	void *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t size = SIZE;

	ASSERT_LE(0, access);
	ASSERT_NE(MAP_FAILED, none);
	ASSERT_EQ(0, type1_map(self->fd, self->mem, SIZE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_log_start(self->fd));
	ASSERT_EQ(0, test_access_rw(self->fd, access, IOVA + 7 * PAGE, &size, 8, ACCESS_WRITE));
	EXPECT_EQ(-EFAULT, type1_log_get(self->fd, IOVA, SIZE, none));
	/* and then nothing is unmapped either */
	EXPECT_EQ(-EFAULT, type1_unmap_logged(self->fd, IOVA, &size, none));
	EXPECT_EQ(SIZE, size);
	ASSERT_EQ(0, look(self, IOVA, SIZE));
	EXPECT_TRUE(only(self, NPAGES, 7, 1));
	munmap(none, PAGE);
	close(access);
}

TEST_F(log, is_told_with_an_unmap)
{
	int access = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	uint64_t size = SIZE;
	uint32_t pin;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, type1_map(self->fd, self->mem, 100 * PAGE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_map(self->fd, self->mem + 100 * PAGE, 50 * PAGE, IOVA + 150 * PAGE, TYPE1_RW));
	EXPECT_EQ(-EINVAL, type1_unmap_logged(self->fd, IOVA, &size, self->bits));
	ASSERT_EQ(0, type1_log_start(self->fd));
	size = SIZE - PAGE;
	EXPECT_EQ(-EINVAL, type1_unmap_logged(self->fd, IOVA, &size, self->bits));

	ASSERT_EQ(0, test_access_rw(self->fd, access, IOVA + 150 * PAGE, &size, 8, ACCESS_WRITE));
	ASSERT_EQ(0, look(self, IOVA + 150 * PAGE, 50 * PAGE));
	EXPECT_TRUE(only(self, 50, 0, 1));
	/* still pinned: it lets go when it is told to, and the page counts */
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA + 160 * PAGE, 3 * PAGE, NULL, ACCESS_WRITE, &pin));
	size = SIZE;
	memset(self->bits, 0xa5, sizeof(self->bits));
	ASSERT_EQ(0, type1_unmap_logged(self->fd, IOVA, &size, self->bits));
	EXPECT_EQ(150 * PAGE, size);
	EXPECT_TRUE(only(self, NPAGES, 160, 3));
	EXPECT_EQ(0, type1_unmap_all(self->fd));
	close(access);
}

TEST_F(log, of_an_unmap_refuses_bad_arguments)
{
	struct type1_bitmap_unmap good = {
		.cmd = {
			.argsz = sizeof(good), .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
			.iova = IOVA, .size = SIZE,
		},
		.bitmap = { .pgsize = PAGE, .size = sizeof(self->bits), .data = (void *)self->bits },
	};
	struct type1_bitmap_unmap arg = good;

	ASSERT_EQ(0, type1_map(self->fd, self->mem, SIZE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_log_start(self->fd));
	for (uint32_t argsz = 0; argsz < sizeof(arg); argsz++) {
		arg.cmd.argsz = argsz;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &arg), "argsz %u", argsz);
	}
	arg = good;
	arg.cmd.flags |= VFIO_DMA_UNMAP_FLAG_ALL;
	EXPECT_EQ(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &arg));
	arg = good;
	arg.cmd.flags |= VFIO_DMA_UNMAP_FLAG_VADDR;
	EXPECT_EQ(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &arg));
	arg = good;
	arg.bitmap.pgsize = 2 * PAGE;
	EXPECT_EQ(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &arg));
	arg = good;
	arg.bitmap.size = 24;
	EXPECT_EQ(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &arg));
	arg = good;
	arg.cmd.size = SIZE + 1;
	EXPECT_EQ(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &arg));
	EXPECT_EQ(SIZE, type1_unmap_all(self->fd));
}

TEST_HARNESS_MAIN
