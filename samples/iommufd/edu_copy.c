// SPDX-License-Identifier: GPL-2.0-only
/*
 * edu_copy - a driver in user space: a PCI device copies memory by DMA, through its VFIO node
 *
 * The device is QEMU's "edu" (1234:11e8). It has a small buffer of its own, and moves bytes between
 * that and memory. Usage, once the device belongs to vfio-pci: edu_copy /dev/vfio/devices/vfio0
 */
#include <err.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALL(fd, cmd, arg) do { if (ioctl(fd, cmd, arg)) err(1, #cmd); } while (0)

/* Registers of the DMA engine, 64 bits each, and where the buffer is for it */
enum { FROM = 0x80 / 8, TO = 0x88 / 8, COUNT = 0x90 / 8, COMMAND = 0x98 / 8, BUFFER = 0x40000 };
enum { RUN = 1, TO_MEMORY = 2 };

static void transfer(uint64_t *reg, uint64_t from, uint64_t to, uint64_t count, uint64_t way)
{
	__atomic_store_n(&reg[FROM], from, __ATOMIC_RELEASE);
	__atomic_store_n(&reg[TO], to, __ATOMIC_RELEASE);
	__atomic_store_n(&reg[COUNT], count, __ATOMIC_RELEASE);
	__atomic_store_n(&reg[COMMAND], RUN | way, __ATOMIC_RELEASE);
	while (__atomic_load_n(&reg[COMMAND], __ATOMIC_ACQUIRE) & RUN)
		usleep(1000);
}

int main(int argc, char **argv)
{
	int iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	int device = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommu };
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct iommu_ioas_map map = {
		.size = sizeof(map), .flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	const uint16_t on = 0x6;	/* PCI command register: memory decoding, bus mastering */
	uint64_t *reg;

	if (iommu < 0 || device < 0 || memory == MAP_FAILED)
		err(1, "usage: %s /dev/vfio/devices/vfioN", argv[0]);

	/* The device is ours, and an empty address space is where its DMA goes. */
	CALL(device, VFIO_DEVICE_BIND_IOMMUFD, &bind);
	CALL(iommu, IOMMU_IOAS_ALLOC, &ioas);
	attach.pt_id = ioas.out_ioas_id;
	CALL(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);

	/* One page in it; the kernel says at which address the device finds that. */
	map.ioas_id = ioas.out_ioas_id;
	map.user_va = (uintptr_t)memory;
	map.length = 4096;
	CALL(iommu, IOMMU_IOAS_MAP, &map);

	/* The registers of the device, and its right to use them and to do DMA. */
	CALL(device, VFIO_DEVICE_GET_REGION_INFO, &config);
	CALL(device, VFIO_DEVICE_GET_REGION_INFO, &bar);
	if (pwrite(device, &on, sizeof(on), config.offset + 4) != sizeof(on))
		err(1, "PCI command register");
	reg = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, bar.offset);
	if (reg == MAP_FAILED)
		err(1, "BAR 0");

	strcpy(memory, "carried by the device");
	transfer(reg, map.iova, BUFFER, 64, 0);
	transfer(reg, BUFFER, map.iova + 2048, 64, TO_MEMORY);
	printf("%s\n", memory + 2048);
	return strcmp(memory, memory + 2048) ? 1 : 0;
}
