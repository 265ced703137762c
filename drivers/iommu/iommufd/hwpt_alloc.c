// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwpt_alloc - the ioctl that makes a page table
 *
 * It stands above devices and page tables because it needs both.
 */
#include <linux/iommu.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "device.h"
#include "fault.h"
#include "hwpt_alloc.h"
#include "hwpt_nested.h"
#include "hwpt_paging.h"
#include "viommu.h"

/* What @under is decides which kind of page table it becomes; @flags are for the driver */
static struct iommufd_hwpt *create(struct iommufd_ucmd *ucmd, struct iommufd_device *idev,
				   struct iommufd_object *under, u32 flags)
{
	struct iommu_hwpt_alloc *cmd = ucmd->cmd;
	struct iommu_driver_data data = {
		.type = cmd->data_type,
		.len = cmd->data_len,
		.uptr = u64_to_user_ptr(cmd->data_uptr),
	};
	struct device *dev = idev->member.dev;

	if (under->ops == &iommufd_ioas_ops) {
		/* No driver has anything to be told about a page table that the kernel writes */
		if (data.type != IOMMU_HWPT_DATA_NONE)
			return ERR_PTR(-EOPNOTSUPP);
		return iommufd_hwpt_create(ucmd->ictx, container_of(under, struct iommufd_ioas, obj), dev, flags);
	}
	/* Every format of a guest's tables needs to be told where they are */
	if (under->ops == &iommufd_hwpt_paging_ops)
		return !data.len ? ERR_PTR(-EOPNOTSUPP) :
		       iommufd_hwpt_nest(ucmd->ictx, container_of(under, struct iommufd_hwpt_paging, common.obj), dev,
					 flags, &data);
	if (under->ops == &iommufd_viommu_ops)
		return !data.len ? ERR_PTR(-EOPNOTSUPP) :
		       iommufd_hwpt_nest_in_viommu(ucmd->ictx, container_of(under, struct iommufd_viommu, obj), dev,
						   flags, &data);
	return ERR_PTR(-EINVAL);
}

/* The queue that page requests of @hwpt go to from now on; linked until @hwpt is destroyed */
static int connect_fault(struct iommufd_hwpt *hwpt, u32 fault_id)
{
	struct iommufd_fault *fault = iommufd_get_fault(hwpt->ictx, fault_id);

	if (IS_ERR(fault))
		return PTR_ERR(fault);
	iommufd_object_link(&hwpt->ictx->objs, &fault->obj);
	hwpt->fault = fault;
	iommufd_object_put(&hwpt->ictx->objs, &fault->obj);
	return 0;
}

static int create_and_publish(struct iommufd_ucmd *ucmd, struct iommufd_device *idev, struct iommufd_object *under)
{
	struct iommu_hwpt_alloc *cmd = ucmd->cmd;
	bool faults = cmd->flags & IOMMU_HWPT_FAULT_ID_VALID;
	struct iommufd_hwpt *hwpt;
	int rc = 0;

	/* A device never asks for what a parent does not translate: that part of a nested page table is the kernel's */
	if (faults && ((cmd->flags & IOMMU_HWPT_ALLOC_NEST_PARENT) || !iommu_device_can_fault(idev->member.dev)))
		return -EOPNOTSUPP;
	hwpt = create(ucmd, idev, under, cmd->flags & ~IOMMU_HWPT_FAULT_ID_VALID);
	if (IS_ERR(hwpt))
		return PTR_ERR(hwpt);
	if (faults)
		rc = connect_fault(hwpt, cmd->fault_id);
	if (!rc) {
		cmd->out_hwpt_id = hwpt->obj.id;
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
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
 * together, or @pt_id names nothing that a page table can be made on; -ENOENT for the device and the fault queue; and
 * as iommufd_hwpt_create() or iommufd_hwpt_nest().
 */
int iommufd_ioctl_hwpt_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_alloc *cmd = ucmd->cmd;
	struct iommufd_object *under;
	struct iommufd_device *idev;
	int rc;

	if (cmd->__reserved || cmd->__reserved2)
		return -EOPNOTSUPP;
	if (!cmd->data_type != !cmd->data_len)
		return -EINVAL;
	idev = iommufd_get_device(ucmd->ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	under = iommufd_object_get(&ucmd->ictx->objs, cmd->pt_id, NULL);
	if (IS_ERR(under)) {
		rc = -EINVAL;
		goto out;
	}
	rc = create_and_publish(ucmd, idev, under);
	iommufd_object_put(&ucmd->ictx->objs, under);
out:
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return rc;
}
