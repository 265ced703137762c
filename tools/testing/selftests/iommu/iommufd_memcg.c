// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_memcg - whose memory cgroup pays for what the kernel allocates
 *
 * Each kind of object is made many times by a process in a cgroup of its own: the charge must grow by what the objects
 * take, a limit must end in ENOMEM or in the death of the process, and in both cases everything must come back.
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"

#include <signal.h>
#include <sys/stat.h>

#define CGROUPS		"/sys/fs/cgroup/"
#define CGROUP		CGROUPS "iommufd_memcg"
#define MAPPED		0x100000000UL
#define WINDOWS		512
/*
 * The kernel charges ahead, and keeps what it uncharges, in batches of 64 pages a CPU; in the guest there are two. As
 * much again as one of them for what the kernel has on the way: a killed process left 3 pages beyond the two.
 */
#define SLACK		(3 * 64 * PAGE)

/**
 * struct world - What a process in the cgroup works on
 * @iommufd: its context
 * @edu: bound to it
 * @ioas: address space without a page table
 * @filled: address space with one
 * @scattered: two MiB of which no page lies behind the one before
 */
struct world {
	int iommufd;
	struct edu edu;
	uint32_t ioas, filled;
	uint8_t *scattered;
};

static int make_ioas(struct world *w, uint64_t i)
{
	uint32_t id;

	return ioas_alloc(w->iommufd, &id);
}

static int make_area(struct world *w, uint64_t i)
{
	return ioas_map_at(w->iommufd, w->ioas, w->scattered, PAGE, MAPPED + 2 * i * PAGE);
}

static int make_page_table(struct world *w, uint64_t i)
{
	uint32_t hwpt;

	return hwpt_alloc(w->iommufd, w->edu.id, w->ioas, 0, &hwpt);
}

/* One page in every two MiB */
static int make_leaf_table(struct world *w, uint64_t i)
{
	return ioas_map_at(w->iommufd, w->filled, w->scattered, PAGE, MAPPED + i * HUGE_PAGE);
}

static int make_store_chunk(struct world *w, uint64_t i)
{
	return ioas_map_at(w->iommufd, w->filled, w->scattered, HUGE_PAGE, MAPPED + i * HUGE_PAGE);
}

static int make_windows(struct world *w, uint64_t i)
{
	static struct iommu_iova_range windows[WINDOWS];
	uint32_t ioas;
	int rc;

	for (uint64_t n = 0; n < WINDOWS; n++)
		windows[n] = (struct iommu_iova_range){ 2 * n * PAGE, (2 * n + 1) * PAGE - 1 };
	rc = ioas_alloc(w->iommufd, &ioas);
	return rc ?: ioas_allow(w->iommufd, ioas, windows, WINDOWS);
}

static int make_reserved(struct world *w, uint64_t i)
{
	return test_reserve(w->iommufd, w->ioas, 2 * i * PAGE, PAGE);
}

/* ---- the process in the cgroup ---- */

static long current_bytes(void)
{
	char buf[32];
	int rc = read_file(CGROUP "/memory.current", buf, sizeof(buf));

	return rc < 0 ? rc : atol(buf);
}

/* Memory that comes back after a grace period of RCU is waited for. */
static bool charge_came_back(long before)
{
	for (int i = 0; i < 3000 && current_bytes() > before + (long)SLACK; i++)
		sleep_ms(10);
	return current_bytes() <= before + (long)SLACK;
}

/* Every other page first, so that the memory between two of them is taken by then. */
static uint8_t *scattered_pages(size_t length)
{
	uint8_t *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, length, MADV_NOHUGEPAGE);
	for (size_t odd = 0; odd < 2; odd++)
		for (size_t at = odd * PAGE; at < length; at += 2 * PAGE)
			p[at] = 1;
	return p;
}

static void enter_cgroup(struct world *w)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	CHILD_NEEDS(!write_file(CGROUP "/cgroup.procs", pid));
	w->iommufd = iommu_open();
	CHILD_NEEDS(w->iommufd >= 0);
	CHILD_NEEDS(!edu_open_bound(&w->edu, 0, w->iommufd));
	CHILD_NEEDS(!ioas_alloc(w->iommufd, &w->ioas));
	CHILD_NEEDS(!ioas_alloc(w->iommufd, &w->filled));
	CHILD_NEEDS(!vfio_attach(w->edu.fd, w->filled, NULL));
	w->scattered = scattered_pages(HUGE_PAGE);
	CHILD_NEEDS(w->scattered);
}

static void leave(struct world *w)
{
	edu_close(&w->edu);
	close(w->iommufd);
}

/* ---- tests ---- */

FIXTURE(memcg)
{
	long before;
};

/**
 * @make: makes the object of number @i, which is not asked for twice
 * @count: how many are made
 * @bytes: what one takes at least
 */
FIXTURE_VARIANT(memcg)
{
	int (*make)(struct world *w, uint64_t i);
	long count;
	long bytes;
};

FIXTURE_VARIANT_ADD(memcg, ioas)
{
	.make = make_ioas, .count = 6144, .bytes = 256,
};

/* the area, and where its pages come from, which are one object */
FIXTURE_VARIANT_ADD(memcg, area)
{
	.make = make_area, .count = 24576, .bytes = 128,
};

/* the top table, the driver's domain and the object: so many that the smaller ones show above the slack */
FIXTURE_VARIANT_ADD(memcg, page_table)
{
	.make = make_page_table, .count = 4096, .bytes = 4096 + 376,
};

FIXTURE_VARIANT_ADD(memcg, leaf_table)
{
	.make = make_leaf_table, .count = 1024, .bytes = 4096,
};

/* four bytes for each of 512 pages that are no neighbours, the leaf table, the area */
FIXTURE_VARIANT_ADD(memcg, store_chunk)
{
	.make = make_store_chunk, .count = 512, .bytes = 512 * 4 + 4096 + 128,
};

FIXTURE_VARIANT_ADD(memcg, windows)
{
	.make = make_windows, .count = 96, .bytes = WINDOWS * 48,
};

FIXTURE_VARIANT_ADD(memcg, reserved)
{
	.make = make_reserved, .count = 32768, .bytes = 48,
};

FIXTURE_SETUP(memcg)
{
	ASSERT_EQ(0, write_file(CGROUPS "cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, mkdir(CGROUP, 0755)) TH_LOG(CGROUP ": %s", strerror(errno));
	self->before = current_bytes();
	ASSERT_LE(0, self->before);
}

FIXTURE_TEARDOWN(memcg)
{
	EXPECT_TRUE(charge_came_back(self->before)) TH_LOG("%ld bytes, before %ld", current_bytes(), self->before);
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(0, rmdir(CGROUP)) TH_LOG(CGROUP ": %s", strerror(errno));
}

TEST_F(memcg, grows_by_what_is_made)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		long before, grown;
		struct world w;

		enter_cgroup(&w);
		before = current_bytes();
		for (long i = 0; i < variant->count; i++)
			CHILD_NEEDS(!variant->make(&w, i));
		grown = current_bytes() - before;
		fprintf(stderr, "# %ld bytes each\n", grown / variant->count);
		CHILD_NEEDS(grown >= variant->count * variant->bytes - (long)SLACK);
		leave(&w);
		CHILD_NEEDS(charge_came_back(before));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
}

/* Nobody can be killed to make room, so the call fails. */
TEST_F(memcg, limit_is_enomem)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		int limit = open(CGROUP "/memory.max", O_WRONLY | O_CLOEXEC), rc = 0;
		char text[32];
		struct world w;
		long before, i;

		CHILD_NEEDS(limit >= 0);
		CHILD_NEEDS(!write_file("/proc/self/oom_score_adj", "-1000"));
		enter_cgroup(&w);
		before = current_bytes();
		snprintf(text, sizeof(text), "%ld", before + 2 * (long)MIB);
		CHILD_NEEDS(pwrite(limit, text, strlen(text), 0) > 0);
		for (i = 0; !rc && i < variant->count; i++)
			rc = variant->make(&w, i);
		/* nothing that needs memory before the limit is gone */
		CHILD_NEEDS(pwrite(limit, "max", 3, 0) > 0);
		CHILD_NEEDS(rc == -ENOMEM);
		/* what failed left nothing: it can be done now */
		CHILD_NEEDS(!variant->make(&w, i - 1));
		leave(&w);
		CHILD_NEEDS(charge_came_back(before));
		_exit(0);
	}
	EXPECT_TRUE(child_succeeded(pid));
}

TEST_F(memcg, killed_at_the_limit)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		char text[32];
		struct world w;

		enter_cgroup(&w);
		CHILD_NEEDS(!write_file(CGROUP "/memory.oom.group", "1"));
		snprintf(text, sizeof(text), "%ld", current_bytes() + 2 * (long)MIB);
		CHILD_NEEDS(!write_file(CGROUP "/memory.max", text));
		for (long i = 0; i < variant->count; i++)
			CHILD_NEEDS(!variant->make(&w, i));
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status)) TH_LOG("the limit did nothing: exit %d", WEXITSTATUS(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_LT(0, number_in_file(CGROUP "/memory.events", "oom_kill "));
}

TEST_HARNESS_MAIN
