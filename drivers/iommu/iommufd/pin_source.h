/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_SOURCE_H
#define __IOMMUFD_PIN_SOURCE_H

#include <linux/types.h>

struct dma_buf;
struct file;
struct mm_struct;
struct page_run;
struct pin_dmabuf;

/**
 * enum pin_source_kind - What the pages of a mapping are
 * @PIN_SOURCE_USER: memory of a process, by its address
 * @PIN_SOURCE_FILE: pages of a file, by their place in it
 * @PIN_SOURCE_DMABUF: memory of a device, without struct pages, not to be pinned
 */
enum pin_source_kind {
	PIN_SOURCE_USER,
	PIN_SOURCE_FILE,
	PIN_SOURCE_DMABUF,
};

/**
 * struct pin_source - Where the pages of a mapping come from
 * @kind: which part of the union is used
 * @writable: pages are pinned for writing by a device
 * @npages: how many pages there are
 * @user: address space of the process, and the address of page index 0, page aligned
 * @file: file, and its page that is page index 0
 * @dmabuf: part of a dma-buf, its first page is page index 0
 */
struct pin_source {
	enum pin_source_kind kind;
	bool writable;
	unsigned long npages;
	union {
		struct {
			struct mm_struct *mm;
			unsigned long uaddr;
		} user;
		struct {
			struct file *file;
			pgoff_t first;
		} file;
		struct pin_dmabuf *dmabuf;
	};
};

/**
 * pin_source_open_user() - Make a source of a process's memory
 * @source: filled in; need not be closed
 * @mm: address space; the caller keeps it
 * @uaddr: user address of the first page, page aligned
 * @npages: how many pages
 * @writable: a device may write to them
 */
static inline void pin_source_open_user(struct pin_source *source, struct mm_struct *mm, unsigned long uaddr,
					unsigned long npages, bool writable)
{
	source->kind = PIN_SOURCE_USER;
	source->writable = writable;
	source->npages = npages;
	source->user.mm = mm;
	source->user.uaddr = uaddr;
}

int pin_source_open_file(struct pin_source *source, struct file *file, pgoff_t first, unsigned long npages,
			 bool writable);
int pin_source_open_dmabuf(struct pin_source *source, struct dma_buf *dmabuf, unsigned long first,
			   unsigned long npages, bool writable);
void pin_source_close(struct pin_source *source);
long pin_source_pin(struct pin_source *source, unsigned long index, unsigned long npages, struct page_run *runs,
		    unsigned int max, unsigned int *num);
void pin_source_unpin(struct pin_source *source, const struct page_run *runs, unsigned int num);
int pin_source_copy(struct pin_source *source, u64 byte, void *buf, size_t length, bool write, bool remote);

#endif
