// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "smmu": the driver of SMMUv3, held against a software SMMU that walks its tables all the time
 *
 * Each slice of the random steps is done on a unit of its own, by which all kinds of them have their turn.
 */
#include <kunit/test.h>
#include <uapi/linux/iommufd.h>

#include "../../../kunit/walk_test.h"
#include "smmu_unit.h"

/* Domains from this number on have stage 2 tables, where there is a choice */
#define STAGE_2		4

static const struct smmu_model both_stages = {
	.name = "two-level CDs", .stages = IDR0_S1P | IDR0_S2P, .ssid_bits = 16, .two_levels = true, .ats = true,
	.ranges = true,
};

static const struct smmu_model linear = {
	.name = "linear CDs", .stages = IDR0_S1P | IDR0_S2P, .ssid_bits = 10, .ats = true, .identity = true,
};

static const struct smmu_model no_pasids = {
	.name = "one CD", .stages = IDR0_S1P | IDR0_S2P, .ranges = true,
};

static const struct smmu_model stage_2 = {
	.name = "stage 2", .stages = IDR0_S2P, .ats = true, .ranges = true,
};

struct smmu_world {
	struct walk_world world;
	struct walker walker;
	struct smmu_unit unit;
	struct soft_pci pci;
	struct arm_smmu_device *other;
	unsigned int asids;
};

static struct iommu_domain *alloc_domain(struct walk_world *world, unsigned int index, struct walk_domain *walk)
{
	struct smmu_world *smmu = container_of(world, struct smmu_world, world);
	u32 stages = smmu->unit.model->stages, flags = 0;

	if (stages == IDR0_S2P || index >= STAGE_2) {
		walk->no_pasids = true;
		flags = stages & IDR0_S1P ? IOMMU_HWPT_ALLOC_NEST_PARENT : 0;
	} else {
		walk->kind = 1;
		flags = world->pasids ? IOMMU_HWPT_ALLOC_PASID : 0;
	}
	return iommu_domain_alloc_for_device(&world->devices[0]->dev, flags);
}

/* As if it were behind another SMMU than the domains were made for */
static void refuse(struct walk_world *world, struct pci_dev *pdev, bool refuse)
{
	struct smmu_world *smmu = container_of(world, struct smmu_world, world);
	struct arm_smmu_master *master = dev_iommu_priv_get(&pdev->dev);
	struct arm_smmu_device *unit = platform_get_drvdata(smmu->unit.pdev);

	memcpy(smmu->other, unit, sizeof(*unit));
	master->smmu = refuse ? smmu->other : unit;
}

static const struct walk_world_ops smmu_world_ops = {
	.alloc_domain	= alloc_domain,
	.refuse		= refuse,
	.walk_leaves	= smmu_walk_leaves,
};

static void found(struct soft_pci *pci, struct pci_dev *pdev)
{
	struct smmu_world *smmu = container_of(pci, struct smmu_world, pci);

	smmu_unit_found(&smmu->unit, pdev);
}

static void start_world(struct kunit *test, const struct smmu_model *model, u64 seed)
{
	static const u8 devfns[WALK_DEVICES] = {
		PCI_DEVFN(1, 0), PCI_DEVFN(2, 0), PCI_DEVFN(2, 1), SOFT_PCI_ALIASED,
	};
	struct smmu_world *smmu = test->priv;
	int rc;

	smmu->pci.found = found;
	KUNIT_ASSERT_EQ(test, smmu_unit_init(&smmu->unit, model, &smmu->pci), 0);
	KUNIT_ASSERT_EQ(test, walker_start(&smmu->walker, &smmu->unit.unit, seed), 0);
	KUNIT_ASSERT_EQ(test, smmu_unit_start(&smmu->unit), 0);
	if (model->identity)
		iommu_set_default_passthrough(false);
	rc = soft_pci_start(&smmu->pci, SMMU_SEGMENT, devfns, WALK_DEVICES);
	if (model->identity)
		iommu_set_default_translated(false);
	KUNIT_ASSERT_EQ(test, rc, 0);

	smmu->world.ops = &smmu_world_ops;
	smmu->world.walker = &smmu->walker;
	smmu->world.pci = &smmu->pci;
	smmu->world.identity = model->identity;
	smmu->world.pasids = model->ssid_bits ? BIT(model->ssid_bits) : 0;
	KUNIT_ASSERT_EQ(test, walk_world_start(&smmu->world), 0);
}

static void expect_no_fault(struct kunit *test)
{
	struct smmu_world *smmu = test->priv;

	walk_expect_no_fault(test, &smmu->walker);
	KUNIT_EXPECT_STREQ(test, smmu->unit.misuse ?: "", "");
	KUNIT_EXPECT_EQ(test, smmu->pci.misused, 0);
}

static const struct smmu_model *model_of_slice(unsigned long slice)
{
	static const struct smmu_model *models[] = {
		&both_stages, &linear, &both_stages, &no_pasids, &both_stages, &stage_2, &both_stages, &linear,
		&both_stages, &no_pasids,
	};

	return models[slice % ARRAY_SIZE(models)];
}

static void random_steps_are_seen_as_they_should(struct kunit *test)
{
	unsigned long slice = walk_slice(test);
	struct smmu_world *smmu = test->priv;

	start_world(test, model_of_slice(slice), walk_seed + slice);
	walk_slice_steps(test, &smmu->world);
	expect_no_fault(test);
}

static const void *next_slice(const void *prev, char *desc)
{
	return walk_next_slice(prev, desc, model_of_slice((unsigned long)prev)->name);
}

/* A table that an unmap frees is still full of entries: who remembers the way to it sees them */
static void freed_tables_are_forgotten(struct kunit *test)
{
	struct smmu_world *smmu = test->priv;
	unsigned int d, i;

	start_world(test, &both_stages, walk_seed);
	for (d = 0; d < WALK_DOMAINS; d++) {
		KUNIT_ASSERT_EQ(test, walk_world_move(&smmu->world, &smmu->walker.slots[0], d), 0);
		for (i = 0; i < 60; i++) {
			walk_world_toggle(&smmu->world, d, WALK_TABLE, false);
			walker_wait(&smmu->walker, 50);
		}
	}
	expect_no_fault(test);
}

/* Nothing of what is attached to a device that is pulled is left, and its sibling goes on */
static void removed_device_is_blocked(struct kunit *test)
{
	unsigned int device = walk_device(test);
	struct smmu_world *smmu = test->priv;

	start_world(test, &both_stages, walk_seed + device);
	walk_unplug_between_steps(&smmu->world, device);
	expect_no_fault(test);
}

static unsigned int nr_asids(void)
{
	unsigned long asid;
	unsigned int nr = 0;
	void *entry;

	xa_for_each(&arm_smmu_asid_xa, asid, entry)
		nr++;
	return nr;
}

static int smmu_init(struct kunit *test)
{
	struct smmu_world *smmu = kunit_kzalloc(test, sizeof(*smmu), GFP_KERNEL);

	if (!smmu)
		return -ENOMEM;
	smmu->other = kunit_kzalloc(test, sizeof(*smmu->other), GFP_KERNEL);
	if (!smmu->other)
		return -ENOMEM;
	if (num_online_cpus() < 2)
		kunit_skip(test, "the software SMMU needs a CPU of its own, and there is one");
	smmu->asids = nr_asids();
	test->priv = smmu;
	return 0;
}

static void smmu_exit(struct kunit *test)
{
	struct smmu_world *smmu = test->priv;

	if (!smmu)
		return;
	/* After a failed assertion this is another thread: it has to keep off the CPU of the walking one as well */
	set_cpus_allowed_ptr(current, cpumask_of(cpumask_first(cpu_online_mask)));
	if (smmu->world.walker)
		walk_world_stop(&smmu->world);
	soft_pci_stop(&smmu->pci);
	smmu_unit_stop(&smmu->unit);
	if (smmu->walker.thread)
		walker_stop(&smmu->walker);
	smmu_unit_free(&smmu->unit);
	KUNIT_EXPECT_EQ(test, nr_asids(), smmu->asids);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

static struct kunit_case smmu_cases[] = {
	KUNIT_CASE(freed_tables_are_forgotten),
	KUNIT_CASE_PARAM(removed_device_is_blocked, walk_next_device),
	KUNIT_CASE_PARAM(random_steps_are_seen_as_they_should, next_slice),
	KUNIT_CASE(walk_steps_were_as_many_as_asked_for),
	{}
};

static struct kunit_suite smmu_suite = {
	.name = "smmu",
	.init = smmu_init,
	.exit = smmu_exit,
	.test_cases = smmu_cases,
};

kunit_test_suite(smmu_suite);
