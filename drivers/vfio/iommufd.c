// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VFIO device in the hands of an iommufd
 *
 * A device is open either through its group, with a container that translates for it, or here, bound to an iommufd.
 * group->node_users and group->opened_file keep the two apart for the whole group: its devices share one translation.
 *
 * This file knows nothing of files and user structures; device_cdev.c decodes those. Nor does it know what binding and
 * attaching do: that is for each kind of device in a file of its own.
 *
 * Locking: dev_set->lock covers open and close; group->group_lock nests inside it. Attach and detach need no lock of
 * VFIO: iommufd has its own for each group, and a file is not closed while an ioctl runs on it.
 */
#include <linux/device.h>
#include <linux/iommufd.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uuid.h>
#include <linux/vfio.h>

#include "cdev.h"
#include "vfio.h"

/* By enum vfio_group_type */
static const struct vfio_iommufd_kind *const kinds[] = {
	[VFIO_IOMMU] = &vfio_iommufd_physical,
	[VFIO_EMULATED_IOMMU] = &vfio_iommufd_emulated,
	[VFIO_NO_IOMMU] = &vfio_iommufd_noiommu,
};

/**
 * vfio_iommufd_kind() - How a device is handed to an iommufd
 * @device: device in its group
 *
 * Return: its operations.
 */
const struct vfio_iommufd_kind *vfio_iommufd_kind(struct vfio_device *device)
{
	return kinds[device->group->type];
}

static int exclude_group_file(struct vfio_group *group)
{
	int rc = 0;

	mutex_lock(&group->group_lock);
	if (group->opened_file)
		rc = -EBUSY;
	else
		group->node_users++;
	mutex_unlock(&group->group_lock);
	return rc;
}

static void readmit_group_file(struct vfio_group *group)
{
	mutex_lock(&group->group_lock);
	group->node_users--;
	mutex_unlock(&group->group_lock);
}

/*
 * Ask the driver whether this user may have the device. The question is put in the words of VFIO_GROUP_GET_DEVICE_FD,
 * a name with options, so that a driver answers both ways of opening alike.
 */
static int check_token(struct vfio_device *device, const uuid_t *token)
{
	char *name;
	int rc;

	if (!device->ops->match)
		return token ? -EINVAL : 0;

	if (token)
		name = kasprintf(GFP_KERNEL, "%s vf_token=%pUb", dev_name(device->dev), token);
	else
		name = kstrdup(dev_name(device->dev), GFP_KERNEL);
	if (!name)
		return -ENOMEM;

	rc = device->ops->match(device, name);
	kfree(name);
	if (rc < 0)
		return rc;
	return rc ? 0 : -EINVAL;
}

/**
 * vfio_iommufd_bind() - Put a device into the hands of an iommufd
 * @device: device of a kind that can be, in nobody's hands, dev_set->lock held
 * @ictx: the iommufd
 *
 * Return: 0, or -errno with nothing changed.
 */
int vfio_iommufd_bind(struct vfio_device *device, struct iommufd_ctx *ictx)
{
	int rc;

	lockdep_assert_held(&device->dev_set->lock);

	rc = vfio_iommufd_kind(device)->bind(device, ictx, &device->iommufd_devid);
	if (rc)
		return rc;
	iommufd_ctx_get(ictx);
	device->iommufd_ctx = ictx;
	return 0;
}

/**
 * vfio_iommufd_unbind() - Undo vfio_iommufd_bind()
 * @device: the device, not open; the caller sees to it that nobody else unbinds it
 *
 * Unbinding waits for ioctls that use the device, and these may wait for user space to answer a page fault:
 * dev_set->lock, which others need to open and reset their devices, is not held. device->iommufd_ctx keeps everybody
 * else out until it is over.
 */
void vfio_iommufd_unbind(struct vfio_device *device)
{
	struct iommufd_ctx *ictx = device->iommufd_ctx;

	vfio_iommufd_kind(device)->unbind(device);

	mutex_lock(&device->dev_set->lock);
	device->iommufd_ctx = NULL;
	mutex_unlock(&device->dev_set->lock);
	iommufd_ctx_put(ictx);
}

/**
 * vfio_iommufd_show() - Tell of a device for fdinfo: in whose hands it is, and what it is attached to
 * @device: the device, which stays bound meanwhile
 * @m: fdinfo of a file of it
 *
 * Waits for no lock.
 */
void vfio_iommufd_show(struct vfio_device *device, struct seq_file *m)
{
	iommufd_ctx_show(device->iommufd_ctx, m);
	vfio_iommufd_kind(device)->show(device, m);
}

/**
 * vfio_iommufd_open() - Bind a device to an iommufd and start it
 * @device: device with a node; the caller holds a registration and the driver's module
 * @ictx: iommufd
 * @token: VF token of the user, or NULL
 * @kvm: virtual machine of the user, alive until this returns, or NULL; a driver that needs it later takes a reference
 *
 * The device owns no translation before it is attached: its DMA is blocked.
 *
 * Return: 0, or -errno with nothing changed. -EBUSY: the file of the device's group is open; -EINVAL: the device is
 * bound already.
 */
int vfio_iommufd_open(struct vfio_device *device, struct iommufd_ctx *ictx, const uuid_t *token, struct kvm *kvm)
{
	int rc;

	mutex_lock(&device->dev_set->lock);
	rc = exclude_group_file(device->group);
	if (rc)
		goto err_unlock;
	rc = -EINVAL;
	if (device->open_count || device->iommufd_ctx)
		goto err_readmit;
	rc = check_token(device, token);
	if (rc)
		goto err_readmit;

	/* The driver may let the device do DMA as soon as it is open: ownership first */
	rc = vfio_iommufd_bind(device, ictx);
	if (rc)
		goto err_readmit;

	device->open_count = 1;
	device->kvm = kvm;
	if (device->ops->open_device)
		rc = device->ops->open_device(device);
	if (rc) {
		device->open_count = 0;
		device->kvm = NULL;
	}
	mutex_unlock(&device->dev_set->lock);
	if (rc) {
		vfio_iommufd_unbind(device);
		readmit_group_file(device->group);
	}
	return rc;

err_readmit:
	readmit_group_file(device->group);
err_unlock:
	mutex_unlock(&device->dev_set->lock);
	return rc;
}

/**
 * vfio_iommufd_close() - Stop a device and give it back
 * @device: device that vfio_iommufd_open() opened
 */
void vfio_iommufd_close(struct vfio_device *device)
{
	mutex_lock(&device->dev_set->lock);
	/* The driver makes the device quiet before the translation goes, or its last DMA would be a fault */
	if (device->ops->close_device)
		device->ops->close_device(device);
	/* An emulated one is not told any more of memory that goes: unpinning is for devices that are open */
	if (device->group->type == VFIO_EMULATED_IOMMU)
		vfio_iommufd_kind(device)->detach(device, IOMMUFD_NO_PASID);
	device->open_count = 0;
	device->kvm = NULL;
	mutex_unlock(&device->dev_set->lock);
	vfio_iommufd_unbind(device);
	readmit_group_file(device->group);
}

/**
 * vfio_iommufd_by_node() - Is a device open through its node?
 * @device: open device
 *
 * A device can be in the hands of an iommufd without that, when its group has the iommufd for a container. A group is
 * used in one of the two ways.
 *
 * Return: true if it is, false if it is open through its group.
 */
bool vfio_iommufd_by_node(struct vfio_device *device)
{
	return READ_ONCE(device->iommufd_ctx) && !READ_ONCE(device->group->opened_file);
}
EXPORT_SYMBOL_GPL(vfio_iommufd_by_node);

/**
 * vfio_iommufd_reset_id() - What a device is to somebody who wants to reset it with his own
 * @caller: his device, in the hands of an iommufd
 * @device: any device of the same set
 *
 * Context: dev_set->lock held.
 * Return: the id of @device in the caller's iommufd; VFIO_PCI_DEVID_OWNED if it has none, but a device of its group
 * has; else VFIO_PCI_DEVID_NOT_OWNED, also for one that is just coming or going.
 */
int vfio_iommufd_reset_id(struct vfio_device *caller, struct vfio_device *device)
{
	struct iommufd_ctx *ictx = caller->iommufd_ctx;
	bool owned;

	lockdep_assert_held(&caller->dev_set->lock);

	if (device->iommufd_ctx == ictx)
		return device->iommufd_devid;
	/* It is in the set before it has a group and afterwards; a registration keeps the group */
	if (!vfio_device_try_get_registration(device))
		return VFIO_PCI_DEVID_NOT_OWNED;
	owned = iommufd_ctx_owns_group(ictx, device->group->iommu_group);
	vfio_device_put_registration(device);
	return owned ? VFIO_PCI_DEVID_OWNED : VFIO_PCI_DEVID_NOT_OWNED;
}
EXPORT_SYMBOL_GPL(vfio_iommufd_reset_id);

/**
 * vfio_iommufd_enforces_coherency() - Will all DMA of a device be coherent with the CPU's caches?
 * @device: device with a node, bound or not
 *
 * Return: false if the device can reach memory past the caches when it asks for that.
 */
bool vfio_iommufd_enforces_coherency(struct vfio_device *device)
{
	switch (device->group->type) {
	case VFIO_IOMMU:
		return iommufd_device_coherent(device->dev);
	case VFIO_EMULATED_IOMMU:
		/* Its driver reaches memory as the CPU does */
		return true;
	default:
		return false;
	}
}
