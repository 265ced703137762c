/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommuctl - what its commands share: settings, exit status, options, reading below --sysroot, text for people
 *
 * A command is a function of a file of its own, listed in the table in iommuctl.c. It gets its own name as argv[0],
 * returns an exit status, and may end the program by die() at any point where nothing has to be undone.
 */
#ifndef IOMMUCTL_CTL_H
#define IOMMUCTL_CTL_H

#include <dirent.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* exit status; iommuctl.8 explains them */
enum status {
	DONE = 0,
	NOT_USABLE = 1, /* doctor found a reason; or what was asked for is not there */
	BAD_USAGE = 2,
	NOT_PERMITTED = 3,
	NO_IOMMUFD = 4,
	FAILED = 5,
};

struct settings {
	const char *sysroot; /* "", or the directory that stands for / */
	bool json;
	bool colour;
	int columns; /* of the terminal; 80 where there is none */
};

extern struct settings settings;

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *what;
	const char *options; /* its own options, a line each, or NULL */
};

int cmd_list(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_bind(int argc, char **argv);
int cmd_unbind(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_graph(int argc, char **argv);
int cmd_watch(int argc, char **argv);

/* options.c */

/**
 * next_option() - Parse the next option of a command
 * @own: the command's own options, ended by a line of zeros; NULL for none. Their val is at least 1 and below 256.
 *
 * Options of every command (--json, --sysroot, --help) are done here. An unknown one ends the program with BAD_USAGE.
 *
 * Return: val of one of @own, its argument in optarg; or -1 at the end, and argv[optind] is the first argument.
 */
int next_option(int argc, char **argv, const struct option *own);

/* Ends the program with BAD_USAGE: the reason, and where help is found. */
__attribute__((format(printf, 1, 2), noreturn)) void usage_error(const char *fmt, ...);

/* Parse "4096", "64K", "2M", "16G", "1T" or "0x1000"; false when it is none of these or does not fit. */
bool parse_size(const char *text, unsigned long long *bytes);

/* iommuctl.c */

extern const struct command commands[];
/* Prints the help of a command, or of all when @c is NULL, and ends the program. */
void put_help(const struct command *c) __attribute__((noreturn));

/* text.c */

/* One line on stderr, "iommuctl: ...", and the end. */
__attribute__((format(printf, 2, 3), noreturn)) void die(enum status status, const char *fmt, ...);
/* The same line without the end. */
__attribute__((format(printf, 1, 2))) void warn_line(const char *fmt, ...);
/* The status for an errno of a system call: NOT_PERMITTED or FAILED. */
enum status status_of(int error);
/* strdup(), printf to a string and growing an array; the program ends when there is no memory */
char *copy_string(const char *s);
__attribute__((format(printf, 1, 2))) char *format(const char *fmt, ...);
void *grow(void *array, size_t count, size_t size);

/**
 * escaped() - A name as it can be shown on a terminal and in JSON
 * @s: any bytes
 *
 * What is not printable ASCII, and the backslash, becomes \xNN. Apply it to what stands in output, never to paths.
 *
 * Return: a string that lasts for 15 more calls.
 */
const char *escaped(const char *s);

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE };

/* The escape sequence, or "" when there is no terminal to understand it. */
const char *colour(enum colour c);

/* A size for people: "4 KiB", "1.5 GiB", "123 B"; lasts for 3 more calls. */
const char *bytes_text(unsigned long long bytes);

/* Prints text in lines of the terminal's width, each indented by so many columns; the first one only if @first. */
void put_wrapped(const char *text, int indent, bool first);

/* Print an object and give it back; a line of compact JSON if @line, as a stream of objects wants it. */
void json_put_out(struct json_object *o, bool line);
/* Members of an object; strings are escaped() on the way, and a NULL string becomes null. */
void json_add_string(struct json_object *o, const char *key, const char *s);
void json_add_bool(struct json_object *o, const char *key, bool value);
void json_add_number(struct json_object *o, const char *key, unsigned long long value);
/* Adds an empty array to an object, and returns it. */
struct json_object *json_add_array(struct json_object *o, const char *key);
void json_append_string(struct json_object *array, const char *s);

/* Flushes stdout; a full disk is an error of the program, a broken pipe is its quiet end. */
void finish_output(void);

/*
 * sysroot.c: all paths begin with /sys, /proc or /dev and are looked up below settings.sysroot. On error errno is
 * that of the system call.
 */
__attribute__((format(printf, 1, 2))) bool path_exists(const char *fmt, ...);
/* The path itself, to be freed; for messages that tell the user what to look at, leave the sysroot away. */
__attribute__((format(printf, 1, 2))) char *path_of(const char *fmt, ...);
/* All of a file without the newline at its end, to be freed; NULL on error. */
__attribute__((format(printf, 1, 2))) char *read_file(const char *fmt, ...);
/* A number in a file, in C's notations; false when there is none. */
__attribute__((format(printf, 2, 3))) bool read_number(unsigned long long *value, const char *fmt, ...);
/* What a symbolic link says, or only the last part of that, to be freed; NULL on error. */
__attribute__((format(printf, 1, 2))) char *read_link(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) char *link_name(const char *fmt, ...);
__attribute__((format(printf, 2, 3))) int open_file(int flags, const char *fmt, ...);

/**
 * list_dir() - Names in a directory, without . and .., in the order of their numbers
 * @names: an array to be given to free_names()
 *
 * Return: how many, or -1 with errno.
 */
__attribute__((format(printf, 2, 3))) int list_dir(char ***names, const char *fmt, ...);
void free_names(char **names, int count);

/* Ends the program with NO_IOMMUFD unless this kernel has iommufd, or a driver for /dev/iommu that can be loaded. */
void need_iommufd(void);

#endif
