/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * proc - what the processes of a machine hold of /dev/iommu and of VFIO's devices, as the kernel tells in fdinfo
 *
 * A snapshot is taken process by process, and each context within it at a moment of its own. Whoever exits meanwhile
 * is simply not part of it.
 */
#ifndef IOMMUCTL_PROC_H
#define IOMMUCTL_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A line "kind:\tkey=value key=value". */
struct record {
	const char *kind;
	char *words;		/* "key=value", each with its NUL, up to end */
	char *end;
	bool placed;		/* for who draws a tree of them: it has its place */
};

/* An open file of a process: the context itself, or a device of VFIO. */
struct open_file {
	int pid;
	int fd;
	char *comm;		/* as the process wants it to be: not to be printed as it is */
	char *device;		/* NULL: this is the context */
	char *opened;		/* a device's: node or group */
	char *id;		/* a device's: number of the object that it is in its context, NULL if unknown */
};

/* An open /dev/iommu. */
struct context {
	char *serial;
	bool complete;		/* false: nobody could be asked but devices that are bound to it */
	struct record *records;
	size_t nr_records;
	struct open_file *files;	/* by pid and fd; none: seen in debugfs only */
	size_t nr_files;
	char **texts;		/* what the records point into */
	size_t nr_texts;
};

struct snapshot {
	struct context *contexts;	/* by serial */
	size_t nr_contexts;
	struct open_file *unbound;		/* devices of VFIO that are open and not bound to an iommufd */
	size_t nr_unbound;
	struct open_file *silent;		/* files of another kernel's iommufd, whose fdinfo says nothing */
	size_t nr_silent;
	size_t unreadable;		/* processes that this user may not ask */
};

#define DEBUGFS_IOMMUFD "/sys/kernel/debug/iommufd"

/**
 * snapshot_take() - Ask every process, and debugfs for contexts that no process has which may be asked
 * @what: NULL, or a process id, or the address or name of a device: only what it has part in is kept
 *
 * Return: 0 with @s to be given to snapshot_free(), or -errno when there is no /proc to be read.
 */
int snapshot_take(struct snapshot *s, const char *what);
bool snapshot_is_empty(const struct snapshot *s);
void snapshot_free(struct snapshot *s);

/**
 * context_read_areas() - Add a record of kind "area" for each area of the context, from debugfs
 *
 * Return: 0 or -errno: -EACCES without the rights to read debugfs, -ENOENT when it is not there.
 */
int context_read_areas(struct context *c);

/* The value of a key, or NULL, or something else when there is none. */
const char *value_of(const struct record *r, const char *key);
const char *value_or(const struct record *r, const char *key, const char *otherwise);
/* The number behind a key; false when the key is absent or no decimal number. */
bool number_of(const struct record *r, const char *key, unsigned long long *number);
bool record_is(const struct record *r, const char *kind, const char *key, const char *value);

/**
 * context_next() - The records of a kind whose key has a value, one after the other
 * @after: the one found last, or NULL
 * @key: NULL for all of the kind
 */
struct record *context_next(const struct context *c, const struct record *after, const char *kind, const char *key,
			    const char *value);

/* A file of the process that uses it, which is one with devices if any has some; NULL if nobody can be asked. */
const struct open_file *context_owner(const struct context *c);

/* The first file of the device that is an object of the context, or NULL. */
const struct open_file *context_file_of(const struct context *c, const char *id);

/* One more element behind those of an array, which grows as add_one() goes on: zeros, and its address. */
#define add_one(array, nr)							\
	((array) = with_room((array), (nr), sizeof(*(array))),			\
	 memset(&(array)[(nr)++], 0, sizeof(*(array))))
void *with_room(void *array, size_t nr, size_t size);

#endif
