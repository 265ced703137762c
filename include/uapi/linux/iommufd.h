/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/iommu: I/O address spaces that a process builds and attaches devices to.
 *
 * Documentation/userspace-api/iommufd.rst explains the objects and shows a program; this file is the reference.
 */
#ifndef _UAPI_LINUX_IOMMUFD_H
#define _UAPI_LINUX_IOMMUFD_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* One letter for VFIO and iommufd; VFIO has the numbers below 0x80. */
#define IOMMUFD_TYPE (';')

/**
 * DOC: Rules for all commands
 *
 * Every command takes a pointer to its own struct. The struct begins with ``size``, which the caller sets to the
 * ``sizeof`` it was compiled with. Both directions of version skew work:
 *
 * - A caller older than the kernel passes fewer bytes. The fields it does not know read as zero, and a zero in a
 *   field that came later always means "as before". What a command had when it was first released is its minimum;
 *   less than that is ``EINVAL``.
 * - A caller newer than the kernel passes more bytes. That is fine while the extra bytes are zero, and ``E2BIG``
 *   when one is not: the caller asks for something that this kernel has never heard of.
 *
 * The kernel never writes more than ``size`` bytes back.
 *
 * Objects have an id. All kinds share one number space per open file, 0 is never an id, and an id of another open file
 * means nothing. Fields whose name begins with ``out_`` are written by the kernel. Fields named ``__reserved`` must be
 * zero. Addresses and lengths are in bytes. A field named ``last`` is inclusive.
 *
 * Errors that every command can give, and that are not repeated below:
 *
 * - ``ENOTTY``: this kernel has no such command.
 * - ``E2BIG``: a byte behind the known struct is not zero.
 * - ``EINVAL``: ``size`` is below the minimum, or a value cannot be right.
 * - ``EOPNOTSUPP``: an unknown flag, a reserved field that is not zero, or a choice that is not on offer here.
 * - ``ENOENT``: no object has this id, or the object is of another kind.
 * - ``EOVERFLOW``: an address plus a length does not fit.
 * - ``ENOMEM``: out of memory, or over the limit for pinned memory.
 * - ``EFAULT``: a user pointer cannot be read or written.
 */

enum {
	IOMMUFD_CMD_BASE = 0x80,
	IOMMUFD_CMD_DESTROY = IOMMUFD_CMD_BASE,
	IOMMUFD_CMD_IOAS_ALLOC = 0x81,
	IOMMUFD_CMD_IOAS_ALLOW_IOVAS = 0x82,
	IOMMUFD_CMD_IOAS_COPY = 0x83,
	IOMMUFD_CMD_IOAS_IOVA_RANGES = 0x84,
	IOMMUFD_CMD_IOAS_MAP = 0x85,
	IOMMUFD_CMD_IOAS_UNMAP = 0x86,
	IOMMUFD_CMD_OPTION = 0x87,
	IOMMUFD_CMD_VFIO_IOAS = 0x88,
	IOMMUFD_CMD_HWPT_ALLOC = 0x89,
	IOMMUFD_CMD_GET_HW_INFO = 0x8a,
	IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING = 0x8b,
	IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP = 0x8c,
	IOMMUFD_CMD_HWPT_INVALIDATE = 0x8d,
	IOMMUFD_CMD_FAULT_QUEUE_ALLOC = 0x8e,
	IOMMUFD_CMD_IOAS_MAP_FILE = 0x8f,
	IOMMUFD_CMD_VIOMMU_ALLOC = 0x90,
	IOMMUFD_CMD_VDEVICE_ALLOC = 0x91,
	IOMMUFD_CMD_IOAS_CHANGE_PROCESS = 0x92,
	IOMMUFD_CMD_VEVENTQ_ALLOC = 0x93,
	IOMMUFD_CMD_HW_QUEUE_ALLOC = 0x94,
	IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA = 0x95,
};

#define IOMMU_DESTROY _IO(IOMMUFD_TYPE, IOMMUFD_CMD_DESTROY)
#define IOMMU_IOAS_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_ALLOC)
#define IOMMU_IOAS_ALLOW_IOVAS _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_ALLOW_IOVAS)
#define IOMMU_IOAS_COPY _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_COPY)
#define IOMMU_IOAS_IOVA_RANGES _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_IOVA_RANGES)
#define IOMMU_IOAS_MAP _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_MAP)
#define IOMMU_IOAS_UNMAP _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_UNMAP)
#define IOMMU_OPTION _IO(IOMMUFD_TYPE, IOMMUFD_CMD_OPTION)
#define IOMMU_VFIO_IOAS _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VFIO_IOAS)
#define IOMMU_HWPT_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_ALLOC)
#define IOMMU_GET_HW_INFO _IO(IOMMUFD_TYPE, IOMMUFD_CMD_GET_HW_INFO)
#define IOMMU_HWPT_SET_DIRTY_TRACKING _IO(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING)
#define IOMMU_HWPT_GET_DIRTY_BITMAP _IO(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP)
#define IOMMU_HWPT_INVALIDATE _IO(IOMMUFD_TYPE, IOMMUFD_CMD_HWPT_INVALIDATE)
#define IOMMU_FAULT_QUEUE_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_FAULT_QUEUE_ALLOC)
#define IOMMU_IOAS_MAP_FILE _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_MAP_FILE)
#define IOMMU_VIOMMU_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VIOMMU_ALLOC)
#define IOMMU_VDEVICE_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VDEVICE_ALLOC)
#define IOMMU_IOAS_CHANGE_PROCESS _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_CHANGE_PROCESS)
#define IOMMU_VEVENTQ_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VEVENTQ_ALLOC)
#define IOMMU_HW_QUEUE_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_HW_QUEUE_ALLOC)
#define IOMMU_IOAS_NOIOMMU_GET_PA _IO(IOMMUFD_TYPE, IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA)

/* ---- objects ---- */

/**
 * struct iommu_destroy - argument of IOMMU_DESTROY
 * @size: sizeof(struct iommu_destroy)
 * @id: object to destroy
 *
 * Works on every object that one of these commands made. A bound device is not one of them: it goes when the file of
 * the device is closed. Destroying an IOAS unmaps all that is mapped in it.
 *
 * - ``EBUSY``: another object still needs this one, or a device is still attached to it, or it is a bound device.
 */
struct iommu_destroy {
	__u32 size;
	__u32 id;
};

/* ---- I/O address spaces ---- */

/**
 * struct iommu_ioas_alloc - argument of IOMMU_IOAS_ALLOC
 * @size: sizeof(struct iommu_ioas_alloc)
 * @flags: zero
 * @out_ioas_id: id of the new, empty I/O address space
 *
 * An IOAS (I/O address space) says which IOVA leads to which memory. Devices see it through page tables (HWPT); every
 * page table that is made for an IOAS holds all its mappings, and goes on to follow them.
 */
struct iommu_ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_ioas_id;
};

/**
 * struct iommu_iova_range - a range of I/O addresses
 * @start: first byte
 * @last: last byte, inclusive, so that the whole 64-bit space can be said
 */
struct iommu_iova_range {
	__aligned_u64 start;
	__aligned_u64 last;
};

/**
 * struct iommu_ioas_iova_ranges - argument of IOMMU_IOAS_IOVA_RANGES
 * @size: sizeof(struct iommu_ioas_iova_ranges)
 * @ioas_id: the IOAS
 * @num_iovas: in: how many ranges @allowed_iovas has room for; out: how many there are
 * @__reserved: zero
 * @allowed_iovas: user address of an array of struct iommu_iova_range that the kernel fills, in rising order
 * @out_iova_alignment: mappings begin and end on a multiple of this many bytes; at least 1, at most the page size
 *
 * Asks where a mapping may be put. The answer leaves out what no attached page table can translate and what the
 * hardware keeps for itself, such as the window of interrupt messages; it counts places that are taken by a mapping.
 * Every attach can make it smaller and every detach can make it larger.
 *
 * - ``EMSGSIZE``: the array is too short. It was filled as far as it goes, and @num_iovas says how long it should be.
 */
struct iommu_ioas_iova_ranges {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas;
	__u32 __reserved;
	__aligned_u64 allowed_iovas;
	__aligned_u64 out_iova_alignment;
};

/**
 * struct iommu_ioas_allow_iovas - argument of IOMMU_IOAS_ALLOW_IOVAS
 * @size: sizeof(struct iommu_ioas_allow_iovas)
 * @ioas_id: the IOAS
 * @num_iovas: entries in @allowed_iovas; 0 goes back to "no windows"
 * @__reserved: zero
 * @allowed_iovas: user address of an array of struct iommu_iova_range, in any order
 *
 * Sets the windows that this IOAS will be used in. The new list takes the place of the old one. It does two things:
 * addresses that the kernel chooses come from the windows only, and an attach that would make a part of a window
 * unusable fails, so a program that was promised its windows keeps them.
 *
 * - ``EADDRINUSE``: a window covers addresses that are not usable now.
 * - ``EINVAL``: a range that does not begin before its last byte, or two ranges that overlap.
 */
struct iommu_ioas_allow_iovas {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas;
	__u32 __reserved;
	__aligned_u64 allowed_iovas;
};

/**
 * enum iommufd_ioas_map_flags - how to map, for MAP, MAP_FILE and COPY
 * @IOMMU_IOAS_MAP_FIXED_IOVA: the caller chose the IOVA; without it the kernel finds room and reports where
 * @IOMMU_IOAS_MAP_WRITEABLE: devices may write
 * @IOMMU_IOAS_MAP_READABLE: devices may read
 *
 * At least one of the two rights is needed.
 */
enum iommufd_ioas_map_flags {
	IOMMU_IOAS_MAP_FIXED_IOVA = 1 << 0,
	IOMMU_IOAS_MAP_WRITEABLE = 1 << 1,
	IOMMU_IOAS_MAP_READABLE = 1 << 2,
};

/**
 * struct iommu_ioas_map - argument of IOMMU_IOAS_MAP
 * @size: sizeof(struct iommu_ioas_map)
 * @flags: a combination of enum iommufd_ioas_map_flags
 * @ioas_id: the IOAS
 * @__reserved: zero
 * @user_va: first byte of the memory, an address of the calling process
 * @length: bytes to map
 * @iova: in: where, with IOMMU_IOAS_MAP_FIXED_IOVA; out: where it was put
 *
 * The memory stays where it is until the unmap: pinned as soon as a page table needs it, and charged while it is
 * pinned. It remains reachable for devices when the process unmaps it from itself. What is mapped by one call is one
 * mapping, and leaves as one.
 *
 * What the process has mapped of a PCI device through VFIO can be mapped too, so that other devices reach it, if it
 * lies in one such mapping. Nothing is pinned or charged. It is taken back when the device is reset, stops answering
 * or is closed: the mapping stays until the unmap then, and leads nowhere.
 *
 * - ``EEXIST``: a part of the range is mapped already.
 * - ``EINVAL``: the range is misaligned, empty, or not usable in this IOAS; or no right was asked for.
 * - ``ENOSPC``: no free place is large enough for an address of the kernel's choice.
 * - ``EFAULT``: a page is not there, or cannot be pinned, as registers that are not VFIO's, or is read-only for the
 *   process while devices shall write.
 * - ``ENODEV``: it is that of a PCI device whose memory is disabled.
 * - ``ENOMEM``: RLIMIT_MEMLOCK would be passed.
 */
struct iommu_ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
};

/**
 * struct iommu_ioas_map_file - argument of IOMMU_IOAS_MAP_FILE
 * @size: sizeof(struct iommu_ioas_map_file)
 * @flags: a combination of enum iommufd_ioas_map_flags
 * @ioas_id: the IOAS
 * @fd: a memfd, or a dma-buf of a VFIO PCI device that consists of one range
 * @start: first byte within the file
 * @length: bytes to map
 * @iova: in: where, with IOMMU_IOAS_MAP_FIXED_IOVA; out: where it was put
 *
 * Like IOMMU_IOAS_MAP, without going through an address of the process. Such mappings can change hands, see
 * IOMMU_IOAS_CHANGE_PROCESS.
 *
 * Errors are those of IOMMU_IOAS_MAP, and:
 *
 * - ``EBADF``: @fd is not open.
 * - ``EINVAL``: the file is of a kind that cannot be mapped, or the range reaches beyond its end.
 * - ``EPERM``: the file is not open for reading, or for writing with IOMMU_IOAS_MAP_WRITEABLE, or is sealed against it.
 * - ``EOPNOTSUPP``: a dma-buf that does not consist of one range, or whose driver does not take part.
 * - ``ENODEV``: a dma-buf that its driver has taken back.
 */
struct iommu_ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__s32 fd;
	__aligned_u64 start;
	__aligned_u64 length;
	__aligned_u64 iova;
};

/**
 * struct iommu_ioas_copy - argument of IOMMU_IOAS_COPY
 * @size: sizeof(struct iommu_ioas_copy)
 * @flags: a combination of enum iommufd_ioas_map_flags
 * @dst_ioas_id: IOAS that gets a mapping; may be the same as @src_ioas_id
 * @src_ioas_id: IOAS that has one
 * @length: bytes
 * @dst_iova: in: where, with IOMMU_IOAS_MAP_FIXED_IOVA; out: where it was put
 * @src_iova: first byte of the range to copy
 *
 * Makes a second mapping of the same memory. Pages that both have are pinned once and charged once. The copy lives on
 * when the original is unmapped.
 *
 * Errors are those of IOMMU_IOAS_MAP, and:
 *
 * - ``ENOENT``: a byte of the source range is not mapped, or the range does not lie in one run of memory.
 * - ``EINVAL``: the range has no length, or is misaligned for @dst_ioas_id.
 * - ``EPERM``: devices shall write through the copy, and the memory was given for reading only.
 */
struct iommu_ioas_copy {
	__u32 size;
	__u32 flags;
	__u32 dst_ioas_id;
	__u32 src_ioas_id;
	__aligned_u64 length;
	__aligned_u64 dst_iova;
	__aligned_u64 src_iova;
};

/**
 * struct iommu_ioas_unmap - argument of IOMMU_IOAS_UNMAP
 * @size: sizeof(struct iommu_ioas_unmap)
 * @ioas_id: the IOAS
 * @iova: first byte
 * @length: in: bytes; out: bytes that were mapped and no longer are
 *
 * Removes every mapping in the range. When the call returns no device reaches the memory any more, and memory that
 * nothing else holds is unpinned and no longer charged. Mappings are never cut: one that is only partly inside is an
 * error, and holes between them are fine. @iova 0 with @length 2^64 - 1 means all there is, and succeeds on an empty
 * IOAS too.
 *
 * - ``ENOENT``: nothing is mapped in the range, or a mapping reaches across its border.
 * - ``EINVAL``: @length is zero.
 * - ``EBUSY``: a mapping in the range is just being made by another thread, or a hardware queue lives in it.
 * - ``EDEADLOCK``: a driver of the kernel was told to let go of the range and did not.
 * - ``EFAULT``: @length could not be written back. The mappings are gone all the same.
 */
struct iommu_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length;
};

/**
 * struct iommu_ioas_change_process - argument of IOMMU_IOAS_CHANGE_PROCESS
 * @size: sizeof(struct iommu_ioas_change_process)
 * @__reserved: zero
 *
 * Moves the charge for all pinned memory of this open file to the calling process, for a program that handed its files
 * to a successor. All or nothing.
 *
 * - ``EINVAL``: a mapping was not made by IOMMU_IOAS_MAP_FILE, so it belongs to the memory of the old process.
 * - ``EBUSY``: a mapping is just being made.
 * - ``ENOMEM``: the calling process would pass its limit.
 */
struct iommu_ioas_change_process {
	__u32 size;
	__u32 __reserved;
};

/**
 * struct iommu_ioas_noiommu_get_pa - argument of IOMMU_IOAS_NOIOMMU_GET_PA
 * @size: sizeof(struct iommu_ioas_noiommu_get_pa)
 * @flags: zero
 * @ioas_id: IOAS that a device without an IOMMU is attached to
 * @__reserved: zero
 * @iova: address to look up
 * @length: in: how far to look, not zero; out: bytes from @iova on that are physically contiguous, never more
 * @out_phys: physical address behind @iova
 *
 * A device without an IOMMU has to be given physical addresses. While one is attached to an IOAS all that is mapped
 * there stays in its place: the answer holds until the mapping is removed or the last such device leaves. Nothing
 * stops the device then, so whoever unmaps has to stop it before. @length may reach behind what is mapped, and the
 * answer over several mappings that lie side by side in the IOAS and in memory.
 *
 * - ``EPERM``: CAP_SYS_RAWIO is missing.
 * - ``ENOENT``: @iova is not mapped.
 * - ``EOPNOTSUPP``: no device without an IOMMU uses this IOAS.
 * - ``EINVAL``: @length is zero, or the dma-buf behind @iova was revoked.
 */
struct iommu_ioas_noiommu_get_pa {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 iova;
	__aligned_u64 length;
	__aligned_u64 out_phys;
};

/* ---- settings ---- */

/**
 * enum iommufd_option - what IOMMU_OPTION sets or reads
 * @IOMMU_OPTION_RLIMIT_MODE: who pays for pinned memory, for the whole open file (object 0): 0, the default, the user;
 *                            1 the process. Setting it needs CAP_SYS_RESOURCE, and is possible only while there
 *                            is no object yet.
 * @IOMMU_OPTION_HUGE_PAGES: of one IOAS: 1, the default, puts contiguous memory into as few page table entries as the
 *                           hardware can; 0 uses entries of the page size only.
 */
enum iommufd_option {
	IOMMU_OPTION_RLIMIT_MODE = 0,
	IOMMU_OPTION_HUGE_PAGES = 1,
};

/**
 * enum iommufd_option_ops - which way IOMMU_OPTION goes
 * @IOMMU_OPTION_OP_SET: the caller gives the value
 * @IOMMU_OPTION_OP_GET: the kernel gives the value
 */
enum iommufd_option_ops {
	IOMMU_OPTION_OP_SET = 0,
	IOMMU_OPTION_OP_GET = 1,
};

/**
 * struct iommu_option - argument of IOMMU_OPTION
 * @size: sizeof(struct iommu_option)
 * @option_id: a value of enum iommufd_option
 * @op: a value of enum iommufd_option_ops
 * @__reserved: zero
 * @object_id: the object the option belongs to; 0 for an option of the whole open file
 * @val64: in for SET, out for GET
 *
 * - ``EOPNOTSUPP``: no such option, no such operation, or an object where the option has none.
 * - ``EPERM``: the caller lacks the capability.
 * - ``EBUSY``: too late for IOMMU_OPTION_RLIMIT_MODE, there are objects.
 * - ``EINVAL``: the value is neither 0 nor 1, or huge pages were switched off while page tables hold mappings.
 * - ``EADDRINUSE``: huge pages were switched off while mappings are not aligned to pages.
 */
struct iommu_option {
	__u32 size;
	__u32 option_id;
	__u16 op;
	__u16 __reserved;
	__u32 object_id;
	__aligned_u64 val64;
};

/**
 * enum iommufd_vfio_ioas_op - what IOMMU_VFIO_IOAS does
 * @IOMMU_VFIO_IOAS_GET: report the IOAS in use
 * @IOMMU_VFIO_IOAS_SET: use this IOAS from now on
 * @IOMMU_VFIO_IOAS_CLEAR: use none
 */
enum iommufd_vfio_ioas_op {
	IOMMU_VFIO_IOAS_GET = 0,
	IOMMU_VFIO_IOAS_SET = 1,
	IOMMU_VFIO_IOAS_CLEAR = 2,
};

/**
 * struct iommu_vfio_ioas - argument of IOMMU_VFIO_IOAS
 * @size: sizeof(struct iommu_vfio_ioas)
 * @ioas_id: in for SET, out for GET
 * @op: a value of enum iommufd_vfio_ioas_op
 * @__reserved: zero
 *
 * The ioctls of a VFIO container work on this file too. They act on one IOAS, and this command tells which. Naming an
 * IOAS does not keep it: when it is destroyed there is none until another one is named.
 *
 * - ``ENODEV``: GET, and there is none.
 */
struct iommu_vfio_ioas {
	__u32 size;
	__u32 ioas_id;
	__u16 op;
	__u16 __reserved;
};

/* ---- devices ---- */

/**
 * enum iommu_hw_info_type - which registers IOMMU_GET_HW_INFO reports
 * @IOMMU_HW_INFO_TYPE_NONE: none, as an answer
 * @IOMMU_HW_INFO_TYPE_DEFAULT: what the driver likes best, as a question
 * @IOMMU_HW_INFO_TYPE_INTEL_VTD: struct iommu_hw_info_vtd
 * @IOMMU_HW_INFO_TYPE_ARM_SMMUV3: struct iommu_hw_info_arm_smmuv3
 * @IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV: struct iommu_hw_info_tegra241_cmdqv
 * @IOMMU_HW_INFO_TYPE_AMD: struct iommu_hw_info_amd
 * @IOMMU_HW_INFO_TYPE_ROUTING: struct iommu_hw_info_routing, which has no registers. This kernel's own: other kernels
 *                              say that they do not know it. Told only to who asks for it.
 */
enum iommu_hw_info_type {
	IOMMU_HW_INFO_TYPE_NONE = 0,
	IOMMU_HW_INFO_TYPE_DEFAULT = 0,
	IOMMU_HW_INFO_TYPE_INTEL_VTD = 1,
	IOMMU_HW_INFO_TYPE_ARM_SMMUV3 = 2,
	IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV = 3,
	IOMMU_HW_INFO_TYPE_AMD = 4,
	IOMMU_HW_INFO_TYPE_ROUTING = 0x40000001,
};

/**
 * enum iommu_hw_info_vtd_flags - bits of iommu_hw_info_vtd.flags
 * @IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17: an erratum of this processor (number 772415, SPR17): a page table that
 *                                         nested ones stand on must not have read-only mappings
 */
enum iommu_hw_info_vtd_flags {
	IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 = 1 << 0,
};

/**
 * struct iommu_hw_info_vtd - Intel VT-d
 * @flags: a combination of enum iommu_hw_info_vtd_flags
 * @__reserved: zero
 * @cap_reg: Capability Register (CAP_REG, offset 0x08)
 * @ecap_reg: Extended Capability Register (ECAP_REG, offset 0x10)
 *
 * See "Register Descriptions" in the Intel Virtualization Technology for Directed I/O specification.
 */
struct iommu_hw_info_vtd {
	__u32 flags;
	__u32 __reserved;
	__aligned_u64 cap_reg;
	__aligned_u64 ecap_reg;
};

/**
 * enum iommu_hw_info_arm_smmuv3_flags - bits of iommu_hw_info_arm_smmuv3.flags
 * @IOMMU_HW_INFO_ARM_SMMUV3_ERRATA_REPEAT_TLBI_CFGI: an erratum of this SMMU: invalidations of TLB and configuration
 *                                                    have to be sent twice
 */
enum iommu_hw_info_arm_smmuv3_flags {
	IOMMU_HW_INFO_ARM_SMMUV3_ERRATA_REPEAT_TLBI_CFGI = 1 << 0,
};

/**
 * struct iommu_hw_info_arm_smmuv3 - Arm SMMUv3
 * @flags: a combination of enum iommu_hw_info_arm_smmuv3_flags
 * @__reserved: zero
 * @idr: SMMU_IDR0 to SMMU_IDR5
 * @iidr: SMMU_IIDR, who made it
 * @aidr: SMMU_AIDR, which version of the architecture it has
 *
 * Registers as the hardware has them, see "Registers" in the Arm System Memory Management Unit Architecture
 * Specification, version 3. Not all that they announce can be given to a guest: a VMM offers what it knows to work.
 */
struct iommu_hw_info_arm_smmuv3 {
	__u32 flags;
	__u32 __reserved;
	__u32 idr[6];
	__u32 iidr;
	__u32 aidr;
};

/**
 * struct iommu_hw_info_tegra241_cmdqv - command queue virtualization of NVIDIA Tegra241
 * @flags: zero
 * @version: version of the unit
 * @log2vcmdqs: how many command queues one virtual machine can have, as a power of two
 * @log2vsids: how many virtual stream ids one virtual machine can have, as a power of two
 * @__reserved: zero
 */
struct iommu_hw_info_tegra241_cmdqv {
	__u32 flags;
	__u8 version;
	__u8 log2vcmdqs;
	__u8 log2vsids;
	__u8 __reserved;
};

/**
 * struct iommu_hw_info_amd - AMD IOMMU
 * @efr: Extended Feature Register (MMIO offset 0x30)
 * @efr2: Extended Feature 2 Register (MMIO offset 0x1a0)
 *
 * See the AMD I/O Virtualization Technology (IOMMU) Specification.
 */
struct iommu_hw_info_amd {
	__aligned_u64 efr;
	__aligned_u64 efr2;
};

/**
 * enum iommu_hw_info_routing_flags - bits of iommu_hw_info_routing.flags
 * @IOMMU_HW_INFO_ROUTING_SHARED: other devices are in the group; what is attached is one for all of them
 * @IOMMU_HW_INFO_ROUTING_GROUPS: devices of such groups can be attached here; always set
 * @IOMMU_HW_INFO_ROUTING_SPACES: the device can use several page tables at a time, one for each PASID and one for its
 *                                requests without PASID
 * @IOMMU_HW_INFO_ROUTING_PASIDS: which of the device's PASIDs are used, and for what, is the user's business; the
 *                                kernel uses none. 0 is no PASID.
 * @IOMMU_HW_INFO_ROUTING_ATTACHED: this device is attached, without PASID
 */
enum iommu_hw_info_routing_flags {
	IOMMU_HW_INFO_ROUTING_SHARED = 1 << 0,
	IOMMU_HW_INFO_ROUTING_GROUPS = 1 << 1,
	IOMMU_HW_INFO_ROUTING_SPACES = 1 << 2,
	IOMMU_HW_INFO_ROUTING_PASIDS = 1 << 3,
	IOMMU_HW_INFO_ROUTING_ATTACHED = 1 << 4,
};

/**
 * struct iommu_hw_info_routing - how DMA of the device finds its page table
 * @flags: a combination of enum iommu_hw_info_routing_flags
 * @group_id: IOMMU group, as in /sys/kernel/iommu_groups
 * @group_devices: devices in the group, this one included, bound or not
 * @group_hwpt_id: page table of the group's requests without PASID, 0 while they are blocked
 *
 * The group can be on a page table although this device is not attached: a sibling is. This device then can be attached
 * to that page table only, until all siblings are detached or one that is attached moves the group.
 */
struct iommu_hw_info_routing {
	__u32 flags;
	__u32 group_id;
	__u32 group_devices;
	__u32 group_hwpt_id;
};

/**
 * enum iommufd_hw_info_flags - bits of iommu_hw_info.flags
 * @IOMMU_HW_INFO_FLAG_INPUT_TYPE: in_data_type says which registers are wanted; else it is ignored
 */
enum iommufd_hw_info_flags {
	IOMMU_HW_INFO_FLAG_INPUT_TYPE = 1 << 0,
};

/**
 * enum iommufd_hw_capabilities - bits of iommu_hw_info.out_capabilities
 * @IOMMU_HW_CAP_DIRTY_TRACKING: page tables can be made that record what the device wrote
 * @IOMMU_HW_CAP_PCI_PASID_EXEC: the device's PASID capability has execute permission
 * @IOMMU_HW_CAP_PCI_PASID_PRIV: the device's PASID capability has privileged mode
 * @IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED: the device cannot use Address Translation Services here
 *
 * The two about PASID mean something only when out_max_pasid_log2 is not zero.
 */
enum iommufd_hw_capabilities {
	IOMMU_HW_CAP_DIRTY_TRACKING = 1 << 0,
	IOMMU_HW_CAP_PCI_PASID_EXEC = 1 << 1,
	IOMMU_HW_CAP_PCI_PASID_PRIV = 1 << 2,
	IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED = 1 << 3,
};

/**
 * struct iommu_hw_info - argument of IOMMU_GET_HW_INFO
 * @size: sizeof(struct iommu_hw_info)
 * @flags: a combination of enum iommufd_hw_info_flags
 * @dev_id: a bound device
 * @data_len: in: bytes at @data_uptr; out: bytes that the kernel has for this type, which may be more or less
 * @data_uptr: user address for the registers; what the kernel has no data for is zeroed. Not looked at when
 *             @data_len is 0.
 * @in_data_type: type that is asked for, a value of enum iommu_hw_info_type
 * @out_data_type: type that was reported
 * @out_max_pasid_log2: PASIDs of the device have this many bits; 0 is no PASID
 * @__reserved: zero
 * @out_capabilities: a combination of enum iommufd_hw_capabilities
 *
 * Reports what the IOMMU in front of a device is and can do. With @data_len 0 it reports the type and the length only.
 *
 * - ``EOPNOTSUPP``: the driver has no registers of the type that was asked for, or the device has no IOMMU.
 */
struct iommu_hw_info {
	__u32 size;
	__u32 flags;
	__u32 dev_id;
	__u32 data_len;
	__aligned_u64 data_uptr;
	union {
		__u32 in_data_type;
		__u32 out_data_type;
	};
	__u8 out_max_pasid_log2;
	__u8 __reserved[3];
	__aligned_u64 out_capabilities;
};

/* ---- page tables ---- */

/**
 * enum iommufd_hwpt_alloc_flags - bits of iommu_hwpt_alloc.flags
 * @IOMMU_HWPT_ALLOC_NEST_PARENT: nested page tables will stand on this one
 * @IOMMU_HWPT_ALLOC_DIRTY_TRACKING: only devices that can record their writes may be attached
 * @IOMMU_HWPT_FAULT_ID_VALID: page requests go to the queue that fault_id names
 * @IOMMU_HWPT_ALLOC_PASID: the table will be used with a PASID, or by a device that uses PASIDs beside it
 */
enum iommufd_hwpt_alloc_flags {
	IOMMU_HWPT_ALLOC_NEST_PARENT = 1 << 0,
	IOMMU_HWPT_ALLOC_DIRTY_TRACKING = 1 << 1,
	IOMMU_HWPT_FAULT_ID_VALID = 1 << 2,
	IOMMU_HWPT_ALLOC_PASID = 1 << 3,
};

/**
 * enum iommu_hwpt_data_type - what iommu_hwpt_alloc.data_uptr points at
 * @IOMMU_HWPT_DATA_NONE: nothing: a page table of the kernel, for an IOAS
 * @IOMMU_HWPT_DATA_VTD_S1: struct iommu_hwpt_vtd_s1
 * @IOMMU_HWPT_DATA_ARM_SMMUV3: struct iommu_hwpt_arm_smmuv3
 * @IOMMU_HWPT_DATA_AMD_GUEST: struct iommu_hwpt_amd_guest
 */
enum iommu_hwpt_data_type {
	IOMMU_HWPT_DATA_NONE = 0,
	IOMMU_HWPT_DATA_VTD_S1 = 1,
	IOMMU_HWPT_DATA_ARM_SMMUV3 = 2,
	IOMMU_HWPT_DATA_AMD_GUEST = 3,
};

/**
 * enum iommu_hwpt_vtd_s1_flags - bits of iommu_hwpt_vtd_s1.flags, by their names in the PASID table entry
 * @IOMMU_VTD_S1_SRE: SRE, Supervisor Request Enable
 * @IOMMU_VTD_S1_EAFE: EAFE, Extended Access Flag Enable
 * @IOMMU_VTD_S1_WPE: WPE, Write Protect Enable
 */
enum iommu_hwpt_vtd_s1_flags {
	IOMMU_VTD_S1_SRE = 1 << 0,
	IOMMU_VTD_S1_EAFE = 1 << 1,
	IOMMU_VTD_S1_WPE = 1 << 2,
};

/**
 * struct iommu_hwpt_vtd_s1 - a first-stage page table of a guest, Intel VT-d
 * @flags: a combination of enum iommu_hwpt_vtd_s1_flags
 * @pgtbl_addr: guest-physical address of the table's root (FSPTPTR of the scalable-mode PASID table entry)
 * @addr_width: width of the addresses that the table translates, in bits: 48 is four levels, 57 is five
 * @__reserved: zero
 *
 * The fields of a scalable-mode PASID table entry that a guest decides about; the VT-d specification has them under
 * "Scalable-Mode PASID Table Entry".
 */
struct iommu_hwpt_vtd_s1 {
	__aligned_u64 flags;
	__aligned_u64 pgtbl_addr;
	__u32 addr_width;
	__u32 __reserved;
};

/**
 * struct iommu_hwpt_arm_smmuv3 - the first half of a guest's Stream Table Entry, Arm SMMUv3
 * @ste: words 0 and 1 (64 bits each), little-endian, as the guest wrote them
 *
 * Used from word 0: V, Config, S1Fmt, S1ContextPtr (an address of the guest), S1CDMax. Used from word 1: S1DSS, S1CIR,
 * S1COR, S1CSH, S1STALLD and, where the device has ATS, EATS. Config may be abort, bypass or stage 1; stage 2 is the
 * kernel's. Any other bit that is set is refused with ``EIO``, as the architecture answers an illegal entry with an
 * event. See "Stream Table Entry" in the Arm SMMUv3 specification.
 */
struct iommu_hwpt_arm_smmuv3 {
	__aligned_le64 ste[2];
};

/**
 * struct iommu_hwpt_amd_guest - a guest's Device Table Entry, AMD IOMMU
 * @dte: all 256 bits, as the guest wrote them
 *
 * Only the fields about guest translation are used (GV, GIOV, GLX, the GCR3 table root and the guest paging mode); see
 * "Device Table Entry Format" in the AMD IOMMU specification.
 */
struct iommu_hwpt_amd_guest {
	__aligned_u64 dte[4];
};

/**
 * struct iommu_hwpt_alloc - argument of IOMMU_HWPT_ALLOC
 * @size: sizeof(struct iommu_hwpt_alloc)
 * @flags: a combination of enum iommufd_hwpt_alloc_flags
 * @dev_id: a bound device; the table is made for the IOMMU in front of it
 * @pt_id: what the table stands on: an IOAS, a table with IOMMU_HWPT_ALLOC_NEST_PARENT, or a vIOMMU
 * @out_hwpt_id: id of the new page table
 * @__reserved: zero
 * @data_type: a value of enum iommu_hwpt_data_type; NONE if and only if @pt_id is an IOAS
 * @data_len: bytes at @data_uptr
 * @data_uptr: user address of the struct that @data_type names
 * @fault_id: a queue of IOMMU_FAULT_QUEUE_ALLOC, with IOMMU_HWPT_FAULT_ID_VALID
 * @__reserved2: zero
 *
 * On an IOAS the new table has all its mappings at once and follows it from then on. A nested table translates by what
 * the guest wrote, and then by the table below. Making a table attaches nothing. A program that is content with what an
 * attach to an IOAS makes by itself never needs this command.
 *
 * - ``EINVAL``: @pt_id is not there or of a kind that has no use here, or @data_type and @data_len do not fit it.
 * - ``EOPNOTSUPP``: the driver or the device cannot do what a flag or a type asks for; a fault queue for a parent of
 *   nested tables is refused too.
 * - ``EIO``: an illegal Stream Table Entry.
 */
struct iommu_hwpt_alloc {
	__u32 size;
	__u32 flags;
	__u32 dev_id;
	__u32 pt_id;
	__u32 out_hwpt_id;
	__u32 __reserved;
	__u32 data_type;
	__u32 data_len;
	__aligned_u64 data_uptr;
	__u32 fault_id;
	__u32 __reserved2;
};

/**
 * enum iommufd_hwpt_set_dirty_tracking_flags - bits of iommu_hwpt_set_dirty_tracking.flags
 * @IOMMU_HWPT_DIRTY_TRACKING_ENABLE: record from now on; without it recording stops
 */
enum iommufd_hwpt_set_dirty_tracking_flags {
	IOMMU_HWPT_DIRTY_TRACKING_ENABLE = 1 << 0,
};

/**
 * struct iommu_hwpt_set_dirty_tracking - argument of IOMMU_HWPT_SET_DIRTY_TRACKING
 * @size: sizeof(struct iommu_hwpt_set_dirty_tracking)
 * @flags: a combination of enum iommufd_hwpt_set_dirty_tracking_flags
 * @hwpt_id: a page table made with IOMMU_HWPT_ALLOC_DIRTY_TRACKING
 * @__reserved: zero
 *
 * A record begins empty: what was written before does not show.
 *
 * - ``EOPNOTSUPP``: the table cannot record.
 */
struct iommu_hwpt_set_dirty_tracking {
	__u32 size;
	__u32 flags;
	__u32 hwpt_id;
	__u32 __reserved;
};

/**
 * enum iommufd_hwpt_get_dirty_bitmap_flags - bits of iommu_hwpt_get_dirty_bitmap.flags
 * @IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR: leave the record as it is; quicker, for a last look before an unmap
 */
enum iommufd_hwpt_get_dirty_bitmap_flags {
	IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR = 1 << 0,
};

/**
 * struct iommu_hwpt_get_dirty_bitmap - argument of IOMMU_HWPT_GET_DIRTY_BITMAP
 * @size: sizeof(struct iommu_hwpt_get_dirty_bitmap)
 * @hwpt_id: a page table that records
 * @flags: a combination of enum iommufd_hwpt_get_dirty_bitmap_flags
 * @__reserved: zero
 * @iova: first byte of the range
 * @length: bytes of the range
 * @page_size: bytes that one bit stands for, a power of two
 * @data: user address of the bitmap, an array of 64-bit words; bit 0 of word 0 is the page at @iova
 *
 * Sets the bits of pages that a device wrote since the last look; never clears a bit, so several calls and several
 * tables can add up in one bitmap.
 *
 * - ``EINVAL``: @length or @page_size is zero, or the range is not aligned to @page_size.
 * - ``EOPNOTSUPP``: the table cannot record.
 */
struct iommu_hwpt_get_dirty_bitmap {
	__u32 size;
	__u32 hwpt_id;
	__u32 flags;
	__u32 __reserved;
	__aligned_u64 iova;
	__aligned_u64 length;
	__aligned_u64 page_size;
	__aligned_u64 data;
};

/**
 * enum iommu_hwpt_invalidate_data_type - what one entry of IOMMU_HWPT_INVALIDATE is
 * @IOMMU_HWPT_INVALIDATE_DATA_VTD_S1: struct iommu_hwpt_vtd_s1_invalidate, for a nested page table
 * @IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3: struct iommu_viommu_arm_smmuv3_invalidate, for a vIOMMU
 */
enum iommu_hwpt_invalidate_data_type {
	IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 = 0,
	IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 = 1,
};

/**
 * enum iommu_hwpt_vtd_s1_invalidate_flags - bits of iommu_hwpt_vtd_s1_invalidate.flags
 * @IOMMU_VTD_INV_FLAGS_LEAF: only leaf entries changed, entries that lead to other tables may stay cached (the
 *                            invalidation hint, IH, of the VT-d specification)
 */
enum iommu_hwpt_vtd_s1_invalidate_flags {
	IOMMU_VTD_INV_FLAGS_LEAF = 1 << 0,
};

/**
 * struct iommu_hwpt_vtd_s1_invalidate - forget translations of a first-stage table, Intel VT-d
 * @addr: first address, a multiple of 4096
 * @npages: pages of 4096 bytes
 * @flags: a combination of enum iommu_hwpt_vtd_s1_invalidate_flags
 * @__reserved: zero
 *
 * @addr 0 with @npages 2^64 - 1 means all addresses. The TLB of the IOMMU and those of devices with ATS are covered.
 */
struct iommu_hwpt_vtd_s1_invalidate {
	__aligned_u64 addr;
	__aligned_u64 npages;
	__u32 flags;
	__u32 __reserved;
};

/**
 * struct iommu_viommu_arm_smmuv3_invalidate - a command of the guest's command queue, Arm SMMUv3
 * @cmd: one 128-bit command, little-endian, as the guest wrote it
 *
 * Accepted are CMD_TLBI_NSNH_ALL, CMD_TLBI_NH_ALL, CMD_TLBI_NH_VA, CMD_TLBI_NH_VAA, CMD_TLBI_NH_ASID, CMD_CFGI_CD,
 * CMD_CFGI_CD_ALL and CMD_ATC_INV. The VMID and the stream id of the command are the guest's; the kernel puts its own
 * in their place. Any other command is ``EIO``, for which an SMMU reports CERROR_ILL.
 */
struct iommu_viommu_arm_smmuv3_invalidate {
	__aligned_le64 cmd[2];
};

/**
 * struct iommu_hwpt_invalidate - argument of IOMMU_HWPT_INVALIDATE
 * @size: sizeof(struct iommu_hwpt_invalidate)
 * @hwpt_id: a nested page table, or a vIOMMU
 * @data_uptr: user address of an array of entries
 * @data_type: a value of enum iommu_hwpt_invalidate_data_type
 * @entry_len: bytes from one entry to the next, at most a page
 * @entry_num: in: entries, at most 2^19; out: entries that were carried out, also when the call fails
 * @__reserved: zero
 *
 * Tells the hardware that a guest changed its tables. @entry_num 0 carries out nothing and asks whether @data_type is
 * one that the object knows.
 *
 * - ``EINVAL``: no array, @entry_len zero, or one of the two limits is passed.
 * - ``EOPNOTSUPP``: the driver has no caches to invalidate for this object, or the type is not for it.
 * - ``EIO``: a command that an SMMU would refuse.
 */
struct iommu_hwpt_invalidate {
	__u32 size;
	__u32 hwpt_id;
	__aligned_u64 data_uptr;
	__u32 data_type;
	__u32 entry_len;
	__u32 entry_num;
	__u32 __reserved;
};

/* ---- page requests ---- */

/**
 * struct iommu_fault_alloc - argument of IOMMU_FAULT_QUEUE_ALLOC
 * @size: sizeof(struct iommu_fault_alloc)
 * @flags: zero
 * @out_fault_id: id of the queue, for iommu_hwpt_alloc.fault_id
 * @out_fault_fd: file descriptor of the queue
 *
 * read() takes struct iommu_hwpt_pgfault records and write() gives struct iommu_hwpt_page_response records; poll()
 * tells when either makes sense. Requests that a device sent as one group come out of one read(), all of them.
 *
 * - ``ESPIPE`` of read() and write(): the count is not a multiple of the record, or the file offset is not zero.
 * - ``EINVAL`` of read(): the first group is larger than the buffer.
 * - ``EINVAL`` of write(): no request waits for this cookie, or there is no such code.
 */
struct iommu_fault_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_fault_id;
	__u32 out_fault_fd;
};

/**
 * enum iommu_hwpt_pgfault_flags - bits of iommu_hwpt_pgfault.flags
 * @IOMMU_PGFAULT_FLAGS_PASID_VALID: the request came with a PASID
 * @IOMMU_PGFAULT_FLAGS_LAST_PAGE: last request of its group
 */
enum iommu_hwpt_pgfault_flags {
	IOMMU_PGFAULT_FLAGS_PASID_VALID = 1 << 0,
	IOMMU_PGFAULT_FLAGS_LAST_PAGE = 1 << 1,
};

/**
 * enum iommu_hwpt_pgfault_perm - bits of iommu_hwpt_pgfault.perm
 * @IOMMU_PGFAULT_PERM_READ: the device wants to read
 * @IOMMU_PGFAULT_PERM_WRITE: the device wants to write
 * @IOMMU_PGFAULT_PERM_EXEC: the device wants to execute
 * @IOMMU_PGFAULT_PERM_PRIV: it wants that in privileged mode
 */
enum iommu_hwpt_pgfault_perm {
	IOMMU_PGFAULT_PERM_READ = 1 << 0,
	IOMMU_PGFAULT_PERM_WRITE = 1 << 1,
	IOMMU_PGFAULT_PERM_EXEC = 1 << 2,
	IOMMU_PGFAULT_PERM_PRIV = 1 << 3,
};

/**
 * struct iommu_hwpt_pgfault - a page request, read from the file of a fault queue
 * @flags: a combination of enum iommu_hwpt_pgfault_flags
 * @dev_id: bound device that sent it
 * @pasid: PASID, with IOMMU_PGFAULT_FLAGS_PASID_VALID
 * @grpid: Page Request Group index that the device chose
 * @perm: a combination of enum iommu_hwpt_pgfault_perm
 * @__reserved: zero
 * @addr: address that has no translation
 * @length: bytes that the device would like, as a hint; 0 is no hint
 * @cookie: says which group is meant in the response; the same in all records of a group
 */
struct iommu_hwpt_pgfault {
	__u32 flags;
	__u32 dev_id;
	__u32 pasid;
	__u32 grpid;
	__u32 perm;
	__u32 __reserved;
	__aligned_u64 addr;
	__u32 length;
	__u32 cookie;
};

/**
 * enum iommufd_page_response_code - how a group of page requests ended
 * @IOMMUFD_PAGE_RESP_SUCCESS: the pages are there, the device tries again
 * @IOMMUFD_PAGE_RESP_INVALID: they will not be, the device gives up
 */
enum iommufd_page_response_code {
	IOMMUFD_PAGE_RESP_SUCCESS = 0,
	IOMMUFD_PAGE_RESP_INVALID = 1,
};

/**
 * struct iommu_hwpt_page_response - the answer to a group, written to the file of a fault queue
 * @cookie: cookie of the requests
 * @code: a value of enum iommufd_page_response_code
 */
struct iommu_hwpt_page_response {
	__u32 cookie;
	__u32 code;
};

/* ---- what a guest sees of an IOMMU ---- */

/**
 * enum iommu_viommu_type - what kind of IOMMU is shared with a guest
 * @IOMMU_VIOMMU_TYPE_DEFAULT: not used
 * @IOMMU_VIOMMU_TYPE_ARM_SMMUV3: an Arm SMMUv3; no data
 * @IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV: an Arm SMMUv3 with NVIDIA's command queue virtualization; data is struct
 *                                    iommu_viommu_tegra241_cmdqv
 */
enum iommu_viommu_type {
	IOMMU_VIOMMU_TYPE_DEFAULT = 0,
	IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1,
	IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV = 2,
};

/**
 * struct iommu_viommu_tegra241_cmdqv - data of a vIOMMU, NVIDIA Tegra241
 * @out_vintf_mmap_offset: where the guest's registers (virtual interface, VINTF) are in the file of /dev/iommu, for
 *                         mmap()
 * @out_vintf_mmap_length: bytes of that window, to be mapped as a whole, shared and not executable
 */
struct iommu_viommu_tegra241_cmdqv {
	__aligned_u64 out_vintf_mmap_offset;
	__aligned_u64 out_vintf_mmap_length;
};

/**
 * struct iommu_viommu_alloc - argument of IOMMU_VIOMMU_ALLOC
 * @size: sizeof(struct iommu_viommu_alloc)
 * @flags: zero
 * @type: a value of enum iommu_viommu_type
 * @dev_id: a bound device behind the IOMMU that is shared
 * @hwpt_id: page table of the guest's memory, made with IOMMU_HWPT_ALLOC_NEST_PARENT
 * @out_viommu_id: id of the vIOMMU
 * @data_len: bytes at @data_uptr
 * @__reserved: zero
 * @data_uptr: user address of the struct that @type names, in and out
 *
 * A vIOMMU is one guest's share of one IOMMU: its own number space of devices, its own caches to invalidate, its own
 * events. A guest with devices behind several IOMMUs needs one for each.
 *
 * - ``EOPNOTSUPP``: the driver does not know @type.
 * - ``EINVAL``: nothing can be nested on @hwpt_id.
 */
struct iommu_viommu_alloc {
	__u32 size;
	__u32 flags;
	__u32 type;
	__u32 dev_id;
	__u32 hwpt_id;
	__u32 out_viommu_id;
	__u32 data_len;
	__u32 __reserved;
	__aligned_u64 data_uptr;
};

/**
 * struct iommu_vdevice_alloc - argument of IOMMU_VDEVICE_ALLOC
 * @size: sizeof(struct iommu_vdevice_alloc)
 * @viommu_id: the vIOMMU
 * @dev_id: a bound device behind the same IOMMU
 * @out_vdevice_id: id of the vDEVICE
 * @virt_id: the number of the device in the guest: a stream id (SMMUv3), a device id (AMD), a requester id (VT-d)
 *
 * Tells the kernel by which number a guest knows a device. Destroy it before the file of the device is closed;
 * otherwise its id stays taken until the iommufd is closed.
 *
 * - ``EINVAL``: the device is behind another IOMMU, or @virt_id is larger than the hardware can say.
 * - ``EEXIST``: the device has a vDEVICE, or @virt_id is taken in this vIOMMU.
 * - ``ENOENT``: the device is going away.
 */
struct iommu_vdevice_alloc {
	__u32 size;
	__u32 viommu_id;
	__u32 dev_id;
	__u32 out_vdevice_id;
	__aligned_u64 virt_id;
};

/**
 * enum iommu_veventq_type - what events a queue carries
 * @IOMMU_VEVENTQ_TYPE_DEFAULT: not used
 * @IOMMU_VEVENTQ_TYPE_ARM_SMMUV3: struct iommu_vevent_arm_smmuv3
 * @IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV: struct iommu_vevent_tegra241_cmdqv
 */
enum iommu_veventq_type {
	IOMMU_VEVENTQ_TYPE_DEFAULT = 0,
	IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1,
	IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV = 2,
};

/**
 * enum iommu_veventq_flag - bits of iommufd_vevent_header.flags
 * @IOMMU_VEVENTQ_FLAG_LOST_EVENTS: the queue was full and events were dropped; no data follows this header
 */
enum iommu_veventq_flag {
	IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1 << 0,
};

/**
 * struct iommufd_vevent_header - stands before each event in the file of an event queue
 * @flags: a combination of enum iommu_veventq_flag
 * @sequence: number of the event, from 0 to 2^31 - 1 and then from 0 again; a jump means lost events
 */
struct iommufd_vevent_header {
	__u32 flags;
	__u32 sequence;
};

/**
 * struct iommu_vevent_arm_smmuv3 - an event for the guest's event queue, Arm SMMUv3
 * @evt: a 256-bit event record, little-endian, with the guest's stream id in it
 *
 * See "Event queue recorded faults and events" in the Arm SMMUv3 specification.
 */
struct iommu_vevent_arm_smmuv3 {
	__aligned_le64 evt[4];
};

/**
 * struct iommu_vevent_tegra241_cmdqv - an error of a virtual command queue, NVIDIA Tegra241
 * @lvcmdq_err_map: one bit for each logical command queue of the guest, little-endian; a 1 is an error
 */
struct iommu_vevent_tegra241_cmdqv {
	__aligned_le64 lvcmdq_err_map[2];
};

/**
 * struct iommu_veventq_alloc - argument of IOMMU_VEVENTQ_ALLOC
 * @size: sizeof(struct iommu_veventq_alloc)
 * @flags: zero
 * @viommu_id: the vIOMMU
 * @type: a value of enum iommu_veventq_type
 * @veventq_depth: events that the queue can hold, 1 to 2^19
 * @out_veventq_id: id of the queue
 * @out_veventq_fd: file descriptor of the queue
 * @__reserved: zero
 *
 * read() gives a struct iommufd_vevent_header and what @type names, again and again. A vIOMMU has at most one queue of
 * each type.
 *
 * - ``EEXIST``: there is a queue of this type.
 * - ``EINVAL``: @veventq_depth is out of bounds.
 */
struct iommu_veventq_alloc {
	__u32 size;
	__u32 flags;
	__u32 viommu_id;
	__u32 type;
	__u32 veventq_depth;
	__u32 out_veventq_id;
	__u32 out_veventq_fd;
	__u32 __reserved;
};

/**
 * enum iommu_hw_queue_type - queues of a guest that the hardware reads by itself
 * @IOMMU_HW_QUEUE_TYPE_DEFAULT: not used
 * @IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV: a virtual command queue of NVIDIA Tegra241. Its length is a power of two, its
 *                                      address a multiple of the length; indexes are taken in rising order and given
 *                                      back in falling order.
 */
enum iommu_hw_queue_type {
	IOMMU_HW_QUEUE_TYPE_DEFAULT = 0,
	IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV = 1,
};

/**
 * struct iommu_hw_queue_alloc - argument of IOMMU_HW_QUEUE_ALLOC
 * @size: sizeof(struct iommu_hw_queue_alloc)
 * @flags: zero
 * @viommu_id: the vIOMMU
 * @type: a value of enum iommu_hw_queue_type
 * @index: which of the queues of the vIOMMU
 * @out_hw_queue_id: id of the queue
 * @nesting_parent_iova: where the queue is in the guest's memory: an IOVA of the page table below the vIOMMU
 * @length: bytes of the queue
 *
 * The memory stays pinned, and cannot be unmapped from the IOAS, as long as the queue exists.
 *
 * - ``EOPNOTSUPP``: the driver does not know @type.
 * - ``EINVAL``: @length is zero, or the hardware cannot use a queue of this place, length or index.
 * - ``ERANGE``: the queue does not fit where it shall be.
 * - ``EFAULT``: the memory is not physically contiguous.
 */
struct iommu_hw_queue_alloc {
	__u32 size;
	__u32 flags;
	__u32 viommu_id;
	__u32 type;
	__u32 index;
	__u32 out_hw_queue_id;
	__aligned_u64 nesting_parent_iova;
	__aligned_u64 length;
};

#endif
