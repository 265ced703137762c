// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwpt_invalidate - the ioctl by which a VMM passes on that a guest changed its tables
 *
 * It is about what hardware caches of tables that the kernel does not write: nested page tables and vIOMMUs. No driver
 * offers either, so there is no object on which it could succeed. The kernel invalidates by itself what it writes.
 */
#include <linux/mm.h>
#include <linux/sizes.h>
#include <uapi/linux/iommufd.h>

#include "hwpt_invalidate.h"

#define MAX_ENTRIES	SZ_512K

static int check_invalidate(struct iommufd_ctx *ictx, struct iommu_hwpt_invalidate *cmd)
{
	struct iommufd_object *obj;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	if (cmd->entry_num && (!cmd->data_uptr || !cmd->entry_len || cmd->entry_len > PAGE_SIZE ||
			       cmd->entry_num > MAX_ENTRIES))
		return -EINVAL;
	obj = iommufd_object_get(&ictx->objs, cmd->hwpt_id, NULL);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	iommufd_object_put(&ictx->objs, obj);
	return -EINVAL;
}

/**
 * iommufd_ioctl_hwpt_invalidate() - IOMMU_HWPT_INVALIDATE
 * @ucmd: struct iommu_hwpt_invalidate
 *
 * The number of entries that were carried out is told in any case: none.
 *
 * Return: -EOPNOTSUPP for the reserved field; -EINVAL for an array that cannot be, and for an object whose tables the
 * kernel writes or that has none; -ENOENT; -EFAULT.
 */
int iommufd_ioctl_hwpt_invalidate(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_invalidate *cmd = ucmd->cmd;
	int rc = check_invalidate(ucmd->ictx, cmd);

	cmd->entry_num = 0;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd)) ?: rc;
}
