// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices without an IOMMU, in the hands of an iommufd
 *
 * Whoever has one reaches all of memory with it. So there is such a device only where the administrator asked for the
 * unsafe mode, which taints the kernel, and its node opens only to who may do such things anyway:
 * vfio_noiommu_may_open(). An attachment pins memory and translates nothing; iommufd tells the physical addresses.
 *
 * The driver of the device takes bus mastering away from it when it is closed, which comes before it is unbound: what
 * was pinned for it is given back then.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iommufd.h>
#include <linux/sched.h>
#include <linux/vfio.h>

#include "cdev.h"
#include "vfio.h"

/**
 * vfio_noiommu_may_open() - May this process open the node of a device?
 * @device: device in its group
 *
 * Return: true if so; for a device that is behind an IOMMU always.
 */
bool vfio_noiommu_may_open(struct vfio_device *device)
{
	return device->group->type != VFIO_NO_IOMMU || capable(CAP_SYS_RAWIO);
}

/* The mode may have ended since the device was found */
static int noiommu_bind(struct vfio_device *device, struct iommufd_ctx *ictx, u32 *devid)
{
	struct iommufd_noiommu *ndev;

	if (!vfio_noiommu)
		return -EPERM;
	ndev = iommufd_noiommu_bind(ictx, device->dev, devid);
	if (IS_ERR(ndev))
		return PTR_ERR(ndev);
	device->iommufd_noiommu = ndev;
	dev_warn(device->dev, "vfio-noiommu device bound by user (%s:%d)\n", current->comm, task_pid_nr(current));
	return 0;
}

static void noiommu_unbind(struct vfio_device *device)
{
	iommufd_noiommu_unbind(device->iommufd_noiommu);
	device->iommufd_noiommu = NULL;
}

static int noiommu_attach(struct vfio_device *device, ioasid_t pasid, u32 pt_id, iommufd_report_fn report, void *data)
{
	if (pasid != IOMMUFD_NO_PASID)
		return -EOPNOTSUPP;
	return iommufd_noiommu_attach(device->iommufd_noiommu, pt_id, report, data);
}

static int noiommu_detach(struct vfio_device *device, ioasid_t pasid)
{
	if (pasid != IOMMUFD_NO_PASID)
		return -EOPNOTSUPP;
	iommufd_noiommu_detach(device->iommufd_noiommu);
	return 0;
}

static void noiommu_show(struct vfio_device *device, struct seq_file *m)
{
	iommufd_noiommu_show(device->iommufd_noiommu, m);
}

const struct vfio_iommufd_kind vfio_iommufd_noiommu = {
	.bind	= noiommu_bind,
	.unbind	= noiommu_unbind,
	.attach	= noiommu_attach,
	.detach	= noiommu_detach,
	.show	= noiommu_show,
};
