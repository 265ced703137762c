// SPDX-License-Identifier: GPL-2.0-only
/*
 * mock_device - a bus with devices that do no DMA
 *
 * They come and go as the test ioctl asks. This file knows the IOMMU core, and nothing of /dev/iommu.
 */
#include <linux/err.h>
#include <linux/idr.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "../../iommu-priv.h"
#include "mock_device.h"

static DEFINE_IDA(numbers);

struct bus_type mock_bus = {
	.name = "iommufd_mock",
};

static const struct property_entry pasid_properties[] = {
	PROPERTY_ENTRY_U32("pasid-num-bits", MOCK_PASID_WIDTH),
	{ }
};

/* What the firmware says about a device that can use PASIDs */
static const struct software_node pasid_node = {
	.name = "iommufd_mock_pasid",
	.properties = pasid_properties,
};

/**
 * mock_bus_init() - Register the bus
 *
 * Return: 0, or -errno.
 */
int mock_bus_init(void)
{
	int rc;

	rc = software_node_register(&pasid_node);
	if (rc)
		return rc;
	rc = bus_register(&mock_bus);
	if (rc)
		software_node_unregister(&pasid_node);
	return rc;
}

/**
 * mock_bus_exit() - Undo mock_bus_init(); there is no device left
 */
void mock_bus_exit(void)
{
	bus_unregister(&mock_bus);
	software_node_unregister(&pasid_node);
	ida_destroy(&numbers);
}

static void mock_device_release(struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);

	/* The IOMMU has forgotten it: see mock_release_device() */
	xa_destroy(&mdev->prepared);
	xa_destroy(&mdev->pasids);
	ida_free(&numbers, mdev->number);
	kfree(mdev);
}

static struct mock_device *alloc_device(const struct mock_device_traits *traits)
{
	struct mock_device *mdev = kzalloc(sizeof(*mdev), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!mdev)
		return ERR_PTR(-ENOMEM);
	mdev->number = ida_alloc(&numbers, GFP_KERNEL);
	if (mdev->number < 0) {
		int rc = mdev->number;

		kfree(mdev);
		return ERR_PTR(rc);
	}
	for (i = 0; i < MOCK_DEV_CACHE_NUM; i++)
		mdev->cache[i] = IOMMU_TEST_DEV_CACHE_DEFAULT;
	xa_init(&mdev->pasids);
	xa_init(&mdev->prepared);
	mdev->sibling = traits->sibling;
	mdev->region.start = traits->resv_start;
	mdev->region.length = traits->resv_length;
	mdev->region.type = IOMMU_RESV_RESERVED;
	device_initialize(&mdev->dev);
	mdev->dev.bus = &mock_bus;
	mdev->dev.release = mock_device_release;
	return mdev;
}

/**
 * mock_device_create() - Plug in a device
 * @traits: what it shall be like
 *
 * Return: the device, or ERR_PTR: -ENOMEM.
 */
struct mock_device *mock_device_create(const struct mock_device_traits *traits)
{
	struct mock_device *mdev = alloc_device(traits);
	int rc;

	if (IS_ERR(mdev))
		return mdev;
	rc = dev_set_name(&mdev->dev, "iommufd_mock%d", mdev->number);
	if (rc)
		goto err_put;
	rc = device_add(&mdev->dev);
	if (rc)
		goto err_put;
	/*
	 * While the driver core adds or removes a device it keeps links between it and its software node, and when
	 * there was no memory for one of them Linux 6.1 drops a reference that it did not take. So it sees no node.
	 */
	if (traits->flags & MOCK_FLAGS_DEVICE_PASID)
		device_set_node(&mdev->dev, software_node_fwnode(&pasid_node));
	rc = iommu_mock_bus_add_device(&mdev->dev);
	if (rc)
		goto err_del;
	return mdev;

err_del:
	device_set_node(&mdev->dev, NULL);
	device_del(&mdev->dev);
err_put:
	put_device(&mdev->dev);
	return ERR_PTR(rc);
}

/**
 * mock_device_destroy() - Unplug a device
 * @mdev: device that nobody has bound
 */
void mock_device_destroy(struct mock_device *mdev)
{
	iommu_mock_bus_remove_device(&mdev->dev);
	device_set_node(&mdev->dev, NULL);
	device_unregister(&mdev->dev);
}
