// SPDX-License-Identifier: GPL-2.0-only
/*
 * device - bound devices, the kernel API for their drivers, and what is told about their hardware
 *
 * A driver binds its device to a context: from then on no kernel driver does DMA with any device of its group, and
 * all DMA of the group is blocked until the device is attached. Where device and IOMMU have PASIDs they are enabled
 * meanwhile, and their numbers are the user's to choose.
 */
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/pci-ats.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "attach.h"
#include "auto_hwpt.h"
#include "device.h"
#include "hwpt_nested.h"
#include "hwpt_paging.h"
#include "noiommu.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Bind devices although their MSIs are not isolated: user space can then raise any interrupt of the host");

static void device_object_destroy(struct iommufd_object *obj)
{
	struct iommufd_device *idev = container_of(obj, struct iommufd_device, obj);

	iommufd_detach_all(&idev->member);
	if (idev->member.faults)
		iommu_device_disable_faults(idev->member.dev);
	iommu_device_disable_pasid(idev->member.dev);
	iommu_device_release_dma_owner(idev->member.dev);
	iommufd_group_put(idev->member.igroup);
	kfree(idev);
}

const struct iommufd_object_ops iommufd_device_ops = {
	.destroy = device_object_destroy,
};

/**
 * iommufd_get_device() - Find a device behind an IOMMU and hold it busy
 * @ictx: context
 * @id: its id
 *
 * Return: the device, for iommufd_object_put(), or ERR_PTR: -EOPNOTSUPP for one without an IOMMU; -ENOENT.
 */
struct iommufd_device *iommufd_get_device(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_object_get(&ictx->objs, id, NULL);
	int rc = -ENOENT;

	if (IS_ERR(obj))
		return ERR_CAST(obj);
	if (obj->ops == &iommufd_device_ops)
		return container_of(obj, struct iommufd_device, obj);
	if (obj->ops == &iommufd_noiommu_ops)
		rc = -EOPNOTSUPP;
	iommufd_object_put(&ictx->objs, obj);
	return ERR_PTR(rc);
}

/* What the device may do in a request with PASID. Its configuration space is read, so it has to be awake. */
static u64 pasid_capabilities(struct device *dev)
{
	int features = 0;
	u64 caps = 0;

	if (dev_is_pci(dev) && iommu_device_max_pasids(dev))
		features = max(pci_pasid_features(to_pci_dev(dev)), 0);
	if (features & PCI_PASID_CAP_EXEC)
		caps |= IOMMU_HW_CAP_PCI_PASID_EXEC;
	if (features & PCI_PASID_CAP_PRIV)
		caps |= IOMMU_HW_CAP_PCI_PASID_PRIV;
	return caps;
}

/**
 * iommufd_device_create() - Make the object of a device that lives inside a context
 * @ictx: context; the caller sees to it that iommufd_device_remove() comes before its end
 * @dev: device
 *
 * Return: the bound device, or ERR_PTR as in iommufd_device_bind().
 */
struct iommufd_device *iommufd_device_create(struct iommufd_ctx *ictx, struct device *dev)
{
	struct iommufd_device *idev;
	int rc;

	/* User space has no way to bring memory and caches together again */
	if (!device_iommu_mapped(dev))
		return ERR_PTR(-ENODEV);
	if (!device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY))
		return ERR_PTR(-EINVAL);
	if (!iommu_device_has_isolated_msi(dev)) {
		if (!allow_unsafe_interrupts)
			return ERR_PTR(-EPERM);
		dev_warn_ratelimited(dev, "bound without MSI isolation: allow_unsafe_interrupts is set\n");
	}

	idev = kzalloc(sizeof(*idev), GFP_KERNEL_ACCOUNT);
	if (!idev)
		return ERR_PTR(-ENOMEM);
	idev->ictx = ictx;
	idev->member.dev = dev;
	xa_init_flags(&idev->member.joined, XA_FLAGS_ACCOUNT);
	idev->member.igroup = iommufd_group_get(ictx, dev);
	if (IS_ERR(idev->member.igroup)) {
		rc = PTR_ERR(idev->member.igroup);
		goto err_free;
	}
	rc = iommu_device_claim_dma_owner(dev, ictx);
	if (rc)
		goto err_group;
	rc = iommu_device_enable_pasid(dev);
	if (rc)
		goto err_owner;
	idev->pasid_capabilities = pasid_capabilities(dev);
	iommu_device_dma_faults(dev, &idev->faults_before);
	rc = iommufd_object_reserve(&ictx->objs, &idev->obj, &iommufd_device_ops);
	if (rc)
		goto err_pasid;
	idev->member.dev_id = idev->obj.id;
	iommufd_object_publish(&ictx->objs, &idev->obj);
	return idev;

err_pasid:
	iommu_device_disable_pasid(dev);
err_owner:
	iommu_device_release_dma_owner(dev);
err_group:
	iommufd_group_put(idev->member.igroup);
err_free:
	kfree(idev);
	return ERR_PTR(rc);
}

/**
 * iommufd_device_dma_faults() - How often DMA of a device was refused
 * @idev: bound device
 * @count: out: faults that its IOMMU recorded since it was bound
 *
 * Return: 0; -EOPNOTSUPP when they are not counted.
 */
int iommufd_device_dma_faults(struct iommufd_device *idev, u64 *count)
{
	int rc = iommu_device_dma_faults(idev->member.dev, count);

	if (!rc)
		*count -= idev->faults_before;
	return rc;
}

/**
 * iommufd_device_remove() - Undo iommufd_device_create()
 * @idev: bound device; it is detached, PASIDs included
 */
void iommufd_device_remove(struct iommufd_device *idev)
{
	iommufd_object_remove(&idev->ictx->objs, &idev->obj);
}

/**
 * iommufd_device_bind() - Hand a device to a context
 * @ictx: context; it lives on at least until iommufd_device_unbind()
 * @dev: device, bound to the calling driver, which does no DMA API and calls this from its own file operations. It is
 *	 awake, since PASIDs are enabled in it; it may sleep afterwards, as far as its state survives that.
 *
 * Return: the bound device, or ERR_PTR with nothing changed: -ENODEV without an IOMMU; -EINVAL if the IOMMU does not
 * keep DMA coherent with the CPU's caches; -EPERM if MSIs are not isolated, or the group is in use by a kernel driver
 * or another owner; -EBUSY if the group's domain is in other hands; -ENOMEM; or what the IOMMU driver says when it
 * cannot enable PASIDs.
 */
struct iommufd_device *iommufd_device_bind(struct iommufd_ctx *ictx, struct device *dev)
{
	struct iommufd_device *idev = iommufd_device_create(ictx, dev);

	if (!IS_ERR(idev))
		iommufd_ctx_get(ictx);
	return idev;
}
EXPORT_SYMBOL_GPL(iommufd_device_bind);

/**
 * iommufd_device_unbind() - Take a device back
 * @idev: bound device, awake; it is detached, PASIDs included
 *
 * Waits for running ioctls that use it. When this returns the device's group belongs to the kernel again, unless
 * siblings are bound.
 */
void iommufd_device_unbind(struct iommufd_device *idev)
{
	struct iommufd_ctx *ictx = idev->ictx;

	iommufd_device_remove(idev);
	iommufd_ctx_put(ictx);
}
EXPORT_SYMBOL_GPL(iommufd_device_unbind);

/**
 * iommufd_device_id() - The id by which user space names a device
 * @idev: bound device
 *
 * Return: the id, above 0.
 */
u32 iommufd_device_id(struct iommufd_device *idev)
{
	return idev->obj.id;
}
EXPORT_SYMBOL_GPL(iommufd_device_id);

/**
 * iommufd_device_max_pasids() - How many PASIDs a device can use
 * @idev: bound device
 *
 * Return: PASIDs below this number can be attached; 0 when there are none.
 */
u32 iommufd_device_max_pasids(struct iommufd_device *idev)
{
	return iommu_device_max_pasids(idev->member.dev);
}
EXPORT_SYMBOL_GPL(iommufd_device_max_pasids);

/**
 * iommufd_device_coherent() - Will all DMA of a device be coherent with the CPU's caches, whatever the device asks for?
 * @dev: device, bound or not
 *
 * Every page table enforces coherency if the IOMMU can, so it does not depend on what the device is attached to.
 *
 * Return: true if it will; false also when there is no memory to find out.
 */
bool iommufd_device_coherent(struct device *dev)
{
	return iommu_device_enforces_coherency(dev);
}
EXPORT_SYMBOL_GPL(iommufd_device_coherent);

static int attach_ioas(struct iommufd_device *idev, ioasid_t pasid, struct iommufd_ioas *ioas, unsigned int how,
		       iommufd_report_fn report, void *data)
{
	if (pasid == IOMMUFD_NO_PASID)
		return iommufd_attach_ioas(&idev->member, ioas, how, report, data);
	/* A page table that the kernel makes for an IOAS is none for PASIDs */
	return (how & IOMMUFD_ATTACH_FIRST) && iommufd_is_attached(&idev->member, pasid) ? -EBUSY : -EINVAL;
}

/**
 * iommufd_device_attach() - Attach a device, or replace what it is attached to
 * @idev: bound device, awake
 * @pasid: requests with this PASID, or IOMMUFD_NO_PASID
 * @pt_id: id of an IOAS, for which a page table is found or made, or of a page table. For a PASID it is a page table
 *	   that was made for that.
 * @how: 0, IOMMUFD_ATTACH_FIRST or IOMMUFD_ATTACH_REPLACE
 * @report: told the page table before anything changes, may be NULL
 * @data: for @report
 *
 * A device that is attached moves without a moment in which its DMA is blocked, as far as its IOMMU can do that, and
 * all devices of its group move with it; the same call for one of them then has nothing left to do. On error all of
 * them are where they were.
 *
 * Return: 0; -ENOENT if there is no such object; -EINVAL if it is of another kind, does not fit the device or the
 * PASID, or the device is not attached and a sibling uses another page table; -EBUSY if it is attached and @how is
 * IOMMUFD_ATTACH_FIRST; and the rest as iommufd_attach() and iommufd_hwpt_create().
 */
int iommufd_device_attach(struct iommufd_device *idev, ioasid_t pasid, u32 pt_id, unsigned int how,
			  iommufd_report_fn report, void *data)
{
	struct iommufd_objects *objs = &idev->ictx->objs;
	struct iommufd_hwpt *left = NULL;
	struct iommufd_object *obj;
	int rc;

	obj = iommufd_object_get(objs, pt_id, NULL);
	if (IS_ERR(obj))
		return PTR_ERR(obj);

	if (obj->ops == &iommufd_hwpt_paging_ops || obj->ops == &iommufd_hwpt_nested_ops)
		rc = iommufd_attach(&idev->member, pasid, container_of(obj, struct iommufd_hwpt, obj), how, report,
				    data, &left);
	else if (obj->ops == &iommufd_ioas_ops)
		rc = attach_ioas(idev, pasid, container_of(obj, struct iommufd_ioas, obj), how, report, data);
	else
		rc = -EINVAL;

	iommufd_object_put(objs, obj);
	if (left)
		iommufd_hwpt_unused(left);
	return rc == -EXDEV ? -EINVAL : rc;
}
EXPORT_SYMBOL_GPL(iommufd_device_attach);

/**
 * iommufd_device_detach() - Block a device's DMA
 * @idev: bound device, awake; one that is not attached is fine
 * @pasid: requests with this PASID, or IOMMUFD_NO_PASID
 *
 * The group's DMA is blocked once none of its devices is attached for @pasid. Other PASIDs go on.
 */
void iommufd_device_detach(struct iommufd_device *idev, ioasid_t pasid)
{
	iommufd_detach(&idev->member, pasid);
}
EXPORT_SYMBOL_GPL(iommufd_device_detach);

static u64 hw_capabilities(struct iommufd_device *idev)
{
	struct device *dev = idev->member.dev;
	u64 caps = idev->pasid_capabilities;

	if (!dev_is_pci(dev) || !pci_ats_supported(to_pci_dev(dev)))
		caps |= IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
	return caps;
}

static int count_device(struct device *dev, void *num)
{
	++*(u32 *)num;
	return 0;
}

/* The answer of type IOMMU_HW_INFO_TYPE_ROUTING, from what the core and this subsystem know */
static void *routing_info(struct iommufd_device *idev, u32 *len, u32 *type)
{
	struct iommu_hw_info_routing *info = kzalloc(sizeof(*info), GFP_KERNEL);
	struct iommufd_member *member = &idev->member;

	if (!info)
		return ERR_PTR(-ENOMEM);
	info->flags = IOMMU_HW_INFO_ROUTING_GROUPS;
	info->group_id = member->igroup->id;
	iommu_group_for_each_dev(member->igroup->group, &info->group_devices, count_device);
	if (info->group_devices > 1)
		info->flags |= IOMMU_HW_INFO_ROUTING_SHARED;
	if (iommu_device_max_pasids(member->dev))
		info->flags |= IOMMU_HW_INFO_ROUTING_SPACES | IOMMU_HW_INFO_ROUTING_PASIDS;
	if (iommufd_is_attached(member, IOMMUFD_NO_PASID))
		info->flags |= IOMMU_HW_INFO_ROUTING_ATTACHED;
	info->group_hwpt_id = iommufd_group_hwpt_id(member->igroup, IOMMUFD_NO_PASID);
	*len = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_ROUTING;
	return info;
}

/* Copy the answer, cut or filled up with zeros to the user's buffer */
static int copy_hw_data(struct iommu_hw_info *cmd, const void *info, u32 info_len)
{
	void __user *buf = u64_to_user_ptr(cmd->data_uptr);
	u32 len = min(cmd->data_len, info_len);

	if (len && copy_to_user(buf, info, len))
		return -EFAULT;
	if (cmd->data_len > len && clear_user(buf + len, cmd->data_len - len))
		return -EFAULT;
	cmd->data_len = info_len;
	return 0;
}

/**
 * iommufd_ioctl_get_hw_info() - IOMMU_GET_HW_INFO
 * @ucmd: struct iommu_hw_info
 *
 * Return: 0; -EOPNOTSUPP for unknown flags, the reserved field, or a data type that the device's IOMMU does not have;
 * -ENOENT; -EFAULT; -ENOMEM.
 */
int iommufd_ioctl_get_hw_info(struct iommufd_ucmd *ucmd)
{
	struct iommu_hw_info *cmd = ucmd->cmd;
	u32 type = IOMMU_HW_INFO_TYPE_NONE;
	struct iommufd_device *idev;
	u32 len = 0;
	void *info;
	int rc;

	if ((cmd->flags & ~IOMMU_HW_INFO_FLAG_INPUT_TYPE) || memchr_inv(cmd->__reserved, 0, sizeof(cmd->__reserved)))
		return -EOPNOTSUPP;
	/* Without the flag the field is output only: old programs leave there what they like */
	if (!(cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE))
		cmd->in_data_type = IOMMU_HW_INFO_TYPE_DEFAULT;

	idev = iommufd_get_device(ucmd->ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	if (cmd->in_data_type == IOMMU_HW_INFO_TYPE_ROUTING)
		info = routing_info(idev, &len, &type);
	else
		info = iommu_device_hw_info(idev->member.dev, &len, &type);
	if (IS_ERR(info)) {
		rc = PTR_ERR(info);
		goto out;
	}
	rc = -EOPNOTSUPP;
	if (cmd->in_data_type != IOMMU_HW_INFO_TYPE_DEFAULT && cmd->in_data_type != type)
		goto out_free;
	rc = copy_hw_data(cmd, info, len);
	if (rc)
		goto out_free;
	cmd->out_data_type = type;
	cmd->out_max_pasid_log2 = ilog2(iommu_device_max_pasids(idev->member.dev) ?: 1);
	cmd->out_capabilities = hw_capabilities(idev);
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
out_free:
	kfree(info);
out:
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return rc;
}
