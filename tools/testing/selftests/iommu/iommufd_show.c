// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_show - fdinfo of /dev/iommu and debugfs against what the test did
 *
 * The truth is known from elsewhere: ids and sizes that the test chose, VmPin, objects in the slab, and where pages are
 * in pagemap.
 */
#include "iommu_test.h"
#include "fail_nth.h"
#include "iommufd_guest.h"
#include "mock_space.h"
#include "show_text.h"

#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MEM_PAGES	512
#define MEM_SIZE	(MEM_PAGES * PAGE)
#define IOVA		0x2000000UL
#define DEBUGFS		"/sys/kernel/debug/iommufd"
#define PASIDS		IOMMU_HWPT_ALLOC_PASID
#define NOBODY		65534

FIXTURE(show)
{
	int fd;
	uint32_t ioas, fault;
	uint8_t *mem;
	char *text;
};

FIXTURE_SETUP(show)
{
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas));
	self->mem = small_pages(MEM_SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(show)
{
	free(self->text);
	close(self->fd);
	munmap(self->mem, MEM_SIZE);
	EXPECT_EQ(0, vm_pin_kb());
	EXPECT_EQ(0, pages_pinned());
}

/* fdinfo as it is now */
static const char *now(struct _test_data_show *self)
{
	free(self->text);
	self->text = show_fdinfo(0, self->fd);
	return self->text;
}

static int64_t number_now(struct _test_data_show *self, const char *kind, uint32_t id, const char *key)
{
	return show_number(show_line(now(self), kind, "id", id), key);
}

static int64_t of_ioas(struct _test_data_show *self, const char *key)
{
	return number_now(self, "ioas", self->ioas, key);
}

static bool says(const char *line, const char *key, const char *value)
{
	const char *seen = show_value(line, key);

	return seen && !strcmp(seen, value);
}

/* Of a file of the context in debugfs */
static const char *debugfs_path(struct _test_data_show *self, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), DEBUGFS "/%lld/%s",
		 (long long)show_number(show_line(now(self), "iommufd", "version", 1), "context"), file);
	return path;
}

/* In how many runs the pages of memory lie, which are present; -1 if that cannot be read */
static long runs_of(const uint8_t *p, size_t pages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t *entries = calloc(pages, sizeof(*entries));
	const uint64_t pfn = (1ULL << 55) - 1;
	ssize_t length = pages * sizeof(*entries);
	long runs = -1;

	if (entries && pread(fd, entries, length, to_u64(p) / PAGE * sizeof(*entries)) == length) {
		runs = 1;
		for (size_t i = 1; i < pages; i++)
			runs += (entries[i] & pfn) != (entries[i - 1] & pfn) + 1;
	}
	free(entries);
	close(fd);
	return runs;
}

/* Pages that lie in many runs: every other one went through another allocation */
static uint8_t *pages_in_pieces(size_t pages)
{
	uint8_t *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages; i++)
		p[i * 7 % pages * PAGE] = 1;
	return p;
}

/* Objects of a cache that are in use, -errno if that cannot be read. What waits to be freed is freed first. */
static long slab_objects(const char *cache)
{
	char path[128], text[64];
	int rc;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", cache);
	rc = write_file(path, "1");
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", cache);
	rc = rc ?: read_file(path, text, sizeof(text));
	return rc < 0 ? rc : atol(text);
}

/* ---- contexts ---- */

TEST_F(show, contexts_are_numbered_as_they_are_opened)
{
	int64_t first = show_number(show_line(now(self), "iommufd", "version", 1), "context"), second;
	int other = iommu_open();
	char *text = show_fdinfo(0, other);

	ASSERT_NE(NULL, text);
	second = show_number(show_line(text, "iommufd", "version", 1), "context");
	EXPECT_LT(0, first);
	EXPECT_LT(first, second);
	EXPECT_EQ(0, show_number(show_line(text, "iommufd", "version", 1), "objects"));
	EXPECT_EQ(1, show_number(show_line(self->text, "iommufd", "version", 1), "objects"));
	free(text);
	close(other);
}

TEST_F(show, whose_limit_pages_count_against)
{
	const char *head;

	EXPECT_TRUE(says(show_line(now(self), "iommufd", "version", 1), "account", "user"));
	/* who has the privilege has no limit, and that is known once he has mapped */
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA));
	EXPECT_TRUE(says(show_line(now(self), "iommufd", "version", 1), "account", "none"));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, false));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA + MIB));
	ASSERT_EQ(0, capability(CAP_IPC_LOCK, true));
	head = show_line(now(self), "iommufd", "version", 1);
	EXPECT_TRUE(says(head, "account", "user"));
}

/* ---- address spaces ---- */

TEST_F(show, areas_and_bytes_are_those_that_are_mapped)
{
	EXPECT_EQ(0, of_ioas(self, "mapped"));
	EXPECT_EQ(0, of_ioas(self, "areas"));
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, (i + 1) * PAGE, IOVA + i * MIB));
	EXPECT_EQ(15 * PAGE, of_ioas(self, "mapped"));
	EXPECT_EQ(5, of_ioas(self, "areas"));
	/* nothing of it is needed yet */
	EXPECT_EQ(0, of_ioas(self, "pinned"));
	EXPECT_EQ(0, of_ioas(self, "runs"));
	EXPECT_EQ(0, of_ioas(self, "tables"));
	EXPECT_EQ(0, of_ioas(self, "pins"));
	/* what fails leaves no trace */
	EXPECT_EQ(-EEXIST, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->ioas, IOVA + 4 * MIB, PAGE, NULL));
	EXPECT_EQ(5, of_ioas(self, "maps"));
	EXPECT_EQ(0, of_ioas(self, "unmaps"));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas, IOVA, 2 * MIB, NULL));
	EXPECT_EQ(12 * PAGE, of_ioas(self, "mapped"));
	EXPECT_EQ(3, of_ioas(self, "areas"));
	EXPECT_EQ(5, of_ioas(self, "maps"));
	EXPECT_EQ(2, of_ioas(self, "unmaps"));
}

TEST_F(show, pages_are_pinned_while_there_is_a_page_table)
{
	struct mock_device dev;
	uint32_t hwpt;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, 100 * PAGE, IOVA));
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	EXPECT_EQ(100 * PAGE, of_ioas(self, "pinned"));
	EXPECT_EQ(vm_pin_kb() * 1024, of_ioas(self, "pinned"));
	EXPECT_EQ(1, of_ioas(self, "tables"));
	EXPECT_EQ(100, of_ioas(self, "pins"));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem + 100 * PAGE, 7 * PAGE, IOVA + MIB));
	EXPECT_EQ(107, of_ioas(self, "pins"));
	/* a second page table pins nothing */
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, 0, &hwpt));
	EXPECT_EQ(2, of_ioas(self, "tables"));
	EXPECT_EQ(107, of_ioas(self, "pins"));
	EXPECT_EQ(107 * PAGE, of_ioas(self, "pinned"));
	EXPECT_EQ(vm_pin_kb() * 1024, of_ioas(self, "pinned"));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas, IOVA, 100 * PAGE, NULL));
	EXPECT_EQ(7 * PAGE, of_ioas(self, "pinned"));
	ASSERT_EQ(0, iommu_destroy(self->fd, hwpt));
	ASSERT_EQ(0, iommu_destroy(self->fd, dev.stdev));
	EXPECT_EQ(0, of_ioas(self, "pinned"));
	EXPECT_EQ(0, of_ioas(self, "tables"));
	EXPECT_EQ(7 * PAGE, of_ioas(self, "mapped"));
}

/* Far more runs than are looked at in one go */
TEST_F(show, runs_are_those_of_physical_memory)
{
	const size_t pages = 8192;
	uint8_t *p = pages_in_pieces(pages);
	struct mock_device dev;
	long runs;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, p, pages * PAGE, IOVA));
	runs = runs_of(p, pages);
	EXPECT_LT(5000, runs);
	EXPECT_EQ(runs, of_ioas(self, "runs"));
	EXPECT_EQ(pages * PAGE, of_ioas(self, "pinned"));
	/* areas are counted each by itself */
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, p, 50 * PAGE, IOVA + 64 * MIB));
	EXPECT_EQ(runs + runs_of(p, 50), of_ioas(self, "runs"));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas));
	EXPECT_EQ(0, of_ioas(self, "runs"));
	munmap(p, pages * PAGE);
}

TEST_F(show, copies_count_in_each_place)
{
	struct mock_device dev;
	uint32_t other;

	ASSERT_EQ(0, ioas_alloc(self->fd, &other));
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, 16 * PAGE, IOVA));
	ASSERT_EQ(0, ioas_copy_to(self->fd, other, IOVA, self->ioas, IOVA + 4 * PAGE, 8 * PAGE));
	EXPECT_EQ(8 * PAGE, number_now(self, "ioas", other, "mapped"));
	/* it has no page table, and the pages are pinned for the one that has */
	EXPECT_EQ(8 * PAGE, number_now(self, "ioas", other, "pinned"));
	EXPECT_EQ(0, number_now(self, "ioas", other, "pins"));
	EXPECT_EQ(16 * PAGE, vm_pin_kb() * 1024);
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas));
	EXPECT_EQ(0, number_now(self, "ioas", other, "pinned"));
}

/* Each map has a source of its own; a copy has that of what was copied, and so has what is left of an area */
TEST_F(show, areas_and_their_sources_in_the_slab)
{
	long before = slab_objects("iommufd_pinned");
	struct mock_device dev;
	uint32_t other;

	ASSERT_LE(0, before);
	ASSERT_EQ(0, ioas_alloc(self->fd, &other));
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	for (int i = 0; i < 500; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem + i * PAGE, PAGE, IOVA + 2 * i * PAGE));
	EXPECT_EQ(500, of_ioas(self, "areas"));
	EXPECT_EQ(500, slab_objects("iommufd_pinned") - before);
	for (int i = 0; i < 200; i++)
		ASSERT_EQ(0, ioas_copy_to(self->fd, other, IOVA + i * PAGE, self->ioas, IOVA + 2 * i * PAGE, PAGE));
	EXPECT_EQ(200, number_now(self, "ioas", other, "areas"));
	EXPECT_EQ(500, slab_objects("iommufd_pinned") - before);
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas));
	EXPECT_EQ(0, of_ioas(self, "areas"));
	EXPECT_EQ(200, number_now(self, "ioas", other, "areas"));
	EXPECT_EQ(200, slab_objects("iommufd_pinned") - before);
	ASSERT_EQ(0, ioas_unmap_all(self->fd, other));
	EXPECT_EQ(0, slab_objects("iommufd_pinned") - before);
}

TEST_F(show, software_users_and_what_they_pin)
{
	int access = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	const char *line;
	uint32_t pin;

	ASSERT_LE(0, access);
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, 64 * PAGE, IOVA));
	EXPECT_EQ(1, of_ioas(self, "accesses"));
	line = show_line(now(self), "access", "ioas", self->ioas);
	EXPECT_NE(NULL, line);
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA + 3 * PAGE, 9 * PAGE, NULL, 0, &pin));
	EXPECT_EQ(9 * PAGE, of_ioas(self, "pinned"));
	EXPECT_EQ(runs_of(self->mem + 3 * PAGE, 9), of_ioas(self, "runs"));
	EXPECT_EQ(9, of_ioas(self, "pins"));
	EXPECT_EQ(vm_pin_kb() * 1024, of_ioas(self, "pinned"));
	ASSERT_EQ(0, test_access_unpin(self->fd, access, pin));
	EXPECT_EQ(0, of_ioas(self, "pinned"));
	close(access);
	EXPECT_EQ(0, of_ioas(self, "accesses"));
	EXPECT_EQ(NULL, show_line(now(self), "access", "ioas", self->ioas));
}

/* ---- page tables, devices, queues ---- */

TEST_F(show, page_tables_and_who_is_on_them)
{
	struct iommu_hw_info_routing routing;
	struct mock_device dev;
	const char *line;
	uint32_t hwpt;

	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	EXPECT_EQ(1, number_now(self, "hwpt", dev.hwpt, "auto"));
	EXPECT_EQ(self->ioas, number_now(self, "hwpt", dev.hwpt, "ioas"));
	EXPECT_TRUE(says(show_line(now(self), "hwpt", "id", dev.hwpt), "type", "paging"));
	ASSERT_EQ(0, device_routing(self->fd, dev.id, &routing));
	line = show_line(now(self), "device", "id", dev.id);
	EXPECT_EQ(routing.group_id, show_number(line, "group"));
	EXPECT_NE(NULL, show_value(line, "name"));
	EXPECT_EQ(0, show_number(line, "faults"));
	line = show_line(self->text, "attach", "device", dev.id);
	EXPECT_TRUE(says(line, "pasid", "none"));
	EXPECT_EQ(dev.hwpt, show_number(line, "hwpt"));

	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, 0, &hwpt));
	EXPECT_EQ(0, number_now(self, "hwpt", hwpt, "auto"));
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &hwpt));
	EXPECT_EQ(hwpt, show_number(show_line(now(self), "attach", "device", dev.id), "hwpt"));
	/* the one that the kernel made went with its last device */
	EXPECT_EQ(NULL, show_line(self->text, "hwpt", "id", dev.hwpt));
	ASSERT_EQ(0, mock_device_detach(self->fd, dev.stdev));
	EXPECT_EQ(NULL, show_line(now(self), "attach", "device", dev.id));
	EXPECT_NE(NULL, show_line(self->text, "device", "id", dev.id));
}

TEST_F(show, every_pasid_has_a_line)
{
	const uint32_t pasids = 100;	/* more than are looked at in one go */
	struct mock_device dev;
	uint32_t hwpt, other;
	const char *line;
	char key[16];
	int lines = 0;

	ASSERT_EQ(0, mock_device_create_with(self->fd, self->ioas, MOCK_PASIDS, &dev));
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, PASIDS, &hwpt));
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, PASIDS, &other));
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &hwpt));
	for (uint32_t pasid = 1; pasid <= pasids; pasid++)
		ASSERT_EQ_FOR(0, mock_pasid_attach(self->fd, dev.stdev, 3 * pasid, pasid % 2 ? &hwpt : &other),
			      "PASID %u", 3 * pasid);
	for (line = strstr(now(self), "attach:\t"); line; line = strstr(line + 1, "attach:\t"), lines++) {
		EXPECT_EQ_FOR(dev.id, show_number(line, "device"), "line %d", lines);
		snprintf(key, sizeof(key), "%u", 3 * lines);
		EXPECT_TRUE_FOR(says(line, "pasid", lines ? key : "none"), "line %d", lines);
		EXPECT_EQ_FOR(lines % 2 || !lines ? hwpt : other, show_number(line, "hwpt"), "line %d", lines);
	}
	EXPECT_EQ(1 + pasids, lines);
}

TEST_F(show, what_a_guest_has)
{
	uint32_t parent, plain, viommu, in_viommu;
	struct mock_device dev;
	const char *line;
	int queue;

	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	queue = fault_queue_alloc(self->fd, &self->fault);
	ASSERT_LE(0, queue);
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	ASSERT_EQ(0, nested_alloc(self->fd, dev.id, parent, 0, self->fault, &plain));
	ASSERT_EQ(0, viommu_alloc(self->fd, dev.id, parent, &viommu));
	ASSERT_EQ(0, nested_alloc(self->fd, dev.id, viommu, 0, 0, &in_viommu));

	line = show_line(now(self), "hwpt", "id", plain);
	EXPECT_TRUE(says(line, "type", "nested"));
	EXPECT_EQ(parent, show_number(line, "parent"));
	EXPECT_EQ(self->fault, show_number(line, "fault"));
	EXPECT_EQ(self->ioas, show_number(line, "ioas"));
	EXPECT_EQ(-1, show_number(line, "viommu"));
	line = show_line(self->text, "hwpt", "id", in_viommu);
	EXPECT_EQ(parent, show_number(line, "parent"));
	EXPECT_EQ(viommu, show_number(line, "viommu"));
	EXPECT_EQ(-1, show_number(line, "fault"));
	EXPECT_EQ(parent, show_number(show_line(self->text, "viommu", "id", viommu), "hwpt"));
	close(queue);
}

TEST_F(show, page_requests_that_wait_and_that_were_given)
{
	struct iommu_hwpt_pgfault records[4];
	struct mock_device dev;
	uint32_t hwpt;
	const char *line;
	int queue;

	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	queue = fault_queue_alloc(self->fd, &self->fault);
	ASSERT_LE(0, queue);
	ASSERT_EQ(0, faulting_alloc(self->fd, dev.id, self->ioas, 0, self->fault, &hwpt));
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &hwpt));
	for (uint32_t i = 0; i < 5; i++)
		ASSERT_EQ(0, fault_send(self->fd, dev.id, 0, i, 0x1000 * i));
	EXPECT_EQ(5, number_now(self, "fault", self->fault, "waiting"));
	EXPECT_EQ(0, number_now(self, "fault", self->fault, "given"));
	ASSERT_EQ(3 * (ssize_t)sizeof(*records), fault_read(queue, records, 3));
	line = show_line(now(self), "fault", "id", self->fault);
	EXPECT_EQ(2, show_number(line, "waiting"));
	EXPECT_EQ(3, show_number(line, "given"));
	ASSERT_LT(0, fault_answer(queue, records[1].cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	EXPECT_EQ(2, number_now(self, "fault", self->fault, "given"));
	/* answered without having been read, too */
	ASSERT_EQ(0, mock_device_detach(self->fd, dev.stdev));
	line = show_line(now(self), "fault", "id", self->fault);
	EXPECT_EQ(0, show_number(line, "waiting"));
	EXPECT_EQ(0, show_number(line, "given"));
	EXPECT_EQ(5, show_number(line, "total"));
	EXPECT_EQ(5, show_number(show_line(self->text, "device", "id", dev.id), "faults"));
	close(queue);
}

/* ---- debugfs ---- */

TEST_F(show, debugfs_says_the_same_and_goes_with_the_context)
{
	char dir[128], *text;
	struct stat st;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA));
	text = show_read(debugfs_path(self, "objects"));
	ASSERT_NE(NULL, text) TH_LOG("%s: %s", debugfs_path(self, "objects"), strerror(errno));
	/* behind what every file has */
	EXPECT_STREQ(strstr(now(self), "iommufd:\t"), text);
	free(text);
	ASSERT_EQ(0, stat(debugfs_path(self, "objects"), &st));
	EXPECT_EQ(0400, st.st_mode & 07777);
	ASSERT_EQ(0, stat(debugfs_path(self, "areas"), &st));
	EXPECT_EQ(0400, st.st_mode & 07777);
	snprintf(dir, sizeof(dir), "%s", debugfs_path(self, ""));
	close(self->fd);
	self->fd = -1;
	EXPECT_NE(0, stat(dir, &st));
	EXPECT_EQ(ENOENT, errno);
}

TEST_F(show, areas_of_every_kind)
{
	int file = memfd_create("show", MFD_CLOEXEC), dmabuf;
	uint64_t iova = IOVA + 2 * MIB;
	struct mock_device dev;
	const char *line;
	char *text;

	ASSERT_EQ(0, ftruncate(file, MEM_SIZE));
	dmabuf = test_dmabuf_get(self->fd, 4 * PAGE, O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	/* three pages, two of them in part */
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem + MOCK_PAGE, 2 * PAGE, IOVA + MOCK_PAGE));
	ASSERT_EQ(0, ioas_map(self->fd, self->ioas, self->mem, PAGE, &iova,
			      IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE));
	ASSERT_EQ(0, ioas_map_file_at(self->fd, self->ioas, file, PAGE, 3 * PAGE, IOVA + 4 * MIB));
	ASSERT_EQ(0, ioas_map_file_at(self->fd, self->ioas, dmabuf, 0, 4 * PAGE, IOVA + 6 * MIB));
	text = show_read(debugfs_path(self, "areas"));
	ASSERT_NE(NULL, text);

	line = text;
	EXPECT_EQ(self->ioas, show_number(line, "ioas"));
	EXPECT_EQ(IOVA + MOCK_PAGE, show_number(line, "iova"));
	EXPECT_EQ(IOVA + MOCK_PAGE + 2 * PAGE - 1, show_number(line, "last"));
	EXPECT_TRUE(says(line, "prot", "rw"));
	EXPECT_TRUE(says(line, "state", "live"));
	EXPECT_TRUE(says(line, "source", "user"));
	EXPECT_EQ(to_u64(self->mem) + MOCK_PAGE, show_number(line, "uaddr"));
	EXPECT_EQ(3 * PAGE, show_number(line, "pinned"));
	line = strchr(line, '\n') + 1;
	EXPECT_TRUE(says(line, "prot", "r"));
	line = strchr(line, '\n') + 1;
	EXPECT_TRUE(says(line, "source", "file"));
	EXPECT_EQ(NULL, show_value(line, "uaddr"));
	EXPECT_EQ(3 * PAGE, show_number(line, "pinned"));
	line = strchr(line, '\n') + 1;
	EXPECT_TRUE(says(line, "source", "dmabuf"));
	EXPECT_EQ(IOVA + 6 * MIB, show_number(line, "iova"));
	EXPECT_EQ(0, show_number(line, "pinned"));
	EXPECT_STREQ("", strchr(line, '\n') + 1);
	free(text);
	close(dmabuf);
	close(file);
}

/* Each once and in order, however many there are, in whatever pieces they are read */
TEST_F(show, thousands_of_areas)
{
	const int areas = 3000;
	struct mock_device dev;
	uint64_t mapped = 0;
	uint32_t other;
	char *text, *slow;
	int fd, n = 0;

	ASSERT_EQ(0, ioas_alloc(self->fd, &other));
	for (int i = 0; i < areas; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, i < areas / 2 ? self->ioas : other,
					 self->mem + i % MEM_PAGES * PAGE, PAGE, IOVA + 2 * i * PAGE));
	fd = open(debugfs_path(self, "areas"), O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	text = show_read_fd(fd, 65536);
	ASSERT_NE(NULL, text);
	for (char *line = text; *line; line = strchr(line, '\n') + 1, n++) {
		ASSERT_EQ_FOR(IOVA + 2 * n * PAGE, show_number(line, "iova"), "line %d: %.80s", n, line);
		EXPECT_EQ_FOR(to_u64(self->mem) + n % MEM_PAGES * PAGE, show_number(line, "uaddr"), "line %d", n);
		mapped += show_number(line, "last") - show_number(line, "iova") + 1;
	}
	EXPECT_EQ(areas, n);
	EXPECT_EQ(mapped, of_ioas(self, "mapped") + number_now(self, "ioas", other, "mapped"));
	/* every page of the memory lies in some area, and in several */
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	EXPECT_EQ(areas / 2 * PAGE, of_ioas(self, "pinned"));
	EXPECT_EQ(areas / 2, of_ioas(self, "runs"));
	EXPECT_EQ(areas / 2, of_ioas(self, "pins"));
	EXPECT_EQ(vm_pin_kb() * 1024, of_ioas(self, "pinned"));
	ASSERT_EQ(0, iommu_destroy(self->fd, dev.stdev));
	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	slow = show_read_fd(fd, 100);
	ASSERT_NE(NULL, slow);
	EXPECT_STREQ(text, slow);
	free(slow);
	free(text);
	close(fd);
}

TEST_F(show, reader_of_a_context_that_is_closed)
{
	char c[64];
	int fd;

	for (int i = 0; i < 100; i++)
		ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA + i * PAGE));
	fd = open(debugfs_path(self, "areas"), O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(c), read(fd, c, sizeof(c)));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-1, read(fd, c, sizeof(c)));
	close(fd);
}

TEST_F(show, nobody_but_root_and_the_owner)
{
	pid_t pid, owner = getpid();
	char path[128];
	int status;

	snprintf(path, sizeof(path), "%s", debugfs_path(self, "areas"));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD_NEEDS(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY));
		CHILD_NEEDS(!setresuid(NOBODY, NOBODY, NOBODY));
		CHILD_NEEDS(!show_read(path) && errno == EACCES);
		CHILD_NEEDS(!show_fdinfo(owner, self->fd) && errno == EACCES);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* ---- while things change ---- */

static atomic_bool stop;

struct worker {
	struct _test_data_show *self;
	const char *areas;
	int rc;
	unsigned long rounds;
};

static void *map_and_unmap(void *arg)
{
	struct worker *w = arg;

	for (unsigned long i = 0; !stop && !w->rc; i++) {
		uint64_t iova = IOVA + i % 64 * MIB;

		w->rc = ioas_map_at(w->self->fd, w->self->ioas, w->self->mem, (i % 8 + 1) * PAGE, iova);
		w->rc = w->rc ?: ioas_unmap(w->self->fd, w->self->ioas, iova, (i % 8 + 1) * PAGE, NULL);
		w->rounds++;
	}
	return NULL;
}

static void *make_and_destroy(void *arg)
{
	struct worker *w = arg;
	struct mock_device dev;
	uint32_t ioas;

	while (!stop && !w->rc) {
		w->rc = ioas_alloc(w->self->fd, &ioas) ?:
			ioas_map_at(w->self->fd, ioas, w->self->mem, 32 * PAGE, IOVA) ?:
			mock_device_create(w->self->fd, w->rounds % 2 ? ioas : w->self->ioas, &dev) ?:
			mock_device_detach(w->self->fd, dev.stdev) ?:
			mock_device_attach(w->self->fd, dev.stdev, &ioas) ?:
			iommu_destroy(w->self->fd, dev.stdev);
		w->rounds++;
	}
	return NULL;
}

static void *read_areas(void *arg)
{
	struct worker *w = arg;
	char *text;

	while (!stop && !w->rc) {
		text = show_read(w->areas);
		w->rc = text ? 0 : -errno;
		free(text);
		w->rounds++;
	}
	return NULL;
}

TEST_F(show, readers_beside_everybody_else)
{
	void *(*const work[])(void *) = { map_and_unmap, make_and_destroy, read_areas };
	struct worker workers[ARRAY_SIZE(work)];
	pthread_t threads[ARRAY_SIZE(work)];
	double end = seconds() + 2;
	unsigned long known = 0;
	char areas[128];
	size_t i;

	snprintf(areas, sizeof(areas), "%s", debugfs_path(self, "areas"));
	stop = false;
	for (i = 0; i < ARRAY_SIZE(work); i++) {
		workers[i] = (struct worker){ .self = self, .areas = areas };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, work[i], &workers[i]));
	}
	for (i = 0; seconds() < end || !known; i++) {
		const char *line = show_line(now(self), "ioas", "id", self->ioas);

		ASSERT_NE(NULL, line);
		ASSERT_TRUE_FOR(show_number(line, "areas") == 0 || show_number(line, "areas") == 1, "%s", line);
		EXPECT_GE(show_number(line, "maps"), show_number(line, "unmaps"));
		if (show_value(line, "pinned")) {
			EXPECT_GE(8 * (int64_t)PAGE, show_number(line, "pinned"));
			known++;
		}
	}
	stop = true;
	for (i = 0; i < ARRAY_SIZE(work); i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ_FOR(0, workers[i].rc, "thread %zu", i);
		EXPECT_LT(0, workers[i].rounds);
	}
	EXPECT_EQ(workers[0].rounds, of_ioas(self, "maps"));
	EXPECT_EQ(workers[0].rounds, of_ioas(self, "unmaps"));
}

/* However the reader holds on to the file, everything is given back */
TEST_F(show, process_that_exits_while_it_is_shown)
{
	uint32_t ioas;
	char *text;

	for (int i = 0; i < 20; i++) {
		unsigned int seen = 0;
		int ends[2], fd, status;
		pid_t pid;
		char c;

		ASSERT_EQ(0, pipe(ends));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			fd = iommu_open();
			CHILD_NEEDS(dup2(fd, 100) == 100);
			CHILD_NEEDS(!ioas_alloc(100, &ioas));
			for (int n = 0; n < 50; n++)
				CHILD_NEEDS(!ioas_map_at(100, ioas, self->mem, PAGE, IOVA + n * PAGE));
			/* until it is seen, and whoever looks is in the middle of it */
			CHILD_NEEDS(read(ends[0], &c, 1) == 1);
			_exit(0);
		}
		for (status = -1; status == -1;) {
			text = show_fdinfo(pid, 100);
			if (show_line(text, "ioas", "areas", 50) && !seen++)
				ASSERT_EQ(1, write(ends[1], "", 1));
			free(text);
			if (waitpid(pid, &status, WNOHANG) != pid)
				status = -1;
		}
		close(ends[0]);
		close(ends[1]);
		EXPECT_EQ_FOR(0, status, "child %d", i);
		EXPECT_LT(0, seen);
	}
}

/* ---- when memory is short ---- */

/* Without debugfs there is a context all the same, and what was made of its files goes */
TEST_F(show, debugfs_is_no_condition)
{
	int nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	int opened = 0, n, fd;

	if (nth < 0)
		SKIP(return, NO_FAULT_INJECTION);
	for (n = 1; n < MANY; n++) {
		bool failed;

		fail_arm(nth, n);
		fd = iommu_open();
		failed = fail_happened(nth);
		if (!failed)
			break;
		if (fd < 0) {
			/* of the path, or on the way to the file */
			ASSERT_TRUE_FOR(fd == -ENOMEM || fd == -EFAULT, "point %d: %d", n, fd);
			continue;
		}
		opened++;
		free(show_fdinfo(0, fd));
		close(fd);
	}
	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_LT(1, n);
	EXPECT_LT(0, opened);
	close(nth);
}

/* All of it or an error, and what is shown is none the worse */
TEST_F(show, fdinfo_or_no_memory)
{
	int nth = may_fail_everywhere() ? -1 : open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	char *text, *before;
	int errors = 0, n;

	if (nth < 0)
		SKIP(return, NO_FAULT_INJECTION);
	/* more than fits the first buffer, which is a page */
	for (int i = 0; i < 200; i++) {
		uint32_t ioas;

		ASSERT_EQ(0, ioas_alloc(self->fd, &ioas));
		ASSERT_EQ(0, ioas_map_at(self->fd, ioas, self->mem, PAGE, IOVA));
	}
	before = show_fdinfo(0, self->fd);
	ASSERT_NE(NULL, before);
	ASSERT_LT(2 * PAGE, strlen(before));
	for (n = 1; n < MANY; n++) {
		bool failed;
		int error;

		fail_arm(nth, n);
		text = show_fdinfo(0, self->fd);
		error = errno;
		failed = fail_happened(nth);
		if (text) {
			EXPECT_STREQ(before, text);
		} else {
			ASSERT_TRUE_FOR(failed && (error == ENOMEM || error == EFAULT), "point %d: errno %d", n, error);
			errors++;
		}
		free(text);
		if (!failed)
			break;
	}
	EXPECT_LT(n, MANY);
	EXPECT_LT(3, errors);
	EXPECT_STREQ(before, now(self));
	free(before);
	close(nth);
}

TEST_HARNESS_MAIN
