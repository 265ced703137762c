// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach - one transaction for attach, replace and detach, with and without PASID
 *
 * What a call does depends on where the slot is, which is the group's place for one PASID, and on the device:
 *
 *	the slot is free				attach the group
 *	it is on this page table already		join, or nothing if the device has joined before
 *	it is on another, the device has joined		replace, for all of the group's devices
 *	it is on another, the device has not joined	refused: a sibling is in use
 *
 * Whatever may fail comes first: memory is taken, addresses that the group's devices reserve are reserved where the
 * address space differs, and the caller is told the page table. Then the core switches the hardware; it either
 * succeeds or leaves every device of the group on the old page table. What only the old one needed is dropped last,
 * and page requests that came by way of it and were not answered are answered as invalid.
 *
 * Locking: igroup->lock from the first look to the end. Inside it the core's group mutex; space.rwsem for short; and
 * fault->mutex.
 */
#include <linux/iommu.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "attach.h"
#include "fault.h"
#include "ioas.h"
#include "trace.h"

/* One attach or replace, igroup->lock held */
struct attach_txn {
	struct iommufd_member *member;
	ioasid_t pasid;
	struct iommufd_hwpt *hwpt;
	struct iommufd_slot *old;	/* what is attached, or NULL */
	struct iommufd_slot *new;	/* what is going to be; @old if that stays */
	bool joined;			/* the device is a member of @old */
	bool regions;			/* regions have been reserved for the time after the switch */
};

/* Reserve the regions of all devices of the group for the time after the switch, beside those of the time before */
static int begin_reserve(struct iommufd_ioas *ioas, struct iommufd_group *igroup)
{
	const void *owner = &igroup->owners[!igroup->owner];
	struct iommu_resv_region *region, *next;
	unsigned long last;
	LIST_HEAD(regions);
	int rc;

	rc = iommu_get_group_resv_regions(igroup->group, &regions);
	list_for_each_entry_safe(region, next, &regions, list) {
		if (rc || region->type == IOMMU_RESV_DIRECT_RELAXABLE || !region->length)
			;
		else if (check_add_overflow((unsigned long)region->start, region->length - 1, &last))
			rc = -EOVERFLOW;
		else
			rc = iommufd_ioas_reserve(ioas, owner, region->start, last);
		kfree(region);
	}
	if (rc)
		iommufd_ioas_unreserve(ioas, owner);
	return rc;
}

static void abort_reserve(struct iommufd_ioas *ioas, struct iommufd_group *igroup)
{
	iommufd_ioas_unreserve(ioas, &igroup->owners[!igroup->owner]);
}

/* What begin_reserve() reserved is in force; @old is the IOAS that the group came from, or NULL */
static void commit_reserve(struct iommufd_ioas *old, struct iommufd_group *igroup)
{
	if (old)
		iommufd_ioas_unreserve(old, &igroup->owners[igroup->owner]);
	igroup->owner = !igroup->owner;
}

/* Is any request with PASID of the group translated? */
static bool pasids_in_use(struct iommufd_group *igroup)
{
	unsigned long pasid = IOMMU_NO_PASID;

	return xa_find_after(&igroup->slots, &pasid, ULONG_MAX, XA_PRESENT);
}

/*
 * All page tables of a device that uses PASIDs are made for that, the one of its requests without PASID included: it
 * is reached by the same path of the hardware. The siblings' are as good as the device's own, since a group moves as
 * one.
 */
static int check_pasid_rules(struct attach_txn *txn)
{
	struct iommufd_group *igroup = txn->member->igroup;
	struct iommufd_slot *rid;

	if (txn->pasid == IOMMU_NO_PASID)
		return !txn->hwpt->pasid && pasids_in_use(igroup) ? -EINVAL : 0;
	if (!txn->hwpt->pasid || txn->pasid >= iommu_device_max_pasids(txn->member->dev))
		return -EINVAL;
	rid = xa_load(&igroup->slots, IOMMU_NO_PASID);
	return rid && !rid->hwpt->pasid ? -EINVAL : 0;
}

static int txn_check(struct attach_txn *txn, unsigned int how)
{
	if (txn->joined && (how & IOMMUFD_ATTACH_FIRST))
		return -EBUSY;
	if (!txn->joined && (how & IOMMUFD_ATTACH_REPLACE))
		return -EINVAL;
	if (txn->old && txn->old->hwpt != txn->hwpt && !txn->joined)
		return -EXDEV;
	return check_pasid_rules(txn);
}

/* Page requests come for a slot; a spinlock of the core is held */
static bool slot_take_faults(struct iommu_attach_handle *handle, struct iommu_fault_group *fg)
{
	struct iommufd_slot *slot = container_of(handle, struct iommufd_slot, handle);
	unsigned int num = fg->num;
	bool taken;

	/* Before: who has read a request finds it counted, and @fg is gone once that is answered */
	atomic64_add(num, &slot->igroup->page_requests);
	taken = iommufd_fault_take(slot->hwpt->fault, fg, slot, slot->dev_id);
	if (!taken)
		atomic64_sub(num, &slot->igroup->page_requests);
	return taken;
}

/* A slot that the core does not know, any more: what still waits for an answer from it gets one */
static void drop_slot(struct iommufd_slot *slot)
{
	if (slot->hwpt->fault)
		iommufd_fault_flush(slot->hwpt->fault, slot);
	kfree(slot);
}

/* Take all memory that txn_record() needs */
static int txn_alloc(struct attach_txn *txn)
{
	struct iommufd_slot *slot;
	int rc;

	if (!txn->joined) {
		rc = xa_reserve(&txn->member->joined, txn->pasid, GFP_KERNEL_ACCOUNT);
		if (rc)
			return rc;
	}
	if (txn->old && txn->old->hwpt == txn->hwpt) {
		txn->new = txn->old;
		return 0;
	}

	rc = xa_reserve(&txn->member->igroup->slots, txn->pasid, GFP_KERNEL_ACCOUNT);
	if (rc)
		return rc;
	slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);
	if (!slot)
		return -ENOMEM;
	slot->igroup = txn->member->igroup;
	slot->hwpt = txn->hwpt;
	slot->handle.domain = txn->hwpt->domain;
	slot->handle.parent = txn->hwpt->parent;
	slot->members = txn->old ? txn->old->members : 0;
	if (txn->hwpt->fault) {
		slot->handle.take_faults = slot_take_faults;
		slot->dev_id = txn->member->dev_id;
	}
	txn->new = slot;
	return 0;
}

/*
 * Requests with PASID have no reserved addresses: what firmware set up for a device is reached without one, and
 * 0xFEEx_xxxx is an interrupt only without one (VT-d 3.14, handling requests to the interrupt address range).
 *
 * A device that joins may have come after its siblings were attached, with regions of its own.
 */
static int txn_reserve(struct attach_txn *txn)
{
	int rc;

	if (txn->pasid != IOMMU_NO_PASID || (txn->joined && txn->old->hwpt->ioas == txn->hwpt->ioas))
		return 0;
	rc = begin_reserve(txn->hwpt->ioas, txn->member->igroup);
	txn->regions = !rc;
	return rc;
}

/* Not undone when the transaction fails: who asks in vain is told so, and the next attempt finds it enabled */
static int txn_enable_faults(struct attach_txn *txn)
{
	struct iommufd_member *member = txn->member;
	int rc;

	if (!txn->hwpt->fault || member->faults)
		return 0;
	rc = iommu_device_enable_faults(member->dev);
	member->faults = !rc;
	return rc;
}

/* The one place where the hardware changes: all of the group's devices or none */
static int txn_commit(struct attach_txn *txn)
{
	struct iommu_group *group = txn->member->igroup->group;

	if (!txn->old)
		return iommu_group_attach_handle(group, txn->pasid, &txn->new->handle);
	if (txn->old != txn->new)
		return iommu_group_replace_handle(group, txn->pasid, &txn->old->handle, &txn->new->handle);
	return 0;
}

static void txn_abort(struct attach_txn *txn)
{
	struct iommufd_group *igroup = txn->member->igroup;

	if (txn->regions)
		abort_reserve(txn->hwpt->ioas, igroup);
	if (txn->new && txn->new != txn->old)
		drop_slot(txn->new);
	/* These take back a place that is held; one that is in use they leave alone */
	xa_release(&igroup->slots, txn->pasid);
	xa_release(&txn->member->joined, txn->pasid);
}

/*
 * A slot has gone. Returns the page table that it was on, held busy so that it can be looked after once the lock is
 * dropped, or NULL where somebody destroys it already.
 */
static struct iommufd_hwpt *free_slot(struct iommufd_group *igroup, struct iommufd_slot *slot)
{
	struct iommufd_objects *objs = &igroup->ictx->objs;
	struct iommufd_hwpt *hwpt = slot->hwpt;
	struct iommufd_hwpt *left = iommufd_object_tryget(objs, &hwpt->obj) ? hwpt : NULL;

	drop_slot(slot);
	iommufd_object_unlink(objs, &hwpt->obj);
	return left;
}

/* Write down what txn_commit() did. Both entries have their place, so this needs no memory. */
static struct iommufd_hwpt *txn_record(struct attach_txn *txn)
{
	struct iommufd_group *igroup = txn->member->igroup;
	struct iommufd_hwpt *left = NULL;

	if (txn->regions)
		commit_reserve(txn->old ? txn->old->hwpt->ioas : NULL, igroup);
	if (!txn->joined) {
		xa_store(&txn->member->joined, txn->pasid, xa_mk_value(0), GFP_KERNEL);
		txn->new->members++;
	}
	if (txn->new != txn->old) {
		iommufd_object_link(&igroup->ictx->objs, &txn->hwpt->obj);
		xa_store(&igroup->slots, txn->pasid, txn->new, GFP_KERNEL);
		if (txn->old)
			left = free_slot(igroup, txn->old);
	}
	return left;
}

/**
 * iommufd_attach() - Make a device translate through a page table
 * @member: device
 * @pasid: requests with this PASID, or IOMMU_NO_PASID
 * @hwpt: page table, held busy by the caller
 * @how: 0, IOMMUFD_ATTACH_FIRST or IOMMUFD_ATTACH_REPLACE
 * @report: told the id of @hwpt before anything changes, may be NULL
 * @data: for @report
 * @left: out: page table that the group has left, or NULL; the caller passes it to iommufd_hwpt_unused() once it holds
 *	  no lock of an IOAS any more
 *
 * On error the device and its group are where they were, and translate as before.
 *
 * Return: 0; -EBUSY or -EINVAL if @how does not allow it; -EXDEV if a sibling of the group uses another page table;
 * -EINVAL if the page table does not fit a device, is not made for PASIDs where they are used, or the device cannot
 * send @pasid, or a page table with a fault queue meets a group of several devices; -EADDRINUSE if a region the group
 * reserves is mapped or promised; -EBUSY if the group's domain is in other hands or a device of it is being reset;
 * -EOPNOTSUPP if the driver cannot replace; -ENOSPC if the IOMMU takes no more page tables, or attachments of this one;
 * -ENOMEM; -EINTR; what @report says.
 */
int iommufd_attach(struct iommufd_member *member, ioasid_t pasid, struct iommufd_hwpt *hwpt, unsigned int how,
		   iommufd_report_fn report, void *data, struct iommufd_hwpt **left)
{
	struct attach_txn txn = { .member = member, .pasid = pasid, .hwpt = hwpt };
	struct iommufd_group *igroup = member->igroup;
	u64 begin = trace_begin_move();
	u32 from = 0;
	int rc;

	*left = NULL;
	rc = mutex_lock_killable(&igroup->lock);
	if (rc)
		return rc;
	txn.old = xa_load(&igroup->slots, pasid);
	if (txn.old && txn.old->hwpt != hwpt)
		from = txn.old->hwpt->obj.id;
	txn.joined = xa_load(&member->joined, pasid);

	rc = txn_check(&txn, how);
	if (rc)
		goto out;
	rc = txn_alloc(&txn);
	if (!rc)
		rc = txn_reserve(&txn);
	if (!rc)
		rc = txn_enable_faults(&txn);
	if (!rc && report)
		rc = report(data, hwpt->obj.id);
	if (!rc)
		rc = txn_commit(&txn);
	if (rc)
		txn_abort(&txn);
	else
		*left = txn_record(&txn);
out:
	mutex_unlock(&igroup->lock);
	trace_move(igroup->ictx->serial, member->dev_id, igroup->id, pasid, from, hwpt->obj.id, rc, begin);
	return rc;
}

/**
 * iommufd_is_attached() - Is a device attached?
 * @member: device
 * @pasid: requests with this PASID, or IOMMU_NO_PASID
 *
 * Return: true if it is; a sibling's attachment does not count.
 */
bool iommufd_is_attached(struct iommufd_member *member, ioasid_t pasid)
{
	return xa_load(&member->joined, pasid);
}

/**
 * iommufd_detach() - Undo iommufd_attach()
 * @member: device; one that is not attached is fine
 * @pasid: requests with this PASID, or IOMMU_NO_PASID
 *
 * With the last attached device the group is blocked. The caller holds no lock of a group or IOAS. Cannot fail; it
 * waits for a reset of a device of the group.
 */
void iommufd_detach(struct iommufd_member *member, ioasid_t pasid)
{
	struct iommufd_group *igroup = member->igroup;
	struct iommufd_hwpt *left = NULL;
	u64 begin = trace_begin(iommufd_detach);
	struct iommufd_slot *slot;
	u32 from = 0;

	mutex_lock(&igroup->lock);
	slot = xa_load(&igroup->slots, pasid);
	if (xa_erase(&member->joined, pasid)) {
		from = slot->hwpt->obj.id;
		slot->members--;
	}
	if (from && !slot->members) {
		/* The page table may be freed next: after this nothing of it is in use */
		iommu_group_detach_handle(igroup->group, pasid, &slot->handle);
		if (pasid == IOMMU_NO_PASID)
			commit_reserve(slot->hwpt->ioas, igroup);
		xa_erase(&igroup->slots, pasid);
		left = free_slot(igroup, slot);
	}
	mutex_unlock(&igroup->lock);
	if (left)
		iommufd_hwpt_unused(left);
	if (from)
		trace_iommufd_detach(igroup->ictx->serial, member->dev_id, igroup->id, pasid, from, 0, 0, begin);
}

/**
 * iommufd_detach_all() - Undo every iommufd_attach() of a device
 * @member: device that nobody attaches any more
 *
 * PASIDs go first: what they need of the device's entry in the IOMMU stays until they are gone. Otherwise as
 * iommufd_detach().
 */
void iommufd_detach_all(struct iommufd_member *member)
{
	unsigned long pasid;
	void *entry;

	xa_for_each_start(&member->joined, pasid, entry, IOMMU_NO_PASID + 1) {
		iommufd_detach(member, pasid);
		/* There may be a million */
		cond_resched();
	}
	iommufd_detach(member, IOMMU_NO_PASID);
}
