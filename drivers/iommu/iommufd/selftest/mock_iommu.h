/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_SELFTEST_MOCK_IOMMU_H
#define __IOMMUFD_SELFTEST_MOCK_IOMMU_H

#include <linux/err.h>
#include <linux/iommu.h>

#include "mock_table.h"

/**
 * struct mock_domain - A paging domain of the mock IOMMU
 * @domain: what the core knows
 * @table: what is mapped
 * @attached: how many devices and PASIDs it translates
 */
struct mock_domain {
	struct iommu_domain domain;
	struct mock_table table;
	atomic_t attached;
};

struct mock_device;

int mock_iommu_init(void);
struct iommu_domain *mock_device_domain(struct mock_device *mdev, ioasid_t pasid);
struct mock_domain *mock_domain_of(struct iommu_domain *domain);

#endif
