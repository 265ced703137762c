// SPDX-License-Identifier: GPL-2.0-only
/*
 * walker - the thread that is the hardware, and the judge of what it sees
 *
 * The driving thread waits for flushes with interrupts off, so nothing that waits for its CPU may get in before the
 * walking thread: that one runs at a real-time priority on its CPU, alone, until walker_rest() lets others run while
 * nobody waits for it.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "walk.h"

const struct walk_place walk_places[WALK_PLACES] = {
	{ 0x1000, 1 }, { 0x2000, 1 }, { 0x3000, 5 }, { 0x1ff000, 2 },		/* the last one in two tables */
	{ 0x40005000, 1 }, { 0x40200000, 512 }, { 0x40400000, 513 },		/* all of a table, and more */
	{ 0x7f0000000000, 3 },
};

#define PHYS_TEST	BIT_ULL(44)

/* Every other mapping is out of alignment, so it takes no large pages */
bool walk_mapping_aligned(unsigned int mapping)
{
	return !(mapping % WALK_MAPPINGS & 1);
}

/* A place is smaller than 16 MiB */
u64 walk_phys(unsigned int domain, unsigned int place, unsigned int mapping)
{
	mapping %= WALK_MAPPINGS;
	return PHYS_TEST | (u64)domain << 36 | (u64)place << 30 | (u64)mapping << 24 |
	       (walk_mapping_aligned(mapping) ? 0 : PAGE_SIZE);
}

/* Every third mapping is read-only */
bool walk_mapping_writable(unsigned int mapping)
{
	return mapping % WALK_MAPPINGS % 3;
}

/**
 * walk_legal_set() - From now on this may be seen
 * @legal: the notes
 * @set: what may be seen; before a change it holds what may be seen before, during and after it
 */
void walk_legal_set(struct walk_legal *legal, u64 set)
{
	unsigned int next = legal->now + 1;

	WRITE_ONCE(legal->sets[next % WALK_HISTORY], set);
	smp_store_release(&legal->now, next); /* pairs with walk_legal_now() and walk_legal_since() */
	smp_mb(); /* who sees the change that follows sees the note as well */
}

/**
 * walk_legal_now() - Begin of an observation
 * @legal: the notes
 *
 * Return: what walk_legal_since() wants to know at its end.
 */
unsigned int walk_legal_now(struct walk_legal *legal)
{
	return smp_load_acquire(&legal->now); /* pairs with walk_legal_set() */
}

/**
 * walk_legal_since() - What could be seen during an observation
 * @legal: the notes
 * @since: result of walk_legal_now() at its begin
 *
 * Return: the set; all when the notes do not go back that far.
 */
u64 walk_legal_since(struct walk_legal *legal, unsigned int since)
{
	unsigned int now = smp_load_acquire(&legal->now); /* pairs with walk_legal_set() */
	u64 set = 0;

	if (now - since > WALK_HISTORY - 2)
		return U64_MAX;
	for (;; since++) {
		set |= READ_ONCE(legal->sets[since % WALK_HISTORY]);
		if (since == now)
			return set;
	}
}

/**
 * walker_fault() - Count something that is wrong, and keep the first of all
 * @walker: the walker
 * @fault: what kind
 * @format: what exactly
 */
void walker_fault(struct walker *walker, enum walk_fault fault, const char *format, ...)
{
	static const char * const names[] = { "blocked", "torn", "stale", "wrong", "step" };
	struct walk_verdict *verdict = &walker->verdict;
	va_list args;
	int len;

	verdict->faults[fault]++;
	if (walker_faults(walker) != 1)
		return;
	len = scnprintf(verdict->first, sizeof(verdict->first), "%s: ", names[fault]);
	va_start(args, format);
	vscnprintf(verdict->first + len, sizeof(verdict->first) - len, format, args);
	va_end(args);
}

/**
 * walker_faults() - How much was wrong
 * @walker: the walker
 */
u64 walker_faults(const struct walker *walker)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < WALK_FAULTS; i++)
		sum += walker->verdict.faults[i];
	return sum;
}

struct observation {
	struct walk_source *source;
	unsigned int domain_since;
	unsigned int mapping_since[WALK_DOMAINS];
	unsigned int place;
	unsigned int page;
	u64 domains;		/* legal ones */
};

static void fault(struct walker *walker, enum walk_fault what, const struct observation *o,
		  const struct walk_result *result)
{
	walker_fault(walker, what, "%04x/%u iova %llx: end %d phys %llx tag %u%s%s%s, legal domains %llx",
		     o->source->id, o->source->slot->pasid, walk_places[o->place].iova + o->page * 4096ULL,
		     result->end, result->phys, result->tag, result->cached ? " from cache" : "",
		     result->why ? ", " : "", result->why ?: "", o->domains);
}

/* Nothing came out: that is right if any domain that may translate may map nothing there */
static void judge_nothing(struct walker *walker, const struct observation *o, const struct walk_result *result)
{
	int d;

	if (o->domains & WALK_NOTHING)
		return;
	if (result->end == WALK_UNMAPPED) {
		for (d = 0; d < WALK_DOMAINS; d++) {
			if (o->domains & BIT_ULL(d) &&
			    walk_legal_since(&walker->domains[d].legal[o->place], o->mapping_since[d]) & WALK_NOTHING)
				return;
		}
	}
	fault(walker, WALK_FAULT_BLOCKED, o, result);
}

static void judge_translation(struct walker *walker, const struct observation *o, const struct walk_result *result)
{
	u64 phys = result->phys - o->page * 4096ULL;
	unsigned int d = phys >> 36 & 0xff, mapping = phys >> 24 & 0x3f;

	walker->verdict.translated++;
	if (phys == walk_places[o->place].iova && o->domains & WALK_IDENTITY)
		return;
	if (d >= WALK_DOMAINS || mapping >= WALK_MAPPINGS || phys != walk_phys(d, o->place, mapping))
		fault(walker, WALK_FAULT_WRONG, o, result);
	else if (!(o->domains & BIT_ULL(d)))
		fault(walker, WALK_FAULT_STALE, o, result);
	else if (!(walk_legal_since(&walker->domains[d].legal[o->place], o->mapping_since[d]) & BIT_ULL(mapping)))
		fault(walker, WALK_FAULT_STALE, o, result);
	else if (result->writable != walk_mapping_writable(mapping))
		fault(walker, WALK_FAULT_WRONG, o, result);
	/* A name is given back after a flush, which waits for this thread: it is good for as long as this walk */
	else if (!result->cached && result->tag != walker->unit->ops->tag(walker->unit, walker->domains[d].domain))
		fault(walker, WALK_FAULT_TORN, o, result);
}

static void walk_once(struct walker *walker)
{
	struct rnd_state *rnd = &walker->unit->rnd;
	u32 random = prandom_u32_state(rnd);
	struct walk_result result = {};
	struct observation o;
	int d;

	o.source = &walker->sources[random & 1 ? READ_ONCE(walker->hot) : (random >> 1) % walker->nr_sources];
	o.place = random & BIT(15) ? READ_ONCE(walker->hot_place) : (random >> 16) % WALK_PLACES;
	o.page = (random >> 20) % walk_places[o.place].pages;
	o.domain_since = walk_legal_now(&o.source->legal);
	for (d = 0; d < WALK_DOMAINS; d++)
		o.mapping_since[d] = walk_legal_now(&walker->domains[d].legal[o.place]);
	smp_rmb(); /* the notes are read before the tables, */

	walker->unit->ops->walk(walker->unit, o.source->id, o.source->slot->pasid,
				walk_places[o.place].iova + o.page * 4096ULL, &result);

	smp_rmb(); /* and read again after them: pairs with walk_legal_set() */
	o.domains = walk_legal_since(&o.source->legal, o.domain_since);
	walker->verdict.walks++;
	walker->verdict.from_cache += result.cached;
	walker->verdict.too_slow += o.domains == U64_MAX;

	if (result.end == WALK_BROKEN)
		fault(walker, WALK_FAULT_TORN, &o, &result);
	else if (result.end != WALK_TRANSLATED)
		judge_nothing(walker, &o, &result);
	else
		judge_translation(walker, &o, &result);
}

static int walker_run(void *arg)
{
	struct walker *walker = arg;

	while (!kthread_should_stop()) {
		walker->unit->ops->service(walker->unit);
		if (READ_ONCE(walker->walking))
			walk_once(walker);
		if (READ_ONCE(walker->hold)) {
			complete(&walker->held);
			wait_for_completion(&walker->go);
		}
		cond_resched();
	}
	return 0;
}

/**
 * walker_start() - Start the hardware
 * @walker: the walker, zeroed
 * @unit: what to run
 * @seed: of all that is random
 *
 * The calling thread stays on its CPU from now on. Nothing is walked until walker_walk().
 *
 * Return: 0; -ENODEV without a second CPU; or another -errno.
 */
int walker_start(struct walker *walker, struct walk_unit *unit, u64 seed)
{
	unsigned int here = cpumask_first(cpu_online_mask);
	struct task_struct *thread;
	int rc;

	walker->unit = unit;
	walker->cpu = cpumask_next(here, cpu_online_mask);
	if (walker->cpu >= nr_cpu_ids)
		return -ENODEV;

	rc = set_cpus_allowed_ptr(current, cpumask_of(here));
	if (rc)
		return rc;

	prandom_seed_state(&walker->rnd, seed);
	prandom_seed_state(&unit->rnd, ~seed);
	init_completion(&walker->held);
	init_completion(&walker->go);
	thread = kthread_create_on_cpu(walker_run, walker, walker->cpu, "walker/%u");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	walker->thread = thread;
	sched_set_fifo(thread);
	wake_up_process(thread);
	return 0;
}

/**
 * walker_stop() - Stop the hardware
 * @walker: a walker that was started
 */
void walker_stop(struct walker *walker)
{
	kthread_stop(walker->thread);
}

/* Nobody waits for the hardware now: the driving thread is here */
static void rest(struct walker *walker)
{
	WRITE_ONCE(walker->hold, true);
	wait_for_completion(&walker->held);
	WRITE_ONCE(walker->hold, false);
	msleep(20);
	complete(&walker->go);
	walker->rested = ktime_get();
}

/**
 * walker_rest() - Let others run where the hardware does, when that is due
 * @walker: the walker
 *
 * To be called often, by the driving thread.
 */
void walker_rest(struct walker *walker)
{
	cond_resched();
	if (ktime_ms_delta(ktime_get(), walker->rested) > 200)
		rest(walker);
}

/**
 * walker_wait() - Let the hardware look for a while
 * @walker: the walker
 * @walks: how often
 */
void walker_wait(struct walker *walker, u64 walks)
{
	u64 until = READ_ONCE(walker->verdict.walks) + walks;

	while (READ_ONCE(walker->verdict.walks) < until)
		walker_rest(walker);
}

/**
 * walker_walk() - Begin or end to watch what is seen
 * @walker: the walker
 * @walking: which of the two
 */
void walker_walk(struct walker *walker, bool walking)
{
	WRITE_ONCE(walker->walking, walking);
	rest(walker);
}
