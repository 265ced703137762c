// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_source - page index to pinned page, and copies by index
 *
 * A source is a stretch of a process's memory, of a file or of a dma-buf. It may be asked for pages by another
 * process (a child that inherited the file descriptor), and after the process that made it is gone; of that one's
 * memory nothing is left to pin then, while a file lives on.
 *
 * This file knows neither who pays nor where a page is remembered.
 *
 * Locking: takes mmap_lock of the source's process, or locks of the file (mm/pin_file.c); the caller must not hold
 * them.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/pin_file.h>
#include <linux/pin_run.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "pin_dmabuf.h"
#include "pin_source.h"

/* Pages that a copy holds at a time */
#define COPY_BATCH 16

/**
 * pin_source_open_file() - Make a source of a file
 * @source: filled in; a reference on the file is held until pin_source_close()
 * @file: file; whether it is that long is found out when pages are pinned
 * @first: page of the file that is page index 0 of the source
 * @npages: how many pages
 * @writable: a device may write to them
 *
 * A file that has no pages of its own is refused at once, and not only when it is asked for one: it might be a file
 * that keeps this context alive, which would then never be closed.
 *
 * Return: 0; -EINVAL if it is no memory file; -EPERM if whoever holds it may not access it that way.
 */
int pin_source_open_file(struct pin_source *source, struct file *file, pgoff_t first, unsigned long npages,
			 bool writable)
{
	int rc = pin_file_open(file, writable);

	if (rc)
		return rc;
	source->kind = PIN_SOURCE_FILE;
	source->file.file = get_file(file);
	source->file.first = first;
	source->npages = npages;
	source->writable = writable;
	return 0;
}

/**
 * pin_source_open_dmabuf() - Make a source of a dma-buf
 * @source: filled in; a reference on the buffer is held until pin_source_close()
 * @dmabuf: buffer
 * @first: page of the buffer that is page index 0 of the source
 * @npages: how many pages
 * @writable: a device may write to them
 *
 * Return: 0, or -errno of pin_dmabuf_open().
 */
int pin_source_open_dmabuf(struct pin_source *source, struct dma_buf *dmabuf, unsigned long first,
			   unsigned long npages, bool writable)
{
	struct pin_dmabuf *part = pin_dmabuf_open(dmabuf, first, npages);

	if (IS_ERR(part))
		return PTR_ERR(part);
	source->kind = PIN_SOURCE_DMABUF;
	source->dmabuf = part;
	source->npages = npages;
	source->writable = writable;
	return 0;
}

/**
 * pin_source_close() - Let go of the memory's owner
 * @source: no page of it is pinned any more
 */
void pin_source_close(struct pin_source *source)
{
	switch (source->kind) {
	case PIN_SOURCE_USER:
		break;
	case PIN_SOURCE_FILE:
		pin_file_close(source->file.file, source->writable);
		fput(source->file.file);
		break;
	case PIN_SOURCE_DMABUF:
		pin_dmabuf_close(source->dmabuf);
		break;
	}
}

/**
 * pin_source_pin() - Pin pages for as long as a device may use them
 * @source: where they come from
 * @index: first page
 * @npages: how many, above 0; @index + @npages is within the source
 * @runs: out: where they are, in the order of their indices
 * @max: how many runs there is room for, above 0
 * @num: out: how many there are
 *
 * Return: how many pages were pinned, at least 1 and perhaps fewer than asked for, or -errno: -EFAULT when nothing
 * usable is mapped there or its process is gone, -EINVAL when the file has no such page or it is a dma-buf, -ENOMEM,
 * -EINTR.
 */
long pin_source_pin(struct pin_source *source, unsigned long index, unsigned long npages, struct page_run *runs,
		    unsigned int max, unsigned int *num)
{
	long pinned = -EFAULT;

	switch (source->kind) {
	case PIN_SOURCE_USER:
		pinned = pin_user_runs(source->user.mm, source->user.uaddr + (index << PAGE_SHIFT), npages,
				       source->writable ? FOLL_WRITE : 0, runs, max, num);
		break;
	case PIN_SOURCE_FILE:
		pinned = pin_file_runs(source->file.file, source->file.first + index, npages, runs, max, num);
		break;
	case PIN_SOURCE_DMABUF:
		pinned = -EINVAL;
		break;
	}
	return pinned ? pinned : -EFAULT;
}

/**
 * pin_source_unpin() - Undo pin_source_pin()
 * @source: where the pages came from
 * @runs: where they are; not necessarily as they were pinned
 * @num: how many runs
 */
void pin_source_unpin(struct pin_source *source, const struct page_run *runs, unsigned int num)
{
	unpin_runs(runs, num, source->writable);
}

/* Pages for the time of a copy: how many, at least 1, or -errno */
static long pin_for_copy(struct pin_source *source, unsigned long index, unsigned long npages, struct page **pages,
			 bool write)
{
	struct page_run runs[COPY_BATCH];
	struct mm_struct *mm;
	long pinned = -EINTR;
	unsigned int num, i;
	unsigned long n;

	if (source->kind != PIN_SOURCE_USER) {
		pinned = pin_source_pin(source, index, npages, runs, COPY_BATCH, &num);
		for (i = 0; pinned > 0 && i < num; i++)
			for (n = 0; n < runs[i].npages; n++)
				*pages++ = pfn_to_page(runs[i].pfn + n);
		return pinned;
	}

	mm = source->user.mm;
	if (!mmget_not_zero(mm))
		return -EFAULT;
	if (!mmap_read_lock_killable(mm)) {
		pinned = pin_user_pages_remote(mm, source->user.uaddr + (index << PAGE_SHIFT), npages,
					       write ? FOLL_WRITE : 0, pages, NULL, NULL);
		mmap_read_unlock(mm);
	}
	mmput_async(mm);
	return pinned ? pinned : -EFAULT;
}

static size_t copy_in_page(struct page *page, size_t offset, void *buf, size_t length, bool write)
{
	length = min(length, PAGE_SIZE - offset);
	if (write)
		memcpy_to_page(page, offset, buf, length);
	else
		memcpy_from_page(buf, page, offset, length);
	return length;
}

/**
 * pin_source_copy() - Copy between a source and a buffer of the kernel
 * @source: where the pages come from, which need not be pinned
 * @byte: offset of the first byte in the source
 * @buf: buffer
 * @length: bytes; @byte + @length is within the source
 * @write: copy to the source, which is writable then, and not from it
 * @remote: treat memory of the calling process like that of another one
 *
 * Return: 0, or -errno after copying some or nothing: -EFAULT when nothing usable is mapped there or its process is
 * gone, -EINVAL when the file has no such page or it is a dma-buf, -ENOMEM,
 * -EINTR.
 */
int pin_source_copy(struct pin_source *source, u64 byte, void *buf, size_t length, bool write, bool remote)
{
	struct page *pages[COPY_BATCH];
	unsigned long left;
	long n, i;

	if (source->kind == PIN_SOURCE_USER && source->user.mm == current->mm && !remote) {
		void __user *uaddr = (void __user *)(source->user.uaddr + byte);

		left = write ? copy_to_user(uaddr, buf, length) : copy_from_user(buf, uaddr, length);
		return left ? -EFAULT : 0;
	}

	while (length) {
		unsigned long npages = DIV_ROUND_UP(offset_in_page(byte) + length, PAGE_SIZE);

		n = pin_for_copy(source, byte >> PAGE_SHIFT, min(npages, COPY_BATCH * 1UL), pages, write);
		if (n < 0)
			return n;
		for (i = 0; i < n; i++) {
			size_t copied = copy_in_page(pages[i], offset_in_page(byte), buf, length, write);

			byte += copied;
			buf += copied;
			length -= copied;
		}
		unpin_user_pages_dirty_lock(pages, n, write);
		cond_resched();
	}
	return 0;
}
