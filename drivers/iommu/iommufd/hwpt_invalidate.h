/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_HWPT_INVALIDATE_H
#define __IOMMUFD_HWPT_INVALIDATE_H

#include "ctx.h"

int iommufd_ioctl_hwpt_invalidate(struct iommufd_ucmd *ucmd);

#endif
