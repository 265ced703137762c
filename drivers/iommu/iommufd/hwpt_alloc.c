// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwpt_alloc - the ioctl that makes a page table
 *
 * It stands above devices and page tables because it needs both.
 */
#include <uapi/linux/iommufd.h>

#include "device.h"
#include "hwpt_alloc.h"
#include "hwpt_paging.h"

static int hwpt_alloc_on_ioas(struct iommufd_ucmd *ucmd, struct iommufd_device *idev, struct iommufd_ioas *ioas)
{
	struct iommu_hwpt_alloc *cmd = ucmd->cmd;
	struct iommufd_hwpt *hwpt;
	int rc;

	/* Dirty tracking, faults and PASIDs need what neither core nor drivers offer yet */
	if ((cmd->flags & ~IOMMU_HWPT_ALLOC_NEST_PARENT) || cmd->data_type != IOMMU_HWPT_DATA_NONE)
		return -EOPNOTSUPP;

	hwpt = iommufd_hwpt_create(ucmd->ictx, ioas, idev->member.dev, cmd->flags);
	if (IS_ERR(hwpt))
		return PTR_ERR(hwpt);
	cmd->out_hwpt_id = hwpt->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		iommufd_hwpt_abandon(hwpt);
	else
		iommufd_object_publish(&ucmd->ictx->objs, &hwpt->obj);
	return rc;
}

/**
 * iommufd_ioctl_hwpt_alloc() - IOMMU_HWPT_ALLOC
 * @ucmd: struct iommu_hwpt_alloc
 *
 * Return: 0; -EOPNOTSUPP for flags, data types and reserved fields; -EINVAL if data_type and data_len do not go
 * together, or @pt_id names nothing that a page table can be made on; -ENOENT for the device; and as
 * iommufd_hwpt_create().
 */
int iommufd_ioctl_hwpt_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_alloc *cmd = ucmd->cmd;
	struct iommufd_device *idev;
	struct iommufd_ioas *ioas;
	int rc;

	if (cmd->__reserved || cmd->__reserved2)
		return -EOPNOTSUPP;
	if (!cmd->data_type != !cmd->data_len)
		return -EINVAL;
	idev = iommufd_get_device(ucmd->ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->pt_id);
	if (IS_ERR(ioas)) {
		rc = -EINVAL;
		goto out;
	}
	rc = hwpt_alloc_on_ioas(ucmd, idev, ioas);
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
out:
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return rc;
}
