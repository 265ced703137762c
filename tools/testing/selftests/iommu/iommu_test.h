/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommu_test - what the tests in this directory share on top of the kselftest harness
 */
#ifndef SELFTESTS_IOMMU_TEST_H
#define SELFTESTS_IOMMU_TEST_H

#include "../kselftest_harness.h"
#include "edu.h"
#include "iommu_client.h"

#include <signal.h>

#define UNKNOWN_ID	0x7fffffffU

/* Seconds after which a test hangs: many times what a slow machine needs for one, with all checkers of the kernel on */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

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

/*
 * In a fixture's setup: SKIP(NO_FIXTURE; return, "..."). After SKIP() alone the harness of Linux 6.1 would run the
 * test, on a fixture that is not there.
 */
#define NO_FIXTURE		(_metadata->passed = 0)

#define EXPECT_TRUE_FOR(_seen, ...)	EXPECT_EQ_FOR(true, !!(_seen), __VA_ARGS__)
#define ASSERT_TRUE_FOR(_seen, ...)	ASSERT_EQ_FOR(true, !!(_seen), __VA_ARGS__)

/* ---- what most fixtures begin and end with: a context with a device, an address space, memory ---- */

static inline void edu_space_open(struct __test_metadata *_metadata, int *iommufd, struct edu *edu, uint32_t *ioas,
				  uint8_t **mem, size_t size)
{
	*iommufd = iommu_open();
	ASSERT_LE(0, *iommufd) TH_LOG("/dev/iommu: %s", strerror(-*iommufd));
	ASSERT_EQ(0, edu_open_bound(edu, 0, *iommufd));
	ASSERT_EQ(0, ioas_alloc(*iommufd, ioas));
	*mem = small_pages(size);
	ASSERT_NE(NULL, *mem);
}

/* Whatever the test left is gone afterwards. @mem may be NULL when the test gave it back. */
static inline void edu_space_close(struct __test_metadata *_metadata, int iommufd, struct edu *edu, uint8_t *mem,
				   size_t size)
{
	edu_close(edu);
	close(iommufd);
	if (mem)
		munmap(mem, size);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* ---- children ---- */

/* Waits for a child; true if it ended well. */
static inline bool child_succeeded(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Before a fork(): the child will say that it has begun, and nobody misses it. */
static inline sigset_t child_expected(void)
{
	sigset_t begun;

	sigemptyset(&begun);
	sigaddset(&begun, SIGUSR1);
	sigprocmask(SIG_BLOCK, &begun, NULL);
	return begun;
}

/* In a child: tells the parent that it has begun; 0 or -errno. */
static inline int child_has_begun(void)
{
	return kill(getppid(), SIGUSR1) ? -errno : 0;
}

/*
 * Kills a child that has begun, @ms later. 0; -errno if it does not begin within @seconds; -ECHILD if it ended in
 * another way.
 */
static inline int child_kill(const sigset_t *begun, unsigned int seconds, pid_t pid, unsigned int ms)
{
	struct timespec patience = { .tv_sec = seconds };
	int status;

	if (sigtimedwait(begun, NULL, &patience) != SIGUSR1)
		return -errno;
	sleep_ms(ms);
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? 0 : -ECHILD;
}

/* In a child: says where it went wrong and ends it. */
#define CHILD_NEEDS(_condition) do { \
	if (!(_condition)) { \
		fprintf(stderr, "# child, line %d: %s (errno %d)\n", __LINE__, #_condition, errno); \
		_exit(1); \
	} \
} while (0)

#endif
