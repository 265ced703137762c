// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_pci_dmabuf - BARs that other devices may reach
 *
 * A part of the BARs of an open device becomes a dma-buf, and iommufd maps that into I/O address spaces. It is made on
 * request (VFIO_DEVICE_FEATURE_DMA_BUF), for a process that wants a descriptor; or by iommufd, when a process maps the
 * address at which it sees a BAR.
 *
 * An access to a BAR that does not answer is an error on the bus, and what answers there after the device is gone may
 * be somebody else. So whoever reaches a buffer is stopped before a reset, before memory decoding is switched off,
 * before the device sleeps and before it is closed, in the places where user space loses its mappings of the BARs too.
 * When the BARs answer again the buffer can be mapped again; what was mapped before stays dead. Once the device was
 * closed a buffer is dead for good.
 *
 * A buffer does not keep its device open, and not even registered: it is in a list of the device, which gives it up
 * when it is closed. So it does not matter how long somebody keeps the descriptor, nor whether that somebody is an
 * iommufd which the device is bound to.
 *
 * A buffer is a file, and one that has no descriptor counts against no limit of files. So all that is mapped by address
 * of one BAR shares one buffer, which stays until the device is closed; only the parts that are mapped are many.
 *
 * Virtual functions: a reset of the physical function resets them as well, and their buffers are not taken back for
 * that. They are not closed either, and processes keep their mappings of the BARs in Linux 6.1: who holds the physical
 * function is trusted with its virtual ones, and shares the token with their holders for that reason. To do better, the
 * reset would have to find the virtual functions that are open and hold off whatever they do that makes BARs answer.
 *
 * Locking: mmap_lock -> memory_lock -> lent_bars.lock -> reservation lock of a dma-buf. Whether the BARs answer changes
 * with memory_lock held for writing. iommufd asks where a buffer is with the reservation lock held, and so may not be
 * answered with the help of memory_lock. Devices share no lock here: what a user does to his own keeps nobody else
 * waiting.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfio_pci_dmabuf.h"
#include "vfio_pci_priv.h"

/**
 * struct lent_bars - What a device lends of its BARs
 * @refs: of the device, and of each of its buffers, which can outlive it
 * @lock: covers the rest
 * @buffers: struct bar_buffer, all that are not dead for good
 * @whole: the buffer that all mappings by address of a BAR share, with a reference; NULL before the first one
 */
struct lent_bars {
	refcount_t refs;
	struct mutex lock; /* of this device only */
	struct list_head buffers;
	struct dma_buf *whole[PCI_STD_NUM_BARS];
};

/**
 * struct bar_buffer - A part of a BAR as a dma-buf
 * @lent: the device's, with a reference
 * @entry: in @lent->buffers; in no list once the device was closed
 * @dmabuf: the dma-buf
 * @start: where it begins, page aligned
 * @length: bytes, page aligned
 * @scattered: it is not one range, so that @start does not tell all
 * @blocked: nobody may reach it now, under the reservation lock
 */
struct bar_buffer {
	struct lent_bars *lent;
	struct list_head entry;
	struct dma_buf *dmabuf;
	phys_addr_t start;
	size_t length;
	bool scattered;
	bool blocked;
};

static void lent_bars_put(struct lent_bars *lent)
{
	if (!refcount_dec_and_test(&lent->refs))
		return;
	mutex_destroy(&lent->lock);
	kfree(lent);
}

static bool bars_answer(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&vdev->memory_lock);
	return !vdev->pm_runtime_engaged && __vfio_pci_memory_enabled(vdev);
}

/* An importer that wants to keep the pages at their place would have to keep the device from being reset */
static int bar_buffer_pin(struct dma_buf_attachment *attach)
{
	return -EOPNOTSUPP;
}

static void bar_buffer_unpin(struct dma_buf_attachment *attach)
{
}

/* For addresses of the DMA API, Linux 6.1 wants a struct page behind the memory of a device: here is none */
static struct sg_table *bar_buffer_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void bar_buffer_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt, enum dma_data_direction dir)
{
}

static void bar_buffer_release(struct dma_buf *dmabuf)
{
	struct bar_buffer *buffer = dmabuf->priv;
	struct lent_bars *lent = buffer->lent;

	mutex_lock(&lent->lock);
	list_del(&buffer->entry);
	mutex_unlock(&lent->lock);
	kfree(buffer);
	lent_bars_put(lent);
}

static const struct dma_buf_ops bar_buffer_ops = {
	.pin = bar_buffer_pin,
	.unpin = bar_buffer_unpin,
	.map_dma_buf = bar_buffer_map,
	.unmap_dma_buf = bar_buffer_unmap,
	.release = bar_buffer_release,
};

/*
 * What must be held to make a buffer: until it is in the list, nothing may change that would have to change it. The
 * caller sees to it that the device is not closed.
 */
static void lock_to_lend(struct vfio_pci_core_device *vdev)
{
	down_read(&vdev->memory_lock);
	mutex_lock(&vdev->lent_bars->lock);
}

static void unlock_to_lend(struct vfio_pci_core_device *vdev)
{
	mutex_unlock(&vdev->lent_bars->lock);
	up_read(&vdev->memory_lock);
}

/* Make @buffer, whose place is filled in and which is taken over, a dma-buf with one reference, or give an ERR_PTR. */
static struct dma_buf *export_buffer(struct vfio_pci_core_device *vdev, struct bar_buffer *buffer, int open_flags)
{
	struct lent_bars *lent = vdev->lent_bars;
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;

	lockdep_assert_held(&lent->lock);
	info.ops = &bar_buffer_ops;
	info.size = buffer->length;
	info.flags = open_flags;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		kfree(buffer);
		return dmabuf;
	}
	refcount_inc(&lent->refs);
	buffer->lent = lent;
	buffer->dmabuf = dmabuf;
	buffer->blocked = !bars_answer(vdev);
	list_add(&buffer->entry, &lent->buffers);
	return dmabuf;
}

/* ---- for iommufd ---- */

static int bar_buffer_phys(struct dma_buf *dmabuf, phys_addr_t *start, size_t *length)
{
	struct bar_buffer *buffer = dmabuf->priv;

	dma_resv_assert_held(dmabuf->resv);
	if (buffer->scattered)
		return -EOPNOTSUPP;
	if (buffer->blocked)
		return -ENODEV;
	*start = buffer->start;
	*length = buffer->length;
	return 0;
}

/* The BAR of a page that a process has mapped. No other one begins in its last page, however short it is. */
static int bar_of_pfn(struct vfio_pci_core_device *vdev, unsigned long pfn)
{
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		struct resource *res = &vdev->pdev->resource[bar];

		if (vdev->bar_mmap_supported[bar] && PFN_PHYS(pfn) >= res->start && PFN_PHYS(pfn) <= res->end)
			return bar;
	}
	return -EFAULT;
}

/* Returns it with a reference for the caller. */
static struct dma_buf *whole_bar(struct vfio_pci_core_device *vdev, int bar)
{
	struct dma_buf **whole = &vdev->lent_bars->whole[bar];
	struct bar_buffer *buffer;
	struct dma_buf *dmabuf;

	lockdep_assert_held(&vdev->lent_bars->lock);
	if (!*whole) {
		buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
		if (!buffer)
			return ERR_PTR(-ENOMEM);
		buffer->start = pci_resource_start(vdev->pdev, bar);
		buffer->length = PAGE_ALIGN(pci_resource_len(vdev->pdev, bar));
		dmabuf = export_buffer(vdev, buffer, O_RDWR);
		if (IS_ERR(dmabuf))
			return dmabuf;
		*whole = dmabuf;
	}
	get_dma_buf(*whole);
	return *whole;
}

static struct dma_buf *bar_buffer_of_mapping(void *private, unsigned long pfn, unsigned long *first)
{
	struct vfio_pci_core_device *vdev = private;
	int bar = bar_of_pfn(vdev, pfn);
	struct dma_buf *dmabuf;

	if (bar < 0)
		return ERR_PTR(bar);
	*first = pfn - PHYS_PFN(pci_resource_start(vdev->pdev, bar));
	lock_to_lend(vdev);
	dmabuf = whole_bar(vdev, bar);
	unlock_to_lend(vdev);
	return dmabuf;
}

static struct iommufd_dmabuf_exporter exporter = {
	.ops = &bar_buffer_ops,
	.phys = bar_buffer_phys,
	.vm_ops = &vfio_pci_mmap_ops,
	.of_mapping = bar_buffer_of_mapping,
};

/**
 * vfio_pci_bars_init() - Let iommufd map BARs
 *
 * Return: 0, or -errno.
 */
int vfio_pci_bars_init(void)
{
	return iommufd_dmabuf_exporter_add(&exporter);
}

/**
 * vfio_pci_bars_exit() - Undo vfio_pci_bars_init()
 */
void vfio_pci_bars_exit(void)
{
	iommufd_dmabuf_exporter_remove(&exporter);
}

/* ---- on request ---- */

/*
 * Read the ranges one by one and find out what they make together. They are whole pages, as with mmap: what lies
 * behind a BAR that is smaller than a page belongs to nobody else. All of them are not longer than the BAR, which also
 * limits how many there can be.
 */
static int read_ranges(struct vfio_pci_core_device *vdev, const struct vfio_device_feature_dma_buf *request,
		       struct vfio_region_dma_range __user *ranges, struct bar_buffer *buffer)
{
	u64 bar_length = PAGE_ALIGN(pci_resource_len(vdev->pdev, request->region_index));
	struct vfio_region_dma_range range;
	u64 next = 0;
	u32 i;

	for (i = 0; i < request->nr_ranges; i++) {
		if (copy_from_user(&range, &ranges[i], sizeof(range)))
			return -EFAULT;
		if (!range.length || !PAGE_ALIGNED(range.offset | range.length))
			return -EINVAL;
		if (range.offset >= bar_length || range.length > bar_length - range.offset ||
		    range.length > bar_length - buffer->length)
			return -EINVAL;
		if (!i)
			buffer->start = pci_resource_start(vdev->pdev, request->region_index) + range.offset;
		else if (range.offset != next)
			buffer->scattered = true;
		next = range.offset + range.length;
		buffer->length += range.length;
	}
	return 0;
}

static int check_request(struct vfio_pci_core_device *vdev, const struct vfio_device_feature_dma_buf *request,
			 size_t argsz)
{
	if (request->flags || (request->open_flags & ~(O_CLOEXEC | O_ACCMODE)) || !request->nr_ranges)
		return -EINVAL;
	if (argsz < struct_size(request, dma_ranges, request->nr_ranges))
		return -EINVAL;
	if (request->region_index >= VFIO_PCI_ROM_REGION_INDEX || !vdev->bar_mmap_supported[request->region_index])
		return -EINVAL;
	return 0;
}

/**
 * vfio_pci_bars_export() - VFIO_DEVICE_FEATURE_DMA_BUF
 * @device: open device
 * @flags: of struct vfio_device_feature
 * @arg: user's struct vfio_device_feature_dma_buf
 * @argsz: room for it, bytes
 *
 * Makes a dma-buf of a part of a memory BAR that a process may map: whole pages, also behind a BAR that is smaller
 * than one. Ranges that lie side by side are one; iommufd refuses a buffer of several (-EOPNOTSUPP of
 * IOMMU_IOAS_MAP_FILE). While the BARs do not answer, nobody can map the buffer (-ENODEV), and with the device closed
 * never again. Other importers of dma-bufs find that it can be neither mapped nor pinned, -EOPNOTSUPP.
 *
 * Return: a file descriptor, or 0 for a probe; -ENOTTY if the driver lets processes map less than the whole of each
 * BAR; -EINVAL for SET, an argsz that is too short for the ranges, flags, flags of open() other than O_CLOEXEC and the
 * access mode, a region that is no such BAR, no range, a range that is empty, not of whole pages or not within the
 * BAR, or ranges that are longer than the BAR together; -EFAULT; -EBUSY if somebody else uses the BAR; -ENOMEM;
 * -EMFILE; -ENFILE.
 */
int vfio_pci_bars_export(struct vfio_device *device, u32 flags, void __user *arg, size_t argsz)
{
	struct vfio_pci_core_device *vdev = container_of(device, struct vfio_pci_core_device, vdev);
	struct vfio_device_feature_dma_buf __user *urequest = arg;
	struct vfio_device_feature_dma_buf request;
	struct bar_buffer *buffer;
	struct dma_buf *dmabuf;
	int rc, fd;

	/* Only its own mmap knows what such a driver keeps for itself */
	if (device->ops->mmap != vfio_pci_core_mmap)
		return -ENOTTY;
	rc = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(request));
	if (rc != 1)
		return rc;
	if (copy_from_user(&request, urequest, sizeof(request)))
		return -EFAULT;
	rc = check_request(vdev, &request, argsz);
	if (rc)
		return rc;

	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return -ENOMEM;
	rc = read_ranges(vdev, &request, urequest->dma_ranges, buffer);
	if (!rc)
		rc = vfio_pci_setup_barmap(vdev, request.region_index);
	if (rc) {
		kfree(buffer);
		return rc;
	}
	lock_to_lend(vdev);
	dmabuf = export_buffer(vdev, buffer, request.open_flags);
	unlock_to_lend(vdev);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = dma_buf_fd(dmabuf, request.open_flags);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

/* ---- what happens to the device ---- */

static void set_blocked(struct lent_bars *lent, bool blocked)
{
	struct bar_buffer *buffer;

	lockdep_assert_held(&lent->lock);
	/* One that is being released waits for the lock to leave the list, and its dma-buf is there till then */
	list_for_each_entry(buffer, &lent->buffers, entry) {
		dma_resv_lock(buffer->dmabuf->resv, NULL);
		buffer->blocked = blocked;
		if (blocked)
			dma_buf_move_notify(buffer->dmabuf);
		dma_resv_unlock(buffer->dmabuf->resv);
		/* A user can have as many of them as files */
		cond_resched();
	}
}

/**
 * vfio_pci_bars_create() - Prepare a device for lending its BARs
 * @vdev: device that nobody can open yet
 *
 * Return: 0, or -ENOMEM.
 */
int vfio_pci_bars_create(struct vfio_pci_core_device *vdev)
{
	struct lent_bars *lent = kzalloc(sizeof(*lent), GFP_KERNEL);

	if (!lent)
		return -ENOMEM;
	refcount_set(&lent->refs, 1);
	mutex_init(&lent->lock);
	INIT_LIST_HEAD(&lent->buffers);
	vdev->lent_bars = lent;
	return 0;
}

/**
 * vfio_pci_bars_destroy() - Undo vfio_pci_bars_create()
 * @vdev: device that nobody can open any more; dead buffers of it may be left
 */
void vfio_pci_bars_destroy(struct vfio_pci_core_device *vdev)
{
	lent_bars_put(vdev->lent_bars);
}

/**
 * vfio_pci_bars_block() - The BARs are about to stop answering
 * @vdev: device, memory_lock held for writing
 *
 * When this returns no other device reaches them any more. Those of virtual functions of @vdev are not concerned.
 */
void vfio_pci_bars_block(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held_write(&vdev->memory_lock);
	mutex_lock(&vdev->lent_bars->lock);
	set_blocked(vdev->lent_bars, true);
	mutex_unlock(&vdev->lent_bars->lock);
}

/**
 * vfio_pci_bars_resume() - The BARs may answer again
 * @vdev: device, memory_lock held for writing
 *
 * If they do, they can be mapped anew.
 */
void vfio_pci_bars_resume(struct vfio_pci_core_device *vdev)
{
	struct lent_bars *lent = vdev->lent_bars;

	lockdep_assert_held_write(&vdev->memory_lock);
	mutex_lock(&lent->lock);
	/* Only a device that is open has a configuration to look at, and only such a device has buffers */
	if (!list_empty(&lent->buffers) && bars_answer(vdev))
		set_blocked(lent, false);
	mutex_unlock(&lent->lock);
}

/**
 * vfio_pci_bars_close() - Give up all buffers of a device, for good
 * @vdev: device that is being closed; it can make no new ones
 */
void vfio_pci_bars_close(struct vfio_pci_core_device *vdev)
{
	struct lent_bars *lent = vdev->lent_bars;
	struct dma_buf *whole[PCI_STD_NUM_BARS];
	struct bar_buffer *buffer, *next;
	int bar;

	mutex_lock(&lent->lock);
	set_blocked(lent, true);
	list_for_each_entry_safe(buffer, next, &lent->buffers, entry)
		list_del_init(&buffer->entry);
	memcpy(whole, lent->whole, sizeof(whole));
	memset(lent->whole, 0, sizeof(lent->whole));
	mutex_unlock(&lent->lock);

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (whole[bar])
			dma_buf_put(whole[bar]);
}

MODULE_IMPORT_NS(DMA_BUF);
