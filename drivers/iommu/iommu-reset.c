// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-reset - a device that is being reset keeps the translation that it has
 *
 * To switch a group from one domain to another its devices are told to forget what they remember of the old one, and
 * registers in their configuration space may be written. A device that is being reset takes no notice: the invalidation
 * would be waited for in vain, and what was written is lost. So the two exclude each other: a reset waits for the
 * switch that goes on, and as long as it lasts the devices of its group are attached nowhere else.
 *
 * Locking: group->mutex covers group->resets. It is taken inside the lock of the device, and not held during a reset.
 */
#include <linux/export.h>
#include <linux/wait_bit.h>

#include "iommu-priv.h"

/**
 * iommu_device_begin_reset() - Let a device keep its translation while it is reset
 * @dev: device of any group or of none, whose lock is held
 *
 * Until iommu_device_end_reset() nobody attaches or replaces anything for its group; who detaches waits. Resets of
 * several devices of a group may go on at once.
 *
 * Context: May sleep. Takes group->mutex.
 */
void iommu_device_begin_reset(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (!group)
		return;
	mutex_lock(&group->mutex);
	group->resets++;
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_device_begin_reset);

/**
 * iommu_device_end_reset() - The counterpart of iommu_device_begin_reset()
 * @dev: the same device, locked since then
 *
 * Context: May sleep. Takes group->mutex.
 */
void iommu_device_end_reset(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (!group)
		return;
	mutex_lock(&group->mutex);
	/* An IOMMU that was found meanwhile has made the group */
	if (group->resets && !--group->resets) {
		/* Who begins to wait is seen, or sees that it is over; pairs with set_current_state() there */
		smp_mb();
		wake_up_var(&group->resets);
	}
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_device_end_reset);

/**
 * iommu_group_lock_unreset() - Lock a group none of whose devices is being reset
 * @group: the group
 *
 * Waits for the end of resets. No reset begins before group->mutex is unlocked.
 *
 * Context: May sleep. On return group->mutex is held.
 */
void iommu_group_lock_unreset(struct iommu_group *group)
{
	mutex_lock(&group->mutex);
	while (group->resets) {
		mutex_unlock(&group->mutex);
		wait_var_event(&group->resets, !READ_ONCE(group->resets));
		mutex_lock(&group->mutex);
	}
}
