// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-fault-group - page requests of devices whose DMA belongs to user space
 *
 * A device that finds no translation asks for the page and waits. Its requests come in groups that are answered as a
 * whole. A group belongs to the attachment that the requests were meant for, found by group and PASID; the user of
 * that attachment takes it and answers later. What nobody takes is answered at once as invalid, so that no device
 * waits forever.
 *
 * Locking: an attachment is looked up and told under the spinlock of group->handles, and goes under the same lock. So
 * once a handle is detached or replaced no group comes for it any more. group->mutex would not do: who holds it may
 * be draining the queue of the IOMMU, and wait for the very thread that reports.
 */
#include <linux/err.h>
#include <linux/slab.h>

#include "iommu-priv.h"

/**
 * iommu_device_can_fault() - Could a device be made to ask for pages?
 * @dev: a device
 *
 * Context: @dev stays in its group meanwhile.
 * Return: true if the driver of its IOMMU handles page requests.
 */
bool iommu_device_can_fault(struct device *dev)
{
	const struct iommu_ops *ops = iommu_device_ops(dev);

	return ops && ops->fault_enable && ops->page_response;
}
EXPORT_SYMBOL_GPL(iommu_device_can_fault);

/**
 * iommu_device_enable_faults() - Let a device ask for pages
 * @dev: device whose group has an owner
 *
 * From now on the driver calls iommu_report_fault_group() for it. Which of several devices of a group is asking
 * cannot be told in all topologies, so the device has to be alone.
 *
 * Context: May sleep. Takes group->mutex.
 * Return: 0; -ENODEV without an IOMMU; -EOPNOTSUPP when the driver handles no page requests; -EINVAL when the group
 * has other devices; or an error of the driver.
 */
int iommu_device_enable_faults(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	int rc;

	if (!group)
		return -ENODEV;
	mutex_lock(&group->mutex);
	if (!iommu_device_can_fault(dev))
		rc = -EOPNOTSUPP;
	else if (!list_is_singular(&group->devices))
		rc = -EINVAL;
	else
		rc = dev_iommu_ops(dev)->fault_enable(dev);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
	return rc;
}
EXPORT_SYMBOL_GPL(iommu_device_enable_faults);

/**
 * iommu_device_disable_faults() - Undo iommu_device_enable_faults()
 * @dev: device; nothing that takes page requests is attached to it any more
 *
 * Context: May sleep. Takes group->mutex.
 */
void iommu_device_disable_faults(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (WARN_ON(!group))
		return;
	mutex_lock(&group->mutex);
	dev_iommu_ops(dev)->fault_disable(dev);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}
EXPORT_SYMBOL_GPL(iommu_device_disable_faults);

/**
 * iommu_fault_group_alloc() - Make room for a group of page requests
 * @dev: device that sent them
 * @num: how many
 *
 * The caller fills in the requests, of which all carry the PASID of the group or none does.
 *
 * Return: the group, for iommu_report_fault_group(), or NULL without memory.
 */
struct iommu_fault_group *iommu_fault_group_alloc(struct device *dev, unsigned int num)
{
	struct iommu_fault_group *fg = kzalloc(struct_size(fg, requests, num), GFP_KERNEL);

	if (fg) {
		fg->dev = dev;
		fg->num = num;
	}
	return fg;
}
EXPORT_SYMBOL_GPL(iommu_fault_group_alloc);

/**
 * iommu_fault_group_respond() - Answer a group of page requests
 * @fg: group; freed
 * @code: how it ended
 *
 * Context: May sleep.
 */
void iommu_fault_group_respond(struct iommu_fault_group *fg, enum iommu_page_response_code code)
{
	struct iommu_fault_page_request *last = &fg->requests[fg->num - 1];
	struct iommu_fault_event evt = { .fault.type = IOMMU_FAULT_PAGE_REQ, .fault.prm = *last };
	struct iommu_page_response msg = {
		.argsz = sizeof(msg),
		.version = IOMMU_PAGE_RESP_VERSION_1,
		.grpid = last->grpid,
		.code = code,
	};

	if (last->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID &&
	    last->flags & IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID) {
		msg.flags = IOMMU_PAGE_RESP_PASID_VALID;
		msg.pasid = last->pasid;
	}
	dev_iommu_ops(fg->dev)->page_response(fg->dev, &evt, &msg);
	kfree(fg);
}
EXPORT_SYMBOL_GPL(iommu_fault_group_respond);

/*
 * Who is asked for a page. Where a guest has the PASID table of the device in its own hands, its PASIDs are attached
 * nowhere: the nested domain of the requests without one covers them.
 */
static struct iommu_attach_handle *find_handle(struct iommu_group *group, ioasid_t pasid)
{
	struct iommu_attach_handle *handle = xa_load(&group->handles, pasid);

	if (!handle && pasid != IOMMU_NO_PASID) {
		handle = xa_load(&group->handles, IOMMU_NO_PASID);
		if (handle && handle->domain->type != IOMMU_DOMAIN_GUEST)
			handle = NULL;
	}
	return handle;
}

/**
 * iommu_report_fault_group() - A device asks for pages
 * @fg: complete group of page requests, of a device for which they are enabled; not used by the caller any more
 *
 * For the driver of the IOMMU, which sees to it that the device stays until this returns, and that answers may come
 * at any time until it has disabled page requests for the device.
 *
 * Context: May sleep.
 */
void iommu_report_fault_group(struct iommu_fault_group *fg)
{
	struct iommu_fault_page_request *last = &fg->requests[fg->num - 1];
	ioasid_t pasid = last->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID ? last->pasid : IOMMU_NO_PASID;
	struct iommu_group *group = iommu_group_get(fg->dev);
	struct iommu_attach_handle *handle;
	bool taken = false;

	if (group) {
		xa_lock(&group->handles);
		handle = find_handle(group, pasid);
		if (handle && handle->take_faults)
			taken = handle->take_faults(handle, fg);
		xa_unlock(&group->handles);
		iommu_group_put(group);
	}
	if (!taken)
		iommu_fault_group_respond(fg, IOMMU_PAGE_RESP_INVALID);
}
EXPORT_SYMBOL_GPL(iommu_report_fault_group);
