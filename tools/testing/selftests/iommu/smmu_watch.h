/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * smmu_watch - what an SMMUv3 could see in the stream table entries of devices, all the time
 *
 * A thread reads the entries in memory, as often as it can, and looks whether they let anything through. It finds the
 * stream table by the registers of the SMMU. What it does not see may have happened nevertheless: a test that counts
 * on it shows that it does see things.
 */
#ifndef SELFTESTS_IOMMU_SMMU_WATCH_H
#define SELFTESTS_IOMMU_SMMU_WATCH_H

#include "smmu.h"

#include <pthread.h>

#define SMMU_STRTAB_BASE	0x80
#define SMMU_STRTAB_BASE_CFG	0x88
#define WATCHED_DEVICES		3

/**
 * struct smmu_watch - Entries that are watched
 * @devices: how many
 * @ste: their entries
 * @stop: told by smmu_watch_stop()
 * @last: first word of each entry as it was last seen
 * @samples: how often all were read
 * @changes: how often one had another first word than before
 * @shut: how often one became invalid, or aborts everything
 * @longest: seconds that one stayed so
 */
struct smmu_watch {
	int devices;
	const uint64_t *ste[WATCHED_DEVICES];
	pthread_t thread;
	bool stop;
	uint64_t last[WATCHED_DEVICES];
	unsigned long samples, changes, shut;
	double longest;
};

/* Maps the page of memory at a physical address; NULL when that is impossible */
static inline const uint64_t *physical_page(uint64_t address)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	void *page = MAP_FAILED;

	if (fd >= 0)
		page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, address & -PAGE);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

static inline void physical_unmap(const uint64_t *page)
{
	munmap((void *)(to_u64(page) & -PAGE), PAGE);
}

static inline uint64_t physical_word(uint64_t address)
{
	const uint64_t *page = physical_page(address);
	uint64_t word = page ? page[address % PAGE / 8] : 0;

	if (page)
		physical_unmap(page);
	return word;
}

/* The first word of the entry of a PCI device whose requester ID is its own; NULL when there is no such entry */
static inline const uint64_t *smmu_ste(const char *bdf)
{
	const uint64_t smmu = smmu_address(bdf), address_bits = ((1UL << 52) - 1) & -64UL;
	unsigned int bus, slot, function, stream, split;
	const uint64_t *page;
	uint64_t base, cfg;

	if (!smmu || sscanf(bdf + 5, "%x:%x.%x", &bus, &slot, &function) != 3)
		return NULL;
	stream = bus << 8 | slot << 3 | function;
	base = smmu_read(smmu, SMMU_STRTAB_BASE + 4) << 32 | smmu_read(smmu, SMMU_STRTAB_BASE);
	base &= address_bits;
	cfg = smmu_read(smmu, SMMU_STRTAB_BASE_CFG);
	/* a table of tables */
	if ((cfg >> 16 & 3) == 1) {
		split = cfg >> 6 & 31;
		base = physical_word(base + (stream >> split) * 8) & address_bits;
		stream &= (1U << split) - 1;
	}
	if (!base)
		return NULL;
	base += stream * 64;
	page = physical_page(base);
	return page ? page + base % PAGE / 8 : NULL;
}

/* The first word, which the driver writes at once */
static inline uint64_t ste_now(const uint64_t *ste)
{
	return __atomic_load_n(ste, __ATOMIC_RELAXED);
}

/* Invalid, or Config says abort */
static inline bool ste_is_shut(uint64_t first_word)
{
	return !(first_word & 1) || !(first_word & 8);
}

static inline void *smmu_watch_run(void *arg)
{
	double since[WATCHED_DEVICES] = { 0 };
	struct smmu_watch *watch = arg;

	while (!__atomic_load_n(&watch->stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < watch->devices; i++) {
			uint64_t last = watch->last[i], now = ste_now(watch->ste[i]);

			if (now == last)
				continue;
			watch->last[i] = now;
			watch->changes++;
			if (ste_is_shut(now) && !ste_is_shut(last)) {
				watch->shut++;
				since[i] = seconds();
			} else if (ste_is_shut(last) && !ste_is_shut(now)) {
				double window = seconds() - since[i];

				watch->longest = window > watch->longest ? window : watch->longest;
			}
		}
		watch->samples++;
	}
	return NULL;
}

/* Devices that are attached somewhere; -ENODEV when there is no SMMUv3 */
static inline int smmu_watch_start(struct smmu_watch *watch, const struct edu *edu, int devices)
{
	*watch = (struct smmu_watch){ .devices = devices };
	for (int i = 0; i < devices; i++) {
		watch->ste[i] = smmu_ste(edu[i].bdf);
		if (!watch->ste[i])
			return -ENODEV;
		watch->last[i] = ste_now(watch->ste[i]);
	}
	return -pthread_create(&watch->thread, NULL, smmu_watch_run, watch);
}

/* After it the account is final. */
static inline void smmu_watch_stop(struct smmu_watch *watch)
{
	__atomic_store_n(&watch->stop, true, __ATOMIC_RELAXED);
	pthread_join(watch->thread, NULL);
	for (int i = 0; i < watch->devices; i++)
		physical_unmap(watch->ste[i]);
}

#endif
