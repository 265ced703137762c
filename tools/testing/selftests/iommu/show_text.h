/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * show_text - what the kernel tells about contexts and devices: lines of "kind:\tkey=value key=value"
 */
#ifndef SELFTESTS_IOMMU_SHOW_TEXT_H
#define SELFTESTS_IOMMU_SHOW_TEXT_H

#include "iommu_client.h"

/* All of a file, however long, @step bytes at a time; the caller frees it. NULL with errno if it cannot be read. */
static inline char *show_read_fd(int fd, size_t step)
{
	size_t used = 0, room = 0;
	char *text = NULL;
	ssize_t n;

	do {
		if (room - used < step + 1) {
			char *more = realloc(text, room = 2 * room + step + 1);

			if (!more) {
				free(text);
				return NULL;
			}
			text = more;
		}
		n = read(fd, text + used, step);
		if (n < 0) {
			free(text);
			return NULL;
		}
		used += n;
	} while (n);
	text[used] = 0;
	return text;
}

static inline char *show_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	char *text;

	if (fd < 0)
		return NULL;
	text = show_read_fd(fd, 16384);
	error = errno;
	close(fd);
	errno = error;
	return text;
}

/* fdinfo of a file of a process, 0 for this one */
static inline char *show_fdinfo(pid_t pid, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid ?: getpid(), fd);
	return show_read(path);
}

/* What stands behind "@key=" in a line, in a buffer that the next call reuses; NULL if it is not there */
static inline const char *show_value(const char *line, const char *key)
{
	size_t length = strlen(key), end = line ? strcspn(line, "\n") : 0;
	static char value[128];

	for (size_t i = 0; i + length < end; i++) {
		if ((i && !strchr(" \t", line[i - 1])) || strncmp(line + i, key, length) || line[i + length] != '=')
			continue;
		i += length + 1;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + i, "\n "), line + i);
		return value;
	}
	return NULL;
}

/* The same as a number, -1 if it is not there */
static inline int64_t show_number(const char *line, const char *key)
{
	const char *value = show_value(line, key);

	return value ? (int64_t)strtoull(value, NULL, 0) : -1;
}

/* The line "@kind:\t" of a text in which @key is @value; NULL if there is none, or no text */
static inline const char *show_line(const char *text, const char *kind, const char *key, int64_t value)
{
	size_t length = strlen(kind);

	for (const char *line = text; line && *line; line += strcspn(line, "\n"), line += !!*line)
		if (!strncmp(line, kind, length) && !strncmp(line + length, ":\t", 2) &&
		    show_number(line, key) == value)
			return line;
	return NULL;
}

#endif
