// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwpt_paging - page tables that hold the areas of an IOAS
 *
 * A page table is complete when it is made: the IOMMU driver finishes the domain for a given device, and every area
 * of the IOAS is put in. Making one never attaches anything.
 *
 * This file does not know groups or who is attached.
 */
#include <linux/iommu.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "hwpt_paging.h"

/* Everything but the id, which is cancelled or erased before */
static void hwpt_free(struct iommufd_hwpt *hwpt)
{
	ioas_map_remove_domain(&hwpt->ioas->map, &hwpt->dom);
	iommu_domain_free(hwpt->dom.domain);
	iommufd_object_unlink(&hwpt->ictx->objs, &hwpt->ioas->obj);
	kfree(hwpt);
}

static void hwpt_object_destroy(struct iommufd_object *obj)
{
	struct iommufd_hwpt *hwpt = container_of(obj, struct iommufd_hwpt, obj);

	mutex_lock(&hwpt->ioas->auto_lock);
	list_del_init(&hwpt->auto_entry);
	mutex_unlock(&hwpt->ioas->auto_lock);
	hwpt_free(hwpt);
}

const struct iommufd_object_ops iommufd_hwpt_paging_ops = {
	.destroy = hwpt_object_destroy,
	.user_destroy = true,
};

/**
 * iommufd_hwpt_create() - Make a page table for a device and fill it
 * @ictx: context
 * @ioas: IOAS whose areas it gets, held busy by the caller
 * @dev: device it must work for
 * @flags: IOMMU_HWPT_ALLOC_*: what it must be able to do
 *
 * The id is reserved; the caller publishes the object, or gives it up with iommufd_hwpt_abandon().
 *
 * Return: the page table, or ERR_PTR: -ENOMEM; -EADDRINUSE, -EFAULT, -EBUSY, -EINTR as in ioas_map_add_domain(); what
 * the IOMMU driver says, -EOPNOTSUPP for a flag.
 */
struct iommufd_hwpt *iommufd_hwpt_create(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas, struct device *dev,
					 u32 flags)
{
	struct iommufd_hwpt *hwpt = kzalloc(sizeof(*hwpt), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!hwpt)
		return ERR_PTR(-ENOMEM);
	hwpt->ictx = ictx;
	hwpt->ioas = ioas;
	INIT_LIST_HEAD(&hwpt->auto_entry);
	rc = iommufd_object_reserve(&ictx->objs, &hwpt->obj, &iommufd_hwpt_paging_ops);
	if (rc)
		goto err_free;
	hwpt->dom.domain = iommu_domain_alloc_for_device(dev, flags);
	if (IS_ERR(hwpt->dom.domain)) {
		rc = PTR_ERR(hwpt->dom.domain);
		goto err_cancel;
	}
	rc = ioas_map_add_domain(&ioas->map, &hwpt->dom);
	if (rc)
		goto err_domain;
	iommufd_object_link(&ictx->objs, &ioas->obj);
	return hwpt;

err_domain:
	iommu_domain_free(hwpt->dom.domain);
err_cancel:
	iommufd_object_cancel(&ictx->objs, &hwpt->obj);
err_free:
	kfree(hwpt);
	return ERR_PTR(rc);
}

/**
 * iommufd_hwpt_abandon() - Give up a page table that was not published
 * @hwpt: page table that nothing is attached to
 */
void iommufd_hwpt_abandon(struct iommufd_hwpt *hwpt)
{
	iommufd_object_cancel(&hwpt->ictx->objs, &hwpt->obj);
	hwpt_free(hwpt);
}

/**
 * iommufd_hwpt_unused() - A device has left a page table
 * @hwpt: page table that the caller holds busy; the hold is given up
 *
 * One that the kernel made goes when nothing uses it any more. The caller holds no lock of a group or IOAS.
 */
void iommufd_hwpt_unused(struct iommufd_hwpt *hwpt)
{
	if (list_empty_careful(&hwpt->auto_entry))
		iommufd_object_put(&hwpt->ictx->objs, &hwpt->obj);
	else
		iommufd_object_retire(&hwpt->ictx->objs, &hwpt->obj);
}
