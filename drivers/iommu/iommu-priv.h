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

/* iommu.c, group->mutex held */
int __iommu_attach_group(struct iommu_domain *domain, struct iommu_group *group);
int __iommu_group_set_domain(struct iommu_group *group, struct iommu_domain *new_domain);
int __iommu_group_alloc_blocking_domain(struct iommu_group *group);

/* iommu-owner.c */
void iommu_group_hide_device(struct device *dev);
struct group_device *__iommu_group_unlink_device(struct iommu_group *group, struct device *dev);
void __iommu_group_give_back(struct iommu_group *group);
int __iommu_group_unblock(struct iommu_group *group);
int iommu_device_claim_dma_owner(struct device *dev, void *owner);
void iommu_device_release_dma_owner(struct device *dev);
bool iommu_device_has_isolated_msi(struct device *dev);

/* iommu-replace.c */
int iommu_group_attach_domain(struct iommu_group *group, struct iommu_domain *domain);
int iommu_group_replace_domain(struct iommu_group *group, struct iommu_domain *old, struct iommu_domain *new);

/* iommu-domain.c */
struct iommu_domain *iommu_domain_alloc_for_device(struct device *dev, u32 flags);
void *iommu_device_hw_info(struct device *dev, u32 *len, u32 *type);
u32 iommu_device_max_pasids(struct device *dev);

/* iommu-mock-bus.c, built for the tests only */
int iommu_mock_bus_register(struct bus_type *bus, struct iommu_device *iommu, const struct iommu_ops *ops);
int iommu_mock_bus_add_device(struct device *dev);
void iommu_mock_bus_remove_device(struct device *dev);

#endif
