// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_nested - page tables that a guest writes, on mock devices, and vIOMMUs
 *
 * What the mock IOMMU has cached of a guest's table is four numbers that go when they are invalidated.
 */
#include "iommu_test.h"
#include "iommufd_guest.h"

#define MEM_SIZE	(16 * PAGE)
#define IOVA		MOCK_FIRST
#define PASIDS		IOMMU_HWPT_ALLOC_PASID
#define PARENT		IOMMU_HWPT_ALLOC_NEST_PARENT

FIXTURE(nested)
{
	int fd;
	uint32_t ioas, parent, a, b, viommu;
	struct mock_device dev;
	uint8_t *mem;
};

FIXTURE_SETUP(nested)
{
	int fd = iommu_open();

	ASSERT_LE(0, fd) TH_LOG("/dev/iommu: %s", strerror(-fd));
	self->fd = fd;
	ASSERT_EQ(0, ioas_alloc(fd, &self->ioas));
	ASSERT_EQ(0, mock_device_create_with(fd, self->ioas, MOCK_PASIDS, &self->dev));
	ASSERT_EQ(0, hwpt_alloc(fd, self->dev.id, self->ioas, PARENT, &self->parent));
	ASSERT_EQ(0, nested_alloc(fd, self->dev.id, self->parent, PASIDS, 0, &self->a));
	ASSERT_EQ(0, nested_alloc(fd, self->dev.id, self->parent, 0, 0, &self->b));
	ASSERT_EQ(0, viommu_alloc(fd, self->dev.id, self->parent, &self->viommu));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(nested)
{
	close(self->fd);
	self->fd = iommu_open();
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, MEM_SIZE, 0));
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, pages_pinned());
}

static int go(struct _test_data_nested *self, uint32_t table)
{
	return mock_device_replace(self->fd, self->dev.stdev, &table);
}

static int at(struct _test_data_nested *self, uint32_t table)
{
	return mock_check_table(self->fd, self->dev.stdev, 0, table);
}

/* ---- allocation ---- */

TEST_F(nested, errors_of_alloc)
{
	struct guest_data data[2] = { { .iotlb = IOTLB } };
	struct iommu_hwpt_alloc good = {
		.size = sizeof(good), .dev_id = self->dev.id, .pt_id = self->parent, .data_type = GUEST_DATA,
		.data_len = sizeof(*data), .data_uptr = to_u64(data),
	};
	struct iommu_hwpt_alloc cmd;
	uint32_t plain;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev.id, self->ioas, 0, &plain));
#define EXPECT_ALLOC(_rc, ...) do { \
		cmd = good; \
		__VA_ARGS__; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->fd, IOMMU_HWPT_ALLOC, &cmd), #__VA_ARGS__); \
	} while (0)

	EXPECT_ALLOC(0, cmd.flags = 0);
	EXPECT_ALLOC(0, cmd.flags = PASIDS);
	for (int bit = 0; bit < 32; bit++)
		if (1U << bit != PASIDS && 1U << bit != IOMMU_HWPT_FAULT_ID_VALID)
			EXPECT_ALLOC(-EOPNOTSUPP, cmd.flags = 1U << bit);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.__reserved = 1);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.__reserved2 = 1);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.data_type = GUEST_DATA + 1);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.data_type = 0; cmd.data_len = 0);
	EXPECT_ALLOC(-EINVAL, cmd.data_type = 0);
	EXPECT_ALLOC(-EINVAL, cmd.data_len = 0);
	EXPECT_ALLOC(-EINVAL, cmd.data_len = 3);
	EXPECT_ALLOC(0, cmd.data_len = 4);
	EXPECT_ALLOC(0, cmd.data_len = sizeof(data));
	data[1].table = 1;
	EXPECT_ALLOC(-E2BIG, cmd.data_len = sizeof(data));
	EXPECT_ALLOC(-EFAULT, cmd.data_uptr = 0);
	EXPECT_ALLOC(-ENOENT, cmd.dev_id = 0);
	EXPECT_ALLOC(-ENOENT, cmd.dev_id = self->ioas);
	/* nothing that a guest's table could stand on */
	EXPECT_ALLOC(-EINVAL, cmd.pt_id = 0);
	EXPECT_ALLOC(-EINVAL, cmd.pt_id = self->dev.id);
	EXPECT_ALLOC(-EINVAL, cmd.pt_id = self->dev.hwpt);
	EXPECT_ALLOC(-EINVAL, cmd.pt_id = plain);
	EXPECT_ALLOC(-EINVAL, cmd.pt_id = self->a);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.pt_id = self->ioas);
	/* in a vIOMMU it is no different */
	EXPECT_ALLOC(0, cmd.pt_id = self->viommu);
	EXPECT_ALLOC(0, cmd.pt_id = self->viommu; cmd.flags = PASIDS);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.pt_id = self->viommu; cmd.flags = PARENT);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.pt_id = self->viommu; cmd.data_type = 1);
	EXPECT_ALLOC(-EOPNOTSUPP, cmd.pt_id = self->viommu; cmd.data_type = 0; cmd.data_len = 0);
	EXPECT_ALLOC(-EINVAL, cmd.pt_id = self->viommu; cmd.data_len = 3);
#undef EXPECT_ALLOC
}

TEST_F(nested, result_that_cannot_be_told_leaves_nothing)
{
	struct iommu_hwpt_alloc *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct guest_data data = { .iotlb = IOTLB };
	struct iommu_viommu_alloc *viommu = (void *)cmd;
	uint32_t id;

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	*cmd = (struct iommu_hwpt_alloc){
		.size = sizeof(*cmd), .dev_id = self->dev.id, .pt_id = self->parent, .data_type = GUEST_DATA,
		.data_len = sizeof(data), .data_uptr = to_u64(&data),
	};
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_HWPT_ALLOC, cmd));
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ | PROT_WRITE));
	*viommu = (struct iommu_viommu_alloc){
		.size = sizeof(*viommu), .type = GUEST_VIOMMU, .dev_id = self->dev.id, .hwpt_id = self->parent,
	};
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_VIOMMU_ALLOC, viommu));
	ASSERT_EQ(0, nested_alloc(self->fd, self->dev.id, self->parent, 0, 0, &id));
	EXPECT_EQ(self->viommu + 1, id);
	munmap(cmd, PAGE);
}

TEST_F(nested, what_stands_on_another_goes_first)
{
	uint32_t inside, fd = self->fd;

	ASSERT_EQ(0, nested_alloc(fd, self->dev.id, self->viommu, 0, 0, &inside));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, self->parent));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, self->viommu));
	EXPECT_EQ(0, iommu_destroy(fd, self->a));
	EXPECT_EQ(0, iommu_destroy(fd, self->b));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, self->parent));
	EXPECT_EQ(0, iommu_destroy(fd, inside));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, self->parent));
	EXPECT_EQ(0, iommu_destroy(fd, self->viommu));
	EXPECT_EQ(0, iommu_destroy(fd, self->parent));
}

/* ---- vIOMMU ---- */

TEST_F(nested, errors_of_viommu)
{
	struct iommu_viommu_alloc good = {
		.size = sizeof(good), .type = GUEST_VIOMMU, .dev_id = self->dev.id, .hwpt_id = self->parent,
	};
	struct iommu_viommu_alloc cmd;
	uint32_t data[6] = { };

#define EXPECT_VIOMMU(_rc, ...) do { \
		cmd = good; \
		__VA_ARGS__; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->fd, IOMMU_VIOMMU_ALLOC, &cmd), #__VA_ARGS__); \
	} while (0)

	EXPECT_VIOMMU(0, cmd.size = 24);
	EXPECT_VIOMMU(-EOPNOTSUPP, cmd.flags = 1);
	EXPECT_VIOMMU(-EOPNOTSUPP, cmd.__reserved = 1);
	EXPECT_VIOMMU(-EOPNOTSUPP, cmd.type = 0);
	EXPECT_VIOMMU(-EOPNOTSUPP, cmd.type = 0xdead);
	/* the type is known only when the device is, and says more than the page table */
	EXPECT_VIOMMU(-ENOENT, cmd.dev_id = 0; cmd.type = 0xdead);
	EXPECT_VIOMMU(-EOPNOTSUPP, cmd.hwpt_id = 0; cmd.type = 0xdead);
	EXPECT_VIOMMU(-ENOENT, cmd.hwpt_id = 0);
	EXPECT_VIOMMU(-ENOENT, cmd.hwpt_id = self->ioas);
	EXPECT_VIOMMU(-ENOENT, cmd.hwpt_id = self->a);
	EXPECT_VIOMMU(-EINVAL, cmd.hwpt_id = self->dev.hwpt);
	EXPECT_VIOMMU(-EOPNOTSUPP, cmd.data_len = sizeof(data); cmd.data_uptr = to_u64(data));
#undef EXPECT_VIOMMU
}

TEST_F(nested, devices_of_a_guest_are_not_offered)
{
	struct iommu_vdevice_alloc cmd = { .size = sizeof(cmd), .dev_id = self->dev.id, .viommu_id = self->viommu };

	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_VDEVICE_ALLOC, &cmd));
	cmd.dev_id = 0;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_VDEVICE_ALLOC, &cmd));
	cmd.dev_id = self->dev.id;
	cmd.viommu_id = self->parent;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_VDEVICE_ALLOC, &cmd));
}

TEST_F(nested, table_in_a_viommu_needs_the_device_in_it)
{
	uint32_t inside, pt;

	ASSERT_EQ(0, nested_alloc(self->fd, self->dev.id, self->viommu, PASIDS, 0, &inside));
	EXPECT_EQ(-ENOENT, go(self, inside));
	EXPECT_EQ(0, at(self, self->dev.hwpt));
	ASSERT_EQ(0, go(self, self->a));
	EXPECT_EQ(-ENOENT, go(self, inside));
	EXPECT_EQ(0, at(self, self->a));
	pt = inside;
	EXPECT_EQ(-ENOENT, mock_device_detach(self->fd, self->dev.stdev) ?:
			   mock_device_attach(self->fd, self->dev.stdev, &pt));
	EXPECT_EQ(0, at(self, 0));
	/* a PASID is not a number that the guest gave the device */
	pt = inside;
	EXPECT_EQ(0, mock_pasid_attach(self->fd, self->dev.stdev, 3, &pt));
	EXPECT_EQ(inside, pt);
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, inside));
	EXPECT_EQ(0, mock_pasid_detach(self->fd, self->dev.stdev, 3));
	EXPECT_EQ(0, iommu_destroy(self->fd, inside));
}

/* ---- attach ---- */

TEST_F(nested, attach_and_replace)
{
	uint32_t pt;

	ASSERT_EQ(0, go(self, self->a));
	EXPECT_EQ(0, at(self, self->a));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->a));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, self->dev.hwpt));
	ASSERT_EQ(0, go(self, self->b));
	EXPECT_EQ(0, at(self, self->b));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->a));
	ASSERT_EQ(0, go(self, self->parent));
	EXPECT_EQ(0, at(self, self->parent));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->b));
	pt = self->ioas;
	ASSERT_EQ(0, mock_device_replace(self->fd, self->dev.stdev, &pt));
	EXPECT_NE(self->parent, pt);
}

TEST_F(nested, plug_into_a_nested_table)
{
	struct mock_device dev, sibling;
	uint32_t pt = self->b;

	ASSERT_EQ(0, mock_device_create(self->fd, self->a, &dev));
	EXPECT_EQ(self->a, dev.hwpt);
	ASSERT_EQ(0, mock_device_plug(self->fd, self->a, dev.stdev, 0, 0, 0, &sibling));
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &pt));
	EXPECT_EQ(0, mock_check_table(self->fd, sibling.stdev, 0, self->b));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->a));
}

TEST_F(nested, pasids)
{
	uint32_t pt = self->b, dev = self->dev.stdev, with_pasids;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev.id, self->ioas, PASIDS, &with_pasids));
	ASSERT_EQ(0, go(self, with_pasids));
	EXPECT_EQ(-EINVAL, mock_pasid_attach(self->fd, dev, 9, &pt));
	EXPECT_EQ(0, mock_check_table(self->fd, dev, 9, 0));
	pt = self->a;
	ASSERT_EQ(0, mock_pasid_attach(self->fd, dev, 9, &pt));
	EXPECT_EQ(0, mock_check_table(self->fd, dev, 9, self->a));
	/* the requests without PASID must not go to a table that was not made for that */
	EXPECT_EQ(-EINVAL, go(self, self->b));
	EXPECT_EQ(-EINVAL, go(self, self->parent));
	EXPECT_EQ(0, go(self, self->a));
	pt = with_pasids;
	ASSERT_EQ(0, mock_pasid_replace(self->fd, dev, 9, &pt));
	EXPECT_EQ(0, mock_check_table(self->fd, dev, 9, with_pasids));
	EXPECT_EQ(0, at(self, self->a));
	ASSERT_EQ(0, mock_pasid_detach(self->fd, dev, 9));
}

/* A nested table translates to addresses of the IOAS below it: what a device keeps for itself is kept there. */
TEST_F(nested, regions_are_reserved_below)
{
	struct mock_device dev;
	uint32_t pt = self->ioas;

	ASSERT_EQ(0, mock_device_plug(self->fd, self->a, 0, 0, IOVA, PAGE, &dev));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA));
	/* within the same address space they stay */
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &pt));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA));
	pt = self->b;
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &pt));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA));
	ASSERT_EQ(0, mock_device_detach(self->fd, dev.stdev));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA));
	pt = self->a;
	EXPECT_EQ(-EADDRINUSE, mock_device_attach(self->fd, dev.stdev, &pt));
	EXPECT_EQ(0, mock_check_table(self->fd, dev.stdev, 0, 0));
}

TEST_F(nested, mapping_below_goes_on)
{
	ASSERT_EQ(0, go(self, self->a));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, MEM_SIZE, IOVA));
	EXPECT_EQ(0, mock_check_map(self->fd, self->parent, IOVA, MEM_SIZE, self->mem));
	EXPECT_EQ(-ENOENT, mock_check_map(self->fd, self->a, IOVA, PAGE, self->mem));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas, IOVA, MEM_SIZE, NULL));
	EXPECT_EQ(-EINVAL, mock_check_map(self->fd, self->parent, IOVA, PAGE, self->mem));
	/* the address space outlives nothing that stands on it */
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->ioas));
}

/* ---- invalidate ---- */

static const uint32_t all_cached[GUEST_SLOTS] = { IOTLB, IOTLB, IOTLB, IOTLB };

TEST_F(nested, invalidate)
{
	static const uint32_t first[] = { 0, IOTLB, IOTLB, IOTLB }, three[] = { 0, IOTLB, 0, 0 }, none[GUEST_SLOTS];
	struct guest_entry entries[] = { { .slot = 0 }, { .slot = 2 }, { .slot = 3 } };
	uint32_t num = 1;

	EXPECT_EQ(0, check_iotlb(self->fd, self->a, all_cached));
	EXPECT_EQ(0, hwpt_invalidate(self->fd, self->a, GUEST_INVALIDATE, entries, sizeof(*entries), &num));
	EXPECT_EQ(1, num);
	EXPECT_EQ(0, check_iotlb(self->fd, self->a, first));
	EXPECT_EQ(0, check_iotlb(self->fd, self->b, all_cached));
	num = 3;
	EXPECT_EQ(0, hwpt_invalidate(self->fd, self->a, GUEST_INVALIDATE, entries, sizeof(*entries), &num));
	EXPECT_EQ(3, num);
	EXPECT_EQ(0, check_iotlb(self->fd, self->a, three));
	entries[0].flags = ENTRY_ALL;
	num = 1;
	EXPECT_EQ(0, hwpt_invalidate(self->fd, self->b, GUEST_INVALIDATE, entries, sizeof(*entries), &num));
	EXPECT_EQ(1, num);
	EXPECT_EQ(0, check_iotlb(self->fd, self->b, none));
}

TEST_F(nested, errors_of_invalidate)
{
	struct guest_entry entries[2] = { };
	const uint32_t size = sizeof(*entries);
	uint32_t num;

#define EXPECT_INVALIDATE(_rc, _id, _type, _uptr, _len, _num) do { \
		num = (_num); \
		EXPECT_EQ(_rc, hwpt_invalidate(self->fd, _id, _type, _uptr, _len, &num)); \
		EXPECT_EQ(0, num); \
	} while (0)

	EXPECT_INVALIDATE(0, self->a, GUEST_INVALIDATE, NULL, 0, 0);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE + 1, NULL, 0, 0);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE + 1, entries, size, 1);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, entries, size - 1, 1);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, entries, size + 1, 1);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, entries, 0, 1);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, entries, PAGE + 1, 1);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, entries, size, (1U << 19) + 1);
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, NULL, size, 1);
	EXPECT_INVALIDATE(-EFAULT, self->a, GUEST_INVALIDATE, (void *)8, size, 1);
	EXPECT_INVALIDATE(-EINVAL, self->parent, GUEST_INVALIDATE, entries, size, 1);
	EXPECT_INVALIDATE(-EINVAL, self->ioas, GUEST_INVALIDATE, entries, size, 1);
	EXPECT_INVALIDATE(-ENOENT, UNKNOWN_ID, GUEST_INVALIDATE, entries, size, 1);
	EXPECT_INVALIDATE(-EOPNOTSUPP, self->viommu, GUEST_INVALIDATE, entries, size, 1);
	entries[0].slot = GUEST_SLOTS;
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, entries, size, 2);
	entries[0].flags = ENTRY_ALL;
	EXPECT_INVALIDATE(-EINVAL, self->a, GUEST_INVALIDATE, entries, size, 2);
	entries[0] = (struct guest_entry){ .flags = 2 };
	EXPECT_INVALIDATE(-EOPNOTSUPP, self->a, GUEST_INVALIDATE, entries, size, 2);
	EXPECT_EQ(0, check_iotlb(self->fd, self->a, all_cached));
#undef EXPECT_INVALIDATE
}

TEST_F(nested, invalidate_tells_how_far_it_came)
{
	static const uint32_t two[] = { 0, 0, IOTLB, IOTLB };
	struct guest_entry entries[] = { { .slot = 0 }, { .slot = 1 }, { .slot = 9 }, { .slot = 3 } };
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t num = 4;

	EXPECT_EQ(-EINVAL, hwpt_invalidate(self->fd, self->a, GUEST_INVALIDATE, entries, sizeof(*entries), &num));
	EXPECT_EQ(2, num);
	EXPECT_EQ(0, check_iotlb(self->fd, self->a, two));

	ASSERT_NE(MAP_FAILED, (void *)pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	memcpy(pages + PAGE - 2 * sizeof(*entries), entries, 2 * sizeof(*entries));
	num = 3;
	EXPECT_EQ(-EFAULT, hwpt_invalidate(self->fd, self->b, GUEST_INVALIDATE, pages + PAGE - 2 * sizeof(*entries),
					   sizeof(*entries), &num));
	EXPECT_EQ(2, num);
	EXPECT_EQ(0, check_iotlb(self->fd, self->b, two));
	munmap(pages, PAGE);
}

TEST_F(nested, check_of_the_cache_sees_what_is_wrong)
{
	static const uint32_t other[GUEST_SLOTS] = { IOTLB, IOTLB, IOTLB, IOTLB + 1 };
	struct iommu_test_cmd cmd = { .cache = { .slot = GUEST_SLOTS, .value = IOTLB } };

	EXPECT_EQ(-EINVAL, check_iotlb(self->fd, self->a, other));
	EXPECT_EQ(-EINVAL, test_call(self->fd, TEST_OP_MD_CHECK_IOTLB, self->a, &cmd));
	EXPECT_EQ(-ENOENT, check_iotlb(self->fd, self->parent, all_cached));
	EXPECT_EQ(-ENOENT, check_iotlb(self->fd, 0, all_cached));
}

TEST_HARNESS_MAIN
