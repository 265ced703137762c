// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_smmu - what an Arm SMMUv3 has of its own: its registers, and page tables of stage 1 and of stage 2
 *
 * Needs QEMU's edu devices in the places that edu.h names. Which stages there are the SMMU says itself. Elsewhere than
 * on Arm nothing is one.
 */
#include "iommu_test.h"
#include "smmu_watch.h"

#ifdef __aarch64__

#define IOVA		0x100000UL
#define HALF		(2 * PAGE)
#define SIZE		(2 * HALF)

#define ONE_STAGE	"the SMMU has one stage"

#define IDR0_BOTH	(SMMU_IDR0_S1P | SMMU_IDR0_S2P)
#define IDR1_SSIDSIZE	(0x1fU << 6)
#define IDR5_GRAN4K	0x10U
#define IDR5_OAS	0x7U

/* Behind the output size of every SMMU that has less than 48 bits, though in reach of each stage 1 of 48 bits */
#define HIGH_IOVA	0x400000000000UL

FIXTURE(smmu)
{
	int iommufd;
	struct edu edu;
	struct iommu_hw_info_arm_smmuv3 info;
	uint32_t ioas;
	uint8_t *mem;
};

FIXTURE_SETUP(smmu)
{
	struct iommu_hw_info cmd = { .size = sizeof(cmd), .data_len = sizeof(self->info),
				     .data_uptr = to_u64(&self->info) };

	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open_bound(&self->edu, EDU_ALONE, self->iommufd));
	cmd.dev_id = self->edu.id;
	ASSERT_EQ(0, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &cmd));
	ASSERT_EQ(IOMMU_HW_INFO_TYPE_ARM_SMMUV3, cmd.out_data_type);
	EXPECT_EQ(sizeof(self->info), cmd.data_len);

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	self->mem = small_pages(SIZE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, SIZE, IOVA));
}

FIXTURE_TEARDOWN(smmu)
{
	edu_close(&self->edu);
	close(self->iommufd);
	EXPECT_EQ(0, pages_pinned());
}

static bool has_both_stages(struct iommu_hw_info_arm_smmuv3 *info)
{
	return (info->idr[0] & IDR0_BOTH) == IDR0_BOTH;
}

TEST_F(smmu, registers_are_those_of_the_hardware)
{
	/* a stage, tables of AArch64, page size 4K, commands, streams: what no SMMU of this machine is without */
	EXPECT_NE(0, self->info.idr[0] & IDR0_BOTH);
	EXPECT_EQ(2, (self->info.idr[0] >> 2) & 3);
	EXPECT_NE(0, self->info.idr[1] & 0x3f);
	EXPECT_NE(0, (self->info.idr[1] >> 21) & 0x1f);
	EXPECT_NE(0, self->info.idr[5] & IDR5_GRAN4K);
	EXPECT_NE(0, self->info.aidr);
	EXPECT_EQ(0, self->info.flags);
	EXPECT_EQ(0, self->info.__reserved);
}

TEST_F(smmu, flags_ask_for_what_the_stages_can_do)
{
	bool both = has_both_stages(&self->info), ssids = self->info.idr[1] & IDR1_SSIDSIZE;
	const struct {
		uint32_t flags;
		int rc;
	} asked[] = {
		{ 0, 0 },
		{ IOMMU_HWPT_ALLOC_NEST_PARENT, both ? 0 : -EOPNOTSUPP },
		{ IOMMU_HWPT_ALLOC_PASID, ssids ? 0 : -EOPNOTSUPP },
		{ IOMMU_HWPT_ALLOC_DIRTY_TRACKING, -EOPNOTSUPP },
		{ IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_PASID, -EOPNOTSUPP },
	};
	uint32_t hwpt;

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		hwpt = 0;
		EXPECT_EQ_FOR(asked[i].rc, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, asked[i].flags, &hwpt),
			      "flags %#x", asked[i].flags);
		if (hwpt)
			EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt));
	}
}

TEST_F(smmu, stage_2_translates_and_is_left_again)
{
	uint32_t s1, s2, other;

	if (!has_both_stages(&self->info))
		SKIP(return, ONE_STAGE);
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &s1));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &s2));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &other));

	/* from none, to a stage 1 and back, to another stage 2, to none */
	ASSERT_EQ(0, vfio_attach(self->edu.fd, s2, NULL));
	EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 1));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, s1, NULL));
	EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 2));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, s2, NULL));
	EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 3));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, other, NULL));
	EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 4));
	ASSERT_EQ(0, vfio_detach(self->edu.fd));
	EXPECT_FALSE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 5));
}

/*
 * Of stage 2, page table and VMID are in two words of an entry, so that no write can change both. Nor can one between
 * the stages: where stage 1 is that of EL1, the VMID is on its TLB entries too. Those replaces have a window in which
 * DMA is blocked, once each, and only those.
 */
TEST_F(smmu, window_of_a_replace_from_or_to_stage_2)
{
	struct smmu_watch watch;
	uint32_t s1[2], s2[2];

	if (!has_both_stages(&self->info))
		SKIP(return, ONE_STAGE);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &s1[i]));
		ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &s2[i]));
	}

	const struct {
		const char *name;
		uint32_t hwpt[2];
		bool window;
	} ways[] = {
		{ "stage 1 to stage 1", { s1[0], s1[1] }, false },
		{ "stage 2 to stage 2", { s2[0], s2[1] }, true },
		{ "from stage to stage", { s1[0], s2[0] }, true },
	};

	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		const unsigned long *proof = ways[w].window ? &watch.shut : &watch.changes;
		double begin = seconds();
		int nr = 0;

		ASSERT_EQ(0, vfio_attach(self->edu.fd, ways[w].hwpt[0], NULL));
		ASSERT_EQ(0, smmu_watch_start(&watch, &self->edu, 1));
		/* a busy machine lets the watch see little */
		while (nr < 500 || (__atomic_load_n(proof, __ATOMIC_RELAXED) < 5 && seconds() - begin < 60)) {
			ASSERT_EQ(0, vfio_attach(self->edu.fd, ways[w].hwpt[++nr % 2], NULL));
			usleep(200);
		}
		smmu_watch_stop(&watch);
		TH_LOG("%s: %d replaces, entry read %lu times, %lu changes and %lu windows seen, the longest %.0f us",
		       ways[w].name, nr, watch.samples, watch.changes, watch.shut, watch.longest * 1e6);
		EXPECT_LE(5, *proof);
		EXPECT_GE(ways[w].window ? nr : 0, watch.shut);
		EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 6 + w));
	}
}

TEST_F(smmu, unmapped_from_a_nest_parent_is_out_of_reach)
{
	uint32_t s2;

	if (!has_both_stages(&self->info))
		SKIP(return, ONE_STAGE);
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &s2));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, s2, NULL));
	EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 1));
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, IOVA, SIZE, NULL));
	EXPECT_FALSE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 2));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, SIZE, IOVA));
	EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 3));
}

/* What a stage 1 translates a stage 2 may not reach: it has as many bits as addresses of memory have */
TEST_F(smmu, an_aperture_too_small_for_what_is_mapped)
{
	uint32_t s1, s2 = 0;

	if (!has_both_stages(&self->info))
		SKIP(return, ONE_STAGE);
	ASSERT_GT(5, self->info.idr[5] & IDR5_OAS);
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &s1));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, s1, NULL));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, HIGH_IOVA));

	EXPECT_EQ(-EADDRINUSE, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &s2));
	EXPECT_EQ(0, s2);
	/* nothing changed for what was there */
	EXPECT_TRUE(edu_works_in(&self->edu, IOVA, self->mem, HALF, 0, 1));

	/* and the other way round: with a stage 2, no more than it reaches can be mapped */
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, HIGH_IOVA, PAGE, NULL));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &s2));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, HIGH_IOVA));
}

/* Nothing stands on a nest parent yet */
TEST_F(smmu, a_nest_parent_is_no_nested_table)
{
	struct iommu_hwpt_arm_smmuv3 ste = {};
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .dev_id = self->edu.id, .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(ste), .data_uptr = to_u64(&ste),
	};

	if (!has_both_stages(&self->info))
		SKIP(return, ONE_STAGE);
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &alloc.pt_id));
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->iommufd, IOMMU_HWPT_ALLOC, &alloc));
}

#else

TEST(no_other_iommu_is_one)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd), .flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE,
		.in_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3,
	};
	int iommufd = iommu_open();
	struct edu edu;

	ASSERT_LE(0, iommufd) TH_LOG("/dev/iommu: %s", strerror(-iommufd));
	ASSERT_EQ(0, edu_open_bound(&edu, EDU_ALONE, iommufd));
	cmd.dev_id = edu.id;
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(iommufd, IOMMU_GET_HW_INFO, &cmd));
	edu_close(&edu);
	close(iommufd);
}

#endif

TEST_HARNESS_MAIN
