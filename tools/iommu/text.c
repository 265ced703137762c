// SPDX-License-Identifier: GPL-2.0-only
/*
 * text - what people and programs read: messages, names, sizes, colours, JSON
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

static void vwarn_line(const char *fmt, va_list ap)
{
	/* in the order in which things happened, should both go to one place */
	fflush(stdout);
	fprintf(stderr, "iommuctl: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
}

void die(enum status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarn_line(fmt, ap);
	va_end(ap);
	/* not exit(): what callers have allocated is no leak that anybody wants to hear of */
	_exit(status);
}

void warn_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarn_line(fmt, ap);
	va_end(ap);
}

enum status status_of(int error)
{
	return error == EACCES || error == EPERM ? NOT_PERMITTED : FAILED;
}

static void *must_have(void *memory)
{
	if (!memory)
		die(FAILED, "out of memory");
	return memory;
}

char *copy_string(const char *s)
{
	return must_have(strdup(s));
}

char *format(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return must_have(s);
}

void *grow(void *array, size_t count, size_t size)
{
	return must_have(reallocarray(array, count ? count : 1, size));
}

const char *escaped(const char *s)
{
	static char *kept[16];
	static unsigned int next;
	char **slot = &kept[next++ % 16], *out;

	*slot = grow(*slot, strlen(s) + 1, 4);
	for (out = *slot; *s; s++) {
		if (*s >= 0x20 && *s < 0x7f && *s != '\\')
			*out++ = *s;
		else
			out += sprintf(out, "\\x%02x", (unsigned char)*s);
	}
	*out = '\0';
	return *slot;
}

const char *colour(enum colour c)
{
	static const char * const sequences[] = {
		[PLAIN] = "\033[0m",  [BOLD] = "\033[1m",    [DIM] = "\033[2m",	  [RED] = "\033[31m",
		[GREEN] = "\033[32m", [YELLOW] = "\033[33m", [BLUE] = "\033[34m",
	};

	return settings.colour ? sequences[c] : "";
}

const char *bytes_text(unsigned long long bytes)
{
	static const char * const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	static char kept[4][24];
	static unsigned int next;
	char *text = kept[next++ % 4];
	double value = bytes;
	int unit = 0;

	while (value >= 1024) {
		value /= 1024;
		unit++;
	}
	/* what is not a whole number of units gets a digit behind the point */
	snprintf(text, sizeof(kept[0]), "%.*f %s", value != (unsigned int)value, value, units[unit]);
	return text;
}

void put_wrapped(const char *text, int indent, bool first)
{
	int width = settings.columns > 120 ? 120 : settings.columns, column = indent, length;

	if (first)
		printf("%*s", indent, "");
	for (;;) {
		text += strspn(text, " ");
		length = strcspn(text, " ");
		if (!length)
			break;
		if (column > indent && column + 1 + length > width) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", length, text);
		column += length;
		text += length;
	}
	putchar('\n');
}

void json_put_out(struct json_object *o, bool line)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	if (!line)
		flags |= JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;
	puts(must_have((void *)json_object_to_json_string_ext(o, flags)));
	json_object_put(o);
}

void json_add_string(struct json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, s ? json_object_new_string(escaped(s)) : NULL);
}

void json_add_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

void json_add_number(struct json_object *o, const char *key, unsigned long long value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

struct json_object *json_add_array(struct json_object *o, const char *key)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(o, key, array);
	return array;
}

void json_append_string(struct json_object *array, const char *s)
{
	json_object_array_add(array, json_object_new_string(escaped(s)));
}

void finish_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return;
	if (errno == EPIPE)
		exit(DONE);
	die(FAILED, "the output could not be written: %s", strerror(errno));
}
