/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMU_KUNIT_WALK_TEST_H
#define __IOMMU_KUNIT_WALK_TEST_H

#include <kunit/test.h>

#include "walk_world.h"

extern unsigned long walk_seed;

void walk_expect_no_fault(struct kunit *test, struct walker *walker);
unsigned long walk_slice(struct kunit *test);
const void *walk_next_slice(const void *prev, char *desc, const char *what);
void walk_slice_steps(struct kunit *test, struct walk_world *world);
void walk_steps_were_as_many_as_asked_for(struct kunit *test);
unsigned int walk_device(struct kunit *test);
const void *walk_next_device(const void *prev, char *desc);
void walk_unplug_between_steps(struct walk_world *world, unsigned int device);

#endif
