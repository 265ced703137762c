// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_ioctl - the rules of the /dev/iommu ioctls that need no device
 *
 * What every command shares (sizes, tails, numbers, ids), then address spaces, mappings and options one by one. An IOAS
 * without a device has no page table: nothing is pinned here, and any byte granularity is fine.
 */
#include "iommu_test.h"

/* An address that nothing is mapped at: without a page table the kernel does not look at the memory. */
#define NO_MEMORY	((void *)(1UL << 31))

/* ---- what all commands share ---- */

/**
 * struct command - One ioctl, and a struct for it that reaches past the size checks
 * @name: for the log
 * @cmd: ioctl number
 * @size: the whole struct
 * @min: the shortest one that is accepted
 * @rc: result of @example
 * @example: struct contents after the size; NULL means zeroes
 */
struct command {
	const char *name;
	unsigned long cmd;
	uint32_t size;
	uint32_t min;
	int rc;
	const void *example;
};

static const struct iommu_ioas_map map_of_no_ioas = { .flags = MAP_RW, .length = PAGE };
static const struct iommu_ioas_map_file map_file_of_no_ioas = { .flags = MAP_RW, .length = PAGE };
static const struct iommu_ioas_copy copy_of_no_ioas = { .flags = MAP_RW, .length = PAGE };
static const struct iommu_ioas_unmap unmap_of_no_ioas = { .length = PAGE };
static const struct iommu_ioas_noiommu_get_pa pa_of_no_ioas = { .length = PAGE };
static const struct iommu_fault_alloc fault_queue_with_flags = { .flags = 1 };
static const struct iommu_viommu_alloc viommu_of_no_device = { .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3 };

#define COMMAND(_nr, _struct, _min, _rc, _example) \
	{ #_nr, _nr, sizeof(struct _struct), _min, _rc, _example }

/* Every one that needs an object names id 0, which never exists. */
static const struct command commands[] = {
	COMMAND(IOMMU_DESTROY, iommu_destroy, 8, -ENOENT, NULL),
	COMMAND(IOMMU_IOAS_ALLOC, iommu_ioas_alloc, 12, 0, NULL),
	COMMAND(IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas, 24, -ENOENT, NULL),
	COMMAND(IOMMU_IOAS_COPY, iommu_ioas_copy, 40, -ENOENT, &copy_of_no_ioas),
	COMMAND(IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges, 32, -ENOENT, NULL),
	COMMAND(IOMMU_IOAS_MAP, iommu_ioas_map, 40, -ENOENT, &map_of_no_ioas),
	COMMAND(IOMMU_IOAS_MAP_FILE, iommu_ioas_map_file, 40, -ENOENT, &map_file_of_no_ioas),
	COMMAND(IOMMU_IOAS_UNMAP, iommu_ioas_unmap, 24, -ENOENT, &unmap_of_no_ioas),
	COMMAND(IOMMU_OPTION, iommu_option, 24, 0, NULL),
	COMMAND(IOMMU_VFIO_IOAS, iommu_vfio_ioas, 12, -ENODEV, NULL),
	COMMAND(IOMMU_HWPT_ALLOC, iommu_hwpt_alloc, 24, -ENOENT, NULL),
	COMMAND(IOMMU_GET_HW_INFO, iommu_hw_info, 32, -ENOENT, NULL),
	COMMAND(IOMMU_HWPT_INVALIDATE, iommu_hwpt_invalidate, 32, -ENOENT, NULL),
	COMMAND(IOMMU_FAULT_QUEUE_ALLOC, iommu_fault_alloc, 16, -EOPNOTSUPP, &fault_queue_with_flags),
	COMMAND(IOMMU_VIOMMU_ALLOC, iommu_viommu_alloc, 24, -ENOENT, &viommu_of_no_device),
	COMMAND(IOMMU_VDEVICE_ALLOC, iommu_vdevice_alloc, 24, -ENOENT, NULL),
	COMMAND(IOMMU_IOAS_CHANGE_PROCESS, iommu_ioas_change_process, 8, 0, NULL),
	COMMAND(IOMMU_IOAS_NOIOMMU_GET_PA, iommu_ioas_noiommu_get_pa, 40, -ENOENT, &pa_of_no_ioas),
	{}
};

/* Known to the header, not to this kernel: a client that probes for one must be told so, whatever it passes. */
static const struct command commands_not_built[] = {
	COMMAND(IOMMU_HWPT_SET_DIRTY_TRACKING, iommu_hwpt_set_dirty_tracking, 16, -ENOTTY, NULL),
	COMMAND(IOMMU_HWPT_GET_DIRTY_BITMAP, iommu_hwpt_get_dirty_bitmap, 48, -ENOTTY, NULL),
	COMMAND(IOMMU_VEVENTQ_ALLOC, iommu_veventq_alloc, 28, -ENOTTY, NULL),
	COMMAND(IOMMU_HW_QUEUE_ALLOC, iommu_hw_queue_alloc, 40, -ENOTTY, NULL),
	{}
};

/* Calls @c in a context of its own, with a struct that says @size and has @tail in the byte behind the known part. */
static int call_sized(const struct command *c, uint32_t size, uint8_t tail)
{
	uint8_t buf[256] = {};
	int fd, rc;

	if (c->example)
		memcpy(buf, c->example, c->size);
	memcpy(buf, &size, sizeof(size));
	buf[c->size] = tail;
	fd = iommu_open();
	if (fd < 0)
		return fd;
	rc = iommu_call(fd, c->cmd, buf);
	close(fd);
	return rc;
}

TEST(struct_shorter_than_minimum_is_einval)
{
	for (const struct command *c = commands; c->name; c++) {
		EXPECT_EQ_FOR(-EINVAL, call_sized(c, c->min - 1, 0), "%s", c->name);
		EXPECT_EQ_FOR(-EINVAL, call_sized(c, sizeof(uint32_t), 0), "%s", c->name);
		EXPECT_EQ_FOR(-EINVAL, call_sized(c, 0, 0), "%s", c->name);
	}
}

TEST(struct_from_minimum_to_full_size_is_taken)
{
	for (const struct command *c = commands; c->name; c++)
		for (uint32_t size = c->min; size <= c->size; size++)
			EXPECT_EQ_FOR(c->rc, call_sized(c, size, 0), "%s, size %u", c->name, size);
}

TEST(longer_struct_with_zero_tail_is_taken)
{
	for (const struct command *c = commands; c->name; c++) {
		EXPECT_EQ_FOR(c->rc, call_sized(c, c->size + 1, 0), "%s", c->name);
		EXPECT_EQ_FOR(c->rc, call_sized(c, 256, 0), "%s", c->name);
	}
}

TEST(longer_struct_with_nonzero_tail_is_e2big)
{
	for (const struct command *c = commands; c->name; c++) {
		EXPECT_EQ_FOR(-E2BIG, call_sized(c, c->size + 1, 1), "%s", c->name);
		EXPECT_EQ_FOR(-E2BIG, call_sized(c, 256, 0x80), "%s", c->name);
		/* the same byte does not matter when the struct ends before it */
		EXPECT_EQ_FOR(c->rc, call_sized(c, c->size, 1), "%s", c->name);
	}
}

TEST(struct_in_bad_memory_is_efault)
{
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = iommu_open();

	ASSERT_NE(MAP_FAILED, (void *)pages);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	for (const struct command *c = commands; c->name; c++) {
		uint8_t *end = pages + PAGE;
		uint32_t size = c->size;

		EXPECT_EQ_FOR(-EFAULT, iommu_call(fd, c->cmd, NULL), "%s", c->name);
		/* the size is readable, the rest is not */
		memcpy(end - 4, &size, 4);
		EXPECT_EQ_FOR(-EFAULT, iommu_call(fd, c->cmd, end - 4), "%s", c->name);
		/* only the tail is not */
		memset(end - c->size, 0, c->size);
		size = c->size + 8;
		memcpy(end - c->size, &size, 4);
		EXPECT_EQ_FOR(-EFAULT, iommu_call(fd, c->cmd, end - c->size), "%s", c->name);
	}
	close(fd);
	munmap(pages, PAGE);
}

TEST(struct_at_the_end_of_memory_is_not_read_past)
{
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	for (const struct command *c = commands; c->name; c++) {
		uint8_t *at = pages + PAGE - c->size;
		int fd = iommu_open();

		ASSERT_LE(0, fd);
		memset(at, 0, c->size);
		if (c->example)
			memcpy(at, c->example, c->size);
		memcpy(at, &c->size, 4);
		EXPECT_EQ_FOR(c->rc, iommu_call(fd, c->cmd, at), "%s", c->name);
		close(fd);
	}
	munmap(pages, PAGE);
}

TEST(command_numbers_outside_the_table_are_enotty)
{
	uint32_t buf[64] = { sizeof(buf) };
	int fd = iommu_open();

	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOTTY, iommu_call(fd, _IO(';', 0x7f), buf));
	EXPECT_EQ(-ENOTTY, iommu_call(fd, _IO(';', 0x96), buf));
	EXPECT_EQ(-ENOTTY, iommu_call(fd, _IO(';', 0x9f), buf));
	EXPECT_EQ(-ENOTTY, iommu_call(fd, _IO(';', 0xff), buf));
	/* the right number with another type, or with a direction and size, is another ioctl */
	EXPECT_EQ(-ENOTTY, iommu_call(fd, _IO('<', 0x81), buf));
	EXPECT_EQ(-ENOTTY, iommu_call(fd, _IOWR(';', 0x81, uint32_t), buf));
	close(fd);
}

TEST(commands_that_are_not_built_are_enotty)
{
	for (const struct command *c = commands_not_built; c->name; c++) {
		EXPECT_EQ_FOR(-ENOTTY, call_sized(c, c->size, 0), "%s", c->name);
		EXPECT_EQ_FOR(-ENOTTY, call_sized(c, 0, 0), "%s", c->name);
	}
}

/* ---- one context ---- */

FIXTURE(context)
{
	int fd;
};

FIXTURE_SETUP(context)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
}

FIXTURE_TEARDOWN(context)
{
	close(self->fd);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(context, first_id_is_one_and_ids_differ)
{
	uint32_t a, b;

	ASSERT_EQ(0, ioas_alloc(self->fd, &a));
	ASSERT_EQ(0, ioas_alloc(self->fd, &b));
	EXPECT_EQ(1, a);
	EXPECT_NE(0, b);
	EXPECT_NE(a, b);
}

TEST_F(context, ids_belong_to_one_open_file)
{
	int other = iommu_open();
	uint32_t a, b;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ioas_alloc(self->fd, &a));
	EXPECT_EQ(-ENOENT, iommu_destroy(other, a));
	ASSERT_EQ(0, ioas_alloc(other, &b));
	EXPECT_EQ(1, b);
	EXPECT_EQ(0, iommu_destroy(self->fd, a));
	EXPECT_EQ(0, iommu_destroy(other, b));
	close(other);
}

TEST_F(context, ioas_alloc_refuses_flags)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	uint32_t id;

	for (int bit = 0; bit < 32; bit++) {
		cmd.flags = 1U << bit;
		EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_IOAS_ALLOC, &cmd));
	}
	/* and took no id for it */
	ASSERT_EQ(0, ioas_alloc(self->fd, &id));
	EXPECT_EQ(1, id);
}

TEST_F(context, ioas_alloc_that_cannot_answer_leaves_nothing)
{
	struct iommu_ioas_alloc *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	cmd->size = sizeof(*cmd);
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_IOAS_ALLOC, cmd));
	for (uint32_t id = 0; id < 8; id++)
		EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, id));
	munmap(cmd, PAGE);
}

TEST_F(context, destroy_of_what_is_not_there_is_enoent)
{
	uint32_t id;

	EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, 0));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, 1));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, UNKNOWN_ID));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, UINT32_MAX));
	ASSERT_EQ(0, ioas_alloc(self->fd, &id));
	EXPECT_EQ(0, iommu_destroy(self->fd, id));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, id));
}

TEST_F(context, many_objects_close_with_the_file)
{
	uint32_t id = 0;

	for (int i = 0; i < 2000; i++) {
		ASSERT_EQ(0, ioas_alloc(self->fd, &id));
		if (i % 3 == 0)
			ASSERT_EQ(0, iommu_destroy(self->fd, id));
	}
}

TEST_F(context, rlimit_mode_is_zero_at_first_and_takes_zero_and_one)
{
	uint64_t val = 77;

	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, &val));
	EXPECT_EQ(0, val);
	EXPECT_EQ(0, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 1));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, &val));
	EXPECT_EQ(1, val);
	EXPECT_EQ(-EINVAL, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 2));
	EXPECT_EQ(-EINVAL, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, UINT64_MAX));
	EXPECT_EQ(-EINVAL, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 1UL << 32));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, &val));
	EXPECT_EQ(1, val);
	EXPECT_EQ(0, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 0));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, &val));
	EXPECT_EQ(0, val);
}

TEST_F(context, rlimit_mode_is_fixed_once_an_object_exists)
{
	uint64_t val = 77;
	uint32_t id;

	ASSERT_EQ(0, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 1));
	ASSERT_EQ(0, ioas_alloc(self->fd, &id));
	EXPECT_EQ(-EBUSY, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 0));
	EXPECT_EQ(-EBUSY, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 1));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, &val));
	EXPECT_EQ(1, val);
}

TEST_F(context, rlimit_mode_needs_cap_sys_resource)
{
	uint64_t val = 77;

	ASSERT_EQ(0, capability(CAP_SYS_RESOURCE, false));
	EXPECT_EQ(-EPERM, option_set(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, 1));
	ASSERT_EQ(0, capability(CAP_SYS_RESOURCE, true));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_RLIMIT_MODE, 0, &val));
	EXPECT_EQ(0, val);
}

TEST_F(context, option_refuses_what_it_does_not_know)
{
	struct iommu_option cmd = { .size = sizeof(cmd), .option_id = IOMMU_OPTION_RLIMIT_MODE,
				    .op = IOMMU_OPTION_OP_GET };

	cmd.option_id = 2;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_OPTION, &cmd));
	cmd.option_id = UINT32_MAX;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_OPTION, &cmd));
	cmd.option_id = IOMMU_OPTION_RLIMIT_MODE;
	cmd.op = 2;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_OPTION, &cmd));
	cmd.op = IOMMU_OPTION_OP_GET;
	cmd.__reserved = 1;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_OPTION, &cmd));
	cmd.__reserved = 0;
	/* the mode belongs to the context, so naming an object is a mistake */
	cmd.object_id = 1;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_OPTION, &cmd));
	cmd.object_id = 0;
	EXPECT_EQ(0, iommu_call(self->fd, IOMMU_OPTION, &cmd));
}

TEST_F(context, huge_pages_option_needs_an_ioas)
{
	uint64_t val = 77;
	uint32_t id;

	EXPECT_EQ(-ENOENT, option_get(self->fd, IOMMU_OPTION_HUGE_PAGES, 0, &val));
	EXPECT_EQ(-ENOENT, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, 0, 0));
	EXPECT_EQ(-ENOENT, option_get(self->fd, IOMMU_OPTION_HUGE_PAGES, UNKNOWN_ID, &val));
	ASSERT_EQ(0, ioas_alloc(self->fd, &id));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_HUGE_PAGES, id, &val));
	EXPECT_EQ(1, val);
	EXPECT_EQ(-EINVAL, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, id, 2));
	EXPECT_EQ(-EINVAL, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, id, UINT64_MAX));
	EXPECT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, id, 0));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_HUGE_PAGES, id, &val));
	EXPECT_EQ(0, val);
	EXPECT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, id, 1));
	EXPECT_EQ(0, option_get(self->fd, IOMMU_OPTION_HUGE_PAGES, id, &val));
	EXPECT_EQ(1, val);
}

/* Any bytes with any command: nothing may be pinned, hang or crash, and the context must still work. */
TEST_F(context, random_bytes_do_no_harm)
{
	uint64_t random = 20260117, mem = to_u64(small_pages(4 * PAGE));
	uint32_t id;

	ASSERT_NE(0, mem);
	for (int i = 0; i < 30000; i++) {
		const uint64_t small[] = { 0, 1, 2, 3, 4, 7, 8, PAGE, 4 * PAGE, mem, mem + 1, UINT64_MAX, INT64_MAX };
		uint32_t buf32[64];
		uint64_t *buf64 = (uint64_t *)buf32, r = random_next(&random);
		unsigned long cmd = _IO(';', 0x80 + r % 0x18);

		for (unsigned int j = 0; j < 32; j++) {
			uint64_t v = random_next(&random);

			if (v % 4 == 0)
				buf64[j] = v;
			else if (v % 4 == 1)
				buf64[j] = small[(v >> 8) % ARRAY_SIZE(small)];
			else
				buf64[j] = (v >> 8) % 8 | ((v >> 16) % 8) << 32;
		}
		/* mostly a size that lets the contents through */
		buf32[0] = (r >> 8) % 8 ? 8 + (r >> 16) % 7 * 4 : r >> 32;
		if ((r >> 12) % 2)
			memset((uint8_t *)buf32 + buf32[0] % 64, 0, sizeof(buf32) - buf32[0] % 64);
		iommu_call(self->fd, cmd, buf32);
	}
	EXPECT_EQ(0, vm_pin_kb());
	ASSERT_EQ(0, ioas_alloc(self->fd, &id));
	EXPECT_EQ(0, iommu_destroy(self->fd, id));
}

/* ---- one address space ---- */

FIXTURE(ioas)
{
	int fd;
	uint32_t id;
	uint8_t *mem;
};

#define MEM_SIZE	(64 * PAGE)

FIXTURE_SETUP(ioas)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->id));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(ioas)
{
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(ioas, fresh_one_allows_everything)
{
	struct iommu_iova_range ranges[4];
	uint64_t align = 0;
	uint32_t num = 4;

	memset(ranges, 0xee, sizeof(ranges));
	ASSERT_EQ(0, ioas_ranges(self->fd, self->id, ranges, &num, &align));
	EXPECT_EQ(1, num);
	EXPECT_EQ(0, ranges[0].start);
	EXPECT_EQ(UINT64_MAX, ranges[0].last);
	EXPECT_EQ(1, align);
	/* the room that was not needed is not written */
	EXPECT_EQ(0xeeeeeeeeeeeeeeeeUL, ranges[1].start);

	num = 1;
	EXPECT_EQ(0, ioas_ranges(self->fd, self->id, ranges, &num, &align));
	EXPECT_EQ(1, num);
}

TEST_F(ioas, ranges_without_room_says_how_many)
{
	uint64_t align;
	uint32_t num = 0;

	EXPECT_EQ(-EMSGSIZE, ioas_ranges(self->fd, self->id, NULL, &num, &align));
	EXPECT_EQ(1, num);
	num = 1;
	EXPECT_EQ(-EFAULT, ioas_ranges(self->fd, self->id, NULL, &num, &align));
}

TEST_F(ioas, ranges_refuses_reserved_and_unknown_ids)
{
	struct iommu_iova_range range;
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd), .ioas_id = self->id, .num_iovas = 1, .allowed_iovas = to_u64(&range),
	};

	cmd.__reserved = 1;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_IOAS_IOVA_RANGES, &cmd));
	cmd.__reserved = 0;
	cmd.ioas_id = 0;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_IOAS_IOVA_RANGES, &cmd));
	cmd.ioas_id = UNKNOWN_ID;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_IOAS_IOVA_RANGES, &cmd));
}

TEST_F(ioas, allow_bounds_what_the_kernel_chooses)
{
	struct iommu_iova_range windows[] = {
		/* in no order: the kernel sorts them itself */
		{ .start = 40 * PAGE, .last = 44 * PAGE - 1 },
		{ .start = 16 * PAGE, .last = 17 * PAGE - 1 },
	};
	uint64_t iova;
	int in_small = 0, in_large = 0;

	ASSERT_EQ(0, ioas_allow(self->fd, self->id, windows, 2));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, ioas_map(self->fd, self->id, self->mem, PAGE, &iova, MAP_RW));
		if (iova == 16 * PAGE)
			in_small++;
		else if (iova >= 40 * PAGE && iova <= 43 * PAGE)
			in_large++;
	}
	EXPECT_EQ(1, in_small);
	EXPECT_EQ(4, in_large);
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, self->mem, PAGE, &iova, MAP_RW));
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, self->mem, 1, &iova, MAP_RW));

	/* an empty list lifts the bounds */
	EXPECT_EQ(0, ioas_allow(self->fd, self->id, NULL, 0));
	EXPECT_EQ(0, ioas_map(self->fd, self->id, self->mem, 8 * PAGE, &iova, MAP_RW));
}

TEST_F(ioas, allow_does_not_join_neighbours_that_do_not_touch)
{
	struct iommu_iova_range windows[] = {
		{ .start = 16 * PAGE, .last = 18 * PAGE - 1 },
		{ .start = 19 * PAGE, .last = 21 * PAGE - 1 },
	};
	uint64_t iova;

	ASSERT_EQ(0, ioas_allow(self->fd, self->id, windows, 2));
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, self->mem, 3 * PAGE, &iova, MAP_RW));
	EXPECT_EQ(0, ioas_map(self->fd, self->id, self->mem, 2 * PAGE, &iova, MAP_RW));
	EXPECT_EQ(16 * PAGE, iova);
}

TEST_F(ioas, allow_leaves_fixed_addresses_alone)
{
	struct iommu_iova_range window = { .start = 16 * PAGE, .last = 17 * PAGE - 1 };

	ASSERT_EQ(0, ioas_allow(self->fd, self->id, &window, 1));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, 32 * PAGE));
}

TEST_F(ioas, allow_refuses_bad_lists_and_keeps_the_old_one)
{
	struct iommu_iova_range good = { .start = 16 * PAGE, .last = 17 * PAGE - 1 };
	struct iommu_iova_range backwards = { .start = 2 * PAGE, .last = PAGE };
	struct iommu_iova_range one_byte = { .start = PAGE, .last = PAGE };
	struct iommu_iova_range overlap[] = {
		{ .start = PAGE, .last = 3 * PAGE - 1 },
		{ .start = 2 * PAGE, .last = 4 * PAGE - 1 },
	};
	struct iommu_iova_range twice[] = { overlap[0], overlap[0] };
	uint64_t iova;

	ASSERT_EQ(0, ioas_allow(self->fd, self->id, &good, 1));
	EXPECT_EQ(-EINVAL, ioas_allow(self->fd, self->id, &backwards, 1));
	EXPECT_EQ(-EINVAL, ioas_allow(self->fd, self->id, &one_byte, 1));
	EXPECT_EQ(-EINVAL, ioas_allow(self->fd, self->id, overlap, 2));
	EXPECT_EQ(-EINVAL, ioas_allow(self->fd, self->id, twice, 2));
	EXPECT_EQ(-EFAULT, ioas_allow(self->fd, self->id, NULL, 1));
	EXPECT_EQ(-ENOENT, ioas_allow(self->fd, 0, &good, 1));
	EXPECT_EQ(-ENOENT, ioas_allow(self->fd, UNKNOWN_ID, &good, 1));

	ASSERT_EQ(0, ioas_map(self->fd, self->id, self->mem, PAGE, &iova, MAP_RW));
	EXPECT_EQ(good.start, iova);
}

TEST_F(ioas, allow_refuses_reserved)
{
	struct iommu_ioas_allow_iovas cmd = { .size = sizeof(cmd), .ioas_id = self->id, .__reserved = 1 };

	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_IOAS_ALLOW_IOVAS, &cmd));
}

TEST_F(ioas, map_at_fixed_address)
{
	uint64_t iova, bytes = 0;

	/* 0 is an address like any other when the caller names it */
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, 0));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, 5 * PAGE));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, UINT64_MAX - 2 * PAGE + 1));
	/* and one direction is enough */
	iova = 10 * PAGE;
	EXPECT_EQ(0, ioas_map(self->fd, self->id, self->mem, PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(10 * PAGE, iova);
	iova = 11 * PAGE;
	EXPECT_EQ(0, ioas_map(self->fd, self->id, self->mem, PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &bytes));
	EXPECT_EQ(5 * PAGE, bytes);
}

TEST_F(ioas, map_pins_nothing_without_a_page_table)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, MEM_SIZE, PAGE));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	/* nor does it look at the memory */
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, NO_MEMORY, PAGE, 1UL << 30));
}

TEST_F(ioas, map_length_of_any_number_of_bytes)
{
	for (uint64_t length = 1; length < 8192; length++) {
		uint64_t iova, bytes = 0;

		ASSERT_EQ(0, ioas_map(self->fd, self->id, self->mem, length, &iova, MAP_RW));
		ASSERT_NE(0, iova);
		ASSERT_EQ_FOR(0, iova % (length & -length), "length %lu at %lx", length, iova);
		ASSERT_EQ(0, ioas_unmap(self->fd, self->id, iova, length, &bytes));
		ASSERT_EQ(length, bytes);
	}
}

TEST_F(ioas, map_chooses_an_aligned_address)
{
	uint64_t iova[40], length;

	for (int i = 0; i < 40; i++) {
		length = (i % 10 + 1) * PAGE;
		ASSERT_EQ(0, ioas_map(self->fd, self->id, NO_MEMORY, length, &iova[i], MAP_RW));
		EXPECT_EQ_FOR(0, iova[i] % (length & -length), "length %lu at %lx", length, iova[i]);
		EXPECT_NE(0, iova[i]);
	}
	/* none lies on another one */
	for (int i = 0; i < 40; i++) {
		length = (i % 10 + 1) * PAGE;
		ASSERT_EQ(0, ioas_unmap(self->fd, self->id, iova[i], length, &length));
		EXPECT_EQ((i % 10 + 1) * PAGE, length);
	}
}

TEST_F(ioas, map_over_a_mapping_is_eexist)
{
	const struct {
		uint64_t first, pages;
	} taken[] = {
		{ 16, 8 },	/* the same */
		{ 18, 2 },	/* inside */
		{ 14, 12 },	/* around */
		{ 12, 5 },	/* its first page */
		{ 23, 4 },	/* its last page */
	};

	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 8 * PAGE, 16 * PAGE));
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		EXPECT_EQ_FOR(-EEXIST, ioas_map_at(self->fd, self->id, self->mem, taken[i].pages * PAGE,
						   taken[i].first * PAGE), "placement %zu", i);
	/* one byte is enough to collide, and the next byte is free */
	EXPECT_EQ(-EEXIST, ioas_map_at(self->fd, self->id, self->mem, 1, 24 * PAGE - 1));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, 24 * PAGE));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, 15 * PAGE));
}

TEST_F(ioas, map_refuses_bad_arguments)
{
	const struct iommu_ioas_map good = {
		.size = sizeof(good), .flags = MAP_FIXED_RW, .ioas_id = self->id,
		.user_va = to_u64(self->mem), .length = PAGE, .iova = 16 * PAGE,
	};
	struct iommu_ioas_map cmd;
	uint64_t bytes = 77;

#define EXPECT_MAP(_rc, _field, _value) do { \
		cmd = good; \
		cmd._field = _value; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->fd, IOMMU_IOAS_MAP, &cmd), #_field " = " #_value); \
	} while (0)

	for (int bit = 3; bit < 32; bit++)
		EXPECT_MAP(-EOPNOTSUPP, flags, MAP_FIXED_RW | 1U << bit);
	EXPECT_MAP(-EOPNOTSUPP, __reserved, 1);
	EXPECT_MAP(-EINVAL, flags, 0);
	EXPECT_MAP(-EINVAL, flags, IOMMU_IOAS_MAP_FIXED_IOVA);
	EXPECT_MAP(-ENOENT, ioas_id, 0);
	EXPECT_MAP(-ENOENT, ioas_id, UNKNOWN_ID);
	EXPECT_MAP(-EINVAL, length, 0);
	EXPECT_MAP(-EOVERFLOW, length, UINT64_MAX);
	EXPECT_MAP(-EOVERFLOW, iova, UINT64_MAX);
	EXPECT_MAP(-EOVERFLOW, iova, UINT64_MAX - PAGE + 2);
	EXPECT_MAP(-EOVERFLOW, length, UINT64_MAX - 16 * PAGE + 2);
	EXPECT_MAP(-EOVERFLOW, user_va, UINT64_MAX - PAGE + 2);
	EXPECT_MAP(-EOVERFLOW, user_va, UINT64_MAX);
#undef EXPECT_MAP

	/* none of them left anything */
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &bytes));
	EXPECT_EQ(0, bytes);
}

TEST_F(ioas, map_that_cannot_answer_leaves_nothing)
{
	struct iommu_ioas_map *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t bytes = 77;

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	*cmd = (struct iommu_ioas_map){
		.size = sizeof(*cmd), .flags = MAP_RW, .ioas_id = self->id,
		.user_va = to_u64(self->mem), .length = PAGE,
	};
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_IOAS_MAP, cmd));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &bytes));
	EXPECT_EQ(0, bytes);
	munmap(cmd, PAGE);
}

TEST_F(ioas, unmap_takes_whole_mappings_only)
{
	uint64_t bytes = 0;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 8 * PAGE, 16 * PAGE));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 16 * PAGE, 7 * PAGE, NULL));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 17 * PAGE, 7 * PAGE, NULL));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 18 * PAGE, 2 * PAGE, NULL));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 8 * PAGE, 16 * PAGE - 1, NULL));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 16 * PAGE + 1, 16 * PAGE, NULL));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 16 * PAGE, 8 * PAGE, &bytes));
	EXPECT_EQ(8 * PAGE, bytes);
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 16 * PAGE, 8 * PAGE, NULL));
}

TEST_F(ioas, unmap_takes_several_and_says_how_many_bytes)
{
	uint64_t bytes = 0;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 8 * PAGE, (16 + 16 * i) * PAGE));
	/* a range that cuts the last one takes none */
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 8 * PAGE, 60 * PAGE, NULL));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(-EEXIST, ioas_map_at(self->fd, self->id, self->mem, PAGE, (16 + 16 * i) * PAGE));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 8 * PAGE, 80 * PAGE, &bytes));
	EXPECT_EQ(32 * PAGE, bytes);
}

TEST_F(ioas, unmap_of_everything)
{
	uint64_t bytes = 77;

	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &bytes));
	EXPECT_EQ(0, bytes);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, 0));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 7, 77 * PAGE));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &bytes));
	EXPECT_EQ(PAGE + 7, bytes);
	/* one byte less is a range like any other */
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 0, UINT64_MAX - 1, NULL));
}

TEST_F(ioas, unmap_refuses_bad_arguments)
{
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, 0, 0, PAGE, NULL));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, UNKNOWN_ID, 0, PAGE, NULL));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 0, PAGE, NULL));
	EXPECT_EQ(-EINVAL, ioas_unmap(self->fd, self->id, PAGE, 0, NULL));
	EXPECT_EQ(-EOVERFLOW, ioas_unmap(self->fd, self->id, UINT64_MAX, PAGE, NULL));
	EXPECT_EQ(-EOVERFLOW, ioas_unmap(self->fd, self->id, PAGE, UINT64_MAX, NULL));
}

TEST_F(ioas, destroy_takes_its_mappings_along)
{
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, (2 * i + 1) * PAGE));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->id));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, PAGE, PAGE, NULL));
}

TEST_F(ioas, many_mappings)
{
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < 5000; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, (3 * i + 1) * PAGE));
	for (uint64_t i = 0; i < 5000; i += 7)
		ASSERT_EQ(0, ioas_unmap(self->fd, self->id, (3 * i + 1) * PAGE, PAGE, NULL));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &bytes));
	EXPECT_EQ((5000 - 715) * PAGE, bytes);
}

/* Random fixed maps and unmaps in 64 slots, each answer compared with what a list of ranges says. */
TEST_F(ioas, random_maps_and_unmaps_match_a_model)
{
	struct {
		uint64_t first, last;
	} model[64];
	const uint64_t base = 1UL << 40;
	uint64_t random = 4711;
	int areas = 0;

	for (int step = 0; step < 4000; step++) {
		uint64_t first = random_next(&random) % 64, count = random_next(&random) % 12 + 1;
		uint64_t last = first + count - 1, bytes = 0, covered = 0;
		bool overlap = false, cut = false;
		int rc;

		for (int i = 0; i < areas; i++) {
			if (model[i].first > last || model[i].last < first)
				continue;
			overlap = true;
			if (model[i].first < first || model[i].last > last)
				cut = true;
			else
				covered += (model[i].last - model[i].first + 1) * PAGE;
		}
		if (random_next(&random) % 2) {
			rc = ioas_map_at(self->fd, self->id, self->mem, count * PAGE, base + first * PAGE);
			ASSERT_EQ_FOR(overlap ? -EEXIST : 0, rc, "step %d", step);
			if (!rc) {
				model[areas].first = first;
				model[areas++].last = last;
			}
			continue;
		}
		rc = ioas_unmap(self->fd, self->id, base + first * PAGE, count * PAGE, &bytes);
		ASSERT_EQ_FOR(cut || !overlap ? -ENOENT : 0, rc, "step %d", step);
		if (rc)
			continue;
		ASSERT_EQ_FOR(covered, bytes, "step %d", step);
		for (int i = 0; i < areas; i++)
			if (model[i].first >= first && model[i].last <= last)
				model[i--] = model[--areas];
	}
}

/* ---- ids of another kind, and devices that do not exist ---- */

TEST_F(ioas, an_ioas_is_no_device)
{
	uint8_t data[64];
	struct iommu_hw_info info = {
		.size = sizeof(info), .dev_id = self->id, .data_len = sizeof(data), .data_uptr = to_u64(data),
	};
	uint32_t hwpt;

	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_GET_HW_INFO, &info));
	info.dev_id = UNKNOWN_ID;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_GET_HW_INFO, &info));
	EXPECT_EQ(-ENOENT, hwpt_alloc(self->fd, self->id, self->id, 0, &hwpt));
	EXPECT_EQ(-ENOENT, hwpt_alloc(self->fd, 0, self->id, 0, &hwpt));
	EXPECT_EQ(-ENOENT, hwpt_alloc(self->fd, UNKNOWN_ID, self->id, 0, &hwpt));
}

/* ---- a guest's tables and IOMMUs, which no driver offers ---- */

TEST_F(ioas, invalidate_checks_in_order_and_carries_out_none)
{
	const struct iommu_hwpt_invalidate good = {
		.size = sizeof(good), .hwpt_id = self->id, .data_uptr = to_u64(self->mem),
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.entry_len = sizeof(struct iommu_hwpt_vtd_s1_invalidate), .entry_num = 2,
	};
	struct iommu_hwpt_invalidate cmd, *page;

#define EXPECT_INVALIDATE(_rc, _field, _value) do { \
		cmd = good; \
		cmd.hwpt_id = UNKNOWN_ID; \
		cmd._field = _value; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->fd, IOMMU_HWPT_INVALIDATE, &cmd), #_field " = " #_value); \
		EXPECT_EQ_FOR(0, cmd.entry_num, #_field " = " #_value); \
	} while (0)

	EXPECT_INVALIDATE(-EOPNOTSUPP, __reserved, 1);
	EXPECT_INVALIDATE(-EINVAL, data_uptr, 0);
	EXPECT_INVALIDATE(-EINVAL, entry_len, 0);
	EXPECT_INVALIDATE(-EINVAL, entry_len, PAGE + 1);
	EXPECT_INVALIDATE(-ENOENT, entry_len, PAGE);
	EXPECT_INVALIDATE(-EINVAL, entry_num, (1U << 19) + 1);
	EXPECT_INVALIDATE(-EINVAL, entry_num, UINT32_MAX);
	EXPECT_INVALIDATE(-ENOENT, entry_num, 1U << 19);
	EXPECT_INVALIDATE(-ENOENT, entry_num, 0);
	EXPECT_INVALIDATE(-ENOENT, hwpt_id, 0);
	/* an address space is neither a nested page table nor a vIOMMU */
	EXPECT_INVALIDATE(-EINVAL, hwpt_id, self->id);
#undef EXPECT_INVALIDATE

	/* a probe needs no array, and gets the same answer */
	cmd = good;
	cmd.entry_num = 0;
	cmd.entry_len = 0;
	cmd.data_uptr = 0;
	EXPECT_EQ(-EINVAL, iommu_call(self->fd, IOMMU_HWPT_INVALIDATE, &cmd));
	cmd.hwpt_id = UNKNOWN_ID;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_HWPT_INVALIDATE, &cmd));

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	*page = good;
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_HWPT_INVALIDATE, page));
	munmap(page, PAGE);
}

TEST_F(ioas, viommu_and_vdevice_need_a_device_and_a_viommu)
{
	const struct iommu_viommu_alloc good = {
		.size = sizeof(good), .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3, .dev_id = self->id, .hwpt_id = self->id,
	};
	struct iommu_vdevice_alloc vdevice = {
		.size = sizeof(vdevice), .viommu_id = self->id, .dev_id = self->id, .virt_id = UINT64_MAX,
	};
	struct iommu_viommu_alloc cmd = good;

	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_VIOMMU_ALLOC, &cmd));
	cmd.dev_id = UNKNOWN_ID;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_VIOMMU_ALLOC, &cmd));
	/* what cannot be is told before a device is looked for */
	for (int bit = 0; bit < 32; bit++) {
		cmd.flags = 1U << bit;
		EXPECT_EQ_FOR(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_VIOMMU_ALLOC, &cmd), "flag %d", bit);
	}
	cmd.flags = 0;
	cmd.__reserved = 1;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_VIOMMU_ALLOC, &cmd));
	cmd.__reserved = 0;
	cmd.type = IOMMU_VIOMMU_TYPE_DEFAULT;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_VIOMMU_ALLOC, &cmd));

	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_VDEVICE_ALLOC, &vdevice));
	vdevice.viommu_id = UNKNOWN_ID;
	EXPECT_EQ(-ENOENT, iommu_call(self->fd, IOMMU_VDEVICE_ALLOC, &vdevice));
	EXPECT_EQ(0, vdevice.out_vdevice_id);
}

TEST_HARNESS_MAIN
