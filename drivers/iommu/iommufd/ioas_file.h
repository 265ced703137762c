/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_FILE_H
#define __IOMMUFD_IOAS_FILE_H

struct iommufd_ucmd;

int iommufd_ioctl_ioas_map_file(struct iommufd_ucmd *ucmd);

#endif
