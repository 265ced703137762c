// SPDX-License-Identifier: GPL-2.0-only
/*
 * mock_iommu - an IOMMU driver without hardware
 *
 * It stands behind the mock devices and works like any driver: the core and /dev/iommu call its operations, and do not
 * know that it is one for tests. What hardware would do wrong in silence it complains about: a domain that is freed
 * while a device uses it or while something is mapped, a mapping over another, a leaf that is cut; a switch from a
 * domain that is not the present one, or that was not prepared; a device that goes with a PASID still attached.
 *
 * Locking: what a device is attached to changes under the mutex of its group; a page table has a lock of its own.
 */
#include <linux/delay.h>
#include <linux/log2.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "../../iommu-priv.h"
#include "mock_device.h"
#include "mock_fault.h"
#include "mock_iommu.h"
#include "mock_nested.h"

/* All devices are behind this one */
static struct iommu_device mock_hardware = {
	.max_pasids = 1U << MOCK_PASID_WIDTH,
};

static const struct iommu_domain_ops paging_ops;

/**
 * mock_domain_of() - The mock IOMMU's view of a domain
 * @domain: any domain
 *
 * Return: the paging domain, or NULL if it is not one of the mock IOMMU.
 */
struct mock_domain *mock_domain_of(struct iommu_domain *domain)
{
	return domain->ops == &paging_ops ? container_of(domain, struct mock_domain, domain) : NULL;
}

/* How often a domain is in use; NULL for one that does not care */
static atomic_t *uses_of(struct iommu_domain *domain)
{
	if (domain && mock_domain_of(domain))
		return &mock_domain_of(domain)->attached;
	if (domain && mock_nested_of(domain))
		return &mock_nested_of(domain)->attached;
	return NULL;
}

static void count_use(struct iommu_domain *domain, struct iommu_domain *old)
{
	if (uses_of(domain))
		atomic_inc(uses_of(domain));
	if (uses_of(old))
		atomic_dec(uses_of(old));
}

/* @domain: what translates requests without PASID from now on, NULL for nothing */
static void set_domain(struct device *dev, struct iommu_domain *domain)
{
	struct mock_device *mdev = to_mock_device(dev);

	count_use(domain, mdev->domain);
	WRITE_ONCE(mdev->domain, domain);
}

/**
 * mock_device_domain() - What a device's requests are translated by
 * @mdev: the device
 * @pasid: the PASID, or IOMMU_NO_PASID for requests without
 *
 * Return: the domain, good for a comparison only; NULL when the requests are not translated.
 */
struct iommu_domain *mock_device_domain(struct mock_device *mdev, ioasid_t pasid)
{
	return pasid == IOMMU_NO_PASID ? READ_ONCE(mdev->domain) : xa_load(&mdev->pasids, pasid);
}

/**
 * struct mock_switch - A switch that was prepared
 * @domain: domain to switch to
 *
 * It stands for what hardware needs memory for: so each device of a group can be the one that cannot be switched.
 */
struct mock_switch {
	struct iommu_domain *domain;
};

static int prepare_switch(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev, ioasid_t pasid)
{
	struct mock_device *mdev = to_mock_device(dev);
	struct mock_switch *prepared;
	int rc;

	if (WARN_ON(mock_device_domain(mdev, pasid) != old))
		return -EINVAL;
	prepared = kmalloc(sizeof(*prepared), GFP_KERNEL);
	if (!prepared)
		return -ENOMEM;
	prepared->domain = domain;
	rc = xa_insert(&mdev->prepared, pasid, prepared, GFP_KERNEL);
	if (rc) {
		WARN_ON(rc == -EBUSY);
		kfree(prepared);
	}
	return rc;
}

/* A prepared switch is done or given up */
static void end_switch(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct mock_switch *prepared = xa_erase(&to_mock_device(dev)->prepared, pasid);

	WARN_ON(!prepared || prepared->domain != domain);
	kfree(prepared);
}

/* ---- domains that translate nothing: a mock device does no DMA, so there is one of each kind for all ---- */

static int static_attach(struct iommu_domain *domain, struct device *dev)
{
	set_domain(dev, NULL);
	return 0;
}

static void static_free(struct iommu_domain *domain)
{
}

static const struct iommu_domain_ops static_ops = {
	.attach_dev = static_attach,
	.free = static_free,
};

static struct iommu_domain identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &static_ops,
};

static struct iommu_domain blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &static_ops,
};

static struct iommu_domain *mock_domain_alloc(unsigned int type)
{
	switch (type) {
	case IOMMU_DOMAIN_IDENTITY:
		return &identity_domain;
	case IOMMU_DOMAIN_BLOCKED:
		return &blocked_domain;
	default:
		return NULL;
	}
}

static int mock_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

/* ---- paging domains ---- */

static struct iommu_domain *mock_domain_alloc_settled(struct device *dev, u32 flags)
{
	struct mock_domain *mock;
	int rc;

	/* Whatever is translated a second time, or for a PASID, looks the same from here */
	if (flags & ~(IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_PASID))
		return ERR_PTR(-EOPNOTSUPP);
	mock = kzalloc(sizeof(*mock), GFP_KERNEL_ACCOUNT);
	if (!mock)
		return ERR_PTR(-ENOMEM);
	rc = mock_table_init(&mock->table);
	if (rc) {
		kfree(mock);
		return ERR_PTR(rc);
	}
	mock->domain.pgsize_bitmap = GENMASK(MOCK_LEAF_ORDER_MAX, MOCK_LEAF_ORDER_MIN);
	mock->domain.geometry.aperture_start = MOCK_APERTURE_START;
	mock->domain.geometry.aperture_end = MOCK_APERTURE_LAST;
	mock->domain.geometry.force_aperture = true;
	return &mock->domain;
}

static void paging_free(struct iommu_domain *domain)
{
	struct mock_domain *mock = mock_domain_of(domain);

	WARN_ON(atomic_read(&mock->attached));
	mock_table_destroy(&mock->table);
	kfree(mock);
}

/* Every table suits every device, if there is memory */
static int paging_attach(struct iommu_domain *domain, struct device *dev)
{
	int rc = prepare_switch(domain, to_mock_device(dev)->domain, dev, IOMMU_NO_PASID);

	if (rc)
		return rc;
	end_switch(domain, dev, IOMMU_NO_PASID);
	set_domain(dev, domain);
	return 0;
}

static int paging_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	return prepare_switch(domain, old, dev, IOMMU_NO_PASID);
}

static void paging_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	WARN_ON(to_mock_device(dev)->domain != old);
	end_switch(domain, dev, IOMMU_NO_PASID);
	set_domain(dev, domain);
}

static void paging_replace_abort(struct iommu_domain *domain, struct device *dev)
{
	end_switch(domain, dev, IOMMU_NO_PASID);
}

static int paging_pasid_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
				ioasid_t pasid)
{
	struct mock_device *mdev = to_mock_device(dev);
	int rc;

	if (WARN_ON(!mdev->pasids_enabled))
		return -EINVAL;
	if (pasid == MOCK_PASID_RESERVED && mdev->pasid_refuses) {
		mdev->pasid_refuses = false;
		return -ENOMEM;
	}
	/* With this the place in the table is there as well */
	rc = xa_reserve(&mdev->pasids, pasid, GFP_KERNEL);
	if (rc)
		return rc;
	rc = prepare_switch(domain, old, dev, pasid);
	if (rc)
		xa_release(&mdev->pasids, pasid);
	return rc;
}

static void paging_pasid_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev,
				ioasid_t pasid)
{
	struct mock_device *mdev = to_mock_device(dev);

	end_switch(domain, dev, pasid);
	WARN_ON(xa_store(&mdev->pasids, pasid, domain, GFP_NOWAIT) != old);
	count_use(domain, old);
	if (pasid == MOCK_PASID_RESERVED)
		mdev->pasid_refuses = true;
}

static void paging_pasid_abort(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	end_switch(domain, dev, pasid);
	xa_release(&to_mock_device(dev)->pasids, pasid);
}

static int paging_map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t paddr, size_t pgsize,
			    size_t pgcount, int prot, gfp_t gfp, size_t *mapped)
{
	struct mock_domain *mock = mock_domain_of(domain);
	int rc = 0;

	while (pgcount-- && !rc) {
		rc = mock_table_map(&mock->table, iova, paddr, ilog2(pgsize), gfp);
		if (!rc)
			*mapped += pgsize;
		iova += pgsize;
		paddr += pgsize;
	}
	return rc;
}

static size_t paging_unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize, size_t pgcount,
				 struct iommu_iotlb_gather *gather)
{
	return mock_table_unmap(&mock_domain_of(domain)->table, iova, pgsize * pgcount);
}

static unsigned long paging_leaves(struct iommu_domain *domain, size_t pgsize)
{
	if (!is_power_of_2(pgsize) || !(domain->pgsize_bitmap & pgsize))
		return 0;
	return mock_table_leaves(&mock_domain_of(domain)->table, ilog2(pgsize));
}

static phys_addr_t paging_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	return mock_table_phys(&mock_domain_of(domain)->table, iova);
}

static const struct iommu_domain_ops paging_ops = {
	.attach_dev = paging_attach,
	.replace_prepare = paging_replace_prepare,
	.replace_commit = paging_replace_commit,
	.replace_abort = paging_replace_abort,
	.pasid_prepare = paging_pasid_prepare,
	.pasid_commit = paging_pasid_commit,
	.pasid_abort = paging_pasid_abort,
	.map_pages = paging_map_pages,
	.unmap_pages = paging_unmap_pages,
	.leaves = paging_leaves,
	.iova_to_phys = paging_iova_to_phys,
	.free = paging_free,
};

/* ---- domains that a guest writes: attached like paging ones ---- */

static int nested_attach(struct iommu_domain *domain, struct device *dev)
{
	return mock_nested_check(domain) ?: paging_attach(domain, dev);
}

static int nested_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	return mock_nested_check(domain) ?: paging_replace_prepare(domain, old, dev);
}

const struct iommu_domain_ops mock_nested_ops = {
	.attach_dev = nested_attach,
	.replace_prepare = nested_replace_prepare,
	.replace_commit = paging_replace_commit,
	.replace_abort = paging_replace_abort,
	.pasid_prepare = paging_pasid_prepare,
	.pasid_commit = paging_pasid_commit,
	.pasid_abort = paging_pasid_abort,
	.invalidate_user = mock_nested_invalidate,
	.free = mock_nested_free,
};

/* ---- the driver ---- */

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_CACHE_COHERENCY || cap == IOMMU_CAP_INTR_REMAP;
}

static void *mock_hw_info(struct device *dev, u32 *len, u32 *type)
{
	struct iommu_test_hw_info *info = kzalloc(sizeof(*info), GFP_KERNEL);

	if (!info)
		return ERR_PTR(-ENOMEM);
	info->test_reg = IOMMU_HW_INFO_SELFTEST_REGVAL;
	*len = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_SELFTEST;
	return info;
}

static struct iommu_device *mock_probe_device(struct device *dev)
{
	return &mock_hardware;
}

/* The group may go on without this device, which then is attached to this day */
static void mock_release_device(struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);

	/* Hardware takes its time; a group that moves meanwhile leaves a domain which this device still uses */
	if (mdev->sibling)
		usleep_range(100, 200);
	set_domain(dev, NULL);
	WARN_ON(!xa_empty(&mdev->pasids) || mdev->pasids_enabled || !xa_empty(&mdev->prepared));
}

static struct iommu_group *mock_device_group(struct device *dev)
{
	struct mock_device *sibling = to_mock_device(dev)->sibling;

	return sibling ? iommu_group_get(&sibling->dev) : generic_device_group(dev);
}

static void keep_region(struct device *dev, struct iommu_resv_region *region)
{
}

/* The list is made of what lives in the device, so that it cannot be one too short for want of memory */
static void mock_get_resv_regions(struct device *dev, struct list_head *list)
{
	struct iommu_resv_region *region = &to_mock_device(dev)->region;

	region->free = keep_region;
	if (region->length)
		list_add_tail(&region->list, list);
}

static int mock_pasid_enable(struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);
	u32 bits;

	WARN_ON(mdev->pasids_enabled);
	if (device_property_read_u32(dev, "pasid-num-bits", &bits))
		return 0;
	mdev->pasids_enabled = true;
	return 1U << bits;
}

static void mock_pasid_disable(struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);

	WARN_ON(!mdev->pasids_enabled || !xa_empty(&mdev->pasids));
	mdev->pasids_enabled = false;
}

static void mock_pasid_remove(struct iommu_domain *old, struct device *dev, ioasid_t pasid)
{
	struct mock_device *mdev = to_mock_device(dev);

	WARN_ON(xa_erase(&mdev->pasids, pasid) != old);
	count_use(NULL, old);
	if (pasid == MOCK_PASID_RESERVED)
		mdev->pasid_refuses = false;
}

static const struct iommu_ops mock_ops = {
	.owner = THIS_MODULE,
	.capable = mock_capable,
	.hw_info = mock_hw_info,
	.domain_alloc = mock_domain_alloc,
	.domain_alloc_settled = mock_domain_alloc_settled,
	.domain_alloc_nested = mock_domain_alloc_nested,
	.viommu_type = mock_viommu_type,
	.def_domain_type = mock_def_domain_type,
	.probe_device = mock_probe_device,
	.release_device = mock_release_device,
	.device_group = mock_device_group,
	.get_resv_regions = mock_get_resv_regions,
	.pasid_enable = mock_pasid_enable,
	.pasid_disable = mock_pasid_disable,
	.pasid_remove = mock_pasid_remove,
	.fault_enable = mock_fault_enable,
	.fault_disable = mock_fault_disable,
	.page_response = mock_page_response,
	.default_domain_ops = &paging_ops,
	.nested_domain_ops = &mock_nested_ops,
};

/**
 * mock_iommu_init() - Put the mock IOMMU in front of the mock bus
 *
 * Return: 0, or -errno.
 */
int mock_iommu_init(void)
{
	int rc;

	rc = iommu_device_sysfs_add(&mock_hardware, NULL, NULL, "iommufd_selftest_iommu.0");
	if (rc)
		return rc;
	rc = iommu_mock_bus_register(&mock_bus, &mock_hardware, &mock_ops);
	if (rc)
		iommu_device_sysfs_remove(&mock_hardware);
	return rc;
}
