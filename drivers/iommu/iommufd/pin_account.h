/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_PIN_ACCOUNT_H
#define __IOMMUFD_PIN_ACCOUNT_H

#include <linux/types.h>

struct mm_struct;
struct task_struct;
struct user_struct;

/**
 * enum pin_account_mode - Whose limit pinned pages count against
 * @PIN_ACCOUNT_USER: RLIMIT_MEMLOCK against what all processes of the user have pinned this way
 * @PIN_ACCOUNT_PROCESS: RLIMIT_MEMLOCK against the locked memory of the one process
 * @PIN_ACCOUNT_NONE: no limit (the process holds CAP_IPC_LOCK)
 */
enum pin_account_mode {
	PIN_ACCOUNT_USER,
	PIN_ACCOUNT_PROCESS,
	PIN_ACCOUNT_NONE,
};

/**
 * struct pin_account - Who pays for the pages of one pinned source
 * @mm: address space in whose VmPin the pages show
 * @task: thread group whose RLIMIT_MEMLOCK applies
 * @user: user who is charged in PIN_ACCOUNT_USER mode
 * @mode: whose limit
 */
struct pin_account {
	struct mm_struct *mm;
	struct task_struct *task;
	struct user_struct *user;
	enum pin_account_mode mode;
};

void pin_account_open(struct pin_account *account, enum pin_account_mode mode);
void pin_account_close(struct pin_account *account);
int pin_account_charge(struct pin_account *account, unsigned long npages);
void pin_account_uncharge(struct pin_account *account, unsigned long npages);
bool pin_account_same_limit(const struct pin_account *a, const struct pin_account *b);
void pin_account_show(struct pin_account *account, long npages);

#endif
