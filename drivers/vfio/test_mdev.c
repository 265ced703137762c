// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_mdev - a mediated device for tests
 *
 * It does on command what drivers of mediated devices do: pin pages, copy, keep shadows of what is in pages, let go
 * of pages when told. It knows how it was opened as little as they do, so a program gets the same answers through a
 * container and through an iommufd. Type "pinning" is all of this; type "copying" is a driver without dma_unmap.
 *
 * Locking: tm->lock is held from before a pin until it is noted, and taken when the device is told.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

#include "test_mdev.h"
#include "test_mdev_watch.h"

/* Buffers are made of the length that the user gives */
#define MAX_LENGTH	SZ_1M
#define INSTANCES	8

/**
 * struct test_mdev - One device
 * @vdev: for VFIO
 * @lock: covers all below
 * @pins: struct pinned_page, in the order of pinning
 * @shadows: struct shadow
 * @watch: how it sees writes of virtual CPUs, or NULL
 * @keep: TEST_MDEV_KEEP_*, when told to let go
 * @state: what happened
 */
struct test_mdev {
	struct vfio_device vdev;
	struct mutex lock;	/* pins, shadows and what happened */
	struct list_head pins;
	struct list_head shadows;
	struct test_watch *watch;
	u64 keep;
	struct test_mdev_state state;
};

/**
 * struct pinned_page - A page as often as it is pinned
 * @entry: in test_mdev->pins
 * @iova: its address
 * @page: the page
 * @shadow: where its contents are kept, or NULL
 */
struct pinned_page {
	struct list_head entry;
	u64 iova;
	struct page *page;
	struct shadow *shadow;
};

/**
 * struct shadow - A copy of a page, which is brought up to date when the page goes
 * @entry: in test_mdev->shadows
 * @iova: address of the page
 * @bytes: the copy
 */
struct shadow {
	struct list_head entry;
	u64 iova;
	u8 bytes[PAGE_SIZE];
};

static struct test_mdev *to_test_mdev(struct vfio_device *vdev)
{
	return container_of(vdev, struct test_mdev, vdev);
}

/* The last look at a page before it is unpinned: it must still be the one that was pinned */
static void forget_pin(struct test_mdev *tm, struct pinned_page *pin)
{
	lockdep_assert_held(&tm->lock);
	if (pin->shadow)
		memcpy_from_page(pin->shadow->bytes, pin->page, 0, PAGE_SIZE);
	list_del(&pin->entry);
	kfree(pin);
	tm->state.pinned--;
}

/* @most: how many pins at most */
static void unpin_range(struct test_mdev *tm, u64 first, u64 last, unsigned int most)
{
	struct pinned_page *pin, *next;

	list_for_each_entry_safe(pin, next, &tm->pins, entry) {
		if (pin->iova >= first && pin->iova <= last && most) {
			u64 iova = pin->iova;

			most--;
			forget_pin(tm, pin);
			vfio_unpin_pages(&tm->vdev, iova, 1);
		}
	}
}

static struct shadow *find_shadow(struct test_mdev *tm, u64 iova)
{
	struct shadow *shadow;

	list_for_each_entry(shadow, &tm->shadows, entry)
		if (shadow->iova == iova)
			return shadow;
	return NULL;
}

static struct shadow *make_shadow(struct test_mdev *tm, u64 iova)
{
	struct shadow *shadow = find_shadow(tm, iova);

	if (shadow)
		return shadow;
	shadow = kzalloc(sizeof(*shadow), GFP_KERNEL_ACCOUNT);
	if (shadow) {
		shadow->iova = iova;
		list_add_tail(&shadow->entry, &tm->shadows);
	}
	return shadow;
}

static int note_page(struct test_mdev *tm, u64 iova, struct page *page, bool keep)
{
	struct pinned_page *pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);

	if (!pin)
		return -ENOMEM;
	if (keep) {
		pin->shadow = make_shadow(tm, iova);
		if (!pin->shadow) {
			kfree(pin);
			return -ENOMEM;
		}
		memcpy_from_page(pin->shadow->bytes, page, 0, PAGE_SIZE);
	}
	pin->iova = iova;
	pin->page = page;
	list_add_tail(&pin->entry, &tm->pins);
	tm->state.pinned++;
	return 0;
}

/* Has the process at @uptr what is in the page? */
static int check_page(struct page *page, u64 uptr)
{
	void *theirs, *ours;
	int rc = 0;

	theirs = memdup_user(u64_to_user_ptr(uptr), PAGE_SIZE);
	if (IS_ERR(theirs))
		return PTR_ERR(theirs);
	ours = kmap_local_page(page);
	if (memcmp(ours, theirs, PAGE_SIZE))
		rc = -EBADE;
	kunmap_local(ours);
	kfree(theirs);
	return rc;
}

static int pin_and_note(struct test_mdev *tm, const struct test_mdev_cmd *cmd, struct page **pages)
{
	u64 first = cmd->iova & PAGE_MASK;
	int prot = 0, rc, i, noted = 0;

	if (cmd->flags & TEST_MDEV_READ)
		prot |= IOMMU_READ;
	if (cmd->flags & TEST_MDEV_WRITE)
		prot |= IOMMU_WRITE;
	rc = vfio_pin_pages(&tm->vdev, cmd->iova, cmd->npages, prot, pages);
	if (rc < 0)
		return rc;
	rc = rc == cmd->npages ? 0 : -EPROTO;
	for (i = 0; i < cmd->npages && !rc && cmd->uptr; i++)
		rc = check_page(pages[i], cmd->uptr + i * PAGE_SIZE);
	for (; noted < cmd->npages && !rc; noted++)
		rc = note_page(tm, first + noted * PAGE_SIZE, pages[noted], cmd->op == TEST_MDEV_SHADOW);
	if (!rc)
		return 0;

	/* The one that failed was not noted */
	for (i = 0; noted && i < noted - 1; i++)
		forget_pin(tm, list_last_entry(&tm->pins, struct pinned_page, entry));
	vfio_unpin_pages(&tm->vdev, cmd->iova, cmd->npages);
	return rc;
}

static int test_mdev_pin(struct test_mdev *tm, const struct test_mdev_cmd *cmd)
{
	struct page **pages = kvcalloc(VFIO_PIN_PAGES_MAX_ENTRIES, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!pages)
		return -ENOMEM;
	mutex_lock(&tm->lock);
	rc = pin_and_note(tm, cmd, pages);
	mutex_unlock(&tm->lock);
	kvfree(pages);
	return rc;
}

static int test_mdev_unpin(struct test_mdev *tm, const struct test_mdev_cmd *cmd)
{
	u64 first = cmd->iova & PAGE_MASK;
	struct pinned_page *pin, *next;
	u32 i;

	if (!cmd->npages || cmd->npages > VFIO_PIN_PAGES_MAX_ENTRIES)
		return -EINVAL;
	mutex_lock(&tm->lock);
	for (i = 0; i < cmd->npages; i++) {
		list_for_each_entry_safe(pin, next, &tm->pins, entry) {
			if (pin->iova == first + i * PAGE_SIZE) {
				forget_pin(tm, pin);
				break;
			}
		}
	}
	vfio_unpin_pages(&tm->vdev, cmd->iova, cmd->npages);
	mutex_unlock(&tm->lock);
	return 0;
}

/**
 * struct rw_work - A copy in a kernel thread
 * @work: for the workqueue
 * @vdev: the device
 * @cmd: what to copy
 * @buf: from where or to where
 * @rc: result
 */
struct rw_work {
	struct work_struct work;
	struct vfio_device *vdev;
	const struct test_mdev_cmd *cmd;
	void *buf;
	int rc;
};

static void do_rw(struct work_struct *work)
{
	struct rw_work *rw = container_of(work, struct rw_work, work);

	rw->rc = vfio_dma_rw(rw->vdev, rw->cmd->iova, rw->buf, rw->cmd->length, rw->cmd->flags & TEST_MDEV_WRITE);
}

static int test_mdev_rw(struct test_mdev *tm, const struct test_mdev_cmd *cmd)
{
	void __user *uptr = u64_to_user_ptr(cmd->uptr);
	struct rw_work rw = { .vdev = &tm->vdev, .cmd = cmd };

	if (cmd->length > MAX_LENGTH)
		return -E2BIG;
	rw.buf = kvzalloc(cmd->length, GFP_KERNEL_ACCOUNT);
	if (!rw.buf)
		return -ENOMEM;
	if (cmd->flags & TEST_MDEV_WRITE && copy_from_user(rw.buf, uptr, cmd->length))
		rw.rc = -EFAULT;
	if (!rw.rc && cmd->flags & TEST_MDEV_THREAD) {
		INIT_WORK_ONSTACK(&rw.work, do_rw);
		schedule_work(&rw.work);
		flush_work(&rw.work);
		destroy_work_on_stack(&rw.work);
	} else if (!rw.rc) {
		do_rw(&rw.work);
	}
	if (!rw.rc && !(cmd->flags & TEST_MDEV_WRITE) && copy_to_user(uptr, rw.buf, cmd->length))
		rw.rc = -EFAULT;
	kvfree(rw.buf);
	return rw.rc;
}

static int test_mdev_read_shadow(struct test_mdev *tm, const struct test_mdev_cmd *cmd)
{
	struct shadow *shadow;
	int rc = -ENOENT;

	mutex_lock(&tm->lock);
	shadow = find_shadow(tm, cmd->iova);
	if (shadow)
		rc = copy_to_user(u64_to_user_ptr(cmd->uptr), shadow->bytes, PAGE_SIZE) ? -EFAULT : 0;
	mutex_unlock(&tm->lock);
	return rc;
}

static int test_mdev_lookup(struct test_mdev *tm, struct test_mdev_cmd *cmd)
{
#ifdef CONFIG_VFIO_DEVICE_CDEV
	struct iommufd_user_address to;
	int rc;

	/* With the lock an unmap waits for us, so the answer is valid as long as we use it */
	mutex_lock(&tm->lock);
	rc = vfio_dma_lookup(&tm->vdev, cmd->iova, &to);
	if (!rc) {
		rc = to.mm == current->mm ? 0 : -EXDEV;
		cmd->uptr = to.uaddr;
		cmd->length = to.length;
		cmd->flags = TEST_MDEV_READ | (to.writable ? TEST_MDEV_WRITE : 0);
	}
	mutex_unlock(&tm->lock);
	return rc;
#else
	return -EOPNOTSUPP;
#endif
}

static int test_mdev_watch(struct test_mdev *tm, const struct test_mdev_cmd *cmd)
{
#ifdef CONFIG_VFIO_DEVICE_CDEV
	struct iommufd_user_address at;
	int rc;

	mutex_lock(&tm->lock);
	rc = vfio_dma_lookup(&tm->vdev, cmd->iova, &at);
	if (!rc)
		rc = test_watch_add(tm->watch, cmd->iova, &at);
	mutex_unlock(&tm->lock);
	return rc;
#else
	return -EOPNOTSUPP;
#endif
}

static int run(struct test_mdev *tm, struct test_mdev_cmd *cmd)
{
	switch (cmd->op) {
	case TEST_MDEV_PIN:
	case TEST_MDEV_SHADOW:
		return test_mdev_pin(tm, cmd);
	case TEST_MDEV_UNPIN:
		return test_mdev_unpin(tm, cmd);
	case TEST_MDEV_RW:
		return test_mdev_rw(tm, cmd);
	case TEST_MDEV_READ_SHADOW:
		return test_mdev_read_shadow(tm, cmd);
	case TEST_MDEV_LOOKUP:
		return test_mdev_lookup(tm, cmd);
	case TEST_MDEV_STATE:
		mutex_lock(&tm->lock);
		cmd->state = tm->state;
		test_watch_state(tm->watch, &cmd->state);
		mutex_unlock(&tm->lock);
		return 0;
	case TEST_MDEV_HOLD:
		mutex_lock(&tm->lock);
		tm->keep = cmd->length;
		mutex_unlock(&tm->lock);
		return 0;
	case TEST_MDEV_WATCH:
		return test_mdev_watch(tm, cmd);
	default:
		return -EOPNOTSUPP;
	}
}

static long test_mdev_ioctl(struct vfio_device *vdev, unsigned int cmd_nr, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	struct test_mdev_cmd cmd;
	int rc;

	if (cmd_nr != VFIO_TEST_MDEV_CMD)
		return -ENOTTY;
	if (copy_from_user(&cmd, uarg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.argsz != sizeof(cmd))
		return -EINVAL;
	rc = run(to_test_mdev(vdev), &cmd);
	/* What has been done is not undone when the answer cannot be delivered: where there is none, none is */
	if (cmd.op != TEST_MDEV_LOOKUP && cmd.op != TEST_MDEV_STATE)
		return rc;
	if (!rc && copy_to_user(uarg, &cmd, sizeof(cmd)))
		return -EFAULT;
	return rc;
}

static void test_mdev_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct test_mdev *tm = to_test_mdev(vdev);

	mutex_lock(&tm->lock);
	tm->state.unmaps++;
	tm->state.unmap_iova = iova;
	tm->state.unmap_length = length;
	if (tm->keep != TEST_MDEV_KEEP_ALL)
		unpin_range(tm, iova, iova + (length - 1), tm->keep == TEST_MDEV_KEEP_BUT_ONE ? 1 : UINT_MAX);
	mutex_unlock(&tm->lock);
}

static void test_mdev_dma_forget(struct vfio_device *vdev, u64 iova, u64 last)
{
	struct test_mdev *tm = to_test_mdev(vdev);

	mutex_lock(&tm->lock);
	tm->state.forgets++;
	tm->state.forget_iova = iova;
	tm->state.forget_last = last;
	test_watch_forget(tm->watch, iova, last);
	mutex_unlock(&tm->lock);
}

static int test_mdev_open(struct vfio_device *vdev)
{
	struct test_mdev *tm = to_test_mdev(vdev);
	struct test_watch *watch;

	memset(&tm->state, 0, sizeof(tm->state));
	tm->keep = TEST_MDEV_KEEP_NONE;
	watch = test_watch_start(vdev->kvm);
	if (IS_ERR(watch))
		return PTR_ERR(watch);
	tm->watch = watch;
	return 0;
}

static void test_mdev_close(struct vfio_device *vdev)
{
	struct test_mdev *tm = to_test_mdev(vdev);
	struct shadow *shadow, *next;

	mutex_lock(&tm->lock);
	test_watch_stop(tm->watch);
	/* An unmap may tell us still */
	tm->watch = NULL;
	unpin_range(tm, 0, U64_MAX, UINT_MAX);
	list_for_each_entry_safe(shadow, next, &tm->shadows, entry) {
		list_del(&shadow->entry);
		kfree(shadow);
	}
	mutex_unlock(&tm->lock);
}

static int test_mdev_init(struct vfio_device *vdev)
{
	struct test_mdev *tm = to_test_mdev(vdev);

	mutex_init(&tm->lock);
	INIT_LIST_HEAD(&tm->pins);
	INIT_LIST_HEAD(&tm->shadows);
	return 0;
}

static void test_mdev_release(struct vfio_device *vdev)
{
	mutex_destroy(&to_test_mdev(vdev)->lock);
	vfio_free_device(vdev);
}

static const struct vfio_device_ops pinning_ops = {
	.name = "test-mdev-pinning",
	.init = test_mdev_init,
	.release = test_mdev_release,
	.open_device = test_mdev_open,
	.close_device = test_mdev_close,
	.ioctl = test_mdev_ioctl,
	.dma_unmap = test_mdev_dma_unmap,
	.dma_forget = test_mdev_dma_forget,
};

static const struct vfio_device_ops copying_ops = {
	.name = "test-mdev-copying",
	.init = test_mdev_init,
	.release = test_mdev_release,
	.open_device = test_mdev_open,
	.close_device = test_mdev_close,
	.ioctl = test_mdev_ioctl,
};

static struct mdev_type pinning_type = { .sysfs_name = "pinning", .pretty_name = "pins and copies" };
static struct mdev_type copying_type = { .sysfs_name = "copying", .pretty_name = "copies" };
static struct mdev_type *test_mdev_types[] = { &pinning_type, &copying_type };

static int test_mdev_probe(struct mdev_device *mdev)
{
	const struct vfio_device_ops *ops = mdev->type == &pinning_type ? &pinning_ops : &copying_ops;
	struct test_mdev *tm;
	int rc;

	tm = vfio_alloc_device(test_mdev, vdev, &mdev->dev, ops);
	if (IS_ERR(tm))
		return PTR_ERR(tm);
	rc = vfio_register_emulated_iommu_dev(&tm->vdev);
	if (rc) {
		vfio_put_device(&tm->vdev);
		return rc;
	}
	dev_set_drvdata(&mdev->dev, tm);
	return 0;
}

static void test_mdev_remove(struct mdev_device *mdev)
{
	struct test_mdev *tm = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&tm->vdev);
	vfio_put_device(&tm->vdev);
}

static struct mdev_driver test_mdev_driver = {
	.device_api = "test",
	.max_instances = INSTANCES,
	.driver = {
		.name = "test_mdev",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe = test_mdev_probe,
	.remove = test_mdev_remove,
};

static struct mdev_parent test_mdev_parent;

static int __init test_mdev_start(void)
{
	struct device *parent;
	int rc;

	rc = mdev_register_driver(&test_mdev_driver);
	if (rc)
		return rc;
	parent = root_device_register("test_mdev");
	if (IS_ERR(parent)) {
		rc = PTR_ERR(parent);
		goto err_driver;
	}
	rc = mdev_register_parent(&test_mdev_parent, parent, &test_mdev_driver, test_mdev_types,
				  ARRAY_SIZE(test_mdev_types));
	if (rc)
		goto err_parent;
	return 0;

err_parent:
	root_device_unregister(parent);
err_driver:
	mdev_unregister_driver(&test_mdev_driver);
	return rc;
}
late_initcall(test_mdev_start);
