/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watching what virtual CPUs write to memory that is known by its address in the process
 */
#ifndef _ASM_X86_KVM_WRITE_WATCH_H
#define _ASM_X86_KVM_WRITE_WATCH_H

#include <linux/types.h>
#include <linux/xarray.h>
#include <asm/kvm_page_track.h>

struct kvm;
struct kvm_memory_slot;
struct mm_struct;

/**
 * struct kvm_write_watch - Pages of a process whose virtual machine is being watched
 * @written: a virtual CPU has written @bytes to @uaddr, up to the end of the page at most; @new is what. Called on the
 *	     virtual CPU's thread, without locks. It may sleep, but may not wait for kvm_write_watch_stop().
 * @kvm: the virtual machine, referenced
 * @node: for KVM
 * @pages: page number in the process of every page that is watched
 */
struct kvm_write_watch {
	void (*written)(struct kvm_write_watch *watch, unsigned long uaddr, const u8 *new, int bytes);
	struct kvm *kvm;
	struct kvm_page_track_notifier_node node;
	struct xarray pages;
};

int kvm_write_watch_start(struct kvm_write_watch *watch, struct kvm *kvm);
void kvm_write_watch_stop(struct kvm_write_watch *watch);
int kvm_write_watch_add(struct kvm_write_watch *watch, struct mm_struct *mm, unsigned long uaddr);
void kvm_write_watch_remove(struct kvm_write_watch *watch, unsigned long first, unsigned long last);

#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
void kvm_write_watch_new_slot(struct kvm *kvm, struct kvm_memory_slot *slot);
#else
static inline void kvm_write_watch_new_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
}
#endif

#endif
