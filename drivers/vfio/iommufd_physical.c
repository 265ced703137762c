// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that do DMA through an IOMMU, in the hands of an iommufd
 *
 * All of these operations may write to the device (ATS, PASID), so each of them wakes it up. A device that has PASIDs
 * offers all of them to its user.
 */
#include <linux/err.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "cdev.h"

static int physical_bind(struct vfio_device *device, struct iommufd_ctx *ictx, u32 *devid)
{
	struct iommufd_device *idev;
	int rc;

	rc = vfio_device_pm_runtime_get(device);
	if (rc)
		return rc;
	idev = iommufd_device_bind(ictx, device->dev);
	vfio_device_pm_runtime_put(device);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	device->iommufd_device = idev;
	*devid = iommufd_device_id(idev);
	return 0;
}

static void physical_unbind(struct vfio_device *device)
{
	/* One that does not wake up any more is given back all the same */
	bool awake = !vfio_device_pm_runtime_get(device);

	iommufd_device_unbind(device->iommufd_device);
	if (awake)
		vfio_device_pm_runtime_put(device);
	device->iommufd_device = NULL;
}

static bool can_have_pasid(struct vfio_device *device, ioasid_t pasid)
{
	return pasid == IOMMUFD_NO_PASID || iommufd_device_max_pasids(device->iommufd_device);
}

static int physical_attach(struct vfio_device *device, ioasid_t pasid, u32 pt_id, iommufd_report_fn report, void *data)
{
	int rc;

	if (!can_have_pasid(device, pasid))
		return -EOPNOTSUPP;
	rc = vfio_device_pm_runtime_get(device);
	if (rc)
		return rc;
	rc = iommufd_device_attach(device->iommufd_device, pasid, pt_id, 0, report, data);
	vfio_device_pm_runtime_put(device);
	return rc;
}

static int physical_detach(struct vfio_device *device, ioasid_t pasid)
{
	int rc;

	if (!can_have_pasid(device, pasid))
		return -EOPNOTSUPP;
	rc = vfio_device_pm_runtime_get(device);
	if (rc)
		return rc;
	iommufd_device_detach(device->iommufd_device, pasid);
	vfio_device_pm_runtime_put(device);
	return 0;
}

static void physical_show(struct vfio_device *device, struct seq_file *m)
{
	iommufd_device_show(device->iommufd_device, m);
}

const struct vfio_iommufd_kind vfio_iommufd_physical = {
	.bind	= physical_bind,
	.unbind	= physical_unbind,
	.attach	= physical_attach,
	.detach	= physical_detach,
	.show	= physical_show,
};
