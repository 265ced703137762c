// SPDX-License-Identifier: GPL-2.0-only
/* KUnit suite of pin_store: directed cases, and what a store costs; pin_store_model.c does random steps. */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "../pin_store.h"

#define CHUNK PIN_CHUNK_PAGES

static struct pin_store *store_new(struct kunit *test, unsigned long npages)
{
	struct pin_store *store = kunit_kzalloc(test, sizeof(*store), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, store);
	pin_store_init(store, npages);
	return store;
}

static void store_end(struct kunit *test, struct pin_store *store)
{
	pin_store_destroy(store);
	KUNIT_EXPECT_NULL(test, store->pages);
}

static void put(struct kunit *test, struct pin_store *store, unsigned long index, unsigned long pfn,
		unsigned long npages)
{
	const struct page_run run = { .pfn = pfn, .npages = npages };

	KUNIT_ASSERT_EQ(test, pin_store_put(store, index, &run, 1), 0);
}

static void expect_run(struct kunit *test, struct pin_store *store, unsigned long index, unsigned long last,
		       unsigned long pfn, unsigned long npages)
{
	struct page_run run = {};
	unsigned int num = 0;

	KUNIT_EXPECT_EQ(test, pin_store_runs(store, index, last, &run, 1, &num), npages);
	KUNIT_EXPECT_EQ(test, num, 1U);
	KUNIT_EXPECT_EQ(test, run.npages, npages);
	KUNIT_EXPECT_EQ(test, run.pfn, pfn);
}

/* What the table has for a chunk; NULL also where there is no table */
static void *entry(struct pin_store *store, unsigned long nr)
{
	struct pin_table *table = store->pages;

	return !table || xa_is_value(table) ? NULL : xa_load(&table->chunks, nr);
}

static bool has_list(struct pin_store *store, unsigned long nr)
{
	void *chunk = entry(store, nr);

	return chunk && !xa_is_value(chunk);
}

static void contiguous_source_allocates_nothing(struct kunit *test)
{
	struct pin_store *store = store_new(test, 10 * CHUNK);

	put(test, store, 0, 1000, 10);
	put(test, store, 10, 1010, CHUNK - 10);
	put(test, store, CHUNK, 1000 + CHUNK, 9 * CHUNK);
	/* The whole source is one number: no table, no list */
	KUNIT_EXPECT_TRUE(test, xa_is_value(store->pages));
	expect_run(test, store, 0, 10 * CHUNK - 1, 1000, 10 * CHUNK);
	expect_run(test, store, CHUNK - 1, CHUNK - 1, 1000 + CHUNK - 1, 1);
	pin_store_drop(store, 1, 10 * CHUNK - 1);
	KUNIT_EXPECT_TRUE(test, xa_is_value(store->pages));
	pin_store_drop(store, 0, 10 * CHUNK - 1);
	KUNIT_EXPECT_NULL(test, store->pages);
	store_end(test, store);
}

static void becoming_a_table_keeps_the_others(struct kunit *test)
{
	struct pin_store *store = store_new(test, 10 * CHUNK);

	/* It begins below index 0, and reaches into a chunk in which something else comes behind it */
	put(test, store, 7 * CHUNK, CHUNK, 10);
	put(test, store, CHUNK, (1UL << 48) - 5 * CHUNK, 3 * CHUNK);
	expect_run(test, store, 7 * CHUNK, 7 * CHUNK + 9, CHUNK, 10);
	expect_run(test, store, CHUNK, 4 * CHUNK - 1, (1UL << 48) - 5 * CHUNK, 3 * CHUNK);
	put(test, store, 7 * CHUNK + 10, 77, 5);
	KUNIT_EXPECT_TRUE(test, has_list(store, 7));
	expect_run(test, store, 7 * CHUNK, 7 * CHUNK + 14, CHUNK, 10);
	expect_run(test, store, 7 * CHUNK + 10, 7 * CHUNK + 14, 77, 5);

	/* What is behind its end is nobody's: no list because of it */
	put(test, store, 8 * CHUNK, 5000, 7);
	put(test, store, 8 * CHUNK + 7, 5007, 7);
	KUNIT_EXPECT_FALSE(test, has_list(store, 8));
	expect_run(test, store, 8 * CHUNK, 8 * CHUNK + 13, 5000, 14);
	store_end(test, store);
}

static void whole_chunk_that_is_put_again_is_no_list(struct kunit *test)
{
	struct pin_store *store = store_new(test, 2 * CHUNK);

	put(test, store, 0, 1000, 2 * CHUNK);
	put(test, store, CHUNK, 9000, CHUNK);
	KUNIT_EXPECT_FALSE(test, has_list(store, 1));
	expect_run(test, store, 0, 2 * CHUNK - 1, 1000, CHUNK);
	expect_run(test, store, CHUNK, 2 * CHUNK - 1, 9000, CHUNK);

	put(test, store, 100, 5, 1);
	KUNIT_EXPECT_TRUE(test, has_list(store, 0));
	put(test, store, 0, 2000, CHUNK);
	KUNIT_EXPECT_FALSE(test, has_list(store, 0));
	expect_run(test, store, 0, 2 * CHUNK - 1, 2000, CHUNK);
	store_end(test, store);
}

/* Runs of a batch: some that belong together, a page of a chunk, three chunks, and what is behind */
static void batch_is_put_and_got_at_once(struct kunit *test)
{
	static const struct page_run in[] = {
		{ 100, 2 }, { 102, 3 }, { 200, 1 }, { 199, 1 }, { 50, CHUNK - 8 }, { 7, 1 }, { 1UL << 33, 3 * CHUNK },
		{ 7, 1 }, { 9, 1 },
	};
	static const struct page_run expected[] = {
		{ 100, 5 }, { 200, 1 }, { 199, 1 }, { 50, CHUNK - 8 }, { 7, 1 }, { 1UL << 33, 3 * CHUNK }, { 7, 1 },
		{ 9, 1 },
	};
	const unsigned long first = CHUNK - 3, npages = 4 * CHUNK + 2;
	struct pin_store *store = store_new(test, 6 * CHUNK);
	struct page_run out[ARRAY_SIZE(expected) + 1];
	unsigned int num, i;

	KUNIT_ASSERT_EQ(test, pin_store_put(store, first, in, ARRAY_SIZE(in)), 0);
	KUNIT_EXPECT_EQ(test, pin_store_runs(store, first, first + npages - 1, out, ARRAY_SIZE(out), &num), npages);
	KUNIT_ASSERT_EQ(test, num, (unsigned int)ARRAY_SIZE(expected));
	for (i = 0; i < num; i++) {
		KUNIT_EXPECT_EQ(test, out[i].pfn, expected[i].pfn);
		KUNIT_EXPECT_EQ(test, out[i].npages, expected[i].npages);
	}

	/* Fewer at a time: the last one is whole all the same */
	KUNIT_EXPECT_EQ(test, pin_store_runs(store, first + 1, first + npages - 1, out, 4, &num), CHUNK - 2UL);
	KUNIT_EXPECT_EQ(test, num, 4U);
	KUNIT_EXPECT_EQ(test, out[0].npages, 4UL);
	KUNIT_EXPECT_EQ(test, out[3].npages, CHUNK - 8);
	store_end(test, store);
}

/* More whole chunks than a node of the table has room for, in one batch, and over a list that was there before */
static void whole_chunks_are_put_and_got_at_once(struct kunit *test)
{
	const unsigned int max = 150;
	const unsigned long end = (max + max / 2 + 1) * CHUNK;
	struct pin_store *store = store_new(test, end + CHUNK);
	struct page_run *in = kunit_kcalloc(test, max, sizeof(*in), GFP_KERNEL);
	struct page_run *out = kunit_kcalloc(test, max, sizeof(*out), GFP_KERNEL);
	unsigned long nr, index;
	unsigned int num, i;

	KUNIT_ASSERT_TRUE(test, in && out);
	for (i = 0; i < max; i++)
		in[i] = (struct page_run) { .pfn = 4 * CHUNK * (max - i) + i, .npages = (1 + i % 2) * CHUNK };
	put(test, store, 5, 77, 1);
	put(test, store, 70 * CHUNK, 78, 1);
	put(test, store, 70 * CHUNK + 1, 80, 1);
	put(test, store, end, 79, 2);
	KUNIT_EXPECT_TRUE(test, has_list(store, 70));
	KUNIT_ASSERT_EQ(test, pin_store_put(store, CHUNK, in, max), 0);
	KUNIT_EXPECT_FALSE(test, has_list(store, 70));

	KUNIT_EXPECT_EQ(test, pin_store_runs(store, CHUNK, end - 1, out, max, &num), end - CHUNK);
	KUNIT_ASSERT_EQ(test, num, max);
	KUNIT_EXPECT_EQ(test, memcmp(in, out, max * sizeof(*in)), 0);
	for (i = 0, index = CHUNK; i < max; index += in[i++].npages)
		expect_run(test, store, index + 9, end - 1, in[i].pfn + 9, in[i].npages - 9);

	pin_store_drop(store, 40 * CHUNK, 200 * CHUNK - 1);
	for (nr = 1; nr <= end / CHUNK; nr++)
		KUNIT_EXPECT_EQ(test, !entry(store, nr), nr >= 40 && nr < 200);
	expect_run(test, store, 5, 5, 77, 1);
	expect_run(test, store, end, end + 1, 79, 2);
	store_end(test, store);
}

/* What the table has no entry for, a whole node of it too, is found between what it has one for */
static void old_run_shows_between_new_entries(struct kunit *test)
{
	struct pin_store *store = store_new(test, 300 * CHUNK);
	static const unsigned long others[] = { 3, 5, 200, 270 };
	struct page_run out[2 * ARRAY_SIZE(others) + 1];
	unsigned long index = 0;
	unsigned int num, i;

	put(test, store, 0, 1000, 300 * CHUNK);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		put(test, store, others[i] * CHUNK, 8 + i, CHUNK);
	KUNIT_EXPECT_EQ(test, pin_store_runs(store, 0, 300 * CHUNK - 1, out, ARRAY_SIZE(out), &num), 300 * CHUNK);
	KUNIT_ASSERT_EQ(test, num, (unsigned int)ARRAY_SIZE(out));
	for (i = 0; i < num; index += out[i++].npages) {
		KUNIT_EXPECT_EQ(test, out[i].pfn, i % 2 ? 8 + i / 2 : 1000 + index);
		if (i % 2)
			KUNIT_EXPECT_EQ(test, index, others[i / 2] * CHUNK);
	}
	store_end(test, store);
}

/* All pages of a chunk by themselves, in batches: its list is as long as need be, and no longer */
static void batches_fill_a_chunk(struct kunit *test)
{
	static const unsigned int sizes[] = { 1, 16, 100, 256, 511, 512 };
	struct pin_store *store = store_new(test, CHUNK);
	struct page_run *runs = kunit_kcalloc(test, CHUNK, sizeof(*runs), GFP_KERNEL);
	unsigned int i, k, n, num;

	KUNIT_ASSERT_NOT_NULL(test, runs);
	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		for (i = 0; i < CHUNK; i += n) {
			n = min_t(unsigned int, sizes[k], CHUNK - i);
			for (num = 0; num < n; num++)
				runs[num] = (struct page_run) { .pfn = 3 * (i + num) + k, .npages = 1 };
			KUNIT_ASSERT_EQ(test, pin_store_put(store, i, runs, n), 0);
		}
		KUNIT_EXPECT_EQ(test, pin_store_runs(store, 0, CHUNK - 1, runs, CHUNK, &num), CHUNK);
		KUNIT_ASSERT_EQ(test, num, (unsigned int)CHUNK);
		for (i = 0; i < CHUNK; i++)
			KUNIT_EXPECT_TRUE(test, runs[i].pfn == 3 * i + k && runs[i].npages == 1);
	}
	store_end(test, store);
}

static void run_is_cut_at_last(struct kunit *test)
{
	struct pin_store *store = store_new(test, 2 * CHUNK);

	put(test, store, 0, 5000, 2 * CHUNK);
	expect_run(test, store, 10, 10, 5010, 1);
	expect_run(test, store, 10, 19, 5010, 10);
	expect_run(test, store, CHUNK - 1, CHUNK, 5000 + CHUNK - 1, 2);
	store_end(test, store);
}

static void run_goes_on_across_chunks(struct kunit *test)
{
	struct pin_store *store = store_new(test, 5 * CHUNK);

	/* Not the only run of the source, which would need no chunks */
	put(test, store, 4 * CHUNK, 1, CHUNK);
	put(test, store, 100, 7000, 3 * CHUNK);
	KUNIT_EXPECT_FALSE(test, has_list(store, 0) || has_list(store, 1) || has_list(store, 2) || has_list(store, 3));
	expect_run(test, store, 100, 3 * CHUNK + 99, 7000, 3 * CHUNK);
	expect_run(test, store, CHUNK + 5, 3 * CHUNK + 99, 7000 + CHUNK + 5 - 100, 2 * CHUNK + 95);

	/* A list in the middle that happens to be contiguous does not end a run; one that is not does */
	put(test, store, CHUNK + 50, 1, 1);
	KUNIT_EXPECT_TRUE(test, has_list(store, 1));
	expect_run(test, store, 100, 3 * CHUNK + 99, 7000, CHUNK - 50);
	expect_run(test, store, CHUNK + 51, 3 * CHUNK + 99, 7000 + CHUNK - 49, 2 * CHUNK + 49);
	put(test, store, CHUNK + 50, 7000 + CHUNK - 50, 1);
	expect_run(test, store, 100, 3 * CHUNK + 99, 7000, 3 * CHUNK);
	store_end(test, store);
}

static void run_ends_where_the_next_chunk_is_elsewhere(struct kunit *test)
{
	struct pin_store *store = store_new(test, 3 * CHUNK);

	put(test, store, 0, 10000, CHUNK);
	put(test, store, CHUNK, 20000, CHUNK);
	put(test, store, 2 * CHUNK, 20000 + CHUNK, CHUNK);
	expect_run(test, store, 0, 3 * CHUNK - 1, 10000, CHUNK);
	expect_run(test, store, 500, 3 * CHUNK - 1, 10500, CHUNK - 500);
	expect_run(test, store, CHUNK, 3 * CHUNK - 1, 20000, 2 * CHUNK);
	store_end(test, store);
}

static void becoming_a_list_keeps_the_others(struct kunit *test)
{
	struct pin_store *store = store_new(test, CHUNK);

	put(test, store, 0, 3000, 100);
	put(test, store, 200, 3200, 100);
	KUNIT_EXPECT_FALSE(test, has_list(store, 0));
	put(test, store, 100, 9000, 50);
	KUNIT_EXPECT_TRUE(test, has_list(store, 0));
	expect_run(test, store, 0, 149, 3000, 100);
	expect_run(test, store, 100, 149, 9000, 50);
	expect_run(test, store, 200, 299, 3200, 100);

	put(test, store, 120, 1, 1);
	expect_run(test, store, 100, 149, 9000, 20);
	expect_run(test, store, 120, 149, 1, 1);
	expect_run(test, store, 121, 149, 9021, 29);
	expect_run(test, store, 99, 149, 3099, 1);
	store_end(test, store);
}

static void low_pfns_are_kept(struct kunit *test)
{
	struct pin_store *store = store_new(test, 2 * CHUNK);

	/* Index 0 of this chunk would have a PFN below 0 */
	put(test, store, CHUNK - 1, 0, 1);
	expect_run(test, store, CHUNK - 1, CHUNK - 1, 0, 1);
	KUNIT_EXPECT_FALSE(test, has_list(store, 0));
	put(test, store, 0, 77, 3);
	KUNIT_EXPECT_TRUE(test, has_list(store, 0));
	expect_run(test, store, CHUNK - 1, CHUNK - 1, 0, 1);
	expect_run(test, store, 0, 2, 77, 3);

	put(test, store, CHUNK + 300, 3, 5);
	expect_run(test, store, CHUNK + 300, CHUNK + 304, 3, 5);
	put(test, store, CHUNK, 0, 1);
	expect_run(test, store, CHUNK, CHUNK, 0, 1);
	expect_run(test, store, CHUNK + 302, CHUNK + 304, 5, 3);
	store_end(test, store);
}

static void high_pfns_are_kept(struct kunit *test)
{
	const unsigned long high = 1UL << 46;
	struct pin_store *store = store_new(test, CHUNK);

	put(test, store, 0, high, CHUNK);
	expect_run(test, store, 7, CHUNK - 1, high + 7, CHUNK - 7);
	put(test, store, 3, 2 * high, 1);
	expect_run(test, store, 2, CHUNK - 1, high + 2, 1);
	expect_run(test, store, 3, CHUNK - 1, 2 * high, 1);
	expect_run(test, store, 4, CHUNK - 1, high + 4, CHUNK - 4);
	store_end(test, store);
}

static void run_crosses_into_high_pfns(struct kunit *test)
{
	const unsigned long border = 1UL << 32;
	struct pin_store *store = store_new(test, 2 * CHUNK);

	/* The first run needs no high bits until what is behind page 200 becomes a run of its own */
	put(test, store, 0, border - 100, CHUNK);
	put(test, store, 190, 50, 10);
	expect_run(test, store, 0, CHUNK - 1, border - 100, 190);
	expect_run(test, store, 190, CHUNK - 1, 50, 10);
	expect_run(test, store, 200, CHUNK - 1, border + 100, CHUNK - 200);

	/* A list of low ones gets a high one */
	put(test, store, CHUNK, 1000, CHUNK);
	put(test, store, CHUNK + 10, 5000, 10);
	put(test, store, CHUNK + 30, border + 7, 10);
	put(test, store, CHUNK + 50, 9000, 10);
	expect_run(test, store, CHUNK, 2 * CHUNK - 1, 1000, 10);
	expect_run(test, store, CHUNK + 10, 2 * CHUNK - 1, 5000, 10);
	expect_run(test, store, CHUNK + 20, 2 * CHUNK - 1, 1020, 10);
	expect_run(test, store, CHUNK + 30, 2 * CHUNK - 1, border + 7, 10);
	expect_run(test, store, CHUNK + 40, 2 * CHUNK - 1, 1040, 10);
	expect_run(test, store, CHUNK + 50, 2 * CHUNK - 1, 9000, 10);
	expect_run(test, store, CHUNK + 60, 2 * CHUNK - 1, 1060, CHUNK - 60);
	store_end(test, store);
}

static void put_over_many_runs_replaces_them(struct kunit *test)
{
	struct pin_store *store = store_new(test, CHUNK);
	unsigned long i;

	for (i = 0; i < CHUNK; i++)
		put(test, store, i, 2 * i, 1);
	for (i = 0; i < CHUNK; i++)
		expect_run(test, store, i, CHUNK - 1, 2 * i, 1);
	put(test, store, 100, 8000, 300);
	expect_run(test, store, 99, CHUNK - 1, 2 * 99, 1);
	expect_run(test, store, 100, CHUNK - 1, 8000, 300);
	expect_run(test, store, 150, CHUNK - 1, 8050, 250);
	for (i = 400; i < CHUNK; i++)
		expect_run(test, store, i, CHUNK - 1, 2 * i, 1);
	put(test, store, 0, 8000 - 100, 100);
	expect_run(test, store, 0, CHUNK - 1, 8000 - 100, 400);
	put(test, store, 400, 8300, CHUNK - 400);
	expect_run(test, store, 0, CHUNK - 1, 8000 - 100, CHUNK);
	store_end(test, store);
}

static void last_chunk_is_as_short_as_the_source(struct kunit *test)
{
	struct pin_store *store = store_new(test, CHUNK + 3);

	put(test, store, 0, 400, CHUNK + 3);
	expect_run(test, store, 0, CHUNK + 2, 400, CHUNK + 3);
	put(test, store, CHUNK + 2, 8, 1);
	KUNIT_EXPECT_TRUE(test, has_list(store, 1));
	expect_run(test, store, 0, CHUNK + 2, 400, CHUNK + 2);
	expect_run(test, store, CHUNK + 2, CHUNK + 2, 8, 1);
	pin_store_drop(store, CHUNK, CHUNK + 2);
	KUNIT_EXPECT_NULL(test, entry(store, 1));
	expect_run(test, store, 0, CHUNK - 1, 400, CHUNK);
	store_end(test, store);
}

static void drop_keeps_chunks_that_reach_over(struct kunit *test)
{
	struct pin_store *store = store_new(test, 4 * CHUNK + 10);
	unsigned long nr;

	for (nr = 0; nr < 4; nr++)
		put(test, store, nr * CHUNK, 1000 * (nr + 1), CHUNK);
	put(test, store, 4 * CHUNK, 5000, 10);

	pin_store_drop(store, 1, 3 * CHUNK - 2);
	KUNIT_EXPECT_NULL(test, entry(store, 1));
	expect_run(test, store, 0, 0, 1000, 1);
	expect_run(test, store, 3 * CHUNK - 1, 3 * CHUNK - 1, 3000 + CHUNK - 1, 1);

	/* Less than one chunk, at either end and in the middle: nothing goes */
	pin_store_drop(store, 2 * CHUNK, 3 * CHUNK - 2);
	pin_store_drop(store, 2 * CHUNK + 1, 3 * CHUNK - 1);
	pin_store_drop(store, 2 * CHUNK + 5, 2 * CHUNK + 6);
	pin_store_drop(store, 4 * CHUNK, 4 * CHUNK + 8);
	pin_store_drop(store, 4 * CHUNK + 1, 4 * CHUNK + 9);
	KUNIT_EXPECT_NOT_NULL(test, entry(store, 2));
	KUNIT_EXPECT_NOT_NULL(test, entry(store, 4));

	pin_store_drop(store, 2 * CHUNK, 3 * CHUNK - 1);
	KUNIT_EXPECT_NULL(test, entry(store, 2));
	KUNIT_EXPECT_NOT_NULL(test, entry(store, 3));
	pin_store_drop(store, 0, 4 * CHUNK + 9);
	KUNIT_EXPECT_TRUE(test, !store->pages);
	store_end(test, store);
}

static void one_run_is_forgotten_from_both_ends(struct kunit *test)
{
	struct pin_store *store = store_new(test, 6 * CHUNK);

	put(test, store, CHUNK, 1000, 4 * CHUNK);
	pin_store_drop(store, 0, 2 * CHUNK - 1);
	expect_run(test, store, 2 * CHUNK, 5 * CHUNK - 1, 1000 + CHUNK, 3 * CHUNK);
	pin_store_drop(store, 4 * CHUNK, 6 * CHUNK - 1);
	expect_run(test, store, 2 * CHUNK, 4 * CHUNK - 1, 1000 + CHUNK, 2 * CHUNK);
	pin_store_drop(store, 2 * CHUNK, 4 * CHUNK - 1);
	KUNIT_EXPECT_NULL(test, store->pages);

	/* The same where there is something else, too */
	put(test, store, CHUNK, 1000, 2 * CHUNK);
	put(test, store, 3 * CHUNK, 1, CHUNK);
	pin_store_drop(store, CHUNK, 2 * CHUNK - 1);
	expect_run(test, store, 2 * CHUNK, 4 * CHUNK - 1, 1000 + CHUNK, CHUNK);
	pin_store_drop(store, 3 * CHUNK, 4 * CHUNK - 1);
	expect_run(test, store, 2 * CHUNK, 3 * CHUNK - 1, 1000 + CHUNK, CHUNK);
	pin_store_drop(store, 2 * CHUNK, 3 * CHUNK - 1);
	KUNIT_EXPECT_NULL(test, store->pages);
	store_end(test, store);
}

static void kept_chunk_takes_new_values(struct kunit *test)
{
	struct pin_store *store = store_new(test, CHUNK);

	put(test, store, 0, 100, 20);
	pin_store_drop(store, 0, 9);
	put(test, store, 0, 700, 10);
	expect_run(test, store, 0, 19, 700, 10);
	expect_run(test, store, 10, 19, 110, 10);
	store_end(test, store);
}

/* What memory of some shape costs, from the counters of the slab allocator */

static const struct shape {
	const char *name;
	unsigned long chunks;	/* so many that the lag of the counters does not matter */
	unsigned long run;	/* pages that follow each other in physical memory; 0: all do */
	unsigned long shift;	/* pages before the first whole run */
	unsigned long high;	/* added to every second PFN */
} shapes[] = {
	{ "every page by itself", 4096, 1, 0, 0 },
	{ "every page by itself, PFNs of 32 and of 41 bits", 4096, 1, 0, 1UL << 40 },
	{ "pairs of pages", 4096, 2, 0, 0 },
	{ "runs of 16 pages", 16384, 16, 0, 0 },
	{ "huge pages of 2 MiB, user address not aligned to 2 MiB", 65536, CHUNK, 100, 0 },
	{ "huge pages of 2 MiB, user address aligned to 2 MiB", 65536, CHUNK, 0, 0 },
	{ "contiguous", 65536, 0, 0, 0 },
};

static long slab_pages(void)
{
	return global_node_page_state_pages(NR_SLAB_UNRECLAIMABLE_B) +
	       global_node_page_state_pages(NR_SLAB_RECLAIMABLE_B);
}

static void memory_is_what_the_runs_cost(struct kunit *test)
{
	/* A kernel that looks for misuse of memory puts something around every object: nothing to be measured there */
	const bool checks = IS_ENABLED(CONFIG_SLUB_DEBUG_ON) || IS_ENABLED(CONFIG_KASAN);
	const struct shape *s;

	/* What earlier cases freed may still wait for RCU, and be missing in the counters for a second */
	msleep(2000);
	for (s = shapes; s < shapes + ARRAY_SIZE(shapes); s++) {
		unsigned long npages = (checks ? s->chunks / 64 : s->chunks) * CHUNK;
		struct pin_store *store = store_new(test, npages);
		long used, before = slab_pages();
		unsigned long index, n, k;

		for (index = 0, k = 0; index < npages; index += n, k++) {
			n = min(index || !s->shift ? s->run : s->shift, npages - index);
			if (!n)
				n = npages;
			put(test, store, index, 2 * index + (k & 1) * s->high, n);
			cond_resched();
		}
		used = slab_pages() - before;
		kunit_info(test, "%ld bytes for 1000 pages: %s", used * (long)PAGE_SIZE * 1000 / (long)npages, s->name);
		if (!checks)
			KUNIT_EXPECT_LE(test, used * (long)PAGE_SIZE, 8 * (long)npages);
		store_end(test, store);
		rcu_barrier();
	}
}

static struct kunit_case pin_store_cases[] = {
	KUNIT_CASE(contiguous_source_allocates_nothing),
	KUNIT_CASE(becoming_a_table_keeps_the_others),
	KUNIT_CASE(whole_chunk_that_is_put_again_is_no_list),
	KUNIT_CASE(batch_is_put_and_got_at_once),
	KUNIT_CASE(whole_chunks_are_put_and_got_at_once),
	KUNIT_CASE(old_run_shows_between_new_entries),
	KUNIT_CASE(batches_fill_a_chunk),
	KUNIT_CASE(run_is_cut_at_last),
	KUNIT_CASE(run_goes_on_across_chunks),
	KUNIT_CASE(run_ends_where_the_next_chunk_is_elsewhere),
	KUNIT_CASE(becoming_a_list_keeps_the_others),
	KUNIT_CASE(low_pfns_are_kept),
	KUNIT_CASE(high_pfns_are_kept),
	KUNIT_CASE(run_crosses_into_high_pfns),
	KUNIT_CASE(put_over_many_runs_replaces_them),
	KUNIT_CASE(last_chunk_is_as_short_as_the_source),
	KUNIT_CASE(drop_keeps_chunks_that_reach_over),
	KUNIT_CASE(one_run_is_forgotten_from_both_ends),
	KUNIT_CASE(kept_chunk_takes_new_values),
	KUNIT_CASE(memory_is_what_the_runs_cost),
	{}
};

static struct kunit_suite pin_store_suite = {
	.name = "pin_store",
	.test_cases = pin_store_cases,
};

kunit_test_suite(pin_store_suite);
