// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd_fault - page requests: who gets them, how they are answered, and that each one is answered once
 *
 * The mock device counts what it sent and what came back, so a request that was lost or answered twice shows.
 */
#include "iommu_test.h"
#include "iommufd_guest.h"

#include <pthread.h>
#include <sys/wait.h>

#define PASIDS		IOMMU_HWPT_ALLOC_PASID
#define RECORD		((ssize_t)sizeof(struct iommu_hwpt_pgfault))
#define ANSWER		((ssize_t)sizeof(struct iommu_hwpt_page_response))
#define QUEUE_MAX	4096		/* groups that one queue holds */

FIXTURE(fault)
{
	int fd, queue, other_queue;
	uint32_t ioas, fault, other_fault;
	uint32_t table, other, plain;	/* with the first queue, with the other, with none */
	struct mock_device dev;
};

FIXTURE_SETUP(fault)
{
	int fd = iommu_open();

	ASSERT_LE(0, fd) TH_LOG("/dev/iommu: %s", strerror(-fd));
	self->fd = fd;
	ASSERT_EQ(0, ioas_alloc(fd, &self->ioas));
	ASSERT_EQ(0, mock_device_create_with(fd, self->ioas, MOCK_PASIDS, &self->dev));
	self->queue = fault_queue_alloc(fd, &self->fault);
	ASSERT_LE(0, self->queue);
	self->other_queue = fault_queue_alloc(fd, &self->other_fault);
	ASSERT_LE(0, self->other_queue);
	ASSERT_EQ(0, faulting_alloc(fd, self->dev.id, self->ioas, PASIDS, self->fault, &self->table));
	ASSERT_EQ(0, faulting_alloc(fd, self->dev.id, self->ioas, PASIDS, self->other_fault, &self->other));
	ASSERT_EQ(0, hwpt_alloc(fd, self->dev.id, self->ioas, PASIDS, &self->plain));
}

FIXTURE_TEARDOWN(fault)
{
	close(self->queue);
	close(self->other_queue);
	close(self->fd);
}

static int go(struct _test_data_fault *self, uint32_t table)
{
	return mock_device_replace(self->fd, self->dev.stdev, &table);
}

static int send_one(struct _test_data_fault *self, uint32_t pasid)
{
	return fault_send(self->fd, self->dev.id, pasid, 1, 0x1000);
}

/* An address at which nothing can be read or written */
static void *nowhere(void)
{
	static void *p;

	if (!p)
		p = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p;
}

/* Reads one request; its cookie, or 0 */
static uint32_t take_one(int queue)
{
	struct iommu_hwpt_pgfault record = { };

	return fault_read(queue, &record, 1) == RECORD ? record.cookie : 0;
}

/* ---- allocation and lifetime ---- */

TEST_F(fault, flags_are_refused)
{
	struct iommu_fault_alloc cmd = { .size = sizeof(cmd) };

	for (int bit = 0; bit < 32; bit++) {
		cmd.flags = 1U << bit;
		EXPECT_EQ_FOR(-EOPNOTSUPP, iommu_call(self->fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd), "bit %d", bit);
	}
}

TEST_F(fault, file_is_closed_on_exec_and_no_id_is_zero)
{
	EXPECT_NE(0, self->fault);
	EXPECT_NE(self->fault, self->other_fault);
	EXPECT_LT(0, self->queue);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->queue, F_GETFD));
}

TEST_F(fault, result_that_cannot_be_told_leaves_nothing)
{
	struct iommu_fault_alloc *cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int next = dup(self->fd), again;
	uint32_t before, after;

	ASSERT_NE(MAP_FAILED, (void *)cmd);
	close(next);
	cmd->size = sizeof(*cmd);
	ASSERT_EQ(0, mprotect(cmd, PAGE, PROT_READ));
	ASSERT_EQ(0, ioas_alloc(self->fd, &before));
	ASSERT_EQ(0, iommu_destroy(self->fd, before));
	EXPECT_EQ(-EFAULT, iommu_call(self->fd, IOMMU_FAULT_QUEUE_ALLOC, cmd));
	ASSERT_EQ(0, ioas_alloc(self->fd, &after));
	EXPECT_EQ(before, after);
	again = dup(self->fd);
	EXPECT_EQ(next, again);
	close(again);
	munmap(cmd, PAGE);
}

TEST_F(fault, no_free_file_descriptor)
{
	struct rlimit limit, none;
	uint32_t id;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = self->other_queue + 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, fault_queue_alloc(self->fd, &id));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

TEST_F(fault, id_is_busy_until_the_file_is_closed_and_no_table_uses_it)
{
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->fault));
	close(self->queue);
	self->queue = -1;
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->fault));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->table));
	EXPECT_EQ(0, iommu_destroy(self->fd, self->fault));
	EXPECT_EQ(-ENOENT, iommu_destroy(self->fd, self->fault));

	EXPECT_EQ(0, iommu_destroy(self->fd, self->other));
	EXPECT_EQ(-EBUSY, iommu_destroy(self->fd, self->other_fault));
	close(self->other_queue);
	self->other_queue = -1;
	EXPECT_EQ(0, iommu_destroy(self->fd, self->other_fault));
}

/* The context lives as long as the queue's file does, and so does the device with its requests. */
TEST_F(fault, queue_outlives_the_file_of_the_context)
{
	struct iommu_hwpt_pgfault record;

	ASSERT_EQ(0, go(self, self->table));
	ASSERT_EQ(0, send_one(self, 0));
	close(self->fd);
	EXPECT_EQ(POLLIN | POLLOUT, fault_poll(self->queue));
	ASSERT_EQ(RECORD, fault_read(self->queue, &record, 1));
	EXPECT_EQ(ANSWER, fault_answer(self->queue, record.cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	self->fd = -1;
}

TEST_F(fault, ids_of_a_queue)
{
	uint32_t hwpt;
	int fd = self->fd;

	EXPECT_EQ(-ENOENT, faulting_alloc(fd, self->dev.id, self->ioas, 0, 0, &hwpt));
	EXPECT_EQ(-ENOENT, faulting_alloc(fd, self->dev.id, self->ioas, 0, UNKNOWN_ID, &hwpt));
	EXPECT_EQ(-ENOENT, faulting_alloc(fd, self->dev.id, self->ioas, 0, UINT32_MAX, &hwpt));
	EXPECT_EQ(-ENOENT, faulting_alloc(fd, self->dev.id, self->ioas, 0, self->ioas, &hwpt));
	EXPECT_EQ(-EOPNOTSUPP, faulting_alloc(fd, self->dev.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, self->fault,
					      &hwpt));
	EXPECT_EQ(-EOPNOTSUPP, faulting_alloc(fd, self->dev.id, self->ioas, 1U << 31, self->fault, &hwpt));
	/* it is no page table, and nothing to attach or map into */
	EXPECT_EQ(-EINVAL, hwpt_alloc(fd, self->dev.id, self->fault, 0, &hwpt));
	EXPECT_EQ(-EINVAL, go(self, self->fault));
	EXPECT_EQ(-ENOENT, ioas_map_at(fd, self->fault, self, PAGE, MOCK_FIRST));
	/* without the flag the field is not looked at */
	ASSERT_EQ(0, hwpt_alloc(fd, self->dev.id, self->ioas, 0, &hwpt));
	EXPECT_EQ(0, iommu_destroy(fd, hwpt));
}

TEST_F(fault, group_of_two_devices_cannot_ask)
{
	struct mock_device sibling;

	ASSERT_EQ(0, go(self, self->plain));
	ASSERT_EQ(0, mock_device_plug(self->fd, self->plain, self->dev.stdev, 0, 0, 0, &sibling));
	EXPECT_EQ(-EINVAL, go(self, self->table));
	EXPECT_EQ(0, mock_check_table(self->fd, self->dev.stdev, 0, self->plain));
	EXPECT_EQ(0, mock_check_table(self->fd, sibling.stdev, 0, self->plain));
	EXPECT_EQ(0, fault_state(self->fd, self->dev.id).enabled);
	ASSERT_EQ(0, iommu_destroy(self->fd, sibling.stdev));
	EXPECT_EQ(0, go(self, self->table));
	EXPECT_EQ(1, fault_state(self->fd, self->dev.id).enabled);
}

/* ---- who gets a request ---- */

TEST_F(fault, device_asks_only_after_it_met_a_queue)
{
	EXPECT_EQ(0, send_one(self, 0));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 0, 0, 0));
	ASSERT_EQ(0, go(self, self->table));
	EXPECT_EQ(0, send_one(self, 0));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 1, 0, 0));
}

TEST_F(fault, device_that_does_not_exist)
{
	EXPECT_EQ(-ENOENT, fault_send(self->fd, 0, 0, 0, 0));
	EXPECT_EQ(-ENOENT, fault_send(self->fd, self->ioas, 0, 0, 0));
	EXPECT_EQ(-EINVAL, fault_send_group(self->fd, self->dev.id, 0, 0, 0, 0));
	EXPECT_EQ(-EINVAL, fault_send_group(self->fd, self->dev.id, 0, 0, 0, 65));
}

TEST_F(fault, pasid_decides_which_queue)
{
	uint32_t pt = self->other;

	ASSERT_EQ(0, go(self, self->table));
	ASSERT_EQ(0, mock_pasid_attach(self->fd, self->dev.stdev, 7, &pt));
	pt = self->plain;
	ASSERT_EQ(0, mock_pasid_attach(self->fd, self->dev.stdev, 8, &pt));

	ASSERT_EQ(0, send_one(self, 0));
	EXPECT_EQ(POLLIN | POLLOUT, fault_poll(self->queue));
	EXPECT_EQ(POLLOUT, fault_poll(self->other_queue));
	EXPECT_NE(0, take_one(self->queue));
	ASSERT_EQ(0, send_one(self, 7));
	EXPECT_EQ(POLLOUT, fault_poll(self->queue));
	EXPECT_EQ(POLLIN | POLLOUT, fault_poll(self->other_queue));
	EXPECT_NE(0, take_one(self->other_queue));

	/* a table without a queue, and a PASID that is not attached beside a table of the kernel */
	ASSERT_EQ(0, send_one(self, 8));
	ASSERT_EQ(0, send_one(self, 9));
	EXPECT_EQ(POLLOUT, fault_poll(self->queue));
	EXPECT_EQ(POLLOUT, fault_poll(self->other_queue));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 4, 0, 2));
}

TEST_F(fault, guest_pasids_belong_to_the_nested_table)
{
	uint32_t parent, nested, pt = self->other;
	struct iommu_hwpt_pgfault record;

	ASSERT_EQ(0, hwpt_alloc(self->fd, self->dev.id, self->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	ASSERT_EQ(0, nested_alloc(self->fd, self->dev.id, parent, PASIDS, self->fault, &nested));
	ASSERT_EQ(0, go(self, nested));
	ASSERT_EQ(0, send_one(self, 9));
	ASSERT_EQ(RECORD, fault_read(self->queue, &record, 1));
	EXPECT_EQ(9, record.pasid);
	EXPECT_EQ(IOMMU_PGFAULT_FLAGS_PASID_VALID | IOMMU_PGFAULT_FLAGS_LAST_PAGE, record.flags);

	/* one that is attached has a table of its own */
	ASSERT_EQ(0, mock_pasid_attach(self->fd, self->dev.stdev, 9, &pt));
	ASSERT_EQ(0, send_one(self, 9));
	EXPECT_EQ(POLLOUT, fault_poll(self->queue));
	EXPECT_NE(0, take_one(self->other_queue));
	ASSERT_EQ(0, mock_pasid_detach(self->fd, self->dev.stdev, 9));
	ASSERT_EQ(0, send_one(self, 9));
	EXPECT_NE(0, take_one(self->queue));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 3, 0, 1));
}

/* ---- read, answer, poll ---- */

TEST_F(fault, record_says_what_the_device_asked)
{
	struct iommu_test_cmd cmd = {
		.fault = { .dev = self->dev.id, .group = 77, .perm = 0xffffffffU, .addr = 0x123456789abcd000ULL },
	};
	struct iommu_hwpt_pgfault record;

	ASSERT_EQ(0, go(self, self->table));
	ASSERT_EQ(0, test_call(self->fd, TEST_OP_TRIGGER_IOPF, 0, &cmd));
	memset(&record, 0xff, sizeof(record));
	ASSERT_EQ(RECORD, fault_read(self->queue, &record, 1));
	EXPECT_EQ(IOMMU_PGFAULT_FLAGS_LAST_PAGE, record.flags);
	EXPECT_EQ(self->dev.id, record.dev_id);
	EXPECT_EQ(0, record.pasid);
	EXPECT_EQ(77, record.grpid);
	EXPECT_EQ(15, record.perm);
	EXPECT_EQ(0, record.__reserved);
	EXPECT_EQ(0x123456789abcd000ULL, record.addr);
	EXPECT_EQ(0, record.length);
	EXPECT_NE(0, record.cookie);
}

TEST_F(fault, counts_of_read_and_write)
{
	struct iommu_hwpt_pgfault records[2];
	uint8_t buf[2 * RECORD];

	ASSERT_EQ(0, go(self, self->table));
	for (ssize_t n = 0; n <= 2 * RECORD; n++) {
		EXPECT_EQ_FOR(n % RECORD ? -1 : 0, read(self->queue, buf, n), "empty, %zd bytes", n);
		if (n % RECORD)
			EXPECT_EQ(ESPIPE, errno);
	}
	ASSERT_EQ(0, send_one(self, 0));
	EXPECT_EQ(-EINVAL, fault_read(self->queue, records, 0));
	EXPECT_EQ(RECORD, fault_read(self->queue, records, 2));
	for (ssize_t n = 1; n < ANSWER; n++) {
		EXPECT_EQ(-1, write(self->queue, buf, n));
		EXPECT_EQ(ESPIPE, errno);
	}
	EXPECT_EQ(0, write(self->queue, buf, 0));
	EXPECT_EQ(-1, pread(self->queue, buf, RECORD, RECORD));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, pwrite(self->queue, buf, ANSWER, ANSWER));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, lseek(self->queue, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
}

TEST_F(fault, answers_that_are_refused)
{
	struct iommu_hwpt_page_response pair[2] = { };
	uint32_t cookie;

	ASSERT_EQ(0, go(self, self->table));
	ASSERT_EQ(0, send_one(self, 0));
	EXPECT_EQ(-EINVAL, fault_answer(self->queue, 0, 0));
	EXPECT_EQ(-EINVAL, fault_answer(self->queue, 1, 0));
	cookie = take_one(self->queue);
	EXPECT_EQ(-EINVAL, fault_answer(self->queue, cookie, 2));
	EXPECT_EQ(-EINVAL, fault_answer(self->queue, cookie, UINT32_MAX));
	EXPECT_EQ(-EINVAL, fault_answer(self->queue, cookie + 1, 0));
	EXPECT_EQ(-EINVAL, fault_answer(self->other_queue, cookie, 0));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 1, 0, 0));
	EXPECT_EQ(ANSWER, fault_answer(self->queue, cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	EXPECT_EQ(-EINVAL, fault_answer(self->queue, cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 1, 1, 0));

	/* the first is carried out, the second is not */
	ASSERT_EQ(0, send_one(self, 0));
	pair[0] = (struct iommu_hwpt_page_response){ take_one(self->queue), IOMMUFD_PAGE_RESP_INVALID };
	EXPECT_NE(cookie, pair[0].cookie);
	EXPECT_EQ(ANSWER, write(self->queue, pair, sizeof(pair)));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 2, 1, 1));
	EXPECT_EQ(-1, write(self->queue, nowhere(), ANSWER));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(fault, groups_come_whole_and_in_order)
{
	struct iommu_hwpt_pgfault records[8];

	ASSERT_EQ(0, go(self, self->table));
	ASSERT_EQ(0, fault_send_group(self->fd, self->dev.id, 0, 1, 0x10000, 3));
	ASSERT_EQ(0, fault_send_group(self->fd, self->dev.id, 0, 2, 0x20000, 2));
	ASSERT_EQ(0, fault_send_group(self->fd, self->dev.id, 0, 3, 0x30000, 4));

	EXPECT_EQ(-EINVAL, fault_read(self->queue, records, 2));
	EXPECT_EQ(3 * RECORD, fault_read(self->queue, records, 4));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(1, records[i].grpid);
		EXPECT_EQ(0x10000 + i * PAGE, records[i].addr);
		EXPECT_EQ(records[0].cookie, records[i].cookie);
		EXPECT_EQ(i == 2 ? IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0, records[i].flags);
	}
	/* two groups at once, each with a cookie of its own */
	EXPECT_EQ(6 * RECORD, fault_read(self->queue, records, 8));
	EXPECT_EQ(2, records[1].grpid);
	EXPECT_EQ(3, records[2].grpid);
	EXPECT_NE(records[1].cookie, records[2].cookie);
	EXPECT_EQ(records[2].cookie, records[5].cookie);
	EXPECT_EQ(ANSWER, fault_answer(self->queue, records[2].cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, 3, 1, 0));
}

TEST_F(fault, group_that_cannot_be_told_waits_on)
{
	struct iommu_hwpt_pgfault record;
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	ASSERT_EQ(0, go(self, self->table));
	ASSERT_EQ(0, fault_send_group(self->fd, self->dev.id, 0, 1, 0x10000, 2));
	ASSERT_EQ(0, fault_send_group(self->fd, self->dev.id, 0, 2, 0x20000, 1));
	EXPECT_EQ(-1, read(self->queue, pages + PAGE - RECORD, 2 * RECORD));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(self->queue, nowhere(), 3 * RECORD));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(POLLIN | POLLOUT, fault_poll(self->queue));
	/* as much as could be told is told */
	EXPECT_EQ(2 * RECORD, read(self->queue, pages + PAGE - 2 * RECORD, 3 * RECORD));
	EXPECT_EQ(RECORD, fault_read(self->queue, &record, 1));
	EXPECT_EQ(2, record.grpid);
	munmap(pages, PAGE);
}

static void *send_later(void *data)
{
	struct _test_data_fault *self = data;

	usleep(50000);
	send_one(self, 0);
	return NULL;
}

TEST_F(fault, poll_wakes_up)
{
	struct pollfd p = { .fd = self->queue, .events = POLLIN };
	pthread_t thread;

	ASSERT_EQ(0, go(self, self->table));
	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_later, self));
	EXPECT_EQ(1, poll(&p, 1, 60000));
	EXPECT_EQ(POLLIN, p.revents);
	pthread_join(thread, NULL);
}

TEST_F(fault, queue_has_an_end)
{
	struct iommu_hwpt_pgfault record;
	uint32_t sent;

	ASSERT_EQ(0, go(self, self->table));
	for (sent = 0; sent < QUEUE_MAX; sent++)
		ASSERT_EQ(0, send_one(self, 0));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, QUEUE_MAX, 0, 0));
	ASSERT_EQ(0, send_one(self, 0));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, QUEUE_MAX + 1, 0, 1));
	/* what was read and not answered still counts */
	ASSERT_EQ(RECORD, fault_read(self->queue, &record, 1));
	ASSERT_EQ(0, send_one(self, 0));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, QUEUE_MAX + 2, 0, 2));
	ASSERT_EQ(ANSWER, fault_answer(self->queue, record.cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	ASSERT_EQ(0, send_one(self, 0));
	EXPECT_TRUE(faults_are(self->fd, self->dev.id, QUEUE_MAX + 3, 1, 2));
}

/* ---- the end of an attachment ---- */

FIXTURE(ending)
{
	struct _test_data_fault f;
};

/* What ends it; for requests with and without PASID */
FIXTURE_VARIANT(ending)
{
	uint32_t pasid;
};

FIXTURE_VARIANT_ADD(ending, without_pasid)
{
	.pasid = 0,
};

FIXTURE_VARIANT_ADD(ending, pasid)
{
	.pasid = 5,
};

FIXTURE_SETUP(ending)
{
	uint32_t pt;

	fault_setup(_metadata, &self->f, NULL);
	pt = self->f.table;
	if (variant->pasid) {
		ASSERT_EQ(0, go(&self->f, self->f.plain));
		ASSERT_EQ(0, mock_pasid_attach(self->f.fd, self->f.dev.stdev, variant->pasid, &pt));
	} else {
		ASSERT_EQ(0, go(&self->f, pt));
	}
	/* one that waits and one that is being worked on */
	ASSERT_EQ(0, send_one(&self->f, variant->pasid));
	ASSERT_NE(0, take_one(self->f.queue));
	ASSERT_EQ(0, fault_send_group(self->f.fd, self->f.dev.id, variant->pasid, 2, 0, 3));
	ASSERT_TRUE(faults_are(self->f.fd, self->f.dev.id, 2, 0, 0));
}

FIXTURE_TEARDOWN(ending)
{
	fault_teardown(_metadata, &self->f, NULL);
}

static int move(struct _test_data_fault *f, uint32_t pasid, uint32_t pt)
{
	return pasid ? mock_pasid_replace(f->fd, f->dev.stdev, pasid, &pt) : go(f, pt);
}

static int leave(struct _test_data_fault *f, uint32_t pasid)
{
	return pasid ? mock_pasid_detach(f->fd, f->dev.stdev, pasid) : mock_device_detach(f->fd, f->dev.stdev);
}

/* Nothing is left of the requests: not in the queue, not with the device, and no cookie is good any more. */
static void expect_refused(struct __test_metadata *_metadata, struct _test_data_fault *f)
{
	struct iommu_hwpt_pgfault records[4];

	EXPECT_TRUE(faults_are(f->fd, f->dev.id, 2, 0, 2));
	EXPECT_EQ(POLLOUT, fault_poll(f->queue));
	EXPECT_EQ(0, fault_read(f->queue, records, 4));
	for (uint32_t cookie = 0; cookie < 8; cookie++)
		EXPECT_EQ(-EINVAL, fault_answer(f->queue, cookie, IOMMUFD_PAGE_RESP_SUCCESS));
	EXPECT_TRUE(faults_are(f->fd, f->dev.id, 2, 0, 2));
}

TEST_F(ending, by_detach)
{
	ASSERT_EQ(0, leave(&self->f, variant->pasid));
	expect_refused(_metadata, &self->f);
	EXPECT_EQ(0, iommu_destroy(self->f.fd, self->f.table));
}

TEST_F(ending, by_replace_without_queue)
{
	ASSERT_EQ(0, move(&self->f, variant->pasid, self->f.plain));
	expect_refused(_metadata, &self->f);
	ASSERT_EQ(0, send_one(&self->f, variant->pasid));
	EXPECT_TRUE(faults_are(self->f.fd, self->f.dev.id, 3, 0, 3));
}

TEST_F(ending, by_replace_with_another_queue)
{
	ASSERT_EQ(0, move(&self->f, variant->pasid, self->f.other));
	expect_refused(_metadata, &self->f);
	ASSERT_EQ(0, send_one(&self->f, variant->pasid));
	EXPECT_NE(0, take_one(self->f.other_queue));
}

/* Another attachment with the same queue */
TEST_F(ending, by_replace_with_the_same_queue)
{
	uint32_t table;

	ASSERT_EQ(0, faulting_alloc(self->f.fd, self->f.dev.id, self->f.ioas, PASIDS, self->f.fault, &table));
	ASSERT_EQ(0, move(&self->f, variant->pasid, table));
	expect_refused(_metadata, &self->f);
	ASSERT_EQ(0, send_one(&self->f, variant->pasid));
	EXPECT_NE(0, take_one(self->f.queue));
}

TEST_F(ending, not_by_replace_with_itself)
{
	ASSERT_EQ(0, move(&self->f, variant->pasid, self->f.table));
	EXPECT_TRUE(faults_are(self->f.fd, self->f.dev.id, 2, 0, 0));
	EXPECT_NE(0, fault_poll(self->f.queue) & POLLIN);
}

TEST_F(ending, not_by_a_replace_that_fails)
{
	uint32_t parent, viommu, table;
	int fd = self->f.fd;

	ASSERT_EQ(-ENOENT, move(&self->f, variant->pasid, UNKNOWN_ID));
	ASSERT_EQ(-EINVAL, move(&self->f, variant->pasid, self->f.dev.id));
	ASSERT_EQ(0, hwpt_alloc(fd, self->f.dev.id, self->f.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT, &parent));
	ASSERT_EQ(0, viommu_alloc(fd, self->f.dev.id, parent, &viommu));
	ASSERT_EQ(0, nested_alloc(fd, self->f.dev.id, viommu, 0, self->f.other_fault, &table));
	/* the driver refuses it; or it is not made for PASIDs */
	ASSERT_EQ(variant->pasid ? -EINVAL : -ENOENT, move(&self->f, variant->pasid, table));
	EXPECT_TRUE(faults_are(fd, self->f.dev.id, 2, 0, 0));
	ASSERT_EQ(0, send_one(&self->f, variant->pasid));
	EXPECT_TRUE(faults_are(fd, self->f.dev.id, 3, 0, 0));
	EXPECT_EQ(POLLOUT, fault_poll(self->f.other_queue));
}

TEST_F(ending, by_close_of_the_queue)
{
	close(self->f.queue);
	EXPECT_TRUE(faults_are(self->f.fd, self->f.dev.id, 2, 0, 2));
	/* nobody will read what comes now */
	ASSERT_EQ(0, send_one(&self->f, variant->pasid));
	EXPECT_TRUE(faults_are(self->f.fd, self->f.dev.id, 3, 0, 3));
	self->f.queue = -1;
}

/* The mock device complains when it goes with a request that nobody answered. */
TEST_F(ending, by_unplug)
{
	struct iommu_hwpt_pgfault records[4];

	if (variant->pasid)
		ASSERT_EQ(0, mock_pasid_detach(self->f.fd, self->f.dev.stdev, variant->pasid));
	ASSERT_EQ(0, iommu_destroy(self->f.fd, self->f.dev.stdev));
	EXPECT_EQ(0, fault_read(self->f.queue, records, 4));
	EXPECT_EQ(0, iommu_destroy(self->f.fd, self->f.table));
}

static void close_all(struct _test_data_fault *f, int first, int last)
{
	close(first);
	close(f->other_queue);
	close(last);
	f->fd = -1;
	f->queue = -1;
	f->other_queue = -1;
}

TEST_F(ending, by_close_of_the_queue_first)
{
	close_all(&self->f, self->f.queue, self->f.fd);
}

TEST_F(ending, by_close_of_the_context_first)
{
	close_all(&self->f, self->f.fd, self->f.queue);
}

TEST_F(ending, by_death)
{
	int ready[2], status;
	pid_t child;
	char c;

	/* one that has nothing but inherited files holds it up; when it dies everything goes */
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		close(ready[0]);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	close_all(&self->f, self->f.queue, self->f.fd);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
}

/* ---- at the same time ---- */

#define ROUNDS	2000

struct race {
	struct _test_data_fault *f;
	bool stop;
	unsigned long asked, answered;
};

static void *keep_asking(void *data)
{
	struct race *r = data;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (fault_send_group(r->f->fd, r->f->dev.id, i % 2 ? 5 : 0, i, 0, 1 + i % 4))
			return NULL;
		r->asked++;
	}
	__atomic_store_n(&r->stop, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *keep_answering(void *data)
{
	struct race *r = data;
	struct iommu_hwpt_pgfault records[8];
	uint32_t last = 0;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		ssize_t n = fault_read(r->f->queue, records, 8);

		for (ssize_t i = 0; i < n / RECORD; i++) {
			if (records[i].cookie == last)
				continue;
			last = records[i].cookie;
			if (fault_answer(r->f->queue, last, IOMMUFD_PAGE_RESP_SUCCESS) == ANSWER)
				r->answered++;
		}
	}
	return NULL;
}

/* Whatever moves meanwhile, what was sent ends one way or the other, once. */
TEST_F(fault, requests_while_tables_come_and_go)
{
	struct race r = { .f = self };
	pthread_t asker, answerer;
	struct fault_state s;
	uint32_t pt = self->table;

	ASSERT_EQ(0, go(self, self->table));
	ASSERT_EQ(0, pthread_create(&asker, NULL, keep_asking, &r));
	ASSERT_EQ(0, pthread_create(&answerer, NULL, keep_answering, &r));
	while (!__atomic_load_n(&r.stop, __ATOMIC_ACQUIRE)) {
		ASSERT_EQ(0, go(self, self->plain));
		pt = self->table;
		ASSERT_EQ(0, mock_pasid_attach(self->fd, self->dev.stdev, 5, &pt));
		ASSERT_EQ(0, go(self, self->table));
		ASSERT_EQ(0, go(self, self->other));
		pt = self->other;
		ASSERT_EQ(0, mock_pasid_replace(self->fd, self->dev.stdev, 5, &pt));
		ASSERT_EQ(0, mock_pasid_detach(self->fd, self->dev.stdev, 5));
	}
	pthread_join(asker, NULL);
	pthread_join(answerer, NULL);
	ASSERT_EQ(ROUNDS, r.asked);
	ASSERT_EQ(0, mock_device_detach(self->fd, self->dev.stdev));
	s = fault_state(self->fd, self->dev.id);
	EXPECT_EQ(ROUNDS, s.sent);
	EXPECT_EQ(r.answered, s.answered);
	EXPECT_EQ(ROUNDS, s.answered + s.refused);
}

TEST_HARNESS_MAIN
