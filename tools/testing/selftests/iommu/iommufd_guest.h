/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd_guest - page tables that a guest writes, vIOMMUs and page requests, on mock devices
 *
 * As in iommu_client.h every call returns 0 (or a useful value) or -errno.
 */
#ifndef SELFTESTS_IOMMUFD_GUEST_H
#define SELFTESTS_IOMMUFD_GUEST_H

#include "iommufd_test_client.h"

#include <poll.h>

#define GUEST_DATA		0xdeadU		/* of IOMMU_HWPT_ALLOC: struct guest_data */
#define GUEST_INVALIDATE	0xdeadbeefU	/* of IOMMU_HWPT_INVALIDATE: struct guest_entry */
#define GUEST_VIOMMU		0xdeadbeefU	/* of IOMMU_VIOMMU_ALLOC; no data */
#define GUEST_SLOTS		4
#define IOTLB			0xbadbeefU

struct guest_data {
	uint32_t iotlb, table;
};

struct guest_entry {
	uint32_t flags, slot;
};

#define ENTRY_ALL	1U

/* @fault: id of a queue, 0 for none */
static inline int nested_alloc(int fd, uint32_t dev_id, uint32_t under, uint32_t flags, uint32_t fault, uint32_t *hwpt)
{
	const struct guest_data data = { .iotlb = IOTLB };
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd), .flags = flags | (fault ? IOMMU_HWPT_FAULT_ID_VALID : 0), .dev_id = dev_id,
		.pt_id = under, .data_type = GUEST_DATA, .data_len = sizeof(data), .data_uptr = to_u64(&data),
		.fault_id = fault,
	};
	int rc = iommu_call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!rc)
		*hwpt = cmd.out_hwpt_id;
	return rc;
}

/* A page table of the kernel, with a queue */
static inline int faulting_alloc(int fd, uint32_t dev_id, uint32_t ioas, uint32_t flags, uint32_t fault, uint32_t *hwpt)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd), .flags = flags | IOMMU_HWPT_FAULT_ID_VALID, .dev_id = dev_id, .pt_id = ioas,
		.fault_id = fault,
	};
	int rc = iommu_call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!rc)
		*hwpt = cmd.out_hwpt_id;
	return rc;
}

static inline int viommu_alloc(int fd, uint32_t dev_id, uint32_t parent, uint32_t *viommu)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd), .type = GUEST_VIOMMU, .dev_id = dev_id, .hwpt_id = parent,
	};
	int rc = iommu_call(fd, IOMMU_VIOMMU_ALLOC, &cmd);

	if (!rc)
		*viommu = cmd.out_viommu_id;
	return rc;
}

/* *@num: in: entries; out: how many were carried out, also when it failed */
static inline int hwpt_invalidate(int fd, uint32_t hwpt, uint32_t type, const void *entries, uint32_t len,
				  uint32_t *num)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd), .hwpt_id = hwpt, .data_uptr = to_u64(entries), .data_type = type, .entry_len = len,
		.entry_num = *num,
	};
	int rc = iommu_call(fd, IOMMU_HWPT_INVALIDATE, &cmd);

	*num = cmd.entry_num;
	return rc;
}

/* Whether the cache of a nested page table has these values: 0 or -EINVAL */
static inline int check_iotlb(int fd, uint32_t hwpt, const uint32_t values[GUEST_SLOTS])
{
	int rc = 0;

	for (uint32_t i = 0; i < GUEST_SLOTS && !rc; i++) {
		struct iommu_test_cmd cmd = { .cache = { .slot = i, .value = values[i] } };

		rc = test_call(fd, TEST_OP_MD_CHECK_IOTLB, hwpt, &cmd);
	}
	return rc;
}

/* ---- page requests ---- */

/* Returns the queue's file, or -errno. */
static inline int fault_queue_alloc(int fd, uint32_t *id)
{
	struct iommu_fault_alloc cmd = { .size = sizeof(cmd) };
	int rc = iommu_call(fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd);

	if (rc)
		return rc;
	*id = cmd.out_fault_id;
	return cmd.out_fault_fd;
}

static inline int fault_send(int fd, uint32_t dev_id, uint32_t pasid, uint32_t group, uint64_t addr)
{
	struct iommu_test_cmd cmd = {
		.fault = {
			.dev = dev_id, .pasid = pasid, .group = group, .addr = addr, .perm = IOMMU_PGFAULT_PERM_READ,
		},
	};

	return test_call(fd, TEST_OP_TRIGGER_IOPF, 0, &cmd);
}

/* @num requests at once, for pages that follow each other */
static inline int fault_send_group(int fd, uint32_t dev_id, uint32_t pasid, uint32_t group, uint64_t addr, uint32_t num)
{
	struct iommu_test_cmd cmd = {
		.fault = {
			.dev = dev_id, .pasid = pasid, .group = group, .addr = addr, .num = num,
			.perm = IOMMU_PGFAULT_PERM_READ | IOMMU_PGFAULT_PERM_WRITE,
		},
	};

	return test_call(fd, TEST_OP_FAULT_GROUP, 0, &cmd);
}

/**
 * struct fault_state - What became of the page requests of a device, in groups
 * @enabled: it may ask
 * @sent: how many it sent
 * @answered: how many ended with success
 * @refused: how many did not
 */
struct fault_state {
	uint32_t enabled, sent, answered, refused;
};

static inline struct fault_state fault_state(int fd, uint32_t dev_id)
{
	struct iommu_test_cmd cmd = { .fault_state.dev = dev_id };

	if (test_call(fd, TEST_OP_FAULT_STATE, 0, &cmd))
		return (struct fault_state){ .sent = UINT32_MAX };
	return (struct fault_state){
		.enabled = cmd.fault_state.enabled, .sent = cmd.fault_state.sent,
		.answered = cmd.fault_state.answered, .refused = cmd.fault_state.refused,
	};
}

static inline bool faults_are(int fd, uint32_t dev_id, uint32_t sent, uint32_t answered, uint32_t refused)
{
	const struct fault_state s = fault_state(fd, dev_id);

	if (s.sent == sent && s.answered == answered && s.refused == refused)
		return true;
	fprintf(stderr, "# page requests: %u sent, %u answered, %u refused\n", s.sent, s.answered, s.refused);
	return false;
}

/* How many bytes, or -errno */
static inline ssize_t fault_read(int queue, struct iommu_hwpt_pgfault *records, size_t num)
{
	ssize_t n = read(queue, records, num * sizeof(*records));

	return n < 0 ? -errno : n;
}

static inline ssize_t fault_answer(int queue, uint32_t cookie, uint32_t code)
{
	const struct iommu_hwpt_page_response response = { .cookie = cookie, .code = code };
	ssize_t n = write(queue, &response, sizeof(response));

	return n < 0 ? -errno : n;
}

/* What poll() says without waiting */
static inline int fault_poll(int queue)
{
	struct pollfd p = { .fd = queue, .events = POLLIN | POLLOUT };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

#endif
