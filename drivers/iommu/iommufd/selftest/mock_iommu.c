// SPDX-License-Identifier: GPL-2.0-only
/*
 * mock_iommu - an IOMMU driver without hardware
 *
 * It stands behind the mock devices and works like any driver: the core and /dev/iommu call its operations, and do not
 * know that it is one for tests. What hardware would do wrong in silence it complains about: a domain that is freed
 * while a device uses it or while something is mapped, a mapping over another, a leaf that is cut.
 *
 * Locking: attached devices are counted under the mutex of their groups; a page table has a lock of its own.
 */
#include <linux/log2.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "../../iommu-priv.h"
#include "mock_device.h"
#include "mock_iommu.h"

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

/* @mock: new domain of the device, NULL for none */
static void set_domain(struct device *dev, struct mock_domain *mock)
{
	struct mock_device *mdev = to_mock_device(dev);

	if (mock)
		atomic_inc(&mock->devices);
	if (mdev->domain)
		atomic_dec(&mdev->domain->devices);
	mdev->domain = mock;
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

	/* Whatever is translated a second time looks the same from here */
	if (flags & ~IOMMU_HWPT_ALLOC_NEST_PARENT)
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

	WARN_ON(atomic_read(&mock->devices));
	mock_table_destroy(&mock->table);
	kfree(mock);
}

static int paging_attach(struct iommu_domain *domain, struct device *dev)
{
	set_domain(dev, mock_domain_of(domain));
	return 0;
}

/* Every table suits every device, and switching needs nothing that could be missing */
static int paging_replace_prepare(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	return 0;
}

static void paging_replace_commit(struct iommu_domain *domain, struct iommu_domain *old, struct device *dev)
{
	set_domain(dev, mock_domain_of(domain));
}

static void paging_replace_abort(struct iommu_domain *domain, struct device *dev)
{
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

static phys_addr_t paging_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	return mock_table_phys(&mock_domain_of(domain)->table, iova);
}

static const struct iommu_domain_ops paging_ops = {
	.attach_dev = paging_attach,
	.replace_prepare = paging_replace_prepare,
	.replace_commit = paging_replace_commit,
	.replace_abort = paging_replace_abort,
	.map_pages = paging_map_pages,
	.unmap_pages = paging_unmap_pages,
	.iova_to_phys = paging_iova_to_phys,
	.free = paging_free,
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

static const struct iommu_ops mock_ops = {
	.owner = THIS_MODULE,
	.capable = mock_capable,
	.hw_info = mock_hw_info,
	.domain_alloc = mock_domain_alloc,
	.domain_alloc_settled = mock_domain_alloc_settled,
	.def_domain_type = mock_def_domain_type,
	.probe_device = mock_probe_device,
	.device_group = generic_device_group,
	.default_domain_ops = &paging_ops,
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
