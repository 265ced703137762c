/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PINNED_H
#define __IOMMUFD_PINNED_H

#include <linux/interval_tree.h>
#include <linux/mutex.h>
#include <linux/refcount.h>

#include "pin_account.h"
#include "pin_source.h"
#include "pin_store.h"

/**
 * struct pinned - One source of pages and what is pinned of it
 * @refs: areas that were made from it
 * @mutex: covers @users, @npinned, @store, @account and @moving
 * @users: page ranges that must be pinned now; they may overlap
 * @npinned: how many pages are charged
 * @store: PFNs of the pages that @users cover
 * @source: where pages come from
 * @account: who pays
 * @moving: another process is about to pay
 */
struct pinned {
	refcount_t refs;
	struct mutex mutex;	/* what is pinned, and who pays */
	struct rb_root_cached users;
	unsigned long npinned;
	struct pin_store store;
	struct pin_source source;
	struct pin_account account;
	bool moving;
};

extern unsigned long pinned_max_batch;

void pinned_init(struct pinned *p, unsigned long npages);
struct pinned *pinned_alloc_user(unsigned long uaddr, unsigned long npages, bool writable, enum pin_account_mode mode);
struct pinned *pinned_alloc_file(struct file *file, pgoff_t first, unsigned long npages, bool writable,
				 enum pin_account_mode mode);
struct pinned *pinned_alloc_dmabuf(struct dma_buf *dmabuf, unsigned long first, unsigned long npages, bool writable);
void pinned_get(struct pinned *p);
void pinned_put(struct pinned *p);
bool pinned_writable(struct pinned *p);
bool pinned_has_pages(struct pinned *p);
bool pinned_is_file(struct pinned *p);
struct pin_dmabuf *pinned_dmabuf(struct pinned *p);
int pinned_user_address(struct pinned *p, u64 byte, struct mm_struct **mm, unsigned long *uaddr);
int pinned_acquire(struct pinned *p, struct interval_tree_node *user);
void pinned_release(struct pinned *p, struct interval_tree_node *user);
void pinned_split(struct pinned *p, struct interval_tree_node *user, struct interval_tree_node *upper,
		  unsigned long last);
int pinned_copy(struct pinned *p, u64 byte, void *buf, size_t length, bool write, bool remote);
int pinned_move_begin(struct pinned *p, enum pin_account_mode mode, struct list_head *moves);
void pinned_move_end(struct list_head *moves, bool commit);
unsigned long pinned_run(struct pinned *p, unsigned long index, unsigned long last, unsigned long *pfn);
unsigned long pinned_runs(struct pinned *p, unsigned long index, unsigned long last, struct page_run *runs,
			  unsigned int max, unsigned int *num);

#endif
