// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of iova_space: directed cases, then random operations on a small stretch of addresses against an array
 * that has one entry per address unit. After every step the result and the whole augmented tree are checked.
 */
#include <kunit/test.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sched.h>

#include "../iova_space.h"
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

static unsigned long subtree_hole(struct rb_node *node)
{
	return node ? rb_entry(node, struct iova_claim, rb)->subtree_hole : 0;
}

/* What is wrong with the tree of claims, or NULL */
static const char *tree_fault(struct iova_space *space)
{
	struct rb_node *node = rb_first(&space->claims.rb_root);
	struct iova_claim *prev = NULL;

	if (space->claims.rb_leftmost != node)
		return "leftmost node is not the first one";
	for (; node; node = rb_next(node)) {
		struct iova_claim *claim = rb_entry(node, struct iova_claim, rb);

		if (claim->start > claim->last)
			return "claim is upside down";
		if (prev && claim->start <= prev->last)
			return "claims overlap or are out of order";
		if (claim->hole != claim->start - (prev ? prev->last + 1 : 0))
			return "hole is wrong";
		if (claim->subtree_hole != max3(claim->hole, subtree_hole(node->rb_left), subtree_hole(node->rb_right)))
			return "subtree_hole is wrong";
		prev = claim;
	}
	return NULL;
}

#define ASSERT_TREE(test, space) do { \
	const char *fault = tree_fault(space); \
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
	KUNIT_EXPECT_NULL(test, tree_fault(space));
	for (i = 0; i < num; i += 3) {
		if (iova_space_find(space, P, 1, &start) || start != (i + 1) * P ||
		    iova_space_claim(space, &claims[i], start, start + P - 1))
			break;
		cond_resched();
	}
	KUNIT_EXPECT_GE(test, i, num);
	KUNIT_EXPECT_NULL(test, tree_fault(space));
	space_end(space);
	kvfree(claims);
}

/* The model: one entry per slot */

#define SLOTS 255UL			/* numbers of claims, and 0, fit in a byte */
#define OWNERS 3
#define MODEL_STEPS SCALED(50000)

struct model {
	struct rnd_state rnd;
	unsigned long base;			/* address of slot 0 */
	unsigned long unit;			/* bytes of a slot */
	u8 claimed[SLOTS];			/* 1 + number of the claim, 0: free */
	u8 reserved[OWNERS][SLOTS];
	u8 window[SLOTS];			/* which window; 0: none */
	bool windows;				/* is there one? */
	struct iova_claim claims[SLOTS + 1];	/* one more than there can be: always one to try with */
	bool live[SLOTS + 1];
	struct iova_claim below, above;		/* all that is outside of the slots */
};

static unsigned long pick(struct model *m, unsigned long n)
{
	return prandom_u32_state(&m->rnd) % n;
}

static bool slot_reserved(struct model *m, unsigned long slot)
{
	int i;

	for (i = 0; i < OWNERS; i++)
		if (m->reserved[i][slot])
			return true;
	return false;
}

/* May iova_space_find() take this slot? */
static bool slot_choosable(struct model *m, unsigned long slot)
{
	unsigned long iova = m->base + slot * m->unit;

	return !m->claimed[slot] && !slot_reserved(m, slot) && iova >= P && iova < TOP(1) &&
	       (!m->windows || m->window[slot]);
}

/* Can a range of @n slots be put at each of the slots? */
static void model_fits(struct model *m, unsigned long n, unsigned long align, bool *fits)
{
	unsigned long run = 0;
	unsigned long slot;

	for (slot = SLOTS; slot--; ) {
		if (!slot_choosable(m, slot))
			run = 0;
		else if (run && m->windows && m->window[slot] != m->window[slot + 1])
			run = 1;
		else
			run++;
		fits[slot] = run >= n && !((m->base + slot * m->unit) & (align - 1));
	}
}

/* Bytes of the hole between claims that a slot is in */
static unsigned long model_hole(struct model *m, unsigned long slot)
{
	unsigned long first = slot, last = slot;

	while (first && !m->claimed[first - 1])
		first--;
	while (last < SLOTS - 1 && !m->claimed[last + 1])
		last++;
	return (last - first + 1) * m->unit;
}

static int free_claim(struct model *m)
{
	int i;

	for (i = 0; m->live[i]; i++)
		;
	return i;
}

static void model_claimed(struct model *m, int i, unsigned long slot, unsigned long n)
{
	m->live[i] = true;
	memset(m->claimed + slot, i + 1, n);
}

static void step_claim(struct kunit *test, struct iova_space *space, struct model *m)
{
	unsigned long slot = pick(m, SLOTS);
	unsigned long n = 1 + pick(m, min(12UL, SLOTS - slot));
	unsigned long start = m->base + slot * m->unit;
	int i = free_claim(m);
	int expected = 0;
	unsigned long s;

	for (s = slot; s < slot + n; s++) {
		if (slot_reserved(m, s))
			expected = -EINVAL;
		else if (m->claimed[s] && !expected)
			expected = -EEXIST;
	}
	KUNIT_ASSERT_EQ(test, iova_space_claim(space, &m->claims[i], start, start + n * m->unit - 1), expected);
	if (!expected)
		model_claimed(m, i, slot, n);
}

static void step_find(struct kunit *test, struct iova_space *space, struct model *m)
{
	unsigned long align = pick(m, 2) ? 1 : m->unit << pick(m, 4);
	unsigned long n = 1 + pick(m, 12);
	unsigned long length = n * m->unit;
	unsigned long lowest, roomy, start, slot;
	int i = free_claim(m);
	bool fits[SLOTS];
	int rc;

	model_fits(m, n, align, fits);
	for (lowest = 0; lowest < SLOTS && !fits[lowest]; lowest++)
		;
	rc = iova_space_find(space, length, align, &start);
	if (lowest == SLOTS) {
		KUNIT_ASSERT_EQ(test, rc, -ENOSPC);
		return;
	}
	KUNIT_ASSERT_EQ(test, rc, 0);
	slot = (start - m->base) / m->unit;
	KUNIT_ASSERT_EQ(test, start, m->base + slot * m->unit);
	KUNIT_ASSERT_LT(test, slot, SLOTS);
	KUNIT_ASSERT_TRUE(test, fits[slot]);

	/* A hole too small for any alignment may be passed over, a larger one may not */
	for (roomy = lowest; roomy < SLOTS; roomy++)
		if (fits[roomy] && model_hole(m, roomy) >= length + align - 1)
			break;
	KUNIT_ASSERT_LE(test, slot, roomy);
	KUNIT_ASSERT_EQ(test, iova_space_claim(space, &m->claims[i], start, start + length - 1), 0);
	model_claimed(m, i, slot, n);
}

static void step_unclaim(struct iova_space *space, struct model *m)
{
	unsigned long i = pick(m, SLOTS);
	unsigned long slot;

	for (slot = i; slot < SLOTS && !m->claimed[slot]; slot++)
		;
	if (slot == SLOTS)
		return;
	i = m->claimed[slot] - 1;
	iova_space_unclaim(space, &m->claims[i]);
	m->live[i] = false;
	for (slot = 0; slot < SLOTS; slot++)
		if (m->claimed[slot] == i + 1)
			m->claimed[slot] = 0;
}

static void step_reserve(struct kunit *test, struct iova_space *space, struct model *m)
{
	unsigned long slot = pick(m, SLOTS);
	unsigned long n = 1 + pick(m, min(12UL, SLOTS - slot));
	unsigned long start = m->base + slot * m->unit;
	unsigned long owner = pick(m, OWNERS);
	int expected = 0;
	unsigned long s;

	for (s = slot; s < slot + n; s++)
		if (m->claimed[s] || m->window[s])
			expected = -EADDRINUSE;
	KUNIT_ASSERT_EQ(test, iova_space_reserve(space, m->reserved[owner], start, start + n * m->unit - 1), expected);
	if (!expected)
		memset(m->reserved[owner] + slot, 1, n);
}

static void step_unreserve(struct iova_space *space, struct model *m)
{
	unsigned long owner = pick(m, OWNERS);

	iova_space_unreserve(space, m->reserved[owner]);
	memset(m->reserved[owner], 0, SLOTS);
}

static void step_allow(struct kunit *test, struct iova_space *space, struct model *m)
{
	struct rb_root_cached windows = RB_ROOT_CACHED;
	u8 window[SLOTS] = {};
	int expected = 0;
	unsigned long s;
	u8 nr, num = 0;

	for (nr = pick(m, 4); nr; nr--) {
		/* Two slots at least: a window of a single address is refused */
		unsigned long slot = pick(m, SLOTS - 1);
		unsigned long n = 2 + pick(m, min(100UL, SLOTS - slot - 1));
		unsigned long start = m->base + slot * m->unit;
		bool overlap = memchr_inv(window + slot, 0, n);

		KUNIT_ASSERT_EQ(test, iova_window_add(&windows, start, start + n * m->unit - 1), overlap ? -EINVAL : 0);
		if (overlap)
			continue;
		memset(window + slot, ++num, n);
		for (s = slot; s < slot + n; s++)
			if (slot_reserved(m, s))
				expected = -EADDRINUSE;
	}
	KUNIT_ASSERT_EQ(test, iova_space_allow(space, &windows), expected);
	iova_window_clear(&windows);
	if (!expected) {
		memcpy(m->window, window, SLOTS);
		m->windows = num;
	}
}

/* Do tree and array say the same about every slot? */
static bool model_agrees(struct iova_space *space, struct model *m)
{
	unsigned long end = m->base + SLOTS * m->unit;
	struct iova_claim *claim = iova_space_first(space, m->base, end - 1);
	unsigned long slot = 0;

	for (; claim; claim = iova_space_next(claim, end - 1)) {
		for (; m->base + slot * m->unit != claim->start; slot++)
			if (slot == SLOTS || m->claimed[slot])
				return false;
		for (; m->base + slot * m->unit != claim->last + 1; slot++)
			if (slot == SLOTS || claim != &m->claims[m->claimed[slot] - 1])
				return false;
	}
	for (; slot < SLOTS; slot++)
		if (m->claimed[slot])
			return false;
	return true;
}

static void run_model(struct kunit *test, unsigned long base, unsigned long unit, u64 seed)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct iova_space *space = space_new(test);
	unsigned long end = base + SLOTS * unit;
	unsigned long step;

	KUNIT_ASSERT_NOT_NULL(test, m);
	kunit_info(test, "seed %#llx, %d steps", seed, MODEL_STEPS);
	prandom_seed_state(&m->rnd, seed);
	m->base = base;
	m->unit = unit;
	if (base)
		KUNIT_ASSERT_EQ(test, iova_space_claim(space, &m->below, 0, base - 1), 0);
	if (end)
		KUNIT_ASSERT_EQ(test, iova_space_claim(space, &m->above, end, ULONG_MAX), 0);

	for (step = 0; step < MODEL_STEPS; step++) {
		/* Fill for a while, then empty for a while, so that both a full and a bare space are seen */
		bool filling = step / 200 % 2;
		unsigned long dice = pick(m, 100);

		if (dice < 5)
			step_reserve(test, space, m);
		else if (dice < 9)
			step_unreserve(space, m);
		else if (dice < 13)
			step_allow(test, space, m);
		else if (dice < (filling ? 30 : 65))
			step_unclaim(space, m);
		else if (dice < (filling ? 60 : 80))
			step_claim(test, space, m);
		else
			step_find(test, space, m);
		KUNIT_ASSERT_NULL_MSG(test, tree_fault(space), "step %lu: %s", step, tree_fault(space));
		KUNIT_ASSERT_TRUE_MSG(test, model_agrees(space, m), "step %lu", step);
		cond_resched();
	}
	space_end(space);
}

static void random_steps_agree_at_the_bottom(struct kunit *test)
{
	run_model(test, 0, P, 0x626f74746f6d);
}

static void random_steps_agree_in_the_middle(struct kunit *test)
{
	run_model(test, 1UL << 40, P, 0x6d6964646c65);
}

static void random_steps_agree_at_the_top(struct kunit *test)
{
	run_model(test, TOP(SLOTS), P, 0x746f70);
}

static void random_steps_agree_on_single_bytes(struct kunit *test)
{
	run_model(test, 1UL << 40, 1, 0x62797465);
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
	KUNIT_CASE(find_skips_a_reserved_range_in_a_hole),
	KUNIT_CASE(find_stays_inside_one_window),
	KUNIT_CASE(find_never_takes_the_edge_pages_of_a_window_over_all),
	KUNIT_CASE(reserve_refuses_what_is_used_or_promised),
	KUNIT_CASE(unreserve_drops_what_one_owner_has),
	KUNIT_CASE(allow_refused_over_reserved_changes_nothing),
	KUNIT_CASE(allow_hands_back_the_old_windows),
	KUNIT_CASE(windows_may_not_overlap_or_be_upside_down),
	KUNIT_CASE(many_claims_fill_in_order_and_stay_balanced),
	KUNIT_CASE(random_steps_agree_at_the_bottom),
	KUNIT_CASE(random_steps_agree_in_the_middle),
	KUNIT_CASE(random_steps_agree_at_the_top),
	KUNIT_CASE(random_steps_agree_on_single_bytes),
	{}
};

static struct kunit_suite iova_space_suite = {
	.name = "iova_space",
	.test_cases = iova_space_cases,
};

kunit_test_suite(iova_space_suite);
