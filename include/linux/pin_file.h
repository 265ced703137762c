/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of a memfd, pinned for a device by their place in the file and not by where a process maps them.
 */
#ifndef __LINUX_PIN_FILE_H
#define __LINUX_PIN_FILE_H

#include <linux/types.h>

struct file;
struct page;

int pin_file_open(struct file *file, bool writable);
void pin_file_close(struct file *file, bool writable);
long pin_file_pages(struct file *file, pgoff_t index, unsigned long npages, struct page **pages);

#endif
