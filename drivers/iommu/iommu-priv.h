/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the IOMMU core offers to /dev/iommu, and what its own files share
 *
 * A caller of these functions holds a reference to the group, either directly or through a device whose driver is
 * bound. None of them may be called with group->mutex held, unless the name begins with two underscores.
 */
#ifndef __IOMMU_PRIV_H
#define __IOMMU_PRIV_H

#include <linux/iommu.h>

#include "iommu-group.h"

struct iommu_fault_group;
struct msi_desc;

/* Where a PASID is asked for: the requests that carry none. No request carries this one. */
#define IOMMU_NO_PASID	0U

/**
 * struct iommu_attach_handle - One attachment of a group, as whoever made it knows it
 * @domain: what translates
 * @parent: domain that @domain stands on when a guest writes that, or NULL
 * @take_faults: page requests come for it; true if they will be answered. Called with a spinlock held, and not any more
 *		 once the handle is replaced or detached. NULL where all are invalid
 *
 * The user of a domain embeds it in what it knows about the attachment. The core keeps it by group and PASID.
 */
struct iommu_attach_handle {
	struct iommu_domain *domain;
	struct iommu_domain *parent;
	bool (*take_faults)(struct iommu_attach_handle *handle, struct iommu_fault_group *fg);
};

/**
 * struct iommu_fault_group - Page requests that a device sent together and that are answered together
 * @dev: the device
 * @entry: for whoever takes it
 * @owner: likewise
 * @dev_id: likewise
 * @cookie: likewise
 * @begin: likewise
 * @num: number of requests, at least one
 * @requests: the requests; the last one has the mark of the last
 */
struct iommu_fault_group {
	struct device *dev;
	struct list_head entry;
	const void *owner;
	u32 dev_id;
	u32 cookie;
	u64 begin;
	unsigned int num;
	struct iommu_fault_page_request requests[];
};

/**
 * struct iommu_driver_data - A structure that user space passes to the driver of an IOMMU
 * @type: what it is; the meaning depends on the operation
 * @len: bytes
 * @uptr: where it is
 */
struct iommu_driver_data {
	u32 type;
	u32 len;
	void __user *uptr;
};

/**
 * struct iommu_driver_array - An array of commands that user space passes to the driver of an IOMMU
 * @type: what an entry is; the driver says -EINVAL for one it does not know, also when there are no entries
 * @entry_len: bytes of an entry
 * @num: number of entries
 * @done: out: how many of them were carried out
 * @uptr: where the first one is
 */
struct iommu_driver_array {
	u32 type;
	u32 entry_len;
	u32 num;
	u32 done;
	void __user *uptr;
};

struct iommu_viommu;

/**
 * struct iommu_viommu_ops - What a driver offers a guest
 * @alloc: make a share of the IOMMU of @dev whose nested domains stand on @parent; ERR_PTR on error
 * @free: undo @alloc
 * @domain_alloc_nested: as in struct iommu_ops
 * @invalidate_user: carry out commands of the guest's invalidation queue; @array->done counts them
 */
struct iommu_viommu_ops {
	struct iommu_viommu *(*alloc)(struct device *dev, struct iommu_domain *parent,
				      const struct iommu_driver_data *data);
	void (*free)(struct iommu_viommu *viommu);
	struct iommu_domain *(*domain_alloc_nested)(struct iommu_viommu *viommu, struct device *dev, u32 flags,
						    const struct iommu_driver_data *data);
	int (*invalidate_user)(struct iommu_viommu *viommu, struct iommu_driver_array *array);
};

/**
 * struct iommu_viommu - A guest's share of an IOMMU; head of the driver's structure
 * @ops: its type
 * @iommu: the IOMMU
 */
struct iommu_viommu {
	const struct iommu_viommu_ops *ops;
	struct iommu_device *iommu;
};

/**
 * iommu_device_ops() - The driver of the IOMMU of a device
 * @dev: any device that stays in its group, if it is in any
 *
 * Return: its operations, or NULL without an IOMMU.
 */
static inline const struct iommu_ops *iommu_device_ops(struct device *dev)
{
	return dev->iommu && dev->iommu->iommu_dev ? dev_iommu_ops(dev) : NULL;
}

/* iommu.c, group->mutex held */
int __iommu_attach_group(struct iommu_domain *domain, struct iommu_group *group);
int __iommu_group_set_domain(struct iommu_group *group, struct iommu_domain *new_domain);
int __iommu_group_alloc_blocking_domain(struct iommu_group *group);

/* iommu-owner.c */
void iommu_group_release_device(struct device *dev);
struct group_device *__iommu_group_find_device(struct iommu_group *group, struct device *dev);
struct group_device *__iommu_group_unlink_device(struct iommu_group *group, struct device *dev);
void __iommu_group_give_back(struct iommu_group *group);
int __iommu_group_unblock(struct iommu_group *group);
int iommu_device_claim_dma_owner(struct device *dev, void *owner);
void iommu_device_release_dma_owner(struct device *dev);
bool iommu_device_has_isolated_msi(struct device *dev);

/* iommu-replace.c */
int iommu_group_attach_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *handle);
int iommu_group_replace_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *old,
			       struct iommu_attach_handle *new);
void iommu_group_detach_handle(struct iommu_group *group, ioasid_t pasid, struct iommu_attach_handle *handle);

/* iommu-reset.c */
void iommu_group_lock_unreset(struct iommu_group *group);

/* iommu-msi.c */
int __iommu_group_map_doorbells(struct iommu_group *group, const struct iommu_attach_handle *handle);
void __iommu_group_unmap_doorbells(struct iommu_group *group, const struct iommu_attach_handle *handle);
int __iommu_group_open_msi_window(struct iommu_group *group, struct device *dev);
void __iommu_group_close_msi_window(struct iommu_group *group);
int iommu_msi_prepare(struct msi_desc *desc, phys_addr_t msi_addr);

/* iommu-pasid.c */
int __iommu_group_switch_pasid(struct iommu_group *group, ioasid_t pasid, struct iommu_domain *old,
			       struct iommu_domain *new);
void __iommu_group_remove_pasid(struct iommu_group *group, ioasid_t pasid, struct iommu_domain *old);
void __iommu_group_disable_pasid(struct iommu_group *group, struct group_device *gdev);
int iommu_device_enable_pasid(struct device *dev);
void iommu_device_disable_pasid(struct device *dev);
u32 iommu_device_max_pasids(struct device *dev);

/* iommu-domain.c */
struct iommu_domain *iommu_domain_alloc_for_device(struct device *dev, u32 flags);
bool iommu_device_enforces_coherency(struct device *dev);
void *iommu_device_hw_info(struct device *dev, u32 *len, u32 *type);

/* iommu-nested.c */
int iommu_driver_data_copy(void *dst, const struct iommu_driver_data *data, u32 type, size_t min, size_t size);
int iommu_driver_array_copy(void *dst, const struct iommu_driver_array *array, u32 index, size_t min, size_t size);
struct iommu_domain *iommu_domain_alloc_nested(struct device *dev, struct iommu_domain *parent, u32 flags,
					       const struct iommu_driver_data *data);
int iommu_domain_invalidate(struct iommu_domain *domain, struct iommu_driver_array *array);
const struct iommu_viommu_ops *iommu_viommu_type(struct device *dev, u32 type);
struct iommu_viommu *iommu_viommu_alloc(struct device *dev, const struct iommu_viommu_ops *ops,
					struct iommu_domain *parent, const struct iommu_driver_data *data);
void iommu_viommu_free(struct iommu_viommu *viommu);
struct iommu_domain *iommu_viommu_alloc_nested(struct iommu_viommu *viommu, struct device *dev, u32 flags,
					       const struct iommu_driver_data *data);
int iommu_viommu_invalidate(struct iommu_viommu *viommu, struct iommu_driver_array *array);

/* iommu-dma-faults.c */
int iommu_device_dma_faults(struct device *dev, u64 *count);

/* iommu-fault-group.c */
bool iommu_device_can_fault(struct device *dev);
int iommu_device_enable_faults(struct device *dev);
void iommu_device_disable_faults(struct device *dev);
struct iommu_fault_group *iommu_fault_group_alloc(struct device *dev, unsigned int num);
void iommu_report_fault_group(struct iommu_fault_group *fg);
void iommu_fault_group_respond(struct iommu_fault_group *fg, enum iommu_page_response_code code);

/* iommu-mock-bus.c, built for the tests only */
int iommu_mock_bus_register(struct bus_type *bus, struct iommu_device *iommu, const struct iommu_ops *ops);
int iommu_mock_bus_add_device(struct device *dev);
void iommu_mock_bus_remove_device(struct device *dev);

#endif
