/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * test_mdev - what a program asks of the mediated device for tests, by an ioctl of the device's file
 */
#ifndef __VFIO_TEST_MDEV_H__
#define __VFIO_TEST_MDEV_H__

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/vfio.h>

#define VFIO_TEST_MDEV_CMD	_IO(VFIO_TYPE, VFIO_BASE + 0x40)

enum {
	/* Pin @npages from @iova on; with a @uptr their bytes must be those of the process there, else -EBADE */
	TEST_MDEV_PIN,
	/* The same, and keep a copy of each page */
	TEST_MDEV_SHADOW,
	/* Unpin @npages from @iova on, whatever was pinned how */
	TEST_MDEV_UNPIN,
	/* Copy @length bytes from @iova to @uptr, or with TEST_MDEV_WRITE the other way */
	TEST_MDEV_RW,
	/* Copy the page that was kept of @iova to @uptr; -ENOENT if none was */
	TEST_MDEV_READ_SHADOW,
	/* Where @iova lies in the process that mapped it, in @uptr and @length; -EXDEV if that is not the caller */
	TEST_MDEV_LOOKUP,
	/* What happened, in @state */
	TEST_MDEV_STATE,
	/* Keep what the device is told to let go of, as @length says: TEST_MDEV_KEEP_* */
	TEST_MDEV_HOLD,
	/* See what virtual CPUs write to the page at @iova; -ENODEV if the device is not part of a virtual machine */
	TEST_MDEV_WATCH,
};

/* @length of TEST_MDEV_HOLD; what the device does after it was opened is the first */
enum {
	TEST_MDEV_KEEP_NONE,
	TEST_MDEV_KEEP_ALL,
	TEST_MDEV_KEEP_BUT_ONE,		/* let go of one pin a call */
};

/* @flags */
enum {
	TEST_MDEV_READ = 1 << 0,	/* PIN, SHADOW: pin for reading */
	TEST_MDEV_WRITE = 1 << 1,	/* PIN, SHADOW: pin for writing; RW */
	TEST_MDEV_THREAD = 1 << 2,	/* RW: in a kernel thread */
};

/**
 * struct test_mdev_state - What happened since the device was opened
 * @pinned: pages that are pinned, each as often as it is
 * @unmaps: how often the device was told to let go of pages
 * @unmap_iova: where, last
 * @unmap_length: how many bytes, last
 * @forgets: how often it was told to forget addresses
 * @writes: how many writes of virtual CPUs it has seen
 * @forget_iova: where, last
 * @forget_last: up to where, last, inclusive
 * @write_uaddr: address in the process of the last write that was seen
 * @write_value: what was written, up to 8 bytes
 */
struct test_mdev_state {
	__u32 pinned;
	__u32 unmaps;
	__aligned_u64 unmap_iova;
	__aligned_u64 unmap_length;
	__u32 forgets;
	__u32 writes;
	__aligned_u64 forget_iova;
	__aligned_u64 forget_last;
	__aligned_u64 write_uaddr;
	__aligned_u64 write_value;
};

/**
 * struct test_mdev_cmd - What the device shall do
 * @argsz: size of this structure
 * @op: TEST_MDEV_*
 * @flags: TEST_MDEV_*
 * @npages: how many pages
 * @iova: first IOVA
 * @length: bytes
 * @uptr: address in the process
 * @state: out, of TEST_MDEV_STATE
 */
struct test_mdev_cmd {
	__u32 argsz;
	__u32 op;
	__u32 flags;
	__u32 npages;
	__aligned_u64 iova;
	__aligned_u64 length;
	__aligned_u64 uptr;
	struct test_mdev_state state;
};

#endif
