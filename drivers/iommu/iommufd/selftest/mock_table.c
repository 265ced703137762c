// SPDX-License-Identifier: GPL-2.0-only
/*
 * mock_table - the format of the mock IOMMU's page tables
 *
 * A radix tree of three levels with 512 entries each, which translates 38 bits. An entry is 0, or the address of a
 * table of the next level, or part of a leaf:
 *
 *	bit 0		it is a leaf
 *	bits 2..7	order of the leaf: log2 of its bytes
 *	bits 11..50	where the leaf begins in physical memory
 *
 * A leaf may have any power of two. It stands in the highest level whose entries it fills, equal in each of them; so
 * whatever is recorded for a leaf is found at its first entry.
 *
 * Tables stay until a leaf wants their place or the whole tree goes, because unmapping must not fail and mapping the
 * same range again is what the tests do most.
 */
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mock_table.h"

#define LEVELS		3
#define LEVEL_BITS	9
#define ENTRIES		BIT(LEVEL_BITS)
#define INPUT_BITS	(MOCK_LEAF_ORDER_MIN + LEVELS * LEVEL_BITS)

#define ENTRY_LEAF	BIT_ULL(0)
#define ENTRY_ORDER	GENMASK_ULL(7, 2)
#define ENTRY_PHYS	GENMASK_ULL(50, 11)

/* log2 of the bytes that one entry translates */
static unsigned int level_order(unsigned int level)
{
	return MOCK_LEAF_ORDER_MIN + level * LEVEL_BITS;
}

static unsigned int index_of(u64 iova, unsigned int level)
{
	return (iova >> level_order(level)) & (ENTRIES - 1);
}

static u64 *alloc_entries(gfp_t gfp)
{
	return kzalloc(ENTRIES * sizeof(u64), gfp | __GFP_ACCOUNT);
}

static u64 *entry_table(u64 entry)
{
	return (u64 *)(uintptr_t)entry;
}

static u64 leaf_entry(phys_addr_t phys, unsigned int order)
{
	return phys | FIELD_PREP(ENTRY_ORDER, order) | ENTRY_LEAF;
}

static unsigned int leaf_order(u64 leaf)
{
	return FIELD_GET(ENTRY_ORDER, leaf);
}

/* Is there no leaf in an entry of @level or below it? */
static bool entry_empty(u64 entry, unsigned int level)
{
	unsigned int i;

	if (!entry || (entry & ENTRY_LEAF))
		return !entry;
	for (i = 0; i < ENTRIES; i++) {
		if (!entry_empty(entry_table(entry)[i], level - 1))
			return false;
	}
	return true;
}

/* Free the tables below an entry of @level */
static void entry_free(u64 entry, unsigned int level)
{
	unsigned int i;

	if (!entry || (entry & ENTRY_LEAF))
		return;
	for (i = 0; level > 1 && i < ENTRIES; i++)
		entry_free(entry_table(entry)[i], level - 1);
	kfree(entry_table(entry));
}

/**
 * mock_table_init() - Make an empty page table
 * @table: structure to fill in
 *
 * Return: 0, or -ENOMEM.
 */
int mock_table_init(struct mock_table *table)
{
	mutex_init(&table->lock);
	table->top = alloc_entries(GFP_KERNEL);
	return table->top ? 0 : -ENOMEM;
}

/**
 * mock_table_destroy() - Free a page table
 * @table: page table from which everything was unmapped
 */
void mock_table_destroy(struct mock_table *table)
{
	u64 top = (uintptr_t)table->top;

	WARN_ON(!entry_empty(top, LEVELS));
	entry_free(top, LEVELS);
	mutex_destroy(&table->lock);
}

/* The table of @level for an address, made if need be */
static u64 *get_table(struct mock_table *table, u64 iova, unsigned int level, gfp_t gfp)
{
	u64 *entries = table->top;
	unsigned int l;

	for (l = LEVELS - 1; l > level; l--) {
		u64 *entry = &entries[index_of(iova, l)];

		if (WARN_ON(*entry & ENTRY_LEAF))
			return ERR_PTR(-EEXIST);
		if (!*entry)
			*entry = (uintptr_t)alloc_entries(gfp);
		if (!*entry)
			return ERR_PTR(-ENOMEM);
		entries = entry_table(*entry);
	}
	return entries;
}

static int map_leaf(struct mock_table *table, u64 iova, phys_addr_t phys, unsigned int order, gfp_t gfp)
{
	unsigned int level = (order - MOCK_LEAF_ORDER_MIN) / LEVEL_BITS;
	unsigned int n = 1U << (order - level_order(level));
	u64 *entries = get_table(table, iova, level, gfp);
	unsigned int i;

	if (IS_ERR(entries))
		return PTR_ERR(entries);
	entries += index_of(iova, level);
	for (i = 0; i < n; i++) {
		if (WARN_ON(!entry_empty(entries[i], level)))
			return -EEXIST;
	}
	for (i = 0; i < n; i++) {
		entry_free(entries[i], level);
		entries[i] = leaf_entry(phys, order);
	}
	WRITE_ONCE(table->leaves[order], table->leaves[order] + 1);
	return 0;
}

/**
 * mock_table_map() - Add one leaf
 * @table: page table
 * @iova: first address, a multiple of the leaf's size
 * @phys: where it leads to, likewise
 * @order: log2 of the leaf's size, bytes
 * @gfp: how to allocate tables
 *
 * Return: 0, or with nothing changed -ENOMEM; -ERANGE if the format has no room for an address; -EEXIST if something is
 * mapped there.
 */
int mock_table_map(struct mock_table *table, u64 iova, phys_addr_t phys, unsigned int order, gfp_t gfp)
{
	int rc;

	if (WARN_ON(iova >> INPUT_BITS || (phys & ~ENTRY_PHYS)))
		return -ERANGE;
	mutex_lock(&table->lock);
	rc = map_leaf(table, iova, phys, order, gfp);
	mutex_unlock(&table->lock);
	return rc;
}

/* The entry that translates an address, and its level; NULL if there is none */
static u64 *find_leaf(struct mock_table *table, u64 iova, unsigned int *level)
{
	u64 *entries = table->top;

	if (iova >> INPUT_BITS)
		return NULL;
	for (*level = LEVELS - 1; ; --*level) {
		u64 *entry = &entries[index_of(iova, *level)];

		if (!*entry)
			return NULL;
		if (*entry & ENTRY_LEAF)
			return entry;
		entries = entry_table(*entry);
	}
}

/**
 * mock_table_unmap() - Remove leaves
 * @table: page table
 * @iova: first address of a leaf
 * @length: bytes; a leaf that begins before the end is removed whole
 *
 * Return: bytes removed; less than @length if not all of it was mapped, more if the last leaf was longer.
 */
u64 mock_table_unmap(struct mock_table *table, u64 iova, u64 length)
{
	unsigned int level, order;
	u64 *entry, done = 0;

	mutex_lock(&table->lock);
	while (done < length) {
		entry = find_leaf(table, iova + done, &level);
		if (!entry)
			break;
		order = leaf_order(*entry);
		if (WARN_ON((iova + done) & (BIT_ULL(order) - 1)))
			break;
		memset64(entry, 0, 1U << (order - level_order(level)));
		WRITE_ONCE(table->leaves[order], table->leaves[order] - 1);
		done += BIT_ULL(order);
	}
	mutex_unlock(&table->lock);
	return done;
}

/**
 * mock_table_phys() - Translate an address as a device would
 * @table: page table
 * @iova: any address
 *
 * Return: the physical address, or 0 where nothing is mapped.
 */
phys_addr_t mock_table_phys(struct mock_table *table, u64 iova)
{
	phys_addr_t phys = 0;
	unsigned int level;
	u64 *entry;

	mutex_lock(&table->lock);
	entry = find_leaf(table, iova, &level);
	if (entry)
		phys = (*entry & ENTRY_PHYS) | (iova & (BIT_ULL(leaf_order(*entry)) - 1));
	mutex_unlock(&table->lock);
	return phys;
}

/**
 * mock_table_leaves() - Count leaves
 * @table: page table
 * @order: log2 of their size, bytes; not above MOCK_LEAF_ORDER_MAX
 *
 * Return: how many there are, or were a moment ago.
 */
unsigned long mock_table_leaves(struct mock_table *table, unsigned int order)
{
	return READ_ONCE(table->leaves[order]);
}
