/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_HWPT_NESTED_H
#define __IOMMUFD_HWPT_NESTED_H

#include "hwpt_paging.h"
#include "viommu.h"

/**
 * struct iommufd_hwpt_nested - A page table that a guest writes, on one of the kernel
 * @common: what all kinds have; the IOAS is that of the parent
 * @under: what it was made on, linked: the parent, or a vIOMMU that links the parent
 */
struct iommufd_hwpt_nested {
	struct iommufd_hwpt common;
	struct iommufd_object *under;
};

extern const struct iommufd_object_ops iommufd_hwpt_nested_ops;

struct iommufd_hwpt *iommufd_hwpt_nest(struct iommufd_ctx *ictx, struct iommufd_hwpt_paging *parent,
				       struct device *dev, u32 flags, const struct iommu_driver_data *data);
struct iommufd_hwpt *iommufd_hwpt_nest_in_viommu(struct iommufd_ctx *ictx, struct iommufd_viommu *viommu,
						 struct device *dev, u32 flags, const struct iommu_driver_data *data);

#endif
