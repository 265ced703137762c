/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side of /dev/iommu: what a device driver calls that hands its device to user space.
 *
 * The order of a device's life is bind, then any number of attach and detach, then unbind. A driver calls these from
 * its own file operations; none of them may be called from interrupt context, and no caller may hold mmap_lock.
 */
#ifndef __LINUX_IOMMUFD_H
#define __LINUX_IOMMUFD_H

#include <linux/types.h>

struct device;
struct file;
struct iommufd_ctx;
struct iommufd_device;

/**
 * typedef iommufd_report_fn - Told which page table an attach is going to use
 * @data: what the caller of the attach passed on
 * @pt_id: id of the page table
 *
 * Called before anything changes for the device, so that a result which cannot be delivered leaves the old attachment
 * as it was. It may sleep and may copy to user space. It may be called more than once in one attach, each time with the
 * page table that is tried next.
 *
 * Return: 0, or -errno to give the attach up.
 */
typedef int (*iommufd_report_fn)(void *data, u32 pt_id);

struct iommufd_ctx *iommufd_ctx_from_file(struct file *file);
struct iommufd_ctx *iommufd_ctx_from_fd(int fd);
void iommufd_ctx_get(struct iommufd_ctx *ictx);
void iommufd_ctx_put(struct iommufd_ctx *ictx);

struct iommufd_device *iommufd_device_bind(struct iommufd_ctx *ictx, struct device *dev);
void iommufd_device_unbind(struct iommufd_device *idev);
u32 iommufd_device_id(struct iommufd_device *idev);

int iommufd_device_attach(struct iommufd_device *idev, u32 pt_id, iommufd_report_fn report, void *data);
void iommufd_device_detach(struct iommufd_device *idev);

#endif
