// SPDX-License-Identifier: GPL-2.0-only
/*
 * object - ids, and how long the things behind them live
 *
 * RESERVED: an id is taken, nobody can find the object; the call that builds it may still cancel. LIVE:
 * published; found by id. A running call holds it *busy* for a short time, another object *links* to it for long.
 * DYING:    not found any more; whoever destroys it waits until it is not busy, then frees it.
 *
 * Destroying an object that has links is refused. Apart from that it never fails and never allocates: the slot of an
 * id stays in the table, empty, from reservation to the end, so publishing and taking back need no memory.
 *
 * This file does not know what kinds of objects there are.
 *
 * Locking: the table's own spinlock, always innermost. iommufd_object_destroy(), _retire() and _remove() sleep; their
 * callers hold no lock that a running call could wait for while it holds the object busy.
 */
#include <linux/bug.h>
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/sched.h>

#include "object.h"

/**
 * iommufd_objects_init() - Make an empty table
 * @objs: table; the first id will be 1
 */
void iommufd_objects_init(struct iommufd_objects *objs)
{
	xa_init_flags(&objs->table, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	objs->found = NULL;
	init_waitqueue_head(&objs->idle);
	objs->waiting = 0;
}

/**
 * iommufd_objects_empty() - Is there no object, not even a reserved one?
 * @objs: table
 *
 * Return: true if no id is taken.
 */
bool iommufd_objects_empty(struct iommufd_objects *objs)
{
	return xa_empty(&objs->table);
}

/**
 * iommufd_object_reserve() - Take an id for an object that is being built
 * @objs: table
 * @obj: object; @obj->id is set
 * @ops: its kind
 *
 * Return: 0, or -ENOMEM; -EBUSY when 2^31 - 1 ids are taken.
 */
int iommufd_object_reserve(struct iommufd_objects *objs, struct iommufd_object *obj,
			   const struct iommufd_object_ops *ops)
{
	obj->ops = ops;
	obj->busy = 0;
	obj->links = 0;
	return xa_alloc(&objs->table, &obj->id, XA_ZERO_ENTRY, xa_limit_31b, GFP_KERNEL_ACCOUNT);
}

/**
 * iommufd_object_cancel() - Give a reserved id back
 * @objs: table
 * @obj: object that was not published; the caller frees it
 */
void iommufd_object_cancel(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_erase(&objs->table, obj->id);
}

/**
 * iommufd_object_publish() - Make a finished object visible
 * @objs: table
 * @obj: object; from now on any thread may use or destroy it
 */
void iommufd_object_publish(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_store(&objs->table, obj->id, obj, 0);
}

/**
 * iommufd_object_publish_busy() - Make a finished object visible, and hold it busy
 * @objs: table
 * @obj: object; nobody can destroy it before iommufd_object_put() or iommufd_object_retire()
 */
void iommufd_object_publish_busy(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_lock(&objs->table);
	obj->busy++;
	__xa_store(&objs->table, obj->id, obj, 0);
	xa_unlock(&objs->table);
}

/**
 * iommufd_object_get() - Find an object and hold it busy
 * @objs: table
 * @id: its id
 * @ops: the kind it must be of, or NULL for any
 *
 * Return: the object, for iommufd_object_put(), or ERR_PTR(-ENOENT).
 */
struct iommufd_object *iommufd_object_get(struct iommufd_objects *objs, u32 id, const struct iommufd_object_ops *ops)
{
	struct iommufd_object *obj;

	xa_lock(&objs->table);
	obj = objs->found;
	if (!obj || obj->id != id)
		obj = xa_load(&objs->table, id);
	if (obj)
		objs->found = obj;
	if (obj && (!ops || obj->ops == ops))
		obj->busy++;
	else
		obj = ERR_PTR(-ENOENT);
	xa_unlock(&objs->table);
	return obj;
}

/**
 * iommufd_object_tryget() - Hold an object busy that was not found by its id
 * @objs: table
 * @obj: object whose memory cannot go away during the call
 *
 * Return: true for a live object, false for one that is being built or is dying.
 */
bool iommufd_object_tryget(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	bool live;

	xa_lock(&objs->table);
	live = xa_load(&objs->table, obj->id) == obj;
	if (live)
		obj->busy++;
	xa_unlock(&objs->table);
	return live;
}

/**
 * iommufd_object_next() - Find the first object from an id on and hold it busy
 * @objs: table
 * @id: where to begin
 *
 * For who looks at all objects, whatever they are, while they come and go: each is held for as long as it is looked at,
 * and then given back with iommufd_object_put().
 *
 * Return: the object, or NULL if there is none.
 */
struct iommufd_object *iommufd_object_next(struct iommufd_objects *objs, u32 id)
{
	struct iommufd_object *obj;
	unsigned long index = id;

	xa_lock(&objs->table);
	obj = xa_find(&objs->table, &index, U32_MAX, XA_PRESENT);
	if (obj)
		obj->busy++;
	xa_unlock(&objs->table);
	return obj;
}

/**
 * iommufd_objects_count() - How many objects there are
 * @objs: table
 *
 * Return: how many can be found, at about this moment.
 */
unsigned long iommufd_objects_count(struct iommufd_objects *objs)
{
	struct iommufd_object *obj;
	unsigned long id, count = 0;

	xa_for_each(&objs->table, id, obj)
		count++;
	return count;
}

/* Under the lock: once it is released a waiting destroyer may free @obj */
static void put_locked(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	lockdep_assert_held(&objs->table.xa_lock);
	if (!--obj->busy && objs->waiting)
		wake_up_all(&objs->idle);
}

/**
 * iommufd_object_put() - Stop holding an object busy
 * @objs: table
 * @obj: object
 */
void iommufd_object_put(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_lock(&objs->table);
	put_locked(objs, obj);
	xa_unlock(&objs->table);
}

/**
 * iommufd_object_link() - Refer to an object for long
 * @objs: table
 * @obj: object that the caller holds busy or has linked already
 */
void iommufd_object_link(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_lock(&objs->table);
	obj->links++;
	xa_unlock(&objs->table);
}

/**
 * iommufd_object_unlink() - Undo iommufd_object_link()
 * @objs: table
 * @obj: object
 */
void iommufd_object_unlink(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_lock(&objs->table);
	obj->links--;
	xa_unlock(&objs->table);
}

/*
 * From LIVE to DYING and to freed. Calls that found the object before it was hidden may link to it while they run, and
 * @state says whether the caller gives up waiting for them when it is killed; in both cases the object comes back to
 * life. Returns with the table unlocked.
 */
static int hide_and_destroy(struct iommufd_objects *objs, struct iommufd_object *obj, unsigned int state)
	__releases(&objs->table.xa_lock)
{
	int rc = obj->links ? -EBUSY : 0;

	lockdep_assert_held(&objs->table.xa_lock);
	if (!rc)
		__xa_store(&objs->table, obj->id, XA_ZERO_ENTRY, 0);
	if (objs->found == obj)
		objs->found = NULL;
	while (!rc && obj->busy) {
		objs->waiting++;
		xa_unlock(&objs->table);
		if (state != TASK_KILLABLE)
			wait_event(objs->idle, !READ_ONCE(obj->busy));
		else if (wait_event_killable(objs->idle, !READ_ONCE(obj->busy)))
			rc = -EINTR;
		xa_lock(&objs->table);
		objs->waiting--;
	}
	if (!rc && obj->links)
		rc = -EBUSY;
	if (rc) {
		__xa_store(&objs->table, obj->id, obj, 0);
		xa_unlock(&objs->table);
		return rc;
	}
	__xa_erase(&objs->table, obj->id);
	xa_unlock(&objs->table);
	obj->ops->destroy(obj);
	return 0;
}

/**
 * iommufd_object_destroy() - Destroy an object for user space
 * @objs: table
 * @id: id of the object
 *
 * Waits for running calls that use it.
 *
 * Return: 0; -ENOENT if there is no such object; -EBUSY if others refer to it or if its kind is not for user space to
 * destroy; -EINTR if the caller is being killed.
 */
int iommufd_object_destroy(struct iommufd_objects *objs, u32 id)
{
	struct iommufd_object *obj;
	int rc = -ENOENT;

	xa_lock(&objs->table);
	obj = xa_load(&objs->table, id);
	if (obj) {
		if (obj->ops->user_destroy)
			return hide_and_destroy(objs, obj, TASK_KILLABLE);
		rc = -EBUSY;
	}
	xa_unlock(&objs->table);
	return rc;
}

/**
 * iommufd_object_retire() - Destroy an object if nothing refers to it any more
 * @objs: table
 * @obj: object that the caller holds busy; the hold is given up
 */
void iommufd_object_retire(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_lock(&objs->table);
	put_locked(objs, obj);
	if (xa_load(&objs->table, obj->id) == obj)
		hide_and_destroy(objs, obj, TASK_UNINTERRUPTIBLE);
	else
		xa_unlock(&objs->table);
}

/**
 * iommufd_object_remove() - Destroy an object that its kernel owner gives up
 * @objs: table
 * @obj: live object without links, of a kind that user space cannot destroy
 *
 * Waits for running calls that use it.
 */
void iommufd_object_remove(struct iommufd_objects *objs, struct iommufd_object *obj)
{
	xa_lock(&objs->table);
	WARN_ON(hide_and_destroy(objs, obj, TASK_UNINTERRUPTIBLE));
}

/**
 * iommufd_objects_destroy() - Destroy everything, leaf first
 * @objs: table of a file that is being closed: no call runs and nobody outside refers to an object
 */
void iommufd_objects_destroy(struct iommufd_objects *objs)
{
	struct iommufd_object *obj;
	unsigned long id;
	bool progress;

	do {
		progress = false;
		xa_for_each(&objs->table, id, obj) {
			xa_lock(&objs->table);
			if (!hide_and_destroy(objs, obj, TASK_UNINTERRUPTIBLE))
				progress = true;
		}
	} while (progress);
	WARN_ON(!xa_empty(&objs->table));
	xa_destroy(&objs->table);
}
