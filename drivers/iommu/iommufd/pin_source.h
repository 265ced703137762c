/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_SOURCE_H
#define __IOMMUFD_PIN_SOURCE_H

#include <linux/types.h>

struct mm_struct;
struct page;

/**
 * struct pin_source - Where the pages of a mapping come from
 * @mm: address space of the process whose memory it is
 * @uaddr: user address of page index 0, page aligned
 * @npages: how many pages there are
 * @writable: pages are pinned for writing by a device
 */
struct pin_source {
	struct mm_struct *mm;
	unsigned long uaddr;
	unsigned long npages;
	bool writable;
};

void pin_source_open_user(struct pin_source *source, unsigned long uaddr, unsigned long npages, bool writable);
void pin_source_close(struct pin_source *source);
long pin_source_pin(struct pin_source *source, unsigned long index, unsigned long npages, struct page **pages);
void pin_source_unpin(struct pin_source *source, unsigned long pfn, unsigned long npages);

#endif
