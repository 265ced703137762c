// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite that runs the models of the rooms. iommufd.model_steps= says how many steps all of them do together,
 * iommufd.model_seed= repeats a run. The steps are done in slices, each short enough for the watchdogs, and in two
 * threads, so that a second CPU helps; which thread does what depends on nothing but the seed.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "model.h"

#define WORKERS 2
#define SLICE 200000UL			/* steps of one case */
#define ROUND 4096			/* steps before a model starts afresh */
#define CHECK_EVERY 256			/* steps between two comparisons of everything */

static unsigned long model_steps = 100000;
module_param(model_steps, ulong, 0444);
MODULE_PARM_DESC(model_steps, "Unit tests: random steps that all models do together");

static unsigned long model_seed = 1;
module_param(model_seed, ulong, 0444);
MODULE_PARM_DESC(model_seed, "Unit tests: where the random steps begin");

static unsigned long steps_done;

static const struct model_room *const rooms[] = {
	&itree_hole_model,
	&iova_space_model,
	&pin_account_model,
	&pin_store_model,
#ifndef MODULE
	&pinned_model,
	&ioas_stat_model,
#endif
};

struct slice {
	unsigned int room;
	unsigned long before;		/* steps of the room that earlier slices did */
	unsigned long steps;
};

struct worker {
	const struct model_room *room;
	u64 seed;
	unsigned long steps;
	unsigned long done;
	const char *fault;
	struct completion finished;
};

static const char *do_round(struct worker *w, struct model *model, unsigned long steps)
{
	const struct model_room *room = w->room;
	const char *fault = room->begin(model);
	unsigned long i;

	for (i = 0; !fault && i < steps; i++, w->done++) {
		fault = room->step(model);
		if (!fault && i % CHECK_EVERY == CHECK_EVERY - 1)
			fault = room->check(model);
		cond_resched();
	}
	if (!fault)
		fault = room->check(model);
	return fault ? fault : room->end(model);
}

static int worker_run(void *arg)
{
	struct worker *w = arg;
	struct model *model = kvzalloc(w->room->size, GFP_KERNEL);
	struct rnd_state rnd;

	if (!model)
		w->fault = "no memory for the model";
	else
		prandom_seed_state(&model->rnd, w->seed);
	while (!w->fault && w->done < w->steps) {
		w->fault = do_round(w, model, min(w->steps - w->done, 0UL + ROUND));
		rnd = model->rnd;
		memset(model, 0, w->room->size);
		model->rnd = rnd;
	}
	if (!w->fault)
		kvfree(model);
	kthread_complete_and_exit(&w->finished, 0);
}

static void random_steps_agree_with_the_model(struct kunit *test)
{
	const struct slice *slice = test->param_value;
	const struct model_room *room = rooms[slice->room];
	/* On the heap: a worker outlives the case if the watchdog ends it */
	struct worker *workers = kcalloc(WORKERS, sizeof(*workers), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, workers);
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		struct task_struct *task;

		w->room = room;
		w->seed = model_seed + slice->before * WORKERS + i;
		w->steps = DIV_ROUND_UP(slice->steps, WORKERS);
		init_completion(&w->finished);
		task = kthread_run(worker_run, w, "%s-%d", room->name, i);
		if (IS_ERR(task)) {
			w->fault = "no thread";
			complete(&w->finished);
		}
	}
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];

		wait_for_completion(&w->finished);
		steps_done += w->done;
		KUNIT_EXPECT_NULL_MSG(test, w->fault, "%s: %s, at step %lu of %lu; model_seed=%lu model_steps=%lu",
				      room->name, w->fault, w->done, w->steps, model_seed, model_steps);
	}
	kfree(workers);
}

static void steps_were_as_many_as_asked_for(struct kunit *test)
{
	pr_info("iommufd: model: %lu steps, model_steps=%lu model_seed=%lu\n", steps_done, model_steps, model_seed);
	KUNIT_EXPECT_GE(test, steps_done, model_steps);
}

/* The next part of what the rooms have to do together */
static const void *next_slice(const void *prev, char *desc)
{
	static struct slice slice;
	unsigned long total;

	if (!prev)
		slice = (struct slice) {};
	slice.before += slice.steps;
	for (;;) {
		if (slice.room == ARRAY_SIZE(rooms))
			return NULL;
		total = DIV_ROUND_UP(model_steps * rooms[slice.room]->share, 100);
		if (slice.before < total)
			break;
		slice.room++;
		slice.before = 0;
	}
	slice.steps = min(total - slice.before, SLICE);
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s from step %lu on", rooms[slice.room]->name, slice.before);
	return &slice;
}

static struct kunit_case model_cases[] = {
	KUNIT_CASE_PARAM(random_steps_agree_with_the_model, next_slice),
	KUNIT_CASE(steps_were_as_many_as_asked_for),
	{}
};

static struct kunit_suite model_suite = {
	.name = "model",
	.test_cases = model_cases,
};

kunit_test_suite(model_suite);
