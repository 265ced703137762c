/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fail_nth - let one allocation or copy of a call fail, or all from some point on
 */
#ifndef SELFTESTS_IOMMU_FAIL_NTH_H
#define SELFTESTS_IOMMU_FAIL_NTH_H

#include "iommu_test.h"

#define MANY	2000	/* no call has as many points of failure */

#define NO_FAULT_INJECTION "no fault injection: CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC or debugfs is missing"

/* The files that say what may fail. Everything: small allocations, single pages, also those that may sleep. */
static inline int may_fail_everywhere(void)
{
	static const char * const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/cache-filter", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
	};
	char path[128];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(settings) && !rc; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		rc = write_file(path, settings[i][1]);
	}
	/* only there when copies from and to user space may fail too */
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
	return rc;
}

/*
 * Small allocations or single pages alone, beside copies. What fail_arm() counts is the same in every run only without
 * pages: a slab that is full takes one, which depends on all that ran before, and on a debug kernel, where what was
 * freed comes back late, happens all the time. That failure goes unseen, because the slab allocator tries again; but it
 * is counted in front of those that would be seen, and they are missed.
 */
static inline int only_objects_may_fail(void)
{
	return write_file("/sys/kernel/debug/fail_page_alloc/min-order", "11") ?:
	       write_file("/sys/kernel/debug/failslab/cache-filter", "N");
}

/* The filter is for slab caches that were marked at boot: none are. */
static inline int only_pages_may_fail(void)
{
	return write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0") ?:
	       write_file("/sys/kernel/debug/failslab/cache-filter", "Y");
}

/* The @n-th call that may fail in this thread will. */
static inline void fail_arm(int fd, int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	while (pwrite(fd, text, strlen(text), 0) < 0)
		;
}

/*
 * Whether it has. If not, the count goes on, and may hit the read of the file itself, or the write that ends it: an
 * error here means that the call under test did not get that far.
 */
static inline bool fail_happened(int fd)
{
	char text[16] = "";
	bool happened = pread(fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (pwrite(fd, "0", 1, 0) < 0)
		;
	return happened;
}

/* Points of the first pass, 0 while it lasts */
static int first_pass;

/*
 * A sweep in two passes, numbered through from 1: small allocations and copies, then pages and copies. Each time
 * fail_left_in_turn() must follow; it says whether @n + 1 is worth a try.
 */
static inline int fail_arm_in_turn(int fd, int n)
{
	int rc = 0;

	if (n == 1) {
		first_pass = 0;
		rc = only_objects_may_fail();
	} else if (n == first_pass + 1) {
		rc = only_pages_may_fail();
	}
	fail_arm(fd, n - first_pass);
	return rc;
}

static inline bool fail_left_in_turn(int fd, int n)
{
	if (fail_happened(fd))
		return true;
	if (first_pass)
		return false;
	first_pass = n;
	return true;
}

/*
 * Small allocations of this task that fail from some point on, and not only once: what tries again when memory is
 * short, as an id table does, fails as well.
 */
static inline int memory_may_run_out(bool on)
{
	int rc = write_file("/sys/kernel/debug/failslab/probability", "0");

	rc = rc ?: write_file("/sys/kernel/debug/failslab/task-filter", on ? "Y" : "N");
	rc = rc ?: write_file("/sys/kernel/debug/failslab/times", on ? "-1" : "1");
	return on && !rc ? write_file("/sys/kernel/debug/failslab/probability", "100") : rc;
}

#endif
