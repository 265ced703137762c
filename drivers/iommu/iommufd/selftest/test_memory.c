// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_memory - what is mapped and pinned, held against the memory that the process sees
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>

#include "../hwpt_paging.h"
#include "../ioas.h"
#include "../pinned.h"
#include "mock_iommu.h"
#include "test_ops.h"

/**
 * iommufd_test_user_page() - The page that the process sees at an address
 * @uptr: user address
 *
 * Return: the page, for put_page(); or ERR_PTR: -EFAULT if there is nothing; -EINTR; -ENOMEM.
 */
struct page *iommufd_test_user_page(u64 uptr)
{
	struct page *page;
	long rc = get_user_pages_fast(uptr & PAGE_MASK, 1, 0, &page);

	if (rc == 1)
		return page;
	return ERR_PTR(rc ?: -EFAULT);
}

/* Between two steps of a check whose length only the user knows */
static int pause_check(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/**
 * iommufd_test_add_reserved() - Take a range away from an IOAS for as long as it lives
 * @ucmd: struct iommu_test_cmd, add_reserved
 *
 * Return: 0; -EINVAL for a length of 0; -EOVERFLOW; -ENOENT; -EADDRINUSE if some of it is mapped or promised; -ENOMEM.
 */
int iommufd_test_add_reserved(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	unsigned long start = cmd->add_reserved.start;
	struct iommufd_ioas *ioas;
	unsigned long last;
	int rc;

	if (!cmd->add_reserved.length)
		return -EINVAL;
	if (check_add_overflow(start, (unsigned long)cmd->add_reserved.length - 1, &last))
		return -EOVERFLOW;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = iommufd_ioas_reserve(ioas, ioas, start, last);
	iommufd_object_put(&ucmd->ictx->objs, &ioas->obj);
	return rc;
}

static int check_phys(struct iommu_domain *domain, u64 iova, u64 uptr)
{
	struct page *page = iommufd_test_user_page(uptr);
	phys_addr_t phys;

	if (IS_ERR(page))
		return PTR_ERR(page);
	phys = page_to_phys(page) + offset_in_page(uptr);
	put_page(page);
	return iommu_iova_to_phys(domain, iova) == phys ? 0 : -EINVAL;
}

static int check_domain(struct iommu_domain *domain, u64 iova, u64 length, u64 uptr)
{
	unsigned long step = BIT(__ffs(domain->pgsize_bitmap));
	u64 end, done;
	int rc = 0;

	if (!IS_ALIGNED(iova | length | uptr, step) || check_add_overflow(uptr, length, &end))
		return -EINVAL;
	for (done = 0; done < length && !rc; done += step)
		rc = check_phys(domain, iova + done, uptr + done) ?: pause_check();
	return rc;
}

/**
 * iommufd_test_check_map() - Does a range of a page table lead to the process's memory at an address?
 * @ucmd: struct iommu_test_cmd, check_map
 *
 * Return: 0; -EINVAL if some of it does not, for addresses that are not aligned as the page table needs it, and for a
 * page table of another IOMMU; -ENOENT; -EFAULT if the process has nothing there.
 */
int iommufd_test_check_map(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_object *obj;
	struct iommu_domain *domain;
	int rc = -EINVAL;

	obj = iommufd_object_get(&ucmd->ictx->objs, cmd->id, &iommufd_hwpt_paging_ops);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	domain = container_of(obj, struct iommufd_hwpt, obj)->domain;
	if (mock_domain_of(domain))
		rc = check_domain(domain, cmd->check_map.iova, cmd->check_map.length, cmd->check_map.uptr);
	iommufd_object_put(&ucmd->ictx->objs, obj);
	return rc;
}

/**
 * iommufd_test_memory_limit() - Limit the memory that lists of pages may take, for everybody
 * @ucmd: struct iommu_test_cmd, memory_limit
 *
 * Return: 0; -EINVAL for less than 12, the least that the ABI allows.
 */
int iommufd_test_memory_limit(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	if (cmd->memory_limit.limit < 12)
		return -EINVAL;
	WRITE_ONCE(pinned_max_batch, cmd->memory_limit.limit / sizeof(struct page *));
	return 0;
}

/**
 * iommufd_test_check_refs() - Does each page of the process's memory have a number of pins?
 * @ucmd: struct iommu_test_cmd, check_refs
 *
 * A pin counts as many references as the kernel makes of it on a page that is not part of a larger one; for parts of
 * larger ones it counts elsewhere, so those are passed over.
 *
 * Return: 0; -EIO if not; -EINVAL for what is not page aligned; -EFAULT if the process has nothing there.
 */
int iommufd_test_check_refs(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 uptr = cmd->check_refs.uptr;
	struct page *page;
	int rc = 0;
	u64 end;

	if (!PAGE_ALIGNED(uptr | cmd->check_refs.length) || check_add_overflow(uptr, cmd->check_refs.length, &end))
		return -EINVAL;
	for (; uptr < end && !rc; uptr += PAGE_SIZE) {
		page = iommufd_test_user_page(uptr);
		if (IS_ERR(page))
			return PTR_ERR(page);
		if (!PageCompound(page) && page_ref_count(page) / GUP_PIN_COUNTING_BIAS != cmd->check_refs.refs)
			rc = -EIO;
		put_page(page);
		rc = rc ?: pause_check();
	}
	return rc;
}
