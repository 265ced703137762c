// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-replace - attach a group that has an owner, switch it from one domain to another, and block it again
 *
 * What is attached is routed by requester and PASID. The requests without PASID have the number IOMMU_NO_PASID here, so
 * that there is one set of functions; what differs for those with one stands in iommu-pasid.c.
 *
 * A replace is decided before it is done. The driver's replace_prepare() checks one device and takes everything that is
 * needed to switch it; only when each device of the group said yes does replace_commit() touch hardware, and that
 * cannot fail. So a replace that fails has never left the old domain, for no device of the group and for no moment.
 * Where interrupt messages are translated, what they need is mapped before the switch and unmapped after it.
 *
 * Locking: group->mutex is held from the first check to the last commit; no device joins or leaves in between.
 */
#include "iommu-priv.h"

/* Domains carry no owner: the operations tell which driver made one, and another driver would take it for its own. */
static bool iommu_domain_suits_group(struct iommu_domain *domain, struct iommu_group *group)
{
	struct group_device *gdev;

	list_for_each_entry(gdev, &group->devices, list) {
		const struct iommu_ops *ops = dev_iommu_ops(gdev->dev);

		if (ops->default_domain_ops != domain->ops && ops->nested_domain_ops != domain->ops)
			return false;
	}
	return true;
}

static int attach_rid(struct iommu_group *group, struct iommu_attach_handle *handle)
{
	int rc;

	if (group->domain != group->blocking_domain)
		return -EBUSY;
	rc = __iommu_group_map_doorbells(group, handle);
	if (rc)
		return rc;
	rc = __iommu_attach_group(handle->domain, group);
	if (rc)
		__iommu_group_unmap_doorbells(group, handle);
	return rc;
}

static int switch_rid(struct iommu_group *group, struct iommu_domain *old, struct iommu_domain *new)
{
	struct group_device *gdev;
	int rc;

	if (!new->ops->replace_prepare)
		return -EOPNOTSUPP;

	list_for_each_entry(gdev, &group->devices, list) {
		rc = new->ops->replace_prepare(new, old, gdev->dev);
		if (rc)
			goto err_abort;
	}

	list_for_each_entry(gdev, &group->devices, list)
		new->ops->replace_commit(new, old, gdev->dev);
	group->domain = new;
	return 0;

err_abort:
	list_for_each_entry_continue_reverse(gdev, &group->devices, list)
		new->ops->replace_abort(new, gdev->dev);
	return rc;
}

/* An interrupt message is a write too: whichever domain translates it knows where it goes */
static int replace_rid(struct iommu_group *group, struct iommu_attach_handle *old, struct iommu_attach_handle *new)
{
	int rc = __iommu_group_map_doorbells(group, new);

	if (rc)
		return rc;
	rc = switch_rid(group, old->domain, new->domain);
	__iommu_group_unmap_doorbells(group, rc ? new : old);
	return rc;
}

/**
 * iommu_group_attach_handle() - Attach a group that has an owner, and is blocked for these requests
 * @group: the group
 * @pasid: requests with this PASID, or IOMMU_NO_PASID
 * @handle: names the domain; the core keeps it until it is replaced or detached
 *
 * With a PASID, those devices of the group take part for which PASIDs are enabled and that can send this one.
 *
 * Context: May sleep. Takes group->mutex.
 * Return: 0, or -errno with every device blocked as before: -EPERM when the group has no owner; -EBUSY when something
 * is attached already, or a device is being reset; -EINVAL when the domain does not fit one of the devices, or no
 * device can send @pasid; -EOPNOTSUPP when the driver knows no PASIDs; -ENOMEM; or another error of the driver.
 */
int iommu_group_attach_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *handle)
{
	int rc = -EPERM;

	mutex_lock(&group->mutex);
	if (!group->owner)
		goto out;
	rc = -EBUSY;
	if (group->resets)
		goto out;
	rc = -EINVAL;
	if (!iommu_domain_suits_group(handle->domain, group))
		goto out;
	rc = xa_insert(&group->handles, pasid, handle, GFP_KERNEL_ACCOUNT);
	if (rc)
		goto out;

	if (pasid == IOMMU_NO_PASID)
		rc = attach_rid(group, handle);
	else
		rc = __iommu_group_switch_pasid(group, pasid, NULL, handle->domain);
	if (rc)
		xa_erase(&group->handles, pasid);
out:
	mutex_unlock(&group->mutex);
	return rc;
}
EXPORT_SYMBOL_GPL(iommu_group_attach_handle);

/**
 * iommu_group_replace_handle() - Switch a group from one domain to another
 * @group: the group
 * @pasid: requests with this PASID, or IOMMU_NO_PASID
 * @old: what is attached
 * @new: what shall be; its domain may be that of @old
 *
 * A DMA that runs meanwhile is translated by the old domain or by the new one. After return none is translated by the
 * old one any more. Where the hardware cannot do that the driver says -EOPNOTSUPP, or documents the moment in which it
 * blocks.
 *
 * Context: May sleep. Takes group->mutex.
 * Return: 0; or -errno with every device attached to @old as before: -EPERM when the group has no owner; -EBUSY when
 * @old is not what is attached, a device is being reset, or the driver cannot switch now; -EINVAL when the domain does
 * not fit one of the devices; -EOPNOTSUPP when the driver cannot switch; or another error of the driver.
 */
int iommu_group_replace_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *old,
			       struct iommu_attach_handle *new)
{
	int rc = 0;

	mutex_lock(&group->mutex);
	if (!group->owner)
		rc = -EPERM;
	else if (group->resets || xa_load(&group->handles, pasid) != old)
		rc = -EBUSY;
	else if (!iommu_domain_suits_group(new->domain, group))
		rc = -EINVAL;
	else if (old->domain == new->domain)
		rc = 0;
	else if (pasid == IOMMU_NO_PASID)
		rc = replace_rid(group, old, new);
	else
		rc = __iommu_group_switch_pasid(group, pasid, old->domain, new->domain);
	/* The place of @old is there, so this needs no memory */
	if (!rc)
		WARN_ON(xa_is_err(xa_store(&group->handles, pasid, new, GFP_KERNEL)));
	mutex_unlock(&group->mutex);

	return rc;
}
EXPORT_SYMBOL_GPL(iommu_group_replace_handle);

/**
 * iommu_group_detach_handle() - Block a group for requests that are translated
 * @group: the group
 * @pasid: requests with this PASID, or IOMMU_NO_PASID
 * @handle: what is attached; not used any more after return, nor is anything that was cached of its domain
 *
 * Cannot fail. A driver that cannot attach the blocking domain must block the devices all the same, as VT-d does. Waits
 * for a reset of a device of the group.
 *
 * Context: May sleep. Takes group->mutex.
 */
void iommu_group_detach_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *handle)
{
	iommu_group_lock_unreset(group);
	if (!WARN_ON(xa_load(&group->handles, pasid) != handle)) {
		if (pasid == IOMMU_NO_PASID) {
			WARN_ON(__iommu_group_set_domain(group, group->blocking_domain));
			__iommu_group_unmap_doorbells(group, handle);
		} else {
			__iommu_group_remove_pasid(group, pasid, handle->domain);
		}
		xa_erase(&group->handles, pasid);
	}
	mutex_unlock(&group->mutex);
}
EXPORT_SYMBOL_GPL(iommu_group_detach_handle);
