// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu_alloc - the ioctls that make a guest's share of an IOMMU, and the devices in it
 *
 * Which types of vIOMMU there are is up to the driver of the IOMMU, and no driver offers any. So a device can be asked
 * for one, and answers no.
 */
#include <uapi/linux/iommufd.h>

#include "device.h"
#include "viommu_alloc.h"

/**
 * iommufd_ioctl_viommu_alloc() - IOMMU_VIOMMU_ALLOC
 * @ucmd: struct iommu_viommu_alloc
 *
 * Return: -EOPNOTSUPP for flags, the reserved field, and a type that the IOMMU of the device does not offer; -ENOENT
 * for an unknown device.
 */
int iommufd_ioctl_viommu_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	struct iommufd_device *idev;

	if (cmd->flags || cmd->__reserved || cmd->type == IOMMU_VIOMMU_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	idev = iommufd_get_device(ucmd->ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return -EOPNOTSUPP;
}

/**
 * iommufd_ioctl_vdevice_alloc() - IOMMU_VDEVICE_ALLOC
 * @ucmd: struct iommu_vdevice_alloc
 *
 * Return: -ENOENT, because the vIOMMU comes first and no id is that of one.
 */
int iommufd_ioctl_vdevice_alloc(struct iommufd_ucmd *ucmd)
{
	return -ENOENT;
}
