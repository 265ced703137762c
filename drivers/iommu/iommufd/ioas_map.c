// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_map - area transactions: map, unmap, and the domains that areas are copied to
 *
 * Mapping is begun (addresses claimed, pages pinned, every domain filled) and then committed or aborted; in between
 * the caller tells the user the address. Unmapping first decides, for the whole range and without changing anything,
 * whether it can be done; from then on it cannot fail. Pages are pinned exactly while the IOAS has a domain.
 *
 * This file does not know ids, ioctls or devices.
 *
 * Locking: fill_rwsem is outermost. map and unmap hold it for reading from beginning to end, so that a domain that is
 * added sees finished areas only; space.rwsem is taken inside it, for short, and never while pages are pinned or
 * domains filled.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "ioas_fill.h"
#include "ioas_map.h"
#include "pinned.h"

/**
 * ioas_map_init() - Make an IOAS without areas and without domains
 * @map: to set up
 */
void ioas_map_init(struct ioas_map *map)
{
	init_rwsem(&map->fill_rwsem);
	INIT_LIST_HEAD(&map->domains);
	map->huge_pages = true;
	iova_space_init(&map->space);
}

/**
 * ioas_map_destroy() - Take out all areas
 * @map: without domains; nobody else uses it any more
 */
void ioas_map_destroy(struct ioas_map *map)
{
	u64 unmapped;

	WARN_ON(!list_empty(&map->domains));
	/* Nobody else uses it, so there is nothing to wait for and nothing that may fail */
	WARN_ON(ioas_map_unmap(map, 0, ULONG_MAX, &unmapped));
	iova_space_destroy(&map->space);
}

static struct ioas_area *to_area(struct iova_claim *claim)
{
	return claim ? container_of(claim, struct ioas_area, claim) : NULL;
}

static unsigned long area_length(struct ioas_area *area)
{
	return area->claim.last - area->claim.start + 1;
}

static struct ioas_area *first_area(struct ioas_map *map, unsigned long start, unsigned long last)
{
	return to_area(iova_space_first(&map->space, start, last));
}

static struct ioas_area *next_area(struct ioas_area *area, unsigned long last)
{
	return to_area(iova_space_next(&area->claim, last));
}

/* Take an area out of the domains from the first up to @end (exclusive; the list head for all of them) */
static void unfill_domains(struct ioas_map *map, struct ioas_area *area, struct list_head *end)
{
	struct ioas_domain *dom;

	list_for_each_entry(dom, &map->domains, entry) {
		if (&dom->entry == end)
			break;
		ioas_unfill(dom->domain, area->claim.start, area_length(area));
	}
}

static int fill_domain(struct ioas_map *map, struct ioas_area *area, struct ioas_domain *dom)
{
	return ioas_fill(dom->domain, area->claim.start, area->pinned, area->byte, area_length(area), area->prot,
			 map->huge_pages);
}

/* Pin the area's pages and put it into every domain; without a domain there is nothing to do */
static int populate(struct ioas_map *map, struct ioas_area *area)
{
	struct ioas_domain *dom;
	int rc;

	if (list_empty(&map->domains))
		return 0;
	rc = pinned_acquire(area->pinned, &area->user);
	if (rc)
		return rc;
	list_for_each_entry(dom, &map->domains, entry) {
		rc = fill_domain(map, area, dom);
		if (rc) {
			unfill_domains(map, area, &dom->entry);
			pinned_release(area->pinned, &area->user);
			return rc;
		}
	}
	return 0;
}

/* The mirror of populate(): unpin must follow unfill, a device may still be writing */
static void depopulate(struct ioas_map *map, struct ioas_area *area)
{
	if (list_empty(&map->domains))
		return;
	unfill_domains(map, area, &map->domains);
	pinned_release(area->pinned, &area->user);
}

static void unclaim(struct ioas_map *map, struct ioas_area *area)
{
	down_write(&map->space.rwsem);
	iova_space_unclaim(&map->space, &area->claim);
	up_write(&map->space.rwsem);
	pinned_put(area->pinned);
	kfree(area);
}

static int claim(struct ioas_map *map, struct ioas_area *area, unsigned long length, unsigned long *iova,
		 unsigned long align)
{
	unsigned long mask;
	int rc;

	down_write(&map->space.rwsem);
	mask = map->space.alignment - 1;
	if ((area->byte & mask) || (length & mask))
		rc = -EINVAL;
	else
		rc = align ? iova_space_find(&map->space, length, align, iova) : 0;
	if (!rc)
		rc = iova_space_claim(&map->space, &area->claim, *iova, *iova + (length - 1));
	up_write(&map->space.rwsem);
	return rc;
}

/**
 * ioas_map_begin() - Map a range, up to the point where only the user must still be told
 * @map: IOAS
 * @p: where pages come from; the caller's reference becomes the area's, also on failure
 * @byte: offset of the first byte in @p
 * @length: bytes, above 0, not wrapping behind @byte
 * @prot: IOMMU_READ and so on
 * @iova: in: first IOVA, when the user chose it; out: first IOVA, when the kernel does
 * @align: 0 when the user chose the IOVA, or what a chosen one must be a multiple of, a power of two
 *
 * On success @map->fill_rwsem is held for reading until ioas_map_commit() or ioas_map_abort().
 *
 * Return: the area, or ERR_PTR with nothing changed: -EINVAL (not aligned, reserved), -EEXIST (overlaps a mapping),
 * -ENOSPC (no room), -ENOMEM, -EFAULT (pages cannot be pinned), -EINTR (the caller is being killed).
 */
struct ioas_area *ioas_map_begin(struct ioas_map *map, struct pinned *p, u64 byte, unsigned long length, int prot,
				 unsigned long *iova, unsigned long align)
{
	struct ioas_area *area = kzalloc(sizeof(*area), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!area) {
		pinned_put(p);
		return ERR_PTR(-ENOMEM);
	}
	area->pinned = p;
	area->byte = byte;
	area->user.start = byte >> PAGE_SHIFT;
	area->user.last = (byte + (length - 1)) >> PAGE_SHIFT;
	area->prot = prot;
	area->state = IOAS_AREA_FILLING;

	rc = down_read_killable(&map->fill_rwsem);
	if (rc)
		goto err_free;
	rc = claim(map, area, length, iova, align);
	if (rc)
		goto err_unlock;
	rc = populate(map, area);
	if (rc)
		goto err_unclaim;
	return area;

err_unclaim:
	unclaim(map, area);
	up_read(&map->fill_rwsem);
	return ERR_PTR(rc);
err_unlock:
	up_read(&map->fill_rwsem);
err_free:
	pinned_put(p);
	kfree(area);
	return ERR_PTR(rc);
}

/**
 * ioas_map_commit() - The user knows the address: the area is there to stay
 * @map: IOAS
 * @area: what ioas_map_begin() returned
 */
void ioas_map_commit(struct ioas_map *map, struct ioas_area *area)
{
	down_write(&map->space.rwsem);
	area->state = IOAS_AREA_LIVE;
	up_write(&map->space.rwsem);
	up_read(&map->fill_rwsem);
}

/**
 * ioas_map_abort() - The user could not be told: as if nothing had been mapped
 * @map: IOAS
 * @area: what ioas_map_begin() returned
 */
void ioas_map_abort(struct ioas_map *map, struct ioas_area *area)
{
	depopulate(map, area);
	unclaim(map, area);
	up_read(&map->fill_rwsem);
}

/*
 * May all areas in the range go? If so they are chained to @drained, and nobody else touches them until they are
 * gone.
 */
static int begin_drain(struct ioas_map *map, unsigned long start, unsigned long last, struct ioas_area **drained)
{
	struct ioas_area *area;

	lockdep_assert_held_write(&map->space.rwsem);
	*drained = NULL;
	for (area = first_area(map, start, last); area; area = next_area(area, last)) {
		if (area->claim.start < start || area->claim.last > last)
			return -ENOENT;
		if (area->state != IOAS_AREA_LIVE)
			return -EBUSY;
	}
	for (area = first_area(map, start, last); area; area = next_area(area, last)) {
		area->state = IOAS_AREA_DRAINING;
		area->next_drained = NULL;
		*drained = area;
		drained = &area->next_drained;
	}
	return 0;
}

/**
 * ioas_map_unmap() - Unmap every area that lies in a range
 * @map: IOAS
 * @start: first IOVA
 * @last: last IOVA, inclusive
 * @unmapped: out: bytes that were unmapped, 0 when there was nothing or on error
 *
 * When this returns no device reaches the pages, and they are unpinned unless something else uses them. Once begun it
 * cannot be interrupted; a caller that is being killed gives up waiting for a page table that is being made.
 *
 * Return: 0, or with nothing changed -ENOENT if an area would be cut, -EBUSY if one is being mapped or unmapped by
 * another call, -EINTR.
 */
int ioas_map_unmap(struct ioas_map *map, unsigned long start, unsigned long last, u64 *unmapped)
{
	struct ioas_area *area, *next;
	int rc;

	*unmapped = 0;
	rc = down_read_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	down_write(&map->space.rwsem);
	rc = begin_drain(map, start, last, &area);
	up_write(&map->space.rwsem);

	for (; !rc && area; area = next) {
		next = area->next_drained;
		depopulate(map, area);
		*unmapped += area_length(area);
		unclaim(map, area);
		cond_resched();
	}
	up_read(&map->fill_rwsem);
	return rc;
}

/* Largest alignment that the domains and the huge-page option ask for, bytes */
static unsigned long needed_alignment(struct ioas_map *map)
{
	unsigned long alignment = map->huge_pages ? 1 : PAGE_SIZE;
	struct ioas_domain *dom;

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
	for (area = first_area(map, 0, ULONG_MAX); mask && area; area = next_area(area, ULONG_MAX))
		if ((area->claim.start | (area->claim.last + 1) | area->byte) & mask)
			return -EADDRINUSE;
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

	for (area = first_area(map, 0, ULONG_MAX); area != end; area = next_area(area, ULONG_MAX)) {
		ioas_unfill(dom->domain, area->claim.start, area_length(area));
		if (pinned)
			pinned_release(area->pinned, &area->user);
		cond_resched();
	}
}

/**
 * ioas_map_add_domain() - Put every area into one more domain, and every area to come
 * @map: IOAS
 * @dom: domain, complete and empty; @dom->domain set by the caller
 *
 * With the first domain the pages of all areas are pinned.
 *
 * Return: 0, or with nothing changed -EADDRINUSE (an area or an allowed window lies where the domain cannot
 * translate, or is not aligned for it), -ENOMEM, -EFAULT, -EINTR as for mapping.
 */
int ioas_map_add_domain(struct ioas_map *map, struct ioas_domain *dom)
{
	struct ioas_area *area;
	bool first;
	int rc;

	rc = down_write_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	first = list_empty(&map->domains);
	list_add_tail(&dom->entry, &map->domains);
	rc = constrain(map, dom);
	if (rc)
		goto err_list;

	for (area = first_area(map, 0, ULONG_MAX); area; area = next_area(area, ULONG_MAX)) {
		if (first)
			rc = pinned_acquire(area->pinned, &area->user);
		if (rc)
			break;
		rc = fill_domain(map, area, dom);
		if (rc) {
			if (first)
				pinned_release(area->pinned, &area->user);
			break;
		}
		cond_resched();
	}
	if (rc) {
		drain_domain(map, dom, area, first);
		list_del(&dom->entry);
		unconstrain(map, dom);
	}
	up_write(&map->fill_rwsem);
	return rc;

err_list:
	list_del(&dom->entry);
	up_write(&map->fill_rwsem);
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
	} else if (!list_empty(&map->domains) && first_area(map, 0, ULONG_MAX)) {
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
