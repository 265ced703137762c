/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_MAP_H
#define __IOMMUFD_IOAS_MAP_H

#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/rwsem.h>

#include "iova_space.h"

struct iommu_domain;
struct pinned;

/**
 * enum ioas_area_state - Where an area is in its life; covered by the space's rwsem
 * @IOAS_AREA_FILLING: claimed; its map call has not finished, so it may still vanish
 * @IOAS_AREA_LIVE: mapped; user space may unmap it
 * @IOAS_AREA_DRAINING: an unmap call is taking it out
 */
enum ioas_area_state {
	IOAS_AREA_FILLING,
	IOAS_AREA_LIVE,
	IOAS_AREA_DRAINING,
};

/**
 * struct ioas_area - One mapping
 * @claim: its addresses
 * @user: its pages, linked in @pinned while there is a page table
 * @pinned: where its pages come from
 * @byte: offset of the first byte in @pinned
 * @next_drained: the next area that the same unmap call takes out
 * @prot: IOMMU_READ and so on
 * @state: where it is in its life
 */
struct ioas_area {
	struct iova_claim claim;
	struct interval_tree_node user;
	struct pinned *pinned;
	u64 byte;
	struct ioas_area *next_drained;
	int prot;
	enum ioas_area_state state;
};

/**
 * struct ioas_domain - A domain that holds a copy of every area, embedded in a page table object
 * @entry: in ioas_map->domains
 * @domain: the domain
 */
struct ioas_domain {
	struct list_head entry;
	struct iommu_domain *domain;
};

/**
 * struct ioas_map - All mappings of an IOAS, and the domains they are in
 * @fill_rwsem: held for reading while areas come and go, for writing while domains do; covers the two below
 * @domains: list of struct ioas_domain
 * @huge_pages: leaves may be larger than a page
 * @space: addresses; claims are the areas
 */
struct ioas_map {
	struct rw_semaphore fill_rwsem;
	struct list_head domains;
	bool huge_pages;
	struct iova_space space;
};

void ioas_map_init(struct ioas_map *map);
void ioas_map_destroy(struct ioas_map *map);

struct ioas_area *ioas_map_begin(struct ioas_map *map, struct pinned *p, u64 byte, unsigned long length, int prot,
				 unsigned long *iova, unsigned long align);
void ioas_map_commit(struct ioas_map *map, struct ioas_area *area);
void ioas_map_abort(struct ioas_map *map, struct ioas_area *area);
int ioas_map_unmap(struct ioas_map *map, unsigned long start, unsigned long last, u64 *unmapped);

int ioas_map_add_domain(struct ioas_map *map, struct ioas_domain *dom);
void ioas_map_remove_domain(struct ioas_map *map, struct ioas_domain *dom);
int ioas_map_set_huge_pages(struct ioas_map *map, bool huge_pages);

#endif
