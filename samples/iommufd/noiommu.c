// SPDX-License-Identifier: GPL-2.0-only
/*
 * noiommu - a device that no IOMMU translates for has to be given physical addresses
 *
 * Usage, as root with vfio.enable_unsafe_noiommu_mode=1: noiommu /dev/vfio/devices/noiommu-vfioN
 */
#include "sample.h"

#define BYTES	16384

/* [get_pa] */
/* Prints the pieces that @length bytes at @iova consist of, for the descriptors of the device. */
static void show_pieces(int iommu, uint32_t ioas, uint64_t iova, uint64_t length)
{
	struct iommu_ioas_noiommu_get_pa cmd = { .size = sizeof(cmd), .ioas_id = ioas };
	uint64_t told = 0;

	for (uint64_t at = 0; at < length; at += cmd.length) {
		cmd.iova = iova + at;
		cmd.length = length - at;
		CALL(iommu, IOMMU_IOAS_NOIOMMU_GET_PA, &cmd);
		told += cmd.length;
		fprintf(stderr, "# 0x%llx: %llu bytes at 0x%llx\n", cmd.iova, cmd.length, cmd.out_phys);
	}
	printf("physical addresses of %llu bytes\n", (unsigned long long)told);
}

/* [get_pa ends] */

int main(int argc, char **argv)
{
	int iommu = open_iommu(), device;
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct iommu_ioas_map map = { .size = sizeof(map), .flags = READ_WRITE, .length = BYTES };
	uint32_t dev_id;

	device = open_device(argc == 2 ? argv[1] : NULL, iommu, &dev_id);
	map.ioas_id = ioas_alloc(iommu);
	map.user_va = (uintptr_t)memory_of(BYTES);
	CALL(iommu, IOMMU_IOAS_MAP, &map);
	attach.pt_id = map.ioas_id;
	CALL(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	show_pieces(iommu, map.ioas_id, map.iova, BYTES);
	return 0;
}
