// SPDX-License-Identifier: GPL-2.0-only
/*
 * group - the iommu_groups of a context's devices
 *
 * User space deals in devices; the hardware may only be able to tell groups of them apart. This room keeps one record
 * for each group, found from the device.
 *
 * It does not know how a group is attached.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/slab.h>

#include "group.h"
#include "hwpt.h"

/**
 * iommufd_group_init() - Set up the record of a group that is blocked
 * @igroup: zeroed structure
 */
void iommufd_group_init(struct iommufd_group *igroup)
{
	mutex_init(&igroup->lock);
	xa_init_flags(&igroup->slots, XA_FLAGS_ACCOUNT);
}

static struct iommufd_group *group_create(struct iommufd_ctx *ictx, struct iommu_group *group)
{
	struct iommufd_group *igroup = kzalloc(sizeof(*igroup), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!igroup)
		return ERR_PTR(-ENOMEM);
	igroup->ictx = ictx;
	igroup->group = group;
	igroup->id = iommu_group_id(group);
	iommufd_group_init(igroup);
	rc = xa_err(xa_store(&ictx->groups, igroup->id, igroup, GFP_KERNEL_ACCOUNT));
	if (rc) {
		kfree(igroup);
		return ERR_PTR(rc);
	}
	return igroup;
}

/**
 * iommufd_group_get() - The record of a device's group, made if need be
 * @ictx: context
 * @dev: device that is being bound
 *
 * Return: the record, for iommufd_group_put(), or ERR_PTR: -ENODEV without an IOMMU; -ENOMEM.
 */
struct iommufd_group *iommufd_group_get(struct iommufd_ctx *ictx, struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct iommufd_group *igroup;

	if (!group)
		return ERR_PTR(-ENODEV);

	mutex_lock(&ictx->groups_lock);
	igroup = xa_load(&ictx->groups, iommu_group_id(group));
	if (igroup) {
		/* Its own reference keeps the iommu_group, and with it the id */
		iommu_group_put(group);
	} else {
		igroup = group_create(ictx, group);
		if (IS_ERR(igroup))
			iommu_group_put(group);
	}
	if (!IS_ERR(igroup))
		igroup->refs++;
	mutex_unlock(&ictx->groups_lock);
	return igroup;
}

/**
 * iommufd_group_put() - A device of the group is unbound
 * @igroup: record; freed with the last device, which is not attached any more
 */
void iommufd_group_put(struct iommufd_group *igroup)
{
	struct iommufd_ctx *ictx = igroup->ictx;

	mutex_lock(&ictx->groups_lock);
	if (!--igroup->refs) {
		WARN_ON(!xa_empty(&igroup->slots));
		xa_erase(&ictx->groups, igroup->id);
		iommu_group_put(igroup->group);
		mutex_destroy(&igroup->lock);
		kfree(igroup);
	}
	mutex_unlock(&ictx->groups_lock);
}

/**
 * iommufd_ctx_owns_group() - Is a device of a group bound to a context?
 * @ictx: context
 * @group: the group, referenced
 *
 * Nobody else but @ictx does anything with the group's devices then.
 *
 * Return: true while one is.
 */
bool iommufd_ctx_owns_group(struct iommufd_ctx *ictx, struct iommu_group *group)
{
	bool owns;

	mutex_lock(&ictx->groups_lock);
	owns = xa_load(&ictx->groups, iommu_group_id(group));
	mutex_unlock(&ictx->groups_lock);
	return owns;
}
EXPORT_SYMBOL_GPL(iommufd_ctx_owns_group);

/**
 * iommufd_member_page_requests() - How many page requests of a device have been delivered
 * @member: device
 *
 * Only a device that is alone in its group may send any, so the group counts them, which is there as long as an
 * attachment is.
 *
 * Return: requests, single ones, since it was bound.
 */
u64 iommufd_member_page_requests(struct iommufd_member *member)
{
	return member->faults ? atomic64_read(&member->igroup->page_requests) : 0;
}

/**
 * iommufd_group_hwpt_id() - Where a group is at this moment
 * @igroup: the group
 * @pasid: requests with this PASID, or IOMMU_NO_PASID
 *
 * Return: id of the page table, or 0 when the requests are blocked.
 */
u32 iommufd_group_hwpt_id(struct iommufd_group *igroup, ioasid_t pasid)
{
	struct iommufd_slot *slot;
	u32 id;

	mutex_lock(&igroup->lock);
	slot = xa_load(&igroup->slots, pasid);
	id = slot ? slot->hwpt->obj.id : 0;
	mutex_unlock(&igroup->lock);
	return id;
}
