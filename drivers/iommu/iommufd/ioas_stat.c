// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_stat - an IOAS in numbers
 *
 * Whoever maps counts areas and bytes, under a lock that is held anyway. How many pages are pinned and how they lie is
 * counted when somebody asks, in pieces, so that it is no snapshot: pieces come from different moments.
 *
 * This file does not know ids, ioctls or devices.
 *
 * Locking: fill_rwsem and space.rwsem for reading, each for a few microseconds. Both are tried, again and again for a
 * few milliseconds: their holder may wait for memory of a process that lets it wait, and who looks does not.
 */
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "ioas_access.h"
#include "ioas_domain.h"
#include "ioas_stat.h"

#define TRIES		20
#define STEPS_AT_ONCE	64

static bool try_hard(struct rw_semaphore *sem)
{
	unsigned int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (down_read_trylock(sem))
			return true;
		usleep_range(50, 200);
	}
	return false;
}

static bool in_area(struct ioas_area *area, unsigned long iova)
{
	return iova >= area->claim.start && iova <= area->claim.last;
}

/* Up to @steps steps through the pages of an area, from @iova on, which is moved on; false if others hold them */
static bool tally_area(struct ioas_area *area, unsigned long *iova, unsigned int *steps, struct pinned_tally *tally)
{
	unsigned long last_index = ioas_area_last_index(area);
	unsigned long index;

	index = (area->byte + (*iova - area->claim.start)) >> PAGE_SHIFT;
	/* Runs are those of one area */
	if (*iova == area->claim.start)
		tally->next_pfn = 0;
	while (index <= last_index && *steps) {
		--*steps;
		if (!pinned_tally(area->pinned, &index, last_index, tally))
			return false;
	}
	if (index <= last_index)
		*iova = area->claim.start + (((u64)index << PAGE_SHIFT) - area->byte);
	else
		*iova = area->claim.last + 1;
	return true;
}

/* One piece of a range, from @iova on, which is moved on; @more: there may be another. False if others hold locks. */
static bool tally_piece(struct ioas_map *map, unsigned long *iova, unsigned long last, struct pinned_tally *tally,
			bool *more)
{
	unsigned int steps = STEPS_AT_ONCE;
	struct ioas_area *area;
	bool known = true;

	if (!try_hard(&map->space.rwsem))
		return false;
	area = ioas_map_first(map, *iova, last);
	while (area && known && steps) {
		*iova = max(*iova, area->claim.start);
		/* What comes or goes just now belongs to the call that does it */
		if (area->state == IOAS_AREA_LIVE)
			known = tally_area(area, iova, &steps, tally);
		else
			--steps;
		if (area->state != IOAS_AREA_LIVE || !in_area(area, *iova)) {
			*iova = area->claim.last + 1;
			area = ioas_map_next(area, last);
		}
	}
	*more = area;
	up_read(&map->space.rwsem);
	return known;
}

static bool tally_range(struct ioas_map *map, unsigned long start, unsigned long last, struct pinned_tally *tally)
{
	bool more;

	do {
		if (!tally_piece(map, &start, last, tally, &more) || fatal_signal_pending(current))
			return false;
		cond_resched();
	} while (more);
	return true;
}

static bool count_users(struct ioas_map *map, struct ioas_stat *stat)
{
	struct list_head *entry;

	if (!try_hard(&map->fill_rwsem))
		return false;
	list_for_each(entry, &map->domains)
		stat->tables++;
	list_for_each(entry, &map->users)
		stat->accesses++;
	up_read(&map->fill_rwsem);
	return true;
}

/**
 * ioas_stat_read() - Look at all of an IOAS
 * @map: IOAS
 * @stat: out: numbers; some may be unknown
 *
 * Takes time in proportion to the number of areas, and of runs in those that are not one. Whoever maps and unmaps
 * meanwhile goes on.
 */
void ioas_stat_read(struct ioas_map *map, struct ioas_stat *stat)
{
	memset(stat, 0, sizeof(*stat));
	/* An area is counted in before it is counted out: read the other way round there are never less than none */
	stat->counts.unmaps = smp_load_acquire(&map->counts.unmaps);
	stat->counts.maps = READ_ONCE(map->counts.maps);
	stat->counts.mapped = READ_ONCE(map->counts.mapped);
	stat->counts.pins = READ_ONCE(map->counts.pins);
	stat->areas = stat->counts.maps - stat->counts.unmaps;
	stat->users_known = count_users(map, stat);
	stat->tally_known = tally_range(map, 0, ULONG_MAX, &stat->tally);
}

static void describe(struct ioas_area *area, struct ioas_area_stat *stat)
{
	struct mm_struct *mm;

	stat->start = area->claim.start;
	stat->last = area->claim.last;
	stat->prot = area->prot;
	stat->state = area->state;
	stat->kind = PIN_SOURCE_USER;
	if (pinned_is_file(area->pinned))
		stat->kind = PIN_SOURCE_FILE;
	else if (!pinned_has_pages(area->pinned))
		stat->kind = PIN_SOURCE_DMABUF;
	else
		pinned_user_address(area->pinned, area->byte, &mm, &stat->uaddr);
}

/**
 * ioas_stat_area() - Look at one area of an IOAS
 * @map: IOAS
 * @iova: the first area that lies here or behind is the one
 * @stat: out: the area
 *
 * Return: 0; -ENOENT if there is none; -EBUSY if others hold the addresses.
 */
int ioas_stat_area(struct ioas_map *map, unsigned long iova, struct ioas_area_stat *stat)
{
	struct ioas_area *area;

	memset(stat, 0, sizeof(*stat));
	if (!try_hard(&map->space.rwsem))
		return -EBUSY;
	area = ioas_map_first(map, iova, ULONG_MAX);
	if (area)
		describe(area, stat);
	up_read(&map->space.rwsem);
	if (!area)
		return -ENOENT;
	if (stat->state == IOAS_AREA_LIVE)
		stat->tally_known = tally_range(map, stat->start, stat->last, &stat->tally);
	return 0;
}
