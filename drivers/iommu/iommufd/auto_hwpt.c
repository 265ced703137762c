// SPDX-License-Identifier: GPL-2.0-only
/*
 * auto_hwpt - attach to an IOAS: find a page table that suits the device, or make one
 *
 * Devices that are attached to an IOAS share page tables as far as their hardware allows, so memory and work do not
 * grow with the number of devices. Page tables made here go with their last device.
 *
 * Locking: ioas->auto_lock, outside the group's lock, so that two devices do not make two page tables at once.
 */
#include <linux/err.h>

#include "auto_hwpt.h"
#include "hwpt_paging.h"

/* Does the error say that this page table does not fit, so that another may? */
static bool does_not_fit(int rc)
{
	return rc == -EINVAL;
}

static int attach_existing(struct iommufd_member *member, struct iommufd_ioas *ioas, unsigned int how,
			   iommufd_report_fn report, void *data, struct iommufd_hwpt **left)
{
	struct iommufd_objects *objs = &member->igroup->ictx->objs;
	struct iommufd_hwpt *hwpt;
	int rc = -EINVAL;

	lockdep_assert_held(&ioas->auto_lock);
	list_for_each_entry(hwpt, &ioas->auto_hwpts, auto_entry) {
		if (!iommufd_object_tryget(objs, &hwpt->obj))
			continue;
		rc = iommufd_attach(member, IOMMU_NO_PASID, hwpt, how, report, data, left);
		iommufd_object_put(objs, &hwpt->obj);
		if (!does_not_fit(rc))
			break;
	}
	return rc;
}

static int attach_new(struct iommufd_member *member, struct iommufd_ioas *ioas, unsigned int how,
		      iommufd_report_fn report, void *data, struct iommufd_hwpt **left)
{
	struct iommufd_ctx *ictx = member->igroup->ictx;
	struct iommufd_hwpt *hwpt;
	int rc;

	lockdep_assert_held(&ioas->auto_lock);
	hwpt = iommufd_hwpt_create(ictx, ioas, member->dev, 0);
	if (IS_ERR(hwpt))
		return PTR_ERR(hwpt);
	/* Visible before it is used: a sibling that moves on at once must find a page table that it can leave */
	list_add_tail(&hwpt->auto_entry, &ioas->auto_hwpts);
	iommufd_object_publish_busy(&ictx->objs, &hwpt->obj);
	rc = iommufd_attach(member, IOMMU_NO_PASID, hwpt, how, report, data, left);
	if (rc)
		*left = hwpt;
	else
		iommufd_object_put(&ictx->objs, &hwpt->obj);
	return rc;
}

/**
 * iommufd_attach_ioas() - Make a device translate through a page table of an IOAS
 * @member: device
 * @ioas: IOAS, held busy by the caller
 * @how: 0, IOMMUFD_ATTACH_FIRST or IOMMUFD_ATTACH_REPLACE
 * @report: told the id of the page table before anything changes; the last one it is told is the one
 * @data: for @report
 *
 * Return: as iommufd_attach() and iommufd_hwpt_create().
 */
int iommufd_attach_ioas(struct iommufd_member *member, struct iommufd_ioas *ioas, unsigned int how,
			iommufd_report_fn report, void *data)
{
	struct iommufd_hwpt *left = NULL;
	int rc;

	rc = mutex_lock_killable(&ioas->auto_lock);
	if (rc)
		return rc;
	rc = attach_existing(member, ioas, how, report, data, &left);
	if (does_not_fit(rc))
		rc = attach_new(member, ioas, how, report, data, &left);
	mutex_unlock(&ioas->auto_lock);
	if (left)
		iommufd_hwpt_unused(left);
	return rc;
}
