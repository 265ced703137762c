// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_map - area transactions: map, copy, cut, unmap
 *
 * Mapping is begun (addresses claimed, pages pinned) and then committed (every domain filled) or aborted; in between
 * the caller tells the user the address. What is mapped in one go is a chain of areas that lie side by side: one for
 * memory of the process, as many as the source has for a copy. Unmapping first decides, for the whole range and
 * without changing anything, whether it can be done; then software users let go of it; from then on it cannot fail.
 * Pages are pinned exactly while the IOAS has a domain, and where a software user pins them.
 *
 * This file does not know ids, ioctls or devices.
 *
 * Locking: fill_rwsem is outermost. map and unmap hold it for reading while they fill domains or take out;
 * space.rwsem is taken inside it, for short, and never while pages are pinned or domains filled. No lock at all is
 * held while a map call pins pages or writes to its caller, for the caller's memory may take its time: until the
 * areas are committed they are nobody else's, and a domain that comes or goes meanwhile leaves them to that call. No
 * lock is held while software users are told, either.
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
 * ioas_map_init() - Make an IOAS without areas and without domains
 * @map: to set up
 */
void ioas_map_init(struct ioas_map *map)
{
	init_rwsem(&map->fill_rwsem);
	INIT_LIST_HEAD(&map->domains);
	map->huge_pages = true;
	iova_space_init(&map->space);
	INIT_LIST_HEAD(&map->users);
	spin_lock_init(&map->users_lock);
	map->pins = RB_ROOT_CACHED;
	ioas_dirty_init(map);
	init_waitqueue_head(&map->idle);
}

/**
 * ioas_map_destroy() - Take out all areas
 * @map: without domains; nobody else uses it any more
 */
void ioas_map_destroy(struct ioas_map *map)
{
	u64 unmapped;

	WARN_ON(!list_empty(&map->domains) || !list_empty(&map->users));
	/* Nobody else uses it, so there is nothing to wait for and nothing that may fail */
	WARN_ON(ioas_map_unmap(map, 0, ULONG_MAX, NULL, NULL, &unmapped));
	ioas_dirty_stop(map);
	iova_space_destroy(&map->space);
}

static struct ioas_area *to_area(struct iova_claim *claim)
{
	return claim ? container_of(claim, struct ioas_area, claim) : NULL;
}

/**
 * ioas_map_first() - Lowest area that touches a range
 * @map: IOAS, @map->space.rwsem held, or @map->fill_rwsem for writing
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: the area, or NULL.
 */
struct ioas_area *ioas_map_first(struct ioas_map *map, unsigned long start, unsigned long last)
{
	return to_area(iova_space_first(&map->space, start, last));
}

/**
 * ioas_map_next() - Next area of a range, in ascending order
 * @area: where ioas_map_first() or the call before this one arrived
 * @last: last IOVA of the range, inclusive
 *
 * Return: the area, or NULL.
 */
struct ioas_area *ioas_map_next(struct ioas_area *area, unsigned long last)
{
	/* Mostly there is one, and nothing to look for behind it */
	return area->claim.last < last ? to_area(iova_space_next(&area->claim, last)) : NULL;
}

/**
 * ioas_map_next_settled() - Next area that is not being mapped
 * @map: IOAS, @map->fill_rwsem held for writing, so that such areas stay
 * @area: the one before it, or NULL for the first
 *
 * Return: the area, or NULL.
 */
struct ioas_area *ioas_map_next_settled(struct ioas_map *map, struct ioas_area *area)
{
	lockdep_assert_held_write(&map->fill_rwsem);
	down_read(&map->space.rwsem);
	do
		area = area ? ioas_map_next(area, ULONG_MAX) : ioas_map_first(map, 0, ULONG_MAX);
	while (area && area->state == IOAS_AREA_FILLING);
	up_read(&map->space.rwsem);
	return area;
}

/**
 * ioas_area_pin() - Pin the pages of an area
 * @area: area, not pinned by this
 *
 * Return: 0, or -errno of pinned_acquire().
 */
int ioas_area_pin(struct ioas_area *area)
{
	return pinned_acquire(area->pinned, ioas_area_index(area), ioas_area_last_index(area));
}

/**
 * ioas_area_unpin() - Undo ioas_area_pin()
 * @area: area that is in no domain
 */
void ioas_area_unpin(struct ioas_area *area)
{
	pinned_release(area->pinned, ioas_area_index(area), ioas_area_last_index(area));
}

/* Take an area out of the domains from the first up to @end (exclusive; the list head for all of them) */
static void unfill_domains(struct ioas_map *map, struct ioas_area *area, struct list_head *end)
{
	struct ioas_domain *dom;

	list_for_each_entry(dom, &map->domains, entry) {
		if (&dom->entry == end)
			break;
		ioas_unfill(dom->domain, area->claim.start, area->pinned, ioas_area_length(area));
	}
}

/* Put an area that is pinned into every domain */
static int fill_domains(struct ioas_map *map, struct ioas_area *area)
{
	struct ioas_domain *dom;
	int rc;

	list_for_each_entry(dom, &map->domains, entry) {
		rc = ioas_domain_fill(map, dom, area);
		if (rc) {
			unfill_domains(map, area, &dom->entry);
			return rc;
		}
	}
	return 0;
}

/* Take an area that is mapped out of the domains. Unpin must follow unfill: a device may still be writing. */
static void depopulate(struct ioas_map *map, struct ioas_area *area)
{
	if (list_empty(&map->domains))
		return;
	unfill_domains(map, area, &map->domains);
	ioas_area_unpin(area);
}

/**
 * ioas_areas_free() - Drop areas that are not mapped, or not any more
 * @areas: chain, may be empty
 */
void ioas_areas_free(struct ioas_area *areas)
{
	struct ioas_area *area;
	struct pinned *p;

	while ((area = areas)) {
		areas = area->next;
		p = area->pinned;
		/* The one that stands in its source goes with that */
		if (area != (void *)p->room)
			kfree(area);
		pinned_put(p);
	}
}

/* Give up the claims of a chain up to @end (exclusive; NULL for all of it) */
static void unclaim(struct ioas_map *map, struct ioas_area *areas, struct ioas_area *end)
{
	struct ioas_area *area;

	lockdep_assert_held_write(&map->space.rwsem);
	for (area = areas; area != end; area = area->next)
		iova_space_unclaim(&map->space, &area->claim);
}

static bool chain_aligned(struct ioas_area *areas, unsigned long mask)
{
	for (; areas; areas = areas->next)
		if ((areas->byte | ioas_area_length(areas)) & mask)
			return false;
	return true;
}

/* Claim addresses for all areas of the chain, side by side from @iova on */
static int claim_at(struct ioas_map *map, struct ioas_area *areas, unsigned long iova)
{
	struct ioas_area *area;
	unsigned long last;
	int rc;

	for (area = areas; area; area = area->next) {
		last = iova + (ioas_area_length(area) - 1);
		rc = iova_space_claim(&map->space, &area->claim, iova, last);
		if (rc) {
			unclaim(map, areas, area);
			return rc;
		}
		iova = last + 1;
	}
	return 0;
}

static int claim(struct ioas_map *map, struct ioas_area *areas, unsigned long *iova, unsigned long align)
{
	int rc = 0;

	down_write(&map->space.rwsem);
	if (!chain_aligned(areas, map->space.alignment - 1))
		rc = -EINVAL;
	else if (align)
		rc = iova_space_find(&map->space, ioas_areas_length(areas), align, iova);
	if (!rc)
		rc = claim_at(map, areas, *iova);
	up_write(&map->space.rwsem);
	return rc;
}

/* Unpin what a map call has pinned */
static void unpin_chain(struct ioas_area *areas)
{
	for (; areas; areas = areas->next) {
		if (areas->held)
			ioas_area_unpin(areas);
		areas->held = false;
		cond_resched();
	}
}

/* Pin what a map call is going to put into domains */
static int pin_chain(struct ioas_area *areas)
{
	struct ioas_area *area;
	int rc;

	for (area = areas; area; area = area->next) {
		rc = ioas_area_pin(area);
		if (rc) {
			unpin_chain(areas);
			return rc;
		}
		area->held = true;
	}
	return 0;
}

static int fill_chain(struct ioas_map *map, struct ioas_area *areas)
{
	struct ioas_area *area, *done;
	int rc;

	for (area = areas; area; area = area->next) {
		rc = fill_domains(map, area);
		if (rc)
			goto err_unfill;
	}
	return 0;

err_unfill:
	for (done = areas; done != area; done = done->next) {
		unfill_domains(map, done, &map->domains);
		cond_resched();
	}
	return rc;
}

static struct ioas_area *area_init(struct ioas_area *area, struct pinned *p, u64 byte, unsigned long length, int prot)
{
	area->claim.start = 0;
	area->claim.last = length - 1;
	area->pinned = p;
	area->byte = byte;
	area->next = NULL;
	area->prot = prot;
	area->state = IOAS_AREA_FILLING;
	area->held = false;
	return area;
}

/**
 * ioas_area_create() - Make the first area of a source, not mapped yet
 * @p: where its pages come from, just made; the caller's reference becomes the area's
 * @byte: offset of the first byte in @p
 * @length: bytes, above 0, not wrapping behind @byte
 * @prot: IOMMU_READ and so on
 *
 * Return: the area, for ioas_map_begin().
 */
struct ioas_area *ioas_area_create(struct pinned *p, u64 byte, unsigned long length, int prot)
{
	BUILD_BUG_ON(sizeof(struct ioas_area) > PINNED_ROOM);
	return area_init((void *)p->room, p, byte, length, prot);
}

/* The part of an area that lies in [start, last], as an area of its own on the same source */
static struct ioas_area *clone_part(struct ioas_area *area, unsigned long start, unsigned long last, int prot)
{
	struct ioas_area *clone = kmalloc(sizeof(*clone), GFP_KERNEL_ACCOUNT);

	if (!clone)
		return NULL;
	start = max(start, area->claim.start);
	last = min(last, area->claim.last);
	pinned_get(area->pinned);
	return area_init(clone, area->pinned, area->byte + (start - area->claim.start), last - start + 1, prot);
}

/**
 * ioas_map_gather() - Make areas that share the pages of a mapped range
 * @map: IOAS to look in
 * @start: first IOVA
 * @last: last IOVA, inclusive
 * @prot: IOMMU_READ and so on, of the areas that are made
 *
 * A page of a source is pinned and charged once, however many areas share it.
 *
 * Return: a chain of areas for ioas_map_begin(), in any IOAS of the same context, or ERR_PTR: -ENOENT if some of the
 * range is not mapped, or is being mapped or unmapped; -EPERM if @prot has IOMMU_WRITE and memory is mapped for
 * reading only; -ENOMEM; -EINTR.
 */
struct ioas_area *ioas_map_gather(struct ioas_map *map, unsigned long start, unsigned long last, int prot)
{
	struct ioas_area *chain = NULL;
	struct ioas_area **end = &chain;
	struct ioas_area *area;
	int rc;

	rc = down_read_killable(&map->space.rwsem);
	if (rc)
		return ERR_PTR(rc);
	for (;;) {
		area = ioas_map_first(map, start, start);
		rc = -ENOENT;
		if (!area || area->state != IOAS_AREA_LIVE)
			break;
		rc = -EPERM;
		if ((prot & IOMMU_WRITE) && !pinned_writable(area->pinned))
			break;
		*end = clone_part(area, start, last, prot);
		rc = -ENOMEM;
		if (!*end)
			break;
		end = &(*end)->next;
		rc = 0;
		if (area->claim.last >= last)
			break;
		start = area->claim.last + 1;
		cond_resched();
	}
	up_read(&map->space.rwsem);
	if (rc) {
		ioas_areas_free(chain);
		return ERR_PTR(rc);
	}
	return chain;
}

/**
 * ioas_map_begin() - Map areas side by side, up to the point where the user must be told
 * @map: IOAS
 * @areas: chain of areas that are not mapped; freed on failure
 * @iova: in: first IOVA, when the user chose it, with room for all areas below 2^64; out: first IOVA, when the kernel
 *	  does
 * @align: 0 when the user chose the IOVA, or what a chosen one must be a multiple of, a power of two
 * @pin: pin the pages now, as they are needed if there is a domain; ioas_map_commit() finds out whether there is
 *
 * Until ioas_map_commit() or ioas_map_abort(), during which no lock is held, the addresses are taken, and nothing is
 * mapped.
 *
 * Return: 0, or with nothing changed -EINVAL (not aligned, reserved), -EEXIST (overlaps a mapping), -ENOSPC (no
 * room), -ENOMEM, -EFAULT (pages cannot be pinned), -EBUSY (their charges are being moved), -EINTR (the caller is
 * being killed).
 */
int ioas_map_begin(struct ioas_map *map, struct ioas_area *areas, unsigned long *iova, unsigned long align, bool pin)
{
	int rc;

	rc = claim(map, areas, iova, align);
	if (rc) {
		ioas_areas_free(areas);
		return rc;
	}
	rc = pin ? pin_chain(areas) : 0;
	if (rc)
		ioas_map_abort(map, areas);
	return rc;
}

/*
 * Take fill_rwsem for reading with the areas pinned if there is a domain, and not pinned if there is none. Whether
 * there is one may change as long as the lock is not held, and pages are pinned without it.
 */
static int lock_pinned(struct ioas_map *map, struct ioas_area *areas)
{
	int rc;

	for (;;) {
		rc = down_read_killable(&map->fill_rwsem);
		if (rc)
			return rc;
		if (ioas_map_has_domain(map) == areas->held)
			return 0;
		up_read(&map->fill_rwsem);
		if (areas->held)
			unpin_chain(areas);
		else
			rc = pin_chain(areas);
		if (rc)
			return rc;
	}
}

/**
 * ioas_map_commit() - The user knows the address: let devices see the areas, which are there to stay
 * @map: IOAS
 * @areas: what ioas_map_begin() began; as after ioas_map_abort() on failure
 *
 * Return: 0, -ENOMEM, -EINTR, or what ioas_map_begin() says of pinning.
 */
int ioas_map_commit(struct ioas_map *map, struct ioas_area *areas)
{
	struct ioas_area *next;
	int rc;

	rc = lock_pinned(map, areas);
	if (rc)
		goto err_abort;
	rc = fill_chain(map, areas);
	if (rc)
		goto err_unlock;
	down_write(&map->space.rwsem);
	for (; areas; areas = next) {
		next = areas->next;
		areas->state = IOAS_AREA_LIVE;
		areas->next = NULL;
		map->counts.maps++;
		map->counts.mapped += ioas_area_length(areas);
		if (areas->held)
			map->counts.pins += ioas_area_npages(areas);
	}
	up_write(&map->space.rwsem);
	up_read(&map->fill_rwsem);
	return 0;

err_unlock:
	up_read(&map->fill_rwsem);
err_abort:
	ioas_map_abort(map, areas);
	return rc;
}

/**
 * ioas_map_abort() - The user could not be told: as if nothing had been mapped
 * @map: IOAS
 * @areas: what ioas_map_begin() began
 */
void ioas_map_abort(struct ioas_map *map, struct ioas_area *areas)
{
	unpin_chain(areas);
	down_write(&map->space.rwsem);
	unclaim(map, areas, NULL);
	up_write(&map->space.rwsem);
	ioas_areas_free(areas);
}

/* One range of pages that is pinned becomes two, which together cover the same pages. They may share one. */
static int cut_pages(struct ioas_area *area, struct ioas_area *upper)
{
	unsigned long upper_last = ioas_area_last_index(area);
	unsigned long last = (upper->byte - 1) >> PAGE_SHIFT;
	int rc;

	rc = pinned_acquire(area->pinned, ioas_area_index(area), last);
	if (rc)
		return rc;
	rc = pinned_acquire(area->pinned, ioas_area_index(upper), upper_last);
	if (rc) {
		pinned_release(area->pinned, ioas_area_index(area), last);
		return rc;
	}
	ioas_area_unpin(area);
	return 0;
}

/* Move what belongs to the upper part of an area to @upper, which gets the addresses from @iova on */
static int cut_area(struct ioas_map *map, struct ioas_area *area, struct ioas_area *upper, unsigned long iova)
{
	unsigned long below = iova - area->claim.start;
	int rc = 0;

	lockdep_assert_held_write(&map->space.rwsem);
	if (map->huge_pages || (iova & (map->space.alignment - 1)) || !pinned_has_pages(area->pinned))
		return -EINVAL;
	if (area->state != IOAS_AREA_LIVE || !ioas_access_can_cut(map, area, iova))
		return -EBUSY;
	area_init(upper, area->pinned, area->byte + below, ioas_area_length(area) - below, area->prot);
	if (!list_empty(&map->domains))
		rc = cut_pages(area, upper);
	if (rc)
		return rc;

	ioas_access_cut(map, area, upper, iova);
	pinned_get(area->pinned);
	upper->state = IOAS_AREA_LIVE;
	map->counts.maps++;
	iova_space_split(&map->space, &area->claim, &upper->claim, iova);
	return 0;
}

static bool area_goes_over(struct ioas_map *map, unsigned long iova)
{
	struct ioas_area *area = ioas_map_first(map, iova, iova);

	return area && area->claim.start != iova;
}

/**
 * ioas_map_cut() - Make one area end and another begin at an address
 * @map: IOAS whose page tables have no leaves larger than a page
 * @iova: IOVA
 *
 * What devices see does not change.
 *
 * Return: 0, also when no area reaches over @iova; or with nothing changed -EINVAL if larger leaves are allowed,
 * @iova is not aligned or the area is no memory; -EBUSY if the area is being mapped or unmapped, or a software user
 * has pinned across @iova; -ENOMEM; -EINTR.
 */
int ioas_map_cut(struct ioas_map *map, unsigned long iova)
{
	struct ioas_area *upper;
	bool needed;
	int rc;

	rc = down_read_killable(&map->space.rwsem);
	if (rc)
		return rc;
	needed = area_goes_over(map, iova);
	up_read(&map->space.rwsem);
	if (!needed)
		return 0;

	upper = kmalloc(sizeof(*upper), GFP_KERNEL_ACCOUNT);
	if (!upper)
		return -ENOMEM;
	rc = down_read_killable(&map->fill_rwsem);
	if (rc)
		goto out;
	down_write(&map->space.rwsem);
	if (area_goes_over(map, iova)) {
		rc = cut_area(map, ioas_map_first(map, iova, iova), upper, iova);
		if (!rc)
			upper = NULL;
	}
	up_write(&map->space.rwsem);
	up_read(&map->fill_rwsem);
out:
	kfree(upper);
	return rc;
}

/*
 * May all areas in the range go? If so they are chained to @drained, and nobody else touches them until they are
 * gone or cancel_drain() gives them back.
 */
static int begin_drain(struct ioas_map *map, unsigned long start, unsigned long last, struct ioas_area **drained)
{
	struct ioas_area *first = ioas_map_first(map, start, last);
	struct ioas_area *area;

	lockdep_assert_held_write(&map->space.rwsem);
	*drained = NULL;
	for (area = first; area; area = ioas_map_next(area, last)) {
		if (area->claim.start < start || area->claim.last > last)
			return -ENOENT;
		if (area->state != IOAS_AREA_LIVE)
			return -EBUSY;
		cond_resched();
	}
	for (area = first; area; area = ioas_map_next(area, last)) {
		area->state = IOAS_AREA_DRAINING;
		area->next = NULL;
		*drained = area;
		drained = &area->next;
		cond_resched();
	}
	return 0;
}

static void cancel_drain(struct ioas_map *map, struct ioas_area *drained)
{
	struct ioas_area *area;

	down_write(&map->space.rwsem);
	for (area = drained; area; area = area->next)
		area->state = IOAS_AREA_LIVE;
	up_write(&map->space.rwsem);
}

/**
 * ioas_map_unmap() - Unmap every area that lies in a range, after something else
 * @map: IOAS
 * @start: first IOVA
 * @last: last IOVA, inclusive
 * @before: called without any lock when no software user reaches the range any more, and devices still do; or NULL
 * @data: for @before
 * @unmapped: out: bytes that were unmapped, 0 when there was nothing or on error
 *
 * When this returns no device reaches the pages, and they are unpinned unless something else uses them. A caller that
 * is being killed gives up waiting for others; once taking out has begun, it ends.
 *
 * Return: 0, or with nothing changed -ENOENT if an area would be cut; -EBUSY if one is being mapped or unmapped by
 * another call, or is pinned by a software user that cannot be told; -EDEADLOCK if one that was told did not let go;
 * -EINTR; what @before says. Software users that were told may have let go by then.
 */
int ioas_map_unmap(struct ioas_map *map, unsigned long start, unsigned long last, int (*before)(void *data),
		   void *data, u64 *unmapped)
{
	struct ioas_area *drained, *area;
	bool pinned;
	int rc;

	*unmapped = 0;
	rc = down_read_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	down_write(&map->space.rwsem);
	rc = begin_drain(map, start, last, &drained);
	pinned = ioas_access_pinned(map, start, last);
	up_write(&map->space.rwsem);
	if (rc)
		goto out;
	if (pinned || before) {
		/* Nothing is held while software users are told: they take locks of their own, and call in here */
		up_read(&map->fill_rwsem);
		if (pinned)
			rc = ioas_access_expel(map, start, last);
		if (!rc && before)
			rc = before(data);
		if (rc) {
			cancel_drain(map, drained);
			return rc;
		}
		down_read(&map->fill_rwsem);
	}
	while ((area = drained)) {
		drained = area->next;
		area->next = NULL;
		depopulate(map, area);
		*unmapped += ioas_area_length(area);
		down_write(&map->space.rwsem);
		iova_space_unclaim(&map->space, &area->claim);
		map->counts.unmaps++;
		map->counts.mapped -= ioas_area_length(area);
		up_write(&map->space.rwsem);
		ioas_areas_free(area);
		cond_resched();
	}
out:
	up_read(&map->fill_rwsem);
	return rc;
}
