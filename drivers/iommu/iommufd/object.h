/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_OBJECT_H
#define __IOMMUFD_OBJECT_H

#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

struct iommufd_object;

/**
 * struct iommufd_object_ops - What kind of object this is; one per kind, compared by address
 * @destroy: free the object; nothing uses it or refers to it any more
 * @user_destroy: IOMMU_DESTROY may be used on it
 */
struct iommufd_object_ops {
	void (*destroy)(struct iommufd_object *obj);
	bool user_destroy;
};

/**
 * struct iommufd_object - Head of everything that has an id
 * @ops: kind of the object
 * @id: number by which user space names it
 * @busy: running calls that use it
 * @links: other objects that refer to it
 */
struct iommufd_object {
	const struct iommufd_object_ops *ops;
	u32 id;
	unsigned int busy;
	unsigned int links;
};

/**
 * struct iommufd_objects - All objects of one open file
 * @table: id to object; its lock covers @busy and @links of every object
 * @found: live object that was found last, and very likely is looked for next, or NULL; covered by the table's lock
 * @idle: woken when an object is not busy any more and somebody waits for that
 * @waiting: how many wait; covered by the table's lock
 */
struct iommufd_objects {
	struct xarray table;
	struct iommufd_object *found;
	wait_queue_head_t idle;
	unsigned int waiting;
};

void iommufd_objects_init(struct iommufd_objects *objs);
void iommufd_objects_destroy(struct iommufd_objects *objs);
bool iommufd_objects_empty(struct iommufd_objects *objs);
unsigned long iommufd_objects_count(struct iommufd_objects *objs);

int iommufd_object_reserve(struct iommufd_objects *objs, struct iommufd_object *obj,
			   const struct iommufd_object_ops *ops);
void iommufd_object_cancel(struct iommufd_objects *objs, struct iommufd_object *obj);
void iommufd_object_publish(struct iommufd_objects *objs, struct iommufd_object *obj);
void iommufd_object_publish_busy(struct iommufd_objects *objs, struct iommufd_object *obj);

struct iommufd_object *iommufd_object_get(struct iommufd_objects *objs, u32 id, const struct iommufd_object_ops *ops);
struct iommufd_object *iommufd_object_next(struct iommufd_objects *objs, u32 id);
bool iommufd_object_tryget(struct iommufd_objects *objs, struct iommufd_object *obj);
void iommufd_object_put(struct iommufd_objects *objs, struct iommufd_object *obj);
void iommufd_object_link(struct iommufd_objects *objs, struct iommufd_object *obj);
void iommufd_object_unlink(struct iommufd_objects *objs, struct iommufd_object *obj);

int iommufd_object_destroy(struct iommufd_objects *objs, u32 id);
void iommufd_object_retire(struct iommufd_objects *objs, struct iommufd_object *obj);
void iommufd_object_remove(struct iommufd_objects *objs, struct iommufd_object *obj);

#endif
