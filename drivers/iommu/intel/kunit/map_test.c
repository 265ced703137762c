// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite "vtd_map": leaves of page tables, which sizes they have, and what is left when a range is taken out
 *
 * The domain is attached to nothing. Numbers are those of the VT-d specification, sections 9.8 (first level) and 9.9
 * (second level), and stand here a second time.
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "../attach.h"

#define LEAF_READ	BIT_ULL(0)
#define LEAF_WRITE	BIT_ULL(1)
#define USER		BIT_ULL(2)
#define ACCESSED	BIT_ULL(5)
#define DIRTY		BIT_ULL(6)
#define LARGE		BIT_ULL(7)
#define NO_EXECUTE	BIT_ULL(63)

#define PAGES_2M	512UL
#define PAGES_1G	(512UL * 512)

#define RW		(DMA_PTE_READ | DMA_PTE_WRITE)

static int map_test_init(struct kunit *test)
{
	struct dmar_domain *domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, domain);
	domain->agaw = 2;
	domain->gaw = 48;
	domain->iommu_superpage = 2;
	domain->iommu_coherency = true;
	domain->nid = NUMA_NO_NODE;
	domain->charged = true;
	spin_lock_init(&domain->lock);
	INIT_LIST_HEAD(&domain->devices);
	INIT_LIST_HEAD(&domain->pasids);
	INIT_LIST_HEAD(&domain->iommus);
	xa_init(&domain->iommu_array);
	domain->pgd = alloc_pgtable_page(NUMA_NO_NODE);
	KUNIT_ASSERT_NOT_NULL(test, domain->pgd);
	test->priv = domain;
	return 0;
}

static void map_test_exit(struct kunit *test)
{
	struct dmar_domain *domain = test->priv;

	if (!domain || !domain->pgd)
		return;
	intel_domain_unmap(domain, 0, BIT(domain->gaw - VTD_PAGE_SHIFT));
	KUNIT_EXPECT_NULL(test, memchr_inv(domain->pgd, 0, VTD_PAGE_SIZE));
	free_pgtable_page(domain->pgd);
}

static void map_runs(struct kunit *test, unsigned long pfn, const struct page_run *runs, unsigned int num)
{
	unsigned long mapped, pages = 0;
	unsigned int i;

	for (i = 0; i < num; i++)
		pages += runs[i].npages;
	KUNIT_ASSERT_EQ(test, intel_domain_map(test->priv, pfn, runs, num, RW, &mapped), 0);
	KUNIT_ASSERT_EQ(test, mapped, pages);
}

static void map_one(struct kunit *test, unsigned long pfn, unsigned long to, unsigned long pages)
{
	struct page_run run = { to, pages };

	map_runs(test, pfn, &run, 1);
}

static void expect_leaves(struct kunit *test, unsigned long of_4k, unsigned long of_2m, unsigned long of_1g)
{
	struct dmar_domain *domain = test->priv;

	KUNIT_EXPECT_EQ(test, intel_iommu_leaves(&domain->domain, SZ_4K), of_4k);
	KUNIT_EXPECT_EQ(test, intel_iommu_leaves(&domain->domain, SZ_2M), of_2m);
	KUNIT_EXPECT_EQ(test, intel_iommu_leaves(&domain->domain, SZ_1G), of_1g);
}

/* Where a page leads; 0 if nowhere */
static unsigned long leads_to(struct kunit *test, unsigned long pfn)
{
	int level;
	struct dma_pte *leaf = intel_domain_leaf(test->priv, pfn, &level);

	if (!leaf)
		return 0;
	return (leaf->val & GENMASK_ULL(51, 12)) >> 12 | (pfn & (BIT((level - 1) * 9) - 1));
}

static void expect_leaf(struct kunit *test, unsigned long pfn, unsigned long to, int level)
{
	int found = 0;

	KUNIT_EXPECT_NOT_NULL(test, intel_domain_leaf(test->priv, pfn, &found));
	KUNIT_EXPECT_EQ(test, found, level);
	KUNIT_EXPECT_EQ(test, leads_to(test, pfn), to);
}

static unsigned int clear(struct kunit *test, unsigned long pfn, unsigned long pages)
{
	unsigned int nr = 0;
	LIST_HEAD(tables);
	struct page *page;

	intel_domain_clear(test->priv, pfn, pfn + pages - 1, &tables);
	list_for_each_entry(page, &tables, lru)
		nr++;
	put_pages_list(&tables);
	return nr;
}

static void second_level_bits(struct kunit *test)
{
	struct dmar_domain *domain = test->priv;
	struct page_run run = { 0x1234, 1 };
	unsigned long mapped;
	int level;

	map_one(test, 0x77, 0x1234, 1);
	KUNIT_EXPECT_EQ(test, intel_domain_leaf(domain, 0x77, &level)->val, 0x1234000 | LEAF_READ | LEAF_WRITE);
	map_one(test, PAGES_2M, 4 * PAGES_2M, PAGES_2M);
	KUNIT_EXPECT_EQ(test, intel_domain_leaf(domain, PAGES_2M, &level)->val,
			0x800000 | LARGE | LEAF_READ | LEAF_WRITE);

	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, 0x78, &run, 1, DMA_PTE_READ | DMA_PTE_SNP, &mapped), 0);
	KUNIT_EXPECT_EQ(test, intel_domain_leaf(domain, 0x78, &level)->val, 0x1234000 | DMA_PTE_SNP | LEAF_READ);
	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, 0x79, &run, 1, 0, &mapped), -EINVAL);
	KUNIT_EXPECT_EQ(test, leads_to(test, 0x79), 0UL);
}

static void first_level_bits(struct kunit *test)
{
	struct dmar_domain *domain = test->priv;
	struct page_run run = { 0x1234, 1 };
	unsigned long mapped;
	int level;

	domain->flags = DOMAIN_FLAG_USE_FIRST_LEVEL;
	map_one(test, 0x77, 0x1234, 1);
	KUNIT_EXPECT_EQ(test, intel_domain_leaf(domain, 0x77, &level)->val,
			0x1234000 | NO_EXECUTE | DIRTY | ACCESSED | USER | LEAF_WRITE | LEAF_READ);
	KUNIT_EXPECT_EQ(test, domain->pgd->val & ~GENMASK_ULL(51, 12),
			NO_EXECUTE | ACCESSED | USER | LEAF_WRITE | LEAF_READ);
	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, 0x78, &run, 1, DMA_PTE_READ, &mapped), 0);
	KUNIT_EXPECT_EQ(test, intel_domain_leaf(domain, 0x78, &level)->val,
			0x1234000 | NO_EXECUTE | ACCESSED | USER | LEAF_READ);
}

static void scattered_pages_go_on_in_the_next_table(struct kunit *test)
{
	struct page_run runs[] = { {9, 1}, {7, 1}, {5, 2}, {1000, 3}, {70, 1} };

	map_runs(test, PAGES_2M - 4, runs, ARRAY_SIZE(runs));
	KUNIT_EXPECT_EQ(test, leads_to(test, PAGES_2M - 5), 0UL);
	expect_leaf(test, PAGES_2M - 4, 9, 1);
	expect_leaf(test, PAGES_2M - 3, 7, 1);
	expect_leaf(test, PAGES_2M - 2, 5, 1);
	expect_leaf(test, PAGES_2M - 1, 6, 1);
	expect_leaf(test, PAGES_2M, 1000, 1);
	expect_leaf(test, PAGES_2M + 2, 1002, 1);
	expect_leaf(test, PAGES_2M + 3, 70, 1);
	KUNIT_EXPECT_EQ(test, leads_to(test, PAGES_2M + 4), 0UL);
}

static void leaves_are_as_large_as_they_can_be(struct kunit *test)
{
	unsigned long at = PAGES_1G - PAGES_2M - 3, to = 5 * PAGES_1G - PAGES_2M - 3;

	map_one(test, at, to, 3 + PAGES_2M + 2 * PAGES_1G + PAGES_2M + 7);
	expect_leaf(test, at, to, 1);
	expect_leaf(test, at + 2, to + 2, 1);
	expect_leaf(test, PAGES_1G - PAGES_2M, 5 * PAGES_1G - PAGES_2M, 2);
	expect_leaf(test, PAGES_1G, 5 * PAGES_1G, 3);
	expect_leaf(test, 3 * PAGES_1G - 1, 7 * PAGES_1G - 1, 3);
	expect_leaf(test, 3 * PAGES_1G, 7 * PAGES_1G, 2);
	expect_leaf(test, 3 * PAGES_1G + PAGES_2M + 6, 7 * PAGES_1G + PAGES_2M + 6, 1);
	KUNIT_EXPECT_EQ(test, leads_to(test, 3 * PAGES_1G + PAGES_2M + 7), 0UL);
}

static void leaves_are_no_larger_than_the_hardware_knows(struct kunit *test)
{
	struct dmar_domain *domain = test->priv;

	domain->iommu_superpage = 1;
	map_one(test, PAGES_1G, PAGES_1G, PAGES_1G);
	expect_leaf(test, PAGES_1G, PAGES_1G, 2);
	domain->iommu_superpage = 0;
	map_one(test, 0, PAGES_1G, PAGES_2M);
	expect_leaf(test, 0, PAGES_1G, 1);
}

static void a_leaf_has_pages_of_one_run(struct kunit *test)
{
	struct page_run runs[] = { {PAGES_2M, 256}, {PAGES_2M + 256, 256} };

	map_runs(test, 0, runs, ARRAY_SIZE(runs));
	expect_leaf(test, 0, PAGES_2M, 1);
	expect_leaf(test, 511, PAGES_2M + 511, 1);
}

static void a_superpage_takes_the_place_of_an_empty_table(struct kunit *test)
{
	map_one(test, 1, 0x99, 1);
	map_one(test, PAGES_1G - 1, 0x98, 1);
	intel_domain_unmap(test->priv, 1, 1);
	map_one(test, 0, PAGES_2M, PAGES_2M);
	expect_leaf(test, 1, PAGES_2M + 1, 2);
	expect_leaf(test, PAGES_1G - 1, 0x98, 1);

	intel_domain_unmap(test->priv, 0, PAGES_2M);
	intel_domain_unmap(test->priv, PAGES_1G - 1, 1);
	map_one(test, 0, PAGES_1G, PAGES_1G);
	expect_leaf(test, 1, PAGES_1G + 1, 3);
}

static void a_map_that_fails_tells_how_much_it_did(struct kunit *test)
{
	struct dmar_domain *domain = test->priv;
	unsigned long end = BIT(domain->gaw - VTD_PAGE_SHIFT), mapped;
	struct page_run runs[] = { {PAGES_2M, PAGES_2M}, {3, 1}, {7, 3} };

	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, end - PAGES_2M, runs, 1, RW, &mapped), 0);
	intel_domain_unmap(domain, end - PAGES_2M, PAGES_2M);

	runs[0].npages = 2;
	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, end - 5, runs, ARRAY_SIZE(runs), RW, &mapped), -EFAULT);
	KUNIT_EXPECT_EQ(test, mapped, 3UL);
	expect_leaf(test, end - 3, 3, 1);
	KUNIT_EXPECT_EQ(test, leads_to(test, end - 2), 0UL);
	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, end + 1, runs, 1, RW, &mapped), -EFAULT);
	KUNIT_EXPECT_EQ(test, mapped, 0UL);
}

static void tables_go_with_all_of_their_range(struct kunit *test)
{
	map_one(test, 0, 0x10001, 4 * PAGES_2M);
	/* Two pages of the first table, the second one, and a page of the third */
	KUNIT_EXPECT_EQ(test, clear(test, PAGES_2M - 2, 2 + PAGES_2M + 1), 1U);
	KUNIT_EXPECT_EQ(test, leads_to(test, PAGES_2M - 3), 0x10001 + PAGES_2M - 3);
	KUNIT_EXPECT_EQ(test, leads_to(test, PAGES_2M - 2), 0UL);
	KUNIT_EXPECT_EQ(test, leads_to(test, PAGES_2M + 17), 0UL);
	KUNIT_EXPECT_EQ(test, leads_to(test, 2 * PAGES_2M), 0UL);
	KUNIT_EXPECT_EQ(test, leads_to(test, 2 * PAGES_2M + 1), 0x10001 + 2 * PAGES_2M + 1);

	/* A table stays as long as its range may have something of others; then three of leaves and the one above */
	KUNIT_EXPECT_EQ(test, clear(test, 1, PAGES_2M - 1), 0U);
	KUNIT_EXPECT_EQ(test, leads_to(test, 0), 0x10001UL);
	KUNIT_EXPECT_EQ(test, clear(test, 0, PAGES_1G), 4U);
	KUNIT_EXPECT_EQ(test, clear(test, 0, PAGES_1G), 0U);

	/* Leaves of any size are no tables */
	map_one(test, 0, 0, 2 * PAGES_1G + PAGES_2M);
	KUNIT_EXPECT_EQ(test, clear(test, 0, 3 * PAGES_1G), 1U);
}

static void everything_of_a_deep_table_goes(struct kunit *test)
{
	struct dmar_domain *domain = test->priv;

	domain->agaw = 3;
	domain->gaw = 57;
	map_one(test, 5, 6, 1);
	map_one(test, BIT(45) - 1, 7, 1);
	expect_leaf(test, 5, 6, 1);
	expect_leaf(test, BIT(45) - 1, 7, 1);
	KUNIT_EXPECT_EQ(test, clear(test, 0, BIT(45)), 8U);
}

static void leaves_are_counted_when_they_come_and_go(struct kunit *test)
{
	unsigned long at = PAGES_1G - PAGES_2M - 3;

	map_one(test, at, at, 3 + PAGES_2M + 2 * PAGES_1G + PAGES_2M + 7);
	expect_leaves(test, 10, 2, 2);
	intel_domain_unmap(test->priv, PAGES_1G, 2 * PAGES_1G);
	expect_leaves(test, 10, 2, 0);
	intel_domain_unmap(test->priv, at, 3 + PAGES_2M);
	expect_leaves(test, 7, 1, 0);
	intel_domain_unmap(test->priv, 3 * PAGES_1G, PAGES_2M + 7);
	expect_leaves(test, 0, 0, 0);
}

/* Of tables that go as a whole most entries are not looked at */
static void leaves_of_tables_that_go_are_counted(struct kunit *test)
{
	/* Tables of pages, of superpages, and one that an earlier mapping left empty */
	map_one(test, PAGES_1G, 0x10001, 4 * PAGES_2M);
	map_one(test, PAGES_1G + 4 * PAGES_2M, 0, 3 * PAGES_2M);
	map_one(test, PAGES_1G + 9 * PAGES_2M, 0x10001, 3);
	expect_leaves(test, 4 * PAGES_2M + 3, 3, 0);
	intel_domain_unmap(test->priv, PAGES_1G + 9 * PAGES_2M, 3);
	intel_domain_unmap(test->priv, PAGES_1G, PAGES_1G);
	expect_leaves(test, 0, 0, 0);
}

static void leaves_beside_a_table_that_goes_stay_counted(struct kunit *test)
{
	map_one(test, 0, 0x10001, 4 * PAGES_2M);
	expect_leaves(test, 4 * PAGES_2M, 0, 0);
	/* Two pages of the first table, the second one, and a page of the third */
	intel_domain_unmap(test->priv, PAGES_2M - 2, 2 + PAGES_2M + 1);
	expect_leaves(test, 4 * PAGES_2M - 2 - PAGES_2M - 1, 0, 0);
}

static void superpage_in_the_place_of_a_table_is_counted_once(struct kunit *test)
{
	map_one(test, 1, 0x99, 1);
	intel_domain_unmap(test->priv, 1, 1);
	map_one(test, 0, PAGES_2M, PAGES_2M);
	expect_leaves(test, 0, 1, 0);
	intel_domain_unmap(test->priv, 0, PAGES_2M);
	map_one(test, 0, PAGES_1G, PAGES_1G);
	expect_leaves(test, 0, 0, 1);
}

static void leaves_of_a_map_that_fails_are_counted(struct kunit *test)
{
	struct dmar_domain *domain = test->priv;
	unsigned long end = BIT(domain->gaw - VTD_PAGE_SHIFT), mapped;
	struct page_run runs[] = { {PAGES_2M, PAGES_2M}, {3, 1}, {7, 3} };

	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, end - PAGES_2M - 2, runs + 1, 2, 0, &mapped), -EINVAL);
	expect_leaves(test, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, end - PAGES_2M - 2, runs + 1, 2, RW, &mapped), 0);
	expect_leaves(test, 4, 0, 0);
	KUNIT_EXPECT_EQ(test, intel_domain_map(domain, end - 2, runs + 1, 2, RW, &mapped), -EFAULT);
	expect_leaves(test, 5, 0, 0);
	KUNIT_EXPECT_EQ(test, intel_iommu_leaves(&domain->domain, SZ_1M), 0UL);
}

#define MODEL_PAGES	(8 * PAGES_2M)
#define MODEL_AREAS	4
#define MODEL_STEPS	200

static void expect_leaves_as_walked(struct kunit *test)
{
	unsigned long i, pages[3] = {};
	int level;

	for (i = 0; i < MODEL_PAGES; i++) {
		if (intel_domain_leaf(test->priv, i, &level))
			pages[level - 1]++;
	}
	expect_leaves(test, pages[0], pages[1] / PAGES_2M, pages[2] / PAGES_1G);
}

/* Random areas of random runs, held against an array of all pages */
static void random_areas(struct kunit *test)
{
	unsigned long *model = kunit_kcalloc(test, MODEL_PAGES, sizeof(*model), GFP_KERNEL);
	unsigned long starts[MODEL_AREAS] = {}, sizes[MODEL_AREAS] = {};
	struct rnd_state rnd;
	unsigned int step;

	KUNIT_ASSERT_NOT_NULL(test, model);
	prandom_seed_state(&rnd, 7);
	for (step = 0; step < MODEL_STEPS; step++) {
		unsigned int a = prandom_u32_state(&rnd) % MODEL_AREAS;
		unsigned long share = MODEL_PAGES / MODEL_AREAS, i;

		if (sizes[a]) {
			intel_domain_unmap(test->priv, starts[a], sizes[a]);
			memset(&model[starts[a]], 0, sizes[a] * sizeof(*model));
			sizes[a] = 0;
		} else {
			unsigned long room, at = starts[a] = a * share + prandom_u32_state(&rnd) % 3;
			struct page_run runs[8];
			unsigned int n;

			room = (a + 1) * share - at;
			for (n = 0; n < ARRAY_SIZE(runs) && room; n++) {
				unsigned long pages = 1 + prandom_u32_state(&rnd) % min(room, 150UL);

				/* A superpage now and then: the address fits the IOVA */
				if (!n && !(prandom_u32_state(&rnd) & 1))
					pages = room;
				runs[n].npages = pages;
				runs[n].pfn = (1 + prandom_u32_state(&rnd) % 1000) * PAGES_2M + at % PAGES_2M +
					      prandom_u32_state(&rnd) % 2;
				for (i = 0; i < pages; i++)
					model[at + i] = runs[n].pfn + i;
				at += pages;
				room -= pages;
			}
			map_runs(test, starts[a], runs, n);
			sizes[a] = at - starts[a];
		}
		for (i = 0; i < MODEL_PAGES; i++) {
			if (leads_to(test, i) != model[i]) {
				KUNIT_FAIL(test, "step %u: page %lu leads to %lu, not %lu", step, i, leads_to(test, i),
					   model[i]);
				return;
			}
		}
		expect_leaves_as_walked(test);
	}
}

static struct kunit_case map_cases[] = {
	KUNIT_CASE(second_level_bits),
	KUNIT_CASE(first_level_bits),
	KUNIT_CASE(scattered_pages_go_on_in_the_next_table),
	KUNIT_CASE(leaves_are_as_large_as_they_can_be),
	KUNIT_CASE(leaves_are_no_larger_than_the_hardware_knows),
	KUNIT_CASE(a_leaf_has_pages_of_one_run),
	KUNIT_CASE(a_superpage_takes_the_place_of_an_empty_table),
	KUNIT_CASE(a_map_that_fails_tells_how_much_it_did),
	KUNIT_CASE(tables_go_with_all_of_their_range),
	KUNIT_CASE(everything_of_a_deep_table_goes),
	KUNIT_CASE(leaves_are_counted_when_they_come_and_go),
	KUNIT_CASE(leaves_of_tables_that_go_are_counted),
	KUNIT_CASE(leaves_beside_a_table_that_goes_stay_counted),
	KUNIT_CASE(superpage_in_the_place_of_a_table_is_counted_once),
	KUNIT_CASE(leaves_of_a_map_that_fails_are_counted),
	KUNIT_CASE(random_areas),
	{}
};

static struct kunit_suite map_suite = {
	.name = "vtd_map",
	.init = map_test_init,
	.exit = map_test_exit,
	.test_cases = map_cases,
};

kunit_test_suite(map_suite);
