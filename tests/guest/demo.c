// SPDX-License-Identifier: GPL-2.0-only
/*
 * demo - what "make run" shows: devices doing DMA through the IOMMU into memory that this process mapped
 *
 * Four emulated PCI devices, /dev/iommu and the VFIO device nodes; nothing else is used. Every line that begins with
 * "ok" was checked, a line with "FAIL" says what came instead.
 *
 *	demo		all of it
 *	demo quick	fewer transfers, for a slow machine
 */
#include "../../tools/testing/selftests/iommu/edu.h"
#include "../../tools/testing/selftests/iommu/smmu.h"
#include "tell.h"

#include <pthread.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/* ---- telling ---- */

static double started;

/* For what everything after it needs. @rc is 0, something useful, or -errno. */
__attribute__((format(printf, 2, 3)))
static int need(int rc, const char *fmt, ...)
{
	va_list ap;

	if (rc >= 0)
		return rc;
	printf("FAIL ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(": %s\n     The demonstration cannot go on from here.\n", strerror(-rc));
	exit(1);
}

static void chapter(int number, const char *title)
{
	printf("\n%d. %s\n", number, title);
}

/* ---- the scene ---- */

#define DEVICES		4
#define SMALL_BYTES	(12 * MIB)
#define HUGE_BYTES	(4 * MIB)
#define ALL_BYTES	(SMALL_BYTES + HUGE_BYTES)
#define BASE		0x40000000UL

static bool quick;
static int iommufd;
static struct edu edu[DEVICES];

/* Scalable mode is what the hardware was told, not what the command line asked for. */
static int root_table_is_scalable(void)
{
	char text[16384], *line;

	if (read_file("/sys/kernel/debug/iommu/intel/iommu_regset", text, sizeof(text)) < 0)
		return -ENOENT;
	line = strstr(text, "RTADDR");
	line = line ? strrchr(strtok(line, "\n"), 'x') : NULL;
	return line ? !!(strtoull(line + 1, NULL, 16) & 0x400) : -ENOENT;
}

static void check_vtd(void)
{
	int scalable = root_table_is_scalable();
	char cmdline[1024] = "";

	read_file("/proc/cmdline", cmdline, sizeof(cmdline));
	check(scalable >= 0 && scalable == !!strstr(cmdline, "sm_on"), "VT-d translates in %s mode",
	      scalable < 0 ? "an unknown" : scalable ? "scalable" : "legacy");
}

static void check_smmu(void)
{
	static const char *const stages[] = { "no stage", "stage 2", "stage 1", "both stages" };
	uint64_t address = smmu_address(edu[0].bdf);
	int64_t has = smmu_read(address, SMMU_IDR0);
	bool same = true;

	for (int i = 1; i < DEVICES; i++)
		same &= smmu_address(edu[i].bdf) == address;
	check(address && same && has >= 0 && has & (SMMU_IDR0_S1P | SMMU_IDR0_S2P),
	      "an SMMUv3 with %s translates for all of them", has < 0 ? "unknown registers" :
	      stages[has & (SMMU_IDR0_S1P | SMMU_IDR0_S2P)]);
}

static void show_machine(void)
{
	char node[DEVICES][64];
	struct utsname uts;
	int group[DEVICES];

	chapter(1, "The machine: which kernel, which IOMMU, which devices in which groups");
	uname(&uts);
	printf("     Linux %s, %s, %s\n", uts.release, uts.machine, uts.version);
	for (int i = 0; i < DEVICES; i++) {
		need(edu_find(i, edu[i].bdf), "PCI device %d of %d, an edu (1234:11e8)", i + 1, DEVICES);
		need(pci_use_vfio(edu[i].bdf), "binding %s to vfio-pci", edu[i].bdf);
		group[i] = need(pci_group(edu[i].bdf), "IOMMU group of %s", edu[i].bdf);
		need(vfio_node(edu[i].bdf, node[i], sizeof(node[i])), "device node of %s", edu[i].bdf);
		printf("     %s  IOMMU group %d  %s\n", edu[i].bdf, group[i], node[i]);
		edu[i].fd = -1;
	}
	if (smmu_address(edu[0].bdf))
		check_smmu();
	else
		check_vtd();
	check(group[0] != group[1] && group[0] != group[2] && group[1] != group[2],
	      "the first two devices have groups of their own");
	check(group[2] == group[3], "the last two, functions of one device, share a group");
}

/* Opens device @i, binds it to /dev/iommu and makes it ready for DMA. */
static void take_device(int i)
{
	need(edu_open(&edu[i], i), "opening the device node of %s", edu[i].bdf);
	need(vfio_bind(edu[i].fd, iommufd, &edu[i].id), "binding %s to /dev/iommu", edu[i].bdf);
	need(edu_enable(&edu[i]), "enabling %s", edu[i].bdf);
}

/* ---- 2: copies ---- */

struct copy {
	const char *what;
	uint64_t from, to;	/* offsets from BASE */
	unsigned int bytes;
};

static void copy_memory(uint8_t *memory)
{
	const struct copy copies[] = {
		{ "from a 4 KiB page to another", 0, 5 * MIB, 4095 },
		{ "across the border of two pages", MIB + 4000, 6 * MIB + 2100, 4095 },
		{ "from a 4 KiB page to a 2 MiB page", 3 * MIB, SMALL_BYTES + 3 * MIB + 8, 4000 },
		{ "across the border of two huge pages", SMALL_BYTES + 2 * MIB - 1000, 7 * MIB + 1, 3000 },
		{ "from across the border of the two mappings", SMALL_BYTES - 2000, 8 * MIB, 4095 },
		{ "to across the border of the two mappings", 9 * MIB + 77, SMALL_BYTES - 1500, 4001 },
		{ "from the very end of the mapping", ALL_BYTES - 4095, 10 * MIB, 4095 },
		{}
	};

	for (int i = 0; copies[i].what && !(quick && i == 5); i++) {
		const struct copy *c = &copies[i];
		uint8_t *from = memory + c->from, *to = memory + c->to;
		bool exact;

		pattern_fill(from, c->bytes, 100 + i);
		memset(to - 64, 0xa5, c->bytes + 128);
		need(edu_copy(&edu[0], BASE + c->from, BASE + c->to, c->bytes), "DMA");
		exact = pattern_is(to, c->bytes, 100 + i) && pattern_is(from, c->bytes, 100 + i) &&
			bytes_are(to - 64, 64, 0xa5) && bytes_are(to + c->bytes, 64, 0xa5);
		check(exact, "%u bytes %s, byte-exact", c->bytes, c->what);
	}
}

static uint8_t *map_sixteen_mib(uint32_t ioas)
{
	uint8_t *memory = mmap(NULL, ALL_BYTES + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *small, *huge;

	/* one range of addresses here too, so that one offset serves both sides; huge pages want alignment */
	if (memory == MAP_FAILED)
		need(-errno, "reserving addresses");
	memory += -to_u64(memory) % HUGE_PAGE;
	small = mmap(memory, SMALL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (small == MAP_FAILED)
		need(-errno, "12 MiB of memory");
	madvise(small, SMALL_BYTES, MADV_NOHUGEPAGE);
	memset(small, 0, SMALL_BYTES);
	huge = mmap(memory + SMALL_BYTES, HUGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB, -1, 0);
	if (huge == MAP_FAILED)
		need(-errno, "two huge pages of 2 MiB (boot with hp=2 or more)");
	memset(huge, 0, HUGE_BYTES);

	need(ioas_map_at(iommufd, ioas, small, SMALL_BYTES, BASE), "mapping 12 MiB");
	need(ioas_map_at(iommufd, ioas, huge, HUGE_BYTES, BASE + SMALL_BYTES), "mapping 4 MiB");
	return memory;
}

/* ---- 3: replace ---- */

#define WINDOW		0x50000000UL	/* the IOVA that two address spaces map to different memory */
#define WINDOW_BYTES	(4 * PAGE)
#define WINDOW_TARGET	(2 * PAGE)	/* loads come from the first page, stores go here */
#define CHUNK		1024

/**
 * struct dma_loop - Transfers that go on while the main thread replaces the address space
 * @memory: the two memories behind WINDOW
 * @stop: told by the main thread
 * @transfers: how many were made
 * @lost: stores that reached neither memory, or both
 * @strange: stores of bytes that no memory held when they were loaded
 * @from: how many loads came from which memory
 * @to: how many stores went to which memory
 * @rc: -errno of a transfer that did not end
 */
struct dma_loop {
	uint8_t *memory[2];
	bool stop;
	int transfers, lost, strange, from[2], to[2], rc;
};

static void *run_dma_loop(void *arg)
{
	struct dma_loop *loop = arg;

	for (uint64_t round = 1; !loop->rc && !__atomic_load_n(&loop->stop, __ATOMIC_RELAXED); round++) {
		int landed = 0, side = 0;

		for (int i = 0; i < 2; i++) {
			pattern_fill(loop->memory[i], CHUNK, 2 * round + i);
			memset(loop->memory[i] + WINDOW_TARGET, 0, CHUNK);
		}
		loop->rc = edu_load(&edu[0], WINDOW, CHUNK);
		if (!loop->rc)
			loop->rc = edu_store(&edu[0], WINDOW + WINDOW_TARGET, CHUNK);
		loop->transfers += 2;
		for (int i = 0; i < 2; i++) {
			memory_changed();
			if (!bytes_are(loop->memory[i] + WINDOW_TARGET, CHUNK, 0)) {
				landed++;
				side = i;
			}
		}
		if (landed != 1) {
			loop->lost++;
			continue;
		}
		loop->to[side]++;
		/* all bytes of this round, and all from the same memory */
		if (pattern_is(loop->memory[side] + WINDOW_TARGET, CHUNK, 2 * round))
			loop->from[0]++;
		else if (pattern_is(loop->memory[side] + WINDOW_TARGET, CHUNK, 2 * round + 1))
			loop->from[1]++;
		else
			loop->strange++;
	}
	return NULL;
}

static void replace_under_dma(void)
{
	struct dma_loop loop = {};
	const double length = quick ? 2 : 6;
	uint32_t ioas[2];
	pthread_t thread;
	double begin, slowest = 0;
	long faults = iommu_fault_count();
	int replaces = 0, rc = 0, right = 0;
	const int rounds = quick ? 2 : 6;

	chapter(3, "Two address spaces: replacing one by the other while the device keeps doing DMA");
	for (int i = 0; i < 2; i++) {
		loop.memory[i] = small_pages(WINDOW_BYTES);
		need(loop.memory[i] ? 0 : -ENOMEM, "memory");
		need(ioas_alloc(iommufd, &ioas[i]), "a new IOAS");
		need(ioas_map_at(iommufd, ioas[i], loop.memory[i], WINDOW_BYTES, WINDOW), "mapping");
	}
	need(vfio_attach(edu[0].fd, ioas[0], NULL), "moving %s to the first of them", edu[0].bdf);

	rc = pthread_create(&thread, NULL, run_dma_loop, &loop);
	need(-rc, "a thread");
	begin = seconds();
	while (!rc && seconds() - begin < length) {
		double before = seconds();

		rc = vfio_attach(edu[0].fd, ioas[++replaces % 2], NULL);
		if (seconds() - before > slowest)
			slowest = seconds() - before;
		/* let the other thread have the processor on a machine with one */
		if (replaces % 64 == 0)
			sleep_ms(1);
	}
	__atomic_store_n(&loop.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);

	check(!rc && !loop.rc && loop.transfers > 0, "%d replaces during %d DMAs, slowest %.1f ms, none failed",
	      replaces, loop.transfers, slowest * 1e3);
	check(!loop.lost && !loop.strange, "no DMA lost: %d lost or doubled, %d with wrong bytes", loop.lost,
	      loop.strange);
	printf("     loads: %d from the first memory, %d from the second; stores: %d to the first, %d to the second\n",
	       loop.from[0], loop.from[1], loop.to[0], loop.to[1]);

	for (int i = 0; i < rounds; i++) {
		int now = i % 2;

		for (int side = 0; side < 2; side++) {
			pattern_fill(loop.memory[side], CHUNK, 9000 + 2 * i + side);
			memset(loop.memory[side] + WINDOW_TARGET, 0, CHUNK);
		}
		rc = vfio_attach(edu[0].fd, ioas[now], NULL);
		if (!rc)
			rc = edu_copy(&edu[0], WINDOW, WINDOW + WINDOW_TARGET, CHUNK);
		right += !rc && pattern_is(loop.memory[now] + WINDOW_TARGET, CHUNK, 9000 + 2 * i + now) &&
			 bytes_are(loop.memory[!now] + WINDOW_TARGET, CHUNK, 0);
	}
	check(right == rounds, "once replace has returned, DMA reaches the new memory only (%d of %d times)", right,
	      rounds);
	check(iommu_fault_count() == faults, "no IOMMU fault was reported");

	need(vfio_detach(edu[0].fd), "detaching");
	for (int i = 0; i < 2; i++) {
		rc = iommu_destroy(iommufd, ioas[i]);
		munmap(loop.memory[i], WINDOW_BYTES);
		if (rc)
			check(false, "destroying an IOAS nobody uses any more: %s", strerror(-rc));
	}
}

/* ---- 4: a group of two devices ---- */

/* Which of the two memories @device reads at WINDOW; -1 for neither. */
static int memory_seen_by(struct edu *device, uint8_t *const memory[2], uint64_t seed)
{
	/* it stores back at the same place one page further on, so one round trip shows where it is */
	for (int i = 0; i < 2; i++) {
		pattern_fill(memory[i], CHUNK, 2 * seed + i);
		memset(memory[i] + WINDOW_TARGET, 0, CHUNK);
	}
	if (edu_copy(device, WINDOW, WINDOW + WINDOW_TARGET, CHUNK))
		return -1;
	for (int i = 0; i < 2; i++)
		if (pattern_is(memory[i] + WINDOW_TARGET, CHUNK, 2 * seed + i) &&
		    bytes_are(memory[!i] + WINDOW_TARGET, CHUNK, 0))
			return i;
	return -1;
}

static void share_a_group(void)
{
	struct edu *first = &edu[2], *second = &edu[3];
	uint32_t ioas[2], pt_first = 0, pt_second = 0;
	uint8_t *memory[2], *more;

	chapter(4, "Two devices in one group: they move together");
	take_device(2);
	take_device(3);
	for (int i = 0; i < 2; i++) {
		memory[i] = small_pages(WINDOW_BYTES);
		need(memory[i] ? 0 : -ENOMEM, "memory");
		need(ioas_alloc(iommufd, &ioas[i]), "a new IOAS");
		need(ioas_map_at(iommufd, ioas[i], memory[i], WINDOW_BYTES, WINDOW), "mapping");
	}

	need(vfio_attach(first->fd, ioas[0], &pt_first), "attaching %s", first->bdf);
	check(memory_seen_by(second, memory, 1) == 0, "attaching %s moved %s along", first->bdf, second->bdf);
	need(vfio_attach(second->fd, ioas[0], &pt_second), "attaching %s", second->bdf);
	check(pt_first == pt_second,
	      "the same call on %s changes nothing: page table %u is in use already", second->bdf, pt_second);

	need(vfio_attach(first->fd, ioas[1], &pt_first), "replacing by %s", first->bdf);
	check(memory_seen_by(second, memory, 2) == 1, "replacing by %s moved %s along", first->bdf, second->bdf);

	more = small_pages(PAGE);
	need(more ? 0 : -ENOMEM, "memory");
	need(ioas_map_at(iommufd, ioas[1], more, PAGE, WINDOW + MIB), "mapping");
	pattern_fill(memory[1], CHUNK, 3);
	need(edu_copy(second, WINDOW, WINDOW + MIB, CHUNK), "DMA");
	check(pattern_is(more, CHUNK, 3), "%s uses a mapping made while only its sibling had been told to move",
	      second->bdf);

	need(vfio_attach(second->fd, ioas[1], &pt_second), "attaching %s", second->bdf);
	check(pt_first == pt_second,
	      "telling %s too changes nothing: page table %u is in use already", second->bdf, pt_second);

	edu_close(second);
	edu_close(first);
	for (int i = 0; i < 2; i++) {
		need(iommu_destroy(iommufd, ioas[i]), "destroying an IOAS nobody uses any more");
		munmap(memory[i], WINDOW_BYTES);
	}
	munmap(more, PAGE);
}

/* ---- 5: what must not get through ---- */

/* A store that the IOMMU has to stop: nothing written, one fault counted, its address in the kernel log. */
static void blocked_store(int log, const char *what, const uint8_t *memory, uint64_t iova)
{
	long before = iommu_fault_count();
	int rc = edu_store(&edu[1], iova, 8);

	check(!rc && bytes_are(memory, PAGE, 0x5a), "%s: memory is untouched", what);
	check(iommu_fault_seen(before), "%s: the IOMMU reported a fault", what);
	check(kernel_log_has_fault(log, edu[1].bdf, iova), "%s: the fault names %s and IOVA 0x%lx", what,
	      edu[1].bdf + 5, iova);
}

static void blocked_accesses(void)
{
	uint8_t *memory = small_pages(3 * PAGE);
	int log = kernel_log_open();
	uint64_t iova, bytes;
	uint32_t ioas;

	chapter(5, "What must not get through");
	need(memory ? 0 : -ENOMEM, "memory");
	need(log, "opening /dev/kmsg");
	take_device(1);
	need(ioas_alloc(iommufd, &ioas), "a new IOAS");
	need(vfio_attach(edu[1].fd, ioas, NULL), "attaching %s", edu[1].bdf);

	/* something for the device to hold: it must not be what the protected pages contain */
	pattern_fill(memory, CHUNK, 55);
	memset(memory + PAGE, 0x5a, 2 * PAGE);
	need(ioas_map_at(iommufd, ioas, memory, PAGE, 0x10000), "mapping");
	need(edu_load(&edu[1], 0x10000, CHUNK), "DMA");

	iova = 0x20000;
	need(ioas_map(iommufd, ioas, memory + PAGE, PAGE, &iova, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE),
	     "mapping read-only");
	blocked_store(log, "a store to a read-only mapping", memory + PAGE, iova);

	/* used first, so that the IOMMU has the translation in its cache when the mapping goes away */
	need(ioas_map_at(iommufd, ioas, memory + 2 * PAGE, PAGE, 0x30000), "mapping");
	need(edu_store(&edu[1], 0x30000, CHUNK), "DMA");
	check(pattern_is(memory + 2 * PAGE, CHUNK, 55), "a store to a writeable mapping arrives");
	memset(memory + 2 * PAGE, 0x5a, PAGE);
	need(ioas_unmap(iommufd, ioas, 0x30000, PAGE, &bytes), "unmapping");
	blocked_store(log, "a store after unmap returned", memory + 2 * PAGE, 0x30000);

	edu_close(&edu[1]);
	need(iommu_destroy(iommufd, ioas), "destroying an IOAS nobody uses any more");
	munmap(memory, 3 * PAGE);
	close(log);
}

/* ---- 6: nothing left, and limits ---- */

/*
 * An ordinary user with an open /dev/iommu, and 64 KiB of memory he may lock: more than that must be refused, and
 * leave nothing pinned. The child's exit status is the answer.
 */
static bool limit_holds(uint32_t ioas)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		uint8_t *memory = small_pages(MIB);
		int refused, allowed;

		if (!memory || memlock_limit(16 * PAGE) || setgid(65534) || setuid(65534))
			_exit(2);
		refused = ioas_map_at(iommufd, ioas, memory, 17 * PAGE, 0x60000000);
		if (refused != -ENOMEM || vm_pin_kb() != 0)
			_exit(3);
		allowed = ioas_map_at(iommufd, ioas, memory, 16 * PAGE, 0x60000000);
		if (allowed || vm_pin_kb() != 64)
			_exit(4);
		if (ioas_unmap(iommufd, ioas, 0x60000000, 16 * PAGE, NULL) || vm_pin_kb() != 0)
			_exit(5);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (status)
		printf("     the unprivileged child ended with status 0x%x\n", status);
	return status == 0;
}

/* ---- the whole story ---- */

static void last_screen(double took)
{
	char rule[101];

	memset(rule, '-', 100);
	rule[100] = 0;
	printf("\n");
	printf("%s\n", rule);
	printf("What was done: a process built I/O address spaces out of its own memory with /dev/iommu and\n");
	printf("attached PCI devices to them. The devices read and wrote that memory through the IOMMU, moved\n");
	printf("from one address space to another without losing a transfer, and reached nothing that was not\n");
	printf("mapped.\n\n");
	printf("%d checks passed, %d failed, in %.1f s.\n\n", passed, failed, took);
	printf("What to try next:\n");
	if (smmu_address(edu[0].bdf)) {
		printf("  make run                 the same behind VT-d\n");
	} else {
		printf("  make run ARCH=arm64      the same behind an Arm SMMUv3\n");
		printf("  make run MODE=scalable   the same with VT-d in scalable mode\n");
	}
	printf("  make run DEBUG=1         the same on a kernel that looks for its own mistakes\n");
	printf("  make shell               a shell in this guest: /bin/demo is this program\n");
	printf("  make check               every test\n");
	printf("  README.md                what this is, and where to find what\n");
	printf("%s\n", rule);
}

int main(int argc, char **argv)
{
	uint8_t *memory;
	uint32_t ioas;
	long pinned;

	setvbuf(stdout, NULL, _IOLBF, 0);
	quick = argc > 1 && !strcmp(argv[1], "quick");
	started = seconds();
	printf("A device does DMA through the IOMMU into memory that /dev/iommu mapped\n");
	show_machine();

	chapter(2, "One address space: 16 MiB, and a device that copies within it");
	pinned = pages_pinned();
	iommufd = need(iommu_open(), "opening /dev/iommu");
	take_device(0);
	check(edu[0].id != 0, "%s is bound to /dev/iommu as object %u", edu[0].bdf, edu[0].id);
	need(ioas_alloc(iommufd, &ioas), "a new IOAS");
	need(vfio_attach(edu[0].fd, ioas, NULL), "attaching %s", edu[0].bdf);
	memory = map_sixteen_mib(ioas);
	check(vm_pin_kb() == ALL_BYTES / 1024,
	      "16 MiB mapped, 12 in pages of 4 KiB and 4 in pages of 2 MiB: VmPin %ld kB", vm_pin_kb());
	copy_memory(memory);

	replace_under_dma();
	share_a_group();
	blocked_accesses();

	chapter(6, "Putting everything back");
	check(vm_pin_kb() == 0, "no device uses an address space, so nothing is pinned: VmPin %ld kB", vm_pin_kb());
	need(vfio_attach(edu[0].fd, ioas, NULL), "attaching %s", edu[0].bdf);
	check(vm_pin_kb() == ALL_BYTES / 1024, "the device is back on its 16 MiB: VmPin %ld kB", vm_pin_kb());
	check(limit_holds(ioas), "an ordinary user gets 64 of 64 KiB he may lock, ENOMEM for more, and leaves nothing");
	need(vfio_detach(edu[0].fd), "detaching %s", edu[0].bdf);
	need(ioas_unmap_all(iommufd, ioas), "unmapping everything");
	check(vm_pin_kb() == 0 && vm_lck_kb() == 0, "after detach and unmap: VmPin %ld kB, VmLck %ld kB", vm_pin_kb(),
	      vm_lck_kb());
	edu_close(&edu[0]);
	close(iommufd);
	check(vm_pin_kb() == 0 && vm_lck_kb() == 0 && pages_pinned() == pinned,
	      "after close: nothing pinned in the whole system, nothing charged");
	munmap(memory, ALL_BYTES);

	last_screen(seconds() - started);
	return failed ? 1 : 0;
}
