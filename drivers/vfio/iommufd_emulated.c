// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device without an IOMMU of its own, in the hands of an iommufd
 *
 * An mdev does its DMA in software, through vfio_pin_pages() and vfio_dma_rw(). Here these reach the memory of an
 * IOAS, by an access of iommufd.
 *
 * Drivers do not unpin what they pinned in one call by one call; they count pages. So each page is a pin of its own.
 * And they may take their time over everything that they are told goes, page by page, so they are told of what they
 * have pinned and nothing else.
 *
 * Locking: device->iommufd_access stays while the device is open. iommufd has the locks.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/vfio.h>

#include "cdev.h"
#include "iommufd_emulated.h"

static void tell_of_pins(struct vfio_device *device, unsigned long iova, unsigned long last)
{
	unsigned long page = iova, end = last;
	unsigned int times;

	while ((times = iommufd_access_next_pin(device->iommufd_access, &page, &end))) {
		/* There are drivers that let go of one pin a call */
		while (times--)
			device->ops->dma_unmap(device, page, PAGE_SIZE);
		if (end == last)
			break;
		page = end + 1;
		end = last;
		cond_resched();
	}
}

static void emulated_unmap(void *data, unsigned long iova, unsigned long last)
{
	struct vfio_device *device = data;

	if (device->ops->dma_forget)
		device->ops->dma_forget(device, iova, last);
	if (device->ops->dma_unmap)
		tell_of_pins(device, iova, last);
}

static const struct iommufd_access_ops told_ops = {
	.unmap = emulated_unmap,
};

static const struct iommufd_access_ops copying_ops = { };

static int emulated_bind(struct vfio_device *device, struct iommufd_ctx *ictx, u32 *devid)
{
	bool told = device->ops->dma_unmap || device->ops->dma_forget;
	struct iommufd_access *access;

	access = iommufd_access_create(ictx, told ? &told_ops : &copying_ops, device);
	if (IS_ERR(access))
		return PTR_ERR(access);
	device->iommufd_access = access;
	*devid = iommufd_access_id(access);
	return 0;
}

static void emulated_unbind(struct vfio_device *device)
{
	iommufd_access_destroy(device->iommufd_access);
	device->iommufd_access = NULL;
}

/* There is no page table to report: what the user asked for is what the device has */
static int emulated_attach(struct vfio_device *device, ioasid_t pasid, u32 pt_id, iommufd_report_fn report, void *data)
{
	if (pasid != IOMMUFD_NO_PASID)
		return -EOPNOTSUPP;
	return iommufd_access_attach(device->iommufd_access, pt_id);
}

static int emulated_detach(struct vfio_device *device, ioasid_t pasid)
{
	if (pasid != IOMMUFD_NO_PASID)
		return -EOPNOTSUPP;
	return iommufd_access_detach(device->iommufd_access);
}

static void emulated_show(struct vfio_device *device, struct seq_file *m)
{
	iommufd_access_show(device->iommufd_access, m);
}

/* Mediated devices: the IOAS is kept, an attach moves the device, and its driver may refuse to let go */
const struct vfio_iommufd_kind vfio_iommufd_emulated = {
	.bind = emulated_bind,
	.unbind = emulated_unbind,
	.attach = emulated_attach,
	.detach = emulated_detach,
	.show = emulated_show,
};

static void unpin_pages(struct iommufd_access *access, unsigned long iova, int npage)
{
	for (; npage > 0; npage--, iova += PAGE_SIZE)
		iommufd_access_try_unpin(access, iova, PAGE_SIZE);
}

/**
 * vfio_emulated_pin_pages() - vfio_pin_pages() for a device in the hands of an iommufd
 * @device: open device
 * @iova: any address in the first page
 * @npage: how many pages, at most VFIO_PIN_PAGES_MAX_ENTRIES
 * @prot: IOMMU_READ, IOMMU_WRITE: what the memory must be mapped for
 * @pages: out: the pages
 *
 * Return: @npage, or with nothing pinned -EOPNOTSUPP if the driver has no dma_unmap, by which it would be told to let
 * go; -EINVAL for another @prot, or what is no memory; -ENOENT if a page is not mapped or the device is not attached;
 * -EPERM if it is not mapped for @prot; -EOVERFLOW; -ENOMEM (also: over the limit); -EFAULT; -EBUSY (another process
 * is taking over the charges); -EINTR.
 */
int vfio_emulated_pin_pages(struct vfio_device *device, dma_addr_t iova, int npage, int prot, struct page **pages)
{
	unsigned long first = iova & PAGE_MASK, last;
	unsigned int flags = 0;
	int i, rc;

	if (!device->ops->dma_unmap)
		return -EOPNOTSUPP;
	if (prot & ~(IOMMU_READ | IOMMU_WRITE))
		return -EINVAL;
	if (check_add_overflow(first, (unsigned long)npage * PAGE_SIZE - 1, &last))
		return -EOVERFLOW;
	if (prot & IOMMU_READ)
		flags |= IOMMUFD_ACCESS_READ;
	if (prot & IOMMU_WRITE)
		flags |= IOMMUFD_ACCESS_WRITE;

	for (i = 0; i < npage; i++) {
		rc = iommufd_access_pin_pages(device->iommufd_access, first + i * PAGE_SIZE, PAGE_SIZE, &pages[i],
					      flags);
		if (rc) {
			unpin_pages(device->iommufd_access, first, i);
			return rc;
		}
	}
	return npage;
}

/**
 * vfio_emulated_unpin_pages() - vfio_unpin_pages() for a device in the hands of an iommufd
 * @device: open device
 * @iova: any address in the first page
 * @npage: how many pages
 *
 * One pin of each page goes; one that is not pinned is passed over, as it is with a container.
 */
void vfio_emulated_unpin_pages(struct vfio_device *device, dma_addr_t iova, int npage)
{
	unpin_pages(device->iommufd_access, iova & PAGE_MASK, npage);
}

/**
 * vfio_emulated_dma_rw() - vfio_dma_rw() for a device in the hands of an iommufd
 * @device: open device
 * @iova: first IOVA, of any alignment
 * @data: kernel memory
 * @len: bytes
 * @write: copy from @data, else to it
 *
 * The memory need not be that of the caller's process, and the caller may be a kernel thread.
 *
 * Return: 0, or as iommufd_access_rw().
 */
int vfio_emulated_dma_rw(struct vfio_device *device, dma_addr_t iova, void *data, size_t len, bool write)
{
	return iommufd_access_rw(device->iommufd_access, iova, data, len, write ? IOMMUFD_ACCESS_WRITE : 0);
}

/**
 * vfio_dma_lookup() - Where does an address of an emulated device lie in the process that mapped it?
 * @device: open device
 * @iova: the IOVA
 * @to: out: the answer, valid until the driver's dma_forget is told of a range with @iova in it
 *
 * A driver that shadows what its guest has in memory finds with this the memory slots of a virtual machine, which are
 * made of addresses of the process. See iommufd_access_lookup() for the rules.
 *
 * Return: 0; -EOPNOTSUPP if the driver has no dma_forget, if the device is not in the hands of an iommufd, or if what
 * is mapped there has no address in a process; -ENOENT if nothing is mapped there or the device is not attached;
 * -EINTR.
 */
int vfio_dma_lookup(struct vfio_device *device, dma_addr_t iova, struct iommufd_user_address *to)
{
	if (!device->ops->dma_forget || !device->iommufd_access)
		return -EOPNOTSUPP;
	return iommufd_access_lookup(device->iommufd_access, iova, to);
}
EXPORT_SYMBOL_GPL(vfio_dma_lookup);
