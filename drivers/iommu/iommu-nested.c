// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommu-nested - domains whose first stage a guest writes, and vIOMMUs that they are made in
 *
 * A nested domain translates twice: what the guest's tables say is an address of the parent, a paging domain of the
 * kernel. The kernel never maps into a nested domain; it is told what the guest changed, and drops what hardware may
 * have cached of that. What is in the data that describes a guest's tables only the driver knows, so it goes to the
 * driver as it came from user space, with these functions to read it.
 *
 * Attaching works as for any domain.
 */
#include <linux/err.h>
#include <linux/uaccess.h>

#include "iommu-priv.h"

/**
 * iommu_driver_data_copy() - Read the data that a user gave for a driver
 * @dst: where to, @size bytes
 * @data: what the user gave
 * @type: type that @dst is
 * @min: bytes up to the last field of the first version of the structure
 * @size: bytes of the structure as the driver knows it
 *
 * What the user left out reads as zero, what the driver does not know must be zero.
 *
 * Return: 0; -EOPNOTSUPP when the data is of another type; -EINVAL when it is too short; -E2BIG; -EFAULT.
 */
int iommu_driver_data_copy(void *dst, const struct iommu_driver_data *data, u32 type, size_t min, size_t size)
{
	if (data->type != type)
		return -EOPNOTSUPP;
	if (data->len < min)
		return -EINVAL;
	return copy_struct_from_user(dst, size, data->uptr, data->len);
}
EXPORT_SYMBOL_GPL(iommu_driver_data_copy);

/**
 * iommu_driver_array_copy() - Read one entry of an array that a user gave for a driver
 * @dst: where to, @size bytes
 * @array: what the user gave
 * @index: which entry, below @array->num
 * @min: bytes up to the last field of the first version of an entry
 * @size: bytes of an entry as the driver knows it
 *
 * Return: 0; -EINVAL when the entries are too short; -E2BIG; -EFAULT.
 */
int iommu_driver_array_copy(void *dst, const struct iommu_driver_array *array, u32 index, size_t min, size_t size)
{
	if (array->entry_len < min)
		return -EINVAL;
	return copy_struct_from_user(dst, size, array->uptr + (size_t)index * array->entry_len, array->entry_len);
}
EXPORT_SYMBOL_GPL(iommu_driver_array_copy);

/* Does the driver of @dev know @parent for one of its own? Domains carry no owner, but their operations do. */
static bool same_driver(const struct iommu_ops *ops, struct iommu_domain *parent)
{
	return parent->ops == ops->default_domain_ops;
}

static struct iommu_domain *settle(struct device *dev, struct iommu_domain *domain)
{
	if (IS_ERR(domain))
		return domain;
	domain->type = IOMMU_DOMAIN_GUEST;
	domain->ops = dev_iommu_ops(dev)->nested_domain_ops;
	return domain;
}

/**
 * iommu_domain_alloc_nested() - Make a domain whose first stage a guest writes
 * @dev: device that the domain shall fit
 * @parent: domain that translates what the first stage says; was allocated with IOMMU_HWPT_ALLOC_NEST_PARENT, and
 *	    outlives the result
 * @flags: IOMMU_HWPT_ALLOC_*
 * @data: where the guest's tables are
 *
 * Context: May sleep. @dev stays in its group meanwhile.
 * Return: the domain, freed by iommu_domain_free(); or an ERR_PTR: -ENODEV without an IOMMU; -EOPNOTSUPP when the
 * driver cannot nest, or does not know a flag or the type of @data; -EINVAL for a parent of another driver; or
 * another error of the driver.
 */
struct iommu_domain *iommu_domain_alloc_nested(struct device *dev, struct iommu_domain *parent, u32 flags,
					       const struct iommu_driver_data *data)
{
	const struct iommu_ops *ops = iommu_device_ops(dev);

	if (!ops)
		return ERR_PTR(-ENODEV);
	if (!ops->domain_alloc_nested)
		return ERR_PTR(-EOPNOTSUPP);
	if (!same_driver(ops, parent))
		return ERR_PTR(-EINVAL);
	return settle(dev, ops->domain_alloc_nested(dev, parent, flags, data));
}
EXPORT_SYMBOL_GPL(iommu_domain_alloc_nested);

/**
 * iommu_domain_invalidate() - Drop what hardware has cached of a guest's tables
 * @domain: nested domain
 * @array: what the guest changed; @array->done is set to the number of entries that were carried out
 *
 * Context: May sleep.
 * Return: 0; -EOPNOTSUPP when the driver cannot; or an error of the driver about the entry after the last one done.
 */
int iommu_domain_invalidate(struct iommu_domain *domain, struct iommu_driver_array *array)
{
	array->done = 0;
	if (!domain->ops->invalidate_user)
		return -EOPNOTSUPP;
	return domain->ops->invalidate_user(domain, array);
}
EXPORT_SYMBOL_GPL(iommu_domain_invalidate);

/**
 * iommu_viommu_type() - Find what the IOMMU of a device offers a guest
 * @dev: a device
 * @type: enum iommu_viommu_type
 *
 * Return: the operations of that type of vIOMMU, or NULL when there is none.
 */
const struct iommu_viommu_ops *iommu_viommu_type(struct device *dev, u32 type)
{
	const struct iommu_ops *ops = iommu_device_ops(dev);

	return ops && ops->viommu_type ? ops->viommu_type(dev, type) : NULL;
}
EXPORT_SYMBOL_GPL(iommu_viommu_type);

/**
 * iommu_viommu_alloc() - Make a guest's share of the IOMMU of a device
 * @dev: a device behind it
 * @ops: what iommu_viommu_type() found
 * @parent: domain that all nested domains in it will stand on, as in iommu_domain_alloc_nested(); outlives the result
 * @data: for the driver; a length of 0 is none
 *
 * Context: May sleep. @dev stays in its group meanwhile.
 * Return: the vIOMMU, for iommu_viommu_free(); or an ERR_PTR: -EINVAL for a parent of another driver; or an error of
 * the driver.
 */
struct iommu_viommu *iommu_viommu_alloc(struct device *dev, const struct iommu_viommu_ops *ops,
					struct iommu_domain *parent, const struct iommu_driver_data *data)
{
	struct iommu_viommu *viommu;

	if (!same_driver(dev_iommu_ops(dev), parent))
		return ERR_PTR(-EINVAL);
	viommu = ops->alloc(dev, parent, data);
	if (!IS_ERR(viommu)) {
		viommu->ops = ops;
		viommu->iommu = dev->iommu->iommu_dev;
	}
	return viommu;
}
EXPORT_SYMBOL_GPL(iommu_viommu_alloc);

/**
 * iommu_viommu_free() - Undo iommu_viommu_alloc()
 * @viommu: vIOMMU in which nothing is left
 */
void iommu_viommu_free(struct iommu_viommu *viommu)
{
	viommu->ops->free(viommu);
}
EXPORT_SYMBOL_GPL(iommu_viommu_free);

/**
 * iommu_viommu_alloc_nested() - Make a nested domain in a vIOMMU
 * @viommu: vIOMMU; outlives the result
 * @dev: device that the domain shall fit
 * @flags: IOMMU_HWPT_ALLOC_*
 * @data: where the guest's tables are
 *
 * Context: May sleep. @dev stays in its group meanwhile.
 * Return: as iommu_domain_alloc_nested(); -EINVAL also for a device behind another IOMMU than @viommu.
 */
struct iommu_domain *iommu_viommu_alloc_nested(struct iommu_viommu *viommu, struct device *dev, u32 flags,
					       const struct iommu_driver_data *data)
{
	if (!iommu_device_ops(dev))
		return ERR_PTR(-ENODEV);
	if (dev->iommu->iommu_dev != viommu->iommu)
		return ERR_PTR(-EINVAL);
	if (!viommu->ops->domain_alloc_nested)
		return ERR_PTR(-EOPNOTSUPP);
	return settle(dev, viommu->ops->domain_alloc_nested(viommu, dev, flags, data));
}
EXPORT_SYMBOL_GPL(iommu_viommu_alloc_nested);

/**
 * iommu_viommu_invalidate() - Drop what hardware and devices have cached for a guest
 * @viommu: vIOMMU
 * @array: commands of the guest; @array->done is set to the number of entries that were carried out
 *
 * Context: May sleep.
 * Return: as iommu_domain_invalidate().
 */
int iommu_viommu_invalidate(struct iommu_viommu *viommu, struct iommu_driver_array *array)
{
	array->done = 0;
	if (!viommu->ops->invalidate_user)
		return -EOPNOTSUPP;
	return viommu->ops->invalidate_user(viommu, array);
}
EXPORT_SYMBOL_GPL(iommu_viommu_invalidate);
