/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * walk - a test oracle: software walks the tables of an IOMMU as its hardware would, while a driver changes them
 *
 * Two threads, each on a CPU of its own. One drives: it attaches, replaces, detaches, maps and unmaps at random through
 * the IOMMU core, and notes before and after each step what a DMA may see (world.c). The other one walks: it is the
 * hardware. It translates one random access after the other, straight from the tables in memory and through caches
 * that keep what they like until a flush covers it, and holds each outcome against the notes (walker.c). What the
 * tables and the flushes mean is up to a unit, one for each kind of IOMMU (struct walk_unit_ops).
 *
 * The memory that DMA is translated to does not exist: the address says which domain, place and mapping it belongs to,
 * so a translation that is out of date is told from the right one.
 */
#ifndef __IOMMU_KUNIT_WALK_H
#define __IOMMU_KUNIT_WALK_H

#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/prandom.h>
#include <linux/types.h>

#include "../iommu-priv.h"

struct task_struct;
struct walk_unit;

/* What may be seen, as a set of bits that changes over time: which sets there were lately */
#define WALK_HISTORY	64
struct walk_legal {
	unsigned int now;
	u64 sets[WALK_HISTORY];
};

/*
 * The bit of "nothing": no domain at all, or nothing mapped; and that of addresses that are let through as they are.
 * The bits below are domains, or mappings of a place.
 */
#define WALK_NOTHING	BIT_ULL(63)
#define WALK_IDENTITY	BIT_ULL(62)
#define WALK_MAPPINGS	62

void walk_legal_set(struct walk_legal *legal, u64 set);
unsigned int walk_legal_now(struct walk_legal *legal);
u64 walk_legal_since(struct walk_legal *legal, unsigned int since);

/* How a walk ended */
enum walk_end {
	WALK_TRANSLATED,
	WALK_BLOCKED,		/* no entry leads to a page table */
	WALK_UNMAPPED,		/* the page table maps nothing there */
	WALK_BROKEN,		/* an entry that software must not show at any moment */
};

struct walk_result {
	enum walk_end end;
	bool writable;
	bool cached;		/* from a cache, not from memory */
	u32 tag;		/* what the hardware calls the domain */
	u64 phys;
	const char *why;	/* for WALK_BROKEN */
};

/*
 * Caches: lines of any kind that the unit has, each with the tags that flushes go by. WALK_ANY as a tag of a line means
 * that hardware does not tag this kind with it; in a flush it means all.
 */
#define WALK_ANY	U32_MAX
#define WALK_LINES	24

struct walk_key {
	u32 source;		/* who asks, as on the bus */
	u32 pasid;
	u32 domain;
	u64 iova;		/* aligned to the size of what the line translates */
	u8 order;		/* log2 of that size; 64: all there is */
};

struct walk_line {
	bool valid;
	struct walk_key key;
	u64 data[8];
};

struct walk_cache {
	struct walk_line lines[WALK_LINES];
};

struct walk_line *walk_cache_find(struct walk_cache *cache, const struct walk_key *key);
struct walk_line *walk_cache_insert(struct walk_cache *cache, const struct walk_key *key, struct rnd_state *rnd);
void walk_cache_flush_sized(struct walk_cache *cache, const struct walk_key *key, u8 order);
void walk_cache_flush(struct walk_cache *cache, const struct walk_key *key);
void walk_remember(struct walk_cache *cache, const struct walk_key *key, const struct walk_result *result,
		   struct rnd_state *rnd);
bool walk_recall(struct walk_cache *cache, const struct walk_key *key, struct walk_result *result);

/* What the walker found out */
enum walk_fault {
	WALK_FAULT_BLOCKED,	/* no translation where there has to be one at every moment */
	WALK_FAULT_TORN,	/* an entry of which parts belong to different translations, or no valid one */
	WALK_FAULT_STALE,	/* a translation that was taken back */
	WALK_FAULT_WRONG,	/* a translation that never was one for this access */
	WALK_FAULT_STEP,	/* a step of the driving thread failed or succeeded against the rules */
	WALK_FAULTS,
};

struct walk_verdict {
	u64 walks;
	u64 translated;
	u64 from_cache;
	u64 too_slow;		/* more happened during the walk than the notes go back */
	u64 faults[WALK_FAULTS];
	char first[200];
};

/**
 * struct walk_unit_ops - One kind of IOMMU in software
 * @service: do what the driver asked of the hardware since the last call; quick when there is nothing
 * @walk: translate an access; any of the caches may be used or not
 * @tag: what a domain is called in the entries of tables now; 0: it has no name
 *
 * All are called from the walking thread.
 */
struct walk_unit_ops {
	void (*service)(struct walk_unit *unit);
	void (*walk)(struct walk_unit *unit, u32 source, u32 pasid, u64 iova, struct walk_result *result);
	u32 (*tag)(struct walk_unit *unit, struct iommu_domain *domain);
};

struct walk_unit {
	const struct walk_unit_ops *ops;
	struct rnd_state rnd;	/* of the walking thread */
};

/* Where domains map something: the same places in each, so that an access tells which domain translated it */
struct walk_place {
	u64 iova;
	unsigned int pages;
};

#define WALK_PLACES	8
#define WALK_TABLE	5	/* the place of which every other mapping has a page table of its own */
extern const struct walk_place walk_places[WALK_PLACES];

struct walk_domain {
	struct iommu_domain *domain;
	struct walk_legal legal[WALK_PLACES];	/* bit: number of the mapping, modulo WALK_MAPPINGS */
	unsigned int mapping[WALK_PLACES];	/* number of the present or next mapping */
	bool mapped[WALK_PLACES];
	unsigned int kind;		/* replaces between two of one kind are seamless; 0: none is */
	bool no_pasids;			/* refused to PASIDs, and to a device that has any attached */
};

#define WALK_DOMAINS	6

/* One translation that is attached and replaced as a whole: a PASID of a group, or its requests without */
struct walk_slot {
	struct iommu_group *group;
	ioasid_t pasid;
	int domain;			/* index of what is attached, or -1 */
	struct iommu_attach_handle handles[WALK_DOMAINS];
};

/* Who sends DMA: a device with one PASID or without */
struct walk_source {
	u32 id;
	unsigned int device;
	struct walk_slot *slot;
	struct walk_legal legal;	/* bit: index of a domain, or WALK_IDENTITY */
};

#define WALK_SLOTS	24
#define WALK_SOURCES	32

/*
 * struct walker - Both threads and what they share
 * @unit: the hardware
 * @cpu: where the walking thread runs; the driving one runs elsewhere
 * @hot: index of the source that the last step was about, walked more often than others
 * @hot_place: likewise
 * @rested: when others last ran where the hardware does
 */
struct walker {
	struct walk_unit *unit;
	unsigned int cpu;
	struct task_struct *thread;
	struct rnd_state rnd;
	unsigned int hot;
	unsigned int hot_place;
	bool walking;
	bool hold;
	ktime_t rested;
	struct completion held;
	struct completion go;
	struct walk_verdict verdict;

	struct walk_domain domains[WALK_DOMAINS];
	struct walk_slot slots[WALK_SLOTS];
	unsigned int nr_slots;
	struct walk_source sources[WALK_SOURCES];
	unsigned int nr_sources;
};

int walker_start(struct walker *walker, struct walk_unit *unit, u64 seed);
void walker_stop(struct walker *walker);
void walker_rest(struct walker *walker);
void walker_walk(struct walker *walker, bool walking);
void walker_wait(struct walker *walker, u64 walks);
__printf(3, 4) void walker_fault(struct walker *walker, enum walk_fault fault, const char *format, ...);
u64 walker_faults(const struct walker *walker);
bool walk_sometimes(struct walk_unit *unit);
void walk_dawdle(struct walk_unit *unit);
bool walk_ends(struct walk_result *result, enum walk_end end, const char *why);
void *walk_memory(u64 phys);
u64 walk_phys(unsigned int domain, unsigned int place, unsigned int mapping);
bool walk_mapping_aligned(unsigned int mapping);
bool walk_mapping_writable(unsigned int mapping);

#endif
