/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_PAYER_H
#define __IOMMUFD_PIN_PAYER_H

#include <linux/refcount.h>

#include "pin_account.h"

struct cred;

/**
 * struct pin_payer - Who pays, shared by all that the same process pays for
 * @refs: sources, and the context that would use it for the next one
 * @context: serial number of the context for which it pays
 * @mode: whose limit, if the process has one
 * @cred: what told whether it has
 * @account: the process
 *
 * Nothing but @refs ever changes.
 */
struct pin_payer {
	refcount_t refs;
	u64 context;
	enum pin_account_mode mode;
	const struct cred *cred;
	struct pin_account account;
};

struct pin_payer *pin_payer_create(enum pin_account_mode mode, u64 context);
bool pin_payer_is_caller(const struct pin_payer *payer, enum pin_account_mode mode);
void pin_payer_put(struct pin_payer *payer);

/**
 * pin_payer_get() - Take another reference
 * @payer: payer, referenced by the caller
 *
 * Return: @payer.
 */
static inline struct pin_payer *pin_payer_get(struct pin_payer *payer)
{
	refcount_inc(&payer->refs);
	return payer;
}

#endif
