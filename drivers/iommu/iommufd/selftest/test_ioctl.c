// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_ioctl - the command that tests use beside the ABI, and its operations
 *
 * It is not part of any room: it calls them from outside, as drivers and user space do, and adds itself to the command
 * table when the kernel starts.
 */
#include <linux/init.h>
#include <linux/stddef.h>

#include "../ioctl.h"
#include "mock_device.h"
#include "mock_iommu.h"
#include "test_ops.h"

static int (*const operations[])(struct iommufd_ucmd *ucmd) = {
	[IOMMU_TEST_OP_ADD_RESERVED] = iommufd_test_add_reserved,
	[IOMMU_TEST_OP_MOCK_DOMAIN] = iommufd_test_mock_domain,
	[IOMMU_TEST_OP_MD_CHECK_MAP] = iommufd_test_check_map,
	[IOMMU_TEST_OP_MD_CHECK_REFS] = iommufd_test_check_refs,
	[IOMMU_TEST_OP_CREATE_ACCESS] = iommufd_test_create_access,
	[IOMMU_TEST_OP_DESTROY_ACCESS_PAGES] = iommufd_test_unpin_access,
	[IOMMU_TEST_OP_ACCESS_PAGES] = iommufd_test_pin_access,
	[IOMMU_TEST_OP_ACCESS_RW] = iommufd_test_rw_access,
	[IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT] = iommufd_test_memory_limit,
	[IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE] = iommufd_test_mock_domain_replace,
	[IOMMU_TEST_OP_ACCESS_REPLACE_IOAS] = iommufd_test_replace_access,
	[IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS] = iommufd_test_mock_domain_flags,
	[IOMMU_TEST_OP_MD_CHECK_IOTLB] = iommufd_test_check_iotlb,
	[IOMMU_TEST_OP_TRIGGER_IOPF] = iommufd_test_trigger_iopf,
	[IOMMU_TEST_OP_DEV_CHECK_CACHE] = iommufd_test_check_cache,
	[IOMMU_TEST_OP_PASID_ATTACH] = iommufd_test_pasid_attach,
	[IOMMU_TEST_OP_PASID_REPLACE] = iommufd_test_pasid_replace,
	[IOMMU_TEST_OP_PASID_DETACH] = iommufd_test_pasid_detach,
	[IOMMU_TEST_OP_PASID_CHECK_HWPT] = iommufd_test_pasid_check,
	[IOMMU_TEST_OP_DMABUF_GET] = iommufd_test_dmabuf_get,
	[IOMMU_TEST_OP_DMABUF_REVOKE] = iommufd_test_dmabuf_revoke,
};

static int iommufd_test(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	/* Ours are far away from the others */
	if (cmd->op == IOMMU_TEST_OP_MOCK_DEVICE)
		return iommufd_test_mock_device(ucmd);
	if (cmd->op == IOMMU_TEST_OP_MOCK_ATTACH)
		return iommufd_test_mock_attach(ucmd);
	if (cmd->op == IOMMU_TEST_OP_MOCK_DETACH)
		return iommufd_test_mock_detach(ucmd);
	if (cmd->op == IOMMU_TEST_OP_FAULT_GROUP)
		return iommufd_test_fault_group(ucmd);
	if (cmd->op == IOMMU_TEST_OP_FAULT_STATE)
		return iommufd_test_fault_state(ucmd);
	if (cmd->op >= ARRAY_SIZE(operations) || !operations[cmd->op])
		return -EOPNOTSUPP;
	return operations[cmd->op](ucmd);
}

static const struct iommufd_ioctl_entry test_entry = {
	.cmd = IOMMU_TEST_CMD,
	.size = sizeof(struct iommu_test_cmd),
	.min_size = offsetofend(struct iommu_test_cmd, last),
	.handler = iommufd_test,
};

static int __init iommufd_test_init(void)
{
	int rc;

	rc = iommufd_test_dmabuf_init();
	if (rc)
		return rc;
	rc = mock_bus_init();
	if (rc)
		goto err_dmabuf;
	rc = mock_iommu_init();
	if (rc)
		goto err_bus;
	iommufd_ioctl_extend(&test_entry);
	return 0;

err_bus:
	mock_bus_exit();
err_dmabuf:
	iommufd_test_dmabuf_exit();
	return rc;
}
device_initcall(iommufd_test_init);
