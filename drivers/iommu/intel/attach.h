/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between iommu.c and the files that do for it what is more than a hook: attach.c, pasid-attach.c, pasid-enable.c,
 * map.c, flush.c, dma-faults.c and iommufd.c
 */
#ifndef __INTEL_ATTACH_H
#define __INTEL_ATTACH_H

#include <linux/iommu.h>

#include "iommu.h"

struct page_run;
struct pasid_entry;
struct pasid_table;

/* iommu.c */
extern int hw_pass_through;
int agaw_to_width(int agaw);
bool context_copied(struct intel_iommu *iommu, u8 bus, u8 devfn);
bool dev_is_real_dma_subdevice(struct device *dev);
bool iommu_paging_structure_coherency(struct intel_iommu *iommu);
int domain_update_iommu_superpage(struct dmar_domain *domain, struct intel_iommu *skip);
unsigned long domain_super_pgsize_bitmap(struct dmar_domain *domain);
void domain_update_iotlb(struct dmar_domain *domain);
int domain_attach_iommu(struct dmar_domain *domain, struct intel_iommu *iommu);
void domain_detach_iommu(struct dmar_domain *domain, struct intel_iommu *iommu);
int domain_add_dev_info(struct dmar_domain *domain, struct device *dev);
void device_block_translation(struct device *dev);
void iommu_flush_dev_iotlb(struct dmar_domain *domain, u64 addr, unsigned int mask);
void __iommu_flush_dev_iotlb(struct device_domain_info *info, u64 addr, unsigned int mask);
unsigned long context_get_sm_pds(struct pasid_table *table);
void iommu_enable_pci_caps(struct device_domain_info *info);
void iommu_disable_dev_iotlb(struct device_domain_info *info);
int prepare_domain_attach_device(struct iommu_domain *domain, struct device *dev);
struct iommu_domain *intel_domain_alloc(unsigned int type, gfp_t gfp);
void intel_iommu_domain_free(struct iommu_domain *domain);

/* attach.c */
bool intel_domain_get_iommu(struct dmar_domain *domain, struct intel_iommu *iommu);
bool intel_domain_may_change(struct dmar_domain *domain);
int intel_domain_check(struct dmar_domain *domain, struct intel_iommu *iommu);
int intel_attach_dev(struct dmar_domain *domain, struct device *dev);
void intel_forget_way_back(struct device_domain_info *info);
bool intel_hand_over_alias(struct device_domain_info *info, u16 rid);
void intel_leave_aliases(struct device_domain_info *info);
int intel_iommu_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev);
void intel_iommu_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev);
void intel_iommu_replace_abort(struct iommu_domain *domain, struct device *dev);

bool intel_can_exchange(void);
void intel_exchange(u64 *entry, u64 lo, u64 hi);
unsigned long intel_lock_domains(struct dmar_domain *a, struct dmar_domain *b);
void intel_unlock_domains(struct dmar_domain *a, struct dmar_domain *b, unsigned long flags);

/* pasid-attach.c */
void intel_pasid_compose(struct pasid_entry *entry, struct dmar_domain *domain, struct intel_iommu *iommu, u16 did);
bool intel_pasid_is_seamless(struct pasid_entry *old, struct pasid_entry *new);
void __intel_pasid_set(struct device_domain_info *info, u32 pasid, struct dmar_domain *domain);
void intel_domain_flush_first_level(struct dmar_domain *domain, struct intel_iommu *iommu, u64 addr,
				    unsigned long pages, bool ih);
void __intel_domain_flush_pasid_tlbs(struct dmar_domain *domain, u64 addr, unsigned int order);
bool __intel_domain_has_pasid_tlb(struct dmar_domain *domain);
int intel_iommu_pasid_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
			      ioasid_t pasid);
void intel_iommu_pasid_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
			      ioasid_t pasid);
void intel_iommu_pasid_abort(struct iommu_domain *domain, struct device *dev, ioasid_t pasid);
void intel_iommu_pasid_remove(struct iommu_domain *old, struct device *dev, ioasid_t pasid);

/* pasid-enable.c */
int intel_iommu_pasid_enable(struct device *dev);
void intel_iommu_pasid_disable(struct device *dev);

/* map.c */
void *intel_domain_alloc_table(struct dmar_domain *domain);
int intel_domain_map(struct dmar_domain *domain, unsigned long pfn, const struct page_run *runs, unsigned int num,
		     int prot, unsigned long *mapped);
struct dma_pte *intel_domain_leaf(struct dmar_domain *domain, unsigned long pfn, int *level);
int intel_domain_map_identity(struct dmar_domain *domain, unsigned long pfn, unsigned long pages);
void intel_domain_clear(struct dmar_domain *domain, unsigned long pfn, unsigned long last, struct list_head *tables);
void intel_domain_unmap(struct dmar_domain *domain, unsigned long pfn, unsigned long pages);
int intel_iommu_map_runs(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs, unsigned int num,
			 int iommu_prot, gfp_t gfp, size_t *mapped);
int intel_iommu_map_range(struct iommu_domain *domain, unsigned long iova, phys_addr_t paddr, size_t size,
			  int iommu_prot, size_t *mapped);
void intel_iommu_unmap_range(struct iommu_domain *domain, unsigned long iova, size_t size);
unsigned long intel_iommu_leaves(struct iommu_domain *domain, size_t pgsize);

/* flush.c */
void intel_domain_link_iommu(struct dmar_domain *domain, struct iommu_domain_info *ref);
void intel_domain_unlink_iommu(struct dmar_domain *domain, struct iommu_domain_info *ref);
unsigned int intel_flush_order(unsigned long pfn, unsigned long pages);
void intel_domain_flush(struct dmar_domain *domain, unsigned long pfn, unsigned long pages, bool leaves_only);
void intel_domain_notify(struct dmar_domain *domain, unsigned long pfn, unsigned long pages);

/* dma-faults.c; intel_dma_faults_count() is in iommu.h, for dmar.c */
void intel_dma_faults_add(struct device_domain_info *info);
void intel_dma_faults_remove(struct device_domain_info *info);
int intel_dma_faults(struct device *dev, u64 *count);

/* iommufd.c */
struct iommu_domain *intel_iommu_domain_alloc_settled(struct device *dev, u32 flags);
void *intel_iommu_hw_info(struct device *dev, u32 *len, u32 *type);

static inline bool intel_domain_is_identity(struct dmar_domain *domain)
{
	return domain->domain.type == IOMMU_DOMAIN_IDENTITY;
}

/* The identity domain needs no table where every IOMMU can pass requests through */
static inline bool intel_domain_is_pass_through(struct dmar_domain *domain)
{
	return intel_domain_is_identity(domain) && hw_pass_through;
}

static inline bool intel_domain_is_first_level(struct dmar_domain *domain)
{
	return domain->flags & DOMAIN_FLAG_USE_FIRST_LEVEL;
}

#endif
