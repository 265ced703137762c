// SPDX-License-Identifier: GPL-2.0-only
/*
 * main - /dev/iommu as a file, and contexts as references to it
 *
 * A context lives as long as its file: whoever holds a reference on one holds it on the other, so closing the last
 * file descriptor while a device is bound leaves everything in place until the device lets go.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "ioctl.h"
#include "lockdep.h"

static int iommufd_fops_open(struct inode *inode, struct file *file)
{
	struct iommufd_ctx *ictx = kzalloc(sizeof(*ictx), GFP_KERNEL_ACCOUNT);

	if (!ictx)
		return -ENOMEM;
	iommufd_ctx_init(ictx);
	ictx->file = file;
	file->private_data = ictx;
	return 0;
}

static int iommufd_fops_release(struct inode *inode, struct file *file)
{
	struct iommufd_ctx *ictx = file->private_data;

	iommufd_objects_destroy(&ictx->objs);
	WARN_ON(!xa_empty(&ictx->groups));
	mutex_destroy(&ictx->change_lock);
	mutex_destroy(&ictx->groups_lock);
	kfree(ictx);
	return 0;
}

static long iommufd_fops_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return iommufd_ioctl(file->private_data, cmd, (void __user *)arg);
}

static const struct file_operations iommufd_fops = {
	.owner = THIS_MODULE,
	.open = iommufd_fops_open,
	.release = iommufd_fops_release,
	.unlocked_ioctl = iommufd_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

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

static int __init iommufd_init(void)
{
	iommufd_lockdep_init();
	return misc_register(&iommufd_misc);
}

static void __exit iommufd_exit(void)
{
	misc_deregister(&iommufd_misc);
}

module_init(iommufd_init);
module_exit(iommufd_exit);

MODULE_DESCRIPTION("I/O address spaces for user space");
MODULE_LICENSE("GPL");
