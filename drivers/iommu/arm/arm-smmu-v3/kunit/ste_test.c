// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "smmu_entry": images of STEs and CDs, and what an SMMU may see while one becomes another
 *
 * The SMMU of this test has read each word of the entry at any moment since it was last told to forget the entry. So
 * what it sees is any mixture of the words at the last sync and those at the next one, and each of them is looked at.
 * (The code that is tested must not write a word twice between two syncs. It has no reason to.)
 *
 * Numbers are those of IHI 0070, 5.2 and 5.4, and stand here a second time.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/prandom.h>

#include "../arm-smmu-v3.h"
#include "../arm-smmu-v3-ste.h"

#define WORDS	8

/* What the SMMU does, as far as the entry decides it: all that has no effect is 0 */
struct meaning {
	enum { INVALID, ABORT, BYPASS, TRANSLATE } what;
	u64 stages, s1_root, cdmax, s1_format, dss, cd_attributes, stalld, strw, vmid, s2_walk, s2_table, eats;
	u64 walk, ttb0, ttb1, mair;
	u64 rest[WORDS];
};

/* STE or CD: its first word has @reserved bits, and translates or bypasses with @alive */
struct kind_test {
	const struct smmu_entry_kind *kind;
	void (*decode)(const u64 *q, struct meaning *m);
	u64 reserved, alive;
};

static u64 bits(u64 word, unsigned int last, unsigned int first)
{
	return (word & GENMASK_ULL(last, first)) >> first;
}

static void decode_ste(const u64 *q, struct meaning *m)
{
	bool s1 = q[0] & BIT(1), s2 = q[0] & BIT(2);
	int i;

	memset(m, 0, sizeof(*m));
	if (!(q[0] & BIT(0))) {
		m->what = INVALID;
		return;
	}
	if (!(q[0] & BIT(3))) {
		m->what = ABORT;
		return;
	}
	m->what = s1 || s2 ? TRANSLATE : BYPASS;
	m->stages = bits(q[0], 2, 1);
	if (s1) {
		m->s1_root = bits(q[0], 51, 6);
		m->s1_format = bits(q[0], 5, 4);
		m->cdmax = bits(q[0], 63, 59);
		if (m->cdmax)
			m->dss = bits(q[1], 1, 0);
		m->cd_attributes = bits(q[1], 7, 2);
		m->stalld = bits(q[1], 27, 27);
		m->strw = bits(q[1], 31, 30);
	}
	if (s2 || (s1 && !m->strw))
		m->vmid = bits(q[2], 15, 0);
	if (s2) {
		m->s2_walk = bits(q[2], 63, 16);
		m->s2_table = q[3];
	}
	if (m->what == TRANSLATE)
		m->eats = bits(q[1], 29, 28);
	/* Attributes, merging of events, and whatever newer SMMUs have */
	m->rest[1] = q[1] & ~(GENMASK_ULL(7, 0) | GENMASK_ULL(31, 27));
	for (i = 4; i < WORDS; i++)
		m->rest[i] = q[i];
}

static void decode_cd(const u64 *q, struct meaning *m)
{
	int i;

	memset(m, 0, sizeof(*m));
	if (!(q[0] & BIT_ULL(31))) {
		m->what = INVALID;
		return;
	}
	m->what = TRANSLATE;
	m->walk = q[0];
	if (!(q[0] & BIT_ULL(14)))
		m->ttb0 = q[1];
	if (!(q[0] & BIT_ULL(30)))
		m->ttb1 = q[2];
	m->mair = q[3];
	for (i = 4; i < WORDS; i++)
		m->rest[i] = q[i];
}

static const struct kind_test ste_test = { &smmu_ste_kind, decode_ste, GENMASK_ULL(58, 52), BIT_ULL(3) | BIT_ULL(0) };
static const struct kind_test cd_test = { &smmu_cd_kind, decode_cd, 0, BIT_ULL(31) };

static bool means_the_same(const struct kind_test *kt, const struct smmu_entry *a, const struct smmu_entry *b)
{
	struct meaning of_a, of_b;
	u64 q[WORDS];
	int i;

	for (i = 0; i < WORDS; i++)
		q[i] = le64_to_cpu(a->q[i]);
	kt->decode(q, &of_a);
	for (i = 0; i < WORDS; i++)
		q[i] = le64_to_cpu(b->q[i]);
	kt->decode(q, &of_b);
	return !memcmp(&of_a, &of_b, sizeof(of_a));
}

static unsigned int words_that_differ(const struct smmu_entry *a, const struct smmu_entry *b)
{
	unsigned int i, words = 0;

	for (i = 0; i < WORDS; i++) {
		if (a->q[i] != b->q[i])
			words |= BIT(i);
	}
	return words;
}

/* @from with the words @words of @to */
static struct smmu_entry mixture(const struct smmu_entry *from, const struct smmu_entry *to, unsigned int words)
{
	struct smmu_entry mixed = *from;
	unsigned int i;

	for (i = 0; i < WORDS; i++) {
		if (words & BIT(i))
			mixed.q[i] = to->q[i];
	}
	return mixed;
}

/* What may be seen on the way */
struct limits {
	const struct kind_test *kt;
	const struct smmu_entry *from, *to;
	bool invalid;
};

static bool may_be_seen(const struct limits *limits, const struct smmu_entry *e)
{
	static const struct smmu_entry invalid;

	return means_the_same(limits->kt, e, limits->from) || means_the_same(limits->kt, e, limits->to) ||
	       (limits->invalid && means_the_same(limits->kt, e, &invalid));
}

/* Could the words @step change together, without a sync in between, when those of @done have? */
static bool may_change_together(const struct limits *limits, unsigned int done, unsigned int step)
{
	unsigned int some = step;

	do {
		struct smmu_entry mixed = mixture(limits->from, limits->to, done | some);

		if (!may_be_seen(limits, &mixed))
			return false;
		some = (some - 1) & step;
	} while (some != step);
	return true;
}

/*
 * The syncs it takes to change one word after the other, or several at once, each of them once, so that nothing but
 * @from and @to is seen: tries all ways. 0 if there is none.
 */
static unsigned int fewest_syncs(const struct kind_test *kt, const struct smmu_entry *from, const struct smmu_entry *to)
{
	struct limits limits = { .kt = kt, .from = from, .to = to };
	unsigned int all = words_that_differ(from, to), syncs, done, step;
	DECLARE_BITMAP(reached, 1 << WORDS) = {};
	DECLARE_BITMAP(next, 1 << WORDS);

	__set_bit(0, reached);
	for (syncs = 1; syncs <= WORDS; syncs++) {
		bitmap_copy(next, reached, 1 << WORDS);
		for_each_set_bit(done, reached, 1 << WORDS) {
			unsigned int left = all & ~done;

			for (step = left; step; step = (step - 1) & left) {
				if (!test_bit(done | step, next) && may_change_together(&limits, done, step))
					__set_bit(done | step, next);
			}
		}
		if (test_bit(all, next))
			return syncs;
		bitmap_copy(reached, next, 1 << WORDS);
	}
	return 0;
}

/* One change of an entry, watched */
struct replay {
	struct limits limits;
	struct smmu_entry live, at_last_sync;
	unsigned int syncs, torn;
};

static void replay_sync(void *arg)
{
	struct replay *replay = arg;
	unsigned int words = words_that_differ(&replay->at_last_sync, &replay->live), some = words;

	do {
		struct smmu_entry seen = mixture(&replay->at_last_sync, &replay->live, some);

		if (!may_be_seen(&replay->limits, &seen))
			replay->torn++;
		some = (some - 1) & words;
	} while (some != words);
	replay->at_last_sync = replay->live;
	replay->syncs++;
}

static void replay(struct replay *replay, const struct kind_test *kt, const struct smmu_entry *from,
		   const struct smmu_entry *to)
{
	*replay = (struct replay) {
		.limits = { .kt = kt, .from = from, .to = to },
		.live = *from,
		.at_last_sync = *from,
	};
	replay->limits.invalid = !smmu_entry_is_seamless(kt->kind, from, to);
	smmu_entry_write(kt->kind, &replay->live, to, replay_sync, replay);
}

struct image {
	const char *name;
	struct smmu_entry entry;
};

static void replay_all(struct kunit *test, const struct kind_test *kt, const struct image *images, unsigned int nr)
{
	const struct image *from, *to;
	struct replay r;

	for (from = images; from < images + nr; from++) {
		for (to = images; to < images + nr; to++) {
			unsigned int differ = words_that_differ(&from->entry, &to->entry), syncs = 0;
			bool seamless = smmu_entry_is_seamless(kt->kind, &from->entry, &to->entry);

			if (differ)
				syncs = fewest_syncs(kt, &from->entry, &to->entry);
			KUNIT_EXPECT_EQ_MSG(test, seamless, !differ || syncs, "%s to %s", from->name, to->name);
			if (!seamless)
				syncs = 3;

			replay(&r, kt, &from->entry, &to->entry);
			KUNIT_EXPECT_EQ_MSG(test, r.torn, 0, "%s to %s", from->name, to->name);
			KUNIT_EXPECT_EQ_MSG(test, r.syncs, syncs, "%s to %s", from->name, to->name);
			KUNIT_EXPECT_EQ_MSG(test, words_that_differ(&r.live, &to->entry), 0, "%s to %s", from->name,
					    to->name);
			KUNIT_EXPECT_EQ_MSG(test, words_that_differ(&r.live, &r.at_last_sync), 0,
					    "%s to %s: the last write is not synced", from->name, to->name);
		}
	}
}

/* What the images are made of */
static const struct smmu_cd_root roots[] = { { 0x12340, 0, 0 }, { 0x56780, 0, 0 } };
static const struct smmu_cd_root tables[] = { { 0x1230000, 0, 8 }, { 0x4560000, 0, 8 }, { 0x7890000, 2, 16 } };
static const struct arm_smmu_s2_cfg parents[] = { { 5, 0x11110000, 0x55555 }, { 6, 0x22220000, 0x55555 } };
static const __le64 guests[][2] = {
	{ cpu_to_le64(0xabc0ULL | BIT(1) | BIT(3) | 1), cpu_to_le64(0x54) },
	{ cpu_to_le64(0xdef0000ULL | 4ULL << 59 | BIT(1) | BIT(3) | 1), cpu_to_le64(0x56) },
};

enum {
	STE_NONE, STE_ABORT, STE_BYPASS,
	STE_S1, STE_S1_OTHER, STE_S1_STALLD, STE_S1_ATS, STE_S1_OTHER_ATS, STE_S1_E2H, STE_S1_OTHER_E2H,
	STE_TABLE, STE_TABLE_OTHER, STE_TABLE_2L, STE_TABLE_BYPASS, STE_TABLE_TERMINATE, STE_TABLE_BYPASS_ATS,
	STE_S2, STE_S2_OTHER, STE_S2_ATS, STE_NESTED, STE_NESTED_OTHER_PARENT, STE_NESTED_OTHER_S1, STE_NESTED_ATS,
	NR_STES
};

enum {
	CD_NONE, CD_A, CD_A_QUIET, CD_A_OTHER_ASID, CD_A_OTHER_TCR, CD_B, CD_B_QUIET, CD_A_STALL, CD_PROCESS, NR_CDS
};

static struct smmu_entry *named(struct image *image, const char *name)
{
	image->name = name;
	return &image->entry;
}

static void fill_stes(struct image *images)
{
	memset(named(&images[STE_NONE], "none"), 0, sizeof(struct smmu_entry));
	smmu_ste_abort(named(&images[STE_ABORT], "abort"));
	smmu_ste_bypass(named(&images[STE_BYPASS], "bypass"));
	smmu_ste_s1(named(&images[STE_S1], "s1"), &roots[0], 2, 0);
	smmu_ste_s1(named(&images[STE_S1_OTHER], "s1 other"), &roots[1], 2, 0);
	smmu_ste_s1(named(&images[STE_S1_STALLD], "s1 stalld"), &roots[0], 2, SMMU_STE_STALLD);
	smmu_ste_s1(named(&images[STE_S1_ATS], "s1 ats"), &roots[0], 2, SMMU_STE_ATS);
	smmu_ste_s1(named(&images[STE_S1_OTHER_ATS], "s1 other ats"), &roots[1], 2, SMMU_STE_ATS);
	smmu_ste_s1(named(&images[STE_S1_E2H], "s1 e2h"), &roots[0], 2, SMMU_STE_E2H);
	smmu_ste_s1(named(&images[STE_S1_OTHER_E2H], "s1 other e2h"), &roots[1], 2, SMMU_STE_E2H);
	smmu_ste_s1(named(&images[STE_TABLE], "table"), &tables[0], 2, 0);
	smmu_ste_s1(named(&images[STE_TABLE_OTHER], "table other"), &tables[1], 2, 0);
	smmu_ste_s1(named(&images[STE_TABLE_2L], "table 2l"), &tables[2], 2, 0);
	smmu_ste_s1(named(&images[STE_TABLE_BYPASS], "table bypass"), &tables[0], 1, 0);
	smmu_ste_s1(named(&images[STE_TABLE_TERMINATE], "table terminate"), &tables[0], 0, 0);
	smmu_ste_s1(named(&images[STE_TABLE_BYPASS_ATS], "table bypass ats"), &tables[1], 1, SMMU_STE_ATS);
	smmu_ste_s2(named(&images[STE_S2], "s2"), &parents[0], 0);
	smmu_ste_s2(named(&images[STE_S2_OTHER], "s2 other"), &parents[1], 0);
	smmu_ste_s2(named(&images[STE_S2_ATS], "s2 ats"), &parents[0], SMMU_STE_ATS);
	smmu_ste_nested(named(&images[STE_NESTED], "nested"), guests[0], &parents[0], 0);
	smmu_ste_nested(named(&images[STE_NESTED_OTHER_PARENT], "nested other parent"), guests[0], &parents[1], 0);
	smmu_ste_nested(named(&images[STE_NESTED_OTHER_S1], "nested other s1"), guests[1], &parents[0], 0);
	smmu_ste_nested(named(&images[STE_NESTED_ATS], "nested ats"), guests[0], &parents[0], SMMU_STE_ATS);
}

static void fill_cds(struct image *images)
{
	struct arm_smmu_ctx_desc a = { .asid = 3, .ttbr = 0x3330000, .tcr = 0x540003510, .mair = 0xff4404 };
	struct arm_smmu_ctx_desc b = { .asid = 4, .ttbr = 0x4440000, .tcr = 0x540003510, .mair = 0xff4404 };
	struct arm_smmu_ctx_desc other_asid = a, other_tcr = a, process = b;

	other_asid.asid = 5;
	other_tcr.tcr ^= 8;
	process.mm = (void *)1;
	process.mair = 0xff;
	smmu_cd_none(named(&images[CD_NONE], "none"));
	smmu_cd_translate(named(&images[CD_A], "a"), &a, false);
	smmu_cd_translate(named(&images[CD_A_OTHER_ASID], "a other asid"), &other_asid, false);
	smmu_cd_translate(named(&images[CD_A_OTHER_TCR], "a other tcr"), &other_tcr, false);
	smmu_cd_translate(named(&images[CD_B], "b"), &b, false);
	smmu_cd_translate(named(&images[CD_A_STALL], "a stall"), &a, true);
	smmu_cd_translate(named(&images[CD_PROCESS], "process"), &process, false);
	smmu_cd_translate(named(&images[CD_A_QUIET], "a quiet"), &a, false);
	smmu_cd_quiet(&images[CD_A_QUIET].entry);
	smmu_cd_translate(named(&images[CD_B_QUIET], "b quiet"), &b, false);
	smmu_cd_quiet(&images[CD_B_QUIET].entry);
}

struct entry_test {
	struct image stes[NR_STES], cds[NR_CDS];
};

static int entry_test_init(struct kunit *test)
{
	struct entry_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	fill_stes(t->stes);
	fill_cds(t->cds);
	test->priv = t;
	return 0;
}

static void each_ste_to_each(struct kunit *test)
{
	struct entry_test *t = test->priv;

	replay_all(test, &ste_test, t->stes, NR_STES);
}

static void each_cd_to_each(struct kunit *test)
{
	struct entry_test *t = test->priv;

	replay_all(test, &cd_test, t->cds, NR_CDS);
}

struct change {
	unsigned int from, to;
	unsigned int syncs;	/* 0: not seamless */
};

/* What the driver relies on */
static const struct change ste_changes[] = {
	{ STE_S1, STE_S1_OTHER, 1 },
	{ STE_S1_ATS, STE_S1_OTHER_ATS, 1 },
	{ STE_S1_E2H, STE_S1_OTHER_E2H, 1 },
	{ STE_TABLE, STE_TABLE_OTHER, 1 },
	{ STE_TABLE, STE_TABLE_2L, 1 },
	{ STE_TABLE, STE_TABLE_BYPASS, 1 },
	{ STE_TABLE_TERMINATE, STE_TABLE, 1 },
	{ STE_S1, STE_S1_ATS, 1 },
	{ STE_S1_ATS, STE_S1, 1 },
	{ STE_NONE, STE_ABORT, 1 },
	{ STE_ABORT, STE_BYPASS, 1 },
	{ STE_BYPASS, STE_ABORT, 1 },
	{ STE_ABORT, STE_S1, 2 },
	{ STE_S1, STE_ABORT, 2 },
	{ STE_BYPASS, STE_S1_ATS, 2 },
	{ STE_S1_ATS, STE_BYPASS, 2 },
	{ STE_ABORT, STE_S2, 2 },
	{ STE_S2, STE_ABORT, 2 },
	{ STE_BYPASS, STE_S2_ATS, 2 },
	{ STE_S2_ATS, STE_BYPASS, 2 },
	{ STE_S1_E2H, STE_S2, 3 },
	{ STE_S2, STE_S1_E2H, 3 },
	{ STE_S2, STE_NESTED, 2 },
	{ STE_NESTED, STE_S2, 2 },
	{ STE_NESTED, STE_NESTED_OTHER_S1, 2 },
	{ STE_S1, STE_S1_OTHER_ATS, 0 },
	{ STE_S2, STE_S2_OTHER, 0 },
	{ STE_NESTED, STE_NESTED_OTHER_PARENT, 0 },
	/* The VMID of the one would be on TLB entries of the other */
	{ STE_S1, STE_S2, 0 },
	{ STE_S2, STE_S1, 0 },
};

static const struct change cd_changes[] = {
	{ CD_NONE, CD_A, 2 },
	{ CD_A, CD_NONE, 2 },
	{ CD_A, CD_A_OTHER_ASID, 1 },
	{ CD_A, CD_A_OTHER_TCR, 1 },
	{ CD_A, CD_A_QUIET, 1 },
	{ CD_A_QUIET, CD_A, 1 },
	{ CD_A_QUIET, CD_B, 2 },
	{ CD_A, CD_B_QUIET, 2 },
	{ CD_A, CD_B, 0 },
	{ CD_B, CD_PROCESS, 0 },
};

static void replay_changes(struct kunit *test, const struct kind_test *kt, const struct image *images,
			   const struct change *change, unsigned int nr)
{
	struct replay r;

	for (; nr--; change++) {
		const struct image *from = &images[change->from], *to = &images[change->to];

		KUNIT_EXPECT_EQ_MSG(test, smmu_entry_is_seamless(kt->kind, &from->entry, &to->entry), !!change->syncs,
				    "%s to %s", from->name, to->name);
		replay(&r, kt, &from->entry, &to->entry);
		KUNIT_EXPECT_EQ_MSG(test, r.syncs, change->syncs ?: 3, "%s to %s", from->name, to->name);
	}
}

static void steps_of_changes(struct kunit *test)
{
	struct entry_test *t = test->priv;

	replay_changes(test, &ste_test, t->stes, ste_changes, ARRAY_SIZE(ste_changes));
	replay_changes(test, &cd_test, t->cds, cd_changes, ARRAY_SIZE(cd_changes));
}

/* An entry keeps about half of the words of the one before, and of some words all bits but one. No word after 4. */
static void next_at_random(struct smmu_entry *e, const struct kind_test *kt, struct rnd_state *rnd)
{
	u64 q[5], q0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = prandom_u32_state(rnd) | (u64)prandom_u32_state(rnd) << 32;
		if (prandom_u32_state(rnd) % 4 == 0)
			q[i] = le64_to_cpu(e->q[i]) ^ BIT_ULL(prandom_u32_state(rnd) % 64);
		if (prandom_u32_state(rnd) % 2)
			e->q[i] = cpu_to_le64(q[i]);
	}
	q0 = le64_to_cpu(e->q[0]) & ~kt->reserved;
	if (prandom_u32_state(rnd) % 8)
		q0 |= kt->alive;
	/* S1CDMAX of 0 is a case of its own */
	if (prandom_u32_state(rnd) % 4 == 0)
		q0 &= GENMASK_ULL(58, 0);
	e->q[0] = cpu_to_le64(q0);
}

static void replay_at_random(struct kunit *test, const struct kind_test *kt, unsigned int rounds)
{
	struct smmu_entry from = {}, to = {};
	unsigned int seamless = 0, round, fewest;
	struct rnd_state rnd;
	struct replay r;

	prandom_seed_state(&rnd, 5);
	for (round = 0; round < rounds; round++) {
		from = to;
		next_at_random(&to, kt, &rnd);
		replay(&r, kt, &from, &to);
		KUNIT_ASSERT_EQ_MSG(test, r.torn, 0, "round %u: %*ph to %*ph", round, 64, &from, 64, &to);
		KUNIT_ASSERT_EQ(test, words_that_differ(&r.live, &to), 0);
		KUNIT_ASSERT_EQ(test, words_that_differ(&r.live, &r.at_last_sync), 0);
		KUNIT_ASSERT_LE(test, r.syncs, 3);

		fewest = fewest_syncs(kt, &from, &to);
		if (!fewest)
			continue;
		seamless++;
		KUNIT_ASSERT_FALSE_MSG(test, r.limits.invalid, "round %u: %*ph to %*ph", round, 64, &from, 64, &to);
		KUNIT_ASSERT_LE_MSG(test, r.syncs, fewest, "round %u: %*ph to %*ph", round, 64, &from, 64, &to);
	}
	KUNIT_EXPECT_GT(test, seamless, rounds / 10);
	KUNIT_EXPECT_LT(test, seamless, rounds * 9 / 10);
}

static void any_to_any(struct kunit *test)
{
	replay_at_random(test, &ste_test, 2000);
	replay_at_random(test, &cd_test, 2000);
}

static void expect_words(struct kunit *test, const struct image *image, u64 q0, u64 q1, u64 q2, u64 q3)
{
	const u64 expected[WORDS] = { q0, q1, q2, q3 };
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		KUNIT_EXPECT_EQ_MSG(test, le64_to_cpu(image->entry.q[i]), expected[i], "%s, word %u", image->name, i);
}

static void composed_stes(struct kunit *test)
{
	struct entry_test *t = test->priv;
	const u64 incoming = BIT_ULL(44), stalld = BIT_ULL(27), ats = BIT_ULL(28), el2 = BIT_ULL(31);
	const u64 s2 = BIT_ULL(58) | BIT_ULL(54) | BIT_ULL(51) | 0x55555ULL << 32;

	expect_words(test, &t->stes[STE_ABORT], 0x1, incoming, 0, 0);
	expect_words(test, &t->stes[STE_BYPASS], 0x9, incoming, 0, 0);
	expect_words(test, &t->stes[STE_S1], 0x1234b, incoming | 0xd6, 0, 0);
	expect_words(test, &t->stes[STE_S1_STALLD], 0x1234b, incoming | 0xd6 | stalld, 0, 0);
	expect_words(test, &t->stes[STE_S1_ATS], 0x1234b, incoming | 0xd6 | ats, 0, 0);
	expect_words(test, &t->stes[STE_S1_E2H], 0x1234b, incoming | 0xd6 | el2, 0, 0);
	expect_words(test, &t->stes[STE_TABLE_2L], 0x789002b | 16ULL << 59, incoming | 0xd6, 0, 0);
	expect_words(test, &t->stes[STE_TABLE_BYPASS], 0x123000b | 8ULL << 59, incoming | 0xd5, 0, 0);
	expect_words(test, &t->stes[STE_TABLE_TERMINATE], 0x123000b | 8ULL << 59, incoming | 0xd4, 0, 0);
	expect_words(test, &t->stes[STE_S2], 0xd, incoming, s2 | 5, 0x11110000);
	expect_words(test, &t->stes[STE_S2_ATS], 0xd, incoming | ats, s2 | 5, 0x11110000);
	expect_words(test, &t->stes[STE_NESTED], 0xabcf, incoming | 0x54, s2 | 5, 0x11110000);
	expect_words(test, &t->stes[STE_NESTED_OTHER_S1], 0xdef000f | 4ULL << 59, incoming | 0x56, s2 | 5, 0x11110000);
}

static void composed_cds(struct kunit *test)
{
	struct entry_test *t = test->priv;
	/* AA64, R, A, V and what the page table says; ASET unless it is that of a process */
	const u64 q0 = BIT_ULL(41) | BIT_ULL(45) | BIT_ULL(46) | BIT_ULL(31) | 0x540003510ULL, aset = BIT_ULL(47);

	expect_words(test, &t->cds[CD_NONE], 0, 0, 0, 0);
	expect_words(test, &t->cds[CD_A], q0 | aset | 3ULL << 48, 0x3330000, 0, 0xff4404);
	expect_words(test, &t->cds[CD_A_QUIET], q0 | aset | 3ULL << 48 | BIT_ULL(14), 0x3330000, 0, 0xff4404);
	expect_words(test, &t->cds[CD_A_STALL], q0 | aset | 3ULL << 48 | BIT_ULL(44), 0x3330000, 0, 0xff4404);
	expect_words(test, &t->cds[CD_PROCESS], q0 | 4ULL << 48, 0x4440000, 0, 0xff);
}

static struct kunit_case entry_cases[] = {
	KUNIT_CASE(composed_stes),
	KUNIT_CASE(composed_cds),
	KUNIT_CASE(each_ste_to_each),
	KUNIT_CASE(each_cd_to_each),
	KUNIT_CASE(steps_of_changes),
	KUNIT_CASE(any_to_any),
	{}
};

static struct kunit_suite entry_suite = {
	.name = "smmu_entry",
	.init = entry_test_init,
	.test_cases = entry_cases,
};

kunit_test_suite(entry_suite);
