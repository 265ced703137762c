// SPDX-License-Identifier: GPL-2.0-only
/* container - old and new commands on one address space: type1's ioctls on a file of /dev/iommu */
#include "sample.h"

int main(void)
{
	int iommu = open_iommu();
	char *memory = memory_of(MEGABYTE);
	/* [vfio_ioas] */
	struct iommu_vfio_ioas choose = {
		.size = sizeof(choose), .ioas_id = ioas_alloc(iommu), .op = IOMMU_VFIO_IOAS_SET,
	};
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory, .iova = 0x40000000, .size = MEGABYTE,
	};
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = choose.ioas_id, .iova = 0x40000000, .length = MEGABYTE,
	};

	if (ioctl(iommu, VFIO_IOMMU_MAP_DMA, &map) == 0 || errno != ENODEV)
		errx(1, "type1 needs to know an IOAS");
	CALL(iommu, IOMMU_VFIO_IOAS, &choose);		/* this is the one */
	CALL(iommu, VFIO_IOMMU_MAP_DMA, &map);		/* maps as type1 does */
	CALL(iommu, IOMMU_IOAS_UNMAP, &unmap);		/* and this is where it went */
	printf("mapped by type1's ioctl, unmapped by iommufd's: %llu bytes\n", unmap.length);
	/* [vfio_ioas ends] */
	return 0;
}
