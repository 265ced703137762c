// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_device - mock devices as objects of a context
 *
 * A test device is what VFIO's file of a device would be: whoever holds it has bound a device, and destroying it takes
 * the device back. But it lives inside the context, so it links the device object: a context that ends destroys the
 * test device first.
 */
#include <linux/err.h>
#include <linux/slab.h>

#include "../device.h"
#include "mock_device.h"
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
static struct test_device *test_device_create(struct iommufd_ctx *ictx, u32 flags)
{
	struct test_device *tdev = kzalloc(sizeof(*tdev), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!tdev)
		return ERR_PTR(-ENOMEM);
	tdev->ictx = ictx;
	rc = iommufd_object_reserve(&ictx->objs, &tdev->obj, &test_device_ops);
	if (rc)
		goto err_free;
	tdev->mdev = mock_device_create(flags);
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

static int create_and_attach(struct iommufd_ucmd *ucmd, u32 flags)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_ctx *ictx = ucmd->ictx;
	struct test_device *tdev;
	int rc;

	tdev = test_device_create(ictx, flags);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	cmd->mock_domain.out_stdev_id = tdev->obj.id;
	cmd->mock_domain.out_idev_id = iommufd_device_id(tdev->idev);
	rc = iommufd_device_attach(tdev->idev, IOMMUFD_NO_PASID, cmd->id, IOMMUFD_ATTACH_FIRST, report_new_device,
				   ucmd);
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
	return create_and_attach(ucmd, 0);
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
	u32 flags = cmd->mock_domain_flags.dev_flags;

	if (flags & ~(MOCK_FLAGS_DEVICE_NO_DIRTY | MOCK_FLAGS_DEVICE_PASID))
		return -EINVAL;
	return create_and_attach(ucmd, flags);
}

static int report_replacement(void *data, u32 pt_id)
{
	struct iommufd_ucmd *ucmd = data;
	struct iommu_test_cmd *cmd = ucmd->cmd;

	cmd->mock_domain_replace.pt_id = pt_id;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

/**
 * iommufd_test_mock_domain_replace() - Move a device to another IOAS or page table
 * @ucmd: struct iommu_test_cmd, mock_domain_replace
 *
 * Return: 0; -ENOENT for the device or where it shall go; and as iommufd_device_attach().
 */
int iommufd_test_mock_domain_replace(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_device *tdev;
	int rc;

	tdev = get_test_device(ucmd->ictx, cmd->id);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	rc = iommufd_device_attach(tdev->idev, IOMMUFD_NO_PASID, cmd->mock_domain_replace.pt_id,
				   IOMMUFD_ATTACH_REPLACE, report_replacement, ucmd);
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
