/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edu - a PCI device that does DMA, seen through its VFIO device node
 *
 * QEMU's "edu" (1234:11e8) has a 4 KiB buffer and copies between it and memory. What a test must know about it:
 * - A transfer takes 100 ms. All bytes move at its end, in one go.
 * - A transfer that reaches the end of the buffer kills QEMU: 4095 bytes is the most.
 * - What the IOMMU blocks is dropped on a write, and reads as stale or zero bytes on a read; the device never notices.
 * - A blocked access is reported only when QEMU walks the page table. A write that hits an IOTLB entry left by a read
 *   of a read-only page is blocked without a report, so write first.
 * - Closing the device does not reset it, as it has no reset; a transfer that was going on ends without bus mastering.
 * - While one CPU opens, closes, finds or removes a device, QEMU may lose what another CPU writes to a register: the
 *   IOMMU then never hears of a flush, and Linux waits for it forever; or a CPU has no timer any more. tests/qemu has
 *   the CPUs of x86 take turns; where both work at once, see edu_one_cpu().
 */
#ifndef SELFTESTS_IOMMU_EDU_H
#define SELFTESTS_IOMMU_EDU_H

#include "iommu_client.h"

#include <ctype.h>
#include <dirent.h>
#include <linux/pci_regs.h>
#include <sched.h>

/* Which is which, in order of their PCI addresses */
#define EDU_ALONE	0	/* has a group of its own */
#define EDU_ALONE_TOO	1	/* and so has this one */
#define EDU_FUNCTIONS	2	/* this one and the next two are functions of one device, and one group */
#define EDU_BRIDGED	5	/* this one and the next are behind a bridge, and one group; on x86 they have one */
				/* requester ID, too */

#define EDU_MAX_BYTES	4095
#define EDU_BUFFER	0x40000
#define EDU_REG_ID	0x00
#define EDU_REG_ECHO	0x04
#define EDU_REG_RAISE	0x60
#define EDU_REG_ACK	0x64
#define EDU_REG_SRC	0x80
#define EDU_REG_DST	0x88
#define EDU_REG_COUNT	0x90
#define EDU_REG_CMD	0x98
#define EDU_CMD_RUN	1
#define EDU_CMD_STORE	2

/**
 * struct edu - One device
 * @bdf: PCI address, "0000:00:03.0"
 * @fd: VFIO device node, -1 when not open
 * @id: the device's id in the iommufd it is bound to
 * @bar: BAR 0, mapped, or NULL
 * @bar_offset: BAR 0 within @fd
 * @config_offset: configuration space within @fd
 */
struct edu {
	char bdf[16];
	int fd;
	uint32_t id;
	uint8_t *bar;
	uint64_t bar_offset;
	uint64_t config_offset;
};

/* ---- sysfs ---- */

static inline int pci_attr_path(char *path, size_t size, const char *bdf, const char *attr)
{
	return snprintf(path, size, "/sys/bus/pci/devices/%.12s/%s", bdf, attr);
}

/* The @nth device in order of PCI addresses whose modalias has @id in it. */
static inline int pci_find(const char *id, unsigned int nth, char bdf[16])
{
	struct dirent **list;
	int n = scandir("/sys/bus/pci/devices", &list, NULL, alphasort), rc = -ENODEV;
	char path[128], text[64];

	for (int i = 0; i < n && rc; i++) {
		snprintf(bdf, 16, "%.12s", list[i]->d_name);
		pci_attr_path(path, sizeof(path), bdf, "modalias");
		if (read_file(path, text, sizeof(text)) > 0 && strstr(text, id) && nth-- == 0)
			rc = 0;
	}
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return rc;
}

/* The @nth edu in order of PCI addresses. */
static inline int edu_find(unsigned int nth, char bdf[16])
{
	return pci_find("v00001234d000011E8", nth, bdf);
}

/* Last part of where a link of the device points to: its driver, the number of its group */
static inline int pci_link(const char *bdf, const char *attr, char *name, size_t size)
{
	char path[128], link[256], *base;
	ssize_t n;

	pci_attr_path(path, sizeof(path), bdf, attr);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	base = strrchr(link, '/');
	snprintf(name, size, "%.32s", base ? base + 1 : link);
	return 0;
}

static inline int pci_driver(const char *bdf, char *name, size_t size)
{
	return pci_link(bdf, "driver", name, size);
}

/* Takes the driver away that the device has, and waits for those who use the device. */
static inline int pci_unbind(const char *bdf)
{
	char path[128];

	pci_attr_path(path, sizeof(path), bdf, "driver/unbind");
	return write_file(path, bdf);
}

/* Hands the device to vfio-pci; nothing happens when it is there already. */
static inline int pci_use_vfio(const char *bdf)
{
	char path[128], driver[64];
	int rc;

	if (!pci_driver(bdf, driver, sizeof(driver))) {
		if (!strcmp(driver, "vfio-pci"))
			return 0;
		rc = pci_unbind(bdf);
		if (rc)
			return rc;
	}
	pci_attr_path(path, sizeof(path), bdf, "driver_override");
	rc = write_file(path, "vfio-pci");
	return rc ?: write_file("/sys/bus/pci/drivers_probe", bdf);
}

/* Without ACPI a device gets its IOMMU when a driver is tried on it */
static inline bool pci_has_iommu(const char *bdf)
{
	char name[64];

	if (!pci_link(bdf, "iommu", name, sizeof(name)))
		return true;
	pci_use_vfio(bdf);
	return !pci_link(bdf, "iommu", name, sizeof(name));
}

/*
 * Switches a device on or off that a driver may have but nobody has open; it has none afterwards. One that is on before
 * its driver comes stays on when it is closed, and when the driver goes.
 */
static inline int pci_keep_on(const char *bdf, bool on)
{
	char path[128], driver[64];
	int rc = 0;

	if (!pci_driver(bdf, driver, sizeof(driver)))
		rc = pci_unbind(bdf);
	pci_attr_path(path, sizeof(path), bdf, "enable");
	return rc ?: write_file(path, on ? "1" : "0");
}

/*
 * The nth edu that no IOMMU translates for, switched on; -ENODEV if this machine has none. ACPI computes at each switch
 * which interrupts the devices of the bypassed host bridge have: half a minute with all checkers on.
 */
static inline int edu_find_noiommu(unsigned int nth, char bdf[16])
{
	char path[128], text[16] = "";

	for (unsigned int i = 0; !edu_find(i, bdf); i++) {
		if (pci_has_iommu(bdf) || nth--)
			continue;
		pci_attr_path(path, sizeof(path), bdf, "enable");
		if (read_file(path, text, sizeof(text)) > 0 && atoi(text) > 0)
			return 0;
		return pci_keep_on(bdf, true);
	}
	return -ENODEV;
}

static inline int pci_group(const char *bdf)
{
	char number[64];
	int rc = pci_link(bdf, "iommu_group", number, sizeof(number));

	return rc ?: atoi(number);
}

/* "/dev/vfio/devices/vfioN" of a device that vfio-pci owns, noiommu-vfioN of one without an IOMMU */
static inline int vfio_node(const char *bdf, char *node, size_t size)
{
	struct dirent *entry;
	char path[128];
	DIR *dir;
	int rc = -ENOENT;

	pci_attr_path(path, sizeof(path), bdf, "vfio-dev");
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (rc && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4) && strncmp(entry->d_name, "noiommu-vfio", 12))
			continue;
		snprintf(node, size, "/dev/vfio/devices/%.32s", entry->d_name);
		rc = 0;
	}
	closedir(dir);
	return rc;
}

/* ---- life of a device file ---- */

/* For tests in which devices come and go while another thread works: all of its threads and children share a CPU. */
static inline int edu_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) ? -errno : 0;
}

/* Opens the device node of the edu at @bdf. Nothing is bound yet. */
static inline int edu_open_at(struct edu *edu, const char *bdf)
{
	char node[64];
	int rc;

	memset(edu, 0, sizeof(*edu));
	edu->fd = -1;
	snprintf(edu->bdf, sizeof(edu->bdf), "%.12s", bdf);
	rc = pci_use_vfio(edu->bdf);
	if (!rc)
		rc = vfio_node(edu->bdf, node, sizeof(node));
	if (rc)
		return rc;
	edu->fd = open(node, O_RDWR | O_CLOEXEC);
	return edu->fd < 0 ? -errno : 0;
}

static inline int edu_open(struct edu *edu, unsigned int nth)
{
	char bdf[16];
	int rc = edu_find(nth, bdf);

	edu->bar = NULL;
	edu->fd = -1;
	return rc ?: edu_open_at(edu, bdf);
}

/* Registers below 0x80 are 32 bits wide, those of the DMA engine 64. */
static inline uint64_t edu_read_reg(struct edu *edu, unsigned int reg)
{
	if (reg < EDU_REG_SRC)
		return __atomic_load_n((uint32_t *)(edu->bar + reg), __ATOMIC_SEQ_CST);
	return __atomic_load_n((uint64_t *)(edu->bar + reg), __ATOMIC_SEQ_CST);
}

static inline void edu_write_reg(struct edu *edu, unsigned int reg, uint64_t val)
{
	if (reg < EDU_REG_SRC)
		__atomic_store_n((uint32_t *)(edu->bar + reg), val, __ATOMIC_RELEASE);
	else
		__atomic_store_n((uint64_t *)(edu->bar + reg), val, __ATOMIC_RELEASE);
}

static inline int edu_wait(struct edu *edu)
{
	for (int i = 0; i < 2500; i++) {
		if (!(edu_read_reg(edu, EDU_REG_CMD) & EDU_CMD_RUN))
			return 0;
		sleep_ms(4);
	}
	return -ETIMEDOUT;
}

static inline int vfio_region(int fd, unsigned int index, struct vfio_region_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	return iommu_call(fd, VFIO_DEVICE_GET_REGION_INFO, info);
}

static inline int edu_set_command(struct edu *edu, uint16_t set, uint16_t clear)
{
	uint16_t cmd;

	if (pread(edu->fd, &cmd, 2, edu->config_offset + PCI_COMMAND) != 2)
		return -errno;
	cmd = (cmd | set) & ~clear;
	return pwrite(edu->fd, &cmd, 2, edu->config_offset + PCI_COMMAND) == 2 ? 0 : -errno;
}

/* After bind: registers mapped, memory decoding and bus mastering on, no transfer of an earlier owner going on. */
static inline int edu_enable(struct edu *edu)
{
	struct vfio_region_info info;
	void *bar;
	int rc;

	rc = vfio_region(edu->fd, VFIO_PCI_CONFIG_REGION_INDEX, &info);
	if (rc)
		return rc;
	edu->config_offset = info.offset;
	rc = vfio_region(edu->fd, VFIO_PCI_BAR0_REGION_INDEX, &info);
	if (rc)
		return rc;
	edu->bar_offset = info.offset;
	rc = edu_set_command(edu, PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER);
	if (rc)
		return rc;
	bar = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, edu->fd, edu->bar_offset);
	if (bar == MAP_FAILED)
		return -errno;
	edu->bar = bar;
	rc = edu_wait(edu);
	return rc ?: edu_set_command(edu, PCI_COMMAND_MASTER, 0);
}

static inline int edu_open_bound(struct edu *edu, unsigned int nth, int iommufd)
{
	int rc = edu_open(edu, nth);

	if (!rc)
		rc = vfio_bind(edu->fd, iommufd, &edu->id);
	return rc ?: edu_enable(edu);
}

static inline int edu_open_bound_at(struct edu *edu, const char *bdf, int iommufd)
{
	int rc = edu_open_at(edu, bdf);

	if (!rc)
		rc = vfio_bind(edu->fd, iommufd, &edu->id);
	return rc ?: edu_enable(edu);
}

static inline void edu_close(struct edu *edu)
{
	if (edu->bar)
		munmap(edu->bar, MIB);
	if (edu->fd >= 0)
		close(edu->fd);
	edu->bar = NULL;
	edu->fd = -1;
}

/* Has the driver say on @event that interrupt @index (VFIO_PCI_*_IRQ_INDEX) came. */
static inline int edu_event(struct edu *edu, uint32_t index, int event)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} request = {
		.set = {
			.argsz = sizeof(request), .index = index, .count = 1,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
		.fd = event,
	};

	return iommu_call(edu->fd, VFIO_DEVICE_SET_IRQS, &request);
}

/* ---- transfers ---- */

static inline void edu_start_load(struct edu *edu, uint64_t iova, unsigned int bytes)
{
	edu_write_reg(edu, EDU_REG_SRC, iova);
	edu_write_reg(edu, EDU_REG_DST, EDU_BUFFER);
	edu_write_reg(edu, EDU_REG_COUNT, bytes);
	edu_write_reg(edu, EDU_REG_CMD, EDU_CMD_RUN);
}

static inline void edu_start_store(struct edu *edu, uint64_t iova, unsigned int bytes)
{
	edu_write_reg(edu, EDU_REG_SRC, EDU_BUFFER);
	edu_write_reg(edu, EDU_REG_DST, iova);
	edu_write_reg(edu, EDU_REG_COUNT, bytes);
	edu_write_reg(edu, EDU_REG_CMD, EDU_CMD_RUN | EDU_CMD_STORE);
}

/* memory -> device buffer */
static inline int edu_load(struct edu *edu, uint64_t iova, unsigned int bytes)
{
	edu_start_load(edu, iova, bytes);
	return edu_wait(edu);
}

/* device buffer -> memory */
static inline int edu_store(struct edu *edu, uint64_t iova, unsigned int bytes)
{
	edu_start_store(edu, iova, bytes);
	return edu_wait(edu);
}

static inline int edu_copy(struct edu *edu, uint64_t from, uint64_t to, unsigned int bytes)
{
	int rc = edu_load(edu, from, bytes);

	return rc ?: edu_store(edu, to, bytes);
}

/* Whether the device does its DMA at @iova, a page, in half @side of @mem, of @half bytes, and not in the other one */
static inline bool edu_works_in(struct edu *edu, uint64_t iova, uint8_t *mem, size_t half, int side, uint64_t seed)
{
	uint8_t *here = mem + side * half, *there = mem + !side * half;
	const unsigned int bytes = 512;

	memset(mem, 0, 2 * half);
	pattern_fill(here, bytes, seed);
	return !edu_copy(edu, iova, iova + PAGE, bytes) && pattern_is(here + PAGE, bytes, seed) &&
	       bytes_are(there, half, 0);
}

/* ---- blocked accesses ---- */

/*
 * Interrupts that VT-d or an SMMUv3 raised to report a fault, summed over IOMMUs and CPUs; -ENOENT without one. The
 * kernel log is no counter: its rate limit swallows most of what comes within five seconds.
 */
static inline long iommu_fault_count(void)
{
	static char buf[65536];
	char *line, *save = NULL, *p, *end;
	long total = -ENOENT;

	if (read_file("/proc/interrupts", buf, sizeof(buf)) < 0)
		return -ENOENT;
	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		p = strchr(line, ':');
		if (!p || (!strstr(line, " dmar") && !strstr(line, " arm-smmu-v3-evtq")))
			continue;
		if (total < 0)
			total = 0;
		/* one column of digits per CPU, then the names */
		for (p++;; p = end) {
			long n = strtol(p, &end, 10);

			if (end == p || (*end && !isspace((unsigned char)*end)))
				break;
			total += n;
		}
	}
	return total;
}

/* Waits until one more fault than @before was reported; the interrupt comes a moment after the transfer's end. */
static inline bool iommu_fault_seen(long before)
{
	for (int i = 0; i < 1000; i++) {
		if (iommu_fault_count() > before)
			return true;
		sleep_ms(10);
	}
	return false;
}

/*
 * Whether the IOMMU said as much as it does when it blocks a device that is attached nowhere: VT-d reports a fault, an
 * SMMUv3 aborts the transfer without a word.
 */
static inline bool iommu_block_seen(long before)
{
#ifdef __aarch64__
	return iommu_fault_count() == before;
#else
	return iommu_fault_seen(before);
#endif
}

/* A cursor at the end of the kernel log. */
static inline int kernel_log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lseek(fd, 0, SEEK_END);
	return fd;
}

/*
 * The next record. Waits some seconds for it: the interrupt that reports a fault is counted before it is logged. False
 * when none comes.
 */
static inline bool kernel_log_next(int fd, char record[1024])
{
	for (int waits = 0; waits < 1000;) {
		ssize_t n = read(fd, record, 1023);

		if (n > 0) {
			record[n] = 0;
			return true;
		}
		if (n < 0 && errno == EPIPE)
			continue;
		if (n < 0 && errno != EAGAIN)
			break;
		sleep_ms(10);
		waits++;
	}
	return false;
}

/*
 * Reads on from the cursor until a fault of the device at @iova was reported. VT-d does so in one line. An SMMUv3
 * prints the four words of its event: the device's number is in the upper half of the first, with 0x10 for an address
 * without a mapping and 0x13 for one that is read-only; the third is the address. It reports every four bytes of a
 * transfer and prints ten reports in five seconds, so a test that looks here blocks few bytes at once.
 */
static inline bool kernel_log_has_fault(int fd, const char *bdf, uint64_t iova)
{
	char record[1024], address[64], word[3][32];
	unsigned int bus, slot, function;
	int at = -1;

	if (sscanf(bdf + 5, "%x:%x.%x", &bus, &slot, &function) != 3)
		return false;
	snprintf(address, sizeof(address), "fault addr 0x%lx ", iova);
	for (int i = 0; i < 2; i++)
		snprintf(word[i], sizeof(word[i]), "0x%08x%08x", bus << 8 | slot << 3 | function, 0x10 + i * 3);
	snprintf(word[2], sizeof(word[2]), "0x%016lx", iova);
	while (kernel_log_next(fd, record)) {
		if (strstr(record, address) && strstr(record, bdf + 5))
			return true;
		if (strstr(record, word[0]) || strstr(record, word[1]))
			at = 0;
		else if (at >= 0 && ++at == 2 && strstr(record, word[2]))
			return true;
	}
	return false;
}

#endif
