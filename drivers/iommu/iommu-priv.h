/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the IOMMU core offers to /dev/iommu, and what its own files share
 *
 * A caller of these functions holds a reference to the group, either directly or through a device whose driver is
 * bound. None of them may be called with group->mutex held, unless the name begins with two underscores.
 */
#ifndef __IOMMU_PRIV_H
#define __IOMMU_PRIV_H

#include <linux/iommu.h>

#include "iommu-group.h"

/* Where a PASID is asked for: the requests that carry none. No request carries this one. */
#define IOMMU_NO_PASID	0U

/**
 * struct iommu_attach_handle - One attachment of a group, as whoever made it knows it
 * @domain: what translates
 *
 * The user of a domain embeds it in what it knows about the attachment. The core keeps it by group and PASID.
 */
struct iommu_attach_handle {
	struct iommu_domain *domain;
};

/* iommu.c, group->mutex held */
int __iommu_attach_group(struct iommu_domain *domain, struct iommu_group *group);
int __iommu_group_set_domain(struct iommu_group *group, struct iommu_domain *new_domain);
int __iommu_group_alloc_blocking_domain(struct iommu_group *group);

/* iommu-owner.c */
void iommu_group_hide_device(struct device *dev);
struct group_device *__iommu_group_find_device(struct iommu_group *group, struct device *dev);
struct group_device *__iommu_group_unlink_device(struct iommu_group *group, struct device *dev);
void __iommu_group_give_back(struct iommu_group *group);
int __iommu_group_unblock(struct iommu_group *group);
int iommu_device_claim_dma_owner(struct device *dev, void *owner);
void iommu_device_release_dma_owner(struct device *dev);
bool iommu_device_has_isolated_msi(struct device *dev);

/* iommu-replace.c */
int iommu_group_attach_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *handle);
int iommu_group_replace_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *old,
			       struct iommu_attach_handle *new);
void iommu_group_detach_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *handle);

/* iommu-pasid.c */
int __iommu_group_switch_pasid(struct iommu_group *group, ioasid_t pasid, struct iommu_domain *old,
			       struct iommu_domain *new);
void __iommu_group_remove_pasid(struct iommu_group *group, ioasid_t pasid, struct iommu_domain *old);
void __iommu_group_disable_pasid(struct iommu_group *group, struct group_device *gdev);
int iommu_device_enable_pasid(struct device *dev);
void iommu_device_disable_pasid(struct device *dev);
u32 iommu_device_max_pasids(struct device *dev);

/* iommu-domain.c */
struct iommu_domain *iommu_domain_alloc_for_device(struct device *dev, u32 flags);
void *iommu_device_hw_info(struct device *dev, u32 *len, u32 *type);
u32 iommu_device_pasid_limit(struct device *dev);

/* iommu-mock-bus.c, built for the tests only */
int iommu_mock_bus_register(struct bus_type *bus, struct iommu_device *iommu, const struct iommu_ops *ops);
int iommu_mock_bus_add_device(struct device *dev);
void iommu_mock_bus_remove_device(struct device *dev);

#endif
