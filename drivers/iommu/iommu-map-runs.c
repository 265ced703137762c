// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-map-runs - map memory that is not contiguous in one call, so that a driver walks its table once
 *
 * Locking: none. The caller sees to it that nobody else changes the range in this domain.
 */
#include <linux/iommu.h>
#include <linux/iommu-runs.h>
#include <linux/mm.h>
#include <linux/page_run.h>

/**
 * iommu_map_runs() - Map runs of pages side by side
 * @domain: paging domain whose smallest page is not larger than PAGE_SIZE
 * @iova: first IOVA, a multiple of PAGE_SIZE; nothing is mapped there
 * @runs: where the pages are, in the order of their addresses
 * @num: how many runs, above 0
 * @prot: IOMMU_READ and so on
 * @mapped: out: how many bytes from @iova on are mapped, also on failure
 *
 * Context: May sleep.
 * Return: 0; -ENOMEM; other errors of iommu_map(). What is mapped already stays on failure.
 */
int iommu_map_runs(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs, unsigned int num,
		   int prot, size_t *mapped)
{
	unsigned int i;
	int rc;

	*mapped = 0;
	if (domain->ops->map_runs)
		return domain->ops->map_runs(domain, iova, runs, num, prot, GFP_KERNEL, mapped);
	for (i = 0; i < num; i++) {
		rc = iommu_map(domain, iova + *mapped, PFN_PHYS(runs[i].pfn), runs[i].npages << PAGE_SHIFT, prot);
		if (rc)
			return rc;
		*mapped += runs[i].npages << PAGE_SHIFT;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_map_runs);
