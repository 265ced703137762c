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
 * @devices: how many devices are attached
 */
struct mock_domain {
	struct iommu_domain domain;
	struct mock_table table;
	atomic_t devices;
};

int mock_iommu_init(void);
struct mock_domain *mock_domain_of(struct iommu_domain *domain);

#endif
