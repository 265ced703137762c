/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommu_test - what the tests in this directory share on top of the kselftest harness
 */
#ifndef SELFTESTS_IOMMU_TEST_H
#define SELFTESTS_IOMMU_TEST_H

#include "../kselftest_harness.h"
#include "edu.h"
#include "iommu_client.h"

#define UNKNOWN_ID	0x7fffffffU

/*
 * The harness' own macros are two statements each, so that they may be followed by a handler. These are one, for use in
 * loops: the text after the values says which round it was.
 */
#define EXPECT_EQ_FOR(_expected, _seen, ...) ({ \
	EXPECT_EQ(_expected, _seen) { \
		TH_LOG(__VA_ARGS__); \
	} \
})

#define ASSERT_EQ_FOR(_expected, _seen, ...) ({ \
	ASSERT_EQ(_expected, _seen) { \
		TH_LOG(__VA_ARGS__); \
	} \
})

/* Waits for a child; true if it ended well. */
static inline bool child_succeeded(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* In a child: says where it went wrong and ends it. */
#define CHILD_NEEDS(_condition) do { \
	if (!(_condition)) { \
		fprintf(stderr, "# child, line %d: %s (errno %d)\n", __LINE__, #_condition, errno); \
		_exit(1); \
	} \
} while (0)

#endif
