// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_lifetime - what happens when things end in the middle, at once, or fail
 *
 * Files closed in any order, processes that fork, exec, exit and are killed, threads that race, drivers that are
 * unbound, and every memory allocation on the way failing once. After each test nothing may be pinned in the system.
 */
#include "iommu_test.h"
#include "fail_nth.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#define MEM_SIZE	(64 * PAGE)
#define IOVA		0x100000UL
#define BYTES		512

FIXTURE(life)
{
	int iommufd;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
};

FIXTURE_SETUP(life)
{
	edu_space_open(_metadata, &self->iommufd, &self->edu, &self->ioas, &self->mem, MEM_SIZE);
}

FIXTURE_TEARDOWN(life)
{
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, MEM_SIZE);
}

/* ---- files closed in any order ---- */

TEST_F(life, context_lives_until_its_devices_are_closed)
{
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	close(self->iommufd);
	self->iommufd = -1;
	EXPECT_EQ(16, vm_pin_kb());
	pattern_fill(self->mem, BYTES, 1);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 1));
	/* ids still mean something to the device */
	EXPECT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, vfio_detach(self->edu.fd));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	edu_close(&self->edu);
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(life, close_of_an_attached_device_detaches_it)
{
	uint32_t hwpt;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, &hwpt));
	edu_close(&self->edu);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(-ENOENT, iommu_destroy(self->iommufd, hwpt));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->iommufd, self->edu.id));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));

	/* and the device is free for the next one */
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
}

TEST_F(life, page_table_of_user_space_outlives_its_device)
{
	uint32_t hwpt;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &hwpt));
	edu_close(&self->edu);
	EXPECT_EQ(16, vm_pin_kb());
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, 2 * IOVA));
	EXPECT_EQ(32, vm_pin_kb());
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, hwpt, NULL));
	pattern_fill(self->mem, BYTES, 2);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, 2 * IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 2));
	/* left for close */
}

TEST_F(life, close_with_everything_in_use)
{
	uint32_t hwpt, ioas;

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &ioas));
		for (int area = 0; area < 8; area++)
			ASSERT_EQ(0, ioas_map_at(self->iommufd, ioas, self->mem + area * PAGE, 3 * PAGE,
						 IOVA + area * 8 * PAGE));
		ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, ioas, 0, &hwpt));
	}
	ASSERT_EQ(0, vfio_attach(self->edu.fd, ioas, NULL));
	EXPECT_EQ(4 * 8 * 12, vm_pin_kb());
	close(self->iommufd);
	self->iommufd = -1;
}

TEST_F(life, duplicated_file_keeps_the_context)
{
	int copy = dup(self->iommufd), device = dup(self->edu.fd);

	ASSERT_LE(0, copy);
	ASSERT_LE(0, device);
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	close(self->iommufd);
	self->iommufd = copy;
	close(self->edu.fd);
	self->edu.fd = device;
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	EXPECT_EQ(0, vfio_detach(self->edu.fd));
}

/* ---- transfers that are going on ---- */

/* A transfer ends by itself after 100 ms, and on a slow machine the close may not be there by then */
TEST_F(life, close_stops_a_transfer_that_is_going_on)
{
	uint8_t at_close[PAGE];
	double begun;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	pattern_fill(self->mem, BYTES, 3);
	ASSERT_EQ(0, edu_load(&self->edu, IOVA, BYTES));
	memset(self->mem + PAGE, 0x5a, PAGE);
	begun = seconds();
	edu_start_store(&self->edu, IOVA + PAGE, BYTES);
	edu_close(&self->edu);
	memcpy(at_close, self->mem + PAGE, PAGE);
	if (seconds() - begun < 0.1)
		EXPECT_TRUE(bytes_are(at_close, PAGE, 0x5a));
	EXPECT_EQ(0, vm_pin_kb());
	sleep_ms(200);
	EXPECT_EQ(0, memcmp(at_close, self->mem + PAGE, PAGE));
}

/* The device does all of a transfer 100 ms after its start. Where a call took longer than that it is tried again. */
TEST_F(life, unmap_and_detach_stop_a_transfer_that_is_going_on)
{
	bool in_time;
	long faults;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	pattern_fill(self->mem, BYTES, 4);
	ASSERT_EQ(0, edu_load(&self->edu, IOVA, BYTES));
	do {
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem + PAGE, PAGE, 2 * IOVA));
		ASSERT_EQ(0, edu_store(&self->edu, 2 * IOVA, BYTES));
		memset(self->mem + PAGE, 0x5a, PAGE);
		faults = iommu_fault_count();
		edu_start_store(&self->edu, 2 * IOVA, BYTES);
		ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, 2 * IOVA, PAGE, NULL));
		in_time = edu_read_reg(&self->edu, EDU_REG_CMD) & EDU_CMD_RUN;
		ASSERT_EQ(0, edu_wait(&self->edu));
	} while (!in_time);
	EXPECT_TRUE(bytes_are(self->mem + PAGE, PAGE, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(faults));

	do {
		ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
		memset(self->mem, 0x5a, PAGE);
		faults = iommu_fault_count();
		edu_start_store(&self->edu, IOVA, BYTES);
		ASSERT_EQ(0, vfio_detach(self->edu.fd));
		in_time = edu_read_reg(&self->edu, EDU_REG_CMD) & EDU_CMD_RUN;
		ASSERT_EQ(0, edu_wait(&self->edu));
	} while (!in_time);
	EXPECT_TRUE(bytes_are(self->mem, PAGE, 0x5a));
	EXPECT_TRUE(iommu_block_seen(faults));
}

TEST_F(life, memory_unmapped_by_the_process_stays_with_the_device)
{
	uint8_t *gone = small_pages(4 * PAGE);
	long faults = iommu_fault_count();

	ASSERT_NE(NULL, gone);
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, gone, 4 * PAGE, 2 * IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	pattern_fill(self->mem, BYTES, 5);
	pattern_fill(gone, BYTES, 6);
	ASSERT_EQ(0, munmap(gone, 4 * PAGE));
	EXPECT_EQ(8, pages_pinned());
	/* what was in it, and what the device puts there */
	ASSERT_EQ(0, edu_copy(&self->edu, 2 * IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 6));
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, 2 * IOVA + PAGE, BYTES));
	ASSERT_EQ(0, edu_copy(&self->edu, 2 * IOVA + PAGE, IOVA + 2 * PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + 2 * PAGE, BYTES, 5));
	EXPECT_EQ(faults, iommu_fault_count());
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, 2 * IOVA, 4 * PAGE, NULL));
	EXPECT_EQ(4, pages_pinned());
}

/* ---- processes ---- */

TEST_F(life, child_uses_what_it_inherited)
{
	pid_t pid;

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	pattern_fill(self->mem, BYTES, 7);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		uint8_t *mine = small_pages(4 * PAGE);

		CHILD_NEEDS(mine && vm_pin_kb() == 0);
		CHILD_NEEDS(!ioas_map_at(self->iommufd, self->ioas, mine, 4 * PAGE, 2 * IOVA));
		/* pages are charged to whoever maps them */
		CHILD_NEEDS(vm_pin_kb() == 16);
		CHILD_NEEDS(!edu_copy(&self->edu, IOVA, 2 * IOVA, BYTES));
		CHILD_NEEDS(pattern_is(mine, BYTES, 7));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	/* its pages stay for the device, as the context lives on */
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(8, pages_pinned());
	EXPECT_EQ(0, ioas_unmap(self->iommufd, self->ioas, 2 * IOVA, 4 * PAGE, NULL));
	EXPECT_EQ(4, pages_pinned());
}

TEST_F(life, pins_survive_the_process_that_made_them)
{
	uint32_t *lazy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)lazy);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		uint8_t *mine = small_pages(4 * PAGE);

		CHILD_NEEDS(mine);
		pattern_fill(mine, BYTES, 8);
		CHILD_NEEDS(!vfio_attach(self->edu.fd, self->ioas, NULL));
		CHILD_NEEDS(!ioas_map_at(self->iommufd, self->ioas, mine, 4 * PAGE, IOVA));
		CHILD_NEEDS(!ioas_alloc(self->iommufd, lazy));
		CHILD_NEEDS(!ioas_map_at(self->iommufd, *lazy, mine, 4 * PAGE, IOVA));
		_exit(0);
	}
	ASSERT_TRUE(child_succeeded(pid));
	EXPECT_EQ(4, pages_pinned());
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, 2 * IOVA));
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, 2 * IOVA, BYTES));
	EXPECT_TRUE(pattern_is(self->mem, BYTES, 8));

	/* what it mapped without a page table was not pinned, and its memory is gone */
	EXPECT_EQ(-EFAULT, vfio_attach(self->edu.fd, *lazy, NULL));
	EXPECT_EQ(8, pages_pinned());
	EXPECT_EQ(0, iommu_destroy(self->iommufd, *lazy));
	munmap(lazy, PAGE);
}

TEST_F(life, memory_of_a_living_process_is_pinned_for_another_one)
{
	pid_t pid;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* its own copy of the memory is not the one that was mapped */
		pattern_fill(self->mem, BYTES, 9);
		CHILD_NEEDS(!vfio_attach(self->edu.fd, self->ioas, NULL));
		CHILD_NEEDS(vm_pin_kb() == 0);
		_exit(0);
	}
	ASSERT_TRUE(child_succeeded(pid));
	EXPECT_EQ(16, vm_pin_kb());
	pattern_fill(self->mem, BYTES, 10);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 10));
}

TEST(exit_with_everything_open)
{
	for (int round = 0; round < 3; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			uint8_t *mem = small_pages(MEM_SIZE);
			int iommufd = iommu_open();
			uint32_t ioas, hwpt;
			struct edu edu;

			CHILD_NEEDS(mem && iommufd >= 0);
			CHILD_NEEDS(!edu_open_bound(&edu, 0, iommufd));
			CHILD_NEEDS(!ioas_alloc(iommufd, &ioas));
			CHILD_NEEDS(!hwpt_alloc(iommufd, edu.id, ioas, 0, &hwpt));
			CHILD_NEEDS(!vfio_attach(edu.fd, ioas, NULL));
			CHILD_NEEDS(!ioas_map_at(iommufd, ioas, mem, MEM_SIZE, IOVA));
			edu_start_store(&edu, IOVA, BYTES);
			_exit(0);
		}
		EXPECT_TRUE(child_succeeded(pid));
		EXPECT_EQ(0, pages_pinned());
	}
}

/* Maps and unmaps a lot until it is killed. */
static void map_until_killed(size_t length)
{
	uint8_t *mem = small_pages(length);
	int iommufd = iommu_open();
	uint32_t ioas;
	struct edu edu;

	CHILD_NEEDS(mem && iommufd >= 0);
	CHILD_NEEDS(!edu_open_bound(&edu, 0, iommufd));
	CHILD_NEEDS(!ioas_alloc(iommufd, &ioas));
	CHILD_NEEDS(!vfio_attach(edu.fd, ioas, NULL));
	CHILD_NEEDS(!capability(CAP_IPC_LOCK, false));
	CHILD_NEEDS(!memlock_limit(length));
	CHILD_NEEDS(!child_has_begun());
	for (;;) {
		CHILD_NEEDS(!ioas_map_at(iommufd, ioas, mem, length, IOVA));
		CHILD_NEEDS(!ioas_unmap_all(iommufd, ioas));
	}
}

TEST(kill_in_the_middle_of_a_map)
{
	static const int delays_ms[] = { 0, 3, 11, 26, 47 };
	const sigset_t begun = child_expected();
	const size_t length = 32 * MIB;
	int iommufd;
	uint32_t ioas;
	uint8_t *mem;
	struct edu edu;

	for (size_t i = 0; i < ARRAY_SIZE(delays_ms); i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			map_until_killed(length);
		ASSERT_EQ(0, child_kill(&begun, 120, pid, delays_ms[i]));
		EXPECT_EQ_FOR(0, pages_pinned(), "after %d ms", delays_ms[i]);
	}

	/* nothing is charged to the user either: the whole limit is there */
	iommufd = iommu_open();
	ASSERT_LE(0, iommufd);
	ASSERT_EQ(0, edu_open_bound(&edu, 0, iommufd));
	ASSERT_EQ(0, ioas_alloc(iommufd, &ioas));
	ASSERT_EQ(0, vfio_attach(edu.fd, ioas, NULL));
	mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, memlock_limit(MEM_SIZE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	EXPECT_EQ(0, ioas_map_at(iommufd, ioas, mem, MEM_SIZE, IOVA));
	edu_close(&edu);
	close(iommufd);
	EXPECT_EQ(0, pages_pinned());
}

/*
 * The other half of the exec tests: this program, started with IOMMU_TEST_EXEC in its environment, which holds the open
 * files and ids. It runs before main().
 */
__attribute__((constructor))
static void after_exec(void)
{
	const char *text = getenv("IOMMU_TEST_EXEC");
	struct edu edu = { .fd = -1 };
	uint8_t *mine;
	int iommufd;
	uint32_t ioas;

	if (!text)
		return;
	if (!strcmp(text, "closed")) {
		CHILD_NEEDS(pages_pinned() == 0);
		_exit(0);
	}
	CHILD_NEEDS(sscanf(text, "%d %d %u", &iommufd, &edu.fd, &ioas) == 3);
	CHILD_NEEDS(pages_pinned() == 4);
	CHILD_NEEDS(vm_pin_kb() == 0);
	mine = small_pages(PAGE);
	CHILD_NEEDS(mine && !edu_enable(&edu));
	CHILD_NEEDS(!ioas_map_at(iommufd, ioas, mine, PAGE, 2 * IOVA));
	CHILD_NEEDS(vm_pin_kb() == 4);
	CHILD_NEEDS(!edu_copy(&edu, IOVA, 2 * IOVA, BYTES));
	CHILD_NEEDS(pattern_is(mine, BYTES, 11));
	CHILD_NEEDS(!ioas_unmap(iommufd, ioas, IOVA, 4 * PAGE, NULL));
	CHILD_NEEDS(pages_pinned() == 1);
	_exit(0);
}

/* Binds, attaches, maps and becomes another program, which inherits the files or does not. */
static void map_and_exec(bool inherit)
{
	uint8_t *mem = small_pages(4 * PAGE);
	int iommufd = iommu_open();
	char text[64];
	uint32_t ioas;
	struct edu edu;

	CHILD_NEEDS(mem && iommufd >= 0);
	CHILD_NEEDS(!edu_open_bound(&edu, 0, iommufd));
	CHILD_NEEDS(!ioas_alloc(iommufd, &ioas));
	CHILD_NEEDS(!vfio_attach(edu.fd, ioas, NULL));
	pattern_fill(mem, BYTES, 11);
	CHILD_NEEDS(!ioas_map_at(iommufd, ioas, mem, 4 * PAGE, IOVA));
	snprintf(text, sizeof(text), "%d %d %u", iommufd, edu.fd, ioas);
	if (inherit)
		CHILD_NEEDS(!fcntl(iommufd, F_SETFD, 0) && !fcntl(edu.fd, F_SETFD, 0));
	CHILD_NEEDS(!setenv("IOMMU_TEST_EXEC", inherit ? text : "closed", 1));
	execl("/proc/self/exe", "after_exec", NULL);
	CHILD_NEEDS(false);
}

TEST(exec_keeps_what_the_new_program_inherits)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		map_and_exec(true);
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_EQ(0, pages_pinned());
}

TEST(exec_ends_what_the_new_program_does_not_inherit)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		map_and_exec(false);
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_EQ(0, pages_pinned());
}

/* ---- threads ---- */

/**
 * struct racer - One thread that does things in a loop
 * @body: what it does
 * @iommufd: context
 * @edu: device bound to it
 * @ioas: address space
 * @mem: memory to map, MEM_SIZE bytes
 * @seed: for its random numbers
 * @slot: where it maps
 * @rounds: how often
 * @ids: objects that the threads share, 0 where there is none
 * @unexpected: the first answer that no order of events explains, or 0
 */
struct racer {
	void *(*body)(void *arg);
	int iommufd;
	struct edu *edu;
	uint32_t ioas;
	uint8_t *mem;
	uint64_t seed;
	int slot, rounds;
	uint32_t *ids;
	int unexpected;
};

static struct racer racer_of(void *(*body)(void *arg), int iommufd, struct edu *edu, uint32_t ioas, uint8_t *mem)
{
	return (struct racer){ .body = body, .iommufd = iommufd, .edu = edu, .ioas = ioas, .mem = mem };
}

static void expect_one_of(struct racer *r, int rc, int a, int b, int c)
{
	if (rc && rc != a && rc != b && rc != c && !r->unexpected)
		r->unexpected = rc;
}

static void *map_and_unmap_own_range(void *arg)
{
	struct racer *r = arg;
	uint64_t random = r->seed;

	for (int i = 0; i < r->rounds; i++) {
		uint64_t iova = IOVA + (r->slot * 256 + random_next(&random) % 100) * PAGE;
		uint64_t length = (random_next(&random) % 16 + 1) * PAGE;

		expect_one_of(r, ioas_map_at(r->iommufd, r->ioas, r->mem, length, iova), 0, 0, 0);
		expect_one_of(r, ioas_unmap(r->iommufd, r->ioas, iova, length, NULL), 0, 0, 0);
	}
	return NULL;
}

static void *map_and_unmap_anything(void *arg)
{
	struct racer *r = arg;
	uint64_t random = r->seed;

	for (int i = 0; i < r->rounds; i++) {
		uint64_t iova = IOVA + random_next(&random) % 24 * PAGE;
		uint64_t length = (random_next(&random) % 12 + 1) * PAGE;

		expect_one_of(r, ioas_map_at(r->iommufd, r->ioas, r->mem, length, iova), -EEXIST,
			      0, 0);
		iova = IOVA + random_next(&random) % 24 * PAGE;
		expect_one_of(r, ioas_unmap(r->iommufd, r->ioas, iova, 16 * PAGE, NULL), -ENOENT, -EBUSY,
			      0);
	}
	return NULL;
}

static void *attach_and_detach(void *arg)
{
	struct racer *r = arg;
	uint64_t random = r->seed;

	for (int i = 0; i < r->rounds; i++) {
		switch (random_next(&random) % 4) {
		case 0:
			expect_one_of(r, vfio_detach(r->edu->fd), 0, 0, 0);
			break;
		case 1:
			expect_one_of(r, vfio_attach(r->edu->fd, r->ids[0], NULL), 0, 0, 0);
			break;
		default:
			expect_one_of(r, vfio_attach(r->edu->fd, r->ioas, NULL), 0, 0, 0);
		}
	}
	return NULL;
}

/* Makes, uses and destroys objects under ids that other threads make, use and destroy. */
static void *use_and_destroy(void *arg)
{
	struct racer *r = arg;
	uint64_t random = r->seed, iova;
	int iommufd = r->iommufd;

	for (int i = 0; i < r->rounds; i++) {
		uint32_t *slot = &r->ids[random_next(&random) % 4];
		uint32_t id = __atomic_load_n(slot, __ATOMIC_RELAXED), made;

		switch (random_next(&random) % 5) {
		case 0:
			if (!ioas_alloc(iommufd, &made))
				__atomic_store_n(slot, made, __ATOMIC_RELAXED);
			break;
		case 1:
			expect_one_of(r, iommu_destroy(iommufd, id), -ENOENT, -EBUSY, 0);
			break;
		case 2:
			expect_one_of(r, ioas_map(iommufd, id, r->mem, PAGE, &iova, MAP_RW), -ENOENT, 0, 0);
			break;
		case 3:
			if (!hwpt_alloc(iommufd, r->edu->id, id, 0, &made))
				__atomic_store_n(slot, made, __ATOMIC_RELAXED);
			break;
		case 4:
			expect_one_of(r, vfio_attach(r->edu->fd, id, NULL), -ENOENT, 0, 0);
			break;
		}
	}
	return NULL;
}

/* Runs @count racers at once; returns the first unexpected answer. */
static int race(struct racer *racers, int count)
{
	pthread_t threads[4];
	int rc = 0;

	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, racers[i].body, &racers[i]))
			return -EAGAIN;
	for (int i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		rc = rc ?: racers[i].unexpected;
	}
	return rc;
}

TEST_F(life, threads_map_and_unmap_ranges_of_their_own)
{
	struct racer racers[3] = {};

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	for (int i = 0; i < 3; i++) {
		racers[i] = racer_of(map_and_unmap_own_range, self->iommufd, &self->edu, self->ioas, self->mem);
		racers[i].seed = 100 + i;
		racers[i].slot = i;
		racers[i].rounds = 300;
	}
	EXPECT_EQ(0, race(racers, 3));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(life, threads_map_and_unmap_the_same_ranges)
{
	struct racer racers[3] = {};
	uint64_t bytes = 0;

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	for (int i = 0; i < 3; i++) {
		racers[i] = racer_of(map_and_unmap_anything, self->iommufd, &self->edu, self->ioas, self->mem);
		racers[i].seed = 200 + i;
		racers[i].rounds = 400;
	}
	EXPECT_EQ(0, race(racers, 3));
	EXPECT_EQ(vm_pin_kb() * 1024, (ioas_unmap(self->iommufd, self->ioas, 0, UINT64_MAX, &bytes), bytes));
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(life, attach_replace_and_detach_while_mapping)
{
	struct racer racers[3] = {};
	uint32_t other;

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &other));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, other, self->mem, 16 * PAGE, IOVA));
	for (int i = 0; i < 3; i++) {
		racers[i] = racer_of(i < 2 ? map_and_unmap_own_range : attach_and_detach, self->iommufd, &self->edu,
				     self->ioas, self->mem);
		racers[i].seed = 300 + i;
		racers[i].slot = i;
		racers[i].rounds = 300;
		racers[i].ids = &other;
	}
	EXPECT_EQ(0, race(racers, 3));

	/* it works as if nothing had been */
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(16, vm_pin_kb());
	pattern_fill(self->mem, BYTES, 12);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 12));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, other));
}

TEST_F(life, destroy_races_with_use)
{
	struct racer racers[3] = {};
	uint32_t ids[4] = {};

	for (int i = 0; i < 3; i++) {
		racers[i] = racer_of(use_and_destroy, self->iommufd, &self->edu, self->ioas, self->mem);
		racers[i].seed = 400 + i;
		racers[i].rounds = 500;
		racers[i].ids = ids;
	}
	EXPECT_EQ(0, race(racers, 3));
}

static void *close_soon(void *arg)
{
	struct racer *r = arg;

	sleep_ms(20);
	close(r->iommufd);
	close(r->edu->fd);
	return NULL;
}

static void *map_until_closed(void *arg)
{
	struct racer *r = arg;
	int rc = 0;

	for (int i = 0; i < 100000 && rc != -EBADF; i++) {
		rc = ioas_map_at(r->iommufd, r->ioas, r->mem, MEM_SIZE, IOVA);
		if (!rc)
			rc = ioas_unmap_all(r->iommufd, r->ioas);
	}
	r->unexpected = rc == -EBADF ? 0 : rc ?: -ETIME;
	return NULL;
}

TEST_F(life, close_while_another_thread_maps)
{
	struct racer racers[2] = {
		racer_of(map_until_closed, self->iommufd, &self->edu, self->ioas, self->mem),
		racer_of(close_soon, self->iommufd, &self->edu, self->ioas, self->mem),
	};

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, race(racers, 2));
	self->iommufd = -1;
	self->edu.fd = -1;
	/* the device's registers are still mapped, which keeps its file and so everything */
	edu_close(&self->edu);
}

/* ---- the device is taken away ---- */

static void *bind_once(void *arg)
{
	struct racer *r = arg;
	struct edu edu;
	uint32_t id;
	int rc;

	rc = edu_open(&edu, 1);
	if (!rc)
		rc = vfio_bind(edu.fd, r->iommufd, &id);
	__atomic_add_fetch(&r->ids[!!rc], 1, __ATOMIC_RELAXED);
	expect_one_of(r, rc, -EINVAL, 0, 0);
	/* the winner stays until the loser has tried */
	for (int i = 0; i < 60000 && __atomic_load_n(&r->ids[0], __ATOMIC_RELAXED) +
	     __atomic_load_n(&r->ids[1], __ATOMIC_RELAXED) < 2; i++)
		sleep_ms(1);
	edu_close(&edu);
	return NULL;
}

TEST_F(life, one_of_two_binds_at_once_wins)
{
	char bdf[16];

	/* the driver is not what they shall race for */
	ASSERT_EQ(0, edu_find(1, bdf));
	ASSERT_EQ(0, pci_use_vfio(bdf));
	for (int i = 0; i < 5; i++) {
		uint32_t results[2] = {};
		struct racer racers[2];

		for (int t = 0; t < 2; t++) {
			racers[t] = racer_of(bind_once, self->iommufd, &self->edu, self->ioas, self->mem);
			racers[t].ids = results;
		}
		ASSERT_EQ(0, race(racers, 2));
		EXPECT_EQ_FOR(1, results[0], "round %d", i);
		EXPECT_EQ_FOR(1, results[1], "round %d", i);
	}
}

TEST_F(life, driver_unbind_waits_for_close)
{
	struct pollfd asked = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	char node[64], driver[64];
	pid_t pid;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, edu_event(&self->edu, VFIO_PCI_REQ_IRQ_INDEX, asked.fd));
	ASSERT_EQ(0, vfio_node(self->edu.bdf, node, sizeof(node)));

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* must not hold the device open itself */
		edu_close(&self->edu);
		close(self->iommufd);
		CHILD_NEEDS(!pci_unbind(self->edu.bdf));
		_exit(0);
	}
	/* the driver asks for the device, and waits; until it is given back everything goes on working */
	ASSERT_EQ(1, poll(&asked, 1, 60000));
	sleep_ms(100);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	EXPECT_GT(0, open(node, O_RDWR | O_CLOEXEC));
	pattern_fill(self->mem, BYTES, 13);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 13));

	edu_close(&self->edu);
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_EQ(-ENOENT, pci_driver(self->edu.bdf, driver, sizeof(driver)));
	EXPECT_EQ(0, vm_pin_kb());
	/* back to vfio-pci, and usable again */
	EXPECT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
	EXPECT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	close(asked.fd);
}

/* ---- every allocation fails once ---- */

/* @nth: /proc/thread-self/fail-nth, or -1 where failures cannot be injected */
FIXTURE(fail)
{
	int iommufd, nth;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
};

FIXTURE_SETUP(fail)
{
	self->nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	edu_space_open(_metadata, &self->iommufd, &self->edu, &self->ioas, &self->mem, MEM_SIZE);
}

FIXTURE_TEARDOWN(fail)
{
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, MEM_SIZE);
	if (self->nth >= 0)
		close(self->nth);
}

TEST_F(fail, ioas_alloc)
{
	uint32_t id = 0;
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	for (int n = 1, failed = 1, rc; failed && n < MANY; n++) {
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = ioas_alloc(self->iommufd, &id);
		failed = fail_left_in_turn(self->nth, n);
		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		if (rc)
			failures++;
		else
			ASSERT_EQ(0, iommu_destroy(self->iommufd, id));
	}
	EXPECT_LT(1, failures);
	/* no id is left over: the next is the one after the last */
	for (uint32_t left = 3; left < 10; left++)
		EXPECT_EQ_FOR(-ENOENT, iommu_destroy(self->iommufd, left), "id %u", left);
}

TEST_F(fail, map)
{
	uint64_t iova = IOVA;
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	/* page-table pages stay when a mapping goes, so every round takes addresses that have none yet */
	for (int n = 1, failed = 1, rc; failed && n < MANY; n++) {
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = ioas_map_at(self->iommufd, self->ioas, self->mem, 20 * PAGE, iova);
		failed = fail_left_in_turn(self->nth, n);
		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		ASSERT_EQ_FOR(rc ? 0 : 80, vm_pin_kb(), "failure %d gave %d", n, rc);
		ASSERT_EQ_FOR(rc ? 0 : 20, pages_pinned(), "failure %d gave %d", n, rc);
		ASSERT_EQ_FOR(rc ? -ENOENT : 0, ioas_unmap(self->iommufd, self->ioas, iova, 20 * PAGE, NULL),
			      "failure %d gave %d", n, rc);
		failures += !!rc;
		iova += 1UL << 30;
	}
	EXPECT_LT(3, failures);
}

/* The first page-table page of a range is filled when memory for the next one is missing. */
TEST_F(fail, map_that_failed_left_nothing)
{
	uint8_t *mem = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	uint64_t iova = MIB;
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_NE(MAP_FAILED, (void *)mem) TH_LOG("a huge page of 2 MiB: %s", strerror(errno));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	for (int n = 1, failed = 1, rc; failed && n < MANY; n++) {
		long faults = iommu_fault_count();

		iova += 1UL << 30;
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = ioas_map_at(self->iommufd, self->ioas, mem, HUGE_PAGE, iova);
		failed = fail_left_in_turn(self->nth, n);
		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		if (rc) {
			failures++;
			ASSERT_EQ_FOR(0, pages_pinned(), "failure %d gave %d", n, rc);
			ASSERT_EQ(0, edu_store(&self->edu, iova, BYTES));
			ASSERT_TRUE(iommu_fault_seen(faults)) TH_LOG("failure %d gave %d, and a hole", n, rc);
			ASSERT_EQ_FOR(0, ioas_map_at(self->iommufd, self->ioas, mem, HUGE_PAGE, iova), "failure %d", n);
		}
		ASSERT_EQ_FOR(0, ioas_unmap(self->iommufd, self->ioas, iova, HUGE_PAGE, NULL), "failure %d", n);
	}
	EXPECT_LT(3, failures);
	munmap(mem, HUGE_PAGE);
}

TEST_F(fail, unmap_takes_all_or_nothing)
{
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 20 * PAGE, IOVA));
	for (int n = 1, failed = 1, rc; failed && n < MANY; n++) {
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = ioas_unmap(self->iommufd, self->ioas, IOVA, 20 * PAGE, NULL);
		failed = fail_left_in_turn(self->nth, n);
		long pinned = pages_pinned();

		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		/* only copies from and to the caller may fail; the bytes may be gone and only the answer lost */
		ASSERT_TRUE(rc == 0 || rc == -EFAULT) TH_LOG("failure %d gave %d", n, rc);
		ASSERT_TRUE(pinned == 0 || (rc && pinned == 20)) TH_LOG("failure %d left %ld pages", n, pinned);
		if (!pinned)
			ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 20 * PAGE, IOVA));
		failures += !!rc;
	}
	EXPECT_LT(0, failures);
}

TEST_F(fail, hwpt_alloc)
{
	uint32_t hwpt = 0;
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 20 * PAGE, IOVA));
	for (int n = 1, failed = 1, rc; failed && n < MANY; n++) {
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &hwpt);
		failed = fail_left_in_turn(self->nth, n);
		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		ASSERT_EQ_FOR(rc ? 0 : 80, vm_pin_kb(), "failure %d gave %d", n, rc);
		if (!rc)
			ASSERT_EQ(0, iommu_destroy(self->iommufd, hwpt));
		ASSERT_EQ_FOR(0, pages_pinned(), "failure %d gave %d", n, rc);
		failures += !!rc;
	}
	EXPECT_LT(5, failures);
	/* no page table is left that would hold it */
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
}

TEST_F(fail, attach)
{
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 20 * PAGE, IOVA));
	for (int n = 1, failed = 1, rc; failed && n < MANY; n++) {
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = vfio_attach(self->edu.fd, self->ioas, NULL);
		failed = fail_left_in_turn(self->nth, n);
		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		ASSERT_EQ_FOR(rc ? 0 : 80, vm_pin_kb(), "failure %d gave %d", n, rc);
		if (!rc)
			ASSERT_EQ(0, vfio_detach(self->edu.fd));
		failures += !!rc;
	}
	EXPECT_LT(5, failures);
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
}

TEST_F(fail, replace_keeps_the_old_translation)
{
	uint8_t *old = self->mem, *new = self->mem + 20 * PAGE;
	uint32_t other, hwpt;
	long faults = iommu_fault_count();
	int failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &other));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, old, 20 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, other, new, 30 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, &hwpt));
	pattern_fill(old, BYTES, 14);
	ASSERT_EQ(0, edu_load(&self->edu, IOVA, BYTES));
	for (int n = 1, failed = 1, rc; failed && n < MANY; n++) {
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = vfio_attach(self->edu.fd, other, NULL);
		failed = fail_left_in_turn(self->nth, n);
		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		ASSERT_EQ_FOR(rc ? 80 : 120, vm_pin_kb(), "failure %d gave %d", n, rc);
		memset(old + PAGE, 0, PAGE);
		memset(new + PAGE, 0, PAGE);
		ASSERT_EQ(0, edu_store(&self->edu, IOVA + PAGE, BYTES));
		ASSERT_TRUE(pattern_is((rc ? old : new) + PAGE, BYTES, 14)) TH_LOG("failure %d gave %d", n, rc);
		ASSERT_TRUE(bytes_are((rc ? new : old) + PAGE, BYTES, 0)) TH_LOG("failure %d gave %d", n, rc);
		if (rc)
			ASSERT_EQ_FOR(-EBUSY, iommu_destroy(self->iommufd, hwpt), "failure %d", n);
		else
			ASSERT_EQ_FOR(0, vfio_attach(self->edu.fd, self->ioas, &hwpt), "failure %d", n);
		failures += !!rc;
	}
	EXPECT_LT(5, failures);
	EXPECT_EQ(faults, iommu_fault_count());
	EXPECT_EQ(0, iommu_destroy(self->iommufd, other));
}

/* Binding a device that stays on does not get into ACPI, which in Linux 6.1 frees an object twice without memory. */
TEST_F(fail, bind)
{
	struct edu edu;
	int failures = 0;
	bool failed = true;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_EQ(0, edu_open(&edu, 1));
	edu_close(&edu);
	ASSERT_EQ(0, pci_keep_on(edu.bdf, true));
	ASSERT_EQ(0, pci_use_vfio(edu.bdf));
	/* each time a context of its own, whose tables are empty */
	for (int n = 1, rc; failed; n++) {
		int iommufd = open("/dev/iommu", O_RDWR);

		ASSERT_GT(MANY, n);
		ASSERT_LE(0, iommufd);
		ASSERT_EQ_FOR(0, edu_open(&edu, 1), "failure %d", n);
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = vfio_bind(edu.fd, iommufd, &edu.id);
		failed = fail_left_in_turn(self->nth, n);
		ASSERT_TRUE(failed || rc == 0) TH_LOG("no failure was left, and the call gave %d", rc);
		/* not bound at all, or entirely; and the same file may try again, for another owner */
		ASSERT_EQ_FOR(rc ? -EINVAL : 0, vfio_detach(edu.fd), "failure %d gave %d", n, rc);
		if (rc)
			ASSERT_EQ_FOR(0, vfio_bind(edu.fd, self->iommufd, &edu.id), "failure %d gave %d", n, rc);
		edu_close(&edu);
		close(iommufd);
		failures += !!rc;
	}
	EXPECT_LT(5, failures);
	EXPECT_EQ(0, pci_keep_on(edu.bdf, false));
	EXPECT_EQ(0, pci_use_vfio(edu.bdf));
}

TEST_F(fail, bind_while_memory_runs_out)
{
	const int step = 64, enough = 256 * 1024;
	int task = open("/proc/thread-self/make-it-fail", O_RDWR);
	int failures = 0, rc = -1;
	struct edu edu;

	if (self->nth < 0 || task < 0)
		SKIP(return, NO_FAULT_INJECTION);

	ASSERT_EQ(0, edu_open(&edu, 1));
	edu_close(&edu);
	ASSERT_EQ(0, pci_keep_on(edu.bdf, true));
	ASSERT_EQ(0, pci_use_vfio(edu.bdf));
	ASSERT_EQ(0, memory_may_run_out(true));
	for (int space = 0; rc; space += step) {
		int iommufd = open("/dev/iommu", O_RDWR);
		char text[16];

		ASSERT_GT(enough, space);
		ASSERT_LE(0, iommufd);
		ASSERT_EQ_FOR(0, edu_open(&edu, 1), "%d bytes", space);
		snprintf(text, sizeof(text), "%d", space);
		ASSERT_EQ(0, write_file("/sys/kernel/debug/failslab/space", text));
		ASSERT_EQ(1, pwrite(task, "1", 1, 0));
		rc = vfio_bind(edu.fd, iommufd, &edu.id);
		ASSERT_EQ(1, pwrite(task, "0", 1, 0));
		ASSERT_EQ_FOR(rc ? -EINVAL : 0, vfio_detach(edu.fd), "%d bytes gave %d", space, rc);
		if (rc)
			ASSERT_EQ_FOR(0, vfio_bind(edu.fd, self->iommufd, &edu.id), "%d bytes gave %d", space, rc);
		edu_close(&edu);
		close(iommufd);
		failures += !!rc;
	}
	EXPECT_LT(10, failures);
	EXPECT_EQ(0, memory_may_run_out(false));
	EXPECT_EQ(0, pci_keep_on(edu.bdf, false));
	EXPECT_EQ(0, pci_use_vfio(edu.bdf));
	close(task);
}

TEST_HARNESS_MAIN
