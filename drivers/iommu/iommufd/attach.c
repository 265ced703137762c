// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach - one transaction for attach, replace and detach
 *
 * What a call does depends on where the group and the device are:
 *
 *	the group is blocked				attach the group
 *	it is on this page table already		join, or nothing if the device has joined before
 *	it is on another, the device is attached	replace, for all of its devices
 *	it is on another, the device is not attached	refused: a sibling is in use
 *
 * Whatever may fail comes first: addresses that the group's devices reserve are reserved where the address space
 * differs, and the caller is told the page table. Then the core switches the hardware; it either succeeds or leaves
 * every device of the group on the old page table. What only the old one needed is dropped last.
 *
 * Locking: igroup->lock from the first look to the end. Inside it the core's group mutex, and space.rwsem for short.
 */
#include <linux/iommu.h>
#include <linux/overflow.h>

#include "../iommu-priv.h"
#include "attach.h"
#include "ioas.h"

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
		else if (region->type == IOMMU_RESV_SW_MSI)
			/* Doorbells that the IOMMU translates would have to be in the page table before the switch */
			rc = -EOPNOTSUPP;
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

/* The one place where the hardware changes: all of the group's devices or none */
static int switch_group(struct iommufd_group *igroup, struct iommufd_hwpt *hwpt)
{
	struct iommufd_hwpt *old = igroup->hwpt;

	if (!old)
		return iommu_group_attach_handle(igroup->group, IOMMU_NO_PASID, &hwpt->handle);
	if (old != hwpt)
		return iommu_group_replace_handle(igroup->group, IOMMU_NO_PASID, &old->handle, &hwpt->handle);
	return 0;
}

/*
 * Record that the group is on @hwpt (NULL: blocked). Returns the page table it has left, held busy so that it can be
 * looked after once the lock is dropped, or NULL where there is none or somebody destroys it already.
 */
static struct iommufd_hwpt *record_group(struct iommufd_group *igroup, struct iommufd_hwpt *hwpt)
{
	struct iommufd_objects *objs = &igroup->ictx->objs;
	struct iommufd_hwpt *old = igroup->hwpt;
	struct iommufd_hwpt *left = NULL;

	if (old == hwpt)
		return NULL;
	if (hwpt)
		iommufd_object_link(objs, &hwpt->obj);
	if (old) {
		if (iommufd_object_tryget(objs, &old->obj))
			left = old;
		iommufd_object_unlink(objs, &old->obj);
	}
	igroup->hwpt = hwpt;
	return left;
}

/**
 * iommufd_attach() - Make a device translate through a page table
 * @member: device
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
 * -EINVAL if the page table does not fit a device;
 * -EADDRINUSE if a region the group reserves is mapped or promised; -EBUSY if the group's domain is in other hands;
 * -EOPNOTSUPP if the driver cannot replace, or the platform's MSI doorbells are translated; -ENOMEM; -EINTR; what
 * @report says.
 */
int iommufd_attach(struct iommufd_member *member, struct iommufd_hwpt *hwpt, unsigned int how,
		   iommufd_report_fn report, void *data, struct iommufd_hwpt **left)
{
	struct iommufd_group *igroup = member->igroup;
	struct iommufd_ioas *old_ioas;
	bool new_regions;
	int rc;

	*left = NULL;
	rc = mutex_lock_killable(&igroup->lock);
	if (rc)
		return rc;
	if (member->attached && (how & IOMMUFD_ATTACH_FIRST))
		rc = -EBUSY;
	else if (!member->attached && (how & IOMMUFD_ATTACH_REPLACE))
		rc = -EINVAL;
	if (rc)
		goto out;
	if (igroup->hwpt && igroup->hwpt != hwpt && !member->attached) {
		rc = -EXDEV;
		goto out;
	}
	old_ioas = igroup->hwpt ? igroup->hwpt->ioas : NULL;
	/* A device that joins may have come after its siblings were attached, with regions of its own */
	new_regions = old_ioas != hwpt->ioas || !member->attached;

	if (new_regions)
		rc = begin_reserve(hwpt->ioas, igroup);
	if (rc)
		goto out;
	if (report)
		rc = report(data, hwpt->obj.id);
	if (!rc)
		rc = switch_group(igroup, hwpt);
	if (rc) {
		if (new_regions)
			abort_reserve(hwpt->ioas, igroup);
		goto out;
	}

	if (new_regions)
		commit_reserve(old_ioas, igroup);
	*left = record_group(igroup, hwpt);
	if (!member->attached)
		igroup->members++;
	member->attached = true;
out:
	mutex_unlock(&igroup->lock);
	return rc;
}

/**
 * iommufd_detach() - Undo iommufd_attach()
 * @member: device; one that is not attached is fine
 *
 * With the last attached device the group is blocked. The caller holds no lock of a group or IOAS. Cannot fail.
 */
void iommufd_detach(struct iommufd_member *member)
{
	struct iommufd_group *igroup = member->igroup;
	struct iommufd_hwpt *left = NULL;

	mutex_lock(&igroup->lock);
	if (member->attached) {
		member->attached = false;
		if (!--igroup->members) {
			/*
			 * The page table may be freed next. A driver that cannot attach the blocking domain must
			 * block the device all the same, as VT-d does.
			 */
			iommu_group_detach_handle(igroup->group, IOMMU_NO_PASID, &igroup->hwpt->handle);
			commit_reserve(igroup->hwpt->ioas, igroup);
			left = record_group(igroup, NULL);
		}
	}
	mutex_unlock(&igroup->lock);
	if (left)
		iommufd_hwpt_unused(left);
}
