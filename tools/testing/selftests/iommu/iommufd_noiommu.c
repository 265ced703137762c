// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_noiommu - a device without an IOMMU, and the physical addresses that it has to be given
 *
 * The device is the edu that no IOMMU translates for. VFIO takes it in its unsafe mode, which is on while a test runs.
 * Physical addresses are held against /proc/self/pagemap, and by DMA.
 */
#include "iommu_test.h"
#include "iommufd_test_client.h"
#include "fail_nth.h"
#include "fdinfo.h"
#include "type1.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define UNSAFE_MODE	"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define NO_DEVICE	"no device without an IOMMU"
#define TAINT_USER	64	/* in /proc/sys/kernel/tainted */

#define NPAGES		64
#define SIZE		(NPAGES * PAGE)
#define IOVA		0x10000000UL

/* *@length: in: how far to look; out: how much is contiguous */
static int get_pa(int fd, uint32_t ioas, uint64_t iova, uint64_t *length, uint64_t *phys)
{
	struct iommu_ioas_noiommu_get_pa cmd = {
		.size = sizeof(cmd), .ioas_id = ioas, .iova = iova, .length = *length,
	};
	int rc = iommu_call(fd, IOMMU_IOAS_NOIOMMU_GET_PA, &cmd);

	if (!rc) {
		*length = cmd.length;
		*phys = cmd.out_phys;
	}
	return rc;
}

/* What it says, without what it answers */
static int try_pa(int fd, uint32_t ioas, uint64_t iova, uint64_t length)
{
	uint64_t phys;

	return get_pa(fd, ioas, iova, &length, &phys);
}

/* The physical address of one byte, 0 on error: the first page of memory is nobody's to map */
static uint64_t pa_of(int fd, uint32_t ioas, uint64_t iova)
{
	uint64_t length = 1, phys;

	return get_pa(fd, ioas, iova, &length, &phys) || length != 1 ? 0 : phys;
}

/* How much is contiguous from @iova on, 0 on error */
static uint64_t run_at(int fd, uint32_t ioas, uint64_t iova)
{
	uint64_t length = UINT64_MAX, phys;

	return get_pa(fd, ioas, iova, &length, &phys) ? 0 : length;
}

/* The same by what the kernel says of this process, 0 on error */
static uint64_t physical(const void *va)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), to_u64(va) / PAGE * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry >> 63 ? (entry & ((1UL << 55) - 1)) * PAGE + to_u64(va) % PAGE : 0;
}

FIXTURE(noiommu)
{
	char bdf[16];
	int iommufd;
	struct edu edu;
	uint32_t ioas;
	uint8_t *mem;
};

FIXTURE_SETUP(noiommu)
{
	if (edu_find_noiommu(0, self->bdf))
		SKIP(NO_FIXTURE; return, NO_DEVICE);
	ASSERT_EQ(0, write_file(UNSAFE_MODE, "Y"));
	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd) TH_LOG("/dev/iommu: %s", strerror(-self->iommufd));
	ASSERT_EQ(0, edu_open_bound_at(&self->edu, self->bdf, self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	self->mem = small_pages(SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(noiommu)
{
	edu_space_close(_metadata, self->iommufd, &self->edu, self->mem, SIZE);
	EXPECT_EQ(0, write_file(UNSAFE_MODE, "N"));
}

#define ATTACH(_self) \
	ASSERT_EQ(0, vfio_attach((_self)->edu.fd, (_self)->ioas, NULL))

#define MAP_MEM(_self) \
	ASSERT_EQ(0, ioas_map_at((_self)->iommufd, (_self)->ioas, (_self)->mem, SIZE, IOVA))

/* ---- the node ---- */

TEST_F(noiommu, has_a_name_and_rights_of_its_own)
{
	char node[64], tainted[32];
	struct stat st;

	ASSERT_EQ(0, vfio_node(self->bdf, node, sizeof(node)));
	EXPECT_EQ(0, strncmp(node, "/dev/vfio/devices/noiommu-vfio", 30)) TH_LOG("%s", node);
	ASSERT_EQ(0, stat(node, &st));
	EXPECT_EQ(0600, st.st_mode & 0777);
	ASSERT_LT(0, read_file("/proc/sys/kernel/tainted", tainted, sizeof(tainted)));
	EXPECT_NE(0, atol(tainted) & TAINT_USER);
}

TEST_F(noiommu, fdinfo_says_where_it_is)
{
	static char text[8192];

	ASSERT_LT(0, fdinfo_read(self->edu.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "vfio:\tname=%s opened=node", self->bdf));
	EXPECT_EQ(1, fdinfo_count(text, "iommufd:"));
	EXPECT_TRUE(fdinfo_says(text, "noiommu:\tid=%u name=%s", self->edu.id, self->bdf));
	EXPECT_EQ(NULL, strstr(text, " ioas="));
	ATTACH(self);
	ASSERT_LT(0, fdinfo_read(self->edu.fd, text, sizeof(text)));
	EXPECT_TRUE(fdinfo_says(text, "noiommu:\tid=%u name=%s ioas=%u", self->edu.id, self->bdf, self->ioas));
}

TEST_F(noiommu, takes_a_capability_to_open)
{
	struct edu again;

	edu_close(&self->edu);
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, false));
	EXPECT_EQ(-EPERM, edu_open_at(&again, self->bdf));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, true));
	ASSERT_EQ(0, edu_open_at(&again, self->bdf));
	/* and none to use: who has it may hand the file to one who has not */
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, false));
	EXPECT_EQ(0, vfio_bind(again.fd, self->iommufd, &again.id));
	EXPECT_EQ(0, vfio_attach(again.fd, self->ioas, NULL));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, true));
	edu_close(&again);
}

TEST_F(noiommu, is_there_in_the_unsafe_mode_only)
{
	struct edu again;
	char node[64];

	edu_close(&self->edu);
	ASSERT_EQ(0, edu_open_at(&again, self->bdf));
	ASSERT_EQ(0, write_file(UNSAFE_MODE, "N"));
	EXPECT_EQ(-EPERM, vfio_bind(again.fd, self->iommufd, &again.id));
	edu_close(&again);

	ASSERT_EQ(0, pci_unbind(self->bdf));
	EXPECT_EQ(-ENOENT, vfio_node(self->bdf, node, sizeof(node)));
	pci_use_vfio(self->bdf);
	EXPECT_EQ(-ENOENT, vfio_node(self->bdf, node, sizeof(node)));
	ASSERT_EQ(0, write_file(UNSAFE_MODE, "Y"));
	EXPECT_EQ(0, edu_open_bound_at(&self->edu, self->bdf, self->iommufd));
}

TEST_F(noiommu, is_bound_once)
{
	struct edu again;
	uint32_t id;

	EXPECT_LT(0, self->edu.id);
	EXPECT_EQ(-EINVAL, vfio_bind(self->edu.fd, self->iommufd, &id));
	ASSERT_EQ(0, edu_open_at(&again, self->bdf));
	EXPECT_EQ(-EINVAL, vfio_bind(again.fd, self->iommufd, &id));
	EXPECT_EQ(-EINVAL, vfio_attach(again.fd, self->ioas, NULL));
	edu_close(&self->edu);
	EXPECT_EQ(0, vfio_bind(again.fd, self->iommufd, &id));
	edu_close(&again);
}

TEST_F(noiommu, is_used_through_its_group_or_its_node)
{
	struct edu again;
	uint32_t id;
	int group;

	EXPECT_EQ(-EBUSY, vfio_group_open(self->bdf));
	edu_close(&self->edu);
	group = vfio_group_open(self->bdf);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, edu_open_at(&again, self->bdf));
	EXPECT_EQ(-EBUSY, vfio_bind(again.fd, self->iommufd, &id));
	close(group);
	EXPECT_EQ(0, vfio_bind(again.fd, self->iommufd, &id));
	edu_close(&again);
}

/* ---- what the object is not ---- */

TEST_F(noiommu, has_no_hardware_and_no_page_tables)
{
	struct iommu_hw_info info = { .size = sizeof(info), .dev_id = self->edu.id };
	struct iommu_viommu_alloc viommu = {
		.size = sizeof(viommu), .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3, .dev_id = self->edu.id,
	};
	struct iommu_hw_info_routing routing;
	uint32_t hwpt;

	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->iommufd, IOMMU_GET_HW_INFO, &info));
	EXPECT_EQ(-EOPNOTSUPP, device_routing(self->iommufd, self->edu.id, &routing));
	EXPECT_EQ(-EOPNOTSUPP, hwpt_alloc(self->iommufd, self->edu.id, self->ioas, 0, &hwpt));
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->iommufd, IOMMU_VIOMMU_ALLOC, &viommu));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->edu.id));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, 0, IOVA));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->iommufd, self->edu.id, IOVA, PAGE, NULL));
}

TEST_F(noiommu, attaches_to_address_spaces_only)
{
	struct vfio_device_attach_iommufd_pt pasid = {
		.argsz = sizeof(pasid), .flags = VFIO_DEVICE_ATTACH_PASID, .pt_id = self->ioas, .pasid = 1,
	};
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach), .flags = VFIO_DEVICE_DETACH_PASID, .pasid = 1,
	};
	struct edu other;
	uint32_t hwpt;

	ASSERT_EQ(0, edu_open_bound(&other, 0, self->iommufd));
	ASSERT_EQ(0, hwpt_alloc(self->iommufd, other.id, self->ioas, 0, &hwpt));
	EXPECT_EQ(-EINVAL, vfio_attach(self->edu.fd, hwpt, NULL));
	EXPECT_EQ(-EINVAL, vfio_attach(self->edu.fd, other.id, NULL));
	EXPECT_EQ(-EINVAL, vfio_attach(self->edu.fd, self->edu.id, NULL));
	EXPECT_EQ(-ENOENT, vfio_attach(self->edu.fd, UNKNOWN_ID, NULL));
	EXPECT_EQ(-ENOENT, vfio_attach(self->edu.fd, 0, NULL));
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->edu.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pasid));
	EXPECT_EQ(-EOPNOTSUPP, iommu_call(self->edu.fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	/* nothing of that is an attachment */
	EXPECT_EQ(0, iommu_destroy(self->iommufd, hwpt));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
	edu_close(&other);
}

/* ---- pinning ---- */

TEST_F(noiommu, pins_what_is_mapped_while_it_is_attached)
{
	uint32_t id = 0, more;

	MAP_MEM(self);
	EXPECT_EQ(0, vm_pin_kb());
	ASSERT_EQ(0, vfio_attach(self->edu.fd, self->ioas, &id));
	EXPECT_EQ(self->ioas, id);
	EXPECT_EQ(SIZE / 1024, vm_pin_kb());
	EXPECT_EQ(NPAGES, pages_pinned());
	/* again is nothing new */
	EXPECT_EQ(0, vfio_attach(self->edu.fd, self->ioas, &id));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->iommufd, self->ioas));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, 2 * IOVA));
	EXPECT_EQ(NPAGES + 1, pages_pinned());
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, 2 * IOVA, PAGE, NULL));
	EXPECT_EQ(NPAGES, pages_pinned());

	/* another address space, and back to none */
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &more));
	ASSERT_EQ(0, ioas_copy_to(self->iommufd, more, IOVA, self->ioas, IOVA, PAGE));
	ASSERT_EQ(0, vfio_attach(self->edu.fd, more, &id));
	EXPECT_EQ(more, id);
	EXPECT_EQ(1, pages_pinned());
	EXPECT_EQ(-EOPNOTSUPP, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
	EXPECT_EQ(physical(self->mem), pa_of(self->iommufd, more, IOVA));
	ASSERT_EQ(0, vfio_detach(self->edu.fd));
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(0, vfio_detach(self->edu.fd));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, more));
	EXPECT_EQ(0, iommu_destroy(self->iommufd, self->ioas));
}

TEST_F(noiommu, that_cannot_pin_stays_where_it_is)
{
	void *nothing = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t bad, id = 0;

	ASSERT_NE(MAP_FAILED, nothing);
	MAP_MEM(self);
	ATTACH(self);
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &bad));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, bad, self->mem, SIZE, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, bad, nothing, PAGE, 2 * IOVA));
	EXPECT_EQ(-EFAULT, vfio_attach(self->edu.fd, bad, &id));
	EXPECT_EQ(0, id);
	EXPECT_EQ(NPAGES, pages_pinned());
	EXPECT_EQ(physical(self->mem), pa_of(self->iommufd, self->ioas, IOVA));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->iommufd, self->ioas, nothing, PAGE, 2 * IOVA));
	EXPECT_EQ(-ENOENT, try_pa(self->iommufd, self->ioas, 2 * IOVA, PAGE));
	/* not kept by the failure */
	EXPECT_EQ(0, iommu_destroy(self->iommufd, bad));
	munmap(nothing, PAGE);
}

TEST_F(noiommu, pins_within_the_limit)
{
	uint32_t bad;

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &bad));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	MAP_MEM(self);
	ASSERT_EQ(0, ioas_map_at(self->iommufd, bad, self->mem, PAGE, IOVA));
	ASSERT_EQ(0, memlock_limit(SIZE - PAGE));
	EXPECT_EQ(-ENOMEM, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, vfio_attach(self->edu.fd, bad, NULL));
	EXPECT_EQ(-ENOMEM, ioas_map_at(self->iommufd, bad, self->mem + PAGE, SIZE - PAGE, 2 * IOVA));
	EXPECT_EQ(1, pages_pinned());
	EXPECT_EQ(0, ioas_map_at(self->iommufd, bad, self->mem + PAGE, SIZE - 2 * PAGE, 2 * IOVA));
	ASSERT_EQ(0, memlock_limit(SIZE));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, true));
}

TEST_F(noiommu, demands_whole_pages_and_leaves_all_addresses)
{
	struct iommu_iova_range range[2];
	uint64_t align = 0, phys = 0;
	uint32_t num = 2;

	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem + 512, PAGE, IOVA + 512));
	EXPECT_EQ(-EADDRINUSE, vfio_attach(self->edu.fd, self->ioas, NULL));
	EXPECT_EQ(0, pages_pinned());
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	ATTACH(self);
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem + 512, PAGE, IOVA + 512));
	EXPECT_EQ(-EINVAL, ioas_map_at(self->iommufd, self->ioas, self->mem, 512, IOVA));
	ASSERT_EQ(0, ioas_ranges(self->iommufd, self->ioas, range, &num, &align));
	EXPECT_EQ(1, num);
	EXPECT_EQ(0, range[0].start);
	EXPECT_EQ(UINT64_MAX, range[0].last);
	EXPECT_EQ(PAGE, align);
	/* up to the last one that a mapping can have, and looked for behind the end of all */
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, -2 * PAGE));
	align = UINT64_MAX;
	EXPECT_EQ(0, get_pa(self->iommufd, self->ioas, -PAGE - 1, &align, &phys));
	EXPECT_EQ(1, align);
	EXPECT_EQ(physical(self->mem) + PAGE - 1, phys);
	EXPECT_EQ(-ENOENT, try_pa(self->iommufd, self->ioas, UINT64_MAX, UINT64_MAX));
}

/* ---- physical addresses ---- */

TEST_F(noiommu, addresses_are_those_of_the_pages)
{
	MAP_MEM(self);
	ATTACH(self);
	for (unsigned int i = 0; i < NPAGES; i++) {
		uint64_t want = physical(self->mem + i * PAGE);
		uint64_t length, phys = 0;

		ASSERT_NE(0, want);
		EXPECT_EQ_FOR(want, pa_of(self->iommufd, self->ioas, IOVA + i * PAGE), "page %u", i);
		EXPECT_EQ_FOR(want + 123, pa_of(self->iommufd, self->ioas, IOVA + i * PAGE + 123), "page %u", i);
		/* as far as the next page is the next one of memory, and not behind what was asked for */
		for (length = PAGE; i + length / PAGE < NPAGES; length += PAGE)
			if (physical(self->mem + i * PAGE + length) != want + length)
				break;
		EXPECT_EQ_FOR(length, run_at(self->iommufd, self->ioas, IOVA + i * PAGE), "page %u", i);
		EXPECT_EQ_FOR(length - 5, run_at(self->iommufd, self->ioas, IOVA + i * PAGE + 5), "page %u", i);
		length = 100;
		EXPECT_EQ(0, get_pa(self->iommufd, self->ioas, IOVA + i * PAGE + PAGE - 40, &length, &phys));
		EXPECT_LE(40, length);
		EXPECT_GE(100, length);
	}
}

TEST_F(noiommu, one_huge_page_is_one_run_however_it_is_mapped)
{
	const uint64_t at = 4 * HUGE_PAGE;
	uint8_t *huge = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)huge) TH_LOG("no huge page");
	ATTACH(self);
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, huge, HUGE_PAGE, at));
	EXPECT_EQ(physical(huge), pa_of(self->iommufd, self->ioas, at));
	EXPECT_EQ(HUGE_PAGE, run_at(self->iommufd, self->ioas, at));
	EXPECT_EQ(HUGE_PAGE - 0x12345, run_at(self->iommufd, self->ioas, at + 0x12345));

	/* side by side, as an area for each page */
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	for (uint64_t i = 0; i < HUGE_PAGE; i += PAGE)
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, huge + i, PAGE, at + i));
	EXPECT_EQ(HUGE_PAGE, run_at(self->iommufd, self->ioas, at));
	/* up to one that is missing, and to one that lies elsewhere */
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, at + 100 * PAGE, PAGE, NULL));
	EXPECT_EQ(100 * PAGE, run_at(self->iommufd, self->ioas, at));
	EXPECT_EQ(-ENOENT, try_pa(self->iommufd, self->ioas, at + 100 * PAGE, PAGE));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, at + 100 * PAGE));
	EXPECT_EQ(100 * PAGE, run_at(self->iommufd, self->ioas, at));
	EXPECT_EQ(PAGE, run_at(self->iommufd, self->ioas, at + 100 * PAGE));
	EXPECT_EQ(411 * PAGE, run_at(self->iommufd, self->ioas, at + 101 * PAGE));
	/* memory that goes on, at addresses that do not */
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, huge, PAGE, at));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, huge + PAGE, PAGE, at + 2 * PAGE));
	EXPECT_EQ(PAGE, run_at(self->iommufd, self->ioas, at));
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	munmap(huge, HUGE_PAGE);
}

TEST_F(noiommu, dma_goes_where_the_address_says)
{
	const unsigned int bytes = 512;
	uint64_t from, to;

	MAP_MEM(self);
	ATTACH(self);
	from = pa_of(self->iommufd, self->ioas, IOVA + 3 * PAGE + 64);
	to = pa_of(self->iommufd, self->ioas, IOVA + 9 * PAGE + 128);
	pattern_fill(self->mem + 3 * PAGE + 64, bytes, 1);
	ASSERT_EQ(0, edu_copy(&self->edu, from, to, bytes));
	EXPECT_TRUE(pattern_is(self->mem + 9 * PAGE + 128, bytes, 1));
	/* and nowhere else */
	memset(self->mem + 3 * PAGE + 64, 0, bytes);
	memset(self->mem + 9 * PAGE + 128, 0, bytes);
	EXPECT_TRUE(bytes_are(self->mem, SIZE, 0));
}

TEST_F(noiommu, shares_an_address_space_with_a_device_behind_an_iommu)
{
	const unsigned int bytes = 256;
	struct edu other;
	uint32_t hwpt;

	ASSERT_EQ(0, edu_open_bound(&other, 0, self->iommufd));
	MAP_MEM(self);
	ASSERT_EQ(0, vfio_attach(other.fd, self->ioas, &hwpt));
	EXPECT_EQ(-EOPNOTSUPP, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
	ATTACH(self);
	EXPECT_EQ(NPAGES, pages_pinned());
	/* one by the address of the space, the other by that of the memory */
	pattern_fill(self->mem, bytes, 2);
	ASSERT_EQ(0, edu_copy(&other, IOVA, IOVA + PAGE, bytes));
	ASSERT_EQ(0, edu_copy(&self->edu, pa_of(self->iommufd, self->ioas, IOVA + PAGE),
			      pa_of(self->iommufd, self->ioas, IOVA + 2 * PAGE), bytes));
	EXPECT_TRUE(pattern_is(self->mem + 2 * PAGE, bytes, 2));
	ASSERT_EQ(0, vfio_detach(self->edu.fd));
	EXPECT_EQ(NPAGES, pages_pinned());
	EXPECT_EQ(-EOPNOTSUPP, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
	EXPECT_EQ(0, edu_copy(&other, IOVA, IOVA + 3 * PAGE, bytes));
	EXPECT_TRUE(pattern_is(self->mem + 3 * PAGE, bytes, 2));
	edu_close(&other);
}

TEST_F(noiommu, a_buffer_that_was_taken_back_has_no_address)
{
	int buf = test_dmabuf_get(self->iommufd, 8 * PAGE, O_CLOEXEC);
	uint8_t *view = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);

	ASSERT_NE(MAP_FAILED, (void *)view);
	view[5 * PAGE] = 1;
	ATTACH(self);
	ASSERT_EQ(0, ioas_map_file_at(self->iommufd, self->ioas, buf, PAGE, 7 * PAGE, IOVA));
	EXPECT_EQ(physical(view + 5 * PAGE), pa_of(self->iommufd, self->ioas, IOVA + 4 * PAGE));
	EXPECT_EQ(7 * PAGE, run_at(self->iommufd, self->ioas, IOVA));
	ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, PAGE, IOVA - PAGE));
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, buf, true));
	EXPECT_EQ(-EINVAL, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
	EXPECT_EQ(-EINVAL, try_pa(self->iommufd, self->ioas, IOVA + 4 * PAGE, 1));
	/* it ends what lies before it */
	EXPECT_EQ(PAGE, run_at(self->iommufd, self->ioas, IOVA - PAGE));
	ASSERT_EQ(0, test_dmabuf_revoke(self->iommufd, buf, false));
	EXPECT_EQ(-EINVAL, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
	ASSERT_EQ(0, ioas_unmap_all(self->iommufd, self->ioas));
	munmap(view, 8 * PAGE);
	close(buf);
}

TEST_F(noiommu, questions_that_have_no_answer)
{
	struct iommu_ioas_noiommu_get_pa good = {
		.size = sizeof(good), .ioas_id = self->ioas, .iova = IOVA, .length = PAGE,
	};
	struct iommu_ioas_noiommu_get_pa cmd;

	MAP_MEM(self);
	/* nobody without an IOMMU is there, so it need not be pinned */
	EXPECT_EQ(-EOPNOTSUPP, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
	ATTACH(self);

#define WITH(_field, _value) ({ \
	cmd = good; \
	cmd._field = (_value); \
	iommu_call(self->iommufd, IOMMU_IOAS_NOIOMMU_GET_PA, &cmd); \
})
	EXPECT_EQ(0, WITH(flags, 0));
	for (int bit = 0; bit < 32; bit++) {
		EXPECT_EQ_FOR(-EOPNOTSUPP, WITH(flags, 1U << bit), "bit %d", bit);
		EXPECT_EQ_FOR(-EOPNOTSUPP, WITH(__reserved, 1U << bit), "bit %d", bit);
	}
	EXPECT_EQ(-EINVAL, WITH(length, 0));
	EXPECT_EQ(-ENOENT, WITH(ioas_id, 0));
	EXPECT_EQ(-ENOENT, WITH(ioas_id, UNKNOWN_ID));
	EXPECT_EQ(-ENOENT, WITH(ioas_id, self->edu.id));
	EXPECT_EQ(-ENOENT, WITH(iova, 0));
	EXPECT_EQ(-ENOENT, WITH(iova, IOVA - 1));
	EXPECT_EQ(-ENOENT, WITH(iova, IOVA + SIZE));
	EXPECT_EQ(0, WITH(iova, IOVA + SIZE - 1));
	EXPECT_EQ(1, cmd.length);
	/* what is not asked for is not answered */
	EXPECT_EQ(-ENOENT, WITH(iova, UINT64_MAX));
	EXPECT_EQ(0, cmd.out_phys);
	EXPECT_EQ(PAGE, cmd.length);
	EXPECT_EQ(-EFAULT, iommu_call(self->iommufd, IOMMU_IOAS_NOIOMMU_GET_PA, NULL));

	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, false));
	EXPECT_EQ(-EPERM, WITH(length, PAGE));
	EXPECT_EQ(-EPERM, WITH(iova, 0));
	EXPECT_EQ(-EPERM, WITH(ioas_id, 0));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, true));
	EXPECT_EQ(0, WITH(length, PAGE));
#undef WITH
}

/**
 * struct asker - A thread that asks for one address over and over
 * @iommufd: context
 * @ioas: IOAS
 * @want: the only right answer besides ENOENT
 * @stop: told to end
 * @answers: how often it was told the address
 * @refusals: how often that nothing is mapped
 * @wrong: how often anything else
 */
struct asker {
	int iommufd;
	uint32_t ioas;
	uint64_t want;
	bool stop;
	unsigned long answers, refusals, wrong;
};

static void *ask(void *arg)
{
	struct asker *a = arg;

	while (!__atomic_load_n(&a->stop, __ATOMIC_RELAXED)) {
		uint64_t length = SIZE, phys = 0;
		int rc = get_pa(a->iommufd, a->ioas, IOVA, &length, &phys);

		if (!rc && phys == a->want && length >= PAGE)
			a->answers++;
		else if (rc == -ENOENT)
			a->refusals++;
		else
			a->wrong++;
	}
	return NULL;
}

TEST_F(noiommu, an_answer_is_right_while_mappings_come_and_go)
{
	struct asker a = { .iommufd = self->iommufd, .ioas = self->ioas, .want = physical(self->mem) };
	pthread_t thread;

	ATTACH(self);
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &a));
	for (int i = 0; i < 300 || __atomic_load_n(&a.answers, __ATOMIC_RELAXED) < 100; i++) {
		ASSERT_EQ(0, ioas_map_at(self->iommufd, self->ioas, self->mem, SIZE, IOVA));
		sched_yield();
		ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, IOVA, SIZE, NULL));
	}
	__atomic_store_n(&a.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, a.wrong);
}

/* ---- the end ---- */

TEST_F(noiommu, close_in_any_order)
{
	MAP_MEM(self);
	ATTACH(self);
	/* the device holds the context */
	close(self->iommufd);
	EXPECT_EQ(NPAGES, pages_pinned());
	edu_close(&self->edu);
	EXPECT_EQ(0, pages_pinned());

	self->iommufd = iommu_open();
	ASSERT_LE(0, self->iommufd);
	ASSERT_EQ(0, edu_open_bound_at(&self->edu, self->bdf, self->iommufd));
	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	MAP_MEM(self);
	ATTACH(self);
	edu_close(&self->edu);
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(-EOPNOTSUPP, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
}

/* A transfer of a device that is closed does not happen: bus mastering is off before pages are given back. */
TEST_F(noiommu, kill_in_the_middle_of_a_transfer)
{
	uint8_t *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct edu edu;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)mem);
	edu_close(&self->edu);
	close(self->iommufd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		uint32_t ioas;
		int fd = iommu_open();

		CHILD_NEEDS(!edu_open_bound_at(&edu, self->bdf, fd));
		CHILD_NEEDS(!ioas_alloc(fd, &ioas));
		CHILD_NEEDS(!ioas_map_at(fd, ioas, mem, PAGE, IOVA));
		CHILD_NEEDS(!vfio_attach(edu.fd, ioas, NULL));
		pattern_fill(mem, 128, 3);
		CHILD_NEEDS(!edu_load(&edu, pa_of(fd, ioas, IOVA), 128));
		memset(mem, 0, 128);
		edu_start_store(&edu, pa_of(fd, ioas, IOVA), 128);
		raise(SIGKILL);
	}
	EXPECT_EQ(false, child_succeeded(pid));
	EXPECT_EQ(0, pages_pinned());

	self->iommufd = iommu_open();
	/* waits for the transfer */
	ASSERT_EQ(0, edu_open_bound_at(&self->edu, self->bdf, self->iommufd));
	EXPECT_TRUE(bytes_are(mem, PAGE, 0));
	munmap(mem, PAGE);
}

static void *take_driver_away(void *arg)
{
	return (void *)(long)pci_unbind(arg);
}

/* Who has it open keeps it, and all that is pinned for it, until he closes it. */
TEST_F(noiommu, the_driver_goes_while_it_is_attached)
{
	pthread_t thread;
	char node[64];
	void *rc;

	ASSERT_EQ(0, edu_one_cpu());
	MAP_MEM(self);
	ATTACH(self);
	ASSERT_EQ(0, pthread_create(&thread, NULL, take_driver_away, self->bdf));
	while (vfio_node(self->bdf, node, sizeof(node)) != -ENOENT)
		sleep_ms(10);
	EXPECT_EQ(physical(self->mem), pa_of(self->iommufd, self->ioas, IOVA));
	EXPECT_EQ(NPAGES, pages_pinned());
	pattern_fill(self->mem, 128, 5);
	EXPECT_EQ(0, edu_copy(&self->edu, physical(self->mem), physical(self->mem + PAGE), 128));
	EXPECT_TRUE(pattern_is(self->mem + PAGE, 128, 5));
	edu_close(&self->edu);
	ASSERT_EQ(0, pthread_join(thread, &rc));
	EXPECT_EQ(NULL, rc);
	EXPECT_EQ(0, pages_pinned());
	EXPECT_EQ(-EOPNOTSUPP, try_pa(self->iommufd, self->ioas, IOVA, PAGE));
	EXPECT_EQ(0, edu_open_bound_at(&self->edu, self->bdf, self->iommufd));
}

/* ---- groups, in a container that is VFIO's own or an iommufd ---- */

FIXTURE(container)
{
	char bdf[16];
	int container, group;
};

/* @offered: an empty container offers the mode, too; an iommufd does not know of it before it has a group */
FIXTURE_VARIANT(container)
{
	const char *file;
	int offered;
};

FIXTURE_VARIANT_ADD(container, vfio)
{
	.file = VFIO_CONTAINER,
	.offered = 1,
};

FIXTURE_VARIANT_ADD(container, iommufd)
{
	.file = "/dev/iommu",
};

FIXTURE_SETUP(container)
{
	if (edu_find_noiommu(0, self->bdf))
		SKIP(NO_FIXTURE; return, NO_DEVICE);
	ASSERT_EQ(0, write_file(UNSAFE_MODE, "Y"));
	self->container = open(variant->file, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->container);
	self->group = vfio_group_open(self->bdf);
	ASSERT_LE(0, self->group);
}

FIXTURE_TEARDOWN(container)
{
	close(self->group);
	close(self->container);
	EXPECT_EQ(0, write_file(UNSAFE_MODE, "N"));
	EXPECT_EQ(0, pages_pinned());
}

TEST_F(container, offers_no_iommu_where_there_is_none)
{
	EXPECT_EQ(variant->offered, type1_extension(self->container, VFIO_NOIOMMU_IOMMU));
	EXPECT_EQ(1, type1_extension(self->container, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(-EINVAL, type1_set_iommu(self->container, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->container));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET, vfio_group_flags(self->group));
	EXPECT_EQ(1, type1_extension(self->container, VFIO_NOIOMMU_IOMMU));
	for (unsigned int i = 0; i < 32; i++)
		EXPECT_EQ_FOR(i == VFIO_NOIOMMU_IOMMU, type1_extension(self->container, i), "extension %u", i);
	EXPECT_EQ(-ENODEV, type1_set_iommu(self->container, VFIO_TYPE1_IOMMU));
	EXPECT_EQ(-ENODEV, type1_set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, false));
	EXPECT_EQ(-EPERM, type1_set_iommu(self->container, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, true));
	EXPECT_EQ(0, type1_set_iommu(self->container, VFIO_NOIOMMU_IOMMU));
}

/* As a driver in user space does it that knows nothing of iommufd */
TEST_F(container, dma_goes_by_the_addresses_of_pagemap)
{
	uint8_t *mem = small_pages(2 * PAGE);
	struct edu edu;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, mlock(mem, 2 * PAGE));
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->container));
	ASSERT_EQ(0, type1_set_iommu(self->container, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, edu_open_in_group(&edu, self->group, self->bdf));
	pattern_fill(mem, 512, 4);
	EXPECT_EQ(0, edu_copy(&edu, physical(mem), physical(mem + PAGE), 512));
	EXPECT_TRUE(pattern_is(mem + PAGE, 512, 4));
	/* there is nothing to map into */
	EXPECT_GT(0, type1_map(self->container, mem, PAGE, IOVA, TYPE1_RW));
	EXPECT_EQ(-EBUSY, vfio_group_unset_container(self->group));
	edu_close(&edu);
	EXPECT_EQ(0, vfio_group_unset_container(self->group));
	munmap(mem, 2 * PAGE);
}

TEST_F(container, has_groups_of_one_kind)
{
	char bdf[16];
	int real;

	ASSERT_EQ(0, edu_find(0, bdf));
	real = vfio_group_open(bdf);
	ASSERT_LE(0, real);
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->container));
	EXPECT_EQ(-EPERM, vfio_group_set_container(real, self->container));
	ASSERT_EQ(0, vfio_group_unset_container(self->group));
	ASSERT_EQ(0, vfio_group_set_container(real, self->container));
	EXPECT_EQ(-EPERM, vfio_group_set_container(self->group, self->container));
	EXPECT_EQ(0, type1_extension(self->container, VFIO_NOIOMMU_IOMMU));
	EXPECT_EQ(1, type1_extension(self->container, VFIO_TYPE1v2_IOMMU));
	/* closing a group's file is leaving as well */
	close(real);
	EXPECT_EQ(0, vfio_group_set_container(self->group, self->container));
}

TEST_F(container, takes_a_capability)
{
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, false));
	EXPECT_EQ(-EPERM, vfio_group_set_container(self->group, self->container));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, true));
	ASSERT_EQ(0, vfio_group_set_container(self->group, self->container));
	ASSERT_EQ(0, type1_set_iommu(self->container, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, false));
	EXPECT_EQ(-EPERM, vfio_group_device(self->group, self->bdf));
	EXPECT_EQ(-EPERM, vfio_group_open(self->bdf));
	ASSERT_EQ(0, capability(CAP_SYS_RAWIO, true));
}

/* ---- what fails on the way ---- */

/*
 * From the attach to the answer; all that was done is undone by closing both files. Without the bind: that switches the
 * device on, and ACPI in Linux 6.1 does not survive every failure.
 */
static int whole_way(const char *bdf, int *iommufd, struct edu *edu, const uint8_t *mem, int nth, int n, bool *failed)
{
	uint32_t ioas, more;
	int rc;

	*iommufd = iommu_open();
	if (*iommufd < 0)
		return *iommufd;
	rc = edu_open_bound_at(edu, bdf, *iommufd) ?: ioas_alloc(*iommufd, &ioas) ?: ioas_alloc(*iommufd, &more);
	rc = rc ?: ioas_map_at(*iommufd, ioas, mem, SIZE, IOVA);
	if (rc)
		return rc;
	if (n)
		fail_arm_in_turn(nth, n);
	rc = vfio_attach(edu->fd, ioas, NULL);
	rc = rc ?: ioas_map_at(*iommufd, ioas, mem, PAGE, 2 * IOVA) ?: try_pa(*iommufd, ioas, IOVA, SIZE);
	rc = rc ?: vfio_attach(edu->fd, more, NULL) ?: vfio_attach(edu->fd, ioas, NULL);
	if (n)
		*failed = fail_left_in_turn(nth, n);
	return rc;
}

TEST_F(noiommu, failure_of_each_allocation_leaves_nothing)
{
	int nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC), iommufd, rc, failures = 0;
	bool more = true;
	struct edu edu;

	if (nth < 0 || may_fail_everywhere())
		SKIP(return, NO_FAULT_INJECTION);
	edu_close(&self->edu);
	for (int n = 1; more; n++) {
		ASSERT_GT(MANY, n);
		edu.fd = -1;
		edu.bar = NULL;
		rc = whole_way(self->bdf, &iommufd, &edu, self->mem, nth, n, &more);
		EXPECT_TRUE_FOR(rc == 0 || rc == -ENOMEM || rc == -EFAULT, "failure %d gave %d", n, rc);
		failures += !!rc;
		edu_close(&edu);
		close(iommufd);
		ASSERT_EQ_FOR(0, pages_pinned(), "failure %d gave %d", n, rc);
		ASSERT_EQ_FOR(0, vm_pin_kb(), "failure %d gave %d", n, rc);
	}
	EXPECT_LE(6, failures);
	EXPECT_EQ(0, whole_way(self->bdf, &iommufd, &edu, self->mem, nth, 0, NULL));
	edu_close(&edu);
	close(iommufd);
	close(nth);
}

TEST_HARNESS_MAIN
