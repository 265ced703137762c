// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_bad_memory - ranges of memory that cannot be pinned, and memory that changes while it is
 *
 * In each range four good pages come first, so that every failure comes when pages have been pinned already. Whatever
 * the call, it gives a clear error and leaves nothing pinned, nothing charged and nothing mapped. Needs the mock IOMMU.
 */
#include "iommu_test.h"
#include "mock_space.h"

#include <linux/userfaultfd.h>
#include <signal.h>

#define IOVA		0x2000000UL
#define COPY		0x3000000UL
#define GOOD		4	/* pages that a range begins with */
#define PAGES		8	/* pages that it has */

static uint8_t *anonymous(void)
{
	uint8_t *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static uint8_t *with_hole(void)
{
	uint8_t *p = anonymous();

	return p && !munmap(p + GOOD * PAGE, PAGE) ? p : NULL;
}

static uint8_t *with_page_nobody_may_touch(void)
{
	uint8_t *p = anonymous();

	return p && !mprotect(p + GOOD * PAGE, PAGE, PROT_NONE) ? p : NULL;
}

static uint8_t *with_read_only_page(void)
{
	uint8_t *p = anonymous();

	return p && !mprotect(p + GOOD * PAGE, PAGE, PROT_READ) ? p : NULL;
}

static uint8_t *beyond_the_end_of_a_file(void)
{
	int file = memfd_create("short", MFD_CLOEXEC);
	uint8_t *p = MAP_FAILED;

	if (file >= 0 && !ftruncate(file, GOOD * PAGE))
		p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	return p == MAP_FAILED ? NULL : p;
}

/* Memory without struct pages, or that pretends to be: firmware seen through /dev/mem */
static uint8_t *with_physical_memory(void)
{
	const off_t firmware = 0xf0000;
	int mem = open("/dev/mem", O_RDWR | O_CLOEXEC);
	uint8_t *p = mem < 0 ? NULL : anonymous();

	if (p && mmap(p + GOOD * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, mem,
		      firmware) == MAP_FAILED)
		p = NULL;
	close(mem);
	return p;
}

/* Faults of untouched pages go to the returned file, which nobody reads. */
static int hand_faults_over(uint8_t *p, size_t length)
{
	struct uffdio_register reg = {
		.range = { .start = to_u64(p), .len = length }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	return uffd;
}

/* The file stays open until the test ends, as closing it would give the pages back to the kernel. */
static uint8_t *with_page_of_userfaultfd(void)
{
	uint8_t *p = anonymous();

	return p && hand_faults_over(p + GOOD * PAGE, PAGE) >= 0 ? p : NULL;
}

static uint8_t *across_the_end_of_user_addresses(void)
{
	return (uint8_t *)((1UL << 47) - PAGE - GOOD * PAGE);
}

static uint8_t *of_the_kernel(void)
{
	return (uint8_t *)0xffff888000000000UL;
}

static uint8_t *no_address_at_all(void)
{
	return (uint8_t *)0x8000000000000000UL;
}

static uint8_t *at_the_end_of_all_addresses(void)
{
	return (uint8_t *)(-PAGES * PAGE);
}

/* @lazy: an address space without a page table; @bad: the bad memory; @mem: twice as much good memory */
FIXTURE(bad)
{
	struct mock_space space, lazy;
	int fd;
	uint8_t *bad, *mem;
};

/*
 * @make: makes a range of PAGES pages, NULL if that does not work; @readable: it may be mapped for reading; @waits: who
 * touches it waits; @no_pages: the process can touch it, but there are no pages that could be pinned
 */
FIXTURE_VARIANT(bad)
{
	uint8_t *(*make)(void);
	bool readable, waits, no_pages;
};

FIXTURE_VARIANT_ADD(bad, hole)
{
	.make = with_hole,
};

FIXTURE_VARIANT_ADD(bad, prot_none)
{
	.make = with_page_nobody_may_touch,
};

FIXTURE_VARIANT_ADD(bad, read_only)
{
	.make = with_read_only_page, .readable = true,
};

FIXTURE_VARIANT_ADD(bad, end_of_file)
{
	.make = beyond_the_end_of_a_file,
};

FIXTURE_VARIANT_ADD(bad, dev_mem)
{
	.make = with_physical_memory, .no_pages = true,
};

FIXTURE_VARIANT_ADD(bad, userfaultfd)
{
	.make = with_page_of_userfaultfd, .waits = true,
};

FIXTURE_VARIANT_ADD(bad, end_of_user_addresses)
{
	.make = across_the_end_of_user_addresses,
};

FIXTURE_VARIANT_ADD(bad, kernel_address)
{
	.make = of_the_kernel,
};

FIXTURE_VARIANT_ADD(bad, non_canonical_address)
{
	.make = no_address_at_all,
};

FIXTURE_VARIANT_ADD(bad, end_of_all_addresses)
{
	.make = at_the_end_of_all_addresses,
};

FIXTURE_SETUP(bad)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, 2));
	ASSERT_EQ(0, mock_space_make(&self->lazy, self->fd, 0));
	self->mem = small_pages(2 * PAGES * PAGE);
	ASSERT_NE(NULL, self->mem);
	self->bad = variant->make();
	ASSERT_NE(NULL, self->bad);
}

FIXTURE_TEARDOWN(bad)
{
	close(self->fd);
	munmap(self->mem, 2 * PAGES * PAGE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, vm_lck_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(bad, memory_is_not_mapped)
{
	uint64_t iova = 0;

	EXPECT_EQ(-EFAULT, ioas_map_at(self->fd, self->space.ioas, self->bad, PAGES * PAGE, IOVA));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->fd, self->space.ioas, self->bad + GOOD * PAGE, PAGE, IOVA));
	EXPECT_EQ(-EFAULT, ioas_map(self->fd, self->space.ioas, self->bad, PAGES * PAGE, &iova, MAP_RW));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->space.ioas, IOVA, PAGES * PAGE, NULL));
	/* no page table has anything there, and other memory finds the place free */
	EXPECT_TRUE(mock_space_maps_nothing(&self->space, IOVA, PAGES * PAGE, self->mem));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->space.ioas, self->mem, PAGES * PAGE, IOVA));
	EXPECT_TRUE(mock_space_maps(&self->space, IOVA, PAGES * PAGE, self->mem));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->space.ioas));
}

TEST_F(bad, memory_is_mapped_for_reading_if_it_can_be_read)
{
	const uint32_t rights = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
	uint64_t iova = IOVA;

	EXPECT_EQ(variant->readable ? 0 : -EFAULT,
		  ioas_map(self->fd, self->space.ioas, self->bad, PAGES * PAGE, &iova, rights));
	EXPECT_EQ(variant->readable ? PAGES : 0, pages_pinned());
	EXPECT_EQ(0, ioas_unmap_all(self->fd, self->space.ioas));
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(bad, memory_keeps_page_tables_away)
{
	struct mock_space *s = &self->lazy;

	/* good memory at lower and at higher addresses goes with it */
	ASSERT_EQ(0, ioas_map_at(self->fd, s->ioas, self->mem, PAGES * PAGE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->fd, s->ioas, self->mem + PAGES * PAGE, PAGES * PAGE, COPY));
	ASSERT_EQ(0, ioas_map_at(self->fd, s->ioas, self->bad, PAGES * PAGE, IOVA + MIB));
	EXPECT_EQ(-EFAULT, mock_space_add_table(s));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, ioas_unmap(self->fd, s->ioas, IOVA + MIB, PAGES * PAGE, NULL));
	ASSERT_EQ(0, mock_space_add_table(s));
	EXPECT_TRUE(mock_space_maps(s, IOVA, PAGES * PAGE, self->mem));
	EXPECT_TRUE(mock_space_maps(s, COPY, PAGES * PAGE, self->mem + PAGES * PAGE));
	ASSERT_EQ(0, mock_space_drop_table(s));
}

TEST_F(bad, memory_is_not_copied_to_where_it_would_be_pinned)
{
	ASSERT_EQ(0, ioas_map_at(self->fd, self->lazy.ioas, self->mem, PAGES * PAGE, IOVA - PAGES * PAGE));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->lazy.ioas, self->bad, PAGES * PAGE, IOVA));
	/* with good memory of another area in front */
	EXPECT_EQ(-EFAULT, ioas_copy_to(self->fd, self->space.ioas, COPY, self->lazy.ioas,
					IOVA - PAGES * PAGE, 2 * PAGES * PAGE));
	EXPECT_EQ(-EFAULT, ioas_copy_to(self->fd, self->space.ioas, COPY, self->lazy.ioas, IOVA + GOOD * PAGE, PAGE));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	EXPECT_TRUE(mock_space_maps_nothing(&self->space, COPY, 2 * PAGES * PAGE, self->mem));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->lazy.ioas, IOVA, PAGES * PAGE, NULL));
}

TEST_F(bad, memory_is_not_pinned_for_an_access)
{
	int access = test_access_create(self->fd, self->lazy.ioas, ACCESS_PINS);
	uint32_t item;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->lazy.ioas, self->mem, PAGES * PAGE, IOVA - PAGES * PAGE));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->lazy.ioas, self->bad, PAGES * PAGE, IOVA));
	EXPECT_EQ(-EFAULT, test_access_pin(self->fd, access, IOVA - PAGES * PAGE, 2 * PAGES * PAGE, NULL,
					   ACCESS_WRITE, &item));
	EXPECT_EQ(-EFAULT, test_access_pin(self->fd, access, IOVA + GOOD * PAGE, 1, NULL, ACCESS_WRITE, &item));
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, ioas_unmap(self->fd, self->lazy.ioas, IOVA, PAGES * PAGE, NULL));
	close(access);
}

TEST_F(bad, memory_is_not_copied_by_an_access)
{
	int access = test_access_create(self->fd, self->lazy.ioas, 0);
	uint8_t *buf = small_pages(2 * PAGE);

	ASSERT_LE(0, access);
	ASSERT_NE(NULL, buf);
	if (variant->waits)
		goto out;
	ASSERT_EQ(0, ioas_map_at(self->fd, self->lazy.ioas, self->bad, PAGES * PAGE, IOVA));
	for (uint32_t remote = 0; remote <= ACCESS_REMOTE; remote += ACCESS_REMOTE) {
		const uint64_t at = IOVA + GOOD * PAGE - 100;

		/* the process itself may touch it, so copies on its behalf work */
		if (variant->no_pages && !remote)
			continue;
		EXPECT_EQ(-EFAULT, test_access_rw(self->fd, access, at, buf, 200, ACCESS_WRITE | remote));
		EXPECT_EQ(variant->readable ? 0 : -EFAULT, test_access_rw(self->fd, access, at, buf, 200, remote));
		EXPECT_EQ(0, pages_pinned());
	}
out:
	munmap(buf, 2 * PAGE);
	close(access);
}

/* ---- memory that changes while it is pinned ---- */

static int unmap_it(uint8_t *p, int file)
{
	return munmap(p, GOOD * PAGE);
}

static int close_it(uint8_t *p, int file)
{
	return mprotect(p, GOOD * PAGE, PROT_NONE);
}

static int write_protect_it(uint8_t *p, int file)
{
	return mprotect(p, GOOD * PAGE, PROT_READ);
}

static int drop_it(uint8_t *p, int file)
{
	return madvise(p, GOOD * PAGE, MADV_DONTNEED);
}

static int move_it(uint8_t *p, int file)
{
	return mremap(p, GOOD * PAGE, GOOD * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + GOOD * PAGE) == MAP_FAILED;
}

static int truncate_it(uint8_t *p, int file)
{
	return ftruncate(file, PAGE);
}

static int punch_it(uint8_t *p, int file)
{
	return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, GOOD * PAGE);
}

static int map_over_it(uint8_t *p, int file)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	return mmap(p, GOOD * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED;
}

static int exchange_it(uint8_t *p, int file)
{
	memset(p, 0x77, GOOD * PAGE);
	return 0;
}

/* @file: whether the memory is that of a memfd */
static const struct change {
	const char *name;
	int (*change)(uint8_t *p, int file);
	bool file;
} changes[] = {
	{ "munmap", unmap_it }, { "mprotect none", close_it }, { "mprotect read", write_protect_it },
	{ "MADV_DONTNEED", drop_it }, { "mremap", move_it }, { "mmap over it", map_over_it }, { "write", exchange_it },
	{ "munmap of a file", unmap_it, true }, { "ftruncate", truncate_it, true }, { "punch hole", punch_it, true },
};

FIXTURE(good)
{
	struct mock_space space, lazy;
	int fd;
	uint8_t *mem;
};

FIXTURE_SETUP(good)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, mock_space_make(&self->space, self->fd, 2));
	ASSERT_EQ(0, mock_space_make(&self->lazy, self->fd, 0));
	self->mem = small_pages(PAGE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(good)
{
	close(self->fd);
	munmap(self->mem, PAGE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(good, arguments_are_refused_with_page_tables_too)
{
	const struct {
		uint64_t uaddr, length, iova;
		int rc;
	} calls[] = {
		{ to_u64(self->mem), 0, IOVA, -EINVAL },
		{ to_u64(self->mem), MOCK_LAST - IOVA + 2, IOVA, -EINVAL },
		{ PAGE, -IOVA - PAGE, IOVA, -EINVAL },
		{ to_u64(self->mem), -IOVA + MOCK_PAGE, IOVA, -EOVERFLOW },
		{ to_u64(self->mem), UINT64_MAX, IOVA, -EOVERFLOW },
		{ to_u64(self->mem), PAGE, UINT64_MAX, -EOVERFLOW },
		{ to_u64(self->mem), PAGE, -MOCK_PAGE, -EOVERFLOW },
		{ -PAGE, 2 * PAGE, IOVA, -EOVERFLOW },
		{ UINT64_MAX, 2, IOVA, -EOVERFLOW },
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ_FOR(calls[i].rc, ioas_map_at(self->fd, self->space.ioas, (void *)calls[i].uaddr,
						       calls[i].length, calls[i].iova), "call %zu", i);
		EXPECT_EQ_FOR(0, pages_pinned(), "call %zu", i);
	}
}

TEST_F(good, changes_do_not_reach_what_is_pinned)
{
	for (const struct change *c = changes; c < changes + ARRAY_SIZE(changes); c++) {
		int file = memfd_create("changes", MFD_CLOEXEC);
		struct mock_space *s = &self->space;
		uint8_t *p, *again;

		ASSERT_LE(0, file);
		ASSERT_EQ(0, ftruncate(file, 2 * GOOD * PAGE));
		p = mmap(NULL, 2 * GOOD * PAGE, PROT_READ | PROT_WRITE,
			 c->file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, c->file ? file : -1, 0);
		ASSERT_NE(MAP_FAILED, (void *)p);
		pattern_fill(p, GOOD * PAGE, 1);
		ASSERT_EQ_FOR(0, ioas_map_at(self->fd, s->ioas, p, GOOD * PAGE, IOVA), "%s", c->name);
		ASSERT_EQ_FOR(0, c->change(p, file), "%s: %s", c->name, strerror(errno));
		EXPECT_EQ_FOR(GOOD * PAGE / 1024, vm_pin_kb(), "%s", c->name);
		EXPECT_EQ_FOR(GOOD, pages_pinned(), "%s", c->name);
		/* where the process still sees its old pages, they are the pinned ones */
		again = c->change == move_it ? p + GOOD * PAGE : p;
		if (c->change == move_it || c->change == write_protect_it || c->change == exchange_it)
			EXPECT_TRUE_FOR(mock_space_maps(s, IOVA, GOOD * PAGE, again), "%s", c->name);
		/* where it sees others now, they are not */
		if (c->change == map_over_it || c->change == drop_it || c->change == punch_it) {
			memset(p, 0, GOOD * PAGE);
			EXPECT_TRUE_FOR(mock_space_maps_nothing(s, IOVA, GOOD * PAGE, p), "%s", c->name);
		}
		/* page tables and copies to come do not ask the process */
		ASSERT_EQ_FOR(0, mock_space_add_table(s), "%s", c->name);
		ASSERT_EQ_FOR(0, ioas_copy_to(self->fd, s->ioas, COPY, s->ioas, IOVA, GOOD * PAGE), "%s", c->name);
		EXPECT_EQ_FOR(GOOD, pages_pinned(), "%s", c->name);
		ASSERT_EQ(0, mock_space_drop_table(s));
		ASSERT_EQ_FOR(0, ioas_unmap(self->fd, s->ioas, IOVA, GOOD * PAGE, NULL), "%s", c->name);
		EXPECT_EQ_FOR(GOOD, pages_pinned(), "%s", c->name);
		ASSERT_EQ_FOR(0, ioas_unmap_all(self->fd, s->ioas), "%s", c->name);
		EXPECT_EQ_FOR(0, pages_pinned(), "%s", c->name);
		EXPECT_EQ_FOR(0, vm_pin_kb(), "%s", c->name);
		if (c->change != unmap_it)
			munmap(p, GOOD * PAGE);
		munmap(p + GOOD * PAGE, GOOD * PAGE);
		close(file);
	}
}

/*
 * Pins do not wait for whoever handles the faults of a page, nor do copies that go by pins. A copy within a process
 * waits as the processor does, and then it must be possible to kill the process.
 */
TEST_F(good, wait_for_a_page_ends_with_the_process)
{
	int access = test_access_create(self->fd, self->lazy.ioas, 0);
	int status;

	ASSERT_LE(0, access);
	for (uint32_t flags = 0; flags <= (ACCESS_WRITE | ACCESS_REMOTE); flags++) {
		pid_t pid;

		if (flags & ~(ACCESS_WRITE | ACCESS_REMOTE))
			continue;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			uint8_t *mine = with_page_of_userfaultfd();

			CHILD_NEEDS(mine);
			CHILD_NEEDS(!ioas_map_at(self->fd, self->lazy.ioas, mine, PAGES * PAGE, IOVA));
			CHILD_NEEDS(test_access_rw(self->fd, access, IOVA + GOOD * PAGE - 4, self->mem, 8,
						   flags) == -EFAULT);
			_exit(0);
		}
		if (!(flags & ACCESS_REMOTE)) {
			sleep_ms(50);
			/* nobody else waits for it, whatever they ask for */
			EXPECT_EQ(-EINVAL, ioas_change_process(self->fd));
			kill(pid, SIGKILL);
		}
		/* the harness' timeout is what would end this if the child did not */
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(flags & ACCESS_REMOTE ? 0 : SIGKILL, status);
		EXPECT_EQ(0, pages_pinned());
		ASSERT_EQ(0, ioas_unmap_all(self->fd, self->lazy.ioas));
	}
	close(access);
}

TEST_HARNESS_MAIN
