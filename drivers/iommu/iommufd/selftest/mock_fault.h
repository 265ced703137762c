/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_SELFTEST_MOCK_FAULT_H
#define __IOMMUFD_SELFTEST_MOCK_FAULT_H

#include <linux/iommu.h>

struct mock_device;

int mock_fault_enable(struct device *dev);
void mock_fault_disable(struct device *dev);
int mock_page_response(struct device *dev, struct iommu_fault_event *evt, struct iommu_page_response *msg);
int mock_fault_send(struct mock_device *mdev, const struct iommu_fault_page_request *first, unsigned int num);

#endif
