// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_folio - memory in large folios, mapped whole and in parts, and changed by its process around the pin
 *
 * What a device may reach is the pages that were there when they were pinned, until they are unmapped, whatever the
 * process does with its addresses. Needs one of QEMU's edu devices behind an IOMMU, the mock IOMMU, and twelve free
 * huge pages of 2 MiB.
 */
#include "iommu_test.h"
#include "fail_nth.h"
#include "pin_scene.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>

#define FOLIOS	3
#define PAGES	(FOLIOS * FOLIO_PAGES)
#define SIZE	(PAGES * PAGE)

/* ---- whole folios and parts of them ---- */

/* The kernel refuses for what is pinned */
static int split_it(struct huge_memory *m, size_t at, size_t length)
{
	char text[96];

	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx", getpid(), to_u64(m->p + at), to_u64(m->p + at) + length);
	return write_file("/sys/kernel/debug/split_huge_pages", text);
}

FIXTURE(folio)
{
	struct scene s;
};

/*
 * @dma: what the emulated devices show, the device of the machine shows too; it takes a tenth of a second for it
 */
FIXTURE_VARIANT(folio)
{
	struct huge_kind kind;
	bool by_file, dma;
};

FIXTURE_VARIANT_ADD(folio, thp)
{
	.dma = true,
};

FIXTURE_VARIANT_ADD(folio, thp_mapped_page_by_page)
{
	.kind.split_map = true,
};

FIXTURE_VARIANT_ADD(folio, hugetlb)
{
	.kind.hugetlb = true, .dma = true,
};

FIXTURE_VARIANT_ADD(folio, shmem)
{
	.kind.file = true,
};

FIXTURE_VARIANT_ADD(folio, shmem_by_file)
{
	.kind.file = true, .by_file = true, .dma = true,
};

FIXTURE_VARIANT_ADD(folio, hugetlb_by_file)
{
	.kind = { .file = true, .hugetlb = true }, .by_file = true,
};

FIXTURE_SETUP(folio)
{
	open_scene(_metadata, &self->s, &variant->kind, variant->by_file, PAGES);
}

FIXTURE_TEARDOWN(folio)
{
	close_scene(_metadata, &self->s);
}

TEST_F(folio, is_reached_from_its_first_to_its_last_page_until_it_is_unmapped)
{
	struct scene *s = &self->s;
	const uint64_t from = IOVA + (FOLIO_PAGES - 1) * PAGE, to = IOVA + (PAGES - 1) * PAGE;
	long faults = iommu_fault_count();

	ASSERT_EQ(0, map_pages(s, 0, PAGES, IOVA));
	EXPECT_TRUE(pinned_are(PAGES));
	EXPECT_TRUE(leads_to(s, IOVA, PAGES, 0));
	pattern_fill(s->p + FOLIO_PAGES * PAGE - 256, 512, 3);
	/* across the edge of two folios, to the end of the last one */
	ASSERT_EQ(0, edu_copy(&s->edu, from + PAGE - 256, to + PAGE - 512, 512));
	EXPECT_TRUE(pattern_is(s->p + SIZE - 512, 512, 3));
	EXPECT_EQ(faults, iommu_fault_count());
	ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES));
	EXPECT_TRUE(pinned_are(0));
	memset(s->p + SIZE - 512, 0x5a, 512);
	ASSERT_EQ(0, edu_store(&s->edu, to + PAGE - 512, 512));
	EXPECT_TRUE(bytes_are(s->p + SIZE - 512, 512, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(faults));
	EXPECT_TRUE(mock_space_maps_nothing(&s->space, to, PAGE, s->p + SIZE - PAGE));
}

TEST_F(folio, is_mapped_in_parts_to_the_page)
{
	static const struct {
		size_t first, last;
	} parts[] = {
		{ 0, 0 }, { 511, 511 }, { 511, 512 }, { 1, 510 }, { 100, 512 }, { 511, 1024 }, { 512, 1023 },
		{ 1535, 1535 }, { 1, 1534 },
	};
	struct scene *s = &self->s;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(parts); i++) {
		size_t first = parts[i / 2].first, count = parts[i / 2].last - first + 1;
		/* where a leaf of 2 MiB is possible, and where none is */
		uint64_t iova = IOVA + (first + (i % 2) * 3) * PAGE;

		ASSERT_EQ(0, map_pages(s, first, count, iova));
		EXPECT_TRUE_FOR(pinned_are(count), "%zu pages from %zu", count, first);
		EXPECT_TRUE_FOR(leads_to(s, iova, count, first), "%zu pages from %zu", count, first);
		if (first)
			EXPECT_TRUE_FOR(mock_space_maps_nothing(&s->space, iova - PAGE, PAGE,
								s->p + (first - 1) * PAGE),
					"%zu pages from %zu", count, first);
		if (first + count < PAGES)
			EXPECT_TRUE_FOR(mock_space_maps_nothing(&s->space, iova + count * PAGE, PAGE,
								s->p + (first + count) * PAGE),
					"%zu pages from %zu", count, first);
		ASSERT_EQ(0, unmap_pages(s, iova, count));
		EXPECT_TRUE_FOR(pinned_are(0), "%zu pages from %zu", count, first);
	}
	EXPECT_TRUE(stamped(s->p, PAGES, 1));
}

TEST_F(folio, is_unpinned_where_nothing_holds_it_any_more)
{
	struct scene *s = &self->s;

	/* areas of their own that overlap in the middle of folios */
	ASSERT_EQ(0, map_pages(s, 100, 800, IOVA));
	ASSERT_EQ(0, map_pages(s, 600, 700, COPY));
	EXPECT_TRUE(pinned_are(1500));
	ASSERT_EQ(0, unmap_pages(s, IOVA, 800));
	EXPECT_TRUE(pinned_are(700));
	EXPECT_TRUE(leads_to(s, COPY, 700, 600));
	ASSERT_EQ(0, unmap_pages(s, COPY, 700));
	EXPECT_TRUE(pinned_are(0));
	/* copies share the pins, and what is left of a folio is the middle, the beginning, the end */
	for (size_t first = 0; first < PAGES; first += 347) {
		size_t count = first + 400 < PAGES ? 400 : PAGES - first;

		ASSERT_EQ(0, map_pages(s, 0, PAGES, IOVA));
		ASSERT_EQ(0, ioas_copy_to(s->fd, s->ioas, COPY, s->ioas, IOVA + first * PAGE, count * PAGE));
		EXPECT_TRUE(pinned_are(PAGES));
		ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES));
		EXPECT_TRUE_FOR(pinned_are(count), "%zu pages from %zu", count, first);
		EXPECT_TRUE_FOR(leads_to(s, COPY, count, first), "%zu pages from %zu", count, first);
		/* what is left serves page tables to come */
		ASSERT_EQ(0, mock_space_add_table(&s->space));
		EXPECT_TRUE_FOR(leads_to(s, COPY, count, first), "%zu pages from %zu", count, first);
		ASSERT_EQ(0, mock_space_drop_table(&s->space));
		ASSERT_EQ(0, unmap_pages(s, COPY, count));
		EXPECT_TRUE_FOR(pinned_are(0), "%zu pages from %zu", count, first);
	}
	/* the holes between what is pinned already */
	ASSERT_EQ(0, map_pages(s, 0, PAGES, IOVA));
	ASSERT_EQ(0, ioas_copy_to(s->fd, s->ioas, COPY, s->ioas, IOVA + 200 * PAGE, 100 * PAGE));
	ASSERT_EQ(0, ioas_copy_to(s->fd, s->ioas, COPY + HUGE_PAGE, s->ioas, IOVA + 500 * PAGE, 600 * PAGE));
	ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES));
	EXPECT_TRUE(pinned_are(700));
	EXPECT_TRUE(leads_to(s, COPY, 100, 200));
	EXPECT_TRUE(leads_to(s, COPY + HUGE_PAGE, 600, 500));
	/* the kernel cannot split a folio as long as anybody holds a page of it */
	ASSERT_EQ(0, split_it(&s->m, 0, SIZE));
	EXPECT_EQ(!variant->kind.hugetlb, page_has(s->p + SIZE - PAGE, KPF_THP));
	ASSERT_EQ(0, ioas_unmap_all(s->fd, s->ioas));
	EXPECT_TRUE(pinned_are(0));
	ASSERT_EQ(0, split_it(&s->m, 0, SIZE));
	for (size_t i = 0; i < FOLIOS; i++)
		EXPECT_FALSE(page_has(s->p + i * HUGE_PAGE, KPF_THP));
}

TEST_F(folio, is_not_half_pinned_when_the_limit_is_reached_inside)
{
	const size_t limit = FOLIO_PAGES + 188;
	struct scene *s = &self->s;

	ASSERT_EQ(0, memlock_limit(limit * PAGE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	EXPECT_EQ(-ENOMEM, map_pages(s, 0, PAGES, IOVA));
	EXPECT_TRUE(pinned_are(0));
	EXPECT_EQ(-ENOMEM, map_pages(s, 10, limit + 1, IOVA));
	EXPECT_TRUE(pinned_are(0));
	ASSERT_EQ(0, map_pages(s, 10, limit, IOVA));
	EXPECT_TRUE(pinned_are(limit));
	EXPECT_EQ(-ENOMEM, map_pages(s, 10 + limit, 1, COPY));
	EXPECT_TRUE(pinned_are(limit));
	EXPECT_TRUE(leads_to(s, IOVA, limit, 10));
	ASSERT_EQ(0, unmap_pages(s, IOVA, limit));
	EXPECT_TRUE(pinned_are(0));
}

TEST_F(folio, is_not_half_pinned_when_memory_runs_out)
{
	int nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	struct scene *s = &self->s;
	int failures = 0;
	bool more = true;

	if (nth < 0)
		SKIP(return, NO_FAULT_INJECTION);
	for (int n = 1, rc; more && n < MANY; n++) {
		fail_arm(nth, n);
		rc = map_pages(s, 500, 600, IOVA + 500 * PAGE);
		more = fail_happened(nth);
		failures += !!rc;
		EXPECT_TRUE_FOR(pinned_are(rc ? 0 : 600), "failure %d gave %d", n, rc);
		EXPECT_EQ_FOR(rc ? -ENOENT : 0, unmap_pages(s, IOVA + 500 * PAGE, 600), "failure %d gave %d", n, rc);
		EXPECT_TRUE_FOR(pinned_are(0), "failure %d gave %d", n, rc);
	}
	EXPECT_FALSE(more);
	EXPECT_LT(0, failures);
	close(nth);
}

/* ---- changes by the process ---- */

enum after {
	SAME,		/* the process sees the pages that it saw */
	BLANK,		/* others, which are blank */
	MOVED,		/* the same at other addresses */
	GONE,		/* none */
};

static int unmap_it(struct huge_memory *m, size_t at, size_t length)
{
	return munmap(m->p + at, length);
}

static int map_again(struct huge_memory *m, size_t at, size_t length)
{
	int rc = huge_memory_map(m, at, length);

	for (size_t done = 0; !rc && done < length; done += PAGE)
		m->p[at + done] = 0;
	return rc;
}

static int allow_nothing(struct huge_memory *m, size_t at, size_t length)
{
	return mprotect(m->p + at, length, PROT_NONE);
}

static int allow_reading(struct huge_memory *m, size_t at, size_t length)
{
	return mprotect(m->p + at, length, PROT_READ);
}

static int allow_all(struct huge_memory *m, size_t at, size_t length)
{
	return mprotect(m->p + at, length, PROT_READ | PROT_WRITE);
}

static int drop_it(struct huge_memory *m, size_t at, size_t length)
{
	return madvise(m->p + at, length, MADV_DONTNEED);
}

static int move_it(struct huge_memory *m, size_t at, size_t length)
{
	return mremap(m->p + at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, m->spare + at) == MAP_FAILED;
}

static int move_back(struct huge_memory *m, size_t at, size_t length)
{
	return mremap(m->spare + at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, m->p + at) == MAP_FAILED;
}

/* Without swap, or when it is pinned, it stays */
static int page_it_out(struct huge_memory *m, size_t at, size_t length)
{
	madvise(m->p + at, length, MADV_PAGEOUT);
	return 0;
}

static int collapse_it(struct huge_memory *m, size_t at, size_t length)
{
	madvise(m->p + at, length, MADV_COLLAPSE);
	return 0;
}

static int leave_it(struct huge_memory *m, size_t at, size_t length)
{
	return 0;
}

static int punch_it(struct huge_memory *m, size_t at, size_t length)
{
	return fallocate(m->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length);
}

static int truncate_it(struct huge_memory *m, size_t at, size_t length)
{
	return ftruncate(m->file, at);
}

static int extend_it(struct huge_memory *m, size_t at, size_t length)
{
	return ftruncate(m->file, at + length);
}

/*
 * @change, @undo: from some byte on, so many bytes; @process: what the process sees afterwards, @file: the same if it
 * is a shared file; @whole: folios are changed as wholes; @read_only: what is left may only be read; @of_thp,
 * @of_file: only those have it; @in_file: it is the file that changes, and not what the process maps
 */
static const struct change {
	const char *name;
	int (*change)(struct huge_memory *m, size_t at, size_t length);
	int (*undo)(struct huge_memory *m, size_t at, size_t length);
	enum after process, file;
	bool whole, read_only, of_thp, of_file, in_file;
} changes[] = {
	{ "munmap", unmap_it, map_again, GONE, GONE },
	{ "mprotect none", allow_nothing, allow_all, GONE, GONE },
	{ "mprotect read", allow_reading, allow_all, SAME, SAME, .read_only = true },
	{ "MADV_DONTNEED", drop_it, leave_it, BLANK, SAME },
	{ "mremap", move_it, move_back, MOVED, MOVED },
	{ "MADV_PAGEOUT", page_it_out, leave_it, SAME, SAME, .of_thp = true },
	{ "split and collapse", split_it, collapse_it, SAME, SAME, .of_thp = true },
	{ "punch hole", punch_it, leave_it, BLANK, BLANK, .whole = true, .of_file = true, .in_file = true },
	{ "ftruncate", truncate_it, extend_it, GONE, GONE, .whole = true, .of_file = true, .in_file = true },
};

/* Where a change begins and ends, in pages: inside of folios if that is possible */
struct part {
	size_t first, count, end;
};

static bool has_change(const struct huge_kind *kind, const struct change *c, struct part *part)
{
	if ((c->of_thp && kind->hugetlb) || (c->of_file && !kind->file))
		return false;
	*part = (struct part){ .first = FOLIO_PAGES / 2, .count = FOLIO_PAGES + FOLIO_PAGES / 4 };
	if (c->whole || kind->hugetlb)
		*part = (struct part){ .first = FOLIO_PAGES, .count = FOLIO_PAGES };
	if (c->change == truncate_it)
		part->count = PAGES - part->first;
	part->end = part->first + part->count;
	return true;
}

static enum after left_by(const struct huge_kind *kind, const struct change *c)
{
	return kind->file ? c->file : c->process;
}

static int do_change(struct scene *s, const struct change *c, const struct part *part)
{
	return c->change(&s->m, part->first * PAGE, part->count * PAGE);
}

static int undo_change(struct scene *s, const struct change *c, const struct part *part)
{
	return c->undo(&s->m, part->first * PAGE, part->count * PAGE);
}

/* Memory as it was at the beginning, mapped nowhere */
static int make_again(struct scene *s)
{
	const struct huge_kind *kind = s->m.kind;
	int rc;

	huge_memory_drop(&s->m);
	rc = huge_memory_make(&s->m, kind, SIZE);
	s->p = s->m.p;
	if (!rc)
		stamp(s->p, PAGES, 1);
	return rc;
}

TEST_F(folio, that_changes_later_stays_with_the_device)
{
	struct scene *s = &self->s;

	for (const struct change *c = changes; c < changes + ARRAY_SIZE(changes); c++) {
		enum after after = left_by(&variant->kind, c);
		uint64_t iova, pages[3];
		struct part part;
		uint8_t *there;

		if (!has_change(&variant->kind, c, &part))
			continue;
		iova = IOVA + part.first * PAGE;
		ASSERT_EQ(0, make_again(s));
		ASSERT_EQ_FOR(0, map_pages(s, 0, PAGES, IOVA), "%s", c->name);
		ASSERT_EQ_FOR(0, do_change(s, c, &part), "%s: %s", c->name, strerror(errno));
		EXPECT_TRUE_FOR(pinned_are(PAGES), "%s", c->name);

		/* the device sees what it saw, and what it writes goes there */
		pages[0] = part.first;
		pages[1] = part.first + part.count / 2;
		pages[2] = part.end - 1;
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
			EXPECT_EQ_FOR(pages[i] + 1, device_reads(s, IOVA + pages[i] * PAGE), "%s", c->name);
			EXPECT_EQ_FOR(0, device_writes(s, IOVA + pages[i] * PAGE, 1000000 + i), "%s", c->name);
		}
		if (variant->dma) {
			ASSERT_EQ(0, edu_copy(&s->edu, iova, IOVA + 8, 8));
			EXPECT_EQ_FOR(1000000, stamp_of(s->p + 8), "%s", c->name);
		}

		/* as does the process, where it has the same pages still */
		there = (after == MOVED ? s->m.spare : s->p) + part.first * PAGE;
		EXPECT_TRUE_FOR(leads_to(s, IOVA, part.first, 0), "%s", c->name);
		if (part.end < PAGES)
			EXPECT_TRUE_FOR(leads_to(s, IOVA + part.end * PAGE, PAGES - part.end, part.end), "%s", c->name);
		if (after == SAME || after == MOVED) {
			EXPECT_TRUE_FOR(mock_space_maps(&s->space, iova, part.count * PAGE, there), "%s", c->name);
			EXPECT_EQ_FOR(1000000, stamp_of(there), "%s", c->name);
		} else if (after == BLANK) {
			EXPECT_TRUE_FOR(bytes_are(there, part.count * PAGE, 0), "%s", c->name);
			stamp(there, part.count, 5);
			EXPECT_TRUE_FOR(mock_space_maps_nothing(&s->space, iova, PAGE, there), "%s", c->name);
			EXPECT_TRUE_FOR(mock_space_maps_nothing(&s->space, iova + (part.count - 1) * PAGE, PAGE,
								there + (part.count - 1) * PAGE), "%s", c->name);
			EXPECT_EQ_FOR(1000000, device_reads(s, iova), "%s", c->name);
		}
		EXPECT_TRUE_FOR(stamped(s->p, part.first, 1), "%s", c->name);
		if (part.end < PAGES)
			EXPECT_TRUE_FOR(stamped(s->p + part.end * PAGE, PAGES - part.end, part.end + 1), "%s", c->name);

		ASSERT_EQ_FOR(0, unmap_pages(s, IOVA, PAGES), "%s", c->name);
		EXPECT_TRUE_FOR(pinned_are(0), "%s", c->name);
	}
}

TEST_F(folio, that_changed_before_is_mapped_as_it_is_now)
{
	struct scene *s = &self->s;

	for (const struct change *c = changes; c < changes + ARRAY_SIZE(changes); c++) {
		enum after after = left_by(&variant->kind, c);
		struct part part;
		bool usable;
		int rc;

		if (!has_change(&variant->kind, c, &part))
			continue;
		ASSERT_EQ(0, make_again(s));
		ASSERT_EQ_FOR(0, do_change(s, c, &part), "%s: %s", c->name, strerror(errno));
		/* a file has its pages whoever maps them */
		usable = variant->by_file && !c->in_file ? true : after == SAME || after == BLANK;
		rc = usable && (variant->by_file || !c->read_only) ? 0 : variant->by_file ? -EINVAL : -EFAULT;
		EXPECT_EQ_FOR(rc, map_pages(s, 0, PAGES, IOVA), "%s", c->name);
		EXPECT_TRUE_FOR(pinned_are(rc ? 0 : PAGES), "%s", c->name);
		if (rc && c->read_only) {
			ASSERT_EQ_FOR(0, map_with(s, 0, PAGES, IOVA, READ_ONLY), "%s", c->name);
			EXPECT_TRUE_FOR(pinned_are(PAGES), "%s", c->name);
			rc = 0;
		}
		if (!rc) {
			if (after != GONE && after != MOVED)
				EXPECT_TRUE_FOR(leads_to(s, IOVA, PAGES, 0), "%s", c->name);
			EXPECT_EQ_FOR(after == BLANK ? 0 : part.first + 1, device_reads(s, IOVA + part.first * PAGE),
				      "%s", c->name);
			ASSERT_EQ_FOR(0, unmap_pages(s, IOVA, PAGES), "%s", c->name);
			EXPECT_TRUE_FOR(pinned_are(0), "%s", c->name);
			continue;
		}

		/* the rest is what it was */
		ASSERT_EQ_FOR(0, map_pages(s, 0, part.first, IOVA), "%s", c->name);
		EXPECT_TRUE_FOR(leads_to(s, IOVA, part.first, 0), "%s", c->name);
		if (part.end < PAGES) {
			ASSERT_EQ_FOR(0, map_pages(s, part.end, PAGES - part.end, IOVA + part.end * PAGE),
				      "%s", c->name);
			EXPECT_TRUE_FOR(leads_to(s, IOVA + part.end * PAGE, PAGES - part.end, part.end),
					"%s", c->name);
		}
		if (after == MOVED) {
			ASSERT_EQ(0, ioas_map_at(s->fd, s->ioas, s->m.spare + part.first * PAGE, part.count * PAGE,
						 IOVA + part.first * PAGE));
			EXPECT_EQ(part.first + 1, device_reads(s, IOVA + part.first * PAGE));
			EXPECT_TRUE(pinned_are(PAGES));
		}
		if (variant->dma && after == MOVED) {
			ASSERT_EQ(0, edu_copy(&s->edu, IOVA + part.first * PAGE, IOVA + 8, 8));
			EXPECT_EQ(part.first + 1, stamp_of(s->p + 8));
		}
		ASSERT_EQ_FOR(0, ioas_unmap_all(s->fd, s->ioas), "%s", c->name);
		EXPECT_TRUE_FOR(pinned_are(0), "%s", c->name);
	}
}

/**
 * struct changer - A thread that changes memory and makes it good again, all the time
 * @s: where
 * @change: how
 * @part: what
 * @stop: when told so
 * @rounds: how often it did
 * @rc: anything but 0 ended it
 */
struct changer {
	struct scene *s;
	const struct change *change;
	struct part part;
	bool stop;
	int rounds, rc;
};

static void *change_and_undo(void *arg)
{
	struct changer *t = arg;

	while (!t->rc && !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		t->rc = do_change(t->s, t->change, &t->part) || undo_change(t->s, t->change, &t->part);
		__atomic_fetch_add(&t->rounds, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The pages on either side of the edges of a part are those that the process has there. */
static bool edges_lead(struct scene *s, const struct part *part)
{
	return leads_to(s, IOVA + (part->first - 2) * PAGE, 4, part->first - 2) &&
	       leads_to(s, IOVA + (FOLIO_PAGES - 2) * PAGE, 4, FOLIO_PAGES - 2) &&
	       leads_to(s, IOVA + (part->end - 2) * PAGE, 4, part->end - 2);
}

TEST_F(folio, that_changes_meanwhile_is_mapped_or_not)
{
	struct scene *s = &self->s;

	for (const struct change *c = changes; c < changes + ARRAY_SIZE(changes); c++) {
		const int refused = variant->by_file ? -EINVAL : -EFAULT;
		enum after after = left_by(&variant->kind, c);
		struct changer t = { .s = s, .change = c };
		int mapped = 0, rounds = 0;
		pthread_t thread;

		if (!has_change(&variant->kind, c, &t.part))
			continue;
		ASSERT_EQ(0, make_again(s));
		ASSERT_EQ(0, pthread_create(&thread, NULL, change_and_undo, &t));
		/* so long that either met the other, one way or the other */
		for (rounds = 0; rounds < 8 || __atomic_load_n(&t.rounds, __ATOMIC_ACQUIRE) < 8; rounds++) {
			int rc = map_pages(s, 0, PAGES, IOVA);

			if (rc)
				EXPECT_EQ_FOR(refused, rc, "%s", c->name);
			if (after == SAME && !c->read_only)
				EXPECT_EQ_FOR(0, rc, "%s", c->name);
			mapped += !rc;
			if (!rc && after == SAME)
				EXPECT_TRUE_FOR(edges_lead(s, &t.part), "%s", c->name);
			EXPECT_EQ_FOR(rc ? -ENOENT : 0, unmap_pages(s, IOVA, PAGES), "%s", c->name);
			EXPECT_EQ_FOR(0, vm_pin_kb(), "%s", c->name);
		}
		__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ_FOR(0, t.rc, "%s: %s", c->name, strerror(errno));
		EXPECT_TRUE_FOR(pinned_are(0), "%s", c->name);
		stamp(s->p, PAGES, 7);
		ASSERT_EQ_FOR(0, map_pages(s, 0, PAGES, IOVA), "%s", c->name);
		EXPECT_TRUE_FOR(leads_to(s, IOVA, PAGES, 0), "%s, mapped in %d of %d rounds", c->name, mapped, rounds);
		ASSERT_EQ_FOR(0, unmap_pages(s, IOVA, PAGES), "%s", c->name);
		EXPECT_TRUE_FOR(stamped(s->p, PAGES, 7), "%s", c->name);
	}
}

/* ---- memory that a fork shares ---- */

FIXTURE(forked)
{
	struct scene s;
};

FIXTURE_VARIANT(forked)
{
	struct huge_kind kind;
};

FIXTURE_VARIANT_ADD(forked, thp)
{
};

FIXTURE_VARIANT_ADD(forked, thp_mapped_page_by_page)
{
	.kind.split_map = true,
};

FIXTURE_VARIANT_ADD(forked, hugetlb)
{
	.kind.hugetlb = true,
};

FIXTURE_VARIANT_ADD(forked, small_pages)
{
	.kind.small = true,
};

FIXTURE_SETUP(forked)
{
	open_scene(_metadata, &self->s, &variant->kind, false, PAGES);
}

FIXTURE_TEARDOWN(forked)
{
	close_scene(_metadata, &self->s);
}

TEST_F(forked, child_does_not_meet_the_parents_device)
{
	struct scene *s = &self->s;
	pid_t pid;

	ASSERT_EQ(0, map_pages(s, 100, PAGES - 200, IOVA));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(stamped(s->p, PAGES, 1));
		/* what the device writes now is not for the child */
		CHILD_NEEDS(!device_writes(s, IOVA, 99));
		CHILD_NEEDS(stamped(s->p, PAGES, 1));
		stamp(s->p, PAGES, 5000);
		_exit(0);
	}
	ASSERT_TRUE(child_succeeded(pid));
	EXPECT_EQ(99, stamp_of(s->p + 100 * PAGE));
	EXPECT_TRUE(leads_to(s, IOVA, PAGES - 200, 100));
	EXPECT_TRUE(stamped(s->p + 101 * PAGE, PAGES - 101, 102));
	/* what the parent writes from now on reaches the device */
	stamp(s->p, PAGES, 7000);
	EXPECT_TRUE(leads_to(s, IOVA, PAGES - 200, 100));
	ASSERT_EQ(0, edu_copy(&s->edu, IOVA + 600 * PAGE, IOVA + 8, 8));
	EXPECT_EQ(7700, stamp_of(s->p + 100 * PAGE + 8));
	ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES - 200));
}

/* Two processes share the pages at the moment of the pin; whoever maps them gets pages of his own. */
TEST_F(forked, pin_after_the_fork_is_for_one_of_both)
{
	struct scene *s = &self->s;

	for (int rights = 0; rights < 2; rights++) {
		const uint32_t flags = rights ? MAP_FIXED_RW : READ_ONLY;
		int to_child[2], to_parent[2];
		char c;
		pid_t pid;

		stamp(s->p, PAGES, 1);
		ASSERT_EQ(0, pipe2(to_child, O_CLOEXEC));
		ASSERT_EQ(0, pipe2(to_parent, O_CLOEXEC));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			CHILD_NEEDS(read(to_child[0], &c, 1) == 1);
			/* the parent has mapped and written, and so has its device */
			CHILD_NEEDS(stamped(s->p, PAGES, 1));
			CHILD_NEEDS(!map_with(s, 300, 900, COPY, flags));
			CHILD_NEEDS(leads_to(s, COPY, 900, 300));
			stamp(s->p + 300 * PAGE, 900, 20000);
			CHILD_NEEDS(leads_to(s, COPY, 900, 300));
			CHILD_NEEDS(device_reads(s, COPY + 899 * PAGE) == 20899);
			if (flags == MAP_FIXED_RW)
				CHILD_NEEDS(!device_writes(s, COPY, 31));
			CHILD_NEEDS(stamp_of(s->p + 300 * PAGE) == (flags == MAP_FIXED_RW ? 31 : 20000));
			CHILD_NEEDS(write(to_parent[1], &c, 1) == 1);
			CHILD_NEEDS(read(to_child[0], &c, 1) == 1);
			CHILD_NEEDS(!unmap_pages(s, COPY, 900));
			_exit(0);
		}
		/* so that a child that ends early is noticed */
		close(to_parent[1]);
		ASSERT_EQ(0, map_with(s, 100, PAGES - 200, IOVA, flags));
		EXPECT_TRUE(leads_to(s, IOVA, PAGES - 200, 100));
		stamp(s->p, PAGES, 9000);
		if (flags == MAP_FIXED_RW)
			EXPECT_EQ(0, device_writes(s, IOVA + 1000 * PAGE, 77));
		EXPECT_TRUE(leads_to(s, IOVA, PAGES - 200, 100));
		ASSERT_EQ(1, write(to_child[1], "x", 1));
		if (read(to_parent[0], &c, 1) == 1) {
			EXPECT_EQ(9100, device_reads(s, IOVA));
			EXPECT_EQ(flags == MAP_FIXED_RW ? 77 : 10100, stamp_of(s->p + 1100 * PAGE));
			EXPECT_TRUE(stamped(s->p, 1100, 9000));
			EXPECT_EQ(PAGES - 200 + 900, pages_pinned());
		}
		ASSERT_EQ(1, write(to_child[1], "x", 1));
		EXPECT_TRUE(child_succeeded(pid));
		ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES - 200));
		EXPECT_TRUE(pinned_are(0));
		close(to_child[0]);
		close(to_child[1]);
		close(to_parent[0]);
	}
}

/* ---- pages that are nobody's yet ---- */

TEST_F(forked, untouched_memory_is_mapped_with_pages_of_its_own)
{
	struct scene *s = &self->s;

	for (int rights = 0; rights < 2; rights++) {
		ASSERT_EQ(0, huge_memory_map(&s->m, 0, SIZE));
		/* the page of zeros that all processes share, a huge one perhaps: in one and a half folios */
		for (size_t i = 0; i < FOLIO_PAGES + FOLIO_PAGES / 2 && !variant->kind.hugetlb; i++)
			ASSERT_EQ(0, stamp_of(s->p + i * PAGE));
		ASSERT_EQ(0, map_with(s, 0, PAGES, IOVA, rights ? MAP_FIXED_RW : READ_ONLY));
		EXPECT_TRUE(pinned_are(PAGES));
		EXPECT_FALSE(page_has(s->p, KPF_ZERO_PAGE));
		EXPECT_TRUE(leads_to(s, IOVA, PAGES, 0));
		stamp(s->p, PAGES, 40);
		EXPECT_TRUE(leads_to(s, IOVA, PAGES, 0));
		EXPECT_EQ(40 + 700, device_reads(s, IOVA + 700 * PAGE));
		ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES));
	}
}

/* ---- one folio, one time ---- */

FIXTURE(plain)
{
	struct scene s;
};

FIXTURE_SETUP(plain)
{
	static const struct huge_kind thp;

	open_scene(_metadata, &self->s, &thp, false, PAGES);
}

FIXTURE_TEARDOWN(plain)
{
	close_scene(_metadata, &self->s);
}

/* A private mapping of a file: the device's pages are the process's, and not those of the file */
TEST_F(plain, private_file_is_copied_before_a_device_gets_it)
{
	static const struct huge_kind file = { .file = true };
	struct scene *s = &self->s;
	struct huge_memory m;
	uint8_t *p;

	ASSERT_EQ(0, huge_memory_make(&m, &file, SIZE));
	for (int rights = 0; rights < 2; rights++) {
		uint64_t iova = IOVA;

		stamp(m.p, PAGES, 1);
		p = mmap(m.spare, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, m.file, 0);
		ASSERT_EQ(m.spare, p);
		ASSERT_TRUE(stamped(p, PAGES, 1));
		ASSERT_EQ(0, ioas_map(s->fd, s->ioas, p, SIZE, &iova, rights ? MAP_FIXED_RW : READ_ONLY));
		EXPECT_TRUE(mock_space_maps(&s->space, IOVA, SIZE, p));
		EXPECT_TRUE(stamped(p, PAGES, 1));
		stamp(p + 500 * PAGE, 500, 60);
		EXPECT_TRUE(mock_space_maps(&s->space, IOVA, SIZE, p));
		EXPECT_EQ(60, device_reads(s, IOVA + 500 * PAGE));
		if (rights)
			EXPECT_EQ(0, device_writes(s, IOVA + 700 * PAGE, 61));
		EXPECT_TRUE(stamped(m.p, PAGES, 1));
		stamp(m.p, PAGES, 2000);
		EXPECT_EQ(rights ? 61 : 260, device_reads(s, IOVA + 700 * PAGE));
		ASSERT_EQ(0, ioas_unmap_all(s->fd, s->ioas));
		EXPECT_TRUE(pinned_are(0));
	}
	huge_memory_drop(&m);
}

/* In Linux 6.1 a pin does not wait for whoever handles the faults: it is refused until they are settled. */
TEST_F(plain, page_whose_faults_are_for_user_space_is_not_pinned)
{
	const size_t first = 700, count = 100;
	struct scene *s = &self->s;
	struct uffdio_register reg = {
		.range = { to_u64(s->p), SIZE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_zeropage zero = { .range = { to_u64(s->p + first * PAGE), count * PAGE } };
	struct uffdio_writeprotect protect = { .range = zero.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, madvise(s->p + first * PAGE, count * PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	EXPECT_EQ(-EFAULT, map_pages(s, 0, PAGES, IOVA));
	EXPECT_TRUE(pinned_are(0));
	EXPECT_EQ(-EFAULT, map_with(s, first + count - 1, 2, IOVA, READ_ONLY));
	EXPECT_TRUE(pinned_are(0));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(0, map_pages(s, 0, PAGES, IOVA));
	EXPECT_TRUE(leads_to(s, IOVA, PAGES, 0));
	ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES));
	if (!(api.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		goto out;

	/* a part of one folio, then the whole of another */
	reg.mode |= UFFDIO_REGISTER_MODE_WP;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	for (int whole = 0; whole < 2; whole++) {
		if (whole)
			protect.range = (struct uffdio_range){ to_u64(s->p), HUGE_PAGE };
		protect.mode = UFFDIO_WRITEPROTECT_MODE_WP;
		ASSERT_EQ(0, ioctl(uffd, UFFDIO_WRITEPROTECT, &protect));
		EXPECT_EQ(-EFAULT, map_pages(s, 0, PAGES, IOVA));
		EXPECT_TRUE(pinned_are(0));
		protect.mode = 0;
		ASSERT_EQ(0, ioctl(uffd, UFFDIO_WRITEPROTECT, &protect));
		ASSERT_EQ(0, map_pages(s, 0, PAGES, IOVA));
		EXPECT_TRUE(pinned_are(PAGES));
		EXPECT_TRUE(leads_to(s, IOVA, PAGES, 0));
		ASSERT_EQ(0, unmap_pages(s, IOVA, PAGES));
	}
out:
	close(uffd);
}

TEST_F(plain, folio_at_the_end_of_all_addresses)
{
	const uint64_t end = -HUGE_PAGE;
	struct scene *s = &self->s;
	struct iommu_iova_range all = { 0, UINT64_MAX };
	uint32_t ioas, num = 1, item;
	uint64_t iova = end, bytes;
	int access;

	/* an address space without page tables has them all */
	ASSERT_EQ(0, ioas_alloc(s->fd, &ioas));
	ASSERT_EQ(0, ioas_ranges(s->fd, ioas, &all, &num, NULL));
	ASSERT_EQ(UINT64_MAX, all.last);
	access = test_access_create(s->fd, ioas, ACCESS_PINS);
	ASSERT_LE(0, access);
	EXPECT_EQ(-EOVERFLOW, ioas_map_at(s->fd, ioas, s->p, HUGE_PAGE + PAGE, end));
	EXPECT_EQ(-EOVERFLOW, ioas_map_at(s->fd, ioas, s->p, SIZE, -PAGE));
	ASSERT_EQ(0, ioas_map_at(s->fd, ioas, s->p, HUGE_PAGE, end));
	EXPECT_TRUE(pinned_are(0));
	ASSERT_EQ(0, test_access_pin(s->fd, access, end, HUGE_PAGE, s->p, ACCESS_WRITE, &item));
	EXPECT_TRUE(pinned_are(FOLIO_PAGES));
	EXPECT_EQ(FOLIO_PAGES, ({ bytes = 0; test_access_rw(s->fd, access, -PAGE, &bytes, 8, 0); bytes; }));
	ASSERT_EQ(0, test_access_unpin(s->fd, access, item));
	EXPECT_TRUE(pinned_are(0));
	/* the last page alone, out of the middle of a folio */
	ASSERT_EQ(0, test_access_pin(s->fd, access, -PAGE, PAGE, s->p + HUGE_PAGE - PAGE, ACCESS_WRITE, &item));
	EXPECT_TRUE(pinned_are(1));
	ASSERT_EQ(0, test_access_unpin(s->fd, access, item));
	/* no device of this machine reaches that far */
	EXPECT_NE(0, vfio_attach(s->edu.fd, ioas, NULL));
	EXPECT_TRUE(pinned_are(0));
	ASSERT_EQ(0, ioas_unmap(s->fd, ioas, iova, HUGE_PAGE, &bytes));
	EXPECT_EQ(HUGE_PAGE, bytes);
	EXPECT_EQ(-EOVERFLOW, ioas_map_at(s->fd, ioas, (void *)-HUGE_PAGE, HUGE_PAGE + PAGE, IOVA));
	close(access);
}

#define MUCH	(32 * MIB)

static void map_until_killed(void)
{
	static const struct huge_kind thp;
	struct mock_space space;
	struct huge_memory m;
	int fd = iommu_open();

	CHILD_NEEDS(!huge_memory_make(&m, &thp, MUCH));
	CHILD_NEEDS(!mock_space_make(&space, fd, 2));
	CHILD_NEEDS(!child_has_begun());
	for (;;) {
		CHILD_NEEDS(!ioas_map_at(fd, space.ioas, m.p + PAGE, MUCH - 2 * PAGE, IOVA + PAGE));
		CHILD_NEEDS(!ioas_unmap_all(fd, space.ioas));
	}
}

TEST_F(plain, process_that_is_killed_leaves_no_pin)
{
	static const int delays_ms[] = { 0, 3, 11, 40 };
	const sigset_t begun = child_expected();

	for (size_t i = 0; i < ARRAY_SIZE(delays_ms); i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			map_until_killed();
		ASSERT_EQ(0, child_kill(&begun, 60, pid, delays_ms[i]));
		EXPECT_EQ_FOR(0, pages_pinned(), "killed after %d ms", delays_ms[i]);
	}
}

/* ---- pages of 1 GiB ---- */

#define GIB		0x40000000UL
#define GIGANTIC	"/sys/kernel/mm/hugepages/hugepages-1048576kB/"

TEST_F(plain, gigantic_page)
{
	struct scene *s = &self->s;
	char text[16] = "";
	uint8_t *p;

	read_file(GIGANTIC "free_hugepages", text, sizeof(text));
	if (atoi(text) < 1)
		SKIP(return, "no free huge page of 1 GiB: boot with hugepagesz=1G hugepages=1");
	p = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << 26, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	for (size_t at = 0; at < GIB; at += HUGE_PAGE)
		stamp(p + at, 1, at + 1);
	/* as far as the mock IOMMU reaches */
	ASSERT_EQ(0, ioas_map_at(s->fd, s->ioas, p, GIB, IOVA));
	EXPECT_TRUE(pinned_are(GIB / PAGE));
	EXPECT_TRUE(mock_space_maps(&s->space, IOVA, GIB, p));
	ASSERT_EQ(0, edu_copy(&s->edu, IOVA + 255 * HUGE_PAGE, IOVA + GIB - 8, 8));
	EXPECT_EQ(255 * HUGE_PAGE + 1, stamp_of(p + GIB - 8));
	ASSERT_EQ(0, unmap_pages(s, IOVA, GIB / PAGE));
	EXPECT_TRUE(pinned_are(0));
	/* a part of it, and a part of that */
	ASSERT_EQ(0, ioas_map_at(s->fd, s->ioas, p + 3 * PAGE, 700 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_copy_to(s->fd, s->ioas, COPY, s->ioas, IOVA + 90 * PAGE, 500 * PAGE));
	EXPECT_TRUE(pinned_are(700));
	ASSERT_EQ(0, unmap_pages(s, IOVA, 700));
	EXPECT_TRUE(pinned_are(500));
	EXPECT_TRUE(mock_space_maps(&s->space, COPY, 500 * PAGE, p + 93 * PAGE));
	ASSERT_EQ(0, unmap_pages(s, COPY, 500));
	EXPECT_TRUE(pinned_are(0));
	munmap(p, GIB);
}

TEST_HARNESS_MAIN
