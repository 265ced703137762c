// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm-smmu-v3-faults - how often DMA of each device was refused
 *
 * Every event of the SMMU's queue that names a stream is of DMA that was refused, but for two (SMMUv3 specification,
 * section 7.3): a transaction that stalls waits for an answer, and a hint of pages that will be needed has refused
 * nothing. What comes while the queue is full is lost, and not counted.
 */
#include <linux/bitfield.h>

#include "arm-smmu-v3.h"

#define EVT_ID_PAGE_REQUEST	0x24

static bool is_stall(const u64 *evt)
{
	switch (FIELD_GET(EVTQ_0_ID, evt[0])) {
	case EVT_ID_TRANSLATION_FAULT:
	case EVT_ID_ADDR_SIZE_FAULT:
	case EVT_ID_ACCESS_FAULT:
	case EVT_ID_PERMISSION_FAULT:
		return evt[1] & EVTQ_1_STALL;
	default:
		return false;
	}
}

/**
 * smmu_dma_faults_count() - Count an event, if it is of DMA that was refused
 * @smmu: SMMU that recorded it
 * @evt: the event
 *
 * Context: May sleep. Takes smmu->streams_mutex.
 */
void smmu_dma_faults_count(struct arm_smmu_device *smmu, const u64 *evt)
{
	struct arm_smmu_master *master;

	if (is_stall(evt) || FIELD_GET(EVTQ_0_ID, evt[0]) == EVT_ID_PAGE_REQUEST)
		return;
	mutex_lock(&smmu->streams_mutex);
	master = arm_smmu_find_master(smmu, FIELD_GET(EVTQ_0_SID, evt[0]));
	if (master)
		atomic64_inc(&master->dma_faults);
	mutex_unlock(&smmu->streams_mutex);
}

/**
 * smmu_dma_faults() - How many faults of a device were counted
 * @dev: device that does not go away meanwhile
 * @count: out: how many since it came
 *
 * Return: 0.
 */
int smmu_dma_faults(struct device *dev, u64 *count)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	*count = atomic64_read(&master->dma_faults);
	return 0;
}
