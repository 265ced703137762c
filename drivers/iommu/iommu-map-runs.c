// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-map-runs - map memory that is not contiguous in one call, and unmap it in another, so that a driver walks its
 * table once and flushes once; a driver that has no such operations is asked piece by piece. And how large the leaves
 * are that memory became.
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
	const struct iommu_domain_ops *ops = domain->ops;
	unsigned int i;
	int rc;

	*mapped = 0;
	if (ops->map_runs) {
		rc = ops->map_runs(domain, iova, runs, num, prot, GFP_KERNEL, mapped);
		if (*mapped && ops->iotlb_sync_map)
			ops->iotlb_sync_map(domain, iova, *mapped);
		return rc;
	}
	for (i = 0; i < num; i++) {
		rc = iommu_map(domain, iova + *mapped, PFN_PHYS(runs[i].pfn), runs[i].npages << PAGE_SHIFT, prot);
		if (rc)
			return rc;
		*mapped += runs[i].npages << PAGE_SHIFT;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_map_runs);

/**
 * iommu_unmap_range() - Unmap what was mapped as a whole
 * @domain: paging domain
 * @iova: first IOVA
 * @size: bytes, not 0; no leaf reaches across an end of the range
 *
 * When this returns no device that translates through @domain reaches the range any more.
 */
void iommu_unmap_range(struct iommu_domain *domain, unsigned long iova, size_t size)
{
	if (domain->ops->unmap_range)
		domain->ops->unmap_range(domain, iova, size);
	else
		WARN_ON(iommu_unmap(domain, iova, size) != size);
}
EXPORT_SYMBOL_GPL(iommu_unmap_range);

/**
 * iommu_domain_leaves() - How many leaves of one size a page table has
 * @domain: a domain
 * @pgsize: one of its page sizes, bytes
 *
 * A driver counts what it writes and clears. A number that is read while others map and unmap is that of a moment ago.
 *
 * Context: any.
 * Return: the number; 0 for another size, and where the driver does not count.
 */
unsigned long iommu_domain_leaves(struct iommu_domain *domain, size_t pgsize)
{
	return domain->ops->leaves ? domain->ops->leaves(domain, pgsize) : 0;
}
EXPORT_SYMBOL_GPL(iommu_domain_leaves);
