/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pin_scene - memory, and everything that may reach it once it is pinned: two page tables, a device and an access
 */
#ifndef SELFTESTS_IOMMU_PIN_SCENE_H
#define SELFTESTS_IOMMU_PIN_SCENE_H

#include "iommu_test.h"
#include "huge_memory.h"
#include "mock_space.h"

/* On both sides of them nothing is mapped. */
#define IOVA		0x40000000UL
#define COPY		0x50000000UL
#define READ_ONLY	(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE)

/**
 * struct scene - Memory and an address space
 * @space: address space, with one page table of the mock IOMMU and one of the machine's
 * @ioas: its id
 * @m: memory, each page with its number, from 1 on, at its beginning
 * @p: where that is
 * @by_file: it is mapped by its place in the file, not by its address
 * @edu: attached; takes a tenth of a second for a transfer
 * @access: reads and writes what is pinned without the delays of a device
 * @fd: the context
 */
struct scene {
	struct mock_space space;
	uint32_t ioas;
	struct huge_memory m;
	uint8_t *p;
	bool by_file;
	struct edu edu;
	int access;
	int fd;
};

static inline int map_with(struct scene *s, size_t first, size_t count, uint64_t iova, uint32_t rights)
{
	if (s->by_file)
		return ioas_map_file(s->fd, s->ioas, s->m.file, first * PAGE, count * PAGE, &iova, rights);
	return ioas_map(s->fd, s->ioas, s->p + first * PAGE, count * PAGE, &iova, rights);
}

static inline int map_pages(struct scene *s, size_t first, size_t count, uint64_t iova)
{
	return map_with(s, first, count, iova, MAP_FIXED_RW);
}

static inline int unmap_pages(struct scene *s, uint64_t iova, size_t count)
{
	return ioas_unmap(s->fd, s->ioas, iova, count * PAGE, NULL);
}

/* All of @count pages at @iova are those of the process from page @first of its memory on */
static inline bool leads_to(struct scene *s, uint64_t iova, size_t count, size_t first)
{
	return mock_space_maps(&s->space, iova, count * PAGE, s->p + first * PAGE);
}

/* So many pages are pinned and charged, and no others */
static inline bool pinned_are(size_t pages)
{
	long seen = pages_pinned(), kb = vm_pin_kb();

	if (seen == (long)pages && kb == (long)(pages * PAGE / 1024))
		return true;
	fprintf(stderr, "# %ld pages pinned, %ld kB charged; it should be %zu pages\n", seen, kb, pages);
	return false;
}

/* What a device reads at the beginning of a page */
static inline uint64_t device_reads(struct scene *s, uint64_t iova)
{
	uint64_t val = 0;

	return test_access_rw(s->fd, s->access, iova, &val, sizeof(val), 0) ? 0 : val;
}

static inline int device_writes(struct scene *s, uint64_t iova, uint64_t val)
{
	return test_access_rw(s->fd, s->access, iova, &val, sizeof(val), ACCESS_WRITE);
}

static inline void open_scene(struct __test_metadata *_metadata, struct scene *s, const struct huge_kind *kind,
			      bool by_file, size_t pages)
{
	int rc;

	s->fd = iommu_open();
	ASSERT_LE(0, s->fd) TH_LOG("/dev/iommu: %s", strerror(-s->fd));
	rc = huge_memory_make(&s->m, kind, pages * PAGE);
	ASSERT_EQ(0, rc) TH_LOG("large folios: %s", strerror(-rc));
	s->p = s->m.p;
	s->by_file = by_file;
	stamp(s->p, pages, 1);
	ASSERT_EQ(0, mock_space_make(&s->space, s->fd, 1));
	s->ioas = s->space.ioas;
	ASSERT_EQ(0, edu_open_bound(&s->edu, EDU_ALONE, s->fd));
	ASSERT_EQ(0, vfio_attach(s->edu.fd, s->ioas, NULL));
	s->access = test_access_create(s->fd, s->ioas, 0);
	ASSERT_LE(0, s->access);
}

static inline void close_scene(struct __test_metadata *_metadata, struct scene *s)
{
	edu_close(&s->edu);
	close(s->access);
	close(s->fd);
	huge_memory_drop(&s->m);
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_TRUE(pinned_are(0));
}

#endif
