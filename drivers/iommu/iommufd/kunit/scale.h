/* SPDX-License-Identifier: GPL-2.0-only */
/* How much random work a suite does on this kernel */
#ifndef __IOMMUFD_KUNIT_SCALE_H
#define __IOMMUFD_KUNIT_SCALE_H

#include <linux/kconfig.h>

/* A kernel that checks every memory access and every lock is many times slower: there less must do */
#define SCALED(steps) \
	((IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_PROVE_LOCKING)) ? (steps) / 5 : (steps))

#endif
