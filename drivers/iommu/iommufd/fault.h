/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_FAULT_H
#define __IOMMUFD_FAULT_H

#include <linux/err.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "ctx.h"

struct iommu_fault_group;

/**
 * struct iommufd_fault - A queue of page requests, and those of them that user space works on
 * @obj: its id; the file links it, and so does every page table that uses it
 * @ictx: context it belongs to; the file holds a reference
 * @mutex: covers @given and @next_cookie; held from a group's leaving @waiting until it is in @given or answered
 * @given: groups that were read and not answered, by cookie
 * @next_cookie: where to look for a free cookie; numbers come back late, so that an answer too many meets nothing
 * @lock: covers what follows; innermost
 * @waiting: groups that were not read yet, oldest first
 * @num_waiting: groups in @waiting
 * @count: groups in @waiting and @given
 * @total: groups that were ever taken
 * @closed: nobody can read any more
 * @wait: woken when there is something to read
 */
struct iommufd_fault {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct mutex mutex;	/* given and next_cookie */
	struct xarray given;
	u32 next_cookie;
	spinlock_t lock;	/* waiting, what is counted, and closed */
	struct list_head waiting;
	unsigned int num_waiting;
	unsigned int count;
	u64 total;
	bool closed;
	wait_queue_head_t wait;
};

extern const struct iommufd_object_ops iommufd_fault_ops;

static inline struct iommufd_fault *iommufd_get_fault(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_object_get(&ictx->objs, id, &iommufd_fault_ops);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct iommufd_fault, obj);
}

void iommufd_fault_init(struct iommufd_fault *fault);
bool iommufd_fault_take(struct iommufd_fault *fault, struct iommu_fault_group *fg, const void *owner, u32 dev_id);
void iommufd_fault_flush(struct iommufd_fault *fault, const void *owner);
ssize_t iommufd_fault_read(struct iommufd_fault *fault, char __user *buf, size_t count);
ssize_t iommufd_fault_write(struct iommufd_fault *fault, const char __user *buf, size_t count);

int iommufd_ioctl_fault_queue_alloc(struct iommufd_ucmd *ucmd);

#endif
