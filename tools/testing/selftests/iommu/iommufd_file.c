// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_file - memory mapped by its place in a file
 *
 * Needs one of QEMU's edu devices behind an IOMMU, and eight free huge pages of 2 MiB.
 */
#include "iommu_test.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FILE_SIZE	(16 * PAGE)
#define IOVA		0x100000UL
#define BYTES		512

#define EXPECT_ERRNO(_errno, _call) do { \
	EXPECT_EQ(-1, _call); \
	EXPECT_EQ(_errno, errno); \
} while (0)

static int memfd(size_t size, unsigned int flags)
{
	int fd = memfd_create("iommufd_file", MFD_CLOEXEC | flags);

	return fd < 0 || ftruncate(fd, size) ? -errno : fd;
}

static uint8_t *view_of(int fd, size_t size)
{
	uint8_t *view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return view == MAP_FAILED ? NULL : view;
}

/* The same file, opened another way */
static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static long blocks_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : st.st_blocks;
}

static long free_huge_pages(void)
{
	return number_in_file("/proc/meminfo", "HugePages_Free:");
}

/* ---- what is refused ---- */

FIXTURE(refused)
{
	int iommufd, file;
	uint32_t ioas;
};

FIXTURE_SETUP(refused)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	self->file = memfd(FILE_SIZE, MFD_ALLOW_SEALING);
	ASSERT_LE(0, self->file);
}

FIXTURE_TEARDOWN(refused)
{
	/* whatever was tried, nothing is mapped in the end */
	if (self->file >= 0) {
		EXPECT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
		EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
		close(self->file);
	}
	close(self->iommufd);
}

TEST_F(refused, each_mistake_has_its_errno)
{
	const struct iommu_ioas_map_file good = {
		.size = sizeof(good), .flags = MAP_FIXED_RW, .ioas_id = self->ioas, .fd = self->file,
		.start = PAGE, .length = PAGE, .iova = IOVA,
	};
	struct iommu_ioas_map_file cmd;

#define EXPECT_MAP(_rc, ...) do { \
		struct iommu_ioas_map_file change[] = { good }; \
		cmd = change[0]; \
		__VA_ARGS__; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->iommufd, IOMMU_IOAS_MAP_FILE, &cmd), #__VA_ARGS__); \
	} while (0)

	/* each line has the mistake of the next ones too, and reports its own */
	for (int bit = 3; bit < 32; bit++)
		EXPECT_MAP(-EOPNOTSUPP, cmd.flags = 1U << bit; cmd.iova = UINT64_MAX);
	EXPECT_MAP(-EOVERFLOW, cmd.iova = UINT64_MAX; cmd.flags = 0);
	EXPECT_MAP(-EOVERFLOW, cmd.length = UINT64_MAX; cmd.flags = 0);
	EXPECT_MAP(-EINVAL, cmd.flags = 0; cmd.ioas_id = UNKNOWN_ID);
	EXPECT_MAP(-EINVAL, cmd.flags = IOMMU_IOAS_MAP_FIXED_IOVA; cmd.ioas_id = UNKNOWN_ID);
	EXPECT_MAP(-ENOENT, cmd.ioas_id = UNKNOWN_ID; cmd.length = 0);
	EXPECT_MAP(-ENOENT, cmd.ioas_id = 0; cmd.length = 0);
	EXPECT_MAP(-EINVAL, cmd.length = 0; cmd.start = UINT64_MAX; cmd.fd = -1);
	EXPECT_MAP(-EOVERFLOW, cmd.start = UINT64_MAX; cmd.fd = -1);
	EXPECT_MAP(-EOVERFLOW, cmd.start = -PAGE; cmd.fd = -1);
	EXPECT_MAP(-EBADF, cmd.fd = -1; cmd.iova = -PAGE; cmd.length = 2 * PAGE);
	EXPECT_MAP(-EBADF, cmd.fd = INT32_MIN);
	EXPECT_MAP(-EBADF, cmd.fd = 1000);
	EXPECT_MAP(-EOVERFLOW, cmd.iova = -PAGE; cmd.length = 2 * PAGE);
	EXPECT_MAP(0, cmd.iova = IOVA);
	EXPECT_MAP(-EEXIST, cmd.iova = IOVA);
	/* without an address of its own the field is an output only, but must not be nonsense */
	EXPECT_MAP(0, cmd.flags = MAP_RW; cmd.iova = 1);
	EXPECT_MAP(-EOVERFLOW, cmd.flags = MAP_RW; cmd.iova = UINT64_MAX);
#undef EXPECT_MAP
}

TEST_F(refused, files_that_are_no_memory)
{
	int pipes[2], fd;
	static const char * const paths[] = { "/dev/null", "/dev/zero", "/proc/self/status", "/proc", "/dev", "/" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		EXPECT_EQ_FOR(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, PAGE, IOVA), "%s", paths[i]);
		close(fd);
	}
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, pipes[0], 0, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, pipes[1], 0, PAGE, IOVA));
	close(pipes[0]);
	close(pipes[1]);
	fd = eventfd(0, 0);
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, PAGE, IOVA));
	close(fd);
	/* a context that kept itself alive would never go away */
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->iommufd, 0, PAGE, IOVA));
	/* a path is no right to what is behind it */
	fd = reopen(self->file, O_PATH);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, PAGE, IOVA));
	close(fd);
}

TEST_F(refused, what_the_descriptor_does_not_allow)
{
	int ro = reopen(self->file, O_RDONLY), wo = reopen(self->file, O_WRONLY);
	const uint32_t fixed = IOMMU_IOAS_MAP_FIXED_IOVA;
	uint64_t iova = IOVA;

	ASSERT_LE(0, ro);
	ASSERT_LE(0, wo);
	EXPECT_EQ(-EPERM, ioas_map_file_at(self->iommufd, self->ioas, ro, 0, PAGE, IOVA));
	EXPECT_EQ(-EPERM, ioas_map_file(self->iommufd, self->ioas, ro, 0, PAGE, &iova,
					fixed | IOMMU_IOAS_MAP_WRITEABLE));
	EXPECT_EQ(-EPERM, ioas_map_file_at(self->iommufd, self->ioas, wo, 0, PAGE, IOVA));
	EXPECT_EQ(-EPERM, ioas_map_file(self->iommufd, self->ioas, wo, 0, PAGE, &iova,
					fixed | IOMMU_IOAS_MAP_WRITEABLE));
	EXPECT_EQ(0, ioas_map_file(self->iommufd, self->ioas, ro, 0, PAGE, &iova, fixed | IOMMU_IOAS_MAP_READABLE));
	/* nor can a copy do more */
	iova = 4 * IOVA;
	EXPECT_EQ(-EPERM, ioas_copy(self->iommufd, self->ioas, &iova, self->ioas, IOVA, PAGE, MAP_FIXED_RW));
	EXPECT_EQ(0, ioas_copy(self->iommufd, self->ioas, &iova, self->ioas, IOVA, PAGE,
			       fixed | IOMMU_IOAS_MAP_READABLE));
	close(ro);
	close(wo);
}

TEST_F(refused, writing_to_a_sealed_file)
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };

	for (int huge = 0; huge < 2; huge++) {
		for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
			int fd = memfd(HUGE_PAGE, MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0));
			uint64_t iova = 0;

			ASSERT_LE(0, fd);
			ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, seals[i]));
			EXPECT_EQ(-EPERM, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, PAGE, IOVA));
			EXPECT_EQ(0, ioas_map_file(self->iommufd, self->ioas, fd, 0, PAGE, &iova,
						   IOMMU_IOAS_MAP_READABLE));
			close(fd);
		}
	}
}

TEST_F(refused, sealing_what_a_device_may_write)
{
	uint64_t iova = IOVA;

	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, PAGE, IOVA));
	EXPECT_ERRNO(EBUSY, fcntl(self->file, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	/* one that only reads does not mind */
	ASSERT_EQ(0, ioas_map_file(self->iommufd, self->ioas, self->file, 0, PAGE, &iova,
				   IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(0, fcntl(self->file, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, PAGE, 2 * IOVA));
}

TEST_F(refused, a_result_that_cannot_be_told)
{
	struct iommu_ioas_map_file *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t bytes = 1;

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	*cmd = (struct iommu_ioas_map_file){ .size = sizeof(*cmd), .flags = MAP_RW, .ioas_id = self->ioas,
					     .fd = self->file, .length = PAGE };
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->iommufd, IOMMU_IOAS_MAP_FILE, cmd));
	EXPECT_EQ(0, ioas_unmap(self->iommufd, self->ioas, 0, UINT64_MAX, &bytes));
	EXPECT_EQ(0, bytes);
	munmap(cmd, PAGE);
	/* and the file is nobody's */
	EXPECT_EQ(0, fcntl(self->file, F_ADD_SEALS, F_SEAL_WRITE));
}

/* ---- a device and a file ---- */

FIXTURE(file)
{
	int iommufd, file;
	struct edu edu;
	uint32_t ioas;
	uint8_t *view;
};

FIXTURE_VARIANT(file)
{
	size_t size, page;
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(file, shmem)
{
	.size = FILE_SIZE,
	.page = PAGE,
};

FIXTURE_VARIANT_ADD(file, hugetlb)
{
	.size = 2 * HUGE_PAGE,
	.page = HUGE_PAGE,
	.flags = MFD_HUGETLB,
};

FIXTURE_SETUP(file)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	self->file = memfd(variant->size, variant->flags);
	ASSERT_LE(0, self->file);
	self->view = NULL;
}

FIXTURE_TEARDOWN(file)
{
	edu_close(&self->edu);
	close(self->iommufd);
	if (self->view)
		munmap(self->view, variant->size);
	close(self->file);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(file, device_and_process_see_the_same_pages)
{
	uint64_t start = variant->size / 2 - PAGE;

	/* two pages on either side of the middle: for huge pages the end of one and the beginning of the next */
	self->view = view_of(self->file, variant->size);
	ASSERT_NE(NULL, self->view);
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, start, 2 * PAGE, IOVA));
	EXPECT_EQ(8, vm_pin_kb());
	EXPECT_EQ(2, pages_pinned());
	pattern_fill(self->view + start, BYTES, 1);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->view + start + PAGE, BYTES, 1));
	/* nothing beside it was mapped or touched */
	EXPECT_TRUE(bytes_are(self->view + start - PAGE, PAGE, 0));
	EXPECT_TRUE(bytes_are(self->view + start + 2 * PAGE, PAGE, 0));
}

TEST_F(file, pages_that_are_missing_are_made_and_blank)
{
	long huge_before = free_huge_pages();
	uint8_t byte = 1;

	ASSERT_EQ(0, blocks_of(self->file));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, PAGE, IOVA));
	/* not before somebody needs them */
	EXPECT_EQ(0, blocks_of(self->file));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(variant->page / 512, blocks_of(self->file));
	if (variant->flags & MFD_HUGETLB)
		EXPECT_EQ(huge_before - 1, free_huge_pages());
	self->view = view_of(self->file, variant->size);
	ASSERT_NE(NULL, self->view);
	EXPECT_TRUE(bytes_are(self->view, variant->page, 0));
	/* and they belong to the file when the device is gone */
	pattern_fill(self->view, BYTES, 2);
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	EXPECT_TRUE(pattern_is(self->view, BYTES, 2));
	EXPECT_EQ(1, pread(self->file, &byte, 1, variant->page - 1));
	EXPECT_EQ(0, byte);
	EXPECT_EQ(variant->page / 512, blocks_of(self->file));
}

TEST_F(file, mapping_needs_neither_descriptor_nor_view)
{
	int other = reopen(self->file, O_RDWR);
	uint8_t *view = view_of(self->file, variant->size);

	ASSERT_LE(0, other);
	ASSERT_NE(NULL, view);
	pattern_fill(view, BYTES, 3);
	ASSERT_EQ(0, munmap(view, variant->size));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, other, 0, 2 * PAGE, IOVA));
	close(other);
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	self->view = view_of(self->file, variant->size);
	ASSERT_NE(NULL, self->view);
	EXPECT_TRUE(pattern_is(self->view + PAGE, BYTES, 3));
}

TEST_F(file, mapping_needs_no_process)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, 2 * PAGE, IOVA) ? 1 : 0);
	ASSERT_TRUE(child_succeeded(pid));
	/* memory of the child would be gone now */
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(2, pages_pinned());
	self->view = view_of(self->file, variant->size);
	ASSERT_NE(NULL, self->view);
	pattern_fill(self->view, BYTES, 4);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->view + PAGE, BYTES, 4));
}

TEST_F(file, page_is_pinned_once_for_a_mapping_and_its_copies)
{
	uint32_t hwpt[2], other;

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &other));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &hwpt[i]));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, FILE_SIZE, IOVA));
	EXPECT_EQ(64, vm_pin_kb());
	EXPECT_EQ(16, pages_pinned());
	ASSERT_EQ(0, ioas_copy_to(self->iommufd, other, 4 * IOVA, self->ioas, IOVA + PAGE, 4 * PAGE));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, other, NULL));
	EXPECT_EQ(64, vm_pin_kb());
	EXPECT_EQ(16, pages_pinned());

	/* the copy keeps what it needs */
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(4, pages_pinned());
	self->view = view_of(self->file, variant->size);
	ASSERT_NE(NULL, self->view);
	pattern_fill(self->view + PAGE, BYTES, 5);
	ASSERT_EQ(0, edu_copy(&self->edu, 4 * IOVA, 4 * IOVA + 3 * PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->view + 4 * PAGE, BYTES, 5));

	/* mapped a second time it is another mapping, with pins of its own */
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, other, self->file, 0, FILE_SIZE, 8 * IOVA));
	EXPECT_EQ(80, vm_pin_kb());
	EXPECT_EQ(20, pages_pinned());
}

/* The signal that reading @p costs, or 0 */
static int touch(const uint8_t *p)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		__atomic_load_n(p, __ATOMIC_RELAXED);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_F(file, device_keeps_its_pages_when_the_file_is_truncated)
{
	self->view = view_of(self->file, variant->size);
	ASSERT_NE(NULL, self->view);
	pattern_fill(self->view, BYTES, 6);
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, 2 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, touch(self->view));
	ASSERT_EQ(0, ftruncate(self->file, 0));
	EXPECT_EQ(SIGBUS, touch(self->view));
	EXPECT_EQ(8, vm_pin_kb());
	/* the device does not notice; what it has is nobody else's */
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	ASSERT_EQ(0, ftruncate(self->file, variant->size));
	EXPECT_TRUE(bytes_are(self->view, 2 * PAGE, 0));
	/* a mapping that is made now has the new pages, and a device that comes to the old one the old pages */
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, PAGE, 2 * IOVA));
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA + PAGE, 2 * IOVA, BYTES));
	EXPECT_TRUE(pattern_is(self->view, BYTES, 6));
}

TEST_F(file, device_keeps_its_page_when_a_hole_is_punched)
{
	self->view = view_of(self->file, variant->size);
	ASSERT_NE(NULL, self->view);
	pattern_fill(self->view, BYTES, 7);
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, fallocate(self->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, variant->page));
	EXPECT_TRUE(bytes_are(self->view, BYTES, 0));
	ASSERT_EQ(0, edu_load(&self->edu, IOVA, BYTES));
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, PAGE, 2 * IOVA));
	ASSERT_EQ(0, edu_store(&self->edu, 2 * IOVA, BYTES));
	EXPECT_TRUE(pattern_is(self->view, BYTES, 7));
}

TEST_F(file, range_beyond_the_end_is_einval_when_it_is_pinned)
{
	uint64_t size = variant->size;

	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, size + PAGE, IOVA));
	EXPECT_EQ(-EINVAL, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, size + PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->file, size, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->file, 1UL << 62, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->file, -2 * PAGE, PAGE, IOVA));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, size - PAGE, PAGE, IOVA));

	/* truncated before a device comes */
	ASSERT_EQ(0, vfio_detach(self->edu.fd));
	ASSERT_EQ(0, ftruncate(self->file, size - variant->page));
	EXPECT_EQ(-EINVAL, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, pages_pinned());
	/* as it comes it goes */
	ASSERT_EQ(0, ftruncate(self->file, size));
	EXPECT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(1, pages_pinned());
}

TEST_F(file, limit_is_kept_to_the_page)
{
	if (variant->flags & MFD_HUGETLB)
		return;
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	ASSERT_EQ(0, memlock_limit(8 * PAGE));
	EXPECT_EQ(-ENOMEM, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, 9 * PAGE, IOVA));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, blocks_of(self->file));
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, 8 * PAGE, IOVA));
	EXPECT_EQ(32, vm_pin_kb());
	EXPECT_EQ(-ENOMEM, ioas_map_file_at(self->iommufd, self->ioas, self->file, 8 * PAGE, PAGE, 2 * IOVA));
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 8 * PAGE, PAGE, 2 * IOVA));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, true));
}

TEST_F(file, no_huge_page_left_is_enomem)
{
	long left = free_huge_pages();
	int hog;

	if (!(variant->flags & MFD_HUGETLB))
		return;
	ASSERT_LE(2, left);
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	hog = memfd(left * HUGE_PAGE, MFD_HUGETLB);
	ASSERT_LE(0, hog);
	ASSERT_EQ(0, fallocate(hog, 0, 0, (left - 1) * HUGE_PAGE));
	/* the first page can be had, the second cannot: then neither is pinned */
	EXPECT_EQ(-ENOMEM, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, 2 * HUGE_PAGE, IOVA));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, HUGE_PAGE, IOVA));
	close(hog);
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, HUGE_PAGE, HUGE_PAGE, 4 * IOVA));
}

/* Pinned from the very end of a file whose last page is not full */
TEST_F(file, last_page_may_be_partly_there)
{
	if (variant->flags & MFD_HUGETLB)
		return;
	ASSERT_EQ(0, ftruncate(self->file, PAGE + 1));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, self->file, 0, 2 * PAGE, IOVA));
	EXPECT_EQ(2, pages_pinned());
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, self->file, PAGE, 2 * PAGE, 2 * IOVA));
	EXPECT_EQ(2, pages_pinned());
}

TEST_F(file, kernel_chosen_address_suits_the_offset)
{
	uint64_t iova = 0;

	if (!(variant->flags & MFD_HUGETLB))
		return;
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, ioas_map_file(self->iommufd, self->ioas, self->file, 0, 2 * HUGE_PAGE, &iova, MAP_RW));
	EXPECT_EQ(0, iova % HUGE_PAGE);
	EXPECT_EQ(1024, pages_pinned());
	EXPECT_EQ(4096, vm_pin_kb());
}

TEST_HARNESS_MAIN
