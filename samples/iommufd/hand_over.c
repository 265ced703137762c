// SPDX-License-Identifier: GPL-2.0-only
/* hand_over - a process maps, its successor goes on: no device notices */
#define _GNU_SOURCE
#include "sample.h"

#include <sys/wait.h>

/* [change_process] */
/* In the successor, which got the file of /dev/iommu by fork(), exec() or over a socket */
static void take_over(int iommu)
{
	struct iommu_ioas_change_process cmd = { .size = sizeof(cmd) };

	/* EINVAL: something was mapped by its address, and belongs to the other process for good */
	CALL(iommu, IOMMU_IOAS_CHANGE_PROCESS, &cmd);
}

/* [change_process ends] */

int main(void)
{
	int iommu = open_iommu(), status;
	struct iommu_ioas_map_file map = { .size = sizeof(map), .flags = READ_WRITE, .length = MEGABYTE };
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .length = MEGABYTE };
	pid_t successor;

	map.ioas_id = ioas_alloc(iommu);
	map.fd = memfd_create("guest", MFD_CLOEXEC);
	if (map.fd < 0 || ftruncate(map.fd, MEGABYTE))
		err(1, "memfd");
	CALL(iommu, IOMMU_IOAS_MAP_FILE, &map);
	successor = fork();
	if (successor == 0) {
		take_over(iommu);
		unmap.ioas_id = map.ioas_id;
		unmap.iova = map.iova;
		CALL(iommu, IOMMU_IOAS_UNMAP, &unmap);
		printf("the successor unmapped %llu bytes\n", unmap.length);
		return 0;
	}
	return successor > 0 && waitpid(successor, &status, 0) == successor && status == 0 ? 0 : 1;
}
