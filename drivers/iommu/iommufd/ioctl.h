/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOCTL_H
#define __IOMMUFD_IOCTL_H

#include "ctx.h"

/**
 * struct iommufd_ioctl_entry - One command
 * @cmd: its number
 * @size: size of its structure as this kernel knows it, bytes
 * @min_size: size that the structure had in its first version, bytes
 * @handler: does it; the return value is that of ioctl(2)
 */
struct iommufd_ioctl_entry {
	unsigned int cmd;
	unsigned int size;
	unsigned int min_size;
	int (*handler)(struct iommufd_ucmd *ucmd);
};

long iommufd_ioctl(struct iommufd_ctx *ictx, unsigned int cmd, void __user *arg);
void iommufd_ioctl_extend(const struct iommufd_ioctl_entry *entry);

#endif
