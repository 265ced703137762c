// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctx - what belongs to one open file of /dev/iommu
 */
#include <linux/err.h>

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
	spin_lock_init(&ictx->payer_lock);
}

/**
 * iommufd_ctx_cleanup() - Undo iommufd_ctx_init()
 * @ictx: context without objects
 */
void iommufd_ctx_cleanup(struct iommufd_ctx *ictx)
{
	WARN_ON(!xa_empty(&ictx->groups));
	pin_payer_put(ictx->payer);
	mutex_destroy(&ictx->change_lock);
	mutex_destroy(&ictx->groups_lock);
}

/**
 * iommufd_ctx_account_mode() - Whose limit the pages count against that are pinned now
 * @ictx: context
 *
 * Return: that of who mapped last; before that, what the context asks for.
 */
enum pin_account_mode iommufd_ctx_account_mode(struct iommufd_ctx *ictx)
{
	enum pin_account_mode mode;

	spin_lock(&ictx->payer_lock);
	mode = ictx->payer ? ictx->payer->account.mode : ictx->account_mode;
	spin_unlock(&ictx->payer_lock);
	return mode;
}

/**
 * iommufd_ctx_payer() - The calling process as one that pays
 * @ictx: context
 *
 * As long as one process maps there is one payer; where several take turns each turn may make another.
 *
 * Return: a payer with a reference of its own, or ERR_PTR(-ENOMEM).
 */
struct pin_payer *iommufd_ctx_payer(struct iommufd_ctx *ictx)
{
	struct pin_payer *payer = NULL;
	struct pin_payer *old;

	spin_lock(&ictx->payer_lock);
	if (ictx->payer && pin_payer_is_caller(ictx->payer, ictx->account_mode))
		payer = pin_payer_get(ictx->payer);
	spin_unlock(&ictx->payer_lock);
	if (payer)
		return payer;

	payer = pin_payer_create(ictx->account_mode, ictx->serial);
	if (!payer)
		return ERR_PTR(-ENOMEM);
	spin_lock(&ictx->payer_lock);
	old = ictx->payer;
	ictx->payer = pin_payer_get(payer);
	spin_unlock(&ictx->payer_lock);
	pin_payer_put(old);
	return payer;
}
