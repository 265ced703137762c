// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_race - commands beside other commands, beside fork and close, and cut off by a signal
 *
 * Whatever the order was: nobody sees a mapping that is half there, and in the end nothing is left.
 */
#include "iommu_test.h"
#include "iommufd_world.h"
#include "fail_nth.h"

#include <pthread.h>

static struct text seen;

FIXTURE(together)
{
	struct world w;
	int nth;
};

FIXTURE_SETUP(together)
{
	static const struct command c = { .tables = { 2, 1 } };

	self->nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	memory = scattered_pages();
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, memlock_limit(LIMIT));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	ASSERT_EQ(0, world_open(&self->w, &c));
}

FIXTURE_TEARDOWN(together)
{
	world_close(&self->w, true, &seen);
	munmap(memory, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
	close(self->nth);
}

struct other {
	const struct world *w;
	bool stop;
	int rounds;
	char problem[128];
};

#define OTHER_NEEDS(_condition) do { \
	if (!(_condition) && !o->problem[0]) \
		snprintf(o->problem, sizeof(o->problem), "round %d: %s", o->rounds, #_condition); \
} while (0)

static bool stopped(struct other *o)
{
	return o->problem[0] || __atomic_load_n(&o->stop, __ATOMIC_ACQUIRE);
}

/* Maps, copies and unmaps of its own, and copies of what the first thread maps, if it is there */
static void *map_and_copy(void *arg)
{
	struct other *o = arg;
	const struct world *w = o->w;
	const struct place *p = &w->place[SMALL], *large = &w->place[LARGE];
	uint64_t to;
	int rc;

	for (; !stopped(o); o->rounds++) {
		OTHER_NEEDS(!ioas_map_at(w->iommufd, w->ioas[0], p->va, p->length, p->iova));
		OTHER_NEEDS(!ioas_copy_to(w->iommufd, w->ioas[1], p->iova, w->ioas[0], p->iova, p->length));
		OTHER_NEEDS(!mock_check_map(w->iommufd, w->dev[1].hwpt, p->iova, p->length, p->va));
		OTHER_NEEDS(!ioas_unmap(w->iommufd, w->ioas[0], p->iova, p->length, NULL));
		OTHER_NEEDS(!mock_check_map(w->iommufd, w->dev[1].hwpt, p->iova, p->length, p->va));
		OTHER_NEEDS(!ioas_unmap(w->iommufd, w->ioas[1], p->iova, p->length, NULL));
		rc = ioas_copy(w->iommufd, w->ioas[1], &to, w->ioas[0], large->iova + PAGE, 8 * PAGE, MAP_RW);
		OTHER_NEEDS(!rc || rc == -ENOENT || rc == -EBUSY);
		if (!rc) {
			OTHER_NEEDS(!mock_check_map(w->iommufd, w->dev[1].hwpt, to, 8 * PAGE, large->va + PAGE));
			OTHER_NEEDS(!ioas_unmap(w->iommufd, w->ioas[1], to, 8 * PAGE, NULL));
		}
	}
	return NULL;
}

TEST_F(together, map_that_fails_and_copy)
{
	const struct place *p = &self->w.place[LARGE];
	struct other other = { .w = &self->w };
	pthread_t thread;
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_and_copy, &other));
	for (int pass = 0; pass < 3; pass++) {
		bool more = true;

		for (int n = 1, rc; more && n < MANY; n++) {
			fail_arm(self->nth, n);
			rc = ioas_map_at(self->w.iommufd, self->w.ioas[0], p->va, p->length, p->iova);
			more = fail_happened(self->nth);
			EXPECT_EQ_FOR(rc ? -ENOENT : 0, ioas_unmap(self->w.iommufd, self->w.ioas[0], p->iova, p->length,
								   NULL), "failure %d gave %d", n, rc);
			failures += !!rc;
		}
	}
	__atomic_store_n(&other.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_STREQ("", other.problem);
	EXPECT_LT(0, other.rounds);
	EXPECT_LT(10, failures);
	EXPECT_EQ(0, vm_pin_kb());
}

/* Children that write to their copy of the memory; it must be a copy also where a page is pinned just then. */
static void *fork_and_write(void *arg)
{
	const struct place *p = &((struct other *)arg)->w->place[LARGE];
	struct other *o = arg;

	for (; !stopped(o); o->rounds++) {
		pid_t pid = fork();

		if (!pid) {
			for (size_t i = 0; i < p->length; i += PAGE)
				p->va[i] = 0xff;
			_exit(0);
		}
		OTHER_NEEDS(pid > 0 && child_succeeded(pid));
	}
	return NULL;
}

TEST_F(together, map_and_fork)
{
	const struct place *p = &self->w.place[LARGE];
	struct other other = { .w = &self->w };
	const struct world *w = &self->w;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, fork_and_write, &other));
	for (int i = 0; i < 30; i++) {
		ASSERT_EQ(0, ioas_map_at(w->iommufd, w->ioas[0], p->va, p->length, p->iova));
		for (size_t j = 0; j < p->length; j += PAGE)
			p->va[j] = i;
		ASSERT_EQ_FOR(0, mock_check_map(w->iommufd, w->hwpt, p->iova, p->length, p->va), "round %d", i);
		for (size_t j = 0; j < p->length; j += PAGE)
			ASSERT_EQ_FOR(i, p->va[j], "round %d, page %zu", i, j / PAGE);
		ASSERT_EQ(0, ioas_unmap_all(w->iommufd, w->ioas[0]));
	}
	__atomic_store_n(&other.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_STREQ("", other.problem);
	EXPECT_LT(0, other.rounds);
}

static void *map_much(void *arg)
{
	struct other *o = arg;
	const struct world *w = o->w;
	const struct place *p = &w->place[CHOSEN];
	int rc = ioas_map_at(w->iommufd, w->ioas[0], p->va, p->length, p->iova);

	OTHER_NEEDS(!rc || rc == -EBADF);
	return NULL;
}

static size_t much(void)
{
	return (getenv("LONG") ? 256 : 48) * MIB;
}

TEST_F(together, map_and_close)
{
	static const int delays_ms[] = { 0, 1, 5, 15, 40 };
	const size_t length = much();
	uint8_t *mem = small_pages(length);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, memlock_limit(length));
	for (size_t i = 0; i < ARRAY_SIZE(delays_ms); i++) {
		static const struct command c = { .tables = { 2 } };
		struct other other = {};
		pthread_t thread;
		struct world w;

		ASSERT_EQ(0, world_open(&w, &c));
		w.place[CHOSEN] = (struct place){ BASE, mem, length };
		other.w = &w;
		ASSERT_EQ(0, pthread_create(&thread, NULL, map_much, &other));
		sleep_ms(delays_ms[i]);
		/* the call that runs keeps the file open, and everything goes when it ends */
		close(w.iommufd);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_STREQ("", other.problem);
		EXPECT_EQ_FOR(0, vm_pin_kb(), "closed after %d ms", delays_ms[i]);
		EXPECT_EQ_FOR(0, vm_lck_kb(), "closed after %d ms", delays_ms[i]);
	}
	munmap(mem, length);
}

static void map_until_killed(size_t length, bool per_user)
{
	const struct command c = { .tables = { 2 }, .per_user = per_user };
	uint8_t *mem = small_pages(length);
	struct world w;

	CHILD_NEEDS(mem);
	CHILD_NEEDS(!memlock_limit(length));
	CHILD_NEEDS(!world_open(&w, &c));
	CHILD_NEEDS(!child_has_begun());
	for (;;) {
		CHILD_NEEDS(!ioas_map_at(w.iommufd, w.ioas[0], mem, length, BASE));
		CHILD_NEEDS(!ioas_unmap_all(w.iommufd, w.ioas[0]));
	}
}

TEST_F(together, map_and_kill)
{
	static const int delays_ms[] = { 1, 7, 20, 50, 120, 300 };
	const struct place *p = &self->w.place[SMALL];
	const struct command c = { .tables = { 1 }, .per_user = true };
	const sigset_t begun = child_expected();
	struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(delays_ms); i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			map_until_killed(much(), true);
		ASSERT_EQ(0, child_kill(&begun, 60, pid, delays_ms[i]));
		EXPECT_EQ_FOR(0, pages_pinned(), "killed after %d ms", delays_ms[i]);
	}
	/* nothing is charged to the user either: the whole limit is there, and no page more */
	ASSERT_EQ(0, world_open(&w, &c));
	ASSERT_EQ(0, memlock_limit(p->length));
	EXPECT_EQ(0, ioas_map_at(w.iommufd, w.ioas[0], p->va, p->length, p->iova));
	EXPECT_EQ(-ENOMEM, ioas_map_at(w.iommufd, w.ioas[0], p->va, PAGE, BASE + MIB));
	world_close(&w, false, &seen);
}

TEST_HARNESS_MAIN
