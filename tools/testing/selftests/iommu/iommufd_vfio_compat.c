// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_vfio_compat - the ioctls of a VFIO container with a type1 IOMMU, on the file of /dev/iommu
 *
 * Which IOAS they act on, the rules of their structures, and what they do to mappings: of both versions of type1, with
 * and without a page table, and with a device that does DMA.
 */
#include "iommu_test.h"
#include "type1.h"

#define MEM_SIZE	(4 * MIB)
#define IOVA		0x1000000UL
#define BYTES		512

/* ---- the commands ---- */

static int vfio_ioas(int fd, uint16_t op, uint32_t *id)
{
	struct iommu_vfio_ioas cmd = { .size = sizeof(cmd), .ioas_id = *id, .op = op };
	int rc = iommu_call(fd, IOMMU_VFIO_IOAS, &cmd);

	*id = cmd.ioas_id;
	return rc;
}

static int set_ioas(int fd, uint32_t id)
{
	return vfio_ioas(fd, IOMMU_VFIO_IOAS_SET, &id);
}

static int clear_ioas(int fd)
{
	uint32_t id = 0;

	return vfio_ioas(fd, IOMMU_VFIO_IOAS_CLEAR, &id);
}

/* ---- which address space ---- */

FIXTURE(file)
{
	int fd;
};

FIXTURE_SETUP(file)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
}

FIXTURE_TEARDOWN(file)
{
	close(self->fd);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(file, has_no_ioas_until_one_is_named)
{
	uint32_t a, b, id = 77;

	EXPECT_EQ(-ENODEV, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(77, id);
	EXPECT_EQ(0, clear_ioas(self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &a));
	ASSERT_EQ(0, ioas_alloc(self->fd, &b));
	EXPECT_EQ(-ENODEV, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(0, set_ioas(self->fd, a));
	EXPECT_EQ(0, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(a, id);
	EXPECT_EQ(0, set_ioas(self->fd, b));
	EXPECT_EQ(0, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(b, id);
	EXPECT_EQ(0, clear_ioas(self->fd));
	EXPECT_EQ(-ENODEV, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(0, set_ioas(self->fd, a));
	/* the last one stays named until the file is closed */
}

TEST_F(file, vfio_ioas_refuses_bad_arguments)
{
	struct iommu_vfio_ioas cmd = { .size = sizeof(cmd), .op = IOMMU_VFIO_IOAS_SET };
	uint32_t ioas, id = 0;

	ASSERT_EQ(0, ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, set_ioas(self->fd, ioas));
	EXPECT_EQ(-ENOENT, set_ioas(self->fd, 0));
	EXPECT_EQ(-ENOENT, set_ioas(self->fd, UNKNOWN_ID));
	cmd.ioas_id = ioas;
	for (int bit = 0; bit < 16; bit++) {
		cmd.__reserved = 1U << bit;
		EXPECT_EQ_FOR(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_VFIO_IOAS, &cmd), "bit %d", bit);
	}
	cmd.__reserved = 0;
	for (cmd.op = IOMMU_VFIO_IOAS_CLEAR + 1; cmd.op; cmd.op <<= 1)
		EXPECT_EQ_FOR(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_VFIO_IOAS, &cmd), "op %u", cmd.op);
	/* what was named before still is */
	EXPECT_EQ(0, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(ioas, id);
}

TEST_F(file, destroyed_ioas_is_not_named_any_more)
{
	uint64_t size = PAGE;
	uint32_t ioas, id = 0;

	ASSERT_EQ(0, ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, set_ioas(self->fd, ioas));
	EXPECT_EQ(0, type1_unmap_bytes(self->fd, 0, PAGE));
	EXPECT_EQ(0, iommu_destroy(self->fd, ioas));
	EXPECT_EQ(-ENODEV, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(-ENODEV, type1_unmap(self->fd, 0, &size, 0));
	/* nor is the next one, which may have the same id */
	ASSERT_EQ(0, ioas_alloc(self->fd, &id));
	EXPECT_EQ(ioas, id);
	EXPECT_EQ(-ENODEV, vfio_ioas(self->fd, IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(-ENODEV, type1_unmap(self->fd, 0, &size, 0));
}

TEST_F(file, commands_act_on_the_ioas_that_is_named)
{
	uint8_t *mem = small_pages(PAGE);
	uint64_t bytes = 0;
	uint32_t a, b;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ioas_alloc(self->fd, &a));
	ASSERT_EQ(0, ioas_alloc(self->fd, &b));
	ASSERT_EQ(0, set_ioas(self->fd, a));
	ASSERT_EQ(0, type1_map(self->fd, mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, b, IOVA, PAGE, NULL));
	ASSERT_EQ(0, set_ioas(self->fd, b));
	ASSERT_EQ(0, type1_map(self->fd, mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(0, ioas_unmap(self->fd, a, IOVA, PAGE, &bytes));
	EXPECT_EQ(PAGE, bytes);
	EXPECT_EQ(PAGE, type1_unmap_bytes(self->fd, IOVA, PAGE));
	munmap(mem, PAGE);
}

TEST_F(file, answers_what_needs_no_ioas)
{
	EXPECT_EQ(VFIO_API_VERSION, iommu_call(self->fd, VFIO_GET_API_VERSION, NULL));
	EXPECT_EQ(1, type1_extension(self->fd, VFIO_TYPE1_IOMMU));
	EXPECT_EQ(1, type1_extension(self->fd, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(1, type1_extension(self->fd, VFIO_UNMAP_ALL));
	/* 2 is sPAPR, 5 EEH, 6 nesting, 7 sPAPR v2, 8 no IOMMU, 10 a new vaddr for a mapping */
	for (unsigned long extension = 0; extension < 64; extension++)
		if (extension != VFIO_TYPE1_IOMMU && extension != VFIO_TYPE1v2_IOMMU && extension != VFIO_UNMAP_ALL)
			EXPECT_EQ_FOR(0, type1_extension(self->fd, extension), "extension %lu", extension);
	EXPECT_EQ(0, type1_extension(self->fd, -1UL));
}

TEST_F(file, structures_are_checked_before_the_ioas)
{
	struct vfio_iommu_type1_info info = {};
	struct vfio_iommu_type1_dma_map map = {};
	struct vfio_iommu_type1_dma_unmap unmap = {};

	for (uint32_t argsz = 0; argsz < 16; argsz++) {
		info.argsz = argsz;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, &info), "argsz %u", argsz);
	}
	for (uint32_t argsz = 0; argsz < 32; argsz++) {
		map.argsz = argsz;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_MAP_DMA, &map), "argsz %u", argsz);
	}
	for (uint32_t argsz = 0; argsz < 24; argsz++) {
		unmap.argsz = argsz;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &unmap), "argsz %u", argsz);
	}

	info.argsz = 16;
	EXPECT_EQ(-ENODEV, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, &info));
	map.argsz = sizeof(map);
	EXPECT_EQ(-ENODEV, iommu_call(self->fd, VFIO_IOMMU_MAP_DMA, &map));
	unmap.argsz = sizeof(unmap);
	EXPECT_EQ(-ENODEV, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &unmap));
	EXPECT_EQ(-ENODEV, type1_log_start(self->fd));
	/* flags are an output of the first; 4 would be a new vaddr in the second */
	info.flags = UINT32_MAX;
	EXPECT_EQ(-ENODEV, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, &info));
	for (int bit = 2; bit < 32; bit++) {
		map.flags = 1U << bit;
		EXPECT_EQ_FOR(-EINVAL, iommu_call(self->fd, VFIO_IOMMU_MAP_DMA, &map), "flag %d", bit);
	}
	/* the dirty bitmap is bit 0 and wants a longer structure, all is bit 1 */
	for (int bit = 0; bit < 32; bit++) {
		unmap.flags = 1U << bit;
		EXPECT_EQ_FOR(bit == 1 ? -ENODEV : -EINVAL, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &unmap),
			      "flag %d", bit);
	}
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, NULL));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_MAP_DMA, NULL));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, NULL));

	EXPECT_EQ(-ENODEV, type1_set_iommu(self->fd, VFIO_TYPE1_IOMMU));
	EXPECT_EQ(-ENODEV, type1_set_iommu(self->fd, VFIO_TYPE1v2_IOMMU));
	for (unsigned long type = 0; type < 16; type++)
		if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
			EXPECT_EQ_FOR(-EINVAL, type1_set_iommu(self->fd, type), "type %lu", type);
}

TEST_F(file, other_numbers_are_enotty)
{
	uint32_t buf[64] = { sizeof(buf) };
	uint32_t ioas;

	ASSERT_EQ(0, ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, set_ioas(self->fd, ioas));
	for (unsigned int nr = 0; nr < 0x80; nr++)
		if ((nr < 0x64 || nr > 0x66) && (nr < 0x70 || nr > 0x72) && nr != 0x75)
			EXPECT_EQ_FOR(-ENOTTY, iommu_call(self->fd, _IO(';', nr), buf), "number %x", nr);
	EXPECT_EQ(-ENOTTY, iommu_call(self->fd, _IOW(';', 0x71, uint32_t), buf));
	EXPECT_EQ(-ENOTTY, iommu_call(self->fd, _IO('<', 0x71), buf));
}

/* ---- mappings ---- */

FIXTURE(type1)
{
	int fd;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
	long faults;
};

FIXTURE_VARIANT(type1)
{
	unsigned long version;
	bool device;
};

FIXTURE_VARIANT_ADD(type1, v1)
{
	.version = VFIO_TYPE1_IOMMU, .device = false,
};

FIXTURE_VARIANT_ADD(type1, v2)
{
	.version = VFIO_TYPE1v2_IOMMU, .device = false,
};

FIXTURE_VARIANT_ADD(type1, v1_device)
{
	.version = VFIO_TYPE1_IOMMU, .device = true,
};

FIXTURE_VARIANT_ADD(type1, v2_device)
{
	.version = VFIO_TYPE1v2_IOMMU, .device = true,
};

FIXTURE_SETUP(type1)
{
	self->faults = iommu_fault_count();
	self->edu.fd = -1;
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas));
	ASSERT_EQ(0, set_ioas(self->fd, self->ioas));
	if (variant->device) {
		ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->fd));
		ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	}
	ASSERT_EQ(0, type1_set_iommu(self->fd, variant->version));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(type1)
{
	edu_close(&self->edu);
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(type1, version_decides_about_huge_pages)
{
	uint64_t val = 77;

	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_HUGE_PAGES, self->ioas, &val));
	EXPECT_EQ(variant->version == VFIO_TYPE1v2_IOMMU, val);
	/* the second version leaves what it finds */
	EXPECT_EQ(0, type1_set_iommu(self->fd, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_HUGE_PAGES, self->ioas, &val));
	EXPECT_EQ(variant->version == VFIO_TYPE1v2_IOMMU, val);

	/* mappings with large leaves cannot be cut later */
	ASSERT_EQ(0, type1_map(self->fd, self->mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(variant->device && val ? -EINVAL : 0, type1_set_iommu(self->fd, VFIO_TYPE1_IOMMU));
}

TEST_F(type1, info_of_every_length)
{
	struct iommu_iova_range ranges[8];
	uint32_t num = ARRAY_SIZE(ranges), full, chain;
	struct vfio_iommu_type1_info *info;
	uint8_t *buf = self->mem;

	ASSERT_EQ(0, ioas_ranges(self->fd, self->ioas, ranges, &num, NULL));
	EXPECT_EQ(variant->device ? 2 : 1, num);
	full = 24 + 16 + 32 + 16 + 16 * num;
	info = (void *)buf;
	for (uint32_t argsz = 16; argsz < full + 40; argsz++) {
		uint32_t written = argsz < full ? argsz < 24 ? argsz : 24 : full;

		memset(buf, 0xee, 512);
		info->argsz = argsz;
		ASSERT_EQ_FOR(0, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, info), "argsz %u", argsz);
		EXPECT_EQ_FOR(full, info->argsz, "argsz %u", argsz);
		EXPECT_EQ_FOR(VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, info->flags, "argsz %u", argsz);
		if (argsz >= 20)
			EXPECT_EQ_FOR(argsz < full ? 0 : 24, info->cap_offset, "argsz %u", argsz);
		EXPECT_TRUE(bytes_are(buf + written, 512 - written, 0xee)) TH_LOG("argsz %u", argsz);
	}

	/* the last one was long enough */
	EXPECT_EQ(0, info->pad);
	chain = info->cap_offset;
	for (int caps = 0; chain; caps++) {
		struct vfio_info_cap_header *header = (void *)(buf + chain);

		EXPECT_EQ(0, chain % 8);
		EXPECT_EQ(1, header->version);
		if (caps == 0) {
			struct vfio_iommu_type1_info_dma_avail *avail = (void *)header;

			EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, header->id);
			EXPECT_EQ(UINT32_MAX, avail->avail);
			EXPECT_LE(chain + sizeof(*avail), header->next);
		} else if (caps == 1) {
			struct vfio_iommu_type1_info_cap_migration *migration = (void *)header;

			EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, header->id);
			EXPECT_EQ(0, migration->flags);
			EXPECT_EQ(PAGE, migration->pgsize_bitmap);
			EXPECT_EQ(1UL << 28, migration->max_dirty_bitmap_size);
			EXPECT_LE(chain + sizeof(*migration), header->next);
		} else {
			struct vfio_iommu_type1_info_cap_iova_range *range = (void *)header;

			ASSERT_EQ(2, caps);
			EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, header->id);
			EXPECT_EQ(0, header->next);
			EXPECT_EQ(0, range->reserved);
			ASSERT_EQ(num, range->nr_iovas);
			for (uint32_t i = 0; i < num; i++) {
				EXPECT_EQ(ranges[i].start, range->iova_ranges[i].start);
				EXPECT_EQ(ranges[i].last, range->iova_ranges[i].end);
			}
		}
		chain = header->next;
	}
}

TEST_F(type1, info_of_page_sizes)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	ASSERT_EQ(0, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, &info));
	EXPECT_EQ(PAGE, info.iova_pgsizes & -info.iova_pgsizes);
	/* without a page table nothing bounds them; one of an IOMMU has 2 MiB and 1 GiB at most */
	if (variant->device)
		EXPECT_EQ_FOR(0, info.iova_pgsizes & ~(PAGE | HUGE_PAGE | 1UL << 30), "an IOMMU");
	else
		EXPECT_EQ_FOR(-PAGE, info.iova_pgsizes, "no page table");
}

TEST_F(type1, info_in_bad_memory_is_efault)
{
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *end = pages + PAGE;
	uint32_t full;

	ASSERT_NE(MAP_FAILED, (void *)pages);
	ASSERT_EQ(0, munmap(end, PAGE));
	/* room for the first part and not for more: the size that is needed is known all the same */
	for (uint32_t argsz = 16; argsz <= 24; argsz++) {
		memcpy(end - argsz, &argsz, 4);
		EXPECT_EQ_FOR(0, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, end - argsz), "argsz %u", argsz);
		memcpy(&full, end - argsz, 4);
	}
	memcpy(end - 24, &full, 4);
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, end - 24));
	memcpy(end - 4, &full, 4);
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, end - 4));
	memcpy(pages, &full, 4);
	ASSERT_EQ(0, mprotect(pages, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_GET_INFO, pages));
	munmap(pages, PAGE);
}

TEST_F(type1, coherency_is_that_of_the_page_tables)
{
	struct iommu_hw_info_vtd vtd = {};
	struct iommu_hw_info info = {
		.size = sizeof(info), .dev_id = self->edu.id, .data_len = sizeof(vtd), .data_uptr = to_u64(&vtd),
	};
	int coherent = 1;

	/* no device, nothing that could bypass a cache; VT-d says in bit 7 if it can forbid it, and an SMMUv3 cannot */
	if (variant->device) {
		ASSERT_EQ(0, iommu_call(self->fd, IOMMU_GET_HW_INFO, &info));
		coherent = info.out_data_type == IOMMU_HW_INFO_TYPE_INTEL_VTD ? vtd.ecap_reg >> 7 & 1 : 0;
	}
	EXPECT_EQ(coherent, type1_extension(self->fd, VFIO_DMA_CC_IOMMU));
	EXPECT_EQ(0, clear_ioas(self->fd));
	EXPECT_EQ(0, type1_extension(self->fd, VFIO_DMA_CC_IOMMU));
}

TEST_F(type1, map_and_unmap)
{
	ASSERT_EQ(0, type1_map(self->fd, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
	EXPECT_EQ(variant->device ? MEM_SIZE / 1024 : 0, vm_pin_kb());
	EXPECT_EQ(-EEXIST, type1_map(self->fd, self->mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(-EEXIST, type1_map(self->fd, self->mem, 2 * PAGE, IOVA + MEM_SIZE - PAGE, TYPE1_RW));
	EXPECT_EQ(MEM_SIZE, type1_unmap_bytes(self->fd, IOVA, MEM_SIZE));
	EXPECT_EQ(0, vm_pin_kb());
	/* nothing to unmap is no error here */
	EXPECT_EQ(0, type1_unmap_bytes(self->fd, IOVA, MEM_SIZE));
	EXPECT_EQ(0, type1_unmap_bytes(self->fd, 0, PAGE));
	EXPECT_EQ(0, type1_unmap_bytes(self->fd, 0, UINT64_MAX));

	/* one direction is enough, and several mappings go at once */
	ASSERT_EQ(0, type1_map(self->fd, self->mem, PAGE, IOVA, TYPE1_READ));
	ASSERT_EQ(0, type1_map(self->fd, self->mem, PAGE, IOVA + 4 * PAGE, VFIO_DMA_MAP_FLAG_WRITE));
	ASSERT_EQ(0, type1_map(self->fd, self->mem, 3 * PAGE, IOVA + 8 * PAGE, TYPE1_RW));
	EXPECT_EQ(5 * PAGE, type1_unmap_bytes(self->fd, IOVA - PAGE, 64 * PAGE));
}

TEST_F(type1, everything_goes_at_once)
{
	uint64_t size;

	EXPECT_EQ(0, type1_unmap_all(self->fd));
	ASSERT_EQ(0, type1_map(self->fd, self->mem, PAGE, 0, TYPE1_RW));
	ASSERT_EQ(0, type1_map(self->fd, self->mem, 4 * PAGE, IOVA, TYPE1_RW));
	size = PAGE;
	EXPECT_EQ(-EINVAL, type1_unmap(self->fd, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	EXPECT_EQ(PAGE, size);
	size = UINT64_MAX;
	EXPECT_EQ(-EINVAL, type1_unmap(self->fd, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	size = 0;
	EXPECT_EQ(-EINVAL, type1_unmap(self->fd, PAGE, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	EXPECT_EQ(5 * PAGE, type1_unmap_all(self->fd));
	EXPECT_EQ(0, type1_unmap_all(self->fd));
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(type1, map_and_unmap_refuse_bad_arguments)
{
	uint64_t size = 0;

	EXPECT_EQ(-EINVAL, type1_map(self->fd, self->mem, PAGE, IOVA, 0));
	EXPECT_EQ(-EINVAL, type1_map(self->fd, self->mem, 0, IOVA, TYPE1_RW));
	EXPECT_EQ(-EOVERFLOW, type1_map(self->fd, self->mem, PAGE, UINT64_MAX - PAGE + 2, TYPE1_RW));
	EXPECT_EQ(-EOVERFLOW, type1_map(self->fd, self->mem, PAGE, UINT64_MAX, TYPE1_RW));
	EXPECT_EQ(-EOVERFLOW, type1_map(self->fd, self->mem, UINT64_MAX, IOVA, TYPE1_RW));
	EXPECT_EQ(-EOVERFLOW, type1_map(self->fd, (void *)(UINT64_MAX - PAGE + 2), PAGE, IOVA, TYPE1_RW));
	if (variant->device || variant->version == VFIO_TYPE1_IOMMU) {
		EXPECT_EQ(-EINVAL, type1_map(self->fd, self->mem, PAGE, IOVA + 1, TYPE1_RW));
		EXPECT_EQ(-EINVAL, type1_map(self->fd, self->mem + 1, PAGE, IOVA, TYPE1_RW));
		EXPECT_EQ(-EINVAL, type1_map(self->fd, self->mem, PAGE + 1, IOVA, TYPE1_RW));
	}
	if (variant->device) {
		EXPECT_EQ(-EINVAL, type1_map(self->fd, self->mem, PAGE, MSI_WINDOW, TYPE1_RW));
		EXPECT_EQ(-EFAULT, type1_map(self->fd, NULL, PAGE, IOVA, TYPE1_RW));
	}
	EXPECT_EQ(-EINVAL, type1_unmap(self->fd, IOVA, &size, 0));
	size = PAGE + 1;
	EXPECT_EQ(-EOVERFLOW, type1_unmap(self->fd, UINT64_MAX - PAGE + 1, &size, 0));
	size = UINT64_MAX;
	EXPECT_EQ(-EOVERFLOW, type1_unmap(self->fd, 2, &size, 0));
	/* none of them left anything */
	EXPECT_EQ(0, type1_unmap_all(self->fd));
}

TEST_F(type1, structures_may_be_longer)
{
	struct {
		struct vfio_iommu_type1_dma_map cmd;
		uint64_t more;
	} map = {
		.cmd = { sizeof(map), TYPE1_RW, to_u64(self->mem), IOVA, PAGE },
		.more = UINT64_MAX,
	};
	struct {
		struct vfio_iommu_type1_dma_unmap cmd;
		uint64_t more;
	} unmap = {
		.cmd = { .argsz = sizeof(unmap), .iova = IOVA, .size = PAGE },
		.more = UINT64_MAX,
	};

	EXPECT_EQ(0, iommu_call(self->fd, VFIO_IOMMU_MAP_DMA, &map));
	EXPECT_EQ(0, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, &unmap));
	EXPECT_EQ(PAGE, unmap.cmd.size);
	EXPECT_EQ(UINT64_MAX, unmap.more);
	EXPECT_EQ(sizeof(unmap), unmap.cmd.argsz);
}

TEST_F(type1, unmap_that_cannot_answer_is_efault)
{
	struct vfio_iommu_type1_dma_unmap *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
						      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	ASSERT_EQ(0, type1_map(self->fd, self->mem, PAGE, IOVA, TYPE1_RW));
	cmd->argsz = sizeof(*cmd);
	cmd->iova = IOVA;
	cmd->size = PAGE;
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, VFIO_IOMMU_UNMAP_DMA, cmd));
	munmap(cmd, PAGE);
	/* what can be mapped again was unmapped */
	EXPECT_EQ(0, type1_map(self->fd, self->mem, PAGE, IOVA, TYPE1_RW));
}

TEST_F(type1, unmap_in_pieces)
{
	const uint64_t piece = MEM_SIZE / 16;

	ASSERT_EQ(0, type1_map(self->fd, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
	for (int i = 0; i < 16; i++) {
		/* 5 has no common divisor with 16: each piece once, none beside the one before */
		uint64_t iova = IOVA + i * 5 % 16 * piece;

		if (variant->version == VFIO_TYPE1_IOMMU) {
			ASSERT_EQ_FOR((int64_t)piece, type1_unmap_bytes(self->fd, iova, piece), "piece %d", i);
			EXPECT_EQ_FOR(0, type1_unmap_bytes(self->fd, iova, piece), "piece %d", i);
			if (variant->device)
				EXPECT_EQ_FOR((long)(MEM_SIZE - (i + 1) * piece) / 1024, vm_pin_kb(), "piece %d", i);
		} else {
			uint64_t size = piece;

			EXPECT_EQ_FOR(-ENOENT, type1_unmap(self->fd, iova, &size, 0), "piece %d", i);
			EXPECT_EQ_FOR(piece, size, "piece %d", i);
		}
	}
	EXPECT_EQ(variant->version == VFIO_TYPE1_IOMMU ? 0 : MEM_SIZE, type1_unmap_all(self->fd));
}

TEST_F(type1, unmap_across_two_mappings)
{
	const uint64_t half = MEM_SIZE / 2;

	ASSERT_EQ(0, type1_map(self->fd, self->mem, half, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_map(self->fd, self->mem + half, half, IOVA + half, TYPE1_RW));
	if (variant->version == VFIO_TYPE1v2_IOMMU) {
		uint64_t size = half;

		EXPECT_EQ(-ENOENT, type1_unmap(self->fd, IOVA + half / 2, &size, 0));
		EXPECT_EQ(2 * half, type1_unmap_bytes(self->fd, IOVA, 2 * half));
		return;
	}
	EXPECT_EQ(half, type1_unmap_bytes(self->fd, IOVA + half / 2, half));
	EXPECT_EQ(0, type1_unmap_bytes(self->fd, IOVA + half / 2, half));
	/* the ends are still there, and the middle is free */
	EXPECT_EQ(-EEXIST, type1_map(self->fd, self->mem, PAGE, IOVA + half / 2 - PAGE, TYPE1_RW));
	EXPECT_EQ(-EEXIST, type1_map(self->fd, self->mem, PAGE, IOVA + half / 2 + half, TYPE1_RW));
	EXPECT_EQ(0, type1_map(self->fd, self->mem, half, IOVA + half / 2, TYPE1_RW));
	EXPECT_EQ(MEM_SIZE, type1_unmap_bytes(self->fd, IOVA, MEM_SIZE));
}

TEST_F(type1, unmap_cuts_at_pages_only)
{
	uint64_t size = PAGE;

	ASSERT_EQ(0, type1_map(self->fd, self->mem, 4 * PAGE, IOVA, TYPE1_RW));
	EXPECT_GT(0, type1_unmap(self->fd, IOVA + 1, &size, 0));
	size = PAGE + 1;
	EXPECT_GT(0, type1_unmap(self->fd, IOVA, &size, 0));
	EXPECT_EQ(4 * PAGE, type1_unmap_bytes(self->fd, IOVA, 4 * PAGE));
}

/* ---- a device, and a type1 that can cut ---- */

FIXTURE(dma)
{
	int fd;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
	long faults;
};

FIXTURE_SETUP(dma)
{
	self->faults = iommu_fault_count();
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas));
	ASSERT_EQ(0, set_ioas(self->fd, self->ioas));
	ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->fd));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, NULL));
	ASSERT_EQ(0, type1_set_iommu(self->fd, VFIO_TYPE1_IOMMU));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(dma)
{
	edu_close(&self->edu);
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(dma, reaches_what_is_mapped)
{
	ASSERT_EQ(0, type1_map(self->fd, self->mem, HUGE_PAGE, IOVA, TYPE1_RW));
	ASSERT_EQ(0, type1_map(self->fd, self->mem + HUGE_PAGE, PAGE, 2 * IOVA, TYPE1_READ));
	memset(self->mem, 0x5a, HUGE_PAGE + PAGE);
	pattern_fill(self->mem, BYTES, 1);
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + HUGE_PAGE - BYTES, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + HUGE_PAGE - BYTES, BYTES, 1));
	EXPECT_EQ(self->faults, iommu_fault_count());
	/* read only */
	ASSERT_EQ(0, edu_store(&self->edu, 2 * IOVA, BYTES));
	EXPECT_TRUE(bytes_are(self->mem + HUGE_PAGE, PAGE, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(self->faults));
	pattern_fill(self->mem + HUGE_PAGE, BYTES, 2);
	ASSERT_EQ(0, edu_copy(&self->edu, 2 * IOVA, IOVA, BYTES));
	EXPECT_TRUE(pattern_is(self->mem, BYTES, 2));

	/* and not what was unmapped */
	self->faults = iommu_fault_count();
	memset(self->mem, 0x5a, PAGE);
	ASSERT_EQ(HUGE_PAGE, type1_unmap_bytes(self->fd, IOVA, HUGE_PAGE));
	ASSERT_EQ(0, edu_store(&self->edu, IOVA, BYTES));
	EXPECT_TRUE(bytes_are(self->mem, PAGE, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(self->faults));
}

TEST_F(dma, stops_in_the_piece_that_went)
{
	const uint64_t hole = 3 * PAGE;

	ASSERT_EQ(0, type1_map(self->fd, self->mem, MEM_SIZE, IOVA, TYPE1_RW));
	memset(self->mem, 0x5a, MEM_SIZE);
	pattern_fill(self->mem, BYTES, 3);
	/* the device's TLB knows both sides and the middle */
	ASSERT_EQ(0, edu_copy(&self->edu, IOVA, IOVA + hole, BYTES));
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + hole - BYTES, BYTES));
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + hole + PAGE, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + hole, BYTES, 3));
	memset(self->mem + PAGE, 0x5a, MEM_SIZE - PAGE);

	ASSERT_EQ(PAGE, type1_unmap_bytes(self->fd, IOVA + hole, PAGE));
	EXPECT_EQ((long)(MEM_SIZE - PAGE) / 1024, vm_pin_kb());
	/* what stays beside it never went away */
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + hole - BYTES, BYTES));
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + hole + PAGE, BYTES));
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + MEM_SIZE - BYTES, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + hole - BYTES, BYTES, 3));
	EXPECT_TRUE(pattern_is(self->mem + hole + PAGE, BYTES, 3));
	EXPECT_TRUE(pattern_is(self->mem + MEM_SIZE - BYTES, BYTES, 3));
	EXPECT_EQ(self->faults, iommu_fault_count());
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + hole, BYTES));
	EXPECT_TRUE(bytes_are(self->mem + hole, PAGE, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(self->faults));

	/* the hole takes other memory */
	ASSERT_EQ(0, type1_map(self->fd, self->mem + HUGE_PAGE, PAGE, IOVA + hole, TYPE1_RW));
	ASSERT_EQ(0, edu_store(&self->edu, IOVA + hole, BYTES));
	EXPECT_TRUE(pattern_is(self->mem + HUGE_PAGE, BYTES, 3));
	EXPECT_TRUE(bytes_are(self->mem + hole, PAGE, 0x5a));
	EXPECT_EQ(MEM_SIZE, type1_unmap_all(self->fd));
}

/* Random unmaps out of one mapping, each held against a list of pages */
TEST_F(dma, random_pieces_match_a_model)
{
	const unsigned int pages = 256;
	uint64_t random = 1234, left = pages;
	bool mapped[256];

	ASSERT_EQ(0, type1_map(self->fd, self->mem, pages * PAGE, IOVA, TYPE1_RW));
	memset(mapped, true, sizeof(mapped));
	for (int step = 0; step < 200; step++) {
		uint64_t first = random_next(&random) % pages, count = random_next(&random) % 12 + 1, gone = 0;

		if (random_next(&random) % 4 == 0) {
			bool taken = false;

			for (uint64_t i = first; i < first + count; i++)
				taken |= i >= pages || mapped[i];
			if (taken)
				continue;
			ASSERT_EQ(0, type1_map(self->fd, self->mem + first * PAGE, count * PAGE, IOVA + first * PAGE,
					       TYPE1_RW));
			memset(mapped + first, true, count);
			left += count;
		} else {
			for (uint64_t i = first; i < first + count && i < pages; i++) {
				gone += mapped[i];
				mapped[i] = false;
			}
			ASSERT_EQ_FOR((int64_t)(gone * PAGE),
				      type1_unmap_bytes(self->fd, IOVA + first * PAGE, count * PAGE), "step %d", step);
			left -= gone;
		}
		ASSERT_EQ_FOR((long)left * 4, vm_pin_kb(), "step %d", step);
	}
	EXPECT_EQ((int64_t)(left * PAGE), type1_unmap_all(self->fd));
}

TEST_F(dma, limit_is_that_of_the_context)
{
	ASSERT_EQ(0, memlock_limit(16 * PAGE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	EXPECT_EQ(-ENOMEM, type1_map(self->fd, self->mem, 17 * PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(0, vm_pin_kb());
	ASSERT_EQ(0, type1_map(self->fd, self->mem, 16 * PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(64, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(-ENOMEM, type1_map(self->fd, self->mem, PAGE, 2 * IOVA, TYPE1_RW));
	/* what is cut off is not charged any more */
	EXPECT_EQ(PAGE, type1_unmap_bytes(self->fd, IOVA + 5 * PAGE, PAGE));
	EXPECT_EQ(60, vm_pin_kb());
	EXPECT_EQ(0, type1_map(self->fd, self->mem, PAGE, 2 * IOVA, TYPE1_RW));
}

TEST_F(file, limit_per_process_if_the_context_says_so)
{
	uint8_t *mem = small_pages(32 * PAGE);
	struct edu edu;
	uint32_t ioas;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 1));
	ASSERT_EQ(0, ioas_alloc(self->fd, &ioas));
	ASSERT_EQ(0, set_ioas(self->fd, ioas));
	ASSERT_EQ(0, edu_open_bound(&edu, 0, self->fd));
	ASSERT_EQ(0, vfio_attach(edu.fd, ioas, NULL));
	ASSERT_EQ(0, type1_set_iommu(self->fd, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(0, memlock_limit(16 * PAGE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	EXPECT_EQ(-ENOMEM, type1_map(self->fd, mem, 17 * PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(0, type1_map(self->fd, mem, 16 * PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(64, vm_lck_kb());
	EXPECT_EQ(4 * PAGE, type1_unmap_bytes(self->fd, IOVA + 6 * PAGE, 4 * PAGE));
	EXPECT_EQ(48, vm_lck_kb());
	EXPECT_EQ(12 * PAGE, type1_unmap_all(self->fd));
	EXPECT_EQ(0, vm_lck_kb());
	edu_close(&edu);
	munmap(mem, 32 * PAGE);
}

TEST_HARNESS_MAIN
