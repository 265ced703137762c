// SPDX-License-Identifier: GPL-2.0-only
/*
 * lockdep - the lock order, taken once
 *
 *	access->move			an emulated device moves
 *	    access->rwsem		it pins or copies
 *	noiommu->move			a device without an IOMMU moves
 *	ictx->change_lock		all of a context's charges move: space.rwsem of one IOAS after the other
 *	ioas->auto_lock			attach to an IOAS: find or make a page table
 *	    map->fill_rwsem		a page table comes or goes (W); map, unmap, pin (R, without auto_lock)
 *	    | igroup->lock		attach and detach
 *	        fault->mutex		page requests are given and answered; an attachment ends (not in fill_rwsem)
 *	            mmap_lock		giving them
 *	        space.rwsem		claims and reservations, for short
 *	            pinned_lock	pages come and go
 *	                mmap_lock	pinning; telling user space what an attach is going to use
 *	        dma_resv		a dma-buf area comes or goes; its exporter takes it back (nothing outside)
 *
 * The first four are never held together, and neither are fill_rwsem and igroup->lock. Lockdep remembers the order
 * from here on, so the first call that takes two of these locks the other way round is reported, and not only the
 * first deadlock.
 */
#include <linux/dma-resv.h>
#include <linux/init.h>
#include <linux/mm_types.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "access.h"
#include "ctx.h"
#include "fault.h"
#include "group.h"
#include "ioas.h"
#include "lockdep.h"
#include "noiommu.h"
#include "pinned.h"

struct lock_order {
	struct iommufd_ctx ictx;
	struct iommufd_access access;
	struct iommufd_ioas ioas;
	struct iommufd_group igroup;
	struct iommufd_fault fault;
	struct iommufd_noiommu ndev;
	struct pinned pinned;
	struct dma_resv resv;
};

static void take_inner(struct lock_order *order, struct mm_struct *mm)
{
	down_write(&order->ioas.map.space.rwsem);
	pinned_lock(&order->pinned);
	mmap_write_lock(mm);
	mmap_write_unlock(mm);
	pinned_unlock(&order->pinned);
	up_write(&order->ioas.map.space.rwsem);
}

static void take_fill(struct lock_order *order, struct mm_struct *mm)
{
	down_write(&order->ioas.map.fill_rwsem);
	take_inner(order, mm);
	dma_resv_lock(&order->resv, NULL);
	dma_resv_unlock(&order->resv);
	up_write(&order->ioas.map.fill_rwsem);
}

/**
 * iommufd_lockdep_init() - Teach lockdep the order above
 */
void __init iommufd_lockdep_init(void)
{
	struct lock_order *order = kzalloc(sizeof(*order), GFP_KERNEL);
	struct mm_struct *mm = mm_alloc();

	if (order && mm) {
		iommufd_ctx_init(&order->ictx);
		iommufd_access_init(&order->access);
		iommufd_ioas_init(&order->ioas);
		iommufd_group_init(&order->igroup);
		iommufd_fault_init(&order->fault);
		iommufd_noiommu_init(&order->ndev);
		dma_resv_init(&order->resv);

		mutex_lock(&order->ictx.change_lock);
		take_inner(order, mm);
		mutex_unlock(&order->ictx.change_lock);

		mutex_lock(&order->access.move);
		down_write(&order->access.rwsem);
		take_fill(order, mm);
		up_write(&order->access.rwsem);
		mutex_unlock(&order->access.move);

		mutex_lock(&order->ndev.move);
		take_fill(order, mm);
		mutex_unlock(&order->ndev.move);

		mutex_lock(&order->ioas.auto_lock);
		take_fill(order, mm);
		mutex_lock(&order->igroup.lock);
		take_inner(order, mm);
		mutex_lock(&order->fault.mutex);
		mmap_write_lock(mm);
		mmap_write_unlock(mm);
		mutex_unlock(&order->fault.mutex);
		mutex_unlock(&order->igroup.lock);
		mutex_unlock(&order->ioas.auto_lock);
	}
	if (mm)
		mmput(mm);
	kfree(order);
}
