/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_STORE_H
#define __IOMMUFD_PIN_STORE_H

#include <linux/bits.h>
#include <linux/xarray.h>

struct page_run;

#define PIN_CHUNK_SHIFT 9
#define PIN_CHUNK_PAGES BIT(PIN_CHUNK_SHIFT)

/**
 * struct pin_store - Page index to PFN, in chunks of PIN_CHUNK_PAGES indices
 * @chunks: chunk number to a value entry (contiguous) or to a list of runs
 * @npages: indices are below this
 */
struct pin_store {
	struct xarray chunks;
	unsigned long npages;
};

void pin_store_init(struct pin_store *store, unsigned long npages);
void pin_store_destroy(struct pin_store *store);
int pin_store_put(struct pin_store *store, unsigned long index, const struct page_run *runs, unsigned int num);
unsigned long pin_store_run(struct pin_store *store, unsigned long index, unsigned long last, unsigned long *pfn);
unsigned long pin_store_runs(struct pin_store *store, unsigned long index, unsigned long last, struct page_run *runs,
			     unsigned int max, unsigned int *num);
void pin_store_drop(struct pin_store *store, unsigned long index, unsigned long last);

#endif
