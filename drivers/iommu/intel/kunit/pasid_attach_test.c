// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "pasid_attach": the bits of PASID table entries
 *
 * Numbers are those of the VT-d specification, section 9.6, and stand here a second time.
 */
#include <kunit/test.h>

#include "../attach.h"
#include "../pasid.h"

#define ECAP_SRS	BIT_ULL(31)
#define ECAP_SMPWC	BIT_ULL(48)

#define PRESENT		BIT_ULL(0)
#define AW_48		BIT_ULL(3)
#define AW_57		(BIT_ULL(3) | BIT_ULL(2))
#define FIRST_LEVEL	BIT_ULL(6)
#define SECOND_LEVEL	BIT_ULL(7)
#define PASS_THROUGH	BIT_ULL(8)
#define PWSNP		BIT_ULL(23)
#define PGSNP		BIT_ULL(24)
#define SRE		BIT_ULL(0)
#define FIVE_LEVELS	BIT_ULL(2)
#define NXE		BIT_ULL(5)

#define DID		0x1234

struct entry_test {
	struct intel_iommu iommu;
	struct dmar_domain domain;
	struct pasid_entry entry;
	u64 table;
};

static int entry_test_init(struct kunit *test)
{
	struct entry_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->domain.pgd = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->domain.pgd);
	t->domain.domain.type = IOMMU_DOMAIN_UNMANAGED;
	t->domain.agaw = 2;
	t->iommu.agaw = 2;
	t->iommu.ecap = ECAP_SMPWC | ECAP_SRS;
	t->table = virt_to_phys(t->domain.pgd);
	test->priv = t;
	return 0;
}

static void expect_entry(struct kunit *test, u64 lo, u64 hi, u64 third)
{
	struct entry_test *t = test->priv;
	int i;

	memset(&t->entry, 0xff, sizeof(t->entry));
	intel_pasid_compose(&t->entry, &t->domain, &t->iommu, DID);
	KUNIT_EXPECT_EQ(test, t->entry.val[0], lo);
	KUNIT_EXPECT_EQ(test, t->entry.val[1], hi);
	KUNIT_EXPECT_EQ(test, t->entry.val[2], third);
	for (i = 3; i < 8; i++)
		KUNIT_EXPECT_EQ(test, t->entry.val[i], 0ULL);
}

static void second_level(struct kunit *test)
{
	struct entry_test *t = test->priv;

	expect_entry(test, t->table | SECOND_LEVEL | AW_48 | PRESENT, DID | PWSNP, 0);

	/* Page table entries have the snoop bit there */
	t->domain.force_snooping = true;
	expect_entry(test, t->table | SECOND_LEVEL | AW_48 | PRESENT, DID | PWSNP, 0);

	/* A table may have fewer levels than the IOMMU can have */
	t->iommu.agaw = 3;
	expect_entry(test, t->table | SECOND_LEVEL | AW_48 | PRESENT, DID | PWSNP, 0);
	t->domain.agaw = 3;
	expect_entry(test, t->table | SECOND_LEVEL | AW_57 | PRESENT, DID | PWSNP, 0);
}

static void first_level(struct kunit *test)
{
	struct entry_test *t = test->priv;

	t->domain.flags = DOMAIN_FLAG_USE_FIRST_LEVEL;
	expect_entry(test, FIRST_LEVEL | AW_48 | PRESENT, DID | PWSNP, t->table | NXE);

	t->domain.force_snooping = true;
	expect_entry(test, FIRST_LEVEL | AW_48 | PRESENT, DID | PWSNP | PGSNP, t->table | NXE);

	t->domain.agaw = 3;
	t->iommu.agaw = 3;
	expect_entry(test, FIRST_LEVEL | AW_57 | PRESENT, DID | PWSNP | PGSNP, t->table | NXE | FIVE_LEVELS);
}

static void pass_through(struct kunit *test)
{
	struct entry_test *t = test->priv;

	t->domain.domain.type = IOMMU_DOMAIN_IDENTITY;
	expect_entry(test, PASS_THROUGH | AW_48 | PRESENT, FLPT_DEFAULT_DID | PWSNP, SRE);

	t->iommu.ecap = 0;
	expect_entry(test, PASS_THROUGH | AW_48 | PRESENT, FLPT_DEFAULT_DID, 0);
}

static struct pasid_entry composed(struct kunit *test, unsigned int type, int flags)
{
	struct entry_test *t = test->priv;
	struct pasid_entry entry;

	t->domain.domain.type = type;
	t->domain.flags = flags;
	intel_pasid_compose(&entry, &t->domain, &t->iommu, DID);
	return entry;
}

static void only_second_level_is_seamless(struct kunit *test)
{
	struct pasid_entry sl = composed(test, IOMMU_DOMAIN_UNMANAGED, 0);
	struct pasid_entry fl = composed(test, IOMMU_DOMAIN_UNMANAGED, DOMAIN_FLAG_USE_FIRST_LEVEL);
	struct pasid_entry pt = composed(test, IOMMU_DOMAIN_IDENTITY, 0);
	struct pasid_entry other = sl;

	/* Another table, depth and domain id are all in what is written at once */
	other.val[0] ^= SZ_4K | AW_48 | AW_57;
	other.val[1] ^= 1;
	KUNIT_EXPECT_EQ(test, intel_pasid_is_seamless(&sl, &other), intel_can_exchange());

	KUNIT_EXPECT_FALSE(test, intel_pasid_is_seamless(&sl, &fl));
	KUNIT_EXPECT_FALSE(test, intel_pasid_is_seamless(&fl, &sl));
	KUNIT_EXPECT_FALSE(test, intel_pasid_is_seamless(&fl, &fl));
	KUNIT_EXPECT_FALSE(test, intel_pasid_is_seamless(&sl, &pt));
	KUNIT_EXPECT_FALSE(test, intel_pasid_is_seamless(&pt, &sl));

	/* What Linux 6.1 allowed a PASID, it would keep */
	other.val[2] |= SRE;
	KUNIT_EXPECT_FALSE(test, intel_pasid_is_seamless(&other, &sl));
}

static struct kunit_case entry_cases[] = {
	KUNIT_CASE(second_level),
	KUNIT_CASE(first_level),
	KUNIT_CASE(pass_through),
	KUNIT_CASE(only_second_level_is_seamless),
	{}
};

static struct kunit_suite entry_suite = {
	.name = "pasid_attach",
	.init = entry_test_init,
	.test_cases = entry_cases,
};

kunit_test_suite(entry_suite);
