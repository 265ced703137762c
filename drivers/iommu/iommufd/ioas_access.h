/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_ACCESS_H
#define __IOMMUFD_IOAS_ACCESS_H

#include <linux/iommufd.h>
#include <linux/list.h>

struct ioas_area;
struct ioas_map;

/**
 * struct ioas_user - A software user of an IOAS
 * @entry: in ioas_map->users
 * @ops: how it is told that memory goes
 * @data: for @ops
 * @calls: running calls of @ops; covered by ioas_map->users_lock
 * @leaving: it is not told any more; covered by ioas_map->users_lock
 */
struct ioas_user {
	struct list_head entry;
	const struct iommufd_access_ops *ops;
	void *data;
	unsigned int calls;
	bool leaving;
};

int ioas_user_add(struct ioas_map *map, struct ioas_user *user);
void ioas_user_remove(struct ioas_map *map, struct ioas_user *user);
unsigned int ioas_user_next_pin(struct ioas_map *map, struct ioas_user *user, unsigned long *iova,
				unsigned long *last);

int ioas_access_pin(struct ioas_map *map, struct ioas_user *user, unsigned long iova, unsigned long last, int prot,
		    struct page **pages);
bool ioas_access_unpin(struct ioas_map *map, struct ioas_user *user, unsigned long iova, unsigned long last);
int ioas_access_rw(struct ioas_map *map, unsigned long iova, void *buf, size_t length, unsigned int flags);
int ioas_access_lookup(struct ioas_map *map, unsigned long iova, struct iommufd_user_address *to);

/* What mapping and unmapping ask about software users */
bool ioas_access_pins_pages(struct ioas_map *map);
bool ioas_access_pinned(struct ioas_map *map, unsigned long start, unsigned long last);
int ioas_access_expel(struct ioas_map *map, unsigned long start, unsigned long last);
int ioas_access_mark_dirty(struct ioas_map *map, unsigned long start, unsigned long last);
bool ioas_access_can_cut(struct ioas_map *map, struct ioas_area *area, unsigned long iova);
void ioas_access_cut(struct ioas_map *map, struct ioas_area *area, struct ioas_area *upper, unsigned long iova);

#endif
