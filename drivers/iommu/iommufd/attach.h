/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_ATTACH_H
#define __IOMMUFD_ATTACH_H

#include <linux/iommufd.h>

#include "group.h"
#include "hwpt.h"

int iommufd_attach(struct iommufd_member *member, ioasid_t pasid, struct iommufd_hwpt *hwpt, unsigned int how,
		   iommufd_report_fn report, void *data, struct iommufd_hwpt **left);
bool iommufd_is_attached(struct iommufd_member *member, ioasid_t pasid);
void iommufd_detach(struct iommufd_member *member, ioasid_t pasid);
void iommufd_detach_all(struct iommufd_member *member);

#endif
