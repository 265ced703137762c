/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_DMABUF_H
#define __IOMMUFD_PIN_DMABUF_H

#include <linux/list.h>
#include <linux/types.h>

struct dma_buf;
struct dma_buf_attachment;

/**
 * struct pin_dmabuf - A part of a dma-buf, for as long as its exporter allows
 * @dmabuf: the buffer; its reservation lock covers @users and @revoked
 * @attach: through which the exporter tells
 * @pfn: first page frame of the part
 * @users: struct pin_dmabuf_user, all who let a device at it
 * @revoked: nobody may any more; stays so
 */
struct pin_dmabuf {
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	unsigned long pfn;
	struct list_head users;
	bool revoked;
};

/**
 * struct pin_dmabuf_user - One who lets a device at a dma-buf
 * @entry: in pin_dmabuf->users
 * @revoke: called with the reservation lock held, after the entry was taken out: when it returns no device may reach
 *	    the buffer through this user
 */
struct pin_dmabuf_user {
	struct list_head entry;
	void (*revoke)(struct pin_dmabuf_user *user);
};

struct dma_buf *pin_dmabuf_find(unsigned long uaddr, unsigned long npages, bool writable, unsigned long *first);
struct pin_dmabuf *pin_dmabuf_open(struct dma_buf *dmabuf, unsigned long first, unsigned long npages);
void pin_dmabuf_close(struct pin_dmabuf *d);
void pin_dmabuf_lock(struct pin_dmabuf *d);
void pin_dmabuf_unlock(struct pin_dmabuf *d);

#endif
