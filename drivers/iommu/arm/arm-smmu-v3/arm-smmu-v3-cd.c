// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm-smmu-v3-cd - the context descriptors of a master: what translates each of its substreams
 *
 * A context descriptor (CD) names the page table and the ASID of one SubstreamID; that of 0 is for requests without
 * one. They stand in a table that the stream table entries (STE) of the master lead to, directly or through a level
 * of pointers (Arm IHI 0070, sections 3.3.2 and 5.3).
 *
 * From one page table to another a CD changes in more than one of the 64-bit words that hardware reads at once, so it
 * cannot be changed in place while it is used. The table that holds it is then written anew, with the new CD in it,
 * where hardware does not look, and the one pointer that leads to it is switched: S1ContextPtr of the STE, or the
 * level-1 descriptor. Hardware sees the old CD or the new one, and the other CDs of the table are the same in both.
 * What was the table becomes the spare for the next time, once nothing of it is cached:
 *
 *	what changes			then
 *	a CD, in place			CFGI_CD, SYNC
 *	level-1 descriptor		CFGI_CD_ALL, SYNC
 *	S1ContextPtr			CFGI_STE, SYNC; CFGI_CD_ALL, SYNC
 *
 * In the last the STE must be gone before the CDs are: with it a CD could be fetched from the old table once more.
 *
 * This file knows neither domains nor TLBs. What IOTLB and ATC have under the old CD is dropped by who knows them.
 *
 * Locking: smmu_cds.lock covers the tables. It is taken inside of group->mutex, arm_smmu_asid_lock, and of what shared
 * virtual addressing has.
 */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-attach.h"
#include "arm-smmu-v3-cd.h"
#include "arm-smmu-v3-ste.h"

/* Probing gives no master more SSIDs than its SMMU has tables for */
static bool is_linear(struct arm_smmu_master *master)
{
	return master->ssid_bits <= CTXDESC_SPLIT;
}

static unsigned int leaf_bits(struct arm_smmu_master *master)
{
	return min_t(unsigned int, master->ssid_bits, CTXDESC_SPLIT);
}

static size_t leaf_size(struct arm_smmu_master *master)
{
	return sizeof(struct smmu_entry) << leaf_bits(master);
}

static size_t num_leaves(struct arm_smmu_master *master)
{
	return 1UL << (master->ssid_bits - leaf_bits(master));
}

static struct smmu_cd_leaf *leaf_of(struct arm_smmu_master *master, u32 ssid)
{
	return &master->cds.leaves[ssid >> leaf_bits(master)];
}

static u32 index_in_leaf(struct arm_smmu_master *master, u32 ssid)
{
	return ssid & ((1U << leaf_bits(master)) - 1);
}

struct cd_place {
	struct arm_smmu_master *master;
	u32 ssid;
};

/* Hardware has dropped what it knew of one CD, or of all with the pointers to them, at the latest on return */
static void forget(struct cd_place *at, u8 opcode)
{
	struct arm_smmu_master *master = at->master;
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = opcode,
		.cfgi = { .ssid = at->ssid, .leaf = true },
	};
	struct arm_smmu_cmdq_batch cmds;
	unsigned int i;

	cmds.num = 0;
	for (i = 0; i < master->num_streams; i++) {
		cmd.cfgi.sid = master->streams[i].id;
		arm_smmu_cmdq_batch_add(master->smmu, &cmds, &cmd);
	}
	arm_smmu_cmdq_batch_submit(master->smmu, &cmds);
}

static void forget_one(void *place)
{
	forget(place, CMDQ_OP_CFGI_CD);
}

static void forget_all(struct arm_smmu_master *master)
{
	struct cd_place at = { .master = master };

	forget(&at, CMDQ_OP_CFGI_CD_ALL);
}

static int add_leaf(struct arm_smmu_master *master, struct smmu_cd_leaf *leaf)
{
	if (leaf->cds)
		return 0;
	leaf->cds = dma_alloc_coherent(master->smmu->dev, leaf_size(master), &leaf->dma, GFP_KERNEL);
	return leaf->cds ? 0 : -ENOMEM;
}

static void free_leaf(struct arm_smmu_master *master, struct smmu_cd_leaf *leaf)
{
	if (leaf->cds)
		dma_free_coherent(master->smmu->dev, leaf_size(master), leaf->cds, leaf->dma);
}

static size_t l1_size(struct arm_smmu_master *master)
{
	return num_leaves(master) * sizeof(*master->cds.l1);
}

static int add_root(struct arm_smmu_master *master)
{
	struct smmu_cds *cds = &master->cds;

	if (!cds->leaves)
		cds->leaves = kvcalloc(num_leaves(master), sizeof(*cds->leaves), GFP_KERNEL_ACCOUNT);
	if (!cds->leaves)
		return -ENOMEM;
	if (is_linear(master) || cds->l1)
		return 0;
	cds->l1 = dma_alloc_coherent(master->smmu->dev, l1_size(master), &cds->l1_dma, GFP_KERNEL);
	return cds->l1 ? 0 : -ENOMEM;
}

/* Lead hardware, which may read at any time, from @l1 to @leaf */
static void write_l1(__le64 *l1, const struct smmu_cd_leaf *leaf)
{
	dma_wmb();
	WRITE_ONCE(*l1, cpu_to_le64((leaf->dma & CTXDESC_L1_DESC_L2PTR_MASK) | CTXDESC_L1_DESC_V));
}

/* Where there was no table for @ssid, hardware may remember that */
static void link_leaf(struct arm_smmu_master *master, u32 ssid)
{
	__le64 *l1 = master->cds.l1 + (ssid >> CTXDESC_SPLIT);

	if (is_linear(master) || *l1)
		return;
	write_l1(l1, leaf_of(master, ssid));
	forget_all(master);
}

/**
 * smmu_cds_init() - Make the context descriptors of a master, none of which is there yet
 * @master: the master, whose ssid_bits stay
 *
 * Allocates nothing.
 */
void smmu_cds_init(struct arm_smmu_master *master)
{
	mutex_init(&master->cds.lock);
}

/**
 * smmu_cds_free() - Free the context descriptors of a master
 * @master: the master, whose STEs lead to none, on its release; not before, so that going back to a domain that it had
 *	needs no memory
 *
 * The next device with its stream IDs finds no pointer of it cached.
 *
 * Context: group->mutex held. May sleep.
 */
void smmu_cds_free(struct arm_smmu_master *master)
{
	struct smmu_cds *cds = &master->cds;
	size_t i;

	if (cds->leaves)
		forget_all(master);
	for (i = 0; cds->leaves && i < num_leaves(master); i++)
		free_leaf(master, &cds->leaves[i]);
	free_leaf(master, &cds->spare);
	if (cds->l1)
		dma_free_coherent(master->smmu->dev, l1_size(master), cds->l1, cds->l1_dma);
	kvfree(cds->leaves);
	mutex_destroy(&cds->lock);
}

/**
 * smmu_cds_prepare() - Have the memory that smmu_cds_set() needs
 * @master: the master
 * @ssid: the substream; 0 for requests without one
 *
 * Nothing is translated differently afterwards. The memory stays until the master is released, so what worked once for
 * @ssid cannot fail again. What hardware reads is DMA memory of the SMMU, which has no account to charge.
 *
 * Context: group->mutex held. May sleep. Takes smmu_cds.lock.
 * Return: 0; -EINVAL when @ssid is past the table; or -ENOMEM.
 */
int smmu_cds_prepare(struct arm_smmu_master *master, u32 ssid)
{
	struct smmu_cds *cds = &master->cds;
	int rc;

	if (ssid >> master->ssid_bits)
		return -EINVAL;

	mutex_lock(&cds->lock);
	rc = add_root(master);
	if (!rc)
		rc = add_leaf(master, &cds->spare);
	if (!rc)
		rc = add_leaf(master, leaf_of(master, ssid));
	if (!rc)
		link_leaf(master, ssid);
	mutex_unlock(&cds->lock);
	return rc;
}

/* All CDs stay as they are but @at->ssid, which becomes @cd at once */
static void switch_leaf(struct cd_place *at, const struct smmu_entry *cd)
{
	struct arm_smmu_master *master = at->master;
	struct smmu_cd_leaf *leaf = leaf_of(master, at->ssid);
	struct smmu_cds *cds = &master->cds;

	memcpy(cds->spare.cds, leaf->cds, leaf_size(master));
	cds->spare.cds[index_in_leaf(master, at->ssid)] = *cd;
	swap(*leaf, cds->spare);

	if (is_linear(master)) {
		dma_wmb();
		__smmu_install_ste(master);
	} else {
		write_l1(cds->l1 + (at->ssid >> CTXDESC_SPLIT), leaf);
	}
	forget_all(master);
}

static void count(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *was, const struct smmu_entry *is)
{
	if (ssid)
		master->cds.used += !!(is->q[0] & cpu_to_le64(CTXDESC_CD_0_V)) -
				    !!(was->q[0] & cpu_to_le64(CTXDESC_CD_0_V));
}

/**
 * smmu_cds_set() - Let a context descriptor translate a substream
 * @master: the master
 * @ssid: the substream, for which smmu_cds_prepare() succeeded once; 0 for requests without one
 * @cd: its context descriptor, valid; or NULL for none
 *
 * Cannot fail. Hardware sees the old CD or @cd and nothing else, and has dropped the old one on return.
 *
 * Context: May sleep. Takes smmu_cds.lock. group->mutex held, unless @cd differs from what is there in one 64-bit word.
 */
void smmu_cds_set(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *cd)
{
	struct cd_place at = { .master = master, .ssid = ssid };
	struct smmu_cds *cds = &master->cds;
	struct smmu_entry none = {}, *live;

	if (!cd)
		cd = &none;

	mutex_lock(&cds->lock);
	live = &leaf_of(master, ssid)->cds[index_in_leaf(master, ssid)];
	count(master, ssid, live, cd);
	if (smmu_entry_is_seamless(&smmu_cd_kind, live, cd))
		smmu_entry_write(&smmu_cd_kind, live, cd, forget_one, &at);
	else
		switch_leaf(&at, cd);
	mutex_unlock(&cds->lock);
}

/**
 * smmu_cds_root() - What an STE says about the context descriptors of a master
 * @master: the master, for which smmu_cds_prepare() succeeded once
 * @root: filled
 *
 * Context: group->mutex held.
 */
void smmu_cds_root(struct arm_smmu_master *master, struct smmu_cd_root *root)
{
	struct smmu_cds *cds = &master->cds;

	root->base = is_linear(master) ? cds->leaves->dma : cds->l1_dma;
	root->fmt = is_linear(master) ? STRTAB_STE_0_S1FMT_LINEAR : STRTAB_STE_0_S1FMT_64K_L2;
	root->cdmax = master->ssid_bits;
}
