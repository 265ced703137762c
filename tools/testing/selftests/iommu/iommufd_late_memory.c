// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_late_memory - an emulated device copies memory whose owner has not provided it yet, or a map call cannot
 * tell its caller the address yet
 *
 * Whoever handles page faults in user space may take as long as it likes. Only those who need the same memory wait.
 * Needs the mock IOMMU.
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"

#include <linux/userfaultfd.h>
#include <pthread.h>

#define IOVA	MOCK_FIRST
#define OTHER	(IOVA + MIB)

/**
 * struct copy - A copy through an emulated device, by a thread of its own
 * @thread: the thread
 * @fd: /dev/iommu
 * @access: the emulated device
 * @rc: what it gave
 * @bytes: what was copied
 */
struct copy {
	pthread_t thread;
	int fd, access, rc;
	char bytes[8];
};

static void *copy_bytes(void *data)
{
	struct copy *copy = data;

	copy->rc = test_access_rw(copy->fd, copy->access, IOVA, copy->bytes, sizeof(copy->bytes), 0);
	return NULL;
}

FIXTURE(late)
{
	int fd, uffd;
	uint32_t ioas;
	uint8_t *late, *mem;
	struct copy copy;
};

/* A copy has begun, and waits for its page */
FIXTURE_SETUP(late)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffd_msg fault;

	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas));
	self->mem = small_pages(2 * PAGE);
	ASSERT_NE(NULL, self->mem);
	self->late = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->late);
	self->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	ASSERT_LE(0, self->uffd);
	reg.range.start = to_u64(self->late);
	reg.range.len = PAGE;
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->late, PAGE, IOVA));
	self->copy.fd = self->fd;
	self->copy.access = test_access_create(self->fd, self->ioas, 0);
	ASSERT_LE(0, self->copy.access);
	memset(self->copy.bytes, 1, sizeof(self->copy.bytes));
	ASSERT_EQ(0, pthread_create(&self->copy.thread, NULL, copy_bytes, &self->copy));
	ASSERT_EQ(sizeof(fault), read(self->uffd, &fault, sizeof(fault)));
}

/* The page comes, and the copy ends well */
FIXTURE_TEARDOWN(late)
{
	struct uffdio_zeropage zero = { .range = { .start = to_u64(self->late), .len = PAGE } };
	static const char zeros[sizeof(self->copy.bytes)];

	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(0, pthread_join(self->copy.thread, NULL));
	EXPECT_EQ(0, self->copy.rc);
	EXPECT_EQ(0, memcmp(self->copy.bytes, zeros, sizeof(zeros)));
	close(self->copy.access);
	close(self->fd);
	close(self->uffd);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(late, mapping_and_unmapping_go_on)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, OTHER));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas, OTHER, PAGE, NULL));
}

/* What comes and goes keeps others from mapping meanwhile, so it must not wait either */
TEST_F(late, devices_come_and_go)
{
	int other = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	struct mock_device dev;
	uint32_t id;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, OTHER));
	ASSERT_EQ(0, test_access_pin(self->fd, other, OTHER, PAGE, self->mem, 0, &id));
	EXPECT_EQ(0, close(other));
	/* a device would need the page now */
	EXPECT_EQ(-EFAULT, mock_device_create(self->fd, self->ioas, &dev));
	EXPECT_EQ(-EINVAL, ioas_change_process(self->fd));
	ASSERT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->ioas, 0));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas, OTHER, PAGE, NULL));
}

/**
 * struct mapper - A map call, by a thread of its own
 * @thread: the thread
 * @fd: /dev/iommu
 * @cmd: what it asks for, in memory that cannot be written to
 * @rc: what it gave
 */
struct mapper {
	pthread_t thread;
	int fd, rc;
	struct iommu_ioas_map *cmd;
};

static void *map(void *data)
{
	struct mapper *mapper = data;

	mapper->rc = ioctl(mapper->fd, IOMMU_IOAS_MAP, mapper->cmd) ? -errno : 0;
	return NULL;
}

FIXTURE(untold)
{
	int fd, uffd;
	uint32_t ioas;
	uint8_t *mem;
	struct mock_device dev;
	struct mapper mapper;
};

FIXTURE_VARIANT(untold)
{
	bool device;	/* there is a page table before the call */
};

FIXTURE_VARIANT_ADD(untold, without_device) { .device = false };
FIXTURE_VARIANT_ADD(untold, with_device) { .device = true };

/* A map call has begun, and cannot tell its caller the address: the page is write-protected, and nobody handles that */
FIXTURE_SETUP(untold)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP, .range.len = PAGE };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP, .range.len = PAGE };
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffd_msg fault;

	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas));
	self->mem = small_pages(4 * PAGE);
	ASSERT_NE(NULL, self->mem);
	if (variant->device)
		ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &self->dev));
	self->mapper.fd = self->fd;
	self->mapper.cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->mapper.cmd);
	*self->mapper.cmd = (struct iommu_ioas_map){
		.size = sizeof(*self->mapper.cmd), .ioas_id = self->ioas, .user_va = to_u64(self->mem), .length = PAGE,
		.iova = IOVA, .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};
	self->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	ASSERT_LE(0, self->uffd);
	if (ioctl(self->uffd, UFFDIO_API, &api))
		SKIP(NO_FIXTURE; return, "no userfaultfd that write-protects");
	reg.range.start = to_u64(self->mapper.cmd);
	wp.range.start = to_u64(self->mapper.cmd);
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_WRITEPROTECT, &wp));
	ASSERT_EQ(0, pthread_create(&self->mapper.thread, NULL, map, &self->mapper));
	ASSERT_EQ(sizeof(fault), read(self->uffd, &fault, sizeof(fault)));
}

static int let_it_be_told(int uffd, struct mapper *mapper)
{
	struct uffdio_writeprotect wp = { .range = { .start = to_u64(mapper->cmd), .len = PAGE } };

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : pthread_join(mapper->thread, NULL);
}

FIXTURE_TEARDOWN(untold)
{
	close(self->fd);
	close(self->uffd);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(untold, others_map_copy_and_unmap)
{
	int access = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	uint8_t *mem = self->mem + PAGE;
	char byte;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, mem, PAGE, OTHER));
	ASSERT_EQ(0, test_access_rw(self->fd, access, OTHER, &byte, 1, 0));
	EXPECT_EQ(0, close(access));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas, OTHER, PAGE, NULL));
	/* What is not mapped yet is in nobody's way but its own */
	EXPECT_EQ(-EBUSY, ioas_unmap(self->fd, self->ioas, IOVA, PAGE, NULL));
	EXPECT_EQ(-EEXIST, ioas_map_at(self->fd, self->ioas, mem, PAGE, IOVA));
	ASSERT_EQ(0, let_it_be_told(self->uffd, &self->mapper));
	EXPECT_EQ(0, self->mapper.rc);
	EXPECT_EQ(0, ioas_unmap(self->fd, self->ioas, IOVA, PAGE, NULL));
}

/* Whoever maps fills the page tables that there are when it ends, and pins if there is one */
TEST_F(untold, devices_come_and_go)
{
	struct mock_device dev;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem + PAGE, 3 * PAGE, OTHER));
	if (variant->device)
		ASSERT_EQ(0, iommu_destroy(self->fd, self->dev.stdev));
	EXPECT_EQ(variant->device ? 1 : 0, pages_pinned());
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	EXPECT_EQ(0, mock_check_map(self->fd, dev.hwpt, OTHER, 3 * PAGE, self->mem + PAGE));
	ASSERT_EQ(0, let_it_be_told(self->uffd, &self->mapper));
	ASSERT_EQ(0, self->mapper.rc);
	EXPECT_EQ(0, mock_check_map(self->fd, dev.hwpt, IOVA, PAGE, self->mem));
	EXPECT_EQ(4, pages_pinned());
}

TEST_F(untold, last_device_goes)
{
	if (variant->device)
		ASSERT_EQ(0, iommu_destroy(self->fd, self->dev.stdev));
	ASSERT_EQ(0, let_it_be_told(self->uffd, &self->mapper));
	ASSERT_EQ(0, self->mapper.rc);
	EXPECT_EQ(0, pages_pinned());
}

TEST_HARNESS_MAIN
