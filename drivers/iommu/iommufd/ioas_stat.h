/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_IOAS_STAT_H
#define __IOMMUFD_IOAS_STAT_H

#include "ioas_map.h"
#include "pinned.h"

/**
 * struct ioas_stat - An IOAS in numbers
 * @counts: what was done in it
 * @areas: areas, but for those that are being mapped
 * @tally: pages of its areas that are pinned now, for whomever; one that two areas share is counted in each
 * @tally_known: @tally could be taken
 * @tables: page tables that follow it
 * @accesses: software users
 * @users_known: @tables and @accesses could be counted
 */
struct ioas_stat {
	struct ioas_counts counts;
	u64 areas;
	struct pinned_tally tally;
	bool tally_known;
	unsigned int tables;
	unsigned int accesses;
	bool users_known;
};

/**
 * struct ioas_area_stat - An area, as it was at one moment
 * @start: first IOVA
 * @last: last IOVA, inclusive
 * @prot: IOMMU_READ and so on
 * @state: enum ioas_area_state
 * @kind: what its pages are
 * @uaddr: address in the process that mapped it, for memory of one
 * @tally: its pages that are pinned
 * @tally_known: @tally could be taken
 */
struct ioas_area_stat {
	unsigned long start;
	unsigned long last;
	int prot;
	enum ioas_area_state state;
	enum pin_source_kind kind;
	unsigned long uaddr;
	struct pinned_tally tally;
	bool tally_known;
};

void ioas_stat_read(struct ioas_map *map, struct ioas_stat *stat);
int ioas_stat_area(struct ioas_map *map, unsigned long iova, struct ioas_area_stat *stat);

#endif
