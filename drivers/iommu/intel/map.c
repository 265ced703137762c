// SPDX-License-Identifier: GPL-2.0-only
/*
 * map - what mapping needs besides the writing of entries: memory for tables, and a clean way out
 *
 * Hardware walks the tables at any time. An entry is cleared first, then everything that hardware remembers of it is
 * flushed, and only then may the memory it led to be freed.
 *
 * Locking: none. The caller sees to it that nobody else changes the range in this domain.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "attach.h"

/**
 * intel_flush_order() - Size of the invalidation that reaches a range
 * @pfn: first page
 * @pages: number of pages, not 0
 *
 * Return: order of the smallest block of pages, aligned to its size, that holds the range.
 */
unsigned int intel_flush_order(unsigned long pfn, unsigned long pages)
{
	return fls_long(pfn ^ (pfn + pages - 1));
}

/**
 * intel_domain_clear() - Take out whatever a range maps
 * @domain: a domain
 * @pfn: first page
 * @pages: number of pages, not 0
 *
 * Pages of the range that are not mapped are skipped. A leaf may not reach across an end of the range. Tables go when
 * the range is all they can map. When this returns no device reaches the range any more.
 */
void intel_domain_clear(struct dmar_domain *domain, unsigned long pfn, unsigned long pages)
{
	struct iommu_domain_info *ref;
	LIST_HEAD(tables);
	unsigned long i;

	domain_unmap(domain, pfn, pfn + pages - 1, &tables);

	rcu_read_lock();
	xa_for_each(&domain->iommu_array, i, ref)
		iommu_flush_iotlb_psi(ref->iommu, domain, pfn, pages, 0, 0);
	rcu_read_unlock();

	put_pages_list(&tables);
}

/**
 * intel_domain_alloc_table() - Allocate a page-table page for a mapping
 * @domain: a domain
 *
 * Context: May sleep when @domain was allocated for /dev/iommu; what it takes is charged then. Others are mapped in
 * atomic context too.
 * Return: a zeroed page, freed by free_pgtable_page() or put_pages_list(); or NULL.
 */
void *intel_domain_alloc_table(struct dmar_domain *domain)
{
	gfp_t gfp = domain->charged ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC;
	struct page *page = alloc_pages_node(domain->nid, gfp | __GFP_ZERO, 0);

	return page ? page_address(page) : NULL;
}
