// SPDX-License-Identifier: GPL-2.0-only
/*
 * port_iommufd - memory for a device by /dev/iommu; port_type1 does the same by VFIO's container
 *
 * Usage: port_iommufd /dev/vfio/devices/vfioN
 */
#include "sample.h"

static int iommu, device;
static uint32_t ioas;

/* [open] */
static void start(const char *node)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
	};
	struct iommu_ioas_alloc alloc = {
		.size = sizeof(alloc),
	};
	struct vfio_device_attach_iommufd_pt to = {
		.argsz = sizeof(to),
	};

	iommu = open("/dev/iommu", O_RDWR);
	if (iommu < 0)
		err(1, "/dev/iommu");
	bind.iommufd = iommu;

	device = open(node, O_RDWR);
	if (device < 0)
		err(1, "%s", node);

	/* what tells of a group not viable */
	CALL(device, VFIO_DEVICE_BIND_IOMMUFD,
	     &bind);

	CALL(iommu, IOMMU_IOAS_ALLOC, &alloc);
	ioas = alloc.out_ioas_id;
	to.pt_id = ioas;
	CALL(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
	     &to);
}

/* [open ends] */

/* [map] */
static void map(void *memory)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)memory,
		.iova = 0x40000000,
		.length = MEGABYTE,
	};

	CALL(iommu, IOMMU_IOAS_MAP, &map);
}

/* [map ends] */

/* [unmap] */
static uint64_t unmap(void)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = ioas,
		.iova = 0x40000000,
		.length = MEGABYTE,
	};

	CALL(iommu, IOMMU_IOAS_UNMAP, &unmap);
	return unmap.length;
}

/* [unmap ends] */

/* [all] */
static void unmap_all(void)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = ioas,
		.length = UINT64_MAX,
	};

	CALL(iommu, IOMMU_IOAS_UNMAP, &unmap);
}

/* [all ends] */

/* [close] */
static void stop(void)
{
	/* detaches and unbinds */
	close(device);
	/* and destroys the rest */
	close(iommu);
}

/* [close ends] */

int main(int argc, char **argv)
{
	void *memory = memory_of(MEGABYTE);

	if (argc != 2)
		errx(1, "usage: port_iommufd /dev/vfio/devices/vfioN");
	start(argv[1]);
	map(memory);
	printf("%llu bytes\n", (unsigned long long)unmap());
	map(memory);
	unmap_all();
	stop();
	return 0;
}
