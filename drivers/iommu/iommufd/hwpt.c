// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwpt - what page tables of every kind have in common
 *
 * Whoever attaches a page table sees this part alone. The rooms of the kinds make page tables and know what is in them.
 */
#include <linux/iommu.h>
#include <linux/list.h>

#include "fault.h"
#include "hwpt.h"

/**
 * iommufd_hwpt_release() - End of what page tables of every kind have
 * @hwpt: page table that nothing is attached to; for the room of its kind, which frees it next
 */
void iommufd_hwpt_release(struct iommufd_hwpt *hwpt)
{
	iommu_domain_free(hwpt->domain);
	if (hwpt->fault)
		iommufd_object_unlink(&hwpt->ictx->objs, &hwpt->fault->obj);
}

/**
 * iommufd_hwpt_abandon() - Give up a page table that was not published
 * @hwpt: page table that nothing is attached to
 */
void iommufd_hwpt_abandon(struct iommufd_hwpt *hwpt)
{
	iommufd_object_cancel(&hwpt->ictx->objs, &hwpt->obj);
	hwpt->obj.ops->destroy(&hwpt->obj);
}

/**
 * iommufd_hwpt_unused() - A device has left a page table
 * @hwpt: page table that the caller holds busy; the hold is given up
 *
 * One that the kernel made goes when nothing uses it any more. The caller holds no lock of a group or IOAS.
 */
void iommufd_hwpt_unused(struct iommufd_hwpt *hwpt)
{
	if (list_empty_careful(&hwpt->auto_entry))
		iommufd_object_put(&hwpt->ictx->objs, &hwpt->obj);
	else
		iommufd_object_retire(&hwpt->ictx->objs, &hwpt->obj);
}
