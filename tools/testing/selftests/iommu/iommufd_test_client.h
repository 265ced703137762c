/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd_test_client - the test ioctl of /dev/iommu, which a kernel with CONFIG_IOMMUFD_TEST has
 *
 * Mock devices, whose page tables can be asked what they translate to; accesses, which are emulated devices; and how
 * many pins are on a page. As in iommu_client.h every call returns 0 (or a useful value) or -errno.
 */
#ifndef SELFTESTS_IOMMUFD_TEST_CLIENT_H
#define SELFTESTS_IOMMUFD_TEST_CLIENT_H

#include "iommu_client.h"

#define IOMMU_TEST_CMD	_IO(IOMMUFD_TYPE, IOMMUFD_CMD_BASE + 32)

/* Page tables of mock devices translate these addresses, in units of half a page. */
#define MOCK_PAGE	2048UL
#define MOCK_FIRST	0x01000000UL
#define MOCK_LAST	0x7fffffffUL

enum {
	TEST_OP_ADD_RESERVED = 1,
	TEST_OP_MOCK_DOMAIN,
	TEST_OP_CHECK_MAP,
	TEST_OP_CHECK_REFS,
	TEST_OP_CREATE_ACCESS,
	TEST_OP_DESTROY_ACCESS_PAGES,
	TEST_OP_ACCESS_PAGES,
	TEST_OP_ACCESS_RW,
	TEST_OP_TEMP_MEMORY_LIMIT,
	TEST_OP_MOCK_DOMAIN_REPLACE,
	TEST_OP_ACCESS_REPLACE_IOAS,
	TEST_OP_MOCK_DOMAIN_FLAGS,
	TEST_OP_MD_CHECK_IOTLB = 14,
	TEST_OP_TRIGGER_IOPF,
	TEST_OP_DEV_CHECK_CACHE,
	TEST_OP_PASID_ATTACH = 18,
	TEST_OP_PASID_REPLACE,
	TEST_OP_PASID_DETACH,
	TEST_OP_PASID_CHECK_HWPT,
	TEST_OP_DMABUF_GET,
	TEST_OP_DMABUF_REVOKE,
	/* not in other kernels */
	TEST_OP_MOCK_DEVICE = 0x1000,
	TEST_OP_MOCK_ATTACH,
	TEST_OP_MOCK_DETACH,
	TEST_OP_FAULT_GROUP = 0x1100,
	TEST_OP_FAULT_STATE,
};

/* of mock_device_create_with() */
#define MOCK_NO_DIRTY		1U	/* behind an IOMMU that does not see which memory was written */
#define MOCK_PASIDS		4U	/* the device can use PASIDs */
#define MOCK_PASID_LAST		((1U << 20) - 1)
/* A device that has a page table for this PASID refuses the next one with -ENOMEM, and takes the one after it. */
#define MOCK_PASID_REFUSING	1024U

/* of test_access_create() */
#define ACCESS_PINS		1U	/* the access pins pages, and lets go of them when they are unmapped */
/* of test_access_pin() and test_access_rw() */
#define ACCESS_WRITE		1U
/* of test_access_rw() */
#define ACCESS_REMOTE		4U	/* go the way that memory of another process takes */

/* @id means what the operation says; for accesses it is the number of their file. */
struct iommu_test_cmd {
	uint32_t size, op, id, reserved;
	union {
		struct {
			uint64_t start, length;
		} add_reserved;
		struct {
			uint32_t stdev, hwpt, idev, flags;
			uint32_t sibling, reserved;
			uint64_t resv_start, resv_length;
		} device;
		struct {
			uint64_t iova, length, va;
		} check_map;
		struct {
			uint64_t length, va;
			uint32_t refs;
		} check_refs;
		struct {
			uint32_t fd, flags;
		} access;
		struct {
			uint32_t id;
		} unpin;
		struct {
			uint32_t flags, id;
			uint64_t iova, length, va;
		} pin;
		struct {
			uint64_t iova, length, buf;
			uint32_t flags;
		} rw;
		struct {
			uint32_t id;
		} replace;
		struct {
			uint32_t pasid, pt;
		} pasid;
		struct {
			uint32_t bytes;
		} limit;
		struct {
			uint32_t slot, value;
		} cache;
		struct {
			uint32_t dev, pasid, group, perm;
			uint64_t addr;
			uint32_t num;
		} fault;
		struct {
			uint32_t dev, enabled, sent, answered, refused;
		} fault_state;
		struct {
			uint32_t length, flags;
		} dmabuf;
		struct {
			int32_t fd;
			uint32_t revoked;
		} revoke;
		uint8_t room[48];
	};
	uint32_t last;
};

static inline int test_call(int fd, uint32_t op, uint32_t id, struct iommu_test_cmd *cmd)
{
	cmd->size = sizeof(*cmd);
	cmd->op = op;
	cmd->id = id;
	return iommu_call(fd, IOMMU_TEST_CMD, cmd);
}

/* ---- address spaces ---- */

/* Takes @length bytes at @start away from an IOAS for as long as it lives. */
static inline int test_reserve(int fd, uint32_t ioas, uint64_t start, uint64_t length)
{
	struct iommu_test_cmd cmd = { .add_reserved = { .start = start, .length = length } };

	return test_call(fd, TEST_OP_ADD_RESERVED, ioas, &cmd);
}

/* How many bytes of page list the kernel may work with at once, for everybody; 65536 is the usual value. */
static inline int test_memory_limit(int fd, uint32_t bytes)
{
	struct iommu_test_cmd cmd = { .limit.bytes = bytes };

	return test_call(fd, TEST_OP_TEMP_MEMORY_LIMIT, 0, &cmd);
}

/* ---- devices ---- */

/**
 * struct mock_device - A device behind the mock IOMMU, bound and attached
 * @stdev: destroying this id detaches and removes the device
 * @id: what the device is for HWPT_ALLOC
 * @hwpt: page table it was attached to when it was made
 */
struct mock_device {
	uint32_t stdev, id, hwpt;
};

static inline int mock_device_make(int fd, uint32_t op, uint32_t pt_id, uint32_t flags, struct mock_device *dev)
{
	struct iommu_test_cmd cmd = { .device.flags = flags };
	int rc = test_call(fd, op, pt_id, &cmd);

	if (!rc)
		*dev = (struct mock_device){
			.stdev = cmd.device.stdev, .id = cmd.device.idev, .hwpt = cmd.device.hwpt,
		};
	return rc;
}

/* @pt_id: IOAS or page table */
static inline int mock_device_create(int fd, uint32_t pt_id, struct mock_device *dev)
{
	return mock_device_make(fd, TEST_OP_MOCK_DOMAIN, pt_id, 0, dev);
}

static inline int mock_device_create_with(int fd, uint32_t pt_id, uint32_t flags, struct mock_device *dev)
{
	return mock_device_make(fd, TEST_OP_MOCK_DOMAIN_FLAGS, pt_id, flags, dev);
}

/*
 * A device in the group of another one, @sibling, which is its stdev, or alone with 0. It keeps @length bytes at @start
 * for itself. With a @pt_id of 0 it is only bound.
 */
static inline int mock_device_plug(int fd, uint32_t pt_id, uint32_t sibling, uint32_t flags, uint64_t start,
				   uint64_t length, struct mock_device *dev)
{
	struct iommu_test_cmd cmd = {
		.device = { .flags = flags, .sibling = sibling, .resv_start = start, .resv_length = length },
	};
	int rc = test_call(fd, TEST_OP_MOCK_DEVICE, pt_id, &cmd);

	if (!rc)
		*dev = (struct mock_device){
			.stdev = cmd.device.stdev, .id = cmd.device.idev, .hwpt = cmd.device.hwpt,
		};
	return rc;
}

static inline int mock_device_go(int fd, uint32_t op, uint32_t stdev, uint32_t *pt_id)
{
	struct iommu_test_cmd cmd = { .replace.id = *pt_id };
	int rc = test_call(fd, op, stdev, &cmd);

	if (!rc)
		*pt_id = cmd.replace.id;
	return rc;
}

/* *@pt_id: in: IOAS or page table; out: page table */
static inline int mock_device_replace(int fd, uint32_t stdev, uint32_t *pt_id)
{
	return mock_device_go(fd, TEST_OP_MOCK_DOMAIN_REPLACE, stdev, pt_id);
}

/* The same for a device that need not be attached */
static inline int mock_device_attach(int fd, uint32_t stdev, uint32_t *pt_id)
{
	return mock_device_go(fd, TEST_OP_MOCK_ATTACH, stdev, pt_id);
}

static inline int mock_device_detach(int fd, uint32_t stdev)
{
	struct iommu_test_cmd cmd = { };

	return test_call(fd, TEST_OP_MOCK_DETACH, stdev, &cmd);
}

static inline int mock_pasid_go(int fd, uint32_t op, uint32_t stdev, uint32_t pasid, uint32_t *pt_id)
{
	struct iommu_test_cmd cmd = { .pasid = { .pasid = pasid, .pt = *pt_id } };
	int rc = test_call(fd, op, stdev, &cmd);

	if (!rc)
		*pt_id = cmd.pasid.pt;
	return rc;
}

/* *@pt_id as in mock_device_replace() */
static inline int mock_pasid_attach(int fd, uint32_t stdev, uint32_t pasid, uint32_t *pt_id)
{
	return mock_pasid_go(fd, TEST_OP_PASID_ATTACH, stdev, pasid, pt_id);
}

static inline int mock_pasid_replace(int fd, uint32_t stdev, uint32_t pasid, uint32_t *pt_id)
{
	return mock_pasid_go(fd, TEST_OP_PASID_REPLACE, stdev, pasid, pt_id);
}

static inline int mock_pasid_detach(int fd, uint32_t stdev, uint32_t pasid)
{
	struct iommu_test_cmd cmd = { .pasid.pasid = pasid };

	return test_call(fd, TEST_OP_PASID_DETACH, stdev, &cmd);
}

/*
 * Whether the IOMMU translates a PASID of the device, or with 0 its requests without PASID, by a page table, or with a
 * @hwpt of 0 not at all: 0 or -EINVAL.
 */
static inline int mock_check_table(int fd, uint32_t stdev, uint32_t pasid, uint32_t hwpt)
{
	struct iommu_test_cmd cmd = { .pasid = { .pasid = pasid, .pt = hwpt } };

	return test_call(fd, TEST_OP_PASID_CHECK_HWPT, stdev, &cmd);
}

/*
 * Whether all of the range leads to the memory at @va, byte by byte: 0 or -EINVAL. Everything is a multiple of
 * MOCK_PAGE.
 */
static inline int mock_check_map(int fd, uint32_t hwpt, uint64_t iova, uint64_t length, const void *va)
{
	struct iommu_test_cmd cmd = { .check_map = { .iova = iova, .length = length, .va = to_u64(va) } };

	return test_call(fd, TEST_OP_CHECK_MAP, hwpt, &cmd);
}

/* Whether a slot of the device's cache has a value: 0 or -EINVAL. @dev_id is what HWPT_ALLOC would be told. */
static inline int mock_check_cache(int fd, uint32_t dev_id, uint32_t slot, uint32_t value)
{
	struct iommu_test_cmd cmd = { .cache = { .slot = slot, .value = value } };

	return test_call(fd, TEST_OP_DEV_CHECK_CACHE, dev_id, &cmd);
}

/* Whether each of the pages has @refs pins: 0 or -EIO. Huge pages are passed over. */
static inline int test_check_pins(int fd, const void *va, uint64_t length, uint32_t refs)
{
	struct iommu_test_cmd cmd = { .check_refs = { .length = length, .va = to_u64(va), .refs = refs } };

	return test_call(fd, TEST_OP_CHECK_REFS, 0, &cmd);
}

/* ---- dma-bufs ---- */

/* Returns a file of @length bytes, rounded up to pages. @flags: O_CLOEXEC or 0 */
static inline int test_dmabuf_get(int fd, uint32_t length, uint32_t flags)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd), .op = TEST_OP_DMABUF_GET, .dmabuf = { .length = length, .flags = flags },
	};
	int file = ioctl(fd, IOMMU_TEST_CMD, &cmd);

	return file < 0 ? -errno : file;
}

static inline int test_dmabuf_revoke(int fd, int dmabuf, bool revoked)
{
	struct iommu_test_cmd cmd = { .revoke = { .fd = dmabuf, .revoked = revoked } };

	return test_call(fd, TEST_OP_DMABUF_REVOKE, 0, &cmd);
}

/* ---- accesses ---- */

/* Returns the file of the access. Closing it unpins what is pinned through it. */
static inline int test_access_create(int fd, uint32_t ioas, uint32_t flags)
{
	struct iommu_test_cmd cmd = { .access.flags = flags };
	int rc = test_call(fd, TEST_OP_CREATE_ACCESS, ioas, &cmd);

	return rc ?: (int)cmd.access.fd;
}

static inline int test_access_replace(int fd, int access, uint32_t ioas)
{
	struct iommu_test_cmd cmd = { .replace.id = ioas };

	return test_call(fd, TEST_OP_ACCESS_REPLACE_IOAS, access, &cmd);
}

/* With @va the pages must be those at @va, else -EBADE and nothing is pinned. *@id is for test_access_unpin(). */
static inline int test_access_pin(int fd, int access, uint64_t iova, uint64_t length, const void *va, uint32_t flags,
				  uint32_t *id)
{
	struct iommu_test_cmd cmd = {
		.pin = { .flags = flags, .iova = iova, .length = length, .va = to_u64(va) },
	};
	int rc = test_call(fd, TEST_OP_ACCESS_PAGES, access, &cmd);

	if (!rc)
		*id = cmd.pin.id;
	return rc;
}

static inline int test_access_unpin(int fd, int access, uint32_t id)
{
	struct iommu_test_cmd cmd = { .unpin.id = id };

	return test_call(fd, TEST_OP_DESTROY_ACCESS_PAGES, access, &cmd);
}

/* Copies from the address space to @buf, or with ACCESS_WRITE the other way. */
static inline int test_access_rw(int fd, int access, uint64_t iova, void *buf, uint64_t length, uint32_t flags)
{
	struct iommu_test_cmd cmd = {
		.rw = { .iova = iova, .length = length, .buf = to_u64(buf), .flags = flags },
	};

	return test_call(fd, TEST_OP_ACCESS_RW, access, &cmd);
}

#endif
