// SPDX-License-Identifier: GPL-2.0-only
/* look - what fdinfo tells about a context, read by a program */
#include "sample.h"

#include <stdlib.h>

/* [number] */
/* The number behind @key in a line of this kind; -1 in other lines, and where it is not known */
static long long number(const char *line, const char *kind, const char *key)
{
	const size_t kind_len = strlen(kind), key_len = strlen(key);
	const char *word;

	if (strncmp(line, kind, kind_len) || strncmp(line + kind_len, ":\t", 2))
		return -1;
	for (word = line + kind_len + 1; word; word = strchr(word, ' ')) {
		word++;
		if (!strncmp(word, key, key_len) && word[key_len] == '=')
			return strtoll(word + key_len + 1, NULL, 10);
	}
	return -1;
}

/* Of this process, or of any that we may look at: /proc/PID/fdinfo/FD */
static void show_context(int iommu)
{
	char path[64], line[1024];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", iommu);
	f = fopen(path, "r");
	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (number(line, "ioas", "id") > 0)
			printf("IOAS %lld: %lld bytes mapped, %lld pinned\n", number(line, "ioas", "id"),
			       number(line, "ioas", "mapped"), number(line, "ioas", "pinned"));
		if (number(line, "attach", "hwpt") > 0)
			printf("device %lld is on page table %lld\n",
			       number(line, "attach", "device"), number(line, "attach", "hwpt"));
	}
	fclose(f);
}

/* [number ends] */

int main(int argc, char **argv)
{
	int iommu = open_iommu(), device;
	struct iommu_ioas_map map = { .size = sizeof(map), .flags = READ_WRITE, .length = MEGABYTE };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	uint32_t dev_id;

	device = open_device(argc == 2 ? argv[1] : NULL, iommu, &dev_id);
	map.ioas_id = ioas_alloc(iommu);
	map.user_va = (uintptr_t)memory_of(MEGABYTE);
	CALL(iommu, IOMMU_IOAS_MAP, &map);
	show_context(iommu);
	attach.pt_id = map.ioas_id;
	CALL(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	show_context(iommu);
	return 0;
}
