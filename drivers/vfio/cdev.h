/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the three parts of the VFIO device node need of each other: vfio_main.c (registration and the ioctls that every
 * device file has), device_cdev.c (the node and its file) and iommufd.c (a device in the hands of an iommufd).
 */
#ifndef __VFIO_CDEV_H__
#define __VFIO_CDEV_H__

#include <linux/iommufd.h>
#include <linux/vfio.h>

struct class;

/* vfio_main.c */
bool vfio_device_try_get_registration(struct vfio_device *device);
void vfio_device_put_registration(struct vfio_device *device);
int vfio_device_pm_runtime_get(struct vfio_device *device);
void vfio_device_pm_runtime_put(struct vfio_device *device);
long vfio_device_ioctl(struct vfio_device *device, unsigned int cmd, unsigned long arg);

#ifdef CONFIG_VFIO_DEVICE_CDEV
/* iommufd.c */
int vfio_iommufd_open(struct vfio_device *device, struct iommufd_ctx *ictx, const uuid_t *token);
void vfio_iommufd_close(struct vfio_device *device);

/* device_cdev.c */
int vfio_node_init(struct class *device_class);
void vfio_node_exit(void);
int vfio_node_add(struct vfio_device *device);
void vfio_node_del(struct vfio_device *device);

static inline bool vfio_device_has_node(struct vfio_device *device)
{
	return device->device.devt;
}
#else
static inline int vfio_node_init(struct class *device_class)
{
	return 0;
}

static inline void vfio_node_exit(void)
{
}

static inline int vfio_node_add(struct vfio_device *device)
{
	return device_add(&device->device);
}

static inline void vfio_node_del(struct vfio_device *device)
{
}

static inline bool vfio_device_has_node(struct vfio_device *device)
{
	return false;
}
#endif /* CONFIG_VFIO_DEVICE_CDEV */

#endif
