// SPDX-License-Identifier: GPL-2.0-only
/*
 * write_watch - what virtual CPUs write to memory that is known by its address in the process
 *
 * A device that shadows tables in the memory of a guest wants to know when the guest writes to them. It knows them by
 * the addresses of its DMA. These are not the guest's physical addresses, which KVM's page tracking takes: a virtual
 * IOMMU may be between the two, and the process says what is where. Both lead to an address in the process, so that
 * is what a page is watched by: every memory slot that it is in, at whatever guest-physical address, and those that
 * come.
 *
 * Seen are the writes of virtual CPUs. What the process writes itself, or lets a device write, is not.
 *
 * A slot that a watched page is in counts it, from before the virtual CPUs see the slot; so slots that go need no
 * thought. Locking: kvm->slots_lock keeps that true, for pages that come and go and for slots that come.
 */
#include <linux/kvm_host.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <asm/kvm_page_track.h>
#include <asm/kvm_write_watch.h>

static void count_in_slot(struct kvm *kvm, struct kvm_memory_slot *slot, unsigned long uaddr, bool add)
{
	gfn_t gfn = slot->base_gfn + ((uaddr - slot->userspace_addr) >> PAGE_SHIFT);

	write_lock(&kvm->mmu_lock);
	if (add)
		kvm_slot_page_track_add_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
	else
		kvm_slot_page_track_remove_page(kvm, slot, gfn, KVM_PAGE_TRACK_WRITE);
	write_unlock(&kvm->mmu_lock);
}

/* In all slots that a page is in; slots are page aligned in the process */
static void count_in_slots(struct kvm *kvm, unsigned long uaddr, bool add)
{
	struct interval_tree_node *node;
	struct kvm_memory_slot *slot;
	struct kvm_memslots *slots;
	int i;

	lockdep_assert_held(&kvm->slots_lock);
	for (i = 0; i < KVM_ADDRESS_SPACE_NUM; i++) {
		slots = __kvm_memslots(kvm, i);
		for (node = interval_tree_iter_first(&slots->hva_tree, uaddr, uaddr); node;
		     node = interval_tree_iter_next(node, uaddr, uaddr)) {
			slot = container_of(node, struct kvm_memory_slot, hva_node[slots->node_idx]);
			count_in_slot(kvm, slot, uaddr, add);
		}
	}
}

static void watch_write(struct kvm_vcpu *vcpu, gpa_t gpa, const u8 *new, int bytes,
			struct kvm_page_track_notifier_node *node)
{
	struct kvm_write_watch *watch = container_of(node, struct kvm_write_watch, node);
	unsigned long uaddr = kvm_vcpu_gfn_to_hva(vcpu, gpa_to_gfn(gpa));

	if (!kvm_is_error_hva(uaddr) && xa_load(&watch->pages, uaddr >> PAGE_SHIFT))
		watch->written(watch, uaddr + offset_in_page(gpa), new, bytes);
}

static void watch_new_slot(struct kvm_write_watch *watch, struct kvm_memory_slot *slot)
{
	unsigned long first = slot->userspace_addr >> PAGE_SHIFT;
	unsigned long page;
	void *entry;

	xa_for_each_range(&watch->pages, page, entry, first, first + slot->npages - 1)
		count_in_slot(watch->kvm, slot, page << PAGE_SHIFT, true);
}

/**
 * kvm_write_watch_new_slot() - A memory slot comes, or comes to another place
 * @kvm: the virtual machine, its slots_lock held
 * @slot: the slot, which no virtual CPU sees yet
 */
void kvm_write_watch_new_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct kvm_page_track_notifier_head *head = &kvm->arch.track_notifier_head;
	struct kvm_page_track_notifier_node *node;
	int idx;

	lockdep_assert_held(&kvm->slots_lock);
	idx = srcu_read_lock(&head->track_srcu);
	hlist_for_each_entry_srcu(node, &head->track_notifier_list, node, srcu_read_lock_held(&head->track_srcu))
		if (node->track_write == watch_write)
			watch_new_slot(container_of(node, struct kvm_write_watch, node), slot);
	srcu_read_unlock(&head->track_srcu, idx);
}

/**
 * kvm_write_watch_start() - Begin to watch a virtual machine
 * @watch: zeroed, with @watch->written set
 * @kvm: the virtual machine; it stays until kvm_write_watch_stop()
 *
 * No page is watched yet.
 *
 * Return: 0, or -ENODEV if @kvm is going away.
 */
int kvm_write_watch_start(struct kvm_write_watch *watch, struct kvm *kvm)
{
	if (!kvm_get_kvm_safe(kvm))
		return -ENODEV;
	watch->kvm = kvm;
	xa_init(&watch->pages);
	watch->node.track_write = watch_write;
	kvm_page_track_register_notifier(kvm, &watch->node);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_write_watch_start);

/**
 * kvm_write_watch_stop() - Watch no page any more
 * @watch: started
 *
 * @watch->written has ended, and is not called again.
 */
void kvm_write_watch_stop(struct kvm_write_watch *watch)
{
	kvm_write_watch_remove(watch, 0, ULONG_MAX);
	kvm_page_track_unregister_notifier(watch->kvm, &watch->node);
	xa_destroy(&watch->pages);
	kvm_put_kvm(watch->kvm);
}
EXPORT_SYMBOL_GPL(kvm_write_watch_stop);

/**
 * kvm_write_watch_add() - Watch a page
 * @watch: started
 * @mm: the process
 * @uaddr: any address in the page
 *
 * The page need not be in a memory slot. The caller holds no lock of KVM, and may hold one under which it calls
 * kvm_write_watch_remove().
 *
 * Return: 0; -EXDEV if the virtual machine is not of that process; -EEXIST if the page is watched already; -ENOMEM.
 */
int kvm_write_watch_add(struct kvm_write_watch *watch, struct mm_struct *mm, unsigned long uaddr)
{
	struct kvm *kvm = watch->kvm;
	int rc;

	if (mm != kvm->mm)
		return -EXDEV;
	mutex_lock(&kvm->slots_lock);
	rc = xa_insert(&watch->pages, uaddr >> PAGE_SHIFT, xa_mk_value(1), GFP_KERNEL_ACCOUNT);
	if (!rc)
		count_in_slots(kvm, uaddr & PAGE_MASK, true);
	mutex_unlock(&kvm->slots_lock);
	return rc == -EBUSY ? -EEXIST : rc;
}
EXPORT_SYMBOL_GPL(kvm_write_watch_add);

/**
 * kvm_write_watch_remove() - Watch the pages of a range no more
 * @watch: started
 * @first: first address in the process
 * @last: last address, inclusive
 *
 * Pages that are not watched are passed over. @watch->written may still be running for one of the others.
 */
void kvm_write_watch_remove(struct kvm_write_watch *watch, unsigned long first, unsigned long last)
{
	struct kvm *kvm = watch->kvm;
	unsigned long page;
	void *entry;

	mutex_lock(&kvm->slots_lock);
	xa_for_each_range(&watch->pages, page, entry, first >> PAGE_SHIFT, last >> PAGE_SHIFT) {
		xa_erase(&watch->pages, page);
		count_in_slots(kvm, page << PAGE_SHIFT, false);
	}
	mutex_unlock(&kvm->slots_lock);
}
EXPORT_SYMBOL_GPL(kvm_write_watch_remove);
