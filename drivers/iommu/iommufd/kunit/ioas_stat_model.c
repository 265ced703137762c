// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model of an IOAS in numbers: areas of a process's memory are mapped, copied, cut and unmapped at random, while a page
 * table comes and goes. For each place of a page the model knows which page is there, from which mapping it comes, and
 * whether an area begins. From that follow all numbers that fdinfo has of the IOAS, what the process has pinned, and
 * what must stand in the page table.
 */
#include <linux/iommu.h>
#include <linux/mm.h>

#include "../ioas_domain.h"
#include "../ioas_stat.h"
#include "../pin_payer.h"
#include "../pinned.h"
#include "model.h"
#include "user_mm.h"

#define PLACES 64
#define PAGES 40

/* A page table with one level: where each place leads, or 0 */
struct flat_domain {
	struct iommu_domain domain;
	phys_addr_t table[PLACES];
};

struct ioas_stat_model {
	struct model model;
	struct mm_struct *mm;
	unsigned long uaddr;
	struct page *pages[PAGES];
	struct pin_payer *payer;
	struct ioas_map map;
	struct flat_domain flat;
	struct ioas_domain dom;
	bool attached;
	unsigned int mappings;			/* so many there were */
	struct ioas_counts counts;
	struct model_place {
		unsigned int mapping;		/* 0: nothing is mapped */
		unsigned int page;
		bool begins;
	} place[PLACES];
};

static int flat_map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t paddr, size_t pgsize,
			  size_t pgcount, int prot, gfp_t gfp, size_t *mapped)
{
	struct flat_domain *flat = container_of(domain, struct flat_domain, domain);
	unsigned long place = iova >> PAGE_SHIFT;

	for (; pgcount; pgcount--, place++, paddr += PAGE_SIZE, *mapped += PAGE_SIZE) {
		if (place >= PLACES || flat->table[place])
			return -EEXIST;
		flat->table[place] = paddr;
	}
	return 0;
}

static size_t flat_unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize, size_t pgcount,
			       struct iommu_iotlb_gather *gather)
{
	struct flat_domain *flat = container_of(domain, struct flat_domain, domain);
	unsigned long place = iova >> PAGE_SHIFT;
	size_t unmapped = 0;

	for (; pgcount && place < PLACES && flat->table[place]; pgcount--, place++, unmapped += PAGE_SIZE)
		flat->table[place] = 0;
	return unmapped;
}

static const struct iommu_domain_ops flat_ops = {
	.map_pages = flat_map_pages,
	.unmap_pages = flat_unmap_pages,
};

static const char *begin(struct model *model)
{
	struct ioas_stat_model *m = container_of(model, struct ioas_stat_model, model);
	long i, n;

	m->mm = __user_mm_enter();
	if (!m->mm)
		return "no memory";
	m->uaddr = vm_mmap(NULL, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(m->uaddr))
		return "no memory";
	for (i = 0; i < PAGES; i += n) {
		n = get_user_pages_fast(m->uaddr + i * PAGE_SIZE, PAGES - i, FOLL_WRITE, m->pages + i);
		if (n <= 0)
			return "no memory";
	}
	/* The mapping keeps them */
	for (i = 0; i < PAGES; i++)
		put_page(m->pages[i]);
	m->payer = pin_payer_create(PIN_ACCOUNT_NONE, 0);
	if (!m->payer)
		return "no memory";
	m->flat.domain.type = IOMMU_DOMAIN_UNMANAGED;
	m->flat.domain.ops = &flat_ops;
	m->flat.domain.pgsize_bitmap = PAGE_SIZE;
	m->flat.domain.geometry.aperture_end = PLACES * PAGE_SIZE - 1;
	m->dom.domain = &m->flat.domain;
	ioas_map_init(&m->map);
	/* Only without large leaves an area can be cut */
	if (ioas_map_set_huge_pages(&m->map, model_pick(model, 2)))
		return "large leaves cannot be chosen";
	return NULL;
}

static unsigned long pfn_of(struct ioas_stat_model *m, unsigned int place)
{
	return page_to_pfn(m->pages[m->place[place].page]);
}

static bool is_mapped(struct ioas_stat_model *m, unsigned int place)
{
	return m->place[place].mapping;
}

static bool goes_on(struct ioas_stat_model *m, unsigned int place)
{
	return place < PLACES && is_mapped(m, place) && !m->place[place].begins;
}

/* A page that areas share is pinned once, if they come from one mapping */
static bool pinned_before(struct ioas_stat_model *m, unsigned int place)
{
	unsigned int i;

	for (i = 0; i < place; i++) {
		if (m->place[i].mapping == m->place[place].mapping && m->place[i].page == m->place[place].page)
			return true;
	}
	return false;
}

static const char *check(struct model *model)
{
	struct ioas_stat_model *m = container_of(model, struct ioas_stat_model, model);
	unsigned long mapped = 0, areas = 0, runs = 0, vmpin = 0;
	struct ioas_stat stat;
	unsigned int i;

	for (i = 0; i < PLACES; i++) {
		bool holds = m->attached && is_mapped(m, i);

		if (m->flat.table[i] != (holds ? PFN_PHYS(pfn_of(m, i)) : 0))
			return "page table is wrong";
		if (!is_mapped(m, i))
			continue;
		mapped++;
		areas += m->place[i].begins;
		runs += m->place[i].begins || pfn_of(m, i) != pfn_of(m, i - 1) + 1;
		vmpin += !pinned_before(m, i);
	}

	ioas_stat_read(&m->map, &stat);
	if (!stat.tally_known || !stat.users_known)
		return "nobody works, and numbers are not known";
	if (stat.counts.mapped != mapped * PAGE_SIZE || stat.areas != areas)
		return "what is mapped is wrong";
	if (stat.counts.maps != m->counts.maps || stat.counts.unmaps != m->counts.unmaps)
		return "number of maps or unmaps is wrong";
	if (stat.counts.pins != m->counts.pins)
		return "number of pins is wrong";
	if (stat.tally.pages != (m->attached ? mapped : 0))
		return "number of pinned pages is wrong";
	if (stat.tally.runs != (m->attached ? runs : 0))
		return "number of runs is wrong";
	if (stat.tables != m->attached || stat.accesses)
		return "number of page tables or software users is wrong";
	if (atomic64_read(&m->mm->pinned_vm) != (m->attached ? vmpin : 0))
		return "VmPin is wrong";
	return NULL;
}

static void pick_range(struct ioas_stat_model *m, unsigned int max, unsigned int *start, unsigned int *last)
{
	*start = model_pick(&m->model, max);
	*last = *start + model_pick(&m->model, min(max - *start, model_pick(&m->model, 8) ? 6U : max));
}

static bool any_mapped(struct ioas_stat_model *m, unsigned int start, unsigned int last)
{
	unsigned int i;

	for (i = start; i <= last; i++) {
		if (is_mapped(m, i))
			return true;
	}
	return false;
}

/* Both halves of a map, or the way back in between; *@done: there is something new */
static const char *map_areas(struct ioas_stat_model *m, struct ioas_area *areas, unsigned int start, unsigned int last,
			     bool *done)
{
	unsigned long iova = (unsigned long)start << PAGE_SHIFT;
	int wanted = any_mapped(m, start, last) ? -EEXIST : 0;

	if (ioas_map_begin(&m->map, areas, &iova, 0, model_pick(&m->model, 2)) != wanted)
		return "wrong result for a map";
	if (wanted)
		return NULL;
	if (!model_pick(&m->model, 8)) {
		ioas_map_abort(&m->map, areas);
		return NULL;
	}
	if (ioas_map_commit(&m->map, areas))
		return "map fails";
	*done = true;
	if (m->attached)
		m->counts.pins += last - start + 1;
	return NULL;
}

static const char *step_map(struct ioas_stat_model *m)
{
	unsigned int start, last, n, i, page;
	struct ioas_area *area;
	const char *fault;
	struct pinned *p;
	bool done = false;

	pick_range(m, PLACES, &start, &last);
	last = min(last, start + PAGES - 1);
	n = last - start + 1;
	page = model_pick(&m->model, PAGES - n + 1);
	p = pinned_alloc_user(m->uaddr + page * PAGE_SIZE, n, true, pin_payer_get(m->payer));
	if (IS_ERR(p))
		return "no memory";
	area = ioas_area_create(p, 0, n * PAGE_SIZE, IOMMU_READ | IOMMU_WRITE);
	fault = map_areas(m, area, start, last, &done);
	if (!done)
		return fault;
	m->counts.maps++;
	m->mappings++;
	for (i = 0; i < n; i++)
		m->place[start + i] = (struct model_place){ m->mappings, page + i, !i };
	return NULL;
}

static const char *step_copy(struct ioas_stat_model *m)
{
	unsigned int start, last, to, i;
	struct ioas_area *areas;
	bool done = false, all = true;
	const char *fault;

	pick_range(m, PLACES, &start, &last);
	to = model_pick(&m->model, PLACES - (last - start));
	for (i = start; i <= last; i++)
		all &= is_mapped(m, i);
	areas = ioas_map_gather(&m->map, start * PAGE_SIZE, (last + 1) * PAGE_SIZE - 1, IOMMU_READ);
	if (!all)
		return areas == ERR_PTR(-ENOENT) ? NULL : "wrong result for a copy of what is not mapped";
	if (IS_ERR(areas))
		return "copy fails";
	fault = map_areas(m, areas, to, to + (last - start), &done);
	if (!done)
		return fault;
	for (i = start; i <= last; i++) {
		m->place[to + i - start] = m->place[i];
		m->place[to + i - start].begins |= i == start;
		m->counts.maps += m->place[to + i - start].begins;
	}
	return NULL;
}

static const char *step_unmap(struct ioas_stat_model *m)
{
	unsigned int start, last, i, n = 0;
	u64 unmapped;
	int rc;

	pick_range(m, PLACES, &start, &last);
	rc = ioas_map_unmap(&m->map, start * PAGE_SIZE, (last + 1) * PAGE_SIZE - 1, NULL, NULL, &unmapped);
	if (goes_on(m, start) || goes_on(m, last + 1))
		return rc == -ENOENT && !unmapped ? NULL : "wrong result for an unmap that would cut";
	for (i = start; i <= last; i++) {
		n += is_mapped(m, i);
		m->counts.unmaps += m->place[i].begins;
		m->place[i] = (struct model_place){};
	}
	return rc || unmapped != n * PAGE_SIZE ? "wrong result for an unmap" : NULL;
}

static const char *step_cut(struct ioas_stat_model *m)
{
	unsigned int at = model_pick(&m->model, PLACES);
	int wanted = goes_on(m, at) && m->map.huge_pages ? -EINVAL : 0;

	if (ioas_map_cut(&m->map, at * PAGE_SIZE) != wanted)
		return "wrong result for a cut";
	if (!wanted && goes_on(m, at)) {
		m->place[at].begins = true;
		m->counts.maps++;
	}
	return NULL;
}

static const char *step_table(struct ioas_stat_model *m)
{
	unsigned int i;

	if (m->attached)
		ioas_map_remove_domain(&m->map, &m->dom);
	else if (ioas_map_add_domain(&m->map, &m->dom))
		return "a page table cannot be added";
	m->attached = !m->attached;
	for (i = 0; m->attached && i < PLACES; i++)
		m->counts.pins += is_mapped(m, i);
	return NULL;
}

static const char *step(struct model *model)
{
	struct ioas_stat_model *m = container_of(model, struct ioas_stat_model, model);
	unsigned int what = model_pick(model, 16);
	const char *fault;

	if (what < 6)
		fault = step_map(m);
	else if (what < 9)
		fault = step_copy(m);
	else if (what < 13)
		fault = step_unmap(m);
	else if (what < 15)
		fault = step_cut(m);
	else
		fault = step_table(m);
	return fault ?: check(model);
}

static const char *end(struct model *model)
{
	struct ioas_stat_model *m = container_of(model, struct ioas_stat_model, model);

	if (m->attached)
		ioas_map_remove_domain(&m->map, &m->dom);
	ioas_map_destroy(&m->map);
	if (atomic64_read(&m->mm->pinned_vm))
		return "pages are left pinned";
	pin_payer_put(m->payer);
	user_mm_leave(m->mm);
	return NULL;
}

const struct model_room ioas_stat_model = {
	.name = "ioas_stat",
	.share = 1,
	.size = sizeof(struct ioas_stat_model),
	.begin = begin,
	.step = step,
	.check = check,
	.end = end,
};
