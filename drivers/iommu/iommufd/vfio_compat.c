// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_compat - the ioctls of a VFIO container, on the file of /dev/iommu
 *
 * A program that was written for the type1 IOMMU of VFIO finds its commands here. They act on one IOAS of the
 * context, which IOMMU_VFIO_IOAS names. Their structures begin with argsz, and have rules of their own: a longer one
 * is not looked at, and nothing is written behind what the caller has room for.
 *
 * Not here is what gives a mapping a new address in the process (VFIO_UPDATE_VADDR): from the moment in which the old
 * one is taken away, whoever has to pin, a page table that comes or an emulated device, would wait for the process
 * without a bound. A file needs no address: IOMMU_IOAS_MAP_FILE maps it, and IOMMU_IOAS_CHANGE_PROCESS hands it over to
 * the next process.
 *
 * This file does not know VFIO's groups and devices.
 */
#include <linux/capability.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <uapi/linux/iommufd.h>
#include <uapi/linux/vfio.h>

#include "ioas.h"
#include "ioas_domain.h"
#include "vfio_compat.h"
#include "vfio_dirty.h"

/*
 * The IOAS of the compatibility ioctls, held busy; ERR_PTR(-ENODEV) if there is none. It is remembered by its id, so
 * that it can be destroyed like any other; the mark tells it from one that got the same id later.
 */
static struct iommufd_ioas *get_compat_ioas(struct iommufd_ctx *ictx)
{
	/* Pairs with the release in set_compat_ioas(): the mark comes with the id */
	struct iommufd_ioas *ioas = iommufd_get_ioas(ictx, smp_load_acquire(&ictx->vfio_ioas_id));

	if (IS_ERR(ioas))
		return ERR_PTR(-ENODEV);
	if (READ_ONCE(ioas->vfio_compat))
		return ioas;
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return ERR_PTR(-ENODEV);
}

static int set_compat_ioas(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_ioas *ioas = iommufd_get_ioas(ictx, id);

	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	WRITE_ONCE(ioas->vfio_compat, true);
	/* Pairs with get_compat_ioas(): whoever sees the id finds the mark */
	smp_store_release(&ictx->vfio_ioas_id, id);
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return 0;
}

/**
 * iommufd_vfio_compat_ioas() - The IOAS of a container's commands, made if need be
 * @ictx: context
 * @ioas_id: out: its id; as user space can destroy it, it is one to be looked up again
 *
 * Return: 0, or -ENOMEM.
 */
int iommufd_vfio_compat_ioas(struct iommufd_ctx *ictx, u32 *ioas_id)
{
	struct iommufd_ioas *ioas;
	u32 old;

	for (;;) {
		old = READ_ONCE(ictx->vfio_ioas_id);
		ioas = get_compat_ioas(ictx);
		if (!IS_ERR(ioas)) {
			*ioas_id = ioas->obj.id;
			iommufd_object_put(&ictx->objs, &ioas->obj);
			return 0;
		}
		ioas = iommufd_ioas_create(ictx);
		if (IS_ERR(ioas))
			return PTR_ERR(ioas);
		WRITE_ONCE(ioas->vfio_compat, true);
		*ioas_id = ioas->obj.id;
		iommufd_object_publish(&ictx->objs, &ioas->obj);
		/* Another one may have been named meanwhile: then that is it. Also a release, for get_compat_ioas() */
		if (cmpxchg(&ictx->vfio_ioas_id, old, *ioas_id) == old)
			return 0;
		/* Should user space have found ours already, it keeps it */
		iommufd_object_destroy(&ictx->objs, *ioas_id);
	}
}
EXPORT_SYMBOL_GPL(iommufd_vfio_compat_ioas);

/**
 * iommufd_vfio_compat_enter() - A group of VFIO gets a context for its container
 * @ictx: context
 * @noiommu: the devices of the group have no IOMMU
 *
 * From then on the commands of the container offer what such groups can have: translation, or that there is none.
 *
 * Return: 0, or -EPERM if there are groups of the other kind.
 */
int iommufd_vfio_compat_enter(struct iommufd_ctx *ictx, bool noiommu)
{
	int rc = 0;

	mutex_lock(&ictx->groups_lock);
	if (ictx->vfio_groups && ictx->vfio_noiommu != noiommu) {
		rc = -EPERM;
	} else {
		ictx->vfio_groups++;
		WRITE_ONCE(ictx->vfio_noiommu, noiommu);
	}
	mutex_unlock(&ictx->groups_lock);
	return rc;
}
EXPORT_SYMBOL_GPL(iommufd_vfio_compat_enter);

/**
 * iommufd_vfio_compat_leave() - Undo iommufd_vfio_compat_enter()
 * @ictx: context
 */
void iommufd_vfio_compat_leave(struct iommufd_ctx *ictx)
{
	mutex_lock(&ictx->groups_lock);
	if (!--ictx->vfio_groups)
		WRITE_ONCE(ictx->vfio_noiommu, false);
	mutex_unlock(&ictx->groups_lock);
}
EXPORT_SYMBOL_GPL(iommufd_vfio_compat_leave);

/**
 * iommufd_ioctl_vfio_ioas() - IOMMU_VFIO_IOAS
 * @ucmd: struct iommu_vfio_ioas
 *
 * Return: 0; -EOPNOTSUPP for unknown operations and the reserved field; -ENOENT for an unknown IOAS; -ENODEV if there
 * is none to get; -EFAULT.
 */
int iommufd_ioctl_vfio_ioas(struct iommufd_ucmd *ucmd)
{
	struct iommu_vfio_ioas *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case IOMMU_VFIO_IOAS_GET:
		ioas = get_compat_ioas(ucmd->ictx);
		if (IS_ERR(ioas))
			return PTR_ERR(ioas);
		cmd->ioas_id = ioas->obj.id;
		iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
		return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	case IOMMU_VFIO_IOAS_SET:
		return set_compat_ioas(ucmd->ictx, cmd->ioas_id);
	case IOMMU_VFIO_IOAS_CLEAR:
		WRITE_ONCE(ucmd->ictx->vfio_ioas_id, 0);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/*
 * What all page tables of an IOAS have: the sizes of their leaves, and that devices cannot bypass the caches. An IOAS
 * without any is not limited by any: it takes every size, and no device is there to bypass a cache.
 */
static int common_abilities(struct iommufd_ioas *ioas, u64 *pgsizes, bool *coherent)
{
	struct ioas_domain *dom;
	int rc;

	rc = down_read_killable(&ioas->map.fill_rwsem);
	if (rc)
		return rc;
	*pgsizes = U64_MAX;
	*coherent = true;
	list_for_each_entry(dom, &ioas->map.domains, entry) {
		struct iommu_domain *domain = dom->domain;

		*pgsizes &= domain->pgsize_bitmap;
		/* Settled when the domain was made; this only asks */
		if (!domain->ops->enforce_cache_coherency || !domain->ops->enforce_cache_coherency(domain))
			*coherent = false;
	}
	up_read(&ioas->map.fill_rwsem);
	return 0;
}

static int check_dma_coherent(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas = get_compat_ioas(ictx);
	bool coherent;
	u64 pgsizes;
	int rc;

	/* An extension is there or not: without an IOAS it is not */
	if (IS_ERR(ioas))
		return 0;
	rc = common_abilities(ioas, &pgsizes, &coherent);
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return rc ?: coherent;
}

static int vfio_check_extension(struct iommufd_ctx *ictx, unsigned long extension)
{
	if (READ_ONCE(ictx->vfio_noiommu))
		return extension == VFIO_NOIOMMU_IOMMU;
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_DMA_CC_IOMMU:
		return check_dma_coherent(ictx);
	default:
		return 0;
	}
}

/* Type1 of the first version may cut a mapping when it unmaps, which takes leaves that are not larger than a page */
static int vfio_set_iommu(struct iommufd_ctx *ictx, unsigned long type)
{
	struct iommufd_ioas *ioas;
	int rc = 0;

	if (READ_ONCE(ictx->vfio_noiommu)) {
		if (type != VFIO_NOIOMMU_IOMMU)
			return -ENODEV;
		return capable(CAP_SYS_RAWIO) ? 0 : -EPERM;
	}
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	if (type == VFIO_TYPE1_IOMMU)
		rc = ioas_map_set_huge_pages(&ioas->map, false);
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return rc;
}

/* A whole answer to VFIO_IOMMU_GET_INFO: the structure, then the chain of capabilities; the ranges come last */
struct type1_info {
	struct vfio_iommu_type1_info info;
	struct vfio_iommu_type1_info_dma_avail dma_avail;
	struct vfio_iommu_type1_info_cap_migration migration __aligned(8);
	struct vfio_iommu_type1_info_cap_iova_range iova;
};

static_assert(sizeof(struct vfio_iova_range) == sizeof(struct iommu_iova_range));

static void fill_chain(struct type1_info *answer, u32 num_ranges)
{
	answer->info.cap_offset = offsetof(struct type1_info, dma_avail);
	answer->dma_avail.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
	answer->dma_avail.header.version = 1;
	answer->dma_avail.header.next = offsetof(struct type1_info, migration);
	answer->dma_avail.avail = U32_MAX;
	answer->migration.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
	answer->migration.header.version = 1;
	answer->migration.header.next = offsetof(struct type1_info, iova);
	answer->migration.pgsize_bitmap = PAGE_SIZE;
	answer->migration.max_dirty_bitmap_size = VFIO_DIRTY_BITMAP_MAX;
	answer->iova.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	answer->iova.header.version = 1;
	answer->iova.nr_iovas = num_ranges;
}

/* Copies the ranges if the whole answer fits into @argsz, and then makes it tell where they are */
static int fill_info(struct iommufd_ioas *ioas, struct type1_info *answer, void __user *arg, u32 argsz)
{
	struct iommu_iova_range __user *ranges = arg + sizeof(*answer);
	u32 num, copied;
	u64 alignment;
	int rc;

	/* Once more if a reservation came or went in between */
	do {
		rc = iommufd_ioas_copy_ranges(ioas, ranges, 0, &num, &alignment);
		if (rc)
			return rc;
		answer->info.argsz = sizeof(*answer) + num * sizeof(*ranges);
		answer->info.cap_offset = 0;
		if (argsz < answer->info.argsz)
			return 0;
		fill_chain(answer, num);
		rc = iommufd_ioas_copy_ranges(ioas, ranges, num, &copied, &alignment);
		if (rc)
			return rc;
	} while (copied != num);
	return 0;
}

static int vfio_iommu_get_info(struct iommufd_ctx *ictx, void __user *arg)
{
	struct iommufd_ioas *ioas;
	struct type1_info answer;
	bool coherent;
	u64 pgsizes;
	size_t len;
	u32 argsz;
	int rc;

	if (get_user(argsz, (u32 __user *)arg))
		return -EFAULT;
	if (argsz < offsetofend(struct vfio_iommu_type1_info, iova_pgsizes))
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = common_abilities(ioas, &pgsizes, &coherent);
	if (rc)
		goto out;

	memset(&answer, 0, sizeof(answer));
	answer.info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	/* In type1 a page is the least, whatever the hardware can do */
	answer.info.iova_pgsizes = pgsizes & PAGE_MASK;
	if (pgsizes & ~PAGE_MASK)
		answer.info.iova_pgsizes |= PAGE_SIZE;
	rc = fill_info(ioas, &answer, arg, argsz);
	if (rc)
		goto out;
	len = answer.info.cap_offset ? sizeof(answer) : min_t(size_t, argsz, sizeof(answer.info));
	if (copy_to_user(arg, &answer, len))
		rc = -EFAULT;
out:
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return rc;
}

static int vfio_iommu_map_dma(struct iommufd_ctx *ictx, void __user *arg)
{
	struct iommufd_ucmd ucmd = { .ictx = ictx, .ubuffer = arg };
	u32 flags = IOMMU_IOAS_MAP_FIXED_IOVA;
	struct vfio_iommu_type1_dma_map cmd;
	struct iommufd_ioas *ioas;
	int rc;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.argsz < sizeof(cmd) || (cmd.flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)))
		return -EINVAL;
	if (cmd.flags & VFIO_DMA_MAP_FLAG_READ)
		flags |= IOMMU_IOAS_MAP_READABLE;
	if (cmd.flags & VFIO_DMA_MAP_FLAG_WRITE)
		flags |= IOMMU_IOAS_MAP_WRITEABLE;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = iommufd_map_flags_check(flags, cmd.iova, cmd.size);
	if (!rc)
		rc = iommufd_map_user(&ucmd, 0, ioas, cmd.vaddr, cmd.size, flags, &cmd.iova);
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return rc;
}

static int tell_dirty_pages(void *data)
{
	return vfio_dirty_tell(data, false);
}

/*
 * Unmaps as much as lies in the range, after cutting what reaches out of it if this IOAS can do that. If that fails,
 * nothing was unmapped, and what was cut is mapped in two pieces: nobody can tell, as whoever can cut may unmap any
 * piece.
 */
static int unmap_range(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas, unsigned long iova, unsigned long last,
		       struct vfio_dirty_range *dirty, u64 *unmapped)
{
	struct ioas_map *map = &ioas->map;
	int rc = 0;

	if (!READ_ONCE(map->huge_pages)) {
		rc = ioas_map_cut(map, iova);
		if (!rc && last != ULONG_MAX)
			rc = ioas_map_cut(map, last + 1);
	}
	return rc ?: iommufd_unmap_areas(ictx, ioas, iova, last, dirty ? tell_dirty_pages : NULL, dirty, unmapped);
}

static int vfio_iommu_unmap_dma(struct iommufd_ctx *ictx, void __user *arg)
{
	const size_t size = offsetofend(struct vfio_iommu_type1_dma_unmap, size);
	struct vfio_iommu_type1_dma_unmap cmd;
	struct vfio_dirty_range dirty = { };
	unsigned long last = ULONG_MAX;
	struct iommufd_ioas *ioas;
	bool all, log;
	u64 unmapped;
	int rc;

	if (copy_from_user(&cmd, arg, size))
		return -EFAULT;
	if (cmd.argsz < size || (cmd.flags & ~(VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)))
		return -EINVAL;
	all = cmd.flags & VFIO_DMA_UNMAP_FLAG_ALL;
	log = cmd.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	if (log && (all || cmd.argsz < size + sizeof(dirty.bitmap)))
		return -EINVAL;
	if (log && copy_from_user(&dirty.bitmap, arg + size, sizeof(dirty.bitmap)))
		return -EFAULT;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);

	rc = -EINVAL;
	if (all ? cmd.iova || cmd.size : !cmd.size)
		goto out;
	rc = -EOVERFLOW;
	if (cmd.size && check_add_overflow((unsigned long)cmd.iova, (unsigned long)cmd.size - 1, &last))
		goto out;
	if (log) {
		dirty.map = &ioas->map;
		rc = vfio_dirty_check_range(&dirty, cmd.iova, cmd.size);
		if (rc)
			goto out;
	}
	rc = unmap_range(ictx, ioas, cmd.iova, last, log ? &dirty : NULL, &unmapped);
	if (rc)
		goto out;
	cmd.size = unmapped;
	if (copy_to_user(arg, &cmd, size))
		rc = -EFAULT;
out:
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return rc;
}

static int vfio_iommu_dirty_pages(struct iommufd_ctx *ictx, void __user *arg)
{
	struct iommufd_ioas *ioas = get_compat_ioas(ictx);
	int rc;

	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = vfio_dirty_pages(&ioas->map, arg);
	iommufd_object_put(&ictx->objs, &ioas->obj);
	return rc;
}

/**
 * iommufd_vfio_ioctl() - Run a command of a VFIO container
 * @ictx: context it was called on
 * @cmd: command number
 * @arg: user's structure, or the number that VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU take instead
 *
 * Return: 0 or what the command says; -ENOTTY for one that does not exist; -EINVAL for a structure that is too short,
 * an unknown flag or a range that cannot be; -ENODEV without an IOAS to act on, or for a type of IOMMU that is not
 * there; -EPERM for VFIO_NOIOMMU_IOMMU without CAP_SYS_RAWIO; -EOVERFLOW if a range wraps; -ENOENT if an unmap would
 * cut a mapping of an IOAS with huge pages; -EBUSY if what it would take is in use; -EFAULT; -ENOMEM; -EINTR; and as
 * iommufd_map_user() and vfio_dirty_pages().
 */
long iommufd_vfio_ioctl(struct iommufd_ctx *ictx, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return vfio_check_extension(ictx, (unsigned long)arg);
	case VFIO_SET_IOMMU:
		return vfio_set_iommu(ictx, (unsigned long)arg);
	case VFIO_IOMMU_GET_INFO:
		return vfio_iommu_get_info(ictx, arg);
	case VFIO_IOMMU_MAP_DMA:
		return vfio_iommu_map_dma(ictx, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return vfio_iommu_unmap_dma(ictx, arg);
	case VFIO_IOMMU_DIRTY_PAGES:
		return vfio_iommu_dirty_pages(ictx, arg);
	default:
		return -ENOTTY;
	}
}
