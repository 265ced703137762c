/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs of physically contiguous pages: what memory is pinned, remembered, mapped and unpinned by.
 */
#ifndef __LINUX_PAGE_RUN_H
#define __LINUX_PAGE_RUN_H

#include <linux/types.h>

/**
 * struct page_run - Physically contiguous pages
 * @pfn: the first one
 * @npages: how many, above 0, in units of PAGE_SIZE
 */
struct page_run {
	unsigned long pfn;
	unsigned long npages;
};

/**
 * page_runs_add() - Append pages to an array of runs
 * @runs: array
 * @num: how many runs it has; one more afterwards, unless the pages go on where the last run ends
 * @max: how many it has room for
 * @pfn: first page
 * @npages: how many
 *
 * Return: true; false with nothing changed if there is no room.
 */
static inline bool page_runs_add(struct page_run *runs, unsigned int *num, unsigned int max, unsigned long pfn,
				 unsigned long npages)
{
	if (*num && runs[*num - 1].pfn + runs[*num - 1].npages == pfn) {
		runs[*num - 1].npages += npages;
		return true;
	}
	if (*num == max)
		return false;
	runs[(*num)++] = (struct page_run){ .pfn = pfn, .npages = npages };
	return true;
}

#endif
