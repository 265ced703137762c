// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-dma-faults - how often the IOMMU refused DMA of a device
 *
 * What no page table allows is blocked, and the hardware records it. Nobody is asked, as with page requests
 * (iommu-fault-group.c); but a driver in user space that gets an address wrong has to see that somewhere, and the log
 * of the kernel is neither his to read nor complete.
 */
#include "iommu-priv.h"

/**
 * iommu_device_dma_faults() - How many faults of a device its IOMMU recorded
 * @dev: a device
 * @count: out: how many since it has been there. Records that the hardware dropped are not among them, and one that was
 *	   recorded a moment ago may not be yet.
 *
 * Context: Any. @dev stays in its group meanwhile.
 * Return: 0; -EOPNOTSUPP when the driver of the IOMMU does not count those of @dev.
 */
int iommu_device_dma_faults(struct device *dev, u64 *count)
{
	const struct iommu_ops *ops = iommu_device_ops(dev);

	return ops && ops->dma_faults ? ops->dma_faults(dev, count) : -EOPNOTSUPP;
}
EXPORT_SYMBOL_GPL(iommu_device_dma_faults);
