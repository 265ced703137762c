/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mapping of memory that is not contiguous, in one call, and unmapping; and the leaves that it becomes.
 */
#ifndef __LINUX_IOMMU_RUNS_H
#define __LINUX_IOMMU_RUNS_H

#include <linux/types.h>

struct iommu_domain;
struct page_run;

int iommu_map_runs(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs, unsigned int num,
		   int prot, size_t *mapped);
void iommu_unmap_range(struct iommu_domain *domain, unsigned long iova, size_t size);
unsigned long iommu_domain_leaves(struct iommu_domain *domain, size_t pgsize);

#endif
