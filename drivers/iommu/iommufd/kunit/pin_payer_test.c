// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit suite of pin_payer: who is the same payer, and who is not.
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/mm.h>

#include "../pin_payer.h"
#include "user_mm.h"

static struct pin_payer *payer_new(struct kunit *test, enum pin_account_mode mode)
{
	struct pin_payer *payer = pin_payer_create(mode, 0);

	KUNIT_ASSERT_NOT_NULL(test, payer);
	return payer;
}

static void same_process_is_the_same_payer(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct pin_payer *payer = payer_new(test, PIN_ACCOUNT_USER);

	/* With the privilege there is no limit, so there is no mode either */
	KUNIT_EXPECT_TRUE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_USER));
	KUNIT_EXPECT_TRUE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_PROCESS));
	pin_payer_put(pin_payer_get(payer));
	KUNIT_EXPECT_TRUE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_USER));
	pin_payer_put(payer);
	user_mm_leave(mm);
}

static void another_process_is_another_payer(struct kunit *test)
{
	struct mm_struct *first = user_mm_enter(test);
	struct pin_payer *payer = payer_new(test, PIN_ACCOUNT_USER);
	struct mm_struct *second;

	kthread_unuse_mm(first);
	second = user_mm_enter(test);
	KUNIT_EXPECT_FALSE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_USER));
	user_mm_leave(second);
	kthread_use_mm(first);
	KUNIT_EXPECT_TRUE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_USER));
	pin_payer_put(payer);
	user_mm_leave(first);
}

static void privilege_and_mode_make_another_payer(struct kunit *test)
{
	struct mm_struct *mm = user_mm_enter(test);
	struct pin_payer *privileged = payer_new(test, PIN_ACCOUNT_USER);
	struct cred *cred = prepare_creds();
	const struct cred *before;
	struct pin_payer *payer;

	KUNIT_ASSERT_NOT_NULL(test, cred);
	cap_lower(cred->cap_effective, CAP_IPC_LOCK);
	before = override_creds(cred);
	KUNIT_EXPECT_FALSE(test, pin_payer_is_caller(privileged, PIN_ACCOUNT_USER));
	payer = payer_new(test, PIN_ACCOUNT_USER);
	KUNIT_EXPECT_TRUE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_USER));
	KUNIT_EXPECT_FALSE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_PROCESS));
	revert_creds(before);
	put_cred(cred);
	KUNIT_EXPECT_FALSE(test, pin_payer_is_caller(payer, PIN_ACCOUNT_USER));
	KUNIT_EXPECT_TRUE(test, pin_payer_is_caller(privileged, PIN_ACCOUNT_USER));
	pin_payer_put(payer);
	pin_payer_put(privileged);
	user_mm_leave(mm);
}

static struct kunit_case pin_payer_cases[] = {
	KUNIT_CASE(same_process_is_the_same_payer),
	KUNIT_CASE(another_process_is_another_payer),
	KUNIT_CASE(privilege_and_mode_make_another_payer),
	{}
};

static struct kunit_suite pin_payer_suite = {
	.name = "pin_payer",
	.test_cases = pin_payer_cases,
};

kunit_test_suite(pin_payer_suite);
