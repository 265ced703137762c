/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fdinfo - what an open file of this process says: lines of show_text.h in a buffer, found by how they begin
 */
#ifndef SELFTESTS_IOMMU_FDINFO_H
#define SELFTESTS_IOMMU_FDINFO_H

#include "show_text.h"

#include <stdarg.h>

/* Everything, ending with a 0. Returns how many bytes, -ENOSPC if that may not be all, or -errno. */
static inline int fdinfo_read(int fd, char *text, size_t size)
{
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	rc = read_file(path, text, size);
	return rc + 1 == (int)size ? -ENOSPC : rc;
}

/*
 * Whether a line begins with @start, a kind alone ("attach:") or with words ("attach:\tdevice=4"), and then ends or
 * goes on with another word. *@line, which may be NULL, is where.
 */
static inline bool fdinfo_has(const char *text, const char *start, const char **line)
{
	size_t len = strlen(start);

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (!strncmp(text, start, len) && strchr(" \t\n", text[len])) {
			if (line)
				*line = text;
			return true;
		}
		if (!*text)
			break;
	}
	return false;
}

/* fdinfo_has() with a start that is made of its parts */
static inline bool fdinfo_says(const char *text, const char *format, ...)
{
	char start[128];
	va_list args;

	va_start(args, format);
	vsnprintf(start, sizeof(start), format, args);
	va_end(args);
	return fdinfo_has(text, start, NULL);
}

/* How many lines begin with @start, as in fdinfo_has() */
static inline unsigned int fdinfo_count(const char *text, const char *start)
{
	unsigned int count = 0;

	while (fdinfo_has(text, start, &text)) {
		count++;
		text += strlen(start);
	}
	return count;
}

/* The number of a key ("faults") in the first line that begins with @start, -1 if there is none */
static inline int64_t fdinfo_number(const char *text, const char *start, const char *key)
{
	return fdinfo_has(text, start, &text) ? show_number(text, key) : -1;
}

#endif
