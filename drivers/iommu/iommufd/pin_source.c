// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_source - page index to pinned page
 *
 * Today a source is a stretch of a process's memory. It may be asked for pages by another process (a child that
 * inherited the file descriptor), and after its own process is gone; then there is nothing left to pin.
 *
 * This file knows neither who pays nor where a page is remembered.
 *
 * Locking: takes mmap_lock of the source's process; the caller must not hold it.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "pin_source.h"

/**
 * pin_source_open_user() - Make a source of the calling process's memory
 * @source: filled in; a reference on the mm is held until pin_source_close()
 * @uaddr: user address of the first page, page aligned
 * @npages: how many pages
 * @writable: a device may write to them
 */
void pin_source_open_user(struct pin_source *source, unsigned long uaddr, unsigned long npages, bool writable)
{
	mmgrab(current->mm);
	source->mm = current->mm;
	source->uaddr = uaddr;
	source->npages = npages;
	source->writable = writable;
}

/**
 * pin_source_close() - Let go of the memory's owner
 * @source: no page of it is pinned any more
 */
void pin_source_close(struct pin_source *source)
{
	mmdrop(source->mm);
}

/*
 * Flags for memory that a device only reads, and in @npages how far they hold. A private mapping is pinned the way a
 * writer would, so that it gets its own copy now: Linux 6.1 does that by itself for anonymous memory only, and with a
 * plain pin of a private file page or of the zero page the device would go on reading the old page after the process
 * wrote to it. A shared mapping has no copy that could part from the original.
 */
static unsigned int read_flags(struct mm_struct *mm, unsigned long uaddr, unsigned long *npages)
{
	struct vm_area_struct *vma = vma_lookup(mm, uaddr);

	mmap_assert_locked(mm);
	if (!vma)
		return 0;
	*npages = min(*npages, (vma->vm_end - uaddr) >> PAGE_SHIFT);
	/* Forced writing passes over missing rights to read as well: memory nobody may read is left to be refused */
	return (vma->vm_flags & VM_READ) && is_cow_mapping(vma->vm_flags) ? FOLL_WRITE | FOLL_FORCE : 0;
}

/**
 * pin_source_pin() - Pin pages for as long as a device may use them
 * @source: where they come from
 * @index: first page
 * @npages: how many, above 0; @index + @npages is within the source
 * @pages: out: the pages
 *
 * Return: how many pages were pinned, at least 1 and perhaps fewer than asked for, or -errno: -EFAULT when nothing
 * usable is mapped there or its process is gone, -ENOMEM, -EINTR.
 */
long pin_source_pin(struct pin_source *source, unsigned long index, unsigned long npages, struct page **pages)
{
	unsigned long uaddr = source->uaddr + (index << PAGE_SHIFT);
	unsigned int gup_flags = FOLL_LONGTERM | FOLL_WRITE;
	struct mm_struct *mm = source->mm;
	long pinned = -EINTR;

	if (source->writable && mm == current->mm) {
		pinned = pin_user_pages_fast(uaddr, npages, gup_flags, pages);
		return pinned ? pinned : -EFAULT;
	}

	if (!mmget_not_zero(mm))
		return -EFAULT;
	if (!mmap_read_lock_killable(mm)) {
		if (!source->writable)
			gup_flags = FOLL_LONGTERM | read_flags(mm, uaddr, &npages);
		/* In 6.1 a long-term pin may not let go of the lock on the way */
		pinned = pin_user_pages_remote(mm, uaddr, npages, gup_flags, pages, NULL, NULL);
		mmap_read_unlock(mm);
	}
	/* If this was the last user of the mm, its teardown need not run under the locks that are held here */
	mmput_async(mm);
	return pinned ? pinned : -EFAULT;
}

/**
 * pin_source_unpin() - Undo pin_source_pin() for physically contiguous pages
 * @source: where they came from
 * @pfn: first page frame
 * @npages: how many
 */
void pin_source_unpin(struct pin_source *source, unsigned long pfn, unsigned long npages)
{
	unpin_user_page_range_dirty_lock(pfn_to_page(pfn), npages, source->writable);
}
