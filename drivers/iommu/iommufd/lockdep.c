// SPDX-License-Identifier: GPL-2.0-only
/*
 * lockdep - the lock order, taken once
 *
 *	ioas->auto_lock			attach to an IOAS: find or make a page table
 *	    map->fill_rwsem		a page table comes or goes (W); map and unmap (R, without auto_lock)
 *	    | igroup->lock		attach and detach
 *	        space.rwsem		claims and reservations, for short
 *	            pinned->mutex	pages come and go
 *	                mmap_lock	pinning; telling user space what an attach is going to use
 *
 * fill_rwsem and igroup->lock are never held together. Lockdep remembers the order from here on, so the first call
 * that takes two of these locks the other way round is reported, and not only the first deadlock.
 */
#include <linux/init.h>
#include <linux/mm_types.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "group.h"
#include "ioas.h"
#include "lockdep.h"
#include "pinned.h"

struct lock_order {
	struct iommufd_ioas ioas;
	struct iommufd_group igroup;
	struct pinned pinned;
};

static void take_inner(struct lock_order *order, struct mm_struct *mm)
{
	down_write(&order->ioas.map.space.rwsem);
	mutex_lock(&order->pinned.mutex);
	mmap_write_lock(mm);
	mmap_write_unlock(mm);
	mutex_unlock(&order->pinned.mutex);
	up_write(&order->ioas.map.space.rwsem);
}

/**
 * iommufd_lockdep_init() - Teach lockdep the order above
 */
void __init iommufd_lockdep_init(void)
{
	struct lock_order *order = kzalloc(sizeof(*order), GFP_KERNEL);
	struct mm_struct *mm = mm_alloc();

	if (order && mm) {
		iommufd_ioas_init(&order->ioas);
		iommufd_group_init(&order->igroup);
		pinned_init(&order->pinned, 1);

		mutex_lock(&order->ioas.auto_lock);
		down_write(&order->ioas.map.fill_rwsem);
		take_inner(order, mm);
		up_write(&order->ioas.map.fill_rwsem);
		mutex_lock(&order->igroup.lock);
		take_inner(order, mm);
		mutex_unlock(&order->igroup.lock);
		mutex_unlock(&order->ioas.auto_lock);
	}
	if (mm)
		mmput(mm);
	kfree(order);
}
