/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOVA_SPACE_H
#define __IOMMUFD_IOVA_SPACE_H

#include <linux/interval_tree.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>

/**
 * struct iova_claim - A range of addresses in use, embedded in whatever uses it
 * @rb: place in iova_space->claims
 * @start: first IOVA
 * @last: last IOVA, inclusive
 * @hole: bytes that are free between this claim and the one before it; 0 for the first one
 * @subtree_hole: largest @hole at or below this node
 */
struct iova_claim {
	struct rb_node rb;
	unsigned long start;
	unsigned long last;
	unsigned long hole;
	unsigned long subtree_hole;
};

/**
 * struct iova_space - Who may use which IOVA
 * @rwsem: covers all that follows; held for writing to change it
 * @claims: ranges in use, never overlapping, ordered by address
 * @top: the last of them, or NULL
 * @reserved: ranges nobody may use; they may overlap and each has an owner
 * @owners: the same ranges, ordered by owner
 * @allowed: windows for kernel-chosen addresses; empty means everywhere
 * @alignment: every claim starts and ends on a multiple of this, bytes, 1..PAGE_SIZE
 */
struct iova_space {
	struct rw_semaphore rwsem;
	struct rb_root_cached claims;
	struct iova_claim *top;
	struct rb_root_cached reserved;
	struct rb_root owners;
	struct rb_root_cached allowed;
	unsigned long alignment;
};

void iova_space_init(struct iova_space *space);
void iova_space_destroy(struct iova_space *space);

int iova_space_claim(struct iova_space *space, struct iova_claim *claim, unsigned long start, unsigned long last);
void iova_space_unclaim(struct iova_space *space, struct iova_claim *claim);
void iova_space_split(struct iova_space *space, struct iova_claim *claim, struct iova_claim *upper,
		      unsigned long iova);
int iova_space_find(struct iova_space *space, unsigned long length, unsigned long align, unsigned long *start);

struct iova_claim *iova_space_first(struct iova_space *space, unsigned long start, unsigned long last);
struct iova_claim *iova_space_next(struct iova_claim *claim, unsigned long last);

int iova_space_reserve(struct iova_space *space, const void *owner, unsigned long start, unsigned long last);
void iova_space_unreserve(struct iova_space *space, const void *owner);

int iova_window_add(struct rb_root_cached *windows, unsigned long start, unsigned long last);
void iova_window_clear(struct rb_root_cached *windows);
int iova_space_allow(struct iova_space *space, struct rb_root_cached *windows);

#endif
