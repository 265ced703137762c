/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_HWPT_PAGING_H
#define __IOMMUFD_HWPT_PAGING_H

#include "hwpt.h"
#include "ioas.h"
#include "ioas_domain.h"

struct device;

/**
 * struct iommufd_hwpt_paging - A page table whose content is that of an IOAS
 * @common: what all kinds have; the IOAS is linked
 * @dom: the domain, in the IOAS's list
 * @nest_parent: page tables of a guest may stand on it
 */
struct iommufd_hwpt_paging {
	struct iommufd_hwpt common;
	struct ioas_domain dom;
	bool nest_parent;
};

extern const struct iommufd_object_ops iommufd_hwpt_paging_ops;

struct iommufd_hwpt *iommufd_hwpt_create(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas, struct device *dev,
					 u32 flags);

#endif
