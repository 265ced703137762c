// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fault - page requests and guests' tables of mock devices, on command
 */
#include <linux/err.h>

#include "../device.h"
#include "../hwpt_nested.h"
#include "mock_device.h"
#include "mock_fault.h"
#include "mock_nested.h"
#include "test_ops.h"

#define MAX_REQUESTS	64

/**
 * iommufd_test_check_iotlb() - Does the cache of a nested page table have a certain value?
 * @ucmd: struct iommu_test_cmd, check_iotlb
 *
 * Return: 0; -EINVAL if not, or for a slot that there is not; -ENOENT if the id is not that of a nested page table.
 */
int iommufd_test_check_iotlb(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u32 slot = cmd->check_iotlb.id;
	struct iommufd_object *obj;
	struct mock_nested *nested;
	int rc = -EINVAL;

	obj = iommufd_object_get(&ucmd->ictx->objs, cmd->id, &iommufd_hwpt_nested_ops);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	nested = mock_nested_of(container_of(obj, struct iommufd_hwpt, obj)->domain);
	if (nested && slot < ARRAY_SIZE(nested->iotlb) && nested->iotlb[slot] == cmd->check_iotlb.iotlb)
		rc = 0;
	iommufd_object_put(&ucmd->ictx->objs, obj);
	return rc;
}

static int send_faults(struct iommufd_ucmd *ucmd, unsigned int num)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommu_fault_page_request first = {
		.pasid = cmd->trigger_iopf.pasid,
		.grpid = cmd->trigger_iopf.grpid,
		.perm = cmd->trigger_iopf.perm,
		.addr = cmd->trigger_iopf.addr,
	};
	struct iommufd_device *idev;
	struct mock_device *mdev;
	int rc = -EINVAL;

	if (first.pasid != IOMMU_NO_PASID)
		first.flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	idev = iommufd_get_device(ucmd->ictx, cmd->trigger_iopf.dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	mdev = to_mock_device(idev->member.dev);
	if (mdev)
		rc = mock_fault_send(mdev, &first, num);
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return rc;
}

/**
 * iommufd_test_trigger_iopf() - Make a device ask for a page
 * @ucmd: struct iommu_test_cmd, trigger_iopf
 *
 * Return: 0, whoever takes the request; -EINVAL for a device that is none of ours; -ENOENT; -ENOMEM.
 */
int iommufd_test_trigger_iopf(struct iommufd_ucmd *ucmd)
{
	return send_faults(ucmd, 1);
}

/**
 * iommufd_test_fault_group() - Make a device ask for several pages at once
 * @ucmd: struct iommu_test_cmd, fault_group, which begins like trigger_iopf
 *
 * Return: as iommufd_test_trigger_iopf(); -EINVAL for no page or too many.
 */
int iommufd_test_fault_group(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	if (!cmd->fault_group.num || cmd->fault_group.num > MAX_REQUESTS)
		return -EINVAL;
	return send_faults(ucmd, cmd->fault_group.num);
}

/**
 * iommufd_test_fault_state() - Tell how the page requests of a device ended
 * @ucmd: struct iommu_test_cmd, fault_state
 *
 * Return: 0; -EINVAL for a device that is none of ours; -ENOENT; -EFAULT.
 */
int iommufd_test_fault_state(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_device *idev;
	struct mock_device *mdev;
	int rc = -EINVAL;

	idev = iommufd_get_device(ucmd->ictx, cmd->fault_state.dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	mdev = to_mock_device(idev->member.dev);
	if (mdev) {
		cmd->fault_state.out_enabled = mdev->faults_enabled;
		cmd->fault_state.out_sent = atomic_read(&mdev->faults_sent);
		cmd->fault_state.out_answered = atomic_read(&mdev->faults_answered);
		cmd->fault_state.out_refused = atomic_read(&mdev->faults_refused);
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return rc;
}
