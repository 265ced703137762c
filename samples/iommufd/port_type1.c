// SPDX-License-Identifier: GPL-2.0-only
/*
 * port_type1 - memory for a device by VFIO's container; port_iommufd does the same by /dev/iommu
 *
 * Usage: port_type1 /dev/vfio/GROUP 0000:00:03.0
 */
#include "sample.h"

static int container, group, device;

/* [open] */
static void start(const char *node,
		  const char *name)
{
	struct vfio_group_status status = {
		.argsz = sizeof(status),
	};

	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0)
		err(1, "/dev/vfio/vfio");
	if (ioctl(container, VFIO_CHECK_EXTENSION,
		  VFIO_TYPE1v2_IOMMU) != 1)
		errx(1, "no type1");

	group = open(node, O_RDWR);
	if (group < 0)
		err(1, "%s", node);
	CALL(group, VFIO_GROUP_GET_STATUS, &status);
	if (!(status.flags &
	      VFIO_GROUP_FLAGS_VIABLE))
		errx(1, "group not viable");
	CALL(group, VFIO_GROUP_SET_CONTAINER,
	     &container);
	CALL(container, VFIO_SET_IOMMU,
	     (void *)VFIO_TYPE1v2_IOMMU);

	device = ioctl(group,
		       VFIO_GROUP_GET_DEVICE_FD,
		       name);
	if (device < 0)
		err(1, "%s", name);
}

/* [open ends] */

/* [map] */
static void map(void *memory)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ |
			 VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = 0x40000000,
		.size = MEGABYTE,
	};

	CALL(container, VFIO_IOMMU_MAP_DMA, &map);
}

/* [map ends] */

/* [unmap] */
static uint64_t unmap(void)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = 0x40000000,
		.size = MEGABYTE,
	};

	CALL(container, VFIO_IOMMU_UNMAP_DMA,
	     &unmap);
	return unmap.size;
}

/* [unmap ends] */

/* [all] */
static void unmap_all(void)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};

	CALL(container, VFIO_IOMMU_UNMAP_DMA,
	     &unmap);
}

/* [all ends] */

/* [close] */
static void stop(void)
{
	close(device);
	CALL(group, VFIO_GROUP_UNSET_CONTAINER,
	     NULL);
	close(group);
	close(container);
}

/* [close ends] */

int main(int argc, char **argv)
{
	void *memory = memory_of(MEGABYTE);

	if (argc != 3)
		errx(1, "usage: port_type1 /dev/vfio/GROUP 0000:00:03.0");
	start(argv[1], argv[2]);
	map(memory);
	printf("%llu bytes\n", (unsigned long long)unmap());
	map(memory);
	unmap_all();
	stop();
	return 0;
}
