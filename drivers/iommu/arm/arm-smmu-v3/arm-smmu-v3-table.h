/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ARM_SMMU_V3_TABLE_H
#define _ARM_SMMU_V3_TABLE_H

#include <linux/atomic.h>
#include <linux/types.h>

struct arm_smmu_domain;
struct iommu_domain;
struct iommu_iotlb_gather;
struct page_run;

/**
 * struct smmu_table - Where the page table of a domain begins, for those who walk it themselves
 * @root: its first table; NULL when only io-pgtable-arm.c may touch it
 * @top: how many bits of an address an entry of @root is about, as a shift
 * @input_bits: of addresses that are translated
 * @output_bits: of physical addresses
 * @leaves: how many there are, of pages, and of blocks of each level above them
 *
 * Does not change once the domain is complete, but for @leaves.
 */
struct smmu_table {
	u64 *root;
	unsigned int top;
	unsigned int input_bits;
	unsigned int output_bits;
	atomic_long_t leaves[3];
};

void smmu_table_open(struct arm_smmu_domain *domain);
int smmu_map_runs(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs, unsigned int num,
		  int prot, gfp_t gfp, size_t *mapped);
void smmu_unmap_range(struct iommu_domain *domain, unsigned long iova, size_t size);
int smmu_map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys, size_t pgsize, size_t pgcount,
		   int prot, gfp_t gfp, size_t *mapped);
size_t smmu_unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize, size_t pgcount,
			struct iommu_iotlb_gather *gather);
unsigned long smmu_leaves(struct iommu_domain *domain, size_t pgsize);

#endif
