/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PINNED_H
#define __IOMMUFD_PINNED_H

#include <linux/interval_tree.h>
#include <linux/refcount.h>

#include "pin_account.h"
#include "pin_source.h"
#include "pin_store.h"

struct page_run;
struct pin_payer;
struct pinned_more;

/* Bytes that a source keeps free for whoever made it */
#define PINNED_ROOM 88

/**
 * struct pinned - One source of pages and what is pinned of it
 * @refs: areas that were made from it
 * @wholes: how many users cover all of it; covered by pinned_lock()
 * @state: how many pages it has, above a few bits: the lock is one of them
 * @uaddr: address of its first page, when it is memory of a process
 * @payer: who pays, and the process whose memory it is; covered by pinned_lock()
 * @more: what most sources do not need, see &struct pinned_more; or the PFN of its first page as a value entry, when
 *	  only @wholes cover it and it is one run; or NULL. Covered by pinned_lock()
 * @room: for the area that was made first
 *
 * There is one of these for each mapping, of which there may be a million. So whatever can be found elsewhere is not
 * kept here, and the whole has 128 bytes.
 */
struct pinned {
	refcount_t refs;
	unsigned int wholes;
	unsigned long state;
	unsigned long uaddr;
	struct pin_payer *payer;
	void *more;
	unsigned long room[PINNED_ROOM / sizeof(unsigned long)];
};

/**
 * struct pinned_tally - Pages that are pinned, and how they lie
 * @pages: how many
 * @runs: in how many runs of physically contiguous pages
 * @next_pfn: what would make the last run longer, 0 for nothing
 */
struct pinned_tally {
	unsigned long pages;
	unsigned long runs;
	unsigned long next_pfn;
};

extern unsigned long pinned_max_batch;

struct pinned *pinned_alloc_user(unsigned long uaddr, unsigned long npages, bool writable, struct pin_payer *payer);
struct pinned *pinned_alloc_file(struct file *file, pgoff_t first, unsigned long npages, bool writable,
				 struct pin_payer *payer);
struct pinned *pinned_alloc_dmabuf(struct dma_buf *dmabuf, unsigned long first, unsigned long npages, bool writable);
void pinned_get(struct pinned *p);
void pinned_put(struct pinned *p);
void pinned_lock(struct pinned *p);
void pinned_unlock(struct pinned *p);
bool pinned_writable(struct pinned *p);
bool pinned_has_pages(struct pinned *p);
bool pinned_is_file(struct pinned *p);
bool pinned_is_empty(struct pinned *p);
unsigned long pinned_charged(struct pinned *p);
struct pin_dmabuf *pinned_dmabuf(struct pinned *p);
int pinned_user_address(struct pinned *p, u64 byte, struct mm_struct **mm, unsigned long *uaddr);
int pinned_acquire(struct pinned *p, unsigned long index, unsigned long last);
void pinned_release(struct pinned *p, unsigned long index, unsigned long last);
bool pinned_tally(struct pinned *p, unsigned long *index, unsigned long last, struct pinned_tally *tally);
int pinned_copy(struct pinned *p, u64 byte, void *buf, size_t length, bool write, bool remote);
int pinned_move_begin(struct pinned *p, struct pin_payer *payer, struct list_head *moves);
void pinned_move_end(struct list_head *moves, bool commit);
unsigned long pinned_run(struct pinned *p, unsigned long index, unsigned long last, unsigned long *pfn);
unsigned long pinned_runs(struct pinned *p, unsigned long index, unsigned long last, struct page_run *runs,
			  unsigned int max, unsigned int *num);
int pinned_cache_create(void);
void pinned_cache_destroy(void);

#endif
