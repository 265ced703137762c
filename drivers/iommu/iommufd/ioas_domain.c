// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_domain - the domains that the areas of an IOAS are copied to, and what they demand of its addresses
 *
 * A domain that is added gets every area; the first one makes their pages be pinned, the last one to go unpins them.
 * Where a domain cannot translate, no address is given out, and alignment follows the smallest page size of them all.
 *
 * This file does not know ids, ioctls or devices.
 *
 * Locking: fill_rwsem is held for writing while a domain comes or goes: an area that is only half mapped then belongs
 * to a map call, which puts it into all domains itself. Inside it space.rwsem, for short. What the first domain is
 * going to need is pinned before, without any lock.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "ioas_access.h"
#include "ioas_domain.h"
#include "ioas_fill.h"
#include "ioas_map.h"
#include "pinned.h"

/**
 * ioas_domain_fill() - Put an area into a domain
 * @map: IOAS, @map->fill_rwsem held
 * @dom: one of its domains
 * @area: one of its areas, pinned
 *
 * Return: as ioas_fill().
 */
int ioas_domain_fill(struct ioas_map *map, struct ioas_domain *dom, struct ioas_area *area)
{
	return ioas_fill(dom->domain, area->claim.start, area->pinned, area->byte, ioas_area_length(area), area->prot,
			 map->huge_pages);
}

/* Largest alignment that the domains, software users and the huge-page option ask for, bytes */
static unsigned long needed_alignment(struct ioas_map *map)
{
	unsigned long alignment = map->huge_pages ? 1 : PAGE_SIZE;
	struct ioas_domain *dom;

	if (ioas_access_pins_pages(map))
		alignment = PAGE_SIZE;
	list_for_each_entry(dom, &map->domains, entry)
		alignment = max(alignment, min(1UL << __ffs(dom->domain->pgsize_bitmap), PAGE_SIZE));
	return alignment;
}

/* Make the space demand an alignment, if all areas have it */
static int set_alignment(struct ioas_map *map, unsigned long alignment)
{
	unsigned long mask = alignment - 1;
	struct ioas_area *area;

	lockdep_assert_held_write(&map->space.rwsem);
	for (area = ioas_map_first(map, 0, ULONG_MAX); mask && area; area = ioas_map_next(area, ULONG_MAX)) {
		if ((area->claim.start | (area->claim.last + 1) | area->byte) & mask)
			return -EADDRINUSE;
		cond_resched();
	}
	map->space.alignment = alignment;
	return 0;
}

/* Addresses that a domain cannot translate must not be used */
static int reserve_outside_aperture(struct ioas_map *map, struct ioas_domain *dom)
{
	struct iommu_domain_geometry *geometry = &dom->domain->geometry;
	int rc = 0;

	lockdep_assert_held_write(&map->space.rwsem);
	if (geometry->aperture_start)
		rc = iova_space_reserve(&map->space, dom, 0, geometry->aperture_start - 1);
	if (!rc && geometry->aperture_end < ULONG_MAX)
		rc = iova_space_reserve(&map->space, dom, geometry->aperture_end + 1, ULONG_MAX);
	return rc;
}

/* What the addresses of the IOAS must respect from now on: all of it, or nothing changes */
static int constrain(struct ioas_map *map, struct ioas_domain *dom)
{
	int rc;

	down_write(&map->space.rwsem);
	rc = reserve_outside_aperture(map, dom);
	if (!rc)
		rc = set_alignment(map, needed_alignment(map));
	if (rc)
		iova_space_unreserve(&map->space, dom);
	up_write(&map->space.rwsem);
	return rc;
}

/**
 * ioas_map_realign() - Adapt the alignment of an IOAS to who uses it now
 * @map: IOAS, @map->fill_rwsem held for writing
 *
 * Return: 0; -EADDRINUSE, with the alignment as it was, if an area does not have it.
 */
int ioas_map_realign(struct ioas_map *map)
{
	int rc;

	down_write(&map->space.rwsem);
	rc = set_alignment(map, needed_alignment(map));
	up_write(&map->space.rwsem);
	return rc;
}

static void unconstrain(struct ioas_map *map, struct ioas_domain *dom)
{
	down_write(&map->space.rwsem);
	iova_space_unreserve(&map->space, dom);
	map->space.alignment = needed_alignment(map);
	up_write(&map->space.rwsem);
}

/* Take all areas up to @end (exclusive; NULL for all) out of a domain; @pinned: they are pinned for it alone */
static void drain_domain(struct ioas_map *map, struct ioas_domain *dom, struct ioas_area *end, bool pinned)
{
	struct ioas_area *area;

	for (area = ioas_map_next_settled(map, NULL); area != end; area = ioas_map_next_settled(map, area)) {
		ioas_unfill(dom->domain, area->claim.start, area->pinned, ioas_area_length(area));
		if (pinned)
			ioas_area_unpin(area);
		cond_resched();
	}
}

/**
 * struct page_hold - Pages that stay pinned until the areas that have them are
 * @next: the hold that was taken before
 * @pinned: where they come from, referenced
 * @index: first page
 * @last: last page, inclusive
 */
struct page_hold {
	struct page_hold *next;
	struct pinned *pinned;
	unsigned long index;
	unsigned long last;
};

static void release_holds(struct page_hold *hold)
{
	struct page_hold *next;

	for (; hold; hold = next) {
		next = hold->next;
		pinned_release(hold->pinned, hold->index, hold->last);
		pinned_put(hold->pinned);
		kfree(hold);
		cond_resched();
	}
}

/* A hold on the pages of the first area from @iova on, not pinned yet; @iova is behind it then. NULL: there is none */
static struct page_hold *next_hold(struct ioas_map *map, unsigned long *iova)
{
	struct page_hold *hold = kmalloc(sizeof(*hold), GFP_KERNEL_ACCOUNT);
	struct ioas_area *area;

	if (!hold)
		return ERR_PTR(-ENOMEM);
	down_read(&map->space.rwsem);
	area = ioas_map_first(map, *iova, ULONG_MAX);
	while (area && area->state != IOAS_AREA_LIVE)
		area = ioas_map_next(area, ULONG_MAX);
	if (area) {
		pinned_get(area->pinned);
		hold->pinned = area->pinned;
		hold->index = ioas_area_index(area);
		hold->last = ioas_area_last_index(area);
		*iova = area->claim.last + 1;
	}
	up_read(&map->space.rwsem);
	if (!area) {
		kfree(hold);
		hold = NULL;
	}
	return hold;
}

/*
 * Pin what all areas have, without a lock, as their memory may take its time to come. Areas may come and go
 * meanwhile, so this only makes pinning them a matter of counting, and is no promise; nor is it an error yet if some
 * cannot be pinned.
 */
static int hold_pages(struct ioas_map *map, struct page_hold **holds)
{
	struct page_hold *hold;
	unsigned long iova = 0;
	int rc = 0;

	do {
		hold = next_hold(map, &iova);
		if (IS_ERR_OR_NULL(hold))
			return PTR_ERR_OR_ZERO(hold);
		rc = pinned_acquire(hold->pinned, hold->index, hold->last);
		if (rc) {
			pinned_put(hold->pinned);
			kfree(hold);
		} else {
			hold->next = *holds;
			*holds = hold;
		}
		cond_resched();
	} while (iova && rc != -EINTR && rc != -ENOMEM);
	return rc == -EINTR || rc == -ENOMEM ? rc : 0;
}

static void count_pins(struct ioas_map *map, unsigned long npages)
{
	down_write(&map->space.rwsem);
	map->counts.pins += npages;
	up_write(&map->space.rwsem);
}

/* Put all areas into a domain; @pin: pin them for it */
static int fill_domain(struct ioas_map *map, struct ioas_domain *dom, bool pin)
{
	unsigned long npages = 0;
	struct ioas_area *area;
	int rc = 0;

	for (area = ioas_map_next_settled(map, NULL); area; area = ioas_map_next_settled(map, area)) {
		if (pin)
			rc = ioas_area_pin(area);
		if (rc)
			break;
		rc = ioas_domain_fill(map, dom, area);
		if (rc) {
			if (pin)
				ioas_area_unpin(area);
			break;
		}
		npages += ioas_area_npages(area);
		cond_resched();
	}
	if (rc)
		drain_domain(map, dom, area, pin);
	else if (pin)
		count_pins(map, npages);
	return rc;
}

static int add_domain(struct ioas_map *map, struct ioas_domain *dom)
{
	bool first = list_empty(&map->domains);
	int rc;

	lockdep_assert_held_write(&map->fill_rwsem);
	list_add_tail(&dom->entry, &map->domains);
	/* What devices wrote is not known afterwards either, so it stays like this when the domain goes */
	map->dirty.by_device = true;
	rc = constrain(map, dom);
	if (rc)
		goto err_list;
	rc = fill_domain(map, dom, first);
	if (rc)
		goto err_constraint;
	return 0;

err_constraint:
	list_del(&dom->entry);
	unconstrain(map, dom);
	return rc;
err_list:
	list_del(&dom->entry);
	return rc;
}

/**
 * ioas_map_add_domain() - Put every area into one more domain, and every area to come
 * @map: IOAS
 * @dom: domain, complete and empty; @dom->domain set by the caller
 *
 * With the first domain the pages of all areas are pinned.
 *
 * Return: 0, or with nothing changed -EADDRINUSE (an area or an allowed window lies where the domain cannot
 * translate, or is not aligned for it), -ENOMEM, -EFAULT, -EBUSY, -EINTR as for mapping.
 */
int ioas_map_add_domain(struct ioas_map *map, struct ioas_domain *dom)
{
	struct page_hold *holds = NULL;
	int rc = 0;

	if (!ioas_map_has_domain(map))
		rc = hold_pages(map, &holds);
	if (!rc)
		rc = down_write_killable(&map->fill_rwsem);
	if (!rc) {
		rc = add_domain(map, dom);
		up_write(&map->fill_rwsem);
	}
	release_holds(holds);
	return rc;
}

/**
 * ioas_map_remove_domain() - Undo ioas_map_add_domain()
 * @map: IOAS
 * @dom: domain that no device translates through any more
 *
 * With the last domain the pages of all areas are unpinned. Cannot fail.
 */
void ioas_map_remove_domain(struct ioas_map *map, struct ioas_domain *dom)
{
	down_write(&map->fill_rwsem);
	list_del(&dom->entry);
	drain_domain(map, dom, NULL, list_empty(&map->domains));
	unconstrain(map, dom);
	up_write(&map->fill_rwsem);
}

/**
 * ioas_map_set_huge_pages() - Allow or forbid leaves larger than a page
 * @map: IOAS
 * @huge_pages: allow
 *
 * Return: 0; -EINVAL if there are a page table and areas; -EADDRINUSE if an area is not page aligned; -EINTR.
 */
int ioas_map_set_huge_pages(struct ioas_map *map, bool huge_pages)
{
	bool before;
	int rc;

	rc = down_write_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	down_write(&map->space.rwsem);
	before = map->huge_pages;
	if (before == huge_pages) {
		rc = 0;
	} else if (!list_empty(&map->domains) && ioas_map_first(map, 0, ULONG_MAX)) {
		rc = -EINVAL;
	} else {
		map->huge_pages = huge_pages;
		rc = set_alignment(map, needed_alignment(map));
		if (rc)
			map->huge_pages = before;
	}
	up_write(&map->space.rwsem);
	up_write(&map->fill_rwsem);
	return rc;
}
