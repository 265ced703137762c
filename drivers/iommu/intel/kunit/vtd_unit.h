/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __INTEL_KUNIT_VTD_UNIT_H
#define __INTEL_KUNIT_VTD_UNIT_H

#include <linux/acpi.h>
#include <linux/dmar.h>

#include "../../kunit/soft_pci.h"
#include "../../kunit/walk.h"
#include "../iommu.h"
#include "../pasid.h"

#define VTD_SEGMENT	0x7e57
#define VTD_PASID_ZERO	BIT(20)		/* in the tags of a device-TLB: a PASID, and it is 0 */

/*
 * struct vtd_unit - VT-d in software
 * @unit: for the walking thread
 * @iommu: what the driver believes to be hardware
 * @drhd: its place in the driver's list
 * @acpi: what firmware would say about it
 * @regs: its registers, plain memory
 * @pci: the segment behind it
 * @context: context entries, by source
 * @pasid: PASID table entries, by source, PASID and domain id
 * @tlb: translations, [0] of second-level tables by domain id, [1] of first-level tables by PASID too
 * @paging: entries that lead to another table, likewise
 * @device_tlb: what the devices remember, by source and PASID
 * @misuse: what the driver did that the specification does not allow, or NULL
 */
struct vtd_unit {
	struct walk_unit unit;
	struct intel_iommu iommu;
	struct dmar_drhd_unit drhd;
	struct acpi_dmar_hardware_unit acpi;
	void *regs;
	u64 root;
	u32 gcmd;
	struct soft_pci *pci;
	struct walk_cache context;
	struct walk_cache pasid;
	struct walk_cache tlb[2];
	struct walk_cache paging[2];
	struct walk_cache device_tlb;
	const char *misuse;
};

int vtd_unit_init(struct vtd_unit *unit, struct soft_pci *pci, bool scalable);
int vtd_unit_start(struct vtd_unit *unit);
unsigned int vtd_unit_domain_ids(struct vtd_unit *unit);
void vtd_unit_stop(struct vtd_unit *unit);
void vtd_unit_free(struct vtd_unit *unit);

/* vtd_walk.c */
void vtd_walk(struct walk_unit *walk_unit, u32 source, u32 pasid, u64 iova, struct walk_result *result);
void vtd_walk_leaves(struct iommu_domain *domain, unsigned long *leaves);

#endif
