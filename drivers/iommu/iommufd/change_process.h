/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_CHANGE_PROCESS_H
#define __IOMMUFD_CHANGE_PROCESS_H

#include "ctx.h"

int iommufd_ioctl_ioas_change_process(struct iommufd_ucmd *ucmd);

#endif
