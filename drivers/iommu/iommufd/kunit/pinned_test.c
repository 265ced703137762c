// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of pinned, and of pin_source below it: real pages of an address space that the case makes and lives in.
 * How often a small page is pinned can be read from its reference count. pinned_model.c does random steps.
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>

#include "../pin_payer.h"
#include "../pinned.h"
#include "user_mm.h"

#define SMALL 40UL			/* pages; more than the smallest batch */
#define LARGE 1100UL			/* pages; more than two chunks, and than two of the large batches */

/* Pages that a user covers, inclusive */
struct stretch {
	unsigned long start;
	unsigned long last;
};

static int acquire_range(struct pinned *p, struct stretch *user)
{
	return pinned_acquire(p, user->start, user->last);
}

static void release(struct pinned *p, struct stretch *user)
{
	pinned_release(p, user->start, user->last);
}

static struct pin_payer *payer_new(struct kunit *test, enum pin_account_mode mode)
{
	struct pin_payer *payer = pin_payer_create(mode, 0);

	KUNIT_ASSERT_NOT_NULL(test, payer);
	return payer;
}

/* A source of the memory in which the case lives */
static struct pinned *source_new(struct kunit *test, unsigned long uaddr, unsigned long npages, bool writable)
{
	struct pinned *p = pinned_alloc_user(uaddr, npages, writable, payer_new(test, PIN_ACCOUNT_USER));

	KUNIT_ASSERT_FALSE(test, IS_ERR(p));
	return p;
}

/**
 * struct fixture - Memory of a process, and a source made of it
 * @mm: the process
 * @uaddr: first address
 * @npages: how many pages
 * @pages: the pages, all present
 * @p: the source
 */
struct fixture {
	struct mm_struct *mm;
	unsigned long uaddr;
	unsigned long npages;
	struct page **pages;
	struct pinned *p;
};

static struct page *page_at(struct kunit *test, unsigned long uaddr, unsigned int gup_flags)
{
	struct page *page = NULL;

	KUNIT_ASSERT_EQ(test, get_user_pages_fast(uaddr, 1, gup_flags, &page), 1);
	/* The mapping keeps it */
	put_page(page);
	return page;
}

static struct fixture *fixture_new(struct kunit *test, unsigned long npages)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->mm = mm;
	f->npages = npages;
	f->pages = kunit_kcalloc(test, npages, sizeof(*f->pages), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->pages);
	f->uaddr = user_mm_map(test, npages, true);
	for (i = 0; i < npages; i++)
		f->pages[i] = page_at(test, f->uaddr + i * PAGE_SIZE, FOLL_WRITE);
	f->p = source_new(test, f->uaddr, npages, true);
	return f;
}

static int acquire(struct fixture *f, struct stretch *user, unsigned long start, unsigned long last)
{
	user->start = start;
	user->last = last;
	return acquire_range(f->p, user);
}

static unsigned int pins(struct page *page)
{
	return page_count(page) / GUP_PIN_COUNTING_BIAS;
}

static bool is_remembered(struct fixture *f, unsigned long index)
{
	unsigned long pfn;

	return pinned_run(f->p, index, index, &pfn) == 1 && pfn == page_to_pfn(f->pages[index]);
}

/* Counting the pages of a range finds those that are covered, in as many runs as they have */
static void expect_tally(struct kunit *test, struct fixture *f, unsigned long first, unsigned long last,
			 const bool *covered)
{
	struct pinned_tally tally = { }, expected = { };
	unsigned long i, index = first;

	for (i = first; i <= last; i++) {
		if (!covered[i]) {
			expected.next_pfn = 0;
			continue;
		}
		expected.pages++;
		expected.runs += page_to_pfn(f->pages[i]) != expected.next_pfn;
		expected.next_pfn = page_to_pfn(f->pages[i]) + 1;
	}
	while (index <= last && pinned_tally(f->p, &index, last, &tally))
		;
	KUNIT_EXPECT_EQ(test, index, last + 1);
	KUNIT_EXPECT_EQ(test, tally.pages, expected.pages);
	KUNIT_EXPECT_EQ(test, tally.runs, expected.runs);
}

/* Exactly these pages are pinned, once each, and charged */
static void expect_pinned(struct kunit *test, struct fixture *f, const bool *covered)
{
	unsigned long wrong = 0, charge = 0;
	unsigned long i;

	for (i = 0; i < f->npages; i++) {
		charge += covered[i];
		if (!f->pages[i])
			continue;
		if (pins(f->pages[i]) != covered[i] || (covered[i] && !is_remembered(f, i)))
			wrong++;
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0UL, "pages that are wrongly pinned, not pinned or remembered");
	KUNIT_EXPECT_EQ(test, (unsigned long)atomic64_read(&f->mm->pinned_vm), charge);
	expect_tally(test, f, 0, f->npages - 1, covered);
	expect_tally(test, f, f->npages / 3, f->npages / 2, covered);
}

/* The same for a list of ranges: pairs of inclusive bounds, ended by a negative number */
static void expect_ranges(struct kunit *test, struct fixture *f, const long *bounds)
{
	bool *covered = kunit_kzalloc(test, f->npages, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, covered);
	for (; *bounds >= 0; bounds += 2)
		memset(covered + bounds[0], true, bounds[1] - bounds[0] + 1);
	expect_pinned(test, f, covered);
	kunit_kfree(test, covered);
}

#define EXPECT_RANGES(test, f, ...) expect_ranges(test, f, (const long[]){ __VA_ARGS__, -1 })
#define EXPECT_NOTHING(test, f) expect_ranges(test, f, (const long[]){ -1 })

static void fixture_end(struct kunit *test, struct fixture *f)
{
	EXPECT_NOTHING(test, f);
	KUNIT_EXPECT_TRUE(test, pinned_is_empty(f->p));
	pinned_put(f->p);
	user_mm_leave(f->mm);
}

static void overlapping_users_pin_once(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	struct stretch a, b, c;

	KUNIT_EXPECT_EQ(test, acquire(f, &a, 0, 9), 0);
	EXPECT_RANGES(test, f, 0, 9);
	KUNIT_EXPECT_EQ(test, acquire(f, &b, 5, 19), 0);
	EXPECT_RANGES(test, f, 0, 19);
	KUNIT_EXPECT_EQ(test, acquire(f, &c, 5, 19), 0);
	EXPECT_RANGES(test, f, 0, 19);
	release(f->p, &a);
	EXPECT_RANGES(test, f, 5, 19);
	release(f->p, &b);
	EXPECT_RANGES(test, f, 5, 19);
	release(f->p, &c);
	fixture_end(test, f);
}

static void acquire_fills_the_holes_that_others_leave(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	struct stretch a, b, all;

	KUNIT_EXPECT_EQ(test, acquire(f, &a, 3, 5), 0);
	KUNIT_EXPECT_EQ(test, acquire(f, &b, 10, 30), 0);
	EXPECT_RANGES(test, f, 3, 5, 10, 30);
	KUNIT_EXPECT_EQ(test, acquire(f, &all, 0, SMALL - 1), 0);
	EXPECT_RANGES(test, f, 0, SMALL - 1);
	release(f->p, &all);
	EXPECT_RANGES(test, f, 3, 5, 10, 30);
	release(f->p, &b);
	EXPECT_RANGES(test, f, 3, 5);
	release(f->p, &a);
	fixture_end(test, f);
}

static void failure_in_the_middle_leaves_nothing(struct kunit *test)
{
	struct fixture *f = fixture_new(test, LARGE);
	struct stretch user;

	/* In the second batch, so that a first one was pinned; the last page; the first page */
	KUNIT_ASSERT_EQ(test, vm_munmap(f->uaddr + 700 * PAGE_SIZE, PAGE_SIZE), 0);
	f->pages[700] = NULL;
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 0, LARGE - 1), -EFAULT);
	EXPECT_NOTHING(test, f);
	KUNIT_EXPECT_TRUE(test, pinned_is_empty(f->p));
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 0, 700), -EFAULT);
	EXPECT_NOTHING(test, f);
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 690, 701), -EFAULT);
	EXPECT_NOTHING(test, f);
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 700, 710), -EFAULT);
	EXPECT_NOTHING(test, f);
	KUNIT_EXPECT_TRUE(test, pinned_is_empty(f->p));

	KUNIT_EXPECT_EQ(test, acquire(f, &user, 0, 699), 0);
	EXPECT_RANGES(test, f, 0, 699);
	release(f->p, &user);
	fixture_end(test, f);
}

static void failure_keeps_what_others_have(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	struct stretch a, b, user;

	KUNIT_ASSERT_EQ(test, vm_munmap(f->uaddr + 35 * PAGE_SIZE, PAGE_SIZE), 0);
	f->pages[35] = NULL;
	KUNIT_EXPECT_EQ(test, acquire(f, &a, 5, 9), 0);
	KUNIT_EXPECT_EQ(test, acquire(f, &b, 15, 30), 0);
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 0, SMALL - 1), -EFAULT);
	EXPECT_RANGES(test, f, 5, 9, 15, 30);
	release(f->p, &b);
	EXPECT_RANGES(test, f, 5, 9);
	release(f->p, &a);
	fixture_end(test, f);
}

static void each_page_counts_once_against_the_limit(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	struct rlimit *limit = &current->signal->rlim[RLIMIT_MEMLOCK];
	struct stretch a, b, c, user;
	struct rlimit before = *limit;

	f->p->payer->account.mode = PIN_ACCOUNT_PROCESS;
	limit->rlim_cur = 20 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 0, 20), -ENOMEM);
	EXPECT_NOTHING(test, f);
	KUNIT_EXPECT_EQ(test, acquire(f, &a, 0, 9), 0);
	KUNIT_EXPECT_EQ(test, acquire(f, &b, 5, 14), 0);
	KUNIT_EXPECT_EQ(test, f->mm->locked_vm, 15UL);
	/* The first hole of this one would fit, the second does not */
	KUNIT_EXPECT_EQ(test, acquire(f, &c, 20, 22), 0);
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 13, 25), -ENOMEM);
	EXPECT_RANGES(test, f, 0, 14, 20, 22);
	KUNIT_EXPECT_EQ(test, f->mm->locked_vm, 18UL);
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 13, 16), 0);
	KUNIT_EXPECT_EQ(test, f->mm->locked_vm, 20UL);
	release(f->p, &user);
	release(f->p, &c);
	release(f->p, &b);
	KUNIT_EXPECT_EQ(test, f->mm->locked_vm, 10UL);
	release(f->p, &a);
	KUNIT_EXPECT_EQ(test, f->mm->locked_vm, 0UL);
	*limit = before;
	fixture_end(test, f);
}

static void killed_caller_leaves_nothing(struct kunit *test)
{
	struct fixture *f = fixture_new(test, LARGE);
	struct stretch user;
	int rc;

	/* Nobody sends signals to a kernel thread, so nobody else looks at them */
	sigaddset(&current->pending.signal, SIGKILL);
	set_thread_flag(TIF_SIGPENDING);
	rc = acquire(f, &user, 0, LARGE - 1);
	sigdelset(&current->pending.signal, SIGKILL);
	clear_thread_flag(TIF_SIGPENDING);
	KUNIT_EXPECT_EQ(test, rc, -EINTR);
	fixture_end(test, f);
}

static void runs_follow_physical_memory(struct kunit *test)
{
	struct fixture *f = fixture_new(test, LARGE);
	struct stretch user;
	unsigned long i, n, pfn, run;

	KUNIT_ASSERT_EQ(test, acquire(f, &user, 10, LARGE - 10), 0);
	for (i = 10; i <= LARGE - 10; i += n) {
		for (run = 1; i + run <= LARGE - 10 &&
		     page_to_pfn(f->pages[i + run]) == page_to_pfn(f->pages[i]) + run; run++)
			;
		n = pinned_run(f->p, i, LARGE - 10, &pfn);
		KUNIT_ASSERT_EQ(test, n, run);
		KUNIT_ASSERT_EQ(test, pfn, page_to_pfn(f->pages[i]));
	}
	release(f->p, &user);
	fixture_end(test, f);
}

static void another_process_may_ask(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	struct stretch user;

	kthread_unuse_mm(f->mm);
	KUNIT_EXPECT_EQ(test, acquire(f, &user, 0, SMALL - 1), 0);
	EXPECT_RANGES(test, f, 0, SMALL - 1);
	release(f->p, &user);
	EXPECT_NOTHING(test, f);
	kthread_use_mm(f->mm);
	fixture_end(test, f);
}

static void pins_outlive_the_process(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	struct stretch user, late;

	KUNIT_ASSERT_EQ(test, acquire(f, &user, 0, 9), 0);
	user_mm_leave(f->mm);

	KUNIT_EXPECT_FALSE(test, page_mapped(f->pages[0]));
	memset(f->pages + 10, 0, (SMALL - 10) * sizeof(*f->pages));
	EXPECT_RANGES(test, f, 0, 9);
	KUNIT_EXPECT_EQ(test, acquire(f, &late, 5, 15), -EFAULT);
	EXPECT_RANGES(test, f, 0, 9);
	KUNIT_EXPECT_EQ(test, acquire(f, &late, 2, 8), 0);
	release(f->p, &late);
	EXPECT_RANGES(test, f, 0, 9);
	release(f->p, &user);
	KUNIT_EXPECT_EQ(test, (long)atomic64_read(&f->mm->pinned_vm), 0L);
	KUNIT_EXPECT_TRUE(test, pinned_is_empty(f->p));
	pinned_put(f->p);
}

static void writable_source_needs_writable_memory(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	unsigned long uaddr = user_mm_map(test, 4, false);
	struct stretch user = { .start = 0, .last = 3 };
	struct pinned *p = source_new(test, uaddr, 4, true);

	KUNIT_EXPECT_EQ(test, acquire_range(p, &user), -EFAULT);
	KUNIT_EXPECT_EQ(test, (long)atomic64_read(&mm->pinned_vm), 0L);
	pinned_put(p);
	user_mm_leave(mm);
}

static void read_only_source_sees_what_is_written_later(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	unsigned long uaddr = user_mm_map(test, 4, true);
	struct stretch user = { .start = 0, .last = 3 };
	struct pinned *p = source_new(test, uaddr, 4, false);
	unsigned long pfn = 0;

	/* Page 2 is the zero page by now; pages 0, 1 and 3 were never touched */
	KUNIT_EXPECT_TRUE(test, is_zero_pfn(page_to_pfn(page_at(test, uaddr + 2 * PAGE_SIZE, 0))));
	KUNIT_ASSERT_EQ(test, acquire_range(p, &user), 0);
	KUNIT_EXPECT_EQ(test, put_user(0x5a, (unsigned char __user *)(uaddr + 2 * PAGE_SIZE)), 0);
	KUNIT_ASSERT_EQ(test, pinned_run(p, 2, 2, &pfn), 1UL);
	KUNIT_EXPECT_EQ(test, *(unsigned char *)page_address(pfn_to_page(pfn)), (unsigned char)0x5a);
	KUNIT_EXPECT_PTR_EQ(test, page_at(test, uaddr + 2 * PAGE_SIZE, FOLL_WRITE), pfn_to_page(pfn));
	release(p, &user);
	pinned_put(p);
	user_mm_leave(mm);
}

static void read_only_source_of_read_only_memory(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	unsigned long uaddr = user_mm_map(test, SMALL, false);
	struct stretch user = { .start = 0, .last = SMALL - 1 };
	struct pinned *p = source_new(test, uaddr, SMALL, false);
	unsigned long pfn = 0;

	KUNIT_ASSERT_EQ(test, acquire_range(p, &user), 0);
	KUNIT_EXPECT_EQ(test, (unsigned long)atomic64_read(&mm->pinned_vm), SMALL);
	KUNIT_EXPECT_EQ(test, pinned_run(p, 0, 0, &pfn), 1UL);
	KUNIT_EXPECT_FALSE(test, is_zero_pfn(pfn));
	release(p, &user);
	KUNIT_EXPECT_EQ(test, (long)atomic64_read(&mm->pinned_vm), 0L);
	pinned_put(p);
	user_mm_leave(mm);
}

static void read_only_source_of_shared_memory_is_the_file(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct stretch user = { .start = 0, .last = 3 };
	struct file *file = shmem_file_setup("iommufd-kunit", 4 * PAGE_SIZE, VM_NORESERVE);
	unsigned long pfn = 0;
	unsigned long uaddr;
	struct page *page;
	struct pinned *p;

	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	uaddr = vm_mmap(file, 0, 4 * PAGE_SIZE, PROT_READ, MAP_SHARED, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(uaddr));
	p = source_new(test, uaddr, 4, false);
	KUNIT_ASSERT_EQ(test, acquire_range(p, &user), 0);
	page = shmem_read_mapping_page(file->f_mapping, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(page));
	KUNIT_EXPECT_EQ(test, pinned_run(p, 1, 1, &pfn), 1UL);
	KUNIT_EXPECT_EQ(test, pfn, page_to_pfn(page));
	KUNIT_EXPECT_EQ(test, pins(page), 1U);
	release(p, &user);
	KUNIT_EXPECT_EQ(test, pins(page), 0U);
	put_page(page);
	pinned_put(p);
	fput(file);
	user_mm_leave(mm);
}

static void cut_changes_nothing_that_is_pinned(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	struct stretch a, lower, upper, shared;

	KUNIT_ASSERT_EQ(test, acquire(f, &a, 2, 20), 0);
	KUNIT_ASSERT_EQ(test, acquire(f, &lower, 2, 10), 0);
	KUNIT_ASSERT_EQ(test, acquire(f, &upper, 11, 20), 0);
	release(f->p, &a);
	EXPECT_RANGES(test, f, 2, 20);
	release(f->p, &lower);
	EXPECT_RANGES(test, f, 11, 20);

	/* A mapping that is cut in the middle of a page: both halves need that page */
	KUNIT_ASSERT_EQ(test, acquire(f, &lower, 11, 15), 0);
	KUNIT_ASSERT_EQ(test, acquire(f, &shared, 15, 20), 0);
	release(f->p, &upper);
	EXPECT_RANGES(test, f, 11, 20);
	release(f->p, &shared);
	EXPECT_RANGES(test, f, 11, 15);
	release(f->p, &lower);
	fixture_end(test, f);
}

static void ranges_that_begin_together_are_told_apart(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	static const unsigned long lasts[] = { 9, 3, 14, 6, 14, 3 };
	struct stretch users[ARRAY_SIZE(lasts)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lasts); i++)
		KUNIT_ASSERT_EQ(test, acquire(f, &users[i], 2, lasts[i]), 0);
	release(f->p, &users[2]);
	EXPECT_RANGES(test, f, 2, 14);
	release(f->p, &users[4]);
	EXPECT_RANGES(test, f, 2, 9);
	release(f->p, &users[0]);
	EXPECT_RANGES(test, f, 2, 6);
	release(f->p, &users[3]);
	release(f->p, &users[1]);
	EXPECT_RANGES(test, f, 2, 3);
	release(f->p, &users[5]);
	fixture_end(test, f);
}

/* Two pages of a fixture that follow each other in physical memory: the first one; or its end if there are none */
static unsigned long find_pair(struct fixture *f)
{
	unsigned long i;

	for (i = 0; i + 1 < f->npages; i++)
		if (page_to_pfn(f->pages[i + 1]) == page_to_pfn(f->pages[i]) + 1)
			return i;
	return f->npages;
}

static void one_page_needs_no_memory(struct kunit *test)
{
	struct fixture *f = fixture_new(test, 1);
	struct stretch whole = { .start = 0, .last = 0 };

	KUNIT_ASSERT_EQ(test, acquire_range(f->p, &whole), 0);
	KUNIT_ASSERT_EQ(test, acquire_range(f->p, &whole), 0);
	KUNIT_EXPECT_PTR_EQ(test, f->p->more, xa_mk_value(page_to_pfn(f->pages[0])));
	EXPECT_RANGES(test, f, 0, 0);
	release(f->p, &whole);
	EXPECT_RANGES(test, f, 0, 0);
	release(f->p, &whole);
	fixture_end(test, f);
}

static void one_run_needs_no_memory_until_it_is_shared(struct kunit *test)
{
	struct fixture *f = fixture_new(test, LARGE);
	struct stretch whole = { .start = 0, .last = 1 };
	struct stretch part = { .start = 1, .last = 1 };
	unsigned long first = find_pair(f);
	struct pinned *p;
	unsigned long pfn;

	/* Where memory is that scattered there is nothing to see */
	if (first == f->npages)
		goto out;
	pfn = page_to_pfn(f->pages[first]);
	p = source_new(test, f->uaddr + first * PAGE_SIZE, 2, true);
	KUNIT_ASSERT_EQ(test, acquire_range(p, &whole), 0);
	KUNIT_ASSERT_EQ(test, acquire_range(p, &whole), 0);
	KUNIT_EXPECT_PTR_EQ(test, p->more, xa_mk_value(pfn));
	KUNIT_EXPECT_EQ(test, pins(f->pages[first]) + pins(f->pages[first + 1]), 2U);

	KUNIT_ASSERT_EQ(test, acquire_range(p, &part), 0);
	KUNIT_EXPECT_FALSE(test, xa_is_value(p->more));
	KUNIT_EXPECT_EQ(test, pinned_charged(p), 2UL);
	release(p, &whole);
	KUNIT_EXPECT_EQ(test, pinned_run(p, 0, 1, &pfn), 2UL);
	KUNIT_EXPECT_EQ(test, pfn, page_to_pfn(f->pages[first]));
	release(p, &whole);
	KUNIT_EXPECT_EQ(test, pinned_charged(p), 1UL);
	KUNIT_EXPECT_EQ(test, pins(f->pages[first]), 0U);
	KUNIT_EXPECT_EQ(test, pins(f->pages[first + 1]), 1U);
	KUNIT_EXPECT_EQ(test, pinned_run(p, 1, 1, &pfn), 1UL);
	KUNIT_EXPECT_EQ(test, pfn, page_to_pfn(f->pages[first + 1]));
	/* What is missing is pinned again, and goes on where the rest is */
	KUNIT_ASSERT_EQ(test, acquire_range(p, &whole), 0);
	release(p, &part);
	KUNIT_EXPECT_EQ(test, pins(f->pages[first]) + pins(f->pages[first + 1]), 2U);
	release(p, &whole);
	KUNIT_EXPECT_TRUE(test, pinned_is_empty(p));
	pinned_put(p);
out:
	fixture_end(test, f);
}

/**
 * struct handover - A source of a file, of which one process pinned seven pages, and the process that is to pay instead
 * @from: who pays
 * @to: who is going to; the case runs as this one
 * @p: the source
 * @payer: @to as one that pays
 * @moves: what pinned_move_begin() began
 * @five: user of five pages
 * @two: user of two others
 * @cred: of the case, without the privilege to do without a limit
 * @old: what they were before
 */
struct handover {
	struct mm_struct *from;
	struct mm_struct *to;
	struct pinned *p;
	struct pin_payer *payer;
	struct list_head moves;
	struct stretch five;
	struct stretch two;
	struct cred *cred;
	const struct cred *old;
};

static struct handover *handover_new(struct kunit *test, enum pin_account_mode mode)
{
	struct handover *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct file *file;

	KUNIT_ASSERT_NOT_NULL(test, h);
	INIT_LIST_HEAD(&h->moves);
	h->cred = prepare_creds();
	KUNIT_ASSERT_NOT_NULL(test, h->cred);
	cap_lower(h->cred->cap_effective, CAP_IPC_LOCK);
	h->old = override_creds(h->cred);

	h->from = user_mm_enter(test);
	file = shmem_file_setup("iommufd-kunit", 8 * PAGE_SIZE, VM_NORESERVE);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	h->p = pinned_alloc_file(file, 0, 8, true, payer_new(test, mode));
	KUNIT_ASSERT_FALSE(test, IS_ERR(h->p));
	fput(file);
	h->five = (struct stretch) { .start = 0, .last = 4 };
	h->two = (struct stretch) { .start = 6, .last = 7 };
	KUNIT_ASSERT_EQ(test, acquire_range(h->p, &h->five), 0);
	KUNIT_ASSERT_EQ(test, acquire_range(h->p, &h->two), 0);
	kthread_unuse_mm(h->from);
	h->to = user_mm_enter(test);
	h->payer = payer_new(test, mode);
	return h;
}

static void expect_charges(struct kunit *test, struct handover *h, unsigned long from, unsigned long to)
{
	KUNIT_EXPECT_EQ(test, (unsigned long)atomic64_read(&h->from->pinned_vm), from);
	KUNIT_EXPECT_EQ(test, (unsigned long)atomic64_read(&h->to->pinned_vm), to);
	if (h->p->payer->account.mode == PIN_ACCOUNT_PROCESS) {
		KUNIT_EXPECT_EQ(test, h->from->locked_vm, from);
		KUNIT_EXPECT_EQ(test, h->to->locked_vm, to);
	}
}

static void handover_end(struct handover *h)
{
	pinned_put(h->p);
	pin_payer_put(h->payer);
	user_mm_leave(h->to);
	mmput(h->from);
	revert_creds(h->old);
	put_cred(h->cred);
}

static void charges_move_to_another_process(struct kunit *test)
{
	struct handover *h = handover_new(test, PIN_ACCOUNT_PROCESS);
	struct stretch late = { .start = 0, .last = 0 };

	expect_charges(test, h, 7, 0);
	KUNIT_EXPECT_EQ(test, pinned_move_begin(h->p, h->payer, &h->moves), 0);
	expect_charges(test, h, 7, 7);
	KUNIT_EXPECT_EQ(test, pinned_move_begin(h->p, h->payer, &h->moves), 0);
	expect_charges(test, h, 7, 7);
	KUNIT_EXPECT_EQ(test, acquire_range(h->p, &late), -EBUSY);
	release(h->p, &h->five);
	expect_charges(test, h, 2, 7);
	pinned_move_end(&h->moves, true);
	expect_charges(test, h, 0, 2);
	KUNIT_EXPECT_EQ(test, acquire_range(h->p, &late), 0);
	expect_charges(test, h, 0, 3);
	release(h->p, &late);
	release(h->p, &h->two);
	expect_charges(test, h, 0, 0);
	handover_end(h);
}

static void abandoned_move_leaves_the_charges(struct kunit *test)
{
	struct handover *h = handover_new(test, PIN_ACCOUNT_PROCESS);
	struct rlimit *limit = &current->signal->rlim[RLIMIT_MEMLOCK];
	struct rlimit before = *limit;

	KUNIT_EXPECT_EQ(test, pinned_move_begin(h->p, h->payer, &h->moves), 0);
	release(h->p, &h->five);
	pinned_move_end(&h->moves, false);
	expect_charges(test, h, 2, 0);
	/* A second end has nothing to do */
	pinned_move_end(&h->moves, true);
	expect_charges(test, h, 2, 0);

	limit->rlim_cur = PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, pinned_move_begin(h->p, h->payer, &h->moves), -ENOMEM);
	*limit = before;
	expect_charges(test, h, 2, 0);
	KUNIT_EXPECT_EQ(test, acquire_range(h->p, &h->five), 0);
	expect_charges(test, h, 7, 0);
	release(h->p, &h->five);
	release(h->p, &h->two);
	expect_charges(test, h, 0, 0);
	handover_end(h);
}

static void move_within_a_limit_counts_nothing_twice(struct kunit *test)
{
	struct handover *h = handover_new(test, PIN_ACCOUNT_USER);
	long locked = atomic_long_read(&current_user()->locked_vm);

	KUNIT_EXPECT_EQ(test, pinned_move_begin(h->p, h->payer, &h->moves), 0);
	expect_charges(test, h, 7, 7);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&current_user()->locked_vm), locked);
	release(h->p, &h->two);
	pinned_move_end(&h->moves, true);
	expect_charges(test, h, 0, 5);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&current_user()->locked_vm), locked - 2);
	release(h->p, &h->five);
	expect_charges(test, h, 0, 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&current_user()->locked_vm), locked - 7);
	handover_end(h);
}

static void memory_of_a_process_cannot_be_handed_over(struct kunit *test)
{
	struct fixture *f = fixture_new(test, SMALL);
	LIST_HEAD(moves);

	KUNIT_EXPECT_EQ(test, pinned_move_begin(f->p, f->p->payer, &moves), -EINVAL);
	KUNIT_EXPECT_TRUE(test, list_empty(&moves));
	fixture_end(test, f);
}

static struct kunit_case pinned_cases[] = {
	KUNIT_CASE(overlapping_users_pin_once),
	KUNIT_CASE(acquire_fills_the_holes_that_others_leave),
	KUNIT_CASE(failure_in_the_middle_leaves_nothing),
	KUNIT_CASE(failure_keeps_what_others_have),
	KUNIT_CASE(each_page_counts_once_against_the_limit),
	KUNIT_CASE(killed_caller_leaves_nothing),
	KUNIT_CASE(runs_follow_physical_memory),
	KUNIT_CASE(another_process_may_ask),
	KUNIT_CASE(pins_outlive_the_process),
	KUNIT_CASE(writable_source_needs_writable_memory),
	KUNIT_CASE(read_only_source_sees_what_is_written_later),
	KUNIT_CASE(read_only_source_of_read_only_memory),
	KUNIT_CASE(read_only_source_of_shared_memory_is_the_file),
	KUNIT_CASE(cut_changes_nothing_that_is_pinned),
	KUNIT_CASE(ranges_that_begin_together_are_told_apart),
	KUNIT_CASE(one_page_needs_no_memory),
	KUNIT_CASE(one_run_needs_no_memory_until_it_is_shared),
	KUNIT_CASE(charges_move_to_another_process),
	KUNIT_CASE(abandoned_move_leaves_the_charges),
	KUNIT_CASE(move_within_a_limit_counts_nothing_twice),
	KUNIT_CASE(memory_of_a_process_cannot_be_handed_over),
	{}
};

static struct kunit_suite pinned_suite = {
	.name = "pinned",
	.test_cases = pinned_cases,
};

kunit_test_suite(pinned_suite);
