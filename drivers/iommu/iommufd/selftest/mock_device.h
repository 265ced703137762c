/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_SELFTEST_MOCK_DEVICE_H
#define __IOMMUFD_SELFTEST_MOCK_DEVICE_H

#include <linux/device.h>

#include "iommufd_test.h"

struct mock_domain;

/**
 * struct mock_device - A device behind the mock IOMMU
 * @dev: the device
 * @number: N in its name, iommufd_mockN
 * @domain: paging domain it is attached to, or NULL; covered by the mutex of its group
 * @cache: what it has cached of translations of a guest
 */
struct mock_device {
	struct device dev;
	int number;
	struct mock_domain *domain;
	u32 cache[MOCK_DEV_CACHE_NUM];
};

extern struct bus_type mock_bus;

/**
 * to_mock_device() - The mock device behind a device
 * @dev: any device
 *
 * Return: the mock device, or NULL if it is none.
 */
static inline struct mock_device *to_mock_device(struct device *dev)
{
	return dev->bus == &mock_bus ? container_of(dev, struct mock_device, dev) : NULL;
}

int mock_bus_init(void);
void mock_bus_exit(void);
struct mock_device *mock_device_create(u32 flags);
void mock_device_destroy(struct mock_device *mdev);

#endif
