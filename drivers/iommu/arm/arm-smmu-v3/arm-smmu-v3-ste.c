// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images of stream table entries and context descriptors, and how one becomes another
 *
 * The SMMU may read an entry at any moment. It reads 64 bits at once and the eight words in any order, and may keep
 * what it has read until it is told to forget it. So between two of those commands it may have any mixture of old and
 * new words, and a change is safe if each mixture means what the old entry means or what the new one does. That holds
 * for
 *
 *   changes of bits that nobody looks at, in as many words as there are, and
 *   changes of one word.
 *
 * If the bits that matter to both images differ in one word only, three such steps lead from one to the other:
 * prepare what only the new image looks at, write the word, clear what only the old one looked at. If not,
 * the entry becomes invalid first, for then nobody looks at anything but V.
 *
 * Nothing here knows SMMUs, masters or domains, and nothing allocates. No locks: the caller owns the entry.
 */
#include <linux/bitops.h>
#include <linux/string.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-ste.h"

/* The bits of an STE's Config */
#define CFG_NOT_ABORT	BIT(2)
#define CFG_S2		BIT(1)
#define CFG_S1		BIT(0)
#define CFG_NESTED	(STRTAB_STE_0_CFG_S1_TRANS | STRTAB_STE_0_CFG_S2_TRANS)

#define STE_0_S1	(STRTAB_STE_0_S1FMT | STRTAB_STE_0_S1CTXPTR_MASK | STRTAB_STE_0_S1CDMAX)
#define STE_1_S1_CDS	(STRTAB_STE_1_S1CIR | STRTAB_STE_1_S1COR | STRTAB_STE_1_S1CSH)
#define STE_1_S1	(STRTAB_STE_1_S1DSS | STE_1_S1_CDS | STRTAB_STE_1_S1STALLD)

static void ste_looked_at(const struct smmu_entry *e, struct smmu_entry *mask)
{
	u64 q0 = le64_to_cpu(e->q[0]), q1 = le64_to_cpu(e->q[1]), ignored = 0;
	unsigned int cfg = FIELD_GET(STRTAB_STE_0_CFG, q0);

	memset(mask, 0, sizeof(*mask));
	mask->q[0] = cpu_to_le64(STRTAB_STE_0_V);
	if (!(q0 & STRTAB_STE_0_V))
		return;
	mask->q[0] |= cpu_to_le64(STRTAB_STE_0_CFG);
	if (!(cfg & CFG_NOT_ABORT))
		return;

	if (cfg & CFG_S1) {
		mask->q[0] = cpu_to_le64(~0ULL);
		if (!FIELD_GET(STRTAB_STE_0_S1CDMAX, q0))
			ignored |= STRTAB_STE_1_S1DSS;
		/* Without a stage 2 it still is a tag in TLBs */
		if (FIELD_GET(STRTAB_STE_1_STRW, q1) == STRTAB_STE_1_STRW_NSEL1)
			mask->q[2] = cpu_to_le64(STRTAB_STE_2_S2VMID);
	} else {
		ignored |= STE_1_S1 | STRTAB_STE_1_STRW;
	}
	if (cfg & CFG_S2)
		memset(&mask->q[2], 0xff, 2 * sizeof(mask->q[2]));
	if (!(cfg & (CFG_S1 | CFG_S2)))
		ignored |= STRTAB_STE_1_EATS;
	mask->q[1] = cpu_to_le64(~ignored);
	memset(&mask->q[4], 0xff, 4 * sizeof(mask->q[4]));
}

const struct smmu_entry_kind smmu_ste_kind = {
	.valid = STRTAB_STE_0_V,
	.looked_at = ste_looked_at,
};

static void cd_looked_at(const struct smmu_entry *e, struct smmu_entry *mask)
{
	u64 q0 = le64_to_cpu(e->q[0]);

	if (!(q0 & CTXDESC_CD_0_V)) {
		memset(mask, 0, sizeof(*mask));
		mask->q[0] = cpu_to_le64(CTXDESC_CD_0_V);
		return;
	}
	memset(mask, 0xff, sizeof(*mask));
	if (q0 & CTXDESC_CD_0_TCR_EPD0)
		mask->q[1] = 0;
	if (q0 & CTXDESC_CD_0_TCR_EPD1)
		mask->q[2] = 0;
}

const struct smmu_entry_kind smmu_cd_kind = {
	.valid = CTXDESC_CD_0_V,
	.looked_at = cd_looked_at,
};

/* The words with bits that matter to both images and differ */
static unsigned long conflicts(const struct smmu_entry_kind *kind, const struct smmu_entry *from,
			       const struct smmu_entry *to)
{
	struct smmu_entry old, new;
	unsigned long words = 0;
	unsigned int i;

	kind->looked_at(from, &old);
	kind->looked_at(to, &new);
	for (i = 0; i < ARRAY_SIZE(from->q); i++) {
		if ((from->q[i] ^ to->q[i]) & old.q[i] & new.q[i])
			words |= BIT(i);
	}
	return words;
}

bool smmu_entry_is_seamless(const struct smmu_entry_kind *kind, const struct smmu_entry *from,
			    const struct smmu_entry *to)
{
	return hweight_long(conflicts(kind, from, to)) <= 1;
}

static void store(struct smmu_entry *live, const struct smmu_entry *image, void (*sync)(void *arg), void *arg)
{
	bool changed = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(live->q); i++) {
		if (live->q[i] == image->q[i])
			continue;
		WRITE_ONCE(live->q[i], image->q[i]);
		changed = true;
	}
	if (changed)
		sync(arg);
}

void smmu_entry_write(const struct smmu_entry_kind *kind, struct smmu_entry *live, const struct smmu_entry *target,
		      void (*sync)(void *arg), void *arg)
{
	unsigned long words = conflicts(kind, live, target);
	struct smmu_entry image = *live, seen, wanted;
	unsigned int i, decisive;
	bool prepare = false;

	if (hweight_long(words) > 1) {
		image.q[0] &= ~cpu_to_le64(kind->valid);
		store(live, &image, sync, arg);
		words = conflicts(kind, live, target);
	}
	decisive = words ? __ffs(words) : 0;

	kind->looked_at(live, &seen);
	kind->looked_at(target, &wanted);
	for (i = 0; i < ARRAY_SIZE(image.q); i++) {
		image.q[i] = (live->q[i] & seen.q[i]) | (target->q[i] & ~seen.q[i]);
		if (i != decisive && ((image.q[i] ^ live->q[i]) & wanted.q[i]))
			prepare = true;
	}
	if (prepare)
		store(live, &image, sync, arg);

	image.q[decisive] = target->q[decisive];
	store(live, &image, sync, arg);

	store(live, target, sync, arg);
}

/*
 * Attributes of transactions that no stage 1 gives others to are those that came in. Every STE says so, also where
 * nobody looks at it, because then it is no difference between any two.
 */
static void ste_compose(struct smmu_entry *e, unsigned int cfg)
{
	memset(e, 0, sizeof(*e));
	e->q[0] = cpu_to_le64(STRTAB_STE_0_V | FIELD_PREP(STRTAB_STE_0_CFG, cfg));
	e->q[1] = cpu_to_le64(FIELD_PREP(STRTAB_STE_1_SHCFG, STRTAB_STE_1_SHCFG_INCOMING));
}

static void ste_add_s1(struct smmu_entry *e, u64 q0, u64 q1, unsigned int flags)
{
	if (flags & SMMU_STE_STALLD)
		q1 |= STRTAB_STE_1_S1STALLD;
	e->q[0] |= cpu_to_le64(q0 & STE_0_S1);
	e->q[1] |= cpu_to_le64(q1 & STE_1_S1);
}

static void ste_add_s2(struct smmu_entry *e, const struct arm_smmu_s2_cfg *cfg)
{
	u64 q2 = FIELD_PREP(STRTAB_STE_2_S2VMID, cfg->vmid) | FIELD_PREP(STRTAB_STE_2_VTCR, cfg->vtcr) |
		 STRTAB_STE_2_S2PTW | STRTAB_STE_2_S2AA64 | STRTAB_STE_2_S2R;

	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN))
		q2 |= STRTAB_STE_2_S2ENDI;
	e->q[2] = cpu_to_le64(q2);
	e->q[3] = cpu_to_le64(cfg->vttbr & STRTAB_STE_3_S2TTB_MASK);
}

static void ste_add_ats(struct smmu_entry *e, unsigned int flags)
{
	if (flags & SMMU_STE_ATS)
		e->q[1] |= cpu_to_le64(FIELD_PREP(STRTAB_STE_1_EATS, STRTAB_STE_1_EATS_TRANS));
}

void smmu_ste_abort(struct smmu_entry *e)
{
	ste_compose(e, STRTAB_STE_0_CFG_ABORT);
}

void smmu_ste_bypass(struct smmu_entry *e)
{
	ste_compose(e, STRTAB_STE_0_CFG_BYPASS);
}

void smmu_ste_s1(struct smmu_entry *e, const struct smmu_cd_root *root, u8 dss, unsigned int flags)
{
	u64 q0 = (root->base & STRTAB_STE_0_S1CTXPTR_MASK) | FIELD_PREP(STRTAB_STE_0_S1FMT, root->fmt) |
		 FIELD_PREP(STRTAB_STE_0_S1CDMAX, root->cdmax);
	u64 q1 = FIELD_PREP(STRTAB_STE_1_S1DSS, dss) |
		 FIELD_PREP(STRTAB_STE_1_S1CIR, STRTAB_STE_1_S1C_CACHE_WBRA) |
		 FIELD_PREP(STRTAB_STE_1_S1COR, STRTAB_STE_1_S1C_CACHE_WBRA) |
		 FIELD_PREP(STRTAB_STE_1_S1CSH, ARM_SMMU_SH_ISH);

	ste_compose(e, STRTAB_STE_0_CFG_S1_TRANS);
	ste_add_s1(e, q0, q1, flags);
	ste_add_ats(e, flags);
	if (flags & SMMU_STE_E2H)
		e->q[1] |= cpu_to_le64(FIELD_PREP(STRTAB_STE_1_STRW, STRTAB_STE_1_STRW_EL2));
}

void smmu_ste_s2(struct smmu_entry *e, const struct arm_smmu_s2_cfg *cfg, unsigned int flags)
{
	ste_compose(e, STRTAB_STE_0_CFG_S2_TRANS);
	ste_add_s2(e, cfg);
	ste_add_ats(e, flags);
}

void smmu_ste_nested(struct smmu_entry *e, const __le64 s1[2], const struct arm_smmu_s2_cfg *cfg, unsigned int flags)
{
	ste_compose(e, CFG_NESTED);
	ste_add_s1(e, le64_to_cpu(s1[0]), le64_to_cpu(s1[1]), flags);
	ste_add_s2(e, cfg);
	ste_add_ats(e, flags);
}

void smmu_cd_none(struct smmu_entry *e)
{
	memset(e, 0, sizeof(*e));
}

void smmu_cd_translate(struct smmu_entry *e, const struct arm_smmu_ctx_desc *cd, bool stall)
{
	u64 q0 = cd->tcr | CTXDESC_CD_0_AA64 | CTXDESC_CD_0_R | CTXDESC_CD_0_A | CTXDESC_CD_0_V |
		 FIELD_PREP(CTXDESC_CD_0_ASID, cd->asid);

	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN))
		q0 |= CTXDESC_CD_0_ENDI;
	if (!cd->mm)
		q0 |= CTXDESC_CD_0_ASET;
	if (stall)
		q0 |= CTXDESC_CD_0_S;

	memset(e, 0, sizeof(*e));
	e->q[0] = cpu_to_le64(q0);
	e->q[1] = cpu_to_le64(cd->ttbr & CTXDESC_CD_1_TTB0_MASK);
	e->q[3] = cpu_to_le64(cd->mair);
}

void smmu_cd_quiet(struct smmu_entry *e)
{
	e->q[0] |= cpu_to_le64(CTXDESC_CD_0_TCR_EPD0);
}
