/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edu_mover - a thread that moves a device to and fro between two page tables
 */
#ifndef SELFTESTS_IOMMU_EDU_MOVER_H
#define SELFTESTS_IOMMU_EDU_MOVER_H

#include "iommu_client.h"

#include <pthread.h>

/* Replaces in a thread of its own until it is stopped or meets an error that it does not expect */
struct mover {
	int dev;
	uint32_t target[2];
	int expected;
	bool stop;
	int moves, refused, rc;
	pthread_t thread;
};

static inline void *move_about(void *arg)
{
	struct mover *m = arg;

	while (!m->rc && !__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
		int rc = vfio_attach(m->dev, m->target[m->moves % 2], NULL);

		if (rc && rc == m->expected)
			m->refused++;
		else
			m->rc = rc;
		__atomic_add_fetch(&m->moves, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Whether it has tried that often, or has ended */
static inline bool mover_has_moved(struct mover *m, int times)
{
	return __atomic_load_n(&m->moves, __ATOMIC_ACQUIRE) >= times || m->rc;
}

static inline int mover_start(struct mover *m)
{
	return -pthread_create(&m->thread, NULL, move_about, m);
}

static inline void mover_stop(struct mover *m)
{
	__atomic_store_n(&m->stop, true, __ATOMIC_RELEASE);
	pthread_join(m->thread, NULL);
}

#endif
