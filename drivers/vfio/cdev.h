/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of VFIO that work with an iommufd need of each other: vfio_main.c (registration and the ioctls that
 * every device file has), device_cdev.c (the node and its file), iommufd.c (a device in the hands of an iommufd) and
 * what that means for each kind of device, iommufd_physical.c and others; group_iommufd.c (groups whose container is an
 * iommufd).
 */
#ifndef __VFIO_CDEV_H__
#define __VFIO_CDEV_H__

#include <linux/iommufd.h>
#include <linux/vfio.h>

struct class;
struct file;
struct seq_file;
struct vfio_group;

/* vfio_main.c */
bool vfio_device_try_get_registration(struct vfio_device *device);
void vfio_device_put_registration(struct vfio_device *device);
int vfio_device_pm_runtime_get(struct vfio_device *device);
void vfio_device_pm_runtime_put(struct vfio_device *device);
long vfio_device_ioctl(struct vfio_device *device, unsigned int cmd, unsigned long arg);

#ifdef CONFIG_VFIO_DEVICE_CDEV
/**
 * struct vfio_iommufd_kind - What it means for one kind of device to be in the hands of an iommufd
 * @bind: hand @device to @ictx, which knows it as @devid from then on. Called with dev_set->lock held.
 *	  The answer is 0, or -errno with nothing changed.
 * @unbind: take @device back, attached or not. It may wait for user space, so dev_set->lock is not held; the device
 *	    stays marked as bound meanwhile.
 * @attach: attach @device, or replace what it is attached to, as iommufd_device_attach() with no condition. @report is
 *	    told what it ends up with, before anything changes; it may be NULL.
 *	    The answer is 0, or -errno with nothing changed; -EOPNOTSUPP for a PASID on a device without.
 * @detach: undo @attach. The answer is 0, also when it was not attached, or -EOPNOTSUPP for a PASID on a device
 *	    without.
 * @show: tell of @device for fdinfo: what it is to the iommufd, and what it is attached to. It waits for no lock.
 *
 * @attach, @detach and @show run side by side with themselves and each other; @unbind does not run beside them.
 */
struct vfio_iommufd_kind {
	int (*bind)(struct vfio_device *device, struct iommufd_ctx *ictx, u32 *devid);
	void (*unbind)(struct vfio_device *device);
	int (*attach)(struct vfio_device *device, ioasid_t pasid, u32 pt_id, iommufd_report_fn report, void *data);
	int (*detach)(struct vfio_device *device, ioasid_t pasid);
	void (*show)(struct vfio_device *device, struct seq_file *m);
};

extern const struct vfio_iommufd_kind vfio_iommufd_physical;
extern const struct vfio_iommufd_kind vfio_iommufd_emulated;
extern const struct vfio_iommufd_kind vfio_iommufd_noiommu;

/* iommufd.c */
const struct vfio_iommufd_kind *vfio_iommufd_kind(struct vfio_device *device);
int vfio_iommufd_open(struct vfio_device *device, struct iommufd_ctx *ictx, const uuid_t *token, struct kvm *kvm);
void vfio_iommufd_close(struct vfio_device *device);
bool vfio_iommufd_by_node(struct vfio_device *device);
int vfio_iommufd_reset_id(struct vfio_device *caller, struct vfio_device *device);
bool vfio_iommufd_enforces_coherency(struct vfio_device *device);
int vfio_iommufd_bind(struct vfio_device *device, struct iommufd_ctx *ictx);
void vfio_iommufd_unbind(struct vfio_device *device);
void vfio_iommufd_show(struct vfio_device *device, struct seq_file *m);

/* group_iommufd.c */
int vfio_group_set_iommufd(struct vfio_group *group, struct file *file);
int vfio_group_unset_iommufd(struct vfio_group *group);
void vfio_group_forget_iommufd(struct vfio_group *group);
int vfio_group_use_iommufd(struct vfio_group *group);
int vfio_group_join_device(struct vfio_device *device);
void vfio_group_part_device(struct vfio_device *device);
int vfio_group_start_device(struct vfio_device *device);
void vfio_group_stop_device(struct vfio_device *device);
bool vfio_group_coherent(struct vfio_group *group);
bool vfio_container_is_iommufd(void);

/* iommufd_noiommu.c */
bool vfio_noiommu_may_open(struct vfio_device *device);

/* device_cdev.c */
int vfio_node_init(struct class *device_class);
void vfio_node_exit(void);
int vfio_node_add(struct vfio_device *device);
void vfio_node_del(struct vfio_device *device);
bool vfio_node_is(struct file *file);
void vfio_node_set_kvm(struct file *file, struct kvm *kvm);
bool vfio_node_enforced_coherent(struct file *file);
void vfio_device_show_fdinfo(struct seq_file *m, struct vfio_device *device);

static inline bool vfio_device_has_node(struct vfio_device *device)
{
	return true;
}
#else
static inline bool vfio_iommufd_by_node(struct vfio_device *device)
{
	return false;
}

static inline int vfio_iommufd_reset_id(struct vfio_device *caller, struct vfio_device *device)
{
	return VFIO_PCI_DEVID_NOT_OWNED;
}

static inline bool vfio_node_is(struct file *file)
{
	return false;
}

static inline void vfio_node_set_kvm(struct file *file, struct kvm *kvm)
{
}

static inline bool vfio_node_enforced_coherent(struct file *file)
{
	return true;
}

static inline void vfio_device_show_fdinfo(struct seq_file *m, struct vfio_device *device)
{
}

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

static inline int vfio_group_set_iommufd(struct vfio_group *group, struct file *file)
{
	return -EINVAL;
}

static inline int vfio_group_unset_iommufd(struct vfio_group *group)
{
	return -EINVAL;
}

static inline void vfio_group_forget_iommufd(struct vfio_group *group)
{
}

static inline int vfio_group_use_iommufd(struct vfio_group *group)
{
	return -EINVAL;
}

static inline int vfio_group_join_device(struct vfio_device *device)
{
	return 0;
}

static inline void vfio_group_part_device(struct vfio_device *device)
{
}

static inline int vfio_group_start_device(struct vfio_device *device)
{
	return 0;
}

static inline void vfio_group_stop_device(struct vfio_device *device)
{
}

static inline bool vfio_group_coherent(struct vfio_group *group)
{
	return true;
}

static inline bool vfio_container_is_iommufd(void)
{
	return false;
}
#endif /* CONFIG_VFIO_DEVICE_CDEV */

#endif
