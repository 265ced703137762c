/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_DEVICE_H
#define __IOMMUFD_DEVICE_H

#include <linux/err.h>
#include <linux/iommufd.h>

#include "group.h"

/**
 * struct iommufd_device - A device that a kernel driver has handed to a context
 * @obj: its id
 * @ictx: the context
 * @member: the device and its group
 * @pasid_capabilities: IOMMU_HW_CAP_PCI_PASID_*, as read when it was bound
 * @faults_before: faults that its IOMMU had counted when it was bound
 */
struct iommufd_device {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_member member;
	u64 pasid_capabilities;
	u64 faults_before;
};

extern const struct iommufd_object_ops iommufd_device_ops;

struct iommufd_device *iommufd_get_device(struct iommufd_ctx *ictx, u32 id);
struct iommufd_device *iommufd_device_create(struct iommufd_ctx *ictx, struct device *dev);
void iommufd_device_remove(struct iommufd_device *idev);
int iommufd_device_dma_faults(struct iommufd_device *idev, u64 *count);

int iommufd_ioctl_get_hw_info(struct iommufd_ucmd *ucmd);

#endif
