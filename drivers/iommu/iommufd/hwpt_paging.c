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
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "hwpt_paging.h"

static void hwpt_paging_destroy(struct iommufd_object *obj)
{
	struct iommufd_hwpt *hwpt = container_of(obj, struct iommufd_hwpt, obj);
	struct iommufd_hwpt_paging *paging = container_of(hwpt, struct iommufd_hwpt_paging, common);

	mutex_lock(&hwpt->ioas->auto_lock);
	list_del_init(&hwpt->auto_entry);
	mutex_unlock(&hwpt->ioas->auto_lock);
	ioas_map_remove_domain(&hwpt->ioas->map, &paging->dom);
	iommufd_hwpt_release(hwpt);
	iommufd_object_unlink(&hwpt->ictx->objs, &hwpt->ioas->obj);
	kfree(paging);
}

const struct iommufd_object_ops iommufd_hwpt_paging_ops = {
	.destroy = hwpt_paging_destroy,
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
	struct iommufd_hwpt_paging *paging = kzalloc(sizeof(*paging), GFP_KERNEL_ACCOUNT);
	struct iommufd_hwpt *hwpt;
	int rc;

	if (!paging)
		return ERR_PTR(-ENOMEM);
	hwpt = &paging->common;
	hwpt->ictx = ictx;
	hwpt->ioas = ioas;
	hwpt->pasid = flags & IOMMU_HWPT_ALLOC_PASID;
	INIT_LIST_HEAD(&hwpt->auto_entry);
	paging->nest_parent = flags & IOMMU_HWPT_ALLOC_NEST_PARENT;
	rc = iommufd_object_reserve(&ictx->objs, &hwpt->obj, &iommufd_hwpt_paging_ops);
	if (rc)
		goto err_free;
	hwpt->domain = iommu_domain_alloc_for_device(dev, flags);
	if (IS_ERR(hwpt->domain)) {
		rc = PTR_ERR(hwpt->domain);
		goto err_cancel;
	}
	paging->dom.domain = hwpt->domain;
	rc = ioas_map_add_domain(&ioas->map, &paging->dom);
	if (rc)
		goto err_domain;
	iommufd_object_link(&ictx->objs, &ioas->obj);
	return hwpt;

err_domain:
	iommu_domain_free(hwpt->domain);
err_cancel:
	iommufd_object_cancel(&ictx->objs, &hwpt->obj);
err_free:
	kfree(paging);
	return ERR_PTR(rc);
}
