// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_copy - a second mapping of the same memory
 *
 * A copy shares the pinned pages of its source, whatever page tables both have, and lives without it. Needs the mock
 * IOMMU.
 */
#include "iommu_test.h"
#include "mock_space.h"

#define MEM_SIZE	(64 * PAGE)
#define IOVA		0x2000000UL
#define COPY		0x3000000UL

/* @dst is @src where a copy within one address space is meant */
FIXTURE(copy)
{
	struct mock_space src_space, dst_space;
	struct mock_space *from, *to;
	int fd;
	uint32_t src, dst;
	uint8_t *mem;
};

/* @align: what the destination asks for */
FIXTURE_VARIANT(copy)
{
	unsigned int from_tables, to_tables;
	bool same;
	uint64_t align;
};

FIXTURE_VARIANT_ADD(copy, no_page_tables)
{
	.from_tables = 0, .to_tables = 0, .align = 1,
};

FIXTURE_VARIANT_ADD(copy, source_has_a_page_table)
{
	.from_tables = 1, .to_tables = 0, .align = 1,
};

FIXTURE_VARIANT_ADD(copy, destination_has_two_page_tables)
{
	.from_tables = 0, .to_tables = 2, .align = MOCK_PAGE,
};

FIXTURE_VARIANT_ADD(copy, both_have_page_tables)
{
	.from_tables = 2, .to_tables = 1, .align = MOCK_PAGE,
};

FIXTURE_VARIANT_ADD(copy, within_one_address_space)
{
	.from_tables = 1, .to_tables = 1, .same = true, .align = MOCK_PAGE,
};

FIXTURE_SETUP(copy)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->src_space, self->fd, variant->from_tables));
	self->from = &self->src_space;
	self->to = self->from;
	if (!variant->same) {
		ASSERT_EQ(0, mock_space_make(&self->dst_space, self->fd, variant->to_tables));
		self->to = &self->dst_space;
	}
	self->src = self->from->ioas;
	self->dst = self->to->ioas;
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(copy)
{
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* kB that are pinned when @_from pages of the source are mapped, and @_to pages of the copy that are among them */
#define PINNED(_from, _to) \
	((long)((variant->from_tables ? (_from) : variant->to_tables ? (_to) : 0) * PAGE / 1024))
/* pins on a page that both have, that only the source has, that only a copy has after the source went */
#define PINS_BOTH	(!!(variant->from_tables || variant->to_tables))
#define PINS_SOURCE	(!!variant->from_tables)
#define PINS_COPY	(!!variant->to_tables)

TEST_F(copy, of_a_whole_mapping)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 8 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA, 8 * PAGE));
	EXPECT_TRUE(mock_space_maps(self->from, IOVA, 8 * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(self->to, COPY, 8 * PAGE, self->mem));
	EXPECT_EQ(PINNED(8, 8), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, PINS_BOTH));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 8 * PAGE, PAGE, 0));

	/* it is a mapping of its own: it is not cut, and goes alone */
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->dst, COPY, 7 * PAGE, NULL));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->dst, COPY, 8 * PAGE, NULL));
	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 8 * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(self->from, IOVA, 8 * PAGE, self->mem));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, PINS_SOURCE));
}

TEST_F(copy, lives_without_its_source)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 8 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA, 8 * PAGE));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->src, IOVA, 8 * PAGE, NULL));
	EXPECT_TRUE(mock_space_maps_nothing(self->from, IOVA, 8 * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(self->to, COPY, 8 * PAGE, self->mem));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, PINS_COPY));
	EXPECT_EQ(PINS_COPY * 32, vm_pin_kb());

	/* it can be copied itself, and followed by a page table, after the process has dropped the memory too */
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->src, IOVA + MIB, self->dst, COPY, 8 * PAGE));
	EXPECT_TRUE(mock_space_maps(self->from, IOVA + MIB, 8 * PAGE, self->mem));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, PINS_BOTH));
	ASSERT_EQ(0, mock_space_add_table(self->to));
	EXPECT_TRUE(mock_space_maps(self->to, COPY, 8 * PAGE, self->mem));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, 1));
	EXPECT_EQ(32, vm_pin_kb());
}

TEST_F(copy, of_parts_at_every_alignment)
{
	static const uint64_t offsets[] = { 0, 1, 511, 2048, 4095, 4096, 6144, 0x5001 };
	static const uint64_t lengths[] = { 1, 2047, 2048, 4096, 5000, 6144, 0x2800 };
	const uint64_t size = 0x8000;
	uint64_t offset, length, to;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem + MOCK_PAGE, size, IOVA + MOCK_PAGE));
	for (size_t i = 0; i < ARRAY_SIZE(offsets) * ARRAY_SIZE(lengths) * 3; i++) {
		const uint8_t *va;
		bool fits;

		offset = offsets[i % ARRAY_SIZE(offsets)];
		length = lengths[i / ARRAY_SIZE(offsets) % ARRAY_SIZE(lengths)];
		to = COPY + i / ARRAY_SIZE(offsets) / ARRAY_SIZE(lengths) * MOCK_PAGE;
		va = self->mem + MOCK_PAGE + offset;
		/* only the destination's rules count */
		fits = !((to_u64(va) | to | length) % variant->align);
		ASSERT_EQ_FOR(fits ? 0 : -EINVAL,
			      ioas_copy_to(self->fd, self->dst, to, self->src, IOVA + MOCK_PAGE + offset, length),
			      "offset %#lx, length %#lx, to %#lx", offset, length, to);
		if (!fits)
			continue;
		if (variant->to_tables)
			ASSERT_TRUE_FOR(mock_space_maps(self->to, to, length, va), "offset %#lx, length %#lx, to %#lx",
					offset, length, to);
		if (!variant->from_tables)
			ASSERT_EQ(PINNED(0, (to_u64(va) % PAGE + length + PAGE - 1) / PAGE), vm_pin_kb());
		ASSERT_EQ(0, ioas_unmap(self->fd, self->dst, to, length, NULL));
	}
	EXPECT_EQ(PINNED(9, 0), vm_pin_kb());
	/* in all, one byte more is too much on either side */
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA + MOCK_PAGE, size));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->dst, COPY, size, NULL));
	EXPECT_EQ(-ENOENT, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA, size));
	EXPECT_EQ(-ENOENT, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA + PAGE, size));
}

TEST_F(copy, over_areas_that_touch)
{
	/* three areas of 4 pages side by side, in memory the other way round; after a hole a fourth one */
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem + (12 - 4 * i) * PAGE, 4 * PAGE,
					 IOVA + (i < 3 ? 4 * i : 13) * PAGE));
	/* from the middle of the first to the middle of the third */
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA + 2 * PAGE, 7 * PAGE));
	EXPECT_TRUE(mock_space_maps(self->to, COPY, 2 * PAGE, self->mem + 14 * PAGE));
	EXPECT_TRUE(mock_space_maps(self->to, COPY + 2 * PAGE, 4 * PAGE, self->mem + 8 * PAGE));
	EXPECT_TRUE(mock_space_maps(self->to, COPY + 6 * PAGE, PAGE, self->mem + 4 * PAGE));
	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY + 7 * PAGE, PAGE, self->mem + 5 * PAGE));
	EXPECT_EQ(PINNED(16, 7), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 8 * PAGE, 4 * PAGE, PINS_BOTH));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 12 * PAGE, 2 * PAGE, PINS_SOURCE));
	/* it goes as it came, or piece by piece */
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->dst, COPY + PAGE, 6 * PAGE, NULL));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->dst, COPY, 7 * PAGE, NULL));
	EXPECT_EQ(PINNED(16, 0), vm_pin_kb());
}

TEST_F(copy, over_a_hole_is_enoent)
{
	const struct {
		uint64_t first, length;
	} holes[] = {
		/* nothing at all; behind the last, before the first; between two; between two and whole areas */
		{ IOVA + MIB, PAGE }, { IOVA + 9 * PAGE, PAGE }, { IOVA - PAGE, 2 * PAGE }, { IOVA + 4 * PAGE, PAGE },
		{ IOVA + 3 * PAGE, 3 * PAGE }, { IOVA, 9 * PAGE }, { IOVA + 7 * PAGE, 3 * PAGE }, { 0, PAGE },
	};

	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 4 * PAGE, IOVA + 5 * PAGE));
	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		uint64_t iova;

		EXPECT_EQ_FOR(-ENOENT, ioas_copy_to(self->fd, self->dst, COPY, self->src, holes[i].first,
						    holes[i].length), "hole %zu", i);
		EXPECT_EQ_FOR(-ENOENT, ioas_copy(self->fd, self->dst, &iova, self->src, holes[i].first,
						 holes[i].length, MAP_RW), "hole %zu", i);
		EXPECT_EQ_FOR(PINNED(8, 0), vm_pin_kb(), "hole %zu", i);
	}
	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 9 * PAGE, self->mem));
}

TEST_F(copy, onto_a_mapping_is_eexist_and_changes_nothing)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 8 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->dst, self->mem + 32 * PAGE, 2 * PAGE, COPY + 4 * PAGE));
	for (int first = -7; first < 2; first++) {
		uint64_t to = COPY + (4 + first) * PAGE;

		EXPECT_EQ_FOR(-EEXIST, ioas_copy_to(self->fd, self->dst, to, self->src, IOVA, 8 * PAGE), "%d", first);
	}
	/* also when they share no more than one unit */
	EXPECT_EQ(-EEXIST, ioas_copy_to(self->fd, self->dst, COPY - 4 * PAGE + variant->align, self->src, IOVA,
					8 * PAGE));
	EXPECT_EQ(-EEXIST, ioas_copy_to(self->fd, self->dst, COPY + 6 * PAGE - variant->align, self->src, IOVA,
					8 * PAGE));
	EXPECT_TRUE(mock_space_maps(self->to, COPY + 4 * PAGE, 2 * PAGE, self->mem + 32 * PAGE));
	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 4 * PAGE, self->mem));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, PINS_SOURCE));
	/* up to its edges */
	EXPECT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY - 4 * PAGE, self->src, IOVA, 8 * PAGE));
	EXPECT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY + 6 * PAGE, self->src, IOVA, 8 * PAGE));
}

TEST_F(copy, of_two_areas_onto_a_mapping_leaves_neither)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem + 8 * PAGE, 4 * PAGE, IOVA + 4 * PAGE));
	/* only the second area meets it */
	ASSERT_EQ(0, ioas_map_at(self->fd, self->dst, self->mem + 32 * PAGE, PAGE, COPY + 6 * PAGE));
	EXPECT_EQ(-EEXIST, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA, 8 * PAGE));
	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 6 * PAGE, self->mem));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->dst, COPY, 6 * PAGE, NULL));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 4 * PAGE, PINS_SOURCE));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 8 * PAGE, 4 * PAGE, PINS_SOURCE));
}

TEST_F(copy, to_an_address_of_the_kernels_choice)
{
	const struct iommu_iova_range window = { .start = COPY, .last = COPY + 12 * PAGE - 1 };
	uint64_t iova = 0, second = 0;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem + 8 * PAGE, 4 * PAGE, IOVA + 4 * PAGE));
	ASSERT_EQ(0, ioas_allow(self->fd, self->dst, &window, 1));
	ASSERT_EQ(0, ioas_copy(self->fd, self->dst, &iova, self->src, IOVA, 8 * PAGE, MAP_RW));
	EXPECT_EQ(0, iova % (8 * PAGE));
	EXPECT_LE(COPY, iova);
	EXPECT_GE(window.last, iova + 8 * PAGE - 1);
	EXPECT_TRUE(mock_space_maps(self->to, iova, 4 * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(self->to, iova + 4 * PAGE, 4 * PAGE, self->mem + 8 * PAGE));
	EXPECT_EQ(-ENOSPC, ioas_copy(self->fd, self->dst, &second, self->src, IOVA, 8 * PAGE, MAP_RW));
	EXPECT_EQ(0, ioas_copy(self->fd, self->dst, &second, self->src, IOVA + 2 * PAGE, 4 * PAGE, MAP_RW));
	EXPECT_EQ(iova + 8 * PAGE, second);
	EXPECT_TRUE(mock_space_maps(self->to, second + 2 * PAGE, 2 * PAGE, self->mem + 8 * PAGE));
	EXPECT_EQ(PINNED(8, 8), vm_pin_kb());
}

TEST_F(copy, has_no_more_rights_than_the_memory_was_given_for)
{
	const uint32_t fixed = IOMMU_IOAS_MAP_FIXED_IOVA;
	uint64_t iova = IOVA;

	ASSERT_EQ(0, ioas_map(self->fd, self->src, self->mem, 4 * PAGE, &iova, fixed | IOMMU_IOAS_MAP_READABLE));
	iova = IOVA + 4 * PAGE;
	ASSERT_EQ(0, ioas_map(self->fd, self->src, self->mem + 4 * PAGE, 4 * PAGE, &iova,
			      fixed | IOMMU_IOAS_MAP_WRITEABLE));
	iova = COPY;
	EXPECT_EQ(-EPERM, ioas_copy(self->fd, self->dst, &iova, self->src, IOVA, PAGE, MAP_FIXED_RW));
	EXPECT_EQ(-EPERM, ioas_copy(self->fd, self->dst, &iova, self->src, IOVA, PAGE,
				    fixed | IOMMU_IOAS_MAP_WRITEABLE));
	/* also when only a part of the range is read-only */
	EXPECT_EQ(-EPERM, ioas_copy(self->fd, self->dst, &iova, self->src, IOVA, 8 * PAGE, MAP_FIXED_RW));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 4 * PAGE, PAGE, PINS_SOURCE));
	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 8 * PAGE, self->mem));
	EXPECT_EQ(0, ioas_copy(self->fd, self->dst, &iova, self->src, IOVA, 8 * PAGE,
			       fixed | IOMMU_IOAS_MAP_READABLE));
	/* nor does a copy of less regain them, though what was writeable stays so */
	iova = COPY + MIB;
	EXPECT_EQ(-EPERM, ioas_copy(self->fd, self->dst, &iova, self->dst, COPY, PAGE, MAP_FIXED_RW));
	EXPECT_EQ(0, ioas_copy(self->fd, self->dst, &iova, self->src, IOVA + 4 * PAGE, 4 * PAGE, MAP_FIXED_RW));
}

TEST_F(copy, refuses_bad_arguments)
{
	const struct iommu_ioas_copy good = {
		.size = sizeof(good), .flags = MAP_FIXED_RW, .dst_ioas_id = self->dst, .src_ioas_id = self->src,
		.length = PAGE, .dst_iova = COPY, .src_iova = IOVA,
	};
	struct iommu_ioas_copy cmd;
	int other = iommu_open();
	uint32_t foreign;

#define EXPECT_COPY(_rc, _field, _value) do { \
		cmd = good; \
		cmd._field = _value; \
		EXPECT_EQ_FOR(_rc, iommu_call(self->fd, IOMMU_IOAS_COPY, &cmd), #_field " = " #_value); \
	} while (0)

	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 4 * PAGE, IOVA));
	for (int bit = 3; bit < 32; bit++)
		EXPECT_COPY(-EOPNOTSUPP, flags, MAP_FIXED_RW | 1U << bit);
	EXPECT_COPY(-EINVAL, flags, IOMMU_IOAS_MAP_FIXED_IOVA);
	EXPECT_COPY(-EINVAL, flags, 0);
	EXPECT_COPY(-ENOENT, dst_ioas_id, 0);
	EXPECT_COPY(-ENOENT, src_ioas_id, 0);
	EXPECT_COPY(-ENOENT, dst_ioas_id, UNKNOWN_ID);
	EXPECT_COPY(-ENOENT, src_ioas_id, UNKNOWN_ID);
	if (variant->from_tables) {
		EXPECT_COPY(-ENOENT, src_ioas_id, self->from->dev[0].hwpt);
		EXPECT_COPY(-ENOENT, dst_ioas_id, self->from->dev[0].id);
	}
	EXPECT_COPY(-EINVAL, length, 0);
	EXPECT_COPY(-EOVERFLOW, length, UINT64_MAX);
	EXPECT_COPY(-EOVERFLOW, src_iova, UINT64_MAX);
	EXPECT_COPY(-EOVERFLOW, dst_iova, UINT64_MAX);
	EXPECT_COPY(-EOVERFLOW, src_iova, -PAGE + 1);
	EXPECT_COPY(-EOVERFLOW, dst_iova, -PAGE + 1);
	if (variant->to_tables) {
		EXPECT_COPY(-EINVAL, dst_iova, COPY + 1);
		EXPECT_COPY(-EINVAL, dst_iova, MOCK_FIRST - PAGE);
		EXPECT_COPY(-EINVAL, dst_iova, MOCK_LAST + 1);
		EXPECT_COPY(-EINVAL, length, MOCK_PAGE - 1);
	}
	/* an id of another open file is no id */
	ASSERT_LE(0, other);
	for (int i = 0; i < 40; i++)
		ASSERT_EQ(0, ioas_alloc(other, &foreign));
	EXPECT_COPY(-ENOENT, dst_ioas_id, foreign);
	EXPECT_COPY(-ENOENT, src_ioas_id, foreign);
	close(other);

	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 4 * PAGE, self->mem));
	EXPECT_EQ(PINNED(4, 0), vm_pin_kb());
	EXPECT_COPY(0, length, 4 * PAGE);
#undef EXPECT_COPY
}

TEST_F(copy, that_cannot_answer_leaves_nothing)
{
	struct iommu_ioas_copy *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem + 8 * PAGE, 4 * PAGE, IOVA + 4 * PAGE));
	*cmd = (struct iommu_ioas_copy){
		.size = sizeof(*cmd), .flags = MAP_FIXED_RW, .dst_ioas_id = self->dst, .src_ioas_id = self->src,
		.length = 8 * PAGE, .dst_iova = COPY, .src_iova = IOVA,
	};
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_IOAS_COPY, cmd));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->dst, COPY, 8 * PAGE, NULL));
	EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 8 * PAGE, self->mem));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 4 * PAGE, PINS_SOURCE));
	EXPECT_EQ(PINNED(8, 0), vm_pin_kb());
	munmap(cmd, PAGE);
}

TEST_F(copy, of_memory_that_is_gone)
{
	uint8_t *gone = small_pages(4 * PAGE);

	ASSERT_NE(NULL, gone);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, gone, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 4 * PAGE, IOVA - 4 * PAGE));
	ASSERT_EQ(0, munmap(gone, 4 * PAGE));
	if (variant->from_tables) {
		/* it is pinned, that will do */
		EXPECT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA - 4 * PAGE, 8 * PAGE));
		EXPECT_EQ(32, vm_pin_kb());
	} else if (variant->to_tables) {
		EXPECT_EQ(-EFAULT, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA - 4 * PAGE, 8 * PAGE));
		EXPECT_TRUE(mock_space_maps_nothing(self->to, COPY, 8 * PAGE, self->mem));
		EXPECT_EQ(0, vm_pin_kb());
	} else {
		/* nobody asks before there is a page table */
		ASSERT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA - 4 * PAGE, 8 * PAGE));
		EXPECT_EQ(-EFAULT, mock_space_add_table(self->to));
		EXPECT_EQ(0, vm_pin_kb());
	}
}

TEST_F(copy, many_times_is_pinned_once)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 16 * PAGE, IOVA));
	/* windows of eight pages, each one page further */
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY + i * MIB, self->src, IOVA + i * PAGE, 8 * PAGE));
	EXPECT_EQ(PINNED(16, 15), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 15 * PAGE, PINS_BOTH));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->src, IOVA, 16 * PAGE, NULL));
	for (int i = 0; i < 8; i++) {
		/* pages i to 14 are left */
		EXPECT_EQ_FOR(PINS_COPY * (15 - i) * 4, vm_pin_kb(), "copy %d", i);
		EXPECT_EQ_FOR(0, test_check_pins(self->fd, self->mem + i * PAGE, (15 - i) * PAGE, PINS_COPY),
			      "copy %d", i);
		EXPECT_EQ_FOR(0, test_check_pins(self->fd, self->mem, i * PAGE, 0), "copy %d", i);
		EXPECT_TRUE(mock_space_maps(self->to, COPY + i * MIB, 8 * PAGE, self->mem + i * PAGE));
		ASSERT_EQ(0, ioas_unmap(self->fd, self->dst, COPY + i * MIB, 8 * PAGE, NULL));
	}
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(copy, address_spaces_end_in_any_order)
{
	struct mock_space third;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->src, self->mem, 8 * PAGE, IOVA));
	ASSERT_EQ(0, mock_space_make(&third, self->fd, 1));
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->dst, COPY, self->src, IOVA, 8 * PAGE));
	ASSERT_EQ(0, ioas_copy_to(self->fd, third.ioas, COPY, self->dst, COPY + PAGE, 6 * PAGE));
	while (self->from->tables)
		ASSERT_EQ(0, mock_space_drop_table(self->from));
	if (!variant->same)
		ASSERT_EQ(0, iommu_destroy(self->fd, self->src));
	EXPECT_TRUE(mock_space_maps(self->to, COPY, 8 * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(&third, COPY, 6 * PAGE, self->mem + PAGE));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + PAGE, 6 * PAGE, 1));
	while (self->to->tables)
		ASSERT_EQ(0, mock_space_drop_table(self->to));
	ASSERT_EQ(0, iommu_destroy(self->fd, self->dst));
	EXPECT_EQ(24, vm_pin_kb());
	EXPECT_TRUE(mock_space_maps(&third, COPY, 6 * PAGE, self->mem + PAGE));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, PAGE, 0));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 7 * PAGE, PAGE, 0));
}

/* ---- on hardware ---- */

/* The device sees memory through a copy, keeps it when the source goes, and loses it with the copy. */
TEST(dma_through_a_copy)
{
	long faults = iommu_fault_count();
	int fd = iommu_open();
	uint8_t *mem = small_pages(8 * PAGE);
	uint32_t src, dst;
	struct edu edu;

	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, edu_open_bound(&edu, 0, fd));
	ASSERT_EQ(0, ioas_alloc(fd, &src));
	ASSERT_EQ(0, ioas_alloc(fd, &dst));
	ASSERT_EQ(0, vfio_attach(edu.fd, dst, NULL));
	ASSERT_EQ(0, ioas_map_at(fd, src, mem, 8 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_copy_to(fd, dst, COPY, src, IOVA + 2 * PAGE, 4 * PAGE));
	EXPECT_EQ(16, vm_pin_kb());
	pattern_fill(mem + 2 * PAGE, 512, 1);
	ASSERT_EQ(0, edu_copy(&edu, COPY, COPY + 3 * PAGE, 512));
	EXPECT_TRUE(pattern_is(mem + 5 * PAGE, 512, 1));
	ASSERT_EQ(0, iommu_destroy(fd, src));
	ASSERT_EQ(0, edu_store(&edu, COPY + PAGE, 512));
	EXPECT_TRUE(pattern_is(mem + 3 * PAGE, 512, 1));
	EXPECT_EQ(faults, iommu_fault_count());
	ASSERT_EQ(0, ioas_unmap(fd, dst, COPY, 4 * PAGE, NULL));
	memset(mem, 0x5a, 8 * PAGE);
	ASSERT_EQ(0, edu_store(&edu, COPY + PAGE, 512));
	EXPECT_TRUE(bytes_are(mem, 8 * PAGE, 0x5a));
	EXPECT_TRUE(iommu_fault_seen(faults));
	edu_close(&edu);
	close(fd);
	munmap(mem, 8 * PAGE);
	EXPECT_EQ(0, pages_pinned());
}

TEST_HARNESS_MAIN
