// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioas_access - pin, read and write by IOVA for software users
 *
 * An emulated device reaches memory by the addresses that its guest uses for DMA. It pins pages, one record for each
 * area that a range touches, or copies; while a copy runs it leaves a record as well, a *busy* one, so there is a
 * single answer to who uses an area. A busy record settles by itself. A pin stays until its owner lets go, and an
 * owner who does not let go when told keeps the area mapped: nothing is freed under a user.
 *
 * This file does not know ids, ioctls or devices.
 *
 * Locking: space.rwsem for the records, for short; fill_rwsem while users come and go. No lock of the IOAS is held
 * while pages are pinned: the busy record keeps the area. A software user is told without any lock held, so it may
 * take its own and may call in here.
 */
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "ioas_access.h"
#include "ioas_domain.h"
#include "ioas_map.h"
#include "pinned.h"

/**
 * struct ioas_pin - A range within one area that a software user has pinned or is copying
 * @node: its addresses, in ioas_map->pins
 * @first_page: its first page in the area's source
 * @last_page: its last page there, inclusive
 * @area: the area
 * @owner: who pinned; NULL for a copy
 * @busy: it goes away or becomes a pin without anybody being asked
 * @writes: the memory may change
 */
struct ioas_pin {
	struct interval_tree_node node;
	unsigned long first_page;
	unsigned long last_page;
	struct ioas_area *area;
	struct ioas_user *owner;
	bool busy;
	bool writes;
};

static struct ioas_pin *to_pin(struct interval_tree_node *node)
{
	return node ? container_of(node, struct ioas_pin, node) : NULL;
}

static struct ioas_pin *first_pin(struct ioas_map *map, unsigned long start, unsigned long last)
{
	return to_pin(interval_tree_iter_first(&map->pins, start, last));
}

static struct ioas_pin *next_pin(struct ioas_pin *pin, unsigned long start, unsigned long last)
{
	return to_pin(interval_tree_iter_next(&pin->node, start, last));
}

/* Where an address of an area lies in the area's source, bytes */
static u64 source_byte(struct ioas_area *area, unsigned long iova)
{
	return area->byte + (iova - area->claim.start);
}

/* Leave a busy record from @iova on, up to @last or the end of the area */
static int begin_use(struct ioas_map *map, struct ioas_pin *pin, unsigned long iova, unsigned long last, int prot)
{
	struct ioas_area *area;
	int rc = 0;

	down_write(&map->space.rwsem);
	area = ioas_map_first(map, iova, iova);
	if (!area || area->state != IOAS_AREA_LIVE)
		rc = -ENOENT;
	else if (!pinned_has_pages(area->pinned))
		rc = -EINVAL;
	else if (prot & ~area->prot)
		rc = -EPERM;
	if (!rc) {
		pin->area = area;
		pin->busy = true;
		pin->writes = prot & IOMMU_WRITE;
		pin->node.start = iova;
		pin->node.last = min(last, area->claim.last);
		pin->first_page = source_byte(area, iova) >> PAGE_SHIFT;
		pin->last_page = source_byte(area, pin->node.last) >> PAGE_SHIFT;
		if (pin->writes)
			rc = ioas_dirty_mark(map, pin->node.start, pin->node.last);
	}
	if (!rc)
		interval_tree_insert(&pin->node, &map->pins);
	up_write(&map->space.rwsem);
	return rc;
}

/* A busy record has settled: it is a pin from now on, or goes */
static void end_use(struct ioas_map *map, struct ioas_pin *pin, bool stays)
{
	down_write(&map->space.rwsem);
	pin->busy = false;
	if (stays)
		map->counts.pins += pin->last_page - pin->first_page + 1;
	else
		interval_tree_remove(&pin->node, &map->pins);
	map->settled++;
	up_write(&map->space.rwsem);
	wake_up_all(&map->idle);
}

/* Fill @pages from what is pinned at @pin; returns how many */
static unsigned long list_pages(struct ioas_pin *pin, struct page **pages)
{
	unsigned long index = pin->first_page;
	unsigned long pfn, run, done = 0;

	while (index <= pin->last_page) {
		run = pinned_run(pin->area->pinned, index, pin->last_page, &pfn);
		if (!run)
			break;
		index += run;
		for (; run; run--)
			pages[done++] = pfn_to_page(pfn++);
	}
	return done;
}

static int pin_part(struct ioas_map *map, struct ioas_user *user, unsigned long *iova, unsigned long last, int prot,
		    struct page ***pages)
{
	struct ioas_pin *pin = kmalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!pin)
		return -ENOMEM;
	pin->owner = user;
	rc = begin_use(map, pin, *iova, last, prot);
	if (rc)
		goto err_free;
	rc = pinned_acquire(pin->area->pinned, pin->first_page, pin->last_page);
	if (rc) {
		end_use(map, pin, false);
		goto err_free;
	}
	if (pages)
		*pages += list_pages(pin, *pages);
	*iova = pin->node.last + 1;
	end_use(map, pin, true);
	return 0;

err_free:
	kfree(pin);
	return rc;
}

/* The pin that a user made from @iova on, up to @last or to the end of an area */
static struct ioas_pin *find_pin(struct ioas_map *map, struct ioas_user *user, unsigned long iova, unsigned long last)
{
	struct ioas_area *area = ioas_map_first(map, iova, iova);
	struct ioas_pin *pin;

	lockdep_assert_held_write(&map->space.rwsem);
	if (!area)
		return NULL;
	last = min(last, area->claim.last);
	for (pin = first_pin(map, iova, iova); pin; pin = next_pin(pin, iova, iova))
		if (pin->owner == user && !pin->busy && pin->node.start == iova && pin->node.last == last)
			return pin;
	return NULL;
}

/**
 * ioas_access_unpin() - Undo ioas_access_pin()
 * @map: IOAS
 * @user: who pinned
 * @iova: first IOVA, as it was pinned
 * @last: last IOVA, inclusive, as it was pinned
 *
 * Return: true; false if it was not pinned like this, and then what lies behind the gap is still pinned.
 */
bool ioas_access_unpin(struct ioas_map *map, struct ioas_user *user, unsigned long iova, unsigned long last)
{
	struct ioas_pin *pin;
	unsigned long end;

	do {
		down_write(&map->space.rwsem);
		pin = find_pin(map, user, iova, last);
		/* Out of sight of an unmap only once it holds no page any more */
		if (pin)
			pin->busy = true;
		up_write(&map->space.rwsem);
		if (!pin)
			return false;
		end = pin->node.last;
		pinned_release(pin->area->pinned, pin->first_page, pin->last_page);
		end_use(map, pin, false);
		kfree(pin);
		iova = end + 1;
	} while (end != last);
	return true;
}

/**
 * ioas_access_pin() - Pin what is mapped at a range
 * @map: IOAS
 * @user: who pins; it can be told
 * @iova: first IOVA
 * @last: last IOVA, inclusive
 * @prot: IOMMU_READ, IOMMU_WRITE: what the memory must be mapped for
 * @pages: out: one for each page that the range touches, may be NULL
 *
 * Return: 0, or with nothing pinned -ENOENT if some of the range is not mapped; -EPERM if it is not mapped for @prot;
 * -EINVAL if it is no memory; -ENOMEM; -EFAULT; -EINTR.
 */
int ioas_access_pin(struct ioas_map *map, struct ioas_user *user, unsigned long iova, unsigned long last, int prot,
		    struct page **pages)
{
	unsigned long pos = iova;
	int rc;

	do {
		rc = pin_part(map, user, &pos, last, prot, pages ? &pages : NULL);
		cond_resched();
	} while (!rc && pos - 1 != last);
	if (rc && pos != iova)
		WARN_ON(!ioas_access_unpin(map, user, iova, pos - 1));
	return rc;
}

/**
 * ioas_access_rw() - Copy between a buffer and what is mapped at a range
 * @map: IOAS
 * @iova: first IOVA
 * @buf: kernel memory
 * @length: bytes, above 0, not wrapping behind @iova
 * @flags: IOMMUFD_ACCESS_*
 *
 * The memory may belong to a process that answers page faults whenever it likes, so no lock of the IOAS is held while
 * bytes are copied: only an unmap of this very range waits.
 *
 * Return: 0; -ENOENT, -EPERM, -EINVAL as in ioas_access_pin(); -EFAULT, -ENOMEM, -EINTR. Some of the bytes may have
 * been copied then.
 */
int ioas_access_rw(struct ioas_map *map, unsigned long iova, void *buf, size_t length, unsigned int flags)
{
	bool write = flags & IOMMUFD_ACCESS_WRITE;
	unsigned long last = iova + (length - 1);
	struct ioas_pin pin = { };
	size_t part;
	int rc;

	do {
		rc = begin_use(map, &pin, iova, last, write ? IOMMU_WRITE : IOMMU_READ);
		if (rc)
			break;
		part = pin.node.last - iova + 1;
		rc = pinned_copy(pin.area->pinned, source_byte(pin.area, iova), buf, part, write,
				 flags & IOMMUFD_ACCESS_REMOTE);
		end_use(map, &pin, false);
		buf += part;
		iova += part;
		cond_resched();
	} while (!rc && pin.node.last != last);
	return rc;
}

/**
 * ioas_user_add() - A software user comes
 * @map: IOAS
 * @user: with @user->ops and @user->data set. With an unmap operation it may pin, so every area must be page aligned
 *
 * Return: 0; -EADDRINUSE if an area is not; -EINTR.
 */
int ioas_user_add(struct ioas_map *map, struct ioas_user *user)
{
	int rc;

	rc = down_write_killable(&map->fill_rwsem);
	if (rc)
		return rc;
	user->calls = 0;
	user->leaving = false;
	spin_lock(&map->users_lock);
	list_add_tail(&user->entry, &map->users);
	spin_unlock(&map->users_lock);
	rc = ioas_map_realign(map);
	up_write(&map->fill_rwsem);
	if (rc)
		ioas_user_remove(map, user);
	return rc;
}

/**
 * ioas_user_remove() - A software user goes
 * @map: IOAS
 * @user: without pins, not pinning or copying any more
 *
 * Waits for running calls of its operations.
 */
void ioas_user_remove(struct ioas_map *map, struct ioas_user *user)
{
	spin_lock(&map->users_lock);
	user->leaving = true;
	spin_unlock(&map->users_lock);
	wait_event(map->idle, !READ_ONCE(user->calls));

	down_write(&map->fill_rwsem);
	/* Whoever ended the last call has dropped the lock by now, and with it the last look at @user */
	spin_lock(&map->users_lock);
	list_del(&user->entry);
	spin_unlock(&map->users_lock);
	/* The demand can only get weaker, and every area meets that */
	ioas_map_realign(map);
	up_write(&map->fill_rwsem);
}

/**
 * ioas_access_pins_pages() - Is there a software user that may pin?
 * @map: IOAS, @map->fill_rwsem held
 *
 * Return: true if areas must be page aligned for it.
 */
bool ioas_access_pins_pages(struct ioas_map *map)
{
	struct ioas_user *user;

	lockdep_assert_held(&map->fill_rwsem);
	list_for_each_entry(user, &map->users, entry)
		if (user->ops->unmap)
			return true;
	return false;
}

/**
 * ioas_access_pinned() - Does a software user pin, copy or know anything in a range?
 * @map: IOAS, @map->space.rwsem held
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: true if so, and then ioas_access_expel() must be called before the range goes.
 */
bool ioas_access_pinned(struct ioas_map *map, unsigned long start, unsigned long last)
{
	lockdep_assert_held(&map->space.rwsem);
	return map->looked_up || first_pin(map, start, last);
}

/**
 * ioas_user_next_pin() - The next thing that a software user has pinned
 * @map: IOAS
 * @user: the user
 * @iova: in: where to begin; out: first IOVA of the pin
 * @last: in: last IOVA to look at, inclusive; out: last IOVA of the pin, inclusive
 *
 * Return: how often exactly this is pinned; 0 if nothing is, with @iova and @last unchanged.
 */
unsigned int ioas_user_next_pin(struct ioas_map *map, struct ioas_user *user, unsigned long *iova,
				unsigned long *last)
{
	struct ioas_pin *pin, *first = NULL;
	unsigned int times = 0;

	down_read(&map->space.rwsem);
	for (pin = first_pin(map, *iova, *last); pin; pin = next_pin(pin, *iova, *last)) {
		if (pin->owner != user)
			continue;
		if (!first)
			first = pin;
		/* The tree has them in the order of their first address */
		if (pin->node.start != first->node.start)
			break;
		times += pin->node.last == first->node.last;
	}
	if (first) {
		*iova = first->node.start;
		*last = first->node.last;
	}
	up_read(&map->space.rwsem);
	return times;
}

/**
 * ioas_access_lookup() - Where does an address lie in the process that mapped it?
 * @map: IOAS
 * @iova: the IOVA
 * @to: out: the answer
 *
 * Return: 0; -ENOENT if nothing is mapped there; -EOPNOTSUPP if what is mapped there has no address in a process.
 */
int ioas_access_lookup(struct ioas_map *map, unsigned long iova, struct iommufd_user_address *to)
{
	struct ioas_area *area;
	int rc = -ENOENT;

	down_read(&map->space.rwsem);
	area = ioas_map_first(map, iova, iova);
	if (area && area->state == IOAS_AREA_LIVE) {
		/* From here on an unmap says so to everybody */
		WRITE_ONCE(map->looked_up, true);
		rc = pinned_user_address(area->pinned, source_byte(area, iova), &to->mm, &to->uaddr);
		to->length = area->claim.last - iova + 1;
		to->writable = area->prot & IOMMU_WRITE;
	}
	up_read(&map->space.rwsem);
	return rc;
}

static bool range_busy(struct ioas_map *map, unsigned long start, unsigned long last, unsigned int *settled)
{
	struct ioas_pin *pin;
	bool busy = false;

	down_read(&map->space.rwsem);
	*settled = map->settled;
	for (pin = first_pin(map, start, last); pin; pin = next_pin(pin, start, last))
		busy |= pin->busy;
	up_read(&map->space.rwsem);
	return busy;
}

/* No record comes any more, for the areas are being drained; wait for those that go by themselves */
static int wait_until_settled(struct ioas_map *map, unsigned long start, unsigned long last)
{
	unsigned int settled;
	int rc = 0;

	while (!rc && range_busy(map, start, last, &settled))
		rc = wait_event_killable(map->idle, READ_ONCE(map->settled) != settled);
	return rc ? -EINTR : 0;
}

/*
 * From one user that can be told to the next: @user (NULL: none yet) has been, the one returned is about to be. A
 * user that is being told stays in the list.
 */
static struct ioas_user *next_told(struct ioas_map *map, struct ioas_user *user)
{
	struct ioas_user *next = list_prepare_entry(user, &map->users, entry);
	bool found = false;

	spin_lock(&map->users_lock);
	list_for_each_entry_continue(next, &map->users, entry) {
		if (next->ops->unmap && !next->leaving) {
			next->calls++;
			found = true;
			break;
		}
	}
	if (user && !--user->calls)
		wake_up_all(&map->idle);
	spin_unlock(&map->users_lock);
	return found ? next : NULL;
}

/* Who keeps a range pinned although it was told, or cannot be told? */
static int check_expelled(struct ioas_map *map, unsigned long start, unsigned long last)
{
	struct ioas_pin *pin;
	int rc = 0;

	down_read(&map->space.rwsem);
	for (pin = first_pin(map, start, last); pin; pin = next_pin(pin, start, last))
		rc = pin->owner->ops->unmap && rc != -EBUSY ? -EDEADLOCK : -EBUSY;
	up_read(&map->space.rwsem);
	if (rc == -EDEADLOCK)
		pr_warn_ratelimited("iommufd: an emulated device did not let go of memory that is being unmapped\n");
	return rc;
}

/**
 * ioas_access_expel() - Make software users let go of a range
 * @map: IOAS, without any lock held
 * @start: first IOVA
 * @last: last IOVA, inclusive; every area of the range is being drained
 *
 * Return: 0 with nothing pinned or copied there; -EDEADLOCK if a user that was told did not let go; -EBUSY if one
 * cannot be told; -EINTR if the caller is being killed.
 */
int ioas_access_expel(struct ioas_map *map, unsigned long start, unsigned long last)
{
	struct ioas_user *user = NULL;
	int rc;

	rc = wait_until_settled(map, start, last);
	if (rc)
		return rc;
	while ((user = next_told(map, user)))
		user->ops->unmap(user->data, start, last);
	rc = wait_until_settled(map, start, last);
	return rc ? rc : check_expelled(map, start, last);
}

/**
 * ioas_access_mark_dirty() - What software users write now is written
 * @map: IOAS, @map->space.rwsem held for writing
 * @start: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: 0 or -ENOMEM, as ioas_dirty_mark().
 */
int ioas_access_mark_dirty(struct ioas_map *map, unsigned long start, unsigned long last)
{
	struct ioas_pin *pin;
	int rc = 0;

	for (pin = first_pin(map, start, last); pin && !rc; pin = next_pin(pin, start, last))
		if (pin->writes)
			rc = ioas_dirty_mark(map, pin->node.start, pin->node.last);
	return rc;
}

/**
 * ioas_access_can_cut() - May an area end at an address where it goes on?
 * @map: IOAS, @map->space.rwsem held for writing
 * @area: the area
 * @iova: where it is to be cut
 *
 * Return: false if a software user has pinned across @iova or is pinning or copying.
 */
bool ioas_access_can_cut(struct ioas_map *map, struct ioas_area *area, unsigned long iova)
{
	unsigned long start = area->claim.start;
	unsigned long last = area->claim.last;
	struct ioas_pin *pin;

	for (pin = first_pin(map, start, last); pin; pin = next_pin(pin, start, last))
		if (pin->busy || (pin->node.start < iova && pin->node.last >= iova))
			return false;
	return true;
}

/**
 * ioas_access_cut() - An area ends at an address where it went on
 * @map: IOAS, @map->space.rwsem held for writing
 * @area: the area, which ioas_access_can_cut() said may be cut; becomes the part below
 * @upper: the part above
 * @iova: first IOVA of @upper
 */
void ioas_access_cut(struct ioas_map *map, struct ioas_area *area, struct ioas_area *upper, unsigned long iova)
{
	unsigned long last = area->claim.last;
	struct ioas_pin *pin;

	lockdep_assert_held_write(&map->space.rwsem);
	for (pin = first_pin(map, iova, last); pin; pin = next_pin(pin, iova, last))
		pin->area = upper;
}
