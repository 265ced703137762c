// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin_payer - one account for everything that a process pays for
 *
 * A process that maps a million times is still one process. What says who it is, and keeps that alive, is an object of
 * its own, so that a mapping needs no more than a pointer to it. Another process, or the same one as another user or
 * with other privileges, is another payer.
 *
 * This file does not know what is pinned.
 *
 * Locking: none; a payer never changes.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "pin_payer.h"

/**
 * pin_payer_create() - Make the calling process pay
 * @mode: whose limit; a caller with CAP_IPC_LOCK has none
 * @context: serial number of the context for which it pays
 *
 * Return: a payer with one reference, or NULL if there is no memory.
 */
struct pin_payer *pin_payer_create(enum pin_account_mode mode, u64 context)
{
	struct pin_payer *payer = kmalloc(sizeof(*payer), GFP_KERNEL_ACCOUNT);

	if (!payer)
		return NULL;
	refcount_set(&payer->refs, 1);
	payer->mode = mode;
	payer->context = context;
	payer->cred = get_current_cred();
	pin_account_open(&payer->account, mode);
	return payer;
}

/**
 * pin_payer_is_caller() - Would pin_payer_create() make the same one again?
 * @payer: payer
 * @mode: whose limit
 *
 * Return: true if so.
 */
bool pin_payer_is_caller(const struct pin_payer *payer, enum pin_account_mode mode)
{
	const struct pin_account *account = &payer->account;

	if (account->mm != current->mm || account->task != current->group_leader)
		return false;
	/* Credentials do not change, a thread gets others */
	if (payer->cred == current_cred() && payer->mode == mode)
		return true;
	return account->user == current_user() && account->mode == (capable(CAP_IPC_LOCK) ? PIN_ACCOUNT_NONE : mode);
}

/**
 * pin_payer_put() - Drop a reference
 * @payer: payer, or NULL; nothing is charged to it any more when the last reference goes
 */
void pin_payer_put(struct pin_payer *payer)
{
	if (!payer || !refcount_dec_and_test(&payer->refs))
		return;
	pin_account_close(&payer->account);
	put_cred(payer->cred);
	kfree(payer);
}
