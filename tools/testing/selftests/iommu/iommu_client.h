/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommu_client - what a program needs that talks to /dev/iommu and to VFIO device nodes
 *
 * Every call here returns 0 (or a useful value) or -errno, so that a test compares one number. The raw structs stay
 * reachable through iommu_call(): whoever wants to pass a wrong one fills it in himself.
 *
 * Static inline, no library; nothing in here knows about a test framework.
 */
#ifndef SELFTESTS_IOMMU_CLIENT_H
#define SELFTESTS_IOMMU_CLIENT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE		4096UL
#define MIB		0x100000UL
#define HUGE_PAGE	(2 * MIB)
#define MAP_RW		(IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)
#define MAP_FIXED_RW	(IOMMU_IOAS_MAP_FIXED_IOVA | MAP_RW)

/*
 * Where interrupt messages go: no address space that a device uses may hold a mapping here. On x86 writes to these
 * addresses are interrupts; on Arm the SMMU translates them like others, and the kernel maps what they reach.
 */
#ifdef __aarch64__
#define MSI_WINDOW	0x8000000UL
#define MSI_WINDOW_LAST	0x80fffffUL
#define MSI_TRANSLATED	true
#else
#define MSI_WINDOW	0xfee00000UL
#define MSI_WINDOW_LAST	0xfeefffffUL
#define MSI_TRANSLATED	false
#endif

static inline uint64_t to_u64(const void *p)
{
	return (uintptr_t)p;
}

static inline int iommu_call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

static inline int iommu_open(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- objects and address spaces ---- */

static inline int iommu_destroy(int fd, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return iommu_call(fd, IOMMU_DESTROY, &cmd);
}

static inline int ioas_alloc(int fd, uint32_t *id)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int rc = iommu_call(fd, IOMMU_IOAS_ALLOC, &cmd);

	if (!rc)
		*id = cmd.out_ioas_id;
	return rc;
}

/* With IOMMU_IOAS_MAP_FIXED_IOVA in @flags *@iova is an input, otherwise the kernel's choice comes back in it. */
static inline int ioas_map(int fd, uint32_t ioas, const void *va, uint64_t length, uint64_t *iova, uint32_t flags)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd), .flags = flags, .ioas_id = ioas,
		.user_va = to_u64(va), .length = length,
		.iova = flags & IOMMU_IOAS_MAP_FIXED_IOVA ? *iova : 0,
	};
	int rc = iommu_call(fd, IOMMU_IOAS_MAP, &cmd);

	if (!rc)
		*iova = cmd.iova;
	return rc;
}

static inline int ioas_map_at(int fd, uint32_t ioas, const void *va, uint64_t length, uint64_t iova)
{
	return ioas_map(fd, ioas, va, length, &iova, MAP_FIXED_RW);
}

/* *@unmapped may be NULL; on success it receives the number of bytes that were taken out. */
static inline int ioas_unmap(int fd, uint32_t ioas, uint64_t iova, uint64_t length, uint64_t *unmapped)
{
	struct iommu_ioas_unmap cmd = { .size = sizeof(cmd), .ioas_id = ioas, .iova = iova, .length = length };
	int rc = iommu_call(fd, IOMMU_IOAS_UNMAP, &cmd);

	if (!rc && unmapped)
		*unmapped = cmd.length;
	return rc;
}

static inline int ioas_unmap_all(int fd, uint32_t ioas)
{
	return ioas_unmap(fd, ioas, 0, UINT64_MAX, NULL);
}

/* *@dst_iova as in ioas_map() */
static inline int ioas_copy(int fd, uint32_t dst, uint64_t *dst_iova, uint32_t src, uint64_t src_iova, uint64_t length,
			    uint32_t flags)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd), .flags = flags, .dst_ioas_id = dst, .src_ioas_id = src, .length = length,
		.dst_iova = flags & IOMMU_IOAS_MAP_FIXED_IOVA ? *dst_iova : 0, .src_iova = src_iova,
	};
	int rc = iommu_call(fd, IOMMU_IOAS_COPY, &cmd);

	if (!rc)
		*dst_iova = cmd.dst_iova;
	return rc;
}

static inline int ioas_copy_to(int fd, uint32_t dst, uint64_t dst_iova, uint32_t src, uint64_t src_iova,
			       uint64_t length)
{
	return ioas_copy(fd, dst, &dst_iova, src, src_iova, length, MAP_FIXED_RW);
}

static inline int ioas_map_file(int fd, uint32_t ioas, int file, uint64_t start, uint64_t length, uint64_t *iova,
				uint32_t flags)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd), .flags = flags, .ioas_id = ioas, .fd = file, .start = start, .length = length,
		.iova = flags & IOMMU_IOAS_MAP_FIXED_IOVA ? *iova : 0,
	};
	int rc = iommu_call(fd, IOMMU_IOAS_MAP_FILE, &cmd);

	if (!rc)
		*iova = cmd.iova;
	return rc;
}

static inline int ioas_map_file_at(int fd, uint32_t ioas, int file, uint64_t start, uint64_t length, uint64_t iova)
{
	return ioas_map_file(fd, ioas, file, start, length, &iova, MAP_FIXED_RW);
}

static inline int ioas_change_process(int fd)
{
	struct iommu_ioas_change_process cmd = { .size = sizeof(cmd) };

	return iommu_call(fd, IOMMU_IOAS_CHANGE_PROCESS, &cmd);
}

/* *@num: room in @ranges, then how many there are (also when they did not fit: -EMSGSIZE) */
static inline int ioas_ranges(int fd, uint32_t ioas, struct iommu_iova_range *ranges, uint32_t *num, uint64_t *align)
{
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd), .ioas_id = ioas, .num_iovas = *num, .allowed_iovas = to_u64(ranges),
	};
	int rc = iommu_call(fd, IOMMU_IOAS_IOVA_RANGES, &cmd);

	*num = cmd.num_iovas;
	if (!rc && align)
		*align = cmd.out_iova_alignment;
	return rc;
}

static inline int ioas_allow(int fd, uint32_t ioas, const struct iommu_iova_range *ranges, uint32_t num)
{
	struct iommu_ioas_allow_iovas cmd = {
		.size = sizeof(cmd), .ioas_id = ioas, .num_iovas = num, .allowed_iovas = to_u64(ranges),
	};

	return iommu_call(fd, IOMMU_IOAS_ALLOW_IOVAS, &cmd);
}

static inline int option_set(int fd, uint32_t option, uint32_t object, uint64_t val)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd), .option_id = option, .op = IOMMU_OPTION_OP_SET, .object_id = object, .val64 = val,
	};

	return iommu_call(fd, IOMMU_OPTION, &cmd);
}

static inline int option_get(int fd, uint32_t option, uint32_t object, uint64_t *val)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd), .option_id = option, .op = IOMMU_OPTION_OP_GET, .object_id = object,
	};
	int rc = iommu_call(fd, IOMMU_OPTION, &cmd);

	if (!rc)
		*val = cmd.val64;
	return rc;
}

static inline int hwpt_alloc(int fd, uint32_t dev_id, uint32_t pt_id, uint32_t flags, uint32_t *hwpt)
{
	struct iommu_hwpt_alloc cmd = { .size = sizeof(cmd), .flags = flags, .dev_id = dev_id, .pt_id = pt_id };
	int rc = iommu_call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!rc)
		*hwpt = cmd.out_hwpt_id;
	return rc;
}

/* Group of the device, and what that is attached to */
static inline int device_routing(int fd, uint32_t dev_id, struct iommu_hw_info_routing *info)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd), .flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE, .dev_id = dev_id,
		.in_data_type = IOMMU_HW_INFO_TYPE_ROUTING, .data_len = sizeof(*info), .data_uptr = to_u64(info),
	};
	int rc = iommu_call(fd, IOMMU_GET_HW_INFO, &cmd);

	if (!rc && (cmd.out_data_type != IOMMU_HW_INFO_TYPE_ROUTING || cmd.data_len != sizeof(*info)))
		return -EPROTO;
	return rc;
}

/* ---- VFIO device nodes ---- */

static inline int vfio_bind(int dev, int iommufd, uint32_t *dev_id)
{
	struct vfio_device_bind_iommufd cmd = { .argsz = sizeof(cmd), .iommufd = iommufd };
	int rc = iommu_call(dev, VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	if (!rc)
		*dev_id = cmd.out_devid;
	return rc;
}

/* *@hwpt may be NULL; it receives the page table that is used. */
static inline int vfio_attach(int dev, uint32_t pt_id, uint32_t *hwpt)
{
	struct vfio_device_attach_iommufd_pt cmd = { .argsz = sizeof(cmd), .pt_id = pt_id };
	int rc = iommu_call(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);

	if (!rc && hwpt)
		*hwpt = cmd.pt_id;
	return rc;
}

static inline int vfio_detach(int dev)
{
	struct vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

	return iommu_call(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

/* ---- small files ---- */

static inline int read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), got = 0, n;

	if (fd < 0)
		return -errno;
	while (got + 1 < (int)size && (n = read(fd, buf + got, size - 1 - got)) > 0)
		got += n;
	close(fd);
	buf[got] = 0;
	return got;
}

static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* The number behind "@key" at the start of a line, -ENOENT when there is none. */
static inline long number_in_file(const char *path, const char *key)
{
	char buf[16384], *line, *save = NULL;
	int rc = read_file(path, buf, sizeof(buf));

	if (rc < 0)
		return rc;
	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, key, strlen(key)))
			return strtol(line + strlen(key), NULL, 10);
	return -ENOENT;
}

/* ---- what is pinned and charged ---- */

static inline long vm_pin_kb(void)
{
	return number_in_file("/proc/self/status", "VmPin:");
}

static inline long vm_lck_kb(void)
{
	return number_in_file("/proc/self/status", "VmLck:");
}

/*
 * Pages pinned in the whole system. The counters are per CPU and merged lazily; reading stat_refresh merges them now.
 * Exact when nobody else pins at the same time.
 */
static inline long pages_pinned(void)
{
	char c[8];

	read_file("/proc/sys/vm/stat_refresh", c, sizeof(c));
	return number_in_file("/proc/vmstat", "nr_foll_pin_acquired ") -
	       number_in_file("/proc/vmstat", "nr_foll_pin_released ");
}

/* ---- privileges ---- */

/* Takes one capability out of the effective set, or puts it back from the permitted set. */
static inline int capability(unsigned int cap, bool on)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint32_t bit = 1U << (cap % 32);

	if (syscall(SYS_capget, &head, data))
		return -errno;
	if (on)
		data[cap / 32].effective |= bit;
	else
		data[cap / 32].effective &= ~bit;
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* Sets the limit; raising it above the hard limit too takes CAP_SYS_RESOURCE. */
static inline int memlock_limit(uint64_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	limit.rlim_cur = bytes;
	if (limit.rlim_max < bytes)
		limit.rlim_max = bytes;
	return setrlimit(RLIMIT_MEMLOCK, &limit) ? -errno : 0;
}

/* ---- memory, time, numbers ---- */

/* 4 KiB pages, present; MAP_FAILED comes back as NULL */
static inline uint8_t *small_pages(size_t length)
{
	uint8_t *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, length, MADV_NOHUGEPAGE);
	memset(p, 0, length);
	return p;
}

static inline double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static inline void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* xorshift64*: the same numbers on every run; @state must not be 0 */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

/* A device wrote what the compiler believes to know. */
static inline void memory_changed(void)
{
	asm volatile("" ::: "memory");
}

/* A byte sequence that differs for every @seed and does not repeat within a page. */
static inline void pattern_fill(uint8_t *p, size_t length, uint64_t seed)
{
	uint64_t state = seed * 2 + 1;

	for (size_t i = 0; i < length; i++)
		p[i] = random_next(&state) >> 56;
	memory_changed();
}

static inline bool pattern_is(const uint8_t *p, size_t length, uint64_t seed)
{
	uint64_t state = seed * 2 + 1;

	memory_changed();
	for (size_t i = 0; i < length; i++)
		if (p[i] != (uint8_t)(random_next(&state) >> 56))
			return false;
	return true;
}

static inline bool bytes_are(const uint8_t *p, size_t length, uint8_t value)
{
	memory_changed();
	for (size_t i = 0; i < length; i++)
		if (p[i] != value)
			return false;
	return true;
}

#endif
