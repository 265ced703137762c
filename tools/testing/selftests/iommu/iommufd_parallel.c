// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_parallel - whoever pins a lot of memory keeps nobody waiting
 *
 * One thread maps memory that nobody has touched, again and again: nearly all of such a call is spent on getting
 * pages from the process. Another thread, which the scheduler prefers on the same CPU, does something else with the
 * address space as soon as the call lets go of the CPU. If it has to wait for the first one, that one gets the CPU
 * back and its call ends first; otherwise the call is still going on. So this does not depend on how fast anything
 * is. Needs the mock IOMMU.
 */
#include "iommu_test.h"
#include "mock_space.h"

#include <pthread.h>
#include <sched.h>

#define IOVA		0x10000000UL
#define OTHER		0x30000000UL
#define COPY		0x38000000UL
#define MUCH		(24 * MIB)
#define OTHER_PAGES	16
/* of so many calls */
#define TRIES		40
/* an operation must come through so often: a call may be nearly through with its work, too */
#define TIMES		3

/**
 * struct mapper - A thread that maps
 * @thread: the thread
 * @fd: context
 * @ioas: address space
 * @mem: MUCH bytes
 * @calls: how many calls to map it have begun or ended: odd while one is going on
 * @stop: when told so
 * @rc: anything but 0 ended it
 */
struct mapper {
	pthread_t thread;
	int fd;
	uint32_t ioas;
	uint8_t *mem;
	unsigned int calls;
	bool stop;
	int rc;
};

static unsigned int calls_of(struct mapper *m)
{
	return __atomic_load_n(&m->calls, __ATOMIC_ACQUIRE);
}

static void *map_much(void *arg)
{
	struct mapper *m = arg;
	int rc;

	while (!m->rc && !__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_add(&m->calls, 1, __ATOMIC_ACQ_REL);
		m->rc = ioas_map_at(m->fd, m->ioas, m->mem, MUCH, IOVA);
		__atomic_fetch_add(&m->calls, 1, __ATOMIC_ACQ_REL);
		rc = m->rc ?: ioas_unmap(m->fd, m->ioas, IOVA, MUCH, NULL);
		/* another thread may have been faster */
		if (rc != -ENOENT)
			m->rc = rc;
		if (madvise(m->mem, MUCH, MADV_DONTNEED))
			m->rc = -errno;
	}
	return NULL;
}

/*
 * @space: with a page table; @access: of an emulated device that copies, @pins: of one that pins; @other: pages that
 * are mapped at OTHER
 */
FIXTURE(parallel)
{
	struct mock_space space;
	struct mapper m;
	int fd, access, pins;
	uint8_t *other;
	cpu_set_t cpus;
};

FIXTURE_SETUP(parallel)
{
	struct sched_param param = { .sched_priority = 1 };
	cpu_set_t one;

	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, 1));
	self->other = small_pages(2 * OTHER_PAGES * PAGE);
	ASSERT_NE(NULL, self->other);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->space.ioas, self->other, OTHER_PAGES * PAGE, OTHER));
	self->access = test_access_create(self->fd, self->space.ioas, 0);
	self->pins = test_access_create(self->fd, self->space.ioas, ACCESS_PINS);
	ASSERT_LE(0, self->access);
	ASSERT_LE(0, self->pins);
	self->m = (struct mapper){ .fd = self->fd, .ioas = self->space.ioas };
	self->m.mem = mmap(NULL, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->m.mem);
	ASSERT_EQ(0, madvise(self->m.mem, MUCH, MADV_NOHUGEPAGE));

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(self->cpus), &self->cpus));
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	ASSERT_EQ(0, pthread_create(&self->m.thread, NULL, map_much, &self->m));
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_FIFO, &param));
}

FIXTURE_TEARDOWN(parallel)
{
	__atomic_store_n(&self->m.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(self->m.thread, NULL));
	EXPECT_EQ(0, self->m.rc);
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ });
	sched_setaffinity(0, sizeof(self->cpus), &self->cpus);
	close(self->access);
	close(self->pins);
	close(self->fd);
	munmap(self->m.mem, MUCH);
	munmap(self->other, 2 * OTHER_PAGES * PAGE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* What is being mapped cannot be unmapped; what is mapped goes. */
static bool mapping(struct mapper *m)
{
	return calls_of(m) & 1 && ioas_unmap(m->fd, m->ioas, IOVA, MUCH, NULL) == -EBUSY && calls_of(m) & 1;
}

/* Until what is being mapped is mapped, it is not there for an access. */
static bool still_mapping(struct mapper *m, int access, unsigned int call)
{
	uint64_t val;

	return test_access_rw(m->fd, access, IOVA, &val, sizeof(val), 0) == -ENOENT && call == calls_of(m);
}

/* Waits until a call is in the middle of its work. Which one it is */
static unsigned int meet_call(struct mapper *m)
{
	do
		sleep_ms(1);
	while (!m->rc && !mapping(m));
	return calls_of(m);
}

/* Does something while a call is going on, until it has come through often enough; @_undo may wait. */
#define EXPECT_NOT_HELD_UP(_rc, _op, _undo) do { \
	int through = 0, tries = 0; \
	\
	for (; through < TIMES && tries < TRIES; tries++) { \
		unsigned int call = meet_call(&self->m); \
		\
		ASSERT_EQ(_rc, _op); \
		through += still_mapping(&self->m, self->access, call); \
		ASSERT_EQ(0, _undo); \
	} \
	EXPECT_EQ(TIMES, through) TH_LOG("in %d tries", tries); \
} while (0)

TEST_F(parallel, map_goes_on)
{
	EXPECT_NOT_HELD_UP(0, ioas_map_at(self->fd, self->space.ioas, self->other, OTHER_PAGES * PAGE, COPY),
			   ioas_unmap(self->fd, self->space.ioas, COPY, OTHER_PAGES * PAGE, NULL));
}

TEST_F(parallel, map_at_an_address_of_the_kernels_choice_goes_on)
{
	uint64_t iova = 0;

	EXPECT_NOT_HELD_UP(0, ioas_map(self->fd, self->space.ioas, self->other, OTHER_PAGES * PAGE, &iova, MAP_RW),
			   ioas_unmap(self->fd, self->space.ioas, iova, OTHER_PAGES * PAGE, NULL));
}

TEST_F(parallel, unmap_goes_on)
{
	EXPECT_NOT_HELD_UP(0, ioas_unmap(self->fd, self->space.ioas, OTHER, OTHER_PAGES * PAGE, NULL),
			   ioas_map_at(self->fd, self->space.ioas, self->other, OTHER_PAGES * PAGE, OTHER));
}

TEST_F(parallel, copy_goes_on)
{
	EXPECT_NOT_HELD_UP(0, ioas_copy_to(self->fd, self->space.ioas, COPY, self->space.ioas, OTHER,
					   OTHER_PAGES * PAGE),
			   ioas_unmap(self->fd, self->space.ioas, COPY, OTHER_PAGES * PAGE, NULL));
}

TEST_F(parallel, ranges_are_told)
{
	struct iommu_iova_range ranges[16];
	uint32_t num;

	EXPECT_NOT_HELD_UP(0, ({ num = ARRAY_SIZE(ranges);
				 ioas_ranges(self->fd, self->space.ioas, ranges, &num, NULL); }), 0);
}

TEST_F(parallel, access_reads_and_writes)
{
	uint64_t val = 7;

	EXPECT_NOT_HELD_UP(0, test_access_rw(self->fd, self->access, OTHER + PAGE, &val, sizeof(val), ACCESS_WRITE) ?:
			      test_access_rw(self->fd, self->access, OTHER, &val, sizeof(val), 0), 0);
}

TEST_F(parallel, access_pins)
{
	uint32_t item;

	EXPECT_NOT_HELD_UP(0, test_access_pin(self->fd, self->pins, OTHER + PAGE, 2 * PAGE, self->other + PAGE,
					      ACCESS_WRITE, &item) ?:
			      test_access_unpin(self->fd, self->pins, item), 0);
}

TEST_F(parallel, page_table_is_made)
{
	uint32_t hwpt;

	EXPECT_NOT_HELD_UP(0, hwpt_alloc(self->fd, self->space.dev[0].id, self->space.ioas, 0, &hwpt),
			   iommu_destroy(self->fd, hwpt));
}

TEST_F(parallel, page_table_goes)
{
	uint32_t hwpt;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->space.dev[0].id, self->space.ioas, 0, &hwpt));
	EXPECT_NOT_HELD_UP(0, iommu_destroy(self->fd, hwpt),
			   hwpt_alloc(self->fd, self->space.dev[0].id, self->space.ioas, 0, &hwpt));
}

TEST_F(parallel, device_is_attached_and_detached)
{
	struct mock_device dev;

	EXPECT_NOT_HELD_UP(0, mock_device_create(self->fd, self->space.ioas, &dev) ?:
			      iommu_destroy(self->fd, dev.stdev), 0);
}

TEST_F(parallel, device_is_moved_here)
{
	uint32_t ioas, there, here = self->space.ioas;
	struct mock_device dev;

	ASSERT_EQ(0, ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, mock_device_create(self->fd, ioas, &dev));
	EXPECT_NOT_HELD_UP(0, ({ here = self->space.ioas; mock_device_replace(self->fd, dev.stdev, &here); }),
			   ({ there = ioas; mock_device_replace(self->fd, dev.stdev, &there); }));
}

/*
 * What is being mapped is nothing yet, and can neither be had nor taken away. Only the answers count that came while
 * it was.
 */
TEST_F(parallel, what_is_not_finished_is_refused_at_once)
{
	int through = 0, tries = 0;

	for (; through < TIMES && tries < TRIES; tries++) {
		unsigned int call = meet_call(&self->m);
		uint64_t val;
		int rc[3];

		rc[0] = test_access_rw(self->fd, self->access, IOVA + 8 * MIB, &val, sizeof(val), 0);
		rc[1] = ioas_copy_to(self->fd, self->space.ioas, COPY, self->space.ioas, IOVA, PAGE);
		rc[2] = ioas_unmap(self->fd, self->space.ioas, IOVA, MUCH, NULL);
		if (still_mapping(&self->m, self->access, call)) {
			through++;
			EXPECT_EQ(-ENOENT, rc[0]);
			EXPECT_EQ(-ENOENT, rc[1]);
			EXPECT_EQ(-EBUSY, rc[2]);
		}
		ioas_unmap(self->fd, self->space.ioas, COPY, PAGE, NULL);
	}
	EXPECT_EQ(TIMES, through) TH_LOG("in %d tries", tries);
}

TEST_HARNESS_MAIN
