/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMU_KUNIT_WALK_WORLD_H
#define __IOMMU_KUNIT_WALK_WORLD_H

#include "soft_pci.h"
#include "walk.h"

#define WALK_DEVICES	4
#define WALK_GROUPS	3

struct walk_world;

/**
 * struct walk_world_ops - What the random steps need to know about a kind of IOMMU
 * @alloc_domain: allocate domain number @index, and tell its kind and whether PASIDs cannot have it: the driver has to
 *                replace two of one kind without a moment in which neither translates, unless it is kind 0
 * @refuse: from now on the driver has to refuse that the device is replaced, or not any more
 * @walk_leaves: count the leaves that are in a domain's page table: @leaves[n] is increased for each of BIT(n) bytes
 */
struct walk_world_ops {
	struct iommu_domain *(*alloc_domain)(struct walk_world *world, unsigned int index, struct walk_domain *domain);
	void (*refuse)(struct walk_world *world, struct pci_dev *pdev, bool refuse);
	void (*walk_leaves)(struct iommu_domain *domain, unsigned long *leaves);
};

/*
 * struct walk_world - Devices, domains, and what is done with them at random
 * @devices: the first one is alone, the next two share a group, the last one has two requester IDs; NULL when removed
 * @has_pasids: PASIDs are enabled for the device
 * @owned: the group belongs to the test; otherwise it is in its default domain
 * @identity: the default domain lets everything through; otherwise nothing is mapped there
 * @pasids: PASIDs below this one are used; 0: none
 */
struct walk_world {
	const struct walk_world_ops *ops;
	struct walker *walker;
	struct soft_pci *pci;
	struct pci_dev *devices[WALK_DEVICES];
	bool has_pasids[WALK_DEVICES];
	struct iommu_group *groups[WALK_GROUPS];
	bool owned[WALK_GROUPS];
	bool identity;
	unsigned int pasids;
};

int walk_world_start(struct walk_world *world);
void walk_world_step(struct walk_world *world);
int walk_world_move(struct walk_world *world, struct walk_slot *slot, int to);
void walk_world_toggle(struct walk_world *world, unsigned int d, unsigned int p, bool move);
void walk_world_unplug(struct walk_world *world, unsigned int device);
void walk_world_stop(struct walk_world *world);

#endif
