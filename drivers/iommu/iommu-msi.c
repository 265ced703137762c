// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-msi - where the interrupt messages of a group go while its domains come and go
 *
 * On Arm a message is a write like any other: the IOMMU translates it, so the page of the interrupt controller that it
 * is written to, the doorbell, has to be in the page table. Its address is programmed into the device once, when the
 * interrupt is set up, and the domain is exchanged afterwards, or there is none yet. So a doorbell has one place in the
 * window that the IOMMU driver sets aside for doorbells (IOMMU_RESV_SW_MSI), the same in all domains, and it is mapped
 * in a domain before a group that uses it is switched there.
 *
 * That is for groups that are claimed device by device. In all others the domain knows its doorbells, and
 * iommu_dma_prepare_msi() asks it.
 *
 * There is a doorbell for each frame of an interrupt controller, so a table of fixed size holds them all.
 *
 * Locking: group->mutex covers the window and the doorbells of a group; doorbells_lock, taken inside, the places of
 * doorbells and what of them is mapped, which groups share. Who sets up an interrupt holds locks of the irq core, the
 * last of them irq_domain_mutex. They are outside group->mutex: no IOMMU driver sets up interrupts while it attaches.
 */
#include <linux/bitmap.h>
#include <linux/irqdomain.h>
#include <linux/msi.h>
#include <linux/slab.h>

#include "iommu-priv.h"

#define MAX_DOORBELLS	256

/**
 * struct iommu_msi_window - Where the doorbells of a group are
 * @start: first address
 * @pages: how many there is room for
 * @used: doorbells that interrupts of the group's devices were set up with, by their place
 */
struct iommu_msi_window {
	dma_addr_t start;
	unsigned int pages;
	DECLARE_BITMAP(used, MAX_DOORBELLS);
};

/* A doorbell in a domain, where so many groups that are attached to the domain use it */
struct msi_mapping {
	struct hlist_node node;
	dma_addr_t iova;
	phys_addr_t phys;
	unsigned int groups;
};

/* The doorbell at each place in the windows. A place that no group uses is free. */
static struct doorbell {
	phys_addr_t phys;
	unsigned int groups;
} doorbells[MAX_DOORBELLS];

static DEFINE_MUTEX(doorbells_lock);

static dma_addr_t doorbell_iova(const struct iommu_msi_window *window, unsigned int place)
{
	return window->start + (dma_addr_t)place * PAGE_SIZE;
}

/* What a guest writes is not for the kernel to fill: it has to lead messages to the domain that it stands on */
static struct iommu_domain *doorbell_domain(const struct iommu_attach_handle *handle)
{
	return handle->parent ?: handle->domain;
}

/* ---- doorbells in domains ---- */

static struct msi_mapping *find_mapping(struct iommu_domain *domain, dma_addr_t iova)
{
	struct msi_mapping *mapping;

	lockdep_assert_held(&doorbells_lock);
	hlist_for_each_entry(mapping, &domain->msi_mappings, node) {
		if (mapping->iova == iova)
			return mapping;
	}
	return NULL;
}

static int map_doorbell(struct iommu_domain *domain, dma_addr_t iova, phys_addr_t phys)
{
	struct msi_mapping *mapping = find_mapping(domain, iova);
	int rc;

	if (mapping) {
		/* Of a group whose window begins elsewhere, which no IOMMU of today has */
		if (mapping->phys != phys)
			return -EADDRINUSE;
		mapping->groups++;
		return 0;
	}

	mapping = kmalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return -ENOMEM;
	rc = iommu_map(domain, iova, phys, PAGE_SIZE, IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO);
	if (rc) {
		kfree(mapping);
		return rc;
	}
	mapping->iova = iova;
	mapping->phys = phys;
	mapping->groups = 1;
	hlist_add_head(&mapping->node, &domain->msi_mappings);
	return 0;
}

static void unmap_doorbell(struct iommu_domain *domain, dma_addr_t iova)
{
	struct msi_mapping *mapping = find_mapping(domain, iova);

	if (WARN_ON(!mapping) || --mapping->groups)
		return;
	iommu_unmap(domain, iova, PAGE_SIZE);
	hlist_del(&mapping->node);
	kfree(mapping);
}

/* Unmap those before @end, exclusive */
static void unmap_doorbells(struct iommu_msi_window *window, struct iommu_domain *domain, unsigned int end)
{
	unsigned int place;

	for_each_set_bit(place, window->used, end)
		unmap_doorbell(domain, doorbell_iova(window, place));
}

/**
 * __iommu_group_map_doorbells() - Let a domain translate the messages of a group that is going to be attached
 * @group: the group
 * @handle: what is going to be attached for the requests without PASID
 *
 * Each success is undone by one __iommu_group_unmap_doorbells(), before the domain is freed.
 *
 * Context: May sleep. group->mutex held.
 * Return: 0, or -errno with nothing mapped: -ENOMEM; -EADDRINUSE when a doorbell of another window is there; or what
 * the driver says when it cannot map.
 */
int __iommu_group_map_doorbells(struct iommu_group *group, const struct iommu_attach_handle *handle)
{
	struct iommu_domain *domain = doorbell_domain(handle);
	struct iommu_msi_window *window = group->msi_window;
	unsigned int place;
	int rc = 0;

	lockdep_assert_held(&group->mutex);

	if (!window)
		return 0;
	mutex_lock(&doorbells_lock);
	for_each_set_bit(place, window->used, MAX_DOORBELLS) {
		rc = map_doorbell(domain, doorbell_iova(window, place), doorbells[place].phys);
		if (rc) {
			unmap_doorbells(window, domain, place);
			break;
		}
	}
	mutex_unlock(&doorbells_lock);
	return rc;
}

/**
 * __iommu_group_unmap_doorbells() - Undo __iommu_group_map_doorbells()
 * @group: the group, not attached to the domain any more
 * @handle: what was attached, or was going to be
 *
 * Context: May sleep. group->mutex held.
 */
void __iommu_group_unmap_doorbells(struct iommu_group *group, const struct iommu_attach_handle *handle)
{
	lockdep_assert_held(&group->mutex);

	if (!group->msi_window)
		return;
	mutex_lock(&doorbells_lock);
	unmap_doorbells(group->msi_window, doorbell_domain(handle), MAX_DOORBELLS);
	mutex_unlock(&doorbells_lock);
}

/* ---- the window of a group ---- */

static int set_window(struct iommu_group *group, const struct iommu_resv_region *region)
{
	struct iommu_msi_window *window = group->msi_window;
	unsigned int pages = min_t(size_t, region->length / PAGE_SIZE, MAX_DOORBELLS);

	/* A group has one window from its first claim on: messages of all its devices are translated by one domain */
	if (window)
		return window->start == region->start && window->pages == pages ? 0 : -EINVAL;
	if (group->owner_cnt || !IS_ALIGNED(region->start, PAGE_SIZE))
		return -EINVAL;

	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	if (!window)
		return -ENOMEM;
	window->start = region->start;
	window->pages = pages;
	group->msi_window = window;
	return 0;
}

/**
 * __iommu_group_open_msi_window() - Learn where the doorbells of a group are to be
 * @group: the group, before owner_cnt counts the claim of @dev
 * @dev: device of it that is being claimed
 *
 * Without a window, as on x86, messages are not translated, and there is nothing to do here or later.
 *
 * Context: May sleep. group->mutex held.
 * Return: 0; -ENOMEM; -EINVAL for a device that has another window than those claimed before, or one that does not
 * begin with a page.
 */
int __iommu_group_open_msi_window(struct iommu_group *group, struct device *dev)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	int rc = 0;

	lockdep_assert_held(&group->mutex);

	if (!iommu_device_ops(dev))
		return 0;
	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list) {
		if (region->type == IOMMU_RESV_SW_MSI && !rc)
			rc = set_window(group, region);
	}
	iommu_put_resv_regions(dev, &regions);
	return rc;
}

/**
 * __iommu_group_close_msi_window() - Forget window and doorbells of a group
 * @group: the group, of which nobody claims a device any more, and none is attached; or one that is being freed, all
 *	devices of which were removed while they were claimed
 *
 * Context: group->mutex held, or nobody else knows the group any more.
 */
void __iommu_group_close_msi_window(struct iommu_group *group)
{
	struct iommu_msi_window *window = group->msi_window;
	unsigned int place;

	if (!window)
		return;
	mutex_lock(&doorbells_lock);
	for_each_set_bit(place, window->used, MAX_DOORBELLS)
		doorbells[place].groups--;
	mutex_unlock(&doorbells_lock);
	group->msi_window = NULL;
	kfree(window);
}

/* Where a doorbell is, or where it could be; -ENOSPC when the window is full */
static int find_place(const struct iommu_msi_window *window, phys_addr_t phys)
{
	int free = -ENOSPC;
	unsigned int i;

	lockdep_assert_held(&doorbells_lock);
	for (i = 0; i < window->pages; i++) {
		if (doorbells[i].groups && doorbells[i].phys == phys)
			return i;
		if (!doorbells[i].groups && free < 0)
			free = i;
	}
	return free;
}

/* The address of a doorbell for devices of the group. Where the group is attached it is mapped on return. */
static int use_doorbell(struct iommu_group *group, phys_addr_t phys, dma_addr_t *iova)
{
	struct iommu_msi_window *window = group->msi_window;
	const struct iommu_attach_handle *handle;
	int place, rc = 0;

	mutex_lock(&doorbells_lock);
	place = find_place(window, phys);
	if (place < 0) {
		rc = place;
		goto out;
	}
	*iova = doorbell_iova(window, place);
	if (test_bit(place, window->used))
		goto out;

	handle = xa_load(&group->handles, IOMMU_NO_PASID);
	if (handle)
		rc = map_doorbell(doorbell_domain(handle), *iova, phys);
	if (rc)
		goto out;
	__set_bit(place, window->used);
	doorbells[place].phys = phys;
	doorbells[place].groups++;
out:
	mutex_unlock(&doorbells_lock);
	return rc;
}

/**
 * iommu_msi_prepare() - Choose the address that a device writes an interrupt message to
 * @desc: the interrupt; it gets the address
 * @msi_addr: physical address of the doorbell
 *
 * Called by iommu_dma_prepare_msi(). The address stays good until the last device of the group is released, whatever
 * is attached.
 *
 * Context: May sleep. Takes group->mutex; locks of the irq core are held.
 * Return: 0; 1 when the group has no window, so that it is for the domain to say; -ENOSPC when the window is full; and
 * as __iommu_group_map_doorbells().
 */
int iommu_msi_prepare(struct msi_desc *desc, phys_addr_t msi_addr)
{
	struct iommu_group *group = iommu_group_get(msi_desc_to_dev(desc));
	dma_addr_t iova;
	int rc = 1;

	if (!group)
		return 1;
	mutex_lock(&group->mutex);
	if (group->msi_window) {
		rc = use_doorbell(group, msi_addr & PAGE_MASK, &iova);
		if (!rc)
			msi_desc_set_iommu_msi_iova(desc, iova, PAGE_SHIFT);
	}
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
	return rc;
}
