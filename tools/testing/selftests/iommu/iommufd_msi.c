// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_msi - interrupts that are set up once, and arrive whatever becomes of the page table
 *
 * Needs QEMU's edu devices in the places that edu.h names. Where the IOMMU translates interrupt messages, as on Arm,
 * one that is sent at the wrong moment is lost; so each is waited for, and has to come exactly once. A device that is
 * blocked has no interrupts there, and has them again when it is attached, without being told. With stage 2 alone
 * (MODE=stage2 on Arm) a replace blocks for a moment, so this is no test for it.
 */
#include "iommu_test.h"
#include "edu_mover.h"
#include "fail_nth.h"

#include <poll.h>
#include <sys/eventfd.h>

#define IOVA		0x2000000UL
#define MOST_DEVICES	3
#define SIZE		(4 * PAGE)

/* One device, and where its interrupts are counted */
struct source {
	struct edu edu;
	int event;
};

static int open_source(struct source *s, unsigned int nth, int iommufd)
{
	int rc = edu_open_bound(&s->edu, nth, iommufd);

	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!rc)
		edu_write_reg(&s->edu, EDU_REG_ACK, UINT32_MAX);
	return rc ?: s->event < 0 ? -errno : 0;
}

static void close_source(struct source *s)
{
	edu_close(&s->edu);
	close(s->event);
}

static int set_up(struct source *s)
{
	return edu_event(&s->edu, VFIO_PCI_MSI_IRQ_INDEX, s->event);
}

static int take_down(struct source *s)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set), .index = VFIO_PCI_MSI_IRQ_INDEX,
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
	};

	return iommu_call(s->edu.fd, VFIO_DEVICE_SET_IRQS, &set);
}

/* Whether the device's interrupt comes within that time, once */
static bool comes_within(struct source *s, int ms)
{
	struct pollfd arrived = { .fd = s->event, .events = POLLIN };
	uint64_t times = 0;

	edu_write_reg(&s->edu, EDU_REG_RAISE, 1);
	if (poll(&arrived, 1, ms) == 1 && read(s->event, &times, sizeof(times)) != sizeof(times))
		times = 0;
	edu_write_reg(&s->edu, EDU_REG_ACK, 1);
	return times == 1;
}

static bool all_come(struct source *s, int devices)
{
	bool come = true;

	for (int i = 0; i < devices; i++)
		come &= comes_within(&s[i], 5000);
	return come;
}

/* Whether they arrive although their device is blocked, which they do where they are not translated */
static bool right_when_blocked(struct source *s)
{
	return MSI_TRANSLATED ? !comes_within(s, 100) : comes_within(s, 5000);
}

/*
 * Devices of one group, bound
 * @ioas: two address spaces, with the same memory
 * @bad: one that no device can be attached to, as interrupts are where it has memory
 */
FIXTURE(msi)
{
	int iommufd, nth;
	struct source source[MOST_DEVICES];
	uint32_t ioas[2], bad;
	uint8_t *mem;
};

/* @late: interrupts are set up once the devices are attached; otherwise before, while they are blocked */
FIXTURE_VARIANT(msi)
{
	unsigned int first;
	int devices;
	bool late;
};

FIXTURE_VARIANT_ADD(msi, alone)
{
	.first = EDU_ALONE, .devices = 1,
};

FIXTURE_VARIANT_ADD(msi, alone_set_up_late)
{
	.first = EDU_ALONE, .devices = 1, .late = true,
};

FIXTURE_VARIANT_ADD(msi, functions)
{
	.first = EDU_FUNCTIONS, .devices = 3,
};

FIXTURE_VARIANT_ADD(msi, functions_set_up_late)
{
	.first = EDU_FUNCTIONS, .devices = 3, .late = true,
};

FIXTURE_VARIANT_ADD(msi, bridged)
{
	.first = EDU_BRIDGED, .devices = 2,
};

FIXTURE_SETUP(msi)
{
	self->nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	for (int i = 0; i < variant->devices; i++) {
		ASSERT_EQ(0, open_source(&self->source[i], variant->first + i, self->iommufd));
		ASSERT_EQ(pci_group(self->source[0].edu.bdf), pci_group(self->source[i].edu.bdf));
		if (!variant->late)
			ASSERT_EQ(0, set_up(&self->source[i]));
	}
	self->mem = small_pages(SIZE);
	ASSERT_NE(NULL, self->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas[i], self->mem, SIZE, IOVA));
	}
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->bad));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->bad, self->mem, PAGE, MSI_WINDOW));
}

FIXTURE_TEARDOWN(msi)
{
	for (int i = 0; i < variant->devices; i++)
		close_source(&self->source[i]);
	close(self->iommufd);
	munmap(self->mem, SIZE);
	if (self->nth >= 0)
		close(self->nth);
	EXPECT_EQ(0, pages_pinned());
}

/* Everybody is at @pt_id, and has interrupts */
static int begin(struct source *s, int devices, uint32_t pt_id, bool late)
{
	int rc = 0;

	for (int i = 0; i < devices; i++)
		rc = rc ?: vfio_attach(s[i].edu.fd, pt_id, NULL);
	for (int i = 0; i < devices && late; i++)
		rc = rc ?: set_up(&s[i]);
	return rc;
}

TEST_F_TIMEOUT(msi, arrives_whatever_becomes_of_the_page_table, 600)
{
	struct source *first = &self->source[0];
	struct mover mover = { .dev = first->edu.fd, .target = { self->ioas[0], self->ioas[1] } };
	struct mover fails = {
		.dev = first->edu.fd, .target = { self->bad, self->bad }, .expected = -EADDRINUSE,
	};
	long faults = iommu_fault_count();

	if (!variant->late)
		EXPECT_TRUE(right_when_blocked(first));
	ASSERT_EQ(0, begin(self->source, variant->devices, self->ioas[0], variant->late));
	EXPECT_TRUE(all_come(self->source, variant->devices));

	ASSERT_EQ(0, mover_start(&mover));
	for (int i = 0; i < 300 || !mover_has_moved(&mover, 100); i++)
		ASSERT_TRUE_FOR(comes_within(&self->source[i % variant->devices], 5000), "interrupt %d", i);
	mover_stop(&mover);
	EXPECT_EQ(0, mover.rc);

	ASSERT_EQ(0, mover_start(&fails));
	for (int i = 0; i < 300 || !mover_has_moved(&fails, 100); i++)
		ASSERT_TRUE_FOR(comes_within(&self->source[i % variant->devices], 5000), "interrupt %d", i);
	mover_stop(&fails);
	EXPECT_EQ(0, fails.rc);
	EXPECT_EQ(fails.moves, fails.refused);

	for (int i = 0; i < variant->devices; i++)
		ASSERT_EQ(0, vfio_detach(self->source[i].edu.fd));
	EXPECT_TRUE(right_when_blocked(first));
	ASSERT_EQ(0, begin(self->source, variant->devices, self->ioas[1], false));
	EXPECT_TRUE(all_come(self->source, variant->devices));
	EXPECT_EQ(faults, iommu_fault_count());
}

TEST_F_TIMEOUT(msi, arrives_after_each_step_between_page_tables, 600)
{
	uint32_t hwpt[2], way[6], dev_id = self->source[0].edu.id;
	int rc;

	ASSERT_EQ(0, hwpt_alloc(self->iommufd, dev_id, self->ioas[0], 0, &hwpt[0]));
	/* one of the other stage, where there is one */
	rc = hwpt_alloc(self->iommufd, dev_id, self->ioas[0], IOMMU_HWPT_ALLOC_NEST_PARENT, &hwpt[1]);
	if (rc == -EOPNOTSUPP)
		rc = hwpt_alloc(self->iommufd, dev_id, self->ioas[0], 0, &hwpt[1]);
	ASSERT_EQ(0, rc);
	way[0] = self->ioas[0];
	way[1] = hwpt[0];
	way[2] = hwpt[1];
	way[3] = self->ioas[1];
	way[4] = hwpt[0];
	way[5] = self->ioas[1];
	ASSERT_EQ(0, begin(self->source, variant->devices, hwpt[1], variant->late));
	for (int i = 0; i < 6; i++) {
		for (int d = 0; d < variant->devices; d++)
			ASSERT_EQ_FOR(0, vfio_attach(self->source[(i + d) % variant->devices].edu.fd, way[i], NULL),
				      "step %d", i);
		EXPECT_TRUE_FOR(all_come(self->source, variant->devices), "step %d", i);
	}
	/* what was left has nothing in it that somebody needs */
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt[i]));
	EXPECT_TRUE(all_come(self->source, variant->devices));
}

TEST_F_TIMEOUT(msi, is_set_up_while_the_group_moves, 600)
{
	struct source *last = &self->source[variant->devices - 1];
	struct mover mover = { .dev = self->source[0].edu.fd, .target = { self->ioas[0], self->ioas[1] } };

	ASSERT_EQ(0, begin(self->source, variant->devices, self->ioas[0], variant->late));
	ASSERT_EQ(0, mover_start(&mover));
	for (int i = 0; i < 50 || !mover_has_moved(&mover, 50); i++) {
		ASSERT_EQ(0, take_down(last));
		ASSERT_EQ(0, set_up(last));
		ASSERT_TRUE_FOR(comes_within(last, 5000), "interrupt %d", i);
	}
	mover_stop(&mover);
	EXPECT_EQ(0, mover.rc);
	EXPECT_TRUE(all_come(self->source, variant->devices));
}

TEST_F_TIMEOUT(msi, arrives_when_a_step_failed, 600)
{
	struct edu *edu = &self->source[variant->devices - 1].edu;
	int side = 0, failures = 0;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);
	ASSERT_EQ(0, begin(self->source, variant->devices, self->ioas[0], variant->late));
	for (int n = 1, failed = 1; failed; n++) {
		int rc;

		ASSERT_GT(MANY, n);
		ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
		rc = vfio_attach(edu->fd, self->ioas[!side], NULL);
		failed = fail_left_in_turn(self->nth, n);
		side ^= !rc;
		failures += !!rc;
		EXPECT_TRUE_FOR(all_come(self->source, variant->devices), "failure %d gave %d", n, rc);
	}
	EXPECT_LE(10, failures);
}

/* ---- a device that joins a group which is attached ---- */

TEST(msi_of_a_device_that_is_plugged_in_while_its_group_is_attached)
{
	int iommufd = iommu_open(), last = MOST_DEVICES - 1;
	struct source source[MOST_DEVICES];
	uint32_t ioas[2];
	char path[128];

	ASSERT_LE(0, iommufd);
	ASSERT_EQ(0, edu_one_cpu());
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, ioas_alloc(iommufd, &ioas[i]));
	for (int i = 0; i < MOST_DEVICES; i++) {
		ASSERT_EQ(0, open_source(&source[i], EDU_FUNCTIONS + i, iommufd));
		ASSERT_EQ(0, set_up(&source[i]));
		ASSERT_EQ(0, vfio_attach(source[i].edu.fd, ioas[0], NULL));
	}
	for (int round = 0; round < 3; round++) {
		EXPECT_TRUE_FOR(all_come(source, MOST_DEVICES), "round %d", round);
		close_source(&source[last]);
		pci_attr_path(path, sizeof(path), source[last].edu.bdf, "remove");
		ASSERT_EQ(0, write_file(path, "1"));
		EXPECT_TRUE_FOR(all_come(source, last), "round %d", round);
		ASSERT_EQ(0, vfio_attach(source[0].edu.fd, ioas[!(round % 2)], NULL));
		ASSERT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
		ASSERT_EQ(0, open_source(&source[last], EDU_FUNCTIONS + last, iommufd));
		ASSERT_EQ(0, set_up(&source[last]));
		/* what its siblings are attached to translates for it too */
		EXPECT_TRUE_FOR(all_come(source, MOST_DEVICES), "round %d", round);
		ASSERT_EQ(0, vfio_attach(source[last].edu.fd, ioas[!(round % 2)], NULL));
	}
	for (int i = 0; i < MOST_DEVICES; i++)
		close_source(&source[i]);
	close(iommufd);
}

/* ---- groups that share a page table ---- */

TEST(msi_of_a_group_stays_when_another_leaves)
{
	struct source source[2];
	uint32_t ioas[2], hwpt[2];
	int iommufd = iommu_open();

	ASSERT_LE(0, iommufd);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(iommufd, &ioas[i]));
		ASSERT_EQ(0, open_source(&source[i], i ? EDU_ALONE_TOO : EDU_ALONE, iommufd));
		ASSERT_EQ(0, set_up(&source[i]));
		ASSERT_EQ(0, vfio_attach(source[i].edu.fd, ioas[0], &hwpt[i]));
	}
	ASSERT_EQ(hwpt[0], hwpt[1]);
	EXPECT_TRUE(all_come(source, 2));

	ASSERT_EQ(0, vfio_attach(source[0].edu.fd, ioas[1], NULL));
	EXPECT_TRUE(all_come(source, 2));
	ASSERT_EQ(0, vfio_attach(source[0].edu.fd, ioas[0], NULL));
	EXPECT_TRUE(all_come(source, 2));
	ASSERT_EQ(0, vfio_detach(source[1].edu.fd));
	EXPECT_TRUE(all_come(source, 1));
	EXPECT_TRUE(right_when_blocked(&source[1]));
	ASSERT_EQ(0, vfio_attach(source[1].edu.fd, ioas[0], NULL));
	close_source(&source[0]);
	EXPECT_TRUE(all_come(&source[1], 1));
	close_source(&source[1]);
	close(iommufd);
}

/* ---- a container of VFIO, which has its own way to map what messages need ---- */

static int open_in_container(struct source *s, unsigned int nth, int *container, int *group)
{
	char node[64];
	int rc;

	memset(&s->edu, 0, sizeof(s->edu));
	rc = edu_find(nth, s->edu.bdf) ?: pci_use_vfio(s->edu.bdf);
	if (rc)
		return rc;
	snprintf(node, sizeof(node), "/dev/vfio/%d", pci_group(s->edu.bdf));
	*container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	*group = open(node, O_RDWR | O_CLOEXEC);
	if (*container < 0 || *group < 0)
		return -errno;
	if (ioctl(*group, VFIO_GROUP_SET_CONTAINER, container) || ioctl(*container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	s->edu.fd = ioctl(*group, VFIO_GROUP_GET_DEVICE_FD, s->edu.bdf);
	if (s->edu.fd < 0)
		return -errno;
	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = edu_enable(&s->edu);
	if (!rc)
		edu_write_reg(&s->edu, EDU_REG_ACK, UINT32_MAX);
	return rc;
}

TEST(msi_of_a_device_that_goes_between_a_container_and_an_iommufd)
{
	int container, group, iommufd = iommu_open();
	struct source source;
	uint32_t ioas;

	ASSERT_LE(0, iommufd);
	ASSERT_EQ(0, ioas_alloc(iommufd, &ioas));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, open_in_container(&source, EDU_ALONE, &container, &group));
		ASSERT_EQ(0, set_up(&source));
		EXPECT_TRUE_FOR(all_come(&source, 1), "container, round %d", i);
		close_source(&source);
		close(group);
		close(container);

		ASSERT_EQ(0, open_source(&source, EDU_ALONE, iommufd));
		ASSERT_EQ(0, set_up(&source));
		ASSERT_EQ(0, vfio_attach(source.edu.fd, ioas, NULL));
		EXPECT_TRUE_FOR(all_come(&source, 1), "iommufd, round %d", i);
		close_source(&source);
	}
	close(iommufd);
}

TEST_HARNESS_MAIN
