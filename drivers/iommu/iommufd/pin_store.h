/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_STORE_H
#define __IOMMUFD_PIN_STORE_H

#include <linux/bits.h>
#include <linux/xarray.h>

struct page_run;

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

#endif
