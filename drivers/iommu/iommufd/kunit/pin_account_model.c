// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model of pin_account: payers of every mode that share two processes and two users, each with a limit of its own,
 * and what the counters of all of them must say.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "../pin_account.h"
#include "model.h"

#define PAYERS 6			/* two of each mode */
#define SHARED 2

struct account_model {
	struct model model;
	struct mm_struct *mm[SHARED];
	struct user_struct *user[SHARED];
	struct pin_account payer[PAYERS];
	unsigned long limit[PAYERS];		/* pages */
	unsigned long charged[PAYERS];
};

static const char *begin(struct model *model)
{
	struct account_model *m = container_of(model, struct account_model, model);
	int i;

	for (i = 0; i < SHARED; i++) {
		m->mm[i] = kzalloc(sizeof(*m->mm[i]), GFP_KERNEL);
		m->user[i] = kzalloc(sizeof(*m->user[i]), GFP_KERNEL);
		if (!m->mm[i] || !m->user[i])
			return "no memory";
		mmap_init_lock(m->mm[i]);
	}
	for (i = 0; i < PAYERS; i++) {
		struct task_struct *task = kzalloc(sizeof(*task), GFP_KERNEL);

		if (task)
			task->signal = kzalloc(sizeof(*task->signal), GFP_KERNEL);
		if (!task || !task->signal)
			return "no memory";
		m->payer[i].task = task;
		m->payer[i].mm = m->mm[model_pick(model, SHARED)];
		m->payer[i].user = m->user[model_pick(model, SHARED)];
		m->payer[i].mode = i % 3;
	}
	return NULL;
}

/* What the payers of a process, of a user, or of both, were charged in some modes */
static unsigned long sum(struct account_model *m, struct mm_struct *mm, struct user_struct *user, unsigned int modes)
{
	unsigned long pages = 0;
	int i;

	for (i = 0; i < PAYERS; i++)
		if ((!mm || m->payer[i].mm == mm) && (!user || m->payer[i].user == user) &&
		    (modes & BIT(m->payer[i].mode)))
			pages += m->charged[i];
	return pages;
}

static const char *charge(struct account_model *m, int i, unsigned long npages)
{
	struct pin_account *payer = &m->payer[i];
	unsigned long before = 0;
	bool fits = true;

	if (payer->mode == PIN_ACCOUNT_USER)
		before = sum(m, NULL, payer->user, BIT(PIN_ACCOUNT_USER));
	else if (payer->mode == PIN_ACCOUNT_PROCESS)
		before = sum(m, payer->mm, NULL, BIT(PIN_ACCOUNT_PROCESS));
	/* No pages fit under any limit */
	if (npages && payer->mode != PIN_ACCOUNT_NONE)
		fits = before <= m->limit[i] && npages <= m->limit[i] - before;

	if (pin_account_charge(payer, npages) != (fits ? 0 : -ENOMEM))
		return fits ? "refused within the limit" : "not refused over the limit";
	if (fits)
		m->charged[i] += npages;
	return NULL;
}

static const char *check(struct model *model)
{
	struct account_model *m = container_of(model, struct account_model, model);
	int i;

	for (i = 0; i < SHARED; i++) {
		if (atomic64_read(&m->mm[i]->pinned_vm) != sum(m, m->mm[i], NULL, ~0U))
			return "VmPin is wrong";
		if (m->mm[i]->locked_vm != sum(m, m->mm[i], NULL, BIT(PIN_ACCOUNT_PROCESS)))
			return "VmLck is wrong";
		if (atomic_long_read(&m->user[i]->locked_vm) != sum(m, NULL, m->user[i], BIT(PIN_ACCOUNT_USER)))
			return "what the user has locked is wrong";
	}
	return NULL;
}

static const char *step(struct model *model)
{
	struct account_model *m = container_of(model, struct account_model, model);
	int i = model_pick(model, PAYERS);
	const char *fault = NULL;
	unsigned long npages;

	switch (model_pick(model, 8)) {
	case 0:
		m->limit[i] = model_pick(model, 4) ? model_pick(model, 1000) : model_pick(model, U32_MAX);
		/* What is left of a page does not count */
		m->payer[i].task->signal->rlim[RLIMIT_MEMLOCK].rlim_cur =
			m->limit[i] * PAGE_SIZE + model_pick(model, PAGE_SIZE);
		break;
	case 1 ... 3:
		npages = model_pick(model, m->charged[i] < U32_MAX ? m->charged[i] + 1 : U32_MAX);
		pin_account_uncharge(&m->payer[i], npages);
		m->charged[i] -= npages;
		break;
	default:
		npages = model_pick(model, 8) ? model_pick(model, 300) : 1UL << model_pick(model, 40);
		fault = charge(m, i, npages);
	}
	return fault ? fault : check(model);
}

static const char *end(struct model *model)
{
	struct account_model *m = container_of(model, struct account_model, model);
	const char *fault;
	int i;

	for (i = 0; i < PAYERS; i++) {
		pin_account_uncharge(&m->payer[i], m->charged[i]);
		m->charged[i] = 0;
	}
	fault = check(model);
	if (fault)
		return fault;
	for (i = 0; i < PAYERS; i++) {
		kfree(m->payer[i].task->signal);
		kfree(m->payer[i].task);
	}
	for (i = 0; i < SHARED; i++) {
		kfree(m->mm[i]);
		kfree(m->user[i]);
	}
	return NULL;
}

const struct model_room pin_account_model = {
	.name = "pin_account",
	.share = 26,
	.size = sizeof(struct account_model),
	.begin = begin,
	.step = step,
	.check = check,
	.end = end,
};
