/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a process, pinned for a device as runs of pages: what it costs goes by folios and not by pages.
 */
#ifndef __LINUX_PIN_RUN_H
#define __LINUX_PIN_RUN_H

#include <linux/types.h>

struct mm_struct;
struct page_run;

long pin_user_runs(struct mm_struct *mm, unsigned long uaddr, unsigned long npages, unsigned int gup_flags,
		   struct page_run *runs, unsigned int max, unsigned int *num);
void unpin_runs(const struct page_run *runs, unsigned int num, bool dirty);

#endif
