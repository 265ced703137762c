// SPDX-License-Identifier: GPL-2.0-only
/*
 * sysroot - reading /sys, /proc and /dev, of this machine or of a copy of another's
 *
 * All of it may change or vanish while it is read. That is an error here, and for callers a thing that is not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

/* the path is made in a buffer of the caller; one that is too long is one that does not exist */
static bool make_path(char *path, const char *fmt, va_list ap)
{
	int length = snprintf(path, PATH_MAX, "%s", settings.sysroot);

	if (length < PATH_MAX)
		length += vsnprintf(path + length, PATH_MAX - length, fmt, ap);
	if (length < PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

#define MAKE_PATH(path, fmt)                       \
	({                                         \
		va_list ap;                        \
		bool made;                         \
						   \
		va_start(ap, fmt);                 \
		made = make_path((path), fmt, ap); \
		va_end(ap);                        \
		made;                              \
	})

bool path_exists(const char *fmt, ...)
{
	char path[PATH_MAX];

	return MAKE_PATH(path, fmt) && !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

char *path_of(const char *fmt, ...)
{
	char path[PATH_MAX];

	return copy_string(MAKE_PATH(path, fmt) ? path : "");
}

int open_file(int flags, const char *fmt, ...)
{
	char path[PATH_MAX];

	return MAKE_PATH(path, fmt) ? open(path, flags | O_CLOEXEC) : -1;
}

char *read_file(const char *fmt, ...)
{
	size_t length = 0, room = 4096;
	char path[PATH_MAX], *text;
	ssize_t n;
	int fd;

	fd = MAKE_PATH(path, fmt) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fd < 0)
		return NULL;
	text = grow(NULL, room, 1);
	while ((n = read(fd, text + length, room - length - 1)) > 0) {
		length += n;
		if (room - length < 2048) {
			room *= 2;
			text = grow(text, room, 1);
		}
	}
	if (n < 0) {
		int error = errno;

		close(fd);
		free(text);
		errno = error;
		return NULL;
	}
	close(fd);
	if (length && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
	return text;
}

bool read_number(unsigned long long *value, const char *fmt, ...)
{
	char path[PATH_MAX], text[64], *end;
	bool found = false;
	FILE *f;

	f = MAKE_PATH(path, fmt) ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	if (fgets(text, sizeof(text), f)) {
		errno = 0;
		*value = strtoull(text, &end, 0);
		found = !errno && end != text && (!*end || *end == '\n');
	}
	fclose(f);
	return found;
}

char *read_link(const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	n = MAKE_PATH(path, fmt) ? readlink(path, target, sizeof(target) - 1) : -1;
	if (n < 0)
		return NULL;
	target[n] = '\0';
	return copy_string(target);
}

char *link_name(const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX], *slash;
	ssize_t n;

	n = MAKE_PATH(path, fmt) ? readlink(path, target, sizeof(target) - 1) : -1;
	if (n < 0)
		return NULL;
	target[n] = '\0';
	slash = strrchr(target, '/');
	return copy_string(slash ? slash + 1 : target);
}

static int by_number(const void *a, const void *b)
{
	return strverscmp(*(char **)a, *(char **)b);
}

int list_dir(char ***names, const char *fmt, ...)
{
	char path[PATH_MAX];
	struct dirent *d;
	int count = 0;
	DIR *dir;

	*names = NULL;
	dir = MAKE_PATH(path, fmt) ? opendir(path) : NULL;
	if (!dir)
		return -1;
	while ((d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (!(count & (count - 1)))
			*names = grow(*names, count ? 2 * count : 1, sizeof(**names));
		(*names)[count++] = copy_string(d->d_name);
	}
	closedir(dir);
	if (count)
		qsort(*names, count, sizeof(**names), by_number);
	return count;
}

void free_names(char **names, int count)
{
	while (count > 0)
		free(names[--count]);
	free(names);
}

void need_iommufd(void)
{
	if (!path_exists("/dev/iommu") && !path_exists("/sys/class/misc/iommu"))
		die(NO_IOMMUFD, "this kernel has no iommufd: there is no /dev/iommu (try: modprobe iommufd)");
}
