// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_device - devices bound through their VFIO nodes, attached to address spaces, doing DMA
 *
 * Needs QEMU's edu devices behind an IOMMU, in the places that edu.h names. A transfer takes 100 ms, so only what no
 * other way shows is shown by DMA.
 */
#include "iommu_test.h"
#include "fdinfo.h"
#include "smmu.h"

#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>

#define MEM_SIZE	(64 * PAGE)
#define IOVA		0x100000UL
#define BYTES		512

/* ---- a device node before and while it is bound ---- */

FIXTURE(node)
{
	int iommufd;
	struct edu edu;
};

FIXTURE_SETUP(node)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open(&self->edu, 0));
}

FIXTURE_TEARDOWN(node)
{
	edu_close(&self->edu);
	close(self->iommufd);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(node, nothing_works_before_bind)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region;
	uint32_t pt;
	char c = 0;

	EXPECT_EQ(-EINVAL, iommu_call(self->edu.fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(-EINVAL, vfio_region(self->edu.fd, VFIO_PCI_CONFIG_REGION_INDEX, &region));
	EXPECT_EQ(-EINVAL, iommu_call(self->edu.fd, VFIO_DEVICE_RESET, NULL));
	EXPECT_EQ(-EINVAL, iommu_call(self->edu.fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info));
	EXPECT_EQ(-EINVAL, iommu_call(self->edu.fd, _IO(';', 0xff), &info));
	EXPECT_EQ(-EINVAL, vfio_attach(self->edu.fd, 1, &pt));
	EXPECT_EQ(-EINVAL, vfio_detach(self->edu.fd));

	EXPECT_EQ(-1, pread(self->edu.fd, &c, 1, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pwrite(self->edu.fd, &c, 1, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->edu.fd, 0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(node, bind_refuses_bad_arguments)
{
	const struct vfio_device_bind_iommufd good = { .argsz = sizeof(good), .iommufd = self->iommufd };
	struct vfio_device_bind_iommufd bind, *page;
	int null = open("/dev/null", O_RDWR);
	uint8_t uuid[16] = {};

	ASSERT_LE(0, null);
#define EXPECT_BIND(_rc, _field, _value) do { \
		bind = good; \
		bind._field = _value; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->edu.fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), #_field " = " #_value); \
	} while (0)

	EXPECT_BIND(-EINVAL, argsz, 0);
	EXPECT_BIND(-EINVAL, argsz, 15);
	for (int bit = 1; bit < 32; bit++)
		EXPECT_BIND(-EINVAL, flags, 1U << bit);
	EXPECT_BIND(-EINVAL, iommufd, -1);
	EXPECT_BIND(-EINVAL, iommufd, INT32_MIN);
	EXPECT_BIND(-EBADF, iommufd, 1000);
	EXPECT_BIND(-EBADFD, iommufd, null);
	EXPECT_BIND(-EBADFD, iommufd, self->edu.fd);
#undef EXPECT_BIND

	/* this device has no token, and a structure without room for one cannot bring one */
	bind = good;
	bind.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
	bind.token_uuid_ptr = to_u64(uuid);
	EXPECT_EQ(-EINVAL, iommu_call(self->edu.fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	bind.argsz = 16;
	EXPECT_EQ(-EINVAL, iommu_call(self->edu.fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	bind = good;
	bind.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
	EXPECT_EQ(-EFAULT, iommu_call(self->edu.fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));

	EXPECT_EQ(-EFAULT, iommu_call(self->edu.fd, VFIO_DEVICE_BIND_IOMMUFD, NULL));
	/* an id that cannot be told is no use: the bind is undone */
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	*page = good;
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->edu.fd, VFIO_DEVICE_BIND_IOMMUFD, page));
	munmap(page, PAGE);

	/* none of that left it half bound */
	EXPECT_EQ(-EINVAL, vfio_detach(self->edu.fd));
	EXPECT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	EXPECT_LT(0, self->edu.id);
	close(null);
}

TEST_F(node, bind_takes_the_first_version_of_the_struct)
{
	/* 16 bytes, followed by memory that the kernel must not take for a token */
	uint64_t memory[3] = { 16, 0, UINT64_MAX };
	struct vfio_device_bind_iommufd *bind = (void *)memory;

	bind->iommufd = self->iommufd;
	EXPECT_EQ(0, iommu_call(self->edu.fd, VFIO_DEVICE_BIND_IOMMUFD, bind));
	EXPECT_LT(0, bind->out_devid);
	EXPECT_EQ(UINT64_MAX, memory[2]);
	EXPECT_EQ(0, vfio_detach(self->edu.fd));
}

TEST_F(node, bind_happens_once)
{
	int other = iommu_open();
	uint32_t id;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	EXPECT_EQ(-EINVAL, vfio_bind(self->edu.fd, self->iommufd, &id));
	EXPECT_EQ(-EINVAL, vfio_bind(self->edu.fd, other, &id));
	EXPECT_EQ(0, vfio_detach(self->edu.fd));
	close(other);
}

TEST_F(node, one_file_at_a_time_is_bound)
{
	struct edu second;
	uint32_t id;

	ASSERT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	ASSERT_EQ(0, edu_open(&second, 0));
	EXPECT_EQ(-EINVAL, vfio_bind(second.fd, self->iommufd, &id));
	EXPECT_EQ(-EINVAL, vfio_detach(second.fd));
	/* the refused file does not disturb the bound one, and may have the device once that is closed */
	EXPECT_EQ(0, vfio_detach(self->edu.fd));
	edu_close(&self->edu);
	EXPECT_EQ(-ENOENT, iommu_destroy(self->iommufd, self->edu.id));
	EXPECT_EQ(0, vfio_bind(second.fd, self->iommufd, &second.id));
	edu_close(&second);
}

TEST_F(node, group_file_and_node_exclude_each_other)
{
	char path[64];
	int group;

	snprintf(path, sizeof(path), "/dev/vfio/%d", pci_group(self->edu.bdf));
	group = open(path, O_RDWR);
	ASSERT_LE(0, group) TH_LOG("%s: %s", path, strerror(errno));
	EXPECT_EQ(-EBUSY, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	close(group);

	ASSERT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	EXPECT_EQ(-1, open(path, O_RDWR));
	EXPECT_EQ(EBUSY, errno);
	edu_close(&self->edu);

	group = open(path, O_RDWR);
	EXPECT_LE(0, group);
	close(group);
}

TEST_F(node, bound_device_is_an_object_that_cannot_be_destroyed)
{
	struct iommu_iova_range range = { .start = PAGE, .last = 2 * PAGE - 1 };
	uint32_t num = 1;
	uint64_t iova;

	ASSERT_EQ(0, vfio_bind(self->edu.fd, self->iommufd, &self->edu.id));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->edu.id));
	/* nor is it an address space */
	EXPECT_EQ(-ENOENT, ioas_map(self->iommufd, self->edu.id, &num, PAGE, &iova, MAP_RW));
	EXPECT_EQ(-ENOENT, ioas_unmap_all(self->iommufd, self->edu.id));
	EXPECT_EQ(-ENOENT, ioas_allow(self->iommufd, self->edu.id, &range, 1));
	EXPECT_EQ(-ENOENT, ioas_ranges(self->iommufd, self->edu.id, &range, &num, NULL));
	EXPECT_EQ(-ENOENT, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->edu.id, 1));
	/* it counts as an object for the options that must come first */
	EXPECT_EQ(-EBUSY, option_set(self->iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, 1));
}

/* ---- one device, bound and enabled ---- */

FIXTURE(device)
{
	int iommufd, dev;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
};

FIXTURE_SETUP(device)
{
	edu_space_open(_metadata, &self->iommufd, &self->edu, &self->ioas, &self->mem, MEM_SIZE);
	self->dev = self->edu.fd;
}

FIXTURE_TEARDOWN(device)
{
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, MEM_SIZE);
}

TEST_F(device, attach_to_ioas_makes_a_page_table_that_detach_removes)
{
	uint32_t hwpt = 0, again = 0;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, &hwpt));
	EXPECT_NE(0, hwpt);
	EXPECT_NE(self->ioas, hwpt);
	EXPECT_NE(self->edu.id, hwpt);
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, hwpt));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->ioas));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->edu.id));

	/* the same again changes nothing, by either name */
	EXPECT_EQ(0, vfio_attach(self->dev, self->ioas, &again));
	EXPECT_EQ(hwpt, again);
	EXPECT_EQ(0, vfio_attach(self->dev, hwpt, &again));
	EXPECT_EQ(hwpt, again);

	EXPECT_EQ(0, vfio_detach(self->dev));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->iommufd, hwpt));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
}

TEST_F(device, detach_of_a_detached_device_is_fine)
{
	EXPECT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(0, vfio_detach(self->dev));
	EXPECT_EQ(0, vfio_detach(self->dev));
	EXPECT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
}

static int attach_as(int dev, uint32_t argsz, uint32_t flags, uint32_t pt_id)
{
	struct vfio_device_attach_iommufd_pt cmd = { .argsz = argsz, .flags = flags, .pt_id = pt_id, .pasid = 1 };
	int rc = iommu_call(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);

	/* a refused call leaves its argument as it was */
	return rc && cmd.pt_id != pt_id ? -EPROTO : rc;
}

TEST_F(device, attach_and_detach_refuse_bad_arguments)
{
	const struct vfio_device_attach_iommufd_pt good = { .argsz = sizeof(good), .pt_id = self->ioas };
	struct vfio_device_attach_iommufd_pt attach, *page;
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };
	uint32_t first;

	EXPECT_EQ(-EINVAL, attach_as(self->dev, 0, 0, self->ioas));
	EXPECT_EQ(-EINVAL, attach_as(self->dev, 11, 0, self->ioas));
	for (int bit = 1; bit < 32; bit++)
		EXPECT_EQ_FOR(-EINVAL, attach_as(self->dev, 16, 1U << bit, self->ioas), "bit %d", bit);
	EXPECT_EQ(-EINVAL, attach_as(self->dev, 12, VFIO_DEVICE_ATTACH_PASID, self->ioas));
	EXPECT_EQ(-EOPNOTSUPP, attach_as(self->dev, 16, VFIO_DEVICE_ATTACH_PASID, self->ioas));
	EXPECT_EQ(-ENOENT, attach_as(self->dev, 16, 0, 0));
	EXPECT_EQ(-ENOENT, attach_as(self->dev, 16, 0, UNKNOWN_ID));
	EXPECT_EQ(-EINVAL, attach_as(self->dev, 16, 0, self->edu.id));
	EXPECT_EQ(-EFAULT, iommu_call(self->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, NULL));

	/* a page table that cannot be named is not attached */
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	*page = good;
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, page));
	munmap(page, PAGE);

	/* so nothing holds the address space, or part of it; and the first version of the struct will do */
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	attach = good;
	attach.argsz = 12;
	attach.pt_id = self->ioas;
	ASSERT_EQ(0, iommu_call(self->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	first = attach.pt_id;

	detach.argsz = 0;
	EXPECT_EQ(-EINVAL, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	detach.argsz = 7;
	EXPECT_EQ(-EINVAL, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	detach.argsz = sizeof(detach);
	for (int bit = 1; bit < 32; bit++) {
		detach.flags = 1U << bit;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach), "bit %d", bit);
	}
	detach.flags = VFIO_DEVICE_DETACH_PASID;
	EXPECT_EQ(-EINVAL, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	detach.pasid = 1;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	detach.argsz = 8;
	EXPECT_EQ(-EINVAL, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	EXPECT_EQ(-EFAULT, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, NULL));

	/* still attached, until the first version of this struct detaches it */
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, first));
	detach.flags = 0;
	EXPECT_EQ(0, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->iommufd, first));
}

TEST_F(device, without_pasids_refuses_them_and_goes_on)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach), .flags = VFIO_DEVICE_DETACH_PASID };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .flags = VFIO_DEVICE_ATTACH_PASID };
	uint32_t hwpt;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 2 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, &hwpt));

	/* PASID 0 is none, whatever the device can do */
	attach.pt_id = hwpt;
	EXPECT_EQ(-EINVAL, iommu_call(self->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	EXPECT_EQ(-EINVAL, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	for (uint32_t pasid = 1; pasid; pasid <<= 1) {
		attach.pasid = pasid;
		detach.pasid = pasid;
		EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
		EXPECT_EQ(hwpt, attach.pt_id);
		EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	}
	EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_PASID, &hwpt));

	/* the requests without PASID are where they were */
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, hwpt));
	pattern_fill(self->mem, BYTES, 7);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 7));
}

TEST_F(device, hwpt_alloc_checks_in_order)
{
	const struct iommu_hwpt_alloc good = { .size = sizeof(good), .dev_id = self->edu.id, .pt_id = self->ioas };
	struct iommu_hwpt_alloc cmd;
	uint64_t data = 0;
	uint32_t hwpt;

#define EXPECT_ALLOC(_rc, ...) do { \
		const struct iommu_hwpt_alloc bad = { __VA_ARGS__ }; \
		cmd = good; \
		cmd.flags = bad.flags; \
		cmd.__reserved = bad.__reserved; \
		cmd.__reserved2 = bad.__reserved2; \
		cmd.data_type = bad.data_type; \
		cmd.data_len = bad.data_len; \
		cmd.data_uptr = to_u64(&data); \
		if (bad.dev_id) \
			cmd.dev_id = bad.dev_id == UNKNOWN_ID ? 0 : bad.dev_id; \
		if (bad.pt_id) \
			cmd.pt_id = bad.pt_id == UNKNOWN_ID ? 0 : bad.pt_id; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->iommufd, IOMMU_HWPT_ALLOC, &cmd), #__VA_ARGS__); \
	} while (0)

	/* each line has the mistake of the next ones too, and reports its own */
	EXPECT_ALLOC(-EOPNOTSUPP, .__reserved = 1, .data_len = 8, .dev_id = UNKNOWN_ID);
	EXPECT_ALLOC(-EOPNOTSUPP, .__reserved2 = 1, .data_len = 8, .dev_id = UNKNOWN_ID);
	EXPECT_ALLOC(-EINVAL, .data_len = 8, .dev_id = UNKNOWN_ID);
	EXPECT_ALLOC(-EINVAL, .data_type = 0x7777, .dev_id = UNKNOWN_ID);
	EXPECT_ALLOC(-ENOENT, .dev_id = UNKNOWN_ID, .pt_id = UNKNOWN_ID, .flags = 1U << 31);
	EXPECT_ALLOC(-ENOENT, .dev_id = self->ioas, .pt_id = UNKNOWN_ID, .flags = 1U << 31);
	EXPECT_ALLOC(-EINVAL, .pt_id = UNKNOWN_ID, .flags = 1U << 31);
	EXPECT_ALLOC(-EINVAL, .pt_id = self->edu.id, .flags = 1U << 31);
	for (int bit = 4; bit < 32; bit++)
		EXPECT_ALLOC(-EOPNOTSUPP, .flags = 1U << bit);
	EXPECT_ALLOC(-EOPNOTSUPP, .data_type = 0x7777, .data_len = 8);
	EXPECT_ALLOC(0, .flags = 0);
#undef EXPECT_ALLOC
	hwpt = cmd.out_hwpt_id;
	EXPECT_NE(0, hwpt);

	/* a page table is no ground for another one that is not a guest's, and it keeps the IOAS */
	EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc(self->iommufd, self->edu.id, hwpt, 0, &hwpt));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->ioas));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
}

TEST_F(device, hwpt_that_cannot_be_named_is_not_made)
{
	struct iommu_hwpt_alloc *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	*cmd = (struct iommu_hwpt_alloc){ .size = sizeof(*cmd), .dev_id = self->edu.id, .pt_id = self->ioas };
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->iommufd, IOMMU_HWPT_ALLOC, cmd));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
	munmap(cmd, PAGE);
}

TEST_F(device, several_page_tables_on_one_ioas_pin_once)
{
	uint32_t hwpt[3], attached;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &hwpt[i]));
	EXPECT_NE(hwpt[0], hwpt[1]);
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 8 * PAGE, IOVA));
	EXPECT_EQ(32, vm_pin_kb());
	/* one that comes later holds what is mapped already */
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &hwpt[2]));
	EXPECT_EQ(32, vm_pin_kb());

	ASSERT_EQ(0, vfio_attach(self->dev, hwpt[0], &attached));
	EXPECT_EQ(hwpt[0], attached);
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, hwpt[0]));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt[1]));
	EXPECT_EQ(32, vm_pin_kb());
	pattern_fill(self->mem, BYTES, 1);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + 2 * PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + 2 * PAGE, BYTES, 1));

	ASSERT_EQ(0, vfio_attach(self->dev, hwpt[2], &attached));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt[0]));
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + 3 * PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + 3 * PAGE, BYTES, 1));

	/* a page table that user space made stays when its device goes */
	EXPECT_EQ(0, vfio_detach(self->dev));
	EXPECT_EQ(32, vm_pin_kb());
	EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt[2]));
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(device, no_tables_of_a_guest_and_no_viommu)
{
	struct iommu_hwpt_invalidate invalidate = {
		.size = sizeof(invalidate), .data_uptr = to_u64(self->mem), .entry_num = 1,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.entry_len = sizeof(struct iommu_hwpt_vtd_s1_invalidate),
	};
	struct iommu_viommu_alloc viommu = { .size = sizeof(viommu), .dev_id = self->edu.id };
	struct iommu_vdevice_alloc vdevice = { .size = sizeof(vdevice), .dev_id = self->edu.id };
	uint32_t hwpt;

	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &hwpt));
	/* the kernel writes this table, and invalidates by itself */
	invalidate.hwpt_id = hwpt;
	EXPECT_EQ(-EINVAL, iommu_call(self->iommufd, IOMMU_HWPT_INVALIDATE, &invalidate));
	EXPECT_EQ(0, invalidate.entry_num);
	EXPECT_EQ(-EINVAL, iommu_call(self->iommufd, IOMMU_HWPT_INVALIDATE, &invalidate));
	invalidate.hwpt_id = self->edu.id;
	EXPECT_EQ(-EINVAL, iommu_call(self->iommufd, IOMMU_HWPT_INVALIDATE, &invalidate));

	viommu.hwpt_id = hwpt;
	for (viommu.type = 0; viommu.type < 4; viommu.type++)
		EXPECT_EQ_FOR(-EOPNOTSUPP, iommu_call(self->iommufd, IOMMU_VIOMMU_ALLOC, &viommu), "type %u",
			      viommu.type);
	EXPECT_EQ(0, viommu.out_viommu_id);

	/* nothing is a vIOMMU */
	for (vdevice.viommu_id = 0; vdevice.viommu_id < 8; vdevice.viommu_id++)
		EXPECT_EQ_FOR(-ENOENT, iommu_call(self->iommufd, IOMMU_VDEVICE_ALLOC, &vdevice), "id %u",
			      vdevice.viommu_id);
}

#ifdef __aarch64__
#define HW_INFO_TYPE		IOMMU_HW_INFO_TYPE_ARM_SMMUV3
#define HW_INFO_OTHER_TYPE	IOMMU_HW_INFO_TYPE_INTEL_VTD

union hw_info {
	struct iommu_hw_info_arm_smmuv3 smmu;
	uint8_t byte[sizeof(struct iommu_hw_info_arm_smmuv3)];
};
#else
#define HW_INFO_TYPE		IOMMU_HW_INFO_TYPE_INTEL_VTD
#define HW_INFO_OTHER_TYPE	IOMMU_HW_INFO_TYPE_ARM_SMMUV3

union hw_info {
	struct iommu_hw_info_vtd vtd;
	uint8_t byte[sizeof(struct iommu_hw_info_vtd)];
};
#endif

TEST_F(device, hw_info_of_the_iommu)
{
	const uint32_t length = sizeof(union hw_info);
	union hw_info info;
	uint8_t buf[64];
	struct iommu_hw_info cmd = { .size = sizeof(cmd), .dev_id = self->edu.id };

	/* no buffer: only how long it would be */
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(HW_INFO_TYPE, cmd.out_data_type);
	EXPECT_EQ(length, cmd.data_len);
	EXPECT_EQ(0, cmd.out_max_pasid_log2);

	/* a buffer that fits */
	memset(&info, 0xee, length);
	cmd = (struct iommu_hw_info){ .size = sizeof(cmd), .dev_id = self->edu.id,
				      .data_len = length, .data_uptr = to_u64(&info) };
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(length, cmd.data_len);
	/* flags and reserved */
	EXPECT_TRUE(bytes_are(info.byte, 8, 0));

	/* a longer one ends in zeroes, a shorter one is not written past its end */
	memset(buf, 0xee, sizeof(buf));
	cmd.data_len = length + 16;
	cmd.data_uptr = to_u64(buf);
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(length, cmd.data_len);
	EXPECT_EQ(0, memcmp(buf, &info, length));
	EXPECT_TRUE(bytes_are(buf + length, 16, 0));
	EXPECT_TRUE(bytes_are(buf + length + 16, sizeof(buf) - length - 16, 0xee));
	memset(buf, 0xee, sizeof(buf));
	cmd.data_len = 9;
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(length, cmd.data_len);
	EXPECT_EQ(0, memcmp(buf, &info, 9));
	EXPECT_TRUE(bytes_are(buf + 9, 55, 0xee));

	cmd.data_len = length;
	cmd.data_uptr = 0;
	EXPECT_EQ(-EFAULT, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
}

TEST_F(device, hw_info_agrees_with_the_hardware)
{
	union hw_info info;
	struct iommu_hw_info cmd = { .size = sizeof(cmd), .dev_id = self->edu.id,
				     .data_len = sizeof(info), .data_uptr = to_u64(&info) };

	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
#ifdef __aarch64__
	uint64_t address = smmu_address(self->edu.bdf);

	ASSERT_NE(0, address);
	for (int i = 0; i < 6; i++)
		EXPECT_EQ_FOR(info.smmu.idr[i], smmu_read(address, SMMU_IDR0 + 4 * i), "IDR%d", i);
	EXPECT_EQ(info.smmu.iidr, smmu_read(address, SMMU_IIDR));
	EXPECT_EQ(info.smmu.aidr, smmu_read(address, SMMU_AIDR));
	/* a stage, and pages of 4 KiB */
	EXPECT_NE(0, info.smmu.idr[0] & (SMMU_IDR0_S1P | SMMU_IDR0_S2P));
	EXPECT_NE(0, info.smmu.idr[5] & 1 << 4);
#else
	char path[128], text[64];

	pci_attr_path(path, sizeof(path), self->edu.bdf, "iommu/intel-iommu/cap");
	ASSERT_LT(0, read_file(path, text, sizeof(text))) TH_LOG("%s", path);
	EXPECT_EQ(strtoull(text, NULL, 16), info.vtd.cap_reg);
	pci_attr_path(path, sizeof(path), self->edu.bdf, "iommu/intel-iommu/ecap");
	ASSERT_LT(0, read_file(path, text, sizeof(text))) TH_LOG("%s", path);
	EXPECT_EQ(strtoull(text, NULL, 16), info.vtd.ecap_reg);
	/* second-level tables of 3 or 4 levels, or what else would translate here */
	EXPECT_NE(0, (info.vtd.cap_reg >> 8) & 0x1f);
	EXPECT_NE(0, info.vtd.ecap_reg);
#endif
}

TEST_F(device, hw_info_of_a_type)
{
	const struct iommu_hw_info good = { .size = sizeof(good), .dev_id = self->edu.id };
	const struct {
		uint32_t flags, type;
		int rc;
	} asked[] = {
		/* without the flag the field is no input */
		{ 0, 0x7777, 0 },
		{ 0, IOMMU_HW_INFO_TYPE_ROUTING, 0 },
		{ IOMMU_HW_INFO_FLAG_INPUT_TYPE, IOMMU_HW_INFO_TYPE_DEFAULT, 0 },
		{ IOMMU_HW_INFO_FLAG_INPUT_TYPE, HW_INFO_TYPE, 0 },
		{ IOMMU_HW_INFO_FLAG_INPUT_TYPE, HW_INFO_OTHER_TYPE, -EOPNOTSUPP },
		{ IOMMU_HW_INFO_FLAG_INPUT_TYPE, 0x7777, -EOPNOTSUPP },
	};
	struct iommu_hw_info cmd;

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		cmd = good;
		cmd.flags = asked[i].flags;
		cmd.in_data_type = asked[i].type;
		EXPECT_EQ_FOR(asked[i].rc, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd), "case %zu", i);
		if (!asked[i].rc)
			EXPECT_EQ_FOR(HW_INFO_TYPE, cmd.out_data_type, "case %zu", i);
	}

	for (int bit = 1; bit < 32; bit++) {
		cmd = good;
		cmd.flags = 1U << bit;
		EXPECT_EQ_FOR(-EOPNOTSUPP, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd), "bit %d", bit);
	}
	for (int i = 0; i < 3; i++) {
		cmd = good;
		cmd.__reserved[i] = 1;
		EXPECT_EQ_FOR(-EOPNOTSUPP, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd), "byte %d", i);
	}
}

/* Devices in the group of a device, as sysfs has them */
static int group_size(const char *bdf)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices", pci_group(bdf));
	dir = opendir(path);
	if (!dir)
		return -errno;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

TEST_F(device, hw_info_of_routing)
{
	struct iommu_hw_info_routing info;
	uint32_t hwpt;

	memset(&info, 0xee, sizeof(info));
	ASSERT_EQ(0, device_routing(self->iommufd, self->edu.id, &info));
	/* alone in its group, no PASID, blocked */
	EXPECT_EQ(IOMMU_HW_INFO_ROUTING_GROUPS, info.flags);
	EXPECT_EQ(pci_group(self->edu.bdf), info.group_id);
	EXPECT_EQ(1, info.group_devices);
	EXPECT_EQ(1, group_size(self->edu.bdf));
	EXPECT_EQ(0, info.group_hwpt_id);

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, &hwpt));
	ASSERT_EQ(0, device_routing(self->iommufd, self->edu.id, &info));
	EXPECT_EQ(IOMMU_HW_INFO_ROUTING_GROUPS | IOMMU_HW_INFO_ROUTING_ATTACHED, info.flags);
	EXPECT_EQ(hwpt, info.group_hwpt_id);
	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, device_routing(self->iommufd, self->edu.id, &info));
	EXPECT_EQ(IOMMU_HW_INFO_ROUTING_GROUPS, info.flags);
	EXPECT_EQ(0, info.group_hwpt_id);
	EXPECT_EQ(-ENOENT, device_routing(self->iommufd, self->ioas, &info));
}

TEST_F(device, hw_info_writes_no_more_than_the_first_version_has)
{
	struct iommu_hw_info cmd = { .size = 32, .dev_id = self->edu.id };

	cmd.out_capabilities = 0xeeeeeeeeeeeeeeeeUL;
	EXPECT_EQ(0, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(HW_INFO_TYPE, cmd.out_data_type);
	EXPECT_EQ(0xeeeeeeeeeeeeeeeeUL, cmd.out_capabilities);
}

/* ---- which addresses there are ---- */

TEST_F(device, attach_takes_addresses_away_and_detach_gives_them_back)
{
	struct iommu_iova_range before[1], during[16], after[1];
	uint64_t align = 0;
	uint32_t num = 16;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, ioas_ranges(self->iommufd, self->ioas, during, &num, &align));
	EXPECT_EQ(PAGE, align);
	ASSERT_LE(2, num);
	ASSERT_GE(16, num);
	EXPECT_EQ(0, during[0].start);
	for (uint32_t i = 0; i < num; i++) {
		EXPECT_TRUE(during[i].last < MSI_WINDOW || during[i].start > MSI_WINDOW_LAST);
		EXPECT_TRUE(i == 0 || during[i].start > during[i - 1].last + 1);
	}
	/* an IOMMU with 64 address bits does not exist */
	EXPECT_GT(1UL << 57, during[num - 1].last);
	/* too little room: what fits, and the number that would */
	memset(before, 0, sizeof(before));
	num = 1;
	EXPECT_EQ(-EMSGSIZE, ioas_ranges(self->iommufd, self->ioas, before, &num, NULL));
	EXPECT_LE(2, num);
	EXPECT_EQ(during[0].start, before[0].start);
	EXPECT_EQ(during[0].last, before[0].last);

	ASSERT_EQ(0, vfio_detach(self->dev));
	num = 1;
	ASSERT_EQ(0, ioas_ranges(self->iommufd, self->ioas, after, &num, &align));
	EXPECT_EQ(1, num);
	EXPECT_EQ(0, after[0].start);
	EXPECT_EQ(UINT64_MAX, after[0].last);
	EXPECT_EQ(1, align);
}

TEST_F(device, map_refuses_what_the_device_cannot_address)
{
	struct iommu_iova_range ranges[16];
	uint64_t beyond;
	uint32_t num = 16;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, ioas_ranges(self->iommufd, self->ioas, ranges, &num, NULL));
	beyond = ranges[num - 1].last + 1;
	/* the interrupt window: its first page, its last, and across each of its borders */
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW_LAST + 1 - PAGE));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, 2 * PAGE, MSI_WINDOW - PAGE));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, 2 * PAGE, MSI_WINDOW_LAST + 1 - PAGE));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW - PAGE));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW_LAST + 1));
	/* more address bits than the IOMMU has */
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, beyond));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, 2 * PAGE, beyond - PAGE));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, beyond - PAGE));
	EXPECT_EQ(12, vm_pin_kb());
}

TEST_F(device, map_refuses_what_is_not_page_aligned)
{
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE - 1, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, 1, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem + 1, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA + 1));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem + 512, PAGE, IOVA + 512));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA));
}

TEST_F(device, attach_refuses_mappings_it_cannot_hold)
{
	/* not page aligned, where the page table cannot go, and where interrupts are: each time nothing changes */
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 100, IOVA));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, 1UL << 60));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
}

TEST_F(device, allowed_windows_and_reserved_regions_exclude_each_other)
{
	struct iommu_iova_range msi = { .start = MSI_WINDOW + PAGE, .last = MSI_WINDOW + 2 * PAGE - 1 };
	struct iommu_iova_range across = { .start = PAGE, .last = MSI_WINDOW };
	struct iommu_iova_range fine = { .start = IOVA, .last = IOVA + 8 * PAGE - 1 };
	uint64_t iova = 0;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(-EADDRINUSE, ioas_allow(self->iommufd, self->ioas, &msi, 1));
	EXPECT_EQ(-EADDRINUSE, ioas_allow(self->iommufd, self->ioas, &across, 1));
	EXPECT_EQ(0, ioas_allow(self->iommufd, self->ioas, &fine, 1));
	EXPECT_EQ(0, ioas_map(self->iommufd, self->ioas, self->mem, PAGE, &iova, MAP_RW));
	EXPECT_EQ(IOVA, iova);
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	ASSERT_EQ(0, vfio_detach(self->dev));

	/* the other way round the device is the one that has to stay out */
	EXPECT_EQ(0, ioas_allow(self->iommufd, self->ioas, &across, 1));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(0, ioas_allow(self->iommufd, self->ioas, &fine, 1));
	EXPECT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
}

TEST_F(device, kernel_chosen_addresses_avoid_reserved_regions)
{
	struct iommu_iova_range ranges[16];
	uint64_t iova = 0;
	uint32_t num = 16;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, ioas_ranges(self->iommufd, self->ioas, ranges, &num, NULL));
	for (int i = 0; i < 32; i++) {
		bool usable = false;

		ASSERT_EQ(0, ioas_map(self->iommufd, self->ioas, self->mem + i * PAGE, PAGE, &iova, MAP_RW));
		for (uint32_t r = 0; r < num; r++)
			usable |= iova >= ranges[r].start && iova + PAGE - 1 <= ranges[r].last;
		EXPECT_TRUE(usable) TH_LOG("0x%lx", iova);
		EXPECT_NE(0, iova);
	}
}

/* ---- memory that can be pinned, and what it costs ---- */

TEST_F(device, map_of_memory_that_is_not_there_is_efault)
{
	uint8_t *hole = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t bytes = 77;

	ASSERT_NE(MAP_FAILED, (void *)hole);
	ASSERT_EQ(0, munmap(hole + 4 * PAGE, 2 * PAGE));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, hole + 4 * PAGE, PAGE, IOVA));
	/* four good pages in front do not stay pinned */
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, hole, 8 * PAGE, IOVA));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, hole + 5 * PAGE, 2 * PAGE, IOVA));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, NULL, PAGE, IOVA));
	/* a kernel address */
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, (void *)0xffff888000000000UL, PAGE, IOVA));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(0, ioas_unmap(self->iommufd, self->ioas, 0, UINT64_MAX, &bytes));
	EXPECT_EQ(0, bytes);
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, hole, 4 * PAGE, IOVA));
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(4, pages_pinned());
	munmap(hole, 4 * PAGE);
	munmap(hole + 6 * PAGE, 2 * PAGE);
}

TEST_F(device, attach_to_an_ioas_with_memory_that_is_not_there_is_efault)
{
	uint32_t good;

	/* maps without a look at the memory, as no page table needs it yet */
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, NULL, PAGE, 4 * IOVA));
	EXPECT_EQ(-EFAULT, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(0, vm_pin_kb());

	/* as a replace: the device stays where it was */
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &good));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, good, self->mem + 8 * PAGE, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->dev, good, NULL));
	EXPECT_EQ(-EFAULT, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, good));
	pattern_fill(self->mem + 8 * PAGE, BYTES, 2);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + 9 * PAGE, BYTES, 2));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
}

TEST_F(device, replace_that_meets_reserved_regions_leaves_the_device)
{
	uint32_t bad, hwpt;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, &hwpt));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &bad));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, bad, self->mem, PAGE, MSI_WINDOW));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->dev, bad, NULL));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, bad));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, hwpt));
	/* its own address space still keeps the window free */
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW));
	pattern_fill(self->mem, BYTES, 3);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 3));
}

TEST_F(device, replace_that_cannot_be_told_leaves_the_device)
{
	struct vfio_device_attach_iommufd_pt *page;
	uint32_t first, second, hwpt;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 2 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, &first));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &second));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, second, 0, &hwpt));

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	*page = (struct vfio_device_attach_iommufd_pt){ .argsz = sizeof(*page), .pt_id = second };
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, page));
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ | PROT_WRITE));
	page->pt_id = hwpt;
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, page));
	munmap(page, PAGE);

	/* nothing holds the second address space, and DMA goes through the first */
	EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, second, self->mem, PAGE, MSI_WINDOW));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, second));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, first));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW));
	pattern_fill(self->mem, BYTES, 8);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 8));
}

TEST_F(device, read_only_memory_cannot_be_mapped_writeable)
{
	uint64_t iova = IOVA;

	ASSERT_EQ(0, mprotect(self->mem, 4 * PAGE, PROT_READ));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA));
	/* nor when its first half may be written */
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, self->mem + 3 * PAGE, 2 * PAGE, IOVA));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, ioas_map(self->iommufd, self->ioas, self->mem, 4 * PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(16, vm_pin_kb());
}

TEST_F(device, read_only_mapping_of_untouched_memory_follows_later_writes)
{
	uint8_t *fresh = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t iova = IOVA;

	/* every untouched page reads as the one page of zeroes: the device must not be left with that */
	ASSERT_NE(MAP_FAILED, (void *)fresh);
	ASSERT_EQ(0, fresh[0]);
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, ioas_map(self->iommufd, self->ioas, fresh, 2 * PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, 4 * IOVA));
	pattern_fill(fresh, BYTES, 4);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, 4 * IOVA, BYTES));
	EXPECT_TRUE(pattern_is(self->mem, BYTES, 4));
	munmap(fresh, 2 * PAGE);
}

TEST_F(device, read_only_mapping_of_a_private_file_follows_later_writes)
{
	int file = memfd_create("private", 0);
	uint64_t iova = IOVA;
	uint8_t *copy, *shared;

	/* a private mapping shows the file until it is written: the device must not be left with the file's page */
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, PAGE));
	copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, (void *)copy);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	pattern_fill(shared, BYTES, 5);
	ASSERT_TRUE(pattern_is(copy, BYTES, 5));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, ioas_map(self->iommufd, self->ioas, copy, PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, 4 * IOVA));
	pattern_fill(copy, BYTES, 6);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, 4 * IOVA, BYTES));
	EXPECT_TRUE(pattern_is(self->mem, BYTES, 6));
	EXPECT_TRUE(pattern_is(shared, BYTES, 5));
	munmap(shared, PAGE);
	munmap(copy, PAGE);
	close(file);
}

TEST_F(device, read_only_mapping_of_huge_pages_that_are_not_writable)
{
	uint8_t *huge = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	uint64_t iova = HUGE_PAGE;

	ASSERT_NE(MAP_FAILED, (void *)huge) TH_LOG("a huge page of 2 MiB: %s", strerror(errno));
	pattern_fill(huge, BYTES, 7);
	ASSERT_EQ(0, mprotect(huge, HUGE_PAGE, PROT_READ));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, huge, PAGE, IOVA));
	ASSERT_EQ(0, ioas_map(self->iommufd, self->ioas, huge, HUGE_PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, 4 * HUGE_PAGE));
	ASSERT_EQ(0, edu_copy(&self->edu, HUGE_PAGE, 4 * HUGE_PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem, BYTES, 7));
	munmap(huge, HUGE_PAGE);
}

TEST_F(device, memory_nobody_may_read_cannot_be_mapped)
{
	uint8_t *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t iova = IOVA;

	ASSERT_NE(MAP_FAILED, (void *)closed);
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	EXPECT_EQ(-EFAULT, ioas_map(self->iommufd, self->ioas, closed, PAGE, &iova,
				    IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, closed, PAGE, IOVA));
	EXPECT_EQ(0, pages_pinned());
	munmap(closed, PAGE);
}

TEST_F(device, failed_map_costs_what_was_pinned_and_not_what_was_asked)
{
	uint64_t size = 64 * PAGE;
	uint8_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec start, end;

	/* 2^46 bytes are 2^34 pages: a step for each of them, or for each 512, would take many seconds */
	ASSERT_NE(MAP_FAILED, (void *)mem);
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	clock_gettime(CLOCK_MONOTONIC, &start);
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, mem, 1ULL << 46, 1ULL << 46));
	clock_gettime(CLOCK_MONOTONIC, &end);
	EXPECT_GT(3, end.tv_sec - start.tv_sec);
	EXPECT_EQ(0, pages_pinned());
	munmap(mem, size);
}

TEST_F(device, pins_are_counted_to_the_page)
{
	static const int lengths[] = { 1, 2, 3, 23, 64 };
	uint64_t bytes;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, lengths[i] * PAGE, IOVA));
		EXPECT_EQ_FOR(lengths[i] * 4, vm_pin_kb(), "%d pages", lengths[i]);
		EXPECT_EQ_FOR(lengths[i], pages_pinned(), "%d pages", lengths[i]);
		ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, IOVA, lengths[i] * PAGE, &bytes));
		EXPECT_EQ_FOR(0, vm_pin_kb(), "%d pages", lengths[i]);
		EXPECT_EQ_FOR(0, pages_pinned(), "%d pages", lengths[i]);
	}
}

TEST_F(device, detach_unpins_and_attach_pins_again)
{
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 16 * PAGE, IOVA));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, vm_pin_kb());
		ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
		EXPECT_EQ(64, vm_pin_kb());
		EXPECT_EQ(16, pages_pinned());
		ASSERT_EQ(0, vfio_detach(self->dev));
	}
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(device, random_maps_and_unmaps_pin_what_is_mapped)
{
	struct {
		uint64_t first, count;
	} model[64];
	uint64_t random = 815;
	int areas = 0;
	long pages = 0;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	for (int step = 0; step < 600; step++) {
		uint64_t first = random_next(&random) % 64, count = random_next(&random) % 16 + 1;
		int i = areas ? random_next(&random) % areas : 0;

		if (areas && random_next(&random) % 3 == 0) {
			ASSERT_EQ_FOR(0, ioas_unmap(self->iommufd, self->ioas, IOVA + model[i].first * PAGE,
						    model[i].count * PAGE, NULL), "step %d", step);
			pages -= model[i].count;
			model[i] = model[--areas];
		} else if (!ioas_map_at(self->iommufd, self->ioas, self->mem + random_next(&random) % 48 * PAGE,
					count * PAGE, IOVA + first * PAGE)) {
			model[areas].first = first;
			model[areas++].count = count;
			pages += count;
		}
		ASSERT_EQ_FOR(pages * 4, vm_pin_kb(), "step %d", step);
	}
	EXPECT_EQ(pages, pages_pinned());
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	EXPECT_EQ(0, vm_pin_kb());
}

/* ---- limits: per user and per process ---- */

FIXTURE(limit)
{
	int iommufd;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
};

FIXTURE_VARIANT(limit)
{
	uint64_t mode;
};

FIXTURE_VARIANT_ADD(limit, per_user)
{
	.mode = 0,
};

FIXTURE_VARIANT_ADD(limit, per_process)
{
	.mode = 1,
};

FIXTURE_SETUP(limit)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, option_set(self->iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, variant->mode));
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, memlock_limit(16 * PAGE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
}

FIXTURE_TEARDOWN(limit)
{
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, MEM_SIZE);
}

TEST_F(limit, is_reached_at_exactly_its_number_of_pages)
{
	const long locked = variant->mode ? 64 : 0;

	for (int round = 0; round < 2; round++) {
		EXPECT_EQ(-ENOMEM, ioas_map_at(self->iommufd, self->ioas, self->mem, 17 * PAGE, IOVA));
		EXPECT_EQ(0, vm_pin_kb());
		EXPECT_EQ(0, vm_lck_kb());
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 10 * PAGE, IOVA));
		EXPECT_EQ(-ENOMEM, ioas_map_at(self->iommufd, self->ioas, self->mem, 7 * PAGE, 2 * IOVA));
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 6 * PAGE, 2 * IOVA));
		EXPECT_EQ(64, vm_pin_kb());
		EXPECT_EQ(locked, vm_lck_kb());
		EXPECT_EQ(-ENOMEM, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, 3 * IOVA));
		ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
		EXPECT_EQ(0, vm_pin_kb());
		EXPECT_EQ(0, vm_lck_kb());
	}
}

TEST_F(limit, of_zero_allows_nothing)
{
	ASSERT_EQ(0, memlock_limit(0));
	EXPECT_EQ(-ENOMEM, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA));
	/* a limit in the middle of a page is that of the pages below it */
	ASSERT_EQ(0, memlock_limit(2 * PAGE - 1));
	EXPECT_EQ(-ENOMEM, ioas_map_at(self->iommufd, self->ioas, self->mem, 2 * PAGE, IOVA));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA));
}

TEST_F(limit, does_not_bind_who_may_lock_memory)
{
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, true));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, MEM_SIZE, IOVA));
	EXPECT_EQ(MEM_SIZE / 1024, vm_pin_kb());
	/* nor did it pay: the whole limit is left for others */
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 16 * PAGE, 16 * IOVA));
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, IOVA, MEM_SIZE, NULL));
	EXPECT_EQ(-ENOMEM, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA));
	EXPECT_EQ(64, vm_pin_kb());
}

TEST_F(limit, counts_all_contexts_of_a_payer)
{
	struct edu second;
	uint32_t ioas;
	int iommufd = iommu_open();

	/* a user pays for all his contexts together, and so does a process */
	ASSERT_LE(0, iommufd);
	ASSERT_EQ(0, option_set(iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, variant->mode));
	ASSERT_EQ(0, edu_open_bound(&second, 1, iommufd));
	ASSERT_EQ(0, ioas_alloc(iommufd, &ioas));
	ASSERT_EQ(0, vfio_attach(second.fd, ioas, NULL));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 10 * PAGE, IOVA));
	EXPECT_EQ(-ENOMEM, ioas_map_at(iommufd, ioas, self->mem, 7 * PAGE, IOVA));
	EXPECT_EQ(0, ioas_map_at(iommufd, ioas, self->mem, 6 * PAGE, IOVA));
	EXPECT_EQ(64, vm_pin_kb());
	edu_close(&second);
	close(iommufd);
	EXPECT_EQ(40, vm_pin_kb());
}

/* ---- DMA ---- */

FIXTURE(dma)
{
	int iommufd;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
	size_t size;
	long faults;
};

FIXTURE_VARIANT(dma)
{
	bool huge_memory;
	int huge_leaves;
};

FIXTURE_VARIANT_ADD(dma, small_pages)
{
	.huge_memory = false, .huge_leaves = 1,
};

FIXTURE_VARIANT_ADD(dma, huge_pages)
{
	.huge_memory = true, .huge_leaves = 1,
};

FIXTURE_VARIANT_ADD(dma, huge_pages_in_small_leaves)
{
	.huge_memory = true, .huge_leaves = 0,
};

FIXTURE_SETUP(dma)
{
	self->faults = iommu_fault_count();
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	ASSERT_EQ(0, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, variant->huge_leaves));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	self->size = 2 * HUGE_PAGE;
	if (variant->huge_memory) {
		self->mem = mmap(NULL, self->size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		ASSERT_NE(MAP_FAILED, (void *)self->mem) TH_LOG("two huge pages of 2 MiB: %s", strerror(errno));
		memset(self->mem, 0, self->size);
	} else {
		self->mem = small_pages(self->size);
		ASSERT_NE(NULL, self->mem);
	}
}

FIXTURE_TEARDOWN(dma)
{
	edu_close(&self->edu);
	close(self->iommufd);
	munmap(self->mem, self->size);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(dma, reaches_the_mapped_bytes_and_no_others)
{
	const uint64_t iova = 4 * HUGE_PAGE;
	/* across pages of 4 KiB, and across pages of 2 MiB */
	const uint64_t from = PAGE - 100, to = HUGE_PAGE - 300;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, self->size, iova));
	EXPECT_EQ(self->size / 1024, vm_pin_kb());
	memset(self->mem, 0xa5, self->size);
	pattern_fill(self->mem + from, 1000, 5);
	ASSERT_EQ(0, edu_copy(&self->edu, iova + from, iova + to, 1000));
	EXPECT_TRUE(pattern_is(self->mem + to, 1000, 5));
	EXPECT_TRUE(bytes_are(self->mem, from, 0xa5));
	EXPECT_TRUE(bytes_are(self->mem + from + 1000, to - from - 1000, 0xa5));
	EXPECT_TRUE(bytes_are(self->mem + to + 1000, self->size - to - 1000, 0xa5));
	EXPECT_EQ(self->faults, iommu_fault_count());
}

TEST_F(dma, works_at_addresses_that_are_no_multiple_of_2_mib)
{
	const uint64_t iova = 4 * HUGE_PAGE + 3 * PAGE;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem + PAGE, self->size - PAGE, iova));
	pattern_fill(self->mem + PAGE, BYTES, 6);
	ASSERT_EQ(0, edu_copy(&self->edu, iova, iova + HUGE_PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE + HUGE_PAGE, BYTES, 6));
	EXPECT_EQ(self->faults, iommu_fault_count());
}

TEST_F(dma, is_stopped_by_unmap)
{
	const uint64_t iova = 4 * HUGE_PAGE, gone = 8 * HUGE_PAGE;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, HUGE_PAGE, iova));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem + HUGE_PAGE, HUGE_PAGE, gone));
	pattern_fill(self->mem, BYTES, 7);
	/* puts the translation of what will be unmapped into the IOTLB */
	ASSERT_EQ(0, edu_copy(&self->edu, iova, gone + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + HUGE_PAGE + PAGE, BYTES, 7));
	memset(self->mem + HUGE_PAGE, 0x5a, HUGE_PAGE);

	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, gone, HUGE_PAGE, NULL));
	ASSERT_EQ(0, edu_store(&self->edu, gone + PAGE, BYTES));
	EXPECT_TRUE(iommu_fault_seen(self->faults));
	EXPECT_TRUE(bytes_are(self->mem + HUGE_PAGE, HUGE_PAGE, 0x5a));

	/* the neighbour is still there */
	ASSERT_EQ(0, edu_store(&self->edu, iova + 8 * PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + 8 * PAGE, BYTES, 7));
}

TEST_F(device, dma_is_stopped_by_detach)
{
	long faults = iommu_fault_count();

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	pattern_fill(self->mem, BYTES, 8);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, BYTES, 8));
	EXPECT_EQ(faults, iommu_fault_count());
	memset(self->mem + PAGE, 0x5a, PAGE);
	ASSERT_EQ(0, vfio_detach(self->dev));
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + PAGE, BYTES));
	EXPECT_TRUE(bytes_are(self->mem + PAGE, PAGE, 0x5a));
	EXPECT_TRUE(iommu_block_seen(faults));
}

TEST_F(device, dma_before_the_first_attach_is_blocked)
{
	long faults = iommu_fault_count();

	/* bound, bus mastering, and no address space: not even memory that happens to be at this physical address */
	ASSERT_EQ(0, edu_store(&self->edu, 0x10000000, BYTES));
	EXPECT_TRUE(iommu_block_seen(faults));
}

/* Faults that are told of a bound device; it takes a moment until there are @expected */
static int64_t dma_faults(const struct edu *edu, int64_t expected)
{
	int64_t seen = -1;
	char text[4096];

	for (int i = 0; i < 1000 && seen != expected; i++) {
		if (i)
			sleep_ms(10);
		if (fdinfo_read(edu->fd, text, sizeof(text)) < 0)
			return -1;
		seen = fdinfo_number(text, "device:", "dma_faults");
	}
	return seen;
}

TEST_F(device, each_dma_that_is_refused_is_counted)
{
	struct edu other;

	ASSERT_EQ(0, edu_open_bound(&other, 1, self->iommufd));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_EQ(0, dma_faults(&self->edu, 0));
	/* QEMU translates once for every four bytes that no memory takes */
	for (int n = 1; n <= 3; n++) {
		ASSERT_EQ(0, edu_store(&self->edu, IOVA + 4 * n * PAGE, 4));
		EXPECT_EQ(n, dma_faults(&self->edu, n));
	}
	EXPECT_EQ(0, dma_faults(&other, 0));
	/* what was before is not the business of who has the device next */
	edu_close(&self->edu);
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
	EXPECT_EQ(0, dma_faults(&self->edu, 0));
	edu_close(&other);
}

TEST_F(device, replace_takes_pins_and_dma_along)
{
	uint32_t other, before, after;

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &other));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, other, self->mem + 8 * PAGE, 8 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, &before));
	EXPECT_EQ(16, vm_pin_kb());
	ASSERT_EQ(0, vfio_attach(self->dev, other, &after));
	EXPECT_NE(before, after);
	EXPECT_EQ(32, vm_pin_kb());
	EXPECT_EQ(-ENOENT, iommu_destroy(self->iommufd, before));
	/* addresses the device reserves went with it */
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, MSI_WINDOW));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, other, self->mem, PAGE, MSI_WINDOW));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));

	pattern_fill(self->mem + 8 * PAGE, BYTES, 9);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + 9 * PAGE, BYTES, 9));
}

TEST_F(device, huge_pages_option_is_fixed_while_it_matters)
{
	uint64_t val = 77;

	ASSERT_EQ(0, vfio_attach(self->dev, self->ioas, NULL));
	/* nothing is mapped yet: it may still change */
	EXPECT_EQ(0, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, 0));
	EXPECT_EQ(0, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, 1));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, 0));
	EXPECT_EQ(0, option_get(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, &val));
	EXPECT_EQ(1, val);
	/* without a page table only the alignment of what is mapped counts */
	ASSERT_EQ(0, vfio_detach(self->dev));
	EXPECT_EQ(0, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, 0));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, 100, 2 * IOVA));
	EXPECT_EQ(0, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, 1));
	EXPECT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, 100, 2 * IOVA));
	EXPECT_EQ(-EADDRINUSE, option_set(self->iommufd, IOMMU_OPTION_HUGE_PAGES, self->ioas, 0));
}

/* ---- what VFIO offers through the node ---- */

TEST_F(device, info_and_regions)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region;
	uint32_t val = 0;

	ASSERT_EQ(0, iommu_call(self->dev, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_TRUE(info.flags & VFIO_DEVICE_FLAGS_PCI);
	EXPECT_LE(VFIO_PCI_NUM_REGIONS, info.num_regions);
	EXPECT_LE(VFIO_PCI_ERR_IRQ_INDEX, info.num_irqs);

	ASSERT_EQ(0, vfio_region(self->dev, VFIO_PCI_BAR0_REGION_INDEX, &region));
	EXPECT_EQ(MIB, region.size);
	EXPECT_EQ(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP,
		  region.flags & 7);
	ASSERT_EQ(0, vfio_region(self->dev, VFIO_PCI_BAR1_REGION_INDEX, &region));
	EXPECT_EQ(0, region.size);
	EXPECT_EQ(-EINVAL, vfio_region(self->dev, 1000, &region));

	/* configuration space by read and write */
	ASSERT_EQ(4, pread(self->dev, &val, 4, self->edu.config_offset));
	EXPECT_EQ(0x11e81234, val);
	/* registers by read and write, and the same ones by mmap; the echo register answers with every bit turned */
	ASSERT_EQ(4, pread(self->dev, &val, 4, self->edu.bar_offset + EDU_REG_ID));
	EXPECT_EQ(edu_read_reg(&self->edu, EDU_REG_ID), val);
	EXPECT_EQ(0xed, val & 0xff);
	val = 0x12345678;
	ASSERT_EQ(4, pwrite(self->dev, &val, 4, self->edu.bar_offset + EDU_REG_ECHO));
	EXPECT_EQ(0xedcba987U, edu_read_reg(&self->edu, EDU_REG_ECHO));
	edu_write_reg(&self->edu, EDU_REG_ECHO, 0xffff0000);
	ASSERT_EQ(4, pread(self->dev, &val, 4, self->edu.bar_offset + EDU_REG_ECHO));
	EXPECT_EQ(0x0000ffff, val);
}

TEST_F(device, mmap_refuses_what_is_not_in_a_region)
{
	const uint64_t bar = self->edu.bar_offset;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, self->dev, bar));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->dev, bar + MIB - PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->dev, self->edu.config_offset));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->dev, bar));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(device, reset_answers_as_the_info_promises)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	ASSERT_EQ(0, iommu_call(self->dev, VFIO_DEVICE_GET_INFO, &info));
	/* edu itself has no function reset; a slot may offer one */
	EXPECT_EQ(info.flags & VFIO_DEVICE_FLAGS_RESET ? 0 : -EINVAL, iommu_call(self->dev, VFIO_DEVICE_RESET, NULL));
}

TEST_F(device, hot_reset_through_a_node_is_refused)
{
	uint8_t buf[256] = {};
	struct vfio_pci_hot_reset_info *info = (void *)buf;
	struct vfio_pci_hot_reset *reset = (void *)buf;

	/* the records of 6.1 are in terms of groups, which a node's user does not hold */
	info->argsz = sizeof(buf);
	EXPECT_EQ(-ENODEV, iommu_call(self->dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info));
	memset(buf, 0, sizeof(buf));
	reset->argsz = sizeof(*reset);
	EXPECT_EQ(-ENODEV, iommu_call(self->dev, VFIO_DEVICE_PCI_HOT_RESET, reset));
}

FIXTURE(irq)
{
	int iommufd, event;
	struct edu edu;
};

FIXTURE_VARIANT(irq)
{
	unsigned int index;
};

FIXTURE_VARIANT_ADD(irq, intx)
{
	.index = VFIO_PCI_INTX_IRQ_INDEX,
};

FIXTURE_VARIANT_ADD(irq, msi)
{
	.index = VFIO_PCI_MSI_IRQ_INDEX,
};

FIXTURE_SETUP(irq)
{
	uint32_t ioas;

	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->iommufd));
	/* what is translated needs a page table */
	if (MSI_TRANSLATED) {
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &ioas));
		ASSERT_EQ(0, vfio_attach(self->edu.fd, ioas, NULL));
	}
	self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->event);
	edu_write_reg(&self->edu, EDU_REG_ACK, UINT32_MAX);
}

FIXTURE_TEARDOWN(irq)
{
	edu_close(&self->edu);
	close(self->event);
	close(self->iommufd);
	EXPECT_EQ(0, pages_pinned());
}

static int irq_set(int fd, unsigned int index, uint32_t flags, uint32_t count, int event)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} cmd = {
		.set = { .argsz = sizeof(cmd), .flags = flags, .index = index, .count = count },
		.fd = event,
	};

	return iommu_call(fd, VFIO_DEVICE_SET_IRQS, &cmd);
}

/* Waits for the device's interrupt to arrive as an event; returns how often it came. */
static int irq_events(int event, int timeout_ms)
{
	struct pollfd poll_event = { .fd = event, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&poll_event, 1, timeout_ms) == 1 && read(event, &count, sizeof(count)) != sizeof(count))
		return -1;
	return count;
}

TEST_F(irq, arrives_as_an_event)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = variant->index };

	ASSERT_EQ(0, iommu_call(self->edu.fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	ASSERT_EQ(1, info.count);
	ASSERT_TRUE(info.flags & VFIO_IRQ_INFO_EVENTFD);
	ASSERT_EQ(0, irq_set(self->edu.fd, variant->index, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, 1,
			     self->event));
	for (int i = 0; i < 3; i++) {
		edu_write_reg(&self->edu, EDU_REG_RAISE, 1);
		EXPECT_EQ_FOR(1, irq_events(self->event, 20000), "round %d", i);
		edu_write_reg(&self->edu, EDU_REG_ACK, 1);
		if (info.flags & VFIO_IRQ_INFO_AUTOMASKED)
			ASSERT_EQ(0, irq_set(self->edu.fd, variant->index,
					     VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 1, -1));
	}
	/* switched off it is silent */
	ASSERT_EQ(0, irq_set(self->edu.fd, variant->index, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0,
			     -1));
	edu_write_reg(&self->edu, EDU_REG_RAISE, 1);
	EXPECT_EQ(0, irq_events(self->event, 50));
	edu_write_reg(&self->edu, EDU_REG_ACK, 1);
}

/* ---- two devices in one group ---- */

FIXTURE(group)
{
	int iommufd;
	struct edu a, b;
	uint32_t ioas[2];
	uint8_t *mem;
};

FIXTURE_SETUP(group)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open_bound(&self->a, 2, self->iommufd));
	ASSERT_EQ(0, edu_open_bound(&self->b, 3, self->iommufd));
	ASSERT_EQ(pci_group(self->a.bdf), pci_group(self->b.bdf)) TH_LOG("the third and fourth edu share no group");
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas[i], self->mem + i * 4 * PAGE, 4 * PAGE, IOVA));
	}
}

FIXTURE_TEARDOWN(group)
{
	edu_close(&self->a);
	edu_close(&self->b);
	close(self->iommufd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* Whether @edu does its DMA in address space @i of the fixture, and nowhere else. */
static bool translates_through(uint8_t *mem, struct edu *edu, int i, uint64_t seed)
{
	uint8_t *here = mem + i * 4 * PAGE, *there = mem + !i * 4 * PAGE;

	memset(mem, 0, 8 * PAGE);
	pattern_fill(here, BYTES, seed);
	return !edu_copy(edu, IOVA, IOVA + PAGE, BYTES) && pattern_is(here + PAGE, BYTES, seed) &&
	       bytes_are(there, 4 * PAGE, 0);
}

TEST_F(group, moves_as_one)
{
	uint32_t first, second;

	ASSERT_EQ(0, vfio_attach(self->a.fd, self->ioas[0], &first));
	EXPECT_TRUE(translates_through(self->mem, &self->b, 0, 10));
	ASSERT_EQ(0, vfio_attach(self->b.fd, self->ioas[0], &second));
	EXPECT_EQ(first, second);
	EXPECT_EQ(16, vm_pin_kb());

	/* either may move both */
	ASSERT_EQ(0, vfio_attach(self->b.fd, self->ioas[1], &first));
	EXPECT_TRUE(translates_through(self->mem, &self->a, 1, 11));
	ASSERT_EQ(0, vfio_attach(self->a.fd, self->ioas[1], &second));
	EXPECT_EQ(first, second);
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas[0]));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->ioas[1]));
}

TEST_F(group, newcomer_joins_or_stays_out)
{
	ASSERT_EQ(0, vfio_attach(self->a.fd, self->ioas[0], NULL));
	/* it is not attached, so it has nothing to replace, and its sibling is in the way */
	EXPECT_EQ(-EINVAL, vfio_attach(self->b.fd, self->ioas[1], NULL));
	/* a failed attempt leaves no page table behind */
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas[1]));
	EXPECT_EQ(0, vfio_attach(self->b.fd, self->ioas[0], NULL));
}

TEST_F(group, is_seen_from_each_device)
{
	const uint32_t shared = IOMMU_HW_INFO_ROUTING_GROUPS | IOMMU_HW_INFO_ROUTING_SHARED;
	struct iommu_hw_info_routing info;
	uint32_t hwpt;

	ASSERT_EQ(0, vfio_attach(self->a.fd, self->ioas[0], &hwpt));
	ASSERT_EQ(0, device_routing(self->iommufd, self->a.id, &info));
	EXPECT_EQ(shared | IOMMU_HW_INFO_ROUTING_ATTACHED, info.flags);
	EXPECT_EQ(hwpt, info.group_hwpt_id);
	/* the sibling has moved along without being attached, and can tell where it may go */
	ASSERT_EQ(0, device_routing(self->iommufd, self->b.id, &info));
	EXPECT_EQ(shared, info.flags);
	EXPECT_EQ(hwpt, info.group_hwpt_id);
	EXPECT_EQ(pci_group(self->a.bdf), info.group_id);
	EXPECT_LE(2, info.group_devices);
	EXPECT_EQ(group_size(self->b.bdf), info.group_devices);
	EXPECT_EQ(0, vfio_attach(self->b.fd, info.group_hwpt_id, NULL));
}

TEST_F(group, stays_until_the_last_one_detaches)
{
	long faults;

	ASSERT_EQ(0, vfio_attach(self->a.fd, self->ioas[0], NULL));
	ASSERT_EQ(0, vfio_attach(self->b.fd, self->ioas[0], NULL));
	ASSERT_EQ(0, vfio_detach(self->a.fd));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->ioas[0]));
	EXPECT_TRUE(translates_through(self->mem, &self->b, 0, 12));
	ASSERT_EQ(0, vfio_detach(self->b.fd));
	EXPECT_EQ(0, vm_pin_kb());

	faults = iommu_fault_count();
	memset(self->mem, 0, 8 * PAGE);
	ASSERT_EQ(0, edu_store(&self->b, IOVA, BYTES));
	EXPECT_TRUE(iommu_block_seen(faults));
	EXPECT_TRUE(bytes_are(self->mem, 8 * PAGE, 0));

	/* all out, then all in somewhere else */
	ASSERT_EQ(0, vfio_attach(self->b.fd, self->ioas[1], NULL));
	ASSERT_EQ(0, vfio_attach(self->a.fd, self->ioas[1], NULL));
	EXPECT_TRUE(translates_through(self->mem, &self->a, 1, 13));
}

TEST_F(group, close_of_one_leaves_the_other)
{
	ASSERT_EQ(0, vfio_attach(self->a.fd, self->ioas[0], NULL));
	ASSERT_EQ(0, vfio_attach(self->b.fd, self->ioas[0], NULL));
	edu_close(&self->a);
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_TRUE(translates_through(self->mem, &self->b, 0, 14));
	edu_close(&self->b);
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(group, has_one_owner)
{
	int other = iommu_open();
	char path[64];
	uint32_t id;

	ASSERT_LE(0, other);
	edu_close(&self->b);
	ASSERT_EQ(0, edu_open(&self->b, 3));
	EXPECT_EQ(-EPERM, vfio_bind(self->b.fd, other, &id));
	/* not even through the group file, while a sibling is bound */
	snprintf(path, sizeof(path), "/dev/vfio/%d", pci_group(self->a.bdf));
	EXPECT_EQ(-1, open(path, O_RDWR));
	EXPECT_EQ(EBUSY, errno);

	/* once the sibling has gone, whoever comes first */
	edu_close(&self->a);
	EXPECT_EQ(0, vfio_bind(self->b.fd, other, &id));
	edu_close(&self->b);
	close(other);
}

TEST_HARNESS_MAIN
