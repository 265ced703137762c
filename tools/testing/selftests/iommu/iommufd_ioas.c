// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_ioas - mappings of an address space and what page tables make of them
 *
 * Without a page table, with one, with two, and with page tables of two kinds of IOMMU; and with each kind of memory.
 * Needs the mock IOMMU. What iommufd_ioctl asks without a device is not asked here again.
 */
#include "iommu_test.h"
#include "mock_space.h"

#define MEM_SIZE	(64 * PAGE)
#define IOVA		0x2000000UL

/* ---- mappings, with different page tables ---- */

/* @edu: open when there is a page table of hardware */
FIXTURE(ioas)
{
	struct mock_space space;
	struct edu edu;
	int fd;
	uint32_t id;
	uint8_t *mem;
};

/* @align: what addresses and lengths are a multiple of */
FIXTURE_VARIANT(ioas)
{
	unsigned int mock_tables;
	bool hardware;
	uint64_t align;
};

FIXTURE_VARIANT_ADD(ioas, no_page_table)
{
	.mock_tables = 0, .align = 1,
};

FIXTURE_VARIANT_ADD(ioas, one_page_table)
{
	.mock_tables = 1, .align = MOCK_PAGE,
};

FIXTURE_VARIANT_ADD(ioas, two_page_tables)
{
	.mock_tables = 2, .align = MOCK_PAGE,
};

FIXTURE_VARIANT_ADD(ioas, page_tables_of_two_kinds)
{
	.mock_tables = 1, .hardware = true, .align = PAGE,
};

FIXTURE_SETUP(ioas)
{
	self->edu.fd = -1;
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, variant->mock_tables));
	self->id = self->space.ioas;
	if (variant->hardware) {
		ASSERT_EQ(0, edu_open_bound(&self->edu, 0, self->fd));
		ASSERT_EQ(0, vfio_attach(self->edu.fd, self->id, NULL));
	}
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(ioas)
{
	edu_close(&self->edu);
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* VmPin in kB when @_pages are mapped */
#define PINNED(_pages)	((long)(variant->mock_tables ? (_pages) * PAGE / 1024 : 0))
/* pins on a page that is mapped @_times */
#define PINS(_times)	(variant->mock_tables ? (_times) : 0)

TEST_F(ioas, map_and_unmap_at_every_alignment)
{
	static const uint64_t offsets[] = { 0, 1, 511, 2048, 4095 };
	static const uint64_t lengths[] = { 1, 2047, 2048, 2049, 4096, 6144, 3 * PAGE - 1, 3 * PAGE, 3 * PAGE + 2048 };
	const size_t combinations = ARRAY_SIZE(offsets) * ARRAY_SIZE(offsets) * ARRAY_SIZE(lengths);

	for (size_t i = 0; i < combinations; i++) {
		uint64_t offset = offsets[i % ARRAY_SIZE(offsets)];
		uint64_t iova = IOVA + offsets[i / ARRAY_SIZE(offsets) % ARRAY_SIZE(offsets)];
		uint64_t length = lengths[i / ARRAY_SIZE(offsets) / ARRAY_SIZE(offsets)], pages, unmapped = 0;
		bool fits = !((offset | iova | length) % variant->align);
		uint8_t *page = self->mem + PAGE, *va = page + offset;

		ASSERT_EQ_FOR(fits ? 0 : -EINVAL, ioas_map_at(self->fd, self->id, va, length, iova),
			      "offset %lu, IOVA %#lx, length %lu", offset, iova, length);
		if (!fits)
			continue;
		pages = (offset + length + PAGE - 1) / PAGE;
		ASSERT_EQ_FOR(PINNED(pages), vm_pin_kb(), "offset %lu, length %lu", offset, length);
		ASSERT_EQ(0, test_check_pins(self->fd, page - PAGE, PAGE, 0));
		ASSERT_EQ(0, test_check_pins(self->fd, page, pages * PAGE, PINS(1)));
		ASSERT_EQ(0, test_check_pins(self->fd, page + pages * PAGE, PAGE, 0));
		if (variant->mock_tables) {
			ASSERT_TRUE_FOR(mock_space_maps(&self->space, iova, length, va),
					"offset %lu, IOVA %#lx, length %lu", offset, iova, length);
			ASSERT_TRUE(mock_space_maps_nothing(&self->space, iova - MOCK_PAGE, MOCK_PAGE, va - MOCK_PAGE));
			ASSERT_TRUE(mock_space_maps_nothing(&self->space, iova + length, MOCK_PAGE, va + length));
		}
		ASSERT_EQ(0, ioas_unmap(self->fd, self->id, iova, length, &unmapped));
		ASSERT_EQ(length, unmapped);
		if (variant->mock_tables)
			ASSERT_TRUE(mock_space_maps_nothing(&self->space, iova, length, va));
		ASSERT_EQ(0, vm_pin_kb());
		ASSERT_EQ(0, test_check_pins(self->fd, page, pages * PAGE, 0));
	}
	EXPECT_EQ(0, pages_pinned());
}

/* Eight areas of two pages: 0 and 1 touch each other, and so do 6 and 7; before each of the others is a hole. */
static const uint64_t area_at[] = { 0, 2, 8, 12, 16, 20, 24, 26 };

#define AREA(_i)	(IOVA + area_at[_i] * PAGE)
#define AREA_VA(_i)	(self->mem + 2 * (_i) * PAGE)
#define MAP_AREAS() do { \
	for (int i = 0; i < 8; i++) \
		ASSERT_EQ(0, ioas_map_at(self->fd, self->id, AREA_VA(i), 2 * PAGE, AREA(i))); \
} while (0)

TEST_F(ioas, unmap_takes_the_areas_of_the_range_and_no_others)
{
	uint64_t unmapped = 0;

	MAP_AREAS();
	EXPECT_EQ(PINNED(16), vm_pin_kb());
	/* from inside the hole before area 2 to the end of area 4 */
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA + 5 * PAGE, 13 * PAGE, &unmapped));
	EXPECT_EQ(6 * PAGE, unmapped);
	EXPECT_EQ(PINNED(10), vm_pin_kb());
	for (int i = 0; i < 8; i++) {
		bool gone = i >= 2 && i <= 4;

		EXPECT_EQ_FOR(0, test_check_pins(self->fd, AREA_VA(i), 2 * PAGE, gone ? 0 : PINS(1)), "area %d", i);
		EXPECT_TRUE_FOR(gone ? mock_space_maps_nothing(&self->space, AREA(i), 2 * PAGE, AREA_VA(i)) :
			    mock_space_maps(&self->space, AREA(i), 2 * PAGE, AREA_VA(i)), "area %d", i);
	}
	/* one of two that touch */
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, AREA(7), 2 * PAGE, &unmapped));
	EXPECT_EQ(2 * PAGE, unmapped);
	EXPECT_TRUE(mock_space_maps(&self->space, AREA(6), 2 * PAGE, AREA_VA(6)));
	/* what went can be mapped again, elsewhere too */
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, AREA_VA(3), 2 * PAGE, AREA(2)));
	EXPECT_TRUE(mock_space_maps(&self->space, AREA(2), 2 * PAGE, AREA_VA(3)));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &unmapped));
	EXPECT_EQ(10 * PAGE, unmapped);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 16 * PAGE, 0));
	EXPECT_TRUE(mock_space_maps_nothing(&self->space, IOVA, 28 * PAGE, self->mem));
}

TEST_F(ioas, unmap_that_would_cut_an_area_changes_nothing)
{
	const struct {
		uint64_t first, length;
	} cuts[] = {
		{ AREA(2), PAGE }, { AREA(2) + PAGE, PAGE }, { AREA(2), 2 * PAGE - 1 }, { AREA(2) + 1, 2 * PAGE },
		/* whole areas as well, before or behind the one that is cut */
		{ AREA(0), 9 * PAGE }, { AREA(2) + PAGE, 8 * PAGE }, { AREA(0) + PAGE, 3 * PAGE },
		{ AREA(0), 4 * PAGE - 1 },
		/* nothing but holes */
		{ AREA(1) + 2 * PAGE, 4 * PAGE }, { AREA(7) + 2 * PAGE, PAGE }, { AREA(0) - PAGE, PAGE },
		{ UINT64_MAX - PAGE, PAGE },
	};

	MAP_AREAS();
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		EXPECT_EQ_FOR(-ENOENT, ioas_unmap(self->fd, self->id, cuts[i].first, cuts[i].length, NULL),
			      "cut %zu", i);
		EXPECT_EQ_FOR(PINNED(16), vm_pin_kb(), "cut %zu", i);
	}
	for (int i = 0; i < 8; i++)
		EXPECT_TRUE_FOR(mock_space_maps(&self->space, AREA(i), 2 * PAGE, AREA_VA(i)), "area %d", i);
	/* two areas that touch are still two: each of them goes alone, or both */
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, AREA(0), 4 * PAGE, NULL));
	EXPECT_EQ(0, ioas_unmap(self->fd, self->id, AREA(6), 2 * PAGE, NULL));
}

TEST_F(ioas, refused_map_leaves_the_other_areas_alone)
{
	/* over the beginning, the middle, the end, all of one, more than one; in the last case only of a hole's edge */
	const struct {
		uint64_t first, length;
	} over[] = {
		{ AREA(2) - PAGE, 2 * PAGE }, { AREA(2), PAGE }, { AREA(2) + PAGE, 2 * PAGE }, { AREA(2), 2 * PAGE },
		{ AREA(2) - PAGE, 4 * PAGE }, { AREA(0), 12 * PAGE }, { AREA(1) + 2 * PAGE, 5 * PAGE },
	};

	MAP_AREAS();
	for (size_t i = 0; i < ARRAY_SIZE(over); i++) {
		EXPECT_EQ_FOR(-EEXIST, ioas_map_at(self->fd, self->id, self->mem + 32 * PAGE, over[i].length,
						   over[i].first), "case %zu", i);
		EXPECT_EQ_FOR(PINNED(16), vm_pin_kb(), "case %zu", i);
	}
	for (int i = 0; i < 8; i++)
		EXPECT_TRUE_FOR(mock_space_maps(&self->space, AREA(i), 2 * PAGE, AREA_VA(i)), "area %d", i);
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 32 * PAGE, 12 * PAGE, 0));
	/* exactly the hole fits */
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem + 32 * PAGE, 4 * PAGE, AREA(1) + 2 * PAGE));
}

TEST_F(ioas, each_mapping_of_the_same_memory_holds_its_own_pins)
{
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem + i * PAGE, 4 * PAGE, IOVA + i * MIB));
	EXPECT_EQ(PINNED(12), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, PAGE, PINS(1)));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + PAGE, PAGE, PINS(2)));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 2 * PAGE, 2 * PAGE, PINS(3)));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA + MIB, 4 * PAGE, NULL));
	EXPECT_EQ(PINNED(8), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + PAGE, PAGE, PINS(1)));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 4 * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA + 2 * MIB, 4 * PAGE, self->mem + 2 * PAGE));
}

TEST_F(ioas, page_tables_come_and_go_under_mappings)
{
	struct mock_space *s = &self->space;

	MAP_AREAS();
	for (int round = 0; round < 2; round++) {
		while (s->tables < SPACE_TABLES) {
			ASSERT_EQ(0, mock_space_add_table(s));
			EXPECT_EQ(16 * PAGE / 1024, vm_pin_kb());
			for (int i = 0; i < 8; i++) {
				EXPECT_TRUE_FOR(mock_space_maps(s, AREA(i), 2 * PAGE, AREA_VA(i)),
						"area %d, %u tables", i, s->tables);
				EXPECT_EQ(0, test_check_pins(self->fd, AREA_VA(i), 2 * PAGE, 1));
			}
			EXPECT_TRUE(mock_space_maps_nothing(s, AREA(1) + 2 * PAGE, 4 * PAGE, self->mem));
		}
		while (s->tables) {
			EXPECT_EQ(16 * PAGE / 1024, vm_pin_kb());
			EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->id));
			ASSERT_EQ(0, mock_space_drop_table(s));
		}
		/* the one of hardware is left where there is one */
		EXPECT_EQ(variant->hardware ? 16 * PAGE / 1024 : 0, vm_pin_kb());
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 16 * PAGE, variant->hardware));
	}
	EXPECT_EQ(variant->hardware ? -EBUSY : 0, iommu_destroy(self->fd, self->id));
}

TEST_F(ioas, what_is_mapped_between_page_tables_reaches_all)
{
	struct mock_space *s = &self->space;

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, ioas_map_at(self->fd, self->id, AREA_VA(i), 2 * PAGE, AREA(i)));
		if (s->tables < SPACE_TABLES)
			ASSERT_EQ(0, mock_space_add_table(s));
	}
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, AREA(1), 2 * PAGE, NULL));
	for (int i = 0; i < 4; i++) {
		EXPECT_TRUE_FOR(i == 1 ? mock_space_maps_nothing(s, AREA(i), 2 * PAGE, AREA_VA(i)) :
				mock_space_maps(s, AREA(i), 2 * PAGE, AREA_VA(i)), "area %d", i);
		EXPECT_EQ(0, test_check_pins(self->fd, AREA_VA(i), 2 * PAGE, i != 1));
	}
}

TEST_F(ioas, replace_takes_pins_and_translation_along)
{
	struct mock_space *s = &self->space, other;
	uint32_t pt;

	if (!s->tables)
		ASSERT_EQ(0, mock_space_add_table(s));
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 0));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, other.ioas, self->mem + 8 * PAGE, 6 * PAGE, IOVA));
	/* the device that came last moves; the page table that attaching made for it goes, one of user space stays */
	pt = other.ioas;
	ASSERT_EQ(0, mock_device_replace(self->fd, s->dev[s->tables - 1].stdev, &pt));
	EXPECT_NE(other.ioas, pt);
	EXPECT_EQ(0, mock_check_map(self->fd, pt, IOVA, 6 * PAGE, self->mem + 8 * PAGE));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 8 * PAGE, 6 * PAGE, 1));
	if (s->tables == 1 && !variant->hardware) {
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 4 * PAGE, 0));
		EXPECT_EQ(24, vm_pin_kb());
		EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, s->dev[0].hwpt));
	} else {
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 4 * PAGE, 1));
		EXPECT_EQ(40, vm_pin_kb());
	}

	/* and back, twice: the second time nothing happens */
	for (int i = 0; i < 2; i++) {
		pt = self->id;
		ASSERT_EQ(0, mock_device_replace(self->fd, s->dev[s->tables - 1].stdev, &pt));
		EXPECT_EQ(0, mock_check_map(self->fd, pt, IOVA, 4 * PAGE, self->mem));
		EXPECT_EQ(16, vm_pin_kb());
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 8 * PAGE, 6 * PAGE, 0));
	}
	EXPECT_EQ(0, iommu_destroy(self->fd, other.ioas));
}

TEST_F(ioas, replace_that_fails_keeps_the_old_translation)
{
	struct mock_space *s = &self->space, other;
	uint32_t pt;
	uint8_t *gone = small_pages(PAGE);

	if (!s->tables)
		ASSERT_EQ(0, mock_space_add_table(s));
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 0));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, other.ioas, self->mem + 8 * PAGE, 6 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, other.ioas, gone, PAGE, IOVA + MIB));
	ASSERT_EQ(0, munmap(gone, PAGE));
	pt = other.ioas;
	EXPECT_EQ(-EFAULT, mock_device_replace(self->fd, s->dev[0].stdev, &pt));
	EXPECT_TRUE(mock_space_maps(s, IOVA, 4 * PAGE, self->mem));
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 8 * PAGE, 6 * PAGE, 0));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, s->dev[0].hwpt));
	EXPECT_EQ(0, iommu_destroy(self->fd, other.ioas));

	/* no such place, or no place for a device */
	pt = 0;
	EXPECT_EQ(-ENOENT, mock_device_replace(self->fd, s->dev[0].stdev, &pt));
	pt = UNKNOWN_ID;
	EXPECT_EQ(-ENOENT, mock_device_replace(self->fd, s->dev[0].stdev, &pt));
	pt = s->dev[0].id;
	EXPECT_EQ(-EINVAL, mock_device_replace(self->fd, s->dev[0].stdev, &pt));
	EXPECT_TRUE(mock_space_maps(s, IOVA, 4 * PAGE, self->mem));
}

/* ---- addresses ---- */

TEST_F(ioas, ranges_are_what_all_page_tables_translate)
{
	const uint64_t first = variant->mock_tables ? MOCK_FIRST : 0;
	const uint64_t last = variant->mock_tables ? MOCK_LAST : UINT64_MAX;
	/* interrupts of the hardware may go where the mock IOMMU translates as well */
	const uint32_t holes = variant->hardware && MSI_WINDOW <= MOCK_LAST;
	struct iommu_iova_range r[4];
	uint64_t align = 0;
	uint32_t num = 4;

	ASSERT_EQ(0, ioas_ranges(self->fd, self->id, r, &num, &align));
	EXPECT_EQ(1 + holes, num);
	EXPECT_EQ(first, r[0].start);
	EXPECT_EQ(last, r[holes].last);
	EXPECT_EQ(variant->align, align);

	/* a range in the middle is taken away for good; a second one may overlap it */
	ASSERT_EQ(0, test_reserve(self->fd, self->id, IOVA + PAGE, 2 * PAGE));
	ASSERT_EQ(0, test_reserve(self->fd, self->id, IOVA + 2 * PAGE, 4 * PAGE));
	num = 4;
	ASSERT_EQ(0, ioas_ranges(self->fd, self->id, r, &num, NULL));
	EXPECT_EQ(2 + holes, num);
	EXPECT_EQ(first, r[0].start);
	EXPECT_EQ(IOVA + PAGE - 1, r[0].last);
	EXPECT_EQ(IOVA + 6 * PAGE, r[1].start);
	EXPECT_EQ(last, r[1 + holes].last);

	/* too little room: what fits is there, and how much there is */
	for (uint32_t room = 0; room < 2; room++) {
		memset(r, 0xee, sizeof(r));
		num = room;
		EXPECT_EQ(-EMSGSIZE, ioas_ranges(self->fd, self->id, r, &num, NULL));
		EXPECT_EQ(2 + holes, num);
		if (room)
			EXPECT_EQ(IOVA + PAGE - 1, r[0].last);
		EXPECT_TRUE(bytes_are((uint8_t *)&r[room], sizeof(r[room]), 0xee));
	}
	/* mappings do not count */
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, IOVA));
	num = 4;
	ASSERT_EQ(0, ioas_ranges(self->fd, self->id, r, &num, NULL));
	EXPECT_EQ(2 + holes, num);
	EXPECT_EQ(IOVA + PAGE - 1, r[0].last);
}

TEST_F(ioas, reserved_ranges_windows_and_mappings_exclude_each_other)
{
	struct iommu_iova_range window = { .start = IOVA, .last = IOVA + MIB - 1 };
	uint64_t iova;

	EXPECT_EQ(-EINVAL, test_reserve(self->fd, self->id, IOVA, 0));
	EXPECT_EQ(-EOVERFLOW, test_reserve(self->fd, self->id, UINT64_MAX, 2));
	EXPECT_EQ(-ENOENT, test_reserve(self->fd, UNKNOWN_ID, IOVA, PAGE));

	ASSERT_EQ(0, test_reserve(self->fd, self->id, IOVA + 4 * PAGE, PAGE));
	/* nothing is mapped there, by touching it with the first or the last byte or by covering it */
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, PAGE, IOVA + 4 * PAGE));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, 5 * PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, 2 * PAGE, IOVA + 4 * PAGE));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, 8 * PAGE, IOVA));
	EXPECT_EQ(0, vm_pin_kb());
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 4 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 4 * PAGE, IOVA + 5 * PAGE));

	/* nor promised; and what is mapped or promised is not taken */
	EXPECT_EQ(-EADDRINUSE, ioas_allow(self->fd, self->id, &window, 1));
	EXPECT_EQ(-EADDRINUSE, test_reserve(self->fd, self->id, IOVA + 3 * PAGE, PAGE));
	EXPECT_EQ(-EADDRINUSE, test_reserve(self->fd, self->id, IOVA - PAGE, PAGE + 1));
	EXPECT_EQ(-EADDRINUSE, test_reserve(self->fd, self->id, IOVA + 9 * PAGE - 1, PAGE));
	window.start = IOVA + MIB;
	window.last = IOVA + 2 * MIB - 1;
	ASSERT_EQ(0, ioas_allow(self->fd, self->id, &window, 1));
	EXPECT_EQ(-EADDRINUSE, test_reserve(self->fd, self->id, IOVA + 2 * MIB - 1, PAGE));
	EXPECT_EQ(-EADDRINUSE, test_reserve(self->fd, self->id, IOVA + MIB - PAGE, PAGE + 1));
	EXPECT_EQ(0, test_reserve(self->fd, self->id, IOVA + 2 * MIB, PAGE));
	/* the windows bind the kernel's choice only */
	ASSERT_EQ(0, ioas_map(self->fd, self->id, self->mem, PAGE, &iova, MAP_RW));
	EXPECT_LE(window.start, iova);
	EXPECT_GE(window.last, iova + PAGE - 1);
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, IOVA + 3 * MIB));
	/* a promise that is withdrawn can be broken */
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	ASSERT_EQ(0, ioas_allow(self->fd, self->id, NULL, 0));
	EXPECT_EQ(0, test_reserve(self->fd, self->id, IOVA + MIB, MIB));
}

TEST_F(ioas, chosen_addresses_are_aligned_usable_and_apart)
{
	struct {
		uint64_t iova, length;
	} got[48];

	ASSERT_EQ(0, test_reserve(self->fd, self->id, MOCK_FIRST + 3 * PAGE, 7 * PAGE));
	ASSERT_EQ(0, test_reserve(self->fd, self->id, IOVA, MIB));
	for (size_t i = 0; i < ARRAY_SIZE(got); i++) {
		/* where any byte will do, lengths that are no multiple of anything */
		uint64_t length = (i % 16 + 1) * PAGE - (variant->align == 1 ? i * 37 : 0);

		got[i].length = length;
		ASSERT_EQ_FOR(0, ioas_map(self->fd, self->id, self->mem, length, &got[i].iova, MAP_RW), "map %zu", i);
		ASSERT_EQ_FOR(0, got[i].iova % (length & -length), "length %#lx at %#lx", length, got[i].iova);
		if (variant->mock_tables) {
			ASSERT_LE(MOCK_FIRST, got[i].iova);
			ASSERT_GE(MOCK_LAST, got[i].iova + length - 1);
			ASSERT_TRUE(mock_space_maps(&self->space, got[i].iova, length, self->mem));
		}
		ASSERT_TRUE(got[i].iova + length <= MOCK_FIRST + 3 * PAGE || got[i].iova >= MOCK_FIRST + 10 * PAGE);
		ASSERT_TRUE(got[i].iova + length <= IOVA || got[i].iova >= IOVA + MIB);
		for (size_t j = 0; j < i; j++)
			ASSERT_TRUE_FOR(got[i].iova + length <= got[j].iova ||
					got[j].iova + got[j].length <= got[i].iova, "maps %zu and %zu overlap", i, j);
	}
}

TEST_F(ioas, chosen_addresses_fill_a_window_to_its_last_page)
{
	const struct iommu_iova_range windows[] = {
		{ .start = IOVA + 0x1000, .last = IOVA + 0x8fff },
		{ .start = IOVA + 0x20000, .last = IOVA + 0x27fff },
	};
	uint64_t seen = 0, iova;

	ASSERT_EQ(0, ioas_allow(self->fd, self->id, windows, 2));
	for (int i = 0; i < 16; i++) {
		ASSERT_EQ_FOR(0, ioas_map(self->fd, self->id, self->mem + i * PAGE, PAGE, &iova, MAP_RW), "page %d", i);
		ASSERT_EQ(0, iova % PAGE);
		ASSERT_LE(IOVA, iova);
		ASSERT_GT(64, (iova - IOVA) / PAGE);
		seen |= 1UL << (iova - IOVA) / PAGE;
	}
	/* pages 1 to 8 and 32 to 39, each once */
	EXPECT_EQ(0xff000001feUL, seen);
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, self->mem, PAGE, &iova, MAP_RW));
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, self->mem, MIB, &iova, MAP_RW));
	EXPECT_EQ(PINNED(16), vm_pin_kb());

	/* a single hole is found again */
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA + 0x5000, PAGE, NULL));
	ASSERT_EQ(0, ioas_map(self->fd, self->id, self->mem, PAGE, &iova, MAP_RW));
	EXPECT_EQ(IOVA + 0x5000, iova);
	/* two pages have to begin on a multiple of two pages */
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA + 0x3000, PAGE, NULL));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA + 0x4000, PAGE, NULL));
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, self->mem, 2 * PAGE, &iova, MAP_RW));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA + 0x5000, PAGE, NULL));
	ASSERT_EQ(0, ioas_map(self->fd, self->id, self->mem, 2 * PAGE, &iova, MAP_RW));
	EXPECT_EQ(IOVA + 0x4000, iova);
	/* windows are not joined, even where pages on both sides are free */
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, self->mem, 9 * PAGE, &iova, MAP_RW));
	EXPECT_EQ(0, ioas_map(self->fd, self->id, self->mem, 8 * PAGE, &iova, MAP_RW));
	EXPECT_EQ(IOVA + 0x20000, iova);
}

TEST_F(ioas, huge_pages_option_asks_for_whole_pages)
{
	struct iommu_iova_range ranges[2];
	uint32_t num = ARRAY_SIZE(ranges);
	uint64_t align = 0;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, IOVA));
	EXPECT_EQ(variant->mock_tables ? -EINVAL : 0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, 0));
	/* setting what is set is no change */
	EXPECT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, !!variant->mock_tables));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	ASSERT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, 0));
	ASSERT_EQ(0, ioas_ranges(self->fd, self->id, ranges, &num, &align));
	EXPECT_EQ(PAGE, align);
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem + MOCK_PAGE, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, PAGE, IOVA + MOCK_PAGE));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 5 * PAGE, IOVA));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 5 * PAGE, self->mem));
	EXPECT_EQ(PINNED(5), vm_pin_kb());
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));

	ASSERT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, 1));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, IOVA + variant->align % PAGE));
	if (variant->mock_tables)
		return;
	/* and cannot be asked for while something is not */
	EXPECT_EQ(-EADDRINUSE, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, 0));
	num = ARRAY_SIZE(ranges);
	ASSERT_EQ(0, ioas_ranges(self->fd, self->id, ranges, &num, &align));
	EXPECT_EQ(1, align);
}

TEST_F(ioas, random_maps_and_unmaps_match_a_model)
{
	/* slots of 8 pages, each with up to one area; a page table more or less now and then */
	struct {
		uint64_t length, offset;
	} slot[24] = {};
	const char *is_long = getenv("LONG");
	uint64_t random = 20261121;
	long pages = 0;

	for (int step = 0; step < (is_long ? 20000 : 400); step++) {
		uint64_t r = random_next(&random), i = r % ARRAY_SIZE(slot), iova = IOVA + i * 8 * PAGE;
		struct mock_space *s = &self->space;
		unsigned int pinned;
		uint64_t got;
		int rc;

		if (r >> 8 & 1) {
			uint64_t length = (r >> 16) % 16 * MOCK_PAGE, offset = (r >> 24) % 64 * MOCK_PAGE;

			if (variant->align == PAGE) {
				length &= -PAGE;
				offset &= -PAGE;
			}
			rc = ioas_map_at(self->fd, self->id, self->mem + offset, length, iova);
			ASSERT_EQ_FOR(!length ? -EINVAL : slot[i].length ? -EEXIST : 0, rc, "step %d", step);
			if (!rc) {
				slot[i].length = length;
				slot[i].offset = offset;
				pages += (offset % PAGE + length + PAGE - 1) / PAGE;
			}
		} else if (r >> 9 & 1) {
			rc = ioas_unmap(self->fd, self->id, iova, 8 * PAGE, &got);
			ASSERT_EQ_FOR(slot[i].length ? 0 : -ENOENT, rc, "step %d", step);
			if (!rc) {
				ASSERT_EQ_FOR(slot[i].length, got, "step %d", step);
				pages -= (slot[i].offset % PAGE + got + PAGE - 1) / PAGE;
				slot[i].length = 0;
			}
		} else if (r >> 10 & 1 && s->tables < SPACE_TABLES) {
			ASSERT_EQ_FOR(0, mock_space_add_table(s), "step %d", step);
		} else if (s->tables) {
			ASSERT_EQ_FOR(0, mock_space_drop_table(s), "step %d", step);
		}
		pinned = s->tables || variant->hardware ? pages : 0;
		ASSERT_EQ_FOR(pinned * PAGE / 1024, vm_pin_kb(), "step %d", step);
		if (step % 16)
			continue;
		for (i = 0; i < ARRAY_SIZE(slot); i++) {
			iova = IOVA + i * 8 * PAGE;
			ASSERT_TRUE_FOR(mock_space_maps(s, iova, slot[i].length, self->mem + slot[i].offset),
					"step %d, slot %lu", step, i);
			ASSERT_TRUE_FOR(mock_space_maps_nothing(s, iova + slot[i].length, MOCK_PAGE, self->mem),
					"step %d, slot %lu", step, i);
		}
	}
}

/* ---- page tables that an address space does not suit ---- */

FIXTURE(bare)
{
	struct mock_space space;
	int fd;
	uint32_t id;
	uint8_t *mem;
};

FIXTURE_SETUP(bare)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, 0));
	self->id = self->space.ioas;
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(bare)
{
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(bare, attach_refuses_areas_that_the_page_table_cannot_hold)
{
	const struct {
		uint64_t offset, length, iova;
	} bad[] = {
		/* not in units of the page table */
		{ 1, MOCK_PAGE, IOVA }, { 0, MOCK_PAGE - 1, IOVA }, { 0, MOCK_PAGE, IOVA + 1 },
		/* not where it translates */
		{ 0, PAGE, MOCK_FIRST - PAGE }, { 0, PAGE, 0 }, { 0, 2 * PAGE, MOCK_FIRST - PAGE },
		{ 0, PAGE, MOCK_LAST + 1 }, { 0, 2 * PAGE, MOCK_LAST + 1 - PAGE }, { 0, PAGE, -2 * PAGE },
	};
	struct iommu_iova_range everything;
	uint64_t align = 0;
	uint32_t num;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 8 * PAGE, IOVA + MIB));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ_FOR(0, ioas_map_at(self->fd, self->id, self->mem + bad[i].offset, bad[i].length, bad[i].iova),
			      "area %zu", i);
		EXPECT_EQ_FOR(-EADDRINUSE, mock_space_add_table(&self->space), "area %zu", i);
		EXPECT_EQ_FOR(0, vm_pin_kb(), "area %zu", i);
		/* the attach that failed left no rule behind */
		num = 0;
		EXPECT_EQ(-EMSGSIZE, ioas_ranges(self->fd, self->id, NULL, &num, NULL));
		EXPECT_EQ(1, num);
		EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 1, 0x100777));
		EXPECT_EQ(0, ioas_unmap(self->fd, self->id, 0x100777, 1, NULL));
		ASSERT_EQ(0, ioas_unmap(self->fd, self->id, bad[i].iova, bad[i].length, NULL));
	}
	/* the first and the last unit will do */
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, MOCK_FIRST));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem + MOCK_PAGE, MOCK_PAGE, MOCK_LAST + 1 - MOCK_PAGE));
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_TRUE(mock_space_maps(&self->space, MOCK_FIRST, MOCK_PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(&self->space, MOCK_LAST + 1 - MOCK_PAGE, MOCK_PAGE, self->mem + MOCK_PAGE));

	/* rules hold while the page table is there */
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, PAGE, MOCK_LAST + 1));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, 1, IOVA));
	ASSERT_EQ(0, mock_space_drop_table(&self->space));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, MOCK_LAST + 1));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 1, IOVA));
	num = 1;
	EXPECT_EQ(0, ioas_ranges(self->fd, self->id, &everything, &num, &align));
	EXPECT_EQ(1, align);
	EXPECT_EQ(UINT64_MAX, everything.last);
}

TEST_F(bare, attach_refuses_to_break_a_promise)
{
	struct iommu_iova_range window = { .start = MOCK_FIRST - 1, .last = IOVA };

	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 8 * PAGE, IOVA + MIB));
	ASSERT_EQ(0, ioas_allow(self->fd, self->id, &window, 1));
	EXPECT_EQ(-EADDRINUSE, mock_space_add_table(&self->space));
	window.start = MOCK_FIRST;
	window.last = MOCK_LAST + 1;
	ASSERT_EQ(0, ioas_allow(self->fd, self->id, &window, 1));
	EXPECT_EQ(-EADDRINUSE, mock_space_add_table(&self->space));
	EXPECT_EQ(0, vm_pin_kb());
	window.last = MOCK_LAST;
	ASSERT_EQ(0, ioas_allow(self->fd, self->id, &window, 1));
	EXPECT_EQ(0, mock_space_add_table(&self->space));
	window.last = MOCK_LAST + 1;
	EXPECT_EQ(-EADDRINUSE, ioas_allow(self->fd, self->id, &window, 1));
}

TEST_F(bare, attach_with_small_leaves_refuses_parts_of_pages)
{
	ASSERT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, 0));
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, 3 * PAGE, IOVA));
	EXPECT_EQ(-EINVAL, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, 1));
	/* the option is the user's, it outlives the page table */
	ASSERT_EQ(0, mock_space_drop_table(&self->space));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, IOVA + MIB));
	ASSERT_EQ(0, option_set(self->fd, IOMMU_OPTION_HUGE_PAGES, self->id, 1));
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, IOVA + MIB));
}

TEST_F(bare, chosen_addresses_do_not_wrap_at_the_end_of_the_space)
{
	uint8_t *aligned = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t iova = 0, free_from = -0x9000UL;

	ASSERT_NE(MAP_FAILED, (void *)aligned);
	aligned = (uint8_t *)((to_u64(aligned) + MIB - 1) & -MIB);
	/* all but nine pages at the end, and a few bytes at the beginning */
	ASSERT_EQ(0, test_reserve(self->fd, self->id, 6, free_from - 6));
	for (uint64_t pages = 5; pages <= 16; pages++) {
		int rc = ioas_map(self->fd, self->id, aligned, pages * PAGE, &iova, MAP_RW);

		if (!rc) {
			EXPECT_EQ(0, iova % PAGE);
			EXPECT_TRUE_FOR(iova >= free_from, "%lu pages at %#lx", pages, iova);
			EXPECT_TRUE_FOR(iova + (pages * PAGE - 1) > iova, "%lu pages at %#lx", pages, iova);
			EXPECT_EQ(0, ioas_unmap_all(self->fd, self->id));
		} else {
			EXPECT_EQ_FOR(-ENOSPC, rc, "%lu pages", pages);
		}
		if (pages > 9)
			EXPECT_EQ_FOR(-ENOSPC, rc, "%lu pages", pages);
	}
	/* aligned to 64 KiB there is nothing below the end */
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, aligned, 16 * PAGE, &iova, MAP_RW));
	EXPECT_EQ(-ENOSPC, ioas_map(self->fd, self->id, aligned, UINT64_MAX / 2 + 1, &iova, MAP_RW));
	munmap(aligned, MIB);
}

TEST_F(bare, mappings_reach_the_first_and_the_last_byte)
{
	uint64_t unmapped = 0;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, 0));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, PAGE, -PAGE));
	EXPECT_EQ(-EOVERFLOW, ioas_map_at(self->fd, self->id, self->mem, PAGE + 1, -PAGE));
	EXPECT_EQ(-EOVERFLOW, ioas_map_at(self->fd, self->id, self->mem, 2, UINT64_MAX));
	EXPECT_EQ(-EEXIST, ioas_map_at(self->fd, self->id, self->mem, 1, -2UL));
	EXPECT_EQ(-EEXIST, ioas_map_at(self->fd, self->id, self->mem, 1, 0));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->id, 1, UINT64_MAX - 1, NULL));
	EXPECT_EQ(-EOVERFLOW, ioas_unmap(self->fd, self->id, 1, UINT64_MAX, NULL));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, -PAGE, PAGE, &unmapped));
	EXPECT_EQ(PAGE, unmapped);
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, &unmapped));
	EXPECT_EQ(PAGE, unmapped);
}

/* ---- kinds of memory ---- */

enum memory_kind {
	SMALL_PAGES,
	SHARED_PAGES,
	TRANSPARENT_HUGE_PAGES,
	HUGETLB_PAGES,
	PRIVATE_FILE,
	MEMFD,
	MEMFD_BY_OFFSET,
};

#define KIND_SIZE	(2 * HUGE_PAGE)
#define KIND_PAGES	(KIND_SIZE / PAGE)

/* @space: with two page tables; @file: memory of a file is from there; @rights: what it may be mapped for */
FIXTURE(memory)
{
	struct mock_space space;
	int fd, file;
	uint32_t id, rights;
	uint8_t *mem;
	bool huge;
};

FIXTURE_VARIANT(memory)
{
	enum memory_kind kind;
};

FIXTURE_VARIANT_ADD(memory, small_pages)
{
	.kind = SMALL_PAGES,
};

FIXTURE_VARIANT_ADD(memory, shared_pages)
{
	.kind = SHARED_PAGES,
};

FIXTURE_VARIANT_ADD(memory, transparent_huge_pages)
{
	.kind = TRANSPARENT_HUGE_PAGES,
};

FIXTURE_VARIANT_ADD(memory, hugetlb_pages)
{
	.kind = HUGETLB_PAGES,
};

FIXTURE_VARIANT_ADD(memory, read_only_private_file)
{
	.kind = PRIVATE_FILE,
};

FIXTURE_VARIANT_ADD(memory, memfd)
{
	.kind = MEMFD,
};

FIXTURE_VARIANT_ADD(memory, memfd_by_offset)
{
	.kind = MEMFD_BY_OFFSET,
};

static void *map_memory(size_t length, int prot, int flags, int file)
{
	void *p = mmap(NULL, length, prot, flags, file, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Memory that begins on a multiple of a huge page; the rest of what had to be reserved for that is given back. */
static uint8_t *map_huge_aligned(void)
{
	uint8_t *p = map_memory(KIND_SIZE + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	uint8_t *aligned = (uint8_t *)((to_u64(p) + HUGE_PAGE - 1) & -HUGE_PAGE);

	if (!p)
		return NULL;
	if (aligned > p)
		munmap(p, aligned - p);
	if (p + HUGE_PAGE > aligned)
		munmap(aligned + KIND_SIZE, p + HUGE_PAGE - aligned);
	madvise(aligned, KIND_SIZE, MADV_HUGEPAGE);
	return aligned;
}

FIXTURE_SETUP(memory)
{
	const int rw = PROT_READ | PROT_WRITE;

	self->file = -1;
	self->rights = MAP_FIXED_RW;
	self->huge = variant->kind == TRANSPARENT_HUGE_PAGES || variant->kind == HUGETLB_PAGES;
	if (variant->kind >= PRIVATE_FILE) {
		self->file = memfd_create("memory", MFD_CLOEXEC);
		ASSERT_LE(0, self->file);
		ASSERT_EQ(0, ftruncate(self->file, KIND_SIZE));
	}
	switch (variant->kind) {
	case SMALL_PAGES:
		self->mem = small_pages(KIND_SIZE);
		break;
	case SHARED_PAGES:
		self->mem = map_memory(KIND_SIZE, rw, MAP_SHARED | MAP_ANONYMOUS, -1);
		break;
	case TRANSPARENT_HUGE_PAGES:
		self->mem = map_huge_aligned();
		break;
	case HUGETLB_PAGES:
		self->mem = map_memory(KIND_SIZE, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
		break;
	case PRIVATE_FILE:
		self->mem = map_memory(KIND_SIZE, PROT_READ, MAP_PRIVATE, self->file);
		self->rights = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
		break;
	case MEMFD:
	case MEMFD_BY_OFFSET:
		self->mem = map_memory(KIND_SIZE, rw, MAP_SHARED, self->file);
		break;
	}
	ASSERT_NE(NULL, self->mem) TH_LOG("memory of kind %d: %s", variant->kind, strerror(errno));
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, 2));
	self->id = self->space.ioas;
}

FIXTURE_TEARDOWN(memory)
{
	close(self->fd);
	munmap(self->mem, KIND_SIZE);
	if (self->file >= 0)
		close(self->file);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* Maps a part of the memory, by address or by offset in the file. */
#define MAP_PART_FOR(_fd, _ioas, _offset, _length, _iova, _rights) ({ \
	uint64_t at = (_iova); \
	variant->kind == MEMFD_BY_OFFSET ? \
		ioas_map_file(_fd, _ioas, self->file, _offset, _length, &at, _rights) : \
		ioas_map(_fd, _ioas, self->mem + (_offset), _length, &at, _rights); \
})
/* The same in this context, with all rights that it has. */
#define MAP_PART(_ioas, _offset, _length, _iova) \
	MAP_PART_FOR(self->fd, _ioas, _offset, _length, _iova, self->rights)

TEST_F(memory, is_found_at_every_offset)
{
	/* within a page, over page edges, from one huge page into the next, from one chunk of 512 pages to the next */
	const uint64_t offsets[] = { 0, MOCK_PAGE, PAGE, 5 * PAGE + MOCK_PAGE, HUGE_PAGE - MOCK_PAGE, HUGE_PAGE };
	const uint64_t lengths[] = { MOCK_PAGE, PAGE, 3 * MOCK_PAGE, 7 * PAGE, 33 * PAGE + MOCK_PAGE };

	for (size_t i = 0; i < ARRAY_SIZE(offsets) * ARRAY_SIZE(lengths); i++) {
		uint64_t offset = offsets[i % ARRAY_SIZE(offsets)], length = lengths[i / ARRAY_SIZE(offsets)];
		uint64_t iova = IOVA + (i % 3) * MOCK_PAGE, first = offset & -PAGE;
		uint64_t pages = (offset - first + length + PAGE - 1) / PAGE;

		ASSERT_EQ_FOR(0, MAP_PART(self->id, offset, length, iova), "offset %#lx, length %#lx", offset, length);
		ASSERT_TRUE_FOR(mock_space_maps(&self->space, iova, length, self->mem + offset),
				"offset %#lx, length %#lx", offset, length);
		ASSERT_EQ_FOR(pages * PAGE / 1024, vm_pin_kb(), "offset %#lx, length %#lx", offset, length);
		ASSERT_EQ_FOR(0, test_check_pins(self->fd, self->mem + first, pages * PAGE, 1),
			      "offset %#lx, length %#lx", offset, length);
		ASSERT_EQ(0, ioas_unmap(self->fd, self->id, iova, length, NULL));
		ASSERT_EQ(0, vm_pin_kb());
	}
}

TEST_F(memory, of_many_pages_is_followed_by_late_page_tables)
{
	/* two areas that overlap in memory and touch nowhere else; the first one ends in the middle of a chunk */
	ASSERT_EQ(0, MAP_PART(self->id, 3 * PAGE, KIND_SIZE - 200 * PAGE, IOVA + 3 * PAGE));
	ASSERT_EQ(0, MAP_PART(self->id, HUGE_PAGE + MOCK_PAGE, HUGE_PAGE - PAGE, IOVA + 4 * HUGE_PAGE));
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_EQ((KIND_PAGES - 200 + KIND_PAGES / 2) * PAGE / 1024, vm_pin_kb());
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA + 3 * PAGE, KIND_SIZE - 200 * PAGE, self->mem + 3 * PAGE));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA + 4 * HUGE_PAGE, HUGE_PAGE - PAGE,
				    self->mem + HUGE_PAGE + MOCK_PAGE));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 3 * PAGE, HUGE_PAGE - 3 * PAGE, 1));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + HUGE_PAGE, 300 * PAGE, 2));
	while (self->space.tables)
		ASSERT_EQ(0, mock_space_drop_table(&self->space));
	EXPECT_EQ(0, vm_pin_kb());
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA + 3 * PAGE, KIND_SIZE - 200 * PAGE, self->mem + 3 * PAGE));
}

TEST_F(memory, copied_is_pinned_and_charged_once)
{
	struct mock_space other;

	ASSERT_EQ(0, mock_space_make(&other, self->fd, 1));
	ASSERT_EQ(0, MAP_PART(self->id, PAGE, 40 * PAGE, IOVA));
	/* a part of it, from the middle of a page to the middle of a page */
	ASSERT_EQ(0, ioas_copy(self->fd, other.ioas, &(uint64_t){ IOVA + MIB + MOCK_PAGE }, self->id,
			       IOVA + 8 * PAGE + MOCK_PAGE, 21 * PAGE, self->rights));
	for (int round = 0; round < 2; round++) {
		EXPECT_TRUE(mock_space_maps(&other, IOVA + MIB + MOCK_PAGE, 21 * PAGE,
					    self->mem + 9 * PAGE + MOCK_PAGE));
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 9 * PAGE, 22 * PAGE, 1));
		if (round)
			break;
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem + PAGE, 40 * PAGE, 1));
		EXPECT_EQ(160, vm_pin_kb());
		/* what only the original held is let go of, to the page */
		ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA, 40 * PAGE, NULL));
		EXPECT_EQ(88, vm_pin_kb());
		EXPECT_EQ(22, pages_pinned());
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 9 * PAGE, 0));
		EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 31 * PAGE, 11 * PAGE, 0));
	}
	EXPECT_EQ(0, ioas_unmap_all(self->fd, other.ioas));
	EXPECT_EQ(0, vm_pin_kb());
}

TEST_F(memory, of_two_contexts_is_pinned_for_each)
{
	struct mock_space second;
	int fd = iommu_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mock_space_make(&second, fd, 1));
	ASSERT_EQ(0, MAP_PART(self->id, 0, 8 * PAGE, IOVA));
	ASSERT_EQ(0, MAP_PART_FOR(fd, second.ioas, 4 * PAGE, 8 * PAGE, IOVA, self->rights));
	EXPECT_EQ(64, vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(fd, self->mem, 4 * PAGE, 1));
	EXPECT_EQ(0, test_check_pins(fd, self->mem + 4 * PAGE, 4 * PAGE, 2));
	EXPECT_EQ(0, test_check_pins(fd, self->mem + 8 * PAGE, 4 * PAGE, 1));
	EXPECT_TRUE(mock_space_maps(&second, IOVA, 8 * PAGE, self->mem + 4 * PAGE));
	close(fd);
	EXPECT_EQ(32, vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, 1));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 8 * PAGE, 4 * PAGE, 0));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 8 * PAGE, self->mem));
}

TEST_F(memory, stays_the_process_own_after_fork)
{
	pid_t pid;

	ASSERT_EQ(0, MAP_PART(self->id, 0, 16 * PAGE, IOVA));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* until a copy is made, pages are shared with the child */
		sleep_ms(1);
		if (self->rights & IOMMU_IOAS_MAP_WRITEABLE)
			memset(self->mem, 2, 8 * PAGE);
		_exit(0);
	}
	if (self->rights & IOMMU_IOAS_MAP_WRITEABLE)
		memset(self->mem, 1, 16 * PAGE);
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 16 * PAGE, self->mem));
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 16 * PAGE, self->mem));
	EXPECT_EQ(64, vm_pin_kb());
}

TEST_F(memory, that_may_only_be_read_follows_later_writes)
{
	/* nothing was written to it so far, and devices may only read it */
	ASSERT_EQ(0, MAP_PART_FOR(self->fd, self->id, 0, 8 * PAGE, IOVA, self->rights & ~IOMMU_IOAS_MAP_WRITEABLE));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 8 * PAGE, self->mem));
	ASSERT_EQ(0, mprotect(self->mem, KIND_SIZE, PROT_READ | PROT_WRITE));
	memset(self->mem, 0x5a, 8 * PAGE);
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 8 * PAGE, self->mem));
	/* unmapped and mapped again it is the same memory still */
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	ASSERT_EQ(0, MAP_PART(self->id, 0, 8 * PAGE, IOVA));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 8 * PAGE, self->mem));
	EXPECT_TRUE(bytes_are(self->mem, 8 * PAGE, 0x5a));
}

TEST_F(memory, stays_with_the_device_when_the_process_drops_it)
{
	ASSERT_EQ(0, MAP_PART(self->id, 0, 16 * PAGE, IOVA));
	memory_changed();
	if (!self->huge)
		ASSERT_EQ(0, munmap(self->mem, 16 * PAGE));
	EXPECT_EQ(64, vm_pin_kb());
	/* a page table that is made now holds the same pages, without looking at the process again */
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_EQ(64, vm_pin_kb());
	EXPECT_EQ(16, pages_pinned());
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_HARNESS_MAIN
