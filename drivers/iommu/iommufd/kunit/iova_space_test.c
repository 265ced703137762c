// SPDX-License-Identifier: GPL-2.0-only
/* KUnit suite of iova_space: directed cases; iova_space_model.c does random steps. */
#include <kunit/test.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "../iova_space.h"
#include "model.h"
#include "scale.h"

#define P PAGE_SIZE
#define TOP(pages) (0UL - (pages) * P)

static struct iova_space *space_new(struct kunit *test)
{
	struct iova_space *space = kunit_kzalloc(test, sizeof(*space), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, space);
	iova_space_init(space);
	down_write(&space->rwsem);
	return space;
}

static void space_end(struct iova_space *space)
{
	struct iova_claim *claim;

	while ((claim = iova_space_first(space, 0, ULONG_MAX)))
		iova_space_unclaim(space, claim);
	up_write(&space->rwsem);
	iova_space_destroy(space);
}

#define ASSERT_TREE(test, space) do { \
	const char *fault = iova_space_fault(space); \
	KUNIT_ASSERT_NULL_MSG(test, fault, "%s", fault); \
} while (0)

static struct iova_claim *claim_range(struct kunit *test, struct iova_space *space, unsigned long start,
				      unsigned long last)
{
	struct iova_claim *claim = kunit_kzalloc(test, sizeof(*claim), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, claim);
	KUNIT_ASSERT_EQ(test, iova_space_claim(space, claim, start, last), 0);
	ASSERT_TREE(test, space);
	return claim;
}

static void expect_found(struct kunit *test, struct iova_space *space, unsigned long length, unsigned long align,
			 unsigned long expected)
{
	unsigned long start = 1;

	KUNIT_EXPECT_EQ(test, iova_space_find(space, length, align, &start), 0);
	KUNIT_EXPECT_EQ(test, start, expected);
}

static void expect_no_room(struct kunit *test, struct iova_space *space, unsigned long length, unsigned long align)
{
	unsigned long start;

	KUNIT_EXPECT_EQ(test, iova_space_find(space, length, align, &start), -ENOSPC);
}

static void allow_range(struct kunit *test, struct iova_space *space, unsigned long start, unsigned long last)
{
	struct rb_root_cached windows = RB_ROOT_CACHED;

	KUNIT_ASSERT_EQ(test, iova_window_add(&windows, start, last), 0);
	KUNIT_ASSERT_EQ(test, iova_space_allow(space, &windows), 0);
	iova_window_clear(&windows);
}

static void claim_refuses_overlap(struct kunit *test)
{
	struct iova_space *space = space_new(test);
	struct iova_claim *taken = claim_range(test, space, 10 * P, 20 * P - 1);
	struct iova_claim other;

	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &other, 10 * P, 20 * P - 1), -EEXIST);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &other, 12 * P, 13 * P - 1), -EEXIST);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &other, 9 * P, 21 * P - 1), -EEXIST);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &other, 9 * P, 10 * P), -EEXIST);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &other, 20 * P - 1, 30 * P - 1), -EEXIST);
	KUNIT_EXPECT_PTR_EQ(test, iova_space_first(space, 0, ULONG_MAX), taken);
	KUNIT_EXPECT_NULL(test, iova_space_next(taken, ULONG_MAX));
	ASSERT_TREE(test, space);

	/* Neighbours do not overlap */
	claim_range(test, space, 9 * P, 10 * P - 1);
	claim_range(test, space, 20 * P, 21 * P - 1);
	space_end(space);
}

static void unclaimed_range_can_be_claimed_again(struct kunit *test)
{
	struct iova_space *space = space_new(test);
	struct iova_claim *low = claim_range(test, space, 1 * P, 2 * P - 1);
	struct iova_claim *middle = claim_range(test, space, 2 * P, 5 * P - 1);
	struct iova_claim *high = claim_range(test, space, 5 * P, 6 * P - 1);

	iova_space_unclaim(space, middle);
	ASSERT_TREE(test, space);
	KUNIT_EXPECT_EQ(test, high->hole, 3 * P);
	claim_range(test, space, 2 * P, 5 * P - 1);
	KUNIT_EXPECT_EQ(test, high->hole, 0UL);
	iova_space_unclaim(space, low);
	ASSERT_TREE(test, space);
	iova_space_unclaim(space, high);
	ASSERT_TREE(test, space);
	space_end(space);
}

static void claim_refuses_reserved(struct kunit *test)
{
	struct iova_space *space = space_new(test);
	struct iova_claim claim;

	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, test, 10 * P, 20 * P - 1), 0);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 10 * P, 20 * P - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 12 * P, 13 * P - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 0, ULONG_MAX), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 9 * P, 10 * P), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 20 * P - 1, 20 * P), -EINVAL);
	KUNIT_EXPECT_NULL(test, iova_space_first(space, 0, ULONG_MAX));
	claim_range(test, space, 9 * P, 10 * P - 1);
	claim_range(test, space, 20 * P, 21 * P - 1);
	space_end(space);
}

static void claim_refuses_unaligned(struct kunit *test)
{
	struct iova_space *space = space_new(test);
	struct iova_claim claim;

	claim_range(test, space, 1, 1);
	space->alignment = P;
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 2 * P + 1, 3 * P - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 2 * P, 3 * P - 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 2 * P, 3 * P), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 2 * P + P / 2, 3 * P + P / 2 - 1), -EINVAL);
	claim_range(test, space, 2 * P, 3 * P - 1);
	claim_range(test, space, TOP(1), ULONG_MAX);
	space_end(space);
}

static void claim_reaches_both_ends(struct kunit *test)
{
	struct iova_space *space = space_new(test);
	struct iova_claim *all = claim_range(test, space, 0, ULONG_MAX);
	struct iova_claim other;

	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &other, 0, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &other, ULONG_MAX, ULONG_MAX), -EEXIST);
	expect_no_room(test, space, P, 1);
	iova_space_unclaim(space, all);

	claim_range(test, space, 0, P - 1);
	claim_range(test, space, TOP(1), ULONG_MAX);
	expect_found(test, space, P, 1, P);
	space_end(space);
}

static void claim_may_leave_the_windows(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	allow_range(test, space, 10 * P, 20 * P - 1);
	claim_range(test, space, 5 * P, 12 * P - 1);
	claim_range(test, space, 40 * P, 41 * P - 1);
	space_end(space);
}

static void first_and_next_walk_a_range(struct kunit *test)
{
	struct iova_space *space = space_new(test);
	struct iova_claim *c = claim_range(test, space, 30 * P, 31 * P - 1);
	struct iova_claim *a = claim_range(test, space, 10 * P, 11 * P - 1);
	struct iova_claim *b = claim_range(test, space, 20 * P, 21 * P - 1);

	KUNIT_EXPECT_PTR_EQ(test, iova_space_first(space, 0, ULONG_MAX), a);
	KUNIT_EXPECT_PTR_EQ(test, iova_space_next(a, ULONG_MAX), b);
	KUNIT_EXPECT_PTR_EQ(test, iova_space_next(b, ULONG_MAX), c);
	KUNIT_EXPECT_NULL(test, iova_space_next(c, ULONG_MAX));

	/* Touching one byte of a claim is enough, touching none is not */
	KUNIT_EXPECT_PTR_EQ(test, iova_space_first(space, 11 * P - 1, 15 * P), a);
	KUNIT_EXPECT_PTR_EQ(test, iova_space_first(space, 11 * P, 20 * P), b);
	KUNIT_EXPECT_NULL(test, iova_space_first(space, 11 * P, 20 * P - 1));
	KUNIT_EXPECT_NULL(test, iova_space_first(space, 31 * P, ULONG_MAX));
	KUNIT_EXPECT_PTR_EQ(test, iova_space_next(a, 20 * P), b);
	KUNIT_EXPECT_NULL(test, iova_space_next(a, 20 * P - 1));
	space_end(space);
}

static void find_takes_the_lowest_address(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	expect_found(test, space, 3 * P, 1, P);
	claim_range(test, space, 0, 10 * P - 1);
	claim_range(test, space, 12 * P, 20 * P - 1);
	claim_range(test, space, 23 * P, 30 * P - 1);
	claim_range(test, space, 40 * P, 50 * P - 1);
	expect_found(test, space, 1 * P, 1, 10 * P);
	expect_found(test, space, 2 * P, 1, 10 * P);
	expect_found(test, space, 2 * P + 1, 1, 20 * P);
	expect_found(test, space, 3 * P, 1, 20 * P);
	expect_found(test, space, 4 * P, 1, 30 * P);
	expect_found(test, space, 10 * P, 1, 30 * P);
	expect_found(test, space, 10 * P + 1, 1, 50 * P);
	space_end(space);
}

static void find_obeys_alignment(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	claim_range(test, space, 0, 9 * P - 1);
	claim_range(test, space, 40 * P, 41 * P - 1);
	expect_found(test, space, 2 * P, 4 * P, 12 * P);
	expect_found(test, space, 8 * P, 16 * P, 16 * P);
	expect_found(test, space, 25 * P, 16 * P, 48 * P);
	expect_found(test, space, P, 1UL << 40, 1UL << 40);

	/* The space's own alignment counts when it is the larger one */
	claim_range(test, space, 9 * P, 9 * P + 15);
	expect_found(test, space, 16, 1, 9 * P + 16);
	space->alignment = P;
	expect_found(test, space, P, 1, 10 * P);
	space_end(space);
}

static void find_never_takes_page_0(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	claim_range(test, space, 2 * P, ULONG_MAX);
	expect_no_room(test, space, 2 * P, 1);
	expect_found(test, space, P, 1, P);
	claim_range(test, space, P, 2 * P - 1);
	expect_no_room(test, space, P, 1);
	expect_no_room(test, space, 1, 1);
	space_end(space);
}

static void find_never_takes_the_last_page(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	claim_range(test, space, 0, TOP(2) - 1);
	expect_no_room(test, space, 2 * P, 1);
	expect_found(test, space, P, 1, TOP(2));
	claim_range(test, space, TOP(2), TOP(1) - 1);
	expect_no_room(test, space, P, 1);
	expect_no_room(test, space, 1, 1);
	space_end(space);
}

static void find_near_the_top_does_not_wrap(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	expect_no_room(test, space, ULONG_MAX, 1);
	expect_no_room(test, space, ULONG_MAX, 1UL << 63);
	expect_no_room(test, space, TOP(1), P);
	expect_found(test, space, TOP(2), 1, P);
	expect_found(test, space, 1UL << 62, 1UL << 63, 1UL << 63);

	claim_range(test, space, 0, TOP(16));
	expect_no_room(test, space, P, 32 * P);
	expect_no_room(test, space, P, 1UL << 63);
	expect_found(test, space, P, 8 * P, TOP(8));
	expect_no_room(test, space, 8 * P, 8 * P);
	space_end(space);
}

static void find_uses_a_tight_hole_when_there_is_no_other(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	claim_range(test, space, 0, 3 * P - 1);
	claim_range(test, space, 7 * P, 8 * P - 1);
	claim_range(test, space, 12 * P, 13 * P - 1);
	claim_range(test, space, 17 * P, ULONG_MAX);

	/* Three holes of four pages, at 3, 8 and 13: only one begins where it must */
	expect_found(test, space, 4 * P, 4 * P, 8 * P);
	claim_range(test, space, 8 * P, 9 * P - 1);
	expect_no_room(test, space, 4 * P, 4 * P);
	expect_found(test, space, P, 4 * P, 4 * P);
	space_end(space);
}

static void find_takes_a_hole_that_fits_exactly(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	space->alignment = P;
	claim_range(test, space, P, 10 * P - 1);
	claim_range(test, space, 12 * P, 20 * P - 1);
	expect_found(test, space, 2 * P, 1, 10 * P);
	expect_found(test, space, 2 * P, P, 10 * P);
	/* Not where it might not be aligned, unless there is nothing else */
	expect_found(test, space, 2 * P, 2 * P, 20 * P);
	expect_found(test, space, P, 2 * P, 10 * P);
	space_end(space);
}

static void find_goes_on_behind_windows_without_room(struct kunit *test)
{
	struct rb_root_cached windows = RB_ROOT_CACHED;
	struct iova_space *space = space_new(test);
	unsigned long i;

	for (i = 1; i <= 10; i++)
		KUNIT_ASSERT_EQ(test, iova_window_add(&windows, 10 * i * P, 10 * i * P + 3 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_space_allow(space, &windows), 0);
	/* All of the first windows and what is between them, of the others no more than two pages are left */
	claim_range(test, space, P, 52 * P - 1);
	for (i = 6; i <= 9; i++)
		claim_range(test, space, 10 * i * P, 10 * i * P + P - 1);
	expect_found(test, space, P, 1, 52 * P);
	expect_found(test, space, 2 * P, 1, 61 * P);
	expect_found(test, space, 3 * P, 1, 100 * P);
	expect_found(test, space, P, 8 * P, 72 * P);
	expect_no_room(test, space, P, 64 * P);
	space_end(space);
}

static void find_skips_a_reserved_range_in_a_hole(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	claim_range(test, space, 0, 10 * P - 1);
	claim_range(test, space, 30 * P, 40 * P - 1);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, test, 12 * P, 14 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, test, 13 * P, 16 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, test, 28 * P, 29 * P - 1), 0);
	expect_found(test, space, 2 * P, 1, 10 * P);
	expect_found(test, space, 3 * P, 1, 16 * P);
	expect_found(test, space, 12 * P, 1, 16 * P);
	expect_found(test, space, 12 * P, 4 * P, 16 * P);
	expect_found(test, space, 13 * P, 1, 40 * P);
	expect_found(test, space, 12 * P, 32 * P, 64 * P);

	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, test, 45 * P, ULONG_MAX), 0);
	expect_found(test, space, 5 * P, 1, 16 * P);
	expect_no_room(test, space, 13 * P, 1);
	space_end(space);
}

static void find_stays_inside_one_window(struct kunit *test)
{
	struct rb_root_cached windows = RB_ROOT_CACHED;
	struct iova_space *space = space_new(test);

	KUNIT_ASSERT_EQ(test, iova_window_add(&windows, 30 * P, 39 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_window_add(&windows, 10 * P, 14 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_space_allow(space, &windows), 0);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, test, 20 * P, 22 * P - 1), 0);
	/* The hole in which both windows are reaches further than they do */
	claim_range(test, space, 60 * P, 61 * P - 1);
	expect_found(test, space, 4 * P, 1, 10 * P);
	expect_found(test, space, 5 * P, 1, 30 * P);
	expect_found(test, space, 9 * P, 1, 30 * P);
	expect_no_room(test, space, 10 * P, 1);
	expect_found(test, space, P, 8 * P, 32 * P);
	expect_no_room(test, space, P, 64 * P);

	/* Claims at the edges of a window, and over one */
	claim_range(test, space, 5 * P, 12 * P - 1);
	claim_range(test, space, 13 * P, 20 * P - 1);
	claim_range(test, space, 22 * P, 30 * P - 1);
	expect_found(test, space, P, 1, 12 * P);
	expect_found(test, space, 2 * P, 1, 30 * P);
	claim_range(test, space, 12 * P, 13 * P - 1);
	claim_range(test, space, 30 * P, 39 * P - 1);
	expect_no_room(test, space, 1, 1);
	space_end(space);
}

static void find_never_takes_the_edge_pages_of_a_window_over_all(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	allow_range(test, space, 0, P - 1);
	expect_no_room(test, space, 1, 1);
	allow_range(test, space, TOP(1), ULONG_MAX);
	expect_no_room(test, space, 1, 1);
	allow_range(test, space, 0, ULONG_MAX);
	expect_found(test, space, P, 1, P);
	expect_found(test, space, TOP(2), 1, P);
	space_end(space);
}

static void reserve_refuses_what_is_used_or_promised(struct kunit *test)
{
	struct iova_space *space = space_new(test);

	claim_range(test, space, 10 * P, 11 * P - 1);
	allow_range(test, space, 20 * P, 21 * P - 1);
	KUNIT_EXPECT_EQ(test, iova_space_reserve(space, test, 10 * P, 10 * P), -EADDRINUSE);
	KUNIT_EXPECT_EQ(test, iova_space_reserve(space, test, 5 * P, 10 * P), -EADDRINUSE);
	KUNIT_EXPECT_EQ(test, iova_space_reserve(space, test, 21 * P - 1, 30 * P), -EADDRINUSE);
	KUNIT_EXPECT_EQ(test, iova_space_reserve(space, test, 0, ULONG_MAX), -EADDRINUSE);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&space->reserved.rb_root));
	KUNIT_EXPECT_EQ(test, iova_space_reserve(space, test, 11 * P, 20 * P - 1), 0);
	space_end(space);
}

static void unreserve_drops_what_one_owner_has(struct kunit *test)
{
	struct iova_space *space = space_new(test);
	int one, two, nobody;
	struct iova_claim claim;

	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, &one, 10 * P, 20 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, &two, 10 * P, 15 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, &one, 10 * P, 12 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, &one, 30 * P, 31 * P - 1), 0);
	iova_space_unreserve(space, &nobody);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 19 * P, 20 * P - 1), -EINVAL);
	iova_space_unreserve(space, &one);
	claim_range(test, space, 15 * P, 20 * P - 1);
	claim_range(test, space, 30 * P, 31 * P - 1);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 14 * P, 15 * P - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_space_claim(space, &claim, 10 * P, 11 * P - 1), -EINVAL);
	iova_space_unreserve(space, &two);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&space->reserved.rb_root));
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&space->owners));
	claim_range(test, space, 10 * P, 15 * P - 1);
	space_end(space);
}

static void allow_refused_over_reserved_changes_nothing(struct kunit *test)
{
	struct rb_root_cached windows = RB_ROOT_CACHED;
	struct iova_space *space = space_new(test);

	allow_range(test, space, 50 * P, 60 * P - 1);
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, test, 20 * P, 30 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_window_add(&windows, 5 * P, 10 * P - 1), 0);
	KUNIT_ASSERT_EQ(test, iova_window_add(&windows, 30 * P - 1, 40 * P - 1), 0);
	KUNIT_EXPECT_EQ(test, iova_space_allow(space, &windows), -EADDRINUSE);
	expect_found(test, space, P, 1, 50 * P);
	KUNIT_EXPECT_FALSE(test, RB_EMPTY_ROOT(&windows.rb_root));

	iova_space_unreserve(space, test);
	KUNIT_EXPECT_EQ(test, iova_space_allow(space, &windows), 0);
	expect_found(test, space, P, 1, 5 * P);
	iova_window_clear(&windows);
	space_end(space);
}

static void allow_hands_back_the_old_windows(struct kunit *test)
{
	struct rb_root_cached windows = RB_ROOT_CACHED;
	struct iova_space *space = space_new(test);
	struct interval_tree_node *old;

	allow_range(test, space, 10 * P, 20 * P - 1);
	KUNIT_ASSERT_EQ(test, iova_space_allow(space, &windows), 0);
	old = interval_tree_iter_first(&windows, 0, ULONG_MAX);
	KUNIT_ASSERT_NOT_NULL(test, old);
	KUNIT_EXPECT_EQ(test, old->start, 10 * P);
	iova_window_clear(&windows);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&windows.rb_root));

	/* No window at all: everywhere, and reserving is free again */
	expect_found(test, space, P, 1, P);
	KUNIT_EXPECT_EQ(test, iova_space_reserve(space, test, 10 * P, 20 * P - 1), 0);
	space_end(space);
}

static void windows_may_not_overlap_or_be_upside_down(struct kunit *test)
{
	struct rb_root_cached windows = RB_ROOT_CACHED;

	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 2, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 1, 1), -EINVAL);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&windows.rb_root));
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 10 * P, 20 * P - 1), 0);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 10 * P, 20 * P - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 5 * P, 10 * P), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 20 * P - 1, 30 * P), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 12 * P, 13 * P), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 0, ULONG_MAX), -EINVAL);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 20 * P, ULONG_MAX), 0);
	KUNIT_EXPECT_EQ(test, iova_window_add(&windows, 0, 10 * P - 1), 0);
	iova_window_clear(&windows);
}

static unsigned int depth(struct rb_node *node)
{
	return node ? 1 + max(depth(node->rb_left), depth(node->rb_right)) : 0;
}

static void many_claims_fill_in_order_and_stay_balanced(struct kunit *test)
{
	const unsigned long num = SCALED(100000);
	struct iova_space *space = space_new(test);
	struct iova_claim *claims;
	unsigned long start, i;

	claims = kvcalloc(num, sizeof(*claims), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, claims);
	for (i = 0; i < num; i++) {
		if (iova_space_find(space, P, 1, &start) || start != (i + 1) * P ||
		    iova_space_claim(space, &claims[i], start, start + P - 1))
			break;
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, i, num);
	KUNIT_EXPECT_LE(test, depth(space->claims.rb_root.rb_node), 2U * (ilog2(num) + 1));

	/* Every third goes; what is looked for afterwards goes there, lowest hole first */
	for (i = 0; i < num; i += 3)
		iova_space_unclaim(space, &claims[i]);
	KUNIT_EXPECT_NULL(test, iova_space_fault(space));
	for (i = 0; i < num; i += 3) {
		if (iova_space_find(space, P, 1, &start) || start != (i + 1) * P ||
		    iova_space_claim(space, &claims[i], start, start + P - 1))
			break;
		cond_resched();
	}
	KUNIT_EXPECT_GE(test, i, num);
	KUNIT_EXPECT_NULL(test, iova_space_fault(space));
	space_end(space);
	kvfree(claims);
}

static struct kunit_case iova_space_cases[] = {
	KUNIT_CASE(claim_refuses_overlap),
	KUNIT_CASE(unclaimed_range_can_be_claimed_again),
	KUNIT_CASE(claim_refuses_reserved),
	KUNIT_CASE(claim_refuses_unaligned),
	KUNIT_CASE(claim_reaches_both_ends),
	KUNIT_CASE(claim_may_leave_the_windows),
	KUNIT_CASE(first_and_next_walk_a_range),
	KUNIT_CASE(find_takes_the_lowest_address),
	KUNIT_CASE(find_obeys_alignment),
	KUNIT_CASE(find_never_takes_page_0),
	KUNIT_CASE(find_never_takes_the_last_page),
	KUNIT_CASE(find_near_the_top_does_not_wrap),
	KUNIT_CASE(find_uses_a_tight_hole_when_there_is_no_other),
	KUNIT_CASE(find_takes_a_hole_that_fits_exactly),
	KUNIT_CASE(find_goes_on_behind_windows_without_room),
	KUNIT_CASE(find_skips_a_reserved_range_in_a_hole),
	KUNIT_CASE(find_stays_inside_one_window),
	KUNIT_CASE(find_never_takes_the_edge_pages_of_a_window_over_all),
	KUNIT_CASE(reserve_refuses_what_is_used_or_promised),
	KUNIT_CASE(unreserve_drops_what_one_owner_has),
	KUNIT_CASE(allow_refused_over_reserved_changes_nothing),
	KUNIT_CASE(allow_hands_back_the_old_windows),
	KUNIT_CASE(windows_may_not_overlap_or_be_upside_down),
	KUNIT_CASE(many_claims_fill_in_order_and_stay_balanced),
	{}
};

static struct kunit_suite iova_space_suite = {
	.name = "iova_space",
	.test_cases = iova_space_cases,
};

kunit_test_suite(iova_space_suite);
