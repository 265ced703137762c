// SPDX-License-Identifier: GPL-2.0-only
/*
 * vtd_stores - what an entry looks like after each single store
 *
 * Between two stores of the driver hardware may look, however seldom it does. The debug registers of the processor
 * report each instruction of this thread that writes to the first words of an entry, and here they are kept.
 */
#include <linux/err.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <linux/sched.h>

#include "vtd_stores.h"

/* In the middle of whatever the driver does, with interrupts off */
static void stored(struct perf_event *watch, struct perf_sample_data *data, struct pt_regs *regs)
{
	struct vtd_stores *stores = watch->overflow_handler_context;
	unsigned int i;

	if (stores->nr < VTD_STATES) {
		for (i = 0; i < stores->words; i++)
			stores->states[stores->nr][i] = READ_ONCE(stores->entry[i]);
	}
	stores->nr++;
}

/**
 * vtd_stores_begin() - From now on watch the stores of this thread
 * @stores: what is found out
 * @entry: where
 * @words: how many words it has; the first VTD_WATCHED are watched
 *
 * Return: 0, or -errno with nothing watched.
 */
int vtd_stores_begin(struct vtd_stores *stores, const u64 *entry, unsigned int words)
{
	unsigned int i;

	*stores = (struct vtd_stores){ .entry = entry, .words = words };
	for (i = 0; i < min_t(unsigned int, words, VTD_WATCHED); i++) {
		struct perf_event_attr attr;
		struct perf_event *watch;

		hw_breakpoint_init(&attr);
		attr.bp_addr = (unsigned long)&entry[i];
		attr.bp_len = HW_BREAKPOINT_LEN_8;
		attr.bp_type = HW_BREAKPOINT_W;
		watch = register_user_hw_breakpoint(&attr, stored, stores, current);
		if (IS_ERR(watch)) {
			vtd_stores_end(stores);
			return PTR_ERR(watch);
		}
		stores->watches[i] = watch;
	}
	return 0;
}

/**
 * vtd_stores_end() - Watch no longer
 * @stores: what was found out
 */
void vtd_stores_end(struct vtd_stores *stores)
{
	unsigned int i;

	for (i = 0; i < VTD_WATCHED; i++) {
		if (stores->watches[i])
			unregister_hw_breakpoint(stores->watches[i]);
		stores->watches[i] = NULL;
	}
}
