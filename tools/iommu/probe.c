// SPDX-License-Identifier: GPL-2.0-only
/*
 * probe - try a device as a program would
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl.h"
#include "probe.h"

/* The headers of the machine that builds this may be older than device nodes */
#ifndef VFIO_DEVICE_BIND_IOMMUFD
struct vfio_device_bind_iommufd {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
	__aligned_u64 token_uuid_ptr;
};

struct vfio_device_attach_iommufd_pt {
	__u32 argsz;
	__u32 flags;
	__u32 pt_id;
	__u32 pasid;
};

#define VFIO_DEVICE_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#endif

static bool get_ranges(int iommu, unsigned int ioas, struct probe *p)
{
	struct iommu_ioas_iova_ranges get = { .size = sizeof(get), .ioas_id = ioas };
	struct iommu_iova_range *ranges = NULL;
	unsigned int room = 16, i;

	/* there is one IOAS and one device, so that the answer is not longer than the first said */
	for (;;) {
		ranges = grow(ranges, room, sizeof(*ranges));
		get.num_iovas = room;
		get.allowed_iovas = (uintptr_t)ranges;
		if (!ioctl(iommu, IOMMU_IOAS_IOVA_RANGES, &get))
			break;
		if (errno != EMSGSIZE || get.num_iovas <= room) {
			free(ranges);
			return false;
		}
		room = get.num_iovas;
	}
	p->ranges = grow(NULL, get.num_iovas, sizeof(*p->ranges));
	for (i = 0; i < get.num_iovas; i++)
		p->ranges[i] = (struct probe_range){ ranges[i].start, ranges[i].last };
	p->count = get.num_iovas;
	free(ranges);
	return true;
}

static enum probe_step walk(const struct pci_device *d, struct probe *p, int *iommu, int *node)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };

	*iommu = open_file(O_RDWR, "/dev/iommu");
	if (*iommu < 0)
		return PROBE_OPEN_IOMMU;
	*node = open_file(O_RDWR, "/dev/vfio/devices/%s", d->node);
	if (*node < 0)
		return PROBE_OPEN_NODE;
	bind.iommufd = *iommu;
	if (ioctl(*node, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return PROBE_BIND;
	if (ioctl(*iommu, IOMMU_IOAS_ALLOC, &alloc))
		return PROBE_ATTACH;
	attach.pt_id = alloc.out_ioas_id;
	if (ioctl(*node, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		return PROBE_ATTACH;
	return get_ranges(*iommu, alloc.out_ioas_id, p) ? PROBE_ALL : PROBE_RANGES;
}

void probe(const struct pci_device *d, struct probe *p)
{
	int iommu = -1, node = -1;

	*p = (struct probe){};
	p->step = walk(d, p, &iommu, &node);
	p->error = p->step == PROBE_ALL ? 0 : errno;
	if (node >= 0)
		close(node);
	if (iommu >= 0)
		close(iommu);
}

void probe_free(struct probe *p)
{
	free(p->ranges);
}
