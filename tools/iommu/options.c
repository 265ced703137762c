// SPDX-License-Identifier: GPL-2.0-only
/*
 * options - the options that every command has, beside its own
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* above all that commands use for theirs */
enum { OPT_JSON = 256, OPT_SYSROOT, OPT_HELP };

static const struct option common[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "sysroot", required_argument, NULL, OPT_SYSROOT },
	{ "help", no_argument, NULL, OPT_HELP },
};

#define COMMON ARRAY_SIZE(common)
#define OWN_MAX 15

static const struct command *current(const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

int next_option(int argc, char **argv, const struct option *own)
{
	struct option all[COMMON + OWN_MAX + 1] = { };
	size_t i;
	int c;

	memcpy(all, common, sizeof(common));
	for (i = 0; own && own[i].name && i < OWN_MAX; i++)
		all[COMMON + i] = own[i];
	opterr = 0;
	for (;;) {
		/* the program's own options end at the command; those of a command may stand behind its arguments */
		c = getopt_long(argc, argv, current(argv[0]) ? ":h" : "+:h", all, NULL);
		switch (c) {
		case OPT_JSON:
			settings.json = true;
			break;
		case OPT_SYSROOT:
			settings.sysroot = strcmp(optarg, "/") ? optarg : "";
			break;
		case 'h':
		case OPT_HELP:
			put_help(current(argv[0]));
		case ':':
			usage_error("%s needs a value", escaped(argv[optind - 1]));
		case '?':
			/* of a word with several letters, getopt() is still at that word */
			if (optopt > 0 && optopt < OPT_JSON && !strchr(argv[optind - 1], '='))
				usage_error("there is no option -%s", escaped((char []){ optopt, '\0' }));
			usage_error("there is no option %s", escaped(argv[optind - 1]));
		default:
			return c;
		}
	}
}

void usage_error(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "iommuctl: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; \"iommuctl --help\" tells\n");
	exit(BAD_USAGE);
}

bool parse_size(const char *text, unsigned long long *bytes)
{
	static const char units[] = "KMGT";
	unsigned long long value;
	const char *unit;
	char *end;

	/* strtoull() takes a sign and blanks */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno)
		return false;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return false;
		for (; unit >= units; unit--) {
			if (value >> 54)
				return false;
			value <<= 10;
		}
	}
	*bytes = value;
	return true;
}
