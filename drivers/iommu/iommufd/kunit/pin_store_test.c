// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of pin_store: directed cases, then random puts and drops against a plain array. Like the room above, the
 * random test only looks at what it put and did not drop since.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/sched.h>

#include "../pin_store.h"
#include "scale.h"

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
	KUNIT_EXPECT_TRUE(test, xa_empty(&store->chunks));
}

static void put(struct kunit *test, struct pin_store *store, unsigned long index, unsigned long pfn,
		unsigned long npages)
{
	KUNIT_ASSERT_EQ(test, pin_store_put(store, index, pfn, npages), 0);
}

static void expect_run(struct kunit *test, struct pin_store *store, unsigned long index, unsigned long last,
		       unsigned long pfn, unsigned long npages)
{
	unsigned long found = 0;

	KUNIT_EXPECT_EQ(test, pin_store_run(store, index, last, &found), npages);
	KUNIT_EXPECT_EQ(test, found, pfn);
}

static bool is_array(struct pin_store *store, unsigned long nr)
{
	void *chunk = xa_load(&store->chunks, nr);

	return chunk && !xa_is_value(chunk);
}

static void small_contiguous_source_allocates_nothing(struct kunit *test)
{
	struct pin_store *store = store_new(test, CHUNK);

	put(test, store, 0, 1000, 10);
	put(test, store, 10, 1010, CHUNK - 10);
	/* The whole table is one number: no node, no array */
	KUNIT_EXPECT_TRUE(test, xa_is_value(rcu_access_pointer(store->chunks.xa_head)));
	expect_run(test, store, 0, CHUNK - 1, 1000, CHUNK);
	expect_run(test, store, CHUNK - 1, CHUNK - 1, 1000 + CHUNK - 1, 1);
	pin_store_drop(store, 0, CHUNK - 1);
	KUNIT_EXPECT_TRUE(test, xa_empty(&store->chunks));
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
	struct pin_store *store = store_new(test, 4 * CHUNK);

	put(test, store, 100, 7000, 3 * CHUNK);
	KUNIT_EXPECT_FALSE(test, is_array(store, 0) || is_array(store, 1) || is_array(store, 2) || is_array(store, 3));
	expect_run(test, store, 100, 3 * CHUNK + 99, 7000, 3 * CHUNK);
	expect_run(test, store, CHUNK + 5, 3 * CHUNK + 99, 7000 + CHUNK + 5 - 100, 2 * CHUNK + 95);

	/* An array in the middle that happens to be contiguous does not end a run; one that is not does */
	put(test, store, CHUNK + 50, 1, 1);
	KUNIT_EXPECT_TRUE(test, is_array(store, 1));
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

static void becoming_an_array_keeps_the_others(struct kunit *test)
{
	struct pin_store *store = store_new(test, CHUNK);

	put(test, store, 0, 3000, 100);
	put(test, store, 200, 3200, 100);
	KUNIT_EXPECT_FALSE(test, is_array(store, 0));
	put(test, store, 100, 9000, 50);
	KUNIT_EXPECT_TRUE(test, is_array(store, 0));
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
	KUNIT_EXPECT_FALSE(test, is_array(store, 0));
	put(test, store, 0, 77, 3);
	KUNIT_EXPECT_TRUE(test, is_array(store, 0));
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
	const unsigned long high = 1UL << 52;
	struct pin_store *store = store_new(test, CHUNK);

	put(test, store, 0, high, CHUNK);
	expect_run(test, store, 7, CHUNK - 1, high + 7, CHUNK - 7);
	put(test, store, 3, 2 * high, 1);
	expect_run(test, store, 3, CHUNK - 1, 2 * high, 1);
	expect_run(test, store, 4, CHUNK - 1, high + 4, CHUNK - 4);
	store_end(test, store);
}

static void last_chunk_is_as_short_as_the_source(struct kunit *test)
{
	struct pin_store *store = store_new(test, CHUNK + 3);

	put(test, store, 0, 400, CHUNK + 3);
	expect_run(test, store, 0, CHUNK + 2, 400, CHUNK + 3);
	put(test, store, CHUNK + 2, 8, 1);
	KUNIT_EXPECT_TRUE(test, is_array(store, 1));
	KUNIT_EXPECT_LE(test, ksize(xa_load(&store->chunks, 1)), (size_t)64);
	expect_run(test, store, 0, CHUNK + 2, 400, CHUNK + 2);
	expect_run(test, store, CHUNK + 2, CHUNK + 2, 8, 1);
	pin_store_drop(store, CHUNK, CHUNK + 2);
	KUNIT_EXPECT_NULL(test, xa_load(&store->chunks, 1));
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&store->chunks, 0));
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
	KUNIT_EXPECT_NULL(test, xa_load(&store->chunks, 1));
	expect_run(test, store, 0, 0, 1000, 1);
	expect_run(test, store, 3 * CHUNK - 1, 3 * CHUNK - 1, 3000 + CHUNK - 1, 1);

	/* Less than one chunk, at either end and in the middle: nothing goes */
	pin_store_drop(store, 2 * CHUNK, 3 * CHUNK - 2);
	pin_store_drop(store, 2 * CHUNK + 1, 3 * CHUNK - 1);
	pin_store_drop(store, 2 * CHUNK + 5, 2 * CHUNK + 6);
	pin_store_drop(store, 4 * CHUNK, 4 * CHUNK + 8);
	pin_store_drop(store, 4 * CHUNK + 1, 4 * CHUNK + 9);
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&store->chunks, 2));
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&store->chunks, 4));

	pin_store_drop(store, 2 * CHUNK, 3 * CHUNK - 1);
	KUNIT_EXPECT_NULL(test, xa_load(&store->chunks, 2));
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&store->chunks, 3));
	pin_store_drop(store, 0, 4 * CHUNK + 9);
	KUNIT_EXPECT_TRUE(test, xa_empty(&store->chunks));
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

/* The model: one PFN per index, and whether it means anything */

#define MODEL_PAGES (3 * CHUNK + 100)
#define MODEL_STEPS SCALED(20000)
#define CHECK_EVERY 10

struct model {
	struct rnd_state rnd;
	unsigned long pfn[MODEL_PAGES];
	bool covered[MODEL_PAGES];
};

static unsigned long pick(struct model *m, unsigned long n)
{
	return prandom_u32_state(&m->rnd) % n;
}

/* A range that is often short and often begins or ends at the border of a chunk */
static void pick_range(struct model *m, unsigned long *index, unsigned long *last)
{
	*index = pick(m, MODEL_PAGES);
	if (!pick(m, 4))
		*index = round_down(*index, CHUNK);
	*last = min(*index + pick(m, pick(m, 2) ? 8 : MODEL_PAGES), MODEL_PAGES - 1);
	if (!pick(m, 4))
		*last = min(round_up(*last + 1, CHUNK), MODEL_PAGES) - 1;
}

/* The next PFN: often the one that follows, sometimes where an earlier neighbour would go on, sometimes any */
static unsigned long pick_pfn(struct model *m, unsigned long index)
{
	if (index && pick(m, 3))
		return m->pfn[index - 1] + 1;
	if (!pick(m, 8))
		return pick(m, 4);
	return pick(m, 2) ? 4096 + index : pick(m, 1 << 20);
}

static void step_put(struct kunit *test, struct pin_store *store, struct model *m)
{
	unsigned long index, last, n, i, pfn;

	pick_range(m, &index, &last);
	for (; index <= last; index += n) {
		n = 1;
		if (m->covered[index])
			continue;
		pfn = pick_pfn(m, index);
		while (index + n <= last && !m->covered[index + n] && pick(m, 64))
			n++;
		KUNIT_ASSERT_EQ(test, pin_store_put(store, index, pfn, n), 0);
		for (i = 0; i < n; i++) {
			m->pfn[index + i] = pfn + i;
			m->covered[index + i] = true;
		}
	}
}

static void step_drop(struct kunit *test, struct pin_store *store, struct model *m)
{
	unsigned long index, last, nr;

	pick_range(m, &index, &last);
	pin_store_drop(store, index, last);
	memset(m->covered + index, false, last - index + 1);
	for (nr = 0; nr * CHUNK < MODEL_PAGES; nr++)
		if (index <= nr * CHUNK && last >= min((nr + 1) * CHUNK, MODEL_PAGES) - 1)
			KUNIT_ASSERT_NULL(test, xa_load(&store->chunks, nr));
}

/* Walk everything that is covered, run by run */
static void model_check(struct kunit *test, struct pin_store *store, struct model *m)
{
	unsigned long index, last, pfn, run, n;

	for (index = 0; index < MODEL_PAGES; index += n) {
		n = 1;
		if (!m->covered[index])
			continue;
		for (last = index; last + 1 < MODEL_PAGES && m->covered[last + 1]; last++)
			;
		for (run = 1; index + run <= last && m->pfn[index + run] == m->pfn[index] + run; run++)
			;
		n = pin_store_run(store, index, last, &pfn);
		KUNIT_ASSERT_EQ(test, pfn, m->pfn[index]);
		KUNIT_ASSERT_EQ(test, n, run);
	}
}

static void random_steps_agree_with_an_array(struct kunit *test)
{
	struct pin_store *store = store_new(test, MODEL_PAGES);
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	const u64 seed = 0x73746f7265;
	int step;

	KUNIT_ASSERT_NOT_NULL(test, m);
	kunit_info(test, "seed %#llx, %d steps", seed, MODEL_STEPS);
	prandom_seed_state(&m->rnd, seed);
	for (step = 0; step < MODEL_STEPS; step++) {
		if (pick(m, 2))
			step_put(test, store, m);
		else
			step_drop(test, store, m);
		if (step % CHECK_EVERY == 0)
			model_check(test, store, m);
		cond_resched();
	}
	store_end(test, store);
}

static struct kunit_case pin_store_cases[] = {
	KUNIT_CASE(small_contiguous_source_allocates_nothing),
	KUNIT_CASE(run_is_cut_at_last),
	KUNIT_CASE(run_goes_on_across_chunks),
	KUNIT_CASE(run_ends_where_the_next_chunk_is_elsewhere),
	KUNIT_CASE(becoming_an_array_keeps_the_others),
	KUNIT_CASE(low_pfns_are_kept),
	KUNIT_CASE(high_pfns_are_kept),
	KUNIT_CASE(last_chunk_is_as_short_as_the_source),
	KUNIT_CASE(drop_keeps_chunks_that_reach_over),
	KUNIT_CASE(kept_chunk_takes_new_values),
	KUNIT_CASE(random_steps_agree_with_an_array),
	{}
};

static struct kunit_suite pin_store_suite = {
	.name = "pin_store",
	.test_cases = pin_store_cases,
};

kunit_test_suite(pin_store_suite);
