// SPDX-License-Identifier: GPL-2.0-only
/*
 * inner - PID 1 of the virtual machine that QEMU runs inside the test guest
 *
 * It uses the two devices that were passed through, an NVMe controller and an edu, as any driver would: DMA both ways,
 * and interrupts. Then it watches the controller come and go. What it has to say goes to the console, where the program
 * that started QEMU reads it; each line begins with one of
 *
 *	pass WHAT, fail WHAT	a check
 *	over			everything was checked once; at each boot
 *	gone, back		the controller was unplugged; plugged again, and checked again
 */
#include "edu.h"
#include "vmm.h"

#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DISK		"/dev/nvme0n1"
#define PATIENCE	60	/* seconds, for what takes one on an idle machine */

#define EDU_REG_STATUS	0x24
#define EDU_CMD_IRQ	4
#define EDU_DMA_IRQ	0x100
#define EDU_BYTES	4000

static void check(bool good, const char *what)
{
	if (good)
		printf("pass %s\n", what);
	else
		printf("fail %s (%s)\n", what, strerror(errno));
}

static bool file_has(const char *path, const char *text)
{
	char buf[256];

	return read_file(path, buf, sizeof(buf)) > 0 && strstr(buf, text);
}

/* interrupts so far of all lines of /proc/interrupts that name a handler; there is one CPU */
static long interrupts_of(const char *name)
{
	char line[256];
	long sum = 0, n;
	FILE *f = fopen("/proc/interrupts", "r");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name) && sscanf(line, " %*[^:]: %ld", &n) == 1)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

static bool await(const char *path, bool there)
{
	for (int i = 0; i < PATIENCE * 20; i++) {
		if (!access(path, F_OK) == there)
			return true;
		usleep(50000);
	}
	return false;
}

/* ---- the NVMe controller: the kernel has a driver ---- */

/* The label on the disk tells how often it was written to; the next one is written, and read back past all caches. */
static bool write_and_read_back(int fd)
{
	char *label = mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *data = mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int writes = 0;

	if (pread(fd, label, DISK_BYTES, 0) != DISK_BYTES)
		return false;
	if (sscanf(label, DISK_LABEL, &writes) == 1 && !disk_is(label, writes))
		return false;
	disk_fill(label, ++writes);
	if (pwrite(fd, label, DISK_BYTES, 0) != DISK_BYTES || fsync(fd) || pread(fd, data, DISK_BYTES, 0) != DISK_BYTES)
		return false;
	return disk_is((char *)data, writes);
}

static void use_nvme(void)
{
	long before = interrupts_of("nvme0q");
	int fd;

	check(await(DISK, true), "nvme: the driver finds the controller");
	check(file_has("/sys/class/nvme/nvme0/serial", DISK_SERIAL), "nvme: it identifies itself");
	fd = open(DISK, O_RDWR | O_DIRECT);
	check(fd >= 0 && write_and_read_back(fd), "nvme: blocks written before are there, new ones are read back");
	close(fd);
	check(interrupts_of("nvme0q") > before, "nvme: it interrupts");
}

/* ---- the edu: driven from here, with the driver that hands its interrupt to user space ---- */

static uint64_t physical(const void *p)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, sizeof(entry), to_u64(p) / PAGE * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/* returns the file from which its interrupts are read */
static int open_edu(struct edu *edu)
{
	char path[128];
	int rc;

	rc = edu_find(0, edu->bdf);
	if (rc)
		return rc;
	pci_attr_path(path, sizeof(path), edu->bdf, "driver_override");
	rc = write_file(path, "uio_pci_generic") ?: write_file("/sys/bus/pci/drivers_probe", edu->bdf);
	if (rc)
		return rc;
	pci_attr_path(path, sizeof(path), edu->bdf, "config");
	edu->fd = open(path, O_RDWR);
	rc = edu_set_command(edu, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 0);
	if (rc)
		return rc;
	pci_attr_path(path, sizeof(path), edu->bdf, "resource0");
	edu->bar = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR | O_SYNC), 0);
	return edu->bar == MAP_FAILED ? -errno : open("/dev/uio0", O_RDWR);
}

/* The driver masks the interrupt and tells us; unmasked, it would come again until the device was acknowledged. */
static bool interrupted(struct edu *edu, int uio, uint32_t cause)
{
	struct pollfd p = { .fd = uio, .events = POLLIN };
	uint32_t count, status;

	if (poll(&p, 1, PATIENCE * 1000) != 1 || read(uio, &count, sizeof(count)) != sizeof(count))
		return false;
	status = edu_read_reg(edu, EDU_REG_STATUS);
	edu_write_reg(edu, EDU_REG_ACK, status);
	return !edu_set_command(edu, 0, PCI_COMMAND_INTX_DISABLE) && status == cause;
}

static bool transfer(struct edu *edu, int uio, uint64_t from, uint64_t to, unsigned int bytes,
		     uint64_t command)
{
	edu_write_reg(edu, EDU_REG_SRC, from);
	edu_write_reg(edu, EDU_REG_DST, to);
	edu_write_reg(edu, EDU_REG_COUNT, bytes);
	edu_write_reg(edu, EDU_REG_CMD, EDU_CMD_RUN | EDU_CMD_IRQ | command);
	return interrupted(edu, uio, EDU_DMA_IRQ);
}

/* the first registers of the controller: what it can do, and its version */
static bool read_peer(struct edu *edu, int uio, uint8_t *memory)
{
	const char *dir = "/sys/class/nvme/nvme0/device";
	char path[128], resources[1024];
	const uint64_t *bar;
	uint64_t registers[2];

	snprintf(path, sizeof(path), "%s/resource", dir);
	if (read_file(path, resources, sizeof(resources)) <= 0)
		return false;
	snprintf(path, sizeof(path), "%s/resource0", dir);
	bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, open(path, O_RDONLY | O_SYNC), 0);
	if (bar == MAP_FAILED)
		return false;
	registers[0] = __atomic_load_n(&bar[0], __ATOMIC_RELAXED);
	registers[1] = __atomic_load_n(&bar[1], __ATOMIC_RELAXED);
	return transfer(edu, uio, strtoull(resources, NULL, 16), EDU_BUFFER, sizeof(registers), 0) &&
	       transfer(edu, uio, EDU_BUFFER, physical(memory), sizeof(registers), EDU_CMD_STORE) &&
	       registers[0] && !memcmp(memory, registers, sizeof(registers));
}

static void use_edu(void)
{
	struct edu edu = { .config_offset = 0 };
	uint8_t *memory = small_pages(2 * PAGE);
	int uio = open_edu(&edu);
	bool good = uio >= 0;

	check(good, "edu: found, opened");
	if (!good)
		return;
	check((edu_read_reg(&edu, EDU_REG_ID) & 0xffff) == 0xed, "edu: its registers are reached");
	for (int i = 0; i < 3 && good; i++) {
		edu_write_reg(&edu, EDU_REG_RAISE, 1 << i);
		good = interrupted(&edu, uio, 1 << i);
	}
	check(good, "edu: it interrupts, three times");
	pattern_fill(memory, EDU_BYTES, 1);
	good = transfer(&edu, uio, physical(memory), EDU_BUFFER, EDU_BYTES, 0) &&
	       transfer(&edu, uio, EDU_BUFFER, physical(memory + PAGE), EDU_BYTES, EDU_CMD_STORE);
	check(good, "edu: it interrupts when a DMA ends");
	check(pattern_is(memory + PAGE, EDU_BYTES, 1), "edu: DMA out of memory and into memory, each byte");
	check(read_peer(&edu, uio, memory), "edu: it reads the registers of the controller, as a peer");
}

int main(void)
{
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	for (int i = 0, fd = open("/dev/console", O_RDWR); i < 3; i++)
		dup2(fd, i);
	setvbuf(stdout, NULL, _IOLBF, 0);

	use_nvme();
	use_edu();
	printf("over\n");
	for (;;) {
		while (!access(DISK, F_OK))
			usleep(50000);
		printf("gone\n");
		while (access(DISK, F_OK))
			usleep(50000);
		use_nvme();
		printf("back\n");
	}
}
