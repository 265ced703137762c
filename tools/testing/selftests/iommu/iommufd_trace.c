// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_trace - the tracepoints tell what was done, to whom, how it ended and how long it took
 *
 * Each test listens in an instance of its own. What the events say is held against what the calls answered; mock
 * devices do what real ones would.
 */
#include "iommu_test.h"
#include "iommufd_guest.h"
#include "fdinfo.h"

#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define TRACING		"/sys/kernel/tracing"
#define INSTANCE	TRACING "/instances/iommufd_trace"
#define NPAGES		16
#define SIZE		(NPAGES * PAGE)
#define IOVA		(MOCK_FIRST + MIB)
#define PASIDS		IOMMU_HWPT_ALLOC_PASID

static char text[1 << 18];

/* Listens to what "events/@what" tells, or does not any more. */
static int listen_to(const char *what, bool on)
{
	char path[128];

	snprintf(path, sizeof(path), INSTANCE "/events/%s/enable", what);
	return write_file(path, on ? "1" : "0");
}

static int listen_begin(void)
{
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		return -errno;
	rmdir(INSTANCE);
	if (mkdir(INSTANCE, 0700))
		return -errno;
	return listen_to("iommufd", true);
}

static int listen_end(void)
{
	int rc = listen_to("iommufd", false);

	return rmdir(INSTANCE) ? -errno : rc;
}

/* Whether a word is an address of the kernel: what these tests use has fewer than 16 digits, or is the last IOVA */
static bool kernel_address(const char *line)
{
	while ((line = strstr(line, "0x"))) {
		line += 2;
		if (strspn(line, "0123456789abcdef") == 16 && strspn(line, "f") != 16)
			return true;
	}
	return false;
}

/* How many of the events told begin like this; *@ns, if it is not NULL, is what the last of them took */
static int told(uint64_t *ns, const char *format, ...)
{
	char start[256], *line, *save = NULL, *end;
	va_list args;
	int count = 0;

	va_start(args, format);
	vsnprintf(start, sizeof(start), format, args);
	va_end(args);
	if (read_file(INSTANCE "/trace", text, sizeof(text)) < 0)
		return -1;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (kernel_address(line)) {
			fprintf(stderr, "# %s\n", line);
			return -1;
		}
		line = strstr(line, start);
		if (!line || line[-1] != ' ' || !strchr(" ", line[strlen(start)]))
			continue;
		count++;
		end = strstr(line, " ns=");
		if (ns)
			*ns = end ? strtoull(end + 4, NULL, 10) : 0;
	}
	return count;
}

FIXTURE(trace)
{
	int fd;
	long long context;
	uint32_t ioas, other;
	uint8_t *mem;
};

FIXTURE_SETUP(trace)
{
	int rc = listen_begin();

	ASSERT_EQ(0, rc) TH_LOG("tracing: %s", strerror(-rc));
	self->fd = iommu_open();
	ASSERT_LE(0, self->fd) TH_LOG("/dev/iommu: %s", strerror(-self->fd));
	ASSERT_LT(0, fdinfo_read(self->fd, text, sizeof(text)));
	self->context = fdinfo_number(text, "iommufd:\tversion=1", "context");
	ASSERT_LT(0, self->context);
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->ioas));
	ASSERT_EQ(0, ioas_alloc(self->fd, &self->other));
	self->mem = small_pages(SIZE);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(trace)
{
	close(self->fd);
	munmap(self->mem, SIZE);
	EXPECT_EQ(0, listen_end());
	EXPECT_EQ(0, pages_pinned());
}

/* ---- mappings ---- */

TEST_F(trace, maps_and_how_they_ended)
{
	uint64_t iova = IOVA, ns = 0;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, SIZE, IOVA));
	EXPECT_EQ(1, told(&ns, "iommufd_map: context=%lld ioas=%u iova=0x%lx last=0x%lx prot=rw result=0",
			  self->context, self->ioas, IOVA, IOVA + SIZE - 1));
	EXPECT_LT(0U, ns);
	EXPECT_EQ(-EEXIST, ioas_map_at(self->fd, self->ioas, self->mem, PAGE, IOVA + PAGE));
	EXPECT_EQ(1, told(NULL, "iommufd_map: context=%lld ioas=%u iova=0x%lx last=0x%lx prot=rw result=%d",
			  self->context, self->ioas, IOVA + PAGE, IOVA + 2 * PAGE - 1, -EEXIST));
	/* where the kernel chooses, for reading */
	ASSERT_EQ(0, ioas_map(self->fd, self->other, self->mem, 2 * PAGE, &iova, IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(1, told(NULL, "iommufd_map: context=%lld ioas=%u iova=0x%llx last=0x%llx prot=r result=0",
			  self->context, self->other, (unsigned long long)iova,
			  (unsigned long long)(iova + 2 * PAGE - 1)));
	/* a copy is a mapping */
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->other, 0, self->ioas, IOVA, PAGE));
	EXPECT_EQ(1, told(NULL, "iommufd_map: context=%lld ioas=%u iova=0x0 last=0xfff prot=rw result=0",
			  self->context, self->other));
	EXPECT_EQ(4, told(NULL, "iommufd_map: context=%lld", self->context));
}

TEST_F(trace, unmaps_and_how_they_ended)
{
	uint64_t ns = 0;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, SIZE, IOVA));
	EXPECT_EQ(-ENOENT, ioas_unmap(self->fd, self->ioas, IOVA, PAGE, NULL));
	EXPECT_EQ(1, told(NULL, "iommufd_unmap: context=%lld ioas=%u iova=0x%lx last=0x%lx unmapped=0 result=%d",
			  self->context, self->ioas, IOVA, IOVA + PAGE - 1, -ENOENT));
	EXPECT_EQ(0, ioas_unmap_all(self->fd, self->ioas));
	EXPECT_EQ(1, told(&ns, "iommufd_unmap: context=%lld ioas=%u iova=0x0 last=0x%lx unmapped=%lu result=0",
			  self->context, self->ioas, UINT64_MAX, SIZE));
	EXPECT_LT(0U, ns);
}

/* ---- pins ---- */

TEST_F(trace, pages_that_were_pinned_and_no_others)
{
	struct mock_device dev;
	uint64_t ns = 0;

	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, SIZE, IOVA));
	EXPECT_EQ(0, told(NULL, "iommufd_pin:"));
	/* with the first device */
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	EXPECT_EQ(1, told(&ns, "iommufd_pin: context=%lld source=user start=0x%llx pages=%d result=0", self->context,
			  (unsigned long long)to_u64(self->mem), NPAGES));
	EXPECT_LT(0U, ns);
	/* a copy of part of it pins nothing, and keeps that part */
	ASSERT_EQ(0, ioas_copy_to(self->fd, self->ioas, IOVA + MIB, self->ioas, IOVA + PAGE, 2 * PAGE));
	EXPECT_EQ(1, told(NULL, "iommufd_pin:"));
	ASSERT_EQ(0, ioas_unmap(self->fd, self->ioas, IOVA, SIZE, NULL));
	EXPECT_EQ(1, told(NULL, "iommufd_unpin: context=%lld source=user start=0x%llx pages=1 result=0", self->context,
			  (unsigned long long)to_u64(self->mem)));
	EXPECT_EQ(1, told(NULL, "iommufd_unpin: context=%lld source=user start=0x%llx pages=%d result=0",
			  self->context, (unsigned long long)to_u64(self->mem + 3 * PAGE), NPAGES - 3));
	EXPECT_EQ(2, told(NULL, "iommufd_unpin:"));
	ASSERT_EQ(0, iommu_destroy(self->fd, dev.stdev));
	EXPECT_EQ(1, told(&ns, "iommufd_unpin: context=%lld source=user start=0x%llx pages=2 result=0", self->context,
			  (unsigned long long)to_u64(self->mem + PAGE)));
	EXPECT_LT(0U, ns);
	EXPECT_EQ(3, told(NULL, "iommufd_unpin:"));
}

TEST_F(trace, pages_of_a_file)
{
	int file = memfd_create("trace", MFD_CLOEXEC);
	struct mock_device dev;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, SIZE));
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_file_at(self->fd, self->ioas, file, PAGE, 4 * PAGE, IOVA));
	EXPECT_EQ(1, told(NULL, "iommufd_map: context=%lld ioas=%u iova=0x%lx last=0x%lx prot=rw result=0",
			  self->context, self->ioas, IOVA, IOVA + 4 * PAGE - 1));
	EXPECT_EQ(1, told(NULL, "iommufd_pin: context=%lld source=file start=0x0 pages=4 result=0", self->context));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas));
	EXPECT_EQ(1, told(NULL, "iommufd_unpin: context=%lld source=file start=0x0 pages=4 result=0", self->context));
	close(file);
}

TEST_F(trace, pages_that_cannot_be_pinned)
{
	struct mock_device dev;
	void *hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, hole);
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	EXPECT_EQ(-EFAULT, ioas_map_at(self->fd, self->ioas, hole, PAGE, IOVA));
	EXPECT_EQ(1, told(NULL, "iommufd_pin: context=%lld source=user start=0x%llx pages=1 result=%d", self->context,
			  (unsigned long long)to_u64(hole), -EFAULT));
	EXPECT_EQ(1, told(NULL, "iommufd_map: context=%lld ioas=%u iova=0x%lx last=0x%lx prot=rw result=%d",
			  self->context, self->ioas, IOVA, IOVA + PAGE - 1, -EFAULT));
	EXPECT_EQ(0, told(NULL, "iommufd_unpin:"));
	munmap(hole, PAGE);
}

/* ---- devices ---- */

/* How many times the device went, or was asked to go, from one place to another */
static int moved(struct _test_data_trace *self, const char *event, uint32_t device, uint32_t pasid, uint32_t from,
		 uint32_t to, int result, uint64_t *ns)
{
	struct iommu_hw_info_routing info = { };

	if (device_routing(self->fd, device, &info))
		return -1;
	return told(ns, "iommufd_%s: context=%lld device=%u group=%u pasid=%u from=%u to=%u result=%d", event,
		    self->context, device, info.group_id, pasid, from, to, result);
}

TEST_F(trace, where_devices_go)
{
	uint32_t table, other, place;
	struct mock_device dev;
	uint64_t ns = 0;

	ASSERT_EQ(0, mock_device_create_with(self->fd, self->ioas, MOCK_PASIDS, &dev));
	EXPECT_EQ(1, moved(self, "attach", dev.id, 0, 0, dev.hwpt, 0, &ns));
	EXPECT_LT(0U, ns);
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, PASIDS, &table));
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->other, PASIDS, &other));

	ns = 0;
	place = table;
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &place));
	EXPECT_EQ(1, moved(self, "replace", dev.id, 0, dev.hwpt, table, 0, &ns));
	EXPECT_LT(0U, ns);
	/* to where it is */
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &place));
	EXPECT_EQ(1, moved(self, "attach", dev.id, 0, 0, table, 0, NULL));

	ASSERT_EQ(0, mock_pasid_attach(self->fd, dev.stdev, 5, &place));
	EXPECT_EQ(1, moved(self, "attach", dev.id, 5, 0, table, 0, NULL));
	EXPECT_EQ(-EBUSY, mock_pasid_attach(self->fd, dev.stdev, 5, &place));
	EXPECT_EQ(1, moved(self, "attach", dev.id, 5, 0, table, -EBUSY, NULL));
	place = other;
	ASSERT_EQ(0, mock_pasid_replace(self->fd, dev.stdev, 5, &place));
	EXPECT_EQ(1, moved(self, "replace", dev.id, 5, table, other, 0, NULL));
	ASSERT_EQ(0, mock_pasid_detach(self->fd, dev.stdev, 5));
	EXPECT_EQ(1, moved(self, "detach", dev.id, 5, other, 0, 0, &ns));
	/* from where it is not */
	mock_pasid_detach(self->fd, dev.stdev, 5);
	EXPECT_EQ(1, told(NULL, "iommufd_detach:"));
	ASSERT_EQ(0, mock_device_detach(self->fd, dev.stdev));
	ns = 0;
	EXPECT_EQ(1, moved(self, "detach", dev.id, 0, table, 0, 0, &ns));
	EXPECT_LT(0U, ns);
	EXPECT_EQ(4, told(NULL, "iommufd_attach:"));
	EXPECT_EQ(2, told(NULL, "iommufd_replace:"));
	EXPECT_EQ(2, told(NULL, "iommufd_detach:"));
}

TEST_F(trace, replace_that_fails)
{
	uint32_t table, other, place;
	struct mock_device dev;

	ASSERT_EQ(0, mock_device_create_with(self->fd, self->ioas, MOCK_PASIDS, &dev));
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, PASIDS, &table));
	ASSERT_EQ(0, hwpt_alloc(self->fd, dev.id, self->ioas, PASIDS, &other));
	place = table;
	ASSERT_EQ(0, mock_device_replace(self->fd, dev.stdev, &place));
	ASSERT_EQ(0, mock_pasid_attach(self->fd, dev.stdev, MOCK_PASID_REFUSING, &place));
	place = other;
	EXPECT_EQ(-ENOMEM, mock_pasid_replace(self->fd, dev.stdev, MOCK_PASID_REFUSING, &place));
	EXPECT_EQ(1, moved(self, "replace", dev.id, MOCK_PASID_REFUSING, table, other, -ENOMEM, NULL));
}

/* An emulated device has neither a group nor a page table. */
TEST_F(trace, where_emulated_devices_go)
{
	int access = test_access_create(self->fd, self->ioas, ACCESS_PINS);
	uint64_t ns = 0;
	uint32_t pin;

	ASSERT_LE(0, access);
	EXPECT_EQ(1, told(NULL, "iommufd_attach: context=%lld", self->context));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, SIZE, IOVA));
	ASSERT_EQ(0, test_access_pin(self->fd, access, IOVA + PAGE, PAGE, NULL, ACCESS_WRITE, &pin));
	EXPECT_EQ(1, told(NULL, "iommufd_pin: context=%lld source=user start=0x%llx pages=1 result=0", self->context,
			  (unsigned long long)to_u64(self->mem + PAGE)));
	ASSERT_EQ(0, test_access_unpin(self->fd, access, pin));
	EXPECT_EQ(1, told(NULL, "iommufd_unpin: context=%lld source=user start=0x%llx pages=1 result=0", self->context,
			  (unsigned long long)to_u64(self->mem + PAGE)));
	ASSERT_EQ(0, test_access_replace(self->fd, access, self->other));
	EXPECT_EQ(1, told(&ns, "iommufd_replace: context=%lld", self->context));
	EXPECT_LT(0U, ns);
	close(access);
	EXPECT_EQ(1, told(NULL, "iommufd_detach: context=%lld", self->context));
}

/* ---- page requests ---- */

/* A device that asks for pages, and its queue */
struct asker {
	struct mock_device dev;
	uint32_t fault, table;
	int queue;
};

static int asker_create(struct _test_data_trace *self, struct asker *asker)
{
	uint32_t place;
	int rc;

	rc = mock_device_create_with(self->fd, self->ioas, MOCK_PASIDS, &asker->dev);
	if (rc)
		return rc;
	asker->queue = fault_queue_alloc(self->fd, &asker->fault);
	if (asker->queue < 0)
		return asker->queue;
	rc = faulting_alloc(self->fd, asker->dev.id, self->ioas, PASIDS, asker->fault, &asker->table);
	if (rc)
		return rc;
	place = asker->table;
	return mock_device_replace(self->fd, asker->dev.stdev, &place);
}

/* How often it is told that a group of requests was answered like this */
static int answered(struct _test_data_trace *self, struct asker *asker, uint32_t pasid, uint32_t group, uint64_t addr,
		    uint32_t requests, const char *result, uint64_t *ns)
{
	char object[64];

	snprintf(object, sizeof(object), "context=%lld fault=%u device=%u", self->context, asker->fault, asker->dev.id);
	return told(ns, "iommufd_fault: %s pasid=%u grpid=%u addr=0x%llx requests=%u result=%s", object, pasid, group,
		    (unsigned long long)addr, requests, result);
}

/* What fdinfo counts */
static long long delivered(struct _test_data_trace *self, struct asker *asker)
{
	char line[32];

	if (fdinfo_read(self->fd, text, sizeof(text)) < 0)
		return -1;
	snprintf(line, sizeof(line), "device:\tid=%u", asker->dev.id);
	return fdinfo_number(text, line, "faults");
}

TEST_F(trace, requests_and_their_answers)
{
	struct iommu_hwpt_pgfault records[4];
	struct asker asker;
	uint64_t ns = 0;
	uint32_t place;

	ASSERT_EQ(0, asker_create(self, &asker));
	EXPECT_EQ(0, delivered(self, &asker));

	ASSERT_EQ(0, fault_send(self->fd, asker.dev.id, 0, 7, 0x4000));
	EXPECT_EQ(1, delivered(self, &asker));
	EXPECT_EQ(0, told(NULL, "iommufd_fault:"));
	sleep_ms(20);
	ASSERT_EQ((ssize_t)sizeof(records[0]), fault_read(asker.queue, records, 1));
	ASSERT_LT(0, fault_answer(asker.queue, records[0].cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	EXPECT_EQ(1, answered(self, &asker, 0, 7, 0x4000, 1, "success", &ns));
	EXPECT_LE(20000000UL, ns);

	/* several in a group, with a PASID */
	place = asker.table;
	ASSERT_EQ(0, mock_pasid_attach(self->fd, asker.dev.stdev, 9, &place));
	ASSERT_EQ(0, fault_send_group(self->fd, asker.dev.id, 9, 8, 0x10000, 3));
	EXPECT_EQ(4, delivered(self, &asker));
	ASSERT_EQ((ssize_t)(3 * sizeof(records[0])), fault_read(asker.queue, records, 4));
	ASSERT_LT(0, fault_answer(asker.queue, records[0].cookie, IOMMUFD_PAGE_RESP_INVALID));
	EXPECT_EQ(1, answered(self, &asker, 9, 8, 0x10000, 3, "invalid", NULL));

	/* the attachment ends */
	ASSERT_EQ(0, fault_send(self->fd, asker.dev.id, 9, 9, 0x20000));
	ASSERT_EQ(0, mock_pasid_detach(self->fd, asker.dev.stdev, 9));
	EXPECT_EQ(1, answered(self, &asker, 9, 9, 0x20000, 1, "invalid", NULL));
	EXPECT_EQ(5, delivered(self, &asker));

	/* nobody reads any more: not delivered, and not counted */
	close(asker.queue);
	ASSERT_EQ(0, fault_send(self->fd, asker.dev.id, 0, 10, 0x30000));
	EXPECT_EQ(1, answered(self, &asker, 0, 10, 0x30000, 1, "refused", NULL));
	EXPECT_EQ(5, delivered(self, &asker));
	EXPECT_EQ(4, told(NULL, "iommufd_fault:"));
}

/* ---- who listens to what ---- */

TEST_F(trace, what_nobody_listens_to_is_not_told)
{
	struct mock_device dev;

	ASSERT_EQ(0, listen_to("iommufd", false));
	ASSERT_EQ(0, mock_device_create(self->fd, self->ioas, &dev));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, SIZE, IOVA));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas));
	EXPECT_EQ(0, told(NULL, "iommufd_map:"));
	ASSERT_EQ(0, listen_to("iommufd/iommufd_unpin", true));
	ASSERT_EQ(0, ioas_map_at(self->fd, self->ioas, self->mem, SIZE, IOVA));
	ASSERT_EQ(0, ioas_unmap_all(self->fd, self->ioas));
	EXPECT_EQ(1, told(NULL, "iommufd_unpin:"));
	EXPECT_EQ(0, told(NULL, "iommufd_pin:"));
	EXPECT_EQ(0, told(NULL, "iommufd_map:"));
	EXPECT_EQ(0, told(NULL, "iommufd_unmap:"));
}

/* Each open of /dev/iommu is another context, and two are not mixed up. */
TEST_F(trace, contexts_have_numbers)
{
	int fd = iommu_open();
	long long context;
	uint32_t ioas;

	ASSERT_LE(0, fd);
	ASSERT_LT(0, fdinfo_read(fd, text, sizeof(text)));
	context = fdinfo_number(text, "iommufd:\tversion=1", "context");
	EXPECT_LT(self->context, context);
	ASSERT_EQ(0, ioas_alloc(fd, &ioas));
	ASSERT_EQ(0, ioas_map_at(fd, ioas, self->mem, PAGE, IOVA));
	EXPECT_EQ(1, told(NULL, "iommufd_map: context=%lld ioas=%u", context, ioas));
	EXPECT_EQ(0, told(NULL, "iommufd_map: context=%lld", self->context));
	close(fd);
}

TEST_HARNESS_MAIN
