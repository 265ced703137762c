/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * smmu - the registers of the emulated SMMUv3, read through /dev/mem
 *
 * For tests that want to know what hardware has, whatever a driver says.
 */
#ifndef SELFTESTS_IOMMU_SMMU_H
#define SELFTESTS_IOMMU_SMMU_H

#include "edu.h"

#define SMMU_IDR0		0x0
#define SMMU_IDR0_S2P		0x1U		/* has stage 2 */
#define SMMU_IDR0_S1P		0x2U		/* has stage 1 */
#define SMMU_IIDR		0x18
#define SMMU_AIDR		0x1c

/* Physical address of the SMMUv3 that translates for a PCI device which has a driver; 0 when there is none */
static inline uint64_t smmu_address(const char *bdf)
{
	char name[64];

	if (pci_link(bdf, "iommu", name, sizeof(name)) || strncmp(name, "smmu3.", 6))
		return 0;
	return strtoull(name + 6, NULL, 16);
}

/* A register of 32 bits, or -errno */
static inline int64_t smmu_read(uint64_t address, unsigned int reg)
{
	int fd = open("/dev/mem", O_RDONLY | O_SYNC | O_CLOEXEC);
	uint32_t *page;
	int64_t value;

	if (fd < 0)
		return -errno;
	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, address + reg / PAGE * PAGE);
	value = page == MAP_FAILED ? -errno : (int64_t)__atomic_load_n(&page[reg % PAGE / 4], __ATOMIC_RELAXED);
	close(fd);
	if (page != MAP_FAILED)
		munmap(page, PAGE);
	return value;
}

#endif
