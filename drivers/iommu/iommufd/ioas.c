// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas - the I/O address space as an object, and its ioctls
 *
 * Decodes what the user asks, lets ioas_map do it, and copies the result back before it becomes visible.
 *
 * This file does not know page tables or devices.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "ioas.h"
#include "itree_hole.h"
#include "pin_dmabuf.h"
#include "pinned.h"

static void ioas_object_destroy(struct iommufd_object *obj)
{
	struct iommufd_ioas *ioas = container_of(obj, struct iommufd_ioas, obj);

	WARN_ON(!list_empty(&ioas->auto_hwpts));
	ioas_map_destroy(&ioas->map);
	mutex_destroy(&ioas->auto_lock);
	kfree(ioas);
}

const struct iommufd_object_ops iommufd_ioas_ops = {
	.destroy = ioas_object_destroy,
	.user_destroy = true,
};

/**
 * iommufd_ioas_init() - Set up an empty IOAS
 * @ioas: zeroed structure
 */
void iommufd_ioas_init(struct iommufd_ioas *ioas)
{
	ioas_map_init(&ioas->map);
	mutex_init(&ioas->auto_lock);
	INIT_LIST_HEAD(&ioas->auto_hwpts);
}

/**
 * iommufd_ioas_reserve() - Keep a range of an IOAS from being used
 * @ioas: IOAS
 * @owner: for iommufd_ioas_unreserve()
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: 0; -EADDRINUSE if some of it is mapped or promised by IOMMU_IOAS_ALLOW_IOVAS; -ENOMEM.
 */
int iommufd_ioas_reserve(struct iommufd_ioas *ioas, const void *owner, unsigned long start, unsigned long last)
{
	int rc;

	down_write(&ioas->map.space.rwsem);
	rc = iova_space_reserve(&ioas->map.space, owner, start, last);
	up_write(&ioas->map.space.rwsem);
	return rc;
}

/**
 * iommufd_ioas_unreserve() - Drop all reservations of an owner
 * @ioas: IOAS
 * @owner: as in iommufd_ioas_reserve()
 */
void iommufd_ioas_unreserve(struct iommufd_ioas *ioas, const void *owner)
{
	down_write(&ioas->map.space.rwsem);
	iova_space_unreserve(&ioas->map.space, owner);
	up_write(&ioas->map.space.rwsem);
}

/**
 * iommufd_ioas_create() - Make an IOAS that nobody sees yet
 * @ictx: context
 *
 * Return: an IOAS for iommufd_object_publish(), or ERR_PTR(-ENOMEM).
 */
struct iommufd_ioas *iommufd_ioas_create(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas = kzalloc(sizeof(*ioas), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!ioas)
		return ERR_PTR(-ENOMEM);
	iommufd_ioas_init(ioas);
	rc = iommufd_object_reserve(&ictx->objs, &ioas->obj, &iommufd_ioas_ops);
	if (rc) {
		ioas_object_destroy(&ioas->obj);
		return ERR_PTR(rc);
	}
	return ioas;
}

/**
 * iommufd_ioctl_ioas_alloc() - IOMMU_IOAS_ALLOC
 * @ucmd: struct iommu_ioas_alloc
 *
 * Return: 0; -EOPNOTSUPP for flags; -ENOMEM; -EFAULT.
 */
int iommufd_ioctl_ioas_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_alloc *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	int rc;

	if (cmd->flags)
		return -EOPNOTSUPP;

	ioas = iommufd_ioas_create(ucmd->ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	cmd->out_ioas_id = ioas->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc) {
		iommufd_object_cancel(&ucmd->ictx->objs, &ioas->obj);
		ioas_object_destroy(&ioas->obj);
		return rc;
	}
	iommufd_object_publish(&ucmd->ictx->objs, &ioas->obj);
	return 0;
}

/**
 * iommufd_ioas_copy_ranges() - Tell user space which addresses are not reserved
 * @ioas: IOAS, held busy by the caller
 * @ranges: user's array; not touched if @capacity is 0
 * @capacity: entries in @ranges
 * @num: out: how many ranges there are; the first @capacity of them are copied
 * @alignment: out: what every mapping must be a multiple of, bytes
 *
 * The ranges are in ascending order. They are copied one by one, each after the lock is dropped; a reservation that
 * comes in between is seen from there on.
 *
 * Return: 0, or -EFAULT.
 */
int iommufd_ioas_copy_ranges(struct iommufd_ioas *ioas, struct iommu_iova_range __user *ranges, u32 capacity,
			     u32 *num, u64 *alignment)
{
	struct rb_root_cached *reserved = &ioas->map.space.reserved;
	unsigned long start = 0, last;
	bool found;

	*num = 0;
	for (;;) {
		struct iommu_iova_range range;

		down_read(&ioas->map.space.rwsem);
		found = itree_hole_next(&reserved, 1, &start, ULONG_MAX, &last);
		*alignment = ioas->map.space.alignment;
		up_read(&ioas->map.space.rwsem);
		if (!found)
			return 0;
		range.start = start;
		range.last = last;
		if (*num < capacity && copy_to_user(&ranges[*num], &range, sizeof(range)))
			return -EFAULT;
		++*num;
		if (last == ULONG_MAX)
			return 0;
		start = last + 1;
	}
}

/**
 * iommufd_ioctl_ioas_iova_ranges() - IOMMU_IOAS_IOVA_RANGES
 * @ucmd: struct iommu_ioas_iova_ranges
 *
 * Return: 0; -EMSGSIZE if the array is too small, which is then filled as far as it goes; -EOPNOTSUPP for the
 * reserved field; -ENOENT; -EFAULT.
 */
int iommufd_ioctl_ioas_iova_ranges(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_iova_ranges *cmd = ucmd->cmd;
	u32 capacity = cmd->num_iovas;
	struct iommufd_ioas *ioas;
	u64 alignment;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	rc = iommufd_ioas_copy_ranges(ioas, u64_to_user_ptr(cmd->allowed_iovas), capacity, &cmd->num_iovas, &alignment);
	if (!rc) {
		cmd->out_iova_alignment = alignment;
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
	if (!rc && cmd->num_iovas > capacity)
		rc = -EMSGSIZE;
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
	return rc;
}

static int read_windows(struct rb_root_cached *windows, struct iommu_iova_range __user *ranges, u32 num)
{
	struct iommu_iova_range range;
	int rc;

	for (; num; num--, ranges++) {
		if (copy_from_user(&range, ranges, sizeof(range)))
			return -EFAULT;
		if (range.start >= range.last)
			return -EINVAL;
		if (range.last > ULONG_MAX)
			return -EOVERFLOW;
		rc = iova_window_add(windows, range.start, range.last);
		if (rc)
			return rc;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/**
 * iommufd_ioctl_ioas_allow_iovas() - IOMMU_IOAS_ALLOW_IOVAS
 * @ucmd: struct iommu_ioas_allow_iovas
 *
 * Return: 0; -EADDRINUSE if a window overlaps a reserved range; -EINVAL if one is upside down or overlaps another;
 * -EOPNOTSUPP for the reserved field; -ENOENT; -EFAULT; -ENOMEM; -EINTR. On error the old windows stay.
 */
int iommufd_ioctl_ioas_allow_iovas(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_allow_iovas *cmd = ucmd->cmd;
	struct rb_root_cached windows = RB_ROOT_CACHED;
	struct iommufd_ioas *ioas;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	rc = read_windows(&windows, u64_to_user_ptr(cmd->allowed_iovas), cmd->num_iovas);
	if (!rc) {
		down_write(&ioas->map.space.rwsem);
		rc = iova_space_allow(&ioas->map.space, &windows);
		up_write(&ioas->map.space.rwsem);
	}
	iova_window_clear(&windows);
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
	return rc;
}

#define MAP_FLAGS (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

static int map_flags_to_prot(u32 flags)
{
	int prot = IOMMU_CACHE;

	if (flags & IOMMU_IOAS_MAP_WRITEABLE)
		prot |= IOMMU_WRITE;
	if (flags & IOMMU_IOAS_MAP_READABLE)
		prot |= IOMMU_READ;
	return prot;
}

/*
 * What a kernel-chosen IOVA is a multiple of: the largest power of two that divides the length, and more where the
 * memory could make use of larger leaves: as much as the memory itself is aligned, up to a huge page.
 */
static unsigned long auto_alignment(unsigned long memory, unsigned long length)
{
	unsigned long divides = 1UL << __ffs(length);
	unsigned long useful = length > PMD_SIZE ? PMD_SIZE : roundup_pow_of_two(length);

	if (memory)
		useful = min(useful, 1UL << __ffs(memory));
	return max(divides, useful);
}

/* Out of the way of where nobody listens */
static noinline void trace_map(struct iommufd_ucmd *ucmd, struct iommufd_ioas *ioas, unsigned long start,
			       unsigned long length, u32 flags, int rc, u64 begin)
{
	/* Where the kernel is to choose, there is no address until it has */
	if (rc && !(flags & IOMMU_IOAS_MAP_FIXED_IOVA))
		start = 0;
	trace_iommufd_map(ucmd->ictx->serial, ioas->obj.id, start, start + (length - 1), flags, rc, begin);
}

/**
 * iommufd_map_areas() - Map a chain of areas and tell the user where
 * @ucmd: running ioctl
 * @size: bytes of the structure in @ucmd->cmd that are copied to the user, 0 for none
 * @ioas: IOAS, held busy
 * @areas: chain of areas that are not mapped, taken over; at most 2^64 - 2 bytes in all
 * @flags: IOMMU_IOAS_MAP_*
 * @memory: address of the memory behind the first byte, as far as larger leaves depend on its alignment; 0 for any
 * @iova: field in @ucmd->cmd, in with a fixed IOVA and out without
 * @pin: pin the pages before anything else, as in ioas_map_begin()
 *
 * The user is told before a device sees the memory, and no lock is held while that is done.
 *
 * Return: 0; -EOVERFLOW if a fixed range wraps; -EFAULT, with nothing mapped, also if the user cannot be told; and as
 * ioas_map_begin() and ioas_map_commit().
 */
int iommufd_map_areas(struct iommufd_ucmd *ucmd, size_t size, struct iommufd_ioas *ioas, struct ioas_area *areas,
		      u32 flags, unsigned long memory, u64 *iova, bool pin)
{
	unsigned long length = ioas_areas_length(areas);
	unsigned long start = *iova, align = 0, last;
	u64 begin = trace_begin(iommufd_map);
	int rc;

	if (!(flags & IOMMU_IOAS_MAP_FIXED_IOVA)) {
		align = auto_alignment(memory, length);
	} else if (check_add_overflow(start, length - 1, &last)) {
		ioas_areas_free(areas);
		return -EOVERFLOW;
	}
	rc = ioas_map_begin(&ioas->map, areas, &start, align, pin);
	if (rc)
		goto out;

	*iova = start;
	rc = iommufd_ucmd_respond(ucmd, size);
	if (rc)
		ioas_map_abort(&ioas->map, areas);
	else
		rc = ioas_map_commit(&ioas->map, areas);
out:
	if (begin)
		trace_map(ucmd, ioas, start, length, flags, rc, begin);
	return rc;
}

/**
 * iommufd_map_pinned() - Map a part of a source as one area and tell the user where
 * @ucmd: running ioctl
 * @size: as in iommufd_map_areas()
 * @ioas: IOAS, held busy
 * @p: source, the caller's reference is taken over
 * @byte: offset of the first byte in @p
 * @length: bytes, above 0 and below 2^64 - 1
 * @flags: IOMMU_IOAS_MAP_*
 * @memory: as in iommufd_map_areas()
 * @iova: as in iommufd_map_areas()
 * @pin: as in iommufd_map_areas()
 *
 * Return: as iommufd_map_areas().
 */
int iommufd_map_pinned(struct iommufd_ucmd *ucmd, size_t size, struct iommufd_ioas *ioas, struct pinned *p, u64 byte,
		       unsigned long length, u32 flags, unsigned long memory, u64 *iova, bool pin)
{
	struct ioas_area *area = ioas_area_create(p, byte, length, map_flags_to_prot(flags));

	return iommufd_map_areas(ucmd, size, ioas, area, flags, memory, iova, pin);
}

/* A source of the calling process's memory */
static struct pinned *open_memory(struct iommufd_ctx *ictx, unsigned long uaddr, unsigned long npages, bool writable)
{
	struct pin_payer *payer = iommufd_ctx_payer(ictx);

	return IS_ERR(payer) ? ERR_CAST(payer) : pinned_alloc_user(uaddr, npages, writable, payer);
}

/* A source of what the calling process has mapped of a device; NULL if it is no such memory */
static struct pinned *open_device_memory(unsigned long uaddr, unsigned long npages, bool writable)
{
	unsigned long first;
	struct dma_buf *dmabuf = pin_dmabuf_find(uaddr, npages, writable, &first);
	struct pinned *p;

	if (IS_ERR_OR_NULL(dmabuf))
		return ERR_CAST(dmabuf);
	p = pinned_alloc_dmabuf(dmabuf, first, npages, writable);
	dma_buf_put(dmabuf);
	return p;
}

/**
 * iommufd_map_user() - Map memory of the calling process and tell the user where
 * @ucmd: running ioctl
 * @size: as in iommufd_map_areas()
 * @ioas: IOAS, held busy
 * @user_va: user address of the first byte
 * @length: bytes, below 2^64 - 1
 * @flags: IOMMU_IOAS_MAP_*
 * @iova: as in iommufd_map_areas()
 *
 * What a process has mapped of a device can be mapped as well, if the driver takes part. It is a dma-buf then, counts
 * against no limit, and goes when the driver takes it back. It cannot be pinned, so where that is done anyway nobody
 * asks beforehand.
 *
 * Return: as iommufd_map_pinned(); -ENOMEM; -EINVAL for a length of 0; -EOVERFLOW if the memory wraps; -EFAULT if it
 * begins with that of a device but does not lie in one mapping of it, or the process may not access it that way;
 * -ENODEV if the device does not answer there now; -ENFILE.
 */
int iommufd_map_user(struct iommufd_ucmd *ucmd, size_t size, struct iommufd_ioas *ioas, u64 user_va, u64 length,
		     u32 flags, u64 *iova)
{
	bool writable = flags & IOMMU_IOAS_MAP_WRITEABLE;
	bool pin = ioas_map_has_domain(&ioas->map);
	unsigned long uaddr = user_va & PAGE_MASK;
	unsigned long last, npages;
	struct pinned *p = NULL;
	int rc = 0;

	if (!length)
		return -EINVAL;
	if (user_va > ULONG_MAX || check_add_overflow((unsigned long)user_va, (unsigned long)length - 1, &last))
		return -EOVERFLOW;
	npages = ((last - uaddr) >> PAGE_SHIFT) + 1;
	if (pin) {
		p = open_memory(ucmd->ictx, uaddr, npages, writable);
		if (IS_ERR(p))
			return PTR_ERR(p);
		rc = iommufd_map_pinned(ucmd, size, ioas, p, user_va - uaddr, length, flags, user_va, iova, true);
		/* Memory of a device is not there for a pin, and may be more than its process may pin */
		if (rc != -EFAULT && rc != -ENOMEM)
			return rc;
	}
	p = open_device_memory(uaddr, npages, writable);
	if (!p && !pin)
		p = open_memory(ucmd->ictx, uaddr, npages, writable);
	if (IS_ERR(p))
		return PTR_ERR(p);
	if (!p)
		return rc;
	return iommufd_map_pinned(ucmd, size, ioas, p, user_va - uaddr, length, flags, user_va, iova, false);
}

/**
 * iommufd_map_flags_check() - Check what all commands that map have in common
 * @flags: IOMMU_IOAS_MAP_*
 * @iova: the user's address, whether it counts or not
 * @length: bytes
 *
 * Return: 0; -EOPNOTSUPP for an unknown flag; -EOVERFLOW for an address or length that no range can have; -EINVAL for
 * neither reading nor writing.
 */
int iommufd_map_flags_check(u32 flags, u64 iova, u64 length)
{
	if (flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	if (iova >= ULONG_MAX || length >= ULONG_MAX)
		return -EOVERFLOW;
	if (!(flags & (IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)))
		return -EINVAL;
	return 0;
}

/**
 * iommufd_ioctl_ioas_map() - IOMMU_IOAS_MAP
 * @ucmd: struct iommu_ioas_map
 *
 * Return: 0; -EOPNOTSUPP for unknown flags or the reserved field; -EOVERFLOW if a range wraps; -EINVAL for a length
 * of 0, neither reading nor writing, a misaligned or reserved range; -ENOENT; -EEXIST; -ENOSPC; -ENOMEM (also: over
 * the limit); -EFAULT; -EINTR; -ENODEV for memory of a device that does not answer now; -ENFILE.
 */
int iommufd_ioctl_ioas_map(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_map *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	rc = iommufd_map_flags_check(cmd->flags, cmd->iova, cmd->length);
	if (rc)
		return rc;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = iommufd_map_user(ucmd, sizeof(*cmd), ioas, cmd->user_va, cmd->length, cmd->flags, &cmd->iova);
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
	return rc;
}

static struct ioas_area *gather(struct iommufd_ctx *ictx, struct iommu_ioas_copy *cmd)
{
	struct iommufd_ioas *src = iommufd_get_ioas(ictx, cmd->src_ioas_id);
	struct ioas_area *areas;
	unsigned long last;

	if (IS_ERR(src))
		return ERR_CAST(src);
	if (!cmd->length)
		areas = ERR_PTR(-EINVAL);
	else if (check_add_overflow((unsigned long)cmd->src_iova, (unsigned long)cmd->length - 1, &last))
		areas = ERR_PTR(-EOVERFLOW);
	else
		areas = ioas_map_gather(&src->map, cmd->src_iova, last, map_flags_to_prot(cmd->flags));
	iommufd_object_put(&ictx->objs, &src->obj);
	return areas;
}

/**
 * iommufd_ioctl_ioas_copy() - IOMMU_IOAS_COPY
 * @ucmd: struct iommu_ioas_copy
 *
 * Any part of what is mapped side by side can be copied. The copy shares the source's pages: they are pinned and
 * charged once, and stay when the source is unmapped.
 *
 * Return: 0; -EOPNOTSUPP for unknown flags; -EOVERFLOW; -EINVAL for a length of 0 and as IOMMU_IOAS_MAP; -ENOENT if
 * an IOAS does not exist or some of the source is not mapped; -EPERM if it is mapped for reading only and the copy
 * should be writable; and the rest as IOMMU_IOAS_MAP.
 */
int iommufd_ioctl_ioas_copy(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_copy *cmd = ucmd->cmd;
	struct iommufd_ioas *dst;
	struct ioas_area *areas;
	int rc;

	rc = iommufd_map_flags_check(cmd->flags, cmd->dst_iova, cmd->length);
	if (rc)
		return rc;
	if (cmd->src_iova >= ULONG_MAX)
		return -EOVERFLOW;
	areas = gather(ucmd->ictx, cmd);
	if (IS_ERR(areas))
		return PTR_ERR(areas);
	dst = iommufd_get_ioas(ucmd->ictx, cmd->dst_ioas_id);
	if (IS_ERR(dst)) {
		ioas_areas_free(areas);
		return PTR_ERR(dst);
	}
	/* The source was placed to suit its memory, so its address tells what suits the copy */
	rc = iommufd_map_areas(ucmd, sizeof(*cmd), dst, areas, cmd->flags, cmd->src_iova, &cmd->dst_iova,
			       ioas_map_has_domain(&dst->map));
	iommufd_object_put(&ucmd->ictx->objs, &dst->obj);
	return rc;
}

/**
 * iommufd_unmap_areas_traced() - iommufd_unmap_areas() while somebody listens
 * @ictx: context
 * @ioas: as there
 * @start: as there
 * @last: as there
 * @before: as there
 * @data: as there
 * @unmapped: as there
 *
 * Return: as there.
 */
int iommufd_unmap_areas_traced(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas, unsigned long start,
			       unsigned long last, int (*before)(void *data), void *data, u64 *unmapped)
{
	u64 begin = ktime_get_ns();
	int rc;

	rc = ioas_map_unmap(&ioas->map, start, last, before, data, unmapped);
	trace_iommufd_unmap(ictx->serial, ioas->obj.id, start, last, *unmapped, rc, begin);
	return rc;
}

/**
 * iommufd_ioctl_ioas_unmap() - IOMMU_IOAS_UNMAP
 * @ucmd: struct iommu_ioas_unmap
 *
 * Return: 0; -ENOENT if the IOAS does not exist, nothing is mapped there or a mapping would be cut; -EINVAL for a
 * length of 0; -EOVERFLOW; -EBUSY if a mapping is being made or taken away by another call, or is pinned by something
 * that cannot let go; -EDEADLOCK if an emulated device did not let go; -EINTR; -EFAULT if the number of bytes could
 * not be copied (then it is unmapped all the same).
 */
int iommufd_ioctl_ioas_unmap(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_unmap *cmd = ucmd->cmd;
	bool everything = cmd->iova == 0 && cmd->length == U64_MAX;
	unsigned long last = ULONG_MAX;
	struct iommufd_ioas *ioas;
	u64 unmapped;
	int rc;

	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	if (!everything) {
		rc = -EOVERFLOW;
		if (cmd->iova >= ULONG_MAX || cmd->length >= ULONG_MAX)
			goto out;
		rc = -EINVAL;
		if (!cmd->length)
			goto out;
		rc = -EOVERFLOW;
		if (check_add_overflow((unsigned long)cmd->iova, cmd->length - 1, &last))
			goto out;
	}
	rc = iommufd_unmap_areas(ucmd->ictx, ioas, cmd->iova, last, NULL, NULL, &unmapped);
	if (!rc && !unmapped && !everything)
		rc = -ENOENT;
	if (!rc) {
		cmd->length = unmapped;
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
out:
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
	return rc;
}
