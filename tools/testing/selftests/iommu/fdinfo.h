/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fdinfo - what the kernel says of an open file of /dev/iommu or of a VFIO device: lines of a kind and key=value words
 */
#ifndef SELFTESTS_IOMMU_FDINFO_H
#define SELFTESTS_IOMMU_FDINFO_H

#include "iommu_client.h"

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

/* The number of a key ("faults") in the first line that begins with @start, -ENOENT if there is none */
static inline long long fdinfo_number(const char *text, const char *start, const char *key)
{
	size_t len = strlen(key);
	const char *end;

	if (!fdinfo_has(text, start, &text))
		return -ENOENT;
	end = strchrnul(text, '\n');
	for (text = strpbrk(text, " \t"); text && text < end; text = strpbrk(text + 1, " \t"))
		if (!strncmp(text + 1, key, len) && text[1 + len] == '=')
			return strtoll(text + len + 2, NULL, 0);
	return -ENOENT;
}

#endif
