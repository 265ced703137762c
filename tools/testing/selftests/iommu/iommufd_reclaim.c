// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_reclaim - what the kernel does to memory by itself: merge, move, swap out, give up, refuse
 *
 * What is pinned stays where it is, and what the kernel has made of a page before is undone when it is pinned. Needs
 * one of QEMU's edu devices behind an IOMMU and the mock IOMMU; each test says what else the kernel must have.
 */
#include "iommu_test.h"
#include "pin_scene.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/swap.h>

#define PAGES	64

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

FIXTURE(small)
{
	struct scene s;
};

FIXTURE_SETUP(small)
{
	static const struct huge_kind small = { .small = true };

	open_scene(_metadata, &self->s, &small, false, PAGES);
}

FIXTURE_TEARDOWN(small)
{
	close_scene(_metadata, &self->s);
}

FIXTURE(thp)
{
	struct scene s;
};

FIXTURE_SETUP(thp)
{
	static const struct huge_kind thp;

	open_scene(_metadata, &self->s, &thp, false, FOLIO_PAGES);
}

FIXTURE_TEARDOWN(thp)
{
	close_scene(_metadata, &self->s);
}

/* Where pages are */
static void note_pfns(const uint8_t *p, size_t pages, uint64_t *pfns)
{
	for (size_t i = 0; i < pages; i++)
		pfns[i] = page_pfn(p + i * PAGE);
}

static bool stayed(const uint8_t *p, size_t pages, const uint64_t *pfns)
{
	for (size_t i = 0; i < pages; i++)
		if (page_pfn(p + i * PAGE) != pfns[i])
			return false;
	return true;
}

/* ---- pages that are merged because they are equal ---- */

#define KSM		"/sys/kernel/mm/ksm/"
#define NO_KSM		"no KSM: CONFIG_KSM is missing"

static long ksm_scans(void)
{
	char text[32] = "";

	read_file(KSM "full_scans", text, sizeof(text));
	return atol(text);
}

/* Until the kernel has looked at all memory so often. */
static bool ksm_looks(int times)
{
	const long before = ksm_scans();

	for (int i = 0; i < 6000 && ksm_scans() < before + times; i++)
		sleep_ms(10);
	return ksm_scans() >= before + times;
}

static bool all_merged(const uint8_t *p, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		if (!page_has(p + i * PAGE, KPF_KSM))
			return false;
	return true;
}

static int ksm_start(void)
{
	return write_file(KSM "pages_to_scan", "10000") ?: write_file(KSM "sleep_millisecs", "5") ?:
	       write_file(KSM "run", "1");
}

/* What was merged is told apart again. */
static int ksm_stop(void)
{
	return write_file(KSM "run", "2") ?: write_file(KSM "run", "0");
}

TEST_F(small, merged_page_is_told_apart_before_it_is_pinned)
{
	struct scene *s = &self->s;
	uint64_t pfns[16];

	if (access(KSM "run", F_OK))
		SKIP(return, NO_KSM);
	memset(s->p, 0x77, PAGES * PAGE);
	ASSERT_EQ(0, madvise(s->p, PAGES * PAGE, MADV_MERGEABLE));
	ASSERT_EQ(0, ksm_start());
	for (int i = 0; i < 10 && !all_merged(s->p, PAGES); i++)
		ASSERT_TRUE(ksm_looks(2));
	ASSERT_TRUE(all_merged(s->p, PAGES));
	ASSERT_EQ(page_pfn(s->p), page_pfn(s->p + PAGE));

	/* pages from 0 on for writing, from 8 on for reading; the others stay merged */
	ASSERT_EQ(0, map_pages(s, 0, 8, IOVA));
	ASSERT_EQ(0, map_with(s, 8, 8, IOVA + 8 * PAGE, READ_ONLY));
	EXPECT_TRUE(pinned_are(16));
	for (size_t i = 0; i < 16; i++)
		EXPECT_FALSE(page_has(s->p + i * PAGE, KPF_KSM));
	EXPECT_TRUE(all_merged(s->p + 16 * PAGE, PAGES - 16));
	EXPECT_TRUE(leads_to(s, IOVA, 16, 0));
	note_pfns(s->p, 16, pfns);

	/* equal as they are, they are not merged again */
	ASSERT_TRUE(ksm_looks(3));
	EXPECT_TRUE(stayed(s->p, 16, pfns));

	stamp(s->p + PAGE, 1, 42);
	stamp(s->p + 9 * PAGE, 1, 43);
	EXPECT_EQ(42, device_reads(s, IOVA + PAGE));
	EXPECT_EQ(43, device_reads(s, IOVA + 9 * PAGE));
	EXPECT_EQ(0, device_writes(s, IOVA + 2 * PAGE, 44));
	EXPECT_EQ(44, stamp_of(s->p + 2 * PAGE));
	ASSERT_EQ(0, edu_copy(&s->edu, IOVA + 9 * PAGE, IOVA + 3 * PAGE, 8));
	EXPECT_EQ(43, stamp_of(s->p + 3 * PAGE));
	ASSERT_TRUE(ksm_looks(3));
	EXPECT_TRUE(leads_to(s, IOVA, 16, 0));
	/* and nobody else saw any of this */
	EXPECT_TRUE(bytes_are(s->p + 4 * PAGE, 4 * PAGE, 0x77));
	EXPECT_TRUE(bytes_are(s->p + 10 * PAGE, (PAGES - 10) * PAGE, 0x77));
	ASSERT_EQ(0, ioas_unmap_all(s->fd, s->ioas));
	/* let go of, they are */
	for (int i = 0; i < 10 && !page_has(s->p, KPF_KSM); i++)
		ASSERT_TRUE(ksm_looks(2));
	EXPECT_TRUE(page_has(s->p, KPF_KSM));
	EXPECT_EQ(0, ksm_stop());
}

/* ---- pages that move ---- */

#define NO_OFFLINE	"nothing that moves a page on demand: CONFIG_MEMORY_FAILURE is missing"

TEST_F(small, pinned_page_is_not_moved)
{
	struct scene *s = &self->s;
	uint64_t pfns[PAGES];

	ASSERT_EQ(0, map_pages(s, 8, 16, IOVA));
	note_pfns(s->p, PAGES, pfns);
	/* for memory without holes all movable pages go to one end of it */
	ASSERT_EQ(0, write_file("/proc/sys/vm/compact_memory", "1"));
	EXPECT_TRUE(stayed(s->p + 8 * PAGE, 16, pfns + 8));
	EXPECT_TRUE(leads_to(s, IOVA, 16, 8));

	if (madvise(s->p + 40 * PAGE, PAGE, MADV_SOFT_OFFLINE) && errno == EINVAL)
		SKIP(return, NO_OFFLINE);
	/* the page that nobody pinned moved, with what is in it; a pinned one stays where it is */
	EXPECT_NE(pfns[40], page_pfn(s->p + 40 * PAGE));
	EXPECT_NE(0, madvise(s->p + 10 * PAGE, PAGE, MADV_SOFT_OFFLINE));
	EXPECT_TRUE(stayed(s->p + 8 * PAGE, 16, pfns + 8));
	EXPECT_TRUE(leads_to(s, IOVA, 16, 8));
	EXPECT_TRUE(stamped(s->p, PAGES, 1));
	ASSERT_EQ(0, edu_copy(&s->edu, IOVA + 3 * PAGE, IOVA + 2 * PAGE, 8));
	EXPECT_EQ(12, stamp_of(s->p + 10 * PAGE));
	/* it was the pin that held it */
	ASSERT_EQ(0, unmap_pages(s, IOVA, 16));
	EXPECT_EQ(0, madvise(s->p + 10 * PAGE, PAGE, MADV_SOFT_OFFLINE));
	EXPECT_NE(pfns[10], page_pfn(s->p + 10 * PAGE));
	EXPECT_EQ(12, stamp_of(s->p + 10 * PAGE));
}

TEST_F(thp, small_pages_are_not_collapsed_under_a_pin)
{
	struct scene *s = &self->s;
	uint64_t pfns[100];

	/* small pages where a huge one could be */
	ASSERT_EQ(0, huge_memory_map(&s->m, 0, HUGE_PAGE));
	ASSERT_EQ(0, madvise(s->p, HUGE_PAGE, MADV_NOHUGEPAGE));
	stamp(s->p, FOLIO_PAGES, 1);
	ASSERT_EQ(0, madvise(s->p, HUGE_PAGE, MADV_HUGEPAGE));
	ASSERT_EQ(0, huge_kb(s->p, HUGE_PAGE));
	ASSERT_EQ(0, map_pages(s, 150, 100, IOVA));
	note_pfns(s->p + 150 * PAGE, 100, pfns);
	EXPECT_NE(0, madvise(s->p, HUGE_PAGE, MADV_COLLAPSE));
	EXPECT_EQ(0, huge_kb(s->p, HUGE_PAGE));
	EXPECT_TRUE(stayed(s->p + 150 * PAGE, 100, pfns));
	EXPECT_TRUE(leads_to(s, IOVA, 100, 150));
	ASSERT_EQ(0, unmap_pages(s, IOVA, 100));
	EXPECT_EQ(0, madvise(s->p, HUGE_PAGE, MADV_COLLAPSE)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ((long)HUGE_PAGE / 1024, huge_kb(s->p, HUGE_PAGE));
	ASSERT_EQ(0, map_pages(s, 150, 100, IOVA));
	EXPECT_TRUE(leads_to(s, IOVA, 100, 150));
	EXPECT_TRUE(stamped(s->p, FOLIO_PAGES, 1));
}

/* First page frame of the zone of memory that must stay movable, 0 if there is none */
static uint64_t movable_zone(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	unsigned long present = 0, start = 0;
	bool here = false;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "Node ", 5))
			here = strstr(line, "Movable");
		if (here && sscanf(line, " present %lu", &present) != 1)
			sscanf(line, " start_pfn: %lu", &start);
	}
	if (f)
		fclose(f);
	return present ? start : 0;
}

/* How many of the pages lie behind a page frame */
static size_t pages_behind(const uint8_t *p, size_t pages, uint64_t pfn)
{
	size_t count = 0;

	for (size_t i = 0; i < pages; i++)
		count += page_pfn(p + i * PAGE) >= pfn;
	return count;
}

TEST_F(small, what_must_stay_movable_is_moved_before_it_is_pinned)
{
	static const struct {
		struct huge_kind kind;
		bool by_file;
	} memories[] = {
		{ { .small = true } }, { { } }, { { .split_map = true } }, { { .hugetlb = true } },
		{ { .small = true, .file = true }, true }, { { .file = true }, true },
		{ { .file = true, .hugetlb = true }, true },
	};
	const uint64_t movable = movable_zone();
	struct scene *s = &self->s;

	if (!movable)
		SKIP(return, "no zone of movable memory: boot with movablecore=256M");
	for (size_t i = 0; i < ARRAY_SIZE(memories); i++) {
		huge_memory_drop(&s->m);
		ASSERT_EQ(0, huge_memory_make(&s->m, &memories[i].kind, HUGE_PAGE));
		s->p = s->m.p;
		s->by_file = memories[i].by_file;
		stamp(s->p, FOLIO_PAGES, 1);
		/* huge pages that were reserved before may lie anywhere */
		if (!memories[i].kind.hugetlb)
			EXPECT_TRUE_FOR(pages_behind(s->p, FOLIO_PAGES, movable), "memory %zu", i);
		/* the middle of it, then all of it */
		ASSERT_EQ_FOR(0, map_pages(s, 200, 100, IOVA), "memory %zu", i);
		EXPECT_EQ_FOR(0, pages_behind(s->p + 200 * PAGE, 100, movable), "memory %zu", i);
		EXPECT_TRUE_FOR(leads_to(s, IOVA, 100, 200), "memory %zu", i);
		ASSERT_EQ(0, unmap_pages(s, IOVA, 100));
		ASSERT_EQ_FOR(0, map_pages(s, 0, FOLIO_PAGES, IOVA), "memory %zu", i);
		EXPECT_TRUE_FOR(pinned_are(FOLIO_PAGES), "memory %zu", i);
		EXPECT_EQ_FOR(0, pages_behind(s->p, FOLIO_PAGES, movable), "memory %zu", i);
		EXPECT_TRUE_FOR(leads_to(s, IOVA, FOLIO_PAGES, 0), "memory %zu", i);
		EXPECT_TRUE_FOR(stamped(s->p, FOLIO_PAGES, 1), "memory %zu", i);
		ASSERT_EQ(0, edu_copy(&s->edu, IOVA + 300 * PAGE, IOVA + 2 * PAGE, 8));
		EXPECT_EQ_FOR(301, stamp_of(s->p + 2 * PAGE), "memory %zu", i);
		ASSERT_EQ(0, unmap_pages(s, IOVA, FOLIO_PAGES));
		EXPECT_TRUE_FOR(pinned_are(0), "memory %zu", i);
	}
}

/* ---- swap ---- */

#define DISK		"/dev/ram0"
#define SWAP_PAGES	2048U
#define NO_SWAP		"nothing to swap to: CONFIG_SWAP or CONFIG_BLK_DEV_RAM is missing"

/* A disk in memory takes what the kernel swaps out. It keeps what was written to it, so a test writes little. */
static int swap_begin(void)
{
	/* version 1, the last page, no bad ones */
	static const uint32_t info[3] = { 1, SWAP_PAGES - 1, 0 };
	uint8_t header[PAGE] = { };
	int fd = open(DISK, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	memcpy(header + 1024, info, sizeof(info));
	memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
	if (pwrite(fd, header, PAGE, 0) != PAGE || fsync(fd))
		rc = -errno;
	close(fd);
	return rc ?: swapon(DISK, 0) ? -errno : 0;
}

static bool have_swap(void)
{
	return !access("/proc/swaps", F_OK) && !access(DISK, F_OK);
}

static size_t swapped_out(const uint8_t *p, size_t pages)
{
	size_t count = 0;

	for (size_t i = 0; i < pages; i++)
		count += page_is_swapped_out(p + i * PAGE);
	return count;
}

/*
 * Asks until it is done, as a page may be busy. One that another CPU has not put on a list of its zone yet is passed
 * over however often it is asked for; compaction begins with having all CPUs do so.
 */
static bool swap_out(uint8_t *p, size_t pages)
{
	for (int i = 0; i < 100 && swapped_out(p, pages) < pages; i++) {
		if (i % 10 == 2 && write_file("/proc/sys/vm/compact_memory", "1"))
			return false;
		if (madvise(p, pages * PAGE, MADV_PAGEOUT))
			return false;
		sleep_ms(i);
	}
	return swapped_out(p, pages) == pages;
}

static void check_swapping(struct __test_metadata *_metadata, struct scene *s, size_t pages)
{
	uint64_t pfns[FOLIO_PAGES];

	for (int rights = 0; rights < 2; rights++) {
		const size_t first = pages / 4, count = pages / 2;

		ASSERT_TRUE(swap_out(s->p, pages)) TH_LOG("%zu of %zu pages", swapped_out(s->p, pages), pages);
		ASSERT_EQ(0, map_with(s, first, count, IOVA, rights ? MAP_FIXED_RW : READ_ONLY));
		EXPECT_TRUE(pinned_are(count));
		EXPECT_TRUE(leads_to(s, IOVA, count, first));
		EXPECT_EQ(first + 2, device_reads(s, IOVA + PAGE));
		EXPECT_TRUE(stamped(s->p, pages, 1));
		note_pfns(s->p, pages, pfns);
		/* now the rest goes out, and what is pinned stays */
		EXPECT_TRUE(swap_out(s->p, first));
		EXPECT_TRUE(swap_out(s->p + (first + count) * PAGE, pages - first - count));
		for (int i = 0; i < 3; i++)
			madvise(s->p, pages * PAGE, MADV_PAGEOUT);
		EXPECT_EQ(0, swapped_out(s->p + first * PAGE, count));
		EXPECT_TRUE(stayed(s->p + first * PAGE, count, pfns + first));
		/* as does what is written to it */
		stamp(s->p + (first + 1) * PAGE, 1, 500);
		EXPECT_EQ(500, device_reads(s, IOVA + PAGE));
		if (rights) {
			ASSERT_EQ(0, edu_copy(&s->edu, IOVA + PAGE, IOVA + 2 * PAGE, 8));
			EXPECT_EQ(500, stamp_of(s->p + (first + 2) * PAGE));
		}
		ASSERT_EQ(0, unmap_pages(s, IOVA, count));
		EXPECT_TRUE(pinned_are(0));
		/* what the device wrote last is what is swapped out, and comes back */
		EXPECT_TRUE(swap_out(s->p, pages));
		EXPECT_EQ(500, stamp_of(s->p + (first + 1) * PAGE));
		EXPECT_EQ(rights ? 500 : first + 3, stamp_of(s->p + (first + 2) * PAGE));
		stamp(s->p, pages, 1);
	}
}

TEST_F(small, what_was_swapped_out_is_read_in_and_stays)
{
	if (!have_swap())
		SKIP(return, NO_SWAP);
	ASSERT_EQ(0, swap_begin());
	check_swapping(_metadata, &self->s, PAGES);
	EXPECT_EQ(0, swapoff(DISK));
	EXPECT_TRUE(stamped(self->s.p, PAGES, 1));
}

TEST_F(thp, what_was_swapped_out_is_read_in_and_stays)
{
	struct scene *s = &self->s;

	if (!have_swap())
		SKIP(return, NO_SWAP);
	ASSERT_EQ(0, swap_begin());
	/* a folio of which one page is pinned stays as a whole */
	ASSERT_EQ(0, map_pages(s, 100, 1, IOVA));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, madvise(s->p, HUGE_PAGE, MADV_PAGEOUT));
	EXPECT_EQ(0, page_is_swapped_out(s->p + 100 * PAGE));
	EXPECT_TRUE(leads_to(s, IOVA, 1, 100));
	ASSERT_EQ(0, unmap_pages(s, IOVA, 1));
	check_swapping(_metadata, s, FOLIO_PAGES);
	EXPECT_EQ(0, swapoff(DISK));
	EXPECT_TRUE(stamped(s->p, FOLIO_PAGES, 1));
}

/* ---- a limit on memory ---- */

#define CGROUPS		"/sys/fs/cgroup/"
#define CGROUP		CGROUPS "iommufd_reclaim"

/* Of this process and what it starts. Nobody is killed: what cannot be had is refused. */
static int cgroup_enter(void)
{
	char pid[16];

	if (write_file(CGROUPS "cgroup.subtree_control", "+memory") || (mkdir(CGROUP, 0755) && errno != EEXIST))
		return -errno;
	snprintf(pid, sizeof(pid), "%d", getpid());
	return write_file(CGROUP "/cgroup.procs", pid) ?: write_file("/proc/self/oom_score_adj", "-1000");
}

/* Bytes more than it has now */
static int cgroup_limit(long more)
{
	char text[32];
	int rc = read_file(CGROUP "/memory.current", text, sizeof(text));

	if (rc < 0)
		return rc;
	snprintf(text, sizeof(text), "%ld", atol(text) + more);
	return write_file(CGROUP "/memory.max", text);
}

static bool cgroup_leave(void)
{
	for (int i = 0; i < 1000; i++) {
		if (!rmdir(CGROUP))
			return true;
		sleep_ms(10);
	}
	return false;
}

FIXTURE(limited)
{
};

FIXTURE_VARIANT(limited)
{
	struct huge_kind kind;
	bool by_file;
};

FIXTURE_VARIANT_ADD(limited, small_pages)
{
	.kind.small = true,
};

FIXTURE_VARIANT_ADD(limited, thp)
{
};

FIXTURE_VARIANT_ADD(limited, by_file)
{
	.kind = { .small = true, .file = true }, .by_file = true,
};

FIXTURE_SETUP(limited)
{
}

FIXTURE_TEARDOWN(limited)
{
	EXPECT_EQ(0, pages_pinned());
	EXPECT_TRUE(cgroup_leave());
}

static void map_at_the_limit(const struct huge_kind *kind, bool by_file)
{
	const size_t pages = 8 * FOLIO_PAGES;
	struct scene s = { .fd = iommu_open(), .by_file = by_file };
	int limit, rc;

	CHILD_NEEDS(!cgroup_enter());
	CHILD_NEEDS(!mock_space_make(&s.space, s.fd, 1));
	s.ioas = s.space.ioas;
	CHILD_NEEDS(!huge_memory_make(&s.m, kind, pages * PAGE));
	s.p = s.m.p;
	/* as new: no page is there */
	CHILD_NEEDS(s.m.file < 0 || (!ftruncate(s.m.file, 0) && !ftruncate(s.m.file, pages * PAGE)));
	CHILD_NEEDS(!huge_memory_map(&s.m, 0, pages * PAGE));
	/* at the limit there is not even a page for the stack, so what is called then has been called before */
	limit = open(CGROUP "/memory.max", O_WRONLY | O_CLOEXEC);
	CHILD_NEEDS(pwrite(limit, "max", 3, 0) == 3);
	CHILD_NEEDS(!map_pages(&s, 0, 1, IOVA) && !unmap_pages(&s, IOVA, 1));
	CHILD_NEEDS(!cgroup_limit(3 * MIB));
	rc = map_pages(&s, 0, pages, IOVA);
	CHILD_NEEDS(pwrite(limit, "max", 3, 0) == 3);
	CHILD_NEEDS(rc == -ENOMEM);
	CHILD_NEEDS(pinned_are(0));
	CHILD_NEEDS(unmap_pages(&s, IOVA, pages) == -ENOENT);
	CHILD_NEEDS(!map_pages(&s, 0, pages, IOVA));
	CHILD_NEEDS(pinned_are(pages));
	CHILD_NEEDS(leads_to(&s, IOVA, pages, 0));
	CHILD_NEEDS(!unmap_pages(&s, IOVA, pages));
	CHILD_NEEDS(pinned_are(0));
	_exit(0);
}

TEST_F(limited, cgroup_fails_a_map_as_a_whole)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		map_at_the_limit(&variant->kind, variant->by_file);
	EXPECT_TRUE(child_succeeded(pid));
}

/* Others have to go, down to the last page. */
TEST_F(small, pinned_memory_stays_when_memory_is_short)
{
	pid_t pid;

	if (!have_swap())
		SKIP(return, NO_SWAP);
	ASSERT_EQ(0, swap_begin());
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		static const struct huge_kind small = { .small = true };
		struct scene s = { .fd = iommu_open() };
		uint64_t pfns[FOLIO_PAGES];
		struct huge_memory other;

		CHILD_NEEDS(!cgroup_enter());
		CHILD_NEEDS(!mock_space_make(&s.space, s.fd, 1));
		s.ioas = s.space.ioas;
		CHILD_NEEDS(!huge_memory_make(&s.m, &small, HUGE_PAGE));
		s.p = s.m.p;
		stamp(s.p, FOLIO_PAGES, 1);
		CHILD_NEEDS(!map_pages(&s, 0, 300, IOVA));
		note_pfns(s.p, FOLIO_PAGES, pfns);
		CHILD_NEEDS(!cgroup_limit(MIB));
		/* three times what there is room for */
		CHILD_NEEDS(!huge_memory_make(&other, &small, 2 * HUGE_PAGE));
		stamp(other.p, 2 * FOLIO_PAGES, 3000);
		CHILD_NEEDS(swapped_out(other.p, 2 * FOLIO_PAGES) + swapped_out(s.p, FOLIO_PAGES) > 256);
		CHILD_NEEDS(stayed(s.p, 300, pfns));
		CHILD_NEEDS(leads_to(&s, IOVA, 300, 0));
		CHILD_NEEDS(pinned_are(300));
		CHILD_NEEDS(stamped(s.p, FOLIO_PAGES, 1));
		CHILD_NEEDS(stamped(other.p, 2 * FOLIO_PAGES, 3000));
		/* what is pinned now pushes out others */
		CHILD_NEEDS(!ioas_map_at(s.fd, s.ioas, other.p, 200 * PAGE, COPY));
		CHILD_NEEDS(pinned_are(500));
		CHILD_NEEDS(mock_space_maps(&s.space, COPY, 200 * PAGE, other.p));
		CHILD_NEEDS(stamped(other.p, 2 * FOLIO_PAGES, 3000));
		CHILD_NEEDS(mock_space_maps(&s.space, COPY, 200 * PAGE, other.p));
		CHILD_NEEDS(!ioas_unmap_all(s.fd, s.ioas));
		CHILD_NEEDS(pinned_are(0));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_EQ(0, swapoff(DISK));
	EXPECT_TRUE(cgroup_leave());
}

/* ---- pages that the hardware gave up ---- */

#define NO_POISON	"no memory can be made bad: CONFIG_MEMORY_FAILURE is missing"

TEST_F(small, bad_page_is_not_mapped)
{
	struct scene *s = &self->s;

	if (madvise(s->p + 20 * PAGE, PAGE, MADV_HWPOISON) && errno == EINVAL)
		SKIP(return, NO_POISON);
	EXPECT_EQ(-EFAULT, map_pages(s, 0, PAGES, IOVA));
	EXPECT_TRUE(pinned_are(0));
	EXPECT_EQ(-EFAULT, map_pages(s, 20, 1, IOVA));
	EXPECT_EQ(-EFAULT, map_with(s, 0, PAGES, IOVA, READ_ONLY));
	EXPECT_TRUE(pinned_are(0));
	ASSERT_EQ(0, map_pages(s, 0, 20, IOVA));
	ASSERT_EQ(0, map_pages(s, 21, PAGES - 21, IOVA + 21 * PAGE));
	EXPECT_TRUE(leads_to(s, IOVA, 20, 0));
	EXPECT_TRUE(leads_to(s, IOVA + 21 * PAGE, PAGES - 21, 21));
	EXPECT_TRUE(pinned_are(PAGES - 1));
}

TEST_F(small, page_that_goes_bad_stays_pinned)
{
	struct scene *s = &self->s;

	ASSERT_EQ(0, map_pages(s, 0, PAGES, IOVA));
	if (madvise(s->p + 20 * PAGE, PAGE, MADV_HWPOISON) && errno == EINVAL)
		SKIP(return, NO_POISON);
	/* it is the process that does not see it any more; the device does, and has to cope */
	EXPECT_TRUE(pinned_are(PAGES));
	EXPECT_TRUE(leads_to(s, IOVA, 20, 0));
	EXPECT_TRUE(leads_to(s, IOVA + 21 * PAGE, PAGES - 21, 21));
	EXPECT_EQ(0, page_pfn(s->p + 20 * PAGE));
	ASSERT_EQ(0, edu_copy(&s->edu, IOVA + 30 * PAGE, IOVA + PAGE, 8));
	EXPECT_EQ(31, stamp_of(s->p + PAGE));
	ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES));
	EXPECT_TRUE(pinned_are(0));
	EXPECT_EQ(-EFAULT, map_pages(s, 0, PAGES, IOVA));
	EXPECT_TRUE(pinned_are(0));
}

TEST_F(thp, bad_page_is_not_mapped)
{
	struct scene *s = &self->s;

	if (madvise(s->p + 20 * PAGE, PAGE, MADV_HWPOISON) && errno == EINVAL)
		SKIP(return, NO_POISON);
	EXPECT_EQ(-EFAULT, map_pages(s, 0, FOLIO_PAGES, IOVA));
	EXPECT_TRUE(pinned_are(0));
	ASSERT_EQ(0, map_pages(s, 21, FOLIO_PAGES - 21, IOVA));
	EXPECT_TRUE(leads_to(s, IOVA, FOLIO_PAGES - 21, 21));
	EXPECT_TRUE(pinned_are(FOLIO_PAGES - 21));
}

/* The file keeps a bad page, so that nobody takes what is left of it for good. */
TEST_F(small, bad_page_of_a_file_is_not_mapped)
{
	static const struct huge_kind files[] = { { .small = true, .file = true }, { .file = true } };
	struct scene *s = &self->s;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		huge_memory_drop(&s->m);
		ASSERT_EQ(0, huge_memory_make(&s->m, &files[i], HUGE_PAGE));
		s->p = s->m.p;
		if (madvise(s->p + 20 * PAGE, PAGE, MADV_HWPOISON) && errno == EINVAL)
			SKIP(return, NO_POISON);
		for (int by_file = 0; by_file < 2; by_file++) {
			s->by_file = by_file;
			EXPECT_EQ_FOR(-EFAULT, map_pages(s, 0, FOLIO_PAGES, IOVA), "file %zu, %d", i, by_file);
			EXPECT_TRUE_FOR(pinned_are(0), "file %zu, %d", i, by_file);
			ASSERT_EQ_FOR(0, map_pages(s, 21, 100, IOVA), "file %zu, %d", i, by_file);
			EXPECT_TRUE_FOR(leads_to(s, IOVA, 100, 21), "file %zu, %d", i, by_file);
			ASSERT_EQ(0, unmap_pages(s, IOVA, 100));
		}
	}
}

#define HUGE_PAGES	"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

TEST_F(small, bad_huge_page_is_not_mapped)
{
	static const struct huge_kind hugetlb = { .hugetlb = true };
	struct scene *s = &self->s;
	char pages[16] = "";

	ASSERT_LT(0, read_file(HUGE_PAGES, pages, sizeof(pages)));
	huge_memory_drop(&s->m);
	ASSERT_EQ(0, huge_memory_make(&s->m, &hugetlb, 2 * HUGE_PAGE));
	s->p = s->m.p;
	if (madvise(s->p + HUGE_PAGE, HUGE_PAGE, MADV_HWPOISON) && errno == EINVAL)
		SKIP(return, NO_POISON);
	EXPECT_EQ(-EFAULT, map_pages(s, 0, 2 * FOLIO_PAGES, IOVA));
	EXPECT_TRUE(pinned_are(0));
	EXPECT_EQ(-EFAULT, map_pages(s, FOLIO_PAGES + 9, 1, IOVA));
	ASSERT_EQ(0, map_pages(s, 0, FOLIO_PAGES, IOVA));
	EXPECT_TRUE(leads_to(s, IOVA, FOLIO_PAGES, 0));
	ASSERT_EQ(0, unmap_pages(s, IOVA, FOLIO_PAGES));
	/* the one that is lost is made up for */
	huge_memory_drop(&s->m);
	EXPECT_EQ(0, write_file(HUGE_PAGES, pages));
	EXPECT_EQ(atol(pages), number_in_file("/proc/meminfo", "HugePages_Total:"));
	EXPECT_EQ(atol(pages), number_in_file("/proc/meminfo", "HugePages_Free:"));
}

TEST_HARNESS_MAIN
