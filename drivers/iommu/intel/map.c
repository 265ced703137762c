// SPDX-License-Identifier: GPL-2.0-only
/*
 * map - what mapping needs besides the writing of entries: a clean way out
 *
 * Hardware walks the tables at any time. An entry is cleared first, then everything that hardware remembers of it is
 * flushed, and only then may the memory it led to be freed.
 *
 * Locking: none. The caller sees to it that nobody else changes the range in this domain.
 */
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
