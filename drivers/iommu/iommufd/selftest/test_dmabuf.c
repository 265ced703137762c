// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_dmabuf - dma-bufs of ordinary memory, which their exporter can take back
 *
 * They stand in for the memory of a device: one physical range that is there until it is revoked. A process may map
 * one as well, so that tests can compare where an IOMMU leads to; that view is not taken back.
 *
 * Locking: the reservation lock of a dma-buf covers whether it is revoked.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "test_ops.h"

#define MAX_PAGES 512

/**
 * struct test_dmabuf - What is behind a dma-buf
 * @memory: physically contiguous, of the size of the dma-buf
 * @length: its size, bytes
 * @revoked: no device may use it now
 */
struct test_dmabuf {
	void *memory;
	size_t length;
	bool revoked;
};

/* With these two, an importer that can be told gets no mapping that it did not ask for */
static int test_dmabuf_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static void test_dmabuf_unpin(struct dma_buf_attachment *attach)
{
}

/* There is no device that could use a mapping of the DMA API */
static struct sg_table *test_dmabuf_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void test_dmabuf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt, enum dma_data_direction dir)
{
}

static int test_dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct test_dmabuf *buf = dmabuf->priv;
	void *memory = buf->memory + vma->vm_pgoff * PAGE_SIZE;
	unsigned long uaddr;
	int rc;

	for (uaddr = vma->vm_start; uaddr < vma->vm_end; uaddr += PAGE_SIZE) {
		rc = vm_insert_page(vma, uaddr, virt_to_page(memory));
		if (rc)
			return rc;
		memory += PAGE_SIZE;
	}
	return 0;
}

static void test_dmabuf_free(struct test_dmabuf *buf)
{
	free_pages_exact(buf->memory, buf->length);
	kfree(buf);
}

static void test_dmabuf_release(struct dma_buf *dmabuf)
{
	test_dmabuf_free(dmabuf->priv);
}

static const struct dma_buf_ops test_dmabuf_ops = {
	.pin = test_dmabuf_pin,
	.unpin = test_dmabuf_unpin,
	.map_dma_buf = test_dmabuf_map,
	.unmap_dma_buf = test_dmabuf_unmap,
	.mmap = test_dmabuf_mmap,
	.release = test_dmabuf_release,
};

static int test_dmabuf_phys(struct dma_buf *dmabuf, phys_addr_t *start, size_t *length)
{
	struct test_dmabuf *buf = dmabuf->priv;

	dma_resv_assert_held(dmabuf->resv);
	if (buf->revoked)
		return -ENODEV;
	*start = virt_to_phys(buf->memory);
	*length = buf->length;
	return 0;
}

static struct iommufd_dmabuf_exporter exporter = {
	.ops = &test_dmabuf_ops,
	.phys = test_dmabuf_phys,
};

/**
 * iommufd_test_dmabuf_init() - Let our dma-bufs be mapped
 *
 * Return: 0, or -errno.
 */
int iommufd_test_dmabuf_init(void)
{
	return iommufd_dmabuf_exporter_add(&exporter);
}

/**
 * iommufd_test_dmabuf_exit() - Undo iommufd_test_dmabuf_init(); no dma-buf was made
 */
void iommufd_test_dmabuf_exit(void)
{
	iommufd_dmabuf_exporter_remove(&exporter);
}

static struct dma_buf *test_dmabuf_export(size_t length)
{
	struct test_dmabuf *buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;

	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->length = length;
	buf->memory = alloc_pages_exact(length, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!buf->memory) {
		kfree(buf);
		return ERR_PTR(-ENOMEM);
	}
	info.ops = &test_dmabuf_ops;
	info.size = length;
	info.flags = O_RDWR;
	info.priv = buf;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf))
		test_dmabuf_free(buf);
	return dmabuf;
}

/**
 * iommufd_test_dmabuf_get() - Make a dma-buf of zeros
 * @ucmd: struct iommu_test_cmd, dmabuf_get
 *
 * Return: a file descriptor for it; -EINVAL for a length of 0 or above 2 MiB, or a flag that is not O_CLOEXEC; -ENOMEM;
 * -EMFILE.
 */
int iommufd_test_dmabuf_get(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 length = PAGE_ALIGN((u64)cmd->dmabuf_get.length);
	struct dma_buf *dmabuf;
	int fd;

	if (!length || length > MAX_PAGES * PAGE_SIZE || (cmd->dmabuf_get.open_flags & ~O_CLOEXEC))
		return -EINVAL;
	dmabuf = test_dmabuf_export(length);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = dma_buf_fd(dmabuf, cmd->dmabuf_get.open_flags);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

/**
 * iommufd_test_dmabuf_revoke() - Take a dma-buf back, or offer it again
 * @ucmd: struct iommu_test_cmd, dmabuf_revoke
 *
 * Either way whoever uses it is told to stop, now.
 *
 * Return: 0; -EBADF if no file is open there; -EINVAL if it is no dma-buf; -EOPNOTSUPP if it is not one of ours.
 */
int iommufd_test_dmabuf_revoke(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct dma_buf *dmabuf = dma_buf_get(cmd->dmabuf_revoke.dmabuf_fd);
	struct test_dmabuf *buf;
	int rc = -EOPNOTSUPP;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (dmabuf->ops == &test_dmabuf_ops) {
		buf = dmabuf->priv;
		dma_resv_lock(dmabuf->resv, NULL);
		buf->revoked = cmd->dmabuf_revoke.revoked;
		dma_buf_move_notify(dmabuf);
		dma_resv_unlock(dmabuf->resv);
		rc = 0;
	}
	dma_buf_put(dmabuf);
	return rc;
}
