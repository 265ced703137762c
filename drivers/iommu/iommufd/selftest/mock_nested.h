/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_SELFTEST_MOCK_NESTED_H
#define __IOMMUFD_SELFTEST_MOCK_NESTED_H

#include "../../iommu-priv.h"
#include "iommufd_test.h"

struct mock_domain;

/**
 * struct mock_nested - A domain of the mock IOMMU that a guest writes
 * @domain: what the core knows
 * @parent: domain that it stands on
 * @in_viommu: it was made in a vIOMMU
 * @attached: how many devices and PASIDs it translates
 * @iotlb: what is cached of the guest's tables
 */
struct mock_nested {
	struct iommu_domain domain;
	struct mock_domain *parent;
	bool in_viommu;
	atomic_t attached;
	u32 iotlb[MOCK_NESTED_DOMAIN_IOTLB_NUM];
};

/* Of mock_iommu.c: attaching is the same for domains of every kind */
extern const struct iommu_domain_ops mock_nested_ops;

/**
 * mock_nested_of() - The mock IOMMU's view of a nested domain
 * @domain: any domain
 *
 * Return: the nested domain, or NULL if it is not one of the mock IOMMU.
 */
static inline struct mock_nested *mock_nested_of(struct iommu_domain *domain)
{
	return domain->ops == &mock_nested_ops ? container_of(domain, struct mock_nested, domain) : NULL;
}

struct iommu_domain *mock_domain_alloc_nested(struct device *dev, struct iommu_domain *parent, u32 flags,
					      const struct iommu_driver_data *data);
int mock_nested_check(struct iommu_domain *domain);
int mock_nested_invalidate(struct iommu_domain *domain, struct iommu_driver_array *array);
void mock_nested_free(struct iommu_domain *domain);
const struct iommu_viommu_ops *mock_viommu_type(struct device *dev, u32 type);

#endif
