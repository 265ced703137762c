/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_SELFTEST_MOCK_TABLE_H
#define __IOMMUFD_SELFTEST_MOCK_TABLE_H

#include <linux/mutex.h>
#include <linux/types.h>

/* Leaves may have any power of two from 2 KiB to 64 GiB */
#define MOCK_LEAF_ORDER_MIN	11
#define MOCK_LEAF_ORDER_MAX	36

/**
 * struct mock_table - A page table
 * @lock: covers everything in @top, and changes of @leaves
 * @top: table of the highest level
 * @leaves: how many there are of each order
 */
struct mock_table {
	struct mutex lock;	/* top, leaves */
	u64 *top;
	unsigned long leaves[MOCK_LEAF_ORDER_MAX + 1];
};

int mock_table_init(struct mock_table *table);
void mock_table_destroy(struct mock_table *table);
int mock_table_map(struct mock_table *table, u64 iova, phys_addr_t phys, unsigned int order, gfp_t gfp);
u64 mock_table_unmap(struct mock_table *table, u64 iova, u64 length);
phys_addr_t mock_table_phys(struct mock_table *table, u64 iova);
unsigned long mock_table_leaves(struct mock_table *table, unsigned int order);

#endif
