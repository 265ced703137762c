/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_VFIO_COMPAT_H
#define __IOMMUFD_VFIO_COMPAT_H

#include "ctx.h"

int iommufd_ioctl_vfio_ioas(struct iommufd_ucmd *ucmd);
long iommufd_vfio_ioctl(struct iommufd_ctx *ictx, unsigned int cmd, void __user *arg);

#endif
