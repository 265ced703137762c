// SPDX-License-Identifier: GPL-2.0-only
/*
 * vtd_walk - how VT-d translates an access
 *
 * Everything is read the way hardware does: 16 bytes of a context or PASID table entry at once, the parts of a longer
 * entry at different moments, 8 bytes of a page table entry. Whatever is read may be remembered, and used later instead
 * of memory; entries that are not present are not remembered (CAP.CM is 0). Section numbers are those of the VT-d
 * specification.
 */
#include <linux/io.h>
#include <linux/mm.h>

#include "vtd_unit.h"

#define HOST_WIDTH	46
#define ADDRESS		GENMASK_ULL(HOST_WIDTH - 1, VTD_PAGE_SHIFT)
#define BEYOND		GENMASK_ULL(51, HOST_WIDTH)

/* Where the tables of one access are, out of the entries */
struct where {
	unsigned int type;		/* PASID_ENTRY_PGTT_*, for legacy mode too */
	unsigned int level;
	u64 table;
	u32 did;
	bool no_execute;
	bool device_tlb;
	bool cached;
};

/* A locked instruction: it writes zeros where there are zeros, and nothing otherwise */
static void read128(void *from, u64 *to)
{
	u64 lo = 0, hi = 0;

	asm volatile("lock cmpxchg16b %[from]"
		     : [from] "+m" (*(struct { u64 half[2]; } *)from), "+a" (lo), "+d" (hi)
		     : "b" (0ULL), "c" (0ULL)
		     : "cc", "memory");
	to[0] = lo;
	to[1] = hi;
}

/* Sections 9.1 to 9.4 */
static bool read_context(struct vtd_unit *unit, u32 source, u64 *context, struct where *where,
			 struct walk_result *result)
{
	struct walk_key key = { source, WALK_ANY, WALK_ANY, 0, 64 };
	bool scalable = unit->root & DMA_RTADDR_SMT;
	unsigned int devfn = source & 0xff;
	struct walk_line *line = NULL;
	u64 root[2], *table;

	if (walk_sometimes(&unit->unit))
		line = walk_cache_find(&unit->context, &key);
	if (line) {
		memcpy(context, line->data, 4 * sizeof(*context));
		where->cached = true;
		return true;
	}

	read128(phys_to_virt(unit->root & VTD_PAGE_MASK) + (source >> 8) * 16, root);
	if (!(root[scalable && devfn & 0x80] & 1))
		return walk_ends(result, WALK_BLOCKED, NULL);
	table = walk_memory(root[scalable && devfn & 0x80] & VTD_PAGE_MASK);
	if (!table)
		return walk_ends(result, WALK_BROKEN, "root entry");

	if (scalable) {
		read128(table + (devfn & 0x7f) * 4, context);
		walk_dawdle(&unit->unit);
		read128(table + (devfn & 0x7f) * 4 + 2, context + 2);
	} else {
		read128(table + devfn * 2, context);
	}
	if (!(context[0] & 1))
		return walk_ends(result, WALK_BLOCKED, NULL);
	if (scalable && (context[0] & GENMASK_ULL(8, 5) || context[1] & ~GENMASK_ULL(20, 0) ||
			 context[2] || context[3]))
		return walk_ends(result, WALK_BROKEN, "reserved bits of a scalable-mode context entry");
	if (!scalable && (context[0] & GENMASK_ULL(11, 4) || context[1] & ~(GENMASK_ULL(23, 8) | GENMASK_ULL(6, 0))))
		return walk_ends(result, WALK_BROKEN, "reserved bits of a context entry");

	if (walk_sometimes(&unit->unit)) {
		if (!scalable)
			key.domain = context[1] >> 8 & 0xffff;
		line = walk_cache_insert(&unit->context, &key, &unit->unit.rnd);
		memcpy(line->data, context, 4 * sizeof(*context));
	}
	return true;
}

static bool decode_context(const u64 *context, struct where *where, struct walk_result *result)
{
	where->did = context[1] >> 8 & 0xffff;
	where->table = context[0] & VTD_PAGE_MASK;
	where->level = (context[1] & 7) + 2;
	where->type = PASID_ENTRY_PGTT_SL_ONLY;

	switch (context[0] >> 2 & 3) {
	case CONTEXT_TT_DEV_IOTLB:
		where->device_tlb = true;
		break;
	case CONTEXT_TT_PASS_THROUGH:
		where->type = PASID_ENTRY_PGTT_PT;
		break;
	case 3:
		return walk_ends(result, WALK_BROKEN, "translation type of a context entry");
	}
	return true;
}

/* Sections 9.5 and 9.6: four times 16 bytes */
static bool read_pasid_entry(struct vtd_unit *unit, u32 source, u32 pasid, const u64 *context, u64 *entry,
			     struct where *where, struct walk_result *result)
{
	struct walk_key key = { source, pasid, WALK_ANY, 0, 64 };
	struct walk_line *line = NULL;
	u64 *directory, *table, pde;
	int i;

	if (walk_sometimes(&unit->unit))
		line = walk_cache_find(&unit->pasid, &key);
	if (line) {
		memcpy(entry, line->data, sizeof(line->data));
		where->cached = true;
		return true;
	}

	if (pasid >> PASID_PDE_SHIFT >= BIT(7 + (context[0] >> 9 & 7)))
		return walk_ends(result, WALK_BLOCKED, NULL);
	directory = walk_memory(context[0] & VTD_PAGE_MASK);
	if (!directory)
		return walk_ends(result, WALK_BROKEN, "PASID directory");
	pde = READ_ONCE(directory[pasid >> PASID_PDE_SHIFT]);
	if (!(pde & PASID_PTE_PRESENT))
		return walk_ends(result, WALK_BLOCKED, NULL);
	table = walk_memory(pde & VTD_PAGE_MASK);
	if (!table || pde & GENMASK_ULL(11, 2))
		return walk_ends(result, WALK_BROKEN, "PASID directory entry");

	for (i = 0; i < 8; i += 2) {
		read128(&table[(pasid & PASID_PTE_MASK) * 8 + i], &entry[i]);
		if (!(entry[0] & PASID_PTE_PRESENT))
			return walk_ends(result, WALK_BLOCKED, NULL);
		walk_dawdle(&unit->unit);
	}
	if (entry[0] & GENMASK_ULL(11, 9) || entry[3] || entry[4] || entry[5] || entry[6] || entry[7])
		return walk_ends(result, WALK_BROKEN, "reserved bits of a PASID table entry");

	if (walk_sometimes(&unit->unit)) {
		key.domain = entry[1] & 0xffff;
		line = walk_cache_insert(&unit->pasid, &key, &unit->unit.rnd);
		memcpy(line->data, entry, sizeof(line->data));
	}
	return true;
}

static bool decode_pasid_entry(struct vtd_unit *unit, const u64 *entry, struct where *where,
			       struct walk_result *result)
{
	where->did = entry[1] & 0xffff;
	where->type = entry[0] >> 6 & 7;

	switch (where->type) {
	case PASID_ENTRY_PGTT_FL_ONLY:
		if (entry[2] & GENMASK_ULL(11, 6))
			return walk_ends(result, WALK_BROKEN, "reserved bits of the first-level part");
		where->level = entry[2] & GENMASK_ULL(3, 2) ? 5 : 4;
		where->table = entry[2] & VTD_PAGE_MASK;
		where->no_execute = entry[2] & BIT(5);
		if (where->level == 5)
			return walk_ends(result, WALK_BROKEN, "five levels");
		break;
	case PASID_ENTRY_PGTT_SL_ONLY:
		where->level = (entry[0] >> 2 & 7) + 2;
		where->table = entry[0] & VTD_PAGE_MASK;
		break;
	case PASID_ENTRY_PGTT_PT:
		break;
	default:
		return walk_ends(result, WALK_BROKEN, "translation type of a PASID table entry");
	}
	/* ECAP.SRS is 0 */
	if (entry[2] & 1)
		return walk_ends(result, WALK_BROKEN, "supervisor requests");
	return true;
}

static bool find_tables(struct vtd_unit *unit, u32 source, u32 pasid, struct where *where, struct walk_result *result)
{
	u64 context[4] = {}, entry[8];

	if (!read_context(unit, source, context, where, result))
		return false;
	if (!(unit->root & DMA_RTADDR_SMT)) {
		if (pasid)
			return walk_ends(result, WALK_BLOCKED, NULL);
		return decode_context(context, where, result);
	}

	where->device_tlb = context[0] & BIT(2);
	if (pasid && !(context[0] & CONTEXT_PASIDE))
		return walk_ends(result, WALK_BLOCKED, NULL);
	if (!pasid)
		pasid = context[1] & GENMASK_ULL(19, 0);
	return read_pasid_entry(unit, source, pasid, context, entry, where, result) &&
	       decode_pasid_entry(unit, entry, where, result);
}

static bool check_page_entry(u64 pte, unsigned int level, const struct where *where, struct walk_result *result)
{
	bool first = where->type == PASID_ENTRY_PGTT_FL_ONLY;

	if (!(pte & (first ? 1 : 3)))
		return walk_ends(result, WALK_UNMAPPED, NULL);
	if (pte & BEYOND || (level > 3 && pte & DMA_PTE_LARGE_PAGE))
		return walk_ends(result, WALK_BROKEN, "reserved bits of a page table entry");
	if (first && (!(pte & DMA_FL_PTE_US) || (pte & DMA_FL_PTE_XD && !where->no_execute)))
		return walk_ends(result, WALK_BROKEN, "rights of a first-level entry");
	return true;
}

/* Sections 3.6 and 3.7 */
static bool walk_tables(struct vtd_unit *unit, const struct where *where, u32 pasid, u64 iova,
			struct walk_result *result)
{
	bool first = where->type == PASID_ENTRY_PGTT_FL_ONLY;
	struct walk_key key = { WALK_ANY, first ? pasid : WALK_ANY, where->did, iova, VTD_PAGE_SHIFT };
	struct rnd_state *rnd = &unit->unit.rnd;
	unsigned int level = where->level;
	u64 table = where->table, pte;
	struct walk_line *line;

	if (walk_sometimes(&unit->unit) && walk_recall(&unit->tlb[first], &key, result))
		return true;

	result->writable = true;
	line = walk_sometimes(&unit->unit) ? walk_cache_find(&unit->paging[first], &key) : NULL;
	if (line) {
		table = line->data[0];
		level = line->data[1];
		result->writable = line->data[2];
		result->cached = true;
	}

	for (;; level--) {
		u64 *entries = walk_memory(table);

		if (!entries || level > 4)
			return walk_ends(result, WALK_BROKEN, "place of a page table");
		pte = READ_ONCE(entries[iova >> (VTD_PAGE_SHIFT + VTD_STRIDE_SHIFT * (level - 1)) & 511]);
		if (!check_page_entry(pte, level, where, result))
			return false;
		result->writable &= !!(pte & DMA_PTE_WRITE);
		table = pte & ADDRESS;
		key.order = VTD_PAGE_SHIFT + VTD_STRIDE_SHIFT * (level - 1);
		key.iova = iova & ~(BIT_ULL(key.order) - 1);
		if (level == 1 || pte & DMA_PTE_LARGE_PAGE)
			break;
		/* There are several of them in one walk: what is remembered shall stay for a while */
		if (walk_sometimes(&unit->unit) && walk_sometimes(&unit->unit) && walk_sometimes(&unit->unit)) {
			line = walk_cache_insert(&unit->paging[first], &key, rnd);
			line->data[0] = table;
			line->data[1] = level - 1;
			line->data[2] = result->writable;
		}
	}

	if (table & (BIT_ULL(key.order) - 1))
		return walk_ends(result, WALK_BROKEN, "address of a large page");
	result->end = WALK_TRANSLATED;
	result->phys = table;
	if (walk_sometimes(&unit->unit))
		walk_remember(&unit->tlb[first], &key, result, rnd);
	result->phys += iova - key.iova;
	return true;
}

static bool uses_device_tlb(struct vtd_unit *unit, u32 source)
{
	struct soft_pci_function *function = soft_pci_function(unit->pci, source & 0xff);
	struct walk_key key = { source, WALK_ANY, WALK_ANY, 0, 64 };

	if (!function || !soft_pci_ats_enabled(function))
		return false;
	if (soft_pci_ats_restarted(function))
		walk_cache_flush(&unit->device_tlb, &key);
	return true;
}

/* A device with PASIDs may say that it has number 0: that leads to the same entry, and is remembered as what it says */
static u32 device_tlb_pasid(struct vtd_unit *unit, u32 source, u32 pasid)
{
	struct soft_pci_function *function = soft_pci_function(unit->pci, source & 0xff);

	if (pasid || !function || !soft_pci_pasid_enabled(function) || !walk_sometimes(&unit->unit))
		return pasid;
	return VTD_PASID_ZERO;
}

/**
 * vtd_walk() - Translate an access of a device
 * @walk_unit: the unit
 * @source: bus, device and function
 * @pasid: PASID, or 0 for an access without
 * @iova: address, aligned to a page
 * @result: zeroed; what came out
 */
void vtd_walk(struct walk_unit *walk_unit, u32 source, u32 pasid, u64 iova, struct walk_result *result)
{
	struct vtd_unit *unit = container_of(walk_unit, struct vtd_unit, unit);
	struct walk_key key = { source, pasid, WALK_ANY, iova, VTD_PAGE_SHIFT };
	bool ats = uses_device_tlb(unit, source);
	struct where where = {};

	key.pasid = device_tlb_pasid(unit, source, pasid);
	if (ats && walk_sometimes(&unit->unit) && walk_recall(&unit->device_tlb, &key, result))
		return;
	if (!find_tables(unit, source, pasid, &where, result))
		return;

	result->cached = where.cached;
	result->tag = where.did;
	if (where.type == PASID_ENTRY_PGTT_PT) {
		result->end = WALK_TRANSLATED;
		result->phys = iova;
		result->writable = true;
		return;
	}
	if (walk_tables(unit, &where, pasid, iova, result) && ats && where.device_tlb && walk_sometimes(&unit->unit))
		walk_remember(&unit->device_tlb, &key, result, &unit->unit.rnd);
}

static void walk_leaves(u64 *table, unsigned int level, unsigned long *leaves)
{
	unsigned int i;

	for (i = 0; i < 512; i++) {
		u64 pte = table[i];

		if (!(pte & 3))
			continue;
		if (level == 1 || pte & DMA_PTE_LARGE_PAGE)
			leaves[VTD_PAGE_SHIFT + VTD_STRIDE_SHIFT * (level - 1)]++;
		else
			walk_leaves(phys_to_virt(pte & ADDRESS), level - 1, leaves);
	}
}

/**
 * vtd_walk_leaves() - Count the leaves that are in a page table
 * @domain: the domain, which nobody changes meanwhile
 * @leaves: [n] is increased for each of BIT(n) bytes
 */
void vtd_walk_leaves(struct iommu_domain *domain, unsigned long *leaves)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);

	walk_leaves((u64 *)dmar_domain->pgd, dmar_domain->agaw + 2, leaves);
}
