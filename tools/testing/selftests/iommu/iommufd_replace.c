// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_replace - devices that do DMA while their page table is exchanged, well or in vain
 *
 * Needs QEMU's edu devices in the places that edu.h names. What is asked each time: did every byte arrive in the
 * memory of the old page table or of the new one, was nothing blocked, and does nothing use the old one once replace
 * returned?
 */
#include "iommu_test.h"
#include "edu_load.h"
#include "edu_mover.h"
#include "fail_nth.h"
#include "iommufd_test_client.h"
#include "smmu_watch.h"

/* within reach of the mock IOMMU too */
#define IOVA		(2 * MOCK_FIRST)
#define BYTES		512

/* ---- replace under load ---- */

/* Where all memory is checked a replace takes ten times as long. */
static int replaces(void)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) ? 10000 : 1000;
}

/*
 * Devices that share a group
 * @edu: bound, @devices of them
 * @ioas: two address spaces with different memory at IOVA
 * @hwpt: two page tables of the first
 * @target: what replaces alternate between, address spaces or page tables
 * @bad: an address space that no device can be attached to, as interrupts are where it has memory
 * @gone: one whose memory is gone
 * @mock: a page table of another IOMMU
 */
FIXTURE(load)
{
	int iommufd, nth;
	struct edu edu[LOAD_DEVICES];
	uint8_t *memory[2];
	uint32_t ioas[2], hwpt[2], target[2], bad, gone, mock;
	long faults;
};

/* @part: a fraction of the replaces will do */
FIXTURE_VARIANT(load)
{
	unsigned int first;
	int devices;
	bool page_tables, failing;
	int part;
};

FIXTURE_VARIANT_ADD(load, alone)
{
	.first = EDU_ALONE, .devices = 1,
};

FIXTURE_VARIANT_ADD(load, alone_between_page_tables)
{
	.first = EDU_ALONE, .devices = 1, .page_tables = true,
};

FIXTURE_VARIANT_ADD(load, alone_every_seventh_fails)
{
	.first = EDU_ALONE, .devices = 1, .failing = true,
};

FIXTURE_VARIANT_ADD(load, functions)
{
	.first = EDU_FUNCTIONS, .devices = 3,
};

FIXTURE_VARIANT_ADD(load, functions_between_page_tables)
{
	.first = EDU_FUNCTIONS, .devices = 3, .page_tables = true,
};

FIXTURE_VARIANT_ADD(load, functions_every_seventh_fails)
{
	.first = EDU_FUNCTIONS, .devices = 3, .failing = true,
};

FIXTURE_VARIANT_ADD(load, bridged)
{
	.first = EDU_BRIDGED, .devices = 2, .part = 4,
};

FIXTURE_VARIANT_ADD(load, bridged_every_seventh_fails)
{
	.first = EDU_BRIDGED, .devices = 2, .failing = true, .part = 4,
};

FIXTURE_SETUP(load)
{
	struct mock_device mock;
	uint32_t ioas;

	self->nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	self->faults = iommu_fault_count();
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	for (int i = 0; i < variant->devices; i++)
		ASSERT_EQ(0, edu_open_bound(&self->edu[i], variant->first + i, self->iommufd));
	for (int i = 1; i < variant->devices; i++)
		ASSERT_EQ(pci_group(self->edu[0].bdf), pci_group(self->edu[i].bdf));
	for (int i = 0; i < 2; i++) {
		self->memory[i] = small_pages(LOAD_SIZE);
		ASSERT_NE(NULL, self->memory[i]);
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas[i], self->memory[i], LOAD_SIZE, IOVA));
		self->target[i] = self->ioas[i];
	}
	for (int i = 0; i < 2 && variant->page_tables; i++) {
		ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu[0].id, self->ioas[0], 0, &self->hwpt[i]));
		self->target[i] = self->hwpt[i];
	}

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->bad));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->bad, self->memory[0], PAGE, MSI_WINDOW));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->gone));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->gone, NULL, PAGE, IOVA));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &ioas));
	ASSERT_EQ(0, mock_device_create(self->iommufd, ioas, &mock));
	self->mock = mock.hwpt;
}

FIXTURE_TEARDOWN(load)
{
	for (int i = 0; i < variant->devices; i++)
		edu_close(&self->edu[i]);
	close(self->iommufd);
	for (int i = 0; i < 2; i++)
		munmap(self->memory[i], LOAD_SIZE);
	if (self->nth >= 0)
		close(self->nth);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* An attach whose answer cannot be written */
static int attach_unwritable(int dev, uint32_t pt_id)
{
	struct vfio_device_attach_iommufd_pt *page;
	int rc;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	*page = (struct vfio_device_attach_iommufd_pt){ .argsz = sizeof(*page), .pt_id = pt_id };
	rc = mprotect(page, PAGE, PROT_READ) ? -errno : 0;
	rc = rc ?: iommu_call(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, page);
	munmap(page, PAGE);
	return rc;
}

/* One replace that has to fail, of the @nr-th kind. Returns 0 when it failed as it should. */
static int replace_in_vain(struct edu *edu, uint32_t bad, uint32_t gone, uint32_t mock, uint32_t good, int nr)
{
	const struct {
		uint32_t pt_id;
		int rc;
	} refused[] = {
		{ bad, -EADDRINUSE },
		{ gone, -EFAULT },
		{ mock, -EINVAL },
		{ UNKNOWN_ID, -ENOENT },
		{ edu->id, -EINVAL },
	};
	int n = nr % (ARRAY_SIZE(refused) + 1), rc;

	if (n == ARRAY_SIZE(refused))
		return attach_unwritable(edu->fd, good) == -EFAULT ? 0 : -EPROTO;
	rc = vfio_attach(edu->fd, refused[n].pt_id, NULL);
	return rc == refused[n].rc ? 0 : rc ?: -EPROTO;
}

/* An SMMUv3 that translates by its stage 1 shows that it is not told anything else in between */
static bool can_be_watched(const struct edu *edu)
{
	const uint64_t smmu = smmu_address(edu->bdf);

	return smmu && smmu_read(smmu, SMMU_IDR0) & SMMU_IDR0_S1P;
}

TEST_F(load, dma_never_stops)
{
	struct edu_load load = {
		.edu = self->edu, .devices = variant->devices, .iova = IOVA,
		.memory = { self->memory[0], self->memory[1] }, .memories = variant->page_tables ? 1 : 2,
	};
	int side = 0, failed = 0, injected = 0, late = 0, nth = 1;
	const int total = replaces() / (variant->part ?: 1);
	const bool watched = can_be_watched(&self->edu[0]);
	uint32_t hwpt = 0, sibling = 0;
	struct smmu_watch watch;
	uint64_t print = 0;
	double begin;

	for (int i = 0; i < variant->devices; i++)
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->target[0], NULL));
	if (watched)
		ASSERT_EQ(0, smmu_watch_start(&watch, self->edu, variant->devices));
	ASSERT_EQ(0, edu_load_start(&load));
	begin = seconds();

	for (int nr = 1; nr <= total && !load.rc; nr++) {
		struct edu *edu = &self->edu[nr % variant->devices];
		bool in_vain = variant->failing && nr % 7 == 0;
		int rc;

		/* which memory the device must have left alone since the last replace returned */
		if (load.memories == 2 && nr > 1 && print != edu_load_print(&load, !side))
			late++;

		if (in_vain && nr / 7 % 2 && self->nth >= 0) {
			fail_arm(self->nth, nth);
			rc = vfio_attach(edu->fd, self->target[!side], &hwpt);
			/* from the start again when the call has no more points of failure */
			nth = fail_happened(self->nth) ? nth + 1 : 1;
			injected += !!rc;
			in_vain = rc;
			rc = 0;
		} else if (in_vain) {
			rc = replace_in_vain(edu, self->bad, self->gone, self->mock, self->target[!side], nr / 14);
		} else {
			rc = vfio_attach(edu->fd, self->target[!side], &hwpt);
		}
		if (in_vain)
			failed++;
		else
			side = !side;
		print = edu_load_print(&load, !side);
		EXPECT_EQ_FOR(0, rc, "replace %d", nr);

		/* for its siblings there is nothing left to do */
		if (!in_vain && variant->devices > 1) {
			edu = &self->edu[(nr + 1) % variant->devices];
			EXPECT_EQ_FOR(0, vfio_attach(edu->fd, self->target[side], &sibling), "replace %d", nr);
			EXPECT_EQ_FOR(hwpt, sibling, "replace %d", nr);
		}
		if (rc)
			break;
		usleep(200);
	}
	edu_load_stop(&load);
	if (watched)
		smmu_watch_stop(&watch);

	TH_LOG("%d replaces in %.1f s, %d failed, %d of them injected; %d transfers", total, seconds() - begin,
	       failed, injected, load.transfers);
	TH_LOG("halves of transfers: from %d and %d, to %d and %d; %d lost, %d strange, %d late", load.from[0],
	       load.from[1], load.to[0], load.to[1], load.lost, load.strange, late);
	EXPECT_EQ(0, load.rc);
	EXPECT_LT(4, load.transfers);
	EXPECT_EQ(0, load.lost);
	EXPECT_EQ(0, load.strange);
	EXPECT_EQ(0, late);
	EXPECT_EQ(self->faults, iommu_fault_count());
	if (watched) {
		TH_LOG("the stream table: %lu times read, %lu changes seen", watch.samples, watch.changes);
		EXPECT_LT(total / 100, watch.changes);
		EXPECT_EQ(0, watch.shut);
	}
	if (variant->failing) {
		EXPECT_LT(total / 7 / 2, failed);
		EXPECT_LT(self->nth < 0 ? -1 : total / 50, injected);
	}
	/* what was replaced in vain holds nothing */
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->bad));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->gone));
}

/* ---- two devices with an address space each, for what needs no load ---- */

/*
 * @edu: two functions of one device
 * @ioas: two address spaces, with the halves of @mem at IOVA
 */
FIXTURE(pair)
{
	int iommufd;
	struct edu edu[2];
	uint32_t ioas[2];
	uint8_t *mem;
};

#define HALF	(4 * PAGE)

FIXTURE_SETUP(pair)
{
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	self->mem = small_pages(2 * HALF);
	ASSERT_NE(NULL, self->mem);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, edu_open_bound(&self->edu[i], EDU_FUNCTIONS + i, self->iommufd));
		ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas[i]));
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas[i], self->mem + i * HALF, HALF, IOVA));
	}
}

FIXTURE_TEARDOWN(pair)
{
	for (int i = 0; i < 2; i++)
		edu_close(&self->edu[i]);
	close(self->iommufd);
	munmap(self->mem, 2 * HALF);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

static bool works_in(uint8_t *mem, struct edu *edu, int side, uint64_t seed)
{
	return edu_works_in(edu, IOVA, mem, HALF, side, seed);
}

TEST_F(pair, replace_refuses_what_is_no_page_table_for_it)
{
	uint32_t dead, bad, gone, hwpt = 0, foreign;
	long faults = iommu_fault_count();
	struct mock_device mock;
	int other = iommu_open();

	ASSERT_LE(0, other);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->ioas[0], &hwpt));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &bad));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, bad, self->mem, PAGE, MSI_WINDOW));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &gone));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, gone, NULL, PAGE, IOVA));
	ASSERT_EQ(0, mock_device_create(self->iommufd, self->ioas[1], &mock));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &dead));
	ASSERT_EQ(0, iommu_destroy(self->iommufd, dead));
	/* an id that means something in another context only */
	do {
		ASSERT_EQ(0, ioas_alloc(other, &foreign));
	} while (foreign <= dead);

	for (int i = 0; i < 2; i++) {
		int dev = self->edu[i].fd;

		EXPECT_EQ(-ENOENT, vfio_attach(dev, 0, NULL));
		EXPECT_EQ(-ENOENT, vfio_attach(dev, UNKNOWN_ID, NULL));
		EXPECT_EQ(-ENOENT, vfio_attach(dev, dead, NULL));
		EXPECT_EQ(-ENOENT, vfio_attach(dev, foreign, NULL));
		EXPECT_EQ(-EINVAL, vfio_attach(dev, self->edu[0].id, NULL));
		EXPECT_EQ(-EINVAL, vfio_attach(dev, self->edu[1].id, NULL));
		EXPECT_EQ(-EINVAL, vfio_attach(dev, mock.id, NULL));
		EXPECT_EQ(-EINVAL, vfio_attach(dev, mock.hwpt, NULL));
		EXPECT_EQ(-EADDRINUSE, vfio_attach(dev, bad, NULL));
		EXPECT_EQ(-EFAULT, vfio_attach(dev, gone, NULL));
		EXPECT_EQ(-EFAULT, attach_unwritable(dev, self->ioas[1]));
		EXPECT_TRUE(works_in(self->mem, &self->edu[i], 0, 20 + i));
	}
	/* nor does a mock device take a page table of VT-d */
	foreign = hwpt;
	EXPECT_EQ(-EINVAL, mock_device_replace(self->iommufd, mock.stdev, &foreign));
	EXPECT_EQ(0, mock_check_map(self->iommufd, mock.hwpt, IOVA, HALF, self->mem + HALF));

	EXPECT_EQ(0, iommu_destroy(self->iommufd, bad));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, gone));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, hwpt));
	EXPECT_EQ(faults, iommu_fault_count());
	/* an address space serves devices of both kinds, each with page tables of its own */
	EXPECT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[1], NULL));
	EXPECT_TRUE(works_in(self->mem, &self->edu[1], 1, 22));
	close(other);
}

TEST_F(pair, threads_that_replace_the_same_slot)
{
	long faults = iommu_fault_count();
	struct mover movers[3] = {
		{ .dev = self->edu[0].fd, .target = { self->ioas[0], self->ioas[1] } },
		{ .dev = self->edu[0].fd, .target = { self->ioas[1], self->ioas[0] } },
		{ .dev = self->edu[1].fd, .target = { self->ioas[0], self->ioas[1] } },
	};

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->ioas[0], NULL));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, mover_start(&movers[i]));
	/* where they land is not known, but it is somewhere */
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, edu_load(&self->edu[i % 2], IOVA, BYTES));
		ASSERT_EQ(0, edu_store(&self->edu[i % 2], IOVA + PAGE, BYTES));
	}
	for (int i = 0; i < 3; i++)
		while (!mover_has_moved(&movers[i], 50))
			sleep_ms(1);
	for (int i = 0; i < 3; i++) {
		mover_stop(&movers[i]);
		EXPECT_EQ_FOR(0, movers[i].rc, "thread %d", i);
	}
	EXPECT_EQ(faults, iommu_fault_count());
	for (int side = 0; side < 2; side++) {
		ASSERT_EQ(0, vfio_attach(self->edu[side].fd, self->ioas[side], NULL));
		EXPECT_TRUE(works_in(self->mem, &self->edu[!side], side, 40 + side));
		EXPECT_EQ(HALF / 1024, vm_pin_kb());
	}
}

TEST_F(pair, sibling_comes_and_goes_during_replaces)
{
	long faults = iommu_fault_count();
	struct mover mover = { .dev = self->edu[0].fd, .target = { self->ioas[0], self->ioas[1] } };
	int joined = 0, refused = 0;
	double begun = seconds();
	char bdf[16];

	ASSERT_EQ(0, edu_one_cpu());
	memcpy(bdf, self->edu[1].bdf, sizeof(bdf));
	ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[0], NULL));
	ASSERT_EQ(0, mover_start(&mover));
	/* opening a device takes a second on a DEBUG kernel with one CPU */
	for (int i = 0; i < 300 && (seconds() - begun < 20 || joined <= 10 || refused <= 10); i++) {
		int rc = vfio_attach(self->edu[1].fd, self->ioas[i % 2], NULL);

		/* not attached, it replaces nothing: it joins where the group is, or stays out */
		ASSERT_TRUE(rc == 0 || rc == -EINVAL) TH_LOG("round %d: %d", i, rc);
		joined += !rc;
		refused += !!rc;
		if (i % 3 == 0)
			ASSERT_EQ(0, vfio_detach(self->edu[1].fd));
		if (i % 3 != 1)
			continue;
		edu_close(&self->edu[1]);
		ASSERT_EQ(0, edu_open_bound_at(&self->edu[1], bdf, self->iommufd));
	}
	ASSERT_EQ(0, edu_store(&self->edu[0], IOVA + PAGE, BYTES));
	mover_stop(&mover);
	TH_LOG("%d moves; the sibling joined %d times and was refused %d times", mover.moves, joined, refused);
	EXPECT_EQ(0, mover.rc);
	EXPECT_LT(10, joined);
	EXPECT_LT(10, refused);
	EXPECT_EQ(faults, iommu_fault_count());
	edu_close(&self->edu[1]);
	ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[1], NULL));
	EXPECT_TRUE(works_in(self->mem, &self->edu[0], 1, 50));
	ASSERT_EQ(0, edu_open_bound_at(&self->edu[1], bdf, self->iommufd));
}

TEST_F(pair, maps_during_replaces_reach_every_device)
{
	struct mover mover = { .dev = self->edu[0].fd, .target = { self->ioas[0], self->ioas[1] } };
	const uint64_t iova = IOVA + MIB;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->ioas[0], NULL));
	ASSERT_EQ(0, mover_start(&mover));
	for (int i = 0; i < 300; i++) {
		for (int side = 0; side < 2; side++)
			ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas[side], self->mem + side * HALF, HALF,
						 iova));
		for (int side = 0; side < 2 && i < 299; side++)
			ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas[side], iova, HALF, NULL));
	}
	mover_stop(&mover);
	EXPECT_EQ(0, mover.rc);
	/* what was mapped while a sibling had not been told yet is there for it */
	for (int side = 0; side < 2; side++) {
		ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[side], NULL));
		memset(self->mem, 0, 2 * HALF);
		pattern_fill(self->mem + side * HALF, BYTES, 60 + side);
		ASSERT_EQ(0, edu_copy(&self->edu[1], iova, iova + PAGE, BYTES));
		EXPECT_TRUE(pattern_is(self->mem + side * HALF + PAGE, BYTES, 60 + side));
	}
}

TEST_F(pair, close_in_the_middle_of_replaces)
{
	struct mover movers[2];
	char bdf[16];

	ASSERT_EQ(0, edu_one_cpu());
	memcpy(bdf, self->edu[0].bdf, sizeof(bdf));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 2; i++) {
			movers[i] = (struct mover){
				.dev = self->edu[0].fd, .target = { self->ioas[0], self->ioas[1] }
			};
			ASSERT_EQ(0, mover_start(&movers[i]));
		}
		sleep_ms(round);
		edu_close(&self->edu[0]);
		for (int i = 0; i < 2; i++) {
			mover_stop(&movers[i]);
			EXPECT_TRUE_FOR(!movers[i].rc || movers[i].rc == -EBADF, "round %d: %d", round, movers[i].rc);
		}
		EXPECT_EQ(0, vm_pin_kb());
		ASSERT_EQ(0, edu_open_bound_at(&self->edu[0], bdf, self->iommufd));
	}
	/* the context outlives its file as long as a device is bound to it */
	movers[0] = (struct mover){ .dev = self->edu[0].fd, .target = { self->ioas[0], self->ioas[1] } };
	ASSERT_EQ(0, mover_start(&movers[0]));
	sleep_ms(5);
	close(self->iommufd);
	sleep_ms(5);
	mover_stop(&movers[0]);
	EXPECT_EQ(0, movers[0].rc);
	ASSERT_EQ(0, vfio_attach(self->edu[0].fd, self->ioas[1], NULL));
	EXPECT_TRUE(works_in(self->mem, &self->edu[0], 1, 70));
	self->iommufd = -1;
}

TEST_HARNESS_MAIN
