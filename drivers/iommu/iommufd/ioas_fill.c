// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_fill - put areas into one iommu_domain, take them out
 *
 * A domain is a copy of what the pin store holds: it is written from there, run by run, and never read back. Taking
 * out removes a whole area the way it was put in and flushes once, before anything behind it may be unpinned.
 *
 * This file knows neither which areas there are nor which domains.
 *
 * Locking: the caller keeps the range pinned and sees to it that nobody else changes it in this domain.
 */
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "ioas_fill.h"
#include "pinned.h"

/**
 * ioas_unfill() - Take an area out of a domain
 * @domain: domain
 * @iova: first IOVA of the area, or of the part that ioas_fill() managed
 * @length: bytes
 *
 * When this returns no device that translates through @domain reaches the range any more. Cannot fail.
 */
void ioas_unfill(struct iommu_domain *domain, unsigned long iova, unsigned long length)
{
	struct iommu_iotlb_gather gather;
	size_t unmapped;

	if (!length)
		return;
	iommu_iotlb_gather_init(&gather);
	unmapped = iommu_unmap_fast(domain, iova, length, &gather);
	iommu_iotlb_sync(domain, &gather);
	WARN_ON(unmapped != length);
}

static int map_run(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys, unsigned long length, int prot,
		   bool huge_pages, unsigned long *mapped)
{
	unsigned long step;
	int rc;

	for (*mapped = 0; *mapped < length; *mapped += step) {
		step = length - *mapped;
		if (!huge_pages)
			step = min(step, PAGE_SIZE - offset_in_page(phys + *mapped));
		rc = iommu_map(domain, iova + *mapped, phys + *mapped, step, prot);
		if (rc)
			return rc;
		if (fatal_signal_pending(current)) {
			*mapped += step;
			return -EINTR;
		}
		cond_resched();
	}
	return 0;
}

/**
 * ioas_fill() - Put an area into a domain
 * @domain: domain
 * @iova: first IOVA
 * @p: source of the pages, pinned from @byte on for @length bytes
 * @byte: where in the source the area begins, bytes
 * @length: bytes; @iova, @byte and @length are aligned as @domain needs it
 * @prot: IOMMU_READ and so on
 * @huge_pages: leaves may be larger than a page
 *
 * Return: 0, or with nothing of the area in @domain -EINTR (the caller is being killed) or -errno of the page table,
 * -ENOMEM mostly.
 */
int ioas_fill(struct iommu_domain *domain, unsigned long iova, struct pinned *p, u64 byte, unsigned long length,
	      int prot, bool huge_pages)
{
	unsigned long last = (byte + length - 1) >> PAGE_SHIFT;
	unsigned long done = 0;
	int rc = 0;

	while (done < length && !rc) {
		unsigned long offset = offset_in_page(byte + done);
		unsigned long pfn, run, mapped;

		run = pinned_run(p, (byte + done) >> PAGE_SHIFT, last, &pfn);
		run = min((run << PAGE_SHIFT) - offset, length - done);
		rc = map_run(domain, iova + done, PFN_PHYS(pfn) + offset, run, prot, huge_pages, &mapped);
		done += mapped;
	}
	if (rc)
		ioas_unfill(domain, iova, done);
	return rc;
}
