// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_node - what a VMM needs of a device node beside attaching: hot reset, bus mastering, its name, KVM
 *
 * Needs QEMU's edu devices in the places that edu.h names. The two behind the bridge are one group, and the only ones
 * that can be reset: with the bus they are on.
 */
#include "iommu_test.h"
#include "fdinfo.h"
#include "type1.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#define IOVA		0x100000UL
#define BYTES		512
#define HALF		(4 * PAGE)
#define DEV_ID		VFIO_PCI_HOT_RESET_FLAG_DEV_ID
#define OWNED		VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED

/* ---- hot reset ---- */

struct reset_info {
	struct vfio_pci_hot_reset_info info;
	struct vfio_pci_dependent_device device[4];
};

static int hot_reset_info(int dev, struct reset_info *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->info.argsz = sizeof(*answer);
	return iommu_call(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, answer);
}

/* With @count files, of which the first is @fd */
static int hot_reset_with(int dev, uint32_t count, int fd)
{
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t fd[4];
	} cmd = { .reset = { .argsz = sizeof(cmd), .count = count }, .fd = { fd, fd, fd, fd } };

	return iommu_call(dev, VFIO_DEVICE_PCI_HOT_RESET, &cmd);
}

static int hot_reset(int dev)
{
	struct vfio_pci_hot_reset cmd = { .argsz = sizeof(cmd) };

	return iommu_call(dev, VFIO_DEVICE_PCI_HOT_RESET, &cmd);
}

FIXTURE(reset)
{
	int iommufd;
	struct edu edu[2];
	uint32_t ioas[2];
	uint8_t *mem;
};

/* Two devices on a bus, and two address spaces with the halves of the memory at IOVA */
FIXTURE_SETUP(reset)
{
	ASSERT_EQ(0, edu_one_cpu());
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	self->mem = small_pages(2 * HALF);
	ASSERT_NE(NULL, self->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas[i], self->mem + i * HALF, HALF, IOVA));
		ASSERT_EQ(0, edu_open_bound(&self->edu[i], EDU_BRIDGED + i, self->iommufd));
	}
}

FIXTURE_TEARDOWN(reset)
{
	for (int i = 0; i < 2; i++)
		edu_close(&self->edu[i]);
	close(self->iommufd);
	munmap(self->mem, 2 * HALF);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, pci_use_vfio(self->edu[i].bdf));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(reset, info_names_devices_as_the_iommufd_does)
{
	unsigned int bus, slot, function;
	struct reset_info answer;
	int dev = self->edu[0].fd, fields;

	ASSERT_EQ(0, hot_reset_info(dev, &answer));
	EXPECT_EQ(DEV_ID | OWNED, answer.info.flags);
	ASSERT_EQ(2, answer.info.count);
	for (int i = 0; i < 2; i++) {
		fields = sscanf(self->edu[i].bdf + 5, "%x:%x.%x", &bus, &slot, &function);
		ASSERT_EQ(3, fields);
		EXPECT_EQ(0, answer.device[i].segment);
		EXPECT_EQ(bus, answer.device[i].bus);
		EXPECT_EQ(slot << 3 | function, answer.device[i].devfn);
		EXPECT_EQ(self->edu[i].id, answer.device[i].devid);
	}

	/* one that is not bound is his as long as one of its group is */
	edu_close(&self->edu[1]);
	ASSERT_EQ(0, hot_reset_info(dev, &answer));
	EXPECT_EQ(DEV_ID | OWNED, answer.info.flags);
	EXPECT_EQ(self->edu[0].id, answer.device[0].devid);
	EXPECT_EQ(VFIO_PCI_DEVID_OWNED, answer.device[1].devid);
	EXPECT_EQ(0, hot_reset(dev));

	/* but one that VFIO does not have could be anybody's */
	ASSERT_EQ(0, pci_unbind(self->edu[1].bdf));
	ASSERT_EQ(0, hot_reset_info(dev, &answer));
	EXPECT_EQ(DEV_ID, answer.info.flags);
	EXPECT_EQ(self->edu[0].id, answer.device[0].devid);
	EXPECT_EQ(VFIO_PCI_DEVID_NOT_OWNED, (int)answer.device[1].devid);
	EXPECT_EQ(-EINVAL, hot_reset(dev));
}

TEST_F(reset, arguments_are_checked)
{
	struct vfio_pci_hot_reset cmd = { .argsz = sizeof(cmd) };
	int dev = self->edu[0].fd, null = open("/dev/null", O_RDWR);
	struct reset_info answer = { .info = { .argsz = 11 } };
	struct edu alone;

	ASSERT_LE(0, null);
	EXPECT_EQ(-EINVAL, iommu_call(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &answer));
	EXPECT_EQ(-EFAULT, iommu_call(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, NULL));
	/* too small an array: how large it has to be */
	answer.info.argsz = sizeof(answer.info) + sizeof(answer.device[0]) * 2 - 1;
	EXPECT_EQ(-ENOSPC, iommu_call(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &answer));
	EXPECT_EQ(2, answer.info.count);
	EXPECT_EQ(0, answer.device[0].devid);
	answer.info.argsz++;
	EXPECT_EQ(0, iommu_call(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &answer));

	cmd.argsz = 11;
	EXPECT_EQ(-EINVAL, iommu_call(dev, VFIO_DEVICE_PCI_HOT_RESET, &cmd));
	cmd.argsz = sizeof(cmd);
	for (int bit = 0; bit < 32; bit++) {
		cmd.flags = 1U << bit;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(dev, VFIO_DEVICE_PCI_HOT_RESET, &cmd), "bit %d", bit);
	}
	EXPECT_EQ(-EFAULT, iommu_call(dev, VFIO_DEVICE_PCI_HOT_RESET, NULL));
	/* the two ways to say what is owned are not mixed */
	EXPECT_EQ(-EINVAL, hot_reset_with(dev, 1, null));
	EXPECT_EQ(-EINVAL, hot_reset_with(dev, 1, dev));
	EXPECT_EQ(-EINVAL, hot_reset_with(dev, 2, self->edu[1].fd));
	EXPECT_EQ(-EINVAL, hot_reset_with(dev, 1, self->iommufd));
	EXPECT_EQ(-EINVAL, hot_reset_with(dev, UINT32_MAX, dev));

	/* the bus of this one is that of the machine */
	ASSERT_EQ(0, edu_open_bound(&alone, EDU_ALONE, self->iommufd));
	EXPECT_EQ(-ENODEV, hot_reset_info(alone.fd, &answer));
	EXPECT_EQ(-ENODEV, hot_reset(alone.fd));
	edu_close(&alone);
	close(null);
}

/*
 * A register that a reset clears and nobody restores: the data of an interrupt message, while there are no interrupts.
 * VFIO would keep what is written from the device.
 */
static int message_register(const char *bdf, off_t *where)
{
	uint8_t cap = 0, id = 0;
	char path[128];
	int fd;

	pci_attr_path(path, sizeof(path), bdf, "config");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (off_t at = PCI_CAPABILITY_LIST; pread(fd, &cap, 1, at) == 1 && cap; at = cap + PCI_CAP_LIST_NEXT) {
		if (pread(fd, &id, 1, cap) == 1 && id == PCI_CAP_ID_MSI) {
			*where = cap + PCI_MSI_DATA_64;
			return fd;
		}
	}
	close(fd);
	return -ENOENT;
}

static int set_mark(const char *bdf, uint16_t mark)
{
	off_t where;
	int fd = message_register(bdf, &where), rc;

	if (fd < 0)
		return fd;
	rc = pwrite(fd, &mark, 2, where) == 2 ? 0 : -errno;
	close(fd);
	return rc;
}

/* Or -errno */
static int mark_of(const char *bdf)
{
	uint16_t mark = 0;
	off_t where;
	int fd = message_register(bdf, &where), rc;

	if (fd < 0)
		return fd;
	rc = pread(fd, &mark, 2, where) == 2 ? mark : -errno;
	close(fd);
	return rc;
}

TEST_F(reset, both_are_reset_and_stay_attached)
{
	for (int side = 0; side < 2; side++) {
		for (int i = 0; i < 2; i++) {
			ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->ioas[side], NULL));
			ASSERT_EQ(0, set_mark(self->edu[i].bdf, 0x5a5a));
			EXPECT_EQ(0x5a5a, mark_of(self->edu[i].bdf));
			EXPECT_TRUE(edu_works_in(&self->edu[i], IOVA, self->mem, HALF, side, 1 + i));
		}
		ASSERT_EQ(0, hot_reset(self->edu[side].fd));
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(0, mark_of(self->edu[i].bdf));
			EXPECT_TRUE(edu_works_in(&self->edu[i], IOVA, self->mem, HALF, side, 3 + i));
		}
	}
}

/* On a busy machine a reset may be over before anybody looks, so it is done until it was met, so often at most */
#define RESETS 100

static void *reset_once(void *dev)
{
	return (void *)(intptr_t)hot_reset(*(int *)dev);
}

/* While the bus is being reset nothing of the group is attached anywhere else */
TEST_F(reset, group_stays_where_it_is_until_it_is_over)
{
	pthread_t thread;
	int rc, refused = 0;
	void *ret;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->ioas[0], NULL));
	for (int n = 0; !refused && n < RESETS; n++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, reset_once, &self->edu[0].fd));
		for (int round = 1; pthread_tryjoin_np(thread, &ret); round++) {
			rc = vfio_attach(self->edu[1].fd, self->ioas[round % 2], NULL);
			ASSERT_TRUE(!rc || rc == -EBUSY) TH_LOG("%d", rc);
			refused += !!rc;
		}
		EXPECT_EQ(NULL, ret);
	}
	EXPECT_LT(0, refused);
	for (int side = 0; side < 2; side++) {
		ASSERT_EQ(0, vfio_attach(self->edu[side].fd, self->ioas[side], NULL));
		EXPECT_TRUE(edu_works_in(&self->edu[!side], IOVA, self->mem, HALF, side, 10 + side));
	}
}

/* A detach does not fail: it waits, and what comes after it finds no reset any more */
TEST_F(reset, detach_waits_until_it_is_over)
{
	pthread_t thread;
	void *ret;
	int rc = 0;

	ASSERT_EQ(0, vfio_attach(self->edu[1].fd, self->ioas[0], NULL));
	for (int n = 0; !rc && n < RESETS; n++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, reset_once, &self->edu[0].fd));
		for (int round = 1; !rc && pthread_tryjoin_np(thread, &ret); round++)
			rc = vfio_attach(self->edu[1].fd, self->ioas[round % 2], NULL);
	}
	ASSERT_EQ(-EBUSY, rc);
	EXPECT_EQ(0, vfio_detach(self->edu[1].fd));
	EXPECT_EQ(0, vfio_attach(self->edu[1].fd, self->ioas[1], NULL));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_TRUE(edu_works_in(&self->edu[1], IOVA, self->mem, HALF, 1, 12));
}

/* Another process that has a device of the bus in its hands dies in the middle of a reset */
TEST_F(reset, process_is_killed_while_it_resets)
{
	char bdf[16];
	int status;
	pid_t pid;

	memcpy(bdf, self->edu[1].bdf, sizeof(bdf));
	ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[0], NULL));
	edu_close(&self->edu[1]);
	for (int round = 0; round < 2; round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			CHILD_NEEDS(!edu_open_bound_at(&self->edu[1], bdf, self->iommufd));
			for (;;)
				CHILD_NEEDS(!hot_reset(self->edu[1].fd));
		}
		/* until it resets */
		for (int n = 0, rc = 0; !rc; n++) {
			rc = vfio_attach(self->edu[0].fd, self->ioas[n % 2], NULL);
			ASSERT_TRUE_FOR(!rc || rc == -EBUSY, "%d", rc);
			ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
		}
		sleep_ms(30 * round);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[1], NULL));
		EXPECT_TRUE(edu_works_in(&self->edu[0], IOVA, self->mem, HALF, 1, 20 + round));
		ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[0], NULL));
	}
	ASSERT_EQ(0, edu_open_bound_at(&self->edu[1], bdf, self->iommufd));
	ASSERT_EQ(0, vfio_attach(self->edu[1].fd, self->ioas[0], NULL));
	EXPECT_EQ(0, hot_reset(self->edu[1].fd));
	EXPECT_TRUE(edu_works_in(&self->edu[1], IOVA, self->mem, HALF, 0, 22));
}

struct asker {
	int dev;
	bool stop;
	unsigned int owned, missing;
};

/* Whose the second device is: nobody's, or his who has its group, from one moment to the next */
static void *ask_whose(void *arg)
{
	struct asker *a = arg;
	struct reset_info answer;
	int rc = 0;

	while (!rc && !__atomic_load_n(&a->stop, __ATOMIC_RELAXED)) {
		rc = hot_reset_info(a->dev, &answer);
		if (answer.device[1].devid == VFIO_PCI_DEVID_OWNED)
			__atomic_add_fetch(&a->owned, 1, __ATOMIC_RELAXED);
		else
			__atomic_add_fetch(&a->missing, 1, __ATOMIC_RELAXED);
	}
	return (void *)(intptr_t)rc;
}

/* A device on the bus comes and goes, while somebody asks who has it */
TEST_F(reset, info_while_a_device_comes_and_goes)
{
	struct asker asker = { .dev = self->edu[0].fd };
	const char *bdf = self->edu[1].bdf;
	pthread_t thread;
	void *ret;

	edu_close(&self->edu[1]);
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask_whose, &asker));
	for (unsigned int round = 0; round < 20; round++) {
		unsigned int owned = __atomic_load_n(&asker.owned, __ATOMIC_RELAXED), missing;

		EXPECT_EQ(0, pci_use_vfio(bdf));
		while (__atomic_load_n(&asker.owned, __ATOMIC_RELAXED) == owned)
			sched_yield();
		missing = __atomic_load_n(&asker.missing, __ATOMIC_RELAXED);
		EXPECT_EQ(0, pci_unbind(bdf));
		while (__atomic_load_n(&asker.missing, __ATOMIC_RELAXED) == missing)
			sched_yield();
	}
	__atomic_store_n(&asker.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
}

/* Through its group a device is told groups, and shows files of groups, as ever */
static void reset_through_group(struct __test_metadata *_metadata, struct edu *edu, int container)
{
	struct reset_info answer;
	struct edu second;
	struct type1 t;

	for (int i = 0; i < 2; i++)
		edu_close(&edu[i]);
	ASSERT_EQ(0, type1_open(&t, container, VFIO_TYPE1v2_IOMMU, EDU_BRIDGED));
	ASSERT_EQ(0, hot_reset_info(t.edu.fd, &answer));
	EXPECT_EQ(0, answer.info.flags);
	ASSERT_EQ(2, answer.info.count);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(pci_group(edu[i].bdf), answer.device[i].group_id);
	EXPECT_EQ(-EINVAL, hot_reset(t.edu.fd));
	EXPECT_EQ(-EINVAL, hot_reset_with(t.edu.fd, 1, t.edu.fd));
	EXPECT_EQ(-EINVAL, hot_reset_with(t.edu.fd, 1, t.container));
	/* a node of a device of the group, which cannot be bound meanwhile */
	ASSERT_EQ(0, edu_open_at(&second, edu[1].bdf));
	EXPECT_EQ(-EINVAL, hot_reset_with(t.edu.fd, 1, second.fd));
	edu_close(&second);
	EXPECT_EQ(0, hot_reset_with(t.edu.fd, 1, t.group));
	EXPECT_EQ(0, edu_wait(&t.edu));
	type1_close(&t);
}

TEST_F(reset, groups_are_as_they_were)
{
	reset_through_group(_metadata, self->edu, type1_container_open());
}

TEST_F(reset, groups_with_an_iommufd_are_as_they_were)
{
	reset_through_group(_metadata, self->edu, iommu_open());
}

/* ---- hot reset of what is not one group ---- */

#define UNSAFE_MODE	"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

FIXTURE(strangers)
{
	int iommufd[2];
	struct edu edu[2];
	char bdf[2][16];
};

/* Two devices on a bus that the IOMMU does not cover: VFIO has a group for each. Each is in a context of its own. */
FIXTURE_SETUP(strangers)
{
	if (edu_find_noiommu(0, self->bdf[0]) || edu_find_noiommu(1, self->bdf[1]))
		SKIP(NO_FIXTURE; return, "no device without an IOMMU");
	ASSERT_EQ(0, write_file(UNSAFE_MODE, "Y"));
	for (int i = 0; i < 2; i++) {
		self->iommufd[i] = iommu_open();
		ASSERT_LE(0, self->iommufd[i]);
		ASSERT_EQ(0, edu_open_bound_at(&self->edu[i], self->bdf[i], self->iommufd[i]));
	}
}

FIXTURE_TEARDOWN(strangers)
{
	for (int i = 0; i < 2; i++) {
		edu_close(&self->edu[i]);
		close(self->iommufd[i]);
	}
	EXPECT_EQ(0, write_file(UNSAFE_MODE, "N"));
}

TEST_F(strangers, bus_is_reset_by_who_has_all_of_it)
{
	struct reset_info answer;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, hot_reset_info(self->edu[i].fd, &answer));
		EXPECT_EQ(DEV_ID, answer.info.flags);
		ASSERT_EQ(2, answer.info.count);
		EXPECT_EQ(self->edu[i].id, answer.device[i].devid);
		EXPECT_EQ(VFIO_PCI_DEVID_NOT_OWNED, (int)answer.device[!i].devid);
		ASSERT_EQ(0, set_mark(self->bdf[i], 0x5a5a));
	}
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(-EINVAL, hot_reset(self->edu[i].fd));

	/* nor is one his that nobody has opened */
	edu_close(&self->edu[1]);
	ASSERT_EQ(0, hot_reset_info(self->edu[0].fd, &answer));
	EXPECT_EQ(DEV_ID, answer.info.flags);
	EXPECT_EQ(VFIO_PCI_DEVID_NOT_OWNED, (int)answer.device[1].devid);
	EXPECT_EQ(-EINVAL, hot_reset(self->edu[0].fd));
	EXPECT_EQ(0x5a5a, mark_of(self->bdf[0]));

	ASSERT_EQ(0, edu_open_bound_at(&self->edu[1], self->bdf[1], self->iommufd[0]));
	ASSERT_EQ(0, hot_reset_info(self->edu[0].fd, &answer));
	EXPECT_EQ(DEV_ID | OWNED, answer.info.flags);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(self->edu[i].id, answer.device[i].devid);
	EXPECT_EQ(0, hot_reset(self->edu[1].fd));
	EXPECT_EQ(0, mark_of(self->bdf[0]));
}

/* ---- bus mastering, fdinfo ---- */

FIXTURE(device)
{
	int iommufd;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
};

FIXTURE_SETUP(device)
{
	edu_space_open(_metadata, &self->iommufd, &self->edu, &self->ioas, &self->mem, 2 * HALF);
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, HALF, IOVA));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
}

FIXTURE_TEARDOWN(device)
{
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, 2 * HALF);
}

static int bus_master(int dev, uint32_t argsz, uint32_t flags, uint32_t op)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_bus_master master;
	} cmd = {
		.feature = { .argsz = argsz, .flags = flags | VFIO_DEVICE_FEATURE_BUS_MASTER }, .master = { .op = op },
	};

	return iommu_call(dev, VFIO_DEVICE_FEATURE, &cmd);
}

static bool is_master(struct edu *edu)
{
	uint16_t cmd = 0;

	return pread(edu->fd, &cmd, 2, edu->config_offset + PCI_COMMAND) == 2 && cmd & PCI_COMMAND_MASTER;
}

TEST_F(device, bus_mastering_is_switched)
{
	const uint32_t set = VFIO_DEVICE_FEATURE_SET, get = VFIO_DEVICE_FEATURE_GET;
	const uint32_t probe = VFIO_DEVICE_FEATURE_PROBE, all = 12;
	struct edu *edu = &self->edu;
	int dev = edu->fd;

	EXPECT_EQ(0, bus_master(dev, 8, probe, 0));
	EXPECT_EQ(0, bus_master(dev, 8, probe | set, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, all, probe | get, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, all, probe | get | set, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, all, get, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, all, get | set, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, all, 0, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, all - 1, set, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, 7, set, 0));
	EXPECT_EQ(-EINVAL, bus_master(dev, all, set, 2));
	EXPECT_EQ(-EINVAL, bus_master(dev, all, set, UINT32_MAX));
	EXPECT_TRUE(is_master(edu));

	EXPECT_TRUE(edu_works_in(edu, IOVA, self->mem, HALF, 0, 1));
	EXPECT_EQ(0, bus_master(dev, all, set, VFIO_DEVICE_FEATURE_CLEAR_MASTER));
	EXPECT_FALSE(is_master(edu));
	memset(self->mem, 0, HALF);
	ASSERT_EQ(0, edu_store(edu, IOVA, BYTES));
	EXPECT_TRUE(bytes_are(self->mem, HALF, 0));
	EXPECT_EQ(0, bus_master(dev, all, set, VFIO_DEVICE_FEATURE_SET_MASTER));
	EXPECT_TRUE(is_master(edu));
	EXPECT_TRUE(edu_works_in(edu, IOVA, self->mem, HALF, 0, 2));
	/* it is the same bit as in the configuration space */
	ASSERT_EQ(0, edu_set_command(edu, 0, PCI_COMMAND_MASTER));
	EXPECT_FALSE(is_master(edu));
	EXPECT_EQ(0, bus_master(dev, all, set, VFIO_DEVICE_FEATURE_SET_MASTER));
	EXPECT_TRUE(is_master(edu));
}

/* Whether the fdinfo of a file has the path of the device in it */
static bool fdinfo_names(int fd, const char *bdf)
{
	char path[128], info[1024], link[256], line[320];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_file(path, info, sizeof(info)) <= 0)
		return false;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.12s", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 9)
		return false;
	link[n] = 0;
	/* "../../../devices/pci0000:00/..." */
	snprintf(line, sizeof(line), "\nvfio-device-syspath: /sys/%.200s\n", strstr(link, "devices/"));
	return strstr(info, line);
}

TEST_F(device, fdinfo_says_which_device_it_is)
{
	struct edu second;
	struct type1 t;

	EXPECT_TRUE(fdinfo_names(self->edu.fd, self->edu.bdf));
	EXPECT_FALSE(fdinfo_names(self->iommufd, self->edu.bdf));
	/* not bound */
	ASSERT_EQ(0, edu_open(&second, EDU_ALONE));
	EXPECT_TRUE(fdinfo_names(second.fd, self->edu.bdf));
	edu_close(&second);
	ASSERT_EQ(0, edu_open(&second, EDU_BRIDGED));
	EXPECT_TRUE(fdinfo_names(second.fd, second.bdf));
	EXPECT_FALSE(fdinfo_names(second.fd, self->edu.bdf));
	edu_close(&second);
	/* opened through its group */
	ASSERT_EQ(0, type1_open(&t, type1_container_open(), VFIO_TYPE1v2_IOMMU, EDU_ALONE_TOO));
	EXPECT_TRUE(fdinfo_names(t.edu.fd, t.edu.bdf));
	EXPECT_FALSE(fdinfo_names(t.group, t.edu.bdf));
	type1_close(&t);
}

TEST_F(device, fdinfo_says_where_it_is)
{
	static char text[8192];
	struct edu second;
	uint32_t hwpt;

	ASSERT_EQ(0, vfio_detach(self->edu.fd));
	ASSERT_LT(0, fdinfo_read(self->edu.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "vfio:\tname=%s opened=node", self->edu.bdf));
	EXPECT_TRUE(fdinfo_says(text, "device:\tid=%u name=%s group=%d", self->edu.id, self->edu.bdf,
				pci_group(self->edu.bdf)));
	EXPECT_EQ(0, fdinfo_count(text, "attach:"));
	EXPECT_FALSE(fdinfo_says(text, "attach:\tdevice=%u pasid=none", self->edu.id));

	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, &hwpt));
	ASSERT_LT(0, fdinfo_read(self->edu.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "attach:\tdevice=%u pasid=none hwpt=%u", self->edu.id, hwpt));

	/* another file is not bound, though the device is */
	ASSERT_EQ(0, edu_open(&second, EDU_ALONE));
	ASSERT_LT(0, fdinfo_read(second.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "vfio:\tname=%s opened=node", self->edu.bdf));
	EXPECT_EQ(NULL, strstr(text, "iommufd:"));
	EXPECT_EQ(NULL, strstr(text, "device:\t"));
	edu_close(&second);
}

TEST_F(device, fdinfo_says_which_iommufd_has_it)
{
	static char text[8192];
	long long context, of_device;
	struct type1 t;

	ASSERT_LT(0, fdinfo_read(self->iommufd, text, sizeof(text)));
	context = fdinfo_number(text, "iommufd:\tversion=1", "context");
	ASSERT_LT(0, context);
	ASSERT_LT(0, fdinfo_read(self->edu.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "iommufd:\tcontext=%lld", context));

	/* through its group, with an iommufd for a container, and with VFIO's own */
	ASSERT_EQ(0, type1_open(&t, iommu_open(), VFIO_TYPE1v2_IOMMU, EDU_ALONE_TOO));
	ASSERT_LT(0, fdinfo_read(t.container, text, sizeof(text)));
	of_device = fdinfo_number(text, "iommufd:\tversion=1", "context");
	EXPECT_LT(context, of_device);
	ASSERT_LT(0, fdinfo_read(t.edu.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "vfio:\tname=%s opened=group", t.edu.bdf));
	EXPECT_TRUE(fdinfo_says(text, "iommufd:\tcontext=%lld", of_device));
	EXPECT_EQ(1, fdinfo_count(text, "attach:"));
	type1_close(&t);
	ASSERT_EQ(0, type1_open(&t, type1_container_open(), VFIO_TYPE1v2_IOMMU, EDU_ALONE_TOO));
	ASSERT_LT(0, fdinfo_read(t.edu.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "vfio:\tname=%s opened=group", t.edu.bdf));
	EXPECT_EQ(NULL, strstr(text, "iommufd:"));
	type1_close(&t);
}

/* ---- KVM ---- */

FIXTURE(kvm)
{
	int iommufd, vm, vfio;
	struct edu edu;
};

static int kvm_attr(int device, unsigned long cmd, uint64_t attr, const int *fd)
{
	struct kvm_device_attr a = { .group = KVM_DEV_VFIO_FILE, .attr = attr, .addr = to_u64(fd) };

	return iommu_call(device, cmd, &a);
}

static int kvm_add(int device, int fd)
{
	return kvm_attr(device, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE_ADD, &fd);
}

static int kvm_del(int device, int fd)
{
	return kvm_attr(device, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE_DEL, &fd);
}

/* A virtual machine with a VFIO device, and a device node that is not bound */
FIXTURE_SETUP(kvm)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		SKIP(NO_FIXTURE; return, "no KVM");
	self->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ASSERT_LE(0, self->vm);
	close(kvm);
	ASSERT_EQ(0, iommu_call(self->vm, KVM_CREATE_DEVICE, &create));
	self->vfio = create.fd;
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open(&self->edu, EDU_ALONE));
}

FIXTURE_TEARDOWN(kvm)
{
	edu_close(&self->edu);
	close(self->iommufd);
	close(self->vfio);
	close(self->vm);
}

TEST_F(kvm, takes_device_nodes_and_files_of_groups)
{
	int null = open("/dev/null", O_RDWR), dev = self->edu.fd, group;
	char bdf[16];
	struct edu second;

	ASSERT_LE(0, null);
	EXPECT_EQ(0, kvm_attr(self->vfio, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE_ADD, NULL));
	EXPECT_EQ(0, kvm_attr(self->vfio, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE_DEL, NULL));
	EXPECT_EQ(-EFAULT, kvm_attr(self->vfio, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE_ADD, NULL));
	EXPECT_EQ(-EBADF, kvm_add(self->vfio, -1));
	EXPECT_EQ(-EBADF, kvm_add(self->vfio, 1000));
	EXPECT_EQ(-EINVAL, kvm_add(self->vfio, null));
	EXPECT_EQ(-EINVAL, kvm_add(self->vfio, self->iommufd));
	EXPECT_EQ(-EINVAL, kvm_add(self->vfio, self->vm));
	EXPECT_EQ(-ENOENT, kvm_del(self->vfio, dev));

	/* not bound, then bound */
	EXPECT_EQ(0, kvm_add(self->vfio, dev));
	EXPECT_EQ(-EEXIST, kvm_add(self->vfio, dev));
	ASSERT_EQ(0, vfio_bind(dev, self->iommufd, &self->edu.id));
	EXPECT_EQ(-EEXIST, kvm_add(self->vfio, dev));
	EXPECT_EQ(0, kvm_del(self->vfio, dev));
	EXPECT_EQ(-ENOENT, kvm_del(self->vfio, dev));
	EXPECT_EQ(0, kvm_add(self->vfio, dev));

	/* another file of the same device, and a group, as ever */
	ASSERT_EQ(0, edu_open(&second, EDU_ALONE));
	EXPECT_EQ(0, kvm_add(self->vfio, second.fd));
	EXPECT_EQ(0, kvm_del(self->vfio, second.fd));
	edu_close(&second);
	ASSERT_EQ(0, edu_find(EDU_ALONE_TOO, bdf));
	group = vfio_group_open(bdf);
	ASSERT_LE(0, group);
	EXPECT_EQ(0, kvm_add(self->vfio, group));
	EXPECT_EQ(-EEXIST, kvm_add(self->vfio, group));
	EXPECT_EQ(0, kvm_del(self->vfio, group));
	close(group);
	close(null);
}

TEST_F(kvm, goes_before_the_device)
{
	uint32_t ioas;

	ASSERT_EQ(0, kvm_add(self->vfio, self->edu.fd));
	ASSERT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &ioas));
	close(self->vm);
	close(self->vfio);
	self->vm = -1;
	self->vfio = -1;
	EXPECT_EQ(0, vfio_attach(self->edu.fd, ioas, NULL));
}

/* A bind finds no virtual machine that has gone */
TEST_F(kvm, goes_before_the_bind)
{
	ASSERT_EQ(0, kvm_add(self->vfio, self->edu.fd));
	close(self->vfio);
	close(self->vm);
	self->vm = -1;
	self->vfio = -1;
	EXPECT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
}

/* The virtual machine holds the file: what was bound stays so until it lets go */
TEST_F(kvm, keeps_a_node_that_is_closed)
{
	struct edu second;
	uint32_t id;

	ASSERT_EQ(0, kvm_add(self->vfio, self->edu.fd));
	ASSERT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	edu_close(&self->edu);
	ASSERT_EQ(0, edu_open(&second, EDU_ALONE));
	EXPECT_EQ(-EINVAL, vfio_bind(second.fd, self->iommufd, &id));
	close(self->vfio);
	self->vfio = -1;
	EXPECT_EQ(0, vfio_bind(second.fd, self->iommufd, &id));
	edu_close(&second);
}

static void *add_and_del(void *arg)
{
	int *fd = arg;
	long rc = 0;

	for (int i = 0; i < 2000 && !rc; i++) {
		rc = kvm_add(fd[0], fd[1]);
		rc = rc ?: kvm_del(fd[0], fd[1]);
	}
	return (void *)rc;
}

TEST_F(kvm, is_told_while_the_device_is_bound)
{
	int fd[2] = { self->vfio, self->edu.fd };
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, add_and_del, fd));
	EXPECT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	for (int i = 0; i < 20; i++) {
		struct edu other;

		ASSERT_EQ(0, edu_open(&other, EDU_ALONE_TOO));
		ASSERT_EQ(0, vfio_bind(other.fd, self->iommufd, &other.id));
		edu_close(&other);
	}
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
}

TEST_HARNESS_MAIN
