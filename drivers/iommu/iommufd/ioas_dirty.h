/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_DIRTY_H
#define __IOMMUFD_IOAS_DIRTY_H

#include <linux/types.h>
#include <linux/xarray.h>

struct ioas_map;

/* As many pages as a page has bits: what is looked at in one go */
#define IOAS_DIRTY_WINDOW	(PAGE_SIZE * BITS_PER_BYTE)

/**
 * struct ioas_dirty - Which pages of an IOAS have been written since somebody looked
 * @tracking: somebody wants to know; covered by the space's rwsem
 * @by_device: there has been a page table since; covered by ioas_map->fill_rwsem
 * @chunks: what software users wrote: by IOVA, a bitmap of IOAS_DIRTY_WINDOW pages; covered by the space's rwsem
 */
struct ioas_dirty {
	bool tracking;
	bool by_device;
	struct xarray chunks;
};

void ioas_dirty_init(struct ioas_map *map);
int ioas_dirty_start(struct ioas_map *map);
void ioas_dirty_stop(struct ioas_map *map);
int ioas_dirty_mark(struct ioas_map *map, unsigned long start, unsigned long last);
int ioas_dirty_check(struct ioas_map *map, unsigned long start, unsigned long last);
int ioas_dirty_look(struct ioas_map *map, unsigned long start, unsigned long last, bool take, unsigned long *bitmap);
void ioas_dirty_give_back(struct ioas_map *map, unsigned long start, unsigned long npages, unsigned long *bitmap);

#endif
