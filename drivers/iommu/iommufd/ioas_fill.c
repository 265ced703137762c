// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_fill - put areas into one iommu_domain, take them out
 *
 * A domain is a copy of what the pin store holds: it is written from there, run by run, and never read back. Taking
 * out removes a whole area the way it was put in and flushes once, before anything behind it may be unpinned.
 *
 * A dma-buf can be taken back by its exporter at any time. So each area of one leaves a record of where it is, and
 * goes when the exporter says so, without the caller being asked.
 *
 * This file knows neither which areas there are nor which domains.
 *
 * Locking: the caller keeps the range pinned and sees to it that nobody else changes it in this domain. Records are
 * covered by the dma-buf's reservation lock, which is held while an area of it is put in or taken out.
 */
#include <linux/iommu.h>
#include <linux/iommu-runs.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "ioas_fill.h"
#include "pin_dmabuf.h"
#include "pinned.h"

/**
 * struct dmabuf_fill - An area of a dma-buf that is in a domain
 * @user: in the dma-buf's list, so that the exporter can take the area out
 * @domain: the domain
 * @iova: first IOVA of the area
 * @length: bytes
 */
struct dmabuf_fill {
	struct pin_dmabuf_user user;
	struct iommu_domain *domain;
	unsigned long iova;
	unsigned long length;
};

static void take_out(struct iommu_domain *domain, unsigned long iova, unsigned long length)
{
	if (length)
		iommu_unmap_range(domain, iova, length);
}

/* Runs that are mapped in one go where there is no memory for more */
#define FEW_RUNS 16

/* Leaves no larger than a page, or pages that are mapped in part: @offset of the first one is left out */
static int map_in_part(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs, unsigned int num,
		       unsigned long offset, unsigned long length, int prot, bool huge_pages, size_t *mapped)
{
	const struct page_run *run;
	unsigned long step, end;
	int rc;

	*mapped = 0;
	for (run = runs; run < runs + num; run++, offset = 0) {
		for (end = run->npages << PAGE_SHIFT; offset < end && *mapped < length; offset += step) {
			step = huge_pages ? end - offset : PAGE_SIZE - offset_in_page(offset);
			step = min(step, length - *mapped);
			rc = iommu_map(domain, iova + *mapped, PFN_PHYS(run->pfn) + offset, step, prot);
			if (rc)
				return rc;
			*mapped += step;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return 0;
}

static int put_in(struct iommu_domain *domain, unsigned long iova, struct pinned *p, u64 byte, unsigned long length,
		  int prot, bool huge_pages)
{
	bool whole = huge_pages && PAGE_ALIGNED(iova | byte | length);
	/* Most areas are one run */
	struct page_run few[FEW_RUNS] __uninitialized;
	struct page_run *runs = few;
	unsigned int num, max = FEW_RUNS;
	unsigned long done = 0;
	void *many = NULL;
	int rc;

	for (;;) {
		/* Not across a border of the largest leaves: none is lost, and no call takes too long */
		unsigned long part = min(length - done, SZ_1G - ((iova + done) & (SZ_1G - 1)));
		u64 pos = byte + done;
		size_t mapped;

		pinned_runs(p, pos >> PAGE_SHIFT, (pos + part - 1) >> PAGE_SHIFT, runs, max, &num);
		if (whole)
			rc = iommu_map_runs(domain, iova + done, runs, num, prot, &mapped);
		else
			rc = map_in_part(domain, iova + done, runs, num, offset_in_page(pos), part, prot, huge_pages,
					 &mapped);
		done += mapped;
		if (rc || done >= length)
			break;
		if (fatal_signal_pending(current)) {
			rc = -EINTR;
			break;
		}
		if (num == FEW_RUNS && !many)
			many = (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (many) {
			runs = many;
			max = PAGE_SIZE / sizeof(*runs);
		}
		cond_resched();
	}
	if (many)
		free_page((unsigned long)many);
	if (rc)
		take_out(domain, iova, done);
	return rc;
}

/* The exporter takes a dma-buf back, with its reservation lock held */
static void revoke(struct pin_dmabuf_user *user)
{
	struct dmabuf_fill *fill = container_of(user, struct dmabuf_fill, user);

	take_out(fill->domain, fill->iova, fill->length);
	kfree(fill);
}

/* Put in unless the dma-buf is revoked already: the area is left out then. @fill is taken over. */
static int fill_dmabuf(struct dmabuf_fill *fill, struct pinned *p, u64 byte, int prot, bool huge_pages)
{
	struct pin_dmabuf *d = pinned_dmabuf(p);
	int rc = 0;

	pin_dmabuf_lock(d);
	if (!d->revoked)
		rc = put_in(fill->domain, fill->iova, p, byte, fill->length, prot, huge_pages);
	if (!rc && !d->revoked) {
		fill->user.revoke = revoke;
		list_add_tail(&fill->user.entry, &d->users);
		fill = NULL;
	}
	pin_dmabuf_unlock(d);
	kfree(fill);
	return rc;
}

/* What was put in first is found first, and mostly taken out first */
static struct dmabuf_fill *find_fill(struct pin_dmabuf *d, struct iommu_domain *domain, unsigned long iova)
{
	struct dmabuf_fill *fill;

	list_for_each_entry(fill, &d->users, user.entry)
		if (fill->domain == domain && fill->iova == iova)
			return fill;
	return NULL;
}

static void unfill_dmabuf(struct pin_dmabuf *d, struct iommu_domain *domain, unsigned long iova)
{
	struct dmabuf_fill *fill;

	pin_dmabuf_lock(d);
	fill = find_fill(d, domain, iova);
	if (fill) {
		list_del(&fill->user.entry);
		revoke(&fill->user);
	}
	pin_dmabuf_unlock(d);
}

/**
 * ioas_unfill() - Take an area out of a domain
 * @domain: domain
 * @iova: first IOVA of the area
 * @p: source of its pages
 * @length: bytes
 *
 * When this returns no device that translates through @domain reaches the range any more. Cannot fail.
 */
void ioas_unfill(struct iommu_domain *domain, unsigned long iova, struct pinned *p, unsigned long length)
{
	struct pin_dmabuf *d = pinned_dmabuf(p);

	if (d)
		unfill_dmabuf(d, domain, iova);
	else
		take_out(domain, iova, length);
}

/**
 * ioas_fill() - Put an area into a domain
 * @domain: domain
 * @iova: first IOVA
 * @p: source of the pages, pinned from @byte on for @length bytes
 * @byte: where in the source the area begins, bytes
 * @length: bytes, above 0; @iova, @byte and @length are aligned as @domain needs it
 * @prot: IOMMU_READ and so on; a dma-buf is device memory, whatever this says
 * @huge_pages: leaves may be larger than a page
 *
 * A dma-buf that is revoked is left out, and one that becomes so is taken out.
 *
 * Return: 0, or with nothing of the area in @domain -EINTR (the caller is being killed) or -errno of the page table,
 * -ENOMEM mostly.
 */
int ioas_fill(struct iommu_domain *domain, unsigned long iova, struct pinned *p, u64 byte, unsigned long length,
	      int prot, bool huge_pages)
{
	struct dmabuf_fill *fill;

	if (!pinned_dmabuf(p))
		return put_in(domain, iova, p, byte, length, prot, huge_pages);

	fill = kmalloc(sizeof(*fill), GFP_KERNEL_ACCOUNT);
	if (!fill)
		return -ENOMEM;
	fill->domain = domain;
	fill->iova = iova;
	fill->length = length;
	return fill_dmabuf(fill, p, byte, (prot & ~IOMMU_CACHE) | IOMMU_MMIO, huge_pages);
}
