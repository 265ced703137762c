// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_mock - what other tests rely on: the mock IOMMU, its devices, and that a wrong mapping does not go unseen
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"
#include "fail_nth.h"

#define MEM_SIZE	(64 * PAGE)
#define IOVA		MOCK_FIRST

FIXTURE(mock)
{
	int iommufd;
	uint32_t ioas;
	struct mock_device dev;
	uint8_t *mem;
};

FIXTURE_SETUP(mock)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas, &self->dev));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(mock)
{
	close(self->iommufd);
	self->iommufd = iommu_open();
	EXPECT_EQ(0, test_check_pins(self->iommufd, self->mem, MEM_SIZE, 0));
	close(self->iommufd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* ---- the command ---- */

TEST_F(mock, command_follows_the_size_rules)
{
	struct {
		struct iommu_test_cmd cmd;
		uint64_t more;
	} longer = { };
	struct iommu_test_cmd *cmd = &longer.cmd;

	ASSERT_EQ(72, sizeof(*cmd));
	*cmd = (struct iommu_test_cmd){
		.op = TEST_OP_CHECK_REFS, .check_refs = { .length = PAGE, .va = to_u64(self->mem) },
	};
	for (cmd->size = 0; cmd->size < 68; cmd->size++)
		ASSERT_EQ_FOR(-EINVAL, iommu_call(self->iommufd, IOMMU_TEST_CMD, cmd), "size %u", cmd->size);
	for (; cmd->size <= sizeof(longer); cmd->size++)
		ASSERT_EQ_FOR(0, iommu_call(self->iommufd, IOMMU_TEST_CMD, cmd), "size %u", cmd->size);
	cmd->size = sizeof(longer);
	longer.more = 1;
	EXPECT_EQ(-E2BIG, iommu_call(self->iommufd, IOMMU_TEST_CMD, cmd));
	EXPECT_EQ(-EFAULT, iommu_call(self->iommufd, IOMMU_TEST_CMD, NULL));
}

TEST_F(mock, unknown_operations)
{
	static const uint32_t unknown[] = { 0, 24, 1000, 0xfff, 0x1003, UINT32_MAX };
	struct iommu_test_cmd cmd = { };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		EXPECT_EQ(-EOPNOTSUPP, test_call(self->iommufd, unknown[i], self->ioas, &cmd));
}

/* ---- page tables ---- */

TEST_F(mock, check_map_sees_what_is_wrong)
{
	uint32_t hwpt = self->dev.hwpt;
	int fd = self->iommufd;

	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, PAGE, self->mem));
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, 4 * PAGE, IOVA));
	EXPECT_EQ(0, mock_check_map(fd, hwpt, IOVA, 4 * PAGE, self->mem));
	EXPECT_EQ(0, mock_check_map(fd, hwpt, IOVA + MOCK_PAGE, MOCK_PAGE, self->mem + MOCK_PAGE));
	EXPECT_EQ(0, mock_check_map(fd, hwpt, IOVA, 0, self->mem));

	/* one page or half a page beside, too long, before it, elsewhere */
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, PAGE, self->mem + PAGE));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, PAGE, self->mem + MOCK_PAGE));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, 4 * PAGE + MOCK_PAGE, self->mem));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA - MOCK_PAGE, MOCK_PAGE, self->mem));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, UINT64_MAX - MOCK_PAGE + 1, MOCK_PAGE, self->mem));

	/* not aligned, wrapping, no memory there, no page table */
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA + 1, PAGE, self->mem));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, PAGE - 1, self->mem));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, PAGE, self->mem + 1));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, UINT64_MAX - PAGE + 1, self->mem));
	EXPECT_EQ(-EFAULT, mock_check_map(fd, hwpt, IOVA, PAGE, NULL));
	EXPECT_EQ(-ENOENT, mock_check_map(fd, self->ioas, IOVA, PAGE, self->mem));
	EXPECT_EQ(-ENOENT, mock_check_map(fd, UNKNOWN_ID, IOVA, PAGE, self->mem));

	/* another page where the mapped one was */
	ASSERT_EQ(self->mem + PAGE, mmap(self->mem + PAGE, PAGE, PROT_READ | PROT_WRITE,
					 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	self->mem[PAGE] = 1;
	EXPECT_EQ(0, mock_check_map(fd, hwpt, IOVA, PAGE, self->mem));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, 2 * PAGE, self->mem));

	ASSERT_EQ(0, ioas_unmap(fd, self->ioas, IOVA, 4 * PAGE, NULL));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA + i * MOCK_PAGE, MOCK_PAGE,
						  self->mem + i * MOCK_PAGE));
}

TEST_F(mock, half_pages)
{
	int fd = self->iommufd;

	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem + MOCK_PAGE, 3 * MOCK_PAGE, IOVA + MOCK_PAGE));
	EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, IOVA + MOCK_PAGE, 3 * MOCK_PAGE, self->mem + MOCK_PAGE));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, IOVA, MOCK_PAGE, self->mem));
	EXPECT_EQ(-EINVAL, ioas_map_at(fd, self->ioas, self->mem, MOCK_PAGE / 2, IOVA + 4 * PAGE));
	/* to an address of other alignment within the page */
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem + MOCK_PAGE, PAGE, IOVA + 8 * PAGE));
	EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, IOVA + 8 * PAGE, PAGE, self->mem + MOCK_PAGE));
}

TEST_F(mock, aperture)
{
	struct iommu_iova_range range;
	uint64_t align;
	uint32_t num = 1;
	int fd = self->iommufd;

	ASSERT_EQ(0, ioas_ranges(fd, self->ioas, &range, &num, &align));
	EXPECT_EQ(MOCK_FIRST, range.start);
	EXPECT_EQ(MOCK_LAST, range.last);
	EXPECT_EQ(MOCK_PAGE, align);
	EXPECT_EQ(-EINVAL, ioas_map_at(fd, self->ioas, self->mem, PAGE, MOCK_FIRST - PAGE));
	EXPECT_EQ(-EINVAL, ioas_map_at(fd, self->ioas, self->mem, PAGE, MOCK_LAST + 1));
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, PAGE, MOCK_LAST + 1 - PAGE));
	EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, MOCK_LAST + 1 - PAGE, PAGE, self->mem));
}

/* Leaves of all sizes after one another at the same place: a table gives way to a leaf, and a leaf to a table */
TEST_F(mock, large_leaves)
{
	const size_t size = 4 * HUGE_PAGE;
	int fd = self->iommufd;
	uint8_t *huge = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	ASSERT_NE(MAP_FAILED, huge) TH_LOG("huge pages: %s", strerror(errno));
	memset(huge, 1, size);
	for (int round = 0; round < 4; round++) {
		uint8_t *mem = round % 2 ? self->mem : huge;
		size_t length = round % 2 ? MEM_SIZE : size;

		ASSERT_EQ(0, ioas_map_at(fd, self->ioas, mem, length, 2 * IOVA));
		EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, 2 * IOVA, length, mem));
		EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, 2 * IOVA + length, MOCK_PAGE, mem));
		ASSERT_EQ(0, ioas_unmap_all(fd, self->ioas));
		EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, 2 * IOVA, MOCK_PAGE, mem));
		EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, 2 * IOVA + length - MOCK_PAGE, MOCK_PAGE,
						  mem + length - MOCK_PAGE));
	}
	/* a huge page, but neither at an address nor of a length that large leaves fit */
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, huge + PAGE, size - PAGE, IOVA + MOCK_PAGE));
	EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, IOVA + MOCK_PAGE, size - PAGE, huge + PAGE));
	ASSERT_EQ(0, ioas_unmap_all(fd, self->ioas));
	munmap(huge, size);
}

TEST_F(mock, check_pins_counts)
{
	uint32_t ioas;
	int fd = self->iommufd;

	EXPECT_EQ(0, test_check_pins(fd, self->mem, MEM_SIZE, 0));
	EXPECT_EQ(-EIO, test_check_pins(fd, self->mem, PAGE, 1));
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, 2 * PAGE, IOVA));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, 2 * PAGE, 1));
	EXPECT_EQ(-EIO, test_check_pins(fd, self->mem, 3 * PAGE, 1));
	EXPECT_EQ(-EIO, test_check_pins(fd, self->mem, 2 * PAGE, 2));
	/* another mapping of the same memory pins it again */
	ASSERT_EQ(0, ioas_alloc(fd, &ioas));
	ASSERT_EQ(0, mock_device_create(fd, ioas, &self->dev));
	ASSERT_EQ(0, ioas_map_at(fd, ioas, self->mem, PAGE, IOVA));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, PAGE, 2));
	EXPECT_EQ(0, test_check_pins(fd, self->mem + PAGE, PAGE, 1));

	EXPECT_EQ(-EINVAL, test_check_pins(fd, self->mem + 1, PAGE, 0));
	EXPECT_EQ(-EINVAL, test_check_pins(fd, self->mem, PAGE + 1, 0));
	EXPECT_EQ(-EINVAL, test_check_pins(fd, self->mem, UINT64_MAX - PAGE + 1, 0));
	EXPECT_EQ(-EFAULT, test_check_pins(fd, NULL, PAGE, 0));
}

/* Pages pinned two by two: what counts is where batches meet */
TEST_F(mock, small_batches)
{
	int fd = self->iommufd;

	EXPECT_EQ(-EINVAL, test_memory_limit(fd, 11));
	for (uint32_t bytes = 12; bytes <= 40; bytes += 4) {
		ASSERT_EQ(0, test_memory_limit(fd, bytes));
		ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem + MOCK_PAGE, 33 * PAGE, IOVA + MOCK_PAGE));
		EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, IOVA + MOCK_PAGE, 33 * PAGE, self->mem + MOCK_PAGE));
		EXPECT_EQ(0, test_check_pins(fd, self->mem, 34 * PAGE, 1));
		EXPECT_EQ(0, test_check_pins(fd, self->mem + 34 * PAGE, PAGE, 0));
		ASSERT_EQ(0, ioas_unmap_all(fd, self->ioas));
	}
	EXPECT_EQ(0, test_memory_limit(fd, 65536));
}

/* ---- address spaces ---- */

TEST_F(mock, add_reserved)
{
	struct iommu_iova_range allowed = { .start = 8 * MIB, .last = 9 * MIB - 1 };
	uint32_t ioas;
	int fd = self->iommufd;

	ASSERT_EQ(0, ioas_alloc(fd, &ioas));
	EXPECT_EQ(-EINVAL, test_reserve(fd, ioas, MIB, 0));
	EXPECT_EQ(-EOVERFLOW, test_reserve(fd, ioas, MIB, UINT64_MAX - MIB + 2));
	EXPECT_EQ(-ENOENT, test_reserve(fd, self->dev.hwpt, MIB, PAGE));
	ASSERT_EQ(0, ioas_map_at(fd, ioas, self->mem, PAGE, MIB));
	ASSERT_EQ(0, ioas_allow(fd, ioas, &allowed, 1));
	EXPECT_EQ(-EADDRINUSE, test_reserve(fd, ioas, MIB + PAGE - 1, 1));
	EXPECT_EQ(-EADDRINUSE, test_reserve(fd, ioas, 9 * MIB - 1, 1));
	EXPECT_EQ(0, test_reserve(fd, ioas, MIB + PAGE, PAGE));
	EXPECT_EQ(0, test_reserve(fd, ioas, MIB + PAGE, 2 * PAGE));
	EXPECT_EQ(-EINVAL, ioas_map_at(fd, ioas, self->mem, PAGE, MIB + 2 * PAGE));
	EXPECT_EQ(0, ioas_map_at(fd, ioas, self->mem, PAGE, MIB + 3 * PAGE));
	EXPECT_EQ(0, iommu_destroy(fd, ioas));
}

/* ---- devices ---- */

TEST_F(mock, devices_share_a_page_table)
{
	struct mock_device other;
	int fd = self->iommufd;

	ASSERT_EQ(0, mock_device_create(fd, self->ioas, &other));
	EXPECT_EQ(self->dev.hwpt, other.hwpt);
	EXPECT_NE(self->dev.id, other.id);
	EXPECT_NE(self->dev.stdev, other.stdev);
	EXPECT_EQ(0, iommu_destroy(fd, other.stdev));
	EXPECT_EQ(-ENOENT, iommu_destroy(fd, other.stdev));
	EXPECT_EQ(-ENOENT, iommu_destroy(fd, other.id));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, self->dev.id));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, self->ioas));
	EXPECT_EQ(0, iommu_destroy(fd, self->dev.stdev));
	EXPECT_EQ(-ENOENT, iommu_destroy(fd, self->dev.hwpt));
	EXPECT_EQ(0, iommu_destroy(fd, self->ioas));
}

TEST_F(mock, device_on_a_page_table)
{
	struct mock_device other;
	uint32_t hwpt;
	int fd = self->iommufd;

	ASSERT_EQ(0, hwpt_alloc(fd, self->dev.id, self->ioas, 0, &hwpt));
	ASSERT_EQ(0, mock_device_create(fd, hwpt, &other));
	EXPECT_EQ(hwpt, other.hwpt);
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, hwpt));
	EXPECT_EQ(0, iommu_destroy(fd, other.stdev));
	EXPECT_EQ(0, iommu_destroy(fd, hwpt));

	EXPECT_EQ(-ENOENT, mock_device_create(fd, hwpt, &other));
	EXPECT_EQ(-ENOENT, mock_device_create(fd, 0, &other));
	EXPECT_EQ(-EINVAL, mock_device_create(fd, self->dev.id, &other));
	EXPECT_EQ(-EINVAL, mock_device_create(fd, self->dev.stdev, &other));
}

/* so far it differs from another page table in what was promised only */
TEST_F(mock, nest_parent_serves_a_device)
{
	uint32_t hwpt, other_hwpt, target;
	int fd = self->iommufd;

	for (int bit = 1; bit < 32; bit++) {
		uint32_t flag = 1U << bit;

		/* these there are, see iommufd_pasid and iommufd_fault */
		if (flag == IOMMU_HWPT_ALLOC_PASID || flag == IOMMU_HWPT_FAULT_ID_VALID)
			continue;
		EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc(fd, self->dev.id, self->ioas, flag, &hwpt)) TH_LOG("bit %d", bit);
		flag |= IOMMU_HWPT_ALLOC_NEST_PARENT;
		EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc(fd, self->dev.id, self->ioas, flag, &hwpt)) TH_LOG("bit %d", bit);
	}
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, PAGE, IOVA));
	ASSERT_EQ(0, hwpt_alloc(fd, self->dev.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &hwpt));
	ASSERT_EQ(0, hwpt_alloc(fd, self->dev.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &other_hwpt));
	EXPECT_EQ(0, mock_check_map(fd, hwpt, IOVA, PAGE, self->mem));
	target = hwpt;
	EXPECT_EQ(0, mock_device_replace(fd, self->dev.stdev, &target));
	EXPECT_EQ(hwpt, target);
	/* the page table that the kernel made is gone, and attaching to the IOAS takes no requested one for it */
	EXPECT_EQ(-ENOENT, iommu_destroy(fd, self->dev.hwpt));
	target = self->ioas;
	EXPECT_EQ(0, mock_device_replace(fd, self->dev.stdev, &target));
	EXPECT_NE(hwpt, target);
	EXPECT_NE(other_hwpt, target);
	EXPECT_EQ(0, iommu_destroy(fd, hwpt));
	EXPECT_EQ(0, iommu_destroy(fd, other_hwpt));
}

TEST_F(mock, replace)
{
	uint32_t ioas, pt = self->dev.hwpt, first = self->dev.hwpt, hwpt;
	int fd = self->iommufd;

	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, PAGE, IOVA));
	ASSERT_EQ(0, ioas_alloc(fd, &ioas));
	ASSERT_EQ(0, ioas_map_at(fd, ioas, self->mem + PAGE, PAGE, IOVA));
	EXPECT_EQ(0, mock_device_replace(fd, self->dev.stdev, &pt));
	EXPECT_EQ(first, pt);
	pt = ioas;
	ASSERT_EQ(0, mock_device_replace(fd, self->dev.stdev, &pt));
	EXPECT_EQ(-ENOENT, iommu_destroy(fd, first));
	EXPECT_EQ(0, mock_check_map(fd, pt, IOVA, PAGE, self->mem + PAGE));
	ASSERT_EQ(0, hwpt_alloc(fd, self->dev.id, self->ioas, 0, &hwpt));
	pt = hwpt;
	ASSERT_EQ(0, mock_device_replace(fd, self->dev.stdev, &pt));
	EXPECT_EQ(hwpt, pt);
	EXPECT_EQ(0, iommu_destroy(fd, ioas));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, hwpt));

	pt = ioas;
	EXPECT_EQ(-ENOENT, mock_device_replace(fd, self->dev.stdev, &pt));
	pt = self->dev.id;
	EXPECT_EQ(-EINVAL, mock_device_replace(fd, self->dev.stdev, &pt));
	pt = self->ioas;
	EXPECT_EQ(-ENOENT, mock_device_replace(fd, self->dev.id, &pt));
	EXPECT_EQ(-ENOENT, mock_device_replace(fd, 0, &pt));
}

/* A result that cannot be delivered: nothing has happened then */
TEST_F(mock, no_room_for_the_result)
{
	struct iommu_test_cmd *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t ioas, again;
	int fd = self->iommufd;

	ASSERT_NE(MAP_FAILED, cmd);
	ASSERT_EQ(0, ioas_alloc(fd, &ioas));
	*cmd = (struct iommu_test_cmd){ .size = sizeof(*cmd), .op = TEST_OP_MOCK_DOMAIN, .id = ioas };
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(fd, IOMMU_TEST_CMD, cmd));
	/* neither page table nor device is there */
	EXPECT_EQ(0, iommu_destroy(fd, ioas));

	ASSERT_EQ(0, ioas_alloc(fd, &ioas));
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ | PROT_WRITE));
	cmd->op = TEST_OP_MOCK_DOMAIN_REPLACE;
	cmd->id = self->dev.stdev;
	cmd->replace.id = ioas;
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(fd, IOMMU_TEST_CMD, cmd));
	EXPECT_EQ(0, iommu_destroy(fd, ioas));
	again = self->ioas;
	EXPECT_EQ(0, mock_device_replace(fd, self->dev.stdev, &again));
	EXPECT_EQ(self->dev.hwpt, again);

	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ | PROT_WRITE));
	*cmd = (struct iommu_test_cmd){ .size = sizeof(*cmd), .op = TEST_OP_CREATE_ACCESS, .id = self->ioas };
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(fd, IOMMU_TEST_CMD, cmd));
	munmap(cmd, PAGE);
}

TEST_F(mock, hardware_information)
{
	struct iommu_hw_info cmd = { .size = sizeof(cmd), .dev_id = self->dev.id };
	uint32_t info[4] = { 1, 1, 1, 1 };
	struct mock_device pasids;
	int fd = self->iommufd;

	cmd.data_len = sizeof(info);
	cmd.data_uptr = to_u64(info);
	ASSERT_EQ(0, iommu_call(fd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(8, cmd.data_len);
	EXPECT_EQ(0xfeedbeef, cmd.out_data_type);
	EXPECT_EQ(0, info[0]);
	EXPECT_EQ(0xdeadbeef, info[1]);
	EXPECT_EQ(0, info[2] | info[3]);
	EXPECT_EQ(0, cmd.out_max_pasid_log2);

	ASSERT_EQ(0, mock_device_create_with(fd, self->ioas, MOCK_PASIDS, &pasids));
	cmd.dev_id = pasids.id;
	cmd.data_len = 0;
	ASSERT_EQ(0, iommu_call(fd, IOMMU_GET_HW_INFO, &cmd));
	EXPECT_EQ(20, cmd.out_max_pasid_log2);
	EXPECT_EQ(-EINVAL, mock_device_create_with(fd, self->ioas, 2, &pasids));
	EXPECT_EQ(-EINVAL, mock_device_create_with(fd, self->ioas, 8, &pasids));
	EXPECT_EQ(0, mock_device_create_with(fd, self->ioas, MOCK_PASIDS | MOCK_NO_DIRTY, &pasids));
}

TEST_F(mock, device_cache)
{
	int fd = self->iommufd;

	for (uint32_t slot = 0; slot < 6; slot++) {
		EXPECT_EQ(slot < 4 ? 0 : -EINVAL, mock_check_cache(fd, self->dev.id, slot, 0xbaddad));
		EXPECT_EQ(-EINVAL, mock_check_cache(fd, self->dev.id, slot, 0));
	}
	EXPECT_EQ(-ENOENT, mock_check_cache(fd, self->dev.stdev, 0, 0xbaddad));
}

/* The mock IOMMU and the one of the machine at work for one address space */
TEST_F(mock, beside_a_real_device)
{
	struct edu edu;
	uint32_t hwpt;
	int fd = self->iommufd;

	ASSERT_EQ(0, edu_open_bound(&edu, 0, fd));
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, vfio_attach(edu.fd, self->ioas, &hwpt));
	EXPECT_NE(self->dev.hwpt, hwpt);
	pattern_fill(self->mem, 512, 1);
	ASSERT_EQ(0, edu_copy(&edu, IOVA, IOVA + PAGE, 512));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, 512, 1));
	EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, IOVA, 4 * PAGE, self->mem));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, hwpt, IOVA, 4 * PAGE, self->mem));
	/* neither takes the other's page table */
	EXPECT_EQ(-EINVAL, mock_device_replace(fd, self->dev.stdev, &hwpt));
	EXPECT_EQ(-EINVAL, vfio_attach(edu.fd, self->dev.hwpt, NULL));
	/* nor for a PASID, where the machine's can be made for that */
	if (!hwpt_alloc(fd, edu.id, self->ioas, IOMMU_HWPT_ALLOC_PASID, &hwpt)) {
		struct mock_device pasids;

		ASSERT_EQ(0, mock_device_plug(fd, 0, 0, MOCK_PASIDS, 0, 0, &pasids));
		EXPECT_EQ(-EINVAL, mock_pasid_attach(fd, pasids.stdev, 5, &hwpt));
		EXPECT_EQ(0, mock_check_table(fd, pasids.stdev, 5, 0));
		EXPECT_EQ(0, iommu_destroy(fd, hwpt));
	}
	edu_close(&edu);
}

/* ---- dma-bufs ---- */

TEST_F(mock, dmabuf_is_made_of_zeros)
{
	int fd = self->iommufd, buf;
	uint8_t *mem;

	EXPECT_EQ(-EINVAL, test_dmabuf_get(fd, 0, 0));
	EXPECT_EQ(-EINVAL, test_dmabuf_get(fd, 2 * MIB + 1, 0));
	EXPECT_EQ(-EINVAL, test_dmabuf_get(fd, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, test_dmabuf_get(fd, PAGE, O_CLOEXEC | O_APPEND));
	buf = test_dmabuf_get(fd, 2 * MIB, 0);
	ASSERT_LT(0, buf);
	EXPECT_EQ(0, fcntl(buf, F_GETFD));
	close(buf);
	buf = test_dmabuf_get(fd, 3 * PAGE + 1, O_CLOEXEC);
	ASSERT_LT(0, buf);
	EXPECT_EQ(FD_CLOEXEC, fcntl(buf, F_GETFD));
	EXPECT_EQ(4 * PAGE, lseek(buf, 0, SEEK_END));
	mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_TRUE(bytes_are(mem, 4 * PAGE, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, buf, 0));
	memset(mem, 1, 4 * PAGE);
	close(buf);
	munmap(mem, 4 * PAGE);
}

TEST_F(mock, dmabuf_revoke)
{
	int fd = self->iommufd, buf = test_dmabuf_get(fd, 4 * PAGE, O_CLOEXEC);
	uint8_t *mem;

	ASSERT_LT(0, buf);
	mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, ioas_map_file_at(fd, self->ioas, buf, PAGE, 2 * PAGE, IOVA));
	EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, IOVA, 2 * PAGE, mem + PAGE));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, IOVA, PAGE, mem));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, IOVA + 2 * PAGE, PAGE, mem + 3 * PAGE));

	ASSERT_EQ(0, test_dmabuf_revoke(fd, buf, true));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, IOVA + i * MOCK_PAGE, MOCK_PAGE,
						  mem + PAGE + i * MOCK_PAGE));
	EXPECT_EQ(-ENODEV, ioas_map_file_at(fd, self->ioas, buf, 0, PAGE, 2 * IOVA));
	ASSERT_EQ(0, test_dmabuf_revoke(fd, buf, false));
	EXPECT_EQ(-EINVAL, mock_check_map(fd, self->dev.hwpt, IOVA, PAGE, mem + PAGE));
	ASSERT_EQ(0, ioas_map_file_at(fd, self->ioas, buf, 0, PAGE, 2 * IOVA));
	EXPECT_EQ(0, mock_check_map(fd, self->dev.hwpt, 2 * IOVA, PAGE, mem));

	EXPECT_EQ(-EBADF, test_dmabuf_revoke(fd, -1, true));
	EXPECT_EQ(-EINVAL, test_dmabuf_revoke(fd, fd, true));
	/* left for close: a live area, a revoked one and the process's view */
	close(buf);
}

/* ---- emulated devices ---- */

TEST_F(mock, access_pins_and_lets_go)
{
	int fd = self->iommufd, access;
	uint32_t id, other;

	access = test_access_create(fd, self->ioas, ACCESS_PINS);
	ASSERT_LE(0, access);
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, 4 * PAGE, IOVA));
	EXPECT_EQ(-EBADE, test_access_pin(fd, access, IOVA, PAGE, self->mem + PAGE, 0, &id));
	ASSERT_EQ(0, test_access_pin(fd, access, IOVA + 1, PAGE, self->mem + 1, ACCESS_WRITE, &id));
	ASSERT_EQ(0, test_access_pin(fd, access, IOVA, 4 * PAGE, self->mem, 0, &other));
	EXPECT_EQ(0, id);
	EXPECT_EQ(1, other);
	EXPECT_EQ(0, test_check_pins(fd, self->mem, 4 * PAGE, 1));
	EXPECT_EQ(0, test_access_unpin(fd, access, other));
	EXPECT_EQ(-ENOENT, test_access_unpin(fd, access, other));
	ASSERT_EQ(0, ioas_unmap(fd, self->ioas, IOVA, 4 * PAGE, NULL));
	EXPECT_EQ(-ENOENT, test_access_unpin(fd, access, id));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, 4 * PAGE, 0));

	/* and a close lets go of what is left */
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, test_access_pin(fd, access, IOVA, PAGE, self->mem, 0, &id));
	ASSERT_EQ(0, iommu_destroy(fd, self->dev.stdev));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, PAGE, 1));
	EXPECT_EQ(0, test_check_pins(fd, self->mem + PAGE, PAGE, 0));
	close(access);
	EXPECT_EQ(0, test_check_pins(fd, self->mem, PAGE, 0));
}

TEST_F(mock, access_bad_input)
{
	int fd = self->iommufd, access, copies;
	uint8_t *buf = small_pages(PAGE);
	uint32_t id;

	ASSERT_NE(NULL, buf);
	access = test_access_create(fd, self->ioas, ACCESS_PINS);
	copies = test_access_create(fd, self->ioas, 0);
	ASSERT_LE(0, access);
	ASSERT_LE(0, copies);
	EXPECT_EQ(-EOPNOTSUPP, test_access_create(fd, self->ioas, 2));
	EXPECT_EQ(-ENOENT, test_access_create(fd, UNKNOWN_ID, 0));
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, 4 * PAGE, IOVA));

	EXPECT_EQ(-ENOMEM, test_access_pin(fd, -1, IOVA, 16 * MIB + 1, NULL, 2, &id));
	EXPECT_EQ(-EOPNOTSUPP, test_access_pin(fd, -1, IOVA, PAGE, NULL, 2, &id));
	EXPECT_EQ(-EBADFD, test_access_pin(fd, -1, IOVA, PAGE, NULL, 0, &id));
	EXPECT_EQ(-EBADFD, test_access_pin(fd, fd, IOVA, PAGE, NULL, 0, &id));
	EXPECT_EQ(-EOPNOTSUPP, test_access_pin(fd, copies, IOVA, PAGE, NULL, 0, &id));
	EXPECT_EQ(-EINVAL, test_access_pin(fd, access, IOVA, 0, NULL, 0, &id));
	EXPECT_EQ(-EOVERFLOW, test_access_pin(fd, access, UINT64_MAX, PAGE, NULL, 0, &id));
	EXPECT_EQ(-ENOENT, test_access_pin(fd, access, IOVA, 5 * PAGE, NULL, 0, &id));
	EXPECT_EQ(-EFAULT, test_access_pin(fd, access, IOVA, PAGE, (void *)PAGE, 0, &id));

	EXPECT_EQ(-ENOMEM, test_access_rw(fd, -1, IOVA, buf, 16 * MIB + 1, 2));
	EXPECT_EQ(-EOPNOTSUPP, test_access_rw(fd, -1, IOVA, buf, PAGE, 2));
	EXPECT_EQ(-EBADFD, test_access_rw(fd, -1, IOVA, buf, PAGE, 0));
	EXPECT_EQ(-EFAULT, test_access_rw(fd, copies, IOVA, (void *)PAGE, PAGE, 0));
	EXPECT_EQ(-EFAULT, test_access_rw(fd, copies, IOVA, (void *)PAGE, PAGE, ACCESS_WRITE));
	EXPECT_EQ(-EINVAL, test_access_rw(fd, copies, IOVA, buf, 0, 0));
	EXPECT_EQ(-ENOENT, test_access_rw(fd, copies, IOVA + 4 * PAGE - 1, buf, 2, 0));

	EXPECT_EQ(-EBADFD, test_access_unpin(fd, fd, 0));
	EXPECT_EQ(-EBADFD, test_access_replace(fd, fd, self->ioas));
	EXPECT_EQ(-ENOENT, test_access_replace(fd, access, UNKNOWN_ID));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, 4 * PAGE, 1));
	close(copies);
	munmap(buf, PAGE);
	/* @access is left for close, after the context's own file */
	close(fd);
	close(access);
}

TEST_F(mock, access_copies)
{
	int fd = self->iommufd, access;
	uint8_t *buf = small_pages(PAGE);

	ASSERT_NE(NULL, buf);
	access = test_access_create(fd, self->ioas, 0);
	ASSERT_LE(0, access);
	ASSERT_EQ(0, ioas_map_at(fd, self->ioas, self->mem, 2 * PAGE, IOVA));
	for (uint32_t remote = 0; remote <= ACCESS_REMOTE; remote += ACCESS_REMOTE) {
		pattern_fill(self->mem + PAGE - 50, 100, 1 + remote);
		ASSERT_EQ(0, test_access_rw(fd, access, IOVA + PAGE - 50, buf, 100, remote));
		EXPECT_TRUE(pattern_is(buf, 100, 1 + remote));
		pattern_fill(buf, 100, 2 + remote);
		ASSERT_EQ(0, test_access_rw(fd, access, IOVA + PAGE - 50, buf, 100, remote | ACCESS_WRITE));
		EXPECT_TRUE(pattern_is(self->mem + PAGE - 50, 100, 2 + remote));
		EXPECT_TRUE(bytes_are(self->mem + PAGE + 50, 8, 0));
	}
	close(access);
	munmap(buf, PAGE);
}

TEST_F(mock, access_moves)
{
	int fd = self->iommufd, access;
	uint32_t ioas, id;

	ASSERT_EQ(0, ioas_alloc(fd, &ioas));
	ASSERT_EQ(0, ioas_map_at(fd, ioas, self->mem, PAGE, IOVA));
	access = test_access_create(fd, ioas, ACCESS_PINS);
	ASSERT_LE(0, access);
	ASSERT_EQ(0, test_access_pin(fd, access, IOVA, PAGE, self->mem, 0, &id));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, PAGE, 1));
	EXPECT_EQ(-EBUSY, iommu_destroy(fd, ioas));
	ASSERT_EQ(0, test_access_replace(fd, access, self->ioas));
	EXPECT_EQ(-ENOENT, test_access_unpin(fd, access, id));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, PAGE, 0));
	EXPECT_EQ(0, iommu_destroy(fd, ioas));
	close(access);
}

/* ---- all at the end, and everything failing once ---- */

TEST_F(mock, close_with_everything_alive)
{
	int fd = self->iommufd, access;
	uint32_t ioas, hwpt, id;
	struct mock_device dev;

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, ioas_alloc(fd, &ioas));
		ASSERT_EQ(0, mock_device_create(fd, ioas, &dev));
		ASSERT_EQ(0, hwpt_alloc(fd, dev.id, ioas, 0, &hwpt));
		ASSERT_EQ(0, mock_device_create(fd, hwpt, &dev));
		ASSERT_EQ(0, ioas_map_at(fd, ioas, self->mem, MEM_SIZE, IOVA));
	}
	access = test_access_create(fd, ioas, ACCESS_PINS);
	ASSERT_LE(0, access);
	ASSERT_EQ(0, test_access_pin(fd, access, IOVA, MEM_SIZE, self->mem, 0, &id));
	EXPECT_EQ(0, test_check_pins(fd, self->mem, MEM_SIZE, 4));
	close(access);
}

TEST_F(mock, device_creation_fails_everywhere)
{
	int fd = self->iommufd, nth = open("/proc/thread-self/fail-nth", O_RDWR), rc, n;
	struct mock_device dev = { };
	uint32_t ioas;

	if (nth < 0 || may_fail_everywhere())
		SKIP(return, NO_FAULT_INJECTION);
	for (n = 1; n < 1000; n++) {
		bool happened;

		ASSERT_EQ(0, ioas_alloc(fd, &ioas));
		ASSERT_EQ(0, ioas_map_at(fd, ioas, self->mem, 4 * PAGE, IOVA));
		fail_arm(nth, n);
		rc = mock_device_create_with(fd, ioas, MOCK_PASIDS, &dev);
		happened = fail_happened(nth);
		if (!rc) {
			EXPECT_EQ_FOR(0, mock_check_map(fd, dev.hwpt, IOVA, 4 * PAGE, self->mem), "failure %d", n);
			ASSERT_EQ_FOR(0, iommu_destroy(fd, dev.stdev), "failure %d", n);
		} else {
			EXPECT_EQ_FOR(true, happened, "failure %d: %s", n, strerror(-rc));
		}
		ASSERT_EQ_FOR(0, iommu_destroy(fd, ioas), "failure %d", n);
		ASSERT_EQ_FOR(0, test_check_pins(fd, self->mem, 4 * PAGE, 0), "failure %d", n);
		if (!happened)
			break;
	}
	TH_LOG("%d points of failure", n - 1);
	EXPECT_EQ(0, rc);
	EXPECT_GT(1000, n);
	close(nth);
}

TEST_HARNESS_MAIN
