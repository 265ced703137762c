/* SPDX-License-Identifier: GPL-2.0-only */
/* A process's memory for tests that run in a kernel thread */
#ifndef __IOMMUFD_KUNIT_USER_MM_H
#define __IOMMUFD_KUNIT_USER_MM_H

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>

/* Make an empty address space and live in it until user_mm_leave(); NULL without memory, or in a module */
static inline struct mm_struct *__user_mm_enter(void)
{
	struct mm_struct *mm = NULL;

#ifndef MODULE
	struct rlimit stack = { .rlim_cur = _STK_LIM, .rlim_max = RLIM_INFINITY };

	mm = mm_alloc();
	if (!mm)
		return NULL;
	arch_pick_mmap_layout(mm, &stack);
	kthread_use_mm(mm);
#endif
	return mm;
}

static inline struct mm_struct *user_mm_enter(struct kunit *test)
{
	struct mm_struct *mm = __user_mm_enter();

#ifdef MODULE
	kunit_skip(test, "needs mm_alloc(), which a module cannot call");
#endif
	KUNIT_ASSERT_NOT_NULL(test, mm);
	return mm;
}

static inline void user_mm_leave(struct mm_struct *mm)
{
	kthread_unuse_mm(mm);
	mmput(mm);
}

/* Map anonymous private memory of the calling thread, for reading and perhaps for writing */
static inline unsigned long user_mm_map(struct kunit *test, unsigned long npages, bool writable)
{
	unsigned long uaddr = vm_mmap(NULL, 0, npages * PAGE_SIZE, PROT_READ | (writable ? PROT_WRITE : 0),
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(uaddr));
	return uaddr;
}

#endif
