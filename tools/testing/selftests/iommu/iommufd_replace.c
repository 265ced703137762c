// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_replace - devices that do DMA and raise interrupts while their page table is exchanged, well or in vain
 *
 * Needs QEMU's edu devices in the places that edu.h names. What is asked each time: did every byte arrive in the
 * memory of the old page table or of the new one, was nothing blocked, and does nothing use the old one once replace
 * returned?
 */
#include "iommu_test.h"
#include "edu_load.h"
#include "fail_nth.h"
#include "iommufd_test_client.h"

#include <poll.h>
#include <sys/eventfd.h>

#define IOVA		0x100000UL
#define REPLACES	10000
#define BYTES		512

/* ---- replace under load ---- */

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

FIXTURE_VARIANT(load)
{
	unsigned int first;
	int devices;
	bool page_tables, failing;
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
	.first = EDU_BRIDGED, .devices = 2,
};

FIXTURE_VARIANT_ADD(load, bridged_every_seventh_fails)
{
	.first = EDU_BRIDGED, .devices = 2, .failing = true,
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

TEST_F_TIMEOUT(load, dma_never_stops, 600)
{
	struct edu_load load = {
		.edu = self->edu, .devices = variant->devices, .iova = IOVA,
		.memory = { self->memory[0], self->memory[1] }, .memories = variant->page_tables ? 1 : 2,
	};
	int side = 0, failed = 0, injected = 0, late = 0, nth = 1;
	uint32_t hwpt, sibling;
	uint64_t print = 0;
	double begin;

	for (int i = 0; i < variant->devices; i++)
		ASSERT_EQ(0, vfio_attach(self->edu[i].fd, self->target[0], NULL));
	ASSERT_EQ(0, edu_load_start(&load));
	begin = seconds();

	for (int nr = 1; nr <= REPLACES && !load.rc; nr++) {
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

	TH_LOG("%d replaces in %.1f s, %d failed, %d of them injected; %d transfers", REPLACES, seconds() - begin,
	       failed, injected, load.transfers);
	TH_LOG("halves of transfers: from %d and %d, to %d and %d; %d lost, %d strange, %d late", load.from[0],
	       load.from[1], load.to[0], load.to[1], load.lost, load.strange, late);
	EXPECT_EQ(0, load.rc);
	EXPECT_LT(10, load.transfers);
	EXPECT_EQ(0, load.lost);
	EXPECT_EQ(0, load.strange);
	EXPECT_EQ(0, late);
	EXPECT_EQ(self->faults, iommu_fault_count());
	if (variant->failing) {
		EXPECT_LT(REPLACES / 7 / 2, failed);
		EXPECT_LT(self->nth < 0 ? -1 : 500, injected);
	}
	/* what was replaced in vain holds nothing */
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->bad));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->gone));
}

TEST_HARNESS_MAIN
