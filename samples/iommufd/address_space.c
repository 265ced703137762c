// SPDX-License-Identifier: GPL-2.0-only
/* address_space - everything that is done with an IOAS; needs no device */
#define _GNU_SOURCE
#include "sample.h"

/* [option] */
/* Counts what is pinned for this process alone; others of the same user do not matter. */
static int count_by_process(int iommu)
{
	struct iommu_option mode = {
		.size = sizeof(mode), .option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_SET, .val64 = 1,
	};

	/* before anything else is made; EPERM without CAP_SYS_RESOURCE */
	return ioctl(iommu, IOMMU_OPTION, &mode) ? -errno : 0;
}

static uint64_t huge_pages(int iommu, uint32_t ioas)
{
	struct iommu_option huge = {
		.size = sizeof(huge), .option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_GET, .object_id = ioas,
	};

	CALL(iommu, IOMMU_OPTION, &huge);
	return huge.val64;
}

/* [option ends] */

/* [ranges] */
/* Where mappings may be put. Ask anew after each attach: devices keep addresses for themselves. */
static void show_ranges(int iommu, uint32_t ioas)
{
	struct iommu_iova_range ranges[16];
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd), .ioas_id = ioas,
		.num_iovas = 16, .allowed_iovas = (uintptr_t)ranges,
	};

	/* EMSGSIZE: there are more than 16, num_iovas says how many */
	CALL(iommu, IOMMU_IOAS_IOVA_RANGES, &cmd);
	for (uint32_t i = 0; i < cmd.num_iovas; i++)
		printf("usable: 0x%llx-0x%llx\n", ranges[i].start, ranges[i].last);
	printf("alignment: %llu\n", cmd.out_iova_alignment);
}

/* [ranges ends] */

/* [windows] */
/* From now on the kernel chooses addresses here, and refuses devices that cannot reach all. */
static void keep_low_addresses(int iommu, uint32_t ioas)
{
	struct iommu_iova_range low = { .start = 0x10000000, .last = 0xbfffffff };
	struct iommu_ioas_allow_iovas cmd = {
		.size = sizeof(cmd), .ioas_id = ioas,
		.num_iovas = 1, .allowed_iovas = (uintptr_t)&low,
	};

	CALL(iommu, IOMMU_IOAS_ALLOW_IOVAS, &cmd);
}

/* [windows ends] */

/* [map] */
/* At an address of our choice, as a guest's memory is */
static void map_at(int iommu, uint32_t ioas, void *memory, uint64_t length, uint64_t iova)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .flags = IOMMU_IOAS_MAP_FIXED_IOVA | READ_WRITE,
		.ioas_id = ioas, .user_va = (uintptr_t)memory, .length = length, .iova = iova,
	};

	CALL(iommu, IOMMU_IOAS_MAP, &map);
}

/* Wherever there is room, as a driver's buffers are. Devices may only read it. */
static uint64_t map_anywhere(int iommu, uint32_t ioas, void *memory, uint64_t length)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .flags = IOMMU_IOAS_MAP_READABLE, .ioas_id = ioas,
		.user_va = (uintptr_t)memory, .length = length,
	};

	CALL(iommu, IOMMU_IOAS_MAP, &map);
	return map.iova;
}

/* [map ends] */

/* [map_file] */
/* Memory that no address of this process leads to; a successor can take it over. */
static uint64_t map_file(int iommu, uint32_t ioas, uint64_t length)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map), .flags = READ_WRITE, .ioas_id = ioas, .start = 0, .length = length,
	};

	map.fd = memfd_create("guest", MFD_CLOEXEC);
	if (map.fd < 0 || ftruncate(map.fd, length))
		err(1, "memfd");
	CALL(iommu, IOMMU_IOAS_MAP_FILE, &map);
	close(map.fd);		/* the mapping keeps the memory */
	return map.iova;
}

/* [map_file ends] */

/* [copy] */
/* The same memory in another address space: not pinned and not charged again */
static uint64_t share(int iommu, uint32_t from, uint64_t iova, uint64_t length, uint32_t to)
{
	struct iommu_ioas_copy copy = {
		.size = sizeof(copy), .flags = IOMMU_IOAS_MAP_READABLE,
		.src_ioas_id = from, .src_iova = iova, .dst_ioas_id = to, .length = length,
	};

	CALL(iommu, IOMMU_IOAS_COPY, &copy);
	return copy.dst_iova;
}

/* [copy ends] */

/* [unmap] */
/* Mappings are removed whole. The number of bytes that were mapped comes back. */
static int64_t unmap(int iommu, uint32_t ioas, uint64_t iova, uint64_t length)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = ioas, .iova = iova, .length = length,
	};

	return ioctl(iommu, IOMMU_IOAS_UNMAP, &unmap) ? -errno : (int64_t)unmap.length;
}

/* [unmap ends] */

/* [destroy] */
/* What is still mapped goes with it. EBUSY as long as a page table stands on it. */
static void destroy(int iommu, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	CALL(iommu, IOMMU_DESTROY, &cmd);
}

/* [destroy ends] */

int main(void)
{
	int iommu = open_iommu();
	char *memory = memory_of(2 * MEGABYTE);
	uint32_t ioas, other;
	uint64_t where, copied;

	setlinebuf(stdout);
	printf("count by process: %s\n", strerror(-count_by_process(iommu)));
	ioas = ioas_alloc(iommu);
	other = ioas_alloc(iommu);
	printf("huge pages: %llu\n", (unsigned long long)huge_pages(iommu, ioas));
	show_ranges(iommu, ioas);
	keep_low_addresses(iommu, ioas);
	map_at(iommu, ioas, memory, MEGABYTE, 0x40000000);
	where = map_anywhere(iommu, ioas, memory + MEGABYTE, MEGABYTE);
	printf("in the window: %s\n", where >= 0x10000000 && where < 0xc0000000 ? "yes" : "no");
	copied = share(iommu, ioas, where, MEGABYTE, other);
	map_file(iommu, ioas, MEGABYTE);
	printf("half of a mapping: %s\n", strerror(-unmap(iommu, ioas, where, MEGABYTE / 2)));
	printf("the whole: %lld bytes\n", (long long)unmap(iommu, ioas, where, MEGABYTE));
	printf("all the rest: %lld bytes\n", (long long)unmap(iommu, ioas, 0, UINT64_MAX));
	printf("the copy: %lld bytes\n", (long long)unmap(iommu, other, copied, MEGABYTE));
	destroy(iommu, ioas);
	destroy(iommu, other);
	return 0;
}
