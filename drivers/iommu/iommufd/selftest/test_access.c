// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_access - an emulated device for tests, behind a file of its own
 *
 * It does what an mdev's driver does with iommufd_access_*(), on command: pin, unpin, copy, move to another IOAS. It
 * notes what it has pinned, and gives back whatever of it is being unmapped.
 *
 * Locking: access->lock is held from before a pin until it is noted, so that an unmap finds nothing of it or all.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "test_ops.h"

/* Page lists and buffers are made of the length that the user gives */
#define MAX_LENGTH SZ_16M

/**
 * struct test_access - An emulated device
 * @access: its way to memory
 * @lock: covers @pins and @next_id
 * @pins: what it has pinned
 * @next_id: of the next pin
 */
struct test_access {
	struct iommufd_access *access;
	struct mutex lock;	/* pins and next_id */
	struct list_head pins;
	u32 next_id;
};

/**
 * struct test_pin - A range that an emulated device has pinned
 * @entry: in test_access->pins
 * @iova: first IOVA
 * @length: bytes
 * @id: by which the user gives it back
 */
struct test_pin {
	struct list_head entry;
	unsigned long iova;
	unsigned long length;
	u32 id;
};

static void drop_pin(struct test_access *ta, struct test_pin *pin)
{
	lockdep_assert_held(&ta->lock);
	iommufd_access_unpin_pages(ta->access, pin->iova, pin->length);
	list_del(&pin->entry);
	kfree(pin);
}

static void test_access_unmap(void *data, unsigned long iova, unsigned long last)
{
	struct test_access *ta = data;
	struct test_pin *pin, *next;

	mutex_lock(&ta->lock);
	list_for_each_entry_safe(pin, next, &ta->pins, entry) {
		if (pin->iova <= last && pin->iova + (pin->length - 1) >= iova)
			drop_pin(ta, pin);
	}
	mutex_unlock(&ta->lock);
}

static const struct iommufd_access_ops pinning_ops = {
	.unmap = test_access_unmap,
};

static const struct iommufd_access_ops copying_ops = { };

static void test_access_free(struct test_access *ta)
{
	/* Tells us to let go of everything, if there can be anything */
	iommufd_access_destroy(ta->access);
	mutex_destroy(&ta->lock);
	kfree(ta);
}

static int test_access_release(struct inode *inode, struct file *file)
{
	test_access_free(file->private_data);
	return 0;
}

static const struct file_operations test_access_fops = {
	.release = test_access_release,
};

/* The emulated device behind a file descriptor; for fdput() of *@f */
static struct test_access *get_test_access(int fd, struct fd *f)
{
	*f = fdget(fd);
	if (f->file && f->file->f_op == &test_access_fops)
		return f->file->private_data;
	fdput(*f);
	return ERR_PTR(-EBADFD);
}

static struct test_access *test_access_create(struct iommufd_ctx *ictx, bool pins)
{
	struct test_access *ta = kzalloc(sizeof(*ta), GFP_KERNEL_ACCOUNT);

	if (!ta)
		return ERR_PTR(-ENOMEM);
	mutex_init(&ta->lock);
	INIT_LIST_HEAD(&ta->pins);
	ta->access = iommufd_access_create(ictx, pins ? &pinning_ops : &copying_ops, ta);
	if (IS_ERR(ta->access)) {
		int rc = PTR_ERR(ta->access);

		mutex_destroy(&ta->lock);
		kfree(ta);
		return ERR_PTR(rc);
	}
	return ta;
}

/* Behind a file, whose end is also that of @ta, from now on or because there could be none */
static struct file *test_access_file(struct test_access *ta)
{
	struct file *file = anon_inode_getfile("[iommufd_test_staccess]", &test_access_fops, ta, O_RDWR);

	if (IS_ERR(file))
		test_access_free(ta);
	return file;
}

/**
 * iommufd_test_create_access() - Make an emulated device that is attached to an IOAS
 * @ucmd: struct iommu_test_cmd, create_access
 *
 * Return: 0; -EOPNOTSUPP for flags; -ENOENT; -ENOMEM, also when there is no free file descriptor; and as
 * iommufd_access_attach().
 */
int iommufd_test_create_access(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_access *ta;
	struct file *file;
	int fd, rc;

	if (cmd->create_access.flags & ~MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES)
		return -EOPNOTSUPP;
	ta = test_access_create(ucmd->ictx, cmd->create_access.flags);
	if (IS_ERR(ta))
		return PTR_ERR(ta);
	file = test_access_file(ta);
	if (IS_ERR(file))
		return PTR_ERR(file);
	rc = iommufd_access_attach(ta->access, cmd->id);
	if (rc)
		goto err_file;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		rc = -ENOMEM;
		goto err_file;
	}
	cmd->create_access.out_access_fd = fd;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		goto err_fd;
	fd_install(fd, file);
	return 0;

err_fd:
	put_unused_fd(fd);
err_file:
	fput(file);
	return rc;
}

/**
 * iommufd_test_replace_access() - Move an emulated device to another IOAS
 * @ucmd: struct iommu_test_cmd, access_replace_ioas
 *
 * Return: 0; -EBADFD; and as iommufd_access_attach().
 */
int iommufd_test_replace_access(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_access *ta;
	struct fd f;
	int rc;

	ta = get_test_access(cmd->id, &f);
	if (IS_ERR(ta))
		return PTR_ERR(ta);
	rc = iommufd_access_attach(ta->access, cmd->access_replace_ioas.ioas_id);
	fdput(f);
	return rc;
}

/* Are these the pages that the process sees from @uptr on? */
static int check_pages(u64 uptr, struct page **pages, unsigned long npages)
{
	struct page *page;
	unsigned long i;

	for (i = 0; i < npages; i++) {
		page = iommufd_test_user_page(uptr + i * PAGE_SIZE);
		if (IS_ERR(page))
			return PTR_ERR(page);
		put_page(page);
		if (page != pages[i])
			return -EBADE;
	}
	return 0;
}

/* Pin, check and tell the user; on failure nothing is pinned */
static int make_pin(struct iommufd_ucmd *ucmd, struct test_access *ta, struct test_pin *pin, struct page **pages,
		    unsigned long npages)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 uptr = cmd->access_pages.uptr;
	bool write = cmd->access_pages.flags & MOCK_FLAGS_ACCESS_WRITE;
	int rc;

	lockdep_assert_held(&ta->lock);
	rc = iommufd_access_pin_pages(ta->access, pin->iova, pin->length, pages, write ? IOMMUFD_ACCESS_WRITE : 0);
	if (rc)
		return rc;
	if (uptr)
		rc = check_pages(uptr - offset_in_page(pin->iova), pages, npages);
	if (!rc) {
		cmd->access_pages.out_access_pages_id = ta->next_id;
		rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
	if (rc) {
		iommufd_access_unpin_pages(ta->access, pin->iova, pin->length);
		return rc;
	}
	pin->id = ta->next_id++;
	list_add_tail(&pin->entry, &ta->pins);
	return 0;
}

static int alloc_and_pin(struct iommufd_ucmd *ucmd, struct test_access *ta)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	unsigned long npages;
	struct test_pin *pin;
	struct page **pages;
	int rc = -ENOMEM;

	npages = PAGE_ALIGN(offset_in_page(cmd->access_pages.iova) + cmd->access_pages.length) >> PAGE_SHIFT;
	pages = kvcalloc(npages, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (pages && pin) {
		pin->iova = cmd->access_pages.iova;
		pin->length = cmd->access_pages.length;
		mutex_lock(&ta->lock);
		rc = make_pin(ucmd, ta, pin, pages, npages);
		mutex_unlock(&ta->lock);
	}
	if (rc)
		kfree(pin);
	kvfree(pages);
	return rc;
}

/**
 * iommufd_test_pin_access() - Pin a range through an emulated device
 * @ucmd: struct iommu_test_cmd, access_pages
 *
 * Return: 0; -ENOMEM for more than 16 MiB; -EOPNOTSUPP for flags, or a device that does not pin; -EBADFD; -EBADE if the
 * pages are not those of the process at the address given; -EFAULT; and as iommufd_access_pin_pages().
 */
int iommufd_test_pin_access(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_access *ta;
	struct fd f;
	int rc;

	if (cmd->access_pages.length > MAX_LENGTH)
		return -ENOMEM;
	if (cmd->access_pages.flags & ~MOCK_FLAGS_ACCESS_WRITE)
		return -EOPNOTSUPP;
	ta = get_test_access(cmd->id, &f);
	if (IS_ERR(ta))
		return PTR_ERR(ta);
	rc = alloc_and_pin(ucmd, ta);
	fdput(f);
	return rc;
}

/**
 * iommufd_test_unpin_access() - Undo iommufd_test_pin_access()
 * @ucmd: struct iommu_test_cmd, destroy_access_pages
 *
 * Return: 0; -EBADFD; -ENOENT if there is no such pin, any more.
 */
int iommufd_test_unpin_access(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_access *ta;
	struct test_pin *pin;
	int rc = -ENOENT;
	struct fd f;

	ta = get_test_access(cmd->id, &f);
	if (IS_ERR(ta))
		return PTR_ERR(ta);
	mutex_lock(&ta->lock);
	list_for_each_entry(pin, &ta->pins, entry) {
		if (pin->id == cmd->destroy_access_pages.access_pages_id) {
			drop_pin(ta, pin);
			rc = 0;
			break;
		}
	}
	mutex_unlock(&ta->lock);
	fdput(f);
	return rc;
}

static int copy_through(struct test_access *ta, struct iommu_test_cmd *cmd)
{
	void __user *uptr = u64_to_user_ptr(cmd->access_rw.uptr);
	bool write = cmd->access_rw.flags & MOCK_ACCESS_RW_WRITE;
	size_t length = cmd->access_rw.length;
	unsigned int flags = 0;
	void *buf;
	int rc = 0;

	if (write)
		flags |= IOMMUFD_ACCESS_WRITE;
	if (cmd->access_rw.flags & MOCK_ACCESS_RW_SLOW_PATH)
		flags |= IOMMUFD_ACCESS_REMOTE;
	buf = kvzalloc(length, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	if (write && copy_from_user(buf, uptr, length))
		rc = -EFAULT;
	if (!rc)
		rc = iommufd_access_rw(ta->access, cmd->access_rw.iova, buf, length, flags);
	if (!rc && !write && copy_to_user(uptr, buf, length))
		rc = -EFAULT;
	kvfree(buf);
	return rc;
}

/**
 * iommufd_test_rw_access() - Copy through an emulated device
 * @ucmd: struct iommu_test_cmd, access_rw
 *
 * Return: 0; -ENOMEM for more than 16 MiB; -EOPNOTSUPP for flags; -EBADFD; -EFAULT for the process's side; and as
 * iommufd_access_rw().
 */
int iommufd_test_rw_access(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct test_access *ta;
	struct fd f;
	int rc;

	if (cmd->access_rw.length > MAX_LENGTH)
		return -ENOMEM;
	if (cmd->access_rw.flags & ~(MOCK_ACCESS_RW_WRITE | MOCK_ACCESS_RW_SLOW_PATH))
		return -EOPNOTSUPP;
	ta = get_test_access(cmd->id, &f);
	if (IS_ERR(ta))
		return PTR_ERR(ta);
	rc = copy_through(ta, cmd);
	fdput(f);
	return rc;
}
