// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_dirty - which pages of an IOAS may have been written
 *
 * Page tables do not tell, so where a device reaches the IOAS every page that it may write counts as written, always.
 * What software users write is known: their pages are marked when they begin. Looking takes marks away, but not those
 * of pages in use: what is pinned may be written until it is not any more.
 *
 * A mark without a mapping is harmless: it is not shown. So unmapping leaves marks alone.
 *
 * This file does not know ids, ioctls or devices, nor how the answer reaches the user.
 *
 * Locking: space.rwsem covers marks; fill_rwsem, whether there was a page table.
 */
#include <linux/bitmap.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "ioas_access.h"
#include "ioas_dirty.h"
#include "ioas_map.h"

/**
 * ioas_dirty_init() - Nobody wants to know yet
 * @map: IOAS
 */
void ioas_dirty_init(struct ioas_map *map)
{
	xa_init_flags(&map->dirty.chunks, XA_FLAGS_ACCOUNT);
}

static void forget_marks(struct ioas_map *map)
{
	unsigned long *chunk, key;

	lockdep_assert_held_write(&map->space.rwsem);
	map->dirty.tracking = false;
	xa_for_each(&map->dirty.chunks, key, chunk) {
		kfree(chunk);
		cond_resched();
	}
	xa_destroy(&map->dirty.chunks);
}

/**
 * ioas_dirty_stop() - Forget what was written
 * @map: IOAS
 */
void ioas_dirty_stop(struct ioas_map *map)
{
	down_write(&map->space.rwsem);
	forget_marks(map);
	up_write(&map->space.rwsem);
}

/**
 * ioas_dirty_start() - From now on, remember what is written
 * @map: IOAS; nothing changes if it does already
 *
 * Return: 0, -ENOMEM or -EINTR.
 */
int ioas_dirty_start(struct ioas_map *map)
{
	int rc;

	rc = down_write_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	down_write(&map->space.rwsem);
	if (!map->dirty.tracking) {
		map->dirty.tracking = true;
		map->dirty.by_device = !list_empty(&map->domains);
		rc = ioas_access_mark_dirty(map, 0, ULONG_MAX);
		if (rc)
			forget_marks(map);
	}
	up_write(&map->space.rwsem);
	up_write(&map->fill_rwsem);
	return rc;
}

/* The bitmap of the page with this number, made if need be */
static unsigned long *get_chunk(struct ioas_map *map, unsigned long page)
{
	unsigned long *chunk = xa_load(&map->dirty.chunks, page / IOAS_DIRTY_WINDOW);
	int rc;

	if (chunk)
		return chunk;
	chunk = kzalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	rc = xa_err(xa_store(&map->dirty.chunks, page / IOAS_DIRTY_WINDOW, chunk, GFP_KERNEL_ACCOUNT));
	if (rc) {
		kfree(chunk);
		return NULL;
	}
	return chunk;
}

/**
 * ioas_dirty_mark() - A range is about to be written
 * @map: IOAS, @map->space.rwsem held for writing
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Does nothing unless somebody wants to know. Until ioas_dirty_stop(), what was marked can be marked again without
 * memory.
 *
 * Return: 0 or -ENOMEM.
 */
int ioas_dirty_mark(struct ioas_map *map, unsigned long start, unsigned long last)
{
	unsigned long page = start >> PAGE_SHIFT;
	unsigned long end = (last >> PAGE_SHIFT) + 1;
	unsigned long *chunk, bit, count;

	lockdep_assert_held_write(&map->space.rwsem);
	if (!map->dirty.tracking)
		return 0;
	for (; page < end; page += count) {
		bit = page % IOAS_DIRTY_WINDOW;
		count = min(end - page, IOAS_DIRTY_WINDOW - bit);
		chunk = get_chunk(map, page);
		if (!chunk)
			return -ENOMEM;
		bitmap_set(chunk, bit, count);
	}
	return 0;
}

/**
 * ioas_dirty_check() - Can a range be looked at?
 * @map: IOAS
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: 0; -EINVAL if nobody wanted to know what is written, or a mapping reaches out of the range; -EINTR.
 */
int ioas_dirty_check(struct ioas_map *map, unsigned long start, unsigned long last)
{
	struct ioas_area *first, *final;
	int rc;

	rc = down_read_killable(&map->space.rwsem);
	if (rc)
		return rc;
	first = ioas_map_first(map, start, start);
	final = ioas_map_first(map, last, last);
	if (!map->dirty.tracking || (first && first->claim.start < start) || (final && final->claim.last > last))
		rc = -EINVAL;
	up_read(&map->space.rwsem);
	return rc;
}

/* Copy the marks of @count pages from @page on to @bitmap, whose first bit is page @base, and maybe take them away */
static void copy_marks(struct ioas_map *map, unsigned long page, unsigned long count, unsigned long base, bool take,
		       unsigned long *bitmap)
{
	unsigned long end = page + count;
	unsigned long *chunk, bit, part;

	for (; page < end; page += part) {
		part = min(end - page, IOAS_DIRTY_WINDOW - page % IOAS_DIRTY_WINDOW);
		chunk = xa_load(&map->dirty.chunks, page / IOAS_DIRTY_WINDOW);
		if (!chunk)
			continue;
		bit = page % IOAS_DIRTY_WINDOW;
		for_each_set_bit_from(bit, chunk, page % IOAS_DIRTY_WINDOW + part)
			__set_bit(page - page % IOAS_DIRTY_WINDOW + bit - base, bitmap);
		if (take)
			bitmap_clear(chunk, page % IOAS_DIRTY_WINDOW, part);
	}
}

/**
 * ioas_dirty_look() - Which pages of a range may have been written?
 * @map: IOAS
 * @start: first IOVA, page aligned
 * @last: last IOVA, inclusive; not more than IOAS_DIRTY_WINDOW pages
 * @take: the next look is about what comes from now on
 * @bitmap: zeroes; gets a bit for each page
 *
 * Return: 0; -EINVAL if nobody wanted to know; -EINTR.
 */
int ioas_dirty_look(struct ioas_map *map, unsigned long start, unsigned long last, bool take, unsigned long *bitmap)
{
	unsigned long base = start >> PAGE_SHIFT;
	struct ioas_area *area;
	int rc;

	rc = down_read_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	down_write(&map->space.rwsem);
	if (!map->dirty.tracking)
		rc = -EINVAL;
	for (area = rc ? NULL : ioas_map_first(map, start, last); area; area = ioas_map_next(area, last)) {
		unsigned long page = max(start, area->claim.start) >> PAGE_SHIFT;
		unsigned long count = (min(last, area->claim.last) >> PAGE_SHIFT) - page + 1;

		if (!(area->prot & IOMMU_WRITE))
			continue;
		if (map->dirty.by_device)
			bitmap_set(bitmap, page - base, count);
		else
			copy_marks(map, page, count, base, take, bitmap);
	}
	/* Cannot fail: what is in use was marked when that began */
	if (!rc && take)
		ioas_access_mark_dirty(map, start, last);
	up_write(&map->space.rwsem);
	up_read(&map->fill_rwsem);
	return rc;
}

/**
 * ioas_dirty_give_back() - Undo a look, because nobody was told
 * @map: IOAS
 * @start: as it was looked at
 * @npages: how many pages
 * @bitmap: what came out
 */
void ioas_dirty_give_back(struct ioas_map *map, unsigned long start, unsigned long npages, unsigned long *bitmap)
{
	unsigned long base = start >> PAGE_SHIFT;
	unsigned long *chunk, bit;

	down_write(&map->space.rwsem);
	for_each_set_bit(bit, bitmap, npages) {
		/* What came from a mark has a place for it, unless the tracking was stopped */
		chunk = xa_load(&map->dirty.chunks, (base + bit) / IOAS_DIRTY_WINDOW);
		if (chunk)
			__set_bit((base + bit) % IOAS_DIRTY_WINDOW, chunk);
	}
	up_write(&map->space.rwsem);
}
