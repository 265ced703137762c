/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edu_load - devices that do DMA all the time, and an account of where every byte of it went
 *
 * One or two memories stand behind the same IOVAs. Each device has four pages there: it loads from the middle of the
 * first two and stores to the middle of the others, so that each transfer is translated twice, and each half of it
 * may come from or go to either memory. All bytes of a half are of one memory and of this round, or something is
 * wrong.
 */
#ifndef SELFTESTS_IOMMU_EDU_LOAD_H
#define SELFTESTS_IOMMU_EDU_LOAD_H

#include "edu.h"

#include <pthread.h>

#define LOAD_DEVICES	3
#define LOAD_HALF	512UL
#define LOAD_SOURCE	(PAGE - LOAD_HALF)
#define LOAD_TARGET	(3 * PAGE - LOAD_HALF)
#define LOAD_STRIDE	(4 * PAGE)
#define LOAD_SIZE	(LOAD_DEVICES * LOAD_STRIDE)

/**
 * struct edu_load - Transfers that go on until they are stopped
 * @edu: the devices
 * @devices: how many
 * @iova: where @memory is mapped
 * @memory: LOAD_SIZE bytes each
 * @memories: 1 or 2
 * @stop: told by edu_load_stop()
 * @transfers: how many ended
 * @lost: halves of stores that reached no memory, or both
 * @strange: halves of stores with other bytes than one memory held when they were loaded
 * @from: how many halves were loaded from which memory
 * @to: how many halves were stored to which memory
 * @rc: -errno of a transfer that did not end
 */
struct edu_load {
	struct edu *edu;
	int devices;
	uint64_t iova;
	uint8_t *memory[2];
	int memories;

	pthread_t thread;
	bool stop;
	uint64_t held[2][LOAD_DEVICES][2];
	int transfers, lost, strange, from[2], to[2], rc;
};

static inline uint8_t *load_bytes(struct edu_load *load, int side, int device, uint64_t offset, int half)
{
	return load->memory[side] + device * LOAD_STRIDE + offset + half * LOAD_HALF;
}

/* What a half of a source holds in a round, different from all others */
static inline uint64_t load_seed(uint64_t round, int side, int device, int half)
{
	return ((round * 2 + side) * LOAD_DEVICES + device) * 2 + half;
}

static inline void load_check_half(struct edu_load *load, uint64_t round, int device, int half)
{
	int landed = 0;

	for (int to = 0; to < load->memories; to++) {
		const uint8_t *target = load_bytes(load, to, device, LOAD_TARGET, half);
		bool known = pattern_is(target, LOAD_HALF, load->held[to][device][half]);

		if (known)
			continue;
		landed++;
		for (int from = 0; from < load->memories && !known; from++) {
			uint64_t seed = load_seed(round, from, device, half);

			known = pattern_is(target, LOAD_HALF, seed);
			if (!known)
				continue;
			load->from[from]++;
			load->to[to]++;
			load->held[to][device][half] = seed;
		}
		if (!known) {
			load->strange++;
			pattern_fill(load_bytes(load, to, device, LOAD_TARGET, half), LOAD_HALF,
				     load->held[to][device][half]);
		}
	}
	if (landed != 1)
		load->lost++;
}

static inline int load_wait(struct edu_load *load)
{
	int rc = 0;

	for (int i = 0; i < load->devices && !rc; i++)
		rc = edu_wait(&load->edu[i]);
	load->transfers += load->devices;
	return rc;
}

static inline void *load_run(void *arg)
{
	struct edu_load *load = arg;

	for (uint64_t round = 1; !load->rc && !__atomic_load_n(&load->stop, __ATOMIC_ACQUIRE); round++) {
		for (int side = 0; side < load->memories; side++)
			for (int i = 0; i < load->devices; i++)
				for (int half = 0; half < 2; half++)
					pattern_fill(load_bytes(load, side, i, LOAD_SOURCE, half), LOAD_HALF,
						     load_seed(round, side, i, half));
		for (int i = 0; i < load->devices; i++)
			edu_start_load(&load->edu[i], load->iova + i * LOAD_STRIDE + LOAD_SOURCE, 2 * LOAD_HALF);
		load->rc = load_wait(load);
		for (int i = 0; i < load->devices && !load->rc; i++)
			edu_start_store(&load->edu[i], load->iova + i * LOAD_STRIDE + LOAD_TARGET, 2 * LOAD_HALF);
		load->rc = load->rc ?: load_wait(load);
		for (int i = 0; i < load->devices && !load->rc; i++)
			for (int half = 0; half < 2; half++)
				load_check_half(load, round, i, half);
	}
	return NULL;
}

/* The devices are attached, and @edu, @devices, @iova, @memory and @memories are set. */
static inline int edu_load_start(struct edu_load *load)
{
	for (int side = 0; side < load->memories; side++)
		for (int i = 0; i < load->devices; i++)
			for (int half = 0; half < 2; half++)
				pattern_fill(load_bytes(load, side, i, LOAD_TARGET, half), LOAD_HALF,
					     load->held[side][i][half]);
	return -pthread_create(&load->thread, NULL, load_run, load);
}

/* After it the account is final. */
static inline void edu_load_stop(struct edu_load *load)
{
	__atomic_store_n(&load->stop, true, __ATOMIC_RELEASE);
	pthread_join(load->thread, NULL);
}

/* A number that any store to @side changes */
static inline uint64_t edu_load_print(struct edu_load *load, int side)
{
	uint64_t print = 0, start;

	memory_changed();
	for (int i = 0; i < load->devices; i++) {
		for (int half = 0; half < 2; half++) {
			memcpy(&start, load_bytes(load, side, i, LOAD_TARGET, half), sizeof(start));
			print = print * 31 + start;
		}
	}
	return print;
}

#endif
