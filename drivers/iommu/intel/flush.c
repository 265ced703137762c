// SPDX-License-Identifier: GPL-2.0-only
/*
 * flush - what hardware remembers of the page tables of a domain
 *
 * Each IOMMU that a domain is attached to caches translations, and so may each device that translates on its own, for
 * each of its PASIDs. All of them are told at once: first the IOMMUs, as a device may ask them again right after it
 * was told (VT-d specification, section 6.5.2.5), then every device, once.
 *
 * Locking: domain->iommus is read under RCU, and written under the lock of domain->iommu_array. An unmap may run
 * beside the first attach to an IOMMU, see intel_domain_clear(), and beside the last detach, which has flushed all by
 * then.
 */
#include <linux/rculist.h>

#include "attach.h"

/* Section 6.5.2.3: only leaves changed, so the tables above them may stay cached */
#define LEAVES_ONLY	BIT(6)

/**
 * intel_domain_link_iommu() - From now on flushes of a domain reach an IOMMU
 * @domain: a domain
 * @ref: its entry for the IOMMU, complete
 */
void intel_domain_link_iommu(struct dmar_domain *domain, struct iommu_domain_info *ref)
{
	xa_lock(&domain->iommu_array);
	list_add_tail_rcu(&ref->link, &domain->iommus);
	xa_unlock(&domain->iommu_array);
}

/**
 * intel_domain_unlink_iommu() - Undo intel_domain_link_iommu()
 * @domain: a domain
 * @ref: its entry for an IOMMU that has been flushed for the last time; free it after a grace period
 */
void intel_domain_unlink_iommu(struct dmar_domain *domain, struct iommu_domain_info *ref)
{
	xa_lock(&domain->iommu_array);
	list_del_rcu(&ref->link);
	xa_unlock(&domain->iommu_array);
}

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

static u64 block_address(unsigned long pfn, unsigned int order)
{
	return order < BITS_PER_LONG ? (u64)round_down(pfn, BIT(order)) << VTD_PAGE_SHIFT : 0;
}

static void flush_iommu(struct dmar_domain *domain, struct iommu_domain_info *ref, u64 addr, unsigned int order,
			bool leaves_only)
{
	struct intel_iommu *iommu = ref->iommu;
	bool by_page = order <= cap_max_amask_val(iommu->cap);

	if (intel_domain_is_first_level(domain))
		intel_domain_flush_first_level(domain, iommu, addr, by_page ? BIT(order) : -1, leaves_only);
	else if (by_page && cap_pgsel_inv(iommu->cap))
		iommu->flush.flush_iotlb(iommu, ref->did, addr | (leaves_only ? LEAVES_ONLY : 0), order,
					 DMA_TLB_PSI_FLUSH);
	else
		iommu->flush.flush_iotlb(iommu, ref->did, 0, 0, DMA_TLB_DSI_FLUSH);
}

/**
 * intel_domain_flush() - Make all hardware forget a range of a domain
 * @domain: a domain
 * @pfn: first page
 * @pages: number of pages, not 0
 * @leaves_only: no table was taken out
 *
 * To be called after entries were cleared and before what they led to is freed. More than the range may be forgotten.
 */
void intel_domain_flush(struct dmar_domain *domain, unsigned long pfn, unsigned long pages, bool leaves_only)
{
	unsigned int order = intel_flush_order(pfn, pages);
	u64 addr = block_address(pfn, order);
	struct iommu_domain_info *ref;

	rcu_read_lock();
	list_for_each_entry_rcu(ref, &domain->iommus, link)
		flush_iommu(domain, ref, addr, order, leaves_only);
	rcu_read_unlock();
	iommu_flush_dev_iotlb(domain, addr, order);
}

/**
 * intel_domain_notify() - Tell hardware of new entries where it needs that
 * @domain: a domain
 * @pfn: first page that was mapped
 * @pages: number of pages, not 0
 *
 * In caching mode the IOMMU remembers also that nothing is mapped; others may keep the entries in a write buffer.
 * Devices never remember what is not mapped.
 */
void intel_domain_notify(struct dmar_domain *domain, unsigned long pfn, unsigned long pages)
{
	unsigned int order = intel_flush_order(pfn, pages);
	struct iommu_domain_info *ref;

	rcu_read_lock();
	list_for_each_entry_rcu(ref, &domain->iommus, link) {
		if (cap_caching_mode(ref->iommu->cap) && !intel_domain_is_first_level(domain))
			flush_iommu(domain, ref, block_address(pfn, order), order, false);
		else
			iommu_flush_write_buffer(ref->iommu);
	}
	rcu_read_unlock();
}
