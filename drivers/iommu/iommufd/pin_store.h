/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_STORE_H
#define __IOMMUFD_PIN_STORE_H

#include <linux/bits.h>
#include <linux/page_run.h>
#include <linux/xarray.h>

#define PIN_CHUNK_SHIFT 9
#define PIN_CHUNK_PAGES BIT(PIN_CHUNK_SHIFT)

/**
 * struct pin_table - Pages of a source that is not one run
 * @chunks: chunk number to a value entry (one run) or to a list of runs
 * @base: value entry of the one run that there was before, which a chunk that is not in @chunks still has
 */
struct pin_table {
	struct xarray chunks;
	void *base;
};

/**
 * struct pin_store - Page index to PFN
 * @pages: NULL (nothing stored), a value entry (all is one run: the PFN that index 0 has), or a struct pin_table
 * @start: where the one run begins that everything is, or that table->base is
 * @end: where it ends, exclusive; not above @start if there is none
 * @npages: indices are below this
 */
struct pin_store {
	void *pages;
	unsigned long start;
	unsigned long end;
	unsigned long npages;
};

void pin_store_init(struct pin_store *store, unsigned long npages);
void pin_store_destroy(struct pin_store *store);
int pin_store_put(struct pin_store *store, unsigned long index, const struct page_run *runs, unsigned int num);
unsigned long pin_store_runs(struct pin_store *store, unsigned long index, unsigned long last, struct page_run *runs,
			     unsigned int max, unsigned int *num);
void pin_store_drop(struct pin_store *store, unsigned long index, unsigned long last);

/**
 * pin_store_run() - Longest run of physically contiguous pages that starts at an index
 * @store: store
 * @index: first index, stored and covered by a user
 * @last: last index to look at, inclusive, all up to it stored and covered
 * @pfn: out: PFN of @index
 *
 * Return: how many pages the run has.
 */
static inline unsigned long pin_store_run(struct pin_store *store, unsigned long index, unsigned long last,
					  unsigned long *pfn)
{
	struct page_run run = {};
	unsigned int num;

	pin_store_runs(store, index, last, &run, 1, &num);
	*pfn = run.pfn;
	return run.npages;
}

#endif
