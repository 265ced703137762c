// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process without privileges can do with files that another one opened for it, and what it cannot. This is how a
 * monitor that is trusted with nothing gets its devices; Documentation/userspace-api/vfio-unprivileged.rst tells how.
 */
#include "iommu_test.h"

#include <grp.h>

#define IOVA		0x40000000ULL
#define MEM_PAGES	4
#define NOBODY		1000

/* A child that is nobody: neither root's files nor a capability are left */
static pid_t fork_unprivileged(void)
{
	pid_t pid = fork();

	if (!pid) {
		CHILD_NEEDS(!setgroups(0, NULL));
		CHILD_NEEDS(!setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY));
	}
	return pid;
}

/* As much memory of the caller as its limit allows in an IOAS of its own, with the device on it */
static uint8_t *take_device(int iommufd, struct edu *edu, uint32_t *ioas)
{
	uint8_t *mem = small_pages(MEM_PAGES * PAGE);

	CHILD_NEEDS(mem);
	CHILD_NEEDS(!memlock_limit(MEM_PAGES * PAGE));
	CHILD_NEEDS(!vfio_bind(edu->fd, iommufd, &edu->id));
	CHILD_NEEDS(!edu_enable(edu));
	CHILD_NEEDS(!ioas_alloc(iommufd, ioas));
	CHILD_NEEDS(!vfio_attach(edu->fd, *ioas, NULL));
	CHILD_NEEDS(!ioas_map_at(iommufd, *ioas, mem, MEM_PAGES * PAGE, IOVA));
	return mem;
}

FIXTURE(unprivileged) {
	int iommufd;
	struct edu edu;
};

/* As a service manager prepares them: open, and not bound */
FIXTURE_SETUP(unprivileged)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd);
	ASSERT_EQ(0, edu_open(&self->edu, 0));
}

FIXTURE_TEARDOWN(unprivileged)
{
	edu_close(&self->edu);
	close(self->iommufd);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(unprivileged, opens_no_node_by_itself)
{
	char node[64];
	pid_t pid;

	ASSERT_EQ(0, vfio_node(self->edu.bdf, node, sizeof(node)));
	pid = fork_unprivileged();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(open("/dev/iommu", O_RDWR) == -1 && errno == EACCES);
		CHILD_NEEDS(open(node, O_RDWR) == -1 && errno == EACCES);
		/* nor does a file that it holds lend it the right to open another */
		snprintf(node, sizeof(node), "/proc/self/fd/%d", self->edu.fd);
		CHILD_NEEDS(open(node, O_RDWR) == -1 && errno == EACCES);
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
}

TEST_F(unprivileged, works_with_files_that_it_was_given)
{
	struct edu *edu = &self->edu;
	uint32_t ioas;
	uint8_t *mem;
	pid_t pid;

	pid = fork_unprivileged();
	ASSERT_LE(0, pid);
	if (!pid) {
		mem = take_device(self->iommufd, edu, &ioas);
		CHILD_NEEDS(edu_works_in(edu, IOVA, mem, 2 * PAGE, 0, 21));
		CHILD_NEEDS(!ioas_unmap_all(self->iommufd, ioas));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
}

TEST_F(unprivileged, is_held_to_its_own_limit)
{
	struct edu *edu = &self->edu;
	uint32_t ioas;
	uint8_t *more;
	pid_t pid;

	pid = fork_unprivileged();
	ASSERT_LE(0, pid);
	if (!pid) {
		take_device(self->iommufd, edu, &ioas);
		more = small_pages(PAGE);
		CHILD_NEEDS(more);
		CHILD_NEEDS(ioas_map_at(self->iommufd, ioas, more, PAGE, 2 * IOVA) == -ENOMEM);
		CHILD_NEEDS(vm_pin_kb() == MEM_PAGES * PAGE / 1024);
		/* and cannot raise it */
		CHILD_NEEDS(memlock_limit(1024 * MIB) == -EPERM);
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
}

/* To count what the process has pinned, and not its user anywhere, takes a capability: who opened the file has it */
TEST_F(unprivileged, finds_the_accounting_that_was_chosen_for_it)
{
	pid_t pid;

	pid = fork_unprivileged();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(option_set(self->iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, 1) == -EPERM);
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));

	ASSERT_EQ(0, option_set(self->iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, 1));
	pid = fork_unprivileged();
	ASSERT_LE(0, pid);
	if (!pid) {
		uint64_t mode;

		CHILD_NEEDS(!option_get(self->iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, &mode) && mode == 1);
		CHILD_NEEDS(option_set(self->iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, 0) == -EPERM);
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
}

/* A device belongs to the holder of its file, not to everybody who shares the context */
TEST_F(unprivileged, has_no_power_over_a_device_whose_file_it_lacks)
{
	struct edu *edu = &self->edu;
	uint32_t ioas, hwpt;
	uint8_t *mem;
	pid_t pid;

	ASSERT_EQ(0, vfio_bind(edu->fd, self->iommufd, &edu->id));
	ASSERT_EQ(0, edu_enable(edu));
	mem = small_pages(MEM_PAGES * PAGE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &ioas));
	ASSERT_EQ(0, vfio_attach(edu->fd, ioas, NULL));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, ioas, mem, MEM_PAGES * PAGE, IOVA));
	pid = fork_unprivileged();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!close(edu->fd));
		CHILD_NEEDS(vfio_attach(edu->fd, ioas, NULL) == -EBADF);
		CHILD_NEEDS(iommu_destroy(self->iommufd, edu->id) == -EBUSY);
		CHILD_NEEDS(iommu_destroy(self->iommufd, ioas) == -EBUSY);
		/* what the context shows of the hardware is no secret */
		CHILD_NEEDS(!hwpt_alloc(self->iommufd, edu->id, ioas, 0, &hwpt));
		CHILD_NEEDS(!iommu_destroy(self->iommufd, hwpt));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(edu_works_in(edu, IOVA, mem, 2 * PAGE, 0, 22));
	EXPECT_EQ(0, munmap(mem, MEM_PAGES * PAGE));
}

/* Closing is the only way back, and the giver cannot take away what the receiver still holds */
TEST_F(unprivileged, keeps_the_device_until_it_closes_it)
{
	struct edu *edu = &self->edu, again = {};
	int go[2], iommufd;
	char byte = 0;
	uint32_t ioas;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	pid = fork_unprivileged();
	ASSERT_LE(0, pid);
	if (!pid) {
		uint8_t *mem;

		CHILD_NEEDS(!close(go[1]));
		mem = take_device(self->iommufd, edu, &ioas);
		/* until the giver has closed its own */
		CHILD_NEEDS(read(go[0], &byte, 1) == 1);
		CHILD_NEEDS(edu_works_in(edu, IOVA, mem, 2 * PAGE, 0, 23));
		_exit(0);
	}
	close(go[0]);
	edu_close(edu);
	close(self->iommufd);
	self->iommufd = -1;
	ASSERT_EQ(1, write(go[1], &byte, 1));
	EXPECT_TRUE(child_succeeded(pid));
	close(go[1]);

	iommufd = iommu_open();
	ASSERT_LE(0, iommufd);
	EXPECT_EQ(0, edu_open_bound(&again, 0, iommufd));
	edu_close(&again);
	close(iommufd);
}

TEST_HARNESS_MAIN
