/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_mdev - the mediated device for tests (CONFIG_VFIO_TEST_MDEV), opened in any of three ways
 *
 * As in iommu_client.h every call returns 0 (or a useful value) or -errno.
 */
#ifndef SELFTESTS_IOMMU_TEST_MDEV_H
#define SELFTESTS_IOMMU_TEST_MDEV_H

#include "type1.h"

#include <dirent.h>

#define TEST_MDEV_CMD	_IO(VFIO_TYPE, VFIO_BASE + 0x40)
#define TEST_MDEV_TYPES	"/sys/devices/test_mdev/mdev_supported_types"

enum {
	MDEV_PIN,
	MDEV_SHADOW,
	MDEV_UNPIN,
	MDEV_RW,
	MDEV_READ_SHADOW,
	MDEV_LOOKUP,
	MDEV_STATE,
	MDEV_HOLD,
	MDEV_WATCH,
};

#define MDEV_READ	1U
#define MDEV_WRITE	2U
#define MDEV_BOTH	3U
#define MDEV_THREAD	4U	/* copy in a kernel thread */

struct mdev_state {
	uint32_t pinned, unmaps;
	uint64_t unmap_iova, unmap_length;
	uint32_t forgets, writes;
	uint64_t forget_iova, forget_last, write_uaddr, write_value;
};

struct mdev_cmd {
	uint32_t argsz, op, flags, npages;
	uint64_t iova, length, uptr;
	struct mdev_state state;
};

/* By a container of type 1, by the device's node, or by its group with an iommufd in place of the container */
enum mdev_way { BY_CONTAINER, BY_NODE, BY_GROUP };

/**
 * struct mdev - A mediated device
 * @uuid: its name
 * @fd: its file, -1 when not open
 * @way: how it is opened
 * @container: container or iommufd, -1 when not open
 * @group: the group's file, -1 when not open
 * @ioas: BY_NODE, the address space that the device is attached to
 * @devid: BY_NODE, its id
 */
struct mdev {
	char uuid[40];
	int fd;
	enum mdev_way way;
	int container, group;
	uint32_t ioas, devid;
};

/* ---- making and removing devices ---- */

static inline int mdev_remove(const struct mdev *m)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", m->uuid);
	return write_file(path, "1");
}

/* @type: "pinning" or "copying"; @nth: makes the name. One that an earlier test left behind goes. */
static inline int mdev_create(struct mdev *m, const char *type, unsigned int nth)
{
	char path[128];
	int rc;

	snprintf(m->uuid, sizeof(m->uuid), "6d646576-0000-4000-8000-%012x", nth);
	m->fd = -1;
	m->container = -1;
	m->group = -1;
	snprintf(path, sizeof(path), TEST_MDEV_TYPES "/-%s/create", type);
	rc = write_file(path, m->uuid);
	if (rc == -EEXIST)
		rc = mdev_remove(m) ?: write_file(path, m->uuid);
	return rc;
}

static inline bool mdev_exists(const struct mdev *m)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s", m->uuid);
	return !access(path, F_OK);
}

/* ---- opening them ---- */

static inline int mdev_open_node(const struct mdev *m)
{
	char path[128], node[300] = "";
	struct dirent *entry;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/vfio-dev", m->uuid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(node, sizeof(node), "/dev/vfio/devices/%s", entry->d_name);
	closedir(dir);
	fd = open(node, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static inline int mdev_open_group(const struct mdev *m)
{
	char path[128], link[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/iommu_group", m->uuid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static inline void mdev_close(struct mdev *m)
{
	if (m->fd >= 0)
		close(m->fd);
	if (m->group >= 0)
		close(m->group);
	if (m->container >= 0)
		close(m->container);
	m->fd = -1;
	m->group = -1;
	m->container = -1;
}

/* Opens the device in a container or an IOAS of its own. Closed by mdev_close(), also after a failure. */
static inline int mdev_open(struct mdev *m, enum mdev_way way)
{
	int rc;

	m->way = way;
	m->container = way == BY_CONTAINER ? type1_container_open() : iommu_open();
	if (m->container < 0)
		return m->container;
	if (way == BY_NODE) {
		m->fd = mdev_open_node(m);
		if (m->fd < 0)
			return m->fd;
		rc = vfio_bind(m->fd, m->container, &m->devid) ?: ioas_alloc(m->container, &m->ioas);
		return rc ?: vfio_attach(m->fd, m->ioas, NULL);
	}
	m->group = mdev_open_group(m);
	if (m->group < 0)
		return m->group;
	rc = vfio_group_set_container(m->group, m->container) ?: type1_set_iommu(m->container, VFIO_TYPE1v2_IOMMU);
	if (rc)
		return rc;
	m->fd = vfio_group_device(m->group, m->uuid);
	return m->fd < 0 ? m->fd : 0;
}

/* @flags: TYPE1_READ, TYPE1_RW */
static inline int mdev_map(const struct mdev *m, const void *va, uint64_t size, uint64_t iova, uint32_t flags)
{
	if (m->way != BY_NODE)
		return type1_map(m->container, va, size, iova, flags);
	return ioas_map(m->container, m->ioas, va, size, &iova, IOMMU_IOAS_MAP_FIXED_IOVA |
			(flags & VFIO_DMA_MAP_FLAG_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
			(flags & VFIO_DMA_MAP_FLAG_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0));
}

static inline int mdev_unmap(const struct mdev *m, uint64_t iova, uint64_t size)
{
	if (m->way != BY_NODE)
		return type1_unmap(m->container, iova, &size, 0);
	return ioas_unmap(m->container, m->ioas, iova, size, NULL);
}

/* ---- what they do ---- */

static inline int mdev_call(const struct mdev *m, uint32_t op, struct mdev_cmd *cmd)
{
	cmd->argsz = sizeof(*cmd);
	cmd->op = op;
	return iommu_call(m->fd, TEST_MDEV_CMD, cmd);
}

/* @flags: MDEV_READ, MDEV_WRITE. With @va the pages must have the same bytes, else -EBADE and nothing is pinned. */
static inline int mdev_pin(const struct mdev *m, uint64_t iova, uint32_t npages, const void *va, uint32_t flags)
{
	struct mdev_cmd cmd = { .flags = flags, .npages = npages, .iova = iova, .uptr = to_u64(va) };

	return mdev_call(m, MDEV_PIN, &cmd);
}

/* Pins, and keeps a copy of each page, which is brought up to date when the page goes */
static inline int mdev_shadow(const struct mdev *m, uint64_t iova, uint32_t npages)
{
	struct mdev_cmd cmd = { .flags = MDEV_BOTH, .npages = npages, .iova = iova };

	return mdev_call(m, MDEV_SHADOW, &cmd);
}

static inline int mdev_read_shadow(const struct mdev *m, uint64_t iova, void *page)
{
	struct mdev_cmd cmd = { .iova = iova, .uptr = to_u64(page) };

	return mdev_call(m, MDEV_READ_SHADOW, &cmd);
}

static inline int mdev_unpin(const struct mdev *m, uint64_t iova, uint32_t npages)
{
	struct mdev_cmd cmd = { .npages = npages, .iova = iova };

	return mdev_call(m, MDEV_UNPIN, &cmd);
}

/* Copies from the address space to @buf, or with MDEV_WRITE the other way. */
static inline int mdev_rw(const struct mdev *m, uint64_t iova, void *buf, uint64_t length, uint32_t flags)
{
	struct mdev_cmd cmd = { .flags = flags, .iova = iova, .length = length, .uptr = to_u64(buf) };

	return mdev_call(m, MDEV_RW, &cmd);
}

/* On success @cmd has the address in @uptr, for how many bytes it holds in @length, and in @flags what is allowed. */
static inline int mdev_lookup(const struct mdev *m, uint64_t iova, struct mdev_cmd *cmd)
{
	*cmd = (struct mdev_cmd){ .iova = iova };
	return mdev_call(m, MDEV_LOOKUP, cmd);
}

static inline struct mdev_state mdev_state(const struct mdev *m)
{
	struct mdev_cmd cmd = { };

	if (mdev_call(m, MDEV_STATE, &cmd))
		cmd.state.pinned = UINT32_MAX;
	return cmd.state;
}

enum { MDEV_KEEP_NONE, MDEV_KEEP_ALL, MDEV_KEEP_BUT_ONE };

/* What the device does when it is told to let go: everything, nothing, or one pin a call */
static inline int mdev_keep(const struct mdev *m, uint64_t keep)
{
	struct mdev_cmd cmd = { .length = keep };

	return mdev_call(m, MDEV_HOLD, &cmd);
}

/* See what virtual CPUs write to the page at @iova */
static inline int mdev_watch(const struct mdev *m, uint64_t iova)
{
	struct mdev_cmd cmd = { .iova = iova };

	return mdev_call(m, MDEV_WATCH, &cmd);
}

#endif
