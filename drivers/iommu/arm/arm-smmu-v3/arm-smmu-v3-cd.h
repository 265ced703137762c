/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ARM_SMMU_V3_CD_H
#define _ARM_SMMU_V3_CD_H

#include <linux/mutex.h>
#include <linux/types.h>

struct arm_smmu_master;
struct smmu_cd_root;
struct smmu_entry;

/* 1 << ssid_bits context descriptors, or CTXDESC_L2_ENTRIES of them, one after the other */
struct smmu_cd_leaf {
	struct smmu_entry *cds;
	dma_addr_t dma;
};

/**
 * struct smmu_cds - The context descriptors of a master
 * @lock: contents of the tables; switching a table also needs the group->mutex of the master
 * @leaves: what the pointers to them lead to; of a linear table the only one, which the STE leads to
 * @spare: a leaf that nothing leads to
 * @l1: descriptors of @leaves, which the STE leads to; NULL when the table is linear
 * @l1_dma: where hardware finds @l1
 * @used: how many substreams other than 0 have a context descriptor
 */
struct smmu_cds {
	struct mutex lock;		/* inside of group->mutex and arm_smmu_asid_lock */
	struct smmu_cd_leaf *leaves;
	struct smmu_cd_leaf spare;
	__le64 *l1;
	dma_addr_t l1_dma;
	unsigned int used;
};

void smmu_cds_init(struct arm_smmu_master *master);
void smmu_cds_free(struct arm_smmu_master *master);
int smmu_cds_prepare(struct arm_smmu_master *master, u32 ssid);
void smmu_cds_set(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *cd);
void smmu_cds_root(struct arm_smmu_master *master, struct smmu_cd_root *root);

#endif
