// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu - a guest's share of an IOMMU
 *
 * It stands on the page table of the guest's memory, and what the guest sees of the IOMMU is made in it: nested page
 * tables that share its caches.
 *
 * This file does not know devices or what is made in a vIOMMU; links keep it as long as there is something.
 */
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "viommu.h"

static void viommu_object_destroy(struct iommufd_object *obj)
{
	struct iommufd_viommu *viommu = container_of(obj, struct iommufd_viommu, obj);

	iommu_viommu_free(viommu->viommu);
	iommufd_object_unlink(&viommu->ictx->objs, &viommu->parent->common.obj);
	kfree(viommu);
}

const struct iommufd_object_ops iommufd_viommu_ops = {
	.destroy = viommu_object_destroy,
	.user_destroy = true,
};

/**
 * iommufd_viommu_create() - Make a vIOMMU
 * @ictx: context
 * @dev: device behind the IOMMU
 * @type: what iommu_viommu_type() found for it
 * @parent: page table that can be a parent, held busy by the caller
 * @data: for the driver
 *
 * The id is reserved; the caller publishes the object, or gives it up with iommufd_viommu_abandon().
 *
 * Return: the vIOMMU, or ERR_PTR: -ENOMEM; and as iommu_viommu_alloc().
 */
struct iommufd_viommu *iommufd_viommu_create(struct iommufd_ctx *ictx, struct device *dev,
					     const struct iommu_viommu_ops *type, struct iommufd_hwpt_paging *parent,
					     const struct iommu_driver_data *data)
{
	struct iommufd_viommu *viommu = kzalloc(sizeof(*viommu), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!viommu)
		return ERR_PTR(-ENOMEM);
	viommu->ictx = ictx;
	viommu->parent = parent;
	rc = iommufd_object_reserve(&ictx->objs, &viommu->obj, &iommufd_viommu_ops);
	if (rc)
		goto err_free;
	viommu->viommu = iommu_viommu_alloc(dev, type, parent->common.domain, data);
	if (IS_ERR(viommu->viommu)) {
		rc = PTR_ERR(viommu->viommu);
		goto err_cancel;
	}
	iommufd_object_link(&ictx->objs, &parent->common.obj);
	return viommu;

err_cancel:
	iommufd_object_cancel(&ictx->objs, &viommu->obj);
err_free:
	kfree(viommu);
	return ERR_PTR(rc);
}

/**
 * iommufd_viommu_abandon() - Give up a vIOMMU that was not published
 * @viommu: vIOMMU
 */
void iommufd_viommu_abandon(struct iommufd_viommu *viommu)
{
	iommufd_object_cancel(&viommu->ictx->objs, &viommu->obj);
	viommu_object_destroy(&viommu->obj);
}
