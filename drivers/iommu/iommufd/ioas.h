/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_H
#define __IOMMUFD_IOAS_H

#include <linux/err.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "ctx.h"
#include "ioas_map.h"
#include "trace.h"

struct iommu_iova_range;

/**
 * struct iommufd_ioas - An I/O address space
 * @obj: its id
 * @map: what is mapped in it
 * @auto_lock: covers @auto_hwpts; held while one is looked for or made, outside a group's lock
 * @auto_hwpts: page tables that the kernel made for devices which were attached to the IOAS itself
 * @vfio_compat: IOMMU_VFIO_IOAS named it, maybe long ago; never cleared
 */
struct iommufd_ioas {
	struct iommufd_object obj;
	struct ioas_map map;
	struct mutex auto_lock;	/* auto_hwpts */
	struct list_head auto_hwpts;
	bool vfio_compat;
};

extern const struct iommufd_object_ops iommufd_ioas_ops;

static inline struct iommufd_ioas *iommufd_get_ioas(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_object_get(&ictx->objs, id, &iommufd_ioas_ops);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct iommufd_ioas, obj);
}

void iommufd_ioas_init(struct iommufd_ioas *ioas);
struct iommufd_ioas *iommufd_ioas_create(struct iommufd_ctx *ictx);
int iommufd_ioas_reserve(struct iommufd_ioas *ioas, const void *owner, unsigned long start, unsigned long last);
void iommufd_ioas_unreserve(struct iommufd_ioas *ioas, const void *owner);
int iommufd_ioas_copy_ranges(struct iommufd_ioas *ioas, struct iommu_iova_range __user *ranges, u32 capacity,
			     u32 *num, u64 *alignment);

int iommufd_map_flags_check(u32 flags, u64 iova, u64 length);
int iommufd_map_areas(struct iommufd_ucmd *ucmd, size_t size, struct iommufd_ioas *ioas, struct ioas_area *areas,
		      u32 flags, unsigned long memory, u64 *iova, bool pin);
int iommufd_map_pinned(struct iommufd_ucmd *ucmd, size_t size, struct iommufd_ioas *ioas, struct pinned *p, u64 byte,
		       unsigned long length, u32 flags, unsigned long memory, u64 *iova, bool pin);
int iommufd_map_user(struct iommufd_ucmd *ucmd, size_t size, struct iommufd_ioas *ioas, u64 user_va, u64 length,
		     u32 flags, u64 *iova);
int iommufd_unmap_areas_traced(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas, unsigned long start,
			       unsigned long last, int (*before)(void *data), void *data, u64 *unmapped);

/**
 * iommufd_unmap_areas() - Unmap every area that lies in a range, after something else
 * @ictx: context
 * @ioas: IOAS, held busy
 * @start: first IOVA
 * @last: last IOVA, inclusive
 * @before: as in ioas_map_unmap()
 * @data: for @before
 * @unmapped: out: bytes that were unmapped, 0 when there was nothing or on error
 *
 * Return: as ioas_map_unmap().
 */
static inline int iommufd_unmap_areas(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas, unsigned long start,
				      unsigned long last, int (*before)(void *data), void *data, u64 *unmapped)
{
	if (trace_iommufd_unmap_enabled())
		return iommufd_unmap_areas_traced(ictx, ioas, start, last, before, data, unmapped);
	return ioas_map_unmap(&ioas->map, start, last, before, data, unmapped);
}

int iommufd_ioctl_ioas_alloc(struct iommufd_ucmd *ucmd);
int iommufd_ioctl_ioas_iova_ranges(struct iommufd_ucmd *ucmd);
int iommufd_ioctl_ioas_allow_iovas(struct iommufd_ucmd *ucmd);
int iommufd_ioctl_ioas_map(struct iommufd_ucmd *ucmd);
int iommufd_ioctl_ioas_copy(struct iommufd_ucmd *ucmd);
int iommufd_ioctl_ioas_unmap(struct iommufd_ucmd *ucmd);

#endif
