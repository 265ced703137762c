/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_SELFTEST_MOCK_DEVICE_H
#define __IOMMUFD_SELFTEST_MOCK_DEVICE_H

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/xarray.h>

#include "iommufd_test.h"

/**
 * struct mock_device - A device behind the mock IOMMU
 * @dev: the device
 * @number: N in its name, iommufd_mockN
 * @sibling: device whose group it joins when it is plugged in, or NULL; of no use afterwards
 * @domain: domain that translates requests without PASID, or NULL when they are not translated
 * @pasids: domain that translates each PASID
 * @pasids_enabled: PASIDs may be attached
 * @pasid_refuses: the next domain for MOCK_PASID_RESERVED is refused
 * @prepared: switches that were prepared, by PASID, and neither done nor given up
 * @faults_enabled: it may ask for pages
 * @faults_sent: groups of page requests that it sent
 * @faults_answered: how many of them ended with success
 * @faults_refused: how many of them did not
 * @cache: what it has cached of translations of a guest
 * @region: addresses that it keeps for itself; none with a length of 0
 *
 * Everything that the mock IOMMU changes is covered by the mutex of the device's group.
 */
struct mock_device {
	struct device dev;
	int number;
	struct mock_device *sibling;
	struct iommu_domain *domain;
	struct xarray pasids;
	bool pasids_enabled;
	bool pasid_refuses;
	struct xarray prepared;
	bool faults_enabled;
	atomic_t faults_sent;
	atomic_t faults_answered;
	atomic_t faults_refused;
	u32 cache[MOCK_DEV_CACHE_NUM];
	struct iommu_resv_region region;
};

/**
 * struct mock_device_traits - What a mock device shall be like
 * @flags: MOCK_FLAGS_DEVICE_*
 * @sibling: device whose group it joins, which stays plugged in meanwhile; NULL: it is alone
 * @resv_start: first address that it keeps for itself
 * @resv_length: how many, bytes; 0: none
 */
struct mock_device_traits {
	u32 flags;
	struct mock_device *sibling;
	u64 resv_start;
	u64 resv_length;
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
struct mock_device *mock_device_create(const struct mock_device_traits *traits);
void mock_device_destroy(struct mock_device *mdev);

#endif
