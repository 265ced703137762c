// SPDX-License-Identifier: GPL-2.0-only
/*
 * access - the kernel API of emulated devices
 *
 * An mdev does its DMA in software: by the addresses of an IOAS it pins pages or copies. What it is allowed to reach
 * is what the IOAS maps, as for hardware. When memory is unmapped the device is told, and must let go.
 *
 * Moving to another IOAS goes by three steps: nothing new is pinned, the device lets go of all it has in the old
 * IOAS, it may use the new one. A device that does not let go stays where it is.
 *
 * Locking: access->move is outermost and held while the device is told; access->rwsem inside it, and not then.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "access.h"
#include "trace.h"

static void access_object_destroy(struct iommufd_object *obj)
{
	struct iommufd_access *access = container_of(obj, struct iommufd_access, obj);

	mutex_destroy(&access->move);
	kfree(access);
}

const struct iommufd_object_ops iommufd_access_object_ops = {
	.destroy = access_object_destroy,
};

/**
 * iommufd_access_init() - Set up the locks of an access
 * @access: zeroed structure
 */
void iommufd_access_init(struct iommufd_access *access)
{
	mutex_init(&access->move);
	init_rwsem(&access->rwsem);
}

/**
 * iommufd_access_create() - Let an emulated device use a context
 * @ictx: context; it lives on at least until iommufd_access_destroy()
 * @ops: how the device is told that memory goes; without an unmap operation it may copy but not pin
 * @data: for @ops
 *
 * Return: the access, not attached to anything yet, or ERR_PTR(-ENOMEM).
 */
struct iommufd_access *iommufd_access_create(struct iommufd_ctx *ictx, const struct iommufd_access_ops *ops,
					     void *data)
{
	struct iommufd_access *access = kzalloc(sizeof(*access), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!access)
		return ERR_PTR(-ENOMEM);
	access->ictx = ictx;
	access->ops = ops;
	access->data = data;
	iommufd_access_init(access);
	rc = iommufd_object_reserve(&ictx->objs, &access->obj, &iommufd_access_object_ops);
	if (rc) {
		kfree(access);
		return ERR_PTR(rc);
	}
	iommufd_ctx_get(ictx);
	iommufd_object_publish(&ictx->objs, &access->obj);
	return access;
}
EXPORT_SYMBOL_GPL(iommufd_access_create);

/* Leave the IOAS that the device is in; it is told, and it may refuse */
static int leave(struct iommufd_access *access)
{
	struct iommufd_ioas *home = access->home;
	unsigned long iova = 0, last = ULONG_MAX;
	bool pins;

	lockdep_assert_held(&access->move);
	if (!home)
		return 0;
	down_write(&access->rwsem);
	access->ioas = NULL;
	up_write(&access->rwsem);

	if (access->ops->unmap)
		access->ops->unmap(access->data, 0, ULONG_MAX);
	/* After whatever is being given back by another thread just now */
	down_write(&access->rwsem);
	pins = ioas_user_next_pin(&home->map, access->user, &iova, &last);
	if (pins)
		access->ioas = home;
	up_write(&access->rwsem);
	if (pins)
		return -EDEADLOCK;

	ioas_user_remove(&home->map, access->user);
	down_write(&access->rwsem);
	access->home = NULL;
	kfree(access->user);
	access->user = NULL;
	up_write(&access->rwsem);
	iommufd_object_unlink(&access->ictx->objs, &home->obj);
	return 0;
}

/* Join an IOAS that the caller holds busy, leaving the other one first */
static int move_to(struct iommufd_access *access, struct iommufd_ioas *ioas)
{
	struct ioas_user *user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	int rc;

	lockdep_assert_held(&access->move);
	if (!user)
		return -ENOMEM;
	user->ops = access->ops;
	user->data = access->data;
	rc = ioas_user_add(&ioas->map, user);
	if (rc)
		goto err_free;
	rc = leave(access);
	if (rc)
		goto err_remove;

	iommufd_object_link(&access->ictx->objs, &ioas->obj);
	down_write(&access->rwsem);
	access->user = user;
	access->home = ioas;
	access->ioas = ioas;
	up_write(&access->rwsem);
	return 0;

err_remove:
	ioas_user_remove(&ioas->map, user);
err_free:
	kfree(user);
	return rc;
}

/**
 * iommufd_access_attach() - Attach an emulated device to an IOAS, or move it to another
 * @access: the device
 * @ioas_id: id of the IOAS
 *
 * The device is told that everything in the IOAS it was attached to goes, unless that is the same one. Pages that it
 * pinned there must be given back. The caller holds no lock that the device's unmap operation takes.
 *
 * Return: 0, or with nothing changed -ENOENT if there is no such IOAS; -EADDRINUSE if the device pins pages and an
 * area is not page aligned; -EDEADLOCK if the device did not let go; -ENOMEM; -EINTR.
 */
int iommufd_access_attach(struct iommufd_access *access, u32 ioas_id)
{
	struct iommufd_ioas *ioas = iommufd_get_ioas(access->ictx, ioas_id);
	u64 begin = trace_begin_move();
	u32 from = 0;
	int rc;

	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = mutex_lock_killable(&access->move);
	if (!rc) {
		if (access->home && access->home != ioas)
			from = access->home->obj.id;
		if (access->home != ioas)
			rc = move_to(access, ioas);
		mutex_unlock(&access->move);
		trace_move(access->ictx->serial, access->obj.id, -1, 0, from, ioas_id, rc, begin);
	}
	iommufd_object_put(&access->ictx->objs, &ioas->obj);
	return rc;
}
EXPORT_SYMBOL_GPL(iommufd_access_attach);

/**
 * iommufd_access_detach() - Take an emulated device off its IOAS
 * @access: the device; one that is not attached is fine
 *
 * It is told that everything goes, as in iommufd_access_attach().
 *
 * Return: 0; -EDEADLOCK if it did not let go, and then it is still attached.
 */
int iommufd_access_detach(struct iommufd_access *access)
{
	u64 begin = trace_begin(iommufd_detach);
	u32 from;
	int rc;

	mutex_lock(&access->move);
	from = access->home ? access->home->obj.id : 0;
	rc = leave(access);
	mutex_unlock(&access->move);
	if (from)
		trace_iommufd_detach(access->ictx->serial, access->obj.id, -1, 0, from, 0, rc, begin);
	return rc;
}
EXPORT_SYMBOL_GPL(iommufd_access_detach);

/**
 * iommufd_access_destroy() - An emulated device is done with a context
 * @access: freed; it is detached first, and must let go of what it has pinned
 *
 * If it does not, that is a bug of its driver: the pages stay pinned and the context stays.
 */
void iommufd_access_destroy(struct iommufd_access *access)
{
	struct iommufd_ctx *ictx = access->ictx;

	if (WARN_ON(iommufd_access_detach(access)))
		return;
	iommufd_object_remove(&ictx->objs, &access->obj);
	iommufd_ctx_put(ictx);
}
EXPORT_SYMBOL_GPL(iommufd_access_destroy);

/**
 * iommufd_access_id() - By which number does user space know an emulated device?
 * @access: the device
 *
 * Return: id of an object that user space cannot use for anything yet: commands that ask for a device say -ENOENT.
 */
u32 iommufd_access_id(struct iommufd_access *access)
{
	return access->obj.id;
}
EXPORT_SYMBOL_GPL(iommufd_access_id);

static int range_last(unsigned long iova, unsigned long length, unsigned long *last)
{
	if (!length)
		return -EINVAL;
	return check_add_overflow(iova, length - 1, last) ? -EOVERFLOW : 0;
}

/**
 * iommufd_access_pin_pages() - Pin what is mapped at a range
 * @access: emulated device with an unmap operation
 * @iova: first IOVA
 * @length: bytes
 * @pages: out: one for each page that the range touches, may be NULL
 * @flags: IOMMUFD_ACCESS_WRITE if the device is going to write, and IOMMUFD_ACCESS_READ if it reads as well
 *
 * The device may hold a lock that its unmap operation takes, from before this call until it has noted what it pinned;
 * so that an unmap finds either nothing or all of it.
 *
 * Return: 0, or with nothing pinned -ENOENT if some of the range is not mapped or the device is not attached; -EPERM
 * if it is not mapped for that; -EINVAL for a length of 0, or what is no memory; -EOVERFLOW; -EOPNOTSUPP without an
 * unmap operation; -ENOMEM (also: over the limit); -EFAULT; -EBUSY (another process is taking over the charges);
 * -EINTR.
 */
int iommufd_access_pin_pages(struct iommufd_access *access, unsigned long iova, unsigned long length,
			     struct page **pages, unsigned int flags)
{
	int prot = flags & IOMMUFD_ACCESS_WRITE ? IOMMU_WRITE : IOMMU_READ;
	unsigned long last;
	int rc;

	if (!access->ops->unmap)
		return -EOPNOTSUPP;
	if (flags & IOMMUFD_ACCESS_READ)
		prot |= IOMMU_READ;
	rc = range_last(iova, length, &last);
	if (rc)
		return rc;
	rc = down_read_killable(&access->rwsem);
	if (rc)
		return rc;
	rc = access->ioas ? ioas_access_pin(&access->ioas->map, access->user, iova, last, prot, pages) : -ENOENT;
	up_read(&access->rwsem);
	return rc;
}
EXPORT_SYMBOL_GPL(iommufd_access_pin_pages);

/**
 * iommufd_access_try_unpin() - Undo iommufd_access_pin_pages(), if that was ever called
 * @access: emulated device
 * @iova: first IOVA
 * @length: bytes
 *
 * For a driver that does not know what it has pinned. May be called from the device's unmap operation.
 *
 * Return: true; false if this range was not pinned by one call.
 */
bool iommufd_access_try_unpin(struct iommufd_access *access, unsigned long iova, unsigned long length)
{
	bool was_pinned = false;
	unsigned long last;

	if (range_last(iova, length, &last))
		return false;
	down_read(&access->rwsem);
	if (access->home)
		was_pinned = ioas_access_unpin(&access->home->map, access->user, iova, last);
	up_read(&access->rwsem);
	return was_pinned;
}
EXPORT_SYMBOL_GPL(iommufd_access_try_unpin);

/**
 * iommufd_access_unpin_pages() - Undo iommufd_access_pin_pages()
 * @access: emulated device
 * @iova: as it was pinned
 * @length: as it was pinned
 *
 * May be called from the device's unmap operation.
 */
void iommufd_access_unpin_pages(struct iommufd_access *access, unsigned long iova, unsigned long length)
{
	WARN_ON(!iommufd_access_try_unpin(access, iova, length));
}
EXPORT_SYMBOL_GPL(iommufd_access_unpin_pages);

/**
 * iommufd_access_next_pin() - The next thing that an emulated device has pinned
 * @access: emulated device
 * @iova: in: where to begin; out: first IOVA of the pin
 * @last: in: last IOVA to look at, inclusive; out: last IOVA of the pin, inclusive
 *
 * A call to iommufd_access_pin_pages() makes one pin, or one for each mapping that the range lies in. May be called
 * from the device's unmap operation.
 *
 * Return: how often exactly this is pinned; 0 if nothing is, with @iova and @last unchanged.
 */
unsigned int iommufd_access_next_pin(struct iommufd_access *access, unsigned long *iova, unsigned long *last)
{
	unsigned int times = 0;

	down_read(&access->rwsem);
	if (access->home)
		times = ioas_user_next_pin(&access->home->map, access->user, iova, last);
	up_read(&access->rwsem);
	return times;
}
EXPORT_SYMBOL_GPL(iommufd_access_next_pin);

/**
 * iommufd_access_lookup() - Where does an address lie in the process that mapped it?
 * @access: emulated device with an unmap operation
 * @iova: the IOVA
 * @to: out: the answer
 *
 * The three kinds of address are different things: this one is the device's; @to is the process's, and is what memory
 * slots of a virtual machine are made of. Where guests have addresses of their own in front of the device's (a virtual
 * IOMMU), neither is an address of the guest.
 *
 * The answer is valid until the unmap operation is told of a range with @iova in it. As with pins, the device may hold
 * a lock that its unmap operation takes from before this call until it has noted the answer. @to->mm has no reference:
 * the process may have ended, so take mmget_not_zero() to look at its memory, or mmgrab() to keep the pointer longer.
 *
 * Return: 0; -ENOENT if nothing is mapped there or the device is not attached; -EOPNOTSUPP if what is mapped there has
 * no address in a process (a memory file, a dma-buf), or without an unmap operation; -EINTR.
 */
int iommufd_access_lookup(struct iommufd_access *access, unsigned long iova, struct iommufd_user_address *to)
{
	int rc;

	if (!access->ops->unmap)
		return -EOPNOTSUPP;
	rc = down_read_killable(&access->rwsem);
	if (rc)
		return rc;
	rc = access->ioas ? ioas_access_lookup(&access->ioas->map, iova, to) : -ENOENT;
	up_read(&access->rwsem);
	return rc;
}
EXPORT_SYMBOL_GPL(iommufd_access_lookup);

/**
 * iommufd_access_rw() - Copy between a buffer and what is mapped at a range
 * @access: emulated device
 * @iova: first IOVA, of any alignment
 * @buf: kernel memory
 * @length: bytes
 * @flags: IOMMUFD_ACCESS_WRITE to copy from @buf; IOMMUFD_ACCESS_REMOTE
 *
 * Memory of the caller's own process is copied without looking at page tables; use it from a process that has one.
 *
 * Return: 0; -ENOENT, -EPERM, -EINVAL, -EOVERFLOW as in iommufd_access_pin_pages(); -EFAULT if the process has
 * nothing there any more; -ENOMEM; -EINTR. Some of the bytes may have been copied then.
 */
int iommufd_access_rw(struct iommufd_access *access, unsigned long iova, void *buf, size_t length, unsigned int flags)
{
	unsigned long last;
	int rc;

	rc = range_last(iova, length, &last);
	if (rc)
		return rc;
	rc = down_read_killable(&access->rwsem);
	if (rc)
		return rc;
	rc = access->ioas ? ioas_access_rw(&access->ioas->map, iova, buf, length, flags) : -ENOENT;
	up_read(&access->rwsem);
	return rc;
}
EXPORT_SYMBOL_GPL(iommufd_access_rw);
