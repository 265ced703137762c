/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_HWPT_ALLOC_H
#define __IOMMUFD_HWPT_ALLOC_H

#include "ctx.h"

int iommufd_ioctl_hwpt_alloc(struct iommufd_ucmd *ucmd);

#endif
