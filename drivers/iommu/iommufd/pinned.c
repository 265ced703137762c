// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinned - one source of pages, shared by all who use them
 *
 * A page is pinned, charged and in the store if and only if a user range covers it, and then exactly once, however
 * many ranges do. Acquiring a range pins only the holes that the others leave; releasing it unpins only what nobody
 * else covers.
 *
 * This file knows neither IOVAs nor domains.
 *
 * Locking: p->mutex covers users and store. mmap_lock of the source's process is taken inside it.
 */
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "itree_hole.h"
#include "pin_dmabuf.h"
#include "pinned.h"

/**
 * struct pinned_move - A source between the process that pays and the one that is going to
 * @entry: in the list of those that go together
 * @p: the source, referenced
 * @account: who is going to pay
 * @npages: how many pages it has been charged
 * @same_limit: they count against the same limit, so none is counted twice
 */
struct pinned_move {
	struct list_head entry;
	struct pinned *p;
	struct pin_account account;
	unsigned long npages;
	bool same_limit;
};

/* Runs handled in one go where there is no memory for a larger batch */
#define SMALL_BATCH 16

/* Pages asked for in one go at most, whatever memory there is: the fewer, the more often batches meet */
unsigned long pinned_max_batch = ULONG_MAX;

/**
 * pinned_init() - Set up what does not depend on where pages come from
 * @p: zeroed structure
 * @npages: how many pages the source has
 */
void pinned_init(struct pinned *p, unsigned long npages)
{
	refcount_set(&p->refs, 1);
	mutex_init(&p->mutex);
	p->users = RB_ROOT_CACHED;
	pin_store_init(&p->store, npages);
}

/**
 * pinned_alloc_user() - Make a source of the calling process's memory
 * @uaddr: user address of the first page, page aligned
 * @npages: how many pages
 * @writable: a device may write to them
 * @mode: whose limit they count against
 *
 * Nothing is pinned yet.
 *
 * Return: the source with one reference, or ERR_PTR(-ENOMEM).
 */
struct pinned *pinned_alloc_user(unsigned long uaddr, unsigned long npages, bool writable, enum pin_account_mode mode)
{
	struct pinned *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);

	if (!p)
		return ERR_PTR(-ENOMEM);
	pinned_init(p, npages);
	pin_source_open_user(&p->source, uaddr, npages, writable);
	pin_account_open(&p->account, mode);
	return p;
}

/**
 * pinned_alloc_file() - Make a source of a file
 * @file: file; the source has a reference of its own
 * @first: page of the file that is page index 0
 * @npages: how many pages
 * @writable: a device may write to them
 * @mode: whose limit they count against; the calling process pays
 *
 * Nothing is pinned yet, and nobody looked whether the file is that long.
 *
 * Return: the source with one reference, or ERR_PTR: -ENOMEM; -EINVAL and -EPERM as pin_source_open_file().
 */
struct pinned *pinned_alloc_file(struct file *file, pgoff_t first, unsigned long npages, bool writable,
				 enum pin_account_mode mode)
{
	struct pinned *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!p)
		return ERR_PTR(-ENOMEM);
	rc = pin_source_open_file(&p->source, file, first, npages, writable);
	if (rc) {
		kfree(p);
		return ERR_PTR(rc);
	}
	pinned_init(p, npages);
	pin_account_open(&p->account, mode);
	return p;
}

/**
 * pinned_alloc_dmabuf() - Make a source of a dma-buf
 * @dmabuf: buffer; the source has a reference of its own
 * @first: page of the buffer that is page index 0
 * @npages: how many pages
 * @writable: a device may write to them
 *
 * It is the memory of a device and has no pages: nothing is ever pinned, charged or stored.
 *
 * Return: the source with one reference, or ERR_PTR: -ENOMEM; -EOPNOTSUPP, -ENODEV, -EINVAL as pin_dmabuf_open().
 */
struct pinned *pinned_alloc_dmabuf(struct dma_buf *dmabuf, unsigned long first, unsigned long npages, bool writable)
{
	struct pinned *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!p)
		return ERR_PTR(-ENOMEM);
	rc = pin_source_open_dmabuf(&p->source, dmabuf, first, npages, writable);
	if (rc) {
		kfree(p);
		return ERR_PTR(rc);
	}
	pinned_init(p, npages);
	pin_account_open(&p->account, PIN_ACCOUNT_NONE);
	return p;
}

/**
 * pinned_put() - Drop a reference
 * @p: pinned source; with the last reference it is freed, and no user may be left
 */
void pinned_put(struct pinned *p)
{
	if (!refcount_dec_and_test(&p->refs))
		return;
	WARN_ON(!RB_EMPTY_ROOT(&p->users.rb_root));
	pin_store_destroy(&p->store);
	pin_source_close(&p->source);
	pin_account_close(&p->account);
	mutex_destroy(&p->mutex);
	kfree(p);
}

/**
 * pinned_get() - Take another reference
 * @p: pinned source
 */
void pinned_get(struct pinned *p)
{
	refcount_inc(&p->refs);
}

/**
 * pinned_writable() - May a device write to the pages?
 * @p: pinned source
 *
 * Return: true if so.
 */
bool pinned_writable(struct pinned *p)
{
	return p->source.writable;
}

/**
 * pinned_is_file() - Does it come from a memory file?
 * @p: pinned source
 *
 * Return: true if the pages do not depend on the process that mapped them.
 */
bool pinned_is_file(struct pinned *p)
{
	return p->source.kind == PIN_SOURCE_FILE;
}

/**
 * pinned_dmabuf() - Is it a dma-buf?
 * @p: pinned source
 *
 * Return: the dma-buf, or NULL.
 */
struct pin_dmabuf *pinned_dmabuf(struct pinned *p)
{
	return p->source.kind == PIN_SOURCE_DMABUF ? p->source.dmabuf : NULL;
}

/**
 * pinned_has_pages() - Is it memory?
 * @p: pinned source
 *
 * Return: true if there is a struct page behind each page, so that software can reach it.
 */
bool pinned_has_pages(struct pinned *p)
{
	return !pinned_dmabuf(p);
}

/**
 * pinned_user_address() - Where does a byte lie in the process that it comes from?
 * @p: pinned source
 * @byte: offset in the source
 * @mm: out: the process's memory, without a reference; it lives as long as @p
 * @uaddr: out: address in it
 *
 * Return: 0; -EOPNOTSUPP for a file or a dma-buf, which every process has somewhere else.
 */
int pinned_user_address(struct pinned *p, u64 byte, struct mm_struct **mm, unsigned long *uaddr)
{
	if (p->source.kind != PIN_SOURCE_USER)
		return -EOPNOTSUPP;
	*mm = p->source.user.mm;
	*uaddr = p->source.user.uaddr + byte;
	return 0;
}

/* Unpin a range that is in the store and that no user covers */
static void unpin_range(struct pinned *p, unsigned long index, unsigned long end)
{
	struct page_run runs[SMALL_BATCH];
	unsigned int num;
	unsigned long n;

	for (; index < end; index += n) {
		n = pin_store_runs(&p->store, index, end - 1, runs, SMALL_BATCH, &num);
		if (!n)
			return;
		pin_source_unpin(&p->source, runs, num);
		cond_resched();
	}
}

/* Forget a range that no user covers; a chunk that it shares with other pages goes when nobody covers those either */
static void drop_range(struct pinned *p, unsigned long index, unsigned long last)
{
	unsigned long first = round_down(index, PIN_CHUNK_PAGES);
	unsigned long end = min(round_up(last + 1, PIN_CHUNK_PAGES), p->store.npages);

	if (first < index && !interval_tree_iter_first(&p->users, first, index - 1))
		index = first;
	if (end > last + 1 && !interval_tree_iter_first(&p->users, last + 1, end - 1))
		last = end - 1;
	pin_store_drop(&p->store, index, last);
}

/* Take back a hole that pin_hole() charged whole and filled up to @end, exclusive */
static void unpin_hole(struct pinned *p, unsigned long index, unsigned long end, unsigned long last)
{
	unpin_range(p, index, end);
	drop_range(p, index, last);
	p->npinned -= last - index + 1;
	pin_account_uncharge(&p->account, last - index + 1);
}

/* Charge, pin and store what nobody covers yet; on failure nothing of it stays */
static int pin_hole(struct pinned *p, unsigned long index, unsigned long last)
{
	struct page_run few[SMALL_BATCH];
	struct page_run *runs = few;
	unsigned int max = SMALL_BATCH;
	unsigned long pos = index;
	void *many = NULL;
	unsigned int num;
	long n;
	int rc;

	rc = pin_account_charge(&p->account, last - index + 1);
	if (rc)
		return rc;
	p->npinned += last - index + 1;

	if (last - index >= SMALL_BATCH)
		many = (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (many) {
		runs = many;
		max = PAGE_SIZE / sizeof(*runs);
	}

	while (pos <= last) {
		n = pin_source_pin(&p->source, pos, min(last - pos + 1, READ_ONCE(pinned_max_batch)), runs, max, &num);
		if (n < 0) {
			rc = n;
			break;
		}
		rc = pin_store_put(&p->store, pos, runs, num);
		if (rc) {
			pin_source_unpin(&p->source, runs, num);
			break;
		}
		pos += n;
		if (fatal_signal_pending(current)) {
			rc = -EINTR;
			break;
		}
		cond_resched();
	}
	free_page((unsigned long)many);
	if (rc)
		unpin_hole(p, index, pos, last);
	return rc;
}

/**
 * pinned_acquire() - Make sure every page of a range is pinned and stored
 * @p: pinned source, the caller holds no lock that is inside @p->mutex
 * @user: range to add, page indices, inclusive; linked on success
 *
 * Pages that another user covers already are not pinned again. A source without pages has no users: then this is 0,
 * and pinned_release() does nothing.
 *
 * Return: 0, or with no page pinned and @user not linked -ENOMEM (also: over the limit), -EFAULT (nothing usable is
 * mapped there), -EINVAL (a file that has no such page), -EINTR (the caller is being killed), -EBUSY (its charges are
 * being moved to another process).
 */
int pinned_acquire(struct pinned *p, struct interval_tree_node *user)
{
	struct rb_root_cached *users = &p->users;
	unsigned long index = user->start;
	unsigned long last, undo_last;
	int rc = 0;

	if (!pinned_has_pages(p))
		return 0;
	mutex_lock(&p->mutex);
	if (p->moving)
		rc = -EBUSY;
	while (!rc && index <= user->last && itree_hole_next(&users, 1, &index, user->last, &last)) {
		rc = pin_hole(p, index, last);
		if (!rc)
			index = last + 1;
	}
	if (!rc) {
		interval_tree_insert(user, users);
	} else if (index > user->start) {
		/* The holes below the one that failed are the ones filled above: nobody was linked in between */
		unsigned long undo = user->start;

		while (undo < index && itree_hole_next(&users, 1, &undo, index - 1, &undo_last)) {
			unpin_hole(p, undo, undo_last + 1, undo_last);
			undo = undo_last + 1;
		}
	}
	mutex_unlock(&p->mutex);
	return rc;
}

/**
 * pinned_release() - Undo pinned_acquire()
 * @p: pinned source
 * @user: range to take away
 *
 * The caller made sure that no device reaches the pages through this range any more. Cannot fail.
 */
void pinned_release(struct pinned *p, struct interval_tree_node *user)
{
	struct rb_root_cached *users = &p->users;
	unsigned long index = user->start;
	unsigned long last;

	if (!pinned_has_pages(p))
		return;
	mutex_lock(&p->mutex);
	interval_tree_remove(user, users);
	while (index <= user->last && itree_hole_next(&users, 1, &index, user->last, &last)) {
		unpin_hole(p, index, last + 1, last);
		index = last + 1;
	}
	mutex_unlock(&p->mutex);
}

static int move_charge(struct pinned_move *move, unsigned long npages)
{
	if (!move->same_limit)
		return pin_account_charge(&move->account, npages);
	pin_account_show(&move->account, npages);
	return 0;
}

static void move_uncharge(struct pinned_move *move, unsigned long npages)
{
	if (move->same_limit)
		pin_account_show(&move->account, -npages);
	else
		pin_account_uncharge(&move->account, npages);
}

static struct pinned_move *create_move(struct pinned *p, enum pin_account_mode mode)
{
	struct pinned_move *move = kmalloc(sizeof(*move), GFP_KERNEL_ACCOUNT);

	if (!move)
		return NULL;
	pin_account_open(&move->account, mode);
	move->p = p;
	move->npages = p->npinned;
	move->same_limit = pin_account_same_limit(&p->account, &move->account);
	if (move_charge(move, move->npages)) {
		pin_account_close(&move->account);
		kfree(move);
		return NULL;
	}
	pinned_get(p);
	return move;
}

/**
 * pinned_move_begin() - Charge the calling process for what another pays
 * @p: pinned source; until pinned_move_end() what it has may be released, but nothing may be pinned
 * @mode: whose limit
 * @moves: list that it is added to, unless it has been already
 *
 * Return: 0; or with nothing changed -EINVAL if the source is not a file; -ENOMEM (also: over the limit); -EINTR.
 */
int pinned_move_begin(struct pinned *p, enum pin_account_mode mode, struct list_head *moves)
{
	struct pinned_move *move;
	int rc;

	if (!pinned_is_file(p))
		return -EINVAL;
	rc = mutex_lock_killable(&p->mutex);
	if (rc)
		return rc;
	if (!p->moving) {
		move = create_move(p, mode);
		if (move) {
			p->moving = true;
			list_add_tail(&move->entry, moves);
		} else {
			rc = -ENOMEM;
		}
	}
	mutex_unlock(&p->mutex);
	return rc;
}

/**
 * pinned_move_end() - Decide who pays
 * @moves: list that pinned_move_begin() filled; emptied
 * @commit: the process that has been charged pays from now on, and the other one does not; otherwise the reverse
 */
void pinned_move_end(struct list_head *moves, bool commit)
{
	struct pinned_move *move, *next;
	struct pinned *p;

	list_for_each_entry_safe(move, next, moves, entry) {
		p = move->p;
		mutex_lock(&p->mutex);
		p->moving = false;
		if (commit) {
			/* What was released in between has been uncharged from the other one only */
			move_uncharge(move, move->npages - p->npinned);
			swap(p->account, move->account);
			move->npages = p->npinned;
		}
		move_uncharge(move, move->npages);
		mutex_unlock(&p->mutex);

		pin_account_close(&move->account);
		pinned_put(p);
		kfree(move);
		cond_resched();
	}
	INIT_LIST_HEAD(moves);
}

/**
 * pinned_run() - Longest run of physically contiguous pages that starts at an index
 * @p: pinned source
 * @index: first page, covered by a user that stays during the call
 * @last: last page to look at, inclusive, covered as well
 * @pfn: out: PFN of @index
 *
 * Return: how many pages the run has, above 0.
 */
unsigned long pinned_run(struct pinned *p, unsigned long index, unsigned long last, unsigned long *pfn)
{
	unsigned long n;

	if (!pinned_has_pages(p)) {
		*pfn = pinned_dmabuf(p)->pfn + index;
		return last - index + 1;
	}
	mutex_lock(&p->mutex);
	n = pin_store_run(&p->store, index, last, pfn);
	mutex_unlock(&p->mutex);
	return n;
}

/**
 * pinned_runs() - Runs of physically contiguous pages that start at an index
 * @p: pinned source that has pages
 * @index: first page, covered by a user that stays during the call
 * @last: last page to look at, inclusive, covered as well
 * @runs: out: runs, each as long as it can be but for the last one
 * @max: how many there is room for, above 0
 * @num: out: how many there are
 *
 * Return: how many pages they have, above 0.
 */
unsigned long pinned_runs(struct pinned *p, unsigned long index, unsigned long last, struct page_run *runs,
			  unsigned int max, unsigned int *num)
{
	unsigned long n;

	mutex_lock(&p->mutex);
	n = pin_store_runs(&p->store, index, last, runs, max, num);
	mutex_unlock(&p->mutex);
	return n;
}

/**
 * pinned_split() - Make one linked user range two
 * @p: pinned source
 * @user: range that is linked; ends at @last afterwards
 * @upper: range that is linked in addition, with @upper->start and @upper->last set: together they cover the same pages
 * @last: new last page of @user, inclusive; may be the first one of @upper
 */
void pinned_split(struct pinned *p, struct interval_tree_node *user, struct interval_tree_node *upper,
		  unsigned long last)
{
	mutex_lock(&p->mutex);
	interval_tree_remove(user, &p->users);
	user->last = last;
	interval_tree_insert(user, &p->users);
	interval_tree_insert(upper, &p->users);
	mutex_unlock(&p->mutex);
}

/* Copy within one page; false if nobody has pinned it, so that it must be looked for where it comes from */
static bool copy_pinned(struct pinned *p, u64 byte, void *buf, size_t length, bool write)
{
	unsigned long index = byte >> PAGE_SHIFT;
	unsigned long pfn;
	bool covered;
	void *page;

	mutex_lock(&p->mutex);
	covered = interval_tree_iter_first(&p->users, index, index) && pin_store_run(&p->store, index, index, &pfn);
	if (covered) {
		page = kmap_local_page(pfn_to_page(pfn)) + offset_in_page(byte);
		if (write)
			memcpy(page, buf, length);
		else
			memcpy(buf, page, length);
		kunmap_local(page);
	}
	mutex_unlock(&p->mutex);
	return covered;
}

/**
 * pinned_copy() - Copy between a buffer and a source
 * @p: pinned source that has pages
 * @byte: where in the source, bytes
 * @buf: kernel memory
 * @length: bytes
 * @write: to the source, which is writable then; otherwise from it
 * @remote: do not take the short way to the caller's own memory
 *
 * What is pinned is what devices see, and so it is what is copied; the rest is taken from where it would be pinned.
 *
 * Return: 0, or -errno of pin_source_copy() with part of it copied.
 */
int pinned_copy(struct pinned *p, u64 byte, void *buf, size_t length, bool write, bool remote)
{
	size_t part;
	int rc = 0;

	for (; length && !rc; length -= part) {
		part = min_t(size_t, length, PAGE_SIZE - offset_in_page(byte));
		if (!copy_pinned(p, byte, buf, part, write))
			rc = pin_source_copy(&p->source, byte, buf, part, write, remote);
		byte += part;
		buf += part;
		cond_resched();
	}
	return rc;
}
