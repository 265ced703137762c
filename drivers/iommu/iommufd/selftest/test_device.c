// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_device - mock devices as objects of a context
 *
 * A test device is what VFIO's file of a device would be: whoever holds it has bound a device, and destroying it takes
 * the device back. But it lives inside the context, so it links the device object: a context that ends destroys the
 * test device first.
 */
#include <linux/err.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "../device.h"
#include "../hwpt_nested.h"
#include "../hwpt_paging.h"
#include "mock_device.h"
#include "mock_iommu.h"
#include "test_ops.h"

/**
 * struct test_device - A mock device that is plugged in, bound and attached
 * @obj: its id
 * @ictx: the context
 * @mdev: the device
 * @idev: the same as the context knows it, linked
 */
struct test_device {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct mock_device *mdev;
	struct iommufd_device *idev;
};

static void test_device_free(struct test_device *tdev)
{
	iommufd_object_unlink(&tdev->ictx->objs, &tdev->idev->obj);
	iommufd_device_remove(tdev->idev);
	mock_device_destroy(tdev->mdev);
	kfree(tdev);
}

static void test_device_object_destroy(struct iommufd_object *obj)
{
	test_device_free(container_of(obj, struct test_device, obj));
}

static const struct iommufd_object_ops test_device_ops = {
	.destroy = test_device_object_destroy,
	.user_destroy = true,
};

static struct test_device *get_test_device(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_object_get(&ictx->objs, id, &test_device_ops);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct test_device, obj);
}

/* Plugged in and bound; the id is reserved */
static struct test_device *test_device_create(struct iommufd_ctx *ictx, const struct mock_device_traits *traits)
{
	struct test_device *tdev = kzalloc(sizeof(*tdev), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!tdev)
		return ERR_PTR(-ENOMEM);
	tdev->ictx = ictx;
	rc = iommufd_object_reserve(&ictx->objs, &tdev->obj, &test_device_ops);
	if (rc)
		goto err_free;
	tdev->mdev = mock_device_create(traits);
	if (IS_ERR(tdev->mdev)) {
		rc = PTR_ERR(tdev->mdev);
		goto err_cancel;
	}
	tdev->idev = iommufd_device_create(ictx, &tdev->mdev->dev);
	if (IS_ERR(tdev->idev)) {
		rc = PTR_ERR(tdev->idev);
		goto err_unplug;
	}
	iommufd_object_link(&ictx->objs, &tdev->idev->obj);
	return tdev;

err_unplug:
	mock_device_destroy(tdev->mdev);
err_cancel:
	iommufd_object_cancel(&ictx->objs, &tdev->obj);
err_free:
	kfree(tdev);
	return ERR_PTR(rc);
}

/* Told the page table of a new device before it is attached, so there is nothing that the user does not learn of */
static int report_new_device(void *data, u32 pt_id)
{
	struct iommufd_ucmd *ucmd = data;
	struct iommu_test_cmd *cmd = ucmd->cmd;

	cmd->mock_domain.out_hwpt_id = pt_id;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int create_and_attach(struct iommufd_ucmd *ucmd, const struct mock_device_traits *traits)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_ctx *ictx = ucmd->ictx;
	struct test_device *tdev;
	int rc;

	if (traits->flags & ~(MOCK_FLAGS_DEVICE_NO_DIRTY | MOCK_FLAGS_DEVICE_PASID))
		return -EINVAL;
	tdev = test_device_create(ictx, traits);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	cmd->mock_domain.out_stdev_id = tdev->obj.id;
	cmd->mock_domain.out_idev_id = iommufd_device_id(tdev->idev);
	if (cmd->id)
		rc = iommufd_device_attach(tdev->idev, IOMMUFD_NO_PASID, cmd->id, IOMMUFD_ATTACH_FIRST,
					   report_new_device, ucmd);
	else
		rc = report_new_device(ucmd, 0);
	if (rc) {
		iommufd_object_cancel(&ictx->objs, &tdev->obj);
		test_device_free(tdev);
		return rc;
	}
	iommufd_object_publish(&ictx->objs, &tdev->obj);
	return 0;
}

/**
 * iommufd_test_mock_domain() - Plug in a device, bind it and attach it
 * @ucmd: struct iommu_test_cmd, mock_domain
 *
 * Return: 0; -ENOENT, -EINVAL for what it shall be attached to; or another error of binding or attaching.
 */
int iommufd_test_mock_domain(struct iommufd_ucmd *ucmd)
{
	static const struct mock_device_traits plain;
	struct iommu_test_cmd *cmd = ucmd->cmd;

	return cmd->id ? create_and_attach(ucmd, &plain) : -ENOENT;
}

/**
 * iommufd_test_mock_domain_flags() - The same with a device that has other abilities
 * @ucmd: struct iommu_test_cmd, mock_domain_flags, which begins like mock_domain
 *
 * Return: as iommufd_test_mock_domain(); -EINVAL for unknown flags.
 */
int iommufd_test_mock_domain_flags(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	const struct mock_device_traits traits = { .flags = cmd->mock_domain_flags.dev_flags };

	return cmd->id ? create_and_attach(ucmd, &traits) : -ENOENT;
}

/**
 * iommufd_test_mock_device() - The same with a device that may have siblings and addresses of its own
 * @ucmd: struct iommu_test_cmd, mock_device, which begins like mock_domain_flags; with an id of 0 it is not attached
 *
 * Return: as iommufd_test_mock_domain_flags(); -ENOENT for the sibling; -EOVERFLOW for the addresses.
 */
int iommufd_test_mock_device(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct mock_device_traits traits = {
		.flags = cmd->mock_device.dev_flags,
		.resv_start = cmd->mock_device.resv_start,
		.resv_length = cmd->mock_device.resv_length,
	};
	struct test_device *sibling;
	u64 end;
	int rc;

	if (check_add_overflow(traits.resv_start, traits.resv_length, &end))
		return -EOVERFLOW;
	if (!cmd->mock_device.sibling_stdev_id)
		return create_and_attach(ucmd, &traits);
	sibling = get_test_device(ucmd->ictx, cmd->mock_device.sibling_stdev_id);
	if (IS_ERR(sibling))
		return PTR_ERR(sibling);
	traits.sibling = sibling->mdev;
	rc = create_and_attach(ucmd, &traits);
	iommufd_object_put(&ucmd->ictx->objs, &sibling->obj);
	return rc;
}

static int report_replacement(void *data, u32 pt_id)
{
	struct iommufd_ucmd *ucmd = data;
	struct iommu_test_cmd *cmd = ucmd->cmd;

	cmd->mock_domain_replace.pt_id = pt_id;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int attach_device(struct iommufd_ucmd *ucmd, unsigned int how)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_device *tdev;
	int rc;

	tdev = get_test_device(ucmd->ictx, cmd->id);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	rc = iommufd_device_attach(tdev->idev, IOMMUFD_NO_PASID, cmd->mock_domain_replace.pt_id, how,
				   report_replacement, ucmd);
	iommufd_object_put(&ucmd->ictx->objs, &tdev->obj);
	return rc;
}

/**
 * iommufd_test_mock_domain_replace() - Move a device to another IOAS or page table
 * @ucmd: struct iommu_test_cmd, mock_domain_replace
 *
 * Return: 0; -ENOENT for the device or where it shall go; -EINVAL if it is not attached; and as
 * iommufd_device_attach().
 */
int iommufd_test_mock_domain_replace(struct iommufd_ucmd *ucmd)
{
	return attach_device(ucmd, IOMMUFD_ATTACH_REPLACE);
}

/**
 * iommufd_test_mock_attach() - Attach a device, or move it
 * @ucmd: struct iommu_test_cmd, mock_domain_replace
 *
 * Return: as iommufd_test_mock_domain_replace().
 */
int iommufd_test_mock_attach(struct iommufd_ucmd *ucmd)
{
	return attach_device(ucmd, 0);
}

/**
 * iommufd_test_mock_detach() - Detach a device
 * @ucmd: struct iommu_test_cmd, without more
 *
 * Return: 0, also when it is not attached; -ENOENT.
 */
int iommufd_test_mock_detach(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_device *tdev;

	tdev = get_test_device(ucmd->ictx, cmd->id);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	iommufd_device_detach(tdev->idev, IOMMUFD_NO_PASID);
	iommufd_object_put(&ucmd->ictx->objs, &tdev->obj);
	return 0;
}

static int report_pasid(void *data, u32 pt_id)
{
	struct iommufd_ucmd *ucmd = data;
	struct iommu_test_cmd *cmd = ucmd->cmd;

	cmd->pasid_attach.pt_id = pt_id;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int attach_pasid(struct iommufd_ucmd *ucmd, unsigned int how)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_device *tdev;
	int rc;

	/* That is not a PASID but the requests without one, which have operations of their own */
	if (cmd->pasid_attach.pasid == IOMMUFD_NO_PASID)
		return -EINVAL;
	tdev = get_test_device(ucmd->ictx, cmd->id);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	rc = iommufd_device_attach(tdev->idev, cmd->pasid_attach.pasid, cmd->pasid_attach.pt_id, how, report_pasid,
				   ucmd);
	iommufd_object_put(&ucmd->ictx->objs, &tdev->obj);
	return rc;
}

/**
 * iommufd_test_pasid_attach() - Attach a PASID of a device
 * @ucmd: struct iommu_test_cmd, pasid_attach
 *
 * Return: 0; -ENOENT for the device or where it shall go; -EBUSY if the PASID is attached; and as
 * iommufd_device_attach().
 */
int iommufd_test_pasid_attach(struct iommufd_ucmd *ucmd)
{
	return attach_pasid(ucmd, IOMMUFD_ATTACH_FIRST);
}

/**
 * iommufd_test_pasid_replace() - Move a PASID of a device to another page table
 * @ucmd: struct iommu_test_cmd, pasid_attach
 *
 * Return: 0; -ENOENT for the device or where it shall go; -EINVAL if the PASID is not attached; and as
 * iommufd_device_attach().
 */
int iommufd_test_pasid_replace(struct iommufd_ucmd *ucmd)
{
	return attach_pasid(ucmd, IOMMUFD_ATTACH_REPLACE);
}

/**
 * iommufd_test_pasid_detach() - Detach a PASID of a device
 * @ucmd: struct iommu_test_cmd, pasid_detach
 *
 * Return: 0, also when it is not attached; -ENOENT; -EINVAL for requests without PASID.
 */
int iommufd_test_pasid_detach(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_device *tdev;

	if (cmd->pasid_detach.pasid == IOMMUFD_NO_PASID)
		return -EINVAL;
	tdev = get_test_device(ucmd->ictx, cmd->id);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	iommufd_device_detach(tdev->idev, cmd->pasid_detach.pasid);
	iommufd_object_put(&ucmd->ictx->objs, &tdev->obj);
	return 0;
}

/* @domain: set to the domain of the page table, NULL for an id of 0, which names none */
static int get_domain(struct iommufd_ctx *ictx, u32 hwpt_id, struct iommu_domain **domain)
{
	struct iommufd_object *obj;
	int rc = 0;

	*domain = NULL;
	if (!hwpt_id)
		return 0;
	obj = iommufd_object_get(&ictx->objs, hwpt_id, NULL);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	if (obj->ops == &iommufd_hwpt_paging_ops || obj->ops == &iommufd_hwpt_nested_ops)
		*domain = container_of(obj, struct iommufd_hwpt, obj)->domain;
	else
		rc = -EINVAL;
	iommufd_object_put(&ictx->objs, obj);
	return rc;
}

/**
 * iommufd_test_pasid_check() - Is it a certain page table that translates a PASID of a device?
 * @ucmd: struct iommu_test_cmd, pasid_check
 *
 * What the IOMMU does counts, not what the context believes.
 *
 * Return: 0; -EINVAL if not, or for an object that is no page table; -ENOENT for the device or the page table.
 */
int iommufd_test_pasid_check(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommu_domain *domain;
	struct test_device *tdev;
	int rc;

	tdev = get_test_device(ucmd->ictx, cmd->id);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	rc = get_domain(ucmd->ictx, cmd->pasid_check.hwpt_id, &domain);
	if (!rc && mock_device_domain(tdev->mdev, cmd->pasid_check.pasid) != domain)
		rc = -EINVAL;
	iommufd_object_put(&ucmd->ictx->objs, &tdev->obj);
	return rc;
}

/**
 * iommufd_test_check_cache() - Does a slot of a device's cache have a certain value?
 * @ucmd: struct iommu_test_cmd, check_dev_cache; its id is that of the device itself
 *
 * Return: 0; -EINVAL if not, or for a slot that there is not, or a device that is none of ours; -ENOENT.
 */
int iommufd_test_check_cache(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_device *idev;
	struct mock_device *mdev;
	u32 slot = cmd->check_dev_cache.id;
	int rc = -EINVAL;

	idev = iommufd_get_device(ucmd->ictx, cmd->id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	mdev = to_mock_device(idev->member.dev);
	if (mdev && slot < MOCK_DEV_CACHE_NUM && mdev->cache[slot] == cmd->check_dev_cache.cache)
		rc = 0;
	iommufd_object_put(&ucmd->ictx->objs, &idev->obj);
	return rc;
}
