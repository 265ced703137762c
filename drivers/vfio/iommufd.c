// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VFIO device in the hands of an iommufd
 *
 * A device is open either through its group, with a container that translates for it, or here, bound to an iommufd.
 * group->node_users and group->opened_file keep the two apart for the whole group: its devices share one translation.
 *
 * This file knows nothing of files and user structures; device_cdev.c decodes those.
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

/*
 * The last step of a close, and of an open that failed. Unbinding waits for ioctls that use the device, and these may
 * wait for user space to answer a page fault: dev_set->lock, which others need to open and reset their devices, is
 * not held. device->iommufd_device keeps everybody else out until it is over.
 */
static void give_back(struct vfio_device *device)
{
	/* One that does not wake up any more is given back all the same */
	bool awake = !vfio_device_pm_runtime_get(device);

	iommufd_device_unbind(device->iommufd_device);
	if (awake)
		vfio_device_pm_runtime_put(device);
	readmit_group_file(device->group);

	mutex_lock(&device->dev_set->lock);
	device->iommufd_device = NULL;
	mutex_unlock(&device->dev_set->lock);
}

/* Binding writes to the device (ATS, PASID): it has to be awake */
static struct iommufd_device *bind_awake(struct iommufd_ctx *ictx, struct vfio_device *device)
{
	struct iommufd_device *idev;
	int rc;

	rc = vfio_device_pm_runtime_get(device);
	if (rc)
		return ERR_PTR(rc);
	idev = iommufd_device_bind(ictx, device->dev);
	vfio_device_pm_runtime_put(device);
	return idev;
}

/**
 * vfio_iommufd_open() - Bind a device to an iommufd and start it
 * @device: device with a physical IOMMU; the caller holds a registration and the driver's module
 * @ictx: iommufd; it lives at least until vfio_iommufd_close()
 * @token: VF token of the user, or NULL
 *
 * The device owns no translation before it is attached: its DMA is blocked.
 *
 * Return: 0, or -errno with nothing changed. -EBUSY: the file of the device's group is open; -EINVAL: the device is
 * bound already.
 */
int vfio_iommufd_open(struct vfio_device *device, struct iommufd_ctx *ictx, const uuid_t *token)
{
	struct iommufd_device *idev;
	int rc;

	mutex_lock(&device->dev_set->lock);
	rc = exclude_group_file(device->group);
	if (rc)
		goto err_unlock;
	rc = -EINVAL;
	if (device->open_count || device->iommufd_device)
		goto err_readmit;
	rc = check_token(device, token);
	if (rc)
		goto err_readmit;

	/* The driver may let the device do DMA as soon as it is open: ownership first */
	idev = bind_awake(ictx, device);
	if (IS_ERR(idev)) {
		rc = PTR_ERR(idev);
		goto err_readmit;
	}
	device->iommufd_device = idev;

	device->open_count = 1;
	if (device->ops->open_device)
		rc = device->ops->open_device(device);
	else
		rc = 0;
	if (rc)
		device->open_count = 0;
	mutex_unlock(&device->dev_set->lock);
	if (rc)
		give_back(device);
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
	device->open_count = 0;
	mutex_unlock(&device->dev_set->lock);
	give_back(device);
}
