// SPDX-License-Identifier: GPL-2.0-only
/*
 * show - process, context, IOAS, page table, device and PASID, as a tree
 *
 * A context that several processes hold stands below the one that uses it and names the others. Nested page tables
 * stand below their parent. What has no place above it in the same snapshot stands below the context: objects may
 * come and go while the kernel tells of them.
 */
#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "snapshot.h"

struct node {
	char *head;
	char *rest;
	enum colour colour;
	struct node *children;
	struct node **end; /* where the next child goes */
	struct node *next;
};

/* What joins the lines of a tree. */
struct glyphs {
	const char *child, *last_child, *beside, *below;
};

/* Takes both strings over. */
static struct node *add(struct node *parent, enum colour colour, char *head, char *rest)
{
	struct node *n = grow(NULL, 1, sizeof(*n));

	*n = (struct node){ .head = head, .rest = rest, .colour = colour };
	n->end = &n->children;
	*parent->end = n;
	parent->end = &n->next;
	return n;
}

static void free_children(struct node *parent)
{
	struct node *n = parent->children, *next;

	for (; n; n = next) {
		next = n->next;
		free_children(n);
		free(n->head);
		free(n->rest);
		free(n);
	}
}

/* "3 waiting", if the kernel told how many */
static char *number_text(const struct record *r, const char *key, const char *what)
{
	unsigned long long n;

	return number_of(r, key, &n) ? format("%llu %s", n, what) : copy_string("");
}

/* "12 areas" */
static char *count_text(const struct record *r, const char *key, const char *what)
{
	unsigned long long n;

	return number_of(r, key, &n) ? format("%llu %s%s", n, what, plural(n)) : copy_string("");
}

static void add_area(struct node *ioas, const struct record *r)
{
	const char *source = value_or(r, "source", ""), *uaddr = value_of(r, "uaddr"),
		   *state = value_or(r, "state", "live");
	char *rest;

	if (!value_of(r, "iova")) {
		add(ioas, PLAIN, copy_string("areas"), copy_string("not known, they are being changed"));
		return;
	}
	rest = copy_string(escaped(value_or(r, "prot", "")));
	if (!strcmp(source, "user"))
		say(&rest, uaddr ? format("user memory at %s", escaped(uaddr)) : copy_string("user memory"));
	else if (*source)
		say(&rest, format("memory of a %s", escaped(source)));
	say(&rest, bytes_in(r, "pinned", "pinned", "runs", "run"));
	if (strcmp(state, "live"))
		say(&rest, format("now %s", escaped(state)));
	add(ioas, PLAIN, format("%s-%s", escaped(value_of(r, "iova")), escaped(value_or(r, "last", "?"))), rest);
}

/* "open as 3 and 5 in name[pid]": the files by which a process has the context, or the device of this id, if it has */
static void say_open_in(char **sentence, const struct context *c, const char *id, int pid, bool named)
{
	const struct open_file *f, *end = c->files + c->nr_files;
	char *text = NULL, *name = NULL, *longer;

	for (f = c->files; f < end; f++) {
		if (f->pid != pid || (id ? !f->id || strcmp(f->id, id) : !!f->device))
			continue;
		longer = format("%s%s%d", text ? text : "", text ? " and " : "open as ", f->fd);
		free(text);
		text = longer;
		free(name);
		name = process_name(f);
	}
	if (text)
		say(sentence, named ? format("%s in %s", text, name) : copy_string(text));
	free(text);
	free(name);
}

/* All who have it open: the process whose tree it is, without its name, and then the others. */
static void say_open(char **sentence, const struct context *c, const char *id, int pid)
{
	const struct open_file *f;
	int last = pid;

	say_open_in(sentence, c, id, pid, false);
	for (f = c->files; f < c->files + c->nr_files; f++) {
		if (f->pid == pid || f->pid == last)
			continue;
		last = f->pid;
		say_open_in(sentence, c, id, f->pid, true);
	}
}

static void add_device(struct node *parent, struct context *c, struct record *device, const char *pasid, char *how,
		       int pid)
{
	const char *name = value_or(device, "name", "device");
	static const char *const counters[][2] = { { "faults", "page request" }, { "dma_faults", "DMA fault" } };
	unsigned long long faults;
	char *rest;
	size_t i;

	rest = format("device %s, group %s", escaped(value_or(device, "id", "?")),
		      escaped(value_or(device, "group", "?")));
	say(&rest, how);
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		if (number_of(device, counters[i][0], &faults) && faults)
			say(&rest, count_text(device, counters[i][0], counters[i][1]));
	if (!pasid)
		say_open(&rest, c, value_or(device, "id", "?"), pid);
	add(parent, GREEN, format("%s%s%s", escaped(name), pasid ? " PASID " : "", pasid ? escaped(pasid) : ""), rest);
	device->placed = true;
}

static struct record *device_of(struct context *c, const struct record *attach)
{
	return context_next(c, NULL, "device", "id", value_or(attach, "device", ""));
}

static const char *pasid_of(const struct record *attach)
{
	const char *pasid = value_or(attach, "pasid", "none");

	return strcmp(pasid, "none") ? pasid : NULL;
}

static void add_viommu(struct node *parent, struct record *r)
{
	r->placed = true;
	add(parent, BLUE, format("viommu %s", escaped(value_or(r, "id", "?"))),
	    copy_string("IOMMU of a virtual machine"));
}

static void add_table(struct node *parent, struct context *c, struct record *table, int pid)
{
	const char *id = value_or(table, "id", ""), *fault = value_or(table, "fault", "0");
	struct record *r, *device;
	struct node *n;
	char *rest;

	table->placed = true;
	rest = copy_string(table_kind(table));
	say(&rest, leaves_text(table));
	if (strcmp(fault, "0") && strcmp(fault, "none"))
		say(&rest, format("faults go to queue %s", escaped(fault)));
	n = add(parent, BLUE, format("page table %s", escaped(id)), rest);
	for (r = NULL; (r = context_next(c, r, "attach", "hwpt", id));) {
		device = device_of(c, r);
		if (device) {
			add_device(n, c, device, pasid_of(r), copy_string(""), pid);
			r->placed = true;
		}
	}
	for (r = NULL; (r = context_next(c, r, "viommu", "hwpt", id));)
		add_viommu(n, r);
	for (r = NULL; (r = context_next(c, r, "hwpt", "parent", id));)
		if (!r->placed)
			add_table(n, c, r, pid);
}

static void add_access(struct node *parent, struct context *c, struct record *r, const char *where, int pid)
{
	const char *id = value_or(r, "id", "?");
	const struct open_file *f = context_file_of(c, id);
	char *rest = f ? format("emulated device, access %s", escaped(id)) : copy_string("an emulated device");

	say(&rest, copy_string(where));
	say_open(&rest, c, id, pid);
	add(parent, GREEN, f ? copy_string(escaped(f->device)) : format("access %s", escaped(id)), rest);
	r->placed = true;
}

static void add_noiommu(struct node *parent, struct context *c, struct record *r, const char *where, int pid)
{
	char *rest = copy_string("no IOMMU, has physical addresses");

	say(&rest, copy_string(where));
	say_open(&rest, c, value_or(r, "id", "?"), pid);
	add(parent, RED, copy_string(escaped(value_or(r, "name", "?"))), rest);
	r->placed = true;
}

/* Why an object has no place: the kernel could not look, or there is none. */
static const char *nowhere(const struct record *r)
{
	return value_of(r, "busy") ? "just being attached or detached" : "not attached";
}

static void add_ioas(struct node *parent, struct context *c, struct record *ioas, int pid)
{
	const char *id = value_or(ioas, "id", ""), *above;
	struct record *r;
	struct node *n;
	char *rest;

	rest = bytes_in(ioas, "mapped", "mapped", "areas", "area");
	say(&rest, bytes_in(ioas, "pinned", "pinned", "runs", "run"));
	n = add(parent, YELLOW, format("IOAS %s", escaped(id)), rest);
	for (r = NULL; (r = context_next(c, r, "hwpt", "ioas", id));) {
		above = value_or(r, "parent", "");
		if (!r->placed && !context_next(c, NULL, "hwpt", "id", above))
			add_table(n, c, r, pid);
	}
	for (r = NULL; (r = context_next(c, r, "access", "ioas", id));)
		add_access(n, c, r, "", pid);
	for (r = NULL; (r = context_next(c, r, "noiommu", "ioas", id));)
		add_noiommu(n, c, r, "", pid);
	for (r = NULL; (r = context_next(c, r, "area", "ioas", id));)
		add_area(n, r);
}

/* What stands nowhere yet: what belongs to no address space, and what lost the object above it meanwhile. */
static void add_rest(struct node *parent, struct context *c, int pid)
{
	struct record *r, *device;
	char *rest, *how;

	for (r = NULL; (r = context_next(c, r, "hwpt", NULL, NULL));)
		if (!r->placed)
			add_table(parent, c, r, pid);
	for (r = NULL; (r = context_next(c, r, "viommu", NULL, NULL));)
		if (!r->placed)
			add_viommu(parent, r);
	for (r = NULL; (r = context_next(c, r, "attach", NULL, NULL));) {
		device = r->placed ? NULL : device_of(c, r);
		if (!device)
			continue;
		how = value_of(r, "hwpt") ? format("in page table %s", escaped(value_of(r, "hwpt"))) :
					    copy_string(nowhere(r));
		add_device(parent, c, device, pasid_of(r), how, pid);
	}
	for (r = NULL; (r = context_next(c, r, "device", NULL, NULL));)
		if (!r->placed)
			add_device(parent, c, r, NULL, copy_string(nowhere(r)), pid);
	for (r = NULL; (r = context_next(c, r, "access", NULL, NULL));)
		if (!r->placed)
			add_access(parent, c, r, nowhere(r), pid);
	for (r = NULL; (r = context_next(c, r, "noiommu", NULL, NULL));)
		if (!r->placed)
			add_noiommu(parent, c, r, nowhere(r), pid);
	for (r = NULL; (r = context_next(c, r, "fault", NULL, NULL));) {
		rest = number_text(r, "waiting", "waiting");
		say(&rest, number_text(r, "given", "unanswered"));
		say(&rest, number_text(r, "total", "in all"));
		add(parent, BLUE, format("fault queue %s", escaped(value_or(r, "id", "?"))), rest);
	}
}

static void add_context(struct node *parent, struct context *c, int pid)
{
	const struct record *about = context_next(c, NULL, "iommufd", NULL, NULL);
	const char *account;
	struct record *r;
	struct node *n;
	char *rest;

	rest = about ? count_text(about, "objects", "object") : copy_string("");
	account = about ? value_of(about, "account") : NULL;
	if (account)
		say(&rest, !strcmp(account, "none") ? copy_string("memory not charged") :
						      format("memory charged to the %s", escaped(account)));
	say_open(&rest, c, NULL, pid);
	if (!c->complete)
		say(&rest, copy_string("known by its devices only"));
	n = add(parent, BOLD, format("context %s", c->serial), rest);
	for (r = NULL; (r = context_next(c, r, "ioas", NULL, NULL));)
		add_ioas(n, c, r, pid);
	add_rest(n, c, pid);
}

/* Of two open files that of the lower process, of those above @pid. */
static const struct open_file *nearer(const struct open_file *a, const struct open_file *b, int pid)
{
	if (!b || b->pid <= pid)
		return a;
	return !a || b->pid < a->pid ? b : a;
}

static const struct open_file *next_process(const struct snapshot *s, int pid)
{
	const struct open_file *next = NULL;
	size_t i;

	for (i = 0; i < s->nr_contexts; i++)
		next = nearer(next, context_owner(&s->contexts[i]), pid);
	for (i = 0; i < s->nr_unbound; i++)
		next = nearer(next, &s->unbound[i], pid);
	for (i = 0; i < s->nr_silent; i++)
		next = nearer(next, &s->silent[i], pid);
	return next;
}

static void add_process(struct node *root, struct snapshot *s, const struct open_file *process)
{
	struct node *n = add(root, BOLD, process_name(process), copy_string(""));
	const struct open_file *h;
	struct context *c;

	for (c = s->contexts; c < s->contexts + s->nr_contexts; c++)
		if (context_owner(c) && context_owner(c)->pid == process->pid)
			add_context(n, c, process->pid);
	for (h = s->unbound; h < s->unbound + s->nr_unbound; h++)
		if (h->pid == process->pid)
			add(n, GREEN, copy_string(escaped(h->device)),
			    format("open as %d by its %s, bound to no iommufd", h->fd, escaped(h->opened)));
	for (h = s->silent; h < s->silent + s->nr_silent; h++)
		if (h->pid == process->pid)
			add(n, BOLD, copy_string("/dev/iommu"),
			    format("open as %d, this kernel does not tell what is in it", h->fd));
}

static void make_tree(struct node *root, struct snapshot *s)
{
	const struct open_file *process = NULL;
	struct node *nobody = NULL;
	struct context *c;

	while ((process = next_process(s, process ? process->pid : 0)))
		add_process(root, s, process);
	for (c = s->contexts; c < s->contexts + s->nr_contexts; c++) {
		if (context_owner(c))
			continue;
		if (!nobody)
			nobody = add(root, BOLD, copy_string("no open file"),
				     copy_string("mapped registers, a message in a socket or who may not be asked"));
		add_context(nobody, c, 0);
	}
}

/* Columns that a line takes; all that is shown is ASCII but for the glyphs, which take three each. */
static void print_rest(const char *rest, const char *beside, int column, int indent, int width)
{
	int length;

	while (*rest) {
		length = strcspn(rest, " ");
		if (column + 1 + length > width && column > indent) {
			printf("\n%s", beside);
			column = indent;
		}
		printf(" %.*s", length, rest);
		column += 1 + length;
		rest += length + strspn(rest + length, " ");
	}
}

static void print_children(const struct node *parent, const struct glyphs *g, const char *before, int depth, int width)
{
	const struct node *n;
	char *below, *beside;

	for (n = parent->children; n; n = n->next) {
		below = format("%s%s", before, depth ? (n->next ? g->beside : g->below) : "");
		beside = format("%s%s  ", below, n->children ? g->beside : g->below);
		printf("%s%s%s%s%s%s", before, depth ? (n->next ? g->child : g->last_child) : "", colour(n->colour),
		       n->head, colour(PLAIN), *n->rest ? ":" : "");
		print_rest(n->rest, beside, 3 * depth + strlen(n->head) + 1, 3 * depth + 5, width);
		putchar('\n');
		print_children(n, g, below, depth + 1, width);
		free(below);
		free(beside);
	}
}

static void print_tree(struct snapshot *s)
{
	static const struct glyphs lines = { "├─ ", "└─ ", "│  ", "   " };
	static const struct glyphs ascii = { "|- ", "`- ", "|  ", "   " };
	struct node root = { 0 };

	root.end = &root.children;
	make_tree(&root, s);
	setlocale(LC_CTYPE, "");
	/* what is not a terminal, another program say, has lines without an end */
	print_children(&root, strcmp(nl_langinfo(CODESET), "UTF-8") ? &ascii : &lines, "", 0,
		       isatty(STDOUT_FILENO) ? settings.columns : INT_MAX);
	free_children(&root);
}

static void read_areas(struct snapshot *s)
{
	size_t i;
	int rc;

	for (i = 0; i < s->nr_contexts; i++) {
		rc = context_read_areas(&s->contexts[i]);
		/* a context may be gone again, debugfs not */
		if (rc == -EACCES)
			die(NOT_PERMITTED, "areas are in debugfs, which this user may not read: try as root");
		if (rc && !path_exists(DEBUGFS_IOMMUFD))
			die(NOT_USABLE,
			    "areas are in %s, which is not there: try \"mount -t debugfs none /sys/kernel/debug\"",
			    DEBUGFS_IOMMUFD);
	}
}

int cmd_show(int argc, char **argv)
{
	static const struct option own[] = { { "areas", no_argument, NULL, 'a' }, {} };
	struct snapshot s;
	bool areas = false;

	while (next_option(argc, argv, own) != -1)
		areas = true;
	must_take(&s, what_is_wanted(argc, argv));
	if (areas)
		read_areas(&s);
	if (settings.json)
		json_put_out(snapshot_json(&s), false);
	else if (!snapshot_is_empty(&s))
		print_tree(&s);
	else
		printf("nobody has /dev/iommu open\n");
	snapshot_free(&s);
	return DONE;
}
