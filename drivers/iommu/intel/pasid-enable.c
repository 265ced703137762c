// SPDX-License-Identifier: GPL-2.0-only
/*
 * pasid-enable - which of PASID, page requests and ATS a device has turned on
 *
 * ATS and page requests are turned on when a device is attached first, and off when it is removed. In scalable mode a
 * change of its domains does not touch them: it would take them from the device's PASIDs. In legacy mode pass-through
 * does not answer ATS, so it is off there.
 *
 * PASIDs are turned on while somebody uses them: /dev/iommu from bind to unbind, shared virtual addressing, and the
 * virtual functions that share the setting of their physical function. PCI Express leaves undefined what a device does
 * whose PASIDs are turned on or off with ATS on, so that is off meanwhile; what the device had cached is flushed first.
 *
 * Locking: the device's group->mutex, or its driver's probe and remove; a device has one of both.
 */
#include <linux/pci.h>
#include <linux/pci-ats.h>

#include "attach.h"
#include "pasid.h"

/* PASIDs follow info->pasid_users, the rest comes back as it was */
static void set_caps(struct device_domain_info *info)
{
	if (pci_device_is_present(to_pci_dev(info->dev)))
		__iommu_flush_dev_iotlb(info, 0, 64 - VTD_PAGE_SHIFT);
	iommu_disable_dev_iotlb(info);
	iommu_enable_pci_caps(info);
}

/**
 * intel_iommu_pasid_enable() - Let a device send requests with PASID, and ATS requests with them
 * @dev: the device
 *
 * No domain is touched: a PASID that nothing is attached to stays blocked.
 *
 * Context: The device does no DMA. A number above 0 is paired with intel_iommu_pasid_disable().
 * Return: the PASIDs that can be used are below this; 0 when device, path or IOMMU has none.
 */
int intel_iommu_pasid_enable(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!info->pasid_supported || !info->pasid_table)
		return 0;

	info->pasid_users++;
	if (!info->pasid_enabled)
		set_caps(info);
	if (!info->pasid_enabled) {
		info->pasid_users--;
		return 0;
	}
	return min3((u32)pci_max_pasids(to_pci_dev(dev)), info->iommu->iommu.max_pasids, info->pasid_table->max_pasid);
}

/**
 * intel_iommu_pasid_disable() - Undo one intel_iommu_pasid_enable()
 * @dev: the device
 *
 * Context: The device does no DMA, and nothing that this user attached to a PASID is attached any more.
 */
void intel_iommu_pasid_disable(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!--info->pasid_users)
		set_caps(info);
}
