// SPDX-License-Identifier: GPL-2.0-only
/*
 * mock_fault - page requests of mock devices, and what became of them
 *
 * A device sends what a test tells it to, and counts the answers: each group that it sent gets one, and all of them
 * before it is told to stop asking.
 */
#include <linux/sizes.h>

#include "../../iommu-priv.h"
#include "mock_device.h"
#include "mock_fault.h"

/**
 * mock_fault_enable() - Let a device ask for pages
 * @dev: mock device
 *
 * Return: 0.
 */
int mock_fault_enable(struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);

	WARN_ON(mdev->faults_enabled);
	mdev->faults_enabled = true;
	return 0;
}

/**
 * mock_fault_disable() - Undo mock_fault_enable()
 * @dev: mock device; nobody makes it ask any more
 */
void mock_fault_disable(struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);

	WARN_ON(!mdev->faults_enabled || atomic_read(&mdev->faults_sent) !=
		atomic_read(&mdev->faults_answered) + atomic_read(&mdev->faults_refused));
	mdev->faults_enabled = false;
}

/**
 * mock_page_response() - An answer comes back
 * @dev: mock device that asked
 * @evt: last request of the group
 * @msg: the answer
 *
 * Return: 0.
 */
int mock_page_response(struct device *dev, struct iommu_fault_event *evt, struct iommu_page_response *msg)
{
	struct mock_device *mdev = to_mock_device(dev);

	WARN_ON(!(evt->fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE) || msg->grpid != evt->fault.prm.grpid);
	atomic_inc(msg->code == IOMMU_PAGE_RESP_SUCCESS ? &mdev->faults_answered : &mdev->faults_refused);
	return 0;
}

/**
 * mock_fault_send() - Make a device ask for pages
 * @mdev: the device, bound during the call; one that may not ask does nothing
 * @first: first request
 * @num: number of requests, for pages that follow each other
 *
 * Return: 0, or -ENOMEM.
 */
int mock_fault_send(struct mock_device *mdev, const struct iommu_fault_page_request *first, unsigned int num)
{
	struct iommu_fault_group *fg;
	unsigned int i;

	if (!READ_ONCE(mdev->faults_enabled))
		return 0;
	fg = iommu_fault_group_alloc(&mdev->dev, num);
	if (!fg)
		return -ENOMEM;
	for (i = 0; i < num; i++) {
		fg->requests[i] = *first;
		fg->requests[i].addr += (u64)i * SZ_4K;
	}
	fg->requests[num - 1].flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	atomic_inc(&mdev->faults_sent);
	iommu_report_fault_group(fg);
	return 0;
}
