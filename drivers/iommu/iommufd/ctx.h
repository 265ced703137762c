/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ctx - what belongs to one open file of /dev/iommu, and one running ioctl
 */
#ifndef __IOMMUFD_CTX_H
#define __IOMMUFD_CTX_H

#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "object.h"
#include "pin_payer.h"

struct dentry;
struct file;

/**
 * struct iommufd_ctx - One open file of /dev/iommu
 * @serial: how many contexts there had been since boot, with it: a name that tells nothing of kernel addresses
 * @file: the file; a reference on it is a reference on the context
 * @objs: everything that has an id
 * @groups: the iommu_group id of every bound device to its struct iommufd_group
 * @groups_lock: covers @groups and the reference counts of what is in it
 * @change_lock: one IOMMU_IOAS_CHANGE_PROCESS at a time
 * @account_mode: whose limit pinned pages count against; fixed once there is an object
 * @payer: who mapped last, and very likely maps next; NULL in the beginning; covered by @payer_lock
 * @payer_lock: covers @payer
 * @debugfs: its directory there, or an error
 * @vfio_ioas_id: IOAS that IOMMU_VFIO_IOAS named last, 0 for none; it may be gone
 * @vfio_groups: how many groups of VFIO have it for their container; covered by @groups_lock
 * @vfio_noiommu: their devices have no IOMMU; covered by @groups_lock
 */
struct iommufd_ctx {
	u64 serial;
	struct file *file;
	struct iommufd_objects objs;
	struct xarray groups;
	struct mutex groups_lock;	/* groups and their reference counts, and VFIO's */
	struct mutex change_lock;	/* who is about to pay */
	enum pin_account_mode account_mode;
	struct pin_payer *payer;
	spinlock_t payer_lock;	/* payer */
	struct dentry *debugfs;
	u32 vfio_ioas_id;
	unsigned int vfio_groups;
	bool vfio_noiommu;
};

/**
 * struct iommufd_ucmd - One running ioctl
 * @ictx: context it was called on
 * @ubuffer: user's structure
 * @user_size: its size as the user gave it
 * @cmd: kernel's copy, as large as this kernel knows the structure, zero where the user's ended
 */
struct iommufd_ucmd {
	struct iommufd_ctx *ictx;
	void __user *ubuffer;
	u32 user_size;
	void *cmd;
};

/**
 * iommufd_ucmd_respond() - Copy the result to the user
 * @ucmd: running ioctl
 * @len: size of the structure in @ucmd->cmd, bytes; a user who knows a shorter one gets that much
 *
 * Return: 0, or -EFAULT.
 */
static inline int iommufd_ucmd_respond(struct iommufd_ucmd *ucmd, size_t len)
{
	return copy_to_user(ucmd->ubuffer, ucmd->cmd, min_t(size_t, ucmd->user_size, len)) ? -EFAULT : 0;
}

void iommufd_ctx_init(struct iommufd_ctx *ictx);
void iommufd_ctx_cleanup(struct iommufd_ctx *ictx);
enum pin_account_mode iommufd_ctx_account_mode(struct iommufd_ctx *ictx);
struct pin_payer *iommufd_ctx_payer(struct iommufd_ctx *ictx);

#endif
