/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_HWPT_H
#define __IOMMUFD_HWPT_H

#include "ctx.h"

struct iommu_domain;
struct iommufd_fault;
struct iommufd_ioas;

/**
 * struct iommufd_hwpt - A page table, of whatever kind; head of the structure of each kind
 * @obj: its id
 * @ictx: context it belongs to
 * @ioas: IOAS in whose addresses devices reach memory in the end: what they reserve is reserved there
 * @domain: what the core attaches
 * @parent: domain of the kernel that @domain stands on when a guest writes that, or NULL
 * @pasid: made for devices that use PASIDs, IOMMU_HWPT_ALLOC_PASID
 * @fault: queue for page requests that it gives rise to, linked; NULL for none
 * @auto_entry: in ioas->auto_hwpts if the kernel made it; then it goes with its last device. Covered by ioas->auto_lock
 */
struct iommufd_hwpt {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_ioas *ioas;
	struct iommu_domain *domain;
	struct iommu_domain *parent;
	bool pasid;
	struct iommufd_fault *fault;
	struct list_head auto_entry;
};

void iommufd_hwpt_release(struct iommufd_hwpt *hwpt);
void iommufd_hwpt_abandon(struct iommufd_hwpt *hwpt);
void iommufd_hwpt_unused(struct iommufd_hwpt *hwpt);

#endif
