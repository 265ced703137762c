// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_file - pages of a shmem or hugetlbfs file, pinned for as long as a device may use them
 *
 * Pages are found in the file's page cache and made there when they are missing, one look-up a folio; no process has to
 * map them. A page is taken under its folio's lock, so it belonged to the file at that moment. When the file is
 * truncated later the device keeps the page, and the file has another one or none.
 *
 * The pins are those of pin_user_pages(): unpin_runs() releases them.
 *
 * Locking: takes folio locks, for a missing huge page also the inode's lock; the caller holds neither.
 */
#include <linux/export.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/pagemap.h>
#include <linux/pin_file.h>
#include <linux/pin_run.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <uapi/linux/fcntl.h>

#include "internal.h"

/**
 * pin_file_open() - May the holder of a file let a device at its pages?
 * @file: file
 * @writable: the device may write
 *
 * The rules are those of a shared mapping. With @writable the file cannot get F_SEAL_WRITE until pin_file_close().
 *
 * Return: 0; -EINVAL if the file is neither shmem nor hugetlbfs; -EPERM if it was not opened for reading, or with
 * @writable not for writing, or is sealed against that.
 */
int pin_file_open(struct file *file, bool writable)
{
	if (!shmem_file(file) && !is_file_hugepages(file))
		return -EINVAL;
	if (!(file->f_mode & FMODE_READ))
		return -EPERM;
	if (!writable)
		return 0;
	if (!(file->f_mode & FMODE_WRITE) || (memfd_file_seals(file) & F_SEAL_FUTURE_WRITE))
		return -EPERM;
	return mapping_map_writable(file->f_mapping);
}
EXPORT_SYMBOL_GPL(pin_file_open);

/**
 * pin_file_close() - Undo pin_file_open()
 * @file: file; its pages are not pinned any more
 * @writable: as it was opened
 */
void pin_file_close(struct file *file, bool writable)
{
	if (writable)
		mapping_unmap_writable(file->f_mapping);
}
EXPORT_SYMBOL_GPL(pin_file_close);

static bool beyond_end(struct file *file, pgoff_t index)
{
	return index >= DIV_ROUND_UP(i_size_read(file->f_mapping->host), PAGE_SIZE);
}

static struct folio *lock_shmem_folio(struct file *file, pgoff_t index)
{
	struct folio *folio;
	int rc = shmem_get_folio(file->f_mapping->host, index, &folio, SGP_CACHE);

	return rc ? ERR_PTR(rc) : folio;
}

/* @index counts huge pages */
static struct folio *lock_huge_folio(struct file *file, pgoff_t index)
{
	struct hstate *h = hstate_file(file);
	struct folio *folio;
	int rc;

	while (!(folio = filemap_lock_folio(file->f_mapping, index))) {
		if (fatal_signal_pending(current))
			return ERR_PTR(-EINTR);
		/* The file's own way to make a page: it needs no right to write, and keeps reservations as they are */
		rc = file->f_op->fallocate(file, FALLOC_FL_KEEP_SIZE, (loff_t)index << huge_page_shift(h),
					   huge_page_size(h));
		if (rc)
			return ERR_PTR(rc);
	}
	return folio;
}

/* The locked folio that holds page @index of the file, with a reference; @offset: which of its pages that is */
static struct folio *lock_folio(struct file *file, pgoff_t index, unsigned long *offset)
{
	struct folio *folio;

	if (is_file_hugepages(file)) {
		unsigned int order = huge_page_order(hstate_file(file));

		*offset = index & ((1UL << order) - 1);
		return lock_huge_folio(file, index >> order);
	}
	folio = lock_shmem_folio(file, index);
	if (!IS_ERR(folio))
		*offset = index - folio->index;
	return folio;
}

static bool has_failed_page(struct folio *folio, struct page *page, unsigned long npages)
{
	unsigned long i;

	if (folio_test_hugetlb(folio))
		return PageHWPoison(&folio->page);
	if (folio_test_large(folio) && !folio_test_has_hwpoisoned(folio))
		return false;
	for (i = 0; i < npages; i++)
		if (PageHWPoison(nth_page(page, i)))
			return true;
	return false;
}

/* Pin pages of the locked @folio */
static int pin_in_folio(struct folio *folio, struct page *page, unsigned long npages)
{
	if (has_failed_page(folio, page, npages))
		return -EHWPOISON;
	/* A pin counts 1024 on a single page: enough of them would overflow its counter */
	if ((unsigned int)folio_ref_count(folio) > INT_MAX / 2 || !try_grab_folio(page, npages, FOLL_PIN))
		return -ENOMEM;
	return 0;
}

/*
 * Pin what one folio has from @index on, at most @npages pages, as one run. Of a folio that must stay movable only the
 * first page is pinned, which is all that it takes to move the folio away; -EAGAIN says that this is done.
 */
static int pin_one_run(struct file *file, pgoff_t index, unsigned long npages, struct page_run *run)
{
	unsigned long offset;
	struct folio *folio;
	struct page *page;
	bool movable;
	int rc;

	if (beyond_end(file, index))
		return -EINVAL;
	folio = lock_folio(file, index, &offset);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	page = folio_page(folio, offset);
	movable = !folio_is_longterm_pinnable(folio);
	npages = movable ? 1 : min(npages, folio_nr_pages(folio) - offset);
	/* Truncation may have overtaken the look-up, but the lock keeps it away now */
	rc = beyond_end(file, index) ? -EINVAL : pin_in_folio(folio, page, npages);
	folio_unlock(folio);
	folio_put(folio);
	if (rc)
		return rc;

	*run = (struct page_run){ .pfn = page_to_pfn(page), .npages = npages };
	return movable ? check_and_migrate_movable_pages(1, &page) : 0;
}

static int pin_range(struct file *file, pgoff_t index, unsigned long npages, struct page_run *runs, unsigned int max,
		     unsigned int *num, unsigned long *done)
{
	struct page_run run;
	int rc;

	while (*done < npages) {
		if (fatal_signal_pending(current))
			return -EINTR;
		rc = pin_one_run(file, index + *done, npages - *done, &run);
		cond_resched();
		if (rc == -EAGAIN)
			continue;
		if (rc)
			return rc;
		if (!page_runs_add(runs, num, max, run.pfn, run.npages)) {
			unpin_runs(&run, 1, false);
			return 0;
		}
		*done += run.npages;
	}
	return 0;
}

static int to_documented_errno(int rc)
{
	switch (rc) {
	case -EINVAL:
	case -EINTR:
		return rc;
	case -ENOSPC:	/* no huge page left, or the file system is full */
	case -ENOMEM:
		return -ENOMEM;
	}
	return -EFAULT;
}

/**
 * pin_file_runs() - Pin pages of a file for as long as a device may use them
 * @file: file, between pin_file_open() and pin_file_close()
 * @index: first page, in units of PAGE_SIZE also for huge pages
 * @npages: how many, above 0
 * @runs: out: where the pages are, in the order of the file
 * @max: how many runs there is room for, above 0
 * @num: out: how many there are
 *
 * Pages that the file does not have yet are made. A page that must stay movable (CMA, ZONE_MOVABLE) is replaced in the
 * file by one that need not.
 *
 * Return: how many pages were pinned, at least 1 and perhaps fewer than asked for, or -errno: -EINVAL if the file ends
 * before @index, -ENOMEM (also: no huge page, file system full, not movable now), -EFAULT (memory failure, or the page
 * could not be read back from swap), -EINTR (the caller is being killed; for a missing huge page: has a signal).
 */
long pin_file_runs(struct file *file, pgoff_t index, unsigned long npages, struct page_run *runs, unsigned int max,
		   unsigned int *num)
{
	unsigned long done = 0;
	unsigned int flags;
	int rc;

	*num = 0;
	flags = memalloc_pin_save();
	rc = pin_range(file, index, npages, runs, max, num, &done);
	memalloc_pin_restore(flags);
	return done ? done : to_documented_errno(rc);
}
EXPORT_SYMBOL_GPL(pin_file_runs);
