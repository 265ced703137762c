/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test_ops - operations of the test ioctl; struct iommu_test_cmd says what goes in and out
 */
#ifndef __IOMMUFD_SELFTEST_TEST_OPS_H
#define __IOMMUFD_SELFTEST_TEST_OPS_H

#include "../ctx.h"
#include "iommufd_test.h"

struct page;

/* test_device.c */
int iommufd_test_mock_domain(struct iommufd_ucmd *ucmd);
int iommufd_test_mock_domain_flags(struct iommufd_ucmd *ucmd);
int iommufd_test_mock_device(struct iommufd_ucmd *ucmd);
int iommufd_test_mock_domain_replace(struct iommufd_ucmd *ucmd);
int iommufd_test_mock_attach(struct iommufd_ucmd *ucmd);
int iommufd_test_mock_detach(struct iommufd_ucmd *ucmd);
int iommufd_test_pasid_attach(struct iommufd_ucmd *ucmd);
int iommufd_test_pasid_replace(struct iommufd_ucmd *ucmd);
int iommufd_test_pasid_detach(struct iommufd_ucmd *ucmd);
int iommufd_test_pasid_check(struct iommufd_ucmd *ucmd);
int iommufd_test_check_cache(struct iommufd_ucmd *ucmd);

/* test_memory.c */
struct page *iommufd_test_user_page(u64 uptr);
int iommufd_test_add_reserved(struct iommufd_ucmd *ucmd);
int iommufd_test_check_map(struct iommufd_ucmd *ucmd);
int iommufd_test_check_refs(struct iommufd_ucmd *ucmd);
int iommufd_test_memory_limit(struct iommufd_ucmd *ucmd);

/* test_access.c */
int iommufd_test_create_access(struct iommufd_ucmd *ucmd);
int iommufd_test_replace_access(struct iommufd_ucmd *ucmd);
int iommufd_test_pin_access(struct iommufd_ucmd *ucmd);
int iommufd_test_unpin_access(struct iommufd_ucmd *ucmd);
int iommufd_test_rw_access(struct iommufd_ucmd *ucmd);

/* test_fault.c */
int iommufd_test_check_iotlb(struct iommufd_ucmd *ucmd);
int iommufd_test_trigger_iopf(struct iommufd_ucmd *ucmd);
int iommufd_test_fault_group(struct iommufd_ucmd *ucmd);
int iommufd_test_fault_state(struct iommufd_ucmd *ucmd);

/* test_dmabuf.c */
int iommufd_test_dmabuf_init(void);
void iommufd_test_dmabuf_exit(void);
int iommufd_test_dmabuf_get(struct iommufd_ucmd *ucmd);
int iommufd_test_dmabuf_revoke(struct iommufd_ucmd *ucmd);

#endif
