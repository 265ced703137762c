// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm-smmu-v3-iommufd - what SMMUv3 offers to user space through /dev/iommu
 */
#include <linux/err.h>
#include <linux/io.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"

#define ARM_SMMU_AIDR	0x1c

/**
 * smmu_hw_info() - Tell the identification registers of a device's SMMU
 * @dev: the device
 * @len: set to the bytes of the result
 * @type: set to IOMMU_HW_INFO_TYPE_ARM_SMMUV3
 *
 * Return: a struct iommu_hw_info_arm_smmuv3, freed by kfree(), or ERR_PTR(-ENOMEM).
 */
void *smmu_hw_info(struct device *dev, u32 *len, u32 *type)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct iommu_hw_info_arm_smmuv3 *info = kzalloc(sizeof(*info), GFP_KERNEL);
	void __iomem *base = master->smmu->base;
	unsigned int i;

	if (!info)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < ARRAY_SIZE(info->idr); i++)
		info->idr[i] = readl_relaxed(base + ARM_SMMU_IDR0 + i * sizeof(u32));
	info->iidr = readl_relaxed(base + ARM_SMMU_IIDR);
	info->aidr = readl_relaxed(base + ARM_SMMU_AIDR);
	*len = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	return info;
}
