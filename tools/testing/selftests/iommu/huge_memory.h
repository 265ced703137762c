/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * huge_memory - memory in large folios, and what /proc tells about its pages
 *
 * As in iommu_client.h every call returns 0 (or a useful value) or -errno, where nothing else is said.
 */
#ifndef SELFTESTS_IOMMU_HUGE_MEMORY_H
#define SELFTESTS_IOMMU_HUGE_MEMORY_H

#include "iommu_client.h"

#include <linux/kernel-page-flags.h>

#define FOLIO_PAGES	(HUGE_PAGE / PAGE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* ---- pages, seen from outside ---- */

static inline uint64_t read_u64_at(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t val = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &val, sizeof(val), index * sizeof(val)) != sizeof(val))
		val = 0;
	close(fd);
	return val;
}

/* 0 when no page is there */
static inline uint64_t page_pfn(const void *va)
{
	uint64_t entry = read_u64_at("/proc/self/pagemap", to_u64(va) / PAGE);

	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static inline bool page_is_swapped_out(const void *va)
{
	return read_u64_at("/proc/self/pagemap", to_u64(va) / PAGE) >> 62 & 1;
}

/* @flag: KPF_* of linux/kernel-page-flags.h */
static inline bool pfn_has(uint64_t pfn, unsigned int flag)
{
	return read_u64_at("/proc/kpageflags", pfn) >> flag & 1;
}

static inline bool page_has(const void *va, unsigned int flag)
{
	uint64_t pfn = page_pfn(va);

	return pfn && pfn_has(pfn, flag);
}

/* kB of the mappings in a range that single entries of the process's page table map as huge pages */
static inline long huge_kb(const void *va, size_t length)
{
	static const char * const keys[] = {
		"AnonHugePages:", "ShmemPmdMapped:", "Shared_Hugetlb:", "Private_Hugetlb:", NULL
	};
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool here = false;
	char line[512];
	long sum = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start < to_u64(va) + length && end > to_u64(va);
		for (size_t i = 0; here && keys[i]; i++)
			if (!strncmp(line, keys[i], strlen(keys[i])))
				sum += strtol(line + strlen(keys[i]), NULL, 10);
	}
	if (f)
		fclose(f);
	return sum;
}

/* ---- memory ---- */

/**
 * struct huge_kind - What memory is made of
 * @small: of small pages, in fact
 * @hugetlb: of hugetlb pages, otherwise of transparent huge pages
 * @file: it is a memfd, mapped shared
 * @split_map: the process maps it page by page, although its folios are large
 */
struct huge_kind {
	bool small, hugetlb, file, split_map;
};

/**
 * struct huge_memory - Memory that begins on a multiple of a huge page
 * @kind: what it is made of
 * @p: where it begins
 * @length: bytes
 * @spare: as many addresses without memory
 * @file: memfd or -1
 * @reserve: all addresses
 */
struct huge_memory {
	const struct huge_kind *kind;
	uint8_t *p;
	size_t length;
	uint8_t *spare;
	int file;
	uint8_t *reserve;
};

/*
 * Maps a part of the memory, in place of whatever is there; nothing is touched. Each hugetlb page is a mapping of its
 * own: where a larger one is cut, Linux 6.1 with lockdep complains of a lock that is not held.
 */
static inline int huge_memory_map(struct huge_memory *m, size_t offset, size_t length)
{
	int flags = MAP_FIXED | (m->kind->file ? MAP_SHARED : MAP_PRIVATE) | (m->file < 0 ? MAP_ANONYMOUS : 0);
	size_t step = m->kind->hugetlb ? HUGE_PAGE : length;

	if (m->kind->hugetlb && m->file < 0)
		flags |= MAP_HUGETLB;
	for (size_t at = offset; at < offset + length; at += step)
		if (mmap(m->p + at, step, PROT_READ | PROT_WRITE, flags, m->file, m->file < 0 ? 0 : at) == MAP_FAILED)
			return -errno;
	if (!m->kind->hugetlb)
		madvise(m->p + offset, length, m->kind->small ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	return 0;
}

/* Turns entries of the process's page table that map huge pages into tables, with the folios as they are. */
static inline int huge_memory_split_map(struct huge_memory *m)
{
	for (size_t at = 0; at < m->length; at += HUGE_PAGE)
		if (mprotect(m->p + at, PAGE, PROT_READ) || mprotect(m->p + at, PAGE, PROT_READ | PROT_WRITE))
			return -errno;
	return 0;
}

/* Whether all folios are as large as they should be, and mapped as they should be */
static inline bool huge_memory_is_huge(struct huge_memory *m)
{
	long kb = m->kind->split_map ? 0 : m->length / 1024;

	if (huge_kb(m->p, m->length) != kb)
		return false;
	for (size_t at = 0; at < m->length; at += HUGE_PAGE)
		if (!page_has(m->p + at + PAGE, m->kind->hugetlb ? KPF_HUGE : KPF_THP))
			return false;
	return true;
}

static inline int huge_memory_fill(struct huge_memory *m)
{
	int rc = huge_memory_map(m, 0, m->length);

	for (size_t at = 0; !rc && at < m->length; at += PAGE)
		__atomic_store_n(m->p + at, 0, __ATOMIC_RELAXED);
	return rc ?: m->kind->split_map ? huge_memory_split_map(m) : 0;
}

/* Every page is there. -EAGAIN when there are no large folios to be had, however hard the kernel tries. */
static inline int huge_memory_make(struct huge_memory *m, const struct huge_kind *kind, size_t length)
{
	static const char huge_shmem[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	const bool shmem = kind->file && !kind->hugetlb;
	int rc = 0;

	*m = (struct huge_memory){ .kind = kind, .length = length, .file = -1 };
	m->reserve = mmap(NULL, 2 * length + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->reserve == MAP_FAILED)
		return -errno;
	m->p = (uint8_t *)((to_u64(m->reserve) + HUGE_PAGE - 1) & -HUGE_PAGE);
	m->spare = m->p + length;
	if (kind->file) {
		m->file = memfd_create("huge", MFD_CLOEXEC | (kind->hugetlb ? MFD_HUGETLB : 0));
		if (m->file < 0 || ftruncate(m->file, length))
			return -errno;
	}
	if (shmem && !kind->small)
		rc = write_file(huge_shmem, "always");
	for (int i = 0; !rc; i++) {
		rc = huge_memory_fill(m);
		if (rc || kind->small || huge_memory_is_huge(m))
			break;
		if (i == 5)
			rc = -EAGAIN;
		if (m->file >= 0 && (ftruncate(m->file, 0) || ftruncate(m->file, length)))
			rc = -errno;
		munmap(m->p, length);
		write_file("/proc/sys/vm/drop_caches", "3");
		write_file("/proc/sys/vm/compact_memory", "1");
	}
	if (shmem && !kind->small)
		write_file(huge_shmem, "never");
	return rc;
}

static inline void huge_memory_drop(struct huge_memory *m)
{
	if (m->reserve && m->reserve != MAP_FAILED)
		munmap(m->reserve, 2 * m->length + HUGE_PAGE);
	if (m->file >= 0)
		close(m->file);
	m->reserve = NULL;
	m->file = -1;
}

/* ---- a number at the beginning of each page ---- */

static inline uint64_t stamp_of(const uint8_t *page)
{
	return __atomic_load_n((const uint64_t *)page, __ATOMIC_RELAXED);
}

static inline void stamp(uint8_t *p, size_t pages, uint64_t first)
{
	for (size_t i = 0; i < pages; i++)
		__atomic_store_n((uint64_t *)(p + i * PAGE), first + i, __ATOMIC_RELAXED);
}

static inline bool stamped(const uint8_t *p, size_t pages, uint64_t first)
{
	for (size_t i = 0; i < pages; i++)
		if (stamp_of(p + i * PAGE) != first + i)
			return false;
	return true;
}

#endif
