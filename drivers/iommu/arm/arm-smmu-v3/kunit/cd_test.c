// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "smmu_cds": the tables of context descriptors, and what an SMMU may see while one CD changes
 *
 * The SMMU of this test keeps all that it has read (root, level-1 descriptors, CDs) until it is told to forget it, and
 * then reads it again at once. But it may as well have kept only some of that and read the rest this moment, so at each
 * command, before and after it, all ways to get at a CD are tried. Each must give the old CD or the new one. Once the
 * change is done all must give the new one, and nobody looks at the spare: it is filled with rubbish.
 *
 * The code stands in this file a second time, with other commands and other memory. What happens between the stores
 * into one entry is the matter of ste_test.c.
 */
#include <kunit/test.h>
#include <linux/dma-mapping.h>
#include <linux/prandom.h>

#include "../arm-smmu-v3.h"
#include "../arm-smmu-v3-attach.h"
#include "../arm-smmu-v3-ste.h"

static void cd_test_batch_add(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds,
			      struct arm_smmu_cmdq_ent *cmd);
static int cd_test_batch_submit(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds);
static void cd_test_install(struct arm_smmu_master *master);
static void *cd_test_alloc(struct device *dev, size_t size, dma_addr_t *dma, gfp_t gfp);
static void cd_test_free(struct device *dev, size_t size, void *table, dma_addr_t dma);
static void cd_test_cds_init(struct arm_smmu_master *master);
static void cd_test_cds_free(struct arm_smmu_master *master);
static int cd_test_cds_prepare(struct arm_smmu_master *master, u32 ssid);
static void cd_test_cds_set(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *cd);
static void cd_test_cds_root(struct arm_smmu_master *master, struct smmu_cd_root *root);

#define arm_smmu_cmdq_batch_add		cd_test_batch_add
#define arm_smmu_cmdq_batch_submit	cd_test_batch_submit
#define __smmu_install_ste		cd_test_install
#define dma_alloc_coherent		cd_test_alloc
#define dma_free_coherent		cd_test_free
#define smmu_cds_init			cd_test_cds_init
#define smmu_cds_free			cd_test_cds_free
#define smmu_cds_prepare		cd_test_cds_prepare
#define smmu_cds_set			cd_test_cds_set
#define smmu_cds_root			cd_test_cds_root
#include "../arm-smmu-v3-cd.c"

#define STREAMS		2
#define NR_CDS		6
#define MAX_LEAVES	4
#define MAX_CDS		(MAX_LEAVES * CTXDESC_L2_ENTRIES)

/* What is known of a change while it goes on */
struct change {
	u32 ssid;
	struct smmu_entry old, new;
};

struct cds_test {
	struct kunit *test;
	struct device dev;
	struct arm_smmu_device smmu;
	struct arm_smmu_stream streams[STREAMS];
	struct arm_smmu_master master;

	bool s1;				/* the STE leads to CDs */
	dma_addr_t root_in_ste, root_cached;
	u64 l1_cached[MAX_LEAVES];
	struct smmu_entry *cached, *expected;	/* by SSID */
	struct change *change;

	u8 opcode;				/* of the commands that are not submitted yet, and to which streams */
	u32 ssid;
	unsigned long to;
	unsigned int syncs, installs;

	unsigned int allocations, fail_at;	/* the latter fails, counted down */
	size_t bytes;
};

static struct cds_test *of_smmu(struct arm_smmu_device *smmu)
{
	return container_of(smmu, struct cds_test, smmu);
}

static struct cds_test *of_master(struct arm_smmu_master *master)
{
	return container_of(master, struct cds_test, master);
}

static u32 num_ssids(struct cds_test *t)
{
	return 1U << t->master.ssid_bits;
}

static bool two_levels(struct cds_test *t)
{
	return t->master.ssid_bits > 10;
}

static struct smmu_entry read_cd(struct cds_test *t, u64 leaf, u32 ssid)
{
	const struct smmu_entry *cds = phys_to_virt(leaf);

	return cds[two_levels(t) ? ssid & 1023 : ssid];
}

static u64 read_l1(dma_addr_t root, u32 ssid)
{
	const __le64 *l1 = phys_to_virt(root);

	return le64_to_cpu(l1[ssid >> 10]);
}

/* The CD by way of a root and, if that is kept, a level-1 descriptor; all 0 when there is none */
static struct smmu_entry walk(struct cds_test *t, dma_addr_t root, const u64 *l1_kept, u32 ssid)
{
	const struct smmu_entry none = {};
	u64 l1;

	if (!root)
		return none;
	if (!two_levels(t))
		return read_cd(t, root, ssid);
	l1 = l1_kept ? *l1_kept : read_l1(root, ssid);
	return l1 & 1 ? read_cd(t, l1 & GENMASK_ULL(51, 12), ssid) : none;
}

static bool same(const struct smmu_entry *a, const struct smmu_entry *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Of an invalid CD only that matters; what is there while a change is on its way is the matter of ste_test.c */
static bool is_one_of(struct cds_test *t, const struct smmu_entry *cd, u32 ssid)
{
	bool valid = cd->q[0] & cpu_to_le64(BIT_ULL(31));
	const struct change *change = t->change;

	if (!change || change->ssid != ssid)
		return same(cd, &t->expected[ssid]);
	if (!valid)
		return !(change->old.q[0] & change->new.q[0] & cpu_to_le64(BIT_ULL(31)));
	return same(cd, &change->old) || same(cd, &change->new);
}

static void expect_cd(struct cds_test *t, struct smmu_entry cd, u32 ssid, const char *how)
{
	if (!is_one_of(t, &cd, ssid))
		KUNIT_FAIL(t->test, "SSID %u of %u bits, %s: not the CD that it should be", ssid, t->master.ssid_bits,
			   how);
}

/* All that the SMMU may do for a request with @ssid this moment */
static void look_at(struct cds_test *t, u32 ssid)
{
	expect_cd(t, t->cached[ssid], ssid, "all kept");
	expect_cd(t, walk(t, t->root_cached, &t->l1_cached[ssid >> 10], ssid), ssid, "CD read");
	expect_cd(t, walk(t, t->root_cached, NULL, ssid), ssid, "CD and L1 read");
	expect_cd(t, walk(t, t->root_in_ste, NULL, ssid), ssid, "STE, CD and L1 read");
}

static void look(struct cds_test *t)
{
	u32 ssid;

	if (!t->s1 || t->test->status == KUNIT_FAILURE)
		return;
	/* All neighbours, and some of each other leaf */
	for (ssid = 0; ssid < num_ssids(t); ssid += ssid % 1024 < 8 ? 1 : 127)
		look_at(t, ssid);
	if (t->change)
		look_at(t, t->change->ssid);
}

static void keep_cd(struct cds_test *t, u32 ssid)
{
	t->cached[ssid] = walk(t, t->root_cached, &t->l1_cached[ssid >> 10], ssid);
}

static void keep_all(struct cds_test *t)
{
	u32 ssid;

	for (ssid = 0; two_levels(t) && ssid < num_ssids(t); ssid += 1024)
		t->l1_cached[ssid >> 10] = t->root_cached ? read_l1(t->root_cached, ssid) : 0;
	for (ssid = 0; ssid < num_ssids(t); ssid++)
		keep_cd(t, ssid);
}

static void cd_test_batch_add(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds,
			      struct arm_smmu_cmdq_ent *cmd)
{
	struct cds_test *t = of_smmu(smmu);

	KUNIT_EXPECT_TRUE(t->test, !t->to || (t->opcode == cmd->opcode && t->ssid == cmd->cfgi.ssid));
	t->opcode = cmd->opcode;
	t->ssid = cmd->cfgi.ssid;
	t->to |= BIT(cmd->cfgi.sid);
}

static int cd_test_batch_submit(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds)
{
	struct cds_test *t = of_smmu(smmu);

	KUNIT_EXPECT_EQ_MSG(t->test, t->to, BIT(STREAMS) - 1, "a stream was not told");
	t->to = 0;
	t->syncs++;
	look(t);
	if (t->opcode == CMDQ_OP_CFGI_CD)
		keep_cd(t, t->ssid);
	else if (t->opcode == CMDQ_OP_CFGI_CD_ALL)
		keep_all(t);
	else
		KUNIT_FAIL(t->test, "unexpected command %#x", t->opcode);
	look(t);
	return 0;
}

/* Of the STE only its root matters here. CFGI_STE drops that, and no CD. */
static void cd_test_install(struct arm_smmu_master *master)
{
	struct cds_test *t = of_master(master);
	struct smmu_cd_root root;

	smmu_cds_root(master, &root);
	t->installs++;
	if (!t->s1)
		return;
	look(t);
	t->root_in_ste = root.base;
	look(t);
	t->root_cached = root.base;
	look(t);
}

static void *cd_test_alloc(struct device *dev, size_t size, dma_addr_t *dma, gfp_t gfp)
{
	struct cds_test *t = container_of(dev, struct cds_test, dev);
	void *table;

	if (t->fail_at && !--t->fail_at)
		return NULL;
	table = kzalloc(size, gfp);
	if (!table)
		return NULL;
	t->allocations++;
	t->bytes += size;
	*dma = virt_to_phys(table);
	return table;
}

static void cd_test_free(struct device *dev, size_t size, void *table, dma_addr_t dma)
{
	struct cds_test *t = container_of(dev, struct cds_test, dev);
	unsigned int i;

	KUNIT_EXPECT_EQ(t->test, dma, virt_to_phys(table));
	for (i = 0; i < MAX_LEAVES; i++)
		KUNIT_EXPECT_NE_MSG(t->test, dma, t->l1_cached[i] & GENMASK_ULL(51, 12), "freed, but kept in mind");
	t->bytes -= size;
	kfree(table);
}

/* Valid CDs with page table and ASID of their own; 1 is 0 with another ASID. The last is none. */
static struct smmu_entry cd_image(unsigned int which)
{
	struct arm_smmu_ctx_desc desc = {
		.asid = 10 + which,
		.ttbr = (which == 1 ? 0 : which) * SZ_1M,
		.tcr = CTXDESC_CD_0_AA64,
		.mair = 0xff,
	};
	struct smmu_entry cd;

	if (which == NR_CDS - 1)
		smmu_cd_none(&cd);
	else
		smmu_cd_translate(&cd, &desc, false);
	return cd;
}

static void cds_test_exit(struct kunit *test)
{
	struct cds_test *t = test->priv;

	t->s1 = false;
	t->root_in_ste = 0;
	t->root_cached = 0;
	smmu_cds_free(&t->master);
	KUNIT_EXPECT_EQ_MSG(test, t->bytes, (size_t)0, "memory that nobody frees");
	kvfree(t->cached);
	kvfree(t->expected);
}

static int cds_test_init(struct kunit *test)
{
	struct cds_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->test = test;
	t->smmu.dev = &t->dev;
	for (i = 0; i < STREAMS; i++)
		t->streams[i].id = i;
	t->master.smmu = &t->smmu;
	t->master.streams = t->streams;
	t->master.num_streams = STREAMS;
	smmu_cds_init(&t->master);

	t->cached = kvcalloc(MAX_CDS, sizeof(*t->cached), GFP_KERNEL);
	t->expected = kvcalloc(MAX_CDS, sizeof(*t->expected), GFP_KERNEL);
	if (!t->cached || !t->expected) {
		cds_test_exit(test);
		return -ENOMEM;
	}
	return 0;
}

static void use_root(struct cds_test *t, dma_addr_t root)
{
	t->s1 = true;
	t->root_in_ste = root;
	t->root_cached = root;
	keep_all(t);
	look(t);
}

/* An STE leads to the CDs, as SSID 0 has one */
static void start(struct cds_test *t, unsigned int ssid_bits)
{
	struct smmu_entry cd = cd_image(0);
	struct smmu_cd_root root;

	t->master.ssid_bits = ssid_bits;
	KUNIT_ASSERT_EQ(t->test, smmu_cds_prepare(&t->master, 0), 0);
	smmu_cds_set(&t->master, 0, &cd);
	t->expected[0] = cd;

	smmu_cds_root(&t->master, &root);
	KUNIT_EXPECT_EQ(t->test, root.fmt, two_levels(t) ? 2 : 0);
	KUNIT_EXPECT_EQ(t->test, root.cdmax, ssid_bits);
	use_root(t, root.base);
}

static void fill_spare(struct cds_test *t)
{
	struct smmu_cd_leaf *spare = &t->master.cds.spare;

	memset(spare->cds, 0xa5, sizeof(struct smmu_entry) << min(t->master.ssid_bits, 10U));
}

/* Prepared by the caller */
static void set(struct cds_test *t, u32 ssid, unsigned int which)
{
	struct change change = { .ssid = ssid, .old = t->expected[ssid], .new = cd_image(which) };
	unsigned int allocations = t->allocations;

	t->syncs = 0;
	t->installs = 0;
	t->change = &change;
	smmu_cds_set(&t->master, ssid, which == NR_CDS - 1 ? NULL : &change.new);
	t->change = NULL;
	t->expected[ssid] = change.new;

	KUNIT_EXPECT_EQ_MSG(t->test, t->allocations, allocations, "memory is needed");
	fill_spare(t);
	look(t);
}

static void prepare(struct cds_test *t, u32 ssid)
{
	KUNIT_ASSERT_EQ(t->test, smmu_cds_prepare(&t->master, ssid), 0);
	look(t);
}

/* From one page table to another there is one switch; back again it is the same memory */
static void switch_and_back(struct cds_test *t, u32 ssid)
{
	struct smmu_cd_leaf first = *leaf_of(&t->master, ssid), second = t->master.cds.spare;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		set(t, ssid, i % 2 ? 2 : 4);
		KUNIT_EXPECT_EQ(t->test, t->syncs, 1U);
		KUNIT_EXPECT_EQ(t->test, t->installs, two_levels(t) ? 0U : 1U);
		KUNIT_EXPECT_EQ(t->test, leaf_of(&t->master, ssid)->dma, i % 2 ? first.dma : second.dma);
	}
}

static void without_substreams(struct kunit *test)
{
	struct cds_test *t = test->priv;

	start(t, 0);
	KUNIT_EXPECT_EQ(test, t->bytes, 2 * sizeof(struct smmu_entry));
	KUNIT_EXPECT_EQ(test, smmu_cds_prepare(&t->master, 1), -EINVAL);
	switch_and_back(t, 0);
	KUNIT_EXPECT_EQ(test, t->master.cds.used, 0U);
}

static void linear(struct kunit *test)
{
	struct cds_test *t = test->priv;
	u32 ssid;

	start(t, 5);
	KUNIT_EXPECT_EQ(test, t->bytes, 64 * sizeof(struct smmu_entry));
	KUNIT_EXPECT_EQ(test, smmu_cds_prepare(&t->master, 32), -EINVAL);
	for (ssid = 1; ssid < 32; ssid += 3) {
		prepare(t, ssid);
		set(t, ssid, 2 + ssid % 2);
	}
	KUNIT_EXPECT_EQ(test, t->master.cds.used, 11U);
	switch_and_back(t, 0);
	switch_and_back(t, 31);
	KUNIT_EXPECT_EQ(test, t->master.cds.used, 11U);
}

static void two_level(struct kunit *test)
{
	struct cds_test *t = test->priv;

	start(t, 12);
	KUNIT_EXPECT_EQ(test, t->bytes, 4 * sizeof(u64) + 2 * 1024 * sizeof(struct smmu_entry));
	KUNIT_EXPECT_EQ(test, smmu_cds_prepare(&t->master, 4096), -EINVAL);
	prepare(t, 1);
	set(t, 1, 2);
	prepare(t, 4095);
	set(t, 4095, 2);
	KUNIT_EXPECT_EQ(test, t->bytes, 4 * sizeof(u64) + 3 * 1024 * sizeof(struct smmu_entry));
	switch_and_back(t, 4095);
	switch_and_back(t, 1);
	switch_and_back(t, 0);
	KUNIT_EXPECT_EQ(test, t->master.cds.used, 2U);
}

/* One word does: no table is switched, so nobody needs the group's mutex */
static void in_place(struct kunit *test)
{
	struct cds_test *t = test->priv;
	struct smmu_cd_leaf leaf;

	start(t, 4);
	prepare(t, 3);
	leaf = *t->master.cds.leaves;

	set(t, 3, 0);
	KUNIT_EXPECT_EQ(test, t->master.cds.used, 1U);
	set(t, 3, 1);
	KUNIT_EXPECT_EQ(test, t->syncs, 1U);
	set(t, 0, 1);
	set(t, 3, NR_CDS - 1);
	KUNIT_EXPECT_EQ(test, t->master.cds.used, 0U);
	set(t, 3, NR_CDS - 1);
	KUNIT_EXPECT_EQ(test, t->syncs, 0U);
	set(t, 3, 4);
	KUNIT_EXPECT_EQ(test, t->installs, 0U);
	KUNIT_EXPECT_EQ(test, t->master.cds.leaves->dma, leaf.dma);
}

static void no_memory(struct kunit *test)
{
	struct cds_test *t = test->priv;
	unsigned int n;

	/* L1, spare and leaf; what the first attempts got is used by the last */
	t->master.ssid_bits = 11;
	for (n = 0; n < 3; n++) {
		t->fail_at = 1;
		KUNIT_EXPECT_EQ(test, smmu_cds_prepare(&t->master, 5), -ENOMEM);
		KUNIT_EXPECT_EQ(test, t->allocations, n);
		t->fail_at = 2;
		KUNIT_EXPECT_EQ(test, smmu_cds_prepare(&t->master, 5), n < 2 ? -ENOMEM : 0);
	}
	KUNIT_EXPECT_EQ(test, t->allocations, 3U);
	t->fail_at = 0;

	/* A leaf that is lacking changes nothing for who has one */
	start(t, 11);
	set(t, 5, 2);
	t->fail_at = 1;
	KUNIT_EXPECT_EQ(test, smmu_cds_prepare(&t->master, 1029), -ENOMEM);
	look(t);
	switch_and_back(t, 5);
	prepare(t, 1029);
	set(t, 1029, 3);
}

/* The STE does not lead to CDs: they change nevertheless, and are what they should be once it does */
static void behind_another_ste(struct kunit *test)
{
	struct cds_test *t = test->priv;

	start(t, 2);
	prepare(t, 2);
	t->s1 = false;
	set(t, 2, 2);
	set(t, 0, 3);
	set(t, 2, 3);
	use_root(t, t->master.cds.leaves->dma);
}

static void at_random(struct kunit *test)
{
	static const unsigned int bits[] = { 0, 1, 6, 10, 11, 12 };
	struct cds_test *t = test->priv;
	struct rnd_state rnd;
	unsigned int i;
	u32 ssid;

	prandom_seed_state(&rnd, 5);
	for (i = 0; i < ARRAY_SIZE(bits) && test->status != KUNIT_FAILURE; i++) {
		unsigned int step;

		start(t, bits[i]);
		for (step = 0; step < 200; step++) {
			ssid = prandom_u32_state(&rnd) % num_ssids(t);
			/* More often among a few */
			if (step % 4)
				ssid &= ~0x3f8;
			prepare(t, ssid);
			set(t, ssid, prandom_u32_state(&rnd) % NR_CDS);
		}
		cds_test_exit(test);
		KUNIT_ASSERT_EQ(test, cds_test_init(test), 0);
		t = test->priv;
	}
}

static struct kunit_case cds_cases[] = {
	KUNIT_CASE(without_substreams),
	KUNIT_CASE(linear),
	KUNIT_CASE(two_level),
	KUNIT_CASE(in_place),
	KUNIT_CASE(no_memory),
	KUNIT_CASE(behind_another_ste),
	KUNIT_CASE(at_random),
	{}
};

static struct kunit_suite cds_suite = {
	.name = "smmu_cds",
	.init = cds_test_init,
	.exit = cds_test_exit,
	.test_cases = cds_cases,
};

kunit_test_suite(cds_suite);
