/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_VIOMMU_H
#define __IOMMUFD_VIOMMU_H

#include <linux/err.h>

#include "hwpt_paging.h"

struct iommu_driver_data;
struct iommu_viommu;
struct iommu_viommu_ops;

/**
 * struct iommufd_viommu - A guest's share of an IOMMU
 * @obj: its id
 * @ictx: context it belongs to
 * @parent: page table of the guest's memory, linked
 * @viommu: what the driver made
 */
struct iommufd_viommu {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_hwpt_paging *parent;
	struct iommu_viommu *viommu;
};

extern const struct iommufd_object_ops iommufd_viommu_ops;

struct iommufd_viommu *iommufd_viommu_create(struct iommufd_ctx *ictx, struct device *dev,
					     const struct iommu_viommu_ops *type, struct iommufd_hwpt_paging *parent,
					     const struct iommu_driver_data *data);
void iommufd_viommu_abandon(struct iommufd_viommu *viommu);

#endif
