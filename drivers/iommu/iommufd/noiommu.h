/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_NOIOMMU_H
#define __IOMMUFD_NOIOMMU_H

#include <linux/iommufd.h>
#include <linux/mutex.h>

#include "ctx.h"

struct noiommu_use;

/**
 * struct iommufd_noiommu - A device without an IOMMU that a kernel driver has handed to a context
 * @obj: its id
 * @ictx: the context, referenced
 * @dev: the device
 * @move: covers @use; outermost
 * @use: of the IOAS that it is attached to, or NULL
 */
struct iommufd_noiommu {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct device *dev;
	struct mutex move;	/* attach and detach */
	struct noiommu_use *use;
};

extern const struct iommufd_object_ops iommufd_noiommu_ops;

void iommufd_noiommu_init(struct iommufd_noiommu *ndev);
int iommufd_noiommu_ioas_id(struct iommufd_noiommu *ndev, u32 *id);

int iommufd_ioctl_noiommu_get_pa(struct iommufd_ucmd *ucmd);

#endif
