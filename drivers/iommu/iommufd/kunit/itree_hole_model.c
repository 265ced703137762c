// SPDX-License-Identifier: GPL-2.0-only
/* Model of itree_hole.h: 64 numbers at either end of what there is, one bit each. */
#include <linux/bits.h>
#include <linux/bitops.h>
#include <linux/kernel.h>

#include "../itree_hole.h"
#include "model.h"

#define TREES 3
#define NODES 6

struct hole_model {
	struct model model;
	unsigned long base;		/* number that bit 0 stands for */
	struct rb_root_cached tree[TREES];
	struct interval_tree_node node[TREES][NODES];
	u64 covers[TREES][NODES];	/* 0: not linked */
};

static const char *begin(struct model *model)
{
	struct hole_model *m = container_of(model, struct hole_model, model);

	m->base = model_pick(model, 2) ? 0 : ULONG_MAX - 63;
	return NULL;
}

static void pick_range(struct model *model, unsigned int *start, unsigned int *last)
{
	*start = model_pick(model, 64);
	*last = *start + model_pick(model, model_pick(model, 2) ? min(8U, 64 - *start) : 64 - *start);
}

/* Link or unlink one node */
static void change(struct hole_model *m)
{
	unsigned int t = model_pick(&m->model, TREES);
	unsigned int n = model_pick(&m->model, NODES);
	struct interval_tree_node *node = &m->node[t][n];
	unsigned int start, last;

	if (m->covers[t][n]) {
		interval_tree_remove(node, &m->tree[t]);
		m->covers[t][n] = 0;
		return;
	}
	pick_range(&m->model, &start, &last);
	node->start = m->base + start;
	node->last = m->base + last;
	interval_tree_insert(node, &m->tree[t]);
	m->covers[t][n] = model_bits(start, last);
}

static const char *step(struct model *model)
{
	struct hole_model *m = container_of(model, struct hole_model, model);
	struct rb_root_cached *trees[TREES] = { &m->tree[0], &m->tree[1], &m->tree[2] };
	unsigned int num = model_pick(model, TREES + 1);
	unsigned long found, found_last = 12345;
	unsigned int start, last, i, j;
	u64 covered = 0, holes;

	change(m);
	for (i = 0; i < num; i++)
		for (j = 0; j < NODES; j++)
			covered |= m->covers[i][j];
	pick_range(model, &start, &last);
	holes = ~covered & model_bits(start, last);
	found = m->base + start;
	if (itree_hole_next(trees, num, &found, m->base + last, &found_last) != !!holes)
		return holes ? "hole not found" : "hole found where there is none";
	if (!holes)
		return found != m->base + start || found_last != 12345 ? "result written without a hole" : NULL;

	start = __ffs64(holes);
	if (found != m->base + start)
		return "hole does not begin there";
	if (covered >> start)
		last = min(last, start + (unsigned int)__ffs64(covered >> start) - 1);
	if (found_last != m->base + last)
		return "hole does not end there";
	return NULL;
}

/* Every step looks at all there is */
static const char *check(struct model *model)
{
	return NULL;
}

const struct model_room itree_hole_model = {
	.name = "itree_hole",
	.share = 35,
	.size = sizeof(struct hole_model),
	.begin = begin,
	.step = step,
	.check = check,
	.end = check,
};
