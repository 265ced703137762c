/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_LOCKDEP_H
#define __IOMMUFD_LOCKDEP_H

#include <linux/init.h>
#include <linux/kconfig.h>

/* Built in only: a module cannot make an mm to take the lock of */
#if defined(CONFIG_PROVE_LOCKING) && IS_BUILTIN(CONFIG_IOMMUFD)
void __init iommufd_lockdep_init(void);
#else
static inline void iommufd_lockdep_init(void)
{
}
#endif

#endif
