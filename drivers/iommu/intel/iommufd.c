// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd - what VT-d offers to user space through /dev/iommu
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "attach.h"

/* Widths and page sizes that the IOMMU of one device has, and that every other one may refuse but not change */
static void settle(struct dmar_domain *domain, struct device *dev, struct intel_iommu *iommu)
{
	int width = intel_domain_is_first_level(domain) ? domain->gaw - 1 : domain->gaw;

	domain->nid = dev_to_node(dev);
	domain->iommu_coherency = iommu_paging_structure_coherency(iommu);
	domain->iommu_superpage = domain_update_iommu_superpage(domain, NULL);
	domain->domain.pgsize_bitmap = SZ_4K | domain_super_pgsize_bitmap(domain);
	domain->domain.geometry.aperture_end = BIT_ULL(width) - 1;

	/* Before the first mapping: second-level entries carry the snoop bit, and one without it would stay without */
	if (ecap_sc_support(iommu->ecap)) {
		domain->force_snooping = true;
		domain->set_pte_snp = !intel_domain_is_first_level(domain);
	}
	domain->settled = true;
}

/**
 * intel_iommu_domain_alloc_settled() - Allocate a paging domain that is complete for one device
 * @dev: device whose IOMMU decides
 * @flags: IOMMU_HWPT_ALLOC_PASID, or 0
 *
 * Every such domain translates PASIDs too, where the IOMMU does at all.
 *
 * Return: the domain, or an ERR_PTR: -EOPNOTSUPP for another flag, and for PASIDs when the IOMMU has none or is in
 * legacy mode; -EINVAL when the IOMMU has no such page table; -ENOMEM.
 */
struct iommu_domain *intel_iommu_domain_alloc_settled(struct device *dev, u32 flags)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct iommu_domain *domain;
	int rc;

	if (flags & ~IOMMU_HWPT_ALLOC_PASID)
		return ERR_PTR(-EOPNOTSUPP);
	if ((flags & IOMMU_HWPT_ALLOC_PASID) && !pasid_supported(info->iommu))
		return ERR_PTR(-EOPNOTSUPP);

	domain = intel_domain_alloc(IOMMU_DOMAIN_UNMANAGED, GFP_KERNEL_ACCOUNT);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	domain->type = IOMMU_DOMAIN_UNMANAGED;

	rc = prepare_domain_attach_device(domain, dev);
	if (rc) {
		intel_iommu_domain_free(domain);
		return ERR_PTR(rc);
	}

	settle(to_dmar_domain(domain), dev, info->iommu);
	return domain;
}

/**
 * intel_iommu_hw_info() - Tell the capability registers of a device's IOMMU
 * @dev: the device
 * @len: set to the bytes of the result
 * @type: set to IOMMU_HW_INFO_TYPE_INTEL_VTD
 *
 * Return: a struct iommu_hw_info_vtd, freed by kfree(), or ERR_PTR(-ENOMEM).
 */
void *intel_iommu_hw_info(struct device *dev, u32 *len, u32 *type)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct iommu_hw_info_vtd *vtd = kzalloc(sizeof(*vtd), GFP_KERNEL);

	if (!vtd)
		return ERR_PTR(-ENOMEM);

	vtd->cap_reg = info->iommu->cap;
	vtd->ecap_reg = info->iommu->ecap;
	*len = sizeof(*vtd);
	*type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	return vtd;
}
