// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_p2p - one device reads and writes a BAR of another, through the IOMMU
 *
 * Needs QEMU's edu devices in the places that edu.h names, and an ivshmem-plain with 1 MiB below a port of its own. An
 * edu does the DMA. It reads and writes the registers of another edu, which cannot be reset, or the memory that the
 * ivshmem has as a BAR, which can. The BAR is mapped in three ways, and in each it must be taken back from the edu when
 * the device that owns it is reset, switched off, put to sleep, closed, removed, or loses its process.
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"
#include "fail_nth.h"
#include "type1.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define MEM		0x100000UL	/* IOVA of the memory */
#define BAR		0x40000000UL	/* IOVA of the BAR */
#define BAR_SIZE	MIB
#define MEM_SIZE	(4 * PAGE)
#define EDU_ID		0x010000edU
#define BYTES		512
#define RAM_ID		"v00001AF4d00001110"
#define RAM_BAR		VFIO_PCI_BAR2_REGION_INDEX

/* ---- a dma-buf of a BAR ---- */

#define MANY_RANGES	4

struct export {
	struct vfio_device_feature head;
	struct vfio_device_feature_dma_buf buf;
	struct vfio_region_dma_range ranges[MANY_RANGES];
};

/* A request for @num ranges, all of them empty */
static struct export export_request(uint32_t region, uint32_t num)
{
	return (struct export){
		.head = {
			.argsz = sizeof(struct export), .flags = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET,
		},
		.buf = { .region_index = region, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = num },
	};
}

static int export_call(int device, struct export *request)
{
	int rc = ioctl(device, VFIO_DEVICE_FEATURE, request);

	return rc < 0 ? -errno : rc;
}

/* Returns a descriptor, or -errno. */
static int export_bar(int device, uint32_t region, uint64_t offset, uint64_t length)
{
	struct export request = export_request(region, 1);

	request.ranges[0] = (struct vfio_region_dma_range){ .offset = offset, .length = length };
	return export_call(device, &request);
}

/* ---- the three ways ---- */

enum way { BY_ADDRESS, BY_TYPE1, BY_DMABUF };

/**
 * struct lent - A BAR that is lent to other devices
 * @fd: device file
 * @region: the BAR
 * @view: the BAR as this process sees it, BAR_SIZE bytes
 * @buf: dma-buf of it once there is one, or -1
 */
struct lent {
	int fd;
	uint32_t region;
	uint8_t *view;
	int buf;
};

/* Maps all of the BAR at @iova. */
static int lend(enum way way, int iommufd, uint32_t ioas, struct lent *lent, uint64_t iova)
{
	switch (way) {
	case BY_ADDRESS:
		return ioas_map_at(iommufd, ioas, lent->view, BAR_SIZE, iova);
	case BY_TYPE1:
		return type1_map(iommufd, lent->view, BAR_SIZE, iova, TYPE1_RW);
	case BY_DMABUF:
		if (lent->buf < 0)
			lent->buf = export_bar(lent->fd, lent->region, 0, BAR_SIZE);
		return lent->buf < 0 ? lent->buf : ioas_map_file_at(iommufd, ioas, lent->buf, 0, BAR_SIZE, iova);
	}
	return -EINVAL;
}

static void lent_close(struct lent *lent)
{
	if (lent->buf >= 0)
		close(lent->buf);
	lent->buf = -1;
}

FIXTURE(p2p)
{
	int iommufd;
	uint32_t ioas;
	struct edu edu, target;
	struct lent lent;
	uint8_t *mem;
};

FIXTURE_VARIANT(p2p)
{
	enum way way;
};

FIXTURE_VARIANT_ADD(p2p, by_address)
{
	.way = BY_ADDRESS,
};

FIXTURE_VARIANT_ADD(p2p, by_dmabuf)
{
	.way = BY_DMABUF,
};

/* The edu that does the DMA, its address space and its memory */
static void space_open(struct __test_metadata *_metadata, int *iommufd, uint32_t *ioas, struct edu *edu, uint8_t **mem)
{
	struct iommu_vfio_ioas cmd = { .size = sizeof(cmd), .op = IOMMU_VFIO_IOAS_SET };

	edu_space_open(_metadata, iommufd, edu, ioas, mem, MEM_SIZE);
	ASSERT_EQ(0, vfio_attach(edu->fd, *ioas, NULL));
	ASSERT_EQ(0, ioas_map_at(*iommufd, *ioas, *mem, MEM_SIZE, MEM));
	cmd.ioas_id = *ioas;
	ASSERT_EQ(0, iommu_call(*iommufd, IOMMU_VFIO_IOAS, &cmd));
}

static int target_open(struct edu *target, struct lent *lent, int iommufd)
{
	int rc = edu_open_bound(target, EDU_ALONE_TOO, iommufd);

	*lent = (struct lent){
		.fd = target->fd, .region = VFIO_PCI_BAR0_REGION_INDEX, .view = target->bar, .buf = -1,
	};
	return rc;
}

FIXTURE_SETUP(p2p)
{
	ASSERT_EQ(0, edu_one_cpu());
	ASSERT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
	space_open(_metadata, &self->iommufd, &self->ioas, &self->edu, &self->mem);
	ASSERT_EQ(0, target_open(&self->target, &self->lent, self->iommufd));
}

FIXTURE_TEARDOWN(p2p)
{
	lent_close(&self->lent);
	edu_close(&self->target);
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, MEM_SIZE);
	EXPECT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
}

#define LEND() lend(variant->way, self->iommufd, self->ioas, &self->lent, BAR)

/* What a DMA of 4 bytes reads at @iova; something else before, so that a read that is blocked does not see it */
static uint32_t dma_read(struct edu *edu, uint8_t *mem, uint64_t iova)
{
	uint32_t *words = (uint32_t *)mem;

	words[0] = 0x5a5a5a5a;
	words[1] = 0;
	memory_changed();
	if (edu_load(edu, MEM, 4) || edu_load(edu, iova, 4) || edu_store(edu, MEM + 4, 4))
		return 0;
	memory_changed();
	return words[1];
}

/* Whether the edu reads a register of the other one */
#define REACHES(_iova) (dma_read(&self->edu, self->mem, _iova) == EDU_ID)

#define EXPECT_BLOCKED(_iova) do { \
	long _before = iommu_fault_count(); \
	EXPECT_EQ(0, edu_load(&self->edu, _iova, 4)); \
	EXPECT_TRUE(iommu_fault_seen(_before)); \
} while (0)

/* A mapping that is dead is still there, and goes with all its bytes. */
#define EXPECT_UNMAPS() do { \
	uint64_t _bytes = 0; \
	EXPECT_EQ(-EEXIST, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, BAR)); \
	EXPECT_EQ(0, ioas_unmap(self->iommufd, self->ioas, BAR, BAR_SIZE, &_bytes)); \
	EXPECT_EQ(BAR_SIZE, _bytes); \
} while (0)

TEST_F(p2p, registers_are_read_and_written)
{
	uint32_t *words = (uint32_t *)self->mem;

	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR + EDU_REG_ID));
	words[0] = 0x12345678;
	memory_changed();
	ASSERT_EQ(0, edu_load(&self->edu, MEM, 4));
	ASSERT_EQ(0, edu_store(&self->edu, BAR + EDU_REG_ECHO, 4));
	EXPECT_EQ(~0x12345678U, edu_read_reg(&self->target, EDU_REG_ECHO));
	EXPECT_EQ(0, ioas_unmap(self->iommufd, self->ioas, BAR, BAR_SIZE, NULL));
	EXPECT_BLOCKED(BAR + EDU_REG_ID);
}

TEST_F(p2p, nothing_is_charged_or_pinned)
{
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, MEM, MEM_SIZE, NULL));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	ASSERT_EQ(0, memlock_limit(0));
	EXPECT_EQ(0, LEND());
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, true));
}

TEST_F(p2p, memory_is_disabled_and_enabled)
{
	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
	ASSERT_EQ(0, edu_set_command(&self->target, 0, PCI_COMMAND_MEMORY));
	EXPECT_BLOCKED(BAR);
	EXPECT_FALSE(REACHES(BAR));
	EXPECT_EQ(-ENODEV, lend(variant->way, self->iommufd, self->ioas, &self->lent, 2 * BAR));
	/* what was mapped before stays dead */
	ASSERT_EQ(0, edu_set_command(&self->target, PCI_COMMAND_MEMORY, 0));
	EXPECT_BLOCKED(BAR);
	EXPECT_UNMAPS();
	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
}

/* The way of a program that knows type1 only; the rest is the same as with an address. */
TEST_F(p2p, by_the_ioctls_of_a_container)
{
	ASSERT_EQ(0, lend(BY_TYPE1, self->iommufd, self->ioas, &self->lent, BAR));
	EXPECT_TRUE(REACHES(BAR));
	ASSERT_EQ(0, edu_set_command(&self->target, 0, PCI_COMMAND_MEMORY));
	EXPECT_BLOCKED(BAR);
	EXPECT_EQ(-ENODEV, lend(BY_TYPE1, self->iommufd, self->ioas, &self->lent, 2 * BAR));
	EXPECT_EQ(BAR_SIZE, type1_unmap_bytes(self->iommufd, BAR, BAR_SIZE));
	ASSERT_EQ(0, edu_set_command(&self->target, PCI_COMMAND_MEMORY, 0));
	EXPECT_EQ(0, type1_map(self->iommufd, self->target.bar, PAGE, BAR, TYPE1_READ));
	EXPECT_TRUE(REACHES(BAR));
}

TEST_F(p2p, mapped_before_a_page_table_and_copied)
{
	uint32_t other;

	ASSERT_EQ(0, vfio_detach(self->edu.fd));
	ASSERT_EQ(0, LEND());
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &other));
	ASSERT_EQ(0, ioas_copy_to(self->iommufd, other, 3 * BAR, self->ioas, BAR, PAGE));
	ASSERT_EQ(0, ioas_copy_to(self->iommufd, other, MEM, self->ioas, MEM, PAGE));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_TRUE(REACHES(BAR));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, other, NULL));
	EXPECT_TRUE(REACHES(3 * BAR));
	ASSERT_EQ(0, edu_set_command(&self->target, 0, PCI_COMMAND_MEMORY));
	EXPECT_BLOCKED(3 * BAR);
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_BLOCKED(BAR);
}

TEST_F(p2p, software_users_are_refused)
{
	int access = test_access_create(self->iommufd, self->ioas, ACCESS_PINS);
	uint32_t id;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, LEND());
	EXPECT_EQ(-EINVAL, test_access_pin(self->iommufd, access, BAR, PAGE, NULL, 0, &id));
	EXPECT_EQ(-EINVAL, test_access_rw(self->iommufd, access, BAR, &id, 4, 0));
	EXPECT_EQ(-EINVAL, test_access_rw(self->iommufd, access, BAR, &id, 4, ACCESS_WRITE));
	close(access);
}

/* VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY or _EXIT */
static int low_power(int device, uint32_t feature)
{
	struct vfio_device_feature cmd = { .argsz = sizeof(cmd), .flags = feature | VFIO_DEVICE_FEATURE_SET };

	return iommu_call(device, VFIO_DEVICE_FEATURE, &cmd);
}

TEST_F(p2p, device_sleeps)
{
	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
	ASSERT_EQ(0, low_power(self->target.fd, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	EXPECT_BLOCKED(BAR);
	EXPECT_EQ(-ENODEV, lend(variant->way, self->iommufd, self->ioas, &self->lent, 2 * BAR));
	ASSERT_EQ(0, low_power(self->target.fd, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	EXPECT_BLOCKED(BAR);
	EXPECT_UNMAPS();
	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
}

TEST_F(p2p, device_is_closed)
{
	int old;

	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
	/* neither a mapping nor a dma-buf keeps the device open */
	edu_close(&self->target);
	EXPECT_BLOCKED(BAR);
	EXPECT_UNMAPS();

	/* and a dma-buf of the old time is no way to the next user's device */
	old = self->lent.buf;
	ASSERT_EQ(0, target_open(&self->target, &self->lent, self->iommufd));
	if (old >= 0) {
		EXPECT_EQ(-ENODEV, ioas_map_file_at(self->iommufd, self->ioas, old, 0, BAR_SIZE, BAR));
		close(old);
	}
	EXPECT_BLOCKED(BAR);
	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
}

/* The context that has the BAR and to which the device is bound: both go, whichever is closed first. */
TEST_F(p2p, context_is_closed_before_the_device)
{
	int other = iommu_open();

	ASSERT_EQ(0, LEND());
	close(self->iommufd);
	self->iommufd = other;
	edu_close(&self->target);
	edu_close(&self->edu);
	ASSERT_EQ(0, edu_open_bound(&self->edu, EDU_ALONE, other));
	ASSERT_EQ(0, edu_open_bound(&self->target, EDU_ALONE_TOO, other));
}

/* What is mapped is the BAR, and not the address at which the process saw it. */
TEST_F(p2p, mapping_outlives_the_view)
{
	ASSERT_EQ(0, LEND());
	ASSERT_EQ(0, munmap(self->target.bar, BAR_SIZE));
	self->target.bar = NULL;
	EXPECT_TRUE(REACHES(BAR));
}

TEST_F(p2p, device_is_removed)
{
	char path[128];
	pid_t child;

	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
	pci_attr_path(path, sizeof(path), self->target.bdf, "remove");
	child = fork();
	if (!child) {
		/* must not hold it open itself */
		edu_close(&self->target);
		edu_close(&self->edu);
		close(self->iommufd);
		_exit(!!write_file(path, "1"));
	}
	ASSERT_LT(0, child);
	edu_close(&self->target);
	EXPECT_TRUE(child_succeeded(child));
	EXPECT_BLOCKED(BAR);
	if (self->lent.buf >= 0)
		EXPECT_EQ(-ENODEV, ioas_map_file_at(self->iommufd, self->ioas, self->lent.buf, 0, PAGE, 2 * BAR));
	EXPECT_UNMAPS();
	ASSERT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
	EXPECT_BLOCKED(BAR);
}

TEST_F(p2p, process_of_the_device_is_killed)
{
	int ready[2], other;
	pid_t child;
	char byte;

	edu_close(&self->target);
	ASSERT_EQ(0, pipe(ready));
	child = fork();
	if (!child) {
		CHILD_NEEDS(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		other = iommu_open();
		CHILD_NEEDS(!target_open(&self->target, &self->lent, other));
		CHILD_NEEDS(!lend(variant->way, self->iommufd, self->ioas, &self->lent, BAR));
		CHILD_NEEDS(write(ready[1], "", 1) == 1);
		pause();
	}
	ASSERT_LT(0, child);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	close(ready[0]);
	EXPECT_TRUE(REACHES(BAR));
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	EXPECT_BLOCKED(BAR);
	EXPECT_UNMAPS();
}

/* ---- everybody at the same time ---- */

struct race {
	struct edu *target;
	bool stop;
};

static void *switch_memory(void *arg)
{
	struct race *race = arg;
	long failed = 0;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		failed |= edu_set_command(race->target, 0, PCI_COMMAND_MEMORY);
		failed |= edu_set_command(race->target, PCI_COMMAND_MEMORY, 0);
	}
	return (void *)failed;
}

static void *come_and_go(void *arg)
{
	struct race *race = arg;
	long failed = 0;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		int buf = export_bar(race->target->fd, VFIO_PCI_BAR0_REGION_INDEX, 0, PAGE);

		failed |= buf < 0;
		close(buf);
	}
	return (void *)failed;
}

TEST_F(p2p, switched_off_beside_map_and_unmap)
{
	struct race race = { .target = &self->target };
	double start = seconds();
	int mapped = 0, refused = 0;
	pthread_t threads[2];
	void *failed;

	ASSERT_EQ(0, pthread_create(&threads[0], NULL, switch_memory, &race));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, come_and_go, &race));
	while (seconds() < start + 1 || ((!mapped || !refused) && seconds() < start + 60)) {
		int rc = LEND();

		if (rc) {
			EXPECT_EQ(-ENODEV, rc);
			refused++;
		} else {
			EXPECT_EQ(0, ioas_unmap(self->iommufd, self->ioas, BAR, BAR_SIZE, NULL));
			mapped++;
		}
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
	EXPECT_LT(0, mapped);
	EXPECT_LT(0, refused);
	/* the last word was that it is there */
	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
}

TEST_F(p2p, each_failure_leaves_nothing)
{
	int nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	int n, rc;

	if (nth < 0)
		SKIP(return, NO_FAULT_INJECTION);
	/* again, as what is mapped by address makes use of what the first mapping left behind */
	for (int round = 0; round < 2; round++) {
		bool failed = true;

		for (n = 1; failed && n < MANY; n++) {
			ASSERT_EQ(0, fail_arm_in_turn(nth, n));
			rc = LEND();
			failed = fail_left_in_turn(nth, n);
			if (!rc) {
				rc = ioas_unmap(self->iommufd, self->ioas, BAR, BAR_SIZE, NULL);
				ASSERT_EQ_FOR(0, rc, "point %d", n);
			} else {
				EXPECT_TRUE_FOR(failed && (rc == -ENOMEM || rc == -EFAULT), "point %d: %d", n, rc);
				rc = ioas_unmap(self->iommufd, self->ioas, BAR, BAR_SIZE, NULL);
				EXPECT_EQ_FOR(-ENOENT, rc, "point %d", n);
			}
			lent_close(&self->lent);
		}
		EXPECT_LT(4, n);
		EXPECT_GT(MANY, n);
	}
	close(nth);
	ASSERT_EQ(0, LEND());
	EXPECT_TRUE(REACHES(BAR));
}

/* ---- a program that knows groups and a container only ---- */

TEST(groups_in_a_container_of_an_iommufd)
{
	uint8_t *mem = small_pages(MEM_SIZE);
	struct edu target = { .fd = -1 };
	struct type1 t;
	char bdf[16];
	long faults;
	int group;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, type1_open(&t, iommu_open(), VFIO_TYPE1v2_IOMMU, EDU_ALONE));
	ASSERT_EQ(0, edu_find(EDU_ALONE_TOO, bdf));
	group = vfio_group_open(bdf);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, vfio_group_set_container(group, t.container));
	ASSERT_EQ(0, edu_open_in_group(&target, group, bdf));
	ASSERT_EQ(0, type1_map(t.container, mem, MEM_SIZE, MEM, TYPE1_RW));
	ASSERT_EQ(0, type1_map(t.container, target.bar, BAR_SIZE, BAR, TYPE1_RW));
	EXPECT_EQ(EDU_ID, dma_read(&t.edu, mem, BAR));

	edu_close(&target);
	faults = iommu_fault_count();
	EXPECT_NE(EDU_ID, dma_read(&t.edu, mem, BAR));
	EXPECT_TRUE(iommu_fault_seen(faults));
	EXPECT_EQ(MEM_SIZE + BAR_SIZE, type1_unmap_all(t.container));
	close(group);
	type1_close(&t);
	munmap(mem, MEM_SIZE);
	EXPECT_EQ(0, pages_pinned());
}

/* Files that are open in the whole system; Linux counts them on each CPU, and adds up after some tens only */
static long open_files(void)
{
	return number_in_file("/proc/sys/fs/file-nr", "");
}

/* ---- what is refused ---- */

FIXTURE(bar)
{
	int iommufd;
	uint32_t ioas;
	struct edu target;
};

FIXTURE_SETUP(bar)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open_bound(&self->target, EDU_ALONE_TOO, self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
}

FIXTURE_TEARDOWN(bar)
{
	edu_close(&self->target);
	close(self->iommufd);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(bar, export_refuses_bad_arguments)
{
	const struct vfio_region_dma_range bad[] = {
		{ 0, 0 }, { 0, 1 }, { 0, PAGE / 2 }, { 1, PAGE }, { PAGE / 2, PAGE }, { 0, BAR_SIZE + PAGE },
		{ BAR_SIZE, PAGE }, { BAR_SIZE - PAGE, 2 * PAGE }, { -PAGE, PAGE }, { PAGE, -PAGE },
		{ -PAGE, 2 * PAGE }, { 1UL << 63, 1UL << 63 }, { 1UL << 40, PAGE },
	};
	struct export r, good = export_request(VFIO_PCI_BAR0_REGION_INDEX, 1);
	int fd = self->target.fd;

	good.ranges[0].length = BAR_SIZE;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ_FOR(-EINVAL, export_bar(fd, VFIO_PCI_BAR0_REGION_INDEX, bad[i].offset, bad[i].length),
			      "range %u", i);
	/* an edu has one BAR */
	for (unsigned int i = VFIO_PCI_BAR1_REGION_INDEX; i < 40; i++)
		EXPECT_EQ_FOR(-EINVAL, export_bar(fd, i, 0, PAGE), "region %u", i);
	EXPECT_EQ(-EINVAL, export_bar(fd, UINT32_MAX, 0, PAGE));

	r = good;
	r.buf.nr_ranges = 0;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	for (uint32_t bit = 1; bit; bit <<= 1) {
		r = good;
		r.buf.flags = bit;
		EXPECT_EQ_FOR(-EINVAL, export_call(fd, &r), "flag %#x", bit);
		r = good;
		r.buf.open_flags = bit;
		if (bit & (O_CLOEXEC | O_ACCMODE))
			continue;
		EXPECT_EQ_FOR(-EINVAL, export_call(fd, &r), "open flag %#x", bit);
	}
	/* more ranges than there is room for, or than the BAR has bytes */
	r = good;
	r.buf.nr_ranges = MANY_RANGES + 1;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	r.buf.nr_ranges = UINT32_MAX;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	r = good;
	r.buf.nr_ranges = 2;
	r.ranges[1].length = PAGE;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	/* too short for the range */
	r = good;
	r.head.argsz -= sizeof(r.ranges) - sizeof(r.ranges[0]) + 1;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	r.head.argsz = sizeof(r.head) + sizeof(r.buf) - 1;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	/* it can be asked for and got, not set */
	r = good;
	r.head.flags = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_SET;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	r.head.flags = VFIO_DEVICE_FEATURE_DMA_BUF;
	EXPECT_EQ(-EINVAL, export_call(fd, &r));
	r.head.flags = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET;
	EXPECT_EQ(0, export_call(fd, &r));
}

TEST_F(bar, export_needs_all_of_its_structure_and_a_descriptor)
{
	uint8_t *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct export good = export_request(VFIO_PCI_BAR0_REGION_INDEX, 1);
	size_t length = offsetof(struct export, ranges[1]), head = sizeof(good.head);
	struct rlimit limit, none;
	uint8_t *end = page + PAGE;

	ASSERT_NE(MAP_FAILED, (void *)page);
	ASSERT_EQ(0, munmap(end, PAGE));
	good.ranges[0].length = PAGE;
	/* cut in the range, and in what comes before; the head alone is VFIO's own affair */
	memcpy(end - length + 1, &good, length - 1);
	EXPECT_EQ(-EFAULT, export_call(self->target.fd, (void *)(end - length + 1)));
	memcpy(end - head, &good, head);
	EXPECT_EQ(-EFAULT, export_call(self->target.fd, (void *)(end - head)));

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, export_call(self->target.fd, &good));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	munmap(page, PAGE);
}

TEST_F(bar, ranges_side_by_side_are_one)
{
	struct export r = export_request(VFIO_PCI_BAR0_REGION_INDEX, 3);
	int fd;

	r.buf.open_flags = O_RDWR;
	for (int i = 0; i < 3; i++)
		r.ranges[i] = (struct vfio_region_dma_range){ .offset = (2 + i) * PAGE, .length = PAGE };
	fd = export_call(self->target.fd, &r);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	EXPECT_EQ(3 * PAGE, (unsigned long)lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, 3 * PAGE, BAR));
	EXPECT_EQ(-EINVAL, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, 4 * PAGE, 2 * BAR));
	close(fd);

	/* with a hole, or in another order, there is no one place that iommufd could be told */
	r.buf.open_flags = O_RDWR | O_CLOEXEC;
	r.ranges[2].offset = 7 * PAGE;
	fd = export_call(self->target.fd, &r);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(-EOPNOTSUPP, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, PAGE, 2 * BAR));
	close(fd);
	r.ranges[2].offset = PAGE;
	fd = export_call(self->target.fd, &r);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EOPNOTSUPP, ioas_map_file_at(self->iommufd, self->ioas, fd, 0, PAGE, 2 * BAR));
	close(fd);
}

TEST_F(bar, buffer_made_while_memory_is_disabled)
{
	int buf;

	ASSERT_EQ(0, edu_set_command(&self->target, 0, PCI_COMMAND_MEMORY));
	buf = export_bar(self->target.fd, VFIO_PCI_BAR0_REGION_INDEX, 0, PAGE);
	ASSERT_LE(0, buf);
	EXPECT_EQ(-ENODEV, ioas_map_file_at(self->iommufd, self->ioas, buf, 0, PAGE, BAR));
	ASSERT_EQ(0, edu_set_command(&self->target, PCI_COMMAND_MEMORY, 0));
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, buf, 0, PAGE, BAR));
	close(buf);
}

/* Rights of the process are rights of devices; with a page table and without. */
TEST_F(bar, views_without_rights)
{
	uint8_t *view = mmap(NULL, BAR_SIZE, PROT_READ, MAP_SHARED, self->target.fd, self->target.bar_offset);
	struct mock_device dev;
	uint64_t iova;

	ASSERT_NE(MAP_FAILED, (void *)view);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, mprotect(view, BAR_SIZE, PROT_READ));
		EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, view, BAR_SIZE, BAR));
		EXPECT_EQ(0, ioas_map(self->iommufd, self->ioas, view, BAR_SIZE, &iova, IOMMU_IOAS_MAP_READABLE));
		ASSERT_EQ(0, mprotect(view, BAR_SIZE, PROT_NONE));
		EXPECT_EQ(-EFAULT, ioas_map(self->iommufd, self->ioas, view, BAR_SIZE, &iova, IOMMU_IOAS_MAP_READABLE));
		EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, view, BAR_SIZE, BAR));
		EXPECT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
		ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	}
	munmap(view, BAR_SIZE);
}

/* One mapping of the BAR, all of it: what is partly something else is refused, and nothing of it stays. */
TEST_F(bar, views_that_end_too_early)
{
	const int rw = PROT_READ | PROT_WRITE;
	uint8_t *area = mmap(NULL, 6 * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mock_device dev;
	uint8_t *bar = area + 2 * PAGE;

	ASSERT_NE(MAP_FAILED, (void *)area);
	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	ASSERT_EQ(bar, mmap(bar, 2 * PAGE, rw, MAP_SHARED | MAP_FIXED, self->target.fd, self->target.bar_offset));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, area, 4 * PAGE, BAR));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, bar, 4 * PAGE, BAR));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, area, 6 * PAGE, BAR));
	/* another mapping, although of the bytes that follow */
	ASSERT_EQ(area + 4 * PAGE, mmap(area + 4 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, self->target.fd,
					self->target.bar_offset + 2 * PAGE));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, bar, 3 * PAGE, BAR));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->iommufd, self->ioas, BAR, BAR_SIZE, NULL));
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, bar, 2 * PAGE, BAR));
	EXPECT_EQ(-EEXIST, ioas_map_at(self->iommufd, self->ioas, bar, PAGE, BAR));
	munmap(area, 6 * PAGE);
}

/* What the device keeps for the next mapping by address goes when it is closed. */
TEST_F(bar, closing_leaves_no_file)
{
	const int times = 192;
	long before = open_files();

	ASSERT_LE(0, before);
	for (int i = 0; i < times; i++) {
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->target.bar, PAGE, BAR));
		edu_close(&self->target);
		ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, BAR, PAGE, NULL));
		ASSERT_EQ(0, edu_open_bound(&self->target, EDU_ALONE_TOO, self->iommufd));
	}
	EXPECT_GT(times / 2, open_files() - before);
}

/* Registers that a process has mapped in another way than through VFIO */
TEST_F(bar, mappings_of_others_are_efault)
{
	struct mock_device dev;
	char path[128];
	uint8_t *view;
	int fd;

	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &dev));
	pci_attr_path(path, sizeof(path), self->target.bdf, "resource0");
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)view);
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, view, PAGE, BAR));
	munmap(view, PAGE);
	close(fd);
}

/* ---- a device that can be reset, and its memory ---- */

FIXTURE(ram)
{
	int iommufd, container, group;
	uint32_t ioas;
	char bdf[16];
	struct edu edu, ram;
	struct lent lent;
	uint8_t *mem;
};

/* What edu_enable() does, for a device that has nothing to map at BAR 0 */
static int ram_enable(struct edu *ram, struct lent *lent)
{
	struct vfio_region_info info;
	int rc = vfio_region(ram->fd, VFIO_PCI_CONFIG_REGION_INDEX, &info);

	if (rc)
		return rc;
	ram->config_offset = info.offset;
	rc = edu_set_command(ram, PCI_COMMAND_MEMORY, 0) ?: vfio_region(ram->fd, RAM_BAR, &info);
	if (rc)
		return rc;
	ram->bar_offset = info.offset;
	ram->bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram->fd, info.offset);
	if (ram->bar == MAP_FAILED) {
		ram->bar = NULL;
		return -errno;
	}
	*lent = (struct lent){ .fd = ram->fd, .region = RAM_BAR, .view = ram->bar, .buf = -1 };
	return 0;
}

static int ram_open(struct edu *ram, struct lent *lent, const char *bdf, int iommufd)
{
	int rc = edu_open_at(ram, bdf);

	rc = rc ?: vfio_bind(ram->fd, iommufd, &ram->id);
	return rc ?: ram_enable(ram, lent);
}

FIXTURE_SETUP(ram)
{
	ASSERT_EQ(0, edu_one_cpu());
	self->container = -1;
	self->group = -1;
	self->ram.fd = -1;
	self->ram.bar = NULL;
	self->lent.buf = -1;
	space_open(_metadata, &self->iommufd, &self->ioas, &self->edu, &self->mem);
	ASSERT_EQ(0, pci_find(RAM_ID, 0, self->bdf));
}

FIXTURE_TEARDOWN(ram)
{
	lent_close(&self->lent);
	edu_close(&self->ram);
	if (self->group >= 0) {
		close(self->group);
		close(self->container);
	}
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, MEM_SIZE);
}

/* Whether the edu copies from and to all of a part of the BAR */
static bool ram_works(struct edu *edu, uint8_t *mem, uint8_t *ram, uint64_t iova, uint64_t seed)
{
	memset(mem, 0, MEM_SIZE);
	pattern_fill(ram, BYTES, seed);
	pattern_fill(mem, BYTES, seed + 1);
	return !edu_copy(edu, iova, MEM + PAGE, BYTES) && pattern_is(mem + PAGE, BYTES, seed) &&
	       !edu_copy(edu, MEM, iova + PAGE, BYTES) && pattern_is(ram + PAGE, BYTES, seed + 1);
}

/* Whether neither direction gets anywhere; what a write would change is looked at by the process */
static bool ram_is_blocked(struct edu *edu, uint8_t *mem, uint8_t *ram, uint64_t iova, uint64_t seed)
{
	long faults = iommu_fault_count();

	pattern_fill(ram, 2 * PAGE, seed);
	memset(mem, 0, MEM_SIZE);
	return !edu_store(edu, iova + PAGE, BYTES) && pattern_is(ram, 2 * PAGE, seed) && iommu_fault_seen(faults) &&
	       !edu_copy(edu, iova, MEM + PAGE, BYTES) && !pattern_is(mem + PAGE, BYTES, seed);
}

TEST_F(ram, is_blocked_by_a_reset_of_its_device)
{
	struct vfio_pci_hot_reset hot_reset = { .argsz = sizeof(hot_reset) };
	static const enum way ways[] = { BY_ADDRESS, BY_TYPE1, BY_DMABUF };

	ASSERT_EQ(0, ram_open(&self->ram, &self->lent, self->bdf, self->iommufd));
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++)
		ASSERT_EQ_FOR(0, lend(ways[i], self->iommufd, self->ioas, &self->lent, (1 + i) * BAR), "way %u", i);
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++)
		EXPECT_TRUE_FOR(ram_works(&self->edu, self->mem, self->ram.bar, (1 + i) * BAR, 10 * i), "way %u", i);

	ASSERT_EQ(0, iommu_call(self->ram.fd, VFIO_DEVICE_RESET, NULL));
	for (uint64_t i = 0; i < ARRAY_SIZE(ways); i++)
		EXPECT_TRUE(ram_is_blocked(&self->edu, self->mem, self->ram.bar, (1 + i) * BAR, 10 * i));
	EXPECT_EQ(-EEXIST, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, BAR));
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, BAR, ARRAY_SIZE(ways) * BAR, NULL));

	/* what is mapped now is alive, also from the dma-buf that was there before */
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		ASSERT_EQ_FOR(0, lend(ways[i], self->iommufd, self->ioas, &self->lent, BAR), "way %u", i);
		EXPECT_TRUE_FOR(ram_works(&self->edu, self->mem, self->ram.bar, BAR, 100 + 10 * i), "way %u", i);
		ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, BAR, BAR_SIZE, NULL));
	}

	ASSERT_EQ(0, lend(BY_DMABUF, self->iommufd, self->ioas, &self->lent, BAR));
	ASSERT_EQ(0, iommu_call(self->ram.fd, VFIO_DEVICE_PCI_HOT_RESET, &hot_reset));
	EXPECT_TRUE(ram_is_blocked(&self->edu, self->mem, self->ram.bar, BAR, 200));
}

/* A device that is used through its group lends its BAR like any other. */
TEST_F(ram, is_blocked_by_a_hot_reset_through_its_group)
{
	struct {
		struct vfio_pci_hot_reset head;
		int32_t group;
	} reset = { .head = { .argsz = sizeof(reset), .count = 1 } };

	self->container = type1_container_open();
	ASSERT_LE(0, self->container);
	self->group = vfio_group_open(self->bdf);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->container));
	ASSERT_EQ(0, type1_set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	self->ram.fd = vfio_group_device(self->group, self->bdf);
	ASSERT_LE(0, self->ram.fd);
	ASSERT_EQ(0, ram_enable(&self->ram, &self->lent));
	ASSERT_EQ(0, lend(BY_ADDRESS, self->iommufd, self->ioas, &self->lent, BAR));
	ASSERT_EQ(0, lend(BY_DMABUF, self->iommufd, self->ioas, &self->lent, 2 * BAR));
	EXPECT_TRUE(ram_works(&self->edu, self->mem, self->ram.bar, BAR, 1));
	EXPECT_TRUE(ram_works(&self->edu, self->mem, self->ram.bar, 2 * BAR, 2));

	reset.group = self->group;
	ASSERT_EQ(0, iommu_call(self->ram.fd, VFIO_DEVICE_PCI_HOT_RESET, &reset));
	EXPECT_TRUE(ram_is_blocked(&self->edu, self->mem, self->ram.bar, BAR, 3));
	EXPECT_TRUE(ram_is_blocked(&self->edu, self->mem, self->ram.bar, 2 * BAR, 4));
	ASSERT_EQ(0, lend(BY_DMABUF, self->iommufd, self->ioas, &self->lent, 3 * BAR));
	EXPECT_TRUE(ram_works(&self->edu, self->mem, self->ram.bar, 3 * BAR, 5));
}

#define PARTS	(BAR_SIZE / PAGE)

/*
 * A buffer is a file, and one without a descriptor counts against no limit: so all that is mapped by address of a BAR
 * is one buffer. Each mapping is of its own part of it all the same, and all of them go with it.
 */
TEST_F(ram, makes_no_file_for_each_mapping)
{
	static const int some[] = { 0, 100, PARTS - 1 };
	uint64_t bytes;
	long before;

	ASSERT_EQ(0, ram_open(&self->ram, &self->lent, self->bdf, self->iommufd));
	before = open_files();
	ASSERT_LE(0, before);
	for (int round = 0; round < 2; round++) {
		/* the second time into a page table that comes later */
		if (round)
			ASSERT_EQ(0, vfio_detach(self->edu.fd));
		for (uint64_t i = 0; i < PARTS; i++)
			ASSERT_EQ_FOR(0, ioas_map_at(self->iommufd, self->ioas, self->ram.bar + i * PAGE, PAGE,
						     BAR + 2 * i * PAGE), "part %llu", (unsigned long long)i);
		EXPECT_GT((long)PARTS / 2, open_files() - before);
		if (round)
			ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
		for (unsigned int i = 0; i < ARRAY_SIZE(some); i++) {
			*(uint32_t *)(self->ram.bar + some[i] * PAGE) = 0x1000 * (round + 1) + some[i];
			EXPECT_EQ(0x1000U * (round + 1) + some[i],
				  dma_read(&self->edu, self->mem, BAR + 2 * some[i] * PAGE));
		}
		ASSERT_EQ(0, iommu_call(self->ram.fd, VFIO_DEVICE_RESET, NULL));
		for (unsigned int i = 0; i < ARRAY_SIZE(some); i++)
			EXPECT_BLOCKED(BAR + 2 * some[i] * PAGE);
		ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, BAR, 2 * BAR_SIZE, &bytes));
		EXPECT_EQ(BAR_SIZE, bytes);
	}
}

/* BAR 0 of an ivshmem is smaller than a page. It is there to be mapped or not, and if so as a whole page. */
TEST_F(ram, has_a_small_bar)
{
	struct vfio_region_info info;
	uint8_t *view;
	int buf;

	ASSERT_EQ(0, ram_open(&self->ram, &self->lent, self->bdf, self->iommufd));
	ASSERT_EQ(0, vfio_region(self->ram.fd, VFIO_PCI_BAR0_REGION_INDEX, &info));
	ASSERT_GT(PAGE, info.size);
	EXPECT_EQ(-EINVAL, export_bar(self->ram.fd, VFIO_PCI_BAR0_REGION_INDEX, 0, info.size));
	EXPECT_EQ(-EINVAL, export_bar(self->ram.fd, VFIO_PCI_BAR0_REGION_INDEX, 0, 2 * PAGE));
	buf = export_bar(self->ram.fd, VFIO_PCI_BAR0_REGION_INDEX, 0, PAGE);
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		EXPECT_EQ(-EINVAL, buf);
		return;
	}
	ASSERT_LE(0, buf);
	EXPECT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, buf, 0, PAGE, BAR));
	close(buf);
	view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->ram.fd, info.offset);
	ASSERT_NE(MAP_FAILED, (void *)view);
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->ram.bar, PAGE, 2 * BAR));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, view, PAGE, 3 * BAR));
	*(uint32_t *)self->ram.bar = 0x11111111;
	*(uint32_t *)view = 0x22222222;
	EXPECT_EQ(0x11111111U, dma_read(&self->edu, self->mem, 2 * BAR));
	EXPECT_EQ(0x22222222U, dma_read(&self->edu, self->mem, 3 * BAR));
	munmap(view, PAGE);
}

/* ---- a device with power states and a reset of its own ---- */

#define NVME		"v00001B36d00000010"
#define NVME_SIZE	(2 * PAGE)

/* Offset of the capability @id in configuration space, or 0 */
static uint8_t pci_capability(struct edu *device, uint8_t id)
{
	uint8_t at = PCI_CAPABILITY_LIST, entry[2];

	if (pread(device->fd, &at, 1, device->config_offset + at) != 1)
		return 0;
	while (at && pread(device->fd, entry, 2, device->config_offset + at) == 2 && entry[0] != id)
		at = entry[1];
	return at;
}

/* Sets some of the bits under @mask in a register of 16 bits of a capability. */
static int capability_write(struct edu *device, uint8_t id, unsigned int reg, uint16_t mask, uint16_t bits)
{
	uint64_t at = device->config_offset + pci_capability(device, id) + reg;
	uint16_t val;

	if (pread(device->fd, &val, 2, at) != 2)
		return -errno;
	val = (val & ~mask) | bits;
	return pwrite(device->fd, &val, 2, at) == 2 ? 0 : -errno;
}

TEST_F(ram, is_blocked_when_its_device_sleeps_or_resets_itself)
{
	struct edu *nvme = &self->ram;
	struct vfio_region_info info;
	uint64_t iova, other;
	uint32_t caps;
	uint8_t *bar;
	int rc;

	if (pci_find(NVME, 0, self->bdf))
		SKIP(return, "no controller with power states");
	ASSERT_EQ(0, edu_open_at(nvme, self->bdf));
	ASSERT_EQ(0, vfio_bind(nvme->fd, self->iommufd, &nvme->id));
	ASSERT_EQ(0, vfio_region(nvme->fd, VFIO_PCI_CONFIG_REGION_INDEX, &info));
	nvme->config_offset = info.offset;
	ASSERT_EQ(0, edu_set_command(nvme, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, vfio_region(nvme->fd, VFIO_PCI_BAR0_REGION_INDEX, &info));
	bar = mmap(NULL, NVME_SIZE, PROT_READ, MAP_SHARED, nvme->fd, info.offset);
	ASSERT_NE(MAP_FAILED, (void *)bar);
	caps = __atomic_load_n((uint32_t *)bar, __ATOMIC_SEQ_CST);
	ASSERT_NE(0, caps);

	for (int round = 0; round < 2; round++) {
		const bool sleeps = !round;
		long faults;

		ASSERT_EQ(0, ioas_map(self->iommufd, self->ioas, bar, NVME_SIZE, &iova, IOMMU_IOAS_MAP_READABLE));
		EXPECT_EQ_FOR(caps, dma_read(&self->edu, self->mem, iova), "round %d", round);
		rc = sleeps ? capability_write(nvme, PCI_CAP_ID_PM, PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 3) :
			      capability_write(nvme, PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, 0, PCI_EXP_DEVCTL_BCR_FLR);
		ASSERT_EQ_FOR(0, rc, "round %d", round);
		faults = iommu_fault_count();
		EXPECT_NE(caps, dma_read(&self->edu, self->mem, iova));
		EXPECT_TRUE_FOR(iommu_fault_seen(faults), "round %d", round);
		if (sleeps) {
			EXPECT_EQ(-ENODEV, ioas_map(self->iommufd, self->ioas, bar, NVME_SIZE, &other,
						    IOMMU_IOAS_MAP_READABLE));
			ASSERT_EQ(0, capability_write(nvme, PCI_CAP_ID_PM, PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 0));
		}
		EXPECT_NE(caps, dma_read(&self->edu, self->mem, iova));
		ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, iova, NVME_SIZE, NULL));
	}
	/* there again after the last reset, too */
	ASSERT_EQ(0, ioas_map(self->iommufd, self->ioas, bar, NVME_SIZE, &iova, IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(caps, dma_read(&self->edu, self->mem, iova));
	munmap(bar, NVME_SIZE);
}

TEST_HARNESS_MAIN
