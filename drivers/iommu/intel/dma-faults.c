// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-faults - how often DMA of each device was refused
 *
 * All that the interrupt knows of a device is the id that its requests carry, and it can wait for nothing. So each
 * IOMMU has a table from id to number with an entry for each of its devices: a fault allocates nothing, takes no lock,
 * and ids that no device has are not counted. The hardware drops records while they all are in use, so a device that
 * does nothing but fault has more faults than are counted.
 *
 * Locking: the table has its own lock, for whoever adds and removes devices. Readers are under RCU.
 */
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "attach.h"

/* Reasons of interrupt remapping: what was refused was no DMA (20h to 28h) */
#define FAULT_IS_OF_INTERRUPT(reason)	(((reason) & 0xf0) == 0x20)

/* What an IOMMU counts for one device */
struct intel_dma_faults {
	atomic64_t count;
	struct rcu_head rcu;
};

static u16 requester(struct device_domain_info *info)
{
	return PCI_DEVID(info->bus, info->devfn);
}

/**
 * intel_dma_faults_add() - Count the faults of a device from now on
 * @info: the device
 *
 * Without memory they are not counted, and neither are those of a device that sends requests in another's name.
 *
 * Context: May sleep.
 */
void intel_dma_faults_add(struct device_domain_info *info)
{
	struct intel_dma_faults *faults;

	if (dev_is_real_dma_subdevice(info->dev))
		return;
	faults = kzalloc(sizeof(*faults), GFP_KERNEL);
	if (!faults)
		return;
	if (xa_insert(&info->iommu->dma_faults, requester(info), faults, GFP_KERNEL))
		kfree(faults);
	else
		info->dma_faults = faults;
}

/**
 * intel_dma_faults_remove() - Undo intel_dma_faults_add()
 * @info: the device
 */
void intel_dma_faults_remove(struct device_domain_info *info)
{
	if (!info->dma_faults)
		return;
	xa_erase(&info->iommu->dma_faults, requester(info));
	kfree_rcu(info->dma_faults, rcu);
	info->dma_faults = NULL;
}

/**
 * intel_dma_faults_count() - Count one fault
 * @iommu: IOMMU that recorded it
 * @source: bits 95:64 of the Fault Recording Register
 * @reason: bits 127:96
 *
 * Context: any, the fault interrupt too.
 */
void intel_dma_faults_count(struct intel_iommu *iommu, u32 source, u32 reason)
{
	struct intel_dma_faults *faults;

	if (FAULT_IS_OF_INTERRUPT(dma_frcd_fault_reason(reason)))
		return;
	rcu_read_lock();
	faults = xa_load(&iommu->dma_faults, dma_frcd_source_id(source));
	if (faults)
		atomic64_inc(&faults->count);
	rcu_read_unlock();
}

/**
 * intel_dma_faults() - How many faults of a device were counted
 * @dev: device that does not go away meanwhile
 * @count: out: how many since it came
 *
 * Return: 0; -EOPNOTSUPP when they are not counted.
 */
int intel_dma_faults(struct device *dev, u64 *count)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!info->dma_faults)
		return -EOPNOTSUPP;
	*count = atomic64_read(&info->dma_faults->count);
	return 0;
}
