// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_store - page index to PFN, for one pinned source
 *
 * A source whose pages follow each other in physical memory is one number, the PFN that its index 0 has or would have,
 * and costs no memory. Any other has a table of chunks of 512 indices. A chunk whose pages follow each other is one
 * number again, that of its slot 0; any other is a list of its runs: a bitmap says at which slots a run begins, and an
 * array has one PFN for each of them. So a chunk costs 4 bytes a run and about 100 bytes, at most a little above 4
 * bytes a page. Storing may allocate and fail; dropping never does, so a release path cannot fail.
 *
 * Runs come and go in batches, in ascending order: what a batch needs in a chunk is counted first, then room is made
 * once, then it is written in one pass.
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
#define NO_PFN ULONG_MAX

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

/**
 * struct batch - Runs that wait to be stored
 * @run: the next one
 * @end: behind the last one
 * @done: pages of @run that are stored already
 */
struct batch {
	const struct page_run *run;
	const struct page_run *end;
	unsigned long done;
};

/**
 * struct slice - What a batch has for one chunk
 * @from: the batch from there on
 * @slot: where it begins
 * @end: where it ends, exclusive
 * @starts: runs that begin in it, the one at @slot included
 * @pfn: PFN of @slot
 * @next: PFN that would go on behind it
 * @high: some PFN needs its upper bits
 */
struct slice {
	struct batch from;
	unsigned int slot;
	unsigned int end;
	unsigned int starts;
	unsigned long pfn;
	unsigned long next;
	bool high;
};

/* Take from a batch what belongs to a chunk, from @slot on */
static struct slice take_slice(struct batch *batch, unsigned int slot)
{
	struct slice slice = { .from = *batch, .slot = slot, .pfn = batch->run->pfn + batch->done };
	unsigned long bits = 0, next = NO_PFN, end = slot, done = batch->done;
	const struct page_run *run;
	unsigned int starts = 0;

	for (run = batch->run; end < PIN_CHUNK_PAGES && run < batch->end; run++, done = 0) {
		unsigned long pfn = run->pfn + done;

		starts += pfn != next;
		bits |= pfn;
		next = run->pfn + run->npages;
		end += run->npages - done;
	}
	slice.starts = starts;
	slice.high = NEEDS_HIGH(bits);
	slice.end = min(end, PIN_CHUNK_PAGES);
	end -= slice.end;
	slice.next = next - end;

	/* Of the last run, @end pages are left */
	batch->run = end ? run - 1 : run;
	batch->done = end ? run[-1].npages - end : 0;
	return slice;
}

/* Pages that are left of the next run of a batch; 0 if there is none */
static inline unsigned long next_run(const struct batch *batch)
{
	return batch->run < batch->end ? batch->run->npages - batch->done : 0;
}

/* Take pages from a batch, not more than next_run() */
static inline void take_pages(struct batch *batch, unsigned long npages)
{
	batch->done += npages;
	if (batch->done == batch->run->npages) {
		batch->run++;
		batch->done = 0;
	}
}

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

static inline unsigned long chunk_pfn(struct pin_chunk *chunk, unsigned int run)
{
	return chunk->low[run] | (chunk->high ? (unsigned long)chunk->high[run] << 32 : 0);
}

static unsigned long chunk_get(struct pin_chunk *chunk, unsigned int slot)
{
	unsigned int start = find_last_bit(chunk->starts, slot + 1);

	return PFN_WRAP(chunk_pfn(chunk, chunk_rank(chunk, start)) + slot - start);
}

/* A run begins at @slot, which is number @run; there is room */
static inline void chunk_begin(struct pin_chunk *chunk, unsigned int slot, unsigned int run, unsigned long pfn)
{
	__set_bit(slot, chunk->starts);
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

/* A chunk with a single run over all slots, and room for @num runs */
static struct pin_chunk *chunk_alloc(unsigned long pfn, unsigned int num, bool high)
{
	struct pin_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);

	if (!chunk)
		return NULL;
	if (chunk_reserve(chunk, num, high || NEEDS_HIGH(pfn))) {
		chunk_free(chunk);
		return NULL;
	}
	chunk_begin(chunk, 0, 0, pfn);
	chunk->num = 1;
	return chunk;
}

/*
 * Write a slice over what is there. Slots from @limit on mean nothing. What stands behind the slice keeps its values
 * when the run that it belongs to is overwritten.
 */
static int chunk_put(struct pin_chunk *chunk, const struct slice *slice, unsigned int limit)
{
	unsigned long before = slice->slot ? PFN_WRAP(chunk_get(chunk, slice->slot - 1) + 1) : NO_PFN;
	bool tail = slice->end < limit;
	unsigned long tail_pfn = tail ? chunk_get(chunk, slice->end) : PFN_WRAP(slice->next);
	bool border = tail_pfn != PFN_WRAP(slice->next);
	unsigned int behind = tail ? chunk->num - chunk_rank(chunk, slice->end + 1) : 0;
	unsigned int run = chunk_rank(chunk, slice->slot);
	unsigned int num = run + slice->starts - (slice->pfn == before) + border;
	const struct page_run *in = slice->from.run;
	unsigned long done = slice->from.done;
	unsigned long slot, pfn;
	int rc;

	rc = chunk_reserve(chunk, num + behind, slice->high || NEEDS_HIGH(tail_pfn));
	if (rc)
		return rc;

	if (behind && num != chunk->num - behind) {
		unsigned int from = chunk->num - behind;

		memmove(chunk->low + num, chunk->low + from, behind * sizeof(*chunk->low));
		if (chunk->high)
			memmove(chunk->high + num, chunk->high + from, behind * sizeof(*chunk->high));
	}
	bitmap_clear(chunk->starts, slice->slot, (tail ? slice->end + 1 : PIN_CHUNK_PAGES) - slice->slot);
	for (slot = slice->slot; slot < slice->end; in++, done = 0) {
		pfn = in->pfn + done;
		if (pfn != before)
			chunk_begin(chunk, slot, run++, pfn);
		before = in->pfn + in->npages;
		slot += in->npages - done;
	}
	if (border)
		chunk_begin(chunk, slice->end, run, tail_pfn);
	chunk->num = num + behind;
	return 0;
}

static struct pin_table *store_table(struct pin_store *store)
{
	return xa_is_value(store->pages) ? NULL : store->pages;
}

/* What a chunk is that the table says nothing about: a value entry if it still has the one run of before, or NULL */
static void *base_chunk(struct pin_store *store, unsigned long nr)
{
	struct pin_table *table = store->pages;
	unsigned long first = nr << PIN_CHUNK_SHIFT;

	if (first >= store->end || first + PIN_CHUNK_PAGES <= store->start)
		return NULL;
	return xa_mk_value(PFN_WRAP(xa_to_value(table->base) + first));
}

/* What a chunk is: a value entry, a list, or NULL */
static void *load_chunk(struct pin_store *store, unsigned long nr)
{
	struct pin_table *table = store->pages;

	return xa_load(&table->chunks, nr) ?: base_chunk(store, nr);
}

static void entry_free(void *chunk)
{
	if (chunk && !xa_is_value(chunk))
		chunk_free(chunk);
}

/* Make a chunk something else; what it was is freed */
static int set_chunk(struct pin_store *store, unsigned long nr, void *chunk)
{
	struct pin_table *table = store->pages;
	void *old = xa_store(&table->chunks, nr, chunk, GFP_KERNEL_ACCOUNT);

	if (xa_is_err(old))
		return xa_err(old);
	entry_free(old);
	return 0;
}

/* Free the chunks from @nr to @last, inclusive */
static void clear_chunks(struct pin_table *table, unsigned long nr, unsigned long last)
{
	XA_STATE(xas, &table->chunks, nr);
	unsigned int done = 0;
	void *chunk;

	xas_lock(&xas);
	xas_for_each(&xas, chunk, last) {
		xas_store(&xas, NULL);
		entry_free(chunk);
		if (++done % XA_CHECK_SCHED)
			continue;
		xas_pause(&xas);
		xas_unlock(&xas);
		cond_resched();
		xas_lock(&xas);
	}
	xas_unlock(&xas);
}

static void table_free(struct pin_table *table)
{
	clear_chunks(table, 0, ULONG_MAX);
	xa_destroy(&table->chunks);
	kfree(table);
}

/* Have a table, which says what was stored before */
static int make_table(struct pin_store *store)
{
	struct pin_table *table;

	if (store_table(store))
		return 0;
	table = kmalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	xa_init_flags(&table->chunks, XA_FLAGS_ACCOUNT);
	table->base = store->pages;
	store->pages = table;
	return 0;
}

/**
 * pin_store_init() - Make an empty store
 * @store: store to set up
 * @npages: indices will be below this
 */
void pin_store_init(struct pin_store *store, unsigned long npages)
{
	store->pages = NULL;
	store->start = ULONG_MAX;
	store->end = 0;
	store->npages = npages;
}

/**
 * pin_store_destroy() - Forget whatever is left
 * @store: store that nobody uses any more; empty afterwards
 */
void pin_store_destroy(struct pin_store *store)
{
	struct pin_table *table = store_table(store);

	if (table)
		table_free(table);
	pin_store_init(store, store->npages);
}

/* Store what a batch has for a chunk, from @slot on; @limit: slots of the chunk that the source has */
static int put_in_chunk(struct pin_store *store, unsigned long nr, unsigned int slot, unsigned int limit,
			struct batch *batch, unsigned long *stored)
{
	struct slice slice = take_slice(batch, slot);
	void *base = xa_mk_value(PFN_WRAP(slice.pfn - slot));
	bool whole = !slot && slice.end == limit;
	struct pin_chunk *chunk;
	void *old;
	int rc;

	*stored = slice.end - slot;
	if (slice.starts == 1 && whole)
		return set_chunk(store, nr, base);
	old = load_chunk(store, nr);
	if (slice.starts == 1 && (!old || old == base))
		return old ? 0 : set_chunk(store, nr, base);
	if (old && !xa_is_value(old))
		return chunk_put(old, &slice, limit);

	if (!old || whole) {
		/* Nobody has what is around it */
		chunk = chunk_alloc(xa_to_value(base), slice.starts, slice.high);
		limit = slice.end;
	} else {
		unsigned int around = (slot > 0) + (slice.end < limit);

		chunk = chunk_alloc(xa_to_value(old), min(slice.starts + around, limit), slice.high);
	}
	if (!chunk)
		return -ENOMEM;
	rc = chunk_put(chunk, &slice, limit);
	if (!rc)
		rc = set_chunk(store, nr, chunk);
	if (rc)
		chunk_free(chunk);
	return rc;
}

/* Store whole chunks from @nr on, as long as what a batch has for each is in one run; some thousand at most */
static int put_chunks(struct pin_store *store, unsigned long nr, struct batch *batch, unsigned long *stored)
{
	struct pin_table *table = store->pages;
	XA_STATE(xas, &table->chunks, nr);

	do {
		xas_lock(&xas);
		while (next_run(batch) >= PIN_CHUNK_PAGES && xas.xa_index - nr < XA_CHECK_SCHED) {
			void *old = xas_store(&xas, xa_mk_value(PFN_WRAP(batch->run->pfn + batch->done)));

			if (xas_error(&xas))
				break;
			entry_free(old);
			take_pages(batch, PIN_CHUNK_PAGES);
			xas_next(&xas);
		}
		xas_unlock(&xas);
	} while (xas_nomem(&xas, GFP_KERNEL_ACCOUNT));
	*stored = (xas.xa_index - nr) << PIN_CHUNK_SHIFT;
	return xas_error(&xas);
}

/* How many pages a batch has if it is a single run, else 0 */
static unsigned long single_run(const struct page_run *runs, unsigned int num)
{
	unsigned long npages = runs->npages;
	unsigned int i;

	for (i = 1; i < num; i++) {
		if (runs[i].pfn != runs->pfn + npages)
			return 0;
		npages += runs[i].npages;
	}
	return npages;
}

/**
 * pin_store_put() - Remember pages
 * @store: store
 * @index: index of the first page
 * @runs: the pages, one run behind the other, none of them empty
 * @num: how many runs, above 0
 *
 * All other entries keep their values, whether this succeeds or not.
 *
 * Return: 0, or -ENOMEM; then what was stored of the range means nothing, as before.
 */
int pin_store_put(struct pin_store *store, unsigned long index, const struct page_run *runs, unsigned int num)
{
	struct batch batch = { .run = runs, .end = runs + num };
	void *base = xa_mk_value(PFN_WRAP(runs->pfn - index));
	int rc;

	if (!store->pages || store->pages == base) {
		unsigned long npages = single_run(runs, num);

		if (npages) {
			store->pages = base;
			store->start = min(store->start, index);
			store->end = max(store->end, index + npages);
			return 0;
		}
	}
	rc = make_table(store);
	if (rc)
		return rc;

	while (batch.run < batch.end) {
		unsigned long nr = index >> PIN_CHUNK_SHIFT;
		unsigned long first = nr << PIN_CHUNK_SHIFT;
		unsigned int limit = min(store->npages - first, PIN_CHUNK_PAGES);
		unsigned long stored;

		if (index == first && next_run(&batch) >= PIN_CHUNK_PAGES)
			rc = put_chunks(store, nr, &batch, &stored);
		else
			rc = put_in_chunk(store, nr, index - first, limit, &batch, &stored);
		if (rc)
			return rc;
		index += stored;
	}
	return 0;
}

/* Hand out slots up to @end, exclusive; returns where it stopped */
static unsigned int add_slots(struct pin_chunk *chunk, unsigned int slot, unsigned int end, struct page_run *runs,
			      unsigned int *num, unsigned int max)
{
	unsigned int start = find_last_bit(chunk->starts, slot + 1);
	unsigned int from = chunk_rank(chunk, start);
	unsigned int next = find_next_bit(chunk->starts, end, slot + 1);
	struct page_run *out;

	/* Only the first of them can go on where another chunk ends */
	if (!page_runs_add(runs, num, max, PFN_WRAP(chunk_pfn(chunk, from) + slot - start), next - slot))
		return slot;
	for (out = runs + *num; next < end && out < runs + max; out++) {
		slot = next++;
		/* Asking for the one bit is what scattered memory needs */
		if (next < end && !test_bit(next, chunk->starts))
			next = find_next_bit(chunk->starts, end, next + 1);
		out->pfn = chunk_pfn(chunk, ++from);
		out->npages = next - slot;
	}
	*num = out - runs;
	return next;
}

/* pin_store_runs() of a store that has a table */
static unsigned long table_runs(struct pin_store *store, unsigned long index, unsigned long last,
				struct page_run *runs, unsigned int max, unsigned int *num)
{
	XA_STATE(xas, &store_table(store)->chunks, index >> PIN_CHUNK_SHIFT);
	unsigned long pos = index;

	rcu_read_lock();
	while (pos <= last) {
		/* The first time, this does not go on */
		void *chunk = xas_next(&xas) ?: base_chunk(store, pos >> PIN_CHUNK_SHIFT);
		unsigned int slot = pos & (PIN_CHUNK_PAGES - 1);
		unsigned int end = min(PIN_CHUNK_PAGES, slot + (last - pos) + 1);
		unsigned int stop = slot;

		if (WARN_ON(!chunk))
			break;
		if (!xa_is_value(chunk))
			stop = add_slots(chunk, slot, end, runs, num, max);
		else if (page_runs_add(runs, num, max, PFN_WRAP(xa_to_value(chunk) + slot), end - slot))
			stop = end;
		pos += stop - slot;
		if (stop < end)
			break;
	}
	rcu_read_unlock();
	return pos - index;
}

/**
 * pin_store_runs() - Hand out what is stored, run by run
 * @store: store
 * @index: first index, stored and covered by a user
 * @last: last index to look at, inclusive, all up to it stored and covered
 * @runs: out: runs of physically contiguous pages, each as long as can be
 * @max: how many at most, above 0
 * @num: out: how many there are
 *
 * Return: how many pages they have together, 0 if @index is not stored.
 */
unsigned long pin_store_runs(struct pin_store *store, unsigned long index, unsigned long last, struct page_run *runs,
			     unsigned int max, unsigned int *num)
{
	*num = 0;
	if (WARN_ON(!store->pages))
		return 0;
	if (store_table(store))
		return table_runs(store, index, last, runs, max, num);
	page_runs_add(runs, num, max, PFN_WRAP(xa_to_value(store->pages) + index), last - index + 1);
	return last - index + 1;
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
	struct pin_table *table = store_table(store);
	bool all = !index && last == store->npages - 1;

	if (last == store->npages - 1)
		end = (last >> PIN_CHUNK_SHIFT) + 1;
	if (nr >= end)
		return;

	/* Of the one run that there is or was, what is left on one side; in the middle it does no harm */
	if (nr << PIN_CHUNK_SHIFT <= store->start)
		store->start = max(store->start, end << PIN_CHUNK_SHIFT);
	else if (end << PIN_CHUNK_SHIFT >= store->end)
		store->end = min(store->end, nr << PIN_CHUNK_SHIFT);
	if (table && !all) {
		clear_chunks(table, nr, end - 1);
		if (!xa_empty(&table->chunks))
			return;
	}
	if (all || store->start >= store->end)
		pin_store_destroy(store);
}
