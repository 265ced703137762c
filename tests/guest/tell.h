/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tell - a line for each check, which init counts: "ok" or "FAIL"
 */
#ifndef TESTS_GUEST_TELL_H
#define TESTS_GUEST_TELL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int passed, failed;

__attribute__((format(printf, 2, 0)))
static inline bool vcheck(bool good, const char *fmt, va_list ap)
{
	printf(good ? "ok   " : "FAIL ");
	vprintf(fmt, ap);
	printf("\n");
	if (good)
		passed++;
	else
		failed++;
	return good;
}

__attribute__((format(printf, 2, 3)))
static inline bool check(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcheck(good, fmt, ap);
	va_end(ap);
	return good;
}

#endif
