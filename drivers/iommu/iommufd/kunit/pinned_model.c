// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model of pinned: users come and go over real memory of a process. For each page the model knows how many cover it.
 * Most ranges are short and lie where something can go wrong: at both ends, at the border of two chunks, and at a page
 * that is not there.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "../pin_payer.h"
#include "../pinned.h"
#include "model.h"
#include "user_mm.h"

#define PAGES (PIN_CHUNK_PAGES + 80)
#define MISSING (PIN_CHUNK_PAGES + 9)	/* nothing is mapped there */
#define USERS 8

struct pinned_model {
	struct model model;
	struct mm_struct *mm;
	struct page *pages[PAGES];
	u8 covers[PAGES];			/* how many users a page has */
	unsigned long charged;			/* pages that have one */
	unsigned long limit;
	struct pinned *p;
	struct model_user {
		unsigned long start;
		unsigned long last;
	} user[USERS];
	bool live[USERS];
};

static void set_limit(struct pinned_model *m, unsigned long npages)
{
	m->limit = npages;
	current->signal->rlim[RLIMIT_MEMLOCK].rlim_cur = npages * PAGE_SIZE;
}

static const char *begin(struct model *model)
{
	struct pinned_model *m = container_of(model, struct pinned_model, model);
	struct pin_payer *payer;
	unsigned long uaddr;
	long i, n;

	m->mm = __user_mm_enter();
	if (!m->mm)
		return "no memory";
	uaddr = vm_mmap(NULL, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(uaddr))
		return "no memory";
	for (i = 0; i < PAGES; i += n) {
		n = get_user_pages_fast(uaddr + i * PAGE_SIZE, PAGES - i, FOLL_WRITE, m->pages + i);
		if (n <= 0)
			return "no memory";
	}
	/* The mapping keeps them */
	for (i = 0; i < PAGES; i++)
		put_page(m->pages[i]);
	if (vm_munmap(uaddr + MISSING * PAGE_SIZE, PAGE_SIZE))
		return "no hole in the memory";
	payer = pin_payer_create(PIN_ACCOUNT_PROCESS, 0);
	if (!payer)
		return "no memory";
	/* A kernel thread has the privilege to do without a limit */
	payer->account.mode = PIN_ACCOUNT_PROCESS;
	m->p = pinned_alloc_user(uaddr, PAGES, true, payer);
	if (IS_ERR(m->p))
		return "no memory";
	set_limit(m, PAGES);
	return NULL;
}

static void pick_range(struct pinned_model *m, unsigned long *start, unsigned long *last)
{
	static const unsigned long places[] = { 0, PIN_CHUNK_PAGES - 16, PIN_CHUNK_PAGES, PAGES - 16 };
	struct model *model = &m->model;

	*start = places[model_pick(model, ARRAY_SIZE(places))] + model_pick(model, 16);
	if (!model_pick(model, 128))
		*start = 0;
	*last = min(*start + model_pick(model, model_pick(model, 128) ? 12 : PAGES), PAGES - 1);
}

/* What an acquire must answer: it charges and pins what nobody covers, stretch by stretch */
static int expected(struct pinned_model *m, unsigned long start, unsigned long last)
{
	unsigned long charged = m->charged;
	unsigned long i, end;

	for (i = start; i <= last; i = end + 1) {
		for (end = i; end <= last && !m->covers[end]; end++)
			;
		charged += end - i;
		if (charged > m->limit && end > i)
			return -ENOMEM;
		if (i <= MISSING && MISSING < end)
			return -EFAULT;
	}
	return 0;
}

/* Pages of a range that somebody has, and runs of them, are what is told who looks */
static const char *compare_tally(struct pinned_model *m, unsigned long start, unsigned long last)
{
	struct pinned_tally tally = {};
	unsigned long i, pages = 0, runs = 0, next_pfn = 0;

	for (i = start; i <= last; i++) {
		if (!m->covers[i]) {
			next_pfn = 0;
			continue;
		}
		pages++;
		runs += page_to_pfn(m->pages[i]) != next_pfn;
		next_pfn = page_to_pfn(m->pages[i]) + 1;
	}
	for (i = start; i <= last; ) {
		if (!pinned_tally(m->p, &i, last, &tally))
			return "nobody works, and pages are not counted";
	}
	if (tally.pages != pages)
		return "pinned pages are miscounted";
	return tally.runs != runs ? "runs are miscounted" : NULL;
}

static const char *compare(struct pinned_model *m, unsigned long start, unsigned long last)
{
	unsigned long i, pfn, run, n = 0;

	for (i = start; i <= last; i++) {
		if (i == MISSING)
			continue;
		if (page_count(m->pages[i]) / GUP_PIN_COUNTING_BIAS != !!m->covers[i])
			return m->covers[i] ? "page is not pinned once" : "page is pinned";
	}
	for (i = start; i <= last; i += max(n, 1UL)) {
		n = 0;
		if (!m->covers[i])
			continue;
		for (run = 1; i + run <= last && m->covers[i + run] &&
		     page_to_pfn(m->pages[i + run]) == page_to_pfn(m->pages[i]) + run; run++)
			;
		for (n = run; i + n <= last && m->covers[i + n]; n++)
			;
		if (pinned_run(m->p, i, i + n - 1, &pfn) != run)
			return "wrong length of a run";
		if (pfn != page_to_pfn(m->pages[i]))
			return "wrong page";
		n = run;
	}
	if (atomic64_read(&m->mm->pinned_vm) != m->charged)
		return "VmPin is wrong";
	if (pinned_charged(m->p) != m->charged)
		return "number of pinned pages is wrong";
	if (m->mm->locked_vm != m->charged)
		return "VmLck is wrong";
	return compare_tally(m, start, last);
}

static const char *acquire(struct pinned_model *m, struct model_user *user, bool *live)
{
	unsigned long i;
	int wanted;

	pick_range(m, &user->start, &user->last);
	wanted = expected(m, user->start, user->last);
	if (pinned_acquire(m->p, user->start, user->last) != wanted)
		return "wrong result for a new user";
	if (wanted)
		return NULL;
	*live = true;
	for (i = user->start; i <= user->last; i++)
		m->charged += !m->covers[i]++;
	return NULL;
}

static void release(struct pinned_model *m, struct model_user *user, bool *live)
{
	unsigned long i;

	pinned_release(m->p, user->start, user->last);
	*live = false;
	for (i = user->start; i <= user->last; i++)
		m->charged -= !--m->covers[i];
}

/* Make one user two, which may share a page, the way a mapping is cut: whoever covers the pages stays till the end */
static const char *split(struct pinned_model *m, struct model_user *user)
{
	struct model *model = &m->model;
	unsigned long last = user->start + model_pick(model, user->last - user->start);
	struct model_user lower = { .start = user->start, .last = last };
	unsigned int i;

	for (i = 0; i < USERS && m->live[i]; i++)
		;
	if (i == USERS)
		return NULL;
	m->user[i].start = last + model_pick(model, 2);
	m->user[i].last = user->last;
	if (pinned_acquire(m->p, lower.start, lower.last) ||
	    pinned_acquire(m->p, m->user[i].start, m->user[i].last))
		return "pages that are covered cannot be acquired";
	pinned_release(m->p, user->start, user->last);
	*user = lower;
	m->live[i] = true;
	if (m->user[i].start == last)
		m->covers[last]++;
	return NULL;
}

static const char *step(struct model *model)
{
	struct pinned_model *m = container_of(model, struct pinned_model, model);
	unsigned int i = model_pick(model, USERS);
	const char *fault = NULL;

	if (!model_pick(model, 16))
		set_limit(m, model_pick(model, 2) ? PAGES : model_pick(model, 64));
	if (m->live[i] && m->user[i].start < m->user[i].last && !model_pick(model, 4))
		fault = split(m, &m->user[i]);
	else if (m->live[i])
		release(m, &m->user[i], &m->live[i]);
	else
		fault = acquire(m, &m->user[i], &m->live[i]);
	return fault ? fault : compare(m, m->user[i].start - min(m->user[i].start, 1UL),
				       min(m->user[i].last + 1, PAGES - 1));
}

static const char *check(struct model *model)
{
	struct pinned_model *m = container_of(model, struct pinned_model, model);

	return compare(m, 0, PAGES - 1);
}

static const char *end(struct model *model)
{
	struct pinned_model *m = container_of(model, struct pinned_model, model);
	const char *fault;
	int i;

	for (i = 0; i < USERS; i++)
		if (m->live[i])
			release(m, &m->user[i], &m->live[i]);
	fault = check(model);
	if (fault)
		return fault;
	if (!pinned_is_empty(m->p))
		return "chunks or users were left";
	pinned_put(m->p);
	user_mm_leave(m->mm);
	return NULL;
}

const struct model_room pinned_model = {
	.name = "pinned",
	.share = 1,
	.size = sizeof(struct pinned_model),
	.begin = begin,
	.step = step,
	.check = check,
	.end = end,
};
