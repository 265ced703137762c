// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_run - memory of a process, pinned for as long as a device may use it, by runs of pages
 *
 * The pins are those of pin_user_pages(): one for each page, whatever folio it belongs to.
 *
 * Locking: for another process than the caller's, the caller holds its mmap_lock.
 */
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/pin_run.h>

#include "internal.h"

/* Pages asked for in one go */
#define BATCH 64U

/**
 * pin_user_runs() - Pin pages of a process for as long as a device may use them
 * @mm: the process's memory; mmap_lock held unless it is that of the caller
 * @uaddr: user address of the first page, page aligned
 * @npages: how many, above 0
 * @gup_flags: FOLL_WRITE, FOLL_FORCE as for pin_user_pages(); FOLL_LONGTERM is implied
 * @runs: out: where the pages are, in the order of their addresses
 * @max: how many runs there is room for, above 0
 * @num: out: how many there are
 *
 * Return: how many pages were pinned, at least 1 and perhaps fewer than asked for, or -errno of pin_user_pages().
 */
long pin_user_runs(struct mm_struct *mm, unsigned long uaddr, unsigned long npages, unsigned int gup_flags,
		   struct page_run *runs, unsigned int max, unsigned int *num)
{
	struct page *pages[BATCH];
	long n, i;

	npages = min3(npages, (unsigned long)max, (unsigned long)BATCH);
	gup_flags |= FOLL_LONGTERM;
	*num = 0;
	if (mm == current->mm)
		n = pin_user_pages_fast(uaddr, npages, gup_flags, pages);
	else
		n = pin_user_pages_remote(mm, uaddr, npages, gup_flags, pages, NULL, NULL);
	for (i = 0; i < n; i++)
		page_runs_add(runs, num, max, page_to_pfn(pages[i]), 1);
	return n ? n : -EFAULT;
}
EXPORT_SYMBOL_GPL(pin_user_runs);

/**
 * unpin_runs() - Undo pin_user_runs() or pin_file_runs()
 * @runs: runs; they need not be the ones that were pinned together, only pages that are pinned
 * @num: how many
 * @dirty: a device may have written to them
 */
void unpin_runs(const struct page_run *runs, unsigned int num, bool dirty)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		unpin_user_page_range_dirty_lock(pfn_to_page(runs[i].pfn), runs[i].npages, dirty);
}
EXPORT_SYMBOL_GPL(unpin_runs);
