// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_many_maps - as many separate mappings as a fragmented guest has, through the ioctls of a VFIO container
 *
 * 65,536 of a page each, or a million with LONG=1: more than VFIO's own container takes unless it is told to. A
 * device reaches what it should at some of them. Time and memory are told, not judged.
 */
#include "iommu_test.h"
#include "type1.h"

#define MEM_PAGES	4096UL
#define MEM_SIZE	(MEM_PAGES * PAGE)
#define BASE		0x100000000UL
#define LIMIT		65535UL
#define BYTES		64

/* Side by side in memory and apart in the address space, so that none can be joined with the next */
static uint64_t iova_of(unsigned long i)
{
	return BASE + 2 * i * PAGE;
}

static uint8_t *page_of(uint8_t *mem, unsigned long i)
{
	return mem + i % MEM_PAGES * PAGE;
}

FIXTURE(many)
{
	uint8_t *mem;
};

FIXTURE_SETUP(many)
{
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(many)
{
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(many, mappings_through_iommufd)
{
	struct iommu_vfio_ioas cmd = { .size = sizeof(cmd), .op = IOMMU_VFIO_IOAS_SET };
	const unsigned long count = getenv("LONG") ? 1000000 : 65536;
	const unsigned long from[] = { 0, count / 3, count / 2, LIMIT - 1, count - 2 };
	int fd = iommu_open();
	double start, mapped;
	struct edu edu;
	long before;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioas_alloc(fd, &cmd.ioas_id));
	ASSERT_EQ(0, iommu_call(fd, IOMMU_VFIO_IOAS, &cmd));
	ASSERT_EQ(0, edu_open_bound(&edu, EDU_ALONE, fd));
	ASSERT_EQ(0, vfio_attach(edu.fd, cmd.ioas_id, NULL));
	ASSERT_EQ(0, type1_set_iommu(fd, VFIO_TYPE1v2_IOMMU));

	before = number_in_file("/proc/meminfo", "MemFree:");
	start = seconds();
	for (unsigned long i = 0; i < count; i++)
		ASSERT_EQ_FOR(0, type1_map(fd, page_of(self->mem, i), PAGE, iova_of(i), TYPE1_RW), "mapping %lu", i);
	mapped = seconds();
	before -= number_in_file("/proc/meminfo", "MemFree:");
	TH_LOG("%lu mappings: %.1f us and %ld bytes each", count, (mapped - start) / count * 1e6,
	       before * 1024 / (long)count);
	EXPECT_EQ(UINT32_MAX, type1_room(fd));

	/* from each of these to the next one */
	for (unsigned int k = 0; k < ARRAY_SIZE(from); k++) {
		const unsigned long i = from[k];
		uint8_t *there = page_of(self->mem, i + 1);

		memset(there, 0, PAGE);
		pattern_fill(page_of(self->mem, i), BYTES, i);
		ASSERT_EQ(0, edu_copy(&edu, iova_of(i), iova_of(i + 1) + PAGE - BYTES, BYTES));
		EXPECT_TRUE_FOR(pattern_is(there + PAGE - BYTES, BYTES, i), "mapping %lu", i);
	}

	start = seconds();
	/* half of them one by one, in an order of no use to a list, then what is left at once */
	for (unsigned long i = 0, j = 0; i < count / 2; i++, j = (j + 40503) % count)
		ASSERT_EQ_FOR((int64_t)PAGE, type1_unmap_bytes(fd, iova_of(j), PAGE), "mapping %lu", j);
	mapped = seconds();
	EXPECT_EQ((int64_t)((count - count / 2) * PAGE), type1_unmap_all(fd));
	TH_LOG("unmapped: %.1f us each, the rest %.1f us each", (mapped - start) / (count / 2) * 1e6,
	       (seconds() - mapped) / (count - count / 2) * 1e6);
	edu_close(&edu);
	close(fd);
	EXPECT_EQ(0, vm_pin_kb());
}

/* What the same program meets with VFIO's own container */
TEST_F(many, mappings_end_at_the_limit_of_type1)
{
	struct type1 t;
	double start;

	ASSERT_EQ(0, type1_open(&t, type1_container_open(), VFIO_TYPE1v2_IOMMU, EDU_ALONE));
	start = seconds();
	for (unsigned long i = 0; i < LIMIT; i++)
		ASSERT_EQ_FOR(0, type1_map(t.container, page_of(self->mem, i), PAGE, iova_of(i), TYPE1_RW),
			      "mapping %lu", i);
	TH_LOG("type1: %lu mappings: %.1f us each", LIMIT, (seconds() - start) / LIMIT * 1e6);
	EXPECT_EQ(0, type1_room(t.container));
	EXPECT_EQ(-ENOSPC, type1_map(t.container, self->mem, PAGE, iova_of(LIMIT), TYPE1_RW));
	EXPECT_EQ((int64_t)(LIMIT * PAGE), type1_unmap_all(t.container));
	type1_close(&t);
}

TEST_HARNESS_MAIN
