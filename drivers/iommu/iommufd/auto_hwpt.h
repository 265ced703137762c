/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_AUTO_HWPT_H
#define __IOMMUFD_AUTO_HWPT_H

#include "attach.h"

int iommufd_attach_ioas(struct iommufd_member *member, struct iommufd_ioas *ioas, unsigned int how,
			iommufd_report_fn report, void *data);

#endif
