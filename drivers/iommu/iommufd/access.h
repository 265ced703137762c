/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __IOMMUFD_ACCESS_H
#define __IOMMUFD_ACCESS_H

#include <linux/iommufd.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

#include "ctx.h"
#include "ioas.h"
#include "ioas_access.h"

/**
 * struct iommufd_access - An emulated device's way to memory
 * @obj: its id
 * @ictx: the context, referenced
 * @ops: how the device is told that memory goes
 * @data: for @ops
 * @move: one attach or detach at a time; outermost
 * @rwsem: held for reading while pages are pinned or copied, for writing while @ioas changes
 * @ioas: where to pin and copy, or NULL; covered by @rwsem
 * @user: what the device is in @home
 * @home: IOAS in which pins are given back, linked, or NULL; covered by @rwsem
 */
struct iommufd_access {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	const struct iommufd_access_ops *ops;
	void *data;
	struct mutex move;	/* attach and detach */
	struct rw_semaphore rwsem;
	struct iommufd_ioas *ioas;
	struct ioas_user *user;
	struct iommufd_ioas *home;
};

extern const struct iommufd_object_ops iommufd_access_object_ops;

void iommufd_access_init(struct iommufd_access *access);

#endif
