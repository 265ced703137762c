// SPDX-License-Identifier: GPL-2.0-only
/*
 * change_process - the process that pays for pinned memory hands it to another
 *
 * A monitor that replaces itself by a newer one passes its file descriptors on. What is mapped from files needs
 * nothing of the old process, so only the charges move: first everything is charged to the caller, and only if that
 * went well the old process is uncharged. Nothing is unmapped or pinned again.
 *
 * Locking: ictx->change_lock, then fill_rwsem of every IOAS for writing: no area comes, and no pin that is not there.
 * What goes away meanwhile is not charged to the caller in the end.
 */
#include <linux/err.h>
#include <linux/list.h>
#include <uapi/linux/iommufd.h>

#include "change_process.h"
#include "ioas.h"
#include "pinned.h"

static void unlock_all(struct iommufd_ctx *ictx, struct list_head *locked)
{
	struct iommufd_ioas *ioas, *next;

	list_for_each_entry_safe(ioas, next, locked, change_entry) {
		up_write(&ioas->map.fill_rwsem);
		list_del(&ioas->change_entry);
		iommufd_object_put(&ictx->objs, &ioas->obj);
	}
}

/* Every IOAS that is alive; one that is made from now on has no area yet, and cannot copy one */
static void lock_all(struct iommufd_ctx *ictx, struct list_head *locked)
{
	struct iommufd_object *obj;
	struct iommufd_ioas *ioas;
	unsigned long id;

	lockdep_assert_held(&ictx->change_lock);
	xa_for_each(&ictx->objs.table, id, obj) {
		ioas = iommufd_get_ioas(ictx, id);
		if (IS_ERR(ioas))
			continue;
		down_write_nest_lock(&ioas->map.fill_rwsem, &ictx->change_lock);
		list_add_tail(&ioas->change_entry, locked);
	}
}

static int begin_all(struct iommufd_ctx *ictx, struct list_head *locked)
{
	struct iommufd_ioas *ioas;
	struct ioas_area *area;
	int rc;

	list_for_each_entry(ioas, locked, change_entry) {
		for (area = ioas_map_first(&ioas->map, 0, ULONG_MAX); area; area = ioas_map_next(area, ULONG_MAX)) {
			if (area->state != IOAS_AREA_LIVE)
				return -EBUSY;
			rc = pinned_move_begin(area->pinned, ictx->account_mode);
			if (rc)
				return rc;
			cond_resched();
		}
	}
	return 0;
}

/* An area whose source has been dealt with through another area, or was never reached, is passed over */
static void end_all(struct list_head *locked, bool commit)
{
	struct iommufd_ioas *ioas;
	struct ioas_area *area;

	list_for_each_entry(ioas, locked, change_entry) {
		for (area = ioas_map_first(&ioas->map, 0, ULONG_MAX); area; area = ioas_map_next(area, ULONG_MAX)) {
			pinned_move_end(area->pinned, commit);
			cond_resched();
		}
	}
}

/**
 * iommufd_ioctl_ioas_change_process() - IOMMU_IOAS_CHANGE_PROCESS
 * @ucmd: struct iommu_ioas_change_process
 *
 * Return: 0 with the calling process paying for all of the context's pinned pages; or with nothing changed
 * -EOPNOTSUPP for the reserved field; -EINVAL if an area was not mapped from a memory file; -EBUSY if one is being
 * unmapped; -ENOMEM, also if the caller's limit would be passed; -EINTR.
 */
int iommufd_ioctl_ioas_change_process(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_change_process *cmd = ucmd->cmd;
	struct iommufd_ctx *ictx = ucmd->ictx;
	LIST_HEAD(locked);
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	rc = mutex_lock_killable(&ictx->change_lock);
	if (rc)
		return rc;
	lock_all(ictx, &locked);
	rc = begin_all(ictx, &locked);
	end_all(&locked, !rc);
	unlock_all(ictx, &locked);
	mutex_unlock(&ictx->change_lock);
	return rc;
}
