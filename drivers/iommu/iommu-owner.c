// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-owner - who may decide where the DMA of a group goes
 *
 * A group has one owner at a time. Either the kernel's drivers own it together (owner_cnt > 0 and no owner) or one user
 * of the IOMMU API does (owner_cnt > 0 and an owner). Claiming by device counts: the group belongs to the owner from
 * the first claim of any of its devices to the release of the last.
 *
 * While a group has an owner, iommu_device_use_default_domain() refuses, so no driver that does DMA through the kernel
 * can bind to a device of the group; and a device that joins the group is attached to the domain the group has. A
 * device that is removed leaves first: nothing the owner does reaches it while the IOMMU driver forgets it.
 *
 * Without an owner a group is attached to its default domain; or it is blocked, when attaching that failed. A claim
 * starts from either. A driver that does DMA through the kernel gets the group once the default domain is attached.
 *
 * Locking: group->mutex covers owner, owner_cnt, domain and the lists of devices.
 */
#define pr_fmt(fmt) "iommu: " fmt

#include <linux/irqdomain.h>
#include <linux/limits.h>
#include <linux/printk.h>

#include "iommu-priv.h"

static struct group_device *find_device(struct list_head *devices, struct device *dev)
{
	struct group_device *gdev;

	list_for_each_entry(gdev, devices, list) {
		if (gdev->dev == dev)
			return gdev;
	}
	return NULL;
}

/**
 * __iommu_group_find_device() - What a group knows about one of its devices
 * @group: the group
 * @dev: a device
 *
 * Context: group->mutex held.
 * Return: it, or NULL when @dev is not in the group, or being removed.
 */
struct group_device *__iommu_group_find_device(struct iommu_group *group, struct device *dev)
{
	lockdep_assert_held(&group->mutex);

	return find_device(&group->devices, dev);
}

/**
 * iommu_group_release_device() - Have the IOMMU driver forget a device that is being removed
 * @dev: the device, of any group or of none
 *
 * It leaves the list of its group first: nothing that is done to the group reaches it any more. Its PASIDs go here,
 * because nothing else can reach them afterwards.
 *
 * Until the driver has taken it out the device translates through the domain of its group, which the owner may free as
 * soon as the group is on another one. So the group stays where it is for that time: a driver that has
 * replace_prepare() is called with group->mutex held. Of the others some take that mutex themselves.
 *
 * Context: May sleep. Takes group->mutex.
 */
void iommu_group_release_device(struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_group *group = iommu_group_get(dev);
	bool locked = group && ops->default_domain_ops->replace_prepare;
	struct group_device *gdev;

	if (group) {
		mutex_lock(&group->mutex);
		gdev = find_device(&group->devices, dev);
		if (gdev) {
			__iommu_group_disable_pasid(group, gdev);
			list_move(&gdev->list, &group->leaving);
		}
		if (!locked)
			mutex_unlock(&group->mutex);
	}

	if (ops->release_device)
		ops->release_device(dev);

	if (locked)
		mutex_unlock(&group->mutex);
	if (group)
		iommu_group_put(group);
}

/**
 * __iommu_group_unlink_device() - Take a device off its group, hidden or not
 * @group: the group
 * @dev: the device
 *
 * Context: group->mutex held.
 * Return: what the group knew about @dev, or NULL when it is not in the group.
 */
struct group_device *__iommu_group_unlink_device(struct iommu_group *group, struct device *dev)
{
	struct group_device *gdev;

	lockdep_assert_held(&group->mutex);

	gdev = find_device(&group->devices, dev) ?: find_device(&group->leaving, dev);
	if (gdev)
		list_del(&gdev->list);
	return gdev;
}

static int __iommu_group_attach_default(struct iommu_group *group)
{
	int rc = __iommu_group_set_domain(group, group->default_domain);

	/* The devices before the one that failed have gone already */
	if (rc)
		__iommu_attach_group(group->blocking_domain, group);
	return rc;
}

/**
 * __iommu_group_give_back() - Return a group to its default domain when its owner is gone
 * @group: the group
 *
 * Should the driver have no memory for that, the group stays blocked, out of reach of what the owner mapped.
 *
 * Context: group->mutex held.
 */
void __iommu_group_give_back(struct iommu_group *group)
{
	int rc;

	lockdep_assert_held(&group->mutex);

	__iommu_group_set_domain(group, group->blocking_domain);
	rc = __iommu_group_attach_default(group);
	if (rc)
		pr_err_ratelimited("group %d stays blocked: its default domain cannot be attached (%d)\n",
				   group->id, rc);
}

/**
 * __iommu_group_unblock() - Repeat a __iommu_group_give_back() that failed
 * @group: group without an owner
 *
 * Context: group->mutex held.
 * Return: 0, also when it did not fail; or -errno with the group blocked as before.
 */
int __iommu_group_unblock(struct iommu_group *group)
{
	lockdep_assert_held(&group->mutex);

	if (!group->blocking_domain || group->domain != group->blocking_domain)
		return 0;
	return __iommu_group_attach_default(group);
}

static int __iommu_group_take(struct iommu_group *group, void *owner)
{
	int rc;

	lockdep_assert_held(&group->mutex);

	if (group->domain && group->domain != group->default_domain && group->domain != group->blocking_domain)
		return -EBUSY;

	rc = __iommu_group_alloc_blocking_domain(group);
	if (rc)
		return rc;

	/* Goes back to the default domain by itself when one device refuses */
	rc = __iommu_attach_group(group->blocking_domain, group);
	if (rc)
		return rc;

	group->owner = owner;
	return 0;
}

/**
 * iommu_device_claim_dma_owner() - Take over the DMA of a device's group
 * @dev: device that a driver is bound to which keeps off the kernel's DMA API (driver_managed_dma)
 * @owner: identifies the owner, compared and never dereferenced
 *
 * The first claim blocks all DMA of the group. Each further claim by the same owner, through any device of the group,
 * is counted and changes nothing. Each claim is undone by iommu_device_release_dma_owner() before the driver of @dev
 * lets go of it. An owner uses either this or iommu_group_claim_dma_owner() for one group, not both.
 *
 * From the first claim to the last release interrupts of the group's devices can be set up whether or not the group is
 * attached, and stay good across what iommu_group_replace_handle() does.
 *
 * Context: May sleep. Takes group->mutex.
 * Return: 0; -EINVAL without an owner, or when @dev does not have its interrupts where the group has them; -ENODEV when
 * @dev is in no group; -EPERM when the group has another owner or a driver that uses the kernel's DMA API; -EBUSY when
 * the group is attached to a domain that is not its default one; -EOVERFLOW when there are too many claims; -ENOMEM; or
 * what the driver says when it cannot block.
 */
int iommu_device_claim_dma_owner(struct device *dev, void *owner)
{
	struct iommu_group *group;
	int rc;

	if (!owner)
		return -EINVAL;

	group = iommu_group_get(dev);
	if (!group)
		return -ENODEV;

	mutex_lock(&group->mutex);
	if (group->owner_cnt && group->owner != owner)
		rc = -EPERM;
	else if (group->owner_cnt == UINT_MAX)
		rc = -EOVERFLOW;
	else
		rc = __iommu_group_open_msi_window(group, dev);
	if (!rc && !group->owner_cnt) {
		rc = __iommu_group_take(group, owner);
		if (rc)
			__iommu_group_close_msi_window(group);
	}
	if (!rc)
		group->owner_cnt++;
	mutex_unlock(&group->mutex);

	iommu_group_put(group);
	return rc;
}
EXPORT_SYMBOL_GPL(iommu_device_claim_dma_owner);

/**
 * iommu_device_release_dma_owner() - Undo one iommu_device_claim_dma_owner()
 * @dev: device that was claimed
 *
 * The last release gives the group back to its default domain. What was attached by a handle is detached before, and
 * interrupts that were set up since the claim are freed.
 *
 * Context: May sleep. Takes group->mutex.
 */
void iommu_device_release_dma_owner(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (WARN_ON(!group))
		return;

	mutex_lock(&group->mutex);
	if (!WARN_ON(!group->owner_cnt || !group->owner) && !--group->owner_cnt) {
		WARN_ON(!xa_empty(&group->handles));
		group->owner = NULL;
		__iommu_group_close_msi_window(group);
		__iommu_group_give_back(group);
	}
	mutex_unlock(&group->mutex);

	iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_device_release_dma_owner);

static int iommu_lacks_intr_remap(struct device *dev, void *unused)
{
	return !device_iommu_capable(dev, IOMMU_CAP_INTR_REMAP);
}

/**
 * iommu_device_has_isolated_msi() - Can the device raise only interrupts that were set up for it?
 * @dev: a device
 *
 * Without isolation a device that user space controls can send any interrupt message to any CPU by plain DMA writes.
 *
 * Context: May sleep. Takes group->mutex.
 * Return: true when every MSI interrupt domain remaps, or the IOMMU remaps the interrupts of every device of the group.
 */
bool iommu_device_has_isolated_msi(struct device *dev)
{
	struct iommu_group *group;
	bool isolated;

	if (irq_domain_check_msi_remap())
		return true;

	group = iommu_group_get(dev);
	if (!group)
		return false;

	isolated = !iommu_group_for_each_dev(group, NULL, iommu_lacks_intr_remap);
	iommu_group_put(group);
	return isolated;
}
EXPORT_SYMBOL_GPL(iommu_device_has_isolated_msi);
