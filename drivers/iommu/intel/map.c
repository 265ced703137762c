// SPDX-License-Identifier: GPL-2.0-only
/*
 * map - entries of page tables: written run by run, taken out range by range
 *
 * A run of physically contiguous pages becomes leaves of the largest size that it, its IOVA and the hardware allow.
 * As long as they go on in one table nothing is looked up: the walk from the top is done once a table. Nor is a table
 * read to find out what to take out. That is a range which was put in as a whole, so no leaf crosses an end of it.
 *
 * Hardware walks the tables at any time. An entry is cleared first, then everything that hardware remembers of it is
 * flushed (flush.c), and only then may the memory it led to be freed. A superpage may take the place of a table that
 * maps nothing any more, for which the same holds. Tables that are not wholly within a range stay.
 *
 * How many leaves of each size there are is counted, table by table and not entry by entry.
 *
 * Locking: none. The caller sees to it that nobody else changes the range in this domain. Others may change ranges
 * beside it and need the same tables, which are therefore added by cmpxchg, and removed only with all of their range.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page_run.h>

#include "attach.h"

#define TABLE_ENTRIES	BIT(VTD_STRIDE_SHIFT)

/* Runs count pages of the processor */
static_assert(PAGE_SHIFT == VTD_PAGE_SHIFT);

/*
 * struct map_cursor - Where a mapping goes on
 * @domain: the domain
 * @attr: what a leaf has besides its address
 * @pfn: next page
 * @end: first page that the domain cannot translate
 * @superpages: how many sizes of superpages there may be
 * @level: of the table that @next is in
 * @first: first entry of it that the hardware may not see yet
 * @next: entry of @pfn; NULL, or the end of the table, when there is none yet
 * @tables: tables whose place superpages took; not flushed yet
 */
struct map_cursor {
	struct dmar_domain *domain;
	u64 attr;
	unsigned long pfn;
	unsigned long end;
	unsigned int superpages;
	unsigned int level;
	struct dma_pte *first;
	struct dma_pte *next;
	struct list_head tables;
};

static unsigned int top_level(struct dmar_domain *domain)
{
	return domain->agaw + 2;
}

/* log2 of the pages that an entry of a level stands for */
static unsigned int level_shift(unsigned int level)
{
	return (level - 1) * VTD_STRIDE_SHIFT;
}

static unsigned int entry_index(unsigned long pfn, unsigned int level)
{
	return pfn >> level_shift(level) & (TABLE_ENTRIES - 1);
}

/* Hardware sees all of an entry or nothing */
static void set_entry(struct dma_pte *pte, u64 val)
{
	if (IS_ENABLED(CONFIG_64BIT))
		WRITE_ONCE(pte->val, val);
	else
		cmpxchg64_local(&pte->val, pte->val, val);
}

static void flush_entries(struct dmar_domain *domain, struct dma_pte *first, struct dma_pte *end)
{
	if (!domain->iommu_coherency)
		clflush_cache_range(first, (void *)end - (void *)first);
}

/**
 * intel_domain_alloc_table() - Allocate a page-table page for a mapping
 * @domain: a domain
 *
 * Context: May sleep when @domain was allocated for /dev/iommu; what it takes is charged then. Others are mapped in
 * atomic context too.
 * Return: a zeroed page, freed by free_pgtable_page() or put_pages_list(); or NULL.
 */
void *intel_domain_alloc_table(struct dmar_domain *domain)
{
	gfp_t gfp = domain->charged ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC;
	struct page *page = alloc_pages_node(domain->nid, gfp | __GFP_ZERO, 0);

	return page ? page_address(page) : NULL;
}

/* Make an empty entry lead to a new table, unless somebody else was faster */
static int add_table(struct dmar_domain *domain, struct dma_pte *pte)
{
	struct dma_pte *table = intel_domain_alloc_table(domain);
	u64 val = DMA_PTE_READ | DMA_PTE_WRITE;

	if (!table)
		return -ENOMEM;
	flush_entries(domain, table, table + TABLE_ENTRIES);
	if (intel_domain_is_first_level(domain))
		val |= DMA_FL_PTE_XD | DMA_FL_PTE_US | DMA_FL_PTE_ACCESS;
	if (cmpxchg64(&pte->val, 0ULL, virt_to_phys(table) | val))
		free_pgtable_page(table);
	return 0;
}

/* The entry of a page at a level, with all tables that lead there; or ERR_PTR() */
static struct dma_pte *make_entry(struct dmar_domain *domain, unsigned long pfn, unsigned int level)
{
	struct dma_pte *table = domain->pgd;
	unsigned int l;
	int rc;

	for (l = top_level(domain); l > level; l--) {
		struct dma_pte *pte = &table[entry_index(pfn, l)];

		if (!dma_pte_present(pte)) {
			rc = add_table(domain, pte);
			if (rc)
				return ERR_PTR(rc);
		}
		if (WARN_ON_ONCE(dma_pte_superpage(pte)))
			return ERR_PTR(-EEXIST);
		/* Whoever added the table may not have come to this yet */
		flush_entries(domain, pte, pte + 1);
		table = phys_to_virt(dma_pte_addr(pte));
	}
	return &table[entry_index(pfn, level)];
}

static bool leads_to_table(struct dma_pte *pte, unsigned int level)
{
	return level > 1 && dma_pte_present(pte) && !dma_pte_superpage(pte);
}

/* Leaves that a table of a level got, or lost where negative */
static void count_leaves(struct dmar_domain *domain, unsigned int level, long leaves)
{
	if (leaves)
		atomic_long_add(leaves, &domain->leaves[level - 1]);
}

/* A table of a level, and all below it, which no entry leads to any more */
static void list_tables(struct dmar_domain *domain, struct dma_pte *table, unsigned int level, struct list_head *tables)
{
	struct dma_pte *pte;
	long leaves = 0;

	list_add_tail(&virt_to_page(table)->lru, tables);
	if (level == 1) {
		/* All of its range was put in as a whole, or nothing is left of it: one entry tells which */
		count_leaves(domain, level, dma_pte_present(table) ? -(long)TABLE_ENTRIES : 0);
		return;
	}
	for (pte = table; pte < table + TABLE_ENTRIES; pte++) {
		if (leads_to_table(pte, level))
			list_tables(domain, phys_to_virt(dma_pte_addr(pte)), level - 1, tables);
		else if (dma_pte_present(pte))
			leaves++;
	}
	count_leaves(domain, level, -leaves);
}

/* Level of the largest leaf that can begin here: @pfns has all bits of the IOVA and of the address */
static unsigned int leaf_level(struct map_cursor *c, unsigned long pfns, unsigned long pages)
{
	unsigned int level = 1;

	while (level <= c->superpages && !(pfns & (TABLE_ENTRIES - 1)) && pages >= TABLE_ENTRIES) {
		pfns >>= VTD_STRIDE_SHIFT;
		pages >>= VTD_STRIDE_SHIFT;
		level++;
	}
	return level;
}

/* Inlined, as a mapping of one page leaves one table */
static __always_inline void leave_table(struct map_cursor *c)
{
	flush_entries(c->domain, c->first, c->next);
	count_leaves(c->domain, c->level, c->next - c->first);
}

static int enter_table(struct map_cursor *c, unsigned int level)
{
	struct dma_pte *pte = make_entry(c->domain, c->pfn, level);

	if (c->next)
		leave_table(c);
	if (IS_ERR(pte)) {
		c->next = NULL;
		return PTR_ERR(pte);
	}
	c->first = pte;
	c->next = pte;
	c->level = level;
	return 0;
}

/* Something is where the next leaf shall be: nothing but a table that maps nothing any more */
static int replace_table(struct map_cursor *c)
{
	if (WARN_ON_ONCE(!leads_to_table(c->next, c->level)))
		return -EEXIST;
	list_tables(c->domain, phys_to_virt(dma_pte_addr(c->next)), c->level - 1, &c->tables);
	return 0;
}

static int map_run(struct map_cursor *c, unsigned long pfn, unsigned long pages)
{
	if (pages > c->end - c->pfn)
		return -EFAULT;

	while (pages) {
		unsigned int level = leaf_level(c, c->pfn | pfn, pages);
		unsigned long size = BIT(level_shift(level));
		u64 val = (u64)pfn << VTD_PAGE_SHIFT | c->attr;
		unsigned long leaves;
		int rc;

		if (level != c->level || first_pte_in_page(c->next)) {
			rc = enter_table(c, level);
			if (rc)
				return rc;
		}
		if (level > 1)
			val |= DMA_PTE_LARGE_PAGE;

		/* Where the table ends a larger leaf may begin */
		leaves = min_t(unsigned long, pages >> level_shift(level), nr_pte_to_next_page(c->next));
		pages -= leaves * size;
		pfn += leaves * size;
		for (; leaves; leaves--) {
			if (unlikely(READ_ONCE(c->next->val))) {
				rc = replace_table(c);
				if (rc)
					return rc;
			}
			set_entry(c->next++, val);
			c->pfn += size;
			val += (u64)size << VTD_PAGE_SHIFT;
		}
	}
	return 0;
}

/**
 * intel_domain_map() - Write the leaves of a mapping
 * @domain: a domain
 * @pfn: first page, as the device counts them
 * @runs: what is mapped there, one after the other; a leaf has pages of one run
 * @num: number of @runs
 * @prot: DMA_PTE_READ, DMA_PTE_WRITE, DMA_PTE_SNP
 * @mapped: pages that were mapped, also on failure
 *
 * Nothing may be mapped there. Whoever has to be told of new entries, as in caching mode, is told by the caller.
 *
 * Context: as intel_domain_alloc_table().
 * Return: 0, or with @mapped pages mapped -ENOMEM, -EFAULT (a run is not all within what @domain translates) or
 * -EINVAL (@prot allows no access).
 */
int intel_domain_map(struct dmar_domain *domain, unsigned long pfn, const struct page_run *runs, unsigned int num,
		     int prot, unsigned long *mapped)
{
	struct map_cursor c = {
		.domain = domain,
		.attr = prot | DMA_FL_PTE_PRESENT,
		.pfn = pfn,
		.end = BIT(domain->gaw - VTD_PAGE_SHIFT),
		.superpages = domain->iommu_superpage,
		.first = NULL,
		.next = NULL,
		.tables = LIST_HEAD_INIT(c.tables),
	};
	unsigned int i;
	int rc = 0;

	*mapped = 0;
	if (!(prot & (DMA_PTE_READ | DMA_PTE_WRITE)))
		return -EINVAL;
	if (pfn > c.end)
		return -EFAULT;
	if (intel_domain_is_first_level(domain)) {
		c.attr |= DMA_FL_PTE_XD | DMA_FL_PTE_US | DMA_FL_PTE_ACCESS;
		if (prot & DMA_PTE_WRITE)
			c.attr |= DMA_FL_PTE_DIRTY;
	}

	for (i = 0; i < num && !rc; i++)
		rc = map_run(&c, runs[i].pfn, runs[i].npages);

	if (c.next)
		leave_table(&c);
	*mapped = c.pfn - pfn;
	if (!list_empty(&c.tables)) {
		intel_domain_flush(domain, pfn, *mapped, false);
		put_pages_list(&c.tables);
	}
	return rc;
}

static bool covers_entry(unsigned long pfn, unsigned long last, unsigned long start, unsigned int level)
{
	return pfn <= start && last >= (start | (BIT(level_shift(level)) - 1));
}

/* What a table has of a range; @pfn and @last are both within what the table maps */
static void clear_entries(struct dmar_domain *domain, struct dma_pte *table, unsigned int level, unsigned long pfn,
			  unsigned long last, struct list_head *tables)
{
	struct dma_pte *first = &table[entry_index(pfn, level)];
	struct dma_pte *end = &table[entry_index(last, level)] + 1;
	unsigned long size = BIT(level_shift(level));
	unsigned long start = round_down(pfn, size);
	long leaves = end - first;
	struct dma_pte *pte;

	for (pte = first; pte < end; pte++, start += size) {
		if (!dma_pte_present(pte)) {
			leaves--;
			continue;
		}
		if (leads_to_table(pte, level)) {
			struct dma_pte *below = phys_to_virt(dma_pte_addr(pte));

			leaves--;
			if (!covers_entry(pfn, last, start, level)) {
				clear_entries(domain, below, level - 1, max(pfn, start), min(last, start + size - 1),
					      tables);
				continue;
			}
			list_tables(domain, below, level - 1, tables);
		} else {
			WARN_ON_ONCE(!covers_entry(pfn, last, start, level));
		}
		set_entry(pte, 0);
	}
	count_leaves(domain, level, -leaves);
	flush_entries(domain, first, end);
}

/**
 * intel_domain_clear() - Clear whatever a range maps
 * @domain: a domain
 * @pfn: first page
 * @last: last page
 * @tables: tables that could map nothing else; to be freed after the flush that the caller owes
 *
 * Pages of the range that are not mapped are skipped; but within a table of pages all of whose range this is, either
 * each page is mapped or none, or leaves are miscounted. A leaf may not reach across an end of the range.
 */
void intel_domain_clear(struct dmar_domain *domain, unsigned long pfn, unsigned long last, struct list_head *tables)
{
	unsigned int level = top_level(domain);
	struct dma_pte *table = domain->pgd;

	/* Most ranges are small, and all in one table a few levels down */
	while (level > 1 && entry_index(pfn, level) == entry_index(last, level)) {
		struct dma_pte *pte = &table[entry_index(pfn, level)];

		if (!leads_to_table(pte, level) ||
		    covers_entry(pfn, last, round_down(pfn, BIT(level_shift(level))), level))
			break;
		table = phys_to_virt(dma_pte_addr(pte));
		level--;
	}
	clear_entries(domain, table, level, pfn, last, tables);

	/*
	 * The flush that follows reads who the domain is attached to. Whoever it does not find there must find these
	 * entries cleared: a device or PASID may be attached while another thread unmaps.
	 */
	smp_mb();
}

/**
 * intel_domain_unmap() - Take out whatever a range maps
 * @domain: a domain
 * @pfn: first page
 * @pages: number of pages, not 0
 *
 * As intel_domain_clear(), with the flush. When this returns no device reaches the range any more.
 */
void intel_domain_unmap(struct dmar_domain *domain, unsigned long pfn, unsigned long pages)
{
	LIST_HEAD(tables);

	intel_domain_clear(domain, pfn, pfn + pages - 1, &tables);
	intel_domain_flush(domain, pfn, pages, list_empty(&tables));
	put_pages_list(&tables);
}

/**
 * intel_domain_leaf() - Find out how a page is mapped
 * @domain: a domain
 * @pfn: page, as the device counts them
 * @level: set to the level of the leaf
 *
 * Return: the leaf, or NULL if the page is not mapped.
 */
struct dma_pte *intel_domain_leaf(struct dmar_domain *domain, unsigned long pfn, int *level)
{
	struct dma_pte *table = domain->pgd;

	if (pfn >> (domain->gaw - VTD_PAGE_SHIFT))
		return NULL;
	for (*level = top_level(domain); ; --*level) {
		struct dma_pte *pte = &table[entry_index(pfn, *level)];

		if (!leads_to_table(pte, *level))
			return dma_pte_present(pte) ? pte : NULL;
		table = phys_to_virt(dma_pte_addr(pte));
	}
}

/**
 * intel_domain_map_identity() - Let the addresses of a range through as they are
 * @domain: a domain in which nothing is mapped there
 * @pfn: first page
 * @pages: number of pages, not 0
 *
 * Return: as intel_domain_map().
 */
int intel_domain_map_identity(struct dmar_domain *domain, unsigned long pfn, unsigned long pages)
{
	struct page_run run = { .pfn = pfn, .npages = pages };
	unsigned long mapped;

	return intel_domain_map(domain, pfn, &run, 1, DMA_PTE_READ | DMA_PTE_WRITE, &mapped);
}

static void raise_max_addr(struct dmar_domain *domain, u64 end)
{
	if (domain->max_addr < end)
		domain->max_addr = end;
}

/**
 * intel_iommu_map_runs() - Operation map_runs of a domain
 * @domain: a domain
 * @iova: where, bytes
 * @runs: what, one after the other
 * @num: number of @runs
 * @iommu_prot: IOMMU_READ and IOMMU_WRITE; others are not looked at
 * @gfp: not looked at: see intel_domain_alloc_table()
 * @mapped: bytes that were mapped, also on failure
 *
 * Return: as intel_domain_map().
 */
int intel_iommu_map_runs(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs, unsigned int num,
			 int iommu_prot, gfp_t gfp, size_t *mapped)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long pages;
	int prot = 0;
	int rc;

	if (iommu_prot & IOMMU_READ)
		prot |= DMA_PTE_READ;
	if (iommu_prot & IOMMU_WRITE)
		prot |= DMA_PTE_WRITE;
	if (dmar_domain->set_pte_snp)
		prot |= DMA_PTE_SNP;

	rc = intel_domain_map(dmar_domain, iova >> VTD_PAGE_SHIFT, runs, num, prot, &pages);
	*mapped = pages << VTD_PAGE_SHIFT;
	raise_max_addr(dmar_domain, iova + *mapped);
	return rc;
}

/**
 * intel_iommu_map_range() - Map a range of addresses
 * @domain: a domain
 * @iova: where, bytes
 * @paddr: first address
 * @size: bytes; @iova, @paddr and this are multiples of a page
 * @iommu_prot: as in intel_iommu_map_runs()
 * @mapped: bytes that were mapped, also on failure
 *
 * Return: as intel_domain_map().
 */
int intel_iommu_map_range(struct iommu_domain *domain, unsigned long iova, phys_addr_t paddr, size_t size,
			  int iommu_prot, size_t *mapped)
{
	struct page_run run = { .pfn = paddr >> VTD_PAGE_SHIFT, .npages = size >> VTD_PAGE_SHIFT };

	return intel_iommu_map_runs(domain, iova, &run, 1, iommu_prot, GFP_KERNEL, mapped);
}

/**
 * intel_iommu_unmap_range() - Operation unmap_range of a domain
 * @domain: a domain
 * @iova: where, bytes
 * @size: bytes, not 0
 */
void intel_iommu_unmap_range(struct iommu_domain *domain, unsigned long iova, size_t size)
{
	intel_domain_unmap(to_dmar_domain(domain), iova >> VTD_PAGE_SHIFT, size >> VTD_PAGE_SHIFT);
}

/**
 * intel_iommu_leaves() - Operation leaves of a domain
 * @domain: a domain
 * @pgsize: bytes
 *
 * Return: how many leaves of this size there are, for one that superpages or pages have; otherwise 0.
 */
unsigned long intel_iommu_leaves(struct iommu_domain *domain, size_t pgsize)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dmar_domain->leaves); i++) {
		if (pgsize == 1ULL << (VTD_PAGE_SHIFT + level_shift(i + 1)))
			return atomic_long_read(&dmar_domain->leaves[i]);
	}
	return 0;
}
