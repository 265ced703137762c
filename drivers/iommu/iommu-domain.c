// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-domain - domains that are complete before they are attached, and what the hardware says about itself
 *
 * Linux 6.1 allocates a domain for a bus and lets the first attach decide its address width and page sizes. Here the
 * driver is told the device first, so that everything is known at once and mapping may come before attaching.
 */
#include <linux/err.h>
#include <uapi/linux/iommufd.h>

#include "iommu-priv.h"

/**
 * iommu_domain_alloc_for_device() - Allocate a domain that is complete for one device
 * @dev: device that the domain shall fit
 * @flags: IOMMU_HWPT_ALLOC_*: what the domain must be able to do
 *
 * Address width, page sizes and the forcing of snooped accesses are settled on return and never change afterwards, when
 * the driver has a domain_alloc_settled() operation. For another driver this is what iommu_domain_alloc() gives.
 *
 * Context: May sleep. @dev stays in its group meanwhile.
 * Return: the domain, freed by iommu_domain_free(); or an ERR_PTR: -ENODEV without an IOMMU; -EOPNOTSUPP for a flag
 * that the driver does not know or the hardware cannot do; -ENOMEM; or another error of the driver.
 */
struct iommu_domain *iommu_domain_alloc_for_device(struct device *dev, u32 flags)
{
	const struct iommu_ops *ops = iommu_device_ops(dev);
	struct iommu_domain *domain;

	if (!ops)
		return ERR_PTR(-ENODEV);

	if (ops->domain_alloc_settled) {
		domain = ops->domain_alloc_settled(dev, flags);
		if (IS_ERR(domain))
			return domain;
		domain->type = IOMMU_DOMAIN_UNMANAGED;
		domain->ops = ops->default_domain_ops;
		return domain;
	}

	if (flags)
		return ERR_PTR(-EOPNOTSUPP);
	domain = iommu_domain_alloc(dev->bus);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	if (domain->ops->enforce_cache_coherency)
		domain->ops->enforce_cache_coherency(domain);
	return domain;
}
EXPORT_SYMBOL_GPL(iommu_domain_alloc_for_device);

/**
 * iommu_device_enforces_coherency() - Are all DMAs of a device coherent that go through a domain made for it?
 * @dev: a device
 *
 * They are where the IOMMU ignores it when the device asks not to be snooped. iommu_domain_alloc_for_device() makes it
 * do so wherever it can, so that this is known before anything is attached.
 *
 * Context: May sleep. @dev stays in its group meanwhile.
 * Return: true if they are; false also when there is no memory to find out.
 */
bool iommu_device_enforces_coherency(struct device *dev)
{
	struct iommu_domain *domain = iommu_domain_alloc_for_device(dev, 0);
	bool enforced;

	if (IS_ERR(domain))
		return false;
	enforced = domain->ops->enforce_cache_coherency && domain->ops->enforce_cache_coherency(domain);
	iommu_domain_free(domain);
	return enforced;
}
EXPORT_SYMBOL_GPL(iommu_device_enforces_coherency);

/**
 * iommu_device_hw_info() - What the IOMMU of a device says about itself
 * @dev: a device
 * @len: set to the bytes of the result
 * @type: set to an enum iommu_hw_info_type
 *
 * Context: May sleep. @dev stays in its group meanwhile.
 * Return: the data in the format of @type, freed by kfree(); NULL with IOMMU_HW_INFO_TYPE_NONE and length 0 when the
 * driver has nothing to tell; or an ERR_PTR: -ENODEV without an IOMMU, -ENOMEM.
 */
void *iommu_device_hw_info(struct device *dev, u32 *len, u32 *type)
{
	const struct iommu_ops *ops = iommu_device_ops(dev);

	*len = 0;
	*type = IOMMU_HW_INFO_TYPE_NONE;
	if (!ops)
		return ERR_PTR(-ENODEV);
	return ops->hw_info ? ops->hw_info(dev, len, type) : NULL;
}
EXPORT_SYMBOL_GPL(iommu_device_hw_info);
