// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_account - charge and uncharge pinned pages
 *
 * Pages are charged before they are pinned, so a process never holds more than its limit, not even for a moment. Each
 * page of a source is charged once, whatever uses it; pinned.c sees to that. VmPin of the process tells the truth in
 * every mode.
 *
 * This file does not know what is pinned.
 *
 * Locking: counters are atomic; PIN_ACCOUNT_PROCESS takes the mmap_lock of the process that pays.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/user.h>

#include "pin_account.h"

/**
 * pin_account_open() - Make the calling process the one that pays
 * @account: filled in; references are held until pin_account_close()
 * @mode: whose limit; a caller with CAP_IPC_LOCK has none
 */
void pin_account_open(struct pin_account *account, enum pin_account_mode mode)
{
	mmgrab(current->mm);
	account->mm = current->mm;
	account->task = get_task_struct(current->group_leader);
	account->user = get_uid(current_user());
	account->mode = capable(CAP_IPC_LOCK) ? PIN_ACCOUNT_NONE : mode;
}

/**
 * pin_account_close() - Let go of the process that pays
 * @account: nothing is charged to it any more
 */
void pin_account_close(struct pin_account *account)
{
	free_uid(account->user);
	put_task_struct(account->task);
	mmdrop(account->mm);
}

static int charge_user(struct pin_account *account, unsigned long npages)
{
	unsigned long limit = task_rlimit(account->task, RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long now = atomic_long_read(&account->user->locked_vm);

	do {
		if (npages > limit || now > limit - npages)
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg(&account->user->locked_vm, &now, now + npages));
	return 0;
}

static int charge_process(struct pin_account *account, unsigned long npages, bool charge)
{
	int rc;

	mmap_write_lock(account->mm);
	rc = __account_locked_vm(account->mm, npages, charge, account->task, false);
	mmap_write_unlock(account->mm);
	return rc;
}

/**
 * pin_account_charge() - Charge pages that are about to be pinned
 * @account: who pays
 * @npages: how many
 *
 * Return: 0, or -ENOMEM with nothing charged when the limit would be passed.
 */
int pin_account_charge(struct pin_account *account, unsigned long npages)
{
	int rc = 0;

	/* Nothing is never too much, also for who is over a limit that was lowered */
	if (!npages)
		return 0;
	if (account->mode == PIN_ACCOUNT_USER)
		rc = charge_user(account, npages);
	else if (account->mode == PIN_ACCOUNT_PROCESS)
		rc = charge_process(account, npages, true);
	if (!rc)
		atomic64_add(npages, &account->mm->pinned_vm);
	return rc;
}

/**
 * pin_account_uncharge() - Take back a charge
 * @account: who paid
 * @npages: how many
 */
void pin_account_uncharge(struct pin_account *account, unsigned long npages)
{
	if (!npages)
		return;
	atomic64_sub(npages, &account->mm->pinned_vm);
	if (account->mode == PIN_ACCOUNT_USER)
		atomic_long_sub(npages, &account->user->locked_vm);
	else if (account->mode == PIN_ACCOUNT_PROCESS)
		charge_process(account, npages, false);
}

/**
 * pin_account_same_limit() - Do two accounts count against the same limit?
 * @a: one
 * @b: the other
 *
 * Return: true if a page that moves from one to the other counts as before.
 */
bool pin_account_same_limit(const struct pin_account *a, const struct pin_account *b)
{
	if (a->mode != b->mode)
		return false;
	if (a->mode == PIN_ACCOUNT_USER)
		return a->user == b->user;
	return a->mode == PIN_ACCOUNT_NONE || a->mm == b->mm;
}

/**
 * pin_account_show() - Let pages show in VmPin, without counting them against a limit
 * @account: in whose
 * @npages: how many more, or fewer
 */
void pin_account_show(struct pin_account *account, long npages)
{
	atomic64_add(npages, &account->mm->pinned_vm);
}
