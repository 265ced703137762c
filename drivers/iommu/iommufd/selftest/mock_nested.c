// SPDX-License-Identifier: GPL-2.0-only
/*
 * mock_nested - domains of the mock IOMMU that a guest writes, and the vIOMMUs that they are made in
 *
 * There is no guest and no table. What is left is what user space can see: a cache of a few numbers that is there
 * from the beginning and goes when the guest says that it changed its tables.
 */
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "mock_device.h"
#include "mock_iommu.h"
#include "mock_nested.h"

static int copy_iotlb(u32 *iotlb, const struct iommu_driver_data *data)
{
	struct iommu_hwpt_selftest guest;
	int rc;

	rc = iommu_driver_data_copy(&guest, data, IOMMU_HWPT_DATA_SELFTEST, offsetofend(typeof(guest), iotlb),
				    sizeof(guest));
	*iotlb = guest.iotlb;
	return rc;
}

static struct iommu_domain *nested_create(struct iommu_domain *parent, bool in_viommu, u32 flags,
					  const struct iommu_driver_data *data)
{
	struct mock_nested *nested;
	unsigned int i;
	u32 iotlb;
	int rc;

	if (flags & ~IOMMU_HWPT_ALLOC_PASID)
		return ERR_PTR(-EOPNOTSUPP);
	rc = copy_iotlb(&iotlb, data);
	if (rc)
		return ERR_PTR(rc);
	nested = kzalloc(sizeof(*nested), GFP_KERNEL_ACCOUNT);
	if (!nested)
		return ERR_PTR(-ENOMEM);
	nested->parent = mock_domain_of(parent);
	nested->in_viommu = in_viommu;
	for (i = 0; i < ARRAY_SIZE(nested->iotlb); i++)
		nested->iotlb[i] = iotlb;
	atomic_inc(&nested->parent->attached);
	return &nested->domain;
}

/**
 * mock_domain_alloc_nested() - Make a domain that a guest writes
 * @dev: device, any
 * @parent: paging domain of the mock IOMMU
 * @flags: IOMMU_HWPT_ALLOC_PASID
 * @data: struct iommu_hwpt_selftest
 *
 * Return: the domain, or ERR_PTR as in struct iommu_ops.
 */
struct iommu_domain *mock_domain_alloc_nested(struct device *dev, struct iommu_domain *parent, u32 flags,
					      const struct iommu_driver_data *data)
{
	return nested_create(parent, false, flags, data);
}

/**
 * mock_nested_free() - Undo mock_domain_alloc_nested(), or the same in a vIOMMU
 * @domain: nested domain that is not attached
 */
void mock_nested_free(struct iommu_domain *domain)
{
	struct mock_nested *nested = mock_nested_of(domain);

	WARN_ON(atomic_read(&nested->attached));
	atomic_dec(&nested->parent->attached);
	kfree(nested);
}

/**
 * mock_nested_check() - Can requests without PASID be translated by a nested domain?
 * @domain: nested domain
 *
 * Return: 0; -ENOENT for one in a vIOMMU, which has to know the device by the number that the guest gave it.
 */
int mock_nested_check(struct iommu_domain *domain)
{
	return mock_nested_of(domain)->in_viommu ? -ENOENT : 0;
}

static int invalidate_one(struct mock_nested *nested, const struct iommu_hwpt_invalidate_selftest *entry)
{
	if (entry->flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL)
		return -EOPNOTSUPP;
	if (entry->iotlb_id >= ARRAY_SIZE(nested->iotlb))
		return -EINVAL;
	if (entry->flags & IOMMU_TEST_INVALIDATE_FLAG_ALL)
		memset(nested->iotlb, 0, sizeof(nested->iotlb));
	else
		nested->iotlb[entry->iotlb_id] = 0;
	return 0;
}

/**
 * mock_nested_invalidate() - Drop what is cached
 * @domain: nested domain
 * @array: struct iommu_hwpt_invalidate_selftest
 *
 * Return: 0; -EINVAL for the type or the length of an entry, or a slot that there is not; -EOPNOTSUPP for flags;
 * -EFAULT.
 */
int mock_nested_invalidate(struct iommu_domain *domain, struct iommu_driver_array *array)
{
	struct iommu_hwpt_invalidate_selftest entry;
	int rc = 0;

	if (array->type != IOMMU_HWPT_INVALIDATE_DATA_SELFTEST)
		return -EINVAL;
	if (array->num && array->entry_len != sizeof(entry))
		return -EINVAL;
	for (; array->done < array->num; array->done++) {
		rc = iommu_driver_array_copy(&entry, array, array->done, sizeof(entry), sizeof(entry));
		if (!rc)
			rc = invalidate_one(mock_nested_of(domain), &entry);
		if (rc)
			break;
		cond_resched();
	}
	return rc;
}

/**
 * struct mock_viommu - A guest's share of the mock IOMMU
 * @core: what the core knows
 * @parent: domain that its domains stand on
 */
struct mock_viommu {
	struct iommu_viommu core;
	struct iommu_domain *parent;
};

static struct iommu_viommu *viommu_alloc(struct device *dev, struct iommu_domain *parent,
					 const struct iommu_driver_data *data)
{
	struct mock_viommu *viommu;

	/* A window to the guest's registers is what it could be about, and there is none */
	if (data->len)
		return ERR_PTR(-EOPNOTSUPP);
	viommu = kzalloc(sizeof(*viommu), GFP_KERNEL_ACCOUNT);
	if (!viommu)
		return ERR_PTR(-ENOMEM);
	viommu->parent = parent;
	atomic_inc(&mock_domain_of(parent)->attached);
	return &viommu->core;
}

static void viommu_free(struct iommu_viommu *core)
{
	struct mock_viommu *viommu = container_of(core, struct mock_viommu, core);

	atomic_dec(&mock_domain_of(viommu->parent)->attached);
	kfree(viommu);
}

static struct iommu_domain *viommu_alloc_nested(struct iommu_viommu *core, struct device *dev, u32 flags,
						const struct iommu_driver_data *data)
{
	return nested_create(container_of(core, struct mock_viommu, core)->parent, true, flags, data);
}

static const struct iommu_viommu_ops viommu_ops = {
	.alloc = viommu_alloc,
	.free = viommu_free,
	.domain_alloc_nested = viommu_alloc_nested,
};

/**
 * mock_viommu_type() - What the mock IOMMU offers a guest
 * @dev: device, any
 * @type: IOMMU_VIOMMU_TYPE_SELFTEST
 *
 * Return: its operations, or NULL for another type.
 */
const struct iommu_viommu_ops *mock_viommu_type(struct device *dev, u32 type)
{
	return type == IOMMU_VIOMMU_TYPE_SELFTEST ? &viommu_ops : NULL;
}
