// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-mock-bus - one more IOMMU driver, for a bus that nobody else has
 *
 * iommu_device_register() gives one driver all buses that the core knows. A driver that only tests use has to work
 * beside the one of the machine, so it brings a private bus and gets that bus alone. Its devices are told to the core
 * one by one, with an answer whether that worked; a bus notifier would not give one.
 */
#include <linux/device/bus.h>

#include "iommu-priv.h"

/**
 * iommu_mock_bus_register() - Make an IOMMU driver responsible for a private bus
 * @bus: registered bus without devices
 * @iommu: the one instance of hardware behind which the devices of @bus are
 * @ops: the driver, not a module
 *
 * Return: 0; -EBUSY if the bus has an IOMMU driver.
 */
int iommu_mock_bus_register(struct bus_type *bus, struct iommu_device *iommu, const struct iommu_ops *ops)
{
	if (bus->iommu_ops)
		return -EBUSY;
	iommu->ops = ops;
	bus->iommu_ops = ops;
	return 0;
}

/**
 * iommu_mock_bus_add_device() - Put a device of a private bus behind its IOMMU
 * @dev: device that is registered and has no driver
 *
 * Context: May sleep. Takes the mutex of the device's group.
 * Return: 0, with @dev in a group; -ENOMEM, or what the IOMMU driver says.
 */
int iommu_mock_bus_add_device(struct device *dev)
{
	return iommu_probe_device(dev);
}

/**
 * iommu_mock_bus_remove_device() - Undo iommu_mock_bus_add_device()
 * @dev: device that is still registered, and whose DMA has no owner
 *
 * Context: May sleep. Takes the mutex of the device's group.
 */
void iommu_mock_bus_remove_device(struct device *dev)
{
	iommu_release_device(dev);
}
