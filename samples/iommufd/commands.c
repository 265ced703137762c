// SPDX-License-Identifier: GPL-2.0-only
/* commands - which commands of /dev/iommu this kernel has */
#include "sample.h"

#define COMMAND(cmd) { #cmd, cmd }

/* [commands] */
static const struct {
	const char *name;
	unsigned long number;
} commands[] = {
	COMMAND(IOMMU_DESTROY),
	COMMAND(IOMMU_IOAS_ALLOC),
	COMMAND(IOMMU_IOAS_ALLOW_IOVAS),
	COMMAND(IOMMU_IOAS_COPY),
	COMMAND(IOMMU_IOAS_IOVA_RANGES),
	COMMAND(IOMMU_IOAS_MAP),
	COMMAND(IOMMU_IOAS_UNMAP),
	COMMAND(IOMMU_OPTION),
	COMMAND(IOMMU_VFIO_IOAS),
	COMMAND(IOMMU_HWPT_ALLOC),
	COMMAND(IOMMU_GET_HW_INFO),
	COMMAND(IOMMU_HWPT_SET_DIRTY_TRACKING),
	COMMAND(IOMMU_HWPT_GET_DIRTY_BITMAP),
	COMMAND(IOMMU_HWPT_INVALIDATE),
	COMMAND(IOMMU_FAULT_QUEUE_ALLOC),
	COMMAND(IOMMU_IOAS_MAP_FILE),
	COMMAND(IOMMU_VIOMMU_ALLOC),
	COMMAND(IOMMU_VDEVICE_ALLOC),
	COMMAND(IOMMU_IOAS_CHANGE_PROCESS),
	COMMAND(IOMMU_VEVENTQ_ALLOC),
	COMMAND(IOMMU_HW_QUEUE_ALLOC),
	COMMAND(IOMMU_IOAS_NOIOMMU_GET_PA),
};

int main(void)
{
	int iommu = open_iommu();

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		uint32_t size = 0;

		/* a struct of no size is EINVAL for every command that exists, and does nothing */
		if (!ioctl(iommu, commands[i].number, &size) || errno == ENOTTY)
			printf("%s: no\n", commands[i].name);
		else
			printf("%s: yes\n", commands[i].name);
	}
	return 0;
}

/* [commands ends] */
