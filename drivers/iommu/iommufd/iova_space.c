// SPDX-License-Identifier: GPL-2.0-only
/*
 * iova_space - who may use which IOVA
 *
 * Three kinds of ranges meet here. A *claim* is a range in use: claims never overlap, so one tree ordered by address
 * holds them, and each node knows the largest hole below it: finding room takes logarithmic time however many claims
 * there are. What is free before the first and behind the last claim is no hole: it changes with almost every claim
 * of a space that fills or empties in order, and would have to be told to the root each time. A *reserved* range may
 * not be used by anybody; it belongs to an owner (a device's group, a page table) and goes with it. A *window* says
 * where the kernel may choose addresses by itself, and promises that they stay usable.
 *
 * Claiming allocates nothing and unclaiming cannot fail. This file knows neither pages nor page tables.
 *
 * Locking: the caller holds space->rwsem, for writing where something changes.
 */
#include <linux/bitops.h>
#include <linux/overflow.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "iova_space.h"
#include "itree_hole.h"

/**
 * struct iova_reserved - A range that nobody may use
 * @node: place in iova_space->reserved
 * @by_owner: place in iova_space->owners
 * @owner: whose it is
 */
struct iova_reserved {
	struct interval_tree_node node;
	struct rb_node by_owner;
	const void *owner;
};

#define to_claim(ptr) rb_entry_safe(ptr, struct iova_claim, rb)

static inline unsigned long claim_hole(struct iova_claim *claim)
{
	return claim->hole;
}

RB_DECLARE_CALLBACKS_MAX(static, claim_holes, struct iova_claim, rb, unsigned long, subtree_hole, claim_hole)

/**
 * iova_space_init() - Make an empty space in which every address is free
 * @space: space to set up
 */
void iova_space_init(struct iova_space *space)
{
	init_rwsem(&space->rwsem);
	space->claims = RB_ROOT_CACHED;
	space->top = NULL;
	space->reserved = RB_ROOT_CACHED;
	space->owners = RB_ROOT;
	space->allowed = RB_ROOT_CACHED;
	space->alignment = 1;
}

/**
 * iova_space_destroy() - Forget windows and reservations
 * @space: space without claims; no lock needed, there is no other user any more
 */
void iova_space_destroy(struct iova_space *space)
{
	struct interval_tree_node *node;

	WARN_ON(!RB_EMPTY_ROOT(&space->claims.rb_root));
	iova_window_clear(&space->allowed);
	space->owners = RB_ROOT;
	while ((node = interval_tree_iter_first(&space->reserved, 0, ULONG_MAX))) {
		interval_tree_remove(node, &space->reserved);
		kfree(container_of(node, struct iova_reserved, node));
	}
}

static void claim_set_hole(struct iova_claim *claim, unsigned long hole)
{
	if (claim->hole == hole)
		return;
	claim->hole = hole;
	claim_holes_propagate(&claim->rb, NULL);
}

/* Put a claim with its addresses into the tree; -EEXIST if it overlaps another one */
static int claim_insert(struct iova_space *space, struct iova_claim *claim)
{
	struct rb_node **link = &space->claims.rb_root.rb_node;
	unsigned long start = claim->start, last = claim->last;
	struct iova_claim *prev = NULL;
	struct iova_claim *next = NULL;
	struct rb_node *parent = NULL;

	/* Mostly addresses grow: then the place is known */
	if (space->top && start > space->top->last) {
		prev = space->top;
		parent = &prev->rb;
		link = &parent->rb_right;
	}
	/* Whatever it overlaps lies on the same side as itself of all that it passes on the way down */
	while (*link) {
		struct iova_claim *other = to_claim(*link);

		parent = *link;
		if (last < other->start) {
			next = other;
			link = &parent->rb_left;
		} else if (start > other->last) {
			prev = other;
			link = &parent->rb_right;
		} else {
			return -EEXIST;
		}
	}
	claim->hole = prev ? start - prev->last - 1 : 0;
	claim->subtree_hole = claim->hole;
	rb_link_node(&claim->rb, parent, link);
	/* Next to the one before it there is no hole, and so nothing to tell */
	if (parent && claim->hole)
		claim_holes_propagate(parent, NULL);
	rb_insert_augmented_cached(&claim->rb, &space->claims, !prev, &claim_holes);
	if (next)
		claim_set_hole(next, next->start - last - 1);
	else
		space->top = claim;
	return 0;
}

/**
 * iova_space_first() - Lowest claim that touches a range
 * @space: space, @space->rwsem held for reading or writing
 * @start: first IOVA of the range
 * @last: last IOVA of the range, inclusive
 *
 * Return: the claim, or NULL.
 */
struct iova_claim *iova_space_first(struct iova_space *space, unsigned long start, unsigned long last)
{
	struct iova_claim *found = to_claim(rb_first_cached(&space->claims));
	struct rb_node *node = space->claims.rb_root.rb_node;

	/* What is taken out in order is always the first one */
	if (found && found->last < start) {
		for (found = NULL; node;) {
			if (to_claim(node)->last < start) {
				node = node->rb_right;
			} else {
				found = to_claim(node);
				node = node->rb_left;
			}
		}
	}
	return found && found->start <= last ? found : NULL;
}

/**
 * iova_space_next() - Next claim of a range, in ascending order
 * @claim: where iova_space_first() or the call before this one arrived
 * @last: last IOVA of the range, inclusive
 *
 * Return: the claim, or NULL.
 */
struct iova_claim *iova_space_next(struct iova_claim *claim, unsigned long last)
{
	struct iova_claim *next = claim->last < last ? to_claim(rb_next(&claim->rb)) : NULL;

	return next && next->start <= last ? next : NULL;
}

/**
 * iova_space_claim() - Take a range that the caller chose
 * @space: space, @space->rwsem held for writing
 * @claim: linked on success
 * @start: first IOVA
 * @last: last IOVA, inclusive, not below @start
 *
 * Return: 0; -EINVAL if the range is not aligned or reserved; -EEXIST if some of it is claimed.
 */
int iova_space_claim(struct iova_space *space, struct iova_claim *claim, unsigned long start, unsigned long last)
{
	unsigned long mask = space->alignment - 1;

	lockdep_assert_held_write(&space->rwsem);
	if ((start & mask) || ((last + 1) & mask))
		return -EINVAL;
	if (interval_tree_iter_first(&space->reserved, start, last))
		return -EINVAL;
	claim->start = start;
	claim->last = last;
	return claim_insert(space, claim);
}

/**
 * iova_space_unclaim() - Give a claimed range back
 * @space: space, @space->rwsem held for writing
 * @claim: unlinked
 */
void iova_space_unclaim(struct iova_space *space, struct iova_claim *claim)
{
	struct iova_claim *next = to_claim(rb_next(&claim->rb));
	bool first = space->claims.rb_leftmost == &claim->rb;

	lockdep_assert_held_write(&space->rwsem);
	/* Growing before the other one goes: what lies above both learns of it once, and of nothing when that goes */
	if (next)
		claim_set_hole(next, first ? 0 : claim->hole + (claim->last - claim->start + 1) + next->hole);
	else
		space->top = to_claim(rb_prev(&claim->rb));
	rb_erase_augmented_cached(&claim->rb, &space->claims, &claim_holes);
}

/**
 * iova_space_split() - Make one claim two that lie side by side
 * @space: space, @space->rwsem held for writing
 * @claim: ends before @iova afterwards
 * @upper: linked; from @iova to where @claim ended
 * @iova: first IOVA of @upper, aligned, above @claim->start and up to @claim->last
 */
void iova_space_split(struct iova_space *space, struct iova_claim *claim, struct iova_claim *upper, unsigned long iova)
{
	lockdep_assert_held_write(&space->rwsem);
	upper->start = iova;
	upper->last = claim->last;
	claim->last = iova - 1;
	WARN_ON(claim_insert(space, upper));
}

/* Lowest node of a subtree, or of what follows it, that has a hole of at least @length before it */
static struct iova_claim *leftmost_hole(struct rb_node *node, unsigned long length)
{
	if (!node || to_claim(node)->subtree_hole < length)
		return NULL;
	for (;;) {
		while (node->rb_left && to_claim(node->rb_left)->subtree_hole >= length)
			node = node->rb_left;
		if (to_claim(node)->hole >= length)
			return to_claim(node);
		node = node->rb_right;
	}
}

static struct iova_claim *next_hole(struct iova_claim *claim, unsigned long length)
{
	struct rb_node *node = &claim->rb;
	struct iova_claim *found = leftmost_hole(node->rb_right, length);
	struct rb_node *parent;

	for (; !found; node = parent) {
		parent = rb_parent(node);
		if (!parent)
			return NULL;
		if (node != parent->rb_left)
			continue;
		if (to_claim(parent)->hole >= length)
			return to_claim(parent);
		found = leftmost_hole(parent->rb_right, length);
	}
	return found;
}

/* Does [start, last], cut to begin at @from, hold an aligned stretch? */
static bool hole_fits(unsigned long start, unsigned long last, unsigned long from, unsigned long length,
		      unsigned long align, unsigned long *found)
{
	unsigned long pos = max(start, from);

	if (check_add_overflow(pos, align - 1, &pos))
		return false;
	pos &= ~(align - 1);
	if (pos > last || last - pos < length - 1)
		return false;
	*found = pos;
	return true;
}

/*
 * Lowest aligned stretch at or above @from that no claim touches. Only holes of at least @want bytes are looked at.
 * If that leaves room for any alignment, the first hole always fits; if it is @length, none that could is passed
 * over.
 */
static bool find_unclaimed(struct iova_space *space, unsigned long from, unsigned long length, unsigned long align,
			   unsigned long want, unsigned long *found)
{
	struct iova_claim *claim = to_claim(rb_first_cached(&space->claims));
	struct iova_claim *root = to_claim(space->claims.rb_root.rb_node);

	if (!claim)
		return hole_fits(0, ULONG_MAX, from, length, align, found);
	if (claim->start && hole_fits(0, claim->start - 1, from, length, align, found))
		return true;

	/* The hole that @from stands in may begin below it, so it is looked at whatever its size */
	claim = root->subtree_hole >= want ? iova_space_first(space, from, ULONG_MAX) : NULL;
	for (; claim; claim = next_hole(claim, want))
		if (claim->hole && hole_fits(claim->start - claim->hole, claim->start - 1, from, length, align, found))
			return true;
	return space->top->last < ULONG_MAX &&
	       hole_fits(space->top->last + 1, ULONG_MAX, from, length, align, found);
}

/*
 * The same, inside a window and leaving out what is reserved. Where the next hole lies behind a window, so do all
 * that follow: windows without room are not asked one by one.
 */
static bool find_allowed(struct iova_space *space, unsigned long length, unsigned long align, unsigned long want,
			 unsigned long *found)
{
	struct interval_tree_node everywhere = { .start = 0, .last = ULONG_MAX };
	struct interval_tree_node *window = &everywhere;
	const unsigned long end = ULONG_MAX - PAGE_SIZE;
	struct interval_tree_node *reserved;
	unsigned long from = PAGE_SIZE;
	unsigned long last;

	while (from <= end) {
		cond_resched();
		if (!RB_EMPTY_ROOT(&space->allowed.rb_root))
			window = interval_tree_iter_first(&space->allowed, from, end);
		if (!window)
			return false;
		from = max(window->start, from);
		last = min(window->last, end);
		if (last - from >= length - 1) {
			if (!find_unclaimed(space, from, length, align, want, found))
				return false;
			from = *found;
			if (from > last)
				continue;
		}
		if (last - from < length - 1) {
			from = last + 1;
			continue;
		}
		reserved = interval_tree_iter_first(&space->reserved, from, from + length - 1);
		if (!reserved)
			return true;
		if (reserved->last >= end)
			return false;
		from = reserved->last + 1;
	}
	return false;
}

/**
 * iova_space_find() - Find room for a range
 * @space: space, @space->rwsem held for writing until the range is claimed
 * @length: bytes, above 0
 * @align: the range starts on a multiple of this, a power of two
 * @start: out: first IOVA
 *
 * Address 0 and the last page are never chosen, and if there are windows only addresses inside one are. The lowest
 * address is taken where a hole leaves room for any alignment; only when there is none, tight holes are tried.
 *
 * Return: 0, or -ENOSPC.
 */
int iova_space_find(struct iova_space *space, unsigned long length, unsigned long align, unsigned long *start)
{
	unsigned long roomy;

	lockdep_assert_held_write(&space->rwsem);
	align = max(align, space->alignment);
	/* Holes begin and end on multiples of @space->alignment */
	if (check_add_overflow(length, align - space->alignment, &roomy))
		roomy = ULONG_MAX;
	if (find_allowed(space, length, align, roomy, start) ||
	    (roomy > length && find_allowed(space, length, align, length, start)))
		return 0;
	return -ENOSPC;
}

static bool owner_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct iova_reserved, by_owner)->owner < rb_entry(b, struct iova_reserved, by_owner)->owner;
}

static int owner_compare(const void *owner, const struct rb_node *node)
{
	const void *other = rb_entry(node, struct iova_reserved, by_owner)->owner;

	return owner < other ? -1 : owner > other;
}

/**
 * iova_space_reserve() - Keep a range from being used
 * @space: space, @space->rwsem held for writing
 * @owner: whose reservation this is, for iova_space_unreserve()
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: 0; -EADDRINUSE if some of it is claimed or promised by a window; -ENOMEM.
 */
int iova_space_reserve(struct iova_space *space, const void *owner, unsigned long start, unsigned long last)
{
	struct iova_reserved *reserved;

	lockdep_assert_held_write(&space->rwsem);
	if (iova_space_first(space, start, last) || interval_tree_iter_first(&space->allowed, start, last))
		return -EADDRINUSE;

	reserved = kzalloc(sizeof(*reserved), GFP_KERNEL_ACCOUNT);
	if (!reserved)
		return -ENOMEM;
	reserved->node.start = start;
	reserved->node.last = last;
	reserved->owner = owner;
	interval_tree_insert(&reserved->node, &space->reserved);
	rb_add(&reserved->by_owner, &space->owners, owner_before);
	return 0;
}

/**
 * iova_space_unreserve() - Drop all reservations of an owner
 * @space: space, @space->rwsem held for writing
 * @owner: as in iova_space_reserve(); one without reservations is fine
 */
void iova_space_unreserve(struct iova_space *space, const void *owner)
{
	struct rb_node *node;

	lockdep_assert_held_write(&space->rwsem);
	while ((node = rb_find(owner, &space->owners, owner_compare))) {
		struct iova_reserved *reserved = rb_entry(node, struct iova_reserved, by_owner);

		rb_erase(node, &space->owners);
		interval_tree_remove(&reserved->node, &space->reserved);
		kfree(reserved);
		cond_resched();
	}
}

/**
 * iova_window_add() - Add a window to a list that is being built
 * @windows: list, not yet given to a space
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: 0; -EINVAL if the window is upside down or overlaps another; -ENOMEM.
 */
int iova_window_add(struct rb_root_cached *windows, unsigned long start, unsigned long last)
{
	struct interval_tree_node *window;

	if (start >= last || interval_tree_iter_first(windows, start, last))
		return -EINVAL;
	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	if (!window)
		return -ENOMEM;
	window->start = start;
	window->last = last;
	interval_tree_insert(window, windows);
	return 0;
}

/**
 * iova_window_clear() - Empty a list of windows
 * @windows: list
 */
void iova_window_clear(struct rb_root_cached *windows)
{
	struct interval_tree_node *window;

	while ((window = interval_tree_iter_first(windows, 0, ULONG_MAX))) {
		interval_tree_remove(window, windows);
		kfree(window);
		cond_resched();
	}
}

/**
 * iova_space_allow() - Replace the windows of a space
 * @space: space, @space->rwsem held for writing
 * @windows: new list; holds the old one afterwards
 *
 * Return: 0; -EADDRINUSE if a new window overlaps a reserved range, with nothing changed.
 */
int iova_space_allow(struct iova_space *space, struct rb_root_cached *windows)
{
	struct interval_tree_node *window;

	lockdep_assert_held_write(&space->rwsem);
	for (window = interval_tree_iter_first(windows, 0, ULONG_MAX); window;
	     window = interval_tree_iter_next(window, 0, ULONG_MAX)) {
		if (interval_tree_iter_first(&space->reserved, window->start, window->last))
			return -EADDRINUSE;
		cond_resched();
	}
	swap(space->allowed, *windows);
	return 0;
}
