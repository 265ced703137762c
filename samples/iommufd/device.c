// SPDX-License-Identifier: GPL-2.0-only
/* device - a device through its node: what it is, page tables for it, moving it between them */
#include "sample.h"

/* [hw_info] */
static void show_hardware(int iommu, uint32_t dev_id)
{
	union {
		struct iommu_hw_info_vtd vtd;
		struct iommu_hw_info_arm_smmuv3 smmu;
	} regs;
	struct iommu_hw_info info = {
		.size = sizeof(info), .dev_id = dev_id, .data_len = sizeof(regs), .data_uptr = (uintptr_t)&regs,
	};

	CALL(iommu, IOMMU_GET_HW_INFO, &info);
	switch (info.out_data_type) {
	case IOMMU_HW_INFO_TYPE_INTEL_VTD:
		printf("VT-d, addresses of %d bits\n", (int)(regs.vtd.cap_reg >> 16 & 0x3f) + 1);
		break;
	case IOMMU_HW_INFO_TYPE_ARM_SMMUV3:
		printf("SMMUv3, stages:%s%s\n", regs.smmu.idr[0] & 2 ? " 1" : "",
		       regs.smmu.idr[0] & 1 ? " 2" : "");
		break;
	default:
		printf("an IOMMU that says nothing about itself\n");
	}
	if (info.out_max_pasid_log2)
		printf("PASIDs: %d bits\n", info.out_max_pasid_log2);
}

/* [hw_info ends] */

/* [routing] */
/* Who shares the group, and where it is attached. Other kernels answer EOPNOTSUPP. */
static void show_group(int iommu, uint32_t dev_id)
{
	struct iommu_hw_info_routing routing;
	struct iommu_hw_info info = {
		.size = sizeof(info), .flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE, .dev_id = dev_id,
		.data_len = sizeof(routing), .data_uptr = (uintptr_t)&routing,
		.in_data_type = IOMMU_HW_INFO_TYPE_ROUTING,
	};

	CALL(iommu, IOMMU_GET_HW_INFO, &info);
	printf("devices in the group: %u, on a page table: %s\n", routing.group_devices,
	       routing.group_hwpt_id ? "yes" : "no");
}

/* [routing ends] */

/* [hwpt_alloc] */
/* A page table of our own. It lives until it is destroyed, and several can stand on one IOAS. */
static uint32_t page_table(int iommu, uint32_t dev_id, uint32_t ioas)
{
	struct iommu_hwpt_alloc alloc = { .size = sizeof(alloc), .dev_id = dev_id, .pt_id = ioas };

	CALL(iommu, IOMMU_HWPT_ALLOC, &alloc);
	return alloc.out_hwpt_id;
}

/* [hwpt_alloc ends] */

/* [attach] */
/* To an IOAS or a page table. The first call attaches, later ones replace. */
static uint32_t attach(int device, uint32_t pt_id)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = pt_id };

	CALL(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	return attach.pt_id;
}

static void detach(int device)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	CALL(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
}

/* [attach ends] */

/* [pasid] */
/* An address space for requests with this PASID. All page tables involved are made for that. */
static int attach_pasid(int iommu, int device, uint32_t dev_id, uint32_t ioas, uint32_t pasid)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .flags = IOMMU_HWPT_ALLOC_PASID, .dev_id = dev_id, .pt_id = ioas,
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach), .flags = VFIO_DEVICE_ATTACH_PASID, .pasid = pasid,
	};

	if (ioctl(iommu, IOMMU_HWPT_ALLOC, &alloc))
		return -errno;
	attach.pt_id = alloc.out_hwpt_id;
	return ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ? -errno : 0;
}

/* [pasid ends] */

int main(int argc, char **argv)
{
	int iommu = open_iommu(), device;
	uint32_t dev_id, first, second, own, kernels;
	struct iommu_destroy destroy = { .size = sizeof(destroy) };

	setlinebuf(stdout);
	device = open_device(argc == 2 ? argv[1] : NULL, iommu, &dev_id);
	show_hardware(iommu, dev_id);
	first = ioas_alloc(iommu);
	second = ioas_alloc(iommu);
	kernels = attach(device, first);
	printf("attached to a page table of the kernel's: %s\n", kernels != first ? "yes" : "no");
	show_group(iommu, dev_id);
	own = page_table(iommu, dev_id, second);
	printf("moved to our own: %s\n", attach(device, own) == own ? "yes" : "no");
	detach(device);
	show_group(iommu, dev_id);
	printf("PASID 1: %s\n", strerror(-attach_pasid(iommu, device, dev_id, first, 1)));
	destroy.id = own;
	CALL(iommu, IOMMU_DESTROY, &destroy);
	close(device);		/* unbinds */
	close(iommu);		/* and this is the end of all that is left */
	return 0;
}
