/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of a memfd, pinned for a device by their place in the file and not by where a process maps them.
 */
#ifndef __LINUX_PIN_FILE_H
#define __LINUX_PIN_FILE_H

#include <linux/types.h>

struct file;
struct page_run;

int pin_file_open(struct file *file, bool writable);
void pin_file_close(struct file *file, bool writable);
long pin_file_runs(struct file *file, pgoff_t index, unsigned long npages, struct page_run *runs, unsigned int max,
		   unsigned int *num);

#endif
