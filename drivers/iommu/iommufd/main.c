// SPDX-License-Identifier: GPL-2.0-only
/*
 * main - /dev/iommu as a file, and contexts as references to it
 *
 * The file may also have the name of VFIO's container: where the kernel is built without that, or VFIO is told to hand
 * its own over.
 *
 * A context lives as long as its file: whoever holds a reference on one holds it on the other, so closing the last
 * file descriptor while a device is bound leaves everything in place until the device lets go.
 */
#include <linux/atomic.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "debugfs.h"
#include "ioctl.h"
#include "lockdep.h"
#include "pinned.h"
#include "show.h"

/* Contexts since boot */
static atomic64_t contexts = ATOMIC64_INIT(0);

static int iommufd_fops_open(struct inode *inode, struct file *file)
{
	struct iommufd_ctx *ictx = kzalloc(sizeof(*ictx), GFP_KERNEL_ACCOUNT);

	if (!ictx)
		return -ENOMEM;
	iommufd_ctx_init(ictx);
	ictx->serial = atomic64_inc_return(&contexts);
	/* Under the name of VFIO's container pages count as they do there */
	if (iminor(inode) == VFIO_MINOR)
		ictx->account_mode = PIN_ACCOUNT_PROCESS;
	ictx->file = file;
	file->private_data = ictx;
	iommufd_debugfs_add(ictx);
	return 0;
}

static int iommufd_fops_release(struct inode *inode, struct file *file)
{
	struct iommufd_ctx *ictx = file->private_data;

	iommufd_debugfs_remove(ictx);
	iommufd_objects_destroy(&ictx->objs);
	iommufd_ctx_cleanup(ictx);
	kfree(ictx);
	return 0;
}

static long iommufd_fops_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return iommufd_ioctl(file->private_data, cmd, (void __user *)arg);
}

static void iommufd_fops_show_fdinfo(struct seq_file *m, struct file *file)
{
	iommufd_show_objects(file->private_data, m);
}

static const struct file_operations iommufd_fops = {
	.owner = THIS_MODULE,
	.open = iommufd_fops_open,
	.release = iommufd_fops_release,
	.unlocked_ioctl = iommufd_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = iommufd_fops_show_fdinfo,
};

/**
 * iommufd_open_as_container() - Make an iommufd of a file that is being opened
 * @inode: what is opened, the node of VFIO's container
 * @file: the file, in open() of another driver, which lives until that returns
 *
 * Return: 0, or -ENOMEM.
 */
int iommufd_open_as_container(struct inode *inode, struct file *file)
{
	const struct file_operations *fops = &iommufd_fops;

	/* Our caller could not be running if this module were going */
	replace_fops(file, fops_get(fops));
	return iommufd_fops_open(inode, file);
}
EXPORT_SYMBOL_GPL(iommufd_open_as_container);

/**
 * iommufd_ctx_get() - Take a reference on a context
 * @ictx: context
 */
void iommufd_ctx_get(struct iommufd_ctx *ictx)
{
	get_file(ictx->file);
}
EXPORT_SYMBOL_GPL(iommufd_ctx_get);

/**
 * iommufd_ctx_put() - Drop a reference on a context
 * @ictx: context; with the last reference everything in it is destroyed, before the process returns to user space
 */
void iommufd_ctx_put(struct iommufd_ctx *ictx)
{
	fput(ictx->file);
}
EXPORT_SYMBOL_GPL(iommufd_ctx_put);

/**
 * iommufd_ctx_from_file() - The context behind a file
 * @file: file, referenced by the caller
 *
 * Return: the context with a reference of its own, or ERR_PTR(-EBADFD) if the file is not /dev/iommu.
 */
struct iommufd_ctx *iommufd_ctx_from_file(struct file *file)
{
	struct iommufd_ctx *ictx;

	if (file->f_op != &iommufd_fops)
		return ERR_PTR(-EBADFD);
	ictx = file->private_data;
	iommufd_ctx_get(ictx);
	return ictx;
}
EXPORT_SYMBOL_GPL(iommufd_ctx_from_file);

/**
 * iommufd_ctx_from_fd() - The context behind a file descriptor of the calling process
 * @fd: file descriptor
 *
 * Return: the context with a reference, or ERR_PTR: -EBADF if nothing is open there, -EBADFD if it is not /dev/iommu.
 */
struct iommufd_ctx *iommufd_ctx_from_fd(int fd)
{
	struct iommufd_ctx *ictx;
	struct fd f = fdget(fd);

	if (!f.file)
		return ERR_PTR(-EBADF);
	ictx = iommufd_ctx_from_file(f.file);
	fdput(f);
	return ictx;
}
EXPORT_SYMBOL_GPL(iommufd_ctx_from_fd);

static struct miscdevice iommufd_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iommu",
	.fops = &iommufd_fops,
	.mode = 0660,
};

static struct miscdevice container_misc = {
	.minor = VFIO_MINOR,
	.name = "vfio",
	.fops = &iommufd_fops,
	.nodename = "vfio/vfio",
	.mode = 0666,
};

static int __init iommufd_init(void)
{
	int rc;

	rc = pinned_cache_create();
	if (rc)
		return rc;
	iommufd_lockdep_init();
	iommufd_debugfs_init();
	rc = misc_register(&iommufd_misc);
	if (rc)
		goto err_debugfs;
	if (!IS_ENABLED(CONFIG_IOMMUFD_VFIO_CONTAINER))
		return 0;
	rc = misc_register(&container_misc);
	if (rc)
		goto err_misc;
	return 0;

err_misc:
	misc_deregister(&iommufd_misc);
err_debugfs:
	iommufd_debugfs_exit();
	pinned_cache_destroy();
	return rc;
}

static void __exit iommufd_exit(void)
{
	if (IS_ENABLED(CONFIG_IOMMUFD_VFIO_CONTAINER))
		misc_deregister(&container_misc);
	misc_deregister(&iommufd_misc);
	iommufd_debugfs_exit();
	pinned_cache_destroy();
}

module_init(iommufd_init);
module_exit(iommufd_exit);

#ifdef CONFIG_IOMMUFD_VFIO_CONTAINER
MODULE_ALIAS_MISCDEV(VFIO_MINOR);
MODULE_ALIAS("devname:vfio/vfio");
#endif
MODULE_DESCRIPTION("I/O address spaces for user space");
MODULE_LICENSE("GPL");
