// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model of iova_space: 64 slots at the bottom, in the middle or at the top of all addresses, one bit each; everything
 * else is claimed.
 */
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/mm.h>

#include "../iova_space.h"
#include "model.h"

#define SLOTS 64
#define OWNERS 3
#define WINDOWS 3

struct space_model {
	struct model model;
	unsigned int steps;
	struct iova_space space;
	unsigned long base;			/* address of slot 0 */
	unsigned long unit;			/* bytes of a slot */
	u64 edge;				/* slots that are page 0 or the last page */
	u64 claimed;				/* slots that some claim has */
	u64 has[SLOTS];				/* those of each claim; 0: not linked */
	u8 owner[SLOTS];			/* which claim has a slot that is claimed */
	u64 reserved[OWNERS];
	u64 window[WINDOWS];
	unsigned int windows;			/* number of windows; 0: choose anywhere */
	struct iova_claim claim[SLOTS];
	struct iova_claim below, above;		/* all that is outside of the slots */
};

static unsigned long slot_iova(struct space_model *m, unsigned int slot)
{
	return m->base + slot * m->unit;
}

static unsigned long subtree_hole(struct rb_node *node)
{
	return node ? rb_entry(node, struct iova_claim, rb)->subtree_hole : 0;
}

/**
 * iova_space_fault() - Look through the whole tree of claims
 * @space: space, locked
 *
 * Return: what is wrong with order, holes or largest holes, or NULL.
 */
const char *iova_space_fault(struct iova_space *space)
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
		if (claim->hole != (prev ? claim->start - prev->last - 1 : 0))
			return "hole is wrong";
		if (claim->subtree_hole != max3(claim->hole, subtree_hole(node->rb_left), subtree_hole(node->rb_right)))
			return "subtree_hole is wrong";
		prev = claim;
	}
	if (space->top != prev)
		return "the last claim is not known";
	return NULL;
}

static const char *begin(struct model *model)
{
	struct space_model *m = container_of(model, struct space_model, model);
	unsigned long end;

	m->unit = PAGE_SIZE;
	switch (model_pick(model, 4)) {
	case 0:
		m->edge = BIT_ULL(0);
		break;
	case 1:
		m->base = 0UL - SLOTS * PAGE_SIZE;
		m->edge = BIT_ULL(SLOTS - 1);
		break;
	case 2:
		m->unit = 1;
		fallthrough;
	default:
		m->base = 1UL << 40;
	}
	iova_space_init(&m->space);
	down_write(&m->space.rwsem);
	end = m->base + SLOTS * m->unit;
	if (m->base && iova_space_claim(&m->space, &m->below, 0, m->base - 1))
		return "what is below cannot be claimed";
	if (end && iova_space_claim(&m->space, &m->above, end, ULONG_MAX))
		return "what is above cannot be claimed";
	if (model_pick(model, 2))
		m->space.alignment = m->unit;
	return NULL;
}

static u64 pick_slots(struct space_model *m, unsigned int most, unsigned int *first, unsigned int *last)
{
	*first = model_pick(&m->model, SLOTS);
	*last = min(*first + (unsigned int)model_pick(&m->model, most), SLOTS - 1U);
	return model_bits(*first, *last);
}

static u64 all_reserved(struct space_model *m)
{
	return m->reserved[0] | m->reserved[1] | m->reserved[2];
}

/* A claim that is not linked; there are as many as slots, so one that will fail may find none */
static int unused_claim(struct space_model *m)
{
	int i;

	for (i = 0; i < SLOTS && m->has[i]; i++)
		;
	return i < SLOTS ? i : -1;
}

static void note_claim(struct space_model *m, int i, unsigned int first, unsigned int last)
{
	m->has[i] = model_bits(first, last);
	m->claimed |= m->has[i];
	memset(m->owner + first, i, last - first + 1);
}

static const char *step_claim(struct space_model *m)
{
	unsigned int first, last;
	u64 slots = pick_slots(m, 12, &first, &last);
	unsigned long start = slot_iova(m, first);
	unsigned long size = (last - first + 1) * m->unit;
	int i = unused_claim(m);
	int expected = 0;

	if (i < 0)
		return NULL;
	if (m->space.alignment > 1 && !model_pick(&m->model, 8)) {
		/* Neither end, or one of them, is where it must be */
		start += model_pick(&m->model, 2);
		size -= 1;
		expected = -EINVAL;
	} else if (slots & all_reserved(m)) {
		expected = -EINVAL;
	} else if (slots & m->claimed) {
		expected = -EEXIST;
	}
	if (iova_space_claim(&m->space, &m->claim[i], start, start + size - 1) != expected)
		return "claim: wrong result";
	if (!expected)
		note_claim(m, i, first, last);
	return NULL;
}

/* Slots of @free at which a stretch of @n slots begins */
static u64 stretches(u64 free, unsigned int n)
{
	u64 begins = free;
	unsigned int i;

	for (i = 1; i < n; i++)
		begins &= free >> i;
	return begins;
}

/* Slots of the hole between claims that a free slot is in */
static unsigned int hole_slots(struct space_model *m, unsigned int slot)
{
	unsigned int first = slot, last = slot;

	while (first && !(m->claimed & BIT_ULL(first - 1)))
		first--;
	while (last < SLOTS - 1 && !(m->claimed & BIT_ULL(last + 1)))
		last++;
	return last - first + 1;
}

/* Slots at which a range may be put */
static u64 fitting(struct space_model *m, unsigned int n, unsigned int slots_align)
{
	u64 free = ~(m->claimed | all_reserved(m) | m->edge);
	u64 fits = 0, aligned = 0;
	unsigned int i;

	if (!m->windows)
		fits = stretches(free, n);
	for (i = 0; i < m->windows; i++)
		fits |= stretches(free & m->window[i], n);
	for (i = 0; i < SLOTS; i += slots_align)
		aligned |= BIT_ULL(i);
	return fits & aligned;
}

static const char *step_find(struct space_model *m)
{
	unsigned int slots_align = 1 << model_pick(&m->model, 4);
	unsigned int n = 1 + model_pick(&m->model, 12);
	unsigned long align = slots_align * m->unit;
	unsigned long length = n * m->unit;
	unsigned long start, slot;
	int i = unused_claim(m);
	u64 fits, lower;
	int rc;

	/* A byte is what may be put anywhere */
	if (slots_align == 1 && model_pick(&m->model, 2))
		align = 1;
	fits = fitting(m, n, slots_align);
	rc = iova_space_find(&m->space, length, align, &start);
	if (!fits)
		return rc == -ENOSPC ? NULL : "find: something where there is no room";
	if (rc)
		return "find: nothing where there is room";
	slot = (start - m->base) / m->unit;
	if (slot >= SLOTS || start != slot_iova(m, slot) || !(fits & BIT_ULL(slot)))
		return "find: not a place to choose";

	/* A hole too small for any alignment may be passed over, a larger one may not */
	for (lower = fits & (BIT_ULL(slot) - 1); lower; lower &= lower - 1)
		if (hole_slots(m, __ffs64(lower)) * m->unit >= length + max(align, m->space.alignment) - 1)
			return "find: not the lowest place";
	if (iova_space_claim(&m->space, &m->claim[i], start, start + length - 1))
		return "find: the place cannot be claimed";
	note_claim(m, i, slot, slot + n - 1);
	return NULL;
}

static const char *step_unclaim(struct space_model *m)
{
	unsigned int first, last;
	u64 slots = pick_slots(m, 16, &first, &last) & m->claimed;
	unsigned int i;

	if (!slots)
		return NULL;
	i = m->owner[__ffs64(slots)];
	iova_space_unclaim(&m->space, &m->claim[i]);
	m->claimed &= ~m->has[i];
	m->has[i] = 0;
	return NULL;
}

static const char *step_split(struct space_model *m)
{
	unsigned int first, last;
	u64 slots = pick_slots(m, 16, &first, &last) & m->claimed;
	int upper = unused_claim(m);
	unsigned int i, slot;

	if (!slots || upper < 0)
		return NULL;
	i = m->owner[__ffs64(slots)];
	first = __ffs64(m->has[i]);
	last = __fls(m->has[i]);
	if (first == last)
		return NULL;
	slot = first + 1 + model_pick(&m->model, last - first);
	iova_space_split(&m->space, &m->claim[i], &m->claim[upper], slot_iova(m, slot));
	m->has[i] = model_bits(first, slot - 1);
	note_claim(m, upper, slot, last);
	return NULL;
}

static const char *step_reserve(struct space_model *m)
{
	unsigned int owner = model_pick(&m->model, OWNERS);
	unsigned int first, last;
	u64 slots = pick_slots(m, 8, &first, &last);
	u64 used = m->claimed | m->window[0] | m->window[1] | m->window[2];

	if (iova_space_reserve(&m->space, &m->reserved[owner], slot_iova(m, first), slot_iova(m, last) + m->unit - 1) !=
	    (slots & used ? -EADDRINUSE : 0))
		return "reserve: wrong result";
	if (!(slots & used))
		m->reserved[owner] |= slots;
	return NULL;
}

static const char *step_unreserve(struct space_model *m)
{
	unsigned int owner = model_pick(&m->model, OWNERS);

	iova_space_unreserve(&m->space, &m->reserved[owner]);
	m->reserved[owner] = 0;
	return NULL;
}

static const char *step_allow(struct space_model *m)
{
	struct rb_root_cached list = RB_ROOT_CACHED;
	u64 window[WINDOWS] = {}, taken = 0;
	unsigned int windows = 0;
	unsigned int i, first, last;
	bool refused;

	for (i = model_pick(&m->model, WINDOWS + 1); i; i--) {
		u64 slots = pick_slots(m, 32, &first, &last);
		/* A window of a single address is upside down */
		bool bad = (slots & taken) || (first == last && m->unit == 1);
		unsigned long end = slot_iova(m, last) + m->unit - 1;

		if (iova_window_add(&list, slot_iova(m, first), end) != (bad ? -EINVAL : 0))
			return "window: wrong result";
		if (!bad)
			window[windows++] = slots;
		taken |= bad ? 0 : slots;
	}
	refused = taken & all_reserved(m);
	if (iova_space_allow(&m->space, &list) != (refused ? -EADDRINUSE : 0))
		return "allow: wrong result";
	iova_window_clear(&list);
	if (!refused) {
		memcpy(m->window, window, sizeof(window));
		m->windows = windows;
	}
	return NULL;
}

/* The claims of a range, one after the other */
static const char *step_walk(struct space_model *m)
{
	unsigned int first, last;
	u64 slots = pick_slots(m, 16, &first, &last) & m->claimed;
	unsigned long end = slot_iova(m, last) + m->unit - 1;
	struct iova_claim *claim = iova_space_first(&m->space, slot_iova(m, first), end);
	unsigned int i;

	while (slots) {
		i = m->owner[__ffs64(slots)];
		if (claim != &m->claim[i])
			return "walk: not the next claim";
		claim = iova_space_next(claim, end);
		slots &= ~m->has[i];
	}
	return claim ? "walk: a claim outside of the range" : NULL;
}

static const char *step(struct model *model)
{
	struct space_model *m = container_of(model, struct space_model, model);
	/* Mostly coming until the space is full, then mostly going */
	bool filling = m->steps++ & 256;
	unsigned int dice = model_pick(model, 100);

	if (dice < 3)
		return step_reserve(m);
	if (dice < 5)
		return step_unreserve(m);
	if (dice < 6)
		return step_allow(m);
	if (dice < 20)
		return step_walk(m);
	if (dice < 25)
		return step_split(m);
	if (dice < (filling ? 35 : 65))
		return step_unclaim(m);
	return dice % 2 ? step_claim(m) : step_find(m);
}

static const char *check(struct model *model)
{
	struct space_model *m = container_of(model, struct space_model, model);
	struct iova_claim *claim = iova_space_first(&m->space, 0, ULONG_MAX);
	const char *fault = iova_space_fault(&m->space);
	u64 found = 0;

	if (fault)
		return fault;
	for (; claim; claim = iova_space_next(claim, ULONG_MAX)) {
		unsigned long first, last;

		if (claim == &m->below || claim == &m->above)
			continue;
		first = (claim->start - m->base) / m->unit;
		last = (claim->last - m->base) / m->unit;
		if (last >= SLOTS || m->has[claim - m->claim] != model_bits(first, last))
			return "a claim is not what was claimed";
		found |= model_bits(first, last);
	}
	return found != m->claimed ? "a claim is missing" : NULL;
}

static const char *end(struct model *model)
{
	struct space_model *m = container_of(model, struct space_model, model);
	struct iova_claim *claim;

	while ((claim = iova_space_first(&m->space, 0, ULONG_MAX)))
		iova_space_unclaim(&m->space, claim);
	up_write(&m->space.rwsem);
	iova_space_destroy(&m->space);
	return RB_EMPTY_ROOT(&m->space.reserved.rb_root) && RB_EMPTY_ROOT(&m->space.allowed.rb_root) ?
	       NULL : "reservations or windows were left";
}

const struct model_room iova_space_model = {
	.name = "iova_space",
	.share = 24,
	.size = sizeof(struct space_model),
	.begin = begin,
	.step = step,
	.check = check,
	.end = end,
};
