// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwpt_nested - page tables that a guest writes
 *
 * The kernel neither fills them nor reads them. What they translate to are addresses of the parent's IOAS, so it is
 * the parent, kept by a link, that decides which memory a device reaches.
 *
 * This file does not know what a guest's tables look like, nor who is attached.
 */
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "hwpt_nested.h"

static void hwpt_nested_destroy(struct iommufd_object *obj)
{
	struct iommufd_hwpt *hwpt = container_of(obj, struct iommufd_hwpt, obj);
	struct iommufd_hwpt_nested *nested = container_of(hwpt, struct iommufd_hwpt_nested, common);

	iommufd_hwpt_release(hwpt);
	iommufd_object_unlink(&hwpt->ictx->objs, nested->under);
	kfree(nested);
}

const struct iommufd_object_ops iommufd_hwpt_nested_ops = {
	.destroy = hwpt_nested_destroy,
	.user_destroy = true,
};

/* Everything but the domain; the id is reserved */
static struct iommufd_hwpt_nested *nested_alloc(struct iommufd_ctx *ictx, const struct iommufd_hwpt *parent,
						struct iommufd_object *under, u32 flags)
{
	struct iommufd_hwpt_nested *nested = kzalloc(sizeof(*nested), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!nested)
		return ERR_PTR(-ENOMEM);
	nested->common.ictx = ictx;
	nested->common.ioas = parent->ioas;
	nested->common.parent = parent->domain;
	nested->common.pasid = flags & IOMMU_HWPT_ALLOC_PASID;
	INIT_LIST_HEAD(&nested->common.auto_entry);
	nested->under = under;
	rc = iommufd_object_reserve(&ictx->objs, &nested->common.obj, &iommufd_hwpt_nested_ops);
	if (rc) {
		kfree(nested);
		return ERR_PTR(rc);
	}
	return nested;
}

static struct iommufd_hwpt *nested_finish(struct iommufd_hwpt_nested *nested, struct iommu_domain *domain)
{
	struct iommufd_objects *objs = &nested->common.ictx->objs;

	if (IS_ERR(domain)) {
		iommufd_object_cancel(objs, &nested->common.obj);
		kfree(nested);
		return ERR_CAST(domain);
	}
	nested->common.domain = domain;
	iommufd_object_link(objs, nested->under);
	return &nested->common;
}

/**
 * iommufd_hwpt_nest() - Make a page table that a guest writes
 * @ictx: context
 * @parent: page table of the guest's memory, held busy by the caller
 * @dev: device it must work for
 * @flags: IOMMU_HWPT_ALLOC_*: what it must be able to do
 * @data: where the guest's tables are, for the driver
 *
 * The id is reserved; the caller publishes the object, or gives it up with iommufd_hwpt_abandon().
 *
 * Return: the page table, or ERR_PTR: -EINVAL if nothing can stand on @parent; -ENOMEM; and as
 * iommu_domain_alloc_nested().
 */
struct iommufd_hwpt *iommufd_hwpt_nest(struct iommufd_ctx *ictx, struct iommufd_hwpt_paging *parent,
				       struct device *dev, u32 flags, const struct iommu_driver_data *data)
{
	struct iommufd_hwpt_nested *nested;

	if (!parent->nest_parent)
		return ERR_PTR(-EINVAL);
	nested = nested_alloc(ictx, &parent->common, &parent->common.obj, flags);
	if (IS_ERR(nested))
		return ERR_CAST(nested);
	return nested_finish(nested, iommu_domain_alloc_nested(dev, parent->common.domain, flags, data));
}

/**
 * iommufd_hwpt_nest_in_viommu() - Make a page table that a guest writes, as part of a vIOMMU
 * @ictx: context
 * @viommu: vIOMMU, held busy by the caller
 * @dev: device it must work for
 * @flags: IOMMU_HWPT_ALLOC_*: what it must be able to do
 * @data: where the guest's tables are, for the driver
 *
 * Return: as iommufd_hwpt_nest(), and as iommu_viommu_alloc_nested().
 */
struct iommufd_hwpt *iommufd_hwpt_nest_in_viommu(struct iommufd_ctx *ictx, struct iommufd_viommu *viommu,
						 struct device *dev, u32 flags, const struct iommu_driver_data *data)
{
	struct iommufd_hwpt_nested *nested;

	nested = nested_alloc(ictx, &viommu->parent->common, &viommu->obj, flags);
	if (IS_ERR(nested))
		return ERR_CAST(nested);
	return nested_finish(nested, iommu_viommu_alloc_nested(viommu->viommu, dev, flags, data));
}
