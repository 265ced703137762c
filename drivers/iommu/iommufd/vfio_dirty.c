// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_dirty - a VFIO container's log of dirty pages
 *
 * The user starts the log, and reads it by range, or together with an unmap. One bit stands for a page of PAGE_SIZE,
 * and the bits of the whole range are written, also where nothing is mapped. The errors are those of VFIO's own
 * container.
 *
 * This file does not know which IOAS is the container's.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/uaccess.h>

#include "ioas_dirty.h"
#include "ioas_map.h"
#include "vfio_dirty.h"

/* Whole words, as in VFIO's own container */
static u64 bitmap_bytes(u64 npages)
{
	return DIV_ROUND_UP_ULL(npages, 64) * sizeof(u64);
}

/**
 * vfio_dirty_check_range() - Decide whether the log of a range can be read
 * @range: with @range->map and @range->bitmap, as the user gave it; gets the addresses
 * @iova: first IOVA
 * @size: bytes
 *
 * Return: 0; -EINVAL if the range is empty, wraps, or is no whole pages; if the bitmap is too short, too long or in
 * an impossible place; if its page size is not PAGE_SIZE; if the log was not started, or a mapping reaches out of the
 * range; -EINTR.
 */
int vfio_dirty_check_range(struct vfio_dirty_range *range, u64 iova, u64 size)
{
	const struct vfio_bitmap *bitmap = &range->bitmap;

	if (bitmap->pgsize != PAGE_SIZE || !size || ((iova | size) & ~PAGE_MASK))
		return -EINVAL;
	range->start = iova;
	if (check_add_overflow(range->start, (unsigned long)size - 1, &range->last))
		return -EINVAL;
	if (bitmap->size > VFIO_DIRTY_BITMAP_MAX || bitmap->size < bitmap_bytes(size >> PAGE_SHIFT))
		return -EINVAL;
	if (!access_ok((void __user *)bitmap->data, bitmap->size))
		return -EINVAL;
	return ioas_dirty_check(range->map, range->start, range->last);
}

/**
 * vfio_dirty_tell() - Write the bits of a range to the user
 * @range: checked
 * @take: the next time is about what comes from now on
 *
 * Return: 0, -EFAULT, -ENOMEM, -EINTR; -EINVAL if the log was stopped.
 */
int vfio_dirty_tell(struct vfio_dirty_range *range, bool take)
{
	void __user *data = (void __user *)range->bitmap.data;
	unsigned long npages = (range->last - range->start) / PAGE_SIZE + 1;
	unsigned long start = range->start;
	unsigned long *bits, count;
	int rc = 0;

	bits = (unsigned long *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!bits)
		return -ENOMEM;
	for (; npages && !rc; npages -= count) {
		count = min(npages, IOAS_DIRTY_WINDOW);
		memset(bits, 0, bitmap_bytes(count));
		rc = ioas_dirty_look(range->map, start, start + (count * PAGE_SIZE - 1), take, bits);
		if (!rc && copy_to_user(data, bits, bitmap_bytes(count))) {
			if (take)
				ioas_dirty_give_back(range->map, start, count, bits);
			rc = -EFAULT;
		}
		data += bitmap_bytes(count);
		start += count * PAGE_SIZE;
		cond_resched();
	}
	free_page((unsigned long)bits);
	return rc;
}

static int get_bitmap(struct ioas_map *map, void __user *arg, u32 argsz)
{
	struct vfio_iommu_type1_dirty_bitmap_get get;
	struct vfio_dirty_range range = { .map = map };
	int rc;

	if (argsz < sizeof(struct vfio_iommu_type1_dirty_bitmap) + sizeof(get))
		return -EINVAL;
	if (copy_from_user(&get, arg + sizeof(struct vfio_iommu_type1_dirty_bitmap), sizeof(get)))
		return -EFAULT;
	range.bitmap = get.bitmap;
	rc = vfio_dirty_check_range(&range, get.iova, get.size);
	return rc ?: vfio_dirty_tell(&range, true);
}

/**
 * vfio_dirty_pages() - VFIO_IOMMU_DIRTY_PAGES
 * @map: IOAS
 * @arg: user's struct vfio_iommu_type1_dirty_bitmap
 *
 * Return: 0; -EACCES for a type1 of the first version, whose mappings have no bounds; -EINVAL for a structure that is
 * too short, and flags that are not exactly one known one; -EFAULT, -ENOMEM, -EINTR; and as vfio_dirty_check_range().
 */
int vfio_dirty_pages(struct ioas_map *map, void __user *arg)
{
	struct vfio_iommu_type1_dirty_bitmap cmd;

	if (!READ_ONCE(map->huge_pages))
		return -EACCES;
	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.argsz < sizeof(cmd))
		return -EINVAL;
	switch (cmd.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		return ioas_dirty_start(map);
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		ioas_dirty_stop(map);
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return get_bitmap(map, arg, cmd.argsz);
	default:
		return -EINVAL;
	}
}
