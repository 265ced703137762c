// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-replace - attach a group that has an owner, and switch it from one domain to another
 *
 * A replace is decided before it is done. The driver's replace_prepare() checks one device and takes everything that is
 * needed to switch it; only when each device of the group said yes does replace_commit() touch hardware, and that
 * cannot fail. So a replace that fails has never left the old domain, for no device of the group and for no moment.
 *
 * Locking: group->mutex is held from the first check to the last commit; no device joins or leaves in between.
 */
#include "iommu-priv.h"

/* Domains carry no owner: the operations tell which driver made one, and another driver would take it for its own. */
static bool iommu_domain_suits_group(struct iommu_domain *domain, struct iommu_group *group)
{
	struct group_device *gdev;

	list_for_each_entry(gdev, &group->devices, list) {
		if (dev_iommu_ops(gdev->dev)->default_domain_ops != domain->ops)
			return false;
	}
	return true;
}

/**
 * iommu_group_attach_domain() - Attach a group that has an owner and is blocked
 * @group: the group
 * @domain: domain to attach every device of the group to
 *
 * The way back to the blocking domain is iommu_detach_group().
 *
 * Context: May sleep. Takes group->mutex.
 * Return: 0, or -errno with every device blocked as before: -EPERM when the group has no owner; -EBUSY when it is
 * attached to a domain already; -EINVAL when @domain does not fit one of its devices; or another error of the driver.
 */
int iommu_group_attach_domain(struct iommu_group *group, struct iommu_domain *domain)
{
	int rc;

	mutex_lock(&group->mutex);
	if (!group->owner)
		rc = -EPERM;
	else if (group->domain != group->blocking_domain)
		rc = -EBUSY;
	else if (!iommu_domain_suits_group(domain, group))
		rc = -EINVAL;
	else
		rc = __iommu_attach_group(domain, group);
	mutex_unlock(&group->mutex);

	return rc;
}
EXPORT_SYMBOL_GPL(iommu_group_attach_domain);

static int __iommu_group_replace(struct iommu_group *group, struct iommu_domain *old, struct iommu_domain *new)
{
	struct group_device *gdev;
	int rc;

	lockdep_assert_held(&group->mutex);

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

/**
 * iommu_group_replace_domain() - Switch a group from one domain to another
 * @group: the group
 * @old: domain the group is attached to
 * @new: domain it shall be attached to
 *
 * A DMA that runs meanwhile is translated by @old or by @new. After return none is translated by @old any more.
 *
 * Context: May sleep. Takes group->mutex.
 * Return: 0, also when @new is @old; or -errno with every device attached to @old as before: -EPERM when the group has
 * no owner; -EBUSY when the group is not attached to @old, or the driver cannot switch it now; -EINVAL when @new does
 * not fit one of its devices; -EOPNOTSUPP when the driver cannot switch without blocking; or another error of the
 * driver.
 */
int iommu_group_replace_domain(struct iommu_group *group, struct iommu_domain *old, struct iommu_domain *new)
{
	int rc;

	mutex_lock(&group->mutex);
	if (!group->owner)
		rc = -EPERM;
	else if (group->domain != old)
		rc = -EBUSY;
	else if (old == new)
		rc = 0;
	else if (!iommu_domain_suits_group(new, group))
		rc = -EINVAL;
	else if (!new->ops->replace_prepare)
		rc = -EOPNOTSUPP;
	else
		rc = __iommu_group_replace(group, old, new);
	mutex_unlock(&group->mutex);

	return rc;
}
EXPORT_SYMBOL_GPL(iommu_group_replace_domain);
