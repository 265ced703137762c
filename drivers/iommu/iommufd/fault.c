// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault - page requests on their way to user space, and the answers on their way back
 *
 * A group of requests is *waiting* until it is read, then *given* until it is answered; a cookie says which. Whatever
 * happens, a group is answered once: by user space, or as invalid when its attachment ends, when the file of the
 * queue is closed, or when more wait than the queue holds.
 *
 * This file does not know page tables or devices: who is attached is an address to it, the owner of a group.
 *
 * Locking: fault->mutex, inside it fault->lock. iommufd_fault_take() comes with a spinlock of the core held and takes
 * fault->lock alone. Answers are given with fault->mutex held or before the caller goes on, so when
 * iommufd_fault_flush() returns there is none under way for its owner.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "fault.h"
#include "trace.h"

/* Devices wait for an answer before they send many more, so only a queue that nobody reads gets this long */
#define MAX_GROUPS	4096

/**
 * iommufd_fault_init() - Set up an empty queue
 * @fault: zeroed structure
 */
void iommufd_fault_init(struct iommufd_fault *fault)
{
	mutex_init(&fault->mutex);
	xa_init_flags(&fault->given, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	spin_lock_init(&fault->lock);
	INIT_LIST_HEAD(&fault->waiting);
	init_waitqueue_head(&fault->wait);
}

static void fault_object_destroy(struct iommufd_object *obj)
{
	struct iommufd_fault *fault = container_of(obj, struct iommufd_fault, obj);

	WARN_ON(fault->count);
	xa_destroy(&fault->given);
	mutex_destroy(&fault->mutex);
	kfree(fault);
}

const struct iommufd_object_ops iommufd_fault_ops = {
	.destroy = fault_object_destroy,
	.user_destroy = true,
};

/**
 * iommufd_fault_take() - A group of page requests comes in
 * @fault: queue
 * @fg: group
 * @owner: attachment that it is for; iommufd_fault_flush() comes before its end
 * @dev_id: device as user space knows it
 *
 * Context: Any process context, spinlocks may be held.
 * Return: true if the queue has taken @fg and will answer it; false if the caller has to.
 */
bool iommufd_fault_take(struct iommufd_fault *fault, struct iommu_fault_group *fg, const void *owner, u32 dev_id)
{
	u64 begin = trace_begin(iommufd_fault);
	bool take;

	spin_lock(&fault->lock);
	take = !fault->closed && fault->count < MAX_GROUPS;
	if (take) {
		fg->owner = owner;
		fg->dev_id = dev_id;
		fg->begin = begin;
		list_add_tail(&fg->entry, &fault->waiting);
		fault->num_waiting++;
		fault->count++;
		fault->total++;
		wake_up_interruptible_poll(&fault->wait, EPOLLIN | EPOLLRDNORM);
	}
	spin_unlock(&fault->lock);
	if (!take)
		trace_iommufd_fault(fault->ictx->serial, fault->obj.id, dev_id, fg->requests, fg->num,
				    IOMMU_PAGE_RESP_FAILURE, begin);
	return take;
}

static void answer(struct iommufd_fault *fault, struct iommu_fault_group *fg, enum iommu_page_response_code code)
{
	trace_iommufd_fault(fault->ictx->serial, fault->obj.id, fg->dev_id, fg->requests, fg->num, code, fg->begin);
	iommu_fault_group_respond(fg, code);
	spin_lock(&fault->lock);
	fault->count--;
	spin_unlock(&fault->lock);
}

/**
 * iommufd_fault_flush() - Answer as invalid what is left of an attachment
 * @fault: queue
 * @owner: attachment for which no group comes any more; NULL for all of them
 */
void iommufd_fault_flush(struct iommufd_fault *fault, const void *owner)
{
	struct iommu_fault_group *fg, *next;
	unsigned long cookie;
	LIST_HEAD(list);

	mutex_lock(&fault->mutex);
	spin_lock(&fault->lock);
	list_for_each_entry_safe(fg, next, &fault->waiting, entry) {
		if (!owner || fg->owner == owner) {
			list_move_tail(&fg->entry, &list);
			fault->num_waiting--;
		}
	}
	spin_unlock(&fault->lock);
	list_for_each_entry_safe(fg, next, &list, entry)
		answer(fault, fg, IOMMU_PAGE_RESP_INVALID);

	xa_for_each(&fault->given, cookie, fg) {
		if (!owner || fg->owner == owner) {
			xa_erase(&fault->given, cookie);
			answer(fault, fg, IOMMU_PAGE_RESP_INVALID);
		}
	}
	mutex_unlock(&fault->mutex);
}

static struct iommu_fault_group *pop_waiting(struct iommufd_fault *fault)
{
	struct iommu_fault_group *fg;

	spin_lock(&fault->lock);
	fg = list_first_entry_or_null(&fault->waiting, struct iommu_fault_group, entry);
	if (fg) {
		list_del(&fg->entry);
		fault->num_waiting--;
	}
	spin_unlock(&fault->lock);
	return fg;
}

static void push_back(struct iommufd_fault *fault, struct iommu_fault_group *fg)
{
	spin_lock(&fault->lock);
	list_add(&fg->entry, &fault->waiting);
	fault->num_waiting++;
	spin_unlock(&fault->lock);
}

static u32 user_flags(u32 flags)
{
	u32 result = 0;

	if (flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID)
		result |= IOMMU_PGFAULT_FLAGS_PASID_VALID;
	if (flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
		result |= IOMMU_PGFAULT_FLAGS_LAST_PAGE;
	return result;
}

static u32 user_perm(u32 perm)
{
	u32 result = 0;

	if (perm & IOMMU_FAULT_PERM_READ)
		result |= IOMMU_PGFAULT_PERM_READ;
	if (perm & IOMMU_FAULT_PERM_WRITE)
		result |= IOMMU_PGFAULT_PERM_WRITE;
	if (perm & IOMMU_FAULT_PERM_EXEC)
		result |= IOMMU_PGFAULT_PERM_EXEC;
	if (perm & IOMMU_FAULT_PERM_PRIV)
		result |= IOMMU_PGFAULT_PERM_PRIV;
	return result;
}

static int copy_group(const struct iommu_fault_group *fg, char __user *buf)
{
	unsigned int i;

	for (i = 0; i < fg->num; i++) {
		const struct iommu_fault_page_request *req = &fg->requests[i];
		struct iommu_hwpt_pgfault record = {
			.flags = user_flags(req->flags),
			.dev_id = fg->dev_id,
			.grpid = req->grpid,
			.perm = user_perm(req->perm),
			.addr = req->addr,
			.cookie = fg->cookie,
		};

		if (record.flags & IOMMU_PGFAULT_FLAGS_PASID_VALID)
			record.pasid = req->pasid;
		if (copy_to_user(buf + i * sizeof(record), &record, sizeof(record)))
			return -EFAULT;
	}
	return 0;
}

/* From waiting to given; on error the group is still the first that waits */
static int give(struct iommufd_fault *fault, struct iommu_fault_group *fg, char __user *buf)
{
	int rc;

	lockdep_assert_held(&fault->mutex);
	rc = xa_alloc_cyclic(&fault->given, &fg->cookie, fg, xa_limit_32b, &fault->next_cookie, GFP_KERNEL_ACCOUNT);
	if (rc < 0)
		return rc;
	rc = copy_group(fg, buf);
	if (rc)
		xa_erase(&fault->given, fg->cookie);
	return rc;
}

/**
 * iommufd_fault_read() - Give groups to user space
 * @fault: queue
 * @buf: where to
 * @count: bytes
 *
 * As many whole groups as fit, oldest first. Never waits for one.
 *
 * Return: bytes, 0 if no group waits; -ESPIPE if @count is no multiple of a record; -EINVAL if the first group does
 * not fit; -EFAULT; -ENOMEM; -EINTR.
 */
ssize_t iommufd_fault_read(struct iommufd_fault *fault, char __user *buf, size_t count)
{
	struct iommu_fault_group *fg;
	size_t done = 0, bytes;
	int rc;

	if (count % sizeof(struct iommu_hwpt_pgfault))
		return -ESPIPE;
	rc = mutex_lock_killable(&fault->mutex);
	if (rc)
		return rc;
	while ((fg = pop_waiting(fault))) {
		bytes = fg->num * sizeof(struct iommu_hwpt_pgfault);
		rc = bytes <= count - done ? give(fault, fg, buf + done) : -EINVAL;
		if (rc) {
			push_back(fault, fg);
			break;
		}
		done += bytes;
	}
	mutex_unlock(&fault->mutex);
	return done ?: rc;
}

static int answer_cookie(struct iommufd_fault *fault, const struct iommu_hwpt_page_response *response)
{
	enum iommu_page_response_code code = IOMMU_PAGE_RESP_INVALID;
	struct iommu_fault_group *fg;

	lockdep_assert_held(&fault->mutex);
	if (response->code == IOMMUFD_PAGE_RESP_SUCCESS)
		code = IOMMU_PAGE_RESP_SUCCESS;
	else if (response->code != IOMMUFD_PAGE_RESP_INVALID)
		return -EINVAL;
	fg = xa_erase(&fault->given, response->cookie);
	if (!fg)
		return -EINVAL;
	answer(fault, fg, code);
	return 0;
}

/**
 * iommufd_fault_write() - Take answers from user space
 * @fault: queue
 * @buf: the answers
 * @count: bytes
 *
 * Return: bytes of the answers that were carried out, or for the first one: -ESPIPE if @count is no multiple of an
 * answer; -EINVAL if nothing was given with that cookie or there is no such code; -EFAULT; -EINTR.
 */
ssize_t iommufd_fault_write(struct iommufd_fault *fault, const char __user *buf, size_t count)
{
	struct iommu_hwpt_page_response response;
	size_t done = 0;
	int rc;

	if (count % sizeof(response))
		return -ESPIPE;
	rc = mutex_lock_killable(&fault->mutex);
	if (rc)
		return rc;
	for (; done < count; done += sizeof(response)) {
		rc = copy_from_user(&response, buf + done, sizeof(response)) ? -EFAULT : 0;
		if (!rc)
			rc = answer_cookie(fault, &response);
		if (rc)
			break;
		cond_resched();
	}
	mutex_unlock(&fault->mutex);
	return done ?: rc;
}

static ssize_t fault_fops_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)
{
	return iommufd_fault_read(file->private_data, buf, count);
}

static ssize_t fault_fops_write(struct file *file, const char __user *buf, size_t count, loff_t *ppos)
{
	return iommufd_fault_write(file->private_data, buf, count);
}

static __poll_t fault_fops_poll(struct file *file, poll_table *wait)
{
	struct iommufd_fault *fault = file->private_data;
	__poll_t events = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &fault->wait, wait);
	spin_lock(&fault->lock);
	if (!list_empty(&fault->waiting))
		events |= EPOLLIN | EPOLLRDNORM;
	spin_unlock(&fault->lock);
	return events;
}

static int fault_fops_release(struct inode *inode, struct file *file)
{
	struct iommufd_fault *fault = file->private_data;
	struct iommufd_ctx *ictx = fault->ictx;

	spin_lock(&fault->lock);
	fault->closed = true;
	spin_unlock(&fault->lock);
	iommufd_fault_flush(fault, NULL);
	iommufd_object_unlink(&ictx->objs, &fault->obj);
	iommufd_ctx_put(ictx);
	return 0;
}

static const struct file_operations fault_fops = {
	.owner = THIS_MODULE,
	.read = fault_fops_read,
	.write = fault_fops_write,
	.poll = fault_fops_poll,
	.release = fault_fops_release,
	.llseek = no_llseek,
};

/* Told to the user, and behind a file; the id is reserved. The file comes last, because it cannot be taken back. */
static struct file *fault_open(struct iommufd_ucmd *ucmd, struct iommufd_fault *fault, int fd)
{
	struct iommu_fault_alloc *cmd = ucmd->cmd;
	struct file *file;
	int rc;

	cmd->out_fault_id = fault->obj.id;
	cmd->out_fault_fd = fd;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		return ERR_PTR(rc);
	file = anon_inode_getfile("[iommufd_fault]", &fault_fops, fault, O_RDWR);
	if (IS_ERR(file))
		return file;
	stream_open(NULL, file);
	iommufd_ctx_get(ucmd->ictx);
	iommufd_object_link(&ucmd->ictx->objs, &fault->obj);
	return file;
}

/**
 * iommufd_ioctl_fault_queue_alloc() - IOMMU_FAULT_QUEUE_ALLOC
 * @ucmd: struct iommu_fault_alloc
 *
 * Return: 0; -EOPNOTSUPP for flags; -EMFILE or -ENFILE without a free file descriptor; -EFAULT; -ENOMEM.
 */
int iommufd_ioctl_fault_queue_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_fault_alloc *cmd = ucmd->cmd;
	struct iommufd_fault *fault;
	struct file *file;
	int rc, fd;

	if (cmd->flags)
		return -EOPNOTSUPP;
	fault = kzalloc(sizeof(*fault), GFP_KERNEL_ACCOUNT);
	if (!fault)
		return -ENOMEM;
	fault->ictx = ucmd->ictx;
	iommufd_fault_init(fault);
	rc = iommufd_object_reserve(&ucmd->ictx->objs, &fault->obj, &iommufd_fault_ops);
	if (rc)
		goto err_free;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		rc = fd;
		goto err_cancel;
	}
	file = fault_open(ucmd, fault, fd);
	if (IS_ERR(file)) {
		rc = PTR_ERR(file);
		goto err_fd;
	}
	iommufd_object_publish(&ucmd->ictx->objs, &fault->obj);
	fd_install(fd, file);
	return 0;

err_fd:
	put_unused_fd(fd);
err_cancel:
	iommufd_object_cancel(&ucmd->ictx->objs, &fault->obj);
err_free:
	fault_object_destroy(&fault->obj);
	return rc;
}
