// SPDX-License-Identifier: GPL-2.0-only
/* guest - for a guest that has an IOMMU of its own, and for devices that ask for pages */
#include "sample.h"

#include <poll.h>

/* [nest_parent] */
/* Guest-physical to physical: what those of the guest stand on. 0: the driver has no such. */
static uint32_t nest_parent(int iommu, uint32_t dev_id, uint32_t ioas)
{
	struct iommu_hwpt_alloc parent = {
		.size = sizeof(parent), .flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = dev_id, .pt_id = ioas,
	};

	if (!ioctl(iommu, IOMMU_HWPT_ALLOC, &parent))
		return parent.out_hwpt_id;
	if (errno != EOPNOTSUPP)
		err(1, "nest parent");
	return 0;
}

/* [nest_parent ends] */

/* [nested] */
/* The guest's own page table: @data tells the hardware where that is, @type what the data is. */
static int nested(int iommu, uint32_t dev_id, uint32_t parent, uint32_t type, void *data,
		  uint32_t len, uint32_t *hwpt)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .dev_id = dev_id, .pt_id = parent,
		.data_type = type, .data_len = len, .data_uptr = (uintptr_t)data,
	};

	if (ioctl(iommu, IOMMU_HWPT_ALLOC, &alloc))
		return -errno;
	*hwpt = alloc.out_hwpt_id;
	return 0;
}

/* [nested ends] */

/* [viommu] */
/* The guest's share of the IOMMU of @dev_id; its id takes the parent's place in nested(). */
static int share_of_iommu(int iommu, uint32_t dev_id, uint32_t parent, uint32_t type,
			  uint32_t *viommu)
{
	struct iommu_viommu_alloc alloc = {
		.size = sizeof(alloc), .type = type, .dev_id = dev_id, .hwpt_id = parent,
	};

	if (ioctl(iommu, IOMMU_VIOMMU_ALLOC, &alloc))
		return -errno;
	*viommu = alloc.out_viommu_id;
	return 0;
}

/* [viommu ends] */

/* [vdevice] */
/* The number by which the guest knows the device. */
static int name_device(int iommu, uint32_t viommu, uint32_t dev_id, uint64_t number,
		       uint32_t *vdevice)
{
	struct iommu_vdevice_alloc alloc = {
		.size = sizeof(alloc), .viommu_id = viommu, .dev_id = dev_id, .virt_id = number,
	};

	if (ioctl(iommu, IOMMU_VDEVICE_ALLOC, &alloc))
		return -errno;
	*vdevice = alloc.out_vdevice_id;
	return 0;
}

/* [vdevice ends] */

/* [invalidate] */
/* The guest changed its tables. How many of the @num entries were carried out comes back. */
static uint32_t invalidate(int iommu, uint32_t hwpt, uint32_t type, void *entries,
			   uint32_t entry_len, uint32_t num)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd), .hwpt_id = hwpt, .data_type = type,
		.data_uptr = (uintptr_t)entries, .entry_len = entry_len, .entry_num = num,
	};

	if (ioctl(iommu, IOMMU_HWPT_INVALIDATE, &cmd))
		warn("entry %u", cmd.entry_num);
	return cmd.entry_num;
}

/* [invalidate ends] */

/* [fault_queue] */
/* A queue for page requests, and a page table whose misses go there. The queue's file */
static int faulting_table(int iommu, uint32_t dev_id, uint32_t ioas, uint32_t *hwpt)
{
	struct iommu_fault_alloc queue = { .size = sizeof(queue) };
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .flags = IOMMU_HWPT_FAULT_ID_VALID,
		.dev_id = dev_id, .pt_id = ioas,
	};
	int rc;

	CALL(iommu, IOMMU_FAULT_QUEUE_ALLOC, &queue);
	alloc.fault_id = queue.out_fault_id;
	if (ioctl(iommu, IOMMU_HWPT_ALLOC, &alloc)) {
		rc = -errno;
		close(queue.out_fault_fd);
		return rc;
	}
	*hwpt = alloc.out_hwpt_id;
	return queue.out_fault_fd;
}

/* Has @bring bring the pages that are asked for, and answers each group once. How many pages */
static int serve(int queue, int milliseconds, int (*bring)(const struct iommu_hwpt_pgfault *asked))
{
	struct pollfd wait = { .fd = queue, .events = POLLIN };
	struct iommu_hwpt_pgfault requests[64];
	ssize_t bytes;
	int n, rc = 0;

	if (poll(&wait, 1, milliseconds) != 1)
		return 0;
	bytes = read(queue, requests, sizeof(requests));
	if (bytes < 0)
		err(1, "read");
	n = bytes / sizeof(requests[0]);
	for (int i = 0; i < n; i++) {
		struct iommu_hwpt_page_response answer = { .cookie = requests[i].cookie };

		rc |= bring(&requests[i]);
		if (!(requests[i].flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE))
			continue;
		answer.code = rc ? IOMMUFD_PAGE_RESP_INVALID : IOMMUFD_PAGE_RESP_SUCCESS;
		if (write(queue, &answer, sizeof(answer)) != sizeof(answer))
			warn("the attachment ended meanwhile");
		rc = 0;
	}
	return n;
}

/* [fault_queue ends] */

static int bring_nothing(const struct iommu_hwpt_pgfault *asked)
{
	warnx("device %u asks for 0x%llx", asked->dev_id, asked->addr);
	return -1;
}

int main(int argc, char **argv)
{
	int iommu = open_iommu(), device, queue;
	uint32_t dev_id, hwpt = 0, viommu = 0, vdevice, ioas = ioas_alloc(iommu), parent;
	struct iommu_hwpt_vtd_s1 table = { .addr_width = 48 };
	int rc;

	device = open_device(argc == 2 ? argv[1] : NULL, iommu, &dev_id);
	parent = nest_parent(iommu, dev_id, ioas);
	printf("nest parent: %s\n", parent ? "yes" : "no");
	rc = -EOPNOTSUPP;
	if (parent)
		rc = nested(iommu, dev_id, parent, IOMMU_HWPT_DATA_VTD_S1, &table, sizeof(table), &hwpt);
	printf("nested page table: %s\n", strerror(-rc));
	if (!rc) {
		struct iommu_hwpt_vtd_s1_invalidate all = { .npages = UINT64_MAX };

		printf("entries carried out: %u\n", invalidate(iommu, hwpt, 0, &all, sizeof(all), 1));
	}
	rc = -EOPNOTSUPP;
	if (parent)
		rc = share_of_iommu(iommu, dev_id, parent, IOMMU_VIOMMU_TYPE_ARM_SMMUV3, &viommu);
	printf("vIOMMU: %s\n", strerror(-rc));
	if (!rc)
		printf("vDEVICE: %s\n", strerror(-name_device(iommu, viommu, dev_id, 3, &vdevice)));
	queue = faulting_table(iommu, dev_id, ioas, &hwpt);
	printf("page requests: %s\n", strerror(queue < 0 ? -queue : 0));
	if (queue >= 0)
		serve(queue, 0, bring_nothing);
	close(device);
	return 0;
}
