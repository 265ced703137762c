// SPDX-License-Identifier: GPL-2.0-only
/*
 * smmu_walk - how an SMMUv3 translates an access
 *
 * Everything is read the way hardware does: 8 bytes at once, those of a longer entry in any order and at different
 * moments. Whatever is read may be remembered, and used later instead of memory: entries of page tables that map
 * something, and stream table entries and context descriptors whatever is in them. Section numbers are those of the
 * specification (Arm IHI 0070).
 */
#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/sizes.h>

#include "smmu_unit.h"

#define OAS_BITS	48
#define OAS_CODE	IDR5_OAS_48_BIT		/* the same in IPS and PS */
#define PAGE_ORDER	12
#define LEVEL_ORDER	9
#define ADDRESS		GENMASK_ULL(OAS_BITS - 1, PAGE_ORDER)
#define BEYOND		GENMASK_ULL(51, OAS_BITS)

#define STE_CFG_S1	BIT(0)			/* in the Config field, when bit 2 is set */
#define STE_CFG_S2	BIT(1)
#define STE_CFG_LIVE	BIT(2)
#define STE_S2S		BIT_ULL(57)

#define S1FMT_4K_L2	1
#define S1FMT_4K_SPLIT	6

#define DESC_VALID	BIT_ULL(0)
#define DESC_TABLE	BIT_ULL(1)		/* or a page, at the last level */
#define DESC_ATTRINDX	GENMASK_ULL(4, 2)
#define DESC_S2_MEMATTR	GENMASK_ULL(5, 2)
#define DESC_S1_USER	BIT_ULL(6)
#define DESC_S1_RDONLY	BIT_ULL(7)
#define DESC_S2_READ	BIT_ULL(6)
#define DESC_S2_WRITE	BIT_ULL(7)
#define DESC_AF		BIT_ULL(10)

/* Where the tables of one access are, out of the entries */
struct where {
	bool identity;
	enum smmu_stage stage;
	unsigned int bits;		/* of addresses */
	u64 table;
	u64 attributes;			/* MAIR */
	u32 vmid;
	u32 asid;
	bool ats;
	bool cached;
};

static u32 tag(const struct where *where)
{
	return where->stage == SMMU_S1 ? where->asid : where->vmid;
}

/* The words one by one, from any on, forwards or backwards or in leaps */
static void read_entry(struct smmu_unit *unit, const u64 *from, u64 *to)
{
	u32 random = prandom_u32_state(&unit->unit.rnd);
	unsigned int first = random >> 8 & 7, leap = (random >> 16 & 7) | 1, i, word;

	for (i = 0; i < STRTAB_STE_DWORDS; i++) {
		word = (first + i * leap) & 7;
		to[word] = le64_to_cpu((__force __le64)READ_ONCE(from[word]));
		walk_dawdle(&unit->unit);
	}
}

static bool recall_entry(struct smmu_unit *unit, struct walk_cache *cache, const struct walk_key *key, u64 *entry,
			 unsigned int words, struct where *where)
{
	struct walk_line *line = walk_sometimes(&unit->unit) ? walk_cache_find(cache, key) : NULL;

	if (!line)
		return false;
	memcpy(entry, line->data, words * sizeof(*entry));
	where->cached = true;
	return true;
}

static void remember_entry(struct smmu_unit *unit, struct walk_cache *cache, const struct walk_key *key,
			   const u64 *entry, unsigned int words)
{
	if (walk_sometimes(&unit->unit))
		memcpy(walk_cache_insert(cache, key, &unit->unit.rnd)->data, entry, words * sizeof(*entry));
}

/* Sections 3.3.1 and 5.1 */
static const u64 *find_ste(struct smmu_unit *unit, u32 source, struct walk_result *result)
{
	u64 *l1 = walk_memory(unit->strtab), l1std, *stes;
	unsigned int span;

	if (!l1 || FIELD_GET(STRTAB_BASE_CFG_FMT, unit->strtab_cfg) != STRTAB_BASE_CFG_FMT_2LVL) {
		walk_ends(result, WALK_BROKEN, "stream table");
		return NULL;
	}
	if (source >= BIT(FIELD_GET(STRTAB_BASE_CFG_LOG2SIZE, unit->strtab_cfg))) {
		walk_ends(result, WALK_BLOCKED, NULL);
		return NULL;
	}
	l1std = READ_ONCE(l1[source >> STRTAB_SPLIT]);
	span = FIELD_GET(STRTAB_L1_DESC_SPAN, l1std);
	source &= BIT(STRTAB_SPLIT) - 1;
	if (!span || source >= BIT(span - 1)) {
		walk_ends(result, WALK_BLOCKED, NULL);
		return NULL;
	}
	stes = walk_memory(l1std & STRTAB_L1_DESC_L2PTR_MASK);
	if (!stes) {
		walk_ends(result, WALK_BROKEN, "level 1 stream table descriptor");
		return NULL;
	}
	return stes + source * STRTAB_STE_DWORDS;
}

/* Section 5.2: what is illegal whoever asks */
static bool check_ste(struct smmu_unit *unit, const u64 *ste, struct walk_result *result)
{
	u64 config = FIELD_GET(STRTAB_STE_0_CFG, ste[0]);

	if (!(ste[0] & STRTAB_STE_0_V) || !(config & STE_CFG_LIVE))
		return walk_ends(result, WALK_BLOCKED, NULL);
	if ((config & STE_CFG_S1 && !(unit->model->stages & IDR0_S1P)) ||
	    (config & STE_CFG_S2 && !(unit->model->stages & IDR0_S2P)))
		return walk_ends(result, WALK_BROKEN, "stage that there is not");
	if ((config & STE_CFG_S1 && config & STE_CFG_S2))
		return walk_ends(result, WALK_BROKEN, "two stages, which nobody asked for");
	if (FIELD_GET(STRTAB_STE_1_STRW, ste[1]) != STRTAB_STE_1_STRW_NSEL1)
		return walk_ends(result, WALK_BROKEN, "stream world");
	if (FIELD_GET(STRTAB_STE_1_EATS, ste[1]) > (unit->model->ats ? STRTAB_STE_1_EATS_TRANS : 0))
		return walk_ends(result, WALK_BROKEN, "EATS");

	if (config & STE_CFG_S1) {
		u64 format = FIELD_GET(STRTAB_STE_0_S1FMT, ste[0]), max = FIELD_GET(STRTAB_STE_0_S1CDMAX, ste[0]);

		if (max > unit->model->ssid_bits)
			return walk_ends(result, WALK_BROKEN, "S1CDMax");
		if (max && (format > STRTAB_STE_0_S1FMT_64K_L2 || (format && !unit->model->two_levels)))
			return walk_ends(result, WALK_BROKEN, "S1Fmt");
		/* What an STE is made of that was something else a moment ago */
		if (FIELD_GET(STRTAB_STE_1_S1CIR, ste[1]) != STRTAB_STE_1_S1C_CACHE_WBRA ||
		    FIELD_GET(STRTAB_STE_1_S1COR, ste[1]) != STRTAB_STE_1_S1C_CACHE_WBRA ||
		    FIELD_GET(STRTAB_STE_1_S1CSH, ste[1]) != ARM_SMMU_SH_ISH)
			return walk_ends(result, WALK_BROKEN, "context descriptors are not read through the caches");
	}
	if (config & STE_CFG_S2) {
		u64 vtcr = FIELD_GET(STRTAB_STE_2_VTCR, ste[2]);
		unsigned int bits = 64 - FIELD_GET(STRTAB_STE_2_VTCR_S2T0SZ, vtcr);

		if (!(ste[2] & STRTAB_STE_2_S2AA64) || ste[2] & (STRTAB_STE_2_S2ENDI | STE_S2S))
			return walk_ends(result, WALK_BROKEN, "stage 2 part of an STE");
		/* Only the lookup from level 0 that 48 bits and pages of 4 KiB need */
		if (bits != OAS_BITS || FIELD_GET(STRTAB_STE_2_VTCR_S2SL0, vtcr) != 2 ||
		    FIELD_GET(STRTAB_STE_2_VTCR_S2TG, vtcr) || FIELD_GET(STRTAB_STE_2_VTCR_S2PS, vtcr) != OAS_CODE)
			return walk_ends(result, WALK_BROKEN, "VTCR");
	}
	return true;
}

static bool read_ste(struct smmu_unit *unit, u32 source, u64 *ste, struct where *where, struct walk_result *result)
{
	struct walk_key key = { source, WALK_ANY, WALK_ANY, 0, 64 };
	const u64 *from;

	if (!recall_entry(unit, &unit->ste, &key, ste, STRTAB_STE_DWORDS, where)) {
		from = find_ste(unit, source, result);
		if (!from)
			return false;
		read_entry(unit, from, ste);
		remember_entry(unit, &unit->ste, &key, ste, STRTAB_STE_DWORDS);
	}
	where->ats = FIELD_GET(STRTAB_STE_1_EATS, ste[1]) == STRTAB_STE_1_EATS_TRANS;
	return check_ste(unit, ste, result);
}

/* Section 5.3: the table of a PASID, in tables of two levels */
static u64 read_l1cd(struct smmu_unit *unit, u32 source, u32 pasid, const u64 *ste, struct where *where)
{
	bool small = FIELD_GET(STRTAB_STE_0_S1FMT, ste[0]) == S1FMT_4K_L2;
	struct walk_key key = { source, pasid >> CTXDESC_SPLIT, WALK_ANY, 0, 64 };
	u64 *l1, l1cd = 0;

	if (recall_entry(unit, &unit->l1cd, &key, &l1cd, CTXDESC_L1_DESC_DWORDS, where))
		return l1cd;
	l1 = walk_memory(ste[0] & STRTAB_STE_0_S1CTXPTR_MASK);
	if (l1) {
		l1cd = READ_ONCE(l1[pasid >> (small ? S1FMT_4K_SPLIT : CTXDESC_SPLIT)]);
		remember_entry(unit, &unit->l1cd, &key, &l1cd, CTXDESC_L1_DESC_DWORDS);
	}
	return l1cd;
}

/* Section 5.4 */
static bool check_cd(const u64 *cd, struct walk_result *result)
{
	unsigned int bits = 64 - FIELD_GET(CTXDESC_CD_0_TCR_T0SZ, cd[0]);

	if (!(cd[0] & CTXDESC_CD_0_V) || cd[0] & CTXDESC_CD_0_TCR_EPD0)
		return walk_ends(result, WALK_BLOCKED, NULL);
	if (!(cd[0] & CTXDESC_CD_0_AA64) || cd[0] & (CTXDESC_CD_0_ENDI | CTXDESC_CD_0_S))
		return walk_ends(result, WALK_BROKEN, "context descriptor");
	if (!(cd[0] & CTXDESC_CD_0_TCR_EPD1) || cd[0] & CTXDESC_CD_0_TCR_TBI0)
		return walk_ends(result, WALK_BROKEN, "upper half of the addresses");
	if (bits > OAS_BITS || bits < 25 || FIELD_GET(CTXDESC_CD_0_TCR_TG0, cd[0]) ||
	    FIELD_GET(CTXDESC_CD_0_TCR_IPS, cd[0]) != OAS_CODE)
		return walk_ends(result, WALK_BROKEN, "TCR");
	if (!FIELD_GET(CTXDESC_CD_0_ASID, cd[0]))
		return walk_ends(result, WALK_BROKEN, "ASID that is never given to a domain");
	return true;
}

static bool read_cd(struct smmu_unit *unit, u32 source, u32 pasid, const u64 *ste, u64 *cd, struct where *where,
		    struct walk_result *result)
{
	struct walk_key key = { source, pasid, WALK_ANY, 0, 64 };
	u64 table = ste[0] & STRTAB_STE_0_S1CTXPTR_MASK, *cds;
	unsigned int index = pasid;

	if (recall_entry(unit, &unit->cd, &key, cd, CTXDESC_CD_DWORDS, where))
		return check_cd(cd, result);

	if (FIELD_GET(STRTAB_STE_0_S1CDMAX, ste[0]) && FIELD_GET(STRTAB_STE_0_S1FMT, ste[0])) {
		table = read_l1cd(unit, source, pasid, ste, where);
		if (!(table & CTXDESC_L1_DESC_V))
			return walk_ends(result, WALK_BLOCKED, NULL);
		table &= CTXDESC_L1_DESC_L2PTR_MASK;
		index &= BIT(FIELD_GET(STRTAB_STE_0_S1FMT, ste[0]) == S1FMT_4K_L2 ? S1FMT_4K_SPLIT : CTXDESC_SPLIT) - 1;
	}
	cds = walk_memory(table);
	if (!table || !cds)
		return walk_ends(result, WALK_BROKEN, "place of context descriptors");
	walk_dawdle(&unit->unit);
	read_entry(unit, cds + index * CTXDESC_CD_DWORDS, cd);
	remember_entry(unit, &unit->cd, &key, cd, CTXDESC_CD_DWORDS);
	return check_cd(cd, result);
}

static bool find_tables(struct smmu_unit *unit, u32 source, u32 pasid, const u64 *ste, struct where *where,
			struct walk_result *result)
{
	u64 config = FIELD_GET(STRTAB_STE_0_CFG, ste[0]), max = FIELD_GET(STRTAB_STE_0_S1CDMAX, ste[0]);
	u64 cd[CTXDESC_CD_DWORDS];

	if (unit->model->stages & IDR0_S2P)
		where->vmid = FIELD_GET(STRTAB_STE_2_S2VMID, ste[2]);
	if (!(config & STE_CFG_S1)) {
		/* C_BAD_SUBSTREAMID */
		if (pasid)
			return walk_ends(result, WALK_BLOCKED, NULL);
		where->stage = SMMU_S2;
		where->identity = !(config & STE_CFG_S2);
		where->bits = OAS_BITS;
		where->table = ste[3] & STRTAB_STE_3_S2TTB_MASK;
		return true;
	}

	where->stage = SMMU_S1;
	if (pasid >= BIT(max))
		return walk_ends(result, WALK_BLOCKED, NULL);
	if (max && !pasid) {
		switch (FIELD_GET(STRTAB_STE_1_S1DSS, ste[1])) {
		case STRTAB_STE_1_S1DSS_TERMINATE:
			return walk_ends(result, WALK_BLOCKED, NULL);
		case STRTAB_STE_1_S1DSS_BYPASS:
			where->identity = true;
			return true;
		case STRTAB_STE_1_S1DSS_SSID0:
			break;
		default:
			return walk_ends(result, WALK_BROKEN, "S1DSS");
		}
	}
	if (!read_cd(unit, source, pasid, ste, cd, where, result))
		return false;
	where->bits = 64 - FIELD_GET(CTXDESC_CD_0_TCR_T0SZ, cd[0]);
	where->asid = FIELD_GET(CTXDESC_CD_0_ASID, cd[0]);
	where->table = cd[1] & CTXDESC_CD_1_TTB0_MASK;
	where->attributes = cd[3];
	return true;
}

static bool check_pte(u64 pte, unsigned int level, const struct where *where, struct walk_result *result)
{
	bool leaf = level == 3 || !(pte & DESC_TABLE);

	if (!(pte & DESC_VALID))
		return walk_ends(result, WALK_UNMAPPED, NULL);
	if (pte & BEYOND || (level == 3 && !(pte & DESC_TABLE)) || (level == 0 && leaf))
		return walk_ends(result, WALK_BROKEN, "page table entry");
	if (!leaf)
		return true;
	if (!(pte & DESC_AF))
		return walk_ends(result, WALK_BROKEN, "access flag");
	if (where->stage == SMMU_S1 && !(pte & DESC_S1_USER))
		return walk_ends(result, WALK_BROKEN, "privileged page");
	if (where->stage == SMMU_S1 && !(where->attributes >> 8 * FIELD_GET(DESC_ATTRINDX, pte) & 0xff))
		return walk_ends(result, WALK_BROKEN, "MAIR");
	if (where->stage == SMMU_S2 && (!(pte & DESC_S2_READ) || !FIELD_GET(DESC_S2_MEMATTR, pte)))
		return walk_ends(result, WALK_BROKEN, "rights or attributes of stage 2");
	return true;
}

/* Section 3.4 */
static bool walk_tables(struct smmu_unit *unit, const struct where *where, u64 iova, struct walk_result *result)
{
	struct walk_key key = { WALK_ANY, where->stage == SMMU_S1 ? where->asid : WALK_ANY, where->vmid, iova,
				PAGE_ORDER };
	unsigned int level = 4 - DIV_ROUND_UP(where->bits - PAGE_ORDER, LEVEL_ORDER);
	struct walk_cache *paging = &unit->paging[where->stage];
	struct walk_cache *tlb = &unit->tlb[where->stage];
	u64 table = where->table, pte;
	struct walk_line *line;

	if (walk_sometimes(&unit->unit) && walk_recall(tlb, &key, result))
		return true;
	if (iova >> where->bits)
		return walk_ends(result, WALK_UNMAPPED, NULL);

	line = walk_sometimes(&unit->unit) ? walk_cache_find(paging, &key) : NULL;
	if (line) {
		table = line->data[0];
		level = line->data[1];
		result->cached = true;
	}

	for (;; level++) {
		u64 *ptes = walk_memory(table);

		if (!ptes || level > 3)
			return walk_ends(result, WALK_BROKEN, "place of a page table");
		key.order = PAGE_ORDER + LEVEL_ORDER * (3 - level);
		key.iova = iova & ~(BIT_ULL(key.order) - 1);
		pte = READ_ONCE(ptes[iova >> key.order & (BIT(LEVEL_ORDER) - 1)]);
		if (!check_pte(pte, level, where, result))
			return false;
		table = pte & ADDRESS;
		if (level == 3 || !(pte & DESC_TABLE))
			break;
		/* There are several of them in one walk: what is remembered shall stay for a while */
		if (walk_sometimes(&unit->unit) && walk_sometimes(&unit->unit) && walk_sometimes(&unit->unit)) {
			line = walk_cache_insert(paging, &key, &unit->unit.rnd);
			line->data[0] = table;
			line->data[1] = level + 1;
		}
	}

	if (table & (BIT_ULL(key.order) - 1))
		return walk_ends(result, WALK_BROKEN, "address of a block");
	result->end = WALK_TRANSLATED;
	result->phys = table;
	result->writable = where->stage == SMMU_S1 ? !(pte & DESC_S1_RDONLY) : !!(pte & DESC_S2_WRITE);
	if (walk_sometimes(&unit->unit))
		walk_remember(tlb, &key, result, &unit->unit.rnd);
	result->phys += iova - key.iova;
	return true;
}

static bool uses_atc(struct smmu_unit *unit, u32 source)
{
	struct soft_pci_function *function = soft_pci_function(unit->pci, source & 0xff);
	struct walk_key key = { source, WALK_ANY, WALK_ANY, 0, 64 };

	if (!function || !soft_pci_ats_enabled(function))
		return false;
	if (soft_pci_ats_restarted(function))
		walk_cache_flush(&unit->atc, &key);
	return true;
}

/**
 * smmu_walk() - Translate an access of a device
 * @walk_unit: the unit
 * @source: StreamID: bus, device and function
 * @pasid: SubstreamID, or 0 for an access without
 * @iova: address, aligned to a page
 * @result: zeroed; what came out
 */
void smmu_walk(struct walk_unit *walk_unit, u32 source, u32 pasid, u64 iova, struct walk_result *result)
{
	struct smmu_unit *unit = container_of(walk_unit, struct smmu_unit, unit);
	struct walk_key key = { source, pasid, WALK_ANY, iova, PAGE_ORDER };
	bool ats = uses_atc(unit, source);
	u64 ste[STRTAB_STE_DWORDS];
	struct where where = {};

	if (!(unit->cr0 & CR0_SMMUEN)) {
		walk_ends(result, WALK_BROKEN, "the unit is off");
		return;
	}
	if (!read_ste(unit, source, ste, &where, result))
		return;
	/* Section 3.9: a translated access is let through where ATS is allowed */
	if (ats && walk_sometimes(&unit->unit) && walk_recall(&unit->atc, &key, result)) {
		if (!where.ats)
			walk_ends(result, WALK_BLOCKED, NULL);
		return;
	}
	if (!find_tables(unit, source, pasid, ste, &where, result))
		return;

	result->cached = where.cached;
	result->tag = tag(&where);
	if (where.identity) {
		result->end = WALK_TRANSLATED;
		result->phys = iova;
		result->writable = true;
		return;
	}
	if (walk_tables(unit, &where, iova, result) && ats && where.ats && walk_sometimes(&unit->unit))
		walk_remember(&unit->atc, &key, result, &unit->unit.rnd);
}

static void walk_leaves(u64 *table, unsigned int order, unsigned long entries, unsigned long *leaves)
{
	unsigned long i;

	for (i = 0; i < entries; i++) {
		u64 pte = table[i];

		if (!(pte & DESC_VALID))
			continue;
		if (order == PAGE_ORDER || !(pte & DESC_TABLE))
			leaves[order]++;
		else
			walk_leaves(phys_to_virt(pte & ADDRESS), order - LEVEL_ORDER, BIT(LEVEL_ORDER), leaves);
	}
}

/**
 * smmu_walk_leaves() - Count the leaves that are in a page table
 * @domain: the domain, which nobody changes meanwhile
 * @leaves: [n] is increased for each of BIT(n) bytes
 */
void smmu_walk_leaves(struct iommu_domain *domain, unsigned long *leaves)
{
	const struct smmu_table *t = &to_smmu_domain(domain)->table;

	walk_leaves(t->root, t->top, BIT(t->input_bits - t->top), leaves);
}
