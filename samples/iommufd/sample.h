/* SPDX-License-Identifier: GPL-2.0-only */
/* sample - what the examples of Documentation/userspace-api/iommufd-examples.rst share */
#ifndef IOMMUFD_SAMPLE_H
#define IOMMUFD_SAMPLE_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEGABYTE	0x100000ULL
#define READ_WRITE	(IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

/* An ioctl that has to work */
#define CALL(fd, cmd, arg) do { if (ioctl(fd, cmd, arg) < 0) err(1, #cmd); } while (0)

static inline int open_iommu(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(1, "/dev/iommu");
	return fd;
}

/* Memory that is there already, so that no map call has to wait for it */
static inline void *memory_of(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static inline uint32_t ioas_alloc(int iommu)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

	CALL(iommu, IOMMU_IOAS_ALLOC, &cmd);
	return cmd.out_ioas_id;
}

/* The device at @node, bound to @iommu: its file, and its id in *@dev_id */
static inline int open_device(const char *node, int iommu, uint32_t *dev_id)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommu };
	int device = node ? open(node, O_RDWR | O_CLOEXEC) : -1;

	if (device < 0)
		err(1, "%s", node ? node : "which device? usage: PROGRAM /dev/vfio/devices/vfioN");
	CALL(device, VFIO_DEVICE_BIND_IOMMUFD, &bind);
	*dev_id = bind.out_devid;
	return device;
}

#endif
