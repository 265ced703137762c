// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_group - one, two and three devices of a group: each step of each of them fails in every way it can
 *
 * Needs QEMU's edu devices in the places that edu.h names. After each failure the group, its page table, the
 * addresses its devices take away, what is pinned and where DMA goes must be what they were before.
 */
#include "iommu_test.h"
#include "fail_nth.h"

#define IOVA		0x100000UL
#define BYTES		512
#define MOST_DEVICES	3
#define HALF		(8 * PAGE)

/* What a device can be attached to: address space 0 or 1, or one of two page tables on address space 0 */
enum target {
	SPACE, OTHER_SPACE, TABLE, OTHER_TABLE, TARGETS, NOWHERE
};

/*
 * @edu: all devices of a group but bridges, @devices of them
 * @id: what the targets are called
 * @mem: two halves, one for each address space
 */
FIXTURE(group)
{
	int iommufd, nth;
	struct edu edu[MOST_DEVICES];
	uint32_t id[TARGETS];
	uint8_t *mem;
};

FIXTURE_VARIANT(group)
{
	unsigned int first;
	int devices;
};

FIXTURE_VARIANT_ADD(group, of_one)
{
	.first = EDU_ALONE, .devices = 1,
};

FIXTURE_VARIANT_ADD(group, of_two_behind_a_bridge)
{
	.first = EDU_BRIDGED, .devices = 2,
};

FIXTURE_VARIANT_ADD(group, of_three_functions)
{
	.first = EDU_FUNCTIONS, .devices = 3,
};

FIXTURE_SETUP(group)
{
	self->nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	for (int i = 0; i < variant->devices; i++) {
		ASSERT_EQ(0, edu_open_bound(&self->edu[i], variant->first + i, self->iommufd));
		ASSERT_EQ(pci_group(self->edu[0].bdf), pci_group(self->edu[i].bdf));
	}
	self->mem = small_pages(2 * HALF);
	ASSERT_NE(NULL, self->mem);
	for (int i = SPACE; i <= OTHER_SPACE; i++) {
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->id[i]));
		/* more in one than in the other, so that what is pinned tells them apart */
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->id[i], self->mem + i * HALF, (6 + i) * PAGE, IOVA));
	}

	/* what the devices will store */
	ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->id[SPACE], NULL));
	for (int i = 0; i < variant->devices; i++) {
		pattern_fill(self->mem, BYTES, 1 + i);
		ASSERT_EQ(0, edu_load(&self->edu[i], IOVA, BYTES));
	}
	ASSERT_EQ(0, vfio_detach(self->edu[0].fd));
}

FIXTURE_TEARDOWN(group)
{
	for (int i = 0; i < variant->devices; i++)
		edu_close(&self->edu[i]);
	close(self->iommufd);
	munmap(self->mem, 2 * HALF);
	if (self->nth >= 0)
		close(self->nth);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/**
 * struct step - One call, and where everybody is before it
 * @name: for messages
 * @devices: the group has at least so many
 * @at: where each device is before
 * @who: the device that is moved, counted from the last one when negative
 * @to: where it is moved to, NOWHERE to detach it
 * @least: it has at least so many points of failure
 */
struct step {
	const char *name;
	int devices;
	enum target at[MOST_DEVICES];
	int who;
	enum target to;
	int least;
};

#define ALL_AT(_target)	{ _target, _target, _target }
#define NOBODY		ALL_AT(NOWHERE)

static const struct step steps[] = {
	{ "the first attaches", 1, NOBODY, 0, SPACE, 10 },
	{ "the last attaches first", 2, NOBODY, -1, SPACE, 10 },
	{ "the first attaches to a page table", 1, NOBODY, 0, TABLE, 4 },
	{ "the second joins", 2, { SPACE, NOWHERE, NOWHERE }, 1, SPACE, 3 },
	{ "the third joins", 3, { SPACE, SPACE, NOWHERE }, 2, SPACE, 3 },
	{ "the second attaches where the group is not", 2, { SPACE, NOWHERE, NOWHERE }, 1, OTHER_SPACE, 2 },
	{ "the only one attached moves all", 1, { SPACE, NOWHERE, NOWHERE }, 0, OTHER_SPACE, 10 },
	{ "the last moves all", 1, ALL_AT(SPACE), -1, OTHER_SPACE, 10 },
	{ "between page tables of one address space", 1, ALL_AT(TABLE), 0, OTHER_TABLE, 2 },
	{ "to a page table of the same address space", 1, ALL_AT(SPACE), -1, TABLE, 2 },
	{ "to a page table of the other address space", 1, ALL_AT(OTHER_SPACE), 0, TABLE, 4 },
	{ "nothing is left to do", 2, ALL_AT(TABLE), 1, TABLE, 1 },
	{ "one of several detaches", 2, ALL_AT(SPACE), 1, NOWHERE, 1 },
	{ "the last one attached detaches", 1, { SPACE, NOWHERE, NOWHERE }, 0, NOWHERE, 1 },
};

/* All that can be seen of the group without changing it; a text, so that a difference can be read */
struct sight {
	char text[1024];
};

static void look(struct sight *s, int iommufd, const struct edu *edu, int devices, const uint32_t *id, enum target at)
{
	struct iommu_iova_range ranges[16];
	struct iommu_hw_info_routing routing;
	size_t used = 0;

	for (int i = 0; i < devices; i++) {
		int rc = device_routing(iommufd, edu[i].id, &routing);

		used += snprintf(s->text + used, sizeof(s->text) - used, "device %d: %d, %#x, group %u on %u\n", i, rc,
				 routing.flags, routing.group_id, routing.group_hwpt_id);
	}

	for (int i = SPACE; i <= OTHER_SPACE; i++) {
		uint32_t num = ARRAY_SIZE(ranges);
		uint64_t align = 0;
		int rc = ioas_ranges(iommufd, id[i], ranges, &num, &align);

		used += snprintf(s->text + used, sizeof(s->text) - used, "space %d: %d, align %lu:", i, rc, align);
		for (uint32_t r = 0; r < num && !rc; r++)
			used += snprintf(s->text + used, sizeof(s->text) - used, " %llx-%llx", ranges[r].start,
					 ranges[r].last);
		used += snprintf(s->text + used, sizeof(s->text) - used, "\n");
	}
	/* what is in use cannot be destroyed; what is not in use would be */
	for (int i = SPACE; i < TARGETS; i++)
		if (at == i)
			used += snprintf(s->text + used, sizeof(s->text) - used, "in use: %d\n",
					 iommu_destroy(iommufd, id[i]));
	snprintf(s->text + used, sizeof(s->text) - used, "pinned %ld pages, %ld kB\n", pages_pinned(), vm_pin_kb());
}

/* Whether every device of the group does its DMA where it should, and nowhere else */
static bool all_work_at(struct edu *edu, int devices, uint8_t *mem, enum target at)
{
	uint8_t *here = mem + (at == OTHER_SPACE ? HALF : 0), *there = mem + (at == OTHER_SPACE ? 0 : HALF);
	long faults = iommu_fault_count();
	bool good = true;

	memset(mem, 0, 2 * HALF);
	for (int i = 0; i < devices; i++)
		edu_start_store(&edu[i], IOVA + (1 + i) * PAGE, BYTES);
	for (int i = 0; i < devices; i++)
		good &= !edu_wait(&edu[i]);
	for (int i = 0; i < devices; i++) {
		if (at == NOWHERE)
			good &= bytes_are(here + (1 + i) * PAGE, BYTES, 0);
		else
			good &= pattern_is(here + (1 + i) * PAGE, BYTES, 1 + i);
	}
	good &= bytes_are(there, HALF, 0);
	return good && (at == NOWHERE ? iommu_block_seen(faults) : faults == iommu_fault_count());
}

static int move(struct edu *edu, const uint32_t *id, enum target to)
{
	return to == NOWHERE ? vfio_detach(edu->fd) : vfio_attach(edu->fd, id[to], NULL);
}

/* Detached in order of attaching: the last one to go is the last that came */
static int move_all(struct edu *edu, int devices, const uint32_t *id, const enum target *at)
{
	int rc = 0;

	for (int i = 0; i < devices && !rc; i++)
		rc = vfio_detach(edu[i].fd);
	for (int i = 0; i < devices && !rc; i++)
		rc = move(&edu[i], id, at[i]);
	return rc;
}

static enum target where_group_is(const enum target *at, int devices)
{
	for (int i = 0; i < devices; i++)
		if (at[i] != NOWHERE)
			return at[i];
	return NOWHERE;
}

TEST_F(group, stays_as_it_was_when_a_step_fails)
{
	struct sight before, after;

	if (self->nth < 0)
		SKIP(return, NO_FAULT_INJECTION);

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const struct step *step = &steps[i];
		int who = step->who < 0 ? variant->devices - 1 : step->who, failures = 0, wrong = 0;
		enum target at = where_group_is(step->at, variant->devices);
		/* a newcomer cannot move the group */
		bool refused = step->at[who] == NOWHERE && at != NOWHERE && at != step->to;

		if (variant->devices < step->devices)
			continue;
		for (int t = TABLE; t <= OTHER_TABLE; t++)
			ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu[0].id, self->id[SPACE], 0, &self->id[t]));
		ASSERT_EQ_FOR(0, move_all(self->edu, variant->devices, self->id, step->at), "%s", step->name);
		look(&before, self->iommufd, self->edu, variant->devices, self->id, at);
		for (int n = 1, failed = 1, rc; failed; n++) {
			ASSERT_GT(MANY, n);
			ASSERT_EQ(0, fail_arm_in_turn(self->nth, n));
			rc = move(&self->edu[who], self->id, step->to);
			failed = fail_left_in_turn(self->nth, n);
			if (rc) {
				failures++;
				look(&after, self->iommufd, self->edu, variant->devices, self->id, at);
				wrong += !!strcmp(before.text, after.text);
				EXPECT_STREQ(before.text, after.text) {
					TH_LOG("%s: failure %d gave %d", step->name, n, rc);
				}
				if (!failed)
					EXPECT_EQ_FOR(refused ? -EINVAL : 0, rc, "%s", step->name);
				/* a transfer takes 100 ms */
				if (n % 6 == 1 || !failed)
					EXPECT_TRUE_FOR(all_work_at(self->edu, variant->devices, self->mem, at),
							"%s: one of the last six of %d failures", step->name, n);
				continue;
			}
			ASSERT_TRUE_FOR(!refused, "%s: not refused", step->name);
			if (failed)
				ASSERT_EQ_FOR(0, move_all(self->edu, variant->devices, self->id, step->at), "%s",
					      step->name);
		}
		EXPECT_LE(step->least, failures) TH_LOG("%s", step->name);
		if (!refused) {
			enum target now[MOST_DEVICES];

			memcpy(now, step->at, sizeof(now));
			now[who] = step->to;
			at = step->to != NOWHERE ? step->to : where_group_is(now, variant->devices);
			EXPECT_TRUE_FOR(all_work_at(self->edu, variant->devices, self->mem, at), "%s", step->name);
		}
		TH_LOG("%s: %d failures, %d left something changed", step->name, failures, wrong);

		/* and nothing holds what it should not */
		for (int d = 0; d < variant->devices; d++)
			ASSERT_EQ(0, vfio_detach(self->edu[d].fd));
		for (int t = TABLE; t <= OTHER_TABLE; t++)
			EXPECT_EQ_FOR(0, iommu_destroy(self->iommufd, self->id[t]), "%s", step->name);
		EXPECT_EQ_FOR(0, pages_pinned(), "%s", step->name);
	}
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->id[SPACE]));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->id[OTHER_SPACE]));
}

TEST_HARNESS_MAIN
