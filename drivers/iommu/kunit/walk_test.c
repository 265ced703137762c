// SPDX-License-Identifier: GPL-2.0-only
/*
 * walk_test - what the suites have in common, whichever IOMMU they are about
 *
 * walker.steps= says how many random steps are done, walker.seed= repeats a run; what hardware happens to remember,
 * and when it looks, repeats only as far as the two CPUs run alike. The steps are done in slices, each short enough
 * for the watchdogs.
 */
#include <linux/moduleparam.h>

#include "walk_test.h"

/* At most: KUnit gives up a case after 300 s, and 10000 steps took 60 s with every checker on and other load */
#define SLICE		4000UL
#define SLICES		10UL		/* at least */
#define UNPLUG_STEPS	300

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "walker."

static unsigned long walk_steps = 2000;
module_param_named(steps, walk_steps, ulong, 0444);
MODULE_PARM_DESC(steps, "Unit tests: random steps while the software IOMMU walks");

unsigned long walk_seed = 1;
module_param_named(seed, walk_seed, ulong, 0444);
MODULE_PARM_DESC(seed, "Unit tests: where the random steps begin");

static unsigned long steps_done;

/**
 * walk_expect_no_fault() - Say what was seen, and fail if anything was wrong
 * @test: the test
 * @walker: who saw it
 */
void walk_expect_no_fault(struct kunit *test, struct walker *walker)
{
	struct walk_verdict *verdict = &walker->verdict;

	kunit_info(test, "%llu walks, %llu translated, %llu from a cache, %llu too slow", verdict->walks,
		   verdict->translated, verdict->from_cache, verdict->too_slow);
	KUNIT_EXPECT_EQ_MSG(test, walker_faults(walker), 0ULL,
			    "blocked %llu torn %llu stale %llu wrong %llu step %llu, first: %s; walker.seed=%lu",
			    verdict->faults[WALK_FAULT_BLOCKED], verdict->faults[WALK_FAULT_TORN],
			    verdict->faults[WALK_FAULT_STALE], verdict->faults[WALK_FAULT_WRONG],
			    verdict->faults[WALK_FAULT_STEP], verdict->first, walk_seed);
}

static unsigned long slice_steps(void)
{
	return min(SLICE, DIV_ROUND_UP(walk_steps, SLICES));
}

/**
 * walk_slice() - Which slice a case with parameters of walk_next_slice() is
 * @test: the test
 */
unsigned long walk_slice(struct kunit *test)
{
	return (unsigned long)test->param_value - 1;
}

/**
 * walk_next_slice() - For a generator of parameters
 * @prev: slice of before; NULL for the first one
 * @desc: its name, to be written
 * @what: what is special about it
 *
 * Return: the next one; or NULL when there are as many as were asked for.
 */
const void *walk_next_slice(const void *prev, char *desc, const char *what)
{
	unsigned long slice = (unsigned long)prev;

	if (slice * slice_steps() >= walk_steps)
		return NULL;
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s, slice %lu", what, slice);
	return (void *)(slice + 1);
}

/**
 * walk_slice_steps() - Do the steps of a slice
 * @test: the test
 * @world: where
 */
void walk_slice_steps(struct kunit *test, struct walk_world *world)
{
	unsigned long i;

	for (i = 0; i < slice_steps() && !walker_faults(world->walker); i++, steps_done++)
		walk_world_step(world);
	KUNIT_EXPECT_GT(test, world->walker->verdict.translated, 0ULL);
}

/**
 * walk_steps_were_as_many_as_asked_for() - A case, to stand behind the random steps
 * @test: the test
 */
void walk_steps_were_as_many_as_asked_for(struct kunit *test)
{
	KUNIT_EXPECT_GE(test, steps_done, walk_steps);
}

/**
 * walk_device() - Which device a case with parameters of walk_next_device() is about
 * @test: the test
 */
unsigned int walk_device(struct kunit *test)
{
	return (unsigned long)test->param_value - 1;
}

/**
 * walk_next_device() - Generator of parameters: one device after the other
 * @prev: device of before; NULL for the first one
 * @desc: its name, to be written
 */
const void *walk_next_device(const void *prev, char *desc)
{
	unsigned long device = (unsigned long)prev;

	if (device == WALK_DEVICES)
		return NULL;
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "device %lu", device);
	return (void *)(device + 1);
}

/**
 * walk_unplug_between_steps() - Whatever is attached to a device, pull it, and let the others go on
 * @world: the world
 * @device: which one
 */
void walk_unplug_between_steps(struct walk_world *world, unsigned int device)
{
	unsigned int i;

	for (i = 0; i < UNPLUG_STEPS; i++)
		walk_world_step(world);
	walk_world_unplug(world, device);
	for (i = 0; i < UNPLUG_STEPS; i++)
		walk_world_step(world);
}
