/* SPDX-License-Identifier: GPL-2.0-only */
/* vmm - what the host and the virtual machine agree on: the disk that both look at */
#ifndef TESTS_VMM_H
#define TESTS_VMM_H

#include <stdbool.h>
#include <stdio.h>

#define DISK_SERIAL	"passed-through"
#define DISK_BYTES	(256 * 1024)
#define DISK_LABEL	"written %u times\n"
#define DISK_TEXT	512	/* the label's block, the rest of which is zero */

/* Each 64-byte line behind the label's block is different, and so is each write. */
static inline char disk_byte(unsigned int writes, int i)
{
	return writes * 31 + i / 64 * 7 + i;
}

static inline void disk_fill(char *disk, unsigned int writes)
{
	for (int i = 0; i < DISK_TEXT; i++)
		disk[i] = 0;
	sprintf(disk, DISK_LABEL, writes);
	for (int i = DISK_TEXT; i < DISK_BYTES; i++)
		disk[i] = disk_byte(writes, i);
}

static inline bool disk_is(const char *disk, unsigned int writes)
{
	unsigned int found;

	if (sscanf(disk, DISK_LABEL, &found) != 1 || found != writes)
		return false;
	for (int i = DISK_TEXT; i < DISK_BYTES; i++)
		if (disk[i] != disk_byte(writes, i))
			return false;
	return true;
}

#endif
