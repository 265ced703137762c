// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinned - one source of pages, shared by all who use them
 *
 * A page is pinned, charged and in the store if and only if a user covers it, and then exactly once, however many do.
 * A user is a range of pages and nothing else: two that cover the same range are the same one, twice. Acquiring a
 * range pins only the holes that the others leave; releasing it unpins only what nobody else covers.
 *
 * Most sources have one user, which covers all of them, and are one run of physically contiguous pages. For these a
 * counter and a PFN say everything, and nothing is allocated. What others need has an object of its own, made when it
 * is needed and kept as long as the source.
 *
 * This file knows neither IOVAs nor domains.
 *
 * Locking: pinned_lock() covers users and store. mmap_lock of the source's process is taken inside it. It is one bit,
 * as there may be a million sources; whoever waits for it waits in a queue that the kernel has for such bits.
 */
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/xarray.h>

#include "itree_hole.h"
#include "pin_dmabuf.h"
#include "pin_payer.h"
#include "pinned.h"
#include "trace.h"

/* Bits of pinned->state; all but LOCKED, MOVING and WAITED never change */
#define LOCKED		0	/* pinned_lock() */
#define MOVING		1	/* another process is about to pay; covered by pinned_lock() */
#define WRITABLE	2	/* a device may write to it */
#define IS_FILE		3
#define IS_DMABUF	4
#define WAITED		7	/* somebody has waited for LOCKED; the bit at which pinned_unlock() can look */
#define NPAGES_SHIFT	8

/**
 * struct pinned_more - What a source has that is shared, scattered or no memory of a process
 * @users: struct pinned_user, ranges that are not the whole source
 * @store: PFNs of the pages that users cover
 * @source: where the pages come from, unless it is memory of a process
 */
struct pinned_more {
	struct rb_root_cached users;
	struct pin_store store;
	struct pin_source source;
};

/**
 * struct pinned_user - A range of pages that must be pinned now
 * @node: the range
 * @times: by how many users
 */
struct pinned_user {
	struct interval_tree_node node;
	unsigned int times;
};

/**
 * struct pinned_move - A source between the process that pays and the one that is going to
 * @entry: in the list of those that go together
 * @p: the source, referenced
 * @payer: who is going to pay
 * @npages: how many pages it has been charged
 * @same_limit: they count against the same limit, so none is counted twice
 */
struct pinned_move {
	struct list_head entry;
	struct pinned *p;
	struct pin_payer *payer;
	unsigned long npages;
	bool same_limit;
};

/*
 * Runs handled in one go where there is no memory for a larger batch. Arrays of them are not initialized, as most
 * sources have one.
 */
#define SMALL_BATCH 16

/* Pages asked for in one go at most, whatever memory there is: the fewer, the more often batches meet */
unsigned long pinned_max_batch = ULONG_MAX;

static struct kmem_cache *pinned_cache;

#ifdef CONFIG_LOCKDEP
static struct lock_class_key pinned_lock_key;
static struct lockdep_map pinned_lock_map = STATIC_LOCKDEP_MAP_INIT("pinned_lock", &pinned_lock_key);
#endif

/* Who unlocks before WAITED is set is seen here, who unlocks after that sees it: both change the same word */
static int wait_for_unlock(struct wait_bit_key *key, int mode)
{
	unsigned long *state = key->flags;

	set_bit(WAITED, state);
	return test_bit(LOCKED, state) ? bit_wait(key, mode) : 0;
}

/**
 * pinned_lock() - Keep what is pinned of a source from changing
 * @p: pinned source
 */
void pinned_lock(struct pinned *p)
{
	lock_map_acquire(&pinned_lock_map);
	wait_on_bit_lock_action(&p->state, LOCKED, wait_for_unlock, TASK_UNINTERRUPTIBLE);
}

static int pinned_lock_killable(struct pinned *p)
{
	int rc;

	lock_map_acquire(&pinned_lock_map);
	rc = wait_on_bit_lock_action(&p->state, LOCKED, wait_for_unlock, TASK_KILLABLE);
	if (rc)
		lock_map_release(&pinned_lock_map);
	return rc ? -EINTR : 0;
}

/**
 * pinned_unlock() - Undo pinned_lock()
 * @p: pinned source
 */
void pinned_unlock(struct pinned *p)
{
	lock_map_release(&pinned_lock_map);
	/* Of all sources hardly one is ever waited for. In one step, as nobody may look at @p without the lock. */
	if (clear_bit_unlock_is_negative_byte(LOCKED, &p->state))
		wake_up_bit(&p->state, LOCKED);
}

static bool pinned_trylock(struct pinned *p)
{
	if (test_and_set_bit_lock(LOCKED, &p->state))
		return false;
	lock_map_acquire_try(&pinned_lock_map);
	return true;
}

static unsigned long pinned_npages(struct pinned *p)
{
	return p->state >> NPAGES_SHIFT;
}

static bool is_run(struct pinned *p)
{
	return xa_is_value(READ_ONCE(p->more));
}

static struct pinned_more *to_more(struct pinned *p)
{
	return is_run(p) ? NULL : p->more;
}

static struct rb_root_cached *no_users(void)
{
	static struct rb_root_cached empty = RB_ROOT_CACHED;

	return &empty;
}

/* Ranges that are not the whole source */
static struct rb_root_cached *users_of(struct pinned *p)
{
	struct pinned_more *more = to_more(p);

	return more ? &more->users : no_users();
}

/* Where pages come from; @user is filled in for memory of a process, whose source is not kept anywhere */
static struct pin_source *source_of(struct pinned *p, struct pin_source *user)
{
	if (p->state & (BIT(IS_FILE) | BIT(IS_DMABUF)))
		return &to_more(p)->source;
	pin_source_open_user(user, p->payer->account.mm, p->uaddr, pinned_npages(p), pinned_writable(p));
	return user;
}

static struct pinned_more *create_more(unsigned long npages)
{
	struct pinned_more *more = kmalloc(sizeof(*more), GFP_KERNEL_ACCOUNT);

	if (!more)
		return NULL;
	more->users = RB_ROOT_CACHED;
	pin_store_init(&more->store, npages);
	return more;
}

static void free_more(struct pinned_more *more)
{
	pin_store_destroy(&more->store);
	kfree(more);
}

/* The rest of what a source may have, made if it is not there yet. What is pinned does not change. */
static struct pinned_more *need_more(struct pinned *p)
{
	struct pinned_more *more = to_more(p);
	struct page_run run;

	if (more)
		return more;
	more = create_more(pinned_npages(p));
	if (!more)
		return NULL;
	if (is_run(p)) {
		run.pfn = xa_to_value(p->more);
		run.npages = pinned_npages(p);
		if (pin_store_put(&more->store, 0, &run, 1)) {
			free_more(more);
			return NULL;
		}
	}
	/* Some who look for a run do so without the lock */
	smp_store_release(&p->more, more);
	return more;
}

static struct pinned *create(unsigned long npages, bool writable, unsigned long kind, struct pin_payer *payer)
{
	struct pinned *p = kmem_cache_alloc(pinned_cache, GFP_KERNEL);

	if (!p)
		return NULL;
	refcount_set(&p->refs, 1);
	p->wholes = 0;
	p->state = npages << NPAGES_SHIFT | kind;
	if (writable)
		p->state |= BIT(WRITABLE);
	p->uaddr = 0;
	p->payer = payer;
	p->more = NULL;
	return p;
}

/**
 * pinned_alloc_user() - Make a source of the calling process's memory
 * @uaddr: user address of the first page, page aligned
 * @npages: how many pages
 * @writable: a device may write to them
 * @payer: the calling process; the caller's reference is taken over, also on failure
 *
 * Nothing is pinned yet.
 *
 * Return: the source with one reference, or ERR_PTR(-ENOMEM).
 */
struct pinned *pinned_alloc_user(unsigned long uaddr, unsigned long npages, bool writable, struct pin_payer *payer)
{
	struct pinned *p = create(npages, writable, 0, payer);

	if (!p) {
		pin_payer_put(payer);
		return ERR_PTR(-ENOMEM);
	}
	p->uaddr = uaddr;
	return p;
}

/* A source that needs more from the beginning; @payer is taken over */
static struct pinned *create_other(unsigned long npages, bool writable, unsigned long kind, struct pin_payer *payer)
{
	struct pinned *p = create(npages, writable, kind, payer);

	if (p)
		p->more = create_more(npages);
	if (p && p->more)
		return p;
	if (p)
		kmem_cache_free(pinned_cache, p);
	pin_payer_put(payer);
	return NULL;
}

static void free_other(struct pinned *p)
{
	free_more(p->more);
	pin_payer_put(p->payer);
	kmem_cache_free(pinned_cache, p);
}

/**
 * pinned_alloc_file() - Make a source of a file
 * @file: file; the source has a reference of its own
 * @first: page of the file that is page index 0
 * @npages: how many pages
 * @writable: a device may write to them
 * @payer: who pays; the caller's reference is taken over, also on failure
 *
 * Nothing is pinned yet, and nobody looked whether the file is that long.
 *
 * Return: the source with one reference, or ERR_PTR: -ENOMEM; -EINVAL and -EPERM as pin_source_open_file().
 */
struct pinned *pinned_alloc_file(struct file *file, pgoff_t first, unsigned long npages, bool writable,
				 struct pin_payer *payer)
{
	struct pinned *p = create_other(npages, writable, BIT(IS_FILE), payer);
	int rc;

	if (!p)
		return ERR_PTR(-ENOMEM);
	rc = pin_source_open_file(&to_more(p)->source, file, first, npages, writable);
	if (rc) {
		free_other(p);
		return ERR_PTR(rc);
	}
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
	struct pinned *p = create_other(npages, writable, BIT(IS_DMABUF), NULL);
	int rc;

	if (!p)
		return ERR_PTR(-ENOMEM);
	rc = pin_source_open_dmabuf(&to_more(p)->source, dmabuf, first, npages, writable);
	if (rc) {
		free_other(p);
		return ERR_PTR(rc);
	}
	return p;
}

/**
 * pinned_put() - Drop a reference
 * @p: pinned source; with the last reference it is freed, and no user may be left
 */
void pinned_put(struct pinned *p)
{
	struct pinned_more *more;

	if (!refcount_dec_and_test(&p->refs))
		return;
	more = to_more(p);
	WARN_ON(p->wholes || (more && !RB_EMPTY_ROOT(&more->users.rb_root)));
	if (p->state & (BIT(IS_FILE) | BIT(IS_DMABUF)))
		pin_source_close(&more->source);
	if (more)
		free_more(more);
	pin_payer_put(p->payer);
	kmem_cache_free(pinned_cache, p);
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
	return p->state & BIT(WRITABLE);
}

/**
 * pinned_is_file() - Does it come from a memory file?
 * @p: pinned source
 *
 * Return: true if the pages do not depend on the process that mapped them.
 */
bool pinned_is_file(struct pinned *p)
{
	return p->state & BIT(IS_FILE);
}

/**
 * pinned_dmabuf() - Is it a dma-buf?
 * @p: pinned source
 *
 * Return: the dma-buf, or NULL.
 */
struct pin_dmabuf *pinned_dmabuf(struct pinned *p)
{
	return pinned_has_pages(p) ? NULL : to_more(p)->source.dmabuf;
}

/**
 * pinned_has_pages() - Is it memory?
 * @p: pinned source
 *
 * Return: true if there is a struct page behind each page, so that software can reach it.
 */
bool pinned_has_pages(struct pinned *p)
{
	return !(p->state & BIT(IS_DMABUF));
}

/**
 * pinned_is_empty() - Is nothing of it used or remembered?
 * @p: pinned source that nobody changes during the call
 *
 * Return: true if it has no users, and nothing is stored for any.
 */
bool pinned_is_empty(struct pinned *p)
{
	struct pinned_more *more = to_more(p);

	return !p->wholes && !is_run(p) &&
	       (!more || (RB_EMPTY_ROOT(&more->users.rb_root) && !more->store.pages));
}

/**
 * pinned_charged() - How many pages are pinned and paid for?
 * @p: pinned source that nobody changes during the call
 *
 * Return: pages, however many users each has. The time it takes depends on the number of users.
 */
unsigned long pinned_charged(struct pinned *p)
{
	unsigned long npages = pinned_npages(p);
	struct rb_root_cached *users = users_of(p);
	unsigned long charged = npages;
	unsigned long index = 0, last;

	if (p->wholes)
		return npages;
	for (; index < npages && itree_hole_next(&users, 1, &index, npages - 1, &last); index = last + 1)
		charged -= last - index + 1;
	return charged;
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
	if (p->state & (BIT(IS_FILE) | BIT(IS_DMABUF)))
		return -EOPNOTSUPP;
	*mm = p->payer->account.mm;
	*uaddr = p->uaddr + byte;
	return 0;
}

/* Unpin a range that is stored and that no user covers */
static void unpin_range(struct pinned *p, unsigned long index, unsigned long end)
{
	struct page_run runs[SMALL_BATCH] __uninitialized;
	struct pin_source user, *source;
	unsigned int num;
	unsigned long n;

	source = source_of(p, &user);
	for (; index < end; index += n) {
		n = pin_store_runs(&to_more(p)->store, index, end - 1, runs, SMALL_BATCH, &num);
		if (!n)
			return;
		pin_source_unpin(source, runs, num);
		cond_resched();
	}
}

/* Forget a range that no user covers; a chunk that it shares with other pages goes when nobody covers those either */
static void drop_range(struct pinned_more *more, unsigned long index, unsigned long last)
{
	unsigned long first = round_down(index, PIN_CHUNK_PAGES);
	unsigned long end = min(round_up(last + 1, PIN_CHUNK_PAGES), more->store.npages);

	if (RB_EMPTY_ROOT(&more->users.rb_root)) {
		pin_store_destroy(&more->store);
		return;
	}
	if (first < index && !interval_tree_iter_first(&more->users, first, index - 1))
		index = first;
	if (end > last + 1 && !interval_tree_iter_first(&more->users, last + 1, end - 1))
		last = end - 1;
	pin_store_drop(&more->store, index, last);
}

/* The only run of a source that nobody covers any more */
static void unpin_run(struct pinned *p)
{
	struct page_run run = { .pfn = xa_to_value(p->more), .npages = pinned_npages(p) };
	struct pin_source user;

	p->more = NULL;
	pin_source_unpin(source_of(p, &user), &run, 1);
}

/* Take back a hole that pin_hole() charged whole and filled up to @end, exclusive */
static void unpin_hole(struct pinned *p, unsigned long index, unsigned long end, unsigned long last)
{
	if (is_run(p)) {
		unpin_run(p);
	} else if (p->more) {
		unpin_range(p, index, end);
		drop_range(p->more, index, last);
	}
	pin_account_uncharge(&p->payer->account, last - index + 1);
}

/* Remember pages that were just pinned */
static int store_runs(struct pinned *p, unsigned long index, const struct page_run *runs, unsigned int num)
{
	struct pinned_more *more;

	if (!p->more && runs->npages == pinned_npages(p)) {
		p->more = xa_mk_value(runs->pfn);
		return 0;
	}
	more = need_more(p);
	return more ? pin_store_put(&more->store, index, runs, num) : -ENOMEM;
}

/* Charge, pin and store what nobody covers yet; on failure nothing of it stays */
static int pin_hole(struct pinned *p, unsigned long index, unsigned long last)
{
	struct page_run few[SMALL_BATCH] __uninitialized;
	struct page_run *runs = few;
	unsigned int max = SMALL_BATCH;
	struct pin_source user, *source;
	unsigned long pos = index;
	void *many = NULL;
	unsigned int num;
	long n;
	int rc;

	rc = pin_account_charge(&p->payer->account, last - index + 1);
	if (rc)
		return rc;
	if (last - index >= SMALL_BATCH)
		many = (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (many) {
		runs = many;
		max = PAGE_SIZE / sizeof(*runs);
	}

	source = source_of(p, &user);
	while (pos <= last) {
		n = pin_source_pin(source, pos, min(last - pos + 1, READ_ONCE(pinned_max_batch)), runs, max, &num);
		if (n < 0) {
			rc = n;
			break;
		}
		rc = store_runs(p, pos, runs, num);
		if (rc) {
			pin_source_unpin(source, runs, num);
			break;
		}
		pos += n;
		if (pos > last)
			break;
		if (fatal_signal_pending(current)) {
			rc = -EINTR;
			break;
		}
		cond_resched();
	}
	if (many)
		free_page((unsigned long)many);
	if (rc)
		unpin_hole(p, index, pos, last);
	return rc;
}

/* Where a page is, for a trace, bytes: in the process that maps it, or in what was mapped of a file */
static unsigned long place_of(struct pinned *p, unsigned long index)
{
	return p->uaddr + (index << PAGE_SHIFT);
}

/* These two are not inlined, so that they cost nothing where nobody listens */
static noinline int pin_hole_traced(struct pinned *p, unsigned long index, unsigned long last)
{
	u64 begin = ktime_get_ns();
	int rc = pin_hole(p, index, last);

	trace_iommufd_pin(p->payer->context, p->state & BIT(IS_FILE), place_of(p, index), last - index + 1, rc, begin);
	return rc;
}

static noinline void unpin_hole_traced(struct pinned *p, unsigned long index, unsigned long last)
{
	u64 begin = ktime_get_ns();

	unpin_hole(p, index, last + 1, last);
	trace_iommufd_unpin(p->payer->context, p->state & BIT(IS_FILE), place_of(p, index), last - index + 1, 0, begin);
}

/* pin_hole() for a user */
static int acquire_hole(struct pinned *p, unsigned long index, unsigned long last)
{
	if (trace_iommufd_pin_enabled())
		return pin_hole_traced(p, index, last);
	return pin_hole(p, index, last);
}

/* Undo acquire_hole() */
static void release_hole(struct pinned *p, unsigned long index, unsigned long last)
{
	if (trace_iommufd_unpin_enabled())
		unpin_hole_traced(p, index, last);
	else
		unpin_hole(p, index, last + 1, last);
}

/* Pin what users with a range of their own leave free; nobody covers all */
static int pin_holes(struct pinned *p, unsigned long start, unsigned long last)
{
	struct rb_root_cached *users = users_of(p);
	unsigned long index = start;
	unsigned long hole_last;
	int rc;

	/* Nobody at all */
	if (RB_EMPTY_ROOT(&users->rb_root))
		return acquire_hole(p, start, last);

	while (index <= last && itree_hole_next(&users, 1, &index, last, &hole_last)) {
		rc = acquire_hole(p, index, hole_last);
		if (rc)
			goto err_undo;
		index = hole_last + 1;
	}
	return 0;

err_undo:
	/* The holes below the one that failed are the ones filled above: nobody was linked in between */
	while (start < index && itree_hole_next(&users, 1, &start, index - 1, &hole_last)) {
		release_hole(p, start, hole_last);
		start = hole_last + 1;
	}
	return rc;
}

static void unpin_holes(struct pinned *p, unsigned long index, unsigned long last)
{
	struct rb_root_cached *users = users_of(p);
	unsigned long hole_last;

	if (RB_EMPTY_ROOT(&users->rb_root)) {
		release_hole(p, index, last);
		return;
	}
	while (index <= last && itree_hole_next(&users, 1, &index, last, &hole_last)) {
		release_hole(p, index, hole_last);
		index = hole_last + 1;
	}
}

#define to_user(ptr) rb_entry(ptr, struct pinned_user, node.rb)

static inline unsigned long user_last(struct interval_tree_node *node)
{
	return node->last;
}

/* What lib/interval_tree.c keeps, which does not order ranges that begin at the same place */
RB_DECLARE_CALLBACKS_MAX(static, user_lasts, struct interval_tree_node, rb, unsigned long, __subtree_last, user_last)

/*
 * The user that has exactly this range; if there is none and @add is not NULL, that is put in its place. Ordered by
 * both ends, so that it takes logarithmic time however many begin at the same page.
 */
static struct pinned_user *find_range(struct pinned_more *more, unsigned long start, unsigned long last,
				      struct pinned_user *add)
{
	struct rb_node **link = &more->users.rb_root.rb_node;
	struct rb_node *parent = NULL;
	bool leftmost = true;

	while (*link) {
		struct pinned_user *user = to_user(*link);

		parent = *link;
		if (start == user->node.start && last == user->node.last)
			return user;
		if (start < user->node.start || (start == user->node.start && last < user->node.last)) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			leftmost = false;
		}
	}
	if (!add)
		return NULL;
	add->node.start = start;
	add->node.last = last;
	add->node.__subtree_last = last;
	rb_link_node(&add->node.rb, parent, link);
	if (parent)
		user_lasts_propagate(parent, NULL);
	rb_insert_augmented_cached(&add->node.rb, &more->users, leftmost, &user_lasts);
	return add;
}

static int acquire_part(struct pinned *p, unsigned long index, unsigned long last)
{
	struct pinned_more *more = need_more(p);
	struct pinned_user *user;
	int rc = 0;

	if (!more)
		return -ENOMEM;
	user = find_range(more, index, last, NULL);
	if (user) {
		user->times++;
		return 0;
	}
	user = kmalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return -ENOMEM;
	if (!p->wholes)
		rc = pin_holes(p, index, last);
	if (rc) {
		kfree(user);
		return rc;
	}
	user->times = 1;
	find_range(more, index, last, user);
	return 0;
}

/**
 * pinned_acquire() - Make sure every page of a range is pinned and stored
 * @p: pinned source, the caller holds no lock that is inside pinned_lock()
 * @index: first page
 * @last: last page, inclusive
 *
 * Pages that another user covers already are not pinned again. A source without pages has no users: then this is 0,
 * and pinned_release() does nothing.
 *
 * Return: 0, or with no page pinned -ENOMEM (also: over the limit), -EFAULT (nothing usable is mapped there), -EINVAL
 * (a file that has no such page), -EINTR (the caller is being killed), -EBUSY (its charges are being moved to another
 * process).
 */
int pinned_acquire(struct pinned *p, unsigned long index, unsigned long last)
{
	int rc;

	if (!pinned_has_pages(p))
		return 0;
	rc = pinned_lock_killable(p);
	if (rc)
		return rc;
	if (p->state & BIT(MOVING)) {
		rc = -EBUSY;
	} else if (last - index + 1 < pinned_npages(p)) {
		rc = acquire_part(p, index, last);
	} else {
		if (!p->wholes)
			rc = pin_holes(p, index, last);
		if (!rc)
			p->wholes++;
	}
	pinned_unlock(p);
	return rc;
}

/* True if nobody else has the same range */
static bool forget_user(struct pinned *p, unsigned long index, unsigned long last)
{
	struct pinned_more *more;
	struct pinned_user *user;

	if (last - index + 1 == pinned_npages(p))
		return !--p->wholes;
	more = to_more(p);
	user = more ? find_range(more, index, last, NULL) : NULL;
	if (WARN_ON(!user) || --user->times)
		return false;
	rb_erase_augmented_cached(&user->node.rb, &more->users, &user_lasts);
	kfree(user);
	return !p->wholes;
}

/**
 * pinned_release() - Undo pinned_acquire()
 * @p: pinned source
 * @index: first page, as it was acquired
 * @last: last page, inclusive, as it was acquired
 *
 * The caller made sure that no device reaches the pages through this range any more. Cannot fail.
 */
void pinned_release(struct pinned *p, unsigned long index, unsigned long last)
{
	if (!pinned_has_pages(p))
		return;
	pinned_lock(p);
	if (forget_user(p, index, last))
		unpin_holes(p, index, last);
	pinned_unlock(p);
}

static int move_charge(struct pinned_move *move, unsigned long npages)
{
	if (!move->same_limit)
		return pin_account_charge(&move->payer->account, npages);
	pin_account_show(&move->payer->account, npages);
	return 0;
}

static void move_uncharge(struct pinned_move *move, unsigned long npages)
{
	if (move->same_limit)
		pin_account_show(&move->payer->account, -npages);
	else
		pin_account_uncharge(&move->payer->account, npages);
}

static struct pinned_move *create_move(struct pinned *p, struct pin_payer *payer)
{
	struct pinned_move *move = kmalloc(sizeof(*move), GFP_KERNEL_ACCOUNT);

	if (!move)
		return NULL;
	move->p = p;
	move->payer = payer;
	move->npages = pinned_charged(p);
	move->same_limit = pin_account_same_limit(&p->payer->account, &payer->account);
	if (move_charge(move, move->npages)) {
		kfree(move);
		return NULL;
	}
	pin_payer_get(payer);
	pinned_get(p);
	return move;
}

/**
 * pinned_move_begin() - Charge the calling process for what another pays
 * @p: pinned source; until pinned_move_end() what it has may be released, but nothing may be pinned
 * @payer: the calling process
 * @moves: list that it is added to, unless it has been already
 *
 * Return: 0; or with nothing changed -EINVAL if the source is not a file; -ENOMEM (also: over the limit); -EINTR.
 */
int pinned_move_begin(struct pinned *p, struct pin_payer *payer, struct list_head *moves)
{
	struct pinned_move *move;
	int rc;

	if (!pinned_is_file(p))
		return -EINVAL;
	rc = pinned_lock_killable(p);
	if (rc)
		return rc;
	if (!(p->state & BIT(MOVING))) {
		move = create_move(p, payer);
		if (move) {
			set_bit(MOVING, &p->state);
			list_add_tail(&move->entry, moves);
		} else {
			rc = -ENOMEM;
		}
	}
	pinned_unlock(p);
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
	unsigned long charged;
	struct pinned *p;

	list_for_each_entry_safe(move, next, moves, entry) {
		p = move->p;
		pinned_lock(p);
		clear_bit(MOVING, &p->state);
		if (commit) {
			/* What was released in between has been uncharged from the other one only */
			charged = pinned_charged(p);
			move_uncharge(move, move->npages - charged);
			swap(p->payer, move->payer);
			move->npages = charged;
		}
		move_uncharge(move, move->npages);
		pinned_unlock(p);

		pin_payer_put(move->payer);
		pinned_put(p);
		kfree(move);
		cond_resched();
	}
	INIT_LIST_HEAD(moves);
}

/**
 * pinned_runs() - Runs of physically contiguous pages that start at an index
 * @p: pinned source; a dma-buf is one run, of memory of a device
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
	void *more = READ_ONCE(p->more);
	unsigned long n = last - index + 1;

	/* The user that stays keeps this true, though it may be stored elsewhere a moment later */
	if (xa_is_value(more) || !pinned_has_pages(p)) {
		runs->pfn = index + (xa_is_value(more) ? xa_to_value(more) : pinned_dmabuf(p)->pfn);
		runs->npages = n;
		*num = 1;
		return n;
	}
	pinned_lock(p);
	n = pin_store_runs(&to_more(p)->store, index, last, runs, max, num);
	pinned_unlock(p);
	return n;
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
	struct page_run run = { };
	unsigned int num;

	pinned_runs(p, index, last, &run, 1, &num);
	*pfn = run.pfn;
	return run.npages;
}

static void add_run(struct pinned_tally *tally, unsigned long pfn, unsigned long npages)
{
	tally->pages += npages;
	tally->runs += pfn != tally->next_pfn;
	tally->next_pfn = pfn + npages;
}

/* What a user covers from @index on, up to @last, for a while; @index ends up behind it */
static void tally_user(struct pinned *p, unsigned long *index, unsigned long last, struct pinned_tally *tally)
{
	struct page_run runs[SMALL_BATCH] __uninitialized;
	unsigned int rounds = 4;
	struct interval_tree_node *node;
	unsigned int num, i;

	if (!p->wholes) {
		node = interval_tree_iter_first(users_of(p), *index, last);
		if (!node) {
			*index = last + 1;
			return;
		}
		if (node->start > *index) {
			*index = node->start;
			tally->next_pfn = 0;
		}
		last = min(last, node->last);
	}
	while (*index <= last && rounds--) {
		*index += pin_store_runs(&to_more(p)->store, *index, last, runs, SMALL_BATCH, &num);
		for (i = 0; i < num; i++)
			add_run(tally, runs[i].pfn, runs[i].npages);
	}
}

/**
 * pinned_tally() - Count pages that are pinned
 * @p: pinned source
 * @index: in: first page to look at; out: behind the last one that was looked at, which is not always @last
 * @last: last page to look at, inclusive
 * @tally: they are added to it
 *
 * Waits for nobody, and looks at a few dozen runs at most.
 *
 * Return: true; false if others work on what is pinned of @p, with nothing counted.
 */
bool pinned_tally(struct pinned *p, unsigned long *index, unsigned long last, struct pinned_tally *tally)
{
	void *more = READ_ONCE(p->more);

	/* All of it is pinned then, though another moment it may not be */
	if (xa_is_value(more))
		add_run(tally, xa_to_value(more) + *index, last - *index + 1);
	if (xa_is_value(more) || !pinned_has_pages(p)) {
		*index = last + 1;
		return true;
	}
	if (!pinned_trylock(p))
		return false;
	/* Where it became one run just now, the next call sees it */
	if (!is_run(p))
		tally_user(p, index, last, tally);
	pinned_unlock(p);
	return true;
}

/* Where a page is if somebody has pinned it */
static bool find_page(struct pinned *p, unsigned long index, unsigned long *pfn)
{
	struct rb_root_cached *users = users_of(p);
	struct page_run run;
	unsigned int num;

	if (!p->wholes && !interval_tree_iter_first(users, index, index))
		return false;
	if (is_run(p)) {
		*pfn = xa_to_value(p->more) + index;
		return true;
	}
	if (!pin_store_runs(&to_more(p)->store, index, index, &run, 1, &num))
		return false;
	*pfn = run.pfn;
	return true;
}

/* Copy within one page; false if nobody has pinned it, so that it must be looked for where it comes from */
static bool copy_pinned(struct pinned *p, u64 byte, void *buf, size_t length, bool write)
{
	unsigned long pfn;
	bool covered;
	void *page;

	pinned_lock(p);
	covered = find_page(p, byte >> PAGE_SHIFT, &pfn);
	if (covered) {
		page = kmap_local_page(pfn_to_page(pfn)) + offset_in_page(byte);
		if (write)
			memcpy(page, buf, length);
		else
			memcpy(buf, page, length);
		kunmap_local(page);
	}
	pinned_unlock(p);
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
	struct pin_source user, *source = source_of(p, &user);
	size_t part;
	int rc = 0;

	for (; length && !rc; length -= part) {
		part = min_t(size_t, length, PAGE_SIZE - offset_in_page(byte));
		if (!copy_pinned(p, byte, buf, part, write))
			rc = pin_source_copy(source, byte, buf, part, write, remote);
		byte += part;
		buf += part;
		cond_resched();
	}
	return rc;
}

/**
 * pinned_cache_create() - Get ready for sources
 *
 * Return: 0 or -ENOMEM.
 */
int __init pinned_cache_create(void)
{
	BUILD_BUG_ON(sizeof(struct pinned) > 128);
	pinned_cache = kmem_cache_create("iommufd_pinned", sizeof(struct pinned), 0, SLAB_ACCOUNT, NULL);
	return pinned_cache ? 0 : -ENOMEM;
}

/**
 * pinned_cache_destroy() - Undo pinned_cache_create()
 */
void pinned_cache_destroy(void)
{
	kmem_cache_destroy(pinned_cache);
}
