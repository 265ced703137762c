// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_access - memory of an address space in the hands of a device that does its DMA in software
 *
 * Such a device pins pages and reads and writes by IOVA. It has no page table; what it pins it shares with page tables
 * and with other accesses, and it lets go of pages when they are unmapped. Needs the mock IOMMU's test ioctl.
 */
#include "iommu_test.h"
#include "mock_space.h"

#include <signal.h>

#define MEM_SIZE	(64 * PAGE)
#define IOVA		0x2000000UL
#define ONLY_READ	(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE)
#define ONLY_WRITE	(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE)

/* @access: pins pages; @plain: only reads and writes; @file: where the memory is from, or -1 */
FIXTURE(access)
{
	struct mock_space space;
	int fd, access, plain, file;
	uint32_t id;
	uint8_t *mem, *buf;
};

FIXTURE_VARIANT(access)
{
	unsigned int tables;
	bool file;
};

FIXTURE_VARIANT_ADD(access, no_page_table)
{
	.tables = 0, .file = false,
};

FIXTURE_VARIANT_ADD(access, two_page_tables)
{
	.tables = 2, .file = false,
};

FIXTURE_VARIANT_ADD(access, file_and_no_page_table)
{
	.tables = 0, .file = true,
};

FIXTURE_VARIANT_ADD(access, file_and_two_page_tables)
{
	.tables = 2, .file = true,
};

FIXTURE_SETUP(access)
{
	self->file = -1;
	if (variant->file) {
		self->file = memfd_create("access", MFD_CLOEXEC);
		ASSERT_LE(0, self->file);
		ASSERT_EQ(0, ftruncate(self->file, MEM_SIZE));
		self->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0);
		ASSERT_NE(MAP_FAILED, (void *)self->mem);
	} else {
		self->mem = small_pages(MEM_SIZE);
		ASSERT_NE(NULL, self->mem);
	}
	self->buf = small_pages(4 * PAGE);
	ASSERT_NE(NULL, self->buf);
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, variant->tables));
	self->id = self->space.ioas;
	self->access = test_access_create(self->fd, self->id, ACCESS_PINS);
	ASSERT_LE(0, self->access);
	self->plain = test_access_create(self->fd, self->id, 0);
	ASSERT_LE(0, self->plain);
}

FIXTURE_TEARDOWN(access)
{
	if (self->access >= 0)
		close(self->access);
	close(self->plain);
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	munmap(self->buf, 4 * PAGE);
	if (self->file >= 0)
		close(self->file);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* Maps pages of the memory. */
#define MAP_PAGES(_first, _count, _iova, _flags) ({ \
	uint64_t at = (_iova); \
	variant->file ? \
		ioas_map_file(self->fd, self->id, self->file, (_first) * PAGE, (_count) * PAGE, &at, _flags) : \
		ioas_map(self->fd, self->id, self->mem + (_first) * PAGE, (_count) * PAGE, &at, _flags); \
})
#define PIN(_iova, _length, _va, _flags, _item) \
	test_access_pin(self->fd, self->access, _iova, _length, _va, _flags, _item)
#define UNPIN(_item)	test_access_unpin(self->fd, self->access, _item)
/* VmPin in kB: page tables pin what is mapped, without one it is what the access pins */
#define PINNED(_mapped, _accessed)	((long)((variant->tables ? (_mapped) : (_accessed)) * PAGE / 1024))

/* ---- pins ---- */

TEST_F(access, pins_what_it_asks_for_to_the_page)
{
	const struct {
		uint64_t offset, length, first, count;
	} parts[] = {
		{ 0, 1, 0, 1 }, { 0, PAGE, 0, 1 }, { PAGE - 1, 1, 0, 1 }, { PAGE - 1, 2, 0, 2 },
		{ 5 * PAGE, PAGE, 5, 1 }, { 3 * PAGE + 7, 2 * PAGE, 3, 3 }, { 0, 16 * PAGE, 0, 16 },
		{ 15 * PAGE, PAGE, 15, 1 },
		{ 16 * PAGE - 1, 1, 15, 1 },
	};
	uint32_t item;

	ASSERT_EQ(0, MAP_PAGES(0, 16, IOVA, MAP_FIXED_RW));
	EXPECT_EQ(PINNED(16, 0), vm_pin_kb());
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		/* the pages are those that the process has there */
		ASSERT_EQ_FOR(0, PIN(IOVA + parts[i].offset, parts[i].length, self->mem + parts[i].offset, ACCESS_WRITE,
				     &item), "part %zu", i);
		EXPECT_EQ_FOR(PINNED(16, parts[i].count), vm_pin_kb(), "part %zu", i);
		EXPECT_EQ_FOR(0, test_check_pins(self->fd, self->mem + parts[i].first * PAGE, parts[i].count * PAGE, 1),
			      "part %zu", i);
		ASSERT_EQ_FOR(0, UNPIN(item), "part %zu", i);
		EXPECT_EQ_FOR(-ENOENT, UNPIN(item), "part %zu", i);
		EXPECT_EQ_FOR(PINNED(16, 0), vm_pin_kb(), "part %zu", i);
		EXPECT_EQ_FOR(0, test_check_pins(self->fd, self->mem, 16 * PAGE, !!variant->tables), "part %zu", i);
	}
	/* the test itself notices other pages */
	EXPECT_EQ(-EBADE, PIN(IOVA, PAGE, self->mem + PAGE, 0, &item));
	EXPECT_EQ(PINNED(16, 0), vm_pin_kb());
}

TEST_F(access, pins_twice_and_holds_one_pin)
{
	uint32_t item[3];

	ASSERT_EQ(0, MAP_PAGES(0, 16, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA + 2 * PAGE, 4 * PAGE, self->mem + 2 * PAGE, 0, &item[0]));
	ASSERT_EQ(0, PIN(IOVA + 2 * PAGE, 4 * PAGE, self->mem + 2 * PAGE, ACCESS_WRITE, &item[1]));
	ASSERT_EQ(0, PIN(IOVA + 4 * PAGE, 4 * PAGE, self->mem + 4 * PAGE, 0, &item[2]));
	EXPECT_EQ(PINNED(16, 6), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 2 * PAGE, 6 * PAGE, 1));
	ASSERT_EQ(0, UNPIN(item[0]));
	EXPECT_EQ(PINNED(16, 6), vm_pin_kb());
	ASSERT_EQ(0, UNPIN(item[1]));
	EXPECT_EQ(PINNED(16, 4), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 2 * PAGE, 2 * PAGE, !!variant->tables));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 4 * PAGE, 4 * PAGE, 1));
	ASSERT_EQ(0, UNPIN(item[2]));
	EXPECT_EQ(PINNED(16, 0), vm_pin_kb());
}

TEST_F(access, pins_across_areas)
{
	uint32_t item;

	/* side by side, in memory the other way round, so the pages are compared one area at a time */
	ASSERT_EQ(0, MAP_PAGES(8, 4, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, MAP_PAGES(0, 4, IOVA + 4 * PAGE, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA + 2 * PAGE + 5, 4 * PAGE, NULL, ACCESS_WRITE, &item));
	EXPECT_EQ(PINNED(8, 5), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 10 * PAGE, 2 * PAGE, 1));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 3 * PAGE, 1));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 3 * PAGE, PAGE, !!variant->tables));
	ASSERT_EQ(0, UNPIN(item));
	EXPECT_EQ(PINNED(8, 0), vm_pin_kb());
	/* two areas whose memory touches as well */
	ASSERT_EQ(0, MAP_PAGES(12, 4, IOVA + MIB, MAP_FIXED_RW));
	ASSERT_EQ(0, MAP_PAGES(16, 4, IOVA + MIB + 4 * PAGE, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA + MIB + PAGE, 6 * PAGE, self->mem + 13 * PAGE, ACCESS_WRITE, &item));
	EXPECT_EQ(PINNED(16, 6), vm_pin_kb());
	ASSERT_EQ(0, UNPIN(item));
}

TEST_F(access, refuses_to_pin_what_is_not_there_or_not_allowed)
{
	uint32_t item;

	ASSERT_EQ(0, MAP_PAGES(0, 4, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, MAP_PAGES(4, 4, IOVA + 4 * PAGE, ONLY_READ));
	ASSERT_EQ(0, MAP_PAGES(8, 4, IOVA + 8 * PAGE, ONLY_WRITE));
	EXPECT_EQ(-EINVAL, PIN(IOVA, 0, NULL, 0, &item));
	EXPECT_EQ(-EOVERFLOW, PIN(-PAGE, PAGE + 1, NULL, 0, &item));
	EXPECT_EQ(-ENOMEM, PIN(IOVA, 16 * MIB + 1, NULL, 0, &item));
	EXPECT_EQ(-EOPNOTSUPP, PIN(IOVA, PAGE, NULL, 2, &item));
	EXPECT_EQ(-EOPNOTSUPP, PIN(IOVA, PAGE, NULL, 1U << 31, &item));
	EXPECT_EQ(-EOPNOTSUPP, test_access_pin(self->fd, self->plain, IOVA, PAGE, NULL, 0, &item));
	EXPECT_EQ(-EBADFD, test_access_pin(self->fd, self->fd, IOVA, PAGE, NULL, 0, &item));
	EXPECT_EQ(-EBADFD, test_access_unpin(self->fd, self->fd, 0));
	/* nothing, or not all of it; the part that is there is let go of again */
	EXPECT_EQ(-ENOENT, PIN(IOVA - PAGE, PAGE, NULL, 0, &item));
	EXPECT_EQ(-ENOENT, PIN(IOVA - PAGE, 2 * PAGE, NULL, 0, &item));
	EXPECT_EQ(-ENOENT, PIN(IOVA + 11 * PAGE, PAGE + 1, NULL, ACCESS_WRITE, &item));
	EXPECT_EQ(-EPERM, PIN(IOVA + 3 * PAGE, 2 * PAGE, NULL, ACCESS_WRITE, &item));
	EXPECT_EQ(-EPERM, PIN(IOVA + 4 * PAGE, PAGE, NULL, ACCESS_WRITE, &item));
	EXPECT_EQ(PINNED(12, 0), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 12 * PAGE, !!variant->tables));
	ASSERT_EQ(0, PIN(IOVA + 3 * PAGE, 2 * PAGE, self->mem + 3 * PAGE, 0, &item));
	ASSERT_EQ(0, PIN(IOVA + 8 * PAGE, PAGE, self->mem + 8 * PAGE, ACCESS_WRITE, &item));
}

TEST_F(access, lets_go_of_what_is_unmapped)
{
	uint32_t first, second, both;

	ASSERT_EQ(0, MAP_PAGES(0, 4, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, MAP_PAGES(4, 4, IOVA + 4 * PAGE, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA, 4 * PAGE, self->mem, 0, &first));
	ASSERT_EQ(0, PIN(IOVA + 4 * PAGE, 4 * PAGE, self->mem + 4 * PAGE, 0, &second));
	ASSERT_EQ(0, PIN(IOVA + 2 * PAGE, 4 * PAGE, self->mem + 2 * PAGE, 0, &both));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA, 4 * PAGE, NULL));
	EXPECT_EQ(-ENOENT, UNPIN(first));
	EXPECT_EQ(-ENOENT, UNPIN(both));
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 4 * PAGE, 0));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 4 * PAGE, 4 * PAGE, 1));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, 0, UINT64_MAX, NULL));
	EXPECT_EQ(-ENOENT, UNPIN(second));
	EXPECT_EQ(0, vm_pin_kb());
	/* and goes on afterwards */
	ASSERT_EQ(0, MAP_PAGES(20, 4, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA, 4 * PAGE, self->mem + 20 * PAGE, 0, &first));
	ASSERT_EQ(0, UNPIN(first));
}

TEST_F(access, shares_its_pins_with_page_tables_and_other_accesses)
{
	int other = test_access_create(self->fd, self->id, ACCESS_PINS);
	uint32_t mine, theirs;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, MAP_PAGES(0, 8, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA + 2 * PAGE, 2 * PAGE, self->mem + 2 * PAGE, 0, &mine));
	ASSERT_EQ(0, test_access_pin(self->fd, other, IOVA + 3 * PAGE, 2 * PAGE, self->mem + 3 * PAGE, 0, &theirs));
	EXPECT_EQ(PINNED(8, 3), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 2 * PAGE, 3 * PAGE, 1));

	/* a page table comes: only what is missing is pinned */
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 8 * PAGE, self->mem));
	EXPECT_EQ(32, vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, 1));
	ASSERT_EQ(0, test_access_unpin(self->fd, other, theirs));
	EXPECT_EQ(32, vm_pin_kb());
	/* all of them go: what the access pins stays */
	while (self->space.tables)
		ASSERT_EQ(0, mock_space_drop_table(&self->space));
	EXPECT_EQ(8, vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 2 * PAGE, 2 * PAGE, 1));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 4 * PAGE, 4 * PAGE, 0));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 2 * PAGE, 0));
	ASSERT_EQ(0, UNPIN(mine));
	EXPECT_EQ(0, vm_pin_kb());
	close(other);
}

TEST_F(access, shares_its_pins_with_a_copy)
{
	struct mock_space other;
	uint32_t item;

	ASSERT_EQ(0, MAP_PAGES(0, 8, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA + 2 * PAGE, 2 * PAGE, self->mem + 2 * PAGE, 0, &item));
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 1));
	ASSERT_EQ(0, ioas_copy_to(self->fd, other.ioas, IOVA, self->id, IOVA + 3 * PAGE, 2 * PAGE));
	EXPECT_EQ(PINNED(8, 3), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem + 2 * PAGE, 3 * PAGE, 1));
	/* the access is told to let go by the address space that it looks at, not by another one */
	ASSERT_EQ(0, ioas_unmap_all(self->fd, other.ioas));
	EXPECT_EQ(PINNED(8, 2), vm_pin_kb());
	ASSERT_EQ(0, ioas_copy_to(self->fd, other.ioas, IOVA, self->id, IOVA + 3 * PAGE, 2 * PAGE));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	EXPECT_EQ(-ENOENT, UNPIN(item));
	EXPECT_EQ(8, vm_pin_kb());
	EXPECT_TRUE(mock_space_maps(&other, IOVA, 2 * PAGE, self->mem + 3 * PAGE));
}

TEST_F(access, asks_for_whole_pages_if_it_pins)
{
	struct iommu_iova_range range;
	uint64_t align = 0;
	uint32_t num = 1;
	int other;

	/* a plain one asks for nothing */
	close(self->access);
	self->access = -1;
	ASSERT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, IOVA));
	EXPECT_EQ(-EADDRINUSE, test_access_create(self->fd, self->id, ACCESS_PINS));
	other = test_access_create(self->fd, self->id, 0);
	EXPECT_LE(0, other);
	close(other);
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	self->access = test_access_create(self->fd, self->id, ACCESS_PINS);
	ASSERT_LE(0, self->access);
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem + MOCK_PAGE, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->fd, self->id, self->mem, PAGE, IOVA + MOCK_PAGE));
	ASSERT_EQ(0, ioas_ranges(self->fd, self->id, &range, &num, &align));
	EXPECT_EQ(PAGE, align);
	close(self->access);
	self->access = -1;
	EXPECT_EQ(0, ioas_map_at(self->fd, self->id, self->mem, MOCK_PAGE, IOVA));
}

TEST_F(access, is_refused_for_bad_arguments)
{
	EXPECT_EQ(-ENOENT, test_access_create(self->fd, 0, 0));
	EXPECT_EQ(-ENOENT, test_access_create(self->fd, UNKNOWN_ID, ACCESS_PINS));
	for (int bit = 1; bit < 32; bit++)
		EXPECT_EQ_FOR(-EOPNOTSUPP, test_access_create(self->fd, self->id, 1U << bit), "bit %d", bit);
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->id));
}

/* ---- ends ---- */

TEST_F(access, close_unpins)
{
	uint32_t item;

	ASSERT_EQ(0, MAP_PAGES(0, 8, IOVA, MAP_FIXED_RW));
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, PIN(IOVA + i * PAGE, 3 * PAGE, self->mem + i * PAGE, i & 1, &item));
	EXPECT_EQ(PINNED(8, 6), vm_pin_kb());
	close(self->access);
	self->access = -1;
	EXPECT_EQ(PINNED(8, 0), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 8 * PAGE, !!variant->tables));
}

TEST_F(access, keeps_the_context_that_it_came_from)
{
	uint32_t item;

	ASSERT_EQ(0, MAP_PAGES(0, 8, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, PIN(IOVA, 2 * PAGE, self->mem, 0, &item));
	close(self->fd);
	EXPECT_EQ(PINNED(8, 2), vm_pin_kb());
	/* any open /dev/iommu will do to reach it */
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, PIN(IOVA + 4 * PAGE, 2 * PAGE, self->mem + 4 * PAGE, 0, &item));
	EXPECT_EQ(PINNED(8, 4), vm_pin_kb());
	pattern_fill(self->mem, PAGE, 1);
	EXPECT_EQ(0, test_access_rw(self->fd, self->plain, IOVA, self->buf, PAGE, 0));
	EXPECT_TRUE(pattern_is(self->buf, PAGE, 1));
	close(self->access);
	self->access = -1;
	EXPECT_EQ(PINNED(8, 0), vm_pin_kb());
}

TEST_F(access, moves_to_another_address_space)
{
	struct mock_space other;
	uint32_t item, again;

	ASSERT_EQ(0, MAP_PAGES(0, 8, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 0));
	ASSERT_EQ(0, ioas_map_at(self->fd, other.ioas, self->buf, 4 * PAGE, IOVA));
	ASSERT_EQ(0, PIN(IOVA, 2 * PAGE, self->mem, 0, &item));
	EXPECT_EQ(-ENOENT, test_access_replace(self->fd, self->access, UNKNOWN_ID));
	EXPECT_EQ(-ENOENT, test_access_replace(self->fd, self->access, 0));
	EXPECT_EQ(-EBADFD, test_access_replace(self->fd, self->fd, other.ioas));
	EXPECT_EQ(PINNED(8, 2), vm_pin_kb());
	ASSERT_EQ(0, test_access_replace(self->fd, self->access, other.ioas));
	/* what was pinned in the old one is given back */
	EXPECT_EQ(PINNED(8, 0), vm_pin_kb());
	EXPECT_EQ(-ENOENT, UNPIN(item));
	ASSERT_EQ(0, PIN(IOVA, 4 * PAGE, self->buf, ACCESS_WRITE, &again));
	EXPECT_EQ(PINNED(8, 0) + 16, vm_pin_kb());
	/* the old one does not reach it any more, and nothing holds it but the plain access */
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	EXPECT_EQ(16, vm_pin_kb());
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->id));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, other.ioas));
	ASSERT_EQ(0, test_access_replace(self->fd, self->plain, other.ioas));
	EXPECT_EQ(variant->tables ? -EBUSY : 0, iommu_destroy(self->fd, self->id));
	EXPECT_EQ(0, UNPIN(again));
}

TEST_F(access, that_cannot_move_stays_as_it_was)
{
	struct mock_space other;
	uint32_t item;

	ASSERT_EQ(0, MAP_PAGES(0, 8, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 0));
	/* this one cannot be pinned by pages */
	ASSERT_EQ(0, ioas_map_at(self->fd, other.ioas, self->buf, MOCK_PAGE, IOVA));
	ASSERT_EQ(0, PIN(IOVA, 2 * PAGE, self->mem, 0, &item));
	EXPECT_EQ(-EADDRINUSE, test_access_replace(self->fd, self->access, other.ioas));
	EXPECT_EQ(PINNED(8, 2), vm_pin_kb());
	EXPECT_EQ(0, UNPIN(item));
	EXPECT_EQ(0, PIN(IOVA, PAGE, self->mem, 0, &item));
	/* nor is the alignment asked of it */
	EXPECT_EQ(0, ioas_map_at(self->fd, other.ioas, self->buf, MOCK_PAGE, IOVA + PAGE));
	EXPECT_EQ(0, test_access_replace(self->fd, self->plain, other.ioas));
	EXPECT_EQ(0, test_access_replace(self->fd, self->plain, self->id));
	EXPECT_EQ(0, iommu_destroy(self->fd, other.ioas));
}

/* ---- reading and writing ---- */

TEST_F(access, copies_any_bytes_by_either_way)
{
	static const uint64_t offsets[] = { 0, 1, 7, 2047, PAGE - 1, PAGE, 2 * PAGE - 3, 3 * PAGE + 100 };
	static const uint64_t lengths[] = { 1, 2, 8, 100, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 5 };
	const size_t combinations = ARRAY_SIZE(offsets) * ARRAY_SIZE(lengths);

	/* three areas side by side; in memory the second one comes first */
	ASSERT_EQ(0, MAP_PAGES(4, 2, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, MAP_PAGES(0, 1, IOVA + 2 * PAGE, MAP_FIXED_RW));
	ASSERT_EQ(0, MAP_PAGES(8, 4, IOVA + 3 * PAGE, MAP_FIXED_RW));
	for (size_t i = 0; i < combinations * 4; i++) {
		uint64_t offset = offsets[i % ARRAY_SIZE(offsets)];
		uint64_t length = lengths[i / ARRAY_SIZE(offsets) % ARRAY_SIZE(lengths)];
		uint32_t flags = i / combinations & 1 ? ACCESS_REMOTE : 0;
		uint8_t *buf = self->buf + i % 13, *seen[7];
		int access = i / combinations & 2 ? self->access : self->plain;
		bool equal = true;

		for (int page = 0; page < 7; page++)
			seen[page] = self->mem + (page < 2 ? 4 + page : page == 2 ? 0 : 5 + page) * PAGE;
		memset(self->mem, 0xa5, 16 * PAGE);
		memset(self->buf, 0x5a, 4 * PAGE);
		pattern_fill(buf, length, i);
		ASSERT_EQ_FOR(0, test_access_rw(self->fd, access, IOVA + offset, buf, length, ACCESS_WRITE | flags),
			      "round %zu: offset %lu, length %lu", i, offset, length);
		memory_changed();
		for (uint64_t at = 0; at < 7 * PAGE && equal; at++) {
			uint8_t want = at >= offset && at < offset + length ? buf[at - offset] : 0xa5;

			equal = seen[at / PAGE][at % PAGE] == want;
		}
		ASSERT_TRUE_FOR(equal, "round %zu: offset %lu, length %lu", i, offset, length);
		memset(self->buf, 0x5a, 4 * PAGE);
		ASSERT_EQ_FOR(0, test_access_rw(self->fd, access, IOVA + offset, buf, length, flags),
			      "round %zu: offset %lu, length %lu", i, offset, length);
		ASSERT_TRUE_FOR(pattern_is(buf, length, i), "round %zu: offset %lu, length %lu", i, offset, length);
		ASSERT_TRUE(bytes_are(buf + length, 64, 0x5a));
	}
	/* nothing stays pinned for it */
	EXPECT_EQ(PINNED(7, 0), vm_pin_kb());
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, PAGE, !!variant->tables));
}

TEST_F(access, refuses_to_copy_what_is_not_there_or_not_allowed)
{
	uint8_t *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *source = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)none);
	ASSERT_NE(MAP_FAILED, (void *)source);
	ASSERT_EQ(0, MAP_PAGES(0, 4, IOVA, MAP_FIXED_RW));
	ASSERT_EQ(0, MAP_PAGES(4, 4, IOVA + 4 * PAGE, ONLY_READ));
	memset(self->mem, 0xa5, 8 * PAGE);
	for (uint32_t remote = 0; remote <= ACCESS_REMOTE; remote += ACCESS_REMOTE) {
		for (int i = 0; i < 2; i++) {
			int access = i ? self->access : self->plain;

#define RW(_iova, _buf, _length, _flags) \
	test_access_rw(self->fd, access, _iova, _buf, _length, (_flags) | remote)
			EXPECT_EQ(-EINVAL, RW(IOVA, self->buf, 0, 0));
			EXPECT_EQ(-EINVAL, RW(IOVA, self->buf, 0, ACCESS_WRITE));
			EXPECT_EQ(-ENOMEM, RW(IOVA, self->buf, 16 * MIB + 1, 0));
			EXPECT_EQ(-EOPNOTSUPP, RW(IOVA, self->buf, 8, 2));
			EXPECT_EQ(-EOPNOTSUPP, RW(IOVA, self->buf, 8, 1U << 31));
			EXPECT_EQ(-ENOENT, RW(IOVA - 1, self->buf, 1, 0));
			EXPECT_EQ(-ENOENT, RW(IOVA - 1, self->buf, 2, 0));
			EXPECT_EQ(-ENOENT, RW(IOVA + 8 * PAGE - 1, self->buf, 2, 0));
			EXPECT_EQ(-ENOENT, RW(IOVA + 8 * PAGE, self->buf, 1, ACCESS_WRITE));
			EXPECT_EQ(-EPERM, RW(IOVA + 4 * PAGE, self->buf, 1, ACCESS_WRITE));
			EXPECT_EQ(-EPERM, RW(IOVA + 8 * PAGE - 1, self->buf, 1, ACCESS_WRITE));
			EXPECT_EQ(-EFAULT, RW(IOVA, none, 1, ACCESS_WRITE));
			EXPECT_EQ(-EFAULT, RW(IOVA, none, 1, 0));
			EXPECT_EQ(-EFAULT, RW(IOVA, source, 1, 0));
			EXPECT_EQ(0, RW(IOVA, source, 1, ACCESS_WRITE));
			self->mem[0] = 0xa5;
#undef RW
		}
	}
	EXPECT_EQ(-EBADFD, test_access_rw(self->fd, self->fd, IOVA, self->buf, 1, 0));
	EXPECT_TRUE(bytes_are(self->mem + 4 * PAGE, 4 * PAGE, 0xa5));
	munmap(none, PAGE);
	munmap(source, PAGE);
}

TEST_F(access, meets_memory_that_is_gone)
{
	uint32_t item;

	ASSERT_EQ(0, MAP_PAGES(0, 4, IOVA, MAP_FIXED_RW));
	pattern_fill(self->mem, 2 * PAGE, 3);
	ASSERT_EQ(0, munmap(self->mem + PAGE, PAGE));
	if (variant->tables || variant->file) {
		/* a device would still reach it, so the access can pin it */
		EXPECT_EQ(0, PIN(IOVA, 4 * PAGE, NULL, ACCESS_WRITE, &item));
	} else {
		EXPECT_EQ(-EFAULT, PIN(IOVA, 4 * PAGE, NULL, ACCESS_WRITE, &item));
		EXPECT_EQ(0, vm_pin_kb());
		EXPECT_EQ(-EFAULT, test_access_rw(self->fd, self->plain, IOVA + PAGE, self->buf, 8, 0));
		EXPECT_EQ(-EFAULT, test_access_rw(self->fd, self->plain, IOVA + PAGE, self->buf, 8, ACCESS_REMOTE));
		EXPECT_EQ(-EFAULT, test_access_rw(self->fd, self->plain, IOVA, self->buf, 2 * PAGE, ACCESS_WRITE));
		EXPECT_EQ(0, PIN(IOVA, PAGE, self->mem, ACCESS_WRITE, &item));
		EXPECT_EQ(4, vm_pin_kb());
	}
}

/* ---- memory of another process ---- */

/* A child that maps memory of its own at IOVA, filled with pattern 5, and waits for its end. */
static pid_t map_in_child(int fd, uint32_t ioas, uint8_t **where)
{
	uint8_t **shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = shared == MAP_FAILED ? -1 : fork();

	if (!pid) {
		uint8_t *mine = small_pages(4 * PAGE);

		CHILD_NEEDS(mine);
		pattern_fill(mine, 4 * PAGE, 5);
		CHILD_NEEDS(!ioas_map_at(fd, ioas, mine, 4 * PAGE, IOVA));
		__atomic_store_n(shared, mine, __ATOMIC_RELEASE);
		for (;;)
			pause();
	}
	while (pid > 0 && !__atomic_load_n(shared, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	if (pid > 0)
		*where = *shared;
	if (shared != MAP_FAILED)
		munmap(shared, PAGE);
	return pid;
}

/* VmPin of another process */
static long vm_pin_kb_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return number_in_file(path, "VmPin:");
}

TEST_F(access, reaches_the_memory_of_another_process)
{
	char path[64];
	uint8_t *where;
	pid_t pid;
	int mem;
	uint32_t item;

	pid = map_in_child(self->fd, self->id, &where);
	ASSERT_LT(0, pid);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, mem);
	for (uint32_t remote = 0; remote <= ACCESS_REMOTE; remote += ACCESS_REMOTE) {
		memset(self->buf, 0, 4 * PAGE);
		ASSERT_EQ(0, test_access_rw(self->fd, self->plain, IOVA, self->buf, 4 * PAGE, remote));
		EXPECT_TRUE(pattern_is(self->buf, 4 * PAGE, 5));
		pattern_fill(self->buf, 100, 6);
		ASSERT_EQ(0, test_access_rw(self->fd, self->plain, IOVA + PAGE - 50, self->buf, 100,
					    ACCESS_WRITE | remote));
		memset(self->buf, 0, 100);
		ASSERT_EQ(100, pread(mem, self->buf, 100, to_u64(where) + PAGE - 50));
		EXPECT_TRUE(pattern_is(self->buf, 100, 6));
		pattern_fill(self->buf, 4 * PAGE, 5);
		ASSERT_EQ(100, pwrite(mem, self->buf + PAGE - 50, 100, to_u64(where) + PAGE - 50));
	}
	/* whoever mapped it pays */
	ASSERT_EQ(0, PIN(IOVA + PAGE, 2 * PAGE, NULL, ACCESS_WRITE, &item));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(PINNED(4, 2), vm_pin_kb_of(pid));
	EXPECT_EQ(variant->tables ? 4 : 2, pages_pinned());
	close(mem);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	/* what is pinned stays, the rest is gone with the process */
	EXPECT_EQ(variant->tables ? 4 : 2, pages_pinned());
	ASSERT_EQ(0, UNPIN(item));
	EXPECT_EQ(variant->tables ? 4 : 0, pages_pinned());
	EXPECT_EQ(variant->tables ? 0 : -EFAULT, PIN(IOVA, PAGE, NULL, 0, &item));
	if (!variant->tables) {
		EXPECT_EQ(-EFAULT, test_access_rw(self->fd, self->plain, IOVA, self->buf, 8, 0));
		EXPECT_EQ(-EFAULT, test_access_rw(self->fd, self->plain, IOVA, self->buf, 8, ACCESS_WRITE));
	}
	EXPECT_EQ(0, ioas_unmap_all(self->fd, self->id));
	EXPECT_EQ(0, pages_pinned());
}

TEST_HARNESS_MAIN
