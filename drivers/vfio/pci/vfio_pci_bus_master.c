// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE_BUS_MASTER: the right of a device to start DMA, without a look at its configuration space
 */
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "vfio_pci_node.h"

/**
 * vfio_pci_feature_bus_master() - Switch bus mastering on or off
 * @device: open device, awake
 * @flags: VFIO_DEVICE_FEATURE_SET, or VFIO_DEVICE_FEATURE_PROBE with it
 * @arg: struct vfio_device_feature_bus_master
 * @argsz: bytes at @arg
 *
 * The bit is that of the command register, where it can be read and written as well.
 *
 * Context: May sleep. Takes memory_lock, as all do who write the command register.
 * Return: 0; -EINVAL for another operation, or anything but to set it; -EFAULT.
 */
int vfio_pci_feature_bus_master(struct vfio_device *device, u32 flags, void __user *arg, size_t argsz)
{
	struct vfio_pci_core_device *vdev = container_of(device, struct vfio_pci_core_device, vdev);
	struct vfio_device_feature_bus_master feature;
	int rc;

	rc = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(feature));
	if (rc != 1)
		return rc;
	if (copy_from_user(&feature, arg, sizeof(feature)))
		return -EFAULT;
	if (feature.op != VFIO_DEVICE_FEATURE_SET_MASTER && feature.op != VFIO_DEVICE_FEATURE_CLEAR_MASTER)
		return -EINVAL;

	down_write(&vdev->memory_lock);
	if (feature.op == VFIO_DEVICE_FEATURE_SET_MASTER)
		pci_set_master(vdev->pdev);
	else
		pci_clear_master(vdev->pdev);
	up_write(&vdev->memory_lock);
	return 0;
}
