// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of pin_account. Charging is tested on a payer whose process, user and limit belong to the case alone;
 * opening on the thread that runs the case.
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>

#include "../pin_account.h"
#include "user_mm.h"

static void *zalloc(struct kunit *test, size_t size)
{
	void *ptr = kunit_kzalloc(test, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ptr);
	return ptr;
}

static void set_limit(struct pin_account *account, unsigned long bytes)
{
	account->task->signal->rlim[RLIMIT_MEMLOCK].rlim_cur = bytes;
}

static struct pin_account *payer_new(struct kunit *test, enum pin_account_mode mode, unsigned long limit_pages)
{
	struct pin_account *account = zalloc(test, sizeof(*account));

	account->mm = zalloc(test, sizeof(*account->mm));
	mmap_init_lock(account->mm);
	account->task = zalloc(test, sizeof(*account->task));
	account->task->signal = zalloc(test, sizeof(*account->task->signal));
	account->user = zalloc(test, sizeof(*account->user));
	account->mode = mode;
	set_limit(account, limit_pages * PAGE_SIZE);
	return account;
}

static void expect_charged(struct kunit *test, struct pin_account *account, unsigned long pinned, unsigned long user,
			   unsigned long process)
{
	KUNIT_EXPECT_EQ(test, (unsigned long)atomic64_read(&account->mm->pinned_vm), pinned);
	KUNIT_EXPECT_EQ(test, (unsigned long)atomic_long_read(&account->user->locked_vm), user);
	KUNIT_EXPECT_EQ(test, account->mm->locked_vm, process);
}

static void user_pays_up_to_the_limit(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_USER, 10);

	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 11), -ENOMEM);
	expect_charged(test, account, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 10), 0);
	expect_charged(test, account, 10, 10, 0);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1), -ENOMEM);
	expect_charged(test, account, 10, 10, 0);
	pin_account_uncharge(account, 1);
	expect_charged(test, account, 9, 9, 0);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 2), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1), 0);
	pin_account_uncharge(account, 10);
	expect_charged(test, account, 0, 0, 0);
}

static void process_pays_up_to_the_limit(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_PROCESS, 10);

	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 11), -ENOMEM);
	expect_charged(test, account, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 10), 0);
	expect_charged(test, account, 10, 0, 10);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1), -ENOMEM);
	expect_charged(test, account, 10, 0, 10);
	pin_account_uncharge(account, 4);
	expect_charged(test, account, 6, 0, 6);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 5), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 4), 0);
	pin_account_uncharge(account, 10);
	expect_charged(test, account, 0, 0, 0);
}

static void privileged_caller_has_no_limit(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_NONE, 0);

	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1UL << 30), 0);
	expect_charged(test, account, 1UL << 30, 0, 0);
	pin_account_uncharge(account, 1UL << 30);
	expect_charged(test, account, 0, 0, 0);
}

static void what_others_charged_counts(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_USER, 10);
	struct pin_account *process = payer_new(test, PIN_ACCOUNT_PROCESS, 10);

	atomic_long_set(&account->user->locked_vm, 7);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 4), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 3), 0);
	expect_charged(test, account, 3, 10, 0);
	pin_account_uncharge(account, 3);
	expect_charged(test, account, 0, 7, 0);

	process->mm->locked_vm = 7;
	KUNIT_EXPECT_EQ(test, pin_account_charge(process, 4), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pin_account_charge(process, 3), 0);
	expect_charged(test, process, 3, 0, 10);
	pin_account_uncharge(process, 3);
	expect_charged(test, process, 0, 0, 7);
}

static void user_limit_is_read_at_every_charge(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_USER, 10);

	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 8), 0);
	set_limit(account, 5 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1), -ENOMEM);
	pin_account_uncharge(account, 4);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1), 0);
	set_limit(account, RLIM_INFINITY);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1UL << 30), 0);
	pin_account_uncharge(account, (1UL << 30) + 5);
	expect_charged(test, account, 0, 0, 0);
}

static void part_of_a_page_in_the_limit_does_not_count(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_USER, 0);

	set_limit(account, PAGE_SIZE - 1);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1), -ENOMEM);
	set_limit(account, 2 * PAGE_SIZE - 1);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 2), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1), 0);
	pin_account_uncharge(account, 1);
	expect_charged(test, account, 0, 0, 0);
}

static void huge_user_charge_does_not_wrap(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_USER, 10);

	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 5), 0);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, ULONG_MAX), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, ULONG_MAX - 4), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 1UL << 63), -ENOMEM);
	expect_charged(test, account, 5, 5, 0);
	pin_account_uncharge(account, 5);
}

static void nothing_is_never_too_much(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_USER, 10);

	pin_account_uncharge(account, 0);
	expect_charged(test, account, 0, 0, 0);

	/* Nor for who is over a limit that was lowered */
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 10), 0);
	set_limit(account, 0);
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 0), 0);
	account->mode = PIN_ACCOUNT_PROCESS;
	account->mm->locked_vm = 10;
	KUNIT_EXPECT_EQ(test, pin_account_charge(account, 0), 0);
	expect_charged(test, account, 10, 10, 10);
}

static void privilege_decides_at_open(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct pin_account account = {};
	const struct cred *old;
	struct cred *cred;

	KUNIT_EXPECT_TRUE(test, capable(CAP_IPC_LOCK));
	pin_account_open(&account, PIN_ACCOUNT_USER);
	KUNIT_EXPECT_EQ(test, account.mode, PIN_ACCOUNT_NONE);
	pin_account_close(&account);
	pin_account_open(&account, PIN_ACCOUNT_PROCESS);
	KUNIT_EXPECT_EQ(test, account.mode, PIN_ACCOUNT_NONE);
	pin_account_close(&account);

	cred = prepare_creds();
	KUNIT_ASSERT_NOT_NULL(test, cred);
	cap_lower(cred->cap_effective, CAP_IPC_LOCK);
	old = override_creds(cred);
	pin_account_open(&account, PIN_ACCOUNT_USER);
	KUNIT_EXPECT_EQ(test, account.mode, PIN_ACCOUNT_USER);
	pin_account_close(&account);
	pin_account_open(&account, PIN_ACCOUNT_PROCESS);
	KUNIT_EXPECT_EQ(test, account.mode, PIN_ACCOUNT_PROCESS);
	pin_account_close(&account);
	revert_creds(old);
	put_cred(cred);
	user_mm_leave(mm);
}

static void open_holds_the_payer_until_close(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	int mm_count = atomic_read(&mm->mm_count);
	int mm_users = atomic_read(&mm->mm_users);
	unsigned int task_refs = refcount_read(&current->usage);
	struct pin_account account = {};

	pin_account_open(&account, PIN_ACCOUNT_USER);
	KUNIT_EXPECT_PTR_EQ(test, account.mm, mm);
	KUNIT_EXPECT_PTR_EQ(test, account.task, current->group_leader);
	KUNIT_EXPECT_PTR_EQ(test, account.user, current_user());
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm_count), mm_count + 1);
	KUNIT_EXPECT_EQ(test, refcount_read(&current->usage), task_refs + 1);
	/* The memory itself must be able to go: only the counters are kept */
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm_users), mm_users);

	KUNIT_EXPECT_EQ(test, pin_account_charge(&account, 3), 0);
	KUNIT_EXPECT_EQ(test, (long)atomic64_read(&mm->pinned_vm), 3L);
	pin_account_uncharge(&account, 3);
	KUNIT_EXPECT_EQ(test, (long)atomic64_read(&mm->pinned_vm), 0L);
	pin_account_close(&account);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm_count), mm_count);
	KUNIT_EXPECT_EQ(test, refcount_read(&current->usage), task_refs);
	user_mm_leave(mm);
}

static void same_limit_is_that_of_mode_and_payer(struct kunit *test)
{
	struct pin_account *a = payer_new(test, PIN_ACCOUNT_USER, 10);
	struct pin_account *b = payer_new(test, PIN_ACCOUNT_USER, 10);

	KUNIT_EXPECT_TRUE(test, pin_account_same_limit(a, a));
	KUNIT_EXPECT_FALSE(test, pin_account_same_limit(a, b));
	b->user = a->user;
	KUNIT_EXPECT_TRUE(test, pin_account_same_limit(a, b));
	a->mode = PIN_ACCOUNT_PROCESS;
	KUNIT_EXPECT_FALSE(test, pin_account_same_limit(a, b));
	b->mode = PIN_ACCOUNT_PROCESS;
	KUNIT_EXPECT_FALSE(test, pin_account_same_limit(a, b));
	b->mm = a->mm;
	KUNIT_EXPECT_TRUE(test, pin_account_same_limit(a, b));
	a->mode = PIN_ACCOUNT_NONE;
	KUNIT_EXPECT_FALSE(test, pin_account_same_limit(a, b));
}

static void shown_pages_count_against_nothing(struct kunit *test)
{
	struct pin_account *account = payer_new(test, PIN_ACCOUNT_USER, 0);

	pin_account_show(account, 5);
	expect_charged(test, account, 5, 0, 0);
	pin_account_show(account, -2);
	expect_charged(test, account, 3, 0, 0);
	account->mode = PIN_ACCOUNT_PROCESS;
	pin_account_show(account, -3);
	expect_charged(test, account, 0, 0, 0);
}

static struct kunit_case pin_account_cases[] = {
	KUNIT_CASE(user_pays_up_to_the_limit),
	KUNIT_CASE(process_pays_up_to_the_limit),
	KUNIT_CASE(privileged_caller_has_no_limit),
	KUNIT_CASE(what_others_charged_counts),
	KUNIT_CASE(user_limit_is_read_at_every_charge),
	KUNIT_CASE(part_of_a_page_in_the_limit_does_not_count),
	KUNIT_CASE(huge_user_charge_does_not_wrap),
	KUNIT_CASE(nothing_is_never_too_much),
	KUNIT_CASE(privilege_decides_at_open),
	KUNIT_CASE(open_holds_the_payer_until_close),
	KUNIT_CASE(same_limit_is_that_of_mode_and_payer),
	KUNIT_CASE(shown_pages_count_against_nothing),
	{}
};

static struct kunit_suite pin_account_suite = {
	.name = "pin_account",
	.test_cases = pin_account_cases,
};

kunit_test_suite(pin_account_suite);
