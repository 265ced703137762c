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
 * @mutex: covers @users and @store
 * @users: page ranges that must be pinned now; they may overlap
 * @store: PFNs of the pages that @users cover
 * @source: where pages come from
 * @account: who pays
 */
struct pinned {
	refcount_t refs;
	struct mutex mutex;	/* users and store */
	struct rb_root_cached users;
	struct pin_store store;
	struct pin_source source;
	struct pin_account account;
};

void pinned_init(struct pinned *p, unsigned long npages);
struct pinned *pinned_alloc_user(unsigned long uaddr, unsigned long npages, bool writable, enum pin_account_mode mode);
struct pinned *pinned_alloc_file(struct file *file, pgoff_t first, unsigned long npages, bool writable,
				 enum pin_account_mode mode);
void pinned_put(struct pinned *p);
int pinned_acquire(struct pinned *p, struct interval_tree_node *user);
void pinned_release(struct pinned *p, struct interval_tree_node *user);
unsigned long pinned_run(struct pinned *p, unsigned long index, unsigned long last, unsigned long *pfn);

#endif
