// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_store - page index to PFN, for one pinned source
 *
 * Indices are grouped in chunks of 512. A chunk whose pages follow each other in physical memory is one number: the
 * PFN that its index 0 has or would have. Any other chunk is an array, 8 bytes a page. A source of at most one
 * contiguous chunk costs no allocation at all. Storing may allocate and fail; dropping never does, so a release path
 * cannot fail.
 *
 * An entry means something only while a user range covers its index; pinned.c keeps those ranges. This file knows
 * neither IOVAs nor domains, and does not pin.
 *
 * Locking: the caller holds pinned->mutex.
 */
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "pin_store.h"

/* The base of a contiguous chunk may lie below PFN 0: value entries are unsigned, so all are stored with this bias */
#define BASE_BIAS PIN_CHUNK_PAGES

/**
 * pin_store_init() - Make an empty store
 * @store: store to set up
 * @npages: indices will be below this
 */
void pin_store_init(struct pin_store *store, unsigned long npages)
{
	xa_init_flags(&store->chunks, XA_FLAGS_ACCOUNT);
	store->npages = npages;
}

/**
 * pin_store_destroy() - Free whatever is left
 * @store: store that nobody uses any more
 */
void pin_store_destroy(struct pin_store *store)
{
	unsigned long nr;
	void *chunk;

	xa_for_each(&store->chunks, nr, chunk)
		if (!xa_is_value(chunk))
			kfree(chunk);
	xa_destroy(&store->chunks);
}

/* Slots of chunk @nr: the last one of a source is as long as it must be */
static unsigned long chunk_slots(struct pin_store *store, unsigned long nr)
{
	return min(PIN_CHUNK_PAGES, store->npages - (nr << PIN_CHUNK_SHIFT));
}

static int put_in_chunk(struct pin_store *store, unsigned long nr, unsigned long slot, unsigned long pfn,
			unsigned long npages)
{
	void *base = xa_mk_value(pfn + BASE_BIAS - slot);
	void *chunk = xa_load(&store->chunks, nr);
	unsigned long *pfns;
	unsigned long i;
	int rc;

	if (!chunk)
		return xa_err(xa_store(&store->chunks, nr, base, GFP_KERNEL_ACCOUNT));
	if (chunk == base)
		return 0;

	pfns = chunk;
	if (xa_is_value(chunk)) {
		unsigned long old = xa_to_value(chunk) - BASE_BIAS;
		unsigned long slots = chunk_slots(store, nr);

		pfns = kmalloc_array(slots, sizeof(*pfns), GFP_KERNEL_ACCOUNT);
		if (!pfns)
			return -ENOMEM;
		for (i = 0; i < slots; i++)
			pfns[i] = old + i;
		rc = xa_err(xa_store(&store->chunks, nr, pfns, GFP_KERNEL_ACCOUNT));
		if (rc) {
			kfree(pfns);
			return rc;
		}
	}
	for (i = 0; i < npages; i++)
		pfns[slot + i] = pfn + i;
	return 0;
}

/**
 * pin_store_put() - Remember physically contiguous pages
 * @store: store
 * @index: index of the first page
 * @pfn: its PFN
 * @npages: how many pages
 *
 * Entries in the same chunk that other users rely on keep their values.
 *
 * Return: 0, or -ENOMEM; then what was stored of the range means nothing, as before.
 */
int pin_store_put(struct pin_store *store, unsigned long index, unsigned long pfn, unsigned long npages)
{
	while (npages) {
		unsigned long slot = index & (PIN_CHUNK_PAGES - 1);
		unsigned long n = min(npages, PIN_CHUNK_PAGES - slot);
		int rc = put_in_chunk(store, index >> PIN_CHUNK_SHIFT, slot, pfn, n);

		if (rc)
			return rc;
		index += n;
		pfn += n;
		npages -= n;
	}
	return 0;
}

/* PFN of @index, and how many pages from there on follow it within its chunk */
static unsigned long run_in_chunk(struct pin_store *store, unsigned long index, unsigned long *pfn)
{
	unsigned long slot = index & (PIN_CHUNK_PAGES - 1);
	unsigned long nr = index >> PIN_CHUNK_SHIFT;
	void *chunk = xa_load(&store->chunks, nr);
	unsigned long slots = chunk_slots(store, nr);
	unsigned long *pfns = chunk;
	unsigned long n;

	if (xa_is_value(chunk)) {
		*pfn = xa_to_value(chunk) - BASE_BIAS + slot;
		return slots - slot;
	}
	if (WARN_ON(!chunk))
		return 0;
	*pfn = pfns[slot];
	for (n = 1; slot + n < slots && pfns[slot + n] == *pfn + n; n++)
		;
	return n;
}

/**
 * pin_store_run() - Longest run of physically contiguous pages that starts at an index
 * @store: store
 * @index: first index, stored and covered by a user
 * @last: last index to look at, inclusive, all up to it stored and covered
 * @pfn: out: PFN of @index
 *
 * Return: how many pages the run has.
 */
unsigned long pin_store_run(struct pin_store *store, unsigned long index, unsigned long last, unsigned long *pfn)
{
	unsigned long want = last - index + 1;
	unsigned long npages = run_in_chunk(store, index, pfn);
	unsigned long next;

	/* A run goes on in the next chunk only where it reached the end of this one */
	while (npages && npages < want && !((index + npages) & (PIN_CHUNK_PAGES - 1))) {
		unsigned long n = run_in_chunk(store, index + npages, &next);

		if (!n || next != *pfn + npages)
			break;
		npages += n;
	}
	return min(npages, want);
}

/**
 * pin_store_drop() - Forget every chunk that lies within a range
 * @store: store
 * @index: first index that no user covers
 * @last: last index that no user covers, inclusive
 *
 * A chunk that reaches over an end of the range stays: another user may need it. Cannot fail.
 */
void pin_store_drop(struct pin_store *store, unsigned long index, unsigned long last)
{
	unsigned long nr = (index + PIN_CHUNK_PAGES - 1) >> PIN_CHUNK_SHIFT;
	unsigned long end = (last + 1) >> PIN_CHUNK_SHIFT;
	void *chunk;

	if (last == store->npages - 1)
		end = (last >> PIN_CHUNK_SHIFT) + 1;
	if (nr >= end)
		return;
	xa_for_each_range(&store->chunks, nr, chunk, nr, end - 1) {
		xa_erase(&store->chunks, nr);
		if (!xa_is_value(chunk))
			kfree(chunk);
		cond_resched();
	}
}
