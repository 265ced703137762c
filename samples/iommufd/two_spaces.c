// SPDX-License-Identifier: GPL-2.0-only
/* two_spaces - a device is given one piece of memory, and then, while it works, another one */
#include <err.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IOVA 0x100000000ULL
#define LENGTH (2UL << 20)

static void must(int fd, unsigned long cmd, void *arg, const char *what)
{
	if (ioctl(fd, cmd, arg))
		err(1, "%s", what);
}

/* A new address space in which devices find @memory at IOVA. */
static uint32_t new_ioas(int iommu, void *memory)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.user_va = (uintptr_t)memory,
		.length = LENGTH,
		.iova = IOVA,
	};

	must(iommu, IOMMU_IOAS_ALLOC, &alloc, "IOMMU_IOAS_ALLOC");
	map.ioas_id = alloc.out_ioas_id;
	must(iommu, IOMMU_IOAS_MAP, &map, "IOMMU_IOAS_MAP");
	return alloc.out_ioas_id;
}

/* The first attach attaches, every later one replaces: the device is never without a translation in between. */
static uint32_t attach(int device, uint32_t pt_id)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = pt_id };

	must(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	return attach.pt_id;
}

static void destroy(int iommu, uint32_t id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	must(iommu, IOMMU_DESTROY, &destroy, "IOMMU_DESTROY");
}

int main(int argc, char **argv)
{
	int iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	int device = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	char *memory = mmap(NULL, 2 * LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommu };
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };
	struct iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt) };
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap) };
	uint32_t first, second;

	if (iommu < 0 || device < 0 || memory == MAP_FAILED)
		err(1, "usage: %s /dev/vfio/devices/vfioN", argv[0]);

	/* The device is ours from here on, and its DMA is blocked. */
	must(device, VFIO_DEVICE_BIND_IOMMUFD, &bind, "VFIO_DEVICE_BIND_IOMMUFD");

	first = new_ioas(iommu, memory);
	printf("device %u, IOAS %u, page table %u\n", bind.out_devid, first, attach(device, first));
	/* DMA to IOVA arrives in the first half of memory. */

	second = new_ioas(iommu, memory + LENGTH);
	hwpt.dev_id = bind.out_devid;
	hwpt.pt_id = second;
	must(iommu, IOMMU_HWPT_ALLOC, &hwpt, "IOMMU_HWPT_ALLOC");
	attach(device, hwpt.out_hwpt_id);
	/* DMA to IOVA arrives in the second half. */

	unmap.ioas_id = second;
	unmap.iova = IOVA;
	unmap.length = LENGTH;
	must(iommu, IOMMU_IOAS_UNMAP, &unmap, "IOMMU_IOAS_UNMAP");
	printf("%llu bytes unmapped\n", (unsigned long long)unmap.length);
	/* DMA to IOVA is an IOMMU fault. */

	must(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach, "VFIO_DEVICE_DETACH_IOMMUFD_PT");
	destroy(iommu, hwpt.out_hwpt_id);
	destroy(iommu, second);
	destroy(iommu, first);
	close(device);          /* unbinds */
	close(iommu);
	return 0;
}
