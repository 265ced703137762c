// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "smmu_attach": in which order a master is moved from one domain to another, and when it is not
 *
 * What attach.c tells the SMMU and the device is written down in the order in which it comes, and beside each step on
 * which lists the master is then: an unmap of a domain reaches it there. No emulated SMMU has ATS, so that its
 * invalidations come at the right moment is shown here only.
 *
 * The code stands in this file a second time, with another SMMU and another device. How one entry becomes another is
 * the matter of ste_test.c and cd_test.c.
 */
#include <kunit/test.h>
#include <linux/pci-ats.h>
#include <linux/pci.h>

#include "../arm-smmu-v3.h"
#include "../arm-smmu-v3-ste.h"

static bool att_test_sva_enabled(struct arm_smmu_master *master);
static bool att_test_ats_supported(struct arm_smmu_master *master);
static int att_test_enable_ats(struct pci_dev *pdev, int shift);
static void att_test_disable_ats(struct pci_dev *pdev);
static __le64 *att_test_get_ste(struct arm_smmu_device *smmu, u32 sid);
static int att_test_issue_with_sync(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_ent *cmd);
static void att_test_batch_add(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds,
			       struct arm_smmu_cmdq_ent *cmd);
static int att_test_batch_submit(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds);
static void att_test_cds_init(struct arm_smmu_master *master);
static void att_test_cds_free(struct arm_smmu_master *master);
static int att_test_cds_prepare(struct arm_smmu_master *master, u32 ssid);
static void att_test_cds_set(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *cd);
static void att_test_cds_root(struct arm_smmu_master *master, struct smmu_cd_root *root);

#define arm_smmu_master_sva_enabled		att_test_sva_enabled
#define arm_smmu_ats_supported			att_test_ats_supported
#define pci_enable_ats				att_test_enable_ats
#define pci_disable_ats				att_test_disable_ats
#define arm_smmu_get_step_for_sid		att_test_get_ste
#define arm_smmu_cmdq_issue_cmd_with_sync	att_test_issue_with_sync
#define arm_smmu_cmdq_batch_add			att_test_batch_add
#define arm_smmu_cmdq_batch_submit		att_test_batch_submit
#define smmu_cds_init				att_test_cds_init
#define smmu_cds_free				att_test_cds_free
#define smmu_cds_prepare			att_test_cds_prepare
#define smmu_cds_set				att_test_cds_set
#define smmu_cds_root				att_test_cds_root

/* What it defines itself */
#define __smmu_install_ste		att_test_install_ste
#define smmu_stes_init			att_test_stes_init
#define smmu_attachment_link		att_test_link
#define smmu_attachment_unlink		att_test_unlink
#define smmu_master_inv_atc_range	att_test_inv_atc_range
#define smmu_master_inv_atc		att_test_inv_atc
#define smmu_master_has_stage1		att_test_has_stage1
#define smmu_master_has_stage2		att_test_has_stage2
#define smmu_attach_dev			att_test_attach_dev
#define smmu_replace_prepare		att_test_replace_prepare
#define smmu_replace_commit		att_test_replace_commit
#define smmu_replace_abort		att_test_replace_abort
#define smmu_master_init		att_test_master_init
#define smmu_master_leave		att_test_master_leave

static void att_test_install_ste(struct arm_smmu_master *master);
static void att_test_stes_init(__le64 *strtab, unsigned int nent, bool bypass);
static void att_test_link(struct smmu_attachment *att, struct arm_smmu_domain *domain);
static void att_test_unlink(struct smmu_attachment *att, struct arm_smmu_domain *domain);
static void att_test_inv_atc_range(struct arm_smmu_master *master, u32 ssid, unsigned long iova, size_t size);
static void att_test_inv_atc(struct arm_smmu_master *master, u32 ssid);
static bool att_test_has_stage1(struct arm_smmu_master *master);
static bool att_test_has_stage2(struct arm_smmu_master *master);
static int att_test_attach_dev(struct iommu_domain *domain, struct device *dev);
static int att_test_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev);
static void att_test_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev);
static void att_test_replace_abort(struct iommu_domain *domain, struct device *dev);
static void att_test_master_init(struct arm_smmu_master *master);
static void att_test_master_leave(struct arm_smmu_master *master);

#include "../arm-smmu-v3-attach.c"

#define STREAMS	3

enum { S1_A, S1_B, S2_A, S2_B, BYPASS, BLOCKED, ELSEWHERE, UNFINISHED, DOMAINS };

struct att_test {
	struct arm_smmu_device smmu, other_smmu;
	struct arm_smmu_master master;
	struct arm_smmu_stream streams[STREAMS];
	struct smmu_entry stes[2];
	struct pci_dev pdev;
	struct dev_iommu iommu;
	struct arm_smmu_domain domain[DOMAINS];
	bool ats, sva;
	int cds_rc;
	char steps[512];
};

static struct att_test *of_master(struct arm_smmu_master *master)
{
	return container_of(master, struct att_test, master);
}

static struct att_test *of_smmu(struct arm_smmu_device *smmu)
{
	return container_of(smmu, struct att_test, smmu);
}

static bool is_listed(struct att_test *t, unsigned int which)
{
	struct smmu_attachment *att;

	list_for_each_entry(att, &t->domain[which].devices, link) {
		if (att->master == &t->master && !att->ssid)
			return true;
	}
	return false;
}

/* What is done, and for which of the paging domains an unmap would reach the master at that moment */
static void step(struct att_test *t, const char *what)
{
	size_t len = strlen(t->steps);

	scnprintf(t->steps + len, sizeof(t->steps) - len, "%s(%s%s%s%s) ", what, is_listed(t, S1_A) ? "A" : "",
		  is_listed(t, S1_B) ? "B" : "", is_listed(t, S2_A) ? "C" : "", is_listed(t, S2_B) ? "D" : "");
}

static bool att_test_sva_enabled(struct arm_smmu_master *master)
{
	return of_master(master)->sva;
}

static bool att_test_ats_supported(struct arm_smmu_master *master)
{
	return of_master(master)->ats;
}

static int att_test_enable_ats(struct pci_dev *pdev, int shift)
{
	pdev->ats_enabled = 1;
	step(container_of(pdev, struct att_test, pdev), "ats");
	return 0;
}

static void att_test_disable_ats(struct pci_dev *pdev)
{
	pdev->ats_enabled = 0;
	step(container_of(pdev, struct att_test, pdev), "no-ats");
}

static __le64 *att_test_get_ste(struct arm_smmu_device *smmu, u32 sid)
{
	return of_smmu(smmu)->stes[sid].q;
}

/* The first of two streams tells; an entry that takes several stores is one step, as long as it has the same meaning */
static int att_test_issue_with_sync(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_ent *cmd)
{
	static const char * const names[] = {
		"abort", "abort", "abort", "abort", "bypass", "s1", "s2", "s1+s2",
	};
	struct att_test *t = of_smmu(smmu);
	u64 q0 = le64_to_cpu(t->stes[0].q[0]), q1 = le64_to_cpu(t->stes[0].q[1]);
	char what[32];

	if (cmd->opcode != CMDQ_OP_CFGI_STE || cmd->cfgi.sid)
		return 0;
	if (q0 & STRTAB_STE_0_V)
		snprintf(what, sizeof(what), "ste:%s%s", names[FIELD_GET(STRTAB_STE_0_CFG, q0)],
			 FIELD_GET(STRTAB_STE_0_CFG, q0) > STRTAB_STE_0_CFG_BYPASS && (q1 & STRTAB_STE_1_EATS) ?
			 "+ats" : "");
	else
		snprintf(what, sizeof(what), "ste:invalid");
	step(t, what);
	return 0;
}

static void att_test_batch_add(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds,
			       struct arm_smmu_cmdq_ent *cmd)
{
	if (cmd->opcode == CMDQ_OP_ATC_INV && cmd->atc.size == ATC_INV_SIZE_ALL)
		cmds->num++;
}

static int att_test_batch_submit(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds)
{
	step(of_smmu(smmu), cmds->num == STREAMS ? "atc" : "part-of-atc");
	return 0;
}

static void att_test_cds_init(struct arm_smmu_master *master)
{
}

static void att_test_cds_free(struct arm_smmu_master *master)
{
	step(of_master(master), "free");
}

static int att_test_cds_prepare(struct arm_smmu_master *master, u32 ssid)
{
	return of_master(master)->cds_rc;
}

static void att_test_cds_set(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *cd)
{
	char what[16] = "cd:none";

	if (cd)
		snprintf(what, sizeof(what), "cd:%llu", FIELD_GET(CTXDESC_CD_0_ASID, le64_to_cpu(cd->q[0])));
	step(of_master(master), what);
}

static void att_test_cds_root(struct arm_smmu_master *master, struct smmu_cd_root *root)
{
	*root = (struct smmu_cd_root){ .base = 0x40000, .cdmax = 4 };
}

static void init_domain(struct att_test *t, unsigned int which, enum arm_smmu_domain_stage stage, u16 number)
{
	struct arm_smmu_domain *domain = &t->domain[which];

	mutex_init(&domain->init_mutex);
	spin_lock_init(&domain->devices_lock);
	INIT_LIST_HEAD(&domain->devices);
	domain->stage = stage;
	if (stage == ARM_SMMU_DOMAIN_S1)
		domain->s1_cfg.cd.asid = number;
	else
		domain->s2_cfg = (struct arm_smmu_s2_cfg){ .vmid = number, .vttbr = number * SZ_4K };
	domain->smmu = smmu_domain_is_paging(domain) ? &t->smmu : NULL;
}

static int att_test_init(struct kunit *test)
{
	struct att_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->smmu.pgsize_bitmap = SZ_4K;
	t->master.smmu = &t->smmu;
	t->master.dev = &t->pdev.dev;
	t->master.streams = t->streams;
	t->master.num_streams = STREAMS;
	/* the last one repeats the first */
	for (i = 0; i < STREAMS; i++)
		t->streams[i].id = i % 2;
	t->pdev.dev.iommu = &t->iommu;
	dev_iommu_priv_set(&t->pdev.dev, &t->master);
	smmu_master_init(&t->master);
	smmu_stes_init(t->stes[0].q, ARRAY_SIZE(t->stes), false);

	init_domain(t, S1_A, ARM_SMMU_DOMAIN_S1, 1);
	init_domain(t, S1_B, ARM_SMMU_DOMAIN_S1, 2);
	init_domain(t, S2_A, ARM_SMMU_DOMAIN_S2, 3);
	init_domain(t, S2_B, ARM_SMMU_DOMAIN_S2, 4);
	init_domain(t, BYPASS, ARM_SMMU_DOMAIN_BYPASS, 0);
	init_domain(t, BLOCKED, ARM_SMMU_DOMAIN_BLOCKED, 0);
	init_domain(t, ELSEWHERE, ARM_SMMU_DOMAIN_S1, 5);
	t->domain[ELSEWHERE].smmu = &t->other_smmu;
	init_domain(t, UNFINISHED, ARM_SMMU_DOMAIN_S1, 6);
	t->domain[UNFINISHED].smmu = NULL;
	test->priv = t;
	return 0;
}

static void expect_move(struct kunit *test, unsigned int to, const char *steps)
{
	struct att_test *t = test->priv;
	unsigned int i;

	t->steps[0] = 0;
	KUNIT_EXPECT_EQ(test, 0, smmu_attach_dev(&t->domain[to].domain, t->master.dev));
	KUNIT_EXPECT_STREQ(test, t->steps, steps);
	KUNIT_EXPECT_PTR_EQ(test, t->master.domain, &t->domain[to]);
	KUNIT_EXPECT_EQ(test, smmu_master_has_stage1(&t->master), to == S1_A || to == S1_B);
	KUNIT_EXPECT_EQ(test, smmu_master_has_stage2(&t->master), to == S2_A || to == S2_B);
	KUNIT_EXPECT_TRUE(test, !memcmp(&t->stes[0], &t->stes[1], sizeof(t->stes[0])));
	for (i = 0; i < DOMAINS; i++) {
		KUNIT_EXPECT_EQ(test, is_listed(t, i), i == to && smmu_domain_is_paging(&t->domain[i]));
		KUNIT_EXPECT_EQ(test, atomic_read(&t->domain[i].nr_ats_masters), is_listed(t, i) && t->ats);
	}
}

static void moves(struct kunit *test)
{
	struct att_test *t = test->priv;

	expect_move(test, S1_A, "cd:1(A) ste:abort(A) ste:s1(A) ");
	expect_move(test, S1_A, "");
	expect_move(test, S1_B, "cd:2(AB) ");
	expect_move(test, BYPASS, "ste:bypass(B) ste:bypass(B) cd:none(B) ");
	expect_move(test, S1_B, "cd:2(B) ste:bypass(B) ste:s1(B) ");
	expect_move(test, BLOCKED, "ste:abort(B) ste:abort(B) cd:none(B) ");
	expect_move(test, S2_A, "ste:abort(C) ste:s2(C) ");
	/* VMID and table are in two words */
	expect_move(test, S2_B, "ste:invalid(CD) ste:invalid(CD) ste:s2(CD) ");
	expect_move(test, BLOCKED, "ste:abort(D) ste:abort(D) ");
	/* to each from each: this time the SMMU runs at EL2, where stage 1 has no VMID */
	t->smmu.features |= ARM_SMMU_FEAT_E2H;
	expect_move(test, S1_A, "cd:1(A) ste:abort(A) ste:s1(A) ");
	expect_move(test, S2_A, "ste:s1(AC) ste:s2(AC) ste:s2(AC) cd:none(AC) ");
	expect_move(test, S1_B, "cd:2(BC) ste:s2(BC) ste:s1(BC) ste:s1(BC) ");
}

static void moves_of_a_device_with_ats(struct kunit *test)
{
	struct att_test *t = test->priv;

	t->ats = true;
	/* the SMMU answers before the device asks, and the device starts with nothing */
	expect_move(test, S1_A, "cd:1(A) ste:abort(A) ste:s1+ats(A) atc(A) ats(A) ");
	/* what it has of the old domain goes while an unmap of that still reaches it */
	expect_move(test, S1_B, "cd:2(AB) atc(AB) ");
	/* the device stops asking before the SMMU stops answering */
	expect_move(test, BYPASS, "no-ats(B) atc(B) ste:bypass(B) ste:bypass(B) cd:none(B) ");
	expect_move(test, S2_A, "ste:bypass(C) ste:s2+ats(C) atc(C) ats(C) ");
	expect_move(test, S2_B, "ste:invalid(CD) ste:invalid(CD) ste:s2+ats(CD) atc(CD) ");
	expect_move(test, BLOCKED, "no-ats(D) atc(D) ste:abort(D) ste:abort(D) ");
}

/* Requests without SSID come and go, SSIDs stay: the STE leads to their CDs all the time */
static void moves_beside_ssids(struct kunit *test)
{
	struct att_test *t = test->priv;

	expect_move(test, S1_A, "cd:1(A) ste:abort(A) ste:s1(A) ");
	t->master.cds.used = 2;
	expect_move(test, BYPASS, "ste:s1(A) cd:none(A) ");
	KUNIT_EXPECT_EQ(test, FIELD_GET(STRTAB_STE_1_S1DSS, le64_to_cpu(t->stes[0].q[1])), STRTAB_STE_1_S1DSS_BYPASS);
	expect_move(test, BLOCKED, "ste:s1() ");
	KUNIT_EXPECT_EQ(test, FIELD_GET(STRTAB_STE_1_S1DSS, le64_to_cpu(t->stes[0].q[1])),
			STRTAB_STE_1_S1DSS_TERMINATE);
	expect_move(test, S1_B, "cd:2(B) ste:s1(B) ");
	KUNIT_EXPECT_EQ(test, FIELD_GET(STRTAB_STE_1_S1DSS, le64_to_cpu(t->stes[0].q[1])), STRTAB_STE_1_S1DSS_SSID0);
}

static void expect_refusal(struct kunit *test, unsigned int to, int rc)
{
	struct att_test *t = test->priv;
	struct arm_smmu_domain *old = t->master.domain;
	struct smmu_entry ste = t->stes[0];

	t->steps[0] = 0;
	KUNIT_EXPECT_EQ(test, rc, smmu_replace_prepare(&t->domain[to].domain, &old->domain, t->master.dev));
	/* attach would complete one that no SMMU has yet */
	if (t->domain[to].smmu || !smmu_domain_is_paging(&t->domain[to]))
		KUNIT_EXPECT_EQ(test, rc, smmu_attach_dev(&t->domain[to].domain, t->master.dev));
	KUNIT_EXPECT_STREQ(test, t->steps, "");
	KUNIT_EXPECT_PTR_EQ(test, t->master.domain, old);
	KUNIT_EXPECT_TRUE(test, !memcmp(&t->stes[0], &ste, sizeof(ste)));
	KUNIT_EXPECT_FALSE(test, is_listed(t, to));
}

static void refuses_what_cannot_be(struct kunit *test)
{
	struct att_test *t = test->priv;
	struct device *dev = t->master.dev;

	expect_move(test, S1_A, "cd:1(A) ste:abort(A) ste:s1(A) ");
	expect_refusal(test, ELSEWHERE, -EINVAL);
	expect_refusal(test, UNFINISHED, -EINVAL);
	t->cds_rc = -ENOMEM;
	expect_refusal(test, S1_B, -ENOMEM);
	t->cds_rc = 0;
	t->sva = true;
	expect_refusal(test, S1_B, -EBUSY);
	t->sva = false;
	t->master.cds.used = 1;
	expect_refusal(test, S2_A, -EBUSY);
	t->master.cds.used = 0;
	KUNIT_EXPECT_EQ(test, -EBUSY, smmu_replace_prepare(&t->domain[S1_A].domain, &t->domain[S1_B].domain, dev));

	/* prepared and not done */
	t->steps[0] = 0;
	KUNIT_EXPECT_EQ(test, 0, smmu_replace_prepare(&t->domain[S1_B].domain, &t->domain[S1_A].domain, dev));
	smmu_replace_abort(&t->domain[S1_B].domain, dev);
	KUNIT_EXPECT_STREQ(test, t->steps, "");
	/* and done */
	KUNIT_EXPECT_EQ(test, 0, smmu_replace_prepare(&t->domain[S1_B].domain, &t->domain[S1_A].domain, dev));
	smmu_replace_commit(&t->domain[S1_B].domain, &t->domain[S1_A].domain, dev);
	KUNIT_EXPECT_STREQ(test, t->steps, "cd:2(AB) ");
}

static void a_master_that_leaves_is_aborted(struct kunit *test)
{
	struct att_test *t = test->priv;

	t->ats = true;
	expect_move(test, S1_A, "cd:1(A) ste:abort(A) ste:s1+ats(A) atc(A) ats(A) ");
	t->steps[0] = 0;
	/* whatever its driver has forgotten */
	t->master.cds.used = 1;
	smmu_master_leave(&t->master);
	KUNIT_EXPECT_STREQ(test, t->steps, "no-ats(A) atc(A) ste:abort(A) ste:abort(A) cd:none(A) free() ");
	KUNIT_EXPECT_FALSE(test, is_listed(t, S1_A));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&t->domain[S1_A].nr_ats_masters));
}

static struct kunit_case att_test_cases[] = {
	KUNIT_CASE(moves),
	KUNIT_CASE(moves_of_a_device_with_ats),
	KUNIT_CASE(moves_beside_ssids),
	KUNIT_CASE(refuses_what_cannot_be),
	KUNIT_CASE(a_master_that_leaves_is_aborted),
	{}
};

static struct kunit_suite att_test_suite = {
	.name = "smmu_attach",
	.init = att_test_init,
	.test_cases = att_test_cases,
};

kunit_test_suite(att_test_suite);
