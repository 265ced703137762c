/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_MAP_H
#define __IOMMUFD_IOAS_MAP_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "ioas_dirty.h"
#include "iova_space.h"

struct pinned;

/**
 * enum ioas_area_state - Where an area is in its life; covered by the space's rwsem
 * @IOAS_AREA_FILLING: claimed; its map call has not finished, so it may still vanish. It belongs to that call, which
 *		       alone pins it and puts it into domains
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
 * @pinned: where its pages come from; the first area of a source stands in the room that the source has for it
 * @byte: offset of the first byte in @pinned
 * @next: the next area of the same call, in ascending order, while it is mapped or unmapped
 * @prot: IOMMU_READ and so on
 * @state: where it is in its life
 * @held: its map call has pinned its pages; while it is being mapped
 */
struct ioas_area {
	struct iova_claim claim;
	struct pinned *pinned;
	u64 byte;
	struct ioas_area *next;
	int prot;
	u8 state;
	bool held;
};

/**
 * struct ioas_counts - What was done in an IOAS since it was made
 * @mapped: bytes in areas, but for those that are being mapped
 * @maps: areas that were put in, or made by a cut
 * @unmaps: areas that were taken out
 * @pins: pages that were pinned for areas or software users
 */
struct ioas_counts {
	u64 mapped;
	u64 maps;
	u64 unmaps;
	u64 pins;
};

/**
 * struct ioas_map - All mappings of an IOAS, and who uses them
 * @fill_rwsem: held for reading while areas are put into domains and taken out, for writing while domains and software
 *		users come and go
 * @domains: list of struct ioas_domain; covered by @fill_rwsem
 * @huge_pages: leaves may be larger than a page; covered by @fill_rwsem
 * @space: addresses; claims are the areas
 * @users: list of struct ioas_user; covered by @users_lock, and changed with @fill_rwsem held for writing
 * @users_lock: covers @users and the running calls of each
 * @pins: struct ioas_pin by address; covered by space.rwsem
 * @looked_up: a software user knows where areas lie in the process; set with space.rwsem held, and stays
 * @counts: what was done; written with space.rwsem held for writing
 * @settled: how often a pin stopped being busy; written with space.rwsem held for writing
 * @dirty: which pages have been written
 * @idle: woken when @settled changed or a software user's call ended
 */
struct ioas_map {
	struct rw_semaphore fill_rwsem;
	struct list_head domains;
	bool huge_pages;
	struct iova_space space;
	struct list_head users;
	spinlock_t users_lock;	/* users and their calls */
	struct rb_root_cached pins;
	bool looked_up;
	struct ioas_counts counts;
	unsigned int settled;
	struct ioas_dirty dirty;
	wait_queue_head_t idle;
};

static inline unsigned long ioas_area_length(struct ioas_area *area)
{
	return area->claim.last - area->claim.start + 1;
}

/**
 * ioas_areas_length() - How long a chain of areas is
 * @areas: chain, may be empty
 *
 * Return: bytes.
 */
static inline unsigned long ioas_areas_length(struct ioas_area *areas)
{
	unsigned long length = 0;

	for (; areas; areas = areas->next)
		length += ioas_area_length(areas);
	return length;
}

/* First and last page of its source that an area has, inclusive */
static inline unsigned long ioas_area_index(struct ioas_area *area)
{
	return area->byte >> PAGE_SHIFT;
}

static inline unsigned long ioas_area_last_index(struct ioas_area *area)
{
	return (area->byte + (ioas_area_length(area) - 1)) >> PAGE_SHIFT;
}

static inline unsigned long ioas_area_npages(struct ioas_area *area)
{
	return (offset_in_page(area->byte) + ioas_area_length(area) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

int ioas_area_pin(struct ioas_area *area);
void ioas_area_unpin(struct ioas_area *area);

/**
 * ioas_map_has_domain() - Are the pages of areas pinned now?
 * @map: IOAS
 *
 * Return: true if so; unless @map->fill_rwsem is held the answer may be old already.
 */
static inline bool ioas_map_has_domain(struct ioas_map *map)
{
	return !list_empty(&map->domains);
}

void ioas_map_init(struct ioas_map *map);
void ioas_map_destroy(struct ioas_map *map);

struct ioas_area *ioas_area_create(struct pinned *p, u64 byte, unsigned long length, int prot);
void ioas_areas_free(struct ioas_area *areas);
struct ioas_area *ioas_map_gather(struct ioas_map *map, unsigned long start, unsigned long last, int prot);
int ioas_map_begin(struct ioas_map *map, struct ioas_area *areas, unsigned long *iova, unsigned long align, bool pin);
int ioas_map_commit(struct ioas_map *map, struct ioas_area *areas);
void ioas_map_abort(struct ioas_map *map, struct ioas_area *areas);
int ioas_map_cut(struct ioas_map *map, unsigned long iova);
int ioas_map_unmap(struct ioas_map *map, unsigned long start, unsigned long last, int (*before)(void *data),
		   void *data, u64 *unmapped);
struct ioas_area *ioas_map_first(struct ioas_map *map, unsigned long start, unsigned long last);
struct ioas_area *ioas_map_next_settled(struct ioas_map *map, struct ioas_area *area);
struct ioas_area *ioas_map_next(struct ioas_area *area, unsigned long last);

#endif
