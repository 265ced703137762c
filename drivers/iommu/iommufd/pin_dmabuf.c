// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_dmabuf - parts of dma-bufs: the memory of another device
 *
 * A dma-buf as such promises neither an address nor that there is one at all times. The drivers whose buffers are one
 * physical range register, and tell the range; other dma-bufs are refused. Such a driver takes its buffer back by
 * dma_buf_move_notify(). From then on the part is dead, also when the buffer becomes usable again: who wants it has
 * to open it anew.
 *
 * There is nothing to pin here, and there are no struct pages. Where a process has mapped the memory of a device, its
 * driver is asked for the dma-buf of it; then there is only one kind of such memory.
 *
 * Locking: the reservation lock of the dma-buf. It is taken inside fill_rwsem, and a notification comes with it held:
 * what a user's @revoke does must not need an outer lock.
 */
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/file.h>
#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "pin_dmabuf.h"

static LIST_HEAD(exporters);
static DEFINE_MUTEX(exporters_lock);

/* An attachment has a device. Which ones are going to reach the buffer is not known yet, and changes. */
static struct device importer = { .init_name = "iommufd" };

/**
 * iommufd_dmabuf_exporter_add() - Let dma-bufs of a driver be mapped
 * @exporter: filled in by the caller; stays until iommufd_dmabuf_exporter_remove()
 *
 * Return: 0, or -EINVAL if the buffers cannot tell that they move: @exporter->ops has no pin operation.
 */
int iommufd_dmabuf_exporter_add(struct iommufd_dmabuf_exporter *exporter)
{
	if (!exporter->ops->pin)
		return -EINVAL;
	mutex_lock(&exporters_lock);
	list_add(&exporter->entry, &exporters);
	mutex_unlock(&exporters_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(iommufd_dmabuf_exporter_add);

/**
 * iommufd_dmabuf_exporter_remove() - Undo iommufd_dmabuf_exporter_add()
 * @exporter: none of its dma-bufs is left, which the reference that each has on its module sees to
 */
void iommufd_dmabuf_exporter_remove(struct iommufd_dmabuf_exporter *exporter)
{
	mutex_lock(&exporters_lock);
	list_del(&exporter->entry);
	mutex_unlock(&exporters_lock);
}
EXPORT_SYMBOL_GPL(iommufd_dmabuf_exporter_remove);

/* Stays valid as long as the caller holds @dmabuf */
static struct iommufd_dmabuf_exporter *find_exporter(struct dma_buf *dmabuf)
{
	struct iommufd_dmabuf_exporter *exporter, *found = NULL;

	mutex_lock(&exporters_lock);
	list_for_each_entry(exporter, &exporters, entry)
		if (exporter->ops == dmabuf->ops)
			found = exporter;
	mutex_unlock(&exporters_lock);
	return found;
}

/*
 * What a mapping of device memory is known by outside mmap_lock. With its file open the device and the exporter stay,
 * even when the process unmaps it.
 */
struct device_mapping {
	struct iommufd_dmabuf_exporter *exporter;
	struct file *file;
	void *private;
	unsigned long pfn;
};

static struct iommufd_dmabuf_exporter *find_mapper(const struct vm_operations_struct *vm_ops)
{
	struct iommufd_dmabuf_exporter *exporter, *found = NULL;

	mutex_lock(&exporters_lock);
	list_for_each_entry(exporter, &exporters, entry)
		if (exporter->vm_ops == vm_ops)
			found = exporter;
	mutex_unlock(&exporters_lock);
	return found;
}

/* Memory of the process itself ends at the first question. Returns 1, or 0 if no exporter has mapped @uaddr. */
static int find_mapping(unsigned long uaddr, unsigned long npages, bool writable, struct device_mapping *m)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, uaddr);

	mmap_assert_locked(current->mm);
	if (!vma || !(vma->vm_flags & VM_PFNMAP) || !vma->vm_ops)
		return 0;
	m->exporter = find_mapper(vma->vm_ops);
	if (!m->exporter)
		return 0;
	if (npages > (vma->vm_end - uaddr) >> PAGE_SHIFT || !(vma->vm_flags & (writable ? VM_WRITE : VM_READ)))
		return -EFAULT;
	m->file = get_file(vma->vm_file);
	m->private = vma->vm_private_data;
	m->pfn = vma->vm_pgoff + ((uaddr - vma->vm_start) >> PAGE_SHIFT);
	return 1;
}

/**
 * pin_dmabuf_find() - Find the memory of a device behind addresses of the calling process
 * @uaddr: first address, page aligned
 * @npages: how many pages
 * @writable: a device may write to them
 * @first: out: page of the dma-buf that is at @uaddr
 *
 * Takes mmap_lock, for short.
 *
 * Return: a dma-buf that has these pages, referenced; NULL if no driver that registered has mapped @uaddr; or
 * ERR_PTR: -EFAULT if the mapping does not reach to the end of the range, or the process may not access it that way;
 * -EINTR; -ENOMEM and what else the driver says.
 */
struct dma_buf *pin_dmabuf_find(unsigned long uaddr, unsigned long npages, bool writable, unsigned long *first)
{
	struct device_mapping m;
	struct dma_buf *dmabuf;
	int rc;

	rc = mmap_read_lock_killable(current->mm);
	if (rc)
		return ERR_PTR(rc);
	rc = find_mapping(untagged_addr(uaddr), npages, writable, &m);
	mmap_read_unlock(current->mm);
	if (rc <= 0)
		return ERR_PTR(rc);

	dmabuf = m.exporter->of_mapping(m.private, m.pfn, first);
	fput(m.file);
	return dmabuf;
}

/* The exporter takes the buffer back, or moves it, with the reservation lock held */
static void move_notify(struct dma_buf_attachment *attach)
{
	struct pin_dmabuf *d = attach->importer_priv;
	struct pin_dmabuf_user *user, *next;

	dma_resv_assert_held(d->dmabuf->resv);
	d->revoked = true;
	list_for_each_entry_safe(user, next, &d->users, entry) {
		list_del(&user->entry);
		user->revoke(user);
	}
	/* A buffer can have as many parts as there is memory for */
	cond_resched();
}

static const struct dma_buf_attach_ops attach_ops = {
	.allow_peer2peer = true,
	.move_notify = move_notify,
};

static int find_pfn(struct pin_dmabuf *d, struct iommufd_dmabuf_exporter *exporter, unsigned long first,
		    unsigned long npages)
{
	phys_addr_t start;
	size_t length;
	int rc;

	rc = exporter->phys(d->dmabuf, &start, &length);
	if (rc)
		return rc;
	if (!PAGE_ALIGNED(start))
		return -EOPNOTSUPP;
	length >>= PAGE_SHIFT;
	if (first > length || npages > length - first)
		return -EINVAL;
	d->pfn = PHYS_PFN(start) + first;
	return 0;
}

/**
 * pin_dmabuf_open() - Open a part of a dma-buf
 * @dmabuf: the buffer; a reference is held until pin_dmabuf_close()
 * @first: first page of the part
 * @npages: how many pages
 *
 * Return: the part, or ERR_PTR: -EOPNOTSUPP if the buffer is not of a driver that registered, or not one physical
 * range; -ENODEV if it is revoked; -EINVAL if it is not that long; -ENOMEM.
 */
struct pin_dmabuf *pin_dmabuf_open(struct dma_buf *dmabuf, unsigned long first, unsigned long npages)
{
	struct iommufd_dmabuf_exporter *exporter = find_exporter(dmabuf);
	struct pin_dmabuf *d;
	int rc;

	if (!exporter)
		return ERR_PTR(-EOPNOTSUPP);
	d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	if (!d)
		return ERR_PTR(-ENOMEM);
	d->dmabuf = dmabuf;
	INIT_LIST_HEAD(&d->users);
	d->attach = dma_buf_dynamic_attach(dmabuf, &importer, &attach_ops, d);
	if (IS_ERR(d->attach)) {
		rc = PTR_ERR(d->attach);
		goto err_free;
	}
	get_dma_buf(dmabuf);

	pin_dmabuf_lock(d);
	rc = find_pfn(d, exporter, first, npages);
	pin_dmabuf_unlock(d);
	if (rc) {
		pin_dmabuf_close(d);
		return ERR_PTR(rc);
	}
	return d;

err_free:
	kfree(d);
	return ERR_PTR(rc);
}

/**
 * pin_dmabuf_close() - Let go of the buffer
 * @d: without users; the caller does not hold the reservation lock
 */
void pin_dmabuf_close(struct pin_dmabuf *d)
{
	WARN_ON(!list_empty(&d->users));
	dma_buf_detach(d->dmabuf, d->attach);
	dma_buf_put(d->dmabuf);
	kfree(d);
}

/**
 * pin_dmabuf_lock() - Keep the exporter from taking the buffer back
 * @d: the part
 */
void pin_dmabuf_lock(struct pin_dmabuf *d)
{
	dma_resv_lock(d->dmabuf->resv, NULL);
}

/**
 * pin_dmabuf_unlock() - Undo pin_dmabuf_lock()
 * @d: the part
 */
void pin_dmabuf_unlock(struct pin_dmabuf *d)
{
	dma_resv_unlock(d->dmabuf->resv);
}

MODULE_IMPORT_NS(DMA_BUF);
