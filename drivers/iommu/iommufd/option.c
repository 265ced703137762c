// SPDX-License-Identifier: GPL-2.0-only
/*
 * option - the ioctl that reads and changes settings of a context or an IOAS
 */
#include <linux/capability.h>
#include <uapi/linux/iommufd.h>

#include "ioas.h"
#include "ioas_domain.h"
#include "option.h"

static int option_rlimit_mode(struct iommufd_ctx *ictx, struct iommu_option *cmd)
{
	int rc = 0;

	if (cmd->object_id)
		return -EOPNOTSUPP;
	if (cmd->op == IOMMU_OPTION_OP_GET) {
		cmd->val64 = ictx->account_mode == PIN_ACCOUNT_PROCESS;
		return 0;
	}
	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	if (cmd->val64 > 1)
		return -EINVAL;

	xa_lock(&ictx->objs.table);
	if (iommufd_objects_empty(&ictx->objs))
		ictx->account_mode = cmd->val64 ? PIN_ACCOUNT_PROCESS : PIN_ACCOUNT_USER;
	else
		rc = -EBUSY;
	xa_unlock(&ictx->objs.table);
	return rc;
}

static int option_huge_pages(struct iommufd_ctx *ictx, struct iommu_option *cmd)
{
	struct iommufd_ioas *ioas = iommufd_get_ioas(ictx, cmd->object_id);
	int rc = 0;

	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	if (cmd->op == IOMMU_OPTION_OP_GET)
		cmd->val64 = READ_ONCE(ioas->map.huge_pages);
	else if (cmd->val64 > 1)
		rc = -EINVAL;
	else
		rc = ioas_map_set_huge_pages(&ioas->map, cmd->val64);
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return rc;
}

/**
 * iommufd_ioctl_option() - IOMMU_OPTION
 * @ucmd: struct iommu_option
 *
 * Return: 0; -EOPNOTSUPP for unknown options and operations and the reserved field, and for an object id where none
 * belongs; -EINVAL for a bad value; -EPERM without CAP_SYS_RESOURCE; -EBUSY if it is too late to change; -ENOENT;
 * -EADDRINUSE; -EFAULT.
 */
int iommufd_ioctl_option(struct iommufd_ucmd *ucmd)
{
	struct iommu_option *cmd = ucmd->cmd;
	int rc;

	if (cmd->__reserved || cmd->op > IOMMU_OPTION_OP_GET)
		return -EOPNOTSUPP;
	switch (cmd->option_id) {
	case IOMMU_OPTION_RLIMIT_MODE:
		rc = option_rlimit_mode(ucmd->ictx, cmd);
		break;
	case IOMMU_OPTION_HUGE_PAGES:
		rc = option_huge_pages(ucmd->ictx, cmd);
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!rc && cmd->op == IOMMU_OPTION_OP_GET)
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	return rc;
}
