// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "vtd": the driver of VT-d, held against a software VT-d that walks its tables all the time
 *
 * Each slice of the random steps is done on a unit of its own.
 */
#include <kunit/test.h>

#include "../../kunit/walk_test.h"
#include "../attach.h"
#include "vtd_stores.h"
#include "vtd_unit.h"

/* Domains from this number on have first-level tables, in scalable mode */
#define FIRST_LEVEL	4

#define LEGACY		2		/* of ten; legacy mode has no PASIDs */

struct vtd_world {
	struct walk_world world;
	struct walker walker;
	struct vtd_unit unit;
	struct soft_pci pci;
	int sm_before;
};

/*
 * The driver decides between first and second level for the whole machine, of which this unit is not the only one, and
 * nothing is mapped yet. A first-level entry has more than 128 bits that count.
 */
static struct iommu_domain *alloc_domain(struct walk_world *world, unsigned int index,
					 struct walk_domain *walk)
{
	struct iommu_domain *domain = iommu_domain_alloc_for_device(&world->devices[0]->dev, 0);

	walk->kind = 1;
	if (world->pasids && index >= FIRST_LEVEL && !IS_ERR(domain)) {
		walk->kind = 0;
		to_dmar_domain(domain)->flags |= DOMAIN_FLAG_USE_FIRST_LEVEL;
		to_dmar_domain(domain)->set_pte_snp = false;
	}
	return domain;
}

/* As if a crashed kernel had left a translation behind for it */
static void refuse(struct walk_world *world, struct pci_dev *pdev, bool refuse)
{
	struct vtd_world *vtd = container_of(world, struct vtd_world, world);

	assign_bit(pci_dev_id(pdev), vtd->unit.iommu.copied_tables, refuse);
}

static const struct walk_world_ops vtd_world_ops = {
	.alloc_domain	= alloc_domain,
	.refuse		= refuse,
	.walk_leaves	= vtd_walk_leaves,
};

static void start_world(struct kunit *test, bool scalable, u64 seed)
{
	static const u8 devfns[WALK_DEVICES] = {
		PCI_DEVFN(1, 0), PCI_DEVFN(2, 0), PCI_DEVFN(2, 1), SOFT_PCI_ALIASED,
	};
	struct vtd_world *vtd = test->priv;

	KUNIT_ASSERT_EQ(test, vtd_unit_init(&vtd->unit, &vtd->pci, scalable), 0);
	KUNIT_ASSERT_EQ(test, walker_start(&vtd->walker, &vtd->unit.unit, seed), 0);
	KUNIT_ASSERT_EQ(test, vtd_unit_start(&vtd->unit), 0);
	KUNIT_ASSERT_EQ(test, soft_pci_start(&vtd->pci, VTD_SEGMENT, devfns, WALK_DEVICES), 0);

	vtd->world.ops = &vtd_world_ops;
	vtd->world.walker = &vtd->walker;
	vtd->world.pci = &vtd->pci;
	vtd->world.pasids = scalable ? BIT(20) : 0;
	KUNIT_ASSERT_EQ(test, walk_world_start(&vtd->world), 0);
}

static void expect_no_fault(struct kunit *test)
{
	struct vtd_world *vtd = test->priv;

	walk_expect_no_fault(test, &vtd->walker);
	KUNIT_EXPECT_STREQ(test, vtd->unit.misuse ?: "", "");
	KUNIT_EXPECT_EQ(test, vtd->pci.misused, 0);
}

static void random_steps_are_seen_as_they_should(struct kunit *test)
{
	unsigned long slice = walk_slice(test);
	struct vtd_world *vtd = test->priv;

	start_world(test, slice % 10 >= LEGACY, walk_seed + slice);
	walk_slice_steps(test, &vtd->world);
	expect_no_fault(test);
}

static const void *next_slice(const void *prev, char *desc)
{
	unsigned long slice = (unsigned long)prev;

	return walk_next_slice(prev, desc, slice % 10 < LEGACY ? "legacy mode" : "scalable mode");
}

/* An entry that is present is the one of before, or the one of after, after each single store */
static void expect_no_mixture(struct kunit *test, const struct vtd_stores *stores, const u64 *before, bool seamless)
{
	size_t size = stores->words * sizeof(u64);
	unsigned int i;

	KUNIT_ASSERT_LE(test, stores->nr, (unsigned int)VTD_STATES);
	for (i = 0; i < stores->nr; i++) {
		const u64 *state = stores->states[i];

		if (state[0] & 1)
			KUNIT_EXPECT_TRUE_MSG(test, !memcmp(state, before, size) || !memcmp(state, stores->entry, size),
					      "store %u of %u: %llx %llx %llx %llx", i, stores->nr, state[0], state[1],
					      state[2], state[3]);
		else
			KUNIT_EXPECT_FALSE_MSG(test, seamless, "absent after store %u of %u", i, stores->nr);
	}
	/* More than one instruction, or this looks at nothing */
	if (!seamless)
		KUNIT_EXPECT_GT(test, stores->nr, 1U);
}

static void move_watched(struct kunit *test, unsigned int slot_nr, int to, u64 *entry, unsigned int words)
{
	struct vtd_world *vtd = test->priv;
	struct walk_slot *slot = &vtd->walker.slots[slot_nr];
	struct walk_domain *domains = vtd->walker.domains;
	bool seamless = slot->domain >= 0 && to >= 0 && domains[slot->domain].kind && domains[to].kind;
	struct vtd_stores *stores = kunit_kzalloc(test, sizeof(*stores), GFP_KERNEL);
	u64 before[8];

	KUNIT_ASSERT_NOT_NULL(test, stores);
	memcpy(before, entry, words * sizeof(u64));
	KUNIT_ASSERT_EQ(test, vtd_stores_begin(stores, entry, words), 0);
	KUNIT_EXPECT_EQ(test, walk_world_move(&vtd->world, slot, to), 0);
	vtd_stores_end(stores);
	expect_no_mixture(test, stores, before, seamless);
}

/* All ways between nothing, two second-level and two first-level domains */
static void each_store_leaves_an_entry_that_is_one(struct kunit *test)
{
	static const int moves[] = { 0, 1, 4, 5, 0, -1, 4, -1 };
	struct vtd_world *vtd = test->priv;
	struct pasid_entry *entry;
	unsigned int i;

	start_world(test, true, walk_seed);
	/* Slot 1 is the first PASID of the device that is alone */
	entry = intel_pasid_get_entry(&vtd->world.devices[0]->dev, vtd->walker.slots[1].pasid);
	KUNIT_ASSERT_NOT_NULL(test, entry);
	for (i = 0; i < ARRAY_SIZE(moves); i++)
		move_watched(test, 1, moves[i], entry->val, ARRAY_SIZE(entry->val));
	expect_no_fault(test);
}

static void each_store_leaves_a_context_entry_that_is_one(struct kunit *test)
{
	struct vtd_world *vtd = test->priv;
	struct context_entry *context;
	unsigned int i;

	start_world(test, false, walk_seed);
	context = iommu_context_addr(&vtd->unit.iommu, 0, vtd->pci.functions[0].devfn, 0);
	KUNIT_ASSERT_NOT_NULL(test, context);
	KUNIT_ASSERT_EQ(test, walk_world_move(&vtd->world, &vtd->walker.slots[0], 0), 0);
	for (i = 1; i < WALK_DOMAINS; i++)
		move_watched(test, 0, i, &context->lo, 2);
	expect_no_fault(test);
}

/* A table that an unmap frees is still full of entries: who remembers the way to it sees them */
static void freed_tables_are_forgotten(struct kunit *test)
{
	struct vtd_world *vtd = test->priv;
	unsigned int d, i;

	start_world(test, true, walk_seed);
	for (d = 0; d < WALK_DOMAINS; d++) {
		KUNIT_ASSERT_EQ(test, walk_world_move(&vtd->world, &vtd->walker.slots[1], d), 0);
		for (i = 0; i < 60; i++) {
			walk_world_toggle(&vtd->world, d, WALK_TABLE, false);
			walker_wait(&vtd->walker, 50);
		}
	}
	expect_no_fault(test);
}

/* Who has a PASID keeps it: a domain, or the address space of a process */
static void shared_virtual_addressing_stands_beside(struct kunit *test)
{
	static const u32 pasid = 77;
	struct vtd_world *vtd = test->priv;
	struct intel_iommu *iommu = &vtd->unit.iommu;
	pgd_t *pgd = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	struct iommu_attach_handle handle;
	struct pasid_entry *entry, before;
	struct device *dev;

	KUNIT_ASSERT_NOT_NULL(test, pgd);
	start_world(test, true, walk_seed);
	dev = &vtd->world.devices[0]->dev;
	handle.domain = vtd->walker.domains[0].domain;

	KUNIT_ASSERT_EQ(test, intel_pasid_setup_first_level(iommu, dev, pgd, pasid, FLPT_DEFAULT_DID, 0), 0);
	entry = intel_pasid_get_entry(dev, pasid);
	before = *entry;
	KUNIT_EXPECT_EQ(test, iommu_group_attach_handle(vtd->world.groups[0], pasid, &handle), -EBUSY);
	KUNIT_EXPECT_FALSE(test, memcmp(entry, &before, sizeof(before)));
	intel_pasid_tear_down_entry(iommu, dev, pasid, false);

	KUNIT_ASSERT_EQ(test, iommu_group_attach_handle(vtd->world.groups[0], pasid, &handle), 0);
	before = *entry;
	KUNIT_EXPECT_EQ(test, intel_pasid_setup_first_level(iommu, dev, pgd, pasid, FLPT_DEFAULT_DID, 0), -EBUSY);
	KUNIT_EXPECT_FALSE(test, memcmp(entry, &before, sizeof(before)));
	iommu_group_detach_handle(vtd->world.groups[0], pasid, &handle);

	KUNIT_EXPECT_EQ(test, intel_pasid_setup_first_level(iommu, dev, pgd, pasid, FLPT_DEFAULT_DID, 0), 0);
	intel_pasid_tear_down_entry(iommu, dev, pasid, false);
	expect_no_fault(test);
}

/* Whatever is attached to a device that is pulled, nothing of it is left, and its sibling goes on */
static void removed_device_is_blocked(struct kunit *test)
{
	unsigned int device = walk_device(test);
	struct vtd_world *vtd = test->priv;

	start_world(test, true, walk_seed + device);
	walk_unplug_between_steps(&vtd->world, device);
	expect_no_fault(test);
}

/* An unmap flushes for each attachment, so there is an end to how many a user can make it do */
static void domain_has_a_limit_of_attachments(struct kunit *test)
{
	struct vtd_world *vtd = test->priv;
	struct iommu_attach_handle *handle = kunit_kzalloc(test, sizeof(*handle), GFP_KERNEL);
	ioasid_t pasid, first = 0x2000;
	int rc = 0;

	KUNIT_ASSERT_NOT_NULL(test, handle);
	start_world(test, true, walk_seed);
	handle->domain = iommu_domain_alloc_for_device(&vtd->world.devices[0]->dev, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(handle->domain));
	for (pasid = first; !rc && pasid < first + 4096; pasid++)
		rc = iommu_group_attach_handle(vtd->world.groups[0], pasid, handle);
	KUNIT_EXPECT_EQ(test, rc, -ENOSPC);
	KUNIT_EXPECT_EQ(test, pasid - 1 - first, 1024U);
	for (pasid -= rc ? 1 : 0; pasid > first; pasid--)
		iommu_group_detach_handle(vtd->world.groups[0], pasid - 1, handle);
	iommu_domain_free(handle->domain);
	expect_no_fault(test);
}

/* Records name who sent the request, and why it was refused: reasons 20h to 2fh are of interrupts */
static void faults_are_counted_by_source(struct kunit *test)
{
	static const u8 reasons_of_dma[] = { 0x01, 0x05, 0x1f, 0x30, 0x71 };
	struct vtd_world *vtd = test->priv;
	struct intel_iommu *iommu = &vtd->unit.iommu;
	struct device_domain_info *info;
	u64 count, of_sibling;
	unsigned int i;
	u32 source;

	start_world(test, true, walk_seed);
	info = dev_iommu_priv_get(&vtd->world.devices[0]->dev);
	source = BIT(31) | PCI_DEVID(info->bus, info->devfn);
	for (i = 0; i < ARRAY_SIZE(reasons_of_dma); i++)
		intel_dma_faults_count(iommu, source, DMA_FRCD_F | reasons_of_dma[i]);
	for (i = 0x20; i < 0x30; i++)
		intel_dma_faults_count(iommu, source, DMA_FRCD_F | i);
	intel_dma_faults_count(iommu, 0xffff, DMA_FRCD_F | 0x05);

	KUNIT_ASSERT_EQ(test, intel_dma_faults(&vtd->world.devices[0]->dev, &count), 0);
	KUNIT_EXPECT_EQ(test, count, (u64)ARRAY_SIZE(reasons_of_dma));
	KUNIT_ASSERT_EQ(test, intel_dma_faults(&vtd->world.devices[1]->dev, &of_sibling), 0);
	KUNIT_EXPECT_EQ(test, of_sibling, 0ULL);

	/* a record of a device that has left */
	intel_dma_faults_remove(info);
	intel_dma_faults_count(iommu, source, DMA_FRCD_F | 0x05);
	KUNIT_EXPECT_EQ(test, intel_dma_faults(&vtd->world.devices[0]->dev, &count), -EOPNOTSUPP);
	intel_dma_faults_add(info);
	KUNIT_ASSERT_EQ(test, intel_dma_faults(&vtd->world.devices[0]->dev, &count), 0);
	KUNIT_EXPECT_EQ(test, count, 0ULL);
	expect_no_fault(test);
}

/* Scalable mode is a decision for the whole machine, but it matters only to a unit that can do it */
static int vtd_init(struct kunit *test)
{
	struct vtd_world *vtd = kunit_kzalloc(test, sizeof(*vtd), GFP_KERNEL);

	if (!vtd)
		return -ENOMEM;
	if (num_online_cpus() < 2)
		kunit_skip(test, "the software VT-d needs a CPU of its own, and there is one");
	if (!boot_cpu_has(X86_FEATURE_CX16))
		kunit_skip(test, "this CPU cannot read 16 bytes at once");
	vtd->sm_before = intel_iommu_sm;
	intel_iommu_sm = 1;
	test->priv = vtd;
	return 0;
}

static void vtd_exit(struct kunit *test)
{
	struct vtd_world *vtd = test->priv;

	if (!vtd)
		return;
	/* After a failed assertion this is another thread: it has to keep off the CPU of the walking one as well */
	set_cpus_allowed_ptr(current, cpumask_of(cpumask_first(cpu_online_mask)));
	if (vtd->world.walker)
		walk_world_stop(&vtd->world);
	soft_pci_stop(&vtd->pci);
	if (vtd->unit.iommu.domain_ids)
		KUNIT_EXPECT_EQ(test, vtd_unit_domain_ids(&vtd->unit), 0);
	vtd_unit_stop(&vtd->unit);
	if (vtd->walker.thread)
		walker_stop(&vtd->walker);
	vtd_unit_free(&vtd->unit);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	intel_iommu_sm = vtd->sm_before;
}

static struct kunit_case vtd_cases[] = {
	KUNIT_CASE(each_store_leaves_an_entry_that_is_one),
	KUNIT_CASE(each_store_leaves_a_context_entry_that_is_one),
	KUNIT_CASE(freed_tables_are_forgotten),
	KUNIT_CASE_PARAM(removed_device_is_blocked, walk_next_device),
	KUNIT_CASE(domain_has_a_limit_of_attachments),
	KUNIT_CASE(shared_virtual_addressing_stands_beside),
	KUNIT_CASE(faults_are_counted_by_source),
	KUNIT_CASE_PARAM(random_steps_are_seen_as_they_should, next_slice),
	KUNIT_CASE(walk_steps_were_as_many_as_asked_for),
	{}
};

static struct kunit_suite vtd_suite = {
	.name = "vtd",
	.init = vtd_init,
	.exit = vtd_exit,
	.test_cases = vtd_cases,
};

kunit_test_suite(vtd_suite);
