// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs - contexts and all of their areas, for root
 *
 * A directory for each context, by its serial number: "objects" is what fdinfo says, "areas" has a line for each area
 * of each IOAS. Where debugfs is missing or has no memory, these files are missing and nothing else.
 *
 * An area is looked at when its line is next, and no lock is held between two of them: however many there are, a
 * reader that takes its time holds up nobody. Removing the directory waits for reads that are running.
 */
#include <linux/debugfs.h>
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "ctx.h"
#include "debugfs.h"
#include "ioas.h"
#include "ioas_stat.h"
#include "show.h"

static struct dentry *root;

static int objects_show(struct seq_file *m, void *unused)
{
	iommufd_show_objects(m->private, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(objects);

/**
 * struct area_cursor - Where a reader of the areas is
 * @ictx: context
 * @ioas_id: IOAS
 * @iova: where in it
 * @rc: 0: @area is the next line; -EBUSY: it could not be looked at, which is a line as well; else there is none
 * @area: the area at @iova or behind
 */
struct area_cursor {
	struct iommufd_ctx *ictx;
	u32 ioas_id;
	unsigned long iova;
	int rc;
	struct ioas_area_stat area;
};

/* Find the next area from where the cursor is on */
static struct area_cursor *cursor_load(struct area_cursor *c)
{
	struct iommufd_objects *objs = &c->ictx->objs;
	struct iommufd_object *obj;

	c->rc = -ENOENT;
	while (c->rc == -ENOENT) {
		obj = iommufd_object_next(objs, c->ioas_id);
		if (!obj)
			return NULL;
		if (obj->id != c->ioas_id)
			c->iova = 0;
		c->ioas_id = obj->id;
		if (obj->ops == &iommufd_ioas_ops)
			c->rc = ioas_stat_area(&container_of(obj, struct iommufd_ioas, obj)->map, c->iova, &c->area);
		iommufd_object_put(objs, obj);
		if (c->rc == -ENOENT) {
			c->ioas_id++;
			c->iova = 0;
		}
	}
	return c;
}

static void *areas_start(struct seq_file *m, loff_t *pos)
{
	struct area_cursor *c = m->private;

	if (*pos)
		return c->rc == -ENOENT ? NULL : c;
	c->ioas_id = 0;
	c->iova = 0;
	return cursor_load(c);
}

static void *areas_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct area_cursor *c = v;

	++*pos;
	c->iova = c->rc ? 0 : c->area.last + 1;
	if (!c->iova)
		c->ioas_id++;
	return cursor_load(c);
}

static void areas_stop(struct seq_file *m, void *v)
{
}

static int areas_show(struct seq_file *m, void *v)
{
	static const char * const states[] = {
		[IOAS_AREA_FILLING]	= "filling",
		[IOAS_AREA_LIVE]	= "live",
		[IOAS_AREA_DRAINING]	= "draining",
	};
	static const char * const kinds[] = {
		[PIN_SOURCE_USER]	= "user",
		[PIN_SOURCE_FILE]	= "file",
		[PIN_SOURCE_DMABUF]	= "dmabuf",
	};
	static const char * const rights[] = { "none", "r", "w", "rw" };
	struct area_cursor *c = v;
	struct ioas_area_stat *area = &c->area;

	seq_printf(m, "ioas=%u", c->ioas_id);
	if (c->rc) {
		seq_puts(m, " busy=1\n");
		return 0;
	}
	BUILD_BUG_ON(IOMMU_READ != 1 || IOMMU_WRITE != 2);
	seq_printf(m, " iova=0x%lx last=0x%lx prot=%s state=%s source=%s", area->start, area->last,
		   rights[area->prot & (IOMMU_READ | IOMMU_WRITE)], states[area->state], kinds[area->kind]);
	if (area->kind == PIN_SOURCE_USER)
		seq_printf(m, " uaddr=0x%lx", area->uaddr);
	if (area->tally_known)
		seq_printf(m, " pinned=%llu runs=%lu", (u64)area->tally.pages << PAGE_SHIFT, area->tally.runs);
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations areas_seq_ops = {
	.start = areas_start,
	.next = areas_next,
	.stop = areas_stop,
	.show = areas_show,
};

static int areas_open(struct inode *inode, struct file *file)
{
	struct area_cursor *c = __seq_open_private(file, &areas_seq_ops, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->ictx = inode->i_private;
	return 0;
}

static const struct file_operations areas_fops = {
	.owner = THIS_MODULE,
	.open = areas_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/**
 * iommufd_debugfs_init() - Get ready for contexts
 */
void __init iommufd_debugfs_init(void)
{
	root = debugfs_create_dir("iommufd", NULL);
}

/**
 * iommufd_debugfs_exit() - Undo iommufd_debugfs_init()
 */
void iommufd_debugfs_exit(void)
{
	debugfs_remove(root);
}

/**
 * iommufd_debugfs_add() - Let root see a context
 * @ictx: context that is complete
 */
void iommufd_debugfs_add(struct iommufd_ctx *ictx)
{
	char name[24];

	snprintf(name, sizeof(name), "%llu", ictx->serial);
	ictx->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("objects", 0400, ictx->debugfs, ictx, &objects_fops);
	debugfs_create_file("areas", 0400, ictx->debugfs, ictx, &areas_fops);
}

/**
 * iommufd_debugfs_remove() - Undo iommufd_debugfs_add()
 * @ictx: context; when this returns nobody looks at it through debugfs any more
 */
void iommufd_debugfs_remove(struct iommufd_ctx *ictx)
{
	debugfs_remove(ictx->debugfs);
}
