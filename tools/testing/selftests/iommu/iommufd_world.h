/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd_world - address spaces, page tables, devices and areas as a test wants them, and all that can be seen of them
 *
 * What is seen is a text: objects and their ids, addresses, mappings of every page table, pins, charges, answers. Two
 * worlds are the same when their texts are.
 */
#ifndef SELFTESTS_IOMMUFD_WORLD_H
#define SELFTESTS_IOMMUFD_WORLD_H

#include "iommu_test.h"
#include "iommufd_guest.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>

#define MEM_PAGES	1024
#define MEM_SIZE	(MEM_PAGES * PAGE)
#define PROBE_PAGE	1000		/* page of the memory that is mapped to see where a mapping would go */
#define BASE		MOCK_FIRST
#define LIMIT		(64 * MIB)

/* Where commands map, and where that must lead; CHOSEN is where the kernel put it */
enum {
	SMALL, NEXT, ODD, LARGE, FIRST_COPIED, SECOND_COPIED, CHOSEN, DMABUF, PLACES
};

struct place {
	uint64_t iova;
	uint8_t *va;
	size_t length;
};

struct text {
	char buf[16384];
	size_t used;
};

#define WORLD_DEVICES	3		/* in a group of devices */
#define WORLD_PASIDS	3		/* that are looked at; the first stands for requests without PASID */

struct world {
	int iommufd, file, access, dmabuf;
	uint32_t ioas[2], scratch, hwpt;
	uint32_t queue, viommu;
	uint32_t last_id;
	struct mock_device dev[2];
	/* a group of devices, and page tables for PASIDs too: two of the first address space, one of the second */
	int members;
	struct mock_device member[WORLD_DEVICES];
	uint32_t table[3];
	uint8_t *mem;
	struct place place[PLACES];
	int at;
	pid_t child;
	uint32_t pin;
	uint64_t out[3];
};

/**
 * struct command - What stands before, and the ioctl
 * @step: the ioctl; 0 or -errno
 * @setup: what else stands before; 0 or -errno
 * @at: place that @step maps, copies or asks for
 * @tables: page tables of the two address spaces
 * @areas: places that are mapped in them
 * @objects: how many more address spaces there are
 * @members: how many devices there are in a group, which are bound, keep addresses for themselves and can use PASIDs
 * @at_table: they are attached to the first of their page tables
 * @file: the memory is a memfd, and mapped by IOAS_MAP_FILE
 * @fresh: nobody has touched the memory before
 * @per_user: pages count against the user, not the process
 * @other_process: another process maps
 * @only_answer_may_be_lost: a call that fails with -EFAULT may have done its work
 * @least: so many small allocations and copies make it fail, at least
 * @pages: it takes so many pages and copies, at least; 0 where it takes no page but for slabs
 */
struct command {
	int (*step)(struct world *w);
	int (*setup)(struct world *w);
	int at;
	int tables[2];
	unsigned int areas[2];
	int objects, members;
	bool at_table, file, fresh, per_user, other_process, only_answer_may_be_lost;
	int least, pages;
};

#define PLACE(_at)	(1U << (_at))
#define ALIGNED		(PLACE(SMALL) | PLACE(NEXT))
#define WITH_LARGE	(ALIGNED | PLACE(LARGE))
#define ALL		(ALIGNED | PLACE(ODD))

/* ---- what there is ---- */

/* The first half of the pages follow each other in physical memory as far as there was room, the others never do. */
static inline uint8_t *scattered_pages(void)
{
	uint8_t *p = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, MEM_SIZE, MADV_NOHUGEPAGE);
	for (int i = 0; i < MEM_PAGES; i++) {
		int page = i < MEM_PAGES / 2 ? i : MEM_PAGES / 2 + i * 7 % (MEM_PAGES / 2);

		*(uint64_t *)(p + page * PAGE) = page;
	}
	return p;
}

/* Memory of worlds that do not bring their own */
static uint8_t *memory;

static inline int open_memory(struct world *w, const struct command *c)
{
	int flags = c->file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	w->mem = memory;
	if (c->file) {
		w->file = memfd_create("sweep", MFD_CLOEXEC);
		if (w->file < 0 || ftruncate(w->file, MEM_SIZE))
			return -errno;
	}
	if (c->file || c->fresh) {
		w->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, flags, w->file, 0);
		if (w->mem == MAP_FAILED)
			return -errno;
		madvise(w->mem, MEM_SIZE, MADV_NOHUGEPAGE);
	}
	return 0;
}

static inline void set_places(struct world *w)
{
	uint8_t *mem = w->mem;
	const struct place places[PLACES] = {
		[SMALL] = { BASE, mem, 8 * PAGE },
		/* right behind it, out of other memory */
		[NEXT] = { BASE + 8 * PAGE, mem + 64 * PAGE, 5 * PAGE },
		[ODD] = { BASE + MIB + MOCK_PAGE, mem + 100 * PAGE + MOCK_PAGE, 3 * PAGE + MOCK_PAGE },
		/* more than is pinned or stored in one go, in memory of both kinds */
		[LARGE] = { BASE + 16 * MIB, mem + 250 * PAGE, 530 * PAGE },
		[FIRST_COPIED] = { BASE + 64 * MIB, mem + 2 * PAGE, 6 * PAGE },
		[SECOND_COPIED] = { BASE + 64 * MIB + 6 * PAGE, mem + 64 * PAGE, 2 * PAGE },
		/* not memory of a process */
		[DMABUF] = { BASE + 80 * MIB, NULL, 4 * PAGE },
	};

	memcpy(w->place, places, sizeof(places));
}

static inline int map_place(struct world *w, int ioas, int at)
{
	const struct place *p = &w->place[at];

	if (w->file >= 0)
		return ioas_map_file_at(w->iommufd, w->ioas[ioas], w->file, p->va - w->mem, p->length, p->iova);
	return ioas_map_at(w->iommufd, w->ioas[ioas], p->va, p->length, p->iova);
}

static inline int map_places(struct world *w, const struct command *c)
{
	int rc = 0;

	for (int a = 0; a < 2; a++)
		for (int at = 0; at < PLACES && !rc; at++)
			if (c->areas[a] & PLACE(at))
				rc = map_place(w, a, at);
	return rc;
}

/* Another process maps, and lives until the world is closed; it tells through a pipe how it went. */
static inline int map_places_elsewhere(struct world *w, const struct command *c)
{
	int fds[2], rc = -EIO;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	w->child = fork();
	if (!w->child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rc = map_places(w, c);
		if (write(fds[1], &rc, sizeof(rc)) == sizeof(rc))
			pause();
		_exit(0);
	}
	close(fds[1]);
	if (w->child < 0 || read(fds[0], &rc, sizeof(rc)) != sizeof(rc))
		rc = -EIO;
	close(fds[0]);
	return rc;
}

static inline void end_child(struct world *w)
{
	if (w->child <= 0)
		return;
	kill(w->child, SIGKILL);
	waitpid(w->child, NULL, 0);
	w->child = 0;
}

/* @tables page tables: one that attaching a device makes, and one by HWPT_ALLOC. */
static inline int make_tables(struct world *w, int a, int tables)
{
	int rc = 0;

	if (tables)
		rc = mock_device_create(w->iommufd, w->ioas[a], &w->dev[a]);
	if (!rc && tables > 1)
		rc = hwpt_alloc(w->iommufd, w->dev[a].id, w->ioas[a], 0, &w->hwpt);
	return rc;
}

static const uint32_t world_pasids[WORLD_PASIDS] = { 0, 1, 700 };

#define REGION(_i)	(BASE + (90 + (_i)) * MIB)

static inline int plug_member(struct world *w, uint32_t pt, int i)
{
	int rc = mock_device_plug(w->iommufd, pt, w->member[0].stdev, MOCK_PASIDS, REGION(i), PAGE, &w->member[i]);

	if (!rc)
		w->members++;
	return rc;
}

static inline int make_group(struct world *w, const struct command *c)
{
	int rc = 0;

	for (int i = 0; i < c->members; i++)
		rc = rc ?: plug_member(w, 0, i);
	for (int i = 0; i < 3 && c->members; i++)
		rc = rc ?: hwpt_alloc(w->iommufd, w->member[0].id, w->ioas[i / 2], IOMMU_HWPT_ALLOC_PASID,
				      &w->table[i]);
	for (int i = 0; i < c->members && c->at_table; i++)
		rc = rc ?: mock_device_attach(w->iommufd, w->member[i].stdev, &(uint32_t){ w->table[0] });
	return rc;
}

static inline int world_open(struct world *w, const struct command *c)
{
	uint32_t id;
	int rc;

	*w = (struct world){
		.file = -1, .access = -1, .dmabuf = -1, .at = c->at, .last_id = 14 + c->objects + 2 * c->members,
	};
	rc = open_memory(w, c);
	if (rc)
		return rc;
	set_places(w);
	w->iommufd = iommu_open();
	rc = option_set(w->iommufd, IOMMU_OPTION_RLIMIT_MODE, 0, !c->per_user);
	for (int a = 0; a < 2; a++)
		rc = rc ?: ioas_alloc(w->iommufd, &w->ioas[a]);
	rc = rc ?: ioas_alloc(w->iommufd, &w->scratch);
	for (int i = 0; i < c->objects; i++)
		rc = rc ?: ioas_alloc(w->iommufd, &id);
	for (int a = 0; a < 2; a++)
		rc = rc ?: make_tables(w, a, c->tables[a]);
	rc = rc ?: make_group(w, c);
	rc = rc ?: c->other_process ? map_places_elsewhere(w, c) : map_places(w, c);
	if (!rc && c->setup)
		rc = c->setup(w);
	return rc;
}

/* ---- what can be seen ---- */

__attribute__((format(printf, 2, 3)))
static inline void put(struct text *t, const char *fmt, ...)
{
	size_t room = sizeof(t->buf) - t->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->used, room, fmt, ap);
	va_end(ap);
	t->used += n < (int)room ? n : (int)room - 1;
}

static inline bool see_ioas(const struct world *w, uint32_t id, struct text *t)
{
	struct iommu_iova_range ranges[16];
	uint32_t num = ARRAY_SIZE(ranges);
	uint64_t align = 0, huge = 0, iova = 0;
	int rc;

	if (ioas_ranges(w->iommufd, id, ranges, &num, &align))
		return false;
	put(t, "%u: address space, alignment %lu,", id, align);
	for (uint32_t i = 0; i < num; i++)
		put(t, " %llx-%llx", ranges[i].start, ranges[i].last);
	option_get(w->iommufd, IOMMU_OPTION_HUGE_PAGES, id, &huge);
	put(t, ", huge pages %lu", huge);
	if (id == w->ioas[0] || id == w->ioas[1]) {
		rc = ioas_map(w->iommufd, id, w->mem + PROBE_PAGE * PAGE, PAGE, &iova, MAP_RW);
		put(t, ", next mapping at %lx (%d)", iova, rc);
		if (!rc)
			put(t, " until %d", ioas_unmap(w->iommufd, id, iova, PAGE, NULL));
	}
	put(t, "\n");
	return true;
}

/* What a guest writes, or makes such things in: only these can be asked whether they know a way to invalidate. */
static inline bool see_guest(const struct world *w, uint32_t id, struct text *t)
{
	uint32_t num = 0;
	int rc = hwpt_invalidate(w->iommufd, id, GUEST_INVALIDATE, NULL, 0, &num);

	if (rc && rc != -EOPNOTSUPP)
		return false;
	put(t, "%u: %s\n", id, rc ? "vIOMMU" : "nested page table");
	return true;
}

/* A bound device, or the handle by which it is destroyed: asked to go nowhere, only the latter knows that it cannot. */
static inline void see_device(const struct world *w, uint32_t id, struct text *t)
{
	struct iommu_hw_info info = { .size = sizeof(info), .dev_id = id };
	uint32_t pt = id;

	if (!iommu_call(w->iommufd, IOMMU_GET_HW_INFO, &info))
		put(t, "%u: device\n", id);
	else if (mock_device_replace(w->iommufd, id, &pt) == -EINVAL)
		put(t, "%u: handle of a device\n", id);
}

static inline bool table_has(const struct world *w, uint32_t hwpt, uint64_t iova, size_t length, const uint8_t *va)
{
	return !mock_check_map(w->iommufd, hwpt, iova, length, va);
}

static inline bool ioas_has(const struct world *w, uint32_t ioas, uint64_t iova, size_t length,
			    __attribute__((unused)) const uint8_t *va)
{
	uint64_t to;

	if (ioas_copy(w->iommufd, w->scratch, &to, ioas, iova, length, IOMMU_IOAS_MAP_READABLE))
		return false;
	ioas_unmap_all(w->iommufd, w->scratch);
	return true;
}

typedef bool has_fn(const struct world *w, uint32_t id, uint64_t iova, size_t length, const uint8_t *va);

/*
 * How much of a place is there: all, or what of its beginning, middle and end. Of a large one more is looked at, but
 * not all: it is made of one piece for each run of pages.
 */
static inline void see_place(const struct world *w, uint32_t id, const struct place *p, struct text *t, has_fn *has)
{
	const size_t end = p->length - MOCK_PAGE;
	bool large = p->length > 16 * PAGE;

	if (!large && has(w, id, p->iova, p->length, p->va)) {
		put(t, " all");
		return;
	}
	put(t, " ");
	for (int i = 0, n = large ? 8 : 2; i <= n; i++) {
		size_t at = end / n * i / MOCK_PAGE * MOCK_PAGE;

		put(t, "%d", has(w, id, p->iova + at, MOCK_PAGE, p->va + at));
	}
}

static inline void see_places(const struct world *w, struct text *t)
{
	uint64_t value;
	int rc;

	for (int at = 0; at < PLACES; at++) {
		const struct place *p = &w->place[at];

		if (!p->length)
			continue;
		put(t, "place %d at %lx: address spaces", at, p->iova);
		for (int a = 0; a < 2; a++)
			see_place(w, w->ioas[a], p, t, ioas_has);
		for (uint32_t id = 1; p->va && id <= w->last_id; id++) {
			if (!mock_check_map(w->iommufd, id, 0, 0, NULL)) {
				put(t, ", page table %u", id);
				see_place(w, id, p, t, table_has);
			}
		}
		if (w->access >= 0) {
			value = 0;
			rc = test_access_rw(w->iommufd, w->access, p->iova & -PAGE, &value, sizeof(value), 0);
			put(t, ", access %d %lx", rc, value);
		}
		put(t, "\n");
	}
}

/* On the first page of each place; memory that nobody has touched would be by looking at it */
static inline void see_pins(const struct world *w, struct text *t)
{
	for (int at = 0; at < CHOSEN && w->mem == memory; at++) {
		void *page = (void *)(to_u64(w->place[at].va) & -PAGE);
		uint32_t pins = 0;

		while (pins < 9 && test_check_pins(w->iommufd, page, PAGE, pins))
			pins++;
		put(t, "place %d: %u pins\n", at, pins);
	}
}

static inline void see_process(pid_t pid, struct text *t)
{
	char path[64], status[4096];
	const char *lck, *pin;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	read_file(path, status, sizeof(status));
	lck = strstr(status, "VmLck:");
	pin = strstr(status, "VmPin:");
	put(t, "pinned %ld, locked %ld kB\n", pin ? atol(pin + 6) : -1, lck ? atol(lck + 6) : -1);
}

static inline void see_vfio_ioas(const struct world *w, struct text *t)
{
	struct iommu_vfio_ioas get = { .size = sizeof(get), .op = IOMMU_VFIO_IOAS_GET };
	int rc = iommu_call(w->iommufd, IOMMU_VFIO_IOAS, &get);

	put(t, "address space of VFIO %u (%d)\n", get.ioas_id, rc);
}

/* The page table of each PASID of each device in the group, as the IOMMU has it */
static inline void see_group(const struct world *w, struct text *t)
{
	uint32_t tables[16] = { 0 };
	unsigned int n = 1;

	for (uint32_t id = 1; id <= w->last_id && n < ARRAY_SIZE(tables) && w->members; id++)
		if (!mock_check_map(w->iommufd, id, 0, 0, NULL))
			tables[n++] = id;
	for (int m = 0; m < w->members; m++) {
		put(t, "device %u", w->member[m].id);
		for (int p = 0; p < WORLD_PASIDS; p++) {
			unsigned int i = 0;

			while (i < n && mock_check_table(w->iommufd, w->member[m].stdev, world_pasids[p], tables[i]))
				i++;
			put(t, ", PASID %u by %d", world_pasids[p], i < n ? (int)tables[i] : -1);
		}
		put(t, "\n");
	}
}

static inline void see(const struct world *w, struct text *t)
{
	int fd;

	t->used = 0;
	for (uint32_t id = 1; id <= w->last_id; id++) {
		if (!mock_check_map(w->iommufd, id, 0, 0, NULL))
			put(t, "%u: page table\n", id);
		else if (!see_ioas(w, id, t) && !see_guest(w, id, t))
			see_device(w, id, t);
	}
	see_places(w, t);
	see_group(w, t);
	see_vfio_ioas(w, t);
	see_process(getpid(), t);
	if (w->child > 0)
		see_process(w->child, t);
	see_pins(w, t);
	fd = dup(0);
	put(t, "next file %d\n", fd);
	close(fd);
	put(t, "answer %lx %lx %lx\n", w->out[0], w->out[1], w->out[2]);
}

/* Gives everything back, by the user's hand or by close alone, and says what was there and what stays. */
static inline void world_close(struct world *w, bool by_hand, struct text *t)
{
	uint64_t bytes;
	bool progress = by_hand;

	t->used = 0;
	if (w->access >= 0)
		close(w->access);
	end_child(w);
	for (int a = 0; a < 2 && by_hand; a++) {
		bytes = 0;
		put(t, "unmap all: %d", ioas_unmap(w->iommufd, w->ioas[a], 0, UINT64_MAX, &bytes));
		put(t, " %lx bytes\n", bytes);
	}
	while (progress) {
		progress = false;
		for (uint32_t id = 1; id <= w->last_id; id++)
			progress |= !iommu_destroy(w->iommufd, id);
	}
	for (uint32_t id = 1; by_hand && id <= w->last_id; id++)
		if (iommu_destroy(w->iommufd, id) != -ENOENT)
			put(t, "id %u stays\n", id);
	if (by_hand)
		see_process(getpid(), t);
	close(w->iommufd);
	close(w->file);
	close(w->dmabuf);
	see_process(getpid(), t);
	w->iommufd = iommu_open();
	see_pins(w, t);
	close(w->iommufd);
	if (w->mem != memory)
		munmap(w->mem, MEM_SIZE);
}

static inline bool same(const struct text *a, const struct text *b)
{
	return a->used == b->used && !memcmp(a->buf, b->buf, a->used);
}

/* The first line in which two texts differ */
static inline const char *difference(const struct text *from, const struct text *to)
{
	const char *p = from->buf, *q = to->buf;
	static char line[1024];
	size_t n, m;

	for (;; p += n + !!p[n], q += m + !!q[m]) {
		n = strcspn(p, "\n");
		m = strcspn(q, "\n");
		if (n != m || memcmp(p, q, n) || !*p)
			break;
	}
	snprintf(line, sizeof(line), "\"%.*s\" became \"%.*s\"", (int)n, p, (int)m, q);
	return line;
}

#endif
