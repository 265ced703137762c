/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_mdev_watch - the mediated device for tests sees what virtual CPUs write to its memory
 */
#ifndef __VFIO_TEST_MDEV_WATCH_H__
#define __VFIO_TEST_MDEV_WATCH_H__

#include <linux/err.h>
#include <linux/types.h>

struct iommufd_user_address;
struct kvm;
struct test_mdev_state;
struct test_watch;

#ifdef CONFIG_VFIO_TEST_MDEV_WATCH
struct test_watch *test_watch_start(struct kvm *kvm);
void test_watch_stop(struct test_watch *tw);
int test_watch_add(struct test_watch *tw, u64 iova, const struct iommufd_user_address *at);
void test_watch_forget(struct test_watch *tw, u64 first, u64 last);
void test_watch_state(struct test_watch *tw, struct test_mdev_state *state);
#else
static inline struct test_watch *test_watch_start(struct kvm *kvm)
{
	return NULL;
}

static inline void test_watch_stop(struct test_watch *tw)
{
}

static inline int test_watch_add(struct test_watch *tw, u64 iova, const struct iommufd_user_address *at)
{
	return -EOPNOTSUPP;
}

static inline void test_watch_forget(struct test_watch *tw, u64 first, u64 last)
{
}

static inline void test_watch_state(struct test_watch *tw, struct test_mdev_state *state)
{
}
#endif

#endif
