// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VFIO device in the hands of an iommufd
 *
 * A device is open either through its group, with a container that translates for it, or here, bound to an iommufd.
 * group->node_users and group->opened_file keep the two apart for the whole group: its devices share one translation.
 *
 * This file knows nothing of files and user structures; device_cdev.c decodes those.
 *
 * Locking: dev_set->lock covers open and close, attach and detach, and so nothing moves under a reset of the whole set.
 * group->group_lock nests inside it.
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
 * Ask the driver whether this user may have the device. The question is put in the words of VFIO_GROUP_GET_DEVICE_FD, a
 * name with options, so that a driver answers both ways of opening alike.
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
 * vfio_iommufd_open() - Bind a device to an iommufd and start it
 * @device: device with a physical IOMMU; the caller holds a registration and the driver's module
 * @ictx: iommufd; kept until vfio_iommufd_close()
 * @token: VF token of the user, or NULL
 *
 * The device owns no translation before vfio_iommufd_attach(): its DMA is blocked.
 *
 * Return: 0, or -errno with nothing changed. -EBUSY: the device is open already, or the file of its group is.
 */
int vfio_iommufd_open(struct vfio_device *device, struct iommufd_ctx *ictx, const uuid_t *token)
{
	struct iommufd_device *idev;
	int rc;

	mutex_lock(&device->dev_set->lock);
	if (device->open_count) {
		rc = -EBUSY;
		goto err_unlock;
	}
	rc = exclude_group_file(device->group);
	if (rc)
		goto err_unlock;
	rc = check_token(device, token);
	if (rc)
		goto err_readmit;

	/* The driver may let the device do DMA as soon as it is open: ownership first */
	idev = iommufd_device_bind(ictx, device->dev);
	if (IS_ERR(idev)) {
		rc = PTR_ERR(idev);
		goto err_readmit;
	}

	device->open_count = 1;
	if (device->ops->open_device) {
		rc = device->ops->open_device(device);
		if (rc)
			goto err_unbind;
	}

	iommufd_ctx_get(ictx);
	device->iommufd_device = idev;
	mutex_unlock(&device->dev_set->lock);
	return 0;

err_unbind:
	device->open_count = 0;
	iommufd_device_unbind(idev);
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
	struct iommufd_ctx *ictx;

	mutex_lock(&device->dev_set->lock);
	/* The driver makes the device quiet before the translation goes, or its last DMA would be a fault */
	if (device->ops->close_device)
		device->ops->close_device(device);
	iommufd_device_detach(device->iommufd_device);

	ictx = iommufd_device_ctx(device->iommufd_device);
	iommufd_device_unbind(device->iommufd_device);
	device->iommufd_device = NULL;
	device->open_count = 0;

	/* Only now: a container could not have claimed the group before */
	readmit_group_file(device->group);
	mutex_unlock(&device->dev_set->lock);

	iommufd_ctx_put(ictx);
}

/**
 * vfio_iommufd_attach() - Let a bound device translate through a page table
 * @device: device that vfio_iommufd_open() opened
 * @pt_id: id of an IOAS or of a page table
 * @report: told the page table before anything changes
 * @data: passed on to @report
 *
 * On a device that is attached this is a replace.
 *
 * Return: 0, or -errno with the device where it was before.
 */
int vfio_iommufd_attach(struct vfio_device *device, u32 pt_id, iommufd_report_fn report, void *data)
{
	int rc;

	mutex_lock(&device->dev_set->lock);
	rc = iommufd_device_attach(device->iommufd_device, pt_id, report, data);
	mutex_unlock(&device->dev_set->lock);
	return rc;
}

/**
 * vfio_iommufd_detach() - Block the DMA of a bound device
 * @device: device that vfio_iommufd_open() opened, attached or not
 */
void vfio_iommufd_detach(struct vfio_device *device)
{
	mutex_lock(&device->dev_set->lock);
	iommufd_device_detach(device->iommufd_device);
	mutex_unlock(&device->dev_set->lock);
}
