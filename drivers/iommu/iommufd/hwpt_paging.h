/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_HWPT_PAGING_H
#define __IOMMUFD_HWPT_PAGING_H

#include "ctx.h"
#include "ioas.h"
#include "ioas_domain.h"

struct device;

/**
 * struct iommufd_hwpt - A page table whose content is that of an IOAS
 * @obj: its id
 * @ictx: context it belongs to
 * @ioas: IOAS whose areas are in it, linked
 * @dom: the domain, in the IOAS's list
 * @auto_entry: in ioas->auto_hwpts if the kernel made it; then it goes with its last device. Covered by ioas->auto_lock
 */
struct iommufd_hwpt {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_ioas *ioas;
	struct ioas_domain dom;
	struct list_head auto_entry;
};

extern const struct iommufd_object_ops iommufd_hwpt_paging_ops;

struct iommufd_hwpt *iommufd_hwpt_create(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas, struct device *dev,
					 u32 flags);
void iommufd_hwpt_abandon(struct iommufd_hwpt *hwpt);
void iommufd_hwpt_unused(struct iommufd_hwpt *hwpt);

#endif
