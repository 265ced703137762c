/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between arm-smmu-v3.c and the files that do for it what is more than a hook: arm-smmu-v3-attach.c,
 * arm-smmu-v3-domain.c, arm-smmu-v3-faults.c and arm-smmu-v3-iommufd.c
 */
#ifndef _ARM_SMMU_V3_ATTACH_H
#define _ARM_SMMU_V3_ATTACH_H

#include <linux/list.h>
#include <linux/types.h>

struct arm_smmu_device;
struct arm_smmu_domain;
struct arm_smmu_master;
struct device;
struct iommu_domain;

/**
 * struct smmu_attachment - One substream of a master is translated by a domain
 * @link: in the domain's devices
 * @master: the master
 * @ssid: the substream; 0 for requests without SSID
 * @ats: the device can keep translations, which have to be invalidated too while it does
 */
struct smmu_attachment {
	struct list_head link;
	struct arm_smmu_master *master;
	u32 ssid;
	bool ats;
};

/* arm-smmu-v3-attach.c */
void smmu_master_init(struct arm_smmu_master *master);
void smmu_master_leave(struct arm_smmu_master *master);
void smmu_stes_init(__le64 *strtab, unsigned int nent, bool bypass);
void __smmu_install_ste(struct arm_smmu_master *master);
void smmu_attachment_link(struct smmu_attachment *att, struct arm_smmu_domain *domain);
void smmu_attachment_unlink(struct smmu_attachment *att, struct arm_smmu_domain *domain);
void smmu_master_inv_atc_range(struct arm_smmu_master *master, u32 ssid, unsigned long iova, size_t size);
void smmu_master_inv_atc(struct arm_smmu_master *master, u32 ssid);
bool smmu_master_has_stage1(struct arm_smmu_master *master);
bool smmu_master_has_stage2(struct arm_smmu_master *master);
int smmu_attach_dev(struct iommu_domain *domain, struct device *dev);
int smmu_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev);
void smmu_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev);
void smmu_replace_abort(struct iommu_domain *domain, struct device *dev);

/* arm-smmu-v3-domain.c */
struct iommu_domain *smmu_domain_alloc(unsigned int type);
struct iommu_domain *smmu_domain_alloc_settled(struct device *dev, u32 flags);
void smmu_domain_free(struct iommu_domain *domain);
bool smmu_domain_is_paging(struct arm_smmu_domain *domain);
int smmu_domain_settle(struct arm_smmu_domain *domain, struct arm_smmu_master *master);
void smmu_nest_parent_inv(struct arm_smmu_domain *domain);

/* arm-smmu-v3-faults.c */
void smmu_dma_faults_count(struct arm_smmu_device *smmu, const u64 *evt);
int smmu_dma_faults(struct device *dev, u64 *count);

/* arm-smmu-v3-iommufd.c */
void *smmu_hw_info(struct device *dev, u32 *len, u32 *type);

#endif
