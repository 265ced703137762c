/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * itree_hole - next hole in the union of interval trees
 *
 * The one question that address ranges and page ranges both ask of their trees: where is the next stretch that none
 * of them covers? Works on plain interval trees and knows nothing of what the intervals mean.
 *
 * Locking: the caller keeps the trees from changing.
 */
#ifndef __IOMMUFD_ITREE_HOLE_H
#define __IOMMUFD_ITREE_HOLE_H

#include <linux/interval_tree.h>
#include <linux/limits.h>
#include <linux/minmax.h>

/**
 * itree_hole_next() - Find the first hole at or behind a position
 * @trees: interval trees whose union is looked at
 * @num: how many
 * @start: in: where to begin; out: first number of the hole
 * @last: last number to look at, inclusive
 * @hole_last: out: last number of the hole, inclusive, at most @last
 *
 * Return: true if there is one; nothing is written otherwise.
 */
static inline bool itree_hole_next(struct rb_root_cached *const *trees, unsigned int num, unsigned long *start,
				   unsigned long last, unsigned long *hole_last)
{
	struct interval_tree_node *node;
	unsigned long pos = *start;
	unsigned long end = last;
	unsigned int uncovered = 0;
	unsigned int i;

	/* A position is in a hole once every tree in a row said that it does not cover it */
	for (i = 0; uncovered < num; i = (i + 1) % num) {
		if (pos > last)
			return false;
		node = interval_tree_iter_first(trees[i], pos, pos);
		if (!node) {
			uncovered++;
			continue;
		}
		if (node->last == ULONG_MAX)
			return false;
		pos = node->last + 1;
		uncovered = 0;
	}
	if (pos > last)
		return false;

	for (i = 0; i < num; i++) {
		node = interval_tree_iter_first(trees[i], pos, last);
		if (node)
			end = min(end, node->start - 1);
	}
	*start = pos;
	*hole_last = end;
	return true;
}

#endif
