// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model of pin_store: one PFN per index, and whether it means anything. Like the room above, it puts only where nothing
 * is, and only looks at what was put and not dropped since.
 */
#include <linux/bitmap.h>
#include <linux/kernel.h>
#include <linux/page_run.h>

#include "../pin_store.h"
#include "model.h"

#define CHUNK PIN_CHUNK_PAGES
#define PAGES (2 * CHUNK + 70)
#define RUNS 40

struct store_model {
	struct model model;
	struct pin_store store;
	unsigned long pfn[PAGES];
	DECLARE_BITMAP(covered, PAGES);
	struct page_run runs[RUNS];
};

static const char *begin(struct model *model)
{
	struct store_model *m = container_of(model, struct store_model, model);

	pin_store_init(&m->store, PAGES);
	return NULL;
}

/* A range that is mostly short, and now and then ends where a chunk does */
static void pick_range(struct store_model *m, unsigned long *index, unsigned long *end)
{
	struct model *model = &m->model;

	*index = model_pick(model, PAGES);
	if (!model_pick(model, 8))
		*index = round_down(*index, CHUNK);
	*end = min(*index + 1 + model_pick(model, model_pick(model, 32) ? 8 : 2 * CHUNK), PAGES);
	if (!model_pick(model, 16))
		*end = min(round_up(*end, CHUNK), PAGES);
}

/* Often the one that follows, or where the run before would go on, or where 32 bits end; else any */
static unsigned long pick_pfn(struct store_model *m, unsigned long index)
{
	struct model *model = &m->model;

	if (index && model_pick(model, 3))
		return m->pfn[index - 1] + 1;
	switch (model_pick(model, 8)) {
	case 0:
		return model_pick(model, 4);
	case 1:
		return (1UL << 32) - 8 + model_pick(model, 16);
	case 2:
		return (1UL << 40) + 16 * index;
	case 3:
		return 4096 + index;
	default:
		return model_pick(model, 1 << 20);
	}
}

/* The runs from an index on that is covered, looked at up to @end at most, some at a time */
static const char *compare(struct store_model *m, unsigned long index, unsigned long end, unsigned long *n)
{
	unsigned int max = 1 + model_pick(&m->model, model_pick(&m->model, 4) ? 3 : RUNS);
	unsigned long pos = index;
	unsigned int num, i;

	end = find_next_zero_bit(m->covered, end, index);
	*n = pin_store_runs(&m->store, index, end - 1, m->runs, max, &num);
	if (num > max || !num)
		return "wrong number of runs";
	for (i = 0; i < num; i++) {
		unsigned long run;

		for (run = 1; pos + run < end && m->pfn[pos + run] == m->pfn[pos] + run; run++)
			;
		if (m->runs[i].pfn != m->pfn[pos])
			return "wrong PFN";
		if (m->runs[i].npages != run)
			return "wrong length of a run";
		pos += run;
	}
	if (*n != pos - index)
		return "wrong number of pages";
	return num < max && pos < end ? "too few runs" : NULL;
}

/* Runs of up to @most pages for what nobody covers; fewer pages if the batch is full before */
static unsigned int pick_runs(struct store_model *m, unsigned long index, unsigned long *end, unsigned long most)
{
	unsigned long n, i, pfn;
	unsigned int num;

	for (num = 0; index < *end && num < RUNS; num++) {
		pfn = pick_pfn(m, index);
		n = min(1 + model_pick(&m->model, most), *end - index);
		m->runs[num] = (struct page_run) { .pfn = pfn, .npages = n };
		for (i = 0; i < n; i++)
			m->pfn[index++] = pfn + i;
	}
	*end = index;
	return num;
}

static const char *put(struct store_model *m, unsigned long index, unsigned long end)
{
	unsigned int num;
	int rc;

	end = find_next_bit(m->covered, end, index);
	if (index == end)
		return NULL;
	num = pick_runs(m, index, &end, model_pick(&m->model, 2) ? PAGES : 1 + model_pick(&m->model, 50));
	rc = pin_store_put(&m->store, index, m->runs, num);
	if (rc == -ENOMEM)
		return NULL;
	if (rc)
		return "wrong error";
	bitmap_set(m->covered, index, end - index);
	return NULL;
}

static const char *drop(struct store_model *m, unsigned long index, unsigned long end)
{
	struct pin_table *table;
	unsigned long nr;

	pin_store_drop(&m->store, index, end - 1);
	bitmap_clear(m->covered, index, end - index);
	table = m->store.pages;
	if (!table || xa_is_value(table))
		return NULL;
	if (!index && end == PAGES)
		return "table was not dropped";
	for (nr = 0; nr * CHUNK < PAGES; nr++)
		if (index <= nr * CHUNK && end >= min((nr + 1) * CHUNK, PAGES) && xa_load(&table->chunks, nr))
			return "chunk was not dropped";
	return NULL;
}

static const char *step(struct model *model)
{
	struct store_model *m = container_of(model, struct store_model, model);
	unsigned long index, end, pos, n;
	const char *fault;

	pick_range(m, &index, &end);
	fault = model_pick(model, 3) ? put(m, index, end) : drop(m, index, end);

	/* What is around the change */
	pos = index - min(index, 3UL);
	end = min(end + 3, PAGES);
	while (!fault && (pos = find_next_bit(m->covered, end, pos)) < end) {
		fault = compare(m, pos, min(pos + 64, PAGES), &n);
		pos += n;
	}
	return fault;
}

static const char *check(struct model *model)
{
	struct store_model *m = container_of(model, struct store_model, model);
	unsigned long index, n;
	const char *fault = NULL;

	for (index = find_first_bit(m->covered, PAGES); !fault && index < PAGES;
	     index = find_next_bit(m->covered, PAGES, index + n))
		fault = compare(m, index, PAGES, &n);
	return fault;
}

static const char *end(struct model *model)
{
	struct store_model *m = container_of(model, struct store_model, model);

	if (model_pick(model, 2))
		pin_store_drop(&m->store, 0, PAGES - 1);
	else
		pin_store_destroy(&m->store);
	return m->store.pages ? "something was left" : NULL;
}

const struct model_room pin_store_model = {
	.name = "pin_store",
	.share = 14,
	.size = sizeof(struct store_model),
	.begin = begin,
	.step = step,
	.check = check,
	.end = end,
};
