// SPDX-License-Identifier: GPL-2.0-only
/*
 * noiommu - devices without an IOMMU
 *
 * Nothing translates what such a device does, and nothing stops it: it reaches all of memory, by physical address.
 * What an IOAS can do for its user is to keep memory where it is, and to tell where that is. So while such a device
 * is attached, all that is mapped is pinned, as if there were a page table; the domain that stands for it in the IOAS
 * keeps nothing. A device with an IOMMU may be attached to the same IOAS.
 *
 * Unmapping tells nobody, neither does detaching: whoever programs the device has to stop it before. Memory goes back
 * to its owner then, and a device that still writes to it writes to whatever stands there next.
 *
 * This file knows no devices beyond their being there, and nothing of VFIO.
 *
 * Locking: ndev->move is outermost. A lookup holds fill_rwsem and space.rwsem for reading, so that what it finds is
 * pinned; the pin store is what it looks into, page by page in runs.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "ioas.h"
#include "ioas_domain.h"
#include "noiommu.h"
#include "pin_dmabuf.h"
#include "pinned.h"
#include "trace.h"

/**
 * struct noiommu_use - A device's use of an IOAS
 * @ioas: IOAS, linked
 * @dom: what makes it pin, in its list
 * @domain: stands for a page table
 */
struct noiommu_use {
	struct iommufd_ioas *ioas;
	struct ioas_domain dom;
	struct iommu_domain domain;
};

static int map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys, size_t size, size_t count,
		     int prot, gfp_t gfp, size_t *mapped)
{
	*mapped = size * count;
	return 0;
}

static size_t unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t size, size_t count,
			  struct iommu_iotlb_gather *gather)
{
	return size * count;
}

/* An iommu_domain without an IOMMU: it takes all, keeps nothing, and is never attached */
static const struct iommu_domain_ops domain_ops = {
	.map_pages	= map_pages,
	.unmap_pages	= unmap_pages,
};

/* Begin to use an IOAS that the caller holds busy: all that is mapped in it gets pinned */
static struct noiommu_use *use_begin(struct iommufd_noiommu *ndev, struct iommufd_ioas *ioas)
{
	struct noiommu_use *use = kzalloc(sizeof(*use), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!use)
		return ERR_PTR(-ENOMEM);
	use->ioas = ioas;
	use->domain.type = IOMMU_DOMAIN_UNMANAGED;
	use->domain.ops = &domain_ops;
	/* Pages cannot be told where they begin in any other way: neither mappings nor memory may begin within one */
	use->domain.pgsize_bitmap = PAGE_SIZE;
	use->domain.geometry.aperture_end = ~(dma_addr_t)0;
	use->domain.geometry.force_aperture = true;
	use->dom.domain = &use->domain;
	rc = ioas_map_add_domain(&ioas->map, &use->dom);
	if (rc) {
		kfree(use);
		return ERR_PTR(rc);
	}
	iommufd_object_link(&ndev->ictx->objs, &ioas->obj);
	return use;
}

static void use_end(struct iommufd_noiommu *ndev, struct noiommu_use *use)
{
	if (!use)
		return;
	ioas_map_remove_domain(&use->ioas->map, &use->dom);
	iommufd_object_unlink(&ndev->ictx->objs, &use->ioas->obj);
	kfree(use);
}

static void noiommu_object_destroy(struct iommufd_object *obj)
{
	struct iommufd_noiommu *ndev = container_of(obj, struct iommufd_noiommu, obj);

	use_end(ndev, ndev->use);
	mutex_destroy(&ndev->move);
	kfree(ndev);
}

const struct iommufd_object_ops iommufd_noiommu_ops = {
	.destroy = noiommu_object_destroy,
};

/**
 * iommufd_noiommu_init() - Set up a device that is not attached
 * @ndev: zeroed structure
 */
void iommufd_noiommu_init(struct iommufd_noiommu *ndev)
{
	mutex_init(&ndev->move);
}

/**
 * iommufd_noiommu_bind() - Hand a device without an IOMMU to a context
 * @ictx: context; it lives on at least until iommufd_noiommu_unbind()
 * @dev: device; its driver has made sure that the user may reach all of memory
 * @id: out: the id by which user space names it, above 0
 *
 * Return: the bound device, or ERR_PTR: -EINVAL if an IOMMU translates for it; -ENOMEM.
 */
struct iommufd_noiommu *iommufd_noiommu_bind(struct iommufd_ctx *ictx, struct device *dev, u32 *id)
{
	struct iommufd_noiommu *ndev;
	int rc;

	if (dev->iommu && dev->iommu->iommu_dev)
		return ERR_PTR(-EINVAL);
	ndev = kzalloc(sizeof(*ndev), GFP_KERNEL_ACCOUNT);
	if (!ndev)
		return ERR_PTR(-ENOMEM);
	iommufd_noiommu_init(ndev);
	ndev->ictx = ictx;
	ndev->dev = dev;
	rc = iommufd_object_reserve(&ictx->objs, &ndev->obj, &iommufd_noiommu_ops);
	if (rc) {
		kfree(ndev);
		return ERR_PTR(rc);
	}
	*id = ndev->obj.id;
	iommufd_ctx_get(ictx);
	iommufd_object_publish(&ictx->objs, &ndev->obj);
	return ndev;
}
EXPORT_SYMBOL_GPL(iommufd_noiommu_bind);

/**
 * iommufd_noiommu_unbind() - Take a device back
 * @ndev: bound device, which does no DMA any more: what it was attached to is unpinned
 *
 * Waits for running ioctls that use it.
 */
void iommufd_noiommu_unbind(struct iommufd_noiommu *ndev)
{
	struct iommufd_ctx *ictx = ndev->ictx;

	iommufd_object_remove(&ictx->objs, &ndev->obj);
	iommufd_ctx_put(ictx);
}
EXPORT_SYMBOL_GPL(iommufd_noiommu_unbind);

static int move_to(struct iommufd_noiommu *ndev, struct iommufd_ioas *ioas, iommufd_report_fn report, void *data)
{
	struct noiommu_use *use;
	int rc;

	lockdep_assert_held(&ndev->move);
	if (ndev->use && ndev->use->ioas == ioas)
		return report ? report(data, ioas->obj.id) : 0;
	use = use_begin(ndev, ioas);
	if (IS_ERR(use))
		return PTR_ERR(use);
	rc = report ? report(data, ioas->obj.id) : 0;
	/* Memory that is mapped in both stays pinned all the time */
	if (!rc)
		swap(ndev->use, use);
	use_end(ndev, use);
	return rc;
}

/**
 * iommufd_noiommu_attach() - Pin what is mapped in an IOAS for a device, instead of what was mapped in another
 * @ndev: bound device
 * @pt_id: id of the IOAS
 * @report: told @pt_id before the old IOAS is left, may be NULL
 * @data: for @report
 *
 * Return: 0; or with nothing changed -ENOENT if there is no such object; -EINVAL if it is no IOAS; -EADDRINUSE if a
 * mapping is not page aligned; -EFAULT if memory cannot be pinned; -ENOMEM (also: over the limit); -EBUSY; -EINTR; or
 * what @report says.
 */
int iommufd_noiommu_attach(struct iommufd_noiommu *ndev, u32 pt_id, iommufd_report_fn report, void *data)
{
	struct iommufd_objects *objs = &ndev->ictx->objs;
	struct iommufd_object *obj = iommufd_object_get(objs, pt_id, NULL);
	u64 begin = trace_begin_move();
	int rc = -EINVAL;
	u32 from;

	if (IS_ERR(obj))
		return PTR_ERR(obj);
	if (obj->ops != &iommufd_ioas_ops)
		goto out;
	rc = mutex_lock_killable(&ndev->move);
	if (rc)
		goto out;
	from = ndev->use && &ndev->use->ioas->obj != obj ? ndev->use->ioas->obj.id : 0;
	rc = move_to(ndev, container_of(obj, struct iommufd_ioas, obj), report, data);
	mutex_unlock(&ndev->move);
	trace_move(ndev->ictx->serial, ndev->obj.id, -1, 0, from, pt_id, rc, begin);
out:
	iommufd_object_put(objs, obj);
	return rc;
}
EXPORT_SYMBOL_GPL(iommufd_noiommu_attach);

/**
 * iommufd_noiommu_detach() - Unpin what was pinned for a device
 * @ndev: bound device; one that is not attached is fine
 *
 * The device is not stopped. That is up to its user, as before every unmap.
 */
void iommufd_noiommu_detach(struct iommufd_noiommu *ndev)
{
	u64 begin = trace_begin(iommufd_detach);
	u32 from;

	mutex_lock(&ndev->move);
	from = ndev->use ? ndev->use->ioas->obj.id : 0;
	use_end(ndev, ndev->use);
	ndev->use = NULL;
	mutex_unlock(&ndev->move);
	if (from)
		trace_iommufd_detach(ndev->ictx->serial, ndev->obj.id, -1, 0, from, 0, 0, begin);
}
EXPORT_SYMBOL_GPL(iommufd_noiommu_detach);

/**
 * iommufd_noiommu_ioas_id() - Which IOAS a device uses at this moment
 * @ndev: bound device
 * @id: out: id of the IOAS, 0 for none
 *
 * Return: 0; -EBUSY if it is moving, which may take its time.
 */
int iommufd_noiommu_ioas_id(struct iommufd_noiommu *ndev, u32 *id)
{
	if (!mutex_trylock(&ndev->move))
		return -EBUSY;
	*id = ndev->use ? ndev->use->ioas->obj.id : 0;
	mutex_unlock(&ndev->move);
	return 0;
}

static bool used_without_iommu(struct ioas_map *map)
{
	struct ioas_domain *dom;

	list_for_each_entry(dom, &map->domains, entry)
		if (dom->domain->ops == &domain_ops)
			return true;
	return false;
}

/* As many pages are looked at before others get a turn; a page of 1 GiB goes in one */
#define LOOK_PAGES	(SZ_1G >> PAGE_SHIFT)

/*
 * Where [@iova, @last], inclusive, begins, and how many bytes of it in this area are known to follow each other:
 * maybe fewer than do.
 */
static long look_in_area(struct ioas_area *area, unsigned long iova, unsigned long last, phys_addr_t *phys)
{
	u64 byte = area->byte + (iova - area->claim.start);
	unsigned long length = min(last, area->claim.last) - iova + 1;
	unsigned long index = byte >> PAGE_SHIFT;
	unsigned long last_index = min((unsigned long)((byte + (length - 1)) >> PAGE_SHIFT), index + (LOOK_PAGES - 1));
	struct pin_dmabuf *d = pinned_dmabuf(area->pinned);
	unsigned long run, pfn;

	/* One that is taken back a moment later has the same effect as one that is taken back after the answer */
	if (d && READ_ONCE(d->revoked))
		return -EINVAL;
	run = pinned_run(area->pinned, index, last_index, &pfn);
	*phys = PFN_PHYS(pfn) + offset_in_page(byte);
	return min((run << PAGE_SHIFT) - offset_in_page(byte), length);
}

/* Where [@iova, @last], inclusive, begins, and how many bytes of it follow each other, over as many areas as do */
static int look(struct ioas_map *map, unsigned long iova, unsigned long last, phys_addr_t *phys, u64 *length)
{
	struct ioas_area *area = ioas_map_first(map, iova, iova);
	phys_addr_t next;
	long n;

	*length = 0;
	while (area && area->state == IOAS_AREA_LIVE && area->claim.start <= iova) {
		n = look_in_area(area, iova, last, &next);
		if (!*length && n < 0)
			return n;
		if (!*length)
			*phys = next;
		if (n < 0 || next != *phys + *length)
			break;
		*length += n;
		if (last - iova < n)
			break;
		iova += n;
		if (iova > area->claim.last)
			area = ioas_map_next(area, last);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return *length ? 0 : -ENOENT;
}

static int look_locked(struct ioas_map *map, unsigned long iova, unsigned long last, phys_addr_t *phys, u64 *length)
{
	int rc;

	rc = down_read_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	rc = -EOPNOTSUPP;
	if (!used_without_iommu(map))
		goto out;
	rc = down_read_killable(&map->space.rwsem);
	if (rc)
		goto out;
	rc = look(map, iova, last, phys, length);
	up_read(&map->space.rwsem);
out:
	up_read(&map->fill_rwsem);
	return rc;
}

/**
 * iommufd_ioctl_noiommu_get_pa() - IOMMU_IOAS_NOIOMMU_GET_PA
 * @ucmd: struct iommu_ioas_noiommu_get_pa
 *
 * The length may reach behind what is mapped, and behind the end of all addresses.
 *
 * Return: 0; -EOPNOTSUPP for flags and the reserved field, or if no device without an IOMMU is attached to the IOAS;
 * -EPERM without CAP_SYS_RAWIO; -EINVAL for a length of 0, or if what is mapped is a dma-buf that was revoked;
 * -ENOENT if there is no such IOAS, or nothing is mapped at the address; -EFAULT; -EINTR.
 */
int iommufd_ioctl_noiommu_get_pa(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_noiommu_get_pa *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	unsigned long last;
	phys_addr_t phys;
	int rc;

	if (cmd->flags || cmd->__reserved)
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	if (!cmd->length)
		return -EINVAL;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	last = cmd->iova + min(cmd->length - 1, ULONG_MAX - cmd->iova);
	rc = look_locked(&ioas->map, cmd->iova, last, &phys, &cmd->length);
	if (!rc) {
		cmd->out_phys = phys;
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
	return rc;
}
