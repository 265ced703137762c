// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_store - page index to PFN, for one pinned source
 *
 * Indices are grouped in chunks of 512. A chunk whose pages follow each other in physical memory is one number: the
 * PFN that its slot 0 has or would have. Any other chunk is a list of its runs: a bitmap says at which slots a run
 * begins, and an array has one PFN for each of them. So a chunk costs 4 bytes a run and about 100 bytes, at most a
 * little above 4 bytes a page, and a source of at most one contiguous chunk costs nothing. Storing may allocate and
 * fail; dropping never does, so a release path cannot fail.
 *
 * PFNs have 48 bits, and arithmetic on them wraps there: the PFN that slot 0 would have may lie below 0. The upper 16
 * bits have an array of their own, which a chunk has only where they are needed: above 16 TiB.
 *
 * An entry means something only while a user range covers its index; pinned.c keeps those ranges. This file knows
 * neither IOVAs nor domains, and does not pin.
 *
 * Locking: the caller holds pinned->mutex.
 */
#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/page_run.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "pin_store.h"

#define PFN_BITS 48
#define PFN_WRAP(pfn) ((pfn) & GENMASK_ULL(PFN_BITS - 1, 0))
#define NEEDS_HIGH(pfn) ((pfn) > U32_MAX)

/**
 * struct pin_chunk - Runs of a chunk that is not contiguous
 * @starts: slots at which a run begins; it ends where the next one begins. Slot 0 is one of them
 * @low: for each run, in the order of @starts, the lower half of the PFN of its first slot
 * @high: the upper bits likewise; NULL while all are 0
 * @num: number of runs
 * @capacity: entries that @low, and @high if there is one, have room for
 */
struct pin_chunk {
	DECLARE_BITMAP(starts, PIN_CHUNK_PAGES);
	u32 *low;
	u16 *high;
	u16 num;
	u16 capacity;
};

static void chunk_free(struct pin_chunk *chunk)
{
	kfree(chunk->low);
	kfree(chunk->high);
	kfree(chunk);
}

/* Number of runs that begin below a slot */
static unsigned int chunk_rank(struct pin_chunk *chunk, unsigned int slot)
{
	return bitmap_weight(chunk->starts, slot);
}

/* PFN of @slot, and the slot at which its run ends */
static unsigned long chunk_get(struct pin_chunk *chunk, unsigned int slot, unsigned int *end)
{
	unsigned int start = find_last_bit(chunk->starts, slot + 1);
	unsigned int run = chunk_rank(chunk, start);
	unsigned long pfn = chunk->low[run];

	if (chunk->high)
		pfn |= (unsigned long)chunk->high[run] << 32;
	*end = find_next_bit(chunk->starts, PIN_CHUNK_PAGES, slot + 1);
	return PFN_WRAP(pfn + slot - start);
}

/* Move the runs from number @from on to number @to */
static void chunk_move(struct pin_chunk *chunk, unsigned int from, unsigned int to)
{
	unsigned int n = chunk->num - from;

	memmove(chunk->low + to, chunk->low + from, n * sizeof(*chunk->low));
	if (chunk->high)
		memmove(chunk->high + to, chunk->high + from, n * sizeof(*chunk->high));
	chunk->num = to + n;
}

/* No run begins at any slot from @slot up to @end: what is before them goes on instead */
static void chunk_join(struct pin_chunk *chunk, unsigned int slot, unsigned int end)
{
	chunk_move(chunk, chunk_rank(chunk, end), chunk_rank(chunk, slot));
	bitmap_clear(chunk->starts, slot, end - slot);
}

/* A run begins at @slot; there is room */
static void chunk_begin(struct pin_chunk *chunk, unsigned int slot, unsigned long pfn)
{
	unsigned int run = chunk_rank(chunk, slot);

	if (!__test_and_set_bit(slot, chunk->starts))
		chunk_move(chunk, run, run + 1);
	chunk->low[run] = pfn;
	if (chunk->high)
		chunk->high[run] = pfn >> 32;
}

/* Have room for @num runs, and for high PFNs if asked for; nothing of what is stored changes */
static int chunk_reserve(struct pin_chunk *chunk, unsigned int num, bool high)
{
	unsigned int capacity = chunk->capacity;

	if (num <= capacity && (!high || chunk->high))
		return 0;
	if (num > capacity)
		capacity = roundup_pow_of_two(num);

	if (capacity > chunk->capacity) {
		u32 *low = krealloc_array(chunk->low, capacity, sizeof(*low), GFP_KERNEL_ACCOUNT);

		if (!low)
			return -ENOMEM;
		chunk->low = low;
	}
	if (high || chunk->high) {
		u16 *more = krealloc_array(chunk->high, capacity, sizeof(*more), GFP_KERNEL_ACCOUNT | __GFP_ZERO);

		if (!more)
			return -ENOMEM;
		chunk->high = more;
	}
	chunk->capacity = capacity;
	return 0;
}

static int chunk_put(struct pin_chunk *chunk, unsigned int slot, unsigned int end, unsigned long pfn)
{
	bool tail = end < PIN_CHUNK_PAGES;
	unsigned long tail_pfn = 0;
	unsigned int num, unused;
	int rc;

	num = chunk->num + !test_bit(slot, chunk->starts);
	if (tail) {
		num += !test_bit(end, chunk->starts);
		tail_pfn = chunk_get(chunk, end, &unused);
	}
	rc = chunk_reserve(chunk, num, NEEDS_HIGH(pfn) || NEEDS_HIGH(tail_pfn));
	if (rc)
		return rc;

	/* What stands behind keeps its values when the run that it belongs to is overwritten */
	if (tail)
		chunk_begin(chunk, end, tail_pfn);
	chunk_join(chunk, slot, end);
	chunk_begin(chunk, slot, pfn);

	if (tail && tail_pfn == PFN_WRAP(pfn + end - slot))
		chunk_join(chunk, end, end + 1);
	if (slot && pfn == PFN_WRAP(chunk_get(chunk, slot - 1, &unused) + 1))
		chunk_join(chunk, slot, slot + 1);
	return 0;
}

/* A chunk with a single run over all slots */
static struct pin_chunk *chunk_alloc(unsigned long pfn)
{
	struct pin_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);

	if (!chunk)
		return NULL;
	if (chunk_reserve(chunk, 2, NEEDS_HIGH(pfn))) {
		chunk_free(chunk);
		return NULL;
	}
	chunk_begin(chunk, 0, pfn);
	return chunk;
}

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
	struct pin_chunk *chunk;
	unsigned long nr;

	xa_for_each(&store->chunks, nr, chunk)
		if (!xa_is_value(chunk))
			chunk_free(chunk);
	xa_destroy(&store->chunks);
}

static int put_in_chunk(struct pin_store *store, unsigned long nr, unsigned int slot, unsigned int end,
			unsigned long pfn)
{
	void *base = xa_mk_value(PFN_WRAP(pfn - slot));
	struct pin_chunk *chunk = xa_load(&store->chunks, nr);
	int rc;

	if (!chunk)
		return xa_err(xa_store(&store->chunks, nr, base, GFP_KERNEL_ACCOUNT));
	if (chunk == base)
		return 0;
	if (!xa_is_value(chunk))
		return chunk_put(chunk, slot, end, pfn);

	chunk = chunk_alloc(xa_to_value(chunk));
	if (!chunk)
		return -ENOMEM;
	rc = chunk_put(chunk, slot, end, pfn);
	if (!rc)
		rc = xa_err(xa_store(&store->chunks, nr, chunk, GFP_KERNEL_ACCOUNT));
	if (rc)
		chunk_free(chunk);
	return rc;
}

static int put_run(struct pin_store *store, unsigned long index, unsigned long pfn, unsigned long npages)
{
	while (npages) {
		unsigned int slot = index & (PIN_CHUNK_PAGES - 1);
		unsigned int n = min(npages, PIN_CHUNK_PAGES - slot);
		int rc = put_in_chunk(store, index >> PIN_CHUNK_SHIFT, slot, slot + n, pfn);

		if (rc)
			return rc;
		index += n;
		pfn += n;
		npages -= n;
	}
	return 0;
}

/**
 * pin_store_put() - Remember pages
 * @store: store
 * @index: index of the first page
 * @runs: where they are
 * @num: how many runs
 *
 * All other entries keep their values, whether this succeeds or not.
 *
 * Return: 0, or -ENOMEM; then what was stored of the range means nothing, as before.
 */
int pin_store_put(struct pin_store *store, unsigned long index, const struct page_run *runs, unsigned int num)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < num && !rc; i++) {
		rc = put_run(store, index, runs[i].pfn, runs[i].npages);
		index += runs[i].npages;
	}
	return rc;
}

/* PFN of @index, and how many pages from there on follow it within its chunk */
static unsigned int run_in_chunk(struct pin_store *store, unsigned long index, unsigned long *pfn)
{
	struct pin_chunk *chunk = xa_load(&store->chunks, index >> PIN_CHUNK_SHIFT);
	unsigned int slot = index & (PIN_CHUNK_PAGES - 1);
	unsigned int end = PIN_CHUNK_PAGES;

	if (WARN_ON(!chunk))
		return 0;
	if (xa_is_value(chunk))
		*pfn = PFN_WRAP(xa_to_value(chunk) + slot);
	else
		*pfn = chunk_get(chunk, slot, &end);
	return end - slot;
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
		unsigned int n = run_in_chunk(store, index + npages, &next);

		if (!n || next != *pfn + npages)
			break;
		npages += n;
	}
	return min(npages, want);
}

/**
 * pin_store_runs() - Runs of physically contiguous pages that start at an index
 * @store: store
 * @index: first index, stored and covered by a user
 * @last: last index to look at, inclusive, all up to it stored and covered
 * @runs: out: runs, each as long as it can be but for the last one
 * @max: how many there is room for, above 0
 * @num: out: how many there are
 *
 * Return: how many pages they have.
 */
unsigned long pin_store_runs(struct pin_store *store, unsigned long index, unsigned long last, struct page_run *runs,
			     unsigned int max, unsigned int *num)
{
	unsigned long covered = 0;
	unsigned long n;

	for (*num = 0; *num < max && index + covered <= last; (*num)++) {
		n = pin_store_run(store, index + covered, last, &runs[*num].pfn);
		if (!n)
			break;
		runs[*num].npages = n;
		covered += n;
	}
	return covered;
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
	struct pin_chunk *chunk;

	if (last == store->npages - 1)
		end = (last >> PIN_CHUNK_SHIFT) + 1;
	if (nr >= end)
		return;
	xa_for_each_range(&store->chunks, nr, chunk, nr, end - 1) {
		xa_erase(&store->chunks, nr);
		if (!xa_is_value(chunk))
			chunk_free(chunk);
		cond_resched();
	}
}
