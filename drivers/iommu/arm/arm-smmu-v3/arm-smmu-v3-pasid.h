/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ARM_SMMU_V3_PASID_H
#define _ARM_SMMU_V3_PASID_H

#include <linux/iommu.h>
#include <linux/xarray.h>

struct arm_smmu_ctx_desc;
struct arm_smmu_domain;
struct arm_smmu_master;

/* Who says what the PASIDs of a master mean */
enum smmu_pasid_user {
	SMMU_PASIDS_UNUSED,
	SMMU_PASIDS_OF_DOMAINS,		/* the owner of the group attaches each to a domain */
	SMMU_PASIDS_OF_PROCESSES,	/* shared virtual addressing: each is that of a process */
};

/**
 * struct smmu_pasids - What the requests of a master with PASID go through
 * @user: whose they are, changed by cmpxchg()
 * @substreams: struct smmu_substream of each PASID that is attached to a domain, or about to be; group->mutex
 */
struct smmu_pasids {
	enum smmu_pasid_user user;
	struct xarray substreams;
};

void smmu_pasids_init(struct arm_smmu_master *master);
bool smmu_pasids_claim(struct arm_smmu_master *master, enum smmu_pasid_user user);
void smmu_pasids_unclaim(struct arm_smmu_master *master);

int smmu_pasid_enable(struct device *dev);
void smmu_pasid_disable(struct device *dev);
int smmu_pasid_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev, ioasid_t pasid);
void smmu_pasid_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev, ioasid_t pasid);
void smmu_pasid_abort(struct iommu_domain *domain, struct device *dev, ioasid_t pasid);
void smmu_pasid_remove(struct iommu_domain *old, struct device *dev, ioasid_t pasid);

int smmu_process_attach(struct arm_smmu_master *master, u32 pasid, const struct arm_smmu_ctx_desc *cd);
void smmu_process_exit(struct arm_smmu_master *master, u32 pasid, const struct arm_smmu_ctx_desc *cd);
void smmu_process_detach(struct arm_smmu_master *master, u32 pasid);
void smmu_domain_new_asid(struct arm_smmu_domain *domain);

#endif
