// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu_alloc - the ioctls that make a guest's share of an IOMMU, and the devices in it
 *
 * Which types of vIOMMU there are is up to the driver of the IOMMU. It stands above devices and page tables because it
 * needs both.
 */
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "device.h"
#include "hwpt_paging.h"
#include "viommu.h"
#include "viommu_alloc.h"

static int create_and_publish(struct iommufd_ucmd *ucmd, struct device *dev, const struct iommu_viommu_ops *type,
			      struct iommufd_hwpt_paging *parent)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	struct iommu_driver_data data = {
		.type = cmd->type,
		.len = cmd->data_len,
		.uptr = u64_to_user_ptr(cmd->data_uptr),
	};
	struct iommufd_viommu *viommu;
	int rc;

	if (!parent->nest_parent)
		return -EINVAL;
	viommu = iommufd_viommu_create(ucmd->ictx, dev, type, parent, &data);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);
	cmd->out_viommu_id = viommu->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		iommufd_viommu_abandon(viommu);
	else
		iommufd_object_publish(&ucmd->ictx->objs, &viommu->obj);
	return rc;
}

static int viommu_alloc(struct iommufd_ucmd *ucmd, struct device *dev)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	const struct iommu_viommu_ops *type = iommu_viommu_type(dev, cmd->type);
	struct iommufd_object *obj;
	int rc;

	if (!type)
		return -EOPNOTSUPP;
	obj = iommufd_object_get(&ucmd->ictx->objs, cmd->hwpt_id, &iommufd_hwpt_paging_ops);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	rc = create_and_publish(ucmd, dev, type, container_of(obj, struct iommufd_hwpt_paging, common.obj));
	iommufd_object_put(&ucmd->ictx->objs, obj);
	return rc;
}

/**
 * iommufd_ioctl_viommu_alloc() - IOMMU_VIOMMU_ALLOC
 * @ucmd: struct iommu_viommu_alloc
 *
 * Return: 0; -EOPNOTSUPP for flags, the reserved field, and a type that the IOMMU of the device does not offer; -ENOENT
 * for an unknown device or page table; -EINVAL if nothing can stand on the page table; -EFAULT; and as
 * iommufd_viommu_create().
 */
int iommufd_ioctl_viommu_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	struct iommufd_device *idev;
	int rc;

	if (cmd->flags || cmd->__reserved || cmd->type == IOMMU_VIOMMU_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	idev = iommufd_get_device(ucmd->ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	rc = viommu_alloc(ucmd, idev->member.dev);
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return rc;
}

/**
 * iommufd_ioctl_vdevice_alloc() - IOMMU_VDEVICE_ALLOC
 * @ucmd: struct iommu_vdevice_alloc
 *
 * Return: -ENOENT for an unknown vIOMMU or device; -EOPNOTSUPP, because no driver knows the devices of a guest.
 */
int iommufd_ioctl_vdevice_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_vdevice_alloc *cmd = ucmd->cmd;
	struct iommufd_device *idev;
	struct iommufd_object *obj;
	int rc = -EOPNOTSUPP;

	obj = iommufd_object_get(&ucmd->ictx->objs, cmd->viommu_id, &iommufd_viommu_ops);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	idev = iommufd_get_device(ucmd->ictx, cmd->dev_id);
	if (IS_ERR(idev))
		rc = PTR_ERR(idev);
	else
		iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	iommufd_object_put(&ucmd->ictx->objs, obj);
	return rc;
}
