// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu_bench - what address spaces cost: through a device node and iommufd, and through VFIO's type1 container
 *
 * For a guest with one CPU whose clock ticks once an instruction (COUNT=1 tests/qemu): nanoseconds are instructions
 * there, and come out the same every time. An experiment is a step up and a step down, such as map and unmap, done once
 * to warm up and then runs= times. What it prints, for tests/bench/figures:
 *
 *	cost WAY ROW MIN MEDIAN MAX		instructions per 4 KiB page or per call
 *	bytes WAY ROW N				memory of the kernel per mapping
 *	grow SERIES X FIGURE N			the second table: how FIGURE grows with X
 *	units WAY EXPERIMENT N			pages or calls of a step, for the profile
 *
 * The rows are named in tests/bench/rows. Words: mib=N of memory, calls=N and chosen=N mappings of one page, runs=N,
 * only=EXPERIMENT, way=node|type1, growth (the second table instead), long (more of it).
 */
#include "type1.h"

/* in no window for interrupt messages, with room for all of the memory behind it */
#define IOVA_BASE	0x10000000UL
#define IOVA_COPY	0x30000000UL
#define IOVA_SPACE	0x200000000UL
#define ROUNDS		1000UL
#define MAX_RUNS	64
/* an odd number: every page of a power of two gets its turn, and neighbours get theirs far apart */
#define STRIDE		40503UL
#define ARRAY_LENGTH(a)	(sizeof(a) / sizeof((a)[0]))

static unsigned long mib = 256, calls = 20000, chosen = 2000, runs = 3;
static const char *only, *only_way;

static uint64_t instructions(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
}

static void __attribute__((noreturn)) fail(const char *what, int rc)
{
	printf("not ok 1 %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void need(int rc, const char *what)
{
	if (rc < 0)
		fail(what, rc);
}

/* ---- memory ---- */

enum memory { SMALL, SCATTERED, THP, HUGE, KINDS };

/* At a multiple of 2 MiB, all of it present */
static uint8_t *memory_get(enum memory kind, size_t length)
{
	const unsigned long pages = length / PAGE;
	const int huge = kind == HUGE ? MAP_HUGETLB : 0;
	uint8_t *p = mmap(NULL, length + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	p += -(uintptr_t)p % HUGE_PAGE;
	p = mmap(p, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | huge, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (!huge)
		madvise(p, length, kind == THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < pages; i++)
		p[(kind == SCATTERED ? i * STRIDE % pages : i) * PAGE] = 1;
	if (kind == THP && number_in_file("/proc/self/smaps_rollup", "AnonHugePages:") < (long)(length / 1024))
		return NULL;
	return p;
}

/* All objects of all slab caches, in bytes */
static double slab_bytes(void)
{
	unsigned long used, total, size;
	double sum = 0;
	char line[512];
	FILE *f = fopen("/proc/slabinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %lu %lu %lu", &used, &total, &size) == 3)
			sum += (double)used * size;
	if (f)
		fclose(f);
	return sum;
}

/* All free memory, with the pages that each CPU keeps for itself, which MemFree does not have */
static double free_bytes(void)
{
	char line[512];
	long kept = 0, count;
	FILE *f = fopen("/proc/zoneinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &count) == 1)
			kept += count;
	if (f)
		fclose(f);
	/* the counters lag behind on each CPU; reading this merges them */
	read_file("/proc/sys/vm/stat_refresh", line, sizeof(line));
	return number_in_file("/proc/meminfo", "MemFree:") * 1024.0 + kept * (double)PAGE;
}

/* ---- the two ways to an address space ---- */

struct way {
	const char *name;
	bool type1;
	int fd;
	uint32_t ioas;
	struct edu edu;
	struct type1 container;
};

static void way_open(struct way *w, bool type1)
{
	memset(w, 0, sizeof(*w));
	w->type1 = type1;
	w->name = type1 ? "type1" : "node";
	if (type1) {
		need(type1_open(&w->container, type1_container_open(), VFIO_TYPE1v2_IOMMU, EDU_ALONE), "a container");
		w->fd = w->container.container;
		return;
	}
	w->fd = iommu_open();
	need(w->fd, "/dev/iommu");
	need(ioas_alloc(w->fd, &w->ioas), "an address space");
	need(edu_open_bound(&w->edu, EDU_ALONE, w->fd), "a device");
	need(vfio_attach(w->edu.fd, w->ioas, NULL), "its attachment");
}

static void way_close(struct way *w)
{
	if (w->type1) {
		type1_close(&w->container);
		return;
	}
	edu_close(&w->edu);
	close(w->fd);
}

static int way_map(struct way *w, void *va, size_t length, uint64_t iova)
{
	return w->type1 ? type1_map(w->fd, va, length, iova, TYPE1_RW) :
			  ioas_map_at(w->fd, w->ioas, va, length, iova);
}

static int way_unmap(struct way *w, uint64_t iova, size_t length)
{
	int64_t bytes;

	if (!w->type1)
		return ioas_unmap(w->fd, w->ioas, iova, length, NULL);
	bytes = type1_unmap_bytes(w->fd, iova, length);
	return bytes == (int64_t)length ? 0 : bytes < 0 ? (int)bytes : -EIO;
}

/* ---- experiments ---- */

/* What an experiment works on, and what it keeps between its steps */
struct lab {
	struct way *way;
	uint8_t *memory;
	size_t length;
	uint64_t *iova;		/* of mappings of one page */
	unsigned long mappings;	/* how many those are */
	uint32_t table;
	uint32_t other_ioas;
	struct edu other;
};

static int whole_up(struct lab *l)
{
	return way_map(l->way, l->memory, l->length, IOVA_BASE);
}

static int whole_down(struct lab *l)
{
	return way_unmap(l->way, IOVA_BASE, l->length);
}

/* A page table for a device, on an address space that is mapped already */
static int table_up(struct lab *l)
{
	return hwpt_alloc(l->way->fd, l->way->edu.id, l->way->ioas, 0, &l->table);
}

static int table_down(struct lab *l)
{
	return iommu_destroy(l->way->fd, l->table);
}

/* Apart from each other, so that none can be joined with the next */
static int singles_begin(struct lab *l)
{
	l->mappings = calls;
	l->iova = calloc(calls, sizeof(*l->iova));
	for (unsigned long i = 0; l->iova && i < calls; i++)
		l->iova[i] = IOVA_BASE + 2 * i * PAGE;
	return l->iova ? 0 : -ENOMEM;
}

static int singles_up(struct lab *l)
{
	int rc = 0;

	for (unsigned long i = 0; !rc && i < calls; i++)
		rc = way_map(l->way, l->memory + i * PAGE, PAGE, l->iova[i]);
	return rc;
}

static int singles_down(struct lab *l)
{
	int rc = 0;

	for (unsigned long i = 0; !rc && i < l->mappings; i++)
		rc = way_unmap(l->way, l->iova[i], PAGE);
	return rc;
}

static int singles_end(struct lab *l)
{
	free(l->iova);
	return 0;
}

static int chosen_begin(struct lab *l)
{
	l->mappings = chosen;
	l->iova = calloc(chosen, sizeof(*l->iova));
	return l->iova ? 0 : -ENOMEM;
}

static int chosen_up(struct lab *l)
{
	int rc = 0;

	for (unsigned long i = 0; !rc && i < chosen; i++)
		rc = ioas_map(l->way->fd, l->way->ioas, l->memory + i * PAGE, PAGE, &l->iova[i], MAP_RW);
	return rc;
}

/* One page of a large mapping, copied to the address space of another device, and unmapped there */
static int copy_begin(struct lab *l)
{
	int fd = l->way->fd, rc = whole_up(l);

	if (!rc)
		rc = ioas_alloc(fd, &l->other_ioas);
	if (!rc)
		rc = edu_open_bound(&l->other, EDU_ALONE_TOO, fd);
	return rc ?: vfio_attach(l->other.fd, l->other_ioas, NULL);
}

static int copy_up(struct lab *l)
{
	int fd = l->way->fd, rc = 0;

	for (unsigned long i = 0; !rc && i < ROUNDS; i++) {
		rc = ioas_copy_to(fd, l->other_ioas, IOVA_COPY, l->way->ioas, IOVA_BASE, PAGE);
		if (!rc)
			rc = ioas_unmap(fd, l->other_ioas, IOVA_COPY, PAGE, NULL);
	}
	return rc;
}

static int copy_down(struct lab *l)
{
	(void)l;
	return 0;
}

static int copy_end(struct lab *l)
{
	edu_close(&l->other);
	return iommu_destroy(l->way->fd, l->other_ioas) ?: whole_down(l);
}

/* How many pages or calls a step is */
static unsigned long every_page(void)
{
	return mib * MIB / PAGE;
}

static unsigned long every_call(void)
{
	return calls;
}

static unsigned long every_chosen(void)
{
	return chosen;
}

static unsigned long every_round(void)
{
	return ROUNDS;
}

/*
 * @up_row, @down_row, @bytes_row: rows of the table; NULL for a step that has none
 * @begin, @end: NULL if there is nothing to prepare
 */
static const struct experiment {
	const char *name;
	enum memory kind;
	bool type1_too;
	const char *up_row, *down_row, *bytes_row;
	unsigned long (*units)(void);
	int (*begin)(struct lab *l);
	int (*up)(struct lab *l);
	int (*down)(struct lab *l);
	int (*end)(struct lab *l);
} experiments[] = {
	{ "4k", SMALL, true, "map-4k", "unmap-4k", NULL, every_page, NULL, whole_up, whole_down, NULL },
	{ "one", SMALL, true, "map-one", "unmap-one", "bytes-one", every_call,
	  singles_begin, singles_up, singles_down, singles_end },
	{ "chosen", SMALL, false, "map-chosen", NULL, NULL, every_chosen,
	  chosen_begin, chosen_up, singles_down, singles_end },
	{ "copy", SMALL, false, "copy-one", NULL, NULL, every_round, copy_begin, copy_up, copy_down, copy_end },
	{ "scattered", SCATTERED, true, "map-scattered", "unmap-scattered", NULL, every_page,
	  NULL, whole_up, whole_down, NULL },
	{ "table-scattered", SCATTERED, false, "table-scattered", NULL, NULL, every_page,
	  whole_up, table_up, table_down, whole_down },
	{ "thp", THP, true, "map-thp", "unmap-thp", NULL, every_page, NULL, whole_up, whole_down, NULL },
	{ "huge", HUGE, true, "map-huge", "unmap-huge", NULL, every_page, NULL, whole_up, whole_down, NULL },
	{ "table-huge", HUGE, false, "table-huge", NULL, NULL, every_page, whole_up, table_up, table_down, whole_down },
};

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_cost(const struct way *w, const char *row, uint64_t *cost, double units)
{
	qsort(cost, runs, sizeof(*cost), compare);
	if (row)
		printf("cost %s %s %.3f %.3f %.3f\n", w->name, row, cost[0] / units, cost[runs / 2] / units,
		       cost[runs - 1] / units);
}

static void do_experiment(const struct experiment *e, struct way *w, uint8_t *memory)
{
	struct lab l = { .way = w, .memory = memory, .length = mib * MIB };
	const double units = e->units();
	uint64_t up[MAX_RUNS + 1], down[MAX_RUNS + 1];
	double bytes;

	printf("units %s %s %.0f\n", w->name, e->name, units);
	if (e->begin)
		need(e->begin(&l), e->name);
	for (unsigned long i = 0; i <= runs; i++) {
		uint64_t start;

		bytes = i || !e->bytes_row ? 0 : slab_bytes();
		start = instructions();
		need(e->up(&l), e->name);
		up[i] = instructions() - start;
		if (!i && e->bytes_row)
			printf("bytes %s %s %.1f\n", w->name, e->bytes_row, (slab_bytes() - bytes) / units);
		start = instructions();
		need(e->down(&l), e->name);
		down[i] = instructions() - start;
	}
	if (e->end)
		need(e->end(&l), e->name);
	print_cost(w, e->up_row, up + 1, units);
	print_cost(w, e->down_row, down + 1, units);
}

static bool wanted(const struct experiment *e, bool type1)
{
	return (!type1 || e->type1_too) && (!only || !strcmp(only, e->name)) &&
	       (!only_way || !strcmp(only_way, type1 ? "type1" : "node"));
}

static void table(void)
{
	int all = 0, done = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(experiments); i++)
		all += wanted(&experiments[i], false) + wanted(&experiments[i], true);
	for (enum memory kind = SMALL; kind < KINDS; kind++) {
		uint8_t *memory = NULL;

		for (int type1 = 0; type1 < 2; type1++) {
			struct way w;

			if (only_way && strcmp(only_way, type1 ? "type1" : "node"))
				continue;
			way_open(&w, type1);
			for (size_t i = 0; i < ARRAY_LENGTH(experiments); i++) {
				const struct experiment *e = &experiments[i];

				if (e->kind != kind || !wanted(e, type1))
					continue;
				printf("# %d of %d: %s by %s\n", ++done, all, e->name, w.name);
				if (!memory)
					memory = memory_get(kind, mib * MIB);
				if (!memory)
					fail("memory of the kind wanted", -ENOMEM);
				do_experiment(e, &w, memory);
			}
			way_close(&w);
		}
		if (memory)
			munmap(memory, mib * MIB);
	}
}

/* ---- growth ---- */

static void print_growth(const char *series, unsigned long x, const char *figure, double value)
{
	printf("grow %s %lu %s %.1f\n", series, x, figure, value);
}

/*
 * One mapping of 1 MiB to @most bytes. A file of @window bytes, which is all the memory there is, is mapped again and
 * again side by side in the process.
 */
static void grow_space(const char *series, bool huge, size_t most)
{
	const size_t window = 64 * MIB;
	int file = memfd_create("window", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0));
	uint8_t *memory = mmap(NULL, most + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct way w;

	if (file < 0 || memory == MAP_FAILED || ftruncate(file, window))
		fail("sparse memory", -errno);
	memory += -(uintptr_t)memory % HUGE_PAGE;
	way_open(&w, false);
	for (size_t have = 0, size = MIB; size <= most; size *= 4) {
		double held_slab, held;
		uint64_t start;

		for (; have < size; have += window)
			if (mmap(memory + have, window, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
				 file, 0) == MAP_FAILED)
				fail("a window", -errno);
		if (huge && size < HUGE_PAGE)
			continue;
		held_slab = slab_bytes();
		held = free_bytes();
		start = instructions();
		need(way_map(&w, memory, size, IOVA_SPACE), series);
		print_growth(series, size, "map", instructions() - start);
		print_growth(series, size, "bytes", held - free_bytes());
		print_growth(series, size, "bytes-slab", slab_bytes() - held_slab);
		start = instructions();
		need(way_unmap(&w, IOVA_SPACE, size), series);
		print_growth(series, size, "unmap", instructions() - start);
	}
	way_close(&w);
	munmap(memory, most);
	close(file);
}

/*
 * What a call costs among up to @most mappings of a page at IOVAs that the kernel chose: one more of them; one of those
 * present, in no order, unmapped and put back where it was.
 */
static void grow_mappings(unsigned long most)
{
	const unsigned long pages = 4096, tries = 100;
	uint8_t *memory = memory_get(SCATTERED, pages * PAGE);
	uint64_t *iova = calloc(most + tries, sizeof(*iova)), start, random = 1;
	double held_slab, held;
	struct way w;

	if (!memory || !iova)
		fail("memory", -ENOMEM);
	/* present before the kernel's memory is looked at */
	memset(iova, 1, (most + tries) * sizeof(*iova));
	way_open(&w, false);
	held_slab = slab_bytes();
	held = free_bytes();
	for (unsigned long have = 0, size = 1; size <= most; size *= 10) {
		uint64_t unmap = 0, map = 0;

		for (; have < size; have++)
			need(ioas_map(w.fd, w.ioas, memory + have % pages * PAGE, PAGE, &iova[have], MAP_RW), "map");
		print_growth("mappings", size, "bytes", (held - free_bytes()) / size);
		print_growth("mappings", size, "bytes-slab", (slab_bytes() - held_slab) / size);
		start = instructions();
		for (unsigned long i = size; i < size + tries; i++)
			need(ioas_map(w.fd, w.ioas, memory, PAGE, &iova[i], MAP_RW), "map");
		print_growth("mappings", size, "map-chosen", (double)(instructions() - start) / tries);
		for (unsigned long i = size; i < size + tries; i++)
			need(way_unmap(&w, iova[i], PAGE), "unmap");
		for (unsigned long i = 0; i < tries; i++) {
			unsigned long one = random_next(&random) % size;

			start = instructions();
			need(way_unmap(&w, iova[one], PAGE), "unmap");
			unmap += instructions() - start;
			start = instructions();
			need(way_map(&w, memory + one % pages * PAGE, PAGE, iova[one]), "map");
			map += instructions() - start;
		}
		print_growth("mappings", size, "map", (double)map / tries);
		print_growth("mappings", size, "unmap", (double)unmap / tries);
	}
	start = instructions();
	need(ioas_unmap_all(w.fd, w.ioas), "unmap");
	print_growth("mappings", most, "unmap-all", (double)(instructions() - start) / most);
	way_close(&w);
	munmap(memory, pages * PAGE);
	free(iova);
}

/* 16 MiB of scattered pages in 1 to 64 page tables, of which the first is the one that the device uses */
static void grow_tables(void)
{
	const size_t length = 16 * MIB;
	uint8_t *memory = memory_get(SCATTERED, length);
	const double pages = length / PAGE;
	uint32_t id;
	struct way w;

	if (!memory)
		fail("memory", -ENOMEM);
	way_open(&w, false);
	for (unsigned int have = 1, count = 1; count <= 64; count *= 2) {
		double held;
		uint64_t start;

		for (; have < count; have++)
			need(hwpt_alloc(w.fd, w.edu.id, w.ioas, 0, &id), "a page table");
		/* the first time, the tables themselves are allocated */
		for (int warm = 0; warm < 2; warm++) {
			held = free_bytes();
			start = instructions();
			need(way_map(&w, memory, length, IOVA_BASE), "map");
			if (warm)
				print_growth("tables", count, "map", (instructions() - start) / pages);
			else
				print_growth("tables", count, "bytes", (held - free_bytes()) / pages);
			if (warm) {
				start = instructions();
				need(hwpt_alloc(w.fd, w.edu.id, w.ioas, 0, &id), "one more page table");
				print_growth("tables", count, "add", (instructions() - start) / pages);
				need(iommu_destroy(w.fd, id), "its end");
			}
			start = instructions();
			need(way_unmap(&w, IOVA_BASE, length), "unmap");
			if (warm)
				print_growth("tables", count, "unmap", (instructions() - start) / pages);
		}
	}
	way_close(&w);
	munmap(memory, length);
}

/* ---- */

static bool number_of_word(const char *word, const char *name, unsigned long *value)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) || word[n] != '=')
		return false;
	*value = strtoul(word + n + 1, NULL, 10);
	return true;
}

int main(int argc, char **argv)
{
	bool growth = false, patient = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (number_of_word(word, "mib", &mib) || number_of_word(word, "calls", &calls) ||
		    number_of_word(word, "chosen", &chosen) || number_of_word(word, "runs", &runs))
			continue;
		if (!strncmp(word, "only=", 5))
			only = word + 5;
		else if (!strncmp(word, "way=", 4))
			only_way = word + 4;
		else if (!strcmp(word, "growth"))
			growth = true;
		else if (!strcmp(word, "long"))
			patient = true;
		else
			fail(word, -EINVAL);
	}
	if (!runs || runs > MAX_RUNS || calls > every_page() || chosen > every_page())
		fail("numbers that fit each other", -EINVAL);
	memlock_limit(UINT64_MAX);
	if (growth) {
		printf("# 1 of 4: a mapping of up to 64 GiB of huge pages\n");
		grow_space("space-huge", true, 65536 * MIB);
		printf("# 2 of 4: of small pages\n");
		grow_space("space-small", false, (patient ? 65536 : 16384) * MIB);
		printf("# 3 of 4: up to 1,000,000 mappings\n");
		grow_mappings(1000000);
		printf("# 4 of 4: up to 64 page tables\n");
		grow_tables();
	} else {
		table();
	}
	printf("ok 1 everything was measured\n");
	return 0;
}
