/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random steps on a room, each held against a naive model of it. A room's model is a struct of its own that begins
 * with a struct model; model.c runs it in kernel threads, so it cannot use KUnit's assertions: what is wrong comes back
 * as a string.
 */
#ifndef __IOMMUFD_KUNIT_MODEL_H
#define __IOMMUFD_KUNIT_MODEL_H

#include <linux/prandom.h>
#include <linux/types.h>

struct iova_space;

/**
 * struct model - What every model begins with
 * @rnd: where all randomness comes from
 */
struct model {
	struct rnd_state rnd;
};

/**
 * struct model_room - How to run the model of one room
 * @name: of the room
 * @share: how many of a hundred steps go there; where a step allocates or pins it takes longer, so fewer do
 * @size: bytes of the model
 * @begin: start a round; the model is zeroed but for its first member
 * @step: do something at random, and look whether the outcome is right
 * @check: compare everything; called now and then, and at the end of a round
 * @end: take down what @begin set up, and look whether anything is left
 *
 * The calls return NULL or what is wrong. Nothing is called any more after that: memory of a model that went wrong is
 * left alone.
 */
struct model_room {
	const char *name;
	unsigned int share;
	size_t size;
	const char *(*begin)(struct model *model);
	const char *(*step)(struct model *model);
	const char *(*check)(struct model *model);
	const char *(*end)(struct model *model);
};

extern const struct model_room itree_hole_model;
extern const struct model_room iova_space_model;
extern const struct model_room pin_account_model;
extern const struct model_room pin_store_model;
extern const struct model_room pinned_model;
extern const struct model_room ioas_stat_model;

const char *iova_space_fault(struct iova_space *space);

/* A number below @n */
static inline unsigned long model_pick(struct model *model, unsigned long n)
{
	return prandom_u32_state(&model->rnd) % n;
}

/* Spaces of 64 places are modelled by the bits of a word: those from @first to @last */
static inline u64 model_bits(unsigned int first, unsigned int last)
{
	return GENMASK_ULL(last, first);
}

#endif
