// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctx - what belongs to one open file of /dev/iommu
 */
#include "ctx.h"

/**
 * iommufd_ctx_init() - Set up a context without objects
 * @ictx: zeroed structure
 */
void iommufd_ctx_init(struct iommufd_ctx *ictx)
{
	iommufd_objects_init(&ictx->objs);
	xa_init_flags(&ictx->groups, XA_FLAGS_ACCOUNT);
	mutex_init(&ictx->groups_lock);
	mutex_init(&ictx->change_lock);
	ictx->account_mode = PIN_ACCOUNT_USER;
}
