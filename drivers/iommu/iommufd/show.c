// SPDX-License-Identifier: GPL-2.0-only
/*
 * show - what a context holds, as text for people and programs
 *
 * A line for each object, by id: its kind, then key=value. Numbers are decimal, values have no blanks, and what could
 * not be found out is left out. A line that stands for what is held by a lock at the moment says busy=1: nobody who
 * works waits for somebody who looks. Each line is true by itself; together they are a walk through a house in which
 * people move about.
 *
 * No address of the kernel is ever shown.
 *
 * Locking: an object is held busy while its line is written. Locks are tried, and held for a few lines at most.
 */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/iommu-runs.h>
#include <linux/iommufd.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "access.h"
#include "device.h"
#include "fault.h"
#include "hwpt_nested.h"
#include "hwpt_paging.h"
#include "ioas_stat.h"
#include "noiommu.h"
#include "show.h"
#include "viommu.h"

/* So many PASIDs of a device are looked at before its group may be moved again */
#define PASIDS_AT_ONCE	32

static void show_name(struct seq_file *m, struct device *dev)
{
	seq_puts(m, " name=");
	seq_escape(m, dev_name(dev), " \t\n\\");
}

static void show_ioas(struct iommufd_object *obj, struct seq_file *m)
{
	struct iommufd_ioas *ioas = container_of(obj, struct iommufd_ioas, obj);
	struct ioas_stat stat;

	ioas_stat_read(&ioas->map, &stat);
	seq_printf(m, "ioas:\tid=%u mapped=%llu areas=%llu", obj->id, stat.counts.mapped, stat.areas);
	if (stat.tally_known)
		seq_printf(m, " pinned=%llu runs=%lu", (u64)stat.tally.pages << PAGE_SHIFT, stat.tally.runs);
	if (stat.users_known)
		seq_printf(m, " tables=%u accesses=%u", stat.tables, stat.accesses);
	seq_printf(m, " maps=%llu unmaps=%llu pins=%llu\n", stat.counts.maps, stat.counts.unmaps,
		   stat.counts.pins);
}

static void show_leaves(struct iommu_domain *domain, struct seq_file *m)
{
	unsigned long sizes = domain->pgsize_bitmap;
	const char *before = " leaves=";
	unsigned long leaves;
	unsigned int bit;

	/* None at all may as well mean that the driver does not count */
	for_each_set_bit(bit, &sizes, BITS_PER_LONG) {
		leaves = iommu_domain_leaves(domain, BIT(bit));
		if (!leaves)
			continue;
		seq_printf(m, "%s%lu:%lu", before, BIT(bit), leaves);
		before = ",";
	}
}

static void show_fault_of(struct iommufd_hwpt *hwpt, struct seq_file *m)
{
	if (hwpt->fault)
		seq_printf(m, " fault=%u", hwpt->fault->obj.id);
}

static void show_hwpt_paging(struct iommufd_object *obj, struct seq_file *m)
{
	struct iommufd_hwpt *hwpt = container_of(obj, struct iommufd_hwpt, obj);

	seq_printf(m, "hwpt:\tid=%u ioas=%u type=paging auto=%u", obj->id, hwpt->ioas->obj.id,
		   !list_empty_careful(&hwpt->auto_entry));
	show_fault_of(hwpt, m);
	show_leaves(hwpt->domain, m);
	seq_putc(m, '\n');
}

static void show_hwpt_nested(struct iommufd_object *obj, struct seq_file *m)
{
	struct iommufd_hwpt *hwpt = container_of(obj, struct iommufd_hwpt, obj);
	struct iommufd_object *under = container_of(hwpt, struct iommufd_hwpt_nested, common)->under;
	struct iommufd_viommu *viommu = NULL;

	if (under->ops == &iommufd_viommu_ops)
		viommu = container_of(under, struct iommufd_viommu, obj);
	seq_printf(m, "hwpt:\tid=%u ioas=%u type=nested auto=0 parent=%u", obj->id, hwpt->ioas->obj.id,
		   viommu ? viommu->parent->common.obj.id : under->id);
	if (viommu)
		seq_printf(m, " viommu=%u", under->id);
	show_fault_of(hwpt, m);
	seq_putc(m, '\n');
}

static void show_fault(struct iommufd_object *obj, struct seq_file *m)
{
	struct iommufd_fault *fault = container_of(obj, struct iommufd_fault, obj);
	unsigned int waiting, count;
	u64 total;

	spin_lock(&fault->lock);
	waiting = fault->num_waiting;
	count = fault->count;
	total = fault->total;
	spin_unlock(&fault->lock);
	seq_printf(m, "fault:\tid=%u waiting=%u given=%u total=%llu\n", obj->id, waiting, count - waiting, total);
}

static void show_viommu(struct iommufd_object *obj, struct seq_file *m)
{
	struct iommufd_viommu *viommu = container_of(obj, struct iommufd_viommu, obj);

	seq_printf(m, "viommu:\tid=%u hwpt=%u\n", obj->id, viommu->parent->common.obj.id);
}

/* Some attachments of a device, from @pasid on; false if there are no more of them */
static bool show_some_attached(struct iommufd_member *member, unsigned long *pasid, struct seq_file *m)
{
	struct iommufd_group *igroup = member->igroup;
	unsigned int left = PASIDS_AT_ONCE;
	struct iommufd_slot *slot;
	void *entry;

	if (!mutex_trylock(&igroup->lock)) {
		seq_printf(m, "attach:\tdevice=%u busy=1\n", member->dev_id);
		return false;
	}
	entry = xa_find(&member->joined, pasid, ULONG_MAX, XA_PRESENT);
	while (entry && left--) {
		slot = xa_load(&igroup->slots, *pasid);
		seq_printf(m, "attach:\tdevice=%u pasid=", member->dev_id);
		if (*pasid == IOMMU_NO_PASID)
			seq_puts(m, "none");
		else
			seq_printf(m, "%lu", *pasid);
		seq_printf(m, " hwpt=%u\n", slot->hwpt->obj.id);
		entry = xa_find_after(&member->joined, pasid, ULONG_MAX, XA_PRESENT);
	}
	mutex_unlock(&igroup->lock);
	return entry;
}

/**
 * iommufd_device_show() - A bound device and what it is attached to, as in fdinfo of its context
 * @idev: device that stays bound during the call
 * @m: where to
 *
 * Waits for no lock.
 */
void iommufd_device_show(struct iommufd_device *idev, struct seq_file *m)
{
	struct iommufd_member *member = &idev->member;
	unsigned long pasid = IOMMU_NO_PASID;
	u64 dma_faults;

	seq_printf(m, "device:\tid=%u", idev->obj.id);
	show_name(m, member->dev);
	seq_printf(m, " group=%d faults=%llu", member->igroup->id, iommufd_member_page_requests(member));
	if (!iommufd_device_dma_faults(idev, &dma_faults))
		seq_printf(m, " dma_faults=%llu", dma_faults);
	seq_putc(m, '\n');
	while (!seq_has_overflowed(m) && show_some_attached(member, &pasid, m))
		cond_resched();
}
EXPORT_SYMBOL_GPL(iommufd_device_show);

static void show_device(struct iommufd_object *obj, struct seq_file *m)
{
	iommufd_device_show(container_of(obj, struct iommufd_device, obj), m);
}

/**
 * iommufd_access_show() - An emulated device and what it is attached to, as in fdinfo of its context
 * @access: access that is not destroyed during the call
 * @m: where to
 *
 * Waits for no lock.
 */
void iommufd_access_show(struct iommufd_access *access, struct seq_file *m)
{
	seq_printf(m, "access:\tid=%u", access->obj.id);
	if (!down_read_trylock(&access->rwsem)) {
		seq_puts(m, " busy=1\n");
		return;
	}
	if (access->home)
		seq_printf(m, " ioas=%u", access->home->obj.id);
	up_read(&access->rwsem);
	seq_putc(m, '\n');
}
EXPORT_SYMBOL_GPL(iommufd_access_show);

static void show_access(struct iommufd_object *obj, struct seq_file *m)
{
	iommufd_access_show(container_of(obj, struct iommufd_access, obj), m);
}

/**
 * iommufd_noiommu_show() - A device without an IOMMU and what it is attached to, as in fdinfo of its context
 * @ndev: device that stays bound during the call
 * @m: where to
 *
 * Waits for no lock.
 */
void iommufd_noiommu_show(struct iommufd_noiommu *ndev, struct seq_file *m)
{
	u32 ioas_id;

	seq_printf(m, "noiommu:\tid=%u", ndev->obj.id);
	show_name(m, ndev->dev);
	if (iommufd_noiommu_ioas_id(ndev, &ioas_id))
		seq_puts(m, " busy=1");
	else if (ioas_id)
		seq_printf(m, " ioas=%u", ioas_id);
	seq_putc(m, '\n');
}
EXPORT_SYMBOL_GPL(iommufd_noiommu_show);

static void show_noiommu(struct iommufd_object *obj, struct seq_file *m)
{
	iommufd_noiommu_show(container_of(obj, struct iommufd_noiommu, obj), m);
}

static const struct {
	const struct iommufd_object_ops *ops;
	void (*show)(struct iommufd_object *obj, struct seq_file *m);
} kinds[] = {
	{ &iommufd_ioas_ops,		show_ioas },
	{ &iommufd_hwpt_paging_ops,	show_hwpt_paging },
	{ &iommufd_hwpt_nested_ops,	show_hwpt_nested },
	{ &iommufd_device_ops,		show_device },
	{ &iommufd_access_object_ops,	show_access },
	{ &iommufd_fault_ops,		show_fault },
	{ &iommufd_viommu_ops,		show_viommu },
	{ &iommufd_noiommu_ops,		show_noiommu },
};

static void show_object(struct iommufd_object *obj, struct seq_file *m)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (obj->ops == kinds[i].ops)
			kinds[i].show(obj, m);
}

/**
 * iommufd_ctx_show() - The line that tells which context a device belongs to
 * @ictx: context
 * @m: where to
 */
void iommufd_ctx_show(struct iommufd_ctx *ictx, struct seq_file *m)
{
	seq_printf(m, "iommufd:\tcontext=%llu\n", ictx->serial);
}
EXPORT_SYMBOL_GPL(iommufd_ctx_show);

/**
 * iommufd_show_objects() - All of a context
 * @ictx: context that is not destroyed during the call
 * @m: where to
 */
void iommufd_show_objects(struct iommufd_ctx *ictx, struct seq_file *m)
{
	static const char * const modes[] = {
		[PIN_ACCOUNT_USER]	= "user",
		[PIN_ACCOUNT_PROCESS]	= "process",
		[PIN_ACCOUNT_NONE]	= "none",
	};
	struct iommufd_object *obj;
	u32 id = 0;

	seq_printf(m, "iommufd:\tversion=1 context=%llu account=%s objects=%lu\n", ictx->serial,
		   modes[iommufd_ctx_account_mode(ictx)], iommufd_objects_count(&ictx->objs));
	/* What is too much for the buffer is written again from the beginning, to a larger one */
	while (!seq_has_overflowed(m) && !fatal_signal_pending(current)) {
		obj = iommufd_object_next(&ictx->objs, id);
		if (!obj)
			break;
		id = obj->id + 1;
		show_object(obj, m);
		iommufd_object_put(&ictx->objs, obj);
		cond_resched();
	}
}
