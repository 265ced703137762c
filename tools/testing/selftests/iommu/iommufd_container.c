// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_container - groups in a container, which is VFIO's own or an iommufd
 *
 * A program that was written for type1 passes the file of /dev/iommu where it passed that of /dev/vfio/vfio. What it
 * sees is held against what it sees there.
 */
#include "fail_nth.h"
#include "type1.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#define MEM_SIZE	(4 * MIB)
#define HALF		(4 * PAGE)
#define IOVA		0x1000000UL
#define BYTES		512

/* Whose container it is: VFIO's, /dev/iommu in its place, or an iommufd under its name */
enum whose {
	VFIO_OWN, IOMMUFD, IOMMUFD_NAMED
};

static int container_open(enum whose whose)
{
	static const char param[] = "/sys/module/vfio/parameters/iommufd_container";
	int fd, rc;

	if (whose == IOMMUFD)
		return iommu_open();
	if (whose == VFIO_OWN)
		return type1_container_open();
	rc = write_file(param, "Y");
	if (rc)
		return rc;
	fd = type1_container_open();
	rc = write_file(param, "N");
	return rc ?: fd;
}

/* The file of the group of the @nth edu; *bdf: the device */
static int group_open(unsigned int nth, char bdf[16])
{
	int rc = edu_find(nth, bdf);

	return rc ?: vfio_group_open(bdf);
}

/* What an open of a group or a device gives: 0 and nothing stays open, or -errno */
static int opens(int fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static bool dma_works(struct edu *edu, uint8_t *mem, uint64_t iova, uint64_t seed)
{
	return edu_works_in(edu, iova, mem, HALF, 0, seed);
}

/* Whether the device cannot write the page of @mem at @iova */
static bool dma_is_blocked(struct edu *edu, uint8_t *mem, uint64_t iova)
{
	long faults = iommu_fault_count();

	memset(mem, 0x5a, PAGE);
	return !edu_store(edu, iova, BYTES) && bytes_are(mem, PAGE, 0x5a) && iommu_fault_seen(faults);
}

/* ---- a container with a group and an open device, the same for both ---- */

FIXTURE(container)
{
	struct type1 t;
	uint8_t *mem;
};

FIXTURE_VARIANT(container)
{
	enum whose whose;
	unsigned long version;
};

FIXTURE_VARIANT_ADD(container, vfio_v1)
{
	.version = VFIO_TYPE1_IOMMU,
};

FIXTURE_VARIANT_ADD(container, vfio_v2)
{
	.version = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_VARIANT_ADD(container, iommufd_v1)
{
	.whose = IOMMUFD, .version = VFIO_TYPE1_IOMMU,
};

FIXTURE_VARIANT_ADD(container, iommufd_v2)
{
	.whose = IOMMUFD, .version = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_VARIANT_ADD(container, iommufd_named)
{
	.whose = IOMMUFD_NAMED, .version = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_SETUP(container)
{
	ASSERT_EQ(0, edu_one_cpu());
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, type1_open(&self->t, container_open(variant->whose), variant->version, EDU_ALONE));
}

FIXTURE_TEARDOWN(container)
{
	type1_close(&self->t);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(container, device_reaches_what_is_mapped)
{
	int container = self->t.container;
	struct edu *edu = &self->t.edu;

	ASSERT_EQ(0, type1_map(container, self->mem, HUGE_PAGE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_map(container, self->mem + HUGE_PAGE, PAGE, 2 * IOVA, TYPE1_READ));
	EXPECT_EQ(-EEXIST, type1_map(container, self->mem, PAGE, IOVA + PAGE, TYPE1_RW));
	EXPECT_TRUE(dma_works(edu, self->mem, IOVA, 1));
	EXPECT_TRUE(dma_is_blocked(edu, self->mem + HUGE_PAGE, 2 * IOVA));
	EXPECT_EQ(HUGE_PAGE, type1_unmap_bytes(container, IOVA, HUGE_PAGE));
	EXPECT_TRUE(dma_is_blocked(edu, self->mem, IOVA));
	ASSERT_EQ(0, type1_map(container, self->mem, HUGE_PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ((int64_t)(HUGE_PAGE + PAGE), type1_unmap_all(container));
	EXPECT_TRUE(dma_is_blocked(edu, self->mem, IOVA));
}

/* Where VFIO's container takes the whole mapping, or nothing, the first version on an iommufd takes what it is told. */
TEST_F(container, unmap_of_a_part)
{
	const bool cuts = variant->version == VFIO_TYPE1_IOMMU;
	int container = self->t.container;
	struct edu *edu = &self->t.edu;

	ASSERT_EQ(0, type1_map(container, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
	if (!cuts) {
		EXPECT_GT(0, type1_unmap_bytes(container, IOVA + PAGE, PAGE));
		EXPECT_TRUE(dma_works(edu, self->mem, IOVA, 1));
		return;
	}
	if (variant->whose == VFIO_OWN)
		return;
	EXPECT_EQ((int64_t)PAGE, type1_unmap_bytes(container, IOVA + 2 * PAGE, PAGE));
	EXPECT_TRUE(dma_is_blocked(edu, self->mem + 2 * PAGE, IOVA + 2 * PAGE));
	EXPECT_TRUE(dma_works(edu, self->mem, IOVA, 1));
	EXPECT_TRUE(dma_works(edu, self->mem + 3 * PAGE, IOVA + 3 * PAGE, 1));
	EXPECT_EQ((int64_t)(MEM_SIZE - PAGE), type1_unmap_all(container));
}

/* Several files of one device; each of them keeps the group, whose own file may go first. */
TEST_F(container, device_files_outlive_the_group_file)
{
	struct type1 *t = &self->t;
	int again = vfio_group_device(t->group, t->edu.bdf);

	ASSERT_LE(0, again);
	ASSERT_EQ(0, type1_map(t->container, self->mem, HALF, IOVA, TYPE1_RW));
	EXPECT_EQ(-EBUSY, vfio_group_unset_container(t->group));
	EXPECT_EQ(-EBUSY, opens(vfio_group_open(t->edu.bdf)));
	close(t->group);
	t->group = -1;
	EXPECT_EQ(-EBUSY, opens(vfio_group_open(t->edu.bdf)));
	close(again);
	EXPECT_TRUE(dma_works(&t->edu, self->mem, IOVA, 1));
	EXPECT_EQ(-EBUSY, opens(vfio_group_open(t->edu.bdf)));
	/* and the device keeps the container */
	close(t->container);
	t->container = -1;
	EXPECT_TRUE(dma_works(&t->edu, self->mem, IOVA, 2));
	edu_close(&t->edu);
	EXPECT_EQ(0, opens(vfio_group_open(t->edu.bdf)));
}

TEST_F(container, set_and_unset)
{
	struct type1 *t = &self->t;
	int other = container_open(variant->whose);
	char bdf[16];

	ASSERT_LE(0, other);
	memcpy(bdf, t->edu.bdf, sizeof(bdf));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET, vfio_group_flags(t->group));
	EXPECT_EQ(-EINVAL, vfio_group_set_container(t->group, t->container));
	EXPECT_EQ(-EINVAL, vfio_group_set_container(t->group, other));
	edu_close(&t->edu);
	EXPECT_EQ(-EINVAL, vfio_group_set_container(t->group, other));
	EXPECT_EQ(0, vfio_group_unset_container(t->group));
	EXPECT_EQ(-EINVAL, vfio_group_unset_container(t->group));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE, vfio_group_flags(t->group));
	EXPECT_EQ(-EINVAL, vfio_group_device(t->group, bdf));
	/* into another one, and what was mapped in the first does not come with it */
	ASSERT_EQ(0, vfio_group_set_container(t->group, other));
	ASSERT_EQ(0, type1_set_iommu(other, variant->version));
	ASSERT_EQ(0, edu_open_in_group(&t->edu, t->group, bdf));
	EXPECT_TRUE(dma_is_blocked(&t->edu, self->mem, IOVA));
	ASSERT_EQ(0, type1_map(other, self->mem, HALF, IOVA, TYPE1_RW));
	EXPECT_TRUE(dma_works(&t->edu, self->mem, IOVA, 1));
	close(other);
}

/* The device belongs to its group's file: nobody else gets it, by any way. */
TEST_F(container, wrong_files)
{
	struct type1 *t = &self->t;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), iommufd = iommu_open(), group;
	struct edu node, sibling;
	char bdf[16];

	ASSERT_LE(0, null);
	ASSERT_LE(0, iommufd);
	group = group_open(EDU_ALONE_TOO, bdf);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, edu_open_at(&node, t->edu.bdf));
	EXPECT_EQ(-EBADF, vfio_group_set_container(group, -1));
	EXPECT_EQ(-EINVAL, vfio_group_set_container(group, null));
	EXPECT_EQ(-EINVAL, vfio_group_set_container(group, group));
	EXPECT_EQ(-EINVAL, vfio_group_set_container(group, t->group));
	EXPECT_EQ(-EINVAL, vfio_group_set_container(group, t->edu.fd));
	EXPECT_EQ(-EINVAL, vfio_group_set_container(group, node.fd));
	EXPECT_EQ(-EFAULT, iommu_call(group, VFIO_GROUP_SET_CONTAINER, (void *)1));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE, vfio_group_flags(group));
	/* a device of another group, and the file of a device where a group's belongs */
	EXPECT_EQ(-ENODEV, vfio_group_device(t->group, bdf));
	EXPECT_EQ(-ENODEV, vfio_group_device(t->group, "no such device"));
	EXPECT_GT(0, vfio_group_set_container(t->edu.fd, t->container));
	EXPECT_EQ(-EBUSY, vfio_bind(node.fd, iommufd, &node.id));
	EXPECT_EQ(-EBUSY, edu_open_bound_at(&sibling, bdf, iommufd));
	edu_close(&sibling);
	close(group);
	/* what failed is not kept */
	EXPECT_EQ(0, edu_open_bound_at(&sibling, bdf, iommufd));
	edu_close(&sibling);
	edu_close(&node);
	close(iommufd);
	close(null);
}

/* A second group shares the mappings of the first. */
TEST_F(container, two_groups)
{
	struct type1 *t = &self->t;
	struct edu too;
	char bdf[16];
	int group;

	ASSERT_EQ(0, type1_map(t->container, self->mem, HALF, IOVA, TYPE1_RW));
	group = group_open(EDU_ALONE_TOO, bdf);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, vfio_group_set_container(group, t->container));
	ASSERT_EQ(0, edu_open_in_group(&too, group, bdf));
	EXPECT_TRUE(dma_works(&too, self->mem, IOVA, 1));
	EXPECT_TRUE(dma_works(&t->edu, self->mem, IOVA, 2));
	edu_close(&too);
	ASSERT_EQ(0, vfio_group_unset_container(group));
	EXPECT_TRUE(dma_works(&t->edu, self->mem, IOVA, 3));
	close(group);
}

/* Under the name of VFIO's container memory counts as it does there, against the one process. */
TEST_F(container, accounting)
{
	uint64_t mode;

	if (variant->whose == VFIO_OWN)
		return;
	ASSERT_EQ(0, option_get(self->t.container, IOMMU_OPTION_RLIMIT_MODE, 0, &mode));
	EXPECT_EQ(variant->whose == IOMMUFD_NAMED, mode);
}

/* ---- the same questions to both ---- */

struct answers {
	int flags[3], extensions[3][16], early_unset, early_device;
	int map[6], argsz, unknown_ioctl;
	uint64_t pgsizes;
	uint32_t nr_ranges;
	struct vfio_iova_range ranges[8];
};

static void ask_extensions(int container, int *extensions)
{
	for (int i = 0; i < 12; i++)
		extensions[i] = type1_extension(container, i);
	/* what only VFIO's own says: nesting, of which it has only the name; new addresses for the same memory */
	extensions[VFIO_TYPE1_NESTING_IOMMU] = 0;
	extensions[VFIO_UPDATE_VADDR] = 0;
	/* and no-IOMMU mode is told when it is on */
	extensions[VFIO_NOIOMMU_IOMMU] = 0;
}

static void ask(struct __test_metadata *_metadata, enum whose whose, struct answers *a, uint8_t *mem)
{
	struct vfio_iommu_type1_info_cap_iova_range *ranges;
	struct vfio_group_status brief = { .argsz = 4 };
	static union type1_answer answer;
	int container, group, device;
	char bdf[16];

	memset(a, 0, sizeof(*a));
	container = container_open(whose);
	ASSERT_LE(0, container);
	group = group_open(EDU_ALONE, bdf);
	ASSERT_LE(0, group);
	EXPECT_EQ(whose == VFIO_OWN ? -EINVAL : -ENODEV, type1_set_iommu(container, VFIO_TYPE1v2_IOMMU));
	a->flags[0] = vfio_group_flags(group);
	a->early_unset = vfio_group_unset_container(group);
	a->early_device = vfio_group_device(group, bdf);
	a->argsz = iommu_call(group, VFIO_GROUP_GET_STATUS, &brief);
	a->unknown_ioctl = iommu_call(group, VFIO_DEVICE_GET_INFO, NULL);
	ASSERT_EQ(0, vfio_group_set_container(group, container));
	a->flags[1] = vfio_group_flags(group);
	EXPECT_EQ(whose == VFIO_OWN ? -ENODEV : -EINVAL, type1_set_iommu(container, 77));
	ASSERT_EQ(0, type1_set_iommu(container, VFIO_TYPE1v2_IOMMU));
	ask_extensions(container, a->extensions[1]);
	/* before any device is open: a VMM maps first */
	ASSERT_EQ(0, type1_info(container, &answer));
	a->pgsizes = answer.info.iova_pgsizes;
	ranges = type1_capability(&answer, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	ASSERT_NE(NULL, ranges);
	a->nr_ranges = ranges->nr_iovas;
	ASSERT_GE(8, ranges->nr_iovas);
	memcpy(a->ranges, ranges->iova_ranges, ranges->nr_iovas * sizeof(a->ranges[0]));
	a->map[0] = type1_map(container, mem, PAGE, IOVA, TYPE1_RW);
	a->map[1] = type1_map(container, mem, PAGE, IOVA, TYPE1_RW);
	a->map[2] = type1_map(container, mem, PAGE, MSI_WINDOW, TYPE1_RW) < 0;
	a->map[3] = type1_map(container, mem, 0, 2 * IOVA, TYPE1_RW);
	a->map[4] = type1_map(container, mem, PAGE, 2 * IOVA + 1, TYPE1_RW);
	a->map[5] = type1_map(container, mem, PAGE, 2 * IOVA, 0);
	device = vfio_group_device(group, bdf);
	ASSERT_LE(0, device);
	ask_extensions(container, a->extensions[2]);
	close(device);
	ASSERT_EQ(0, vfio_group_unset_container(group));
	a->flags[2] = vfio_group_flags(group);
	close(group);
	close(container);
	EXPECT_EQ(0, pages_pinned());
}

TEST(both_answer_alike)
{
	struct answers type1, iommufd;
	uint8_t *mem = small_pages(PAGE);

	ASSERT_NE(NULL, mem);
	ask(_metadata, VFIO_OWN, &type1, mem);
	ask(_metadata, IOMMUFD, &iommufd, mem);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ_FOR(type1.flags[i], iommufd.flags[i], "flags %d", i);
		for (int j = 0; j < 12; j++)
			EXPECT_EQ_FOR(type1.extensions[i][j], iommufd.extensions[i][j], "extension %d, time %d", j, i);
	}
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE, iommufd.flags[0]);
	EXPECT_EQ(-EINVAL, type1.early_unset);
	EXPECT_EQ(type1.early_unset, iommufd.early_unset);
	EXPECT_EQ(type1.early_device, iommufd.early_device);
	EXPECT_EQ(type1.argsz, iommufd.argsz);
	EXPECT_EQ(type1.unknown_ioctl, iommufd.unknown_ioctl);
	for (int i = 0; i < 6; i++)
		EXPECT_EQ_FOR(type1.map[i], iommufd.map[i], "map %d", i);
	EXPECT_EQ(type1.pgsizes, iommufd.pgsizes);
	ASSERT_EQ(type1.nr_ranges, iommufd.nr_ranges);
	for (unsigned int i = 0; i < type1.nr_ranges; i++) {
		EXPECT_EQ_FOR(type1.ranges[i].start, iommufd.ranges[i].start, "range %u", i);
		EXPECT_EQ_FOR(type1.ranges[i].end, iommufd.ranges[i].end, "range %u", i);
	}
	munmap(mem, PAGE);
}

/* ---- an iommufd in particular ---- */

FIXTURE(group)
{
	int iommufd, group;
	char bdf[16];
	uint8_t *mem;
};

FIXTURE_SETUP(group)
{
	ASSERT_EQ(0, edu_one_cpu());
	ASSERT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
	self->mem = small_pages(2 * HALF);
	ASSERT_NE(NULL, self->mem);
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd);
	self->group = group_open(EDU_ALONE, self->bdf);
	ASSERT_LE(0, self->group);
}

FIXTURE_TEARDOWN(group)
{
	if (self->group >= 0)
		close(self->group);
	close(self->iommufd);
	munmap(self->mem, 2 * HALF);
	EXPECT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* The group is in a container, its device opens and does DMA. What is open is closed again, the container unset. */
static bool group_is_usable(int group, int iommufd, const char *bdf, uint8_t *mem)
{
	struct edu edu = { .fd = -1 };
	bool works;

	if (vfio_group_set_container(group, iommufd))
		return false;
	works = !edu_open_in_group(&edu, group, bdf) && !type1_map(iommufd, mem, HALF, IOVA, TYPE1_RW) &&
		dma_works(&edu, mem, IOVA, 9) && type1_unmap_all(iommufd) == HALF;
	edu_close(&edu);
	return !vfio_group_unset_container(group) && works;
}

/* The device is owned from the moment that the container is set, and known by the IOAS of the container. */
TEST_F(group, container_is_an_ioas)
{
	struct iommu_vfio_ioas get = { .size = sizeof(get), .op = IOMMU_VFIO_IOAS_GET };
	struct iommu_iova_range ranges[8];
	struct edu edu;
	uint32_t num = 8, id;

	EXPECT_EQ(-ENODEV, iommu_call(self->iommufd, IOMMU_VFIO_IOAS, &get));
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->iommufd));
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_VFIO_IOAS, &get));
	ASSERT_EQ(0, ioas_ranges(self->iommufd, get.ioas_id, ranges, &num, NULL));
	ASSERT_LE(2, num);
	EXPECT_EQ(MSI_WINDOW - 1, ranges[0].last);
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, get.ioas_id));
	/* what is mapped natively is there for the device, which does not need VFIO_SET_IOMMU */
	ASSERT_EQ(0, ioas_map_at(self->iommufd, get.ioas_id, self->mem, HALF, IOVA));
	ASSERT_EQ(0, edu_open_in_group(&edu, self->group, self->bdf));
	EXPECT_TRUE(dma_works(&edu, self->mem, IOVA, 1));
	edu_close(&edu);
	ASSERT_EQ(0, vfio_group_unset_container(self->group));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, get.ioas_id));
	/* and one that was named before is taken */
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &id));
	get.op = IOMMU_VFIO_IOAS_SET;
	get.ioas_id = id;
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_VFIO_IOAS, &get));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, id, self->mem, HALF, IOVA));
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->iommufd));
	ASSERT_EQ(0, edu_open_in_group(&edu, self->group, self->bdf));
	EXPECT_TRUE(dma_works(&edu, self->mem, IOVA, 2));
	edu_close(&edu);
}

/* A mapping that lies where the devices have their interrupts refuses the group, and nothing is left of the attempt. */
TEST_F(group, mapping_in_the_way)
{
	struct iommu_vfio_ioas set = { .size = sizeof(set), .op = IOMMU_VFIO_IOAS_SET };

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &set.ioas_id));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, set.ioas_id, self->mem, HALF, MSI_WINDOW));
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_VFIO_IOAS, &set));
	EXPECT_EQ(-EADDRINUSE, vfio_group_set_container(self->group, self->iommufd));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE, vfio_group_flags(self->group));
	ASSERT_EQ(HALF, ioas_unmap_all(self->iommufd, set.ioas_id) ?: (int)HALF);
	EXPECT_TRUE(group_is_usable(self->group, self->iommufd, self->bdf, self->mem));
}

TEST_F(group, or_device_node)
{
	int other = iommu_open();
	struct edu node;

	ASSERT_LE(0, other);
	/* the group first, in each of its states */
	ASSERT_EQ(0, edu_open_at(&node, self->bdf));
	EXPECT_EQ(-EBUSY, vfio_bind(node.fd, self->iommufd, &node.id));
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->iommufd));
	EXPECT_EQ(-EBUSY, vfio_bind(node.fd, self->iommufd, &node.id));
	EXPECT_EQ(-EBUSY, vfio_bind(node.fd, other, &node.id));
	ASSERT_EQ(0, vfio_group_unset_container(self->group));
	EXPECT_EQ(-EBUSY, vfio_bind(node.fd, other, &node.id));
	close(self->group);
	/* then the node */
	ASSERT_EQ(0, vfio_bind(node.fd, other, &node.id));
	EXPECT_EQ(-EBUSY, vfio_group_open(self->bdf));
	edu_close(&node);
	self->group = vfio_group_open(self->bdf);
	ASSERT_LE(0, self->group);
	EXPECT_TRUE(group_is_usable(self->group, self->iommufd, self->bdf, self->mem));
	close(other);
}

/* One group's file in two processes, each with an iommufd of its own: one of them has the group at any time. */
TEST_F(group, two_processes)
{
	pid_t pid[2];

	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (pid[i])
			continue;
		int iommufd = iommu_open(), mine = 0, fd;

		CHILD_NEEDS(iommufd >= 0);
		while (mine < 10) {
			int rc = vfio_group_set_container(self->group, iommufd);

			CHILD_NEEDS(!rc || rc == -EINVAL);
			if (rc) {
				sched_yield();
				continue;
			}
			mine++;
			fd = vfio_group_device(self->group, self->bdf);
			CHILD_NEEDS(fd >= 0);
			sched_yield();
			CHILD_NEEDS(vfio_group_unset_container(self->group) == -EBUSY);
			close(fd);
			CHILD_NEEDS(!vfio_group_unset_container(self->group));
		}
		_exit(0);
	}
	for (int i = 0; i < 2; i++)
		EXPECT_TRUE(child_succeeded(pid[i]));
	EXPECT_TRUE(group_is_usable(self->group, self->iommufd, self->bdf, self->mem));
}

enum state {
	CONTAINER_SET, DEVICE_OPEN, DMA_RUNNING, STATES
};

static int enter_state(enum state now, int group, int iommufd, struct edu *edu, uint8_t *mem, const char *bdf)
{
	int rc = vfio_group_set_container(group, iommufd);

	if (!rc)
		rc = type1_map(iommufd, mem, HALF, IOVA, TYPE1_RW);
	if (!rc && now >= DEVICE_OPEN)
		rc = edu_open_in_group(edu, group, bdf);
	if (!rc && now == DMA_RUNNING)
		edu_start_store(edu, IOVA, BYTES);
	return rc;
}

TEST_F(group, process_is_killed)
{
	close(self->group);
	for (enum state now = 0; now < STATES; now++) {
		int ready[2], group, iommufd;
		struct edu edu;
		char byte;
		pid_t pid;

		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			iommufd = iommu_open();
			group = vfio_group_open(self->bdf);
			CHILD_NEEDS(iommufd >= 0 && group >= 0);
			CHILD_NEEDS(!enter_state(now, group, iommufd, &edu, self->mem, self->bdf));
			CHILD_NEEDS(write(ready[1], "x", 1) == 1);
			pause();
			_exit(1);
		}
		close(ready[1]);
		EXPECT_EQ(1, read(ready[0], &byte, 1));
		close(ready[0]);
		EXPECT_EQ((long)(HALF / PAGE), pages_pinned());
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		EXPECT_EQ_FOR(0, pages_pinned(), "state %d", now);
		group = vfio_group_open(self->bdf);
		ASSERT_LE(0, group);
		EXPECT_TRUE_FOR(group_is_usable(group, self->iommufd, self->bdf, self->mem), "state %d", now);
		close(group);
	}
	self->group = -1;
}

/* A device is removed; it waits for the files of the device, but not for those of its group and its container. */
TEST_F(group, device_is_removed)
{
	char path[128];

	pci_attr_path(path, sizeof(path), self->bdf, "remove");
	for (enum state now = 0; now < STATES; now++) {
		int event = eventfd(0, EFD_CLOEXEC);
		struct pollfd asked = { .fd = event, .events = POLLIN };
		struct edu edu = { .fd = -1 };
		pid_t pid;

		ASSERT_LE(0, event);
		ASSERT_EQ(0, enter_state(now, self->group, self->iommufd, &edu, self->mem, self->bdf));
		ASSERT_EQ(0, now >= DEVICE_OPEN ? edu_event(&edu, VFIO_PCI_REQ_IRQ_INDEX, event) : 0);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			edu_close(&edu);
			close(self->group);
			close(self->iommufd);
			_exit(!!write_file(path, "1"));
		}
		if (now >= DEVICE_OPEN) {
			ASSERT_EQ(1, poll(&asked, 1, 60000));
			EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
			ASSERT_EQ(0, edu_wait(&edu));
			EXPECT_TRUE(dma_works(&edu, self->mem, IOVA, now + 1));
			edu_close(&edu);
		}
		EXPECT_TRUE_FOR(child_succeeded(pid), "state %d", now);
		close(event);
		/* the last device has taken the container with it */
		EXPECT_EQ_FOR(-ENODEV, vfio_group_flags(self->group), "state %d", now);
		EXPECT_EQ(-ENODEV, vfio_group_device(self->group, self->bdf));
		EXPECT_EQ(-EINVAL, vfio_group_unset_container(self->group));
		EXPECT_EQ(-ENODEV, vfio_group_set_container(self->group, self->iommufd));
		EXPECT_EQ((int64_t)HALF, type1_unmap_all(self->iommufd));
		close(self->group);
		ASSERT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
		self->group = vfio_group_open(self->bdf);
		ASSERT_LE(0, self->group);
		EXPECT_TRUE_FOR(group_is_usable(self->group, self->iommufd, self->bdf, self->mem), "state %d", now);
	}
}

/*
 * Each allocation and copy on the way into a container fails once, and to a second file of the device. Opening the
 * first one asks ACPI for the device's interrupt, and the interpreter there frees twice when it runs out of memory.
 */
TEST_F(group, that_fails_is_as_before)
{
	int nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC), failures[2] = { }, first;

	if (nth < 0 || may_fail_everywhere())
		SKIP(return, NO_FAULT_INJECTION);
	for (int n = 1, left = 1; left; n++) {
		int rc;

		ASSERT_GT(MANY, n);
		ASSERT_EQ(0, fail_arm_in_turn(nth, n));
		rc = vfio_group_set_container(self->group, self->iommufd);
		left = fail_left_in_turn(nth, n);
		failures[0] += rc < 0;
		EXPECT_EQ_FOR(rc ? VFIO_GROUP_FLAGS_VIABLE : VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET,
			      vfio_group_flags(self->group), "point %d: %d", n, rc);
		EXPECT_EQ(rc ? -EINVAL : 0, vfio_group_unset_container(self->group));
		/* begin from nothing: the IOAS of the container is made again */
		close(self->iommufd);
		self->iommufd = iommu_open();
		ASSERT_LE(0, self->iommufd);
	}
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->iommufd));
	first = vfio_group_device(self->group, self->bdf);
	ASSERT_LE(0, first);
	for (int n = 1, left = 1; left; n++) {
		int fd;

		ASSERT_GT(MANY, n);
		ASSERT_EQ(0, fail_arm_in_turn(nth, n));
		fd = vfio_group_device(self->group, self->bdf);
		left = fail_left_in_turn(nth, n);
		failures[1] += fd < 0;
		EXPECT_EQ(-EBUSY, vfio_group_unset_container(self->group));
		if (fd >= 0)
			close(fd);
	}
	/* none of them still counts as open */
	close(first);
	ASSERT_EQ(0, vfio_group_unset_container(self->group));
	EXPECT_LE(4, failures[0]);
	EXPECT_LE(4, failures[1]);
	EXPECT_TRUE(group_is_usable(self->group, self->iommufd, self->bdf, self->mem));
	close(nth);
}

/* ---- three devices of one group ---- */

FIXTURE(siblings)
{
	int iommufd, group;
	char bdf[3][16];
	uint8_t *mem;
};

FIXTURE_SETUP(siblings)
{
	ASSERT_EQ(0, edu_one_cpu());
	self->mem = small_pages(2 * HALF);
	ASSERT_NE(NULL, self->mem);
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, edu_find(EDU_FUNCTIONS + i, self->bdf[i]));
		ASSERT_EQ(0, pci_use_vfio(self->bdf[i]));
	}
	self->group = vfio_group_open(self->bdf[0]);
	ASSERT_LE(0, self->group);
}

FIXTURE_TEARDOWN(siblings)
{
	close(self->group);
	close(self->iommufd);
	munmap(self->mem, 2 * HALF);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* One leaves its driver while the group is in use, and comes back: those that stay do not notice. */
TEST_F(siblings, one_parts_and_joins)
{
	struct edu stays, back;

	ASSERT_EQ(0, vfio_group_set_container(self->group, self->iommufd));
	ASSERT_EQ(0, type1_map(self->iommufd, self->mem, HALF, IOVA, TYPE1_RW));
	ASSERT_EQ(0, edu_open_in_group(&stays, self->group, self->bdf[1]));
	EXPECT_TRUE(dma_works(&stays, self->mem, IOVA, 1));
	ASSERT_EQ(0, pci_unbind(self->bdf[0]));
	EXPECT_TRUE(dma_works(&stays, self->mem, IOVA, 2));
	EXPECT_EQ(-ENODEV, vfio_group_device(self->group, self->bdf[0]));
	ASSERT_EQ(0, pci_use_vfio(self->bdf[0]));
	ASSERT_EQ(0, edu_open_in_group(&back, self->group, self->bdf[0]));
	EXPECT_TRUE(dma_works(&back, self->mem, IOVA, 3));
	edu_close(&stays);
	EXPECT_TRUE(dma_works(&back, self->mem, IOVA, 4));
	EXPECT_EQ(-EBUSY, vfio_group_unset_container(self->group));
	edu_close(&back);
	EXPECT_EQ(0, vfio_group_unset_container(self->group));
}

/* All of them go while the container is set, and one comes back. */
TEST_F(siblings, all_part)
{
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->iommufd));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pci_unbind(self->bdf[i]));
		EXPECT_EQ(i < 2 ? VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET : -ENODEV,
			  vfio_group_flags(self->group));
	}
	close(self->group);
	ASSERT_EQ(0, pci_use_vfio(self->bdf[0]));
	self->group = vfio_group_open(self->bdf[0]);
	ASSERT_LE(0, self->group);
	EXPECT_TRUE(group_is_usable(self->group, self->iommufd, self->bdf[0], self->mem));
	for (int i = 1; i < 3; i++)
		ASSERT_EQ(0, pci_use_vfio(self->bdf[i]));
}

/* While one is bound through its node, the others cannot be had through the group. */
TEST_F(siblings, node_of_one_and_group)
{
	struct edu node;

	close(self->group);
	ASSERT_EQ(0, edu_open_bound_at(&node, self->bdf[2], self->iommufd));
	EXPECT_EQ(-EBUSY, vfio_group_open(self->bdf[0]));
	edu_close(&node);
	self->group = vfio_group_open(self->bdf[0]);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->iommufd));
	ASSERT_EQ(0, edu_open_at(&node, self->bdf[2]));
	EXPECT_EQ(-EBUSY, vfio_bind(node.fd, self->iommufd, &node.id));
	edu_close(&node);
}

TEST_HARNESS_MAIN
