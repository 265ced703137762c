/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_VIOMMU_ALLOC_H
#define __IOMMUFD_VIOMMU_ALLOC_H

#include "ctx.h"

int iommufd_ioctl_viommu_alloc(struct iommufd_ucmd *ucmd);
int iommufd_ioctl_vdevice_alloc(struct iommufd_ucmd *ucmd);

#endif
