// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups whose container is an iommufd
 *
 * VFIO_GROUP_SET_CONTAINER takes the file of /dev/iommu where it takes that of a container, and programs written for
 * type1 go on from there: the commands of their container act on one IOAS of the context. Such a program reads which
 * addresses it may use, and maps, before it opens a device. So the devices of the group are bound and attached to that
 * IOAS at once, and stay so until the container is unset, whether they are open or not. A device that is registered
 * later joins when it is opened; one that is unregistered parts before its driver lets go of it.
 *
 * An emulated device has no translation that could be left open to it: it is bound when it is first opened, and
 * attached while it is open, as it would not like to hear of memory at other times. One without an IOMMU is bound only.
 *
 * Locking: group->ioctl_lock is held by every ioctl of the group's file, so containers are not set and unset while
 * devices join or are opened. Inside it come dev_set->lock and then group->group_lock. A registration that is held
 * while a device is bound or unbound keeps it from parting meanwhile. group->iommufd_ctx is set and cleared under
 * group_lock; it goes while the group has neither an open device nor a running ioctl, or no device at all.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#include <linux/module.h>
#include <linux/vfio.h>

#include "cdev.h"
#include "vfio.h"

static bool iommufd_container;
module_param(iommufd_container, bool, 0644);
MODULE_PARM_DESC(iommufd_container, "An open of /dev/vfio/vfio gives an iommufd, which has the commands of type1");

/**
 * vfio_container_is_iommufd() - Is an iommufd made for whoever opens a container?
 *
 * Return: true if so; those that are open stay what they are.
 */
bool vfio_container_is_iommufd(void)
{
	return READ_ONCE(iommufd_container);
}

/* A device of the group that is bound, or is not, with a registration; NULL when there is none left */
static struct vfio_device *get_device_that_is(struct vfio_group *group, bool bound)
{
	struct vfio_device *device, *found = NULL;

	mutex_lock(&group->device_lock);
	list_for_each_entry(device, &group->device_list, group_next) {
		if (!READ_ONCE(device->iommufd_ctx) == !bound && vfio_device_try_get_registration(device)) {
			found = device;
			break;
		}
	}
	mutex_unlock(&group->device_lock);
	return found;
}

static int join(struct vfio_device *device, struct iommufd_ctx *ictx)
{
	u32 ioas_id;
	int rc;

	mutex_lock(&device->dev_set->lock);
	rc = vfio_iommufd_bind(device, ictx);
	mutex_unlock(&device->dev_set->lock);
	if (rc || device->group->type != VFIO_IOMMU)
		return rc;

	rc = iommufd_vfio_compat_ioas(ictx, &ioas_id);
	if (!rc)
		rc = vfio_iommufd_kind(device)->attach(device, IOMMUFD_NO_PASID, ioas_id, NULL, NULL);
	if (rc)
		vfio_iommufd_unbind(device);
	return rc;
}

static void part_all(struct vfio_group *group)
{
	struct vfio_device *device;

	while ((device = get_device_that_is(group, true))) {
		vfio_iommufd_unbind(device);
		vfio_device_put_registration(device);
	}
}

static int join_all(struct vfio_group *group, struct iommufd_ctx *ictx)
{
	struct vfio_device *device;
	int rc = 0;

	while (!rc && (device = get_device_that_is(group, false))) {
		rc = join(device, ictx);
		vfio_device_put_registration(device);
	}
	if (rc)
		part_all(group);
	return rc;
}

/**
 * vfio_group_set_iommufd() - VFIO_GROUP_SET_CONTAINER with a file that is no container
 * @group: group without a container, ioctl_lock held
 * @file: the file
 *
 * Return: 0; -EINVAL if @file is not /dev/iommu either, or an iommufd cannot have such devices; -EPERM for devices
 * without an IOMMU if the caller lacks CAP_SYS_RAWIO, or if they would be mixed with others; -ENODEV if the last
 * device of the group is gone; or why one of the devices could not be bound or attached, see iommufd_device_bind()
 * and iommufd_device_attach(). On error nothing has changed, but the context may have got an IOAS.
 */
int vfio_group_set_iommufd(struct vfio_group *group, struct file *file)
{
	struct iommufd_ctx *ictx = iommufd_ctx_from_file(file);
	u32 ioas_id;
	int rc;

	lockdep_assert_held(&group->ioctl_lock);

	if (IS_ERR(ictx))
		return -EINVAL;
	if (group->type == VFIO_NO_IOMMU && !capable(CAP_SYS_RAWIO)) {
		rc = -EPERM;
		goto err_put;
	}
	/* A container promises that devices are isolated, or it promises nothing */
	rc = iommufd_vfio_compat_enter(ictx, group->type == VFIO_NO_IOMMU);
	if (rc)
		goto err_put;

	/* There is something to map into from now on, except for devices that no mapping can reach */
	if (group->type != VFIO_NO_IOMMU)
		rc = iommufd_vfio_compat_ioas(ictx, &ioas_id);
	if (!rc && group->type == VFIO_IOMMU)
		rc = join_all(group, ictx);
	if (rc)
		goto err_leave;

	mutex_lock(&group->group_lock);
	if (group->iommu_group) {
		group->iommufd_ctx = ictx;
		group->container_users = 1;
	} else {
		rc = -ENODEV;
	}
	mutex_unlock(&group->group_lock);
	if (!rc)
		return 0;
err_leave:
	iommufd_vfio_compat_leave(ictx);
err_put:
	iommufd_ctx_put(ictx);
	return rc;
}

/**
 * vfio_group_forget_iommufd() - A group without bound devices has no container any more
 * @group: the group, with an iommufd or without, group_lock held
 */
void vfio_group_forget_iommufd(struct vfio_group *group)
{
	lockdep_assert_held(&group->group_lock);

	if (!group->iommufd_ctx)
		return;
	iommufd_vfio_compat_leave(group->iommufd_ctx);
	iommufd_ctx_put(group->iommufd_ctx);
	WRITE_ONCE(group->iommufd_ctx, NULL);
	group->container_users = 0;
}

/**
 * vfio_group_unset_iommufd() - VFIO_GROUP_UNSET_CONTAINER of a group with an iommufd
 * @group: the group, ioctl_lock held or its file being closed
 *
 * Return: 0; -EBUSY while devices are open; -EINVAL if the group lost its iommufd with its last device.
 */
int vfio_group_unset_iommufd(struct vfio_group *group)
{
	int rc = 0;

	mutex_lock(&group->group_lock);
	if (!group->iommufd_ctx)
		rc = -EINVAL;
	else if (group->container_users != 1)
		rc = -EBUSY;
	mutex_unlock(&group->group_lock);
	if (rc)
		return rc;

	part_all(group);

	mutex_lock(&group->group_lock);
	vfio_group_forget_iommufd(group);
	mutex_unlock(&group->group_lock);
	return 0;
}

/**
 * vfio_group_use_iommufd() - Count a file of a device that is about to be opened
 * @group: group with an iommufd, group_lock held
 *
 * It is the other half of vfio_device_unassign_container().
 *
 * Return: 0, or -EPERM for devices without an IOMMU if the caller lacks CAP_SYS_RAWIO.
 */
int vfio_group_use_iommufd(struct vfio_group *group)
{
	lockdep_assert_held(&group->group_lock);

	if (group->type == VFIO_NO_IOMMU && !capable(CAP_SYS_RAWIO))
		return -EPERM;
	get_file(group->opened_file);
	group->container_users++;
	return 0;
}

/**
 * vfio_group_join_device() - Bind a device that is about to be opened, if it came after the container
 * @device: registered device, ioctl_lock of its group held
 *
 * Return: 0, also if the group has no iommufd; or -errno as vfio_group_set_iommufd().
 */
int vfio_group_join_device(struct vfio_device *device)
{
	struct vfio_group *group = device->group;

	lockdep_assert_held(&group->ioctl_lock);

	/* The registration keeps the group from losing its last device, and the lock does the rest */
	if (!READ_ONCE(group->iommufd_ctx) || READ_ONCE(device->iommufd_ctx))
		return 0;
	return join(device, group->iommufd_ctx);
}

/**
 * vfio_group_part_device() - Unbind a device that is being unregistered
 * @device: device of which no registration is left
 */
void vfio_group_part_device(struct vfio_device *device)
{
	if (device->iommufd_ctx)
		vfio_iommufd_unbind(device);

	/*
	 * A file of its node can be on its way out still, and keep @device while its driver goes. Whoever resets the
	 * rest of the set must not find it then.
	 */
	mutex_lock(&device->dev_set->lock);
	list_del_init(&device->dev_set_list);
	mutex_unlock(&device->dev_set->lock);
}

/**
 * vfio_group_start_device() - What a device needs before its first file is opened
 * @device: device, dev_set->lock held and counted by vfio_group_use_iommufd() if its group has an iommufd
 *
 * Return: 0, or why an emulated device could not be attached.
 */
int vfio_group_start_device(struct vfio_device *device)
{
	struct vfio_group *group = device->group;
	u32 ioas_id;
	int rc;

	lockdep_assert_held(&device->dev_set->lock);

	if (!group->iommufd_ctx || group->type != VFIO_EMULATED_IOMMU)
		return 0;
	rc = iommufd_vfio_compat_ioas(group->iommufd_ctx, &ioas_id);
	return rc ?: vfio_iommufd_kind(device)->attach(device, IOMMUFD_NO_PASID, ioas_id, NULL, NULL);
}

/**
 * vfio_group_stop_device() - Undo vfio_group_start_device()
 * @device: device of which the last file has been closed, otherwise as there
 *
 * A driver that does not let go of what it pinned is attached still; unbinding complains about it.
 */
void vfio_group_stop_device(struct vfio_device *device)
{
	struct vfio_group *group = device->group;

	lockdep_assert_held(&device->dev_set->lock);

	if (group->iommufd_ctx && group->type == VFIO_EMULATED_IOMMU)
		vfio_iommufd_kind(device)->detach(device, IOMMUFD_NO_PASID);
}

/**
 * vfio_group_coherent() - Is all DMA of a group coherent, whatever its devices ask for?
 * @group: group with an iommufd, group_lock held
 *
 * Return: true if it is, as for type1's VFIO_DMA_CC_IOMMU.
 */
bool vfio_group_coherent(struct vfio_group *group)
{
	struct vfio_device *device;
	bool coherent = true;

	lockdep_assert_held(&group->group_lock);

	mutex_lock(&group->device_lock);
	list_for_each_entry(device, &group->device_list, group_next) {
		if (!vfio_iommufd_enforces_coherency(device))
			coherent = false;
	}
	mutex_unlock(&group->device_lock);
	return coherent;
}
