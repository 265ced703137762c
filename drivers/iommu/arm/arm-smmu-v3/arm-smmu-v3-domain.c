// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm-smmu-v3-domain - domains, and when they are complete
 *
 * A paging domain is a page table of stage 1 with an ASID, or one of stage 2 with a VMID, of one SMMU. One that is
 * allocated for a device is complete at once. For one of the kernel's own the first attach decides, as in Linux 6.1.
 * Bypass and blocked domains belong to no SMMU.
 *
 * Locking: domain->init_mutex covers domain->smmu until it is set; after that nothing of the domain changes but
 * its mappings, attachments and, for shared virtual addressing and under arm_smmu_asid_lock, its ASID.
 */
#include <linux/err.h>
#include <linux/io-pgtable.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"

static struct arm_smmu_domain *domain_alloc(enum arm_smmu_domain_stage stage, gfp_t gfp)
{
	struct arm_smmu_domain *domain = kzalloc(sizeof(*domain), gfp);

	if (!domain)
		return NULL;

	mutex_init(&domain->init_mutex);
	INIT_LIST_HEAD(&domain->devices);
	spin_lock_init(&domain->devices_lock);
	domain->stage = stage;
	return domain;
}

/**
 * smmu_domain_alloc() - Allocate a domain of which the first attach decides the SMMU
 * @type: IOMMU_DOMAIN_*
 *
 * Return: the domain, or NULL for an unknown type or without memory.
 */
struct iommu_domain *smmu_domain_alloc(unsigned int type)
{
	enum arm_smmu_domain_stage stage;
	struct arm_smmu_domain *domain;

	switch (type) {
	case IOMMU_DOMAIN_BLOCKED:
		stage = ARM_SMMU_DOMAIN_BLOCKED;
		break;
	case IOMMU_DOMAIN_IDENTITY:
		stage = ARM_SMMU_DOMAIN_BYPASS;
		break;
	case IOMMU_DOMAIN_UNMANAGED:
	case IOMMU_DOMAIN_DMA:
	case IOMMU_DOMAIN_DMA_FQ:
		stage = ARM_SMMU_DOMAIN_S1;
		break;
	default:
		return NULL;
	}

	domain = domain_alloc(stage, GFP_KERNEL);
	return domain ? &domain->domain : NULL;
}

/**
 * smmu_domain_is_paging() - Does a domain translate by a page table?
 * @domain: a domain
 *
 * Return: false for one that blocks or lets everything through.
 */
bool smmu_domain_is_paging(struct arm_smmu_domain *domain)
{
	return domain->stage != ARM_SMMU_DOMAIN_BYPASS && domain->stage != ARM_SMMU_DOMAIN_BLOCKED;
}

/**
 * smmu_domain_settle() - Complete a paging domain for the SMMU of a master, unless it is complete already
 * @domain: a domain
 * @master: a master; its SMMU need not be that of @domain
 *
 * Context: May sleep. Takes domain->init_mutex and arm_smmu_asid_lock.
 * Return: 0; or -errno with nothing changed: -ENOSPC when there is no ASID or VMID left; -ENOMEM.
 */
int smmu_domain_settle(struct arm_smmu_domain *domain, struct arm_smmu_master *master)
{
	int rc = 0;

	if (!smmu_domain_is_paging(domain))
		return 0;

	mutex_lock(&domain->init_mutex);
	if (!domain->smmu) {
		domain->smmu = master->smmu;
		rc = arm_smmu_domain_finalise(&domain->domain);
		if (rc)
			domain->smmu = NULL;
	}
	mutex_unlock(&domain->init_mutex);

	/* What the xarray says when there is no ASID left */
	return rc == -EBUSY ? -ENOSPC : rc;
}

static int choose_stage(struct arm_smmu_device *smmu, u32 flags, enum arm_smmu_domain_stage *stage)
{
	switch (flags) {
	case IOMMU_HWPT_ALLOC_NEST_PARENT:
		*stage = ARM_SMMU_DOMAIN_S2;
		return smmu->features & ARM_SMMU_FEAT_NESTING ? 0 : -EOPNOTSUPP;
	case IOMMU_HWPT_ALLOC_PASID:
		*stage = ARM_SMMU_DOMAIN_S1;
		return smmu->features & ARM_SMMU_FEAT_TRANS_S1 && smmu->ssid_bits ? 0 : -EOPNOTSUPP;
	case 0:
		*stage = smmu->features & ARM_SMMU_FEAT_TRANS_S1 ? ARM_SMMU_DOMAIN_S1 : ARM_SMMU_DOMAIN_S2;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/**
 * smmu_domain_alloc_settled() - Allocate a paging domain that is complete for one device
 * @dev: device whose SMMU decides
 * @flags: IOMMU_HWPT_ALLOC_NEST_PARENT for a stage 2 that a guest's stage 1 can stand on, IOMMU_HWPT_ALLOC_PASID for
 *	one that SSIDs can be attached to, or 0
 *
 * What has a stage 1 gets one, for that is what a replace can exchange without a gap and what translates SSIDs.
 *
 * Return: the domain, or an ERR_PTR: -EOPNOTSUPP for another flag or both, and when the SMMU lacks the stage, nesting
 * or SSIDs; -ENOSPC when it has no ASID or VMID left; -ENOMEM.
 */
struct iommu_domain *smmu_domain_alloc_settled(struct device *dev, u32 flags)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	enum arm_smmu_domain_stage stage;
	struct arm_smmu_domain *domain;
	int rc;

	rc = choose_stage(master->smmu, flags, &stage);
	if (rc)
		return ERR_PTR(rc);

	domain = domain_alloc(stage, GFP_KERNEL_ACCOUNT);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	domain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	domain->charged = true;
	domain->nest_parent = flags & IOMMU_HWPT_ALLOC_NEST_PARENT;

	rc = smmu_domain_settle(domain, master);
	if (rc) {
		kfree(domain);
		return ERR_PTR(rc);
	}
	smmu_table_open(domain);
	return &domain->domain;
}

/**
 * smmu_domain_free() - Free a domain
 * @domain: a domain that no master is attached to
 */
void smmu_domain_free(struct iommu_domain *domain)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain(domain);
	struct arm_smmu_device *smmu = smmu_domain->smmu;

	/* Empties the TLBs; only then may another domain have the ASID or the VMID */
	free_io_pgtable_ops(smmu_domain->pgtbl_ops);

	if (smmu && smmu_domain->stage == ARM_SMMU_DOMAIN_S1) {
		mutex_lock(&arm_smmu_asid_lock);
		arm_smmu_free_asid(&smmu_domain->s1_cfg.cd);
		mutex_unlock(&arm_smmu_asid_lock);
	} else if (smmu) {
		arm_smmu_bitmap_free(smmu->vmid_map, smmu_domain->s2_cfg.vmid);
	}
	kfree(smmu_domain);
}

/**
 * smmu_nest_parent_inv() - Drop what was cached of a stage 2 together with the stage 1 of a guest
 * @domain: domain that is a nest parent, of which a part was unmapped and flushed by IPA
 *
 * TLBs may keep what both stages make of an address, and ATCs only ever do. Which addresses of the guest lead to the
 * part that was unmapped nobody knows, so all of them go. IHI 0070, 4.4 "TLB invalidation".
 */
void smmu_nest_parent_inv(struct arm_smmu_domain *domain)
{
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_TLBI_NH_ALL,
		.tlbi.vmid = domain->s2_cfg.vmid,
	};

	arm_smmu_cmdq_issue_cmd_with_sync(domain->smmu, &cmd);
	arm_smmu_atc_inv_domain(domain, 0, 0);
}
