/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What container.c calls for an emulated device that is in the hands of an iommufd
 */
#ifndef __VFIO_IOMMUFD_EMULATED_H__
#define __VFIO_IOMMUFD_EMULATED_H__

#include <linux/vfio.h>

/* Without nodes no device is, and the compiler drops the calls below */
static inline bool vfio_emulated_in_iommufd(struct vfio_device *device)
{
#ifdef CONFIG_VFIO_DEVICE_CDEV
	return device->iommufd_access;
#else
	return false;
#endif
}

int vfio_emulated_pin_pages(struct vfio_device *device, dma_addr_t iova, int npage, int prot, struct page **pages);
void vfio_emulated_unpin_pages(struct vfio_device *device, dma_addr_t iova, int npage);
int vfio_emulated_dma_rw(struct vfio_device *device, dma_addr_t iova, void *data, size_t len, bool write);

#endif
