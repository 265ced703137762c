// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm-smmu-v3-table - put runs of pages into the page tables of /dev/iommu's domains, and take ranges out
 *
 * The format is that of VMSAv8-64 (Arm DDI 0487, D8.3), for either stage. io-pgtable-arm.c makes the first table, says
 * what the attributes of a leaf are, looks addresses up and frees what is left in the end. It walks from the top for
 * each run, though, and when a table goes, it waits for the SMMU before it looks at the next one. Here a cursor stays
 * in the table that it found, and a range is flushed once.
 *
 * An entry is cleared first, then everything that the SMMU and the devices remember of it is flushed, and only then is
 * the memory of tables free again. A table goes when a range is all that it can map.
 *
 * How many leaves of each size there are is counted, table by table and not entry by entry.
 *
 * Domains of the kernel's own are left to io-pgtable-arm.c by this file, and not counted.
 *
 * Locking: none. The caller sees to it that nobody else changes the range in this domain. Others may change what lies
 * beside it, in the same tables; so a new table is linked by compare and exchange, and stays when it is linked.
 */
#include <linux/gfp.h>
#include <linux/io-pgtable.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/sched.h>

#include "../../io-pgtable-arm.h"
#include "arm-smmu-v3.h"

#define TABLE_BITS	(PAGE_SHIFT - ilog2(sizeof(u64)))
#define TABLE_ENTRIES	BIT(TABLE_BITS)

#define ENTRY_TYPE	GENMASK_ULL(1, 0)
#define ENTRY_BLOCK	1	/* a leaf of an upper level */
#define ENTRY_TABLE	3	/* in an upper level */
#define ENTRY_PAGE	3	/* in the last one */
#define ENTRY_ADDRESS	GENMASK_ULL(47, PAGE_SHIFT)

/* Commands for single pages that are not worth it: all that is cached of the domain goes instead */
#define MANY_COMMANDS	512

/**
 * struct cursor - Where a map is
 * @domain: whose page table
 * @attributes: of the leaves
 * @gfp: for tables
 * @table: table that was used last, or NULL
 * @shift: what an entry of @table is about
 * @part: addresses that @table is about: those that are equal to it above @shift and the index
 * @counted: bytes of the map whose leaves are counted
 */
struct cursor {
	struct arm_smmu_domain *domain;
	u64 attributes;
	gfp_t gfp;
	u64 *table;
	unsigned int shift;
	unsigned long part;
	size_t counted;
};

/**
 * struct harvest - What an unmap took out
 * @sizes: of the leaves, one bit each; a table counts as all of them
 * @tables: pages to be freed after the flush
 */
struct harvest {
	unsigned long sizes;
	struct list_head tables;
};

/* The first table of stage 2 may have more entries than others */
static unsigned long index_of(const struct smmu_table *t, unsigned long iova, unsigned int shift)
{
	unsigned long index = iova >> shift;

	return shift == t->top ? index : index & (TABLE_ENTRIES - 1);
}

/* Entries up to the end of the table, or of the part of a larger one, that are within a range */
static unsigned int entries_of(unsigned long iova, unsigned long size, unsigned int shift)
{
	return min(size >> shift, TABLE_ENTRIES - ((iova >> shift) & (TABLE_ENTRIES - 1)));
}

static bool is_table(u64 entry, unsigned int shift)
{
	return shift > PAGE_SHIFT && (entry & ENTRY_TYPE) == ENTRY_TABLE;
}

static u64 *table_at(u64 entry)
{
	return phys_to_virt(entry & ENTRY_ADDRESS);
}

/* Leaves that a table got, or lost where negative */
static void count_leaves(struct smmu_table *t, unsigned int shift, long leaves)
{
	if (leaves)
		atomic_long_add(leaves, &t->leaves[(shift - PAGE_SHIFT) / TABLE_BITS]);
}

static u64 link_table(struct cursor *c, u64 *entry)
{
	struct io_pgtable_cfg *cfg = &io_pgtable_ops_to_pgtable(c->domain->pgtbl_ops)->cfg;
	gfp_t gfp = c->gfp | __GFP_ZERO | (cfg->charge ? __GFP_ACCOUNT : 0);
	struct page *page = alloc_pages_node(dev_to_node(cfg->iommu_dev), gfp, 0);
	u64 old, new;

	if (!page)
		return 0;
	new = page_to_phys(page) | ENTRY_TABLE;
	/* The SMMU must not find what the page held before */
	dma_wmb();
	old = cmpxchg64_relaxed(entry, 0, new);
	if (!old)
		return new;
	__free_page(page);
	return old;
}

/* What the table got in which the cursor is, of a map that has come to @mapped bytes */
static void count_mapped(struct cursor *c, size_t mapped)
{
	if (!c->table)
		return;
	count_leaves(&c->domain->table, c->shift, (mapped - c->counted) >> c->shift);
	c->counted = mapped;
}

/* Move to the table whose entries of size @shift are about @iova */
static int seek(struct cursor *c, unsigned long iova, unsigned int shift)
{
	const struct smmu_table *t = &c->domain->table;
	unsigned int level;
	u64 *table = t->root, entry;

	for (level = t->top; level > shift; level -= TABLE_BITS) {
		u64 *at = table + index_of(t, iova, level);

		entry = READ_ONCE(*at);
		if (!entry)
			entry = link_table(c, at);
		if (!entry)
			return -ENOMEM;
		if (!is_table(entry, level))
			return -EEXIST;
		table = table_at(entry);
	}
	c->table = table;
	c->shift = shift;
	c->part = iova >> shift >> TABLE_BITS;
	return 0;
}

/* Nothing is mapped where @entry leads, but a table stayed from when there was */
static int make_room(struct cursor *c, unsigned long iova, u64 entry)
{
	if (!is_table(entry, c->shift))
		return -EEXIST;
	smmu_unmap_range(&c->domain->domain, iova, BIT(c->shift));
	return 0;
}

static int map_run(struct cursor *c, unsigned long iova, phys_addr_t phys, unsigned long size, size_t *mapped)
{
	unsigned long page_sizes = c->domain->domain.pgsize_bitmap;
	const struct smmu_table *t = &c->domain->table;

	if ((iova + size - 1) >> t->input_bits || (phys + size - 1) >> t->output_bits)
		return -ERANGE;
	while (size) {
		unsigned int largest = min(__ffs(iova | phys), __fls(size));
		unsigned int shift = __fls(page_sizes & GENMASK(largest, 0)), i, n;
		u64 leaf = c->attributes | (shift == PAGE_SHIFT ? ENTRY_PAGE : ENTRY_BLOCK), *entry;
		int rc = 0;

		if (!c->table || c->shift != shift || c->part != iova >> shift >> TABLE_BITS) {
			count_mapped(c, *mapped);
			rc = seek(c, iova, shift);
		}
		if (rc)
			return rc;
		n = entries_of(iova, size, shift);
		entry = c->table + index_of(t, iova, shift);
		for (i = 0; i < n; i++) {
			if (unlikely(entry[i]))
				rc = make_room(c, iova, entry[i]);
			if (rc)
				return rc;
			WRITE_ONCE(entry[i], phys | leaf);
			iova += BIT(shift);
			phys += BIT(shift);
			size -= BIT(shift);
			*mapped += BIT(shift);
		}
		/* A run may be long, and its place such that it becomes small pages */
		if (size && gfpflags_allow_blocking(c->gfp))
			cond_resched();
	}
	return 0;
}

/* Run by run, by io-pgtable-arm.c */
static int map_by_library(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs,
			  unsigned int num, int prot, size_t *mapped)
{
	int rc = 0;

	for (; num && !rc; runs++, num--) {
		rc = iommu_map(domain, iova + *mapped, PFN_PHYS(runs->pfn), runs->npages << PAGE_SHIFT, prot);
		if (!rc)
			*mapped += runs->npages << PAGE_SHIFT;
	}
	return rc;
}

/**
 * smmu_map_runs() - Map runs of pages one behind the other
 * @domain: paging domain that is complete
 * @iova: first IOVA, aligned to a page; nothing is mapped from there on
 * @runs: the runs
 * @num: how many
 * @prot: IOMMU_READ and so on, one of IOMMU_READ and IOMMU_WRITE at least
 * @gfp: for tables
 * @mapped: set to the bytes that are mapped, also after an error
 *
 * A run becomes leaves as large as its place and its length allow; runs are not joined.
 *
 * Context: Sleeps if @gfp may.
 * Return: 0; -ENOMEM; -EEXIST when something is mapped already; -ERANGE when the table cannot hold an address; or
 * -EINVAL for @prot.
 */
int smmu_map_runs(struct iommu_domain *domain, unsigned long iova, const struct page_run *runs, unsigned int num,
		  int prot, gfp_t gfp, size_t *mapped)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain(domain);
	struct cursor c = { .domain = smmu_domain, .gfp = gfp };
	unsigned int i;
	int rc = 0;

	*mapped = 0;
	if (!smmu_domain->table.root)
		return map_by_library(domain, iova, runs, num, prot, mapped);
	if (!(prot & (IOMMU_READ | IOMMU_WRITE)))
		return -EINVAL;
	c.attributes = arm_lpae_leaf_attributes(smmu_domain->pgtbl_ops, prot);
	for (i = 0; i < num && !rc; i++)
		rc = map_run(&c, iova + *mapped, PFN_PHYS(runs[i].pfn), runs[i].npages << PAGE_SHIFT, mapped);
	count_mapped(&c, *mapped);
	/* A device may be told to use the mapping right after this; that it was unmapped the SMMU never remembers */
	wmb();
	return rc;
}

/* Everything below an entry that leads to a table */
static void collect(struct smmu_table *t, struct harvest *harvest, u64 entry, unsigned int shift)
{
	u64 *table = table_at(entry);
	unsigned int i;
	long leaves = 0;

	shift -= TABLE_BITS;
	for (i = 0; shift > PAGE_SHIFT && i < TABLE_ENTRIES; i++) {
		if (is_table(table[i], shift))
			collect(t, harvest, table[i], shift);
		else if (table[i])
			leaves++;
	}
	/* All that it can map was put in as a whole, or nothing is left of it: one entry tells which */
	if (shift == PAGE_SHIFT && table[0])
		leaves = TABLE_ENTRIES;
	count_leaves(t, shift, -leaves);
	list_add(&virt_to_page(table)->lru, &harvest->tables);
}

/* Clear entries of one table, or find none. Returns how many bytes of the range were dealt with. */
static unsigned long clear_some(struct smmu_table *t, unsigned long iova, unsigned long size, struct harvest *harvest)
{
	unsigned int shift = t->top, i, n;
	long leaves;
	u64 *table = t->root, *at, entry;

	for (;;) {
		at = table + index_of(t, iova, shift);
		entry = READ_ONCE(*at);
		n = entries_of(iova, size, shift);
		if (!is_table(entry, shift) || (n && !(iova & (BIT(shift) - 1))))
			break;
		table = table_at(entry);
		shift -= TABLE_BITS;
	}
	/* An entry that reaches across an end of the range is an empty one */
	if (!n || iova & (BIT(shift) - 1))
		return min(size, BIT(shift) - (iova & (BIT(shift) - 1)));

	leaves = n;
	for (i = 0; i < n; i++) {
		entry = READ_ONCE(at[i]);
		if (!entry) {
			leaves--;
			continue;
		}
		WRITE_ONCE(at[i], 0);
		harvest->sizes |= BIT(shift);
		if (!is_table(entry, shift))
			continue;
		leaves--;
		harvest->sizes |= BIT(shift - TABLE_BITS);
		collect(t, harvest, entry, shift);
	}
	count_leaves(t, shift, -leaves);
	return (unsigned long)n << shift;
}

/*
 * When all leaves have the same size the SMMU is told which, and keeps what it remembers of tables. IHI 0070, 4.4.1:
 * without range invalidation it takes one command a page.
 */
static void flush(struct arm_smmu_domain *domain, unsigned long iova, unsigned long size, unsigned long sizes)
{
	bool leaf = is_power_of_2(sizes);
	unsigned long granule = leaf ? sizes : PAGE_SIZE;

	if (!(domain->smmu->features & ARM_SMMU_FEAT_RANGE_INV) && size / granule > MANY_COMMANDS)
		arm_smmu_tlb_inv_context(domain);
	else
		arm_smmu_tlb_inv_range_domain(iova, size, granule, leaf, domain);
}

/**
 * smmu_unmap_range() - Take out whatever a range maps
 * @domain: paging domain that is complete
 * @iova: first IOVA, aligned to a page
 * @size: bytes, pages; no leaf reaches across an end, and where the range has all that a table of pages can map, either
 *	each page is mapped or none, or leaves are miscounted
 *
 * When this returns no device reaches the range any more. Cannot fail.
 *
 * Context: May sleep.
 */
void smmu_unmap_range(struct iommu_domain *domain, unsigned long iova, size_t size)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain(domain);
	struct harvest harvest = { .tables = LIST_HEAD_INIT(harvest.tables) };
	size_t done = 0;

	if (!smmu_domain->table.root) {
		iommu_unmap(domain, iova, size);
		return;
	}
	for (;;) {
		done += clear_some(&smmu_domain->table, iova + done, size - done, &harvest);
		if (done == size)
			break;
		cond_resched();
	}
	if (!harvest.sizes)
		return;
	flush(smmu_domain, iova, size, harvest.sizes);
	put_pages_list(&harvest.tables);
}

/**
 * smmu_map_pages() - Operation map_pages, by io-pgtable-arm.c
 * @domain: paging domain
 * @iova: first IOVA
 * @phys: where it leads to
 * @pgsize: bytes of a leaf
 * @pgcount: how many
 * @prot: IOMMU_READ and so on
 * @gfp: for tables
 * @mapped: bytes that were mapped are added, also after an error
 *
 * Return: 0; -ENODEV for a domain that is not complete; or what io-pgtable-arm.c says.
 */
int smmu_map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys, size_t pgsize, size_t pgcount,
		   int prot, gfp_t gfp, size_t *mapped)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain(domain);
	struct io_pgtable_ops *ops = smmu_domain->pgtbl_ops;
	size_t before = *mapped;
	int rc;

	if (!ops)
		return -ENODEV;
	rc = ops->map_pages(ops, iova, phys, pgsize, pgcount, prot, gfp, mapped);
	if (smmu_domain->table.root)
		count_leaves(&smmu_domain->table, __ffs(pgsize), (*mapped - before) >> __ffs(pgsize));
	return rc;
}

/* Before the library clears a range: it does not tell what it finds there */
static void uncount(struct smmu_table *t, unsigned long iova, unsigned long last)
{
	for (;;) {
		unsigned int shift = t->top;
		u64 *table = t->root, entry;

		for (;;) {
			entry = READ_ONCE(table[index_of(t, iova, shift)]);
			if (!is_table(entry, shift))
				break;
			table = table_at(entry);
			shift -= TABLE_BITS;
		}
		if (entry)
			count_leaves(t, shift, -1);
		iova |= BIT(shift) - 1;
		if (iova >= last)
			break;
		iova++;
	}
}

/**
 * smmu_unmap_pages() - Operation unmap_pages, by io-pgtable-arm.c
 * @domain: paging domain
 * @iova: first IOVA
 * @pgsize: bytes of a page
 * @pgcount: how many; all are mapped
 * @gather: takes note of what is to be flushed
 *
 * Return: bytes that were unmapped; 0 for a domain that is not complete.
 */
size_t smmu_unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize, size_t pgcount,
			struct iommu_iotlb_gather *gather)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain(domain);
	struct io_pgtable_ops *ops = smmu_domain->pgtbl_ops;
	size_t done;

	if (!ops)
		return 0;
	if (!smmu_domain->table.root)
		return ops->unmap_pages(ops, iova, pgsize, pgcount, gather);
	/* One by one, as the library may stop in between, where a table ends */
	for (done = 0; pgcount; pgcount--, done += pgsize) {
		uncount(&smmu_domain->table, iova + done, iova + done + pgsize - 1);
		if (ops->unmap_pages(ops, iova + done, pgsize, 1, gather) != pgsize)
			break;
	}
	return done;
}

/**
 * smmu_leaves() - Operation leaves of a domain
 * @domain: a domain
 * @pgsize: bytes
 *
 * Return: how many leaves of this size there are; 0 for other sizes than those of pages and blocks, and for a domain
 * whose leaves are not counted.
 */
unsigned long smmu_leaves(struct iommu_domain *domain, size_t pgsize)
{
	struct smmu_table *t = &to_smmu_domain(domain)->table;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t->leaves); i++) {
		if (pgsize == PAGE_SIZE << i * TABLE_BITS)
			return atomic_long_read(&t->leaves[i]);
	}
	return 0;
}

/**
 * smmu_table_open() - Let this file write the page table of a domain
 * @domain: paging domain that is complete
 *
 * Not where the SMMU does not see what is in the caches of CPUs, or has other pages or longer addresses: such a table
 * is left to io-pgtable-arm.c.
 */
void smmu_table_open(struct arm_smmu_domain *domain)
{
	struct io_pgtable_cfg *cfg = &io_pgtable_ops_to_pgtable(domain->pgtbl_ops)->cfg;
	int level;

	if (!cfg->coherent_walk || cfg->oas > 48 || BIT(__ffs(cfg->pgsize_bitmap)) != PAGE_SIZE)
		return;
	domain->table.root = arm_lpae_first_table(domain->pgtbl_ops, &level);
	domain->table.top = PAGE_SHIFT + (3 - level) * TABLE_BITS;
	domain->table.input_bits = cfg->ias;
	domain->table.output_bits = cfg->oas;
}
