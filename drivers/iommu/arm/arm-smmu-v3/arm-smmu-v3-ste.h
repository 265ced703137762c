/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stream table entries (STE) and context descriptors (CD): whole images of them, and how one becomes another
 *
 * An image is composed first, all eight words of it, and then written over the live entry. Which words that takes,
 * and in which order, follows from the two images alone, so whoever composes need not know what was there before.
 */
#ifndef _ARM_SMMU_V3_STE_H
#define _ARM_SMMU_V3_STE_H

#include <linux/bits.h>
#include <linux/types.h>

struct arm_smmu_ctx_desc;
struct arm_smmu_s2_cfg;

/* An STE or a CD; hardware reads each word at once, and the words in any order */
struct smmu_entry {
	__le64 q[8];
};

/**
 * struct smmu_entry_kind - What the SMMU makes of the bits of an entry
 * @valid: V, in the first word
 * @looked_at: sets in @mask each bit of @entry that may change what the SMMU does. Bits that decide about others are
 *	always among them, and a bit of unknown meaning is.
 */
struct smmu_entry_kind {
	u64 valid;
	void (*looked_at)(const struct smmu_entry *entry, struct smmu_entry *mask);
};

extern const struct smmu_entry_kind smmu_ste_kind;
extern const struct smmu_entry_kind smmu_cd_kind;

/* What an STE says about the CDs of its stream: where they are, STRTAB_STE_0_S1FMT_*, and the bits of an SSID */
struct smmu_cd_root {
	dma_addr_t base;
	u8 fmt;
	u8 cdmax;
};

/* Flags of STEs */
#define SMMU_STE_ATS	BIT(0)	/* translation requests are answered, translated requests are let through */
#define SMMU_STE_E2H	BIT(1)	/* stage 1 without a stage 2 is that of EL2, as CR2.E2H says */
#define SMMU_STE_STALLD	BIT(2)	/* faults of stage 1 never stall */

/**
 * smmu_entry_is_seamless() - Can an entry be rewritten while transactions go on?
 * @kind: STE or CD
 * @from: what the SMMU may see now
 * @to: what it shall see
 *
 * That is so if what matters to both differs in one word. Then smmu_entry_write() lets the SMMU see nothing but the
 * old and the new meaning. So it is between any two of abort, bypass, stage 1 and stage 2, except:
 *
 * - S2 to S2: VMID and table stand in two words. Nested to nested, and S2 to nested and back, are seamless with the
 *   same parent and the same second word;
 * - S1 to S2 or nested and back without %SMMU_STE_E2H: the TLB entries of this stage 1 carry the VMID as well, which
 *   is 0 for S1. The VMID of the other would be on them for a moment;
 * - S1 to S1 with other CDs *and* another S1DSS, or other ATS: write one after the other;
 * - CD to CD with another table and ASID.
 *
 * Return: true if so.
 */
bool smmu_entry_is_seamless(const struct smmu_entry_kind *kind, const struct smmu_entry *from,
			    const struct smmu_entry *to);

/**
 * smmu_entry_write() - Make one entry of another
 * @kind: STE or CD
 * @live: the entry in memory that the SMMU may read at any moment; nobody else writes it
 * @target: the image that it shall have
 * @sync: makes the SMMU forget what it keeps of @live and waits for that (CFGI_STE, or CFGI_CD, and CMD_SYNC);
 *	called after each step, at most three times, and not at all if @live is @target already
 * @arg: for @sync
 *
 * Where it is not seamless (see smmu_entry_is_seamless()), transactions meet V=0 between the first step and the last
 * one: they are aborted, with an event C_BAD_STE or C_BAD_CD. Translations that TLBs keep are the caller's business.
 *
 * IHI 0070, 3.21.3 "Configuration structures and configuration invalidation completion".
 */
void smmu_entry_write(const struct smmu_entry_kind *kind, struct smmu_entry *live, const struct smmu_entry *target,
		      void (*sync)(void *arg), void *arg);

/**
 * smmu_ste_abort() - Compose the STE that aborts all transactions, without events
 * @e: the image, all of it is set
 */
void smmu_ste_abort(struct smmu_entry *e);

/**
 * smmu_ste_bypass() - Compose the STE that lets all transactions through untranslated
 * @e: the image, all of it is set
 */
void smmu_ste_bypass(struct smmu_entry *e);

/**
 * smmu_ste_s1() - Compose the STE of a stream that is translated by context descriptors
 * @e: the image, all of it is set
 * @root: the CDs
 * @dss: STRTAB_STE_1_S1DSS_*: what transactions without SSID do if there are SSIDs (@root->cdmax is not 0)
 * @flags: any of SMMU_STE_*
 */
void smmu_ste_s1(struct smmu_entry *e, const struct smmu_cd_root *root, u8 dss, unsigned int flags);

/**
 * smmu_ste_s2() - Compose the STE of a stream that is translated by a stage 2 page table
 * @e: the image, all of it is set
 * @cfg: the page table and its VMID
 * @flags: %SMMU_STE_ATS; the others mean nothing here
 */
void smmu_ste_s2(struct smmu_entry *e, const struct arm_smmu_s2_cfg *cfg, unsigned int flags);

/**
 * smmu_ste_nested() - Compose the STE of a stream with stage 1 of a guest on top of a stage 2
 * @e: the image, all of it is set
 * @s1: the first two words of the guest's STE. Of them S1Fmt, S1ContextPtr, S1CDMax, S1DSS, S1CIR, S1COR, S1CSH and
 *	S1STALLD are taken; that they are in range is for the caller to check. S1ContextPtr is an IPA.
 * @cfg: the page table of stage 2 and its VMID
 * @flags: %SMMU_STE_ATS, and %SMMU_STE_STALLD whatever the guest says; no %SMMU_STE_E2H, stage 2 is for NS-EL1
 */
void smmu_ste_nested(struct smmu_entry *e, const __le64 s1[2], const struct arm_smmu_s2_cfg *cfg, unsigned int flags);

/**
 * smmu_cd_none() - Compose the CD that is none: transactions are aborted, with an event C_BAD_CD
 * @e: the image, all of it is set
 */
void smmu_cd_none(struct smmu_entry *e);

/**
 * smmu_cd_translate() - Compose the CD of a page table
 * @e: the image, all of it is set
 * @cd: the page table and its ASID; if it belongs to a process (@cd->mm), the ASID is shared with the CPUs
 * @stall: faults stall the transaction until someone answers
 */
void smmu_cd_translate(struct smmu_entry *e, const struct arm_smmu_ctx_desc *cd, bool stall);

/**
 * smmu_cd_quiet() - Change an image of a CD to one that walks no table, though it stays valid
 * @e: the image, of smmu_cd_translate(); from there to this one is seamless
 */
void smmu_cd_quiet(struct smmu_entry *e);

#endif
