// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl - the command table and the rules for structure sizes
 *
 * Every command takes one structure that begins with its size as the caller knows it. A shorter one than the first
 * that made sense is refused, one that is longer than ours must end in zeros, and what the caller left out reads as
 * zero.
 */
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "change_process.h"
#include "device.h"
#include "fault.h"
#include "hwpt_alloc.h"
#include "hwpt_invalidate.h"
#include "ioas.h"
#include "ioas_file.h"
#include "ioctl.h"
#include "noiommu.h"
#include "option.h"
#include "vfio_compat.h"
#include "viommu_alloc.h"

static int iommufd_ioctl_destroy(struct iommufd_ucmd *ucmd)
{
	struct iommu_destroy *cmd = ucmd->cmd;

	return iommufd_object_destroy(&ucmd->ictx->objs, cmd->id);
}

/* Room for the kernel's copy of any command's structure */
union iommufd_ioctl_buffer {
	struct iommu_destroy destroy;
	struct iommu_fault_alloc fault_alloc;
	struct iommu_hw_info hw_info;
	struct iommu_hwpt_alloc hwpt_alloc;
	struct iommu_hwpt_invalidate hwpt_invalidate;
	struct iommu_ioas_alloc ioas_alloc;
	struct iommu_ioas_allow_iovas allow_iovas;
	struct iommu_ioas_iova_ranges iova_ranges;
	struct iommu_ioas_change_process change_process;
	struct iommu_ioas_copy ioas_copy;
	struct iommu_ioas_map ioas_map;
	struct iommu_ioas_map_file ioas_map_file;
	struct iommu_ioas_noiommu_get_pa noiommu_get_pa;
	struct iommu_ioas_unmap ioas_unmap;
	struct iommu_option option;
	struct iommu_vdevice_alloc vdevice_alloc;
	struct iommu_vfio_ioas vfio_ioas;
	struct iommu_viommu_alloc viommu_alloc;
	u64 extension[16];
};

/* @_last: the last field that the first version of the structure had */
#define ENTRY(_cmd, _struct, _last, _handler)                                   \
	[(_cmd) - IOMMU_DESTROY] = {                                            \
		.cmd = (_cmd),                                                  \
		.size = sizeof(struct _struct) +                                \
			BUILD_BUG_ON_ZERO(sizeof(struct _struct) >              \
					  sizeof(union iommufd_ioctl_buffer)),  \
		.min_size = offsetofend(struct _struct, _last),                 \
		.handler = (_handler),                                          \
	}

static const struct iommufd_ioctl_entry ioctl_table[] = {
	ENTRY(IOMMU_DESTROY,		iommu_destroy,		id,			iommufd_ioctl_destroy),
	ENTRY(IOMMU_IOAS_ALLOC,		iommu_ioas_alloc,	out_ioas_id,		iommufd_ioctl_ioas_alloc),
	ENTRY(IOMMU_IOAS_ALLOW_IOVAS,	iommu_ioas_allow_iovas,	allowed_iovas,		iommufd_ioctl_ioas_allow_iovas),
	ENTRY(IOMMU_IOAS_COPY,		iommu_ioas_copy,	src_iova,		iommufd_ioctl_ioas_copy),
	ENTRY(IOMMU_IOAS_IOVA_RANGES,	iommu_ioas_iova_ranges,	out_iova_alignment,	iommufd_ioctl_ioas_iova_ranges),
	ENTRY(IOMMU_IOAS_MAP,		iommu_ioas_map,		iova,			iommufd_ioctl_ioas_map),
	ENTRY(IOMMU_IOAS_MAP_FILE,	iommu_ioas_map_file,	iova,			iommufd_ioctl_ioas_map_file),
	ENTRY(IOMMU_IOAS_UNMAP,		iommu_ioas_unmap,	length,			iommufd_ioctl_ioas_unmap),
	ENTRY(IOMMU_OPTION,		iommu_option,		val64,			iommufd_ioctl_option),
	ENTRY(IOMMU_VFIO_IOAS,		iommu_vfio_ioas,	__reserved,		iommufd_ioctl_vfio_ioas),
	ENTRY(IOMMU_HWPT_ALLOC,		iommu_hwpt_alloc,	__reserved,		iommufd_ioctl_hwpt_alloc),
	ENTRY(IOMMU_GET_HW_INFO,	iommu_hw_info,		__reserved,		iommufd_ioctl_get_hw_info),
	ENTRY(IOMMU_HWPT_INVALIDATE,	iommu_hwpt_invalidate,	__reserved,		iommufd_ioctl_hwpt_invalidate),
	ENTRY(IOMMU_FAULT_QUEUE_ALLOC,	iommu_fault_alloc,	out_fault_fd,	iommufd_ioctl_fault_queue_alloc),
	ENTRY(IOMMU_VIOMMU_ALLOC,	iommu_viommu_alloc,	out_viommu_id,		iommufd_ioctl_viommu_alloc),
	ENTRY(IOMMU_VDEVICE_ALLOC,	iommu_vdevice_alloc,	virt_id,		iommufd_ioctl_vdevice_alloc),
	ENTRY(IOMMU_IOAS_CHANGE_PROCESS, iommu_ioas_change_process, __reserved,	iommufd_ioctl_ioas_change_process),
	ENTRY(IOMMU_IOAS_NOIOMMU_GET_PA, iommu_ioas_noiommu_get_pa, out_phys,	iommufd_ioctl_noiommu_get_pa),
};

/* A command that does not belong to the ABI, added by a driver that tests the rest */
static const struct iommufd_ioctl_entry *extension;

/**
 * iommufd_ioctl_extend() - Add a command outside the range of the table
 * @entry: the command; stays valid. One extension at a time, called while no file is open
 */
void iommufd_ioctl_extend(const struct iommufd_ioctl_entry *entry)
{
	if (WARN_ON(entry && entry->size > sizeof(union iommufd_ioctl_buffer)))
		return;
	extension = entry;
}

static const struct iommufd_ioctl_entry *find_entry(unsigned int cmd)
{
	const struct iommufd_ioctl_entry *entry = extension;

	if (cmd >= IOMMU_DESTROY && cmd - IOMMU_DESTROY < ARRAY_SIZE(ioctl_table))
		entry = &ioctl_table[cmd - IOMMU_DESTROY];
	return entry && entry->cmd == cmd ? entry : NULL;
}

/**
 * iommufd_ioctl() - Run a command
 * @ictx: context it was called on
 * @cmd: command number
 * @arg: user's structure
 *
 * Return: 0 or what the command says; -ENOTTY for one that does not exist; -EINVAL for a structure that is too short;
 * -E2BIG for one whose tail, unknown here, is not zero; -EFAULT.
 */
long iommufd_ioctl(struct iommufd_ctx *ictx, unsigned int cmd, void __user *arg)
{
	struct iommufd_ucmd ucmd = { .ictx = ictx, .ubuffer = arg };
	const struct iommufd_ioctl_entry *entry;
	/* As much of it as the command has is filled */
	union iommufd_ioctl_buffer buf __uninitialized;
	int rc;

	entry = find_entry(cmd);
	if (!entry)
		return iommufd_vfio_ioctl(ictx, cmd, arg);
	if (get_user(ucmd.user_size, (u32 __user *)arg))
		return -EFAULT;
	if (ucmd.user_size < entry->min_size)
		return -EINVAL;
	ucmd.cmd = &buf;
	rc = copy_struct_from_user(ucmd.cmd, entry->size, arg, ucmd.user_size);
	if (rc)
		return rc;
	return entry->handler(&ucmd);
}
