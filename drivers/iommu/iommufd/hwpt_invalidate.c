// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwpt_invalidate - the ioctl by which a VMM passes on that a guest changed its tables
 *
 * It is about what hardware caches of tables that the kernel does not write: nested page tables and vIOMMUs. The
 * kernel invalidates by itself what it writes.
 */
#include <linux/mm.h>
#include <linux/sizes.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "hwpt_invalidate.h"
#include "hwpt_nested.h"
#include "viommu.h"

#define MAX_ENTRIES	SZ_512K

static int invalidate(struct iommufd_object *obj, struct iommu_driver_array *array)
{
	if (obj->ops == &iommufd_hwpt_nested_ops)
		return iommu_domain_invalidate(container_of(obj, struct iommufd_hwpt, obj)->domain, array);
	if (obj->ops == &iommufd_viommu_ops)
		return iommu_viommu_invalidate(container_of(obj, struct iommufd_viommu, obj)->viommu, array);
	return -EINVAL;
}

static int check_and_invalidate(struct iommufd_ctx *ictx, struct iommu_hwpt_invalidate *cmd,
				struct iommu_driver_array *array)
{
	struct iommufd_object *obj;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	if (cmd->entry_num && (!cmd->data_uptr || !cmd->entry_len || cmd->entry_len > PAGE_SIZE ||
			       cmd->entry_num > MAX_ENTRIES))
		return -EINVAL;
	obj = iommufd_object_get(&ictx->objs, cmd->hwpt_id, NULL);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	rc = invalidate(obj, array);
	iommufd_object_put(&ictx->objs, obj);
	return rc;
}

/**
 * iommufd_ioctl_hwpt_invalidate() - IOMMU_HWPT_INVALIDATE
 * @ucmd: struct iommu_hwpt_invalidate
 *
 * The number of entries that were carried out is told in any case.
 *
 * Return: 0; -EOPNOTSUPP for the reserved field; -EINVAL for an array that cannot be, a data type that the driver
 * does not know, and for an object whose tables the kernel writes or that has none; -ENOENT; -EFAULT; or what the
 * driver says about an entry.
 */
int iommufd_ioctl_hwpt_invalidate(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_invalidate *cmd = ucmd->cmd;
	struct iommu_driver_array array = {
		.type = cmd->data_type,
		.entry_len = cmd->entry_len,
		.num = cmd->entry_num,
		.uptr = u64_to_user_ptr(cmd->data_uptr),
	};
	int rc = check_and_invalidate(ucmd->ictx, cmd, &array);

	cmd->entry_num = array.done;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd)) ?: rc;
}
