/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_VFIO_DIRTY_H
#define __IOMMUFD_VFIO_DIRTY_H

#include <linux/sizes.h>
#include <linux/types.h>
#include <uapi/linux/vfio.h>

struct ioas_map;

/* Bytes of the largest bitmap: 2^31 pages at one bit each, as in VFIO's own container */
#define VFIO_DIRTY_BITMAP_MAX	SZ_256M

/**
 * struct vfio_dirty_range - A range whose log is read
 * @map: IOAS
 * @start: first IOVA
 * @last: last IOVA, inclusive
 * @bitmap: where the bits go
 */
struct vfio_dirty_range {
	struct ioas_map *map;
	unsigned long start;
	unsigned long last;
	struct vfio_bitmap bitmap;
};

int vfio_dirty_check_range(struct vfio_dirty_range *range, u64 iova, u64 size);
int vfio_dirty_tell(struct vfio_dirty_range *range, bool take);
int vfio_dirty_pages(struct ioas_map *map, void __user *arg);

#endif
