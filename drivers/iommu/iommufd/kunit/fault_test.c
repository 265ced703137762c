// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of fault: a device that exists here only asks for pages, and counts what it is told.
 */
#include <kunit/test.h>
#include <linux/iommu.h>

#include "../../iommu-priv.h"
#include "../fault.h"

#define DEV_ID	33

/**
 * struct asker - A device that asks for pages
 * @dev: the device
 * @param: what the core keeps of it
 * @iommu: IOMMU that it is behind
 * @success: groups that were answered so
 * @invalid: groups that were answered so
 * @last: the last answer
 */
struct asker {
	struct device dev;
	struct dev_iommu param;
	struct iommu_device iommu;
	unsigned int success;
	unsigned int invalid;
	struct iommu_page_response last;
};

static int count_answer(struct device *dev, struct iommu_fault_event *evt, struct iommu_page_response *msg)
{
	struct asker *asker = container_of(dev, struct asker, dev);

	if (msg->code == IOMMU_PAGE_RESP_SUCCESS)
		asker->success++;
	else if (msg->code == IOMMU_PAGE_RESP_INVALID)
		asker->invalid++;
	asker->last = *msg;
	return 0;
}

static const struct iommu_ops asker_ops = {
	.page_response = count_answer,
};

static struct asker *asker_new(struct kunit *test)
{
	struct asker *asker = kunit_kzalloc(test, sizeof(*asker), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, asker);
	asker->dev.iommu = &asker->param;
	asker->param.iommu_dev = &asker->iommu;
	asker->iommu.ops = &asker_ops;
	return asker;
}

/* Whose queues these are */
static struct iommufd_ctx nobody;

static struct iommufd_fault *queue_new(struct kunit *test)
{
	struct iommufd_fault *fault = kunit_kzalloc(test, sizeof(*fault), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fault);
	iommufd_fault_init(fault);
	fault->ictx = &nobody;
	return fault;
}

static struct iommu_fault_group *group_new(struct kunit *test, struct asker *asker, u32 grpid, unsigned int num)
{
	struct iommu_fault_group *fg = iommu_fault_group_alloc(&asker->dev, num);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, fg);
	for (i = 0; i < num; i++)
		fg->requests[i].grpid = grpid;
	fg->requests[num - 1].flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	return fg;
}

static bool ask(struct kunit *test, struct iommufd_fault *fault, struct asker *asker, const void *owner, u32 grpid)
{
	struct iommu_fault_group *fg = group_new(test, asker, grpid, 1);
	bool taken = iommufd_fault_take(fault, fg, owner, DEV_ID);

	if (!taken)
		kfree(fg);
	return taken;
}

static void expect_answers(struct kunit *test, struct asker *asker, unsigned int success, unsigned int invalid)
{
	KUNIT_EXPECT_EQ(test, asker->success, success);
	KUNIT_EXPECT_EQ(test, asker->invalid, invalid);
}

static void flush_answers_for_one_owner(struct kunit *test)
{
	struct iommufd_fault *fault = queue_new(test);
	struct asker *asker = asker_new(test);
	int one, other;

	KUNIT_EXPECT_TRUE(test, ask(test, fault, asker, &one, 1));
	KUNIT_EXPECT_TRUE(test, ask(test, fault, asker, &other, 2));
	KUNIT_EXPECT_TRUE(test, ask(test, fault, asker, &one, 3));
	iommufd_fault_flush(fault, &one);
	expect_answers(test, asker, 0, 2);
	KUNIT_EXPECT_EQ(test, fault->count, 1);
	iommufd_fault_flush(fault, &one);
	expect_answers(test, asker, 0, 2);
	iommufd_fault_flush(fault, &other);
	expect_answers(test, asker, 0, 3);
	KUNIT_EXPECT_EQ(test, asker->last.grpid, 2);
	KUNIT_EXPECT_EQ(test, fault->count, 0);
}

static void flush_of_all_spares_nobody(struct kunit *test)
{
	struct iommufd_fault *fault = queue_new(test);
	struct asker *asker = asker_new(test);
	int one, other;

	KUNIT_EXPECT_TRUE(test, ask(test, fault, asker, &one, 1));
	KUNIT_EXPECT_TRUE(test, ask(test, fault, asker, &other, 2));
	iommufd_fault_flush(fault, NULL);
	expect_answers(test, asker, 0, 2);
}

static void closed_queue_takes_nothing(struct kunit *test)
{
	struct iommufd_fault *fault = queue_new(test);
	struct asker *asker = asker_new(test);

	fault->closed = true;
	KUNIT_EXPECT_FALSE(test, ask(test, fault, asker, fault, 1));
	KUNIT_EXPECT_EQ(test, fault->count, 0);
}

static void full_queue_takes_nothing_until_one_is_answered(struct kunit *test)
{
	struct iommufd_fault *fault = queue_new(test);
	struct asker *asker = asker_new(test);
	unsigned int taken = 0;
	int one, last;

	while (taken < 100000 && ask(test, fault, asker, &one, taken))
		taken++;
	KUNIT_EXPECT_EQ(test, taken, 4096);
	iommufd_fault_flush(fault, &one);
	expect_answers(test, asker, 0, taken);
	KUNIT_EXPECT_TRUE(test, ask(test, fault, asker, &last, 1));
	iommufd_fault_flush(fault, &last);
}

static void answer_has_the_pasid_where_the_request_needs_it(struct kunit *test)
{
	struct asker *asker = asker_new(test);
	struct iommu_fault_group *fg = group_new(test, asker, 5, 2);

	fg->requests[1].pasid = 9;
	fg->requests[1].flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	iommu_fault_group_respond(fg, IOMMU_PAGE_RESP_SUCCESS);
	expect_answers(test, asker, 1, 0);
	KUNIT_EXPECT_EQ(test, asker->last.grpid, 5);
	KUNIT_EXPECT_EQ(test, asker->last.flags, 0);

	fg = group_new(test, asker, 6, 1);
	fg->requests[0].pasid = 9;
	fg->requests[0].flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
	iommu_fault_group_respond(fg, IOMMU_PAGE_RESP_SUCCESS);
	expect_answers(test, asker, 2, 0);
	KUNIT_EXPECT_EQ(test, asker->last.flags, IOMMU_PAGE_RESP_PASID_VALID);
	KUNIT_EXPECT_EQ(test, asker->last.pasid, 9);
}

static struct kunit_case fault_cases[] = {
	KUNIT_CASE(flush_answers_for_one_owner),
	KUNIT_CASE(flush_of_all_spares_nobody),
	KUNIT_CASE(closed_queue_takes_nothing),
	KUNIT_CASE(full_queue_takes_nothing_until_one_is_answered),
	KUNIT_CASE(answer_has_the_pasid_where_the_request_needs_it),
	{}
};

static struct kunit_suite fault_suite = {
	.name = "fault",
	.test_cases = fault_cases,
};

kunit_test_suite(fault_suite);
