/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * type1 - a VFIO container with a type1 IOMMU: groups, devices, mappings, the log of dirty pages
 *
 * The same calls serve 6.1's own container, which is /dev/vfio/vfio, and /dev/iommu in its place. As in
 * iommu_client.h every call returns 0 (or a useful value) or -errno.
 */
#ifndef SELFTESTS_IOMMU_TYPE1_H
#define SELFTESTS_IOMMU_TYPE1_H

#include "edu.h"

#define VFIO_CONTAINER	"/dev/vfio/vfio"
#define TYPE1_READ	VFIO_DMA_MAP_FLAG_READ
#define TYPE1_RW	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/* ---- container, group, device ---- */

static inline int type1_container_open(void)
{
	int fd = open(VFIO_CONTAINER, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* These two take a number instead of a structure, and the first says something by what it returns. */
static inline int type1_extension(int container, unsigned long extension)
{
	int rc = ioctl(container, VFIO_CHECK_EXTENSION, extension);

	return rc < 0 ? -errno : rc;
}

static inline int type1_set_iommu(int container, unsigned long version)
{
	return ioctl(container, VFIO_SET_IOMMU, version) < 0 ? -errno : 0;
}

/* The group of the PCI device at @bdf, which vfio-pci gets. A group can be open once. */
static inline int vfio_group_open(const char *bdf)
{
	char path[64], name[64];
	int rc = pci_use_vfio(bdf), fd;
	const char *kind;

	if (!rc)
		rc = pci_group(bdf);
	if (rc < 0)
		return rc;
	kind = pci_link(bdf, "iommu", name, sizeof(name)) ? "noiommu-" : "";
	snprintf(path, sizeof(path), "/dev/vfio/%s%d", kind, rc);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static inline int vfio_group_set_container(int group, int container)
{
	return iommu_call(group, VFIO_GROUP_SET_CONTAINER, &container);
}

static inline int vfio_group_unset_container(int group)
{
	return iommu_call(group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

/* VFIO_GROUP_FLAGS_*, or -errno */
static inline int vfio_group_flags(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int rc = iommu_call(group, VFIO_GROUP_GET_STATUS, &status);

	return rc ?: (int)status.flags;
}

/* The device's file; its group must be in a container with an IOMMU. */
static inline int vfio_group_device(int group, const char *bdf)
{
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);

	return fd < 0 ? -errno : fd;
}

/* Opens the edu at @bdf through its group, ready for DMA. */
static inline int edu_open_in_group(struct edu *edu, int group, const char *bdf)
{
	memset(edu, 0, sizeof(*edu));
	snprintf(edu->bdf, sizeof(edu->bdf), "%.12s", bdf);
	edu->fd = vfio_group_device(group, bdf);
	return edu->fd < 0 ? edu->fd : edu_enable(edu);
}

/**
 * struct type1 - A container with one group, of which one device is open
 * @container: its file, -1 when not open
 * @group: the group's file, -1 when not open
 * @edu: the device
 */
struct type1 {
	int container;
	int group;
	struct edu edu;
};

static inline void type1_close(struct type1 *t)
{
	edu_close(&t->edu);
	if (t->group >= 0)
		close(t->group);
	if (t->container >= 0)
		close(t->container);
	t->group = -1;
	t->container = -1;
}

/*
 * Puts the group of the @nth edu into @container, which becomes that of @t, and opens the device. @version:
 * VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU. What was opened before a failure is closed by type1_close().
 */
static inline int type1_open(struct type1 *t, int container, unsigned long version, unsigned int nth)
{
	char bdf[16];
	int rc;

	t->container = container;
	t->group = -1;
	t->edu.fd = -1;
	t->edu.bar = NULL;
	if (container < 0)
		return container;
	rc = edu_find(nth, bdf);
	if (rc)
		return rc;
	t->group = vfio_group_open(bdf);
	if (t->group < 0)
		return t->group;
	rc = vfio_group_set_container(t->group, container);
	if (!rc)
		rc = type1_set_iommu(container, version);
	return rc ?: edu_open_in_group(&t->edu, t->group, bdf);
}

/* ---- mappings ---- */

/* @flags: TYPE1_READ, TYPE1_RW */
static inline int type1_map(int container, const void *va, uint64_t size, uint64_t iova, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map cmd = {
		.argsz = sizeof(cmd), .flags = flags, .vaddr = to_u64(va), .iova = iova, .size = size,
	};

	return iommu_call(container, VFIO_IOMMU_MAP_DMA, &cmd);
}

/* *@size becomes what was unmapped */
static inline int type1_unmap(int container, uint64_t iova, uint64_t *size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap cmd = { .argsz = sizeof(cmd), .flags = flags, .iova = iova, .size = *size };
	int rc = iommu_call(container, VFIO_IOMMU_UNMAP_DMA, &cmd);

	*size = cmd.size;
	return rc;
}

/* Bytes that were unmapped, or -errno */
static inline int64_t type1_unmap_bytes(int container, uint64_t iova, uint64_t size)
{
	int rc = type1_unmap(container, iova, &size, 0);

	return rc ?: (int64_t)size;
}

static inline int64_t type1_unmap_all(int container)
{
	uint64_t size = 0;
	int rc = type1_unmap(container, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL);

	return rc ?: (int64_t)size;
}

/* ---- what a container says about itself ---- */

union type1_answer {
	struct vfio_iommu_type1_info info;
	uint8_t bytes[4096];
};

static inline int type1_info(int container, union type1_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->info.argsz = sizeof(*answer);
	return iommu_call(container, VFIO_IOMMU_GET_INFO, answer);
}

/* The capability @id (VFIO_IOMMU_TYPE1_INFO_*) of an answer, NULL if it is not there */
static inline void *type1_capability(union type1_answer *answer, uint16_t id)
{
	struct vfio_info_cap_header *header;
	uint32_t at = answer->info.flags & VFIO_IOMMU_INFO_CAPS ? answer->info.cap_offset : 0;

	for (; at && at <= sizeof(*answer) - sizeof(*header); at = header->next) {
		header = (void *)(answer->bytes + at);
		if (header->id == id)
			return header;
	}
	return NULL;
}

/* How many more mappings the container takes, 0 if it does not say */
static inline uint32_t type1_room(int container)
{
	static union type1_answer answer;
	struct vfio_iommu_type1_info_dma_avail *avail;

	if (type1_info(container, &answer))
		return 0;
	avail = type1_capability(&answer, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	return avail ? avail->avail : 0;
}

/* ---- which pages may have been written ---- */

struct type1_bitmap_get {
	struct vfio_iommu_type1_dirty_bitmap cmd;
	struct vfio_iommu_type1_dirty_bitmap_get get;
};

struct type1_bitmap_unmap {
	struct vfio_iommu_type1_dma_unmap cmd;
	struct vfio_bitmap bitmap;
};

/* VFIO_IOMMU_DIRTY_PAGES_FLAG_START or _STOP */
static inline int type1_log(int container, uint32_t flag)
{
	struct vfio_iommu_type1_dirty_bitmap cmd = { .argsz = sizeof(cmd), .flags = flag };

	return iommu_call(container, VFIO_IOMMU_DIRTY_PAGES, &cmd);
}

static inline int type1_log_start(int container)
{
	return type1_log(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
}

static inline int type1_log_stop(int container)
{
	return type1_log(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
}

/* Bytes that the bits of a range fill, whole words of 64 */
static inline uint64_t type1_bitmap_bytes(uint64_t size)
{
	return (size / PAGE + 63) / 64 * 8;
}

/* One bit a page of 4 KiB; @bitmap has type1_bitmap_bytes(@size). */
static inline int type1_log_get(int container, uint64_t iova, uint64_t size, uint64_t *bitmap)
{
	struct type1_bitmap_get arg = {
		.cmd = { .argsz = sizeof(arg), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		.get = {
			.iova = iova, .size = size,
			.bitmap = { .pgsize = PAGE, .size = type1_bitmap_bytes(size), .data = (void *)bitmap },
		},
	};

	return iommu_call(container, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

/* Unmaps, and tells which pages may have been written since the last look. *@size becomes what was unmapped. */
static inline int type1_unmap_logged(int container, uint64_t iova, uint64_t *size, uint64_t *bitmap)
{
	struct type1_bitmap_unmap arg = {
		.cmd = {
			.argsz = sizeof(arg), .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
			.iova = iova, .size = *size,
		},
		.bitmap = { .pgsize = PAGE, .size = type1_bitmap_bytes(*size), .data = (void *)bitmap },
	};
	int rc = iommu_call(container, VFIO_IOMMU_UNMAP_DMA, &arg);

	*size = arg.cmd.size;
	return rc;
}

#endif
