/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side of /dev/iommu: what a device driver calls that hands its device to user space.
 *
 * The order of a device's life is bind, then any number of attach and detach, then unbind. A driver calls these from
 * its own file operations; none of them may be called from interrupt context, and no caller may hold mmap_lock. A
 * device that does its DMA in software (an mdev) uses an access instead: create, attach, then pin pages or copy,
 * destroy.
 */
#ifndef __LINUX_IOMMUFD_H
#define __LINUX_IOMMUFD_H

#include <linux/bits.h>
#include <linux/ioasid.h>
#include <linux/types.h>

struct device;
struct dma_buf;
struct dma_buf_ops;
struct file;
struct inode;
struct iommu_group;
struct iommufd_access;
struct iommufd_ctx;
struct iommufd_device;
struct iommufd_noiommu;
struct mm_struct;
struct page;
struct seq_file;

/**
 * typedef iommufd_report_fn - Told which page table an attach is going to use
 * @data: what the caller of the attach passed on
 * @pt_id: id of the page table
 *
 * Called before anything changes for the device, so that a result which cannot be delivered leaves the old attachment
 * as it was. It may sleep and may copy to user space. It may be called more than once in one attach, each time with the
 * page table that is tried next.
 *
 * Return: 0, or -errno to give the attach up.
 */
typedef int (*iommufd_report_fn)(void *data, u32 pt_id);

struct iommufd_ctx *iommufd_ctx_from_file(struct file *file);
struct iommufd_ctx *iommufd_ctx_from_fd(int fd);
void iommufd_ctx_get(struct iommufd_ctx *ictx);
void iommufd_ctx_put(struct iommufd_ctx *ictx);

struct iommufd_device *iommufd_device_bind(struct iommufd_ctx *ictx, struct device *dev);
void iommufd_device_unbind(struct iommufd_device *idev);
u32 iommufd_device_id(struct iommufd_device *idev);
u32 iommufd_device_max_pasids(struct iommufd_device *idev);
bool iommufd_device_coherent(struct device *dev);
bool iommufd_ctx_owns_group(struct iommufd_ctx *ictx, struct iommu_group *group);

/* In place of a PASID: the requests that carry none. It is not a PASID that can be attached. */
#define IOMMUFD_NO_PASID	0U

/* How iommufd_device_attach() treats a device that is or is not attached already. With neither it takes both. */
#define IOMMUFD_ATTACH_FIRST	BIT(0)	/* refuse one that is */
#define IOMMUFD_ATTACH_REPLACE	BIT(1)	/* refuse one that is not */

int iommufd_device_attach(struct iommufd_device *idev, ioasid_t pasid, u32 pt_id, unsigned int how,
			  iommufd_report_fn report, void *data);
void iommufd_device_detach(struct iommufd_device *idev, ioasid_t pasid);

int iommufd_vfio_compat_ioas(struct iommufd_ctx *ictx, u32 *ioas_id);
int iommufd_vfio_compat_enter(struct iommufd_ctx *ictx, bool noiommu);
void iommufd_vfio_compat_leave(struct iommufd_ctx *ictx);
int iommufd_open_as_container(struct inode *inode, struct file *file);

/**
 * struct iommufd_access_ops - How an emulated device is told that memory goes
 * @unmap: [@iova, @last], inclusive, goes. When this returns, the device must have given back every page that it pinned
 *	   there. It may sleep, take the lock that the device holds around pinning, and unpin; it may not attach, detach
 *	   or destroy the access, and nobody may do so who holds a lock that it takes. Ranges in which the device has
 *	   pinned nothing may be told as well, and all are once an address was looked up. A device without this
 *	   operation may copy, but not pin or look up.
 */
struct iommufd_access_ops {
	void (*unmap)(void *data, unsigned long iova, unsigned long last);
};

/* What iommufd_access_pin_pages() and iommufd_access_rw() are asked for */
#define IOMMUFD_ACCESS_WRITE	BIT(0)	/* memory is going to be written; otherwise it is read */
#define IOMMUFD_ACCESS_REMOTE	BIT(1)	/* treat memory as that of another process, although it is the caller's */
#define IOMMUFD_ACCESS_READ	BIT(2)	/* with WRITE: it is read as well */

/**
 * struct iommufd_user_address - Where an IOVA lies in a process
 * @mm: memory of the process that mapped it
 * @uaddr: address there, bytes
 * @length: bytes from there on for which this holds, 0 for all 2^64
 * @writable: mapped for writing by the device
 */
struct iommufd_user_address {
	struct mm_struct *mm;
	unsigned long uaddr;
	unsigned long length;
	bool writable;
};

struct iommufd_access *iommufd_access_create(struct iommufd_ctx *ictx, const struct iommufd_access_ops *ops,
					     void *data);
void iommufd_access_destroy(struct iommufd_access *access);
u32 iommufd_access_id(struct iommufd_access *access);
int iommufd_access_attach(struct iommufd_access *access, u32 ioas_id);
int iommufd_access_detach(struct iommufd_access *access);
int iommufd_access_pin_pages(struct iommufd_access *access, unsigned long iova, unsigned long length,
			     struct page **pages, unsigned int flags);
void iommufd_access_unpin_pages(struct iommufd_access *access, unsigned long iova, unsigned long length);
bool iommufd_access_try_unpin(struct iommufd_access *access, unsigned long iova, unsigned long length);
unsigned int iommufd_access_next_pin(struct iommufd_access *access, unsigned long *iova, unsigned long *last);
int iommufd_access_lookup(struct iommufd_access *access, unsigned long iova, struct iommufd_user_address *to);
int iommufd_access_rw(struct iommufd_access *access, unsigned long iova, void *buf, size_t length, unsigned int flags);

/* A device without an IOMMU: what is mapped in its IOAS stays in its place, and is not translated */
struct iommufd_noiommu *iommufd_noiommu_bind(struct iommufd_ctx *ictx, struct device *dev, u32 *id);
void iommufd_noiommu_unbind(struct iommufd_noiommu *ndev);
int iommufd_noiommu_attach(struct iommufd_noiommu *ndev, u32 pt_id, iommufd_report_fn report, void *data);
void iommufd_noiommu_detach(struct iommufd_noiommu *ndev);

/**
 * struct iommufd_dmabuf_exporter - A driver whose dma-bufs are one physical range each, for IOMMU_IOAS_MAP_FILE
 *
 * Memory of a device that a process has mapped is mapped for DMA by its address, if its driver has a dma-buf of it.
 *
 * @ops: the operations by which its dma-bufs are known; with pin and unpin
 * @phys: where @dmabuf is and how long, bytes, page aligned. Called with the reservation lock held. Valid until the
 *	  driver calls dma_buf_move_notify(), and when that returns no device reaches the range any more.
 *	  Return: 0; -ENODEV while the buffer is revoked; -errno.
 * @vm_ops: the operations by which its mappings in processes are known, or NULL: it has no dma-buf of those. They are
 *	    VM_PFNMAP, and their vm_pgoff is the first page frame.
 * @of_mapping: give a reference on the dma-buf that a page frame in a mapping with @vm_ops is of, and what follows it
 *		there; @first: which page of it that is. Or an ERR_PTR. @private is the vm_private_data of the mapping,
 *		whose file is open meanwhile; no lock is held. A process can call this as often as it maps: all calls
 *		together are to make few dma-bufs, since these are files that count against no limit.
 * @entry: for iommufd
 */
struct iommufd_dmabuf_exporter {
	const struct dma_buf_ops *ops;
	int (*phys)(struct dma_buf *dmabuf, phys_addr_t *start, size_t *length);
	const struct vm_operations_struct *vm_ops;
	struct dma_buf *(*of_mapping)(void *private, unsigned long pfn, unsigned long *first);
	struct list_head entry;
};

/* What fdinfo of a context says of one device, for fdinfo of the device */
void iommufd_ctx_show(struct iommufd_ctx *ictx, struct seq_file *m);
void iommufd_device_show(struct iommufd_device *idev, struct seq_file *m);
void iommufd_access_show(struct iommufd_access *access, struct seq_file *m);
void iommufd_noiommu_show(struct iommufd_noiommu *ndev, struct seq_file *m);

int iommufd_dmabuf_exporter_add(struct iommufd_dmabuf_exporter *exporter);
void iommufd_dmabuf_exporter_remove(struct iommufd_dmabuf_exporter *exporter);

#endif
