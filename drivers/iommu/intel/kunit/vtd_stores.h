/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __INTEL_KUNIT_VTD_STORES_H
#define __INTEL_KUNIT_VTD_STORES_H

#include <linux/types.h>

struct perf_event;

#define VTD_WATCHED	4	/* words, as many as the processor has registers for */
#define VTD_STATES	32

/*
 * struct vtd_stores - Every state that an entry goes through
 * @entry: the entry
 * @words: its size
 * @states: what it looked like after each instruction that wrote to it
 * @nr: how many, which may be more than were kept
 */
struct vtd_stores {
	const u64 *entry;
	unsigned int words;
	u64 states[VTD_STATES][8];
	unsigned int nr;
	struct perf_event *watches[VTD_WATCHED];
};

int vtd_stores_begin(struct vtd_stores *stores, const u64 *entry, unsigned int words);
void vtd_stores_end(struct vtd_stores *stores);

#endif
