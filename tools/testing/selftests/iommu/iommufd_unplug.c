// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_unplug - devices that are removed, reset, taken by their driver or lose their process, in every state
 *
 * Needs QEMU's edu devices in the places that edu.h names. A device goes by way of sysfs; what stays of its group has
 * to go on working, and what comes back has to find the group as it is.
 */
#include "iommu_test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#define IOVA		0x100000UL
#define BYTES		512
#define HALF		(4 * PAGE)
#define BRIDGE		"0000:00:06.0"
#define STRANGER	"uio_pci_generic"

/* ---- two devices of a group, each in its state ---- */

/**
 * struct scene - Devices and what they are attached to
 * @iommufd: context
 * @devices: how many devices there are
 * @edu: devices of one group; the last one is the one that goes
 * @bdf: its address
 * @ioas: two address spaces, with the halves of @mem at IOVA
 * @mem: memory
 * @faults: how many faults were reported before
 */
struct scene {
	int iommufd, devices;
	struct edu edu[2];
	char bdf[16];
	uint32_t ioas[2];
	uint8_t *mem;
	long faults;
};

/* Whatever an earlier test removed is back. */
static int pci_rescan(void)
{
	return write_file("/sys/bus/pci/rescan", "1");
}

static void scene_open(struct __test_metadata *_metadata, struct scene *s, unsigned int first, int devices)
{
	ASSERT_EQ(0, edu_one_cpu());
	ASSERT_EQ(0, pci_rescan());
	s->faults = iommu_fault_count();
	s->devices = devices;
	s->iommufd = iommu_open();
	ASSERT_LE(0, s->iommufd) TH_LOG("/dev/iommu: %s", strerror(-s->iommufd));
	s->mem = small_pages(2 * HALF);
	ASSERT_NE(NULL, s->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(s->iommufd, &s->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(s->iommufd, s->ioas[i], s->mem + i * HALF, HALF, IOVA));
	}
	for (int i = 0; i < devices; i++)
		ASSERT_EQ(0, edu_open_bound(&s->edu[i], first + i, s->iommufd));
	memcpy(s->bdf, s->edu[devices - 1].bdf, sizeof(s->bdf));
}

static void scene_close(struct __test_metadata *_metadata, struct scene *s)
{
	for (int i = 0; i < s->devices; i++)
		edu_close(&s->edu[i]);
	close(s->iommufd);
	munmap(s->mem, 2 * HALF);
	EXPECT_EQ(0, pci_rescan());
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

FIXTURE(unplug)
{
	struct scene scene;
};

FIXTURE_VARIANT(unplug)
{
	unsigned int first;
	int devices;
};

FIXTURE_VARIANT_ADD(unplug, alone)
{
	.first = EDU_ALONE, .devices = 1,
};

FIXTURE_VARIANT_ADD(unplug, function)
{
	.first = EDU_FUNCTIONS, .devices = 2,
};

FIXTURE_VARIANT_ADD(unplug, bridged)
{
	.first = EDU_BRIDGED, .devices = 2,
};

FIXTURE_SETUP(unplug)
{
	scene_open(_metadata, &self->scene, variant->first, variant->devices);
}

FIXTURE_TEARDOWN(unplug)
{
	scene_close(_metadata, &self->scene);
}

/* What needs two devices of a group */
FIXTURE(siblings)
{
	struct scene scene;
};

FIXTURE_VARIANT(siblings)
{
	unsigned int first;
};

FIXTURE_VARIANT_ADD(siblings, functions)
{
	.first = EDU_FUNCTIONS,
};

FIXTURE_VARIANT_ADD(siblings, bridged)
{
	.first = EDU_BRIDGED,
};

FIXTURE_SETUP(siblings)
{
	scene_open(_metadata, &self->scene, variant->first, 2);
}

FIXTURE_TEARDOWN(siblings)
{
	scene_close(_metadata, &self->scene);
}

static bool works_in(uint8_t *mem, struct edu *edu, int side, uint64_t seed)
{
	return edu_works_in(edu, IOVA, mem, HALF, side, seed);
}

/* ---- what goes on meanwhile ---- */

enum state {
	BOUND, ATTACHED, SIBLING_ATTACHED, REPLACING, MAPPING, STATES
};

static const char * const state_names[] = {
	"bound", "attached", "sibling attached", "replacing", "mapping",
};

/**
 * struct work - Replaces, or maps and unmaps, until it is stopped or the device or the context is closed
 * @dev: device to replace with, or -1
 * @iommufd: where @ioas is
 * @ioas: address spaces to replace between; the first is mapped into otherwise
 * @mem: memory to map
 * @stop: told by work_stop()
 * @rounds: how often it was done
 * @rc: the error that ended it
 */
struct work {
	int dev, iommufd;
	uint32_t ioas[2];
	uint8_t *mem;
	bool stop;
	int rounds, rc;
	pthread_t thread;
};

static int work_once(struct work *w)
{
	int rc;

	if (w->dev >= 0)
		return vfio_attach(w->dev, w->ioas[w->rounds % 2], NULL);
	rc = ioas_map_at(w->iommufd, w->ioas[0], w->mem, HALF, IOVA + MIB);
	return rc ?: ioas_unmap(w->iommufd, w->ioas[0], IOVA + MIB, HALF, NULL);
}

static void *work_on(void *arg)
{
	struct work *w = arg;

	while (!w->rc && !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		w->rc = work_once(w);
		__atomic_add_fetch(&w->rounds, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* On return it has been done at least once. */
static int work_start(struct work *w)
{
	int rc = -pthread_create(&w->thread, NULL, work_on, w);

	while (!rc && !__atomic_load_n(&w->rounds, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	return rc;
}

static int work_stop(struct work *w)
{
	__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
	pthread_join(w->thread, NULL);
	return w->rc;
}

/* ---- a device that is taken away ---- */

/* A child that writes to a file in sysfs, which may have to wait until we close the devices */
static pid_t write_aside(struct edu *edu, int devices, int iommufd, const char *path, const char *text)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	/* must not hold them open itself */
	for (int i = 0; i < devices; i++)
		edu_close(&edu[i]);
	close(iommufd);
	_exit(!!write_file(path, text));
}

static bool pci_is_there(const char *bdf)
{
	char path[128];

	pci_attr_path(path, sizeof(path), bdf, "modalias");
	return !access(path, F_OK);
}

/* Brings the devices into a state; the last one is the one that will go. */
static int enter_state(enum state now, struct edu *edu, int devices, const uint32_t *ioas, struct work *work)
{
	int rc = 0;

	for (int i = 0; i < devices && !rc; i++)
		if (now != BOUND && (now != SIBLING_ATTACHED || i < devices - 1))
			rc = vfio_attach(edu[i].fd, ioas[0], NULL);
	work->dev = now == REPLACING ? edu[devices - 1].fd : -1;
	return rc ?: now >= REPLACING ? work_start(work) : 0;
}

/* Takes @edu away while it is in use, in each state; @attr and @text are what has to be written for that. */
static void take_away(struct __test_metadata *_metadata, struct scene *s, enum state now,
		      const char *attr, const char *text)
{
	struct work work = {
		.iommufd = s->iommufd, .ioas = { s->ioas[0], s->ioas[1] }, .mem = s->mem,
	};
	struct edu *goes = &s->edu[s->devices - 1], *stays = s->devices > 1 ? &s->edu[0] : NULL;
	int event = eventfd(0, EFD_CLOEXEC), group = pci_group(s->bdf), side = 0;
	struct pollfd asked = { .fd = event, .events = POLLIN };
	char path[128];
	pid_t pid;

	ASSERT_LE(0, event);
	ASSERT_EQ(0, edu_event(goes, VFIO_PCI_REQ_IRQ_INDEX, event));
	ASSERT_EQ(0, enter_state(now, s->edu, s->devices, s->ioas, &work));

	/* it is asked for, and works on until it is given back */
	pci_attr_path(path, sizeof(path), s->bdf, attr);
	pid = write_aside(s->edu, s->devices, s->iommufd, path, text);
	ASSERT_LE(0, pid);
	ASSERT_EQ(1, poll(&asked, 1, 60000));
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	if (now == ATTACHED) {
		EXPECT_TRUE(works_in(s->mem, goes, 0, 1));
		EXPECT_EQ(0, vfio_attach(goes->fd, s->ioas[1], NULL));
		EXPECT_TRUE(works_in(s->mem, goes, 1, 2));
		side = 1;
	}
	edu_close(goes);
	if (now == MAPPING)
		sleep_ms(20);
	if (now >= REPLACING) {
		int rc = work_stop(&work);

		EXPECT_TRUE_FOR(!rc || (now == REPLACING && rc == -EBADF), "%s: %d", state_names[now], rc);
	}
	EXPECT_TRUE_FOR(child_succeeded(pid), "%s", state_names[now]);
	close(event);
	if (!stays) {
		EXPECT_EQ_FOR(0, vm_pin_kb(), "%s", state_names[now]);
		return;
	}

	/* the one that stays does not notice */
	if (now == REPLACING)
		ASSERT_EQ(0, vfio_attach(stays->fd, s->ioas[0], NULL));
	if (now == BOUND)
		ASSERT_EQ(0, vfio_attach(stays->fd, s->ioas[0], NULL));
	EXPECT_TRUE_FOR(works_in(s->mem, stays, side, 3), "%s", state_names[now]);
	ASSERT_EQ(0, vfio_attach(stays->fd, s->ioas[!side], NULL));
	EXPECT_TRUE_FOR(works_in(s->mem, stays, !side, 4), "%s", state_names[now]);
	if (pci_is_there(s->bdf))
		EXPECT_EQ(group, pci_group(s->bdf));
}

/* The device is used again; if a sibling is attached it is translated as that one before it is told so itself. */
static void take_back(struct __test_metadata *_metadata, struct scene *s, const char *what)
{
	struct edu *back = &s->edu[s->devices - 1];

	ASSERT_EQ_FOR(0, edu_open_bound_at(back, s->bdf, s->iommufd), "%s", what);
	if (s->devices > 1) {
		ASSERT_EQ(pci_group(s->edu[0].bdf), pci_group(s->bdf));
		ASSERT_EQ(0, vfio_attach(s->edu[0].fd, s->ioas[1], NULL));
		EXPECT_TRUE_FOR(works_in(s->mem, back, 1, 5), "%s", what);
		ASSERT_EQ(0, vfio_attach(back->fd, s->ioas[1], NULL));
	}
	ASSERT_EQ(0, vfio_attach(back->fd, s->ioas[0], NULL));
	EXPECT_TRUE_FOR(works_in(s->mem, back, 0, 6), "%s", what);
	for (int i = 0; i < s->devices; i++)
		ASSERT_EQ(0, vfio_detach(s->edu[i].fd));
}

TEST_F(unplug, removed_in_each_state)
{
	struct scene *s = &self->scene;

	for (enum state now = BOUND; now < STATES; now++) {
		take_away(_metadata, s, now, "remove", "1");
		ASSERT_FALSE(pci_is_there(s->bdf));
		ASSERT_EQ(0, pci_rescan());
		ASSERT_TRUE_FOR(pci_is_there(s->bdf), "%s", state_names[now]);
		take_back(_metadata, s, state_names[now]);
	}
	EXPECT_EQ(s->faults, iommu_fault_count());
}

TEST_F(unplug, taken_by_its_driver_in_each_state)
{
	struct scene *s = &self->scene;
	char driver[64];

	for (enum state now = BOUND; now < STATES; now++) {
		take_away(_metadata, s, now, "driver/unbind", s->bdf);
		ASSERT_EQ(-ENOENT, pci_driver(s->bdf, driver, sizeof(driver)));
		take_back(_metadata, s, state_names[now]);
	}
	EXPECT_EQ(s->faults, iommu_fault_count());
}

/* Removed and found again while the other is moved about, it is translated as that one as soon as it is there. */
TEST_F(siblings, one_comes_and_goes_while_the_other_moves)
{
	struct scene *s = &self->scene;
	struct edu *goes = &s->edu[1], *stays = &s->edu[0];
	struct work work = { .dev = stays->fd, .ioas = { s->ioas[0], s->ioas[1] } };
	char path[128];

	ASSERT_EQ(0, vfio_attach(stays->fd, s->ioas[0], NULL));
	ASSERT_EQ(0, work_start(&work));
	for (int i = 0; i < 10; i++) {
		edu_close(goes);
		pci_attr_path(path, sizeof(path), s->bdf, "remove");
		ASSERT_EQ(0, write_file(path, "1"));
		ASSERT_EQ(0, pci_rescan());
		ASSERT_EQ(0, edu_open_bound_at(goes, s->bdf, s->iommufd));
		if (i % 5)
			continue;
		/* not attached, and no DMA of it is blocked: it lands in one of the two */
		ASSERT_EQ(0, edu_load(goes, IOVA, BYTES));
		ASSERT_EQ(0, edu_store(goes, IOVA + PAGE, BYTES));
	}
	EXPECT_EQ(0, work_stop(&work));
	EXPECT_EQ(s->faults, iommu_fault_count());
	ASSERT_EQ(0, vfio_attach(stays->fd, s->ioas[1], NULL));
	EXPECT_TRUE(works_in(s->mem, goes, 1, 7));
	EXPECT_TRUE(works_in(s->mem, stays, 1, 8));
}

/* ---- a process that is killed ---- */

/* A process that has taken the device that goes into a state, in the context that it inherited, and stays there */
static void live_in(enum state now, struct scene *s)
{
	struct work work = {
		.iommufd = s->iommufd, .ioas = { s->ioas[0], s->ioas[1] },
		.mem = small_pages(HALF),
	};
	struct edu *edu = &s->edu[s->devices - 1];

	CHILD_NEEDS(!edu_open_bound_at(edu, s->bdf, s->iommufd));
	CHILD_NEEDS(!enter_state(now, s->edu, s->devices, s->ioas, &work));
	/* a transfer on its way */
	edu_start_store(edu, IOVA + PAGE, BYTES);
	CHILD_NEEDS(!child_has_begun());
	for (;;)
		pause();
}

TEST_F(unplug, process_is_killed_in_each_state)
{
	struct scene *s = &self->scene;
	struct edu *goes = &s->edu[s->devices - 1];
	const sigset_t begun = child_expected();

	for (enum state now = BOUND; now < STATES; now++) {
		for (int round = 0; round < (now >= REPLACING ? 2 : 1); round++) {
			pid_t pid;

			edu_close(goes);
			pid = fork();
			ASSERT_LE(0, pid);
			if (!pid)
				live_in(now, s);
			ASSERT_EQ(0, child_kill(&begun, 120, pid, 7 * round));
			/* what it had mapped stays in the context, as other processes share that */
			ioas_unmap(s->iommufd, s->ioas[0], IOVA + MIB, HALF, NULL);
			if (s->devices > 1) {
				ASSERT_EQ(0, vfio_detach(s->edu[0].fd));
				ASSERT_EQ(0, vfio_attach(s->edu[0].fd, s->ioas[1], NULL));
				EXPECT_TRUE_FOR(works_in(s->mem, &s->edu[0], 1, 9), "%s, round %d",
						state_names[now], round);
				ASSERT_EQ(0, vfio_detach(s->edu[0].fd));
			}
			EXPECT_EQ_FOR(0, vm_pin_kb(), "%s, round %d", state_names[now], round);
			EXPECT_EQ_FOR(0, pages_pinned(), "%s, round %d", state_names[now], round);
			take_back(_metadata, s, state_names[now]);
		}
	}
}

/* ---- a group with a driver that leaves DMA to the kernel ---- */

static int give_to(const char *bdf, const char *driver)
{
	char path[128], now[64];
	int rc = 0;

	if (!pci_driver(bdf, now, sizeof(now)))
		rc = pci_unbind(bdf);
	pci_attr_path(path, sizeof(path), bdf, "driver_override");
	rc = rc ?: write_file(path, driver);
	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/bind", driver);
	return rc ?: write_file(path, bdf);
}

TEST_F(siblings, strange_driver_and_user_space_exclude_each_other)
{
	struct scene *s = &self->scene;
	struct edu *first = &s->edu[0], *second = &s->edu[1];
	struct work work = { .ioas = { s->ioas[0], s->ioas[1] } };
	char bdf[16], driver[64];
	uint32_t id;

	memcpy(bdf, first->bdf, sizeof(bdf));
	/* while any of the group is bound to a context, attached or moving, no such driver gets any of it */
	edu_close(second);
	work.dev = first->fd;
	EXPECT_EQ(-EBUSY, give_to(s->bdf, STRANGER));
	ASSERT_EQ(0, vfio_attach(first->fd, s->ioas[0], NULL));
	EXPECT_EQ(-EBUSY, give_to(s->bdf, STRANGER));
	EXPECT_TRUE(works_in(s->mem, first, 0, 10));
	ASSERT_EQ(0, work_start(&work));
	for (int i = 0; i < 20; i++)
		EXPECT_EQ_FOR(-EBUSY, give_to(s->bdf, STRANGER), "round %d", i);
	EXPECT_EQ(0, work_stop(&work));
	EXPECT_EQ(-ENOENT, pci_driver(s->bdf, driver, sizeof(driver)));

	/* and the other way round */
	edu_close(first);
	ASSERT_EQ(0, give_to(s->bdf, STRANGER));
	ASSERT_EQ(0, edu_open_at(first, bdf));
	EXPECT_EQ(-EPERM, vfio_bind(first->fd, s->iommufd, &id));
	ASSERT_EQ(0, pci_use_vfio(s->bdf));
	ASSERT_EQ(0, vfio_bind(first->fd, s->iommufd, &first->id));
	ASSERT_EQ(0, edu_enable(first));
	ASSERT_EQ(0, vfio_attach(first->fd, s->ioas[1], NULL));
	EXPECT_TRUE(works_in(s->mem, first, 1, 11));
	EXPECT_EQ(s->faults, iommu_fault_count());
}

/* ---- a bridge, with what is behind it ---- */

FIXTURE(bridge)
{
	int iommufd;
	struct edu edu[2];
	uint32_t ioas[2];
	uint8_t *mem;
};

FIXTURE_SETUP(bridge)
{
	ASSERT_EQ(0, edu_one_cpu());
	ASSERT_EQ(0, pci_rescan());
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	self->mem = small_pages(2 * HALF);
	ASSERT_NE(NULL, self->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, edu_open_bound(&self->edu[i], EDU_BRIDGED + i, self->iommufd));
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas[i], self->mem + i * HALF, HALF, IOVA));
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->ioas[0], NULL));
	}
}

FIXTURE_TEARDOWN(bridge)
{
	for (int i = 0; i < 2; i++)
		edu_close(&self->edu[i]);
	close(self->iommufd);
	munmap(self->mem, 2 * HALF);
	EXPECT_EQ(0, pci_rescan());
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(bridge, removed_with_all_that_is_behind_it)
{
	struct work work = { .dev = self->edu[1].fd, .ioas = { self->ioas[0], self->ioas[1] } };
	pid_t pid;
	int rc;

	ASSERT_EQ(0, work_start(&work));
	pid = write_aside(self->edu, 2, self->iommufd, "/sys/bus/pci/devices/" BRIDGE "/remove", "1");
	ASSERT_LE(0, pid);
	sleep_ms(100);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	for (int i = 0; i < 2; i++)
		edu_close(&self->edu[i]);
	rc = work_stop(&work);
	EXPECT_TRUE(!rc || rc == -EBADF);
	ASSERT_TRUE(child_succeeded(pid));
	EXPECT_FALSE(pci_is_there(BRIDGE));
	EXPECT_EQ(0, pages_pinned());

	ASSERT_EQ(0, pci_rescan());
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, edu_open_bound(&self->edu[i], EDU_BRIDGED + i, self->iommufd));
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->ioas[1], NULL));
	}
	EXPECT_TRUE(works_in(self->mem, &self->edu[0], 1, 20));
	EXPECT_TRUE(works_in(self->mem, &self->edu[1], 1, 21));
}

static void *reset_twice(void *arg)
{
	int rc = 0;

	for (int i = 0; i < 2 && !rc; i++)
		rc = iommu_call(*(int *)arg, VFIO_DEVICE_RESET, NULL);
	return (void *)(intptr_t)rc;
}

/* Only a device that is alone behind its bridge can be reset: by way of the bridge. */
TEST_F(bridge, device_is_reset_while_it_moves)
{
	struct work work = { .ioas = { self->ioas[0], self->ioas[1] } };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	char path[128], bdf[16];
	pthread_t thread;
	int moved = 0;
	void *rc;

	memcpy(bdf, self->edu[0].bdf, sizeof(bdf));
	pci_attr_path(path, sizeof(path), self->edu[1].bdf, "remove");
	for (int i = 0; i < 2; i++)
		edu_close(&self->edu[i]);
	ASSERT_EQ(0, write_file(path, "1"));
	ASSERT_EQ(0, edu_open_bound_at(&self->edu[0], bdf, self->iommufd));
	ASSERT_EQ(0, iommu_call(self->edu[0].fd, VFIO_DEVICE_GET_INFO, &info));
	ASSERT_TRUE(info.flags & VFIO_DEVICE_FLAGS_RESET);
	work.dev = self->edu[0].fd;

	ASSERT_EQ(0, vfio_attach(work.dev, self->ioas[0], NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_twice, &work.dev));
	while (pthread_tryjoin_np(thread, &rc)) {
		int ret = work_once(&work);

		/* a device that is being reset cannot be asked to forget translations */
		ASSERT_TRUE(!ret || ret == -EBUSY) TH_LOG("%d", ret);
		work.rounds++;
		moved += !ret;
	}
	EXPECT_EQ(NULL, rc);
	/* the bridge takes a second for each */
	EXPECT_LT(moved, work.rounds);
	TH_LOG("%d of %d replaces during two resets", moved, work.rounds);
	EXPECT_LT(moved, work.rounds);
	for (int side = 0; side < 2; side++) {
		ASSERT_EQ(0, vfio_attach(work.dev, self->ioas[side], NULL));
		EXPECT_TRUE(works_in(self->mem, &self->edu[0], side, 30 + side));
	}
}

TEST_HARNESS_MAIN
