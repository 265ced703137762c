// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "smmu_table": which entries runs become, and what is flushed when a range goes
 *
 * The code stands in this file a second time, without an SMMU: what it would flush is written down. The tables are
 * looked at from the outside, by the format of the architecture. That no moment in between shows anything else is the
 * matter of smmu_test.c.
 */
#include <kunit/test.h>
#include <linux/sizes.h>

#include "../arm-smmu-v3.h"

static void tab_test_inv_context(void *cookie);
static void tab_test_inv_range(unsigned long iova, size_t size, size_t granule, bool leaf,
			       struct arm_smmu_domain *domain);

#define arm_smmu_tlb_inv_context	tab_test_inv_context
#define arm_smmu_tlb_inv_range_domain	tab_test_inv_range

/* What it defines itself */
#define smmu_table_open			tab_test_open
#define smmu_map_runs			tab_test_map_runs
#define smmu_unmap_range		tab_test_unmap_range
#define smmu_map_pages			tab_test_map_pages
#define smmu_unmap_pages		tab_test_unmap_pages
#define smmu_leaves			tab_test_leaves

static void tab_test_open(struct arm_smmu_domain *domain);
static int tab_test_map_runs(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs,
			     unsigned int num, int prot, gfp_t gfp, size_t *mapped);
static void tab_test_unmap_range(struct iommu_domain *domain, unsigned long iova, size_t size);
static int tab_test_map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys, size_t pgsize,
			      size_t pgcount, int prot, gfp_t gfp, size_t *mapped);
static size_t tab_test_unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize, size_t pgcount,
				   struct iommu_iotlb_gather *gather);
static unsigned long tab_test_leaves(struct iommu_domain *domain, size_t pgsize);

#include "../arm-smmu-v3-table.c"

#define PFN		0x40000000UL	/* aligned to anything */
#define PAGES_2M	(SZ_2M / PAGE_SIZE)
#define PAGES_1G	(SZ_1G / PAGE_SIZE)
#define IOVA		(5UL * SZ_1G)

/*
 * struct tab_test - A domain, and the flushes that it saw
 * @flushes: how many
 * @all: the last one was about everything
 * @iova, @size, @granule, @leaf: what the last one was about
 * @watched: page of a table, with a reference of the test
 * @watched_was_free: at a flush nobody else had a reference
 */
struct tab_test {
	struct device dev;
	struct arm_smmu_device smmu;
	struct arm_smmu_domain domain;
	unsigned int flushes;
	bool all;
	unsigned long iova;
	size_t size;
	size_t granule;
	bool leaf;
	struct page *watched;
	bool watched_was_free;
};

static struct tab_test *tab_test_of(struct arm_smmu_domain *domain)
{
	return container_of(domain, struct tab_test, domain);
}

static void note_flush(struct tab_test *t)
{
	t->flushes++;
	if (t->watched && page_ref_count(t->watched) == 1)
		t->watched_was_free = true;
}

static void tab_test_inv_context(void *cookie)
{
	struct tab_test *t = tab_test_of(cookie);

	note_flush(t);
	t->all = true;
}

static void tab_test_inv_range(unsigned long iova, size_t size, size_t granule, bool leaf,
			       struct arm_smmu_domain *domain)
{
	struct tab_test *t = tab_test_of(domain);

	note_flush(t);
	t->all = false;
	t->iova = iova;
	t->size = size;
	t->granule = granule;
	t->leaf = leaf;
}

static void flush_nothing(void *cookie)
{
}

static const struct iommu_flush_ops flush_ops = { .tlb_flush_all = flush_nothing };

static void open_table(struct kunit *test, enum io_pgtable_fmt fmt, unsigned int input_bits)
{
	struct tab_test *t = test->priv;
	struct io_pgtable_cfg cfg = {
		.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G, .ias = input_bits, .oas = 48, .coherent_walk = true,
		.tlb = &flush_ops, .iommu_dev = &t->dev,
	};

	t->domain.pgtbl_ops = alloc_io_pgtable_ops(fmt, &cfg, &t->domain);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->domain.pgtbl_ops);
	t->domain.domain.pgsize_bitmap = cfg.pgsize_bitmap;
	smmu_table_open(&t->domain);
}

static void open_stage_1(struct kunit *test)
{
	open_table(test, ARM_64_LPAE_S1, 48);
}

static int map(struct tab_test *t, unsigned long iova, const struct page_run *runs, unsigned int num, size_t *mapped)
{
	return smmu_map_runs(&t->domain.domain, iova, runs, num, IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE, GFP_KERNEL,
			     mapped);
}

static void expect_mapped(struct kunit *test, unsigned long iova, unsigned long pfn, unsigned long npages)
{
	struct page_run run = { .pfn = pfn, .npages = npages };
	size_t mapped;

	KUNIT_EXPECT_EQ(test, map(test->priv, iova, &run, 1, &mapped), 0);
	KUNIT_EXPECT_EQ(test, mapped, npages << PAGE_SHIFT);
}

/* What stands at an address in the lowest table that there is, or in that whose entries have size *@shift */
static u64 *entry_at(struct tab_test *t, unsigned long iova, unsigned int *shift)
{
	unsigned int level = t->domain.table.top;
	u64 *entry = t->domain.table.root + (iova >> level);

	while (level > *shift && (*entry & 3) == 3) {
		level -= 9;
		entry = (u64 *)phys_to_virt(*entry & GENMASK_ULL(47, 12)) + (iova >> level & 511);
	}
	*shift = level;
	return entry;
}

/* log2 of the size of the leaf at an address, or 0 */
static unsigned int leaf_at(struct tab_test *t, unsigned long iova)
{
	unsigned int shift = 12;

	return *entry_at(t, iova, &shift) & 1 ? shift : 0;
}

static phys_addr_t phys_at(struct tab_test *t, unsigned long iova)
{
	return t->domain.pgtbl_ops->iova_to_phys(t->domain.pgtbl_ops, iova);
}

static void leaf_is_as_large_as_place_and_length_allow(struct kunit *test)
{
	struct tab_test *t = test->priv;
	unsigned long iova = IOVA - SZ_2M - SZ_4K;

	open_stage_1(test);
	expect_mapped(test, iova, PFN - PAGES_2M - 1, 1 + PAGES_2M + PAGES_1G + PAGES_2M + 1);
	KUNIT_EXPECT_EQ(test, leaf_at(t, iova), 12U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA - SZ_4K), 21U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA), 30U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_1G), 21U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_1G + SZ_2M), 12U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_1G + SZ_2M + SZ_4K), 0U);
	KUNIT_EXPECT_EQ(test, phys_at(t, iova), PFN_PHYS(PFN) - SZ_2M - SZ_4K);
	KUNIT_EXPECT_EQ(test, phys_at(t, IOVA + SZ_1G - 1), PFN_PHYS(PFN) + SZ_1G - 1);
	KUNIT_EXPECT_EQ(test, phys_at(t, IOVA + SZ_1G + SZ_2M), PFN_PHYS(PFN) + SZ_1G + SZ_2M);
	KUNIT_EXPECT_EQ(test, t->flushes, 0U);
}

/* The caller knows why it ends a run: there are address spaces without large leaves */
static void runs_are_not_joined(struct kunit *test)
{
	struct page_run runs[] = { { PFN, 200 }, { PFN + 200, PAGES_2M - 200 }, { PFN + PAGES_1G + 7, 1 } };
	struct tab_test *t = test->priv;
	size_t mapped;

	open_stage_1(test);
	KUNIT_EXPECT_EQ(test, map(t, IOVA, runs, ARRAY_SIZE(runs), &mapped), 0);
	KUNIT_EXPECT_EQ(test, mapped, SZ_2M + SZ_4K);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_1M), 12U);
	KUNIT_EXPECT_EQ(test, phys_at(t, IOVA + SZ_1M), PFN_PHYS(PFN) + SZ_1M);
	KUNIT_EXPECT_EQ(test, phys_at(t, IOVA + SZ_2M), PFN_PHYS(PFN + PAGES_1G + 7));
}

static void large_page_that_lies_askew_becomes_small_ones(struct kunit *test)
{
	struct tab_test *t = test->priv;

	open_stage_1(test);
	expect_mapped(test, IOVA, PFN + 1, 2 * PAGES_2M);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA), 12U);
	KUNIT_EXPECT_EQ(test, phys_at(t, IOVA + SZ_2M), PFN_PHYS(PFN + 1) + SZ_2M);
}

/* Up to 16 tables of level 1 side by side instead of one of level 0 */
static void first_table_of_stage_2_may_be_long(struct kunit *test)
{
	unsigned long last = BIT(42) - SZ_1G - SZ_4K;
	struct tab_test *t = test->priv;

	open_table(test, ARM_64_LPAE_S2, 42);
	KUNIT_ASSERT_EQ(test, t->domain.table.top, 30U);
	expect_mapped(test, last, PFN - 1, PAGES_1G + 1);
	KUNIT_EXPECT_EQ(test, leaf_at(t, last), 12U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, last + SZ_4K), 30U);
	KUNIT_EXPECT_EQ(test, phys_at(t, last + SZ_1G), PFN_PHYS(PFN) + SZ_1G - SZ_4K);
	smmu_unmap_range(&t->domain.domain, last, SZ_1G + SZ_4K);
	KUNIT_EXPECT_EQ(test, phys_at(t, last), 0ULL);
	KUNIT_EXPECT_EQ(test, phys_at(t, last + SZ_4K), 0ULL);
}

static void what_is_mapped_already_stays(struct kunit *test)
{
	struct page_run runs[] = { { PFN, 1 }, { PFN + 8, 3 } };
	struct tab_test *t = test->priv;
	size_t mapped;

	open_stage_1(test);
	expect_mapped(test, IOVA + 2 * SZ_4K, PFN + 77, 1);
	KUNIT_EXPECT_EQ(test, map(t, IOVA, runs, ARRAY_SIZE(runs), &mapped), -EEXIST);
	KUNIT_EXPECT_EQ(test, mapped, 2 * SZ_4K);
	KUNIT_EXPECT_EQ(test, phys_at(t, IOVA + 2 * SZ_4K), PFN_PHYS(PFN + 77));

	expect_mapped(test, IOVA + SZ_1G, PFN, PAGES_2M);
	KUNIT_EXPECT_EQ(test, map(t, IOVA + SZ_1G + SZ_4K, runs, 1, &mapped), -EEXIST);
	KUNIT_EXPECT_EQ(test, mapped, 0UL);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_1G + SZ_4K), 21U);
}

static void address_that_is_too_long_is_refused(struct kunit *test)
{
	struct page_run low = { PFN, 2 }, high = { BIT(36) - 1, 2 };
	struct tab_test *t = test->priv;
	size_t mapped;
	int rc;

	open_stage_1(test);
	KUNIT_EXPECT_EQ(test, map(t, BIT(48) - SZ_4K, &low, 1, &mapped), -ERANGE);
	KUNIT_EXPECT_EQ(test, mapped, 0UL);
	KUNIT_EXPECT_EQ(test, map(t, IOVA, &high, 1, &mapped), -ERANGE);
	KUNIT_EXPECT_EQ(test, mapped, 0UL);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA), 0U);
	rc = smmu_map_runs(&t->domain.domain, IOVA, &low, 1, IOMMU_CACHE, GFP_KERNEL, &mapped);
	KUNIT_EXPECT_EQ(test, rc, -EINVAL);
}

static void expect_flush(struct kunit *test, unsigned long iova, size_t size, size_t granule, bool leaf)
{
	struct tab_test *t = test->priv;

	t->flushes = 0;
	smmu_unmap_range(&t->domain.domain, iova, size);
	KUNIT_EXPECT_EQ(test, t->flushes, 1U);
	KUNIT_EXPECT_FALSE(test, t->all);
	KUNIT_EXPECT_EQ(test, t->iova, iova);
	KUNIT_EXPECT_EQ(test, t->size, size);
	KUNIT_EXPECT_EQ(test, t->granule, granule);
	KUNIT_EXPECT_EQ(test, t->leaf, leaf);
	KUNIT_EXPECT_EQ(test, phys_at(t, iova), 0ULL);
	KUNIT_EXPECT_EQ(test, phys_at(t, iova + size - 1), 0ULL);
}

static void range_is_flushed_once(struct kunit *test)
{
	open_stage_1(test);
	expect_mapped(test, IOVA, PFN, 1);
	expect_flush(test, IOVA, SZ_4K, SZ_4K, true);
	expect_mapped(test, IOVA + SZ_4K, PFN, PAGES_2M);
	expect_flush(test, IOVA + SZ_4K, SZ_2M, SZ_4K, true);
	expect_mapped(test, IOVA, PFN, 2 * PAGES_1G);
	expect_flush(test, IOVA, SZ_2G, SZ_1G, true);
	expect_mapped(test, IOVA + SZ_1G, PFN, 3 * PAGES_2M);
	expect_flush(test, IOVA + SZ_1G, 3 * SZ_2M, SZ_2M, true);
	/* Leaves of different sizes, and tables: all there is */
	expect_mapped(test, IOVA + SZ_1G, PFN, PAGES_2M + 1);
	expect_flush(test, IOVA + SZ_1G, SZ_2M + SZ_4K, SZ_4K, false);
	expect_mapped(test, IOVA + SZ_1G, PFN + 1, 4 * PAGES_2M);
	expect_flush(test, IOVA + SZ_1G, 4 * SZ_2M, SZ_4K, false);
	expect_mapped(test, IOVA + SZ_1G, PFN + 1, PAGES_1G);
	expect_flush(test, IOVA + SZ_1G, SZ_1G, SZ_4K, false);
}

static void neighbours_stay(struct kunit *test)
{
	struct tab_test *t = test->priv;

	open_stage_1(test);
	expect_mapped(test, IOVA - SZ_4K, PFN, 1);
	expect_mapped(test, IOVA + SZ_1G + SZ_2M, PFN, PAGES_2M);
	expect_mapped(test, IOVA + SZ_1G, PFN, 1);
	expect_mapped(test, IOVA, PFN + 1, PAGES_1G);
	smmu_unmap_range(&t->domain.domain, IOVA, SZ_1G);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA), 0U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA - SZ_4K), 12U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_1G), 12U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_1G + SZ_2M), 21U);
}

static void nothing_is_flushed_where_nothing_is_mapped(struct kunit *test)
{
	struct tab_test *t = test->priv;

	open_stage_1(test);
	smmu_unmap_range(&t->domain.domain, 0, BIT(48));
	KUNIT_EXPECT_EQ(test, t->flushes, 0U);
	expect_mapped(test, IOVA, PFN, 1);
	smmu_unmap_range(&t->domain.domain, IOVA + SZ_4K, SZ_1G - SZ_4K);
	KUNIT_EXPECT_EQ(test, t->flushes, 0U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA), 12U);
	smmu_unmap_range(&t->domain.domain, 0, BIT(48));
	KUNIT_EXPECT_EQ(test, t->flushes, 1U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA), 0U);
}

/* The table whose entries have size @shift */
static void watch_table(struct tab_test *t, unsigned long iova, unsigned int shift)
{
	t->watched = virt_to_page(entry_at(t, iova, &shift));
	get_page(t->watched);
}

static void expect_table_is_free_after_flush(struct kunit *test, unsigned int shift)
{
	struct tab_test *t = test->priv;

	open_stage_1(test);
	expect_mapped(test, IOVA, PFN + 1, PAGES_1G);
	watch_table(t, IOVA + SZ_1M, shift);
	KUNIT_EXPECT_EQ(test, page_ref_count(t->watched), 2);
	smmu_unmap_range(&t->domain.domain, IOVA, SZ_1G);
	KUNIT_EXPECT_EQ(test, t->flushes, 1U);
	KUNIT_EXPECT_FALSE(test, t->watched_was_free);
	KUNIT_EXPECT_EQ(test, page_ref_count(t->watched), 1);
}

static void table_of_pages_is_free_after_the_flush_and_not_before(struct kunit *test)
{
	expect_table_is_free_after_flush(test, 12);
}

static void table_of_tables_is_free_after_the_flush_and_not_before(struct kunit *test)
{
	expect_table_is_free_after_flush(test, 21);
}

/* A table without entries stays until something needs its place */
static void block_takes_the_place_of_an_empty_table(struct kunit *test)
{
	struct tab_test *t = test->priv;

	open_stage_1(test);
	expect_mapped(test, IOVA, PFN, 1);
	watch_table(t, IOVA, 12);
	smmu_unmap_range(&t->domain.domain, IOVA, SZ_4K);
	t->flushes = 0;
	expect_mapped(test, IOVA, PFN, 2 * PAGES_2M);
	KUNIT_EXPECT_EQ(test, t->flushes, 1U);
	KUNIT_EXPECT_FALSE(test, t->leaf);
	KUNIT_EXPECT_FALSE(test, t->watched_was_free);
	KUNIT_EXPECT_EQ(test, page_ref_count(t->watched), 1);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA), 21U);
	KUNIT_EXPECT_EQ(test, leaf_at(t, IOVA + SZ_2M), 21U);
}

static void without_range_commands_much_is_all(struct kunit *test)
{
	struct tab_test *t = test->priv;

	open_stage_1(test);
	t->smmu.features = 0;
	expect_mapped(test, IOVA + SZ_4K, PFN, 512);
	expect_flush(test, IOVA + SZ_4K, SZ_2M, SZ_4K, true);
	expect_mapped(test, IOVA + SZ_4K, PFN, 513);
	t->flushes = 0;
	smmu_unmap_range(&t->domain.domain, IOVA + SZ_4K, SZ_2M + SZ_4K);
	KUNIT_EXPECT_TRUE(test, t->all);
	KUNIT_EXPECT_EQ(test, t->flushes, 1U);
}

static void expect_leaves(struct kunit *test, unsigned long of_4k, unsigned long of_2m, unsigned long of_1g)
{
	struct tab_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, smmu_leaves(&t->domain.domain, SZ_4K), of_4k);
	KUNIT_EXPECT_EQ(test, smmu_leaves(&t->domain.domain, SZ_2M), of_2m);
	KUNIT_EXPECT_EQ(test, smmu_leaves(&t->domain.domain, SZ_1G), of_1g);
	KUNIT_EXPECT_EQ(test, smmu_leaves(&t->domain.domain, SZ_16K), 0UL);
}

static void unmap(struct kunit *test, unsigned long iova, unsigned long size)
{
	struct tab_test *t = test->priv;

	smmu_unmap_range(&t->domain.domain, iova, size);
}

static void leaves_are_counted_when_they_come_and_go(struct kunit *test)
{
	open_stage_1(test);
	expect_mapped(test, IOVA - SZ_2M - SZ_4K, PFN - PAGES_2M - 1, 1 + PAGES_2M + PAGES_1G + PAGES_2M + 3);
	expect_leaves(test, 4, 2, 1);
	unmap(test, IOVA, SZ_1G);
	expect_leaves(test, 4, 2, 0);
	unmap(test, IOVA - SZ_2M - SZ_4K, SZ_2M + SZ_4K);
	expect_leaves(test, 3, 1, 0);
	unmap(test, IOVA + SZ_1G, SZ_2M + 3 * SZ_4K);
	expect_leaves(test, 0, 0, 0);
}

/* Of tables that go as a whole most entries are not looked at */
static void leaves_of_tables_that_go_are_counted(struct kunit *test)
{
	open_stage_1(test);
	/* Tables of pages, of blocks, and one that an earlier mapping left empty */
	expect_mapped(test, IOVA, PFN + 1, 4 * PAGES_2M);
	expect_mapped(test, IOVA + 4 * SZ_2M, PFN, 3 * PAGES_2M);
	expect_mapped(test, IOVA + 9 * SZ_2M, PFN + 1, 3);
	expect_leaves(test, 4 * PAGES_2M + 3, 3, 0);
	unmap(test, IOVA + 9 * SZ_2M, 3 * SZ_4K);
	unmap(test, IOVA, SZ_1G);
	expect_leaves(test, 0, 0, 0);

	/* The second of these tables goes, the others lose a part */
	expect_mapped(test, IOVA, PFN + 1, 4 * PAGES_2M);
	unmap(test, IOVA + SZ_2M - 2 * SZ_4K, SZ_2M + 3 * SZ_4K);
	expect_leaves(test, 3 * PAGES_2M - 3, 0, 0);
}

static void block_in_the_place_of_a_table_is_counted_once(struct kunit *test)
{
	open_stage_1(test);
	expect_mapped(test, IOVA, PFN + 1, 1);
	unmap(test, IOVA, SZ_4K);
	expect_mapped(test, IOVA, PFN, PAGES_2M);
	expect_leaves(test, 0, 1, 0);
	unmap(test, IOVA, SZ_2M);
	expect_mapped(test, IOVA, PFN, PAGES_1G);
	expect_leaves(test, 0, 0, 1);
}

static void leaves_of_a_map_that_fails_are_counted(struct kunit *test)
{
	struct page_run runs[] = { { PFN, 1 }, { PFN + 8, 3 } };
	struct tab_test *t = test->priv;
	size_t mapped;

	open_stage_1(test);
	expect_mapped(test, IOVA + 2 * SZ_4K, PFN + 77, 1);
	KUNIT_EXPECT_EQ(test, map(t, IOVA, runs, ARRAY_SIZE(runs), &mapped), -EEXIST);
	expect_leaves(test, 3, 0, 0);
	/* The first table of the second run is another one, and the last page is too far */
	runs[1].npages = 2;
	KUNIT_EXPECT_EQ(test, map(t, BIT(48) - 2 * SZ_4K, runs, ARRAY_SIZE(runs), &mapped), -ERANGE);
	expect_leaves(test, 4, 0, 0);
}

static void leaves_of_the_library_are_counted(struct kunit *test)
{
	struct tab_test *t = test->priv;
	struct iommu_domain *domain = &t->domain.domain;
	struct iommu_iotlb_gather gather;
	size_t mapped = 0;
	int rc;

	open_stage_1(test);
	iommu_iotlb_gather_init(&gather);
	rc = smmu_map_pages(domain, IOVA, PFN_PHYS(PFN), SZ_4K, 3, IOMMU_READ, GFP_KERNEL, &mapped);
	KUNIT_EXPECT_EQ(test, rc, 0);
	rc = smmu_map_pages(domain, IOVA + SZ_2M, PFN_PHYS(PFN), SZ_2M, 2, IOMMU_READ, GFP_KERNEL, &mapped);
	KUNIT_EXPECT_EQ(test, rc, 0);
	KUNIT_EXPECT_EQ(test, mapped, 3UL * SZ_4K + 2UL * SZ_2M);
	expect_leaves(test, 3, 2, 0);
	KUNIT_EXPECT_EQ(test, smmu_unmap_pages(domain, IOVA + SZ_2M, SZ_2M, 1, &gather), 0UL + SZ_2M);
	expect_leaves(test, 3, 1, 0);
	KUNIT_EXPECT_EQ(test, smmu_unmap_pages(domain, IOVA, SZ_4K, 3, &gather), 3UL * SZ_4K);
	expect_leaves(test, 0, 1, 0);

	/* In two tables */
	expect_mapped(test, IOVA - SZ_4K, PFN + 1, 2);
	KUNIT_EXPECT_EQ(test, smmu_unmap_pages(domain, IOVA - SZ_4K, SZ_4K, 2, &gather), 2UL * SZ_4K);
	expect_leaves(test, 0, 1, 0);

	/* A page of 2 MiB to who unmaps it, and a table to the library */
	expect_mapped(test, IOVA + SZ_1G, PFN + 1, PAGES_2M);
	KUNIT_EXPECT_EQ(test, smmu_unmap_pages(domain, IOVA + SZ_1G, SZ_2M, 1, &gather), 0UL + SZ_2M);
	expect_leaves(test, 0, 1, 0);
}

static void table_that_is_not_coherent_is_left_to_the_library(struct kunit *test)
{
	struct io_pgtable_cfg cfg = { .pgsize_bitmap = SZ_4K, .oas = 48 };
	struct io_pgtable table = { .cfg = cfg };
	struct tab_test *t = test->priv;

	t->domain.pgtbl_ops = &table.ops;
	smmu_table_open(&t->domain);
	KUNIT_EXPECT_PTR_EQ(test, t->domain.table.root, (u64 *)NULL);
	expect_leaves(test, 0, 0, 0);
	t->domain.pgtbl_ops = NULL;
}

static int tab_test_init(struct kunit *test)
{
	struct tab_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	set_dev_node(&t->dev, NUMA_NO_NODE);
	t->smmu.features = ARM_SMMU_FEAT_RANGE_INV;
	t->domain.smmu = &t->smmu;
	test->priv = t;
	return 0;
}

static void tab_test_exit(struct kunit *test)
{
	struct tab_test *t = test->priv;

	if (!t)
		return;
	free_io_pgtable_ops(t->domain.pgtbl_ops);
	if (t->watched)
		put_page(t->watched);
}

static struct kunit_case tab_test_cases[] = {
	KUNIT_CASE(leaf_is_as_large_as_place_and_length_allow),
	KUNIT_CASE(runs_are_not_joined),
	KUNIT_CASE(large_page_that_lies_askew_becomes_small_ones),
	KUNIT_CASE(first_table_of_stage_2_may_be_long),
	KUNIT_CASE(what_is_mapped_already_stays),
	KUNIT_CASE(address_that_is_too_long_is_refused),
	KUNIT_CASE(range_is_flushed_once),
	KUNIT_CASE(neighbours_stay),
	KUNIT_CASE(nothing_is_flushed_where_nothing_is_mapped),
	KUNIT_CASE(table_of_pages_is_free_after_the_flush_and_not_before),
	KUNIT_CASE(table_of_tables_is_free_after_the_flush_and_not_before),
	KUNIT_CASE(block_takes_the_place_of_an_empty_table),
	KUNIT_CASE(without_range_commands_much_is_all),
	KUNIT_CASE(leaves_are_counted_when_they_come_and_go),
	KUNIT_CASE(leaves_of_tables_that_go_are_counted),
	KUNIT_CASE(block_in_the_place_of_a_table_is_counted_once),
	KUNIT_CASE(leaves_of_a_map_that_fails_are_counted),
	KUNIT_CASE(leaves_of_the_library_are_counted),
	KUNIT_CASE(table_that_is_not_coherent_is_left_to_the_library),
	{}
};

static struct kunit_suite tab_test_suite = {
	.name = "smmu_table",
	.init = tab_test_init,
	.exit = tab_test_exit,
	.test_cases = tab_test_cases,
};

kunit_test_suite(tab_test_suite);
