/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __SMMU_KUNIT_SMMU_UNIT_H
#define __SMMU_KUNIT_SMMU_UNIT_H

#include <linux/of.h>
#include <linux/platform_device.h>

#include "../../../kunit/soft_pci.h"
#include "../../../kunit/walk.h"
#include "../arm-smmu-v3.h"

#define SMMU_SEGMENT	0x7e58
#define SMMU_PENDING	256	/* commands that may wait for a CMD_SYNC */

/**
 * struct smmu_model - What a unit can do
 * @name: of the model
 * @stages: IDR0_S1P, IDR0_S2P or both
 * @ssid_bits: how long a PASID may be
 * @two_levels: of tables of context descriptors
 * @ats: devices may remember translations
 * @ranges: invalidation by range, and with the level of what is invalidated
 * @identity: devices are let through unless something else is said
 */
struct smmu_model {
	const char *name;
	u32 stages;
	unsigned int ssid_bits;
	bool two_levels;
	bool ats;
	bool ranges;
	bool identity;
};

enum smmu_stage { SMMU_S1, SMMU_S2, SMMU_STAGES };

/*
 * struct smmu_unit - An SMMUv3 in software
 * @unit: for the walking thread
 * @model: what it can do
 * @pci: the segment behind it
 * @pdev: how the driver gets to know of it
 * @node: what firmware says about it
 * @regs: its registers, memory that nothing else uses
 * @cr0: what CR0ACK says
 * @irq_ctrl: what IRQ_CTRLACK says
 * @strtab: the stream table
 * @cons: the next command
 * @pending: commands that are taken, but not carried out yet
 * @ste: stream table entries, by stream
 * @l1cd: entries of the first level of context descriptor tables, by stream and upper bits of the PASID
 * @cd: context descriptors, by stream and PASID
 * @tlb: translations, by VMID as domain; of stage 1 by ASID as PASID too
 * @paging: entries that lead to another table, likewise
 * @atc: what the devices remember, by source and PASID
 * @misuse: what the driver did that the specification does not allow, or NULL
 */
struct smmu_unit {
	struct walk_unit unit;
	const struct smmu_model *model;
	struct soft_pci *pci;
	struct platform_device *pdev;
	struct device_node node;
	struct property properties[3];
	void __iomem *regs;
	u32 cr0;
	u32 irq_ctrl;
	u64 strtab;
	u32 strtab_cfg;
	u32 cons;
	u64 pending[SMMU_PENDING][CMDQ_ENT_DWORDS];
	unsigned int nr_pending;
	struct walk_cache ste;
	struct walk_cache l1cd;
	struct walk_cache cd;
	struct walk_cache tlb[SMMU_STAGES];
	struct walk_cache paging[SMMU_STAGES];
	struct walk_cache atc;
	const char *misuse;
};

int smmu_unit_init(struct smmu_unit *unit, const struct smmu_model *model, struct soft_pci *pci);
int smmu_unit_start(struct smmu_unit *unit);
void smmu_unit_found(struct smmu_unit *unit, struct pci_dev *pdev);
void smmu_unit_stop(struct smmu_unit *unit);
void smmu_unit_free(struct smmu_unit *unit);
void smmu_unit_misuse(struct smmu_unit *unit, const char *what);

/* smmu_walk.c */
void smmu_walk(struct walk_unit *walk_unit, u32 source, u32 pasid, u64 iova, struct walk_result *result);
void smmu_walk_leaves(struct iommu_domain *domain, unsigned long *leaves);

#endif
