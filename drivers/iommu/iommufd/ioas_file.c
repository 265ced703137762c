// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_file - mapping what a file descriptor stands for
 *
 * The memory needs no process: it does not matter who maps the file, and it stays when the descriptor is closed. What
 * the descriptor of a memory file allows its holder is what a device is allowed. A dma-buf is the memory of another
 * device, which takes it back when it has to; how its descriptor was opened says nothing about DMA.
 *
 * This file does not know page tables or devices.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <uapi/linux/iommufd.h>

#include "ioas.h"
#include "ioas_file.h"
#include "pinned.h"

static struct pinned *open_source(struct iommufd_ctx *ictx, struct iommu_ioas_map_file *cmd)
{
	unsigned long first = cmd->start >> PAGE_SHIFT;
	unsigned long last = (cmd->start + cmd->length - 1) >> PAGE_SHIFT;
	bool writable = cmd->flags & IOMMU_IOAS_MAP_WRITEABLE;
	struct dma_buf *dmabuf = dma_buf_get(cmd->fd);
	struct pin_payer *payer;
	struct pinned *p;
	struct file *file;

	if (!IS_ERR(dmabuf)) {
		p = pinned_alloc_dmabuf(dmabuf, first, last - first + 1, writable);
		dma_buf_put(dmabuf);
		return p;
	}
	file = fget(cmd->fd);
	if (!file)
		return ERR_PTR(-EBADF);
	payer = iommufd_ctx_payer(ictx);
	p = IS_ERR(payer) ? ERR_CAST(payer) : pinned_alloc_file(file, first, last - first + 1, writable, payer);
	fput(file);
	return p;
}

static int map_file(struct iommufd_ucmd *ucmd, struct iommufd_ioas *ioas)
{
	struct iommu_ioas_map_file *cmd = ucmd->cmd;
	struct pinned *p;
	u64 end;

	if (!cmd->length)
		return -EINVAL;
	if (check_add_overflow(cmd->start, cmd->length, &end))
		return -EOVERFLOW;
	p = open_source(ucmd->ictx, cmd);
	if (IS_ERR(p))
		return PTR_ERR(p);
	return iommufd_map_pinned(ucmd, sizeof(*cmd), ioas, p, offset_in_page(cmd->start), cmd->length, cmd->flags,
				  cmd->start, &cmd->iova, ioas_map_has_domain(&ioas->map));
}

/**
 * iommufd_ioctl_ioas_map_file() - IOMMU_IOAS_MAP_FILE
 * @ucmd: struct iommu_ioas_map_file
 *
 * Whether the file is as long as that is found out when its pages are pinned, at once if the IOAS has a page table.
 *
 * Return: 0; -EOPNOTSUPP for unknown flags; -EOVERFLOW if a range wraps; -EINVAL for a length of 0, neither reading
 * nor writing, a file that is no memory file or is too short, a misaligned or reserved range; -ENOENT; -EBADF; -EPERM
 * if the descriptor does not allow it; for a dma-buf -EOPNOTSUPP if its driver does not take part, -ENODEV if it is
 * revoked; -EEXIST; -ENOSPC; -ENOMEM (also: over the limit); -EFAULT; -EINTR.
 */
int iommufd_ioctl_ioas_map_file(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_map_file *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	int rc;

	rc = iommufd_map_flags_check(cmd->flags, cmd->iova, cmd->length);
	if (rc)
		return rc;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = map_file(ucmd, ioas);
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
	return rc;
}
