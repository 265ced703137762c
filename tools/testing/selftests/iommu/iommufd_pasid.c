// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_pasid - groups of devices and their PASIDs: attach, join, replace, detach, and what is refused
 *
 * A page table is attached to a group, or to a PASID of the group, and user space speaks for one device at a time. So
 * after each call every device's IOMMU is asked what it translates by: it is never told apart which device it was.
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"
#include "fail_nth.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#define DEVICES		3
#define MEM_SIZE	(64 * PAGE)
#define IOVA		(2 * MOCK_FIRST)
#define PASID		5U

FIXTURE(group)
{
	int fd;
	uint32_t ioas[2];
	/* that may be used with PASIDs: two of the first address space, one of the second; and one that may not */
	uint32_t table[3], plain;
	struct mock_device dev[DEVICES];
	uint8_t *mem;
};

/**
 * @devices: how many are in the group
 * @capable: which of them can use PASIDs, the first one always
 * @rid: they are attached, to the first table
 */
FIXTURE_VARIANT(group)
{
	int devices;
	unsigned int capable;
	bool rid;
};

FIXTURE_VARIANT_ADD(group, one) { .devices = 1, .capable = 1, .rid = true };
FIXTURE_VARIANT_ADD(group, one_only_with_pasid) { .devices = 1, .capable = 1 };
FIXTURE_VARIANT_ADD(group, two) { .devices = 2, .capable = 3, .rid = true };
FIXTURE_VARIANT_ADD(group, three) { .devices = 3, .capable = 7, .rid = true };
FIXTURE_VARIANT_ADD(group, three_only_with_pasid) { .devices = 3, .capable = 7 };
FIXTURE_VARIANT_ADD(group, three_of_which_two_can) { .devices = 3, .capable = 5, .rid = true };

/* ---- what is looked at ---- */

/* Whether the IOMMU translates a PASID, or with 0 what has none, by one table for all devices that can do that */
static bool all_by(const struct _test_data_group *self, const struct _fixture_variant_group *variant,
		   uint32_t pasid, uint32_t hwpt)
{
	for (int d = 0; d < DEVICES; d++) {
		bool can = !pasid || variant->capable & (1U << d);

		if (self->dev[d].stdev && mock_check_table(self->fd, self->dev[d].stdev, pasid, can ? hwpt : 0))
			return false;
	}
	return true;
}

#define EXPECT_ALL_BY(_pasid, _hwpt, ...)	EXPECT_TRUE_FOR(all_by(self, variant, _pasid, _hwpt), "" __VA_ARGS__)
#define ASSERT_ALL_BY(_pasid, _hwpt, ...)	ASSERT_TRUE_FOR(all_by(self, variant, _pasid, _hwpt), "" __VA_ARGS__)

/* The table of the requests without PASID, where no test has changed it */
#define RID_TABLE	(variant->rid ? self->table[0] : 0)

static bool can(const struct _fixture_variant_group *variant, int d)
{
	return variant->capable & (1U << d);
}

/* ---- what is done ---- */

static int attach(const struct _test_data_group *self, int d, uint32_t pasid, uint32_t pt)
{
	return mock_pasid_attach(self->fd, self->dev[d].stdev, pasid, &pt);
}

static int replace(const struct _test_data_group *self, int d, uint32_t pasid, uint32_t pt)
{
	return mock_pasid_replace(self->fd, self->dev[d].stdev, pasid, &pt);
}

static int detach(const struct _test_data_group *self, int d, uint32_t pasid)
{
	return mock_pasid_detach(self->fd, self->dev[d].stdev, pasid);
}

static int attach_rid(const struct _test_data_group *self, int d, uint32_t pt)
{
	return mock_device_attach(self->fd, self->dev[d].stdev, &pt);
}

static int replace_rid(const struct _test_data_group *self, int d, uint32_t pt)
{
	return mock_device_replace(self->fd, self->dev[d].stdev, &pt);
}

static int detach_rid(const struct _test_data_group *self, int d)
{
	return mock_device_detach(self->fd, self->dev[d].stdev);
}

/* The next device from @d on that can use PASIDs */
static int capable(const struct _fixture_variant_group *variant, int d)
{
	while (d < variant->devices && !can(variant, d))
		d++;
	return d;
}

#define for_each_capable(_d) \
	for (int _d = capable(variant, 0); _d < variant->devices; _d = capable(variant, _d + 1))

static int plug(struct _test_data_group *self, const struct _fixture_variant_group *variant, int d)
{
	return mock_device_plug(self->fd, 0, self->dev[0].stdev, can(variant, d) ? MOCK_PASIDS : 0, 0, 0,
				&self->dev[d]);
}

FIXTURE_SETUP(group)
{
	static const int of[] = { 0, 0, 1 };

	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas[i], self->mem + i * PAGE, PAGE, IOVA));
	}
	for (int d = 0; d < variant->devices; d++)
		ASSERT_EQ(0, plug(self, variant, d));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev[0].id, self->ioas[of[i]], IOMMU_HWPT_ALLOC_PASID,
					&self->table[i]));
	ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev[0].id, self->ioas[0], 0, &self->plain));
	for (int d = 0; d < variant->devices && variant->rid; d++)
		ASSERT_EQ(0, attach_rid(self, d, self->table[0]));
	ASSERT_ALL_BY(0, RID_TABLE);
}

FIXTURE_TEARDOWN(group)
{
	close(self->fd);
	self->fd = iommu_open();
	EXPECT_EQ(0, test_check_pins(self->fd, self->mem, MEM_SIZE, 0));
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* ---- what a program can know ---- */

TEST_F(group, devices_tell_how_they_are_routed)
{
	uint32_t group_id = 0;

	for (int d = 0; d < variant->devices; d++) {
		struct iommu_hw_info_routing routing = { };
		struct iommu_hw_info info = {
			.size = sizeof(info), .flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE, .dev_id = self->dev[d].id,
			.in_data_type = IOMMU_HW_INFO_TYPE_ROUTING, .data_len = sizeof(routing),
			.data_uptr = to_u64(&routing),
		};
		uint32_t flags = IOMMU_HW_INFO_ROUTING_GROUPS;

		flags |= variant->devices > 1 ? IOMMU_HW_INFO_ROUTING_SHARED : 0;
		flags |= variant->rid ? IOMMU_HW_INFO_ROUTING_ATTACHED : 0;
		flags |= can(variant, d) ? IOMMU_HW_INFO_ROUTING_SPACES | IOMMU_HW_INFO_ROUTING_PASIDS : 0;
		ASSERT_EQ(0, iommu_call(self->fd, IOMMU_GET_HW_INFO, &info));
		EXPECT_EQ(can(variant, d) ? 20 : 0, info.out_max_pasid_log2);
		EXPECT_EQ_FOR(flags, routing.flags, "device %d", d);
		EXPECT_EQ(variant->devices, routing.group_devices);
		EXPECT_EQ(RID_TABLE, routing.group_hwpt_id);
		EXPECT_EQ(d ? group_id : routing.group_id, routing.group_id);
		group_id = routing.group_id;
	}
}

/* ---- attach, join, detach ---- */

TEST_F(group, first_attach_reaches_all)
{
	uint32_t pt = self->table[2];

	ASSERT_EQ(0, mock_pasid_attach(self->fd, self->dev[0].stdev, PASID, &pt));
	EXPECT_EQ(self->table[2], pt);
	EXPECT_ALL_BY(PASID, self->table[2]);
	EXPECT_ALL_BY(PASID + 1, 0);
	EXPECT_ALL_BY(0, RID_TABLE);
	/* what is mapped is there for the PASID, also what is mapped later */
	EXPECT_EQ(0, mock_check_map(self->fd, pt, IOVA, PAGE, self->mem + PAGE));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas[1], self->mem + 4 * PAGE, PAGE, 2 * IOVA));
	EXPECT_EQ(0, mock_check_map(self->fd, pt, 2 * IOVA, PAGE, self->mem + 4 * PAGE));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, pt));
}

TEST_F(group, siblings_join_and_the_last_one_blocks)
{
	int members = 0;

	for_each_capable(d) {
		ASSERT_EQ_FOR(0, attach(self, d, PASID, self->table[1]), "device %d", d);
		EXPECT_ALL_BY(PASID, self->table[1], "device %d", d);
		members++;
	}
	for_each_capable(d) {
		EXPECT_ALL_BY(PASID, self->table[1], "before device %d", d);
		EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->table[1]));
		EXPECT_EQ(0, detach(self, d, PASID));
		/* once more is nothing more */
		EXPECT_EQ(0, detach(self, d, PASID));
		EXPECT_ALL_BY(PASID, --members ? self->table[1] : 0, "after device %d", d);
	}
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table[1]));
	EXPECT_ALL_BY(0, RID_TABLE);
}

/* A sibling that has not attached yet may come to where the group is, and nowhere else. */
TEST_F(group, newcomers_do_not_move_the_others)
{
	ASSERT_EQ(0, attach(self, 0, PASID, self->table[1]));
	for (int d = 1; d < variant->devices; d++) {
		EXPECT_EQ(-EINVAL, attach(self, d, PASID, self->table[2]));
		EXPECT_EQ(-EINVAL, replace(self, d, PASID, self->table[2]));
		EXPECT_EQ(-EINVAL, replace(self, d, PASID, self->table[1]));
		EXPECT_EQ(0, detach(self, d, PASID));
		EXPECT_ALL_BY(PASID, self->table[1], "device %d", d);
	}
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table[2]));
}

/* The order that does without replace: all out, then all in. */
TEST_F(group, all_out_then_all_in)
{
	for (int round = 0; round < 6; round++) {
		uint32_t to = self->table[round % 3];

		for_each_capable(d)
			ASSERT_EQ_FOR(0, attach(self, d, PASID, to), "round %d, device %d", round, d);
		EXPECT_ALL_BY(PASID, to, "round %d", round);
		for_each_capable(d)
			ASSERT_EQ(0, detach(self, d, PASID));
		EXPECT_ALL_BY(PASID, 0, "round %d", round);

		for (int d = 0; d < variant->devices; d++)
			ASSERT_EQ(0, detach_rid(self, d));
		EXPECT_ALL_BY(0, 0, "round %d", round);
		for (int d = 0; d < variant->devices; d++)
			ASSERT_EQ_FOR(0, attach_rid(self, d, to), "round %d, device %d", round, d);
		EXPECT_ALL_BY(0, to, "round %d", round);
	}
}

/* ---- replace ---- */

TEST_F(group, first_mover_moves_all)
{
	for_each_capable(d)
		ASSERT_EQ(0, attach(self, d, PASID, self->table[0]));
	/* within one address space, to another one, and back; each time another device is the first */
	for (int round = 1; round < 7; round++) {
		uint32_t to = self->table[round % 3], pt = to;
		int first = round % variant->devices;

		if (!can(variant, first))
			first = 0;
		ASSERT_EQ_FOR(0, mock_pasid_replace(self->fd, self->dev[first].stdev, PASID, &pt), "round %d", round);
		EXPECT_EQ(to, pt);
		EXPECT_ALL_BY(PASID, to, "round %d", round);
		/* nothing is left to do for the others, and again for this one */
		for_each_capable(d) {
			EXPECT_EQ(0, replace(self, d, PASID, to));
			EXPECT_ALL_BY(PASID, to, "round %d, device %d", round, d);
		}
	}
	EXPECT_ALL_BY(0, RID_TABLE);
	/* what was left is free */
	ASSERT_EQ(0, replace(self, 0, PASID, self->table[2]));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table[1]));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->table[2]));
	for_each_capable(d)
		EXPECT_EQ(0, detach(self, d, PASID));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table[2]));
}

TEST_F(group, first_mover_moves_all_requests_without_pasid)
{
	for (int d = 0; d < variant->devices; d++)
		ASSERT_EQ(0, attach_rid(self, d, self->table[0]));
	ASSERT_EQ(0, attach(self, 0, PASID, self->table[0]));
	for (int round = 1; round < 7; round++) {
		uint32_t to = self->table[round % 3];

		ASSERT_EQ(0, replace_rid(self, round % variant->devices, to));
		EXPECT_ALL_BY(0, to, "round %d", round);
		for (int d = 0; d < variant->devices; d++) {
			EXPECT_EQ(0, replace_rid(self, d, to));
			EXPECT_ALL_BY(0, to, "round %d, device %d", round, d);
		}
	}
	EXPECT_ALL_BY(PASID, self->table[0]);
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->table[0]));
	EXPECT_EQ(0, detach(self, 0, PASID));
}

/* A map through the address space of a sibling that thinks to be elsewhere is never lost: there is one view of it. */
TEST_F(group, maps_follow_the_group)
{
	for_each_capable(d)
		ASSERT_EQ(0, attach(self, d, PASID, self->table[0]));
	ASSERT_EQ(0, replace(self, 0, PASID, self->table[2]));
	/* the others have not been told yet */
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas[1], self->mem + 8 * PAGE, PAGE, 3 * IOVA));
	for_each_capable(d) {
		EXPECT_EQ(0, mock_check_table(self->fd, self->dev[d].stdev, PASID, self->table[2]));
		EXPECT_EQ(0, mock_check_map(self->fd, self->table[2], 3 * IOVA, PAGE, self->mem + 8 * PAGE));
		EXPECT_EQ(0, replace(self, d, PASID, self->table[2]));
		EXPECT_EQ(0, mock_check_map(self->fd, self->table[2], 3 * IOVA, PAGE, self->mem + 8 * PAGE));
	}
	EXPECT_EQ(0, ioas_unmap(self->fd, self->ioas[1], 3 * IOVA, PAGE, NULL));
	EXPECT_EQ(-EINVAL, mock_check_map(self->fd, self->table[2], 3 * IOVA, MOCK_PAGE, self->mem + 8 * PAGE));
}

TEST_F(group, pasids_are_independent)
{
	static const uint32_t pasids[] = { 1, 2, 77, 1023, 1025, MOCK_PASID_LAST };
	const int n = ARRAY_SIZE(pasids);

	for (int i = 0; i < n; i++)
		ASSERT_EQ_FOR(0, attach(self, 0, pasids[i], self->table[i % 3]), "PASID %u", pasids[i]);
	for (int moved = 0; moved < n; moved++) {
		ASSERT_EQ(0, replace(self, 0, pasids[moved], self->table[(moved + 1) % 3]));
		for (int i = 0; i < n; i++)
			EXPECT_ALL_BY(pasids[i], self->table[(i + (i <= moved)) % 3], "PASID %u, %d moved", pasids[i],
				      moved);
	}
	if (variant->rid)
		ASSERT_EQ(0, replace_rid(self, 0, self->table[1]));
	EXPECT_ALL_BY(0, variant->rid ? self->table[1] : 0);
	for (int gone = 0; gone < n; gone++) {
		ASSERT_EQ(0, detach(self, 0, pasids[gone]));
		for (int i = 0; i < n; i++)
			EXPECT_ALL_BY(pasids[i], i <= gone ? 0 : self->table[(i + 1) % 3], "PASID %u, %d gone",
				      pasids[i], gone);
	}
	EXPECT_ALL_BY(0, variant->rid ? self->table[1] : 0);
}

/* The IOMMU of one device after the other refuses, all go on by the old table; then none does. */
TEST_F(group, refused_replace_keeps_the_old)
{
	const uint32_t pasid = MOCK_PASID_REFUSING;

	for_each_capable(d)
		ASSERT_EQ(0, attach(self, d, pasid, self->table[0]));
	for (int round = 0; round < 2; round++) {
		uint32_t from = self->table[2 * round], to = self->table[2 * !round];

		for_each_capable(d) {
			EXPECT_EQ_FOR(-ENOMEM, replace(self, 0, pasid, to), "round %d, device %d refuses", round, d);
			EXPECT_ALL_BY(pasid, from, "round %d, device %d", round, d);
		}
		EXPECT_EQ(0, replace(self, 0, pasid, to));
		EXPECT_ALL_BY(pasid, to, "round %d", round);
		/* that is nothing for the IOMMU to do, or to refuse */
		EXPECT_EQ(0, replace(self, 0, pasid, to));
	}
	/* a detach forgets it, and the first attach is not refused */
	for_each_capable(d)
		ASSERT_EQ(0, detach(self, d, pasid));
	EXPECT_EQ(0, attach(self, 0, pasid, self->table[1]));
	EXPECT_ALL_BY(pasid, self->table[1]);
	EXPECT_ALL_BY(0, RID_TABLE);
}

/* ---- bad input ---- */

TEST_F(group, attach_twice)
{
	for_each_capable(d) {
		ASSERT_EQ(0, attach(self, d, PASID, self->table[1]));
		EXPECT_EQ(-EBUSY, attach(self, d, PASID, self->table[1]));
		EXPECT_EQ(-EBUSY, attach(self, d, PASID, self->table[2]));
		/* even where the target would not do */
		EXPECT_EQ(-EBUSY, attach(self, d, PASID, self->plain));
		EXPECT_EQ(-EBUSY, attach(self, d, PASID, self->ioas[0]));
		EXPECT_ALL_BY(PASID, self->table[1]);
	}
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table[2]));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->plain));
}

TEST_F(group, targets_that_will_not_do)
{
	uint32_t dead, empty, stdev = self->dev[0].stdev;
	const struct {
		uint32_t pt;
		int rc;
	} bad[] = {
		{ self->plain, -EINVAL },
		{ self->ioas[0], -EINVAL },
		{ self->ioas[1], -EINVAL },
		{ self->dev[0].id, -EINVAL },
		{ stdev, -EINVAL },
		{ 0, -ENOENT },
		{ UNKNOWN_ID, -ENOENT },
	};

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev[0].id, self->ioas[0], IOMMU_HWPT_ALLOC_PASID, &dead));
	ASSERT_EQ(0, iommu_destroy(self->fd, dead));
	for (int attached = 0; attached < 2; attached++) {
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ_FOR(bad[i].rc, attached ? replace(self, 0, PASID, bad[i].pt) :
				      attach(self, 0, PASID, bad[i].pt), "target %zu, attached %d", i, attached);
			EXPECT_ALL_BY(PASID, attached ? self->table[1] : 0, "target %zu", i);
		}
		EXPECT_EQ(-ENOENT, attached ? replace(self, 0, PASID, dead) : attach(self, 0, PASID, dead));
		/* no page table was made for what could not be */
		ASSERT_EQ(0, ioas_alloc(self->fd, &empty));
		EXPECT_EQ(-EINVAL, attached ? replace(self, 0, PASID, empty) : attach(self, 0, PASID, empty));
		EXPECT_EQ(0, iommu_destroy(self->fd, empty));
		if (!attached)
			ASSERT_EQ(0, attach(self, 0, PASID, self->table[1]));
	}
	EXPECT_ALL_BY(PASID, self->table[1]);
	EXPECT_ALL_BY(0, RID_TABLE);
	EXPECT_EQ(0, iommu_destroy(self->fd, self->plain));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table[2]));
}

TEST_F(group, pasids_that_there_are_not)
{
	static const uint32_t bad[] = { 0, MOCK_PASID_LAST + 1, INT32_MAX, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ_FOR(-EINVAL, attach(self, 0, bad[i], self->table[0]), "PASID %x", bad[i]);
		EXPECT_EQ_FOR(-EINVAL, replace(self, 0, bad[i], self->table[0]), "PASID %x", bad[i]);
		EXPECT_EQ_FOR(bad[i] ? 0 : -EINVAL, detach(self, 0, bad[i]), "PASID %x", bad[i]);
	}
	EXPECT_EQ(-EINVAL, replace(self, 0, PASID, self->table[0]));
	EXPECT_EQ(0, detach(self, 0, PASID));
	EXPECT_EQ(0, attach(self, 0, MOCK_PASID_LAST, self->table[0]));
	EXPECT_ALL_BY(MOCK_PASID_LAST, self->table[0]);
	EXPECT_ALL_BY(0, RID_TABLE);
	/* a device that cannot use PASIDs, alone or beside one that can */
	for (int d = 1; d < variant->devices; d++) {
		if (can(variant, d))
			continue;
		EXPECT_EQ(-EINVAL, attach(self, d, PASID, self->table[0]));
		EXPECT_EQ(-EINVAL, attach(self, d, MOCK_PASID_LAST, self->table[0]));
		EXPECT_EQ(0, detach(self, d, MOCK_PASID_LAST));
		EXPECT_ALL_BY(MOCK_PASID_LAST, self->table[0]);
	}
	EXPECT_EQ(-ENOENT, mock_pasid_detach(self->fd, self->dev[0].id, PASID));
	EXPECT_EQ(-ENOENT, mock_pasid_detach(self->fd, UNKNOWN_ID, PASID));
	EXPECT_EQ(-ENOENT, mock_pasid_attach(self->fd, self->dev[0].id, PASID, &self->table[0]));
}

/* Requests without PASID and those with one need tables of the same make. */
TEST_F(group, tables_for_pasids_and_others)
{
	uint32_t empty, pt;

	for (int d = 0; d < variant->devices; d++)
		ASSERT_EQ(0, attach_rid(self, d, self->table[0]));
	/* as long as no PASID is attached, any will do */
	ASSERT_EQ(0, replace_rid(self, 0, self->plain));
	EXPECT_EQ(-EINVAL, attach(self, 0, PASID, self->table[1]));
	EXPECT_ALL_BY(PASID, 0);
	EXPECT_ALL_BY(0, self->plain);
	ASSERT_EQ(0, replace_rid(self, 0, self->table[0]));

	ASSERT_EQ(0, attach(self, 0, PASID, self->table[1]));
	ASSERT_EQ(0, ioas_alloc(self->fd, &empty));
	for (int d = 0; d < variant->devices; d++) {
		EXPECT_EQ(-EINVAL, replace_rid(self, d, self->plain));
		EXPECT_EQ(-EINVAL, replace_rid(self, d, self->ioas[1]));
		EXPECT_EQ(-EINVAL, replace_rid(self, d, empty));
		EXPECT_ALL_BY(0, self->table[0], "device %d", d);
		EXPECT_ALL_BY(PASID, self->table[1], "device %d", d);
	}
	EXPECT_EQ(0, iommu_destroy(self->fd, empty));
	for (int d = 0; d < variant->devices; d++)
		ASSERT_EQ(0, detach_rid(self, d));
	EXPECT_ALL_BY(0, 0);
	EXPECT_ALL_BY(PASID, self->table[1]);
	EXPECT_EQ(-EINVAL, attach_rid(self, 0, self->plain));
	EXPECT_EQ(-EINVAL, attach_rid(self, 0, self->ioas[0]));
	EXPECT_ALL_BY(0, 0);
	EXPECT_EQ(0, attach_rid(self, 0, self->table[2]));
	EXPECT_ALL_BY(0, self->table[2]);
	EXPECT_EQ(0, detach(self, 0, PASID));
	pt = self->ioas[0];
	EXPECT_EQ(0, mock_device_replace(self->fd, self->dev[0].stdev, &pt));
	EXPECT_ALL_BY(0, pt);
}

/* A table that may be used with PASIDs is one for devices without them too. */
TEST_F(group, table_for_pasids_serves_any_device)
{
	struct mock_device other;
	uint32_t table, pt;

	ASSERT_EQ(0, mock_device_create(self->fd, self->table[0], &other));
	EXPECT_EQ(self->table[0], other.hwpt);
	ASSERT_EQ(0, hwpt_alloc(self->fd, other.id, self->ioas[1], IOMMU_HWPT_ALLOC_PASID, &table));
	pt = table;
	EXPECT_EQ(0, mock_device_replace(self->fd, other.stdev, &pt));
	pt = self->table[0];
	EXPECT_EQ(-EINVAL, mock_pasid_attach(self->fd, other.stdev, PASID, &pt));
	EXPECT_EQ(0, mock_check_table(self->fd, other.stdev, PASID, 0));
	EXPECT_EQ(0, attach(self, 0, PASID, table));
	EXPECT_ALL_BY(PASID, table);
	/* groups do not see each other */
	EXPECT_EQ(0, mock_check_table(self->fd, other.stdev, PASID, 0));
	EXPECT_EQ(0, iommu_destroy(self->fd, other.stdev));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, table));
	EXPECT_EQ(0, detach(self, 0, PASID));
	EXPECT_EQ(0, iommu_destroy(self->fd, table));
}

/* The result cannot be delivered: nothing has happened then. */
TEST_F(group, no_room_for_the_result)
{
	static const uint32_t ops[] = { TEST_OP_PASID_ATTACH, TEST_OP_PASID_REPLACE, TEST_OP_MOCK_ATTACH };
	struct iommu_test_cmd *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, cmd);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ | PROT_WRITE));
		*cmd = (struct iommu_test_cmd){
			.size = sizeof(*cmd), .op = ops[i], .id = self->dev[0].stdev,
			.pasid = { .pasid = PASID, .pt = self->table[2] },
		};
		if (ops[i] == TEST_OP_MOCK_ATTACH)
			cmd->replace.id = self->table[2];
		if (ops[i] == TEST_OP_PASID_REPLACE)
			ASSERT_EQ(0, attach(self, 0, PASID, self->table[1]));
		ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
		EXPECT_EQ_FOR(-EFAULT, iommu_call(self->fd, IOMMU_TEST_CMD, cmd), "operation %u", ops[i]);
		EXPECT_ALL_BY(PASID, ops[i] == TEST_OP_PASID_ATTACH ? 0 : self->table[1], "operation %u", ops[i]);
		EXPECT_ALL_BY(0, RID_TABLE, "operation %u", ops[i]);
	}
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table[2]));
	munmap(cmd, PAGE);
}

/* ---- coming and going ---- */

/* A device that comes late finds what its siblings have, and its going takes nothing from them. */
TEST_F(group, devices_come_and_go)
{
	struct mock_device late;
	uint32_t pt = self->table[2];

	ASSERT_EQ(0, attach(self, 0, PASID, self->table[1]));
	ASSERT_EQ(0, attach(self, 0, PASID + 1, self->table[2]));
	for (uint32_t flags = 0; flags <= MOCK_PASIDS; flags += MOCK_PASIDS) {
		ASSERT_EQ(0, mock_device_plug(self->fd, 0, self->dev[0].stdev, flags, 0, 0, &late));
		EXPECT_EQ(0, mock_check_table(self->fd, late.stdev, 0, RID_TABLE));
		EXPECT_EQ(0, mock_check_table(self->fd, late.stdev, PASID, flags ? self->table[1] : 0));
		EXPECT_EQ(0, mock_check_table(self->fd, late.stdev, PASID + 1, flags ? self->table[2] : 0));
		EXPECT_EQ(flags ? 0 : -EINVAL, mock_pasid_attach(self->fd, late.stdev, PASID + 1, &pt));
		/* and is there when they move */
		ASSERT_EQ(0, replace(self, 0, PASID, self->table[2]));
		EXPECT_EQ(0, mock_check_table(self->fd, late.stdev, PASID, flags ? self->table[2] : 0));
		ASSERT_EQ(0, replace(self, 0, PASID, self->table[1]));
		ASSERT_EQ(0, iommu_destroy(self->fd, late.stdev));
		EXPECT_ALL_BY(PASID, self->table[1]);
		EXPECT_ALL_BY(PASID + 1, self->table[2]);
		EXPECT_ALL_BY(0, RID_TABLE);
	}
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->table[1]));
}

/* Devices are unplugged in each order with PASIDs attached; what they alone had attached goes with them. */
TEST_F(group, device_goes_with_everything_attached)
{
	for (int first = 0; first < variant->devices; first++) {
		for_each_capable(d)
			ASSERT_EQ(0, attach(self, d, PASID, self->table[1]));
		for (int i = 0; i < variant->devices; i++) {
			int d = (first + i) % variant->devices;
			bool members = false;

			if (can(variant, d)) {
				ASSERT_EQ(0, attach(self, d, 10 + d, self->table[2]));
				EXPECT_ALL_BY(10 + d, self->table[2], "first %d, device %d", first, d);
			}
			ASSERT_EQ_FOR(0, iommu_destroy(self->fd, self->dev[d].stdev), "first %d, device %d", first, d);
			self->dev[d].stdev = 0;
			EXPECT_ALL_BY(10 + d, 0, "first %d, device %d", first, d);
			for (int j = i + 1; j < variant->devices; j++)
				members |= can(variant, (first + j) % variant->devices);
			EXPECT_ALL_BY(PASID, members ? self->table[1] : 0, "first %d, device %d", first, d);
		}
		/* nothing is attached any more */
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ_FOR(0, iommu_destroy(self->fd, self->table[i]), "first %d, table %d", first, i);
			self->table[i] = 0;
		}
		for (int d = 0; d < variant->devices; d++)
			ASSERT_EQ(0, plug(self, variant, d));
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev[0].id, self->ioas[i / 2], IOMMU_HWPT_ALLOC_PASID,
						&self->table[i]));
		EXPECT_ALL_BY(PASID, 0, "first %d", first);
	}
}

/* for the teardown */
TEST_F(group, close_with_everything_attached)
{
	static const uint32_t pasids[] = { 1, PASID, MOCK_PASID_REFUSING, MOCK_PASID_LAST };

	for (size_t i = 0; i < ARRAY_SIZE(pasids); i++)
		for_each_capable(d)
			ASSERT_EQ(0, attach(self, d, pasids[i], self->table[i % 3]));
	EXPECT_ALL_BY(PASID, self->table[1]);
}

/* ---- at the same time ---- */

struct mover {
	int fd;
	const struct mock_device *dev;
	const uint32_t *table;
	uint32_t pasid;
	bool stop;
	int rounds, rc;
};

static bool mover_goes_on(struct mover *m)
{
	return !m->rc && !__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE);
}

static void *move(void *arg)
{
	struct mover *m = arg;

	for (; mover_goes_on(m); m->rounds++) {
		uint32_t to = m->table[m->rounds % 3], pt = to;

		m->rc = m->pasid ? mock_pasid_replace(m->fd, m->dev->stdev, m->pasid, &pt) :
			mock_device_replace(m->fd, m->dev->stdev, &pt);
		if (!m->rc && pt != to)
			m->rc = -ESTALE;
	}
	return NULL;
}

/* On return it is under way */
static void start_mover(struct __test_metadata *_metadata, pthread_t *thread, struct mover *m)
{
	ASSERT_EQ(0, pthread_create(thread, NULL, move, m));
	while (!__atomic_load_n(&m->rounds, __ATOMIC_ACQUIRE) && !__atomic_load_n(&m->rc, __ATOMIC_ACQUIRE))
		sleep_ms(1);
}

/* @rc: how its last move went */
static void end_mover(struct __test_metadata *_metadata, pthread_t thread, struct mover *m, int rc)
{
	if (!rc)
		__atomic_store_n(&m->stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(rc, m->rc);
	EXPECT_LT(0, m->rounds);
}

/* By the same device or by a sibling: the last one wins, for all devices. */
TEST_F(group, two_movers_of_one_slot)
{
	for (uint32_t pasid = 0; pasid <= PASID; pasid += PASID) {
		struct mover other = { .fd = self->fd, .table = self->table, .pasid = pasid };
		pthread_t thread;
		int settled = 0;

		for (int d = 0; d < variant->devices; d++) {
			if (pasid && !can(variant, d))
				continue;
			ASSERT_EQ(0, pasid ? attach(self, d, pasid, self->table[0]) :
				  attach_rid(self, d, self->table[0]));
			other.dev = &self->dev[d];
		}
		start_mover(_metadata, &thread, &other);
		for (int i = 0; i < 60; i++)
			ASSERT_EQ(0, pasid ? replace(self, 0, pasid, self->table[i % 2]) :
				  replace_rid(self, 0, self->table[i % 2]));
		end_mover(_metadata, thread, &other, 0);
		for (int i = 0; i < 3; i++)
			settled += all_by(self, variant, pasid, self->table[i]);
		EXPECT_EQ_FOR(1, settled, "PASID %u", pasid);
	}
	EXPECT_EQ(0, detach(self, 0, PASID));
}

/* Moves a device to one page table after the other, each made for that, and destroys the one that it left. */
static void *move_and_destroy(void *arg)
{
	struct mover *m = arg;
	uint32_t left = 0;

	for (; mover_goes_on(m); m->rounds++) {
		uint32_t to, pt;

		m->rc = hwpt_alloc(m->fd, m->dev->id, *m->table, IOMMU_HWPT_ALLOC_PASID, &to);
		pt = to;
		if (!m->rc)
			m->rc = mock_device_replace(m->fd, m->dev->stdev, &pt);
		if (!m->rc && left)
			m->rc = iommu_destroy(m->fd, left);
		left = to;
	}
	return NULL;
}

/* Until its IOMMU has forgotten it a device is attached to what the group had: that does not go in between. */
TEST_F(group, siblings_are_unplugged_while_the_group_moves)
{
	struct mover mover = { .fd = self->fd, .dev = &self->dev[0], .table = self->ioas };
	struct mock_device sibling;
	pthread_t thread;

	ASSERT_EQ(0, attach_rid(self, 0, self->table[0]));
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_and_destroy, &mover));
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(0, mock_device_plug(self->fd, 0, self->dev[0].stdev, 0, 0, 0, &sibling));
		ASSERT_EQ(0, iommu_destroy(self->fd, sibling.stdev));
	}
	end_mover(_metadata, thread, &mover, 0);
}

/* What is mapped while the group moves is there in the end, wherever it is then, and what is unmapped is not. */
TEST_F(group, maps_while_the_group_moves)
{
	struct mover other = { .fd = self->fd, .dev = &self->dev[0], .table = self->table, .pasid = PASID };
	const uint64_t at = 4 * IOVA;
	pthread_t thread;

	ASSERT_EQ(0, attach(self, 0, PASID, self->table[0]));
	start_mover(_metadata, &thread, &other);
	for (int i = 0; i < 20; i++) {
		int a = i % 2;

		ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas[a], self->mem, 8 * PAGE, at));
		for (int t = 2 * a; t < 2 + a; t++)
			ASSERT_EQ_FOR(0, mock_check_map(self->fd, self->table[t], at, 8 * PAGE, self->mem),
				      "round %d, table %d", i, t);
		ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas[a], at, 8 * PAGE, NULL));
		for (int t = 2 * a; t < 2 + a; t++)
			ASSERT_EQ_FOR(-EINVAL, mock_check_map(self->fd, self->table[t], at, PAGE, self->mem),
				      "round %d, table %d", i, t);
	}
	end_mover(_metadata, thread, &other, 0);
	EXPECT_EQ(0, detach(self, 0, PASID));
}

/* A device that comes in the middle of it is where its siblings are, or it would go wrong now or at the next move. */
TEST_F(group, devices_come_and_go_while_it_moves)
{
	struct mover m[2] = {
		{ .fd = self->fd, .dev = &self->dev[0], .table = self->table, .pasid = PASID },
		{ .fd = self->fd, .dev = &self->dev[variant->devices - 1], .table = self->table },
	};
	struct mock_device late;
	pthread_t threads[2];

	for (int d = 0; d < variant->devices; d++)
		ASSERT_EQ(0, attach_rid(self, d, self->table[0]));
	ASSERT_EQ(0, attach(self, 0, PASID, self->table[0]));
	for (int i = 0; i < 2; i++)
		start_mover(_metadata, &threads[i], &m[i]);
	for (int i = 0; i < 6; i++) {
		if (i)
			ASSERT_EQ_FOR(0, iommu_destroy(self->fd, late.stdev), "round %d", i);
		ASSERT_EQ_FOR(0, mock_device_plug(self->fd, 0, self->dev[0].stdev, MOCK_PASIDS, 0, 0, &late),
			      "round %d", i);
	}
	for (int i = 0; i < 2; i++)
		end_mover(_metadata, threads[i], &m[i], 0);
	for (uint32_t pasid = 0; pasid <= PASID; pasid += PASID) {
		int settled = 0;

		for (int i = 0; i < 3; i++)
			settled += all_by(self, variant, pasid, self->table[i]) &&
				   !mock_check_table(self->fd, late.stdev, pasid, self->table[i]);
		EXPECT_EQ_FOR(1, settled, "PASID %u", pasid);
	}
}

/* The process is killed, whatever it does just then; its file goes with it. */
TEST_F(group, killed_while_it_moves)
{
	for (int round = 0; round < 3; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			struct mover m[2] = {
				{ .fd = self->fd, .dev = &self->dev[0], .table = self->table, .pasid = PASID },
				{ .fd = self->fd, .dev = &self->dev[variant->devices - 1], .table = self->table },
			};
			pthread_t thread;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (int d = 0; d < variant->devices; d++)
				CHILD_NEEDS(!attach_rid(self, d, self->table[0]));
			CHILD_NEEDS(!attach(self, 0, PASID, self->table[0]));
			CHILD_NEEDS(!pthread_create(&thread, NULL, move, &m[0]));
			move(&m[1]);
			CHILD_NEEDS(false);
		}
		close(self->fd);
		sleep_ms(2 + 7 * round);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		self->fd = iommu_open();
		ASSERT_EQ_FOR(0, test_check_pins(self->fd, self->mem, MEM_SIZE, 0), "round %d", round);
		close(self->fd);
		munmap(self->mem, MEM_SIZE);
		memset(self, 0, sizeof(*self));
		group_setup(_metadata, self, variant);
	}
}

TEST_F(group, close_while_it_moves)
{
	for (uint32_t pasid = 0; pasid <= PASID; pasid += PASID) {
		struct mover m[2] = {
			{ .fd = self->fd, .dev = &self->dev[0], .table = self->table, .pasid = pasid },
			{ .fd = self->fd, .dev = &self->dev[variant->devices - 1], .table = self->table },
		};
		pthread_t threads[2];

		for (int d = 0; d < variant->devices; d++)
			ASSERT_EQ(0, attach_rid(self, d, self->table[0]));
		ASSERT_EQ(0, attach(self, 0, PASID, self->table[0]));
		for (int i = 0; i < 2; i++)
			start_mover(_metadata, &threads[i], &m[i]);
		/* a call that runs holds the file, and is the one that cleans up after itself */
		close(self->fd);
		for (int i = 0; i < 2; i++)
			end_mover(_metadata, threads[i], &m[i], -EBADF);
		munmap(self->mem, MEM_SIZE);
		memset(self, 0, sizeof(*self));
		group_setup(_metadata, self, variant);
	}
}

/* ---- addresses that devices keep for themselves ---- */

#define REGION(_i)	(MOCK_FIRST * (4 + (_i)))
#define REGIONS		3

/* Two devices of a group, each with a region. They are attached to the first table, of the first address space. */
FIXTURE(regions)
{
	int fd;
	uint32_t ioas[2], table[3];
	struct mock_device dev[2];
	uint8_t *mem;
};

/* Which regions are taken away from an address space: bit by bit */
static int taken(const struct _test_data_regions *self, int ioas)
{
	int mask = 0;

	for (int i = 0; i < REGIONS; i++) {
		int rc = ioas_map_at(self->fd, self->ioas[ioas], self->mem + PAGE, PAGE, REGION(i) + MIB - PAGE);

		if (!rc)
			rc = ioas_unmap(self->fd, self->ioas[ioas], REGION(i) + MIB - PAGE, PAGE, NULL);
		else if (rc == -EINVAL)
			mask |= 1 << i;
		else
			return rc;
	}
	return mask;
}

static int go(const struct _test_data_regions *self, int d, uint32_t pt)
{
	return mock_device_attach(self->fd, self->dev[d].stdev, &pt);
}

static bool both_by(const struct _test_data_regions *self, uint32_t hwpt)
{
	return !mock_check_table(self->fd, self->dev[0].stdev, 0, hwpt) &&
	       !mock_check_table(self->fd, self->dev[1].stdev, 0, hwpt);
}

FIXTURE_SETUP(regions)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd);
	self->mem = small_pages(4 * PAGE);
	ASSERT_NE(NULL, self->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas[i]));
		ASSERT_EQ(0, mock_device_plug(self->fd, 0, self->dev[0].stdev, MOCK_PASIDS, REGION(i), MIB,
					      &self->dev[i]));
	}
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev[0].id, self->ioas[i / 2], IOMMU_HWPT_ALLOC_PASID,
					&self->table[i]));
	ASSERT_EQ(0, taken(self, 0));
	for (int d = 0; d < 2; d++) {
		ASSERT_EQ(0, go(self, d, self->table[0]));
		ASSERT_EQ(3, taken(self, 0));
	}
}

FIXTURE_TEARDOWN(regions)
{
	close(self->fd);
	munmap(self->mem, 4 * PAGE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(regions, go_with_the_group)
{
	ASSERT_EQ(0, go(self, 0, self->table[1]));
	EXPECT_EQ(3, taken(self, 0));
	ASSERT_EQ(0, go(self, 0, self->table[2]));
	EXPECT_EQ(0, taken(self, 0));
	EXPECT_EQ(3, taken(self, 1));
	ASSERT_EQ(0, go(self, 1, self->table[2]));
	EXPECT_EQ(3, taken(self, 1));
	EXPECT_EQ(0, mock_device_detach(self->fd, self->dev[0].stdev));
	EXPECT_EQ(3, taken(self, 1));
	EXPECT_EQ(0, mock_device_detach(self->fd, self->dev[1].stdev));
	EXPECT_EQ(0, taken(self, 1));
}

/* Requests with a PASID do not reach what a device keeps for itself. */
TEST_F(regions, are_none_for_pasids)
{
	uint32_t pt = self->table[2], stdev = self->dev[0].stdev;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas[1], self->mem, PAGE, REGION(1)));
	ASSERT_EQ(0, mock_pasid_attach(self->fd, stdev, PASID, &pt));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas[1], REGION(1), PAGE, NULL));
	EXPECT_EQ(0, taken(self, 1));
	EXPECT_EQ(3, taken(self, 0));
	pt = self->table[1];
	ASSERT_EQ(0, mock_pasid_replace(self->fd, stdev, PASID, &pt));
	EXPECT_EQ(3, taken(self, 0));
	EXPECT_EQ(0, mock_pasid_detach(self->fd, stdev, PASID));
	EXPECT_EQ(3, taken(self, 0));
	EXPECT_EQ(0, taken(self, 1));
}

/* The second region does not fit, so the first one is given back, and where the group is nothing has changed. */
TEST_F(regions, stay_when_a_replace_fails)
{
	struct iommu_test_cmd *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, cmd);
	for (int d = 0; d < 2; d++) {
		for (int i = 0; i < 2; i++) {
			ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas[1], self->mem, PAGE, REGION(i)));
			EXPECT_EQ(-EADDRINUSE, go(self, d, self->table[2]));
			EXPECT_TRUE(both_by(self, self->table[0]));
			ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas[1]));
			EXPECT_EQ_FOR(0, taken(self, 1), "device %d, region %d", d, i);
			EXPECT_EQ_FOR(3, taken(self, 0), "device %d, region %d", d, i);
		}
		/* the answer is lost: between two address spaces, and between two tables of the same one */
		for (int i = 1; i < 3; i++) {
			ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ | PROT_WRITE));
			*cmd = (struct iommu_test_cmd){
				.size = sizeof(*cmd), .op = TEST_OP_MOCK_DOMAIN_REPLACE, .id = self->dev[d].stdev,
				.replace.id = self->table[i],
			};
			ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
			EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_TEST_CMD, cmd));
			EXPECT_TRUE(both_by(self, self->table[0]));
			EXPECT_EQ_FOR(0, taken(self, 1), "device %d, table %d", d, i);
			EXPECT_EQ_FOR(3, taken(self, 0), "device %d, table %d", d, i);
		}
	}
	munmap(cmd, PAGE);
	for (int i = 1; i < 3; i++)
		EXPECT_EQ(0, iommu_destroy(self->fd, self->table[i]));
}

/* A device that joins late brings a region of its own, which must be free. */
TEST_F(regions, of_a_device_that_joins_late)
{
	struct mock_device late;
	uint32_t pt;

	ASSERT_EQ(0, mock_device_plug(self->fd, 0, self->dev[1].stdev, 0, REGION(2), MIB, &late));
	EXPECT_EQ(0, mock_check_table(self->fd, late.stdev, 0, self->table[0]));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas[0], self->mem, PAGE, REGION(2)));
	pt = self->table[0];
	EXPECT_EQ(-EADDRINUSE, mock_device_attach(self->fd, late.stdev, &pt));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas[0]));
	EXPECT_EQ(3, taken(self, 0));
	EXPECT_EQ(0, mock_device_attach(self->fd, late.stdev, &pt));
	EXPECT_EQ(7, taken(self, 0));
	ASSERT_EQ(0, go(self, 0, self->table[2]));
	EXPECT_EQ(0, taken(self, 0));
	EXPECT_EQ(7, taken(self, 1));
	EXPECT_TRUE(both_by(self, self->table[2]));
	EXPECT_EQ(0, mock_check_table(self->fd, late.stdev, 0, self->table[2]));
	for (int d = 0; d < 2; d++)
		EXPECT_EQ(0, mock_device_detach(self->fd, self->dev[d].stdev));
	EXPECT_EQ(7, taken(self, 1));
	EXPECT_EQ(0, mock_device_detach(self->fd, late.stdev));
	EXPECT_EQ(0, taken(self, 1));
}

TEST_F(regions, bad_input)
{
	struct mock_device dev = { };

	EXPECT_EQ(-EOVERFLOW, mock_device_plug(self->fd, 0, 0, 0, UINT64_MAX, 2, &dev));
	EXPECT_EQ(-ENOENT, mock_device_plug(self->fd, 0, UNKNOWN_ID, 0, 0, 0, &dev));
	EXPECT_EQ(-ENOENT, mock_device_plug(self->fd, 0, self->dev[0].id, 0, 0, 0, &dev));
	EXPECT_EQ(-EINVAL, mock_device_plug(self->fd, 0, 0, 2, 0, 0, &dev));
	/* a sibling of attached devices goes where they are, or is not attached */
	EXPECT_EQ(-EINVAL, mock_device_plug(self->fd, self->table[2], self->dev[0].stdev, 0, 0, 0, &dev));
	EXPECT_EQ(-EINVAL, mock_device_plug(self->fd, self->ioas[0], self->dev[0].stdev, 0, 0, 0, &dev));
	EXPECT_EQ(0, mock_device_plug(self->fd, self->table[0], self->dev[0].stdev, 0, 0, 0, &dev));
	EXPECT_EQ(self->table[0], dev.hwpt);
	EXPECT_EQ(-ENOENT, mock_device_detach(self->fd, dev.id));
	EXPECT_EQ(-ENOENT, mock_device_attach(self->fd, dev.id, &dev.hwpt));
	EXPECT_EQ(0, mock_device_detach(self->fd, dev.stdev));
	EXPECT_EQ(0, mock_device_detach(self->fd, dev.stdev));
	EXPECT_EQ(-EINVAL, mock_device_replace(self->fd, dev.stdev, &dev.hwpt));
	EXPECT_TRUE(both_by(self, self->table[0]));
	EXPECT_EQ(0, iommu_destroy(self->fd, dev.stdev));
	EXPECT_EQ(3, taken(self, 0));
}

TEST_HARNESS_MAIN
