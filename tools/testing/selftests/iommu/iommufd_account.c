// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_account - who pays for pinned memory, and how much
 *
 * Each page once, whatever shares it; never above the limit, to the page; and by the process that mapped it until
 * another one takes over. Needs the mock IOMMU.
 */
#include "iommu_test.h"
#include "mock_space.h"

#include <grp.h>

#define MEM_SIZE	(64 * PAGE)
#define IOVA		0x2000000UL
#define COPY		0x3000000UL
#define LIMIT		16	/* pages */

/* RLIMIT_MODE of the context, and whether CAP_IPC_LOCK is left so that no limit counts */
struct payer {
	uint64_t mode;
	bool unlimited;
};

static int take_mode(int fd, const struct payer *payer)
{
	return option_set(fd, IOMMU_OPTION_RLIMIT_MODE, 0, payer->mode);
}

/* ---- the limit ---- */

FIXTURE(limit)
{
	struct mock_space space;
	int fd, file;
	uint32_t id;
	uint8_t *mem;
};

FIXTURE_VARIANT(limit)
{
	struct payer payer;
	bool file;
};

FIXTURE_VARIANT_ADD(limit, per_user)
{
	.payer = { .mode = 0 },
};

FIXTURE_VARIANT_ADD(limit, per_process)
{
	.payer = { .mode = 1 },
};

FIXTURE_VARIANT_ADD(limit, file_per_user)
{
	.payer = { .mode = 0 }, .file = true,
};

FIXTURE_VARIANT_ADD(limit, file_per_process)
{
	.payer = { .mode = 1 }, .file = true,
};

FIXTURE_SETUP(limit)
{
	self->file = memfd_create("account", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, MEM_SIZE));
	self->mem = variant->file ?
		mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0) : small_pages(MEM_SIZE);
	ASSERT_NE(MAP_FAILED, (void *)self->mem);
	ASSERT_NE(NULL, self->mem);
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, take_mode(self->fd, &variant->payer));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, 0));
	self->id = self->space.ioas;
	ASSERT_EQ(0, memlock_limit(LIMIT * PAGE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
}

/* Maps and unmaps exactly as much as the limit allows, with a page table: nobody else is charged anything. */
static bool whole_limit_is_free(const struct payer *payer, uint8_t *mem)
{
	struct mock_space space;
	int fd = iommu_open();
	bool free;

	free = fd >= 0 && !take_mode(fd, payer) && !mock_space_make(&space, fd, 1) &&
	       !ioas_map_at(fd, space.ioas, mem, LIMIT * PAGE, IOVA) &&
	       ioas_map_at(fd, space.ioas, mem, PAGE, COPY) == -ENOMEM;
	close(fd);
	return free;
}

FIXTURE_TEARDOWN(limit)
{
	close(self->fd);
	EXPECT_TRUE(whole_limit_is_free(&variant->payer, self->mem));
	munmap(self->mem, MEM_SIZE);
	close(self->file);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

#define MAP_BYTES_IN(_ioas, _offset, _length, _iova) \
	(variant->file ? ioas_map_file_at(self->fd, _ioas, self->file, _offset, _length, _iova) : \
	 ioas_map_at(self->fd, _ioas, self->mem + (_offset), _length, _iova))
#define MAP_BYTES(_offset, _length, _iova)	MAP_BYTES_IN(self->id, _offset, _length, _iova)
/* what is charged: VmPin always, VmLck where the process has the limit */
#define EXPECT_CHARGED(_pages) do { \
	EXPECT_EQ((long)((_pages) * PAGE / 1024), vm_pin_kb()); \
	EXPECT_EQ(variant->payer.mode ? (long)((_pages) * PAGE / 1024) : 0, vm_lck_kb()); \
	EXPECT_EQ((long)(_pages), pages_pinned()); \
} while (0)

TEST_F(limit, is_exact_to_the_page)
{
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	for (int round = 0; round < 2; round++) {
		EXPECT_EQ(-ENOMEM, MAP_BYTES(0, (LIMIT + 1) * PAGE, IOVA));
		EXPECT_CHARGED(0);
		/* bytes count as the pages that they are in */
		EXPECT_EQ(-ENOMEM, MAP_BYTES(MOCK_PAGE, LIMIT * PAGE, IOVA));
		EXPECT_CHARGED(0);
		ASSERT_EQ(0, MAP_BYTES(MOCK_PAGE, (LIMIT - 1) * PAGE, IOVA));
		EXPECT_CHARGED(LIMIT);
		EXPECT_EQ(-ENOMEM, MAP_BYTES(0, MOCK_PAGE, COPY));
		EXPECT_CHARGED(LIMIT);
		EXPECT_TRUE(mock_space_maps(&self->space, IOVA, (LIMIT - 1) * PAGE, self->mem + MOCK_PAGE));
		ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
		EXPECT_CHARGED(0);
	}
	ASSERT_EQ(0, memlock_limit(0));
	EXPECT_EQ(-ENOMEM, MAP_BYTES(0, MOCK_PAGE, IOVA));
	EXPECT_CHARGED(0);
	ASSERT_EQ(0, memlock_limit(LIMIT * PAGE));
}

TEST_F(limit, is_not_touched_by_what_shares_pages)
{
	struct mock_space other;
	uint32_t item;
	int access;

	ASSERT_EQ(0, MAP_BYTES(0, LIMIT * PAGE, IOVA));
	EXPECT_CHARGED(0);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, mock_space_add_table(&self->space));
		EXPECT_CHARGED(LIMIT);
	}
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 1));
	ASSERT_EQ(0, ioas_copy_to(self->fd, other.ioas, COPY, self->id, IOVA, LIMIT * PAGE));
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->id, COPY, other.ioas, COPY, LIMIT * PAGE));
	EXPECT_CHARGED(LIMIT);
	access = test_access_create(self->fd, self->id, ACCESS_PINS);
	ASSERT_LE(0, access);
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA, LIMIT * PAGE, self->mem, ACCESS_WRITE, &item));
	EXPECT_CHARGED(LIMIT);
	EXPECT_EQ(-ENOMEM, MAP_BYTES(LIMIT * PAGE, PAGE, IOVA + MIB));
	/* the last that holds a page gives its charge back */
	ASSERT_EQ(0, ioas_unmap_all(self->fd, other.ioas));
	while (self->space.tables)
		ASSERT_EQ(0, mock_space_drop_table(&self->space));
	EXPECT_CHARGED(LIMIT);
	ASSERT_EQ(0, test_access_unpin(self->fd, access, item));
	EXPECT_CHARGED(0);
	close(access);
}

TEST_F(limit, refuses_the_first_page_table)
{
	ASSERT_EQ(0, MAP_BYTES(0, LIMIT / 2 * PAGE, IOVA));
	ASSERT_EQ(0, MAP_BYTES(0, (LIMIT / 2 + 1) * PAGE, COPY));
	EXPECT_CHARGED(0);
	EXPECT_EQ(-ENOMEM, mock_space_add_table(&self->space));
	EXPECT_CHARGED(0);
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, COPY, (LIMIT / 2 + 1) * PAGE, NULL));
	ASSERT_EQ(0, MAP_BYTES(PAGE, LIMIT / 2 * PAGE, COPY));
	EXPECT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_CHARGED(LIMIT);
	EXPECT_TRUE(mock_space_maps(&self->space, COPY, LIMIT / 2 * PAGE, self->mem + PAGE));
}

TEST_F(limit, refuses_a_copy_as_a_whole)
{
	struct mock_space other;

	/* two areas side by side, not pinned; the limit has room for the first */
	ASSERT_EQ(0, MAP_BYTES(0, 12 * PAGE, IOVA));
	ASSERT_EQ(0, MAP_BYTES(32 * PAGE, 12 * PAGE, IOVA + 12 * PAGE));
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 2));
	EXPECT_EQ(-ENOMEM, ioas_copy_to(self->fd, other.ioas, COPY, self->id, IOVA, 24 * PAGE));
	EXPECT_CHARGED(0);
	EXPECT_TRUE(mock_space_maps_nothing(&other, COPY, 12 * PAGE, self->mem));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, other.ioas, COPY, 24 * PAGE, NULL));
	ASSERT_EQ(0, ioas_copy_to(self->fd, other.ioas, COPY, self->id, IOVA + 4 * PAGE, LIMIT * PAGE));
	EXPECT_CHARGED(LIMIT);
	/* a copy of other pages has to be paid, one of the same has not */
	EXPECT_EQ(-ENOMEM, ioas_copy_to(self->fd, other.ioas, COPY + MIB, self->id, IOVA + 3 * PAGE, 2 * PAGE));
	EXPECT_EQ(0, ioas_copy_to(self->fd, other.ioas, COPY + MIB, self->id, IOVA + 4 * PAGE, 2 * PAGE));
	EXPECT_CHARGED(LIMIT);
}

TEST_F(limit, refuses_pins_of_an_access)
{
	int access = test_access_create(self->fd, self->id, ACCESS_PINS);
	uint32_t item, again;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, MAP_BYTES(0, 12 * PAGE, IOVA));
	ASSERT_EQ(0, MAP_BYTES(32 * PAGE, 12 * PAGE, IOVA + 12 * PAGE));
	EXPECT_EQ(-ENOMEM, test_access_pin(self->fd, access, IOVA, 24 * PAGE, NULL, 0, &item));
	EXPECT_CHARGED(0);
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA, LIMIT * PAGE, NULL, 0, &item));
	EXPECT_CHARGED(LIMIT);
	EXPECT_EQ(-ENOMEM, test_access_pin(self->fd, access, IOVA + 4 * PAGE, (LIMIT - 3) * PAGE, NULL, 0, &again));
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA + 4 * PAGE, (LIMIT - 4) * PAGE, NULL, 0, &again));
	EXPECT_CHARGED(LIMIT);
	ASSERT_EQ(0, test_access_unpin(self->fd, access, item));
	EXPECT_CHARGED(LIMIT - 4);
	/* reading and writing costs nothing */
	ASSERT_EQ(0, memlock_limit(0));
	EXPECT_EQ(0, test_access_rw(self->fd, access, IOVA, self->mem, PAGE, 0));
	ASSERT_EQ(0, memlock_limit(LIMIT * PAGE));
	close(access);
	EXPECT_CHARGED(0);
}

TEST_F(limit, counts_each_mapping_of_the_same_memory)
{
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	ASSERT_EQ(0, MAP_BYTES(0, LIMIT / 2 * PAGE, IOVA));
	EXPECT_EQ(-ENOMEM, MAP_BYTES(0, (LIMIT / 2 + 1) * PAGE, COPY));
	ASSERT_EQ(0, MAP_BYTES(0, LIMIT / 2 * PAGE, COPY));
	EXPECT_CHARGED(LIMIT);
}

TEST_F(limit, lowered_below_what_is_pinned_stops_growth_only)
{
	ASSERT_EQ(0, mock_space_add_table(&self->space));
	ASSERT_EQ(0, MAP_BYTES(0, 8 * PAGE, IOVA));
	ASSERT_EQ(0, memlock_limit(4 * PAGE));
	EXPECT_EQ(-ENOMEM, MAP_BYTES(0, PAGE, COPY));
	EXPECT_EQ(0, ioas_copy_to(self->fd, self->id, COPY, self->id, IOVA, 8 * PAGE));
	EXPECT_EQ(0, mock_space_add_table(&self->space));
	EXPECT_CHARGED(8);
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	ASSERT_EQ(0, MAP_BYTES(0, 4 * PAGE, COPY));
	ASSERT_EQ(0, memlock_limit(LIMIT * PAGE));
}

TEST_F(limit, is_that_of_the_process_that_maps)
{
	pid_t pid;

	ASSERT_EQ(0, mock_space_add_table(&self->space));
	ASSERT_EQ(0, MAP_BYTES(0, 10 * PAGE, IOVA));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		uint8_t *mine = small_pages(MEM_SIZE);

		CHILD_NEEDS(mine && vm_pin_kb() == 0 && vm_lck_kb() == 0);
		if (variant->payer.mode) {
			/* a process of its own has a limit of its own */
			CHILD_NEEDS(ioas_map_at(self->fd, self->id, mine, (LIMIT + 1) * PAGE, COPY) == -ENOMEM);
			CHILD_NEEDS(!ioas_map_at(self->fd, self->id, mine, LIMIT * PAGE, COPY));
			CHILD_NEEDS(vm_pin_kb() == LIMIT * 4 && vm_lck_kb() == LIMIT * 4);
		} else {
			/* the user has one for all his processes */
			CHILD_NEEDS(ioas_map_at(self->fd, self->id, mine, (LIMIT - 9) * PAGE, COPY) == -ENOMEM);
			CHILD_NEEDS(!ioas_map_at(self->fd, self->id, mine, (LIMIT - 10) * PAGE, COPY));
			CHILD_NEEDS(vm_pin_kb() == (LIMIT - 10) * 4 && vm_lck_kb() == 0);
		}
		/* what the parent mapped is paid by the parent, whoever unmaps it */
		CHILD_NEEDS(!ioas_unmap(self->fd, self->id, IOVA, 10 * PAGE, NULL));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	/* the child's pages are still pinned; a user goes on paying for them, and a dead process does not matter */
	EXPECT_EQ(variant->payer.mode ? LIMIT : LIMIT - 10, pages_pinned());
	EXPECT_EQ(variant->payer.mode ? 0 : -ENOMEM, MAP_BYTES(0, LIMIT * PAGE, IOVA));
	EXPECT_EQ(0, ioas_unmap_all(self->fd, self->id));
}

/* ---- another process takes over ---- */

FIXTURE(change)
{
	struct mock_space space;
	int fd, file;
	uint32_t id;
	uint8_t *mem;
};

FIXTURE_VARIANT(change)
{
	struct payer payer;
};

FIXTURE_VARIANT_ADD(change, no_limit)
{
	.payer = { .unlimited = true },
};

FIXTURE_VARIANT_ADD(change, per_user)
{
	.payer = { .mode = 0 },
};

FIXTURE_VARIANT_ADD(change, per_process)
{
	.payer = { .mode = 1 },
};

FIXTURE_SETUP(change)
{
	self->file = memfd_create("change", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, MEM_SIZE));
	self->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->mem);
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, take_mode(self->fd, &variant->payer));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, 1));
	self->id = self->space.ioas;
	ASSERT_EQ(0, memlock_limit(2 * LIMIT * PAGE));
	if (!variant->payer.unlimited)
		ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
}

FIXTURE_TEARDOWN(change)
{
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	close(self->file);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

#define MAP_FILE_PAGES(_first, _count, _iova) \
	ioas_map_file_at(self->fd, self->id, self->file, (_first) * PAGE, (_count) * PAGE, _iova)
/* in a child too: what this process is charged */
#define CHARGED(_pages) \
	(vm_pin_kb() == (_pages) * 4 && vm_lck_kb() == (variant->payer.mode ? (_pages) * 4 : 0))

TEST_F(change, of_nothing_and_to_the_same_process_is_fine)
{
	EXPECT_EQ(0, ioas_change_process(self->fd));
	ASSERT_EQ(0, MAP_FILE_PAGES(0, 8, IOVA));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, ioas_change_process(self->fd));
		EXPECT_TRUE(CHARGED(8));
		EXPECT_EQ(8, pages_pinned());
	}
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 8 * PAGE, self->mem));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->id));
	EXPECT_TRUE(CHARGED(0));
}

/* More than lockdep can count, if they were locked all at once */
TEST_F(change, of_many_address_spaces_is_fine)
{
	uint32_t id;

	ASSERT_EQ(0, MAP_FILE_PAGES(0, 8, IOVA));
	for (int i = 0; i < 5000; i++)
		ASSERT_EQ(0, ioas_alloc(self->fd, &id));
	EXPECT_EQ(0, ioas_change_process(self->fd));
	EXPECT_TRUE(CHARGED(8));
}

TEST_F(change, is_refused_while_memory_of_a_process_is_mapped)
{
	struct mock_space other;
	uint8_t *own = small_pages(2 * PAGE);
	pid_t pid;

	ASSERT_NE(NULL, own);
	ASSERT_EQ(0, MAP_FILE_PAGES(0, 8, IOVA));
	/* in another address space, not even pinned */
	ASSERT_EQ(0, mock_space_make(&other, self->fd, 0));
	ASSERT_EQ(0, ioas_map_at(self->fd, other.ioas, own, PAGE, IOVA));
	EXPECT_EQ(-EINVAL, ioas_change_process(self->fd));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(ioas_change_process(self->fd) == -EINVAL);
		CHILD_NEEDS(CHARGED(0));
		/* memory of a file, but mapped by its address, is the process' too */
		CHILD_NEEDS(!ioas_unmap_all(self->fd, other.ioas));
		CHILD_NEEDS(!ioas_map_at(self->fd, other.ioas, self->mem, PAGE, IOVA));
		CHILD_NEEDS(ioas_change_process(self->fd) == -EINVAL);
		CHILD_NEEDS(!ioas_unmap_all(self->fd, other.ioas));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(CHARGED(8));
	EXPECT_EQ(0, ioas_change_process(self->fd));
	munmap(own, 2 * PAGE);
}

TEST_F(change, moves_all_charges_at_once)
{
	struct mock_space lazy, second;
	pid_t pid;

	/* areas in three address spaces: one is a copy, one has no page table */
	ASSERT_EQ(0, mock_space_make(&second, self->fd, 2));
	ASSERT_EQ(0, mock_space_make(&lazy, self->fd, 0));
	ASSERT_EQ(0, MAP_FILE_PAGES(0, 6, IOVA));
	ASSERT_EQ(0, MAP_FILE_PAGES(3, 5, COPY));
	ASSERT_EQ(0, ioas_copy_to(self->fd, second.ioas, IOVA, self->id, IOVA + 2 * PAGE, 4 * PAGE));
	ASSERT_EQ(0, ioas_map_file_at(self->fd, lazy.ioas, self->file, 16 * PAGE, 3 * PAGE, IOVA));
	EXPECT_TRUE(CHARGED(11));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(CHARGED(0));
		CHILD_NEEDS(!ioas_change_process(self->fd));
		CHILD_NEEDS(CHARGED(11));
		CHILD_NEEDS(pages_pinned() == 11);
		/* what is pinned later is charged to the new one as well */
		CHILD_NEEDS(!mock_space_add_table(&lazy));
		CHILD_NEEDS(CHARGED(14));
		CHILD_NEEDS(mock_space_maps(&lazy, IOVA, 3 * PAGE, self->mem + 16 * PAGE));
		CHILD_NEEDS(!ioas_unmap(self->fd, self->id, COPY, 5 * PAGE, NULL));
		CHILD_NEEDS(CHARGED(9));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(CHARGED(0));
	EXPECT_EQ(9, pages_pinned());
	/* nothing was unmapped for it */
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 6 * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(&second, IOVA, 4 * PAGE, self->mem + 2 * PAGE));
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, 6 * PAGE, 1));
	/* and back from a process that is dead */
	ASSERT_EQ(0, ioas_change_process(self->fd));
	EXPECT_TRUE(CHARGED(9));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA, 6 * PAGE, NULL));
	EXPECT_TRUE(CHARGED(7));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, second.ioas));
	EXPECT_TRUE(CHARGED(3));
}

TEST_F(change, over_the_limit_changes_nothing)
{
	struct mock_space second;
	pid_t pid;

	if (variant->payer.unlimited)
		return;
	ASSERT_EQ(0, mock_space_make(&second, self->fd, 1));
	ASSERT_EQ(0, MAP_FILE_PAGES(0, 10, IOVA));
	ASSERT_EQ(0, ioas_map_file_at(self->fd, second.ioas, self->file, 20 * PAGE, 5 * PAGE, IOVA));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* another user, so that its limit counts whoever else pays for what */
		CHILD_NEEDS(!setgroups(0, NULL) && !setresuid(1000, 1000, 1000));
		for (int pages = 0; pages < 15; pages += 7) {
			CHILD_NEEDS(!memlock_limit(pages * PAGE));
			CHILD_NEEDS(ioas_change_process(self->fd) == -ENOMEM);
			CHILD_NEEDS(CHARGED(0));
		}
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(CHARGED(15));
	EXPECT_EQ(15, pages_pinned());
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 10 * PAGE, self->mem));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!setgroups(0, NULL) && !setresuid(1000, 1000, 1000));
		CHILD_NEEDS(!memlock_limit(15 * PAGE));
		CHILD_NEEDS(!ioas_change_process(self->fd));
		CHILD_NEEDS(CHARGED(15));
		CHILD_NEEDS(ioas_map_file_at(self->fd, self->id, self->file, 0, PAGE, COPY) == -ENOMEM);
		CHILD_NEEDS(!ioas_unmap_all(self->fd, self->id));
		CHILD_NEEDS(CHARGED(5));
		CHILD_NEEDS(!ioas_map_file_at(self->fd, self->id, self->file, 0, 10 * PAGE, COPY));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(CHARGED(0));
	EXPECT_EQ(15, pages_pinned());
}

TEST_F(change, carries_pins_of_an_access)
{
	int access;
	uint32_t item;
	pid_t pid;

	ASSERT_EQ(0, mock_space_drop_table(&self->space));
	access = test_access_create(self->fd, self->id, ACCESS_PINS);
	ASSERT_LE(0, access);
	ASSERT_EQ(0, MAP_FILE_PAGES(0, 8, IOVA));
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA + PAGE, 3 * PAGE, self->mem + PAGE, 0, &item));
	EXPECT_TRUE(CHARGED(3));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!ioas_change_process(self->fd));
		CHILD_NEEDS(CHARGED(3));
		CHILD_NEEDS(!test_access_unpin(self->fd, access, item));
		CHILD_NEEDS(CHARGED(0));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(CHARGED(0));
	close(access);
}

TEST_F(change, is_not_needed_for_files_of_a_dead_process)
{
	struct mock_space lazy;
	pid_t pid;

	ASSERT_EQ(0, mock_space_make(&lazy, self->fd, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!MAP_FILE_PAGES(0, 4, IOVA));
		CHILD_NEEDS(!ioas_map_file_at(self->fd, lazy.ioas, self->file, 8 * PAGE, 4 * PAGE, IOVA));
		_exit(0);
	}
	ASSERT_TRUE(child_succeeded(pid));
	EXPECT_TRUE(CHARGED(0));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, 4 * PAGE, self->mem));
	/* its memory is that of the file: it is there although it was not pinned */
	ASSERT_EQ(0, mock_space_add_table(&lazy));
	EXPECT_TRUE(mock_space_maps(&lazy, IOVA, 4 * PAGE, self->mem + 8 * PAGE));
	EXPECT_EQ(8, pages_pinned());
	ASSERT_EQ(0, ioas_unmap(self->fd, self->id, IOVA, 4 * PAGE, NULL));
	EXPECT_EQ(4, pages_pinned());
}

TEST_HARNESS_MAIN
