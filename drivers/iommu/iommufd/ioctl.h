/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOCTL_H
#define __IOMMUFD_IOCTL_H

#include "ctx.h"

long iommufd_ioctl(struct iommufd_ctx *ictx, unsigned int cmd, void __user *arg);

#endif
