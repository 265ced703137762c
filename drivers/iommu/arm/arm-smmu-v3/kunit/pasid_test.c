// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "smmu_pasid": who may have the PASIDs of a master, and in which order a PASID is attached, moved, blocked
 *
 * The code stands in this file a second time. What it calls is written down, one letter a call; that the calls do what
 * they should is the matter of cd_test.c and of the walker.
 */
#include <kunit/test.h>

#include "../arm-smmu-v3.h"
#include "../arm-smmu-v3-attach.h"
#include "../arm-smmu-v3-ste.h"

static int pasid_test_cds_prepare(struct arm_smmu_master *master, u32 ssid);
static void pasid_test_cds_set(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *cd);
static void pasid_test_install(struct arm_smmu_master *master);
static void pasid_test_link(struct smmu_attachment *att, struct arm_smmu_domain *domain);
static void pasid_test_unlink(struct smmu_attachment *att, struct arm_smmu_domain *domain);
static void pasid_test_inv_atc(struct arm_smmu_master *master, u32 ssid);
static bool pasid_test_has_stage2(struct arm_smmu_master *master);

static void pasid_test_init(struct arm_smmu_master *master);
static bool pasid_test_claim(struct arm_smmu_master *master, enum smmu_pasid_user user);
static void pasid_test_unclaim(struct arm_smmu_master *master);
static int pasid_test_enable(struct device *dev);
static void pasid_test_disable(struct device *dev);
static int pasid_test_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
			      ioasid_t pasid);
static void pasid_test_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
			      ioasid_t pasid);
static void pasid_test_abort(struct iommu_domain *domain, struct device *dev, ioasid_t pasid);
static void pasid_test_remove(struct iommu_domain *old, struct device *dev, ioasid_t pasid);
static int pasid_test_process_attach(struct arm_smmu_master *master, u32 pasid, const struct arm_smmu_ctx_desc *cd);
static void pasid_test_process_exit(struct arm_smmu_master *master, u32 pasid, const struct arm_smmu_ctx_desc *cd);
static void pasid_test_process_detach(struct arm_smmu_master *master, u32 pasid);
static void pasid_test_new_asid(struct arm_smmu_domain *domain);

#define smmu_cds_prepare		pasid_test_cds_prepare
#define smmu_cds_set			pasid_test_cds_set
#define __smmu_install_ste		pasid_test_install
#define smmu_attachment_link		pasid_test_link
#define smmu_attachment_unlink		pasid_test_unlink
#define smmu_master_inv_atc		pasid_test_inv_atc
#define smmu_master_has_stage2		pasid_test_has_stage2
#define smmu_pasids_init		pasid_test_init
#define smmu_pasids_claim		pasid_test_claim
#define smmu_pasids_unclaim		pasid_test_unclaim
#define smmu_pasid_enable		pasid_test_enable
#define smmu_pasid_disable		pasid_test_disable
#define smmu_pasid_prepare		pasid_test_prepare
#define smmu_pasid_commit		pasid_test_commit
#define smmu_pasid_abort		pasid_test_abort
#define smmu_pasid_remove		pasid_test_remove
#define smmu_process_attach		pasid_test_process_attach
#define smmu_process_exit		pasid_test_process_exit
#define smmu_process_detach		pasid_test_process_detach
#define smmu_domain_new_asid		pasid_test_new_asid
#include "../arm-smmu-v3-pasid.c"

#define SSID_BITS	11
#define CALLS		16

struct pasid_test {
	struct kunit *test;
	struct device dev;
	struct dev_iommu iommu;
	struct arm_smmu_device smmu, other_smmu;
	struct arm_smmu_master master;
	struct arm_smmu_domain a, b, s2, of_other;
	struct smmu_entry cds[1 << SSID_BITS];
	char calls[CALLS];
	unsigned int nr_calls;
	int prepare_rc;
	bool stage2;
};

static void called(struct arm_smmu_master *master, char what)
{
	struct pasid_test *t = container_of(master, struct pasid_test, master);

	if (t->nr_calls < CALLS - 1)
		t->calls[t->nr_calls++] = what;
}

static void expect_calls(struct pasid_test *t, const char *calls)
{
	KUNIT_EXPECT_STREQ(t->test, t->calls, calls);
	memset(t->calls, 0, sizeof(t->calls));
	t->nr_calls = 0;
}

static int pasid_test_cds_prepare(struct arm_smmu_master *master, u32 ssid)
{
	struct pasid_test *t = container_of(master, struct pasid_test, master);

	return ssid >> SSID_BITS ? -EINVAL : t->prepare_rc;
}

/* C: a CD; N: none */
static void pasid_test_cds_set(struct arm_smmu_master *master, u32 ssid, const struct smmu_entry *cd)
{
	struct pasid_test *t = container_of(master, struct pasid_test, master);

	called(master, cd ? 'C' : 'N');
	if (cd)
		t->cds[ssid] = *cd;
	else
		smmu_cd_none(&t->cds[ssid]);
}

static void pasid_test_install(struct arm_smmu_master *master)
{
	called(master, 'S');
}

static void pasid_test_link(struct smmu_attachment *att, struct arm_smmu_domain *domain)
{
	called(att->master, 'l');
	lockdep_assert_held(&arm_smmu_asid_lock);
	list_add(&att->link, &domain->devices);
}

static void pasid_test_unlink(struct smmu_attachment *att, struct arm_smmu_domain *domain)
{
	called(att->master, 'u');
	lockdep_assert_held(&arm_smmu_asid_lock);
	list_del_init(&att->link);
}

static void pasid_test_inv_atc(struct arm_smmu_master *master, u32 ssid)
{
	called(master, 'A');
}

static bool pasid_test_has_stage2(struct arm_smmu_master *master)
{
	return container_of(master, struct pasid_test, master)->stage2;
}

static void domain_init(struct arm_smmu_domain *domain, struct arm_smmu_device *smmu, enum arm_smmu_domain_stage stage,
			u16 asid)
{
	domain->smmu = smmu;
	domain->stage = stage;
	INIT_LIST_HEAD(&domain->devices);
	if (stage == ARM_SMMU_DOMAIN_S1) {
		domain->s1_cfg.cd.asid = asid;
		domain->s1_cfg.cd.ttbr = asid * SZ_1M;
	}
}

static int pasid_test_setup(struct kunit *test)
{
	struct pasid_test *t = kvzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	test->priv = t;
	t->test = test;
	t->dev.iommu = &t->iommu;
	t->iommu.priv = &t->master;
	t->master.smmu = &t->smmu;
	t->master.ssid_bits = SSID_BITS;
	domain_init(&t->a, &t->smmu, ARM_SMMU_DOMAIN_S1, 1);
	domain_init(&t->b, &t->smmu, ARM_SMMU_DOMAIN_S1, 2);
	domain_init(&t->of_other, &t->other_smmu, ARM_SMMU_DOMAIN_S1, 3);
	domain_init(&t->s2, &t->smmu, ARM_SMMU_DOMAIN_S2, 0);
	smmu_pasids_init(&t->master);
	return 0;
}

static void pasid_test_exit(struct kunit *test)
{
	struct pasid_test *t = test->priv;

	KUNIT_EXPECT_TRUE(test, xa_empty(&t->master.pasids.substreams));
	KUNIT_EXPECT_EQ(test, t->a.num_substreams, 0U);
	KUNIT_EXPECT_EQ(test, t->b.num_substreams, 0U);
	KUNIT_EXPECT_TRUE(test, list_empty(&t->a.devices) && list_empty(&t->b.devices));
	kvfree(t);
}

static int prepare(struct pasid_test *t, struct arm_smmu_domain *new, struct arm_smmu_domain *old, u32 pasid)
{
	return smmu_pasid_prepare(&new->domain, old ? &old->domain : NULL, &t->dev, pasid);
}

static void commit(struct pasid_test *t, struct arm_smmu_domain *new, struct arm_smmu_domain *old, u32 pasid)
{
	smmu_pasid_commit(&new->domain, old ? &old->domain : NULL, &t->dev, pasid);
}

static void attach(struct pasid_test *t, struct arm_smmu_domain *new, struct arm_smmu_domain *old, u32 pasid)
{
	int rc = prepare(t, new, old, pasid);

	KUNIT_EXPECT_EQ(t->test, rc, 0);
	if (!rc)
		commit(t, new, old, pasid);
}

static void expect_cd_of(struct pasid_test *t, u32 pasid, struct arm_smmu_domain *domain)
{
	struct smmu_entry cd;

	if (domain)
		smmu_cd_translate(&cd, &domain->s1_cfg.cd, t->master.stall_enabled);
	else
		smmu_cd_none(&cd);
	KUNIT_EXPECT_EQ(t->test, memcmp(&cd, &t->cds[pasid], sizeof(cd)), 0);
}

/* Whoever unmaps finds the attachment from before the CD is there until after it and the ATC are rid of the domain */
static void order_of_calls(struct kunit *test)
{
	struct pasid_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, smmu_pasid_enable(&t->dev), 1 << SSID_BITS);

	attach(t, &t->a, NULL, 7);
	expect_calls(t, "lCS");
	expect_cd_of(t, 7, &t->a);
	KUNIT_EXPECT_FALSE(test, list_empty(&t->a.devices));

	attach(t, &t->b, &t->a, 7);
	expect_calls(t, "lCAu");
	expect_cd_of(t, 7, &t->b);
	KUNIT_EXPECT_TRUE(test, list_empty(&t->a.devices));
	KUNIT_EXPECT_FALSE(test, list_empty(&t->b.devices));

	attach(t, &t->a, &t->b, 7);
	attach(t, &t->a, &t->a, 7);
	expect_calls(t, "lCAulCAu");
	KUNIT_EXPECT_TRUE(test, list_is_singular(&t->a.devices));

	smmu_pasid_remove(&t->a.domain, &t->dev, 7);
	expect_calls(t, "NSAu");
	expect_cd_of(t, 7, NULL);
	smmu_pasid_disable(&t->dev);
}

static void refused(struct kunit *test)
{
	struct pasid_test *t = test->priv;

	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->a, NULL, 7), -EINVAL, "not enabled");
	KUNIT_ASSERT_EQ(test, smmu_pasid_enable(&t->dev), 1 << SSID_BITS);
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->a, NULL, 0), -EINVAL, "SSID 0");
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->a, NULL, 1 << SSID_BITS), -EINVAL, "SSID past the table");
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->s2, NULL, 7), -EINVAL, "stage 2");
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->of_other, NULL, 7), -EINVAL, "another SMMU");
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->a, &t->b, 7), -EBUSY, "moved, but not attached");
	t->stage2 = true;
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->a, NULL, 7), -EBUSY, "beside a stage 2");
	t->stage2 = false;
	t->prepare_rc = -ENOMEM;
	KUNIT_EXPECT_EQ(test, prepare(t, &t->a, NULL, 7), -ENOMEM);
	t->prepare_rc = 0;
	expect_calls(t, "");

	/* A refused move leaves it where it is */
	attach(t, &t->a, NULL, 7);
	expect_calls(t, "lCS");
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->b, NULL, 7), -EBUSY, "attached already");
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->a, &t->b, 7), -EBUSY, "attached to another");
	KUNIT_EXPECT_EQ_MSG(test, prepare(t, &t->of_other, &t->a, 7), -EINVAL, "another SMMU");
	KUNIT_EXPECT_EQ(test, prepare(t, &t->b, &t->a, 7), 0);
	smmu_pasid_abort(&t->b.domain, &t->dev, 7);
	KUNIT_EXPECT_EQ(test, prepare(t, &t->b, NULL, 8), 0);
	smmu_pasid_abort(&t->b.domain, &t->dev, 8);
	expect_calls(t, "");
	expect_cd_of(t, 7, &t->a);
	smmu_pasid_remove(&t->a.domain, &t->dev, 7);
}

static void too_many(struct kunit *test)
{
	struct pasid_test *t = test->priv;
	u32 pasid;

	KUNIT_ASSERT_EQ(test, smmu_pasid_enable(&t->dev), 1 << SSID_BITS);
	for (pasid = 1; pasid <= 1024; pasid++)
		attach(t, &t->a, NULL, pasid);
	KUNIT_EXPECT_EQ(test, prepare(t, &t->a, NULL, 1025), -ENOSPC);
	attach(t, &t->b, NULL, 1025);
	KUNIT_EXPECT_EQ(test, prepare(t, &t->a, &t->b, 1025), -ENOSPC);
	smmu_pasid_remove(&t->a.domain, &t->dev, 1);
	attach(t, &t->a, &t->b, 1025);
	for (pasid = 2; pasid <= 1025; pasid++)
		smmu_pasid_remove(&t->a.domain, &t->dev, pasid);
}

static void domains_or_processes(struct kunit *test)
{
	struct pasid_test *t = test->priv;

	KUNIT_EXPECT_TRUE(test, smmu_pasids_claim(&t->master, SMMU_PASIDS_OF_PROCESSES));
	KUNIT_EXPECT_FALSE(test, smmu_pasids_claim(&t->master, SMMU_PASIDS_OF_PROCESSES));
	KUNIT_EXPECT_EQ(test, smmu_pasid_enable(&t->dev), -EBUSY);
	KUNIT_EXPECT_EQ(test, prepare(t, &t->a, NULL, 7), -EINVAL);
	smmu_pasids_unclaim(&t->master);

	KUNIT_EXPECT_EQ(test, smmu_pasid_enable(&t->dev), 1 << SSID_BITS);
	KUNIT_EXPECT_FALSE(test, smmu_pasids_claim(&t->master, SMMU_PASIDS_OF_PROCESSES));
	smmu_pasid_disable(&t->dev);
	KUNIT_EXPECT_TRUE(test, smmu_pasids_claim(&t->master, SMMU_PASIDS_OF_PROCESSES));
	smmu_pasids_unclaim(&t->master);

	/* A device without PASIDs is no error, and nobody's */
	t->master.ssid_bits = 0;
	KUNIT_EXPECT_EQ(test, smmu_pasid_enable(&t->dev), 0);
	KUNIT_EXPECT_TRUE(test, smmu_pasids_claim(&t->master, SMMU_PASIDS_OF_PROCESSES));
}

/* A process that exits is not walked any more, but has a CD until it is detached */
static void processes(struct kunit *test)
{
	struct arm_smmu_ctx_desc desc = { .asid = 5, .ttbr = SZ_2M };
	struct pasid_test *t = test->priv;
	struct smmu_entry cd;

	t->master.stall_enabled = true;
	t->prepare_rc = -ENOMEM;
	KUNIT_EXPECT_EQ(test, smmu_process_attach(&t->master, 9, &desc), -ENOMEM);
	expect_calls(t, "");
	t->prepare_rc = 0;
	KUNIT_EXPECT_EQ(test, smmu_process_attach(&t->master, 9, &desc), 0);
	smmu_cd_translate(&cd, &desc, true);
	KUNIT_EXPECT_EQ(test, memcmp(&cd, &t->cds[9], sizeof(cd)), 0);

	smmu_process_exit(&t->master, 9, &desc);
	smmu_cd_quiet(&cd);
	KUNIT_EXPECT_EQ(test, memcmp(&cd, &t->cds[9], sizeof(cd)), 0);

	smmu_process_detach(&t->master, 9);
	expect_cd_of(t, 9, NULL);
	expect_calls(t, "CCN");
}

/* Shared virtual addressing needs the ASID of a domain: all that is attached gets the new one, and nothing else */
static void asid_changes(struct kunit *test)
{
	struct pasid_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, smmu_pasid_enable(&t->dev), 1 << SSID_BITS);
	attach(t, &t->a, NULL, 3);
	attach(t, &t->a, NULL, 4);
	attach(t, &t->b, NULL, 5);
	expect_calls(t, "lCSlCSlCS");

	mutex_lock(&arm_smmu_asid_lock);
	t->a.s1_cfg.cd.asid = 99;
	smmu_domain_new_asid(&t->a);
	mutex_unlock(&arm_smmu_asid_lock);
	expect_calls(t, "CC");
	expect_cd_of(t, 3, &t->a);
	expect_cd_of(t, 4, &t->a);
	expect_cd_of(t, 5, &t->b);

	smmu_pasid_remove(&t->a.domain, &t->dev, 3);
	smmu_pasid_remove(&t->a.domain, &t->dev, 4);
	smmu_pasid_remove(&t->b.domain, &t->dev, 5);
}

static struct kunit_case pasid_cases[] = {
	KUNIT_CASE(order_of_calls),
	KUNIT_CASE(refused),
	KUNIT_CASE(too_many),
	KUNIT_CASE(domains_or_processes),
	KUNIT_CASE(processes),
	KUNIT_CASE(asid_changes),
	{}
};

static struct kunit_suite pasid_suite = {
	.name = "smmu_pasid",
	.init = pasid_test_setup,
	.exit = pasid_test_exit,
	.test_cases = pasid_cases,
};

kunit_test_suite(pasid_suite);
