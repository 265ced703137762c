// SPDX-License-Identifier: GPL-2.0-only
/* KUnit suite of itree_hole.h: directed cases; itree_hole_model.c does random steps. */
#include <kunit/test.h>

#include "../itree_hole.h"

static void add(struct rb_root_cached *tree, struct interval_tree_node *node, unsigned long start, unsigned long last)
{
	node->start = start;
	node->last = last;
	interval_tree_insert(node, tree);
}

static void expect_hole(struct kunit *test, struct rb_root_cached *const *trees, unsigned int num, unsigned long start,
			unsigned long last, unsigned long hole, unsigned long hole_last)
{
	unsigned long found = start;
	unsigned long found_last = 0;

	KUNIT_EXPECT_TRUE(test, itree_hole_next(trees, num, &found, last, &found_last));
	KUNIT_EXPECT_EQ(test, found, hole);
	KUNIT_EXPECT_EQ(test, found_last, hole_last);
}

static void expect_none(struct kunit *test, struct rb_root_cached *const *trees, unsigned int num, unsigned long start,
			unsigned long last)
{
	unsigned long found = start;
	unsigned long found_last = 12345;

	KUNIT_EXPECT_FALSE(test, itree_hole_next(trees, num, &found, last, &found_last));
	KUNIT_EXPECT_EQ(test, found, start);
	KUNIT_EXPECT_EQ(test, found_last, 12345UL);
}

static void empty_tree_is_one_hole(struct kunit *test)
{
	struct rb_root_cached tree = RB_ROOT_CACHED;
	struct rb_root_cached *trees = &tree;

	expect_hole(test, &trees, 1, 0, ULONG_MAX, 0, ULONG_MAX);
	expect_hole(test, &trees, 1, 7, 7, 7, 7);
	expect_none(test, &trees, 1, 8, 7);
}

static void hole_ends_where_the_next_range_begins(struct kunit *test)
{
	struct rb_root_cached tree = RB_ROOT_CACHED;
	struct rb_root_cached *trees = &tree;
	struct interval_tree_node node[2];

	add(&tree, &node[0], 10, 19);
	add(&tree, &node[1], 30, 39);
	expect_hole(test, &trees, 1, 0, 100, 0, 9);
	expect_hole(test, &trees, 1, 9, 100, 9, 9);
	expect_hole(test, &trees, 1, 10, 100, 20, 29);
	expect_hole(test, &trees, 1, 15, 100, 20, 29);
	expect_hole(test, &trees, 1, 19, 25, 20, 25);
	expect_hole(test, &trees, 1, 29, 30, 29, 29);
	expect_hole(test, &trees, 1, 30, 100, 40, 100);
	expect_none(test, &trees, 1, 30, 39);
	expect_none(test, &trees, 1, 12, 19);
	expect_none(test, &trees, 1, 12, 15);
}

static void adjacent_and_nested_ranges_leave_no_hole(struct kunit *test)
{
	struct rb_root_cached tree = RB_ROOT_CACHED;
	struct rb_root_cached *trees = &tree;
	struct interval_tree_node node[4];

	add(&tree, &node[0], 10, 19);
	add(&tree, &node[1], 20, 60);
	add(&tree, &node[2], 22, 30);
	add(&tree, &node[3], 55, 70);
	expect_none(test, &trees, 1, 10, 70);
	expect_hole(test, &trees, 1, 10, 71, 71, 71);
}

static void range_up_to_the_top_is_not_passed(struct kunit *test)
{
	struct rb_root_cached tree = RB_ROOT_CACHED;
	struct rb_root_cached *trees = &tree;
	struct interval_tree_node node[2];

	add(&tree, &node[0], ULONG_MAX - 9, ULONG_MAX);
	expect_none(test, &trees, 1, ULONG_MAX - 9, ULONG_MAX);
	expect_none(test, &trees, 1, ULONG_MAX, ULONG_MAX);
	expect_hole(test, &trees, 1, ULONG_MAX - 10, ULONG_MAX, ULONG_MAX - 10, ULONG_MAX - 10);
	add(&tree, &node[1], 0, ULONG_MAX - 11);
	expect_hole(test, &trees, 1, 0, ULONG_MAX, ULONG_MAX - 10, ULONG_MAX - 10);
}

static void hole_of_a_union_is_a_hole_of_every_tree(struct kunit *test)
{
	struct rb_root_cached a = RB_ROOT_CACHED;
	struct rb_root_cached b = RB_ROOT_CACHED;
	struct rb_root_cached *trees[] = { &a, &b };
	struct interval_tree_node node[4];

	add(&a, &node[0], 0, 9);
	add(&b, &node[1], 10, 19);
	add(&a, &node[2], 20, 29);
	add(&b, &node[3], 35, 39);
	expect_none(test, trees, 2, 0, 29);
	expect_hole(test, trees, 2, 0, 100, 30, 34);
	expect_hole(test, trees, 2, 35, 100, 40, 100);

	/* The order of the trees does not matter */
	swap(trees[0], trees[1]);
	expect_hole(test, trees, 2, 0, 100, 30, 34);
}

static void no_tree_covers_nothing(struct kunit *test)
{
	expect_hole(test, NULL, 0, 5, 9, 5, 9);
}

static struct kunit_case itree_hole_cases[] = {
	KUNIT_CASE(empty_tree_is_one_hole),
	KUNIT_CASE(hole_ends_where_the_next_range_begins),
	KUNIT_CASE(adjacent_and_nested_ranges_leave_no_hole),
	KUNIT_CASE(range_up_to_the_top_is_not_passed),
	KUNIT_CASE(hole_of_a_union_is_a_hole_of_every_tree),
	KUNIT_CASE(no_tree_covers_nothing),
	{}
};

static struct kunit_suite itree_hole_suite = {
	.name = "itree_hole",
	.test_cases = itree_hole_cases,
};

kunit_test_suite(itree_hole_suite);
