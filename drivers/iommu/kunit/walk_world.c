// SPDX-License-Identifier: GPL-2.0-only
/*
 * walk_world - the driving thread: random steps through the IOMMU core, and what a DMA may see meanwhile
 *
 * Around each step stand two notes: what may be seen from its begin to its end, and what may be seen after it. A step
 * that fails is followed by the note of before.
 */
#include <linux/err.h>
#include <linux/iommu-runs.h>
#include <linux/mm.h>
#include <linux/page_run.h>
#include <linux/sched.h>

#include "../iommu-priv.h"
#include "walk_world.h"

/* In the first and in other pages of a PASID table, and in other parts of its directory */
static const ioasid_t pasids[] = { IOMMU_NO_PASID, 1, 63, 64, 0x1234 };

#define LOOKS	16

static unsigned int group_of(unsigned int device)
{
	static const unsigned int groups[WALK_DEVICES] = { 0, 1, 1, 2 };

	return groups[device];
}

static unsigned int pick(struct walk_world *world, unsigned int n)
{
	return prandom_u32_state(&world->walker->rnd) % n;
}

static void step_failed(struct walk_world *world, const char *what, const struct walk_slot *slot, int to, int rc)
{
	walker_fault(world->walker, WALK_FAULT_STEP, "%s of PASID %u from %d to %d: %d", what, slot->pasid,
		     slot->domain, to, rc);
}

static u64 domain_bit(int domain)
{
	return domain < 0 ? WALK_NOTHING : BIT_ULL(domain);
}

/* What requests see that are attached to nothing */
static u64 rest_bit(struct walk_world *world, unsigned int group, ioasid_t pasid)
{
	return world->identity && !world->owned[group] && pasid == IOMMU_NO_PASID ? WALK_IDENTITY : WALK_NOTHING;
}

static bool sees(struct walk_world *world, unsigned int device, const struct walk_slot *slot)
{
	return slot->group == world->groups[group_of(device)] && world->devices[device] &&
	       (slot->pasid == IOMMU_NO_PASID || world->has_pasids[device]);
}

/* What the devices of a slot may see, those that use it */
static void note_slot(struct walk_world *world, struct walk_slot *slot, u64 set)
{
	unsigned int i, hot = 0, nr = 0;

	for (i = 0; i < world->walker->nr_sources; i++) {
		struct walk_source *source = &world->walker->sources[i];

		if (source->slot != slot || !sees(world, source->device, slot))
			continue;
		walk_legal_set(&source->legal, set);
		if (!nr++ || pick(world, 2))
			hot = i;
	}
	if (nr)
		WRITE_ONCE(world->walker->hot, hot);
}

/**
 * walk_world_move() - Attach, replace or detach
 * @world: the world
 * @slot: what
 * @to: index of the domain, or -1
 *
 * Return: 0; or what the core says, after which nothing has changed.
 */
int walk_world_move(struct walk_world *world, struct walk_slot *slot, int to)
{
	struct walk_domain *domains = world->walker->domains;
	int from = slot->domain, rc = 0;
	u64 during = domain_bit(from) | domain_bit(to);

	if (from >= 0 && to >= 0 && (!domains[to].kind || domains[from].kind != domains[to].kind))
		during |= WALK_NOTHING;
	note_slot(world, slot, during);
	if (to < 0)
		iommu_group_detach_handle(slot->group, slot->pasid, &slot->handles[from]);
	else if (from < 0)
		rc = iommu_group_attach_handle(slot->group, slot->pasid, &slot->handles[to]);
	else
		rc = iommu_group_replace_handle(slot->group, slot->pasid, &slot->handles[from], &slot->handles[to]);
	if (!rc)
		slot->domain = to;
	note_slot(world, slot, domain_bit(slot->domain));
	return rc;
}

static bool can_move(struct walk_world *world, const struct walk_slot *slot)
{
	unsigned int i;

	for (i = 0; i < WALK_DEVICES; i++) {
		if (sees(world, i, slot) && world->owned[group_of(i)])
			return true;
	}
	return false;
}

/* The requests of a group without PASID */
static struct walk_slot *rid_slot(struct walk_world *world, const struct iommu_group *group)
{
	struct walk_slot *slot = world->walker->slots;

	while (slot->group != group || slot->pasid != IOMMU_NO_PASID)
		slot++;
	return slot;
}

/* PASIDs of a group that a device uses: enabled, and attached */
static bool has_live_pasids(struct walk_world *world, const struct iommu_group *group)
{
	unsigned int i, d;

	for (i = 0; i < world->walker->nr_slots; i++) {
		struct walk_slot *slot = &world->walker->slots[i];

		for (d = 0; slot->group == group && slot->pasid != IOMMU_NO_PASID && d < WALK_DEVICES; d++) {
			if (slot->domain >= 0 && sees(world, d, slot))
				return true;
		}
	}
	return false;
}

static bool has_no_room_for_pasids(struct walk_world *world, const struct iommu_group *group)
{
	int domain = rid_slot(world, group)->domain;

	return domain >= 0 && world->walker->domains[domain].no_pasids;
}

static bool must_refuse(struct walk_world *world, const struct walk_slot *slot, int to)
{
	if (to < 0)
		return false;
	if (slot->pasid == IOMMU_NO_PASID)
		return world->walker->domains[to].no_pasids && has_live_pasids(world, slot->group);
	return world->walker->domains[to].no_pasids || has_no_room_for_pasids(world, slot->group);
}

/*
 * The driver has to refuse, and nothing may be noticed; but where nothing is attached it is asked for one device after
 * the other, and one that agrees has the domain until another one of the group does not.
 */
static void move_in_vain(struct walk_world *world, struct walk_slot *slot, int to)
{
	int from = slot->domain, rc;

	note_slot(world, slot, domain_bit(from) | (from < 0 ? domain_bit(to) : 0));
	if (from < 0)
		rc = iommu_group_attach_handle(slot->group, slot->pasid, &slot->handles[to]);
	else
		rc = iommu_group_replace_handle(slot->group, slot->pasid, &slot->handles[from], &slot->handles[to]);
	if (rc >= 0)
		step_failed(world, "refused move", slot, to, rc);
	note_slot(world, slot, domain_bit(from));
}

static void step_move(struct walk_world *world)
{
	struct walk_slot *slot = &world->walker->slots[pick(world, world->walker->nr_slots)];
	int to = pick(world, WALK_DOMAINS), rc;

	if (!can_move(world, slot))
		return;
	if (slot->domain >= 0 && !pick(world, 6))
		to = -1;
	if (to == slot->domain)
		return;
	if (must_refuse(world, slot, to)) {
		move_in_vain(world, slot, to);
		return;
	}
	rc = walk_world_move(world, slot, to);
	if (rc)
		step_failed(world, "move", slot, to, rc);
}

/* One device of the group cannot: the other one must not notice */
static void step_refused(struct walk_world *world)
{
	struct walk_slot *slot = &world->walker->slots[pick(world, world->walker->nr_slots)];
	unsigned int i = pick(world, WALK_DEVICES);
	int to = pick(world, WALK_DOMAINS);

	if (!sees(world, i, slot) || slot->domain < 0 || to == slot->domain)
		return;
	world->ops->refuse(world, world->devices[i], true);
	move_in_vain(world, slot, to);
	world->ops->refuse(world, world->devices[i], false);
}

static u64 mapping_bit(unsigned int mapping)
{
	return BIT_ULL(mapping % WALK_MAPPINGS);
}

/*
 * An unmap that runs beside a move: the table is cleared before, everything is flushed after it. That is right only if
 * what moves is flushed by one of the two.
 */
static void unmap_around_move(struct walk_world *world, struct walk_domain *domain, u64 iova, size_t size)
{
	struct iommu_iotlb_gather gather;
	size_t unmapped;

	iommu_iotlb_gather_init(&gather);
	unmapped = iommu_unmap_fast(domain->domain, iova, size, &gather);
	step_move(world);
	iommu_iotlb_sync(domain->domain, &gather);
	if (unmapped != size)
		walker_fault(world->walker, WALK_FAULT_STEP, "unmap at %llx", iova);
}

/* In one piece, or in several of which each is mapped by itself, as memory of a process is */
static void map_place(struct walk_world *world, struct walk_domain *domain, u64 iova, u64 phys, unsigned int pages,
		      int prot)
{
	struct page_run runs[4];
	unsigned int num = 0, done, n;
	size_t mapped = 0;
	int rc;

	if (pick(world, 2)) {
		rc = iommu_map(domain->domain, iova, phys, pages * PAGE_SIZE, prot);
		mapped = pages * PAGE_SIZE;
	} else {
		for (done = 0; done < pages; done += n) {
			n = pages - done;
			if (num < ARRAY_SIZE(runs) - 1 && pick(world, 2))
				n = 1 + pick(world, n);
			runs[num++] = (struct page_run){ .pfn = PHYS_PFN(phys) + done, .npages = n };
		}
		rc = iommu_map_runs(domain->domain, iova, runs, num, prot, &mapped);
	}
	if (rc || mapped != pages * PAGE_SIZE)
		walker_fault(world->walker, WALK_FAULT_STEP, "map at %llx: %d, %zu bytes", iova, rc, mapped);
}

/* Whatever way it was mapped. Without large leaves sometimes in two pieces, after which no table is free. */
static void unmap_place(struct walk_world *world, struct walk_domain *domain, u64 iova, unsigned int pages, bool large)
{
	unsigned int n = large || pick(world, 2) ? pages : 1 + pick(world, pages);

	if (pick(world, 2)) {
		iommu_unmap_range(domain->domain, iova, n * PAGE_SIZE);
		if (n != pages)
			iommu_unmap_range(domain->domain, iova + n * PAGE_SIZE, (pages - n) * PAGE_SIZE);
	} else if (iommu_unmap(domain->domain, iova, pages * PAGE_SIZE) != pages * PAGE_SIZE) {
		walker_fault(world->walker, WALK_FAULT_STEP, "unmap at %llx", iova);
	}
}

/* What the driver counted is what a walk finds */
static void check_leaves(struct walk_world *world, struct iommu_domain *domain)
{
	unsigned long leaves[BITS_PER_LONG] = {}, counted;
	unsigned int order;

	world->ops->walk_leaves(domain, leaves);
	for (order = 0; order < BITS_PER_LONG; order++) {
		counted = iommu_domain_leaves(domain, BIT(order));
		if (counted != leaves[order])
			walker_fault(world->walker, WALK_FAULT_STEP, "%ld leaves of order %u are counted, %lu there",
				     counted, order, leaves[order]);
	}
}

/* Seldom one of the large places, which take long */
static unsigned int pick_place(struct walk_world *world)
{
	unsigned int p = pick(world, WALK_PLACES);

	return walk_places[p].pages < 512 || !pick(world, 4) ? p : 0;
}

/**
 * walk_world_toggle() - Map a place of a domain, or unmap it if it is mapped
 * @world: the world
 * @d: index of the domain
 * @p: index of the place
 * @move: something else is moved between the two halves of an unmap
 */
void walk_world_toggle(struct walk_world *world, unsigned int d, unsigned int p, bool move)
{
	struct walk_domain *domain = &world->walker->domains[d];
	const struct walk_place *place = &walk_places[p];
	struct walk_legal *legal = &domain->legal[p];
	unsigned int mapping = domain->mapping[p];

	WRITE_ONCE(world->walker->hot_place, p);
	walk_legal_set(legal, WALK_NOTHING | mapping_bit(mapping));
	if (domain->mapped[p]) {
		if (move)
			unmap_around_move(world, domain, place->iova, place->pages * PAGE_SIZE);
		else
			unmap_place(world, domain, place->iova, place->pages, walk_mapping_aligned(mapping));
		domain->mapping[p]++;
		walk_legal_set(legal, WALK_NOTHING);
	} else {
		map_place(world, domain, place->iova, walk_phys(d, p, mapping), place->pages,
			  IOMMU_READ | (walk_mapping_writable(mapping) ? IOMMU_WRITE : 0));
		walk_legal_set(legal, mapping_bit(mapping));
	}
	domain->mapped[p] = !domain->mapped[p];
	check_leaves(world, domain->domain);
}

/* Where it can be seen, if the source is attached at all */
static void step_map(struct walk_world *world)
{
	struct walk_source *source = &world->walker->sources[pick(world, world->walker->nr_sources)];
	int d = source->slot->domain >= 0 ? source->slot->domain : pick(world, WALK_DOMAINS);

	WRITE_ONCE(world->walker->hot, source - world->walker->sources);
	walk_world_toggle(world, d, pick_place(world), !pick(world, 4));
}

static void note_pasids(struct walk_world *world, unsigned int device, bool during, bool after)
{
	unsigned int i;

	for (i = 0; i < world->walker->nr_sources; i++) {
		struct walk_source *source = &world->walker->sources[i];

		if (source->device == device && source->slot->pasid != IOMMU_NO_PASID)
			walk_legal_set(&source->legal, (after ? domain_bit(source->slot->domain) : WALK_NOTHING) |
				       (during ? domain_bit(source->slot->domain) | WALK_NOTHING : 0));
	}
}

/* What a driver does when it hands the device to user space, and takes it back */
static void enable_pasids(struct walk_world *world, unsigned int i)
{
	int rc;

	note_pasids(world, i, true, true);
	rc = iommu_device_enable_pasid(&world->devices[i]->dev);
	if (!rc)
		world->has_pasids[i] = true;
	else
		walker_fault(world->walker, WALK_FAULT_STEP, "enable PASIDs: %d", rc);
	note_pasids(world, i, false, !rc);
}

static void disable_pasids(struct walk_world *world, unsigned int i)
{
	note_pasids(world, i, true, true);
	iommu_device_disable_pasid(&world->devices[i]->dev);
	world->has_pasids[i] = false;
	note_pasids(world, i, false, false);
}

static void step_pasids(struct walk_world *world)
{
	unsigned int i = pick(world, WALK_DEVICES);

	if (!world->pasids || !world->devices[i] || !world->owned[group_of(i)])
		return;
	if (world->has_pasids[i])
		disable_pasids(world, i);
	else if (!has_no_room_for_pasids(world, world->groups[group_of(i)]))
		enable_pasids(world, i);
}

static struct pci_dev *any_device(struct walk_world *world, unsigned int group)
{
	unsigned int i;

	for (i = 0; i < WALK_DEVICES; i++) {
		if (group_of(i) == group && world->devices[i])
			return world->devices[i];
	}
	return NULL;
}

static void take_group(struct walk_world *world, unsigned int group)
{
	struct walk_slot *rid = rid_slot(world, world->groups[group]);
	struct pci_dev *pdev = any_device(world, group);
	unsigned int i;
	int rc;

	if (!pdev)
		return;
	note_slot(world, rid, WALK_NOTHING | rest_bit(world, group, IOMMU_NO_PASID));
	rc = iommu_device_claim_dma_owner(&pdev->dev, world);
	if (rc) {
		walker_fault(world->walker, WALK_FAULT_STEP, "claim: %d", rc);
		return;
	}
	world->owned[group] = true;
	note_slot(world, rid, WALK_NOTHING);
	for (i = 0; world->pasids && i < WALK_DEVICES; i++) {
		if (group_of(i) == group && world->devices[i])
			enable_pasids(world, i);
	}
}

static void give_back_group(struct walk_world *world, unsigned int group)
{
	struct walk_slot *rid = rid_slot(world, world->groups[group]);
	struct pci_dev *pdev = any_device(world, group);
	unsigned int i;

	for (i = 0; i < world->walker->nr_slots; i++) {
		struct walk_slot *slot = &world->walker->slots[i];

		if (slot->group == world->groups[group] && slot->domain >= 0)
			walk_world_move(world, slot, -1);
	}
	for (i = 0; i < WALK_DEVICES; i++) {
		if (group_of(i) == group && world->has_pasids[i])
			disable_pasids(world, i);
	}
	world->owned[group] = false;
	note_slot(world, rid, WALK_NOTHING | rest_bit(world, group, IOMMU_NO_PASID));
	if (pdev)
		iommu_device_release_dma_owner(&pdev->dev);
	note_slot(world, rid, rest_bit(world, group, IOMMU_NO_PASID));
}

static void step_owner(struct walk_world *world)
{
	unsigned int group = pick(world, WALK_GROUPS);

	/* More often owned than not */
	if (world->owned[group] && pick(world, 2))
		return;
	if (world->owned[group])
		give_back_group(world, group);
	else
		take_group(world, group);
}

/**
 * walk_world_step() - Do something at random
 * @world: the world
 *
 * What is wrong is counted in the verdict of the walker.
 */
void walk_world_step(struct walk_world *world)
{
	unsigned int i = pick(world, 1000);

	if (i < 550)
		step_map(world);
	else if (i < 930)
		step_move(world);
	else if (i < 980)
		step_refused(world);
	else if (i < 990)
		step_pasids(world);
	else
		step_owner(world);

	/* What a step leaves behind in a cache is seen before the next one takes it away */
	walker_wait(world->walker, LOOKS);
}

/**
 * walk_world_unplug() - Remove a device, whatever it is attached to
 * @world: the world
 * @device: which one
 *
 * From the end of this on it is blocked for good.
 */
void walk_world_unplug(struct walk_world *world, unsigned int device)
{
	struct pci_dev *pdev = world->devices[device];
	unsigned int i;

	for (i = 0; i < world->walker->nr_sources; i++) {
		struct walk_source *source = &world->walker->sources[i];

		if (source->device == device)
			walk_legal_set(&source->legal, WALK_NOTHING | domain_bit(source->slot->domain) |
				       rest_bit(world, group_of(device), source->slot->pasid));
	}
	world->devices[device] = NULL;
	world->has_pasids[device] = false;
	pci_stop_and_remove_bus_device_locked(pdev);
	pci_dev_put(pdev);
	for (i = 0; i < world->walker->nr_sources; i++) {
		struct walk_source *source = &world->walker->sources[i];

		if (source->device == device)
			walk_legal_set(&source->legal, WALK_NOTHING);
	}
}

static void make_source(struct walk_world *world, unsigned int device, u32 id, struct walk_slot *slot)
{
	struct walk_source *source = &world->walker->sources[world->walker->nr_sources++];

	source->id = id;
	source->device = device;
	source->slot = slot;
	walk_legal_set(&source->legal, rest_bit(world, group_of(device), slot->pasid));
}

static void make_slots(struct walk_world *world, unsigned int group)
{
	struct walker *walker = world->walker;
	unsigned int i, p, d;

	for (p = 0; p < ARRAY_SIZE(pasids) && pasids[p] < max(world->pasids, 1U); p++) {
		struct walk_slot *slot = &walker->slots[walker->nr_slots++];

		slot->group = world->groups[group];
		slot->pasid = pasids[p];
		slot->domain = -1;
		for (d = 0; d < WALK_DOMAINS; d++)
			slot->handles[d].domain = walker->domains[d].domain;
		for (i = 0; i < WALK_DEVICES; i++) {
			u32 id = pci_dev_id(world->devices[i]);

			if (group_of(i) != group)
				continue;
			make_source(world, i, id, slot);
			if (slot->pasid == IOMMU_NO_PASID && (id & 0xff) == SOFT_PCI_ALIASED)
				make_source(world, i, id + 1, slot);
		}
	}
}

/**
 * walk_world_start() - Make domains, and slots and sources for the devices
 * @world: ops, walker, pci and pasids are set, the rest is zeroed; the walker has begun, but does not walk
 *
 * Return: 0; or -errno, after which walk_world_stop() is due as well.
 */
int walk_world_start(struct walk_world *world)
{
	struct walker *walker = world->walker;
	unsigned int i, p;

	for (i = 0; i < WALK_DEVICES; i++) {
		world->devices[i] = soft_pci_device(world->pci, i);
		if (!world->devices[i])
			return -ENODEV;
		if (!world->groups[group_of(i)])
			world->groups[group_of(i)] = iommu_group_get(&world->devices[i]->dev);
		if (!world->groups[group_of(i)] || world->devices[i]->dev.iommu_group != world->groups[group_of(i)])
			return -ENXIO;
	}
	for (i = 0; i < WALK_DOMAINS; i++) {
		struct walk_domain *domain = &walker->domains[i];
		struct iommu_domain *made = world->ops->alloc_domain(world, i, domain);

		if (IS_ERR(made))
			return PTR_ERR(made);
		domain->domain = made;
		for (p = 0; p < WALK_PLACES; p++)
			walk_legal_set(&domain->legal[p], WALK_NOTHING);
	}
	for (i = 0; i < WALK_GROUPS; i++)
		make_slots(world, i);
	walker_walk(walker, true);
	for (i = 0; i < WALK_GROUPS; i++)
		take_group(world, i);
	return 0;
}

/**
 * walk_world_stop() - Give everything back
 * @world: the world
 */
void walk_world_stop(struct walk_world *world)
{
	unsigned int i;

	for (i = 0; i < WALK_GROUPS; i++) {
		if (world->owned[i])
			give_back_group(world, i);
		iommu_group_put(world->groups[i]);
	}
	walker_walk(world->walker, false);
	for (i = 0; i < WALK_DOMAINS; i++) {
		if (world->walker->domains[i].domain)
			iommu_domain_free(world->walker->domains[i].domain);
	}
	for (i = 0; i < WALK_DEVICES; i++)
		pci_dev_put(world->devices[i]);
}
