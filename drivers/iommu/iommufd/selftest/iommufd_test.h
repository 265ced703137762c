/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd_test - the test ioctl of /dev/iommu, as user space sees it
 *
 * Programs written for the test ioctl of other kernels run here, so numbers and layouts are given. @id of the command
 * means what the operation says: an object of the context or, for accesses, the number of a file.
 */
#ifndef __IOMMUFD_TEST_H
#define __IOMMUFD_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <uapi/linux/iommufd.h>

#define IOMMU_TEST_CMD			_IO(IOMMUFD_TYPE, IOMMUFD_CMD_BASE + 32)

enum iommu_test_op {
	IOMMU_TEST_OP_ADD_RESERVED = 1,
	IOMMU_TEST_OP_MOCK_DOMAIN,
	IOMMU_TEST_OP_MD_CHECK_MAP,
	IOMMU_TEST_OP_MD_CHECK_REFS,
	IOMMU_TEST_OP_CREATE_ACCESS,
	IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
	IOMMU_TEST_OP_ACCESS_PAGES,
	IOMMU_TEST_OP_ACCESS_RW,
	IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
	IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
	IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
	IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
	IOMMU_TEST_OP_DIRTY,
	IOMMU_TEST_OP_MD_CHECK_IOTLB,
	IOMMU_TEST_OP_TRIGGER_IOPF,
	IOMMU_TEST_OP_DEV_CHECK_CACHE,
	IOMMU_TEST_OP_TRIGGER_VEVENT,
	IOMMU_TEST_OP_PASID_ATTACH,
	IOMMU_TEST_OP_PASID_REPLACE,
	IOMMU_TEST_OP_PASID_DETACH,
	IOMMU_TEST_OP_PASID_CHECK_HWPT,
	IOMMU_TEST_OP_DMABUF_GET,
	IOMMU_TEST_OP_DMABUF_REVOKE,
};

/* What other kernels do not have; far away from what they may have one day */
enum {
	/*
	 * Plug in a device, as mock_domain does it. It may join the group of another test device and keep addresses for
	 * itself. With an id of 0 it is only bound. -ENOENT for the sibling; -EOVERFLOW for the addresses.
	 */
	IOMMU_TEST_OP_MOCK_DEVICE = 0x1000,
	/* Attach a test device or move it: mock_domain_replace for one that may be attached or not */
	IOMMU_TEST_OP_MOCK_ATTACH,
	/* Detach a test device, if it is attached. -ENOENT */
	IOMMU_TEST_OP_MOCK_DETACH,
	/* trigger_iopf with several requests, for pages that follow each other. -EINVAL for none or more than 64 */
	IOMMU_TEST_OP_FAULT_GROUP = 0x1100,
	/* How many groups of page requests a device has sent, and how they ended */
	IOMMU_TEST_OP_FAULT_STATE,
};

enum {
	MOCK_APERTURE_START = 1UL << 24,
	MOCK_APERTURE_LAST = (1UL << 31) - 1,
	MOCK_PAGE_SIZE = 2048,
};

/* mock_domain_flags.dev_flags */
enum {
	MOCK_FLAGS_DEVICE_NO_DIRTY = 1 << 0,
	MOCK_FLAGS_DEVICE_PASID = 1 << 2,
};

/* create_access.flags */
enum {
	MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES = 1 << 0,
};

/* access_pages.flags */
enum {
	MOCK_FLAGS_ACCESS_WRITE = 1 << 0,
};

/* access_rw.flags */
enum {
	MOCK_ACCESS_RW_WRITE = 1 << 0,
	MOCK_ACCESS_RW_SLOW_PATH = 1 << 2,
};

#define MOCK_NESTED_DOMAIN_IOTLB_NUM	4
#define MOCK_PASID_WIDTH		20
/*
 * On a device that has a page table for this PASID the next page table is refused with -ENOMEM, unless the PASID was
 * detached in between. The one after it is taken.
 */
#define MOCK_PASID_RESERVED		1024
#define MOCK_DEV_CACHE_NUM		4
#define IOMMU_TEST_DEV_CACHE_DEFAULT	0xbaddad

struct iommu_test_cmd {
	__u32 size;
	__u32 op;
	__u32 id;
	__u32 __reserved;
	union {
		struct {
			__aligned_u64 start;
			__aligned_u64 length;
		} add_reserved;
		struct {
			__u32 out_stdev_id;
			__u32 out_hwpt_id;
			__u32 out_idev_id;
		} mock_domain;
		struct {
			__u32 out_stdev_id;
			__u32 out_hwpt_id;
			__u32 out_idev_id;
			__u32 dev_flags;
		} mock_domain_flags;
		struct {
			__u32 out_stdev_id;
			__u32 out_hwpt_id;
			__u32 out_idev_id;
			__u32 dev_flags;
			__u32 sibling_stdev_id;
			__u32 __reserved;
			__aligned_u64 resv_start;
			__aligned_u64 resv_length;
		} mock_device;
		struct {
			__u32 pt_id;
		} mock_domain_replace;
		struct {
			__u32 pasid;
			__u32 pt_id;
		} pasid_attach;
		struct {
			__u32 pasid;
		} pasid_detach;
		/* pasid 0: the requests without PASID */
		struct {
			__u32 pasid;
			__u32 hwpt_id;
		} pasid_check;
		struct {
			__aligned_u64 iova;
			__aligned_u64 length;
			__aligned_u64 uptr;
		} check_map;
		struct {
			__aligned_u64 length;
			__aligned_u64 uptr;
			__u32 refs;
		} check_refs;
		struct {
			__u32 out_access_fd;
			__u32 flags;
		} create_access;
		struct {
			__u32 access_pages_id;
		} destroy_access_pages;
		struct {
			__u32 flags;
			__u32 out_access_pages_id;
			__aligned_u64 iova;
			__aligned_u64 length;
			__aligned_u64 uptr;
		} access_pages;
		struct {
			__aligned_u64 iova;
			__aligned_u64 length;
			__aligned_u64 uptr;
			__u32 flags;
		} access_rw;
		struct {
			__u32 limit;
		} memory_limit;
		struct {
			__u32 ioas_id;
		} access_replace_ioas;
		struct {
			__u32 id;
			__u32 iotlb;
		} check_iotlb;
		struct {
			__u32 dev_id;
			__u32 pasid;
			__u32 grpid;
			__u32 perm;
			__aligned_u64 addr;
		} trigger_iopf;
		struct {
			__u32 dev_id;
			__u32 pasid;
			__u32 grpid;
			__u32 perm;
			__aligned_u64 addr;
			__u32 num;
		} fault_group;
		struct {
			__u32 dev_id;
			__u32 out_enabled;
			__u32 out_sent;
			__u32 out_answered;
			__u32 out_refused;
		} fault_state;
		struct {
			__u32 id;
			__u32 cache;
		} check_dev_cache;
		struct {
			__u32 length;
			__u32 open_flags;
		} dmabuf_get;
		struct {
			__s32 dmabuf_fd;
			__u32 revoked;
		} dmabuf_revoke;
		__u8 __room[48];
	};
	__u32 last;
};

#define IOMMU_HW_INFO_TYPE_SELFTEST	0xfeedbeef
#define IOMMU_HW_INFO_SELFTEST_REGVAL	0xdeadbeef

struct iommu_test_hw_info {
	__u32 flags;
	__u32 test_reg;
};

/* Page table of a guest, for IOMMU_HWPT_ALLOC; the whole cache is @iotlb at first */
#define IOMMU_HWPT_DATA_SELFTEST		0xdead

struct iommu_hwpt_selftest {
	__u32 iotlb;
	__u32 pagetable_type;
};

/* What a guest changed, for IOMMU_HWPT_INVALIDATE */
#define IOMMU_HWPT_INVALIDATE_DATA_SELFTEST	0xdeadbeef

enum {
	IOMMU_TEST_INVALIDATE_FLAG_ALL = 1 << 0,
};

struct iommu_hwpt_invalidate_selftest {
	__u32 flags;
	__u32 iotlb_id;
};

#define IOMMU_VIOMMU_TYPE_SELFTEST		0xdeadbeef

#endif
