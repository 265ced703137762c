// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_mdev_watch - the mediated device for tests sees what virtual CPUs write to its memory
 *
 * What a driver does that shadows tables of its guest: it knows a page by the address of its DMA, finds where that
 * lies in the process, watches it there, and stops when it is told that the address goes.
 *
 * Locking: the device's lock around all calls; tw->lock covers what the virtual CPUs' threads write down.
 */
#include <linux/iommufd.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <asm/kvm_write_watch.h>

#include "test_mdev.h"
#include "test_mdev_watch.h"

/**
 * struct test_watch - The device watches
 * @watch: for KVM
 * @pages: struct watched_page
 * @lock: covers all below
 * @writes: how many were seen
 * @uaddr: where the last one was
 * @value: what it wrote
 */
struct test_watch {
	struct kvm_write_watch watch;
	struct list_head pages;
	spinlock_t lock;	/* what was seen */
	u32 writes;
	u64 uaddr;
	u64 value;
};

/**
 * struct watched_page - A page that is watched
 * @entry: in test_watch->pages
 * @iova: address by which the device knows it
 * @uaddr: where that lies in the process
 */
struct watched_page {
	struct list_head entry;
	u64 iova;
	unsigned long uaddr;
};

static void note_write(struct kvm_write_watch *watch, unsigned long uaddr, const u8 *new, int bytes)
{
	struct test_watch *tw = container_of(watch, struct test_watch, watch);

	spin_lock(&tw->lock);
	tw->writes++;
	tw->uaddr = uaddr;
	tw->value = 0;
	memcpy(&tw->value, new, min_t(size_t, bytes, sizeof(tw->value)));
	spin_unlock(&tw->lock);
}

/**
 * test_watch_start() - Watch a virtual machine
 * @kvm: the virtual machine that the device is part of, or NULL
 *
 * Return: for the other functions: NULL without a virtual machine, or ERR_PTR(-errno).
 */
struct test_watch *test_watch_start(struct kvm *kvm)
{
	struct test_watch *tw;
	int rc;

	if (!kvm)
		return NULL;
	tw = kzalloc(sizeof(*tw), GFP_KERNEL_ACCOUNT);
	if (!tw)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&tw->lock);
	INIT_LIST_HEAD(&tw->pages);
	tw->watch.written = note_write;
	rc = kvm_write_watch_start(&tw->watch, kvm);
	if (rc) {
		kfree(tw);
		return ERR_PTR(rc);
	}
	return tw;
}

/**
 * test_watch_forget() - A range of addresses goes
 * @tw: from test_watch_start(), or NULL
 * @first: first IOVA
 * @last: last IOVA, inclusive
 */
void test_watch_forget(struct test_watch *tw, u64 first, u64 last)
{
	struct watched_page *page, *next;

	if (!tw)
		return;
	list_for_each_entry_safe(page, next, &tw->pages, entry) {
		if (page->iova >= first && page->iova <= last) {
			kvm_write_watch_remove(&tw->watch, page->uaddr, page->uaddr);
			list_del(&page->entry);
			kfree(page);
		}
	}
}

/**
 * test_watch_stop() - Undo test_watch_start()
 * @tw: what that returned; freed
 */
void test_watch_stop(struct test_watch *tw)
{
	if (!tw)
		return;
	test_watch_forget(tw, 0, U64_MAX);
	kvm_write_watch_stop(&tw->watch);
	kfree(tw);
}

/**
 * test_watch_add() - Watch a page
 * @tw: from test_watch_start(), or NULL
 * @iova: address of the page
 * @at: where it lies in the process
 *
 * Return: 0; -ENODEV without a virtual machine; -ENOMEM; and as kvm_write_watch_add().
 */
int test_watch_add(struct test_watch *tw, u64 iova, const struct iommufd_user_address *at)
{
	struct watched_page *page;
	int rc;

	if (!tw)
		return -ENODEV;
	page = kzalloc(sizeof(*page), GFP_KERNEL_ACCOUNT);
	if (!page)
		return -ENOMEM;
	page->iova = iova;
	page->uaddr = at->uaddr;
	rc = kvm_write_watch_add(&tw->watch, at->mm, at->uaddr);
	if (rc)
		kfree(page);
	else
		list_add_tail(&page->entry, &tw->pages);
	return rc;
}

/**
 * test_watch_state() - What was seen
 * @tw: from test_watch_start(), or NULL
 * @state: out: the fields about writes
 */
void test_watch_state(struct test_watch *tw, struct test_mdev_state *state)
{
	if (!tw)
		return;
	spin_lock(&tw->lock);
	state->writes = tw->writes;
	state->write_uaddr = tw->uaddr;
	state->write_value = tw->value;
	spin_unlock(&tw->lock);
}
