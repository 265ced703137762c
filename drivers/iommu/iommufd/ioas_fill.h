/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_FILL_H
#define __IOMMUFD_IOAS_FILL_H

#include <linux/types.h>

struct iommu_domain;
struct pinned;

int ioas_fill(struct iommu_domain *domain, unsigned long iova, struct pinned *p, u64 byte, unsigned long length,
	      int prot, bool huge_pages);
void ioas_unfill(struct iommu_domain *domain, unsigned long iova, struct pinned *p, unsigned long length);

#endif
