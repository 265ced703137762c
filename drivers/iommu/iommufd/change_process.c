// SPDX-License-Identifier: GPL-2.0-only
/*
 * change_process - the process that pays for pinned memory hands it to another
 *
 * A monitor that replaces itself by a newer one passes its file descriptors on. What is mapped from files needs nothing
 * of the old process, so only the charges move: first everything is charged to the caller, and only if that went well
 * the old process is uncharged. Nothing is unmapped or pinned again.
 *
 * Locking: ictx->change_lock for the whole time, space.rwsem of one IOAS after the other while its areas are looked at.
 * In between a source that is on its way can be released but not pinned, so what has been charged suffices.
 */
#include <linux/err.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <uapi/linux/iommufd.h>

#include "change_process.h"
#include "ioas.h"
#include "pinned.h"

static int begin_ioas(struct iommufd_ioas *ioas, struct pin_payer *payer, struct list_head *moves)
{
	struct ioas_area *area;
	int rc;

	rc = down_read_killable(&ioas->map.space.rwsem);
	if (rc)
		return rc;
	for (area = ioas_map_first(&ioas->map, 0, ULONG_MAX); area && !rc; area = ioas_map_next(area, ULONG_MAX)) {
		if (area->state == IOAS_AREA_LIVE)
			rc = pinned_move_begin(area->pinned, payer, moves);
		else
			rc = -EBUSY;
		cond_resched();
	}
	up_read(&ioas->map.space.rwsem);
	return rc;
}

static int begin_all(struct iommufd_ctx *ictx, struct pin_payer *payer, struct list_head *moves)
{
	struct iommufd_object *obj;
	struct iommufd_ioas *ioas;
	unsigned long id;
	int rc = 0;

	xa_for_each(&ictx->objs.table, id, obj) {
		ioas = iommufd_get_ioas(ictx, id);
		if (IS_ERR(ioas))
			continue;
		rc = begin_ioas(ioas, payer, moves);
		iommufd_object_put(&ictx->objs, &ioas->obj);
		if (rc)
			break;
	}
	return rc;
}

/**
 * iommufd_ioctl_ioas_change_process() - IOMMU_IOAS_CHANGE_PROCESS
 * @ucmd: struct iommu_ioas_change_process
 *
 * Return: 0 with the calling process paying for all of the context's pinned pages; or with nothing changed -EOPNOTSUPP
 * for the reserved field; -EINVAL if an area was not mapped from a memory file; -EBUSY if one is being mapped or
 * unmapped; -ENOMEM, also if the caller's limit would be passed; -EINTR.
 */
int iommufd_ioctl_ioas_change_process(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_change_process *cmd = ucmd->cmd;
	struct iommufd_ctx *ictx = ucmd->ictx;
	struct pin_payer *payer;
	LIST_HEAD(moves);
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	payer = iommufd_ctx_payer(ictx);
	if (IS_ERR(payer))
		return PTR_ERR(payer);
	rc = mutex_lock_killable(&ictx->change_lock);
	if (rc)
		goto out;
	rc = begin_all(ictx, payer, &moves);
	pinned_move_end(&moves, !rc);
	mutex_unlock(&ictx->change_lock);
out:
	pin_payer_put(payer);
	return rc;
}
