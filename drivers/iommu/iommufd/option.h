/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_OPTION_H
#define __IOMMUFD_OPTION_H

#include "ctx.h"

int iommufd_ioctl_option(struct iommufd_ucmd *ucmd);

#endif
