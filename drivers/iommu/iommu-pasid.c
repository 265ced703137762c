// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-pasid - which domain translates the requests that carry a PASID
 *
 * A PASID is attached to a group: to each of its devices for which PASIDs are enabled and wide enough. Enabling is a
 * matter of one device, done when its driver hands it to user space, so a sibling that has no PASIDs, or that nobody
 * has bound, is no obstacle; bound later it gets what the group has by then. A device that is removed loses its PASIDs
 * while the IOMMU driver still knows it.
 *
 * As for requests without PASID, the driver decides for each device before it does it for any.
 *
 * Process address spaces (iommu_sva_bind_device()) have PASIDs from another range, given to devices of the kernel's
 * drivers. A group with an owner has no such driver; an entry that one left would be refused by the IOMMU driver.
 *
 * Locking: group->mutex covers the domain of each PASID and the PASIDs that are enabled. A user may have attached a
 * million of them, so what goes through all lets others run in between.
 */
#include <linux/sched.h>

#include "iommu-priv.h"

static int prepare(struct iommu_domain *new, struct iommu_domain *old, struct group_device *gdev, ioasid_t pasid)
{
	return new->ops->pasid_prepare(new, old, gdev->dev, pasid);
}

/**
 * __iommu_group_switch_pasid() - Attach a PASID, or switch it to another domain
 * @group: the group
 * @pasid: the PASID
 * @old: domain it is attached to, NULL for none
 * @new: domain it shall be attached to, of the driver of the group
 *
 * Context: group->mutex held.
 * Return: 0, or -errno with nothing changed for any device: -EOPNOTSUPP when the driver knows no PASIDs; -EINVAL when
 * no device can send @pasid; or another error of the driver.
 */
int __iommu_group_switch_pasid(struct iommu_group *group, ioasid_t pasid, struct iommu_domain *old,
			       struct iommu_domain *new)
{
	struct group_device *gdev;
	int rc = -EINVAL;

	lockdep_assert_held(&group->mutex);

	if (!new->ops->pasid_prepare)
		return -EOPNOTSUPP;

	list_for_each_entry(gdev, &group->devices, list) {
		if (pasid >= gdev->max_pasids)
			continue;
		rc = prepare(new, old, gdev, pasid);
		if (rc)
			goto err_abort;
	}
	/* All devices that had the old domain may have been removed since */
	if (rc && !old)
		return rc;

	list_for_each_entry(gdev, &group->devices, list) {
		if (pasid < gdev->max_pasids)
			new->ops->pasid_commit(new, old, gdev->dev, pasid);
	}
	return 0;

err_abort:
	list_for_each_entry_continue_reverse(gdev, &group->devices, list) {
		if (pasid < gdev->max_pasids)
			new->ops->pasid_abort(new, gdev->dev, pasid);
	}
	return rc;
}

/**
 * __iommu_group_remove_pasid() - Block a PASID
 * @group: the group
 * @pasid: the PASID
 * @old: domain it is attached to
 *
 * Context: group->mutex held.
 */
void __iommu_group_remove_pasid(struct iommu_group *group, ioasid_t pasid, struct iommu_domain *old)
{
	struct group_device *gdev;

	lockdep_assert_held(&group->mutex);

	list_for_each_entry(gdev, &group->devices, list) {
		if (pasid < gdev->max_pasids)
			dev_iommu_ops(gdev->dev)->pasid_remove(old, gdev->dev, pasid);
	}
}

/* Give a device the PASIDs that its group has: all or none */
static int join(struct iommu_group *group, struct group_device *gdev)
{
	struct iommu_attach_handle *handle;
	unsigned long pasid, failed;
	int rc = 0;

	xa_for_each_start(&group->handles, pasid, handle, IOMMU_NO_PASID + 1) {
		if (pasid >= gdev->max_pasids)
			break;
		rc = prepare(handle->domain, NULL, gdev, pasid);
		if (rc)
			break;
		cond_resched();
	}

	failed = pasid;
	xa_for_each_start(&group->handles, pasid, handle, IOMMU_NO_PASID + 1) {
		if (pasid >= gdev->max_pasids || (rc && pasid == failed))
			break;
		if (rc)
			handle->domain->ops->pasid_abort(handle->domain, gdev->dev, pasid);
		else
			handle->domain->ops->pasid_commit(handle->domain, NULL, gdev->dev, pasid);
		cond_resched();
	}
	return rc;
}

static void leave(struct iommu_group *group, struct group_device *gdev)
{
	struct iommu_attach_handle *handle;
	unsigned long pasid;

	xa_for_each_start(&group->handles, pasid, handle, IOMMU_NO_PASID + 1) {
		if (pasid < gdev->max_pasids)
			dev_iommu_ops(gdev->dev)->pasid_remove(handle->domain, gdev->dev, pasid);
		cond_resched();
	}
}

/**
 * __iommu_group_disable_pasid() - Take all PASIDs from a device
 * @group: its group
 * @gdev: the device, whether PASIDs are enabled or not
 *
 * Context: group->mutex held.
 */
void __iommu_group_disable_pasid(struct iommu_group *group, struct group_device *gdev)
{
	lockdep_assert_held(&group->mutex);

	if (!gdev->max_pasids)
		return;
	leave(group, gdev);
	gdev->max_pasids = 0;
	dev_iommu_ops(gdev->dev)->pasid_disable(gdev->dev);
}

/**
 * iommu_device_enable_pasid() - Let a device send requests with PASID, where it and its IOMMU can
 * @dev: device of a group that has an owner; it does no DMA now
 *
 * The PASIDs that are attached to its group are attached to @dev too. For PCI the PASID capability is enabled, and ATS
 * beside it. Undone by iommu_device_disable_pasid(), or when the device is removed.
 *
 * Context: May sleep. Takes group->mutex.
 * Return: 0, also where there are no PASIDs; -ENODEV when @dev is in no group; -ENOMEM; or another error of the driver,
 * with nothing enabled.
 */
int iommu_device_enable_pasid(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct group_device *gdev;
	int rc;

	if (!group)
		return -ENODEV;

	mutex_lock(&group->mutex);
	gdev = __iommu_group_find_device(group, dev);
	rc = gdev ? 0 : -ENODEV;
	if (rc || gdev->max_pasids || !dev_iommu_ops(dev)->pasid_enable)
		goto out;

	rc = dev_iommu_ops(dev)->pasid_enable(dev);
	if (rc <= 0)
		goto out;
	gdev->max_pasids = rc;
	rc = join(group, gdev);
	if (rc) {
		gdev->max_pasids = 0;
		dev_iommu_ops(dev)->pasid_disable(dev);
	}
out:
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
	return rc;
}
EXPORT_SYMBOL_GPL(iommu_device_enable_pasid);

/**
 * iommu_device_disable_pasid() - Undo iommu_device_enable_pasid()
 * @dev: the device; PASIDs of its group stay attached to its siblings
 *
 * Context: May sleep. Takes group->mutex.
 */
void iommu_device_disable_pasid(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct group_device *gdev;

	if (WARN_ON(!group))
		return;

	mutex_lock(&group->mutex);
	gdev = __iommu_group_find_device(group, dev);
	if (gdev)
		__iommu_group_disable_pasid(group, gdev);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_device_disable_pasid);

/**
 * iommu_device_max_pasids() - How many PASIDs a device can use now
 * @dev: a device
 *
 * Context: May sleep. Takes group->mutex.
 * Return: PASIDs below this number can be attached; 0 while PASIDs are not enabled.
 */
u32 iommu_device_max_pasids(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct group_device *gdev;
	u32 max;

	if (!group)
		return 0;

	mutex_lock(&group->mutex);
	gdev = __iommu_group_find_device(group, dev);
	max = gdev ? gdev->max_pasids : 0;
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
	return max;
}
EXPORT_SYMBOL_GPL(iommu_device_max_pasids);
