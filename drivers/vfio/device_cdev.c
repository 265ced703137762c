// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VFIO device node, /dev/vfio/devices/vfioN; noiommu-vfioN for a device without an IOMMU
 *
 * Every device that an iommufd can translate for has one, beside the node of its group. An open file can do nothing
 * but bind the device to an iommufd; only then does the device become visible through it, and it stays bound until
 * the last close. So no right ever has to be taken back from a file that is in use: neither from another thread, nor
 * from a duplicate of the descriptor in another process.
 *
 * Lifetime: an open file holds a registration of the device, so unregistering waits for it, and (through cdev.owner)
 * the module of the driver. Any number of files may be open on a device; one of them can be bound.
 *
 * Locking: node_file.kvm_lock covers node_file.kvm, and nothing is done under it. node_file.bound turns true once,
 * after all that it promises is in place, and readers pair their acquire with the release there. What may run only
 * once is decided under dev_set->lock, in iommufd.c.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#ifdef CONFIG_KVM_VFIO
#include <linux/kvm_host.h>
#endif
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/uuid.h>
#include <linux/vfio.h>

#include "cdev.h"
#include "vfio.h"

struct node_file {
	struct vfio_device *device;
	bool bound;
	spinlock_t kvm_lock;	/* kvm */
	struct kvm *kvm;	/* virtual machine that the file was added to; it says so before it goes */
};

static dev_t node_devt;
static const struct file_operations node_fops;

/* The device behind a bound file, NULL before the bind */
static struct vfio_device *bound_device(struct file *filp)
{
	struct node_file *nf = filp->private_data;

	/* Pairs with the release in node_bind() */
	return smp_load_acquire(&nf->bound) ? nf->device : NULL;
}

static int node_open(struct inode *inode, struct file *filp)
{
	struct vfio_device *device = container_of(inode->i_cdev, struct vfio_device, cdev);
	struct node_file *nf;

	if (!vfio_noiommu_may_open(device))
		return -EPERM;
	nf = kzalloc(sizeof(*nf), GFP_KERNEL_ACCOUNT);
	if (!nf)
		return -ENOMEM;

	if (!vfio_device_try_get_registration(device)) {
		kfree(nf);
		return -ENODEV;
	}
	nf->device = device;
	spin_lock_init(&nf->kvm_lock);
	filp->private_data = nf;
	return 0;
}

static int node_release(struct inode *inode, struct file *filp)
{
	struct node_file *nf = filp->private_data;

	if (bound_device(filp))
		vfio_iommufd_close(nf->device);
	vfio_device_put_registration(nf->device);
	kfree(nf);
	return 0;
}

#ifdef CONFIG_KVM_VFIO
/*
 * The virtual machine of a file, kept alive, or NULL. KVM may be a module, but as long as there is a virtual machine
 * it is there; both are let go by node_put_kvm().
 */
static struct kvm *node_get_kvm(struct node_file *nf)
{
	bool (*get)(struct kvm *kvm) = symbol_get(kvm_get_kvm_safe);
	struct kvm *kvm = NULL;

	if (!get)
		return NULL;
	spin_lock(&nf->kvm_lock);
	if (nf->kvm && get(nf->kvm))
		kvm = nf->kvm;
	spin_unlock(&nf->kvm_lock);
	if (!kvm)
		symbol_put(kvm_get_kvm_safe);
	return kvm;
}

static void node_put_kvm(struct kvm *kvm)
{
	void (*put)(struct kvm *kvm);

	if (!kvm)
		return;
	put = symbol_get(kvm_put_kvm);
	put(kvm);
	symbol_put(kvm_put_kvm);
	symbol_put(kvm_get_kvm_safe);
}
#else
static struct kvm *node_get_kvm(struct node_file *nf)
{
	return NULL;
}

static void node_put_kvm(struct kvm *kvm)
{
}
#endif

static long node_bind(struct node_file *nf, struct vfio_device_bind_iommufd __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_bind_iommufd, out_devid);
	struct vfio_device *device = nf->device;
	struct vfio_device_bind_iommufd bind;
	struct iommufd_ctx *ictx;
	struct kvm *kvm;
	uuid_t token;
	u64 token_ptr;
	bool has_token;
	int rc;

	if (copy_from_user(&bind, arg, minsz))
		return -EFAULT;
	if (bind.argsz < minsz || bind.flags & ~VFIO_DEVICE_BIND_FLAG_TOKEN || bind.iommufd < 0)
		return -EINVAL;

	has_token = bind.flags & VFIO_DEVICE_BIND_FLAG_TOKEN;
	if (has_token) {
		if (bind.argsz < sizeof(bind))
			return -EINVAL;
		if (get_user(token_ptr, &arg->token_uuid_ptr) ||
		    copy_from_user(&token, u64_to_user_ptr(token_ptr), sizeof(token)))
			return -EFAULT;
	}

	/* Two threads may both pass here: the second finds the device open */
	if (smp_load_acquire(&nf->bound))
		return -EINVAL;

	ictx = iommufd_ctx_from_fd(bind.iommufd);
	if (IS_ERR(ictx))
		return PTR_ERR(ictx);
	/* A driver that wants to keep it takes a reference of its own while it opens the device */
	kvm = node_get_kvm(nf);
	rc = vfio_iommufd_open(device, ictx, has_token ? &token : NULL, kvm);
	node_put_kvm(kvm);
	iommufd_ctx_put(ictx);
	if (rc)
		return rc;

	/* The file is not bound yet, and cannot be closed while we are in it: no other thread touches the device */
	if (put_user(device->iommufd_devid, &arg->out_devid)) {
		vfio_iommufd_close(device);
		return -EFAULT;
	}
	/* Pairs with the acquire in bound_device() */
	smp_store_release(&nf->bound, true);
	return 0;
}

/* Where the result of an attach goes, and what stood there */
struct pt_id_reply {
	u32 __user *uptr;
	u32 old;
	bool written;
};

static int report_pt_id(void *data, u32 pt_id)
{
	struct pt_id_reply *reply = data;

	if (put_user(pt_id, reply->uptr))
		return -EFAULT;
	reply->written = true;
	return 0;
}

/*
 * The PASID at the end of a structure whose flags say that it is there. 0 is what other interfaces call a request
 * without one, so it is none here.
 */
static int copy_pasid(ioasid_t *pasid, u32 __user *uptr)
{
	if (get_user(*pasid, uptr))
		return -EFAULT;
	return *pasid == IOMMUFD_NO_PASID ? -EINVAL : 0;
}

static long node_attach(struct vfio_device *device, struct vfio_device_attach_iommufd_pt __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_attach_iommufd_pt, pt_id);
	struct vfio_device_attach_iommufd_pt attach;
	struct pt_id_reply reply = { .uptr = &arg->pt_id };
	ioasid_t pasid = IOMMUFD_NO_PASID;
	int rc;

	if (copy_from_user(&attach, arg, minsz))
		return -EFAULT;
	if (attach.argsz < minsz || attach.flags & ~VFIO_DEVICE_ATTACH_PASID)
		return -EINVAL;
	if (attach.flags & VFIO_DEVICE_ATTACH_PASID) {
		if (attach.argsz < sizeof(attach))
			return -EINVAL;
		rc = copy_pasid(&pasid, &arg->pasid);
		if (rc)
			return rc;
	}

	reply.old = attach.pt_id;
	rc = vfio_iommufd_kind(device)->attach(device, pasid, attach.pt_id, report_pt_id, &reply);
	/* A caller that tries again must find its question, not the answer to a failed one */
	if (rc && reply.written && put_user(reply.old, reply.uptr))
		return -EFAULT;
	return rc;
}

static long node_detach(struct vfio_device *device, struct vfio_device_detach_iommufd_pt __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_detach_iommufd_pt, flags);
	struct vfio_device_detach_iommufd_pt detach;
	ioasid_t pasid = IOMMUFD_NO_PASID;
	int rc;

	if (copy_from_user(&detach, arg, minsz))
		return -EFAULT;
	if (detach.argsz < minsz || detach.flags & ~VFIO_DEVICE_DETACH_PASID)
		return -EINVAL;
	if (detach.flags & VFIO_DEVICE_DETACH_PASID) {
		if (detach.argsz < sizeof(detach))
			return -EINVAL;
		rc = copy_pasid(&pasid, &arg->pasid);
		if (rc)
			return rc;
	}

	return vfio_iommufd_kind(device)->detach(device, pasid);
}

static long node_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	struct vfio_device *device;

	if (cmd == VFIO_DEVICE_BIND_IOMMUFD)
		return node_bind(filp->private_data, uarg);

	device = bound_device(filp);
	if (!device)
		return -EINVAL;

	switch (cmd) {
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return node_attach(device, uarg);
	case VFIO_DEVICE_DETACH_IOMMUFD_PT:
		return node_detach(device, uarg);
	default:
		return vfio_device_ioctl(device, cmd, arg);
	}
}

static ssize_t node_read(struct file *filp, char __user *buf, size_t count, loff_t *ppos)
{
	struct vfio_device *device = bound_device(filp);

	if (!device || !device->ops->read)
		return -EINVAL;
	return device->ops->read(device, buf, count, ppos);
}

static ssize_t node_write(struct file *filp, const char __user *buf, size_t count, loff_t *ppos)
{
	struct vfio_device *device = bound_device(filp);

	if (!device || !device->ops->write)
		return -EINVAL;
	return device->ops->write(device, buf, count, ppos);
}

static int node_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct vfio_device *device = bound_device(filp);

	if (!device || !device->ops->mmap)
		return -EINVAL;
	return device->ops->mmap(device, vma);
}

/* What fdinfo says of a file; @bound: that the device is in the hands of an iommufd as long as the file is open */
static void show_file(struct seq_file *m, struct vfio_device *device, const char *opened, bool bound)
{
	char *path = kobject_get_path(&device->dev->kobj, GFP_KERNEL);

	if (path)
		seq_printf(m, "vfio-device-syspath: /sys%s\n", path);
	kfree(path);
	seq_puts(m, "vfio:\tname=");
	seq_escape(m, dev_name(device->dev), " \t\n\\");
	seq_printf(m, " opened=%s\n", opened);
	if (bound)
		vfio_iommufd_show(device, m);
}

/**
 * vfio_device_show_fdinfo() - Say which device a file is for that was opened through the device's group
 * @m: fdinfo of the file, which is open meanwhile
 * @device: its device
 *
 * A group does not change its container while files of its devices are open.
 */
void vfio_device_show_fdinfo(struct seq_file *m, struct vfio_device *device)
{
	show_file(m, device, "group", READ_ONCE(device->iommufd_ctx));
}

static void node_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct node_file *nf = filp->private_data;

	show_file(m, nf->device, "node", bound_device(filp));
}

static const struct file_operations node_fops = {
	.owner		= THIS_MODULE,
	.open		= node_open,
	.release	= node_release,
	.read		= node_read,
	.write		= node_write,
	.unlocked_ioctl	= node_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= node_mmap,
	.show_fdinfo	= node_show_fdinfo,
};

/* The open file behind @file, NULL if it is no device node */
static struct node_file *node_file_of(struct file *file)
{
	return file->f_op == &node_fops ? file->private_data : NULL;
}

/**
 * vfio_node_is() - Is a file an open device node?
 * @file: any file
 *
 * Return: true for a device node, bound or not.
 */
bool vfio_node_is(struct file *file)
{
	return node_file_of(file);
}

/**
 * vfio_node_set_kvm() - Tell a device node which virtual machine its device belongs to
 * @file: any file; nothing happens if it is no device node
 * @kvm: virtual machine, alive until this is called with another one or NULL
 *
 * The driver is told when the device is bound; for one that is bound already it is too late.
 *
 * Context: Any process context.
 */
void vfio_node_set_kvm(struct file *file, struct kvm *kvm)
{
	struct node_file *nf = node_file_of(file);

	if (!nf)
		return;
	spin_lock(&nf->kvm_lock);
	nf->kvm = kvm;
	spin_unlock(&nf->kvm_lock);
}

/**
 * vfio_node_enforced_coherent() - Is all DMA of a device node coherent with the CPU's caches, whatever the device
 * asks for?
 * @file: any file; one that is no device node does no DMA
 *
 * It does not depend on what the device is attached to, since every page table of an iommufd enforces coherency if
 * the IOMMU can. A virtual machine asks once, and a device may be attached later.
 *
 * Context: May sleep.
 * Return: false if the device can reach memory past the caches.
 */
bool vfio_node_enforced_coherent(struct file *file)
{
	struct node_file *nf = node_file_of(file);

	return !nf || vfio_iommufd_enforces_coherency(nf->device);
}

/**
 * vfio_node_add() - Make a device that is being registered visible
 * @device: device in its group, counting its users
 *
 * Return: 0, or -errno with nobody using the device.
 */
int vfio_node_add(struct vfio_device *device)
{
	int rc;

	/* Nobody opens one of these by mistake */
	if (device->group->type == VFIO_NO_IOMMU) {
		rc = dev_set_name(&device->device, "noiommu-vfio%d", device->index);
		if (rc)
			goto err_uncount;
	}
	device->device.devt = MKDEV(MAJOR(node_devt), device->index);
	cdev_init(&device->cdev, &node_fops);
	/* The release of @device is code of the driver, and an open file can be the last to hold @device */
	device->cdev.owner = device->dev->driver->owner;

	rc = cdev_device_add(&device->cdev, &device->device);
	if (!rc)
		return 0;

err_uncount:
	/* With a node made by hand somebody can have come in already */
	vfio_device_put_registration(device);
	wait_for_completion(&device->comp);
	return rc;
}

/**
 * vfio_node_del() - Let nobody open the node of a device any more
 * @device: registered device
 *
 * Files that are open stay so.
 */
void vfio_node_del(struct vfio_device *device)
{
	cdev_device_del(&device->cdev, &device->device);
}

static char *node_name(struct device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "vfio/devices/%s", dev_name(dev));
}

/**
 * vfio_node_init() - Reserve the device numbers and name the nodes
 * @device_class: class of all VFIO devices
 *
 * Return: 0, or -errno.
 */
int vfio_node_init(struct class *device_class)
{
	device_class->devnode = node_name;
	return alloc_chrdev_region(&node_devt, 0, MINORMASK + 1, "vfio-dev");
}

/**
 * vfio_node_exit() - Give the device numbers back
 */
void vfio_node_exit(void)
{
	unregister_chrdev_region(node_devt, MINORMASK + 1);
}
