/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_GROUP_H
#define __IOMMUFD_GROUP_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "../iommu-priv.h"
#include "ctx.h"

struct device;
struct iommufd_hwpt;

/**
 * struct iommufd_slot - What a group's requests with one PASID translate through
 * @handle: the attachment as the core knows it
 * @igroup: its group
 * @hwpt: page table, linked
 * @members: bound devices that are attached here
 * @dev_id: device that asks for pages, as user space knows it; it is the only one of its group. 0 if none does
 *
 * It stands for one attachment: a replace makes a new one. All is covered by igroup->lock.
 */
struct iommufd_slot {
	struct iommu_attach_handle handle;
	struct iommufd_group *igroup;
	struct iommufd_hwpt *hwpt;
	unsigned int members;
	u32 dev_id;
};

/**
 * struct iommufd_group - An iommu_group of which at least one device is bound to a context
 * @ictx: the context
 * @group: the iommu_group
 * @id: its id, key in ictx->groups
 * @refs: bound devices; covered by ictx->groups_lock
 * @page_requests: how many its only device has sent that a queue took
 * @lock: covers what follows; held from the first check of an attach to its end
 * @slots: PASID to struct iommufd_slot, IOMMU_NO_PASID for the requests without one; what is not there is blocked
 * @owners: addresses under which the group's reserved regions are reserved in an IOAS, two that take turns
 * @owner: index of the one in use
 *
 * The page table belongs to the slot and not to a device, so user space and hardware cannot come to differ: there is
 * one record of where the group is, and moving its first device moves all of them.
 */
struct iommufd_group {
	struct iommufd_ctx *ictx;
	struct iommu_group *group;
	int id;
	unsigned int refs;
	atomic64_t page_requests;
	struct mutex lock;	/* where the group is */
	struct xarray slots;
	u8 owners[2];
	unsigned int owner;
};

/**
 * struct iommufd_member - A bound device as part of its group, embedded in the device object
 * @igroup: its group
 * @dev: the device
 * @dev_id: the device as user space knows it
 * @faults: it may ask for pages; from the first page table with a fault queue until it is unbound
 * @joined: PASIDs, and IOMMU_NO_PASID, for which user space attached this device; written under igroup->lock
 */
struct iommufd_member {
	struct iommufd_group *igroup;
	struct device *dev;
	u32 dev_id;
	bool faults;
	struct xarray joined;
};

void iommufd_group_init(struct iommufd_group *igroup);
struct iommufd_group *iommufd_group_get(struct iommufd_ctx *ictx, struct device *dev);
void iommufd_group_put(struct iommufd_group *igroup);
u64 iommufd_member_page_requests(struct iommufd_member *member);
u32 iommufd_group_hwpt_id(struct iommufd_group *igroup, ioasid_t pasid);

#endif
