// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_late_memory - an emulated device copies memory whose owner has not provided it yet
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

TEST_HARNESS_MAIN
