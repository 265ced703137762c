// SPDX-License-Identifier: GPL-2.0-only
/*
 * graph - the tree of show as a picture: DOT by itself, SVG and PNG through Graphviz
 *
 * From left to right: processes, contexts, address spaces, page tables, devices. Devices of one page table are one
 * table with a line each, by group, so that many of them stay readable.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "snapshot.h"

enum shape { PROCESS, CONTEXT, IOAS, TABLE, DEVICES, ACCESSES, NO_IOMMU };

static const struct {
	const char *kind;
	const char *fill;
} shapes[] = {
	[PROCESS] = { "process", "#e8e8e8" },	[CONTEXT] = { "context", "#cfe2f3" },
	[IOAS] = { "ioas", "#fff2cc" },		[TABLE] = { "page_table", "#ead1dc" },
	[DEVICES] = { "devices", "#d9ead3" },	[ACCESSES] = { "accesses", "#f3f3f3" },
	[NO_IOMMU] = { "no_iommu", "#f4cccc" },
};

struct vertex {
	char *id;
	enum shape shape;
	char *title;
	char **lines; /* cells of a line are parted by tabs */
	size_t nr_lines;
};

struct edge {
	char *from, *to;
	bool dashed; /* they have no part in DMA now */
};

struct graph {
	struct vertex *vertices;
	size_t nr_vertices;
	struct edge *edges;
	size_t nr_edges;
};

/* A vertex is known by its id: pointers to it do not outlive the next one. Takes both strings over. */
static struct vertex *add_vertex(struct graph *g, char *id, enum shape shape, char *title)
{
	struct vertex *v = add_one(g->vertices, g->nr_vertices);

	v->id = id;
	v->shape = shape;
	v->title = title;
	return v;
}

static struct vertex *find_vertex(const struct graph *g, const char *id)
{
	size_t i;

	for (i = 0; i < g->nr_vertices; i++)
		if (!strcmp(g->vertices[i].id, id))
			return &g->vertices[i];
	return NULL;
}

/* Takes the line over; an empty one is none. */
static void add_line(struct vertex *v, char *line)
{
	if (*line)
		*(char **)add_one(v->lines, v->nr_lines) = line;
	else
		free(line);
}

static void add_edge(struct graph *g, const char *from, const char *to, bool dashed)
{
	struct edge *e = add_one(g->edges, g->nr_edges);

	e->from = copy_string(from);
	e->to = copy_string(to);
	e->dashed = dashed;
}

static void free_graph(struct graph *g)
{
	struct vertex *v;
	struct edge *e;

	for (v = g->vertices; v < g->vertices + g->nr_vertices; v++) {
		while (v->nr_lines)
			free(v->lines[--v->nr_lines]);
		free(v->lines);
		free(v->id);
		free(v->title);
	}
	for (e = g->edges; e < g->edges + g->nr_edges; e++) {
		free(e->from);
		free(e->to);
	}
	free(g->vertices);
	free(g->edges);
}

/* The vertex of a kind that hangs on another, made when it is wanted for the first time. */
static struct vertex *hanging(struct graph *g, const char *from, const char *suffix, enum shape shape,
			      const char *title, bool dashed)
{
	char *id = format("%s%s", from, suffix);
	struct vertex *v = find_vertex(g, id);

	if (v) {
		free(id);
		return v;
	}
	add_edge(g, from, id, dashed);
	return add_vertex(g, id, shape, copy_string(title));
}

static char *device_line(const struct record *device, const char *pasid)
{
	static const char *const counters[][2] = { { "faults", "page requests" }, { "dma_faults", "DMA faults" } };
	unsigned long long faults;
	char *line, *with_faults;
	size_t i;

	line = format("%s\tgroup %s\t%s%s", escaped(value_or(device, "name", "?")),
		      escaped(value_or(device, "group", "?")), pasid ? "PASID " : "", pasid ? escaped(pasid) : "");
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		if (!number_of(device, counters[i][0], &faults) || !faults)
			continue;
		with_faults = format("%s\t%s: %llu", line, counters[i][1], faults);
		free(line);
		line = with_faults;
	}
	return line;
}

static void add_devices(struct graph *g, struct context *c, const char *context)
{
	char *suffix, *table, *title;
	struct record *a, *device;
	const char *pasid;
	struct vertex *v;

	for (a = NULL; (a = context_next(c, a, "attach", NULL, NULL));) {
		device = context_next(c, NULL, "device", "id", value_or(a, "device", ""));
		if (!device)
			continue;
		device->placed = true;
		pasid = value_or(a, "pasid", "none");
		if (value_of(a, "hwpt")) {
			suffix = format("_h%s", value_of(a, "hwpt"));
			title = format("page table %s", escaped(value_of(a, "hwpt")));
			table = copy_string(hanging(g, context, suffix, TABLE, title, false)->id);
			v = hanging(g, table, "_d", DEVICES, "devices", false);
			free(suffix);
			free(title);
			free(table);
		} else {
			v = hanging(g, context, "_busy", DEVICES, "being attached or detached", true);
		}
		add_line(v, device_line(device, strcmp(pasid, "none") ? pasid : NULL));
	}
	for (a = NULL; (a = context_next(c, a, "device", NULL, NULL));)
		if (!a->placed)
			add_line(hanging(g, context, "_loose", DEVICES, "not attached", true), device_line(a, NULL));
}

static void add_tables(struct graph *g, struct context *c, const char *context)
{
	const char *above, *fault;
	char *id, *from;
	struct record *r;
	struct vertex *v;

	for (r = NULL; (r = context_next(c, r, "hwpt", NULL, NULL));) {
		id = format("%s_h%s", context, value_or(r, "id", "?"));
		v = add_vertex(g, id, TABLE, format("page table %s", escaped(value_or(r, "id", "?"))));
		add_line(v, copy_string(table_kind(r)));
		add_line(v, leaves_text(r));
		fault = value_or(r, "fault", "0");
		if (strcmp(fault, "0") && strcmp(fault, "none"))
			add_line(v, format("faults to queue %s", escaped(fault)));
	}
	for (r = NULL; (r = context_next(c, r, "hwpt", NULL, NULL));) {
		id = format("%s_h%s", context, value_or(r, "id", "?"));
		above = value_or(r, "parent", "");
		from = context_next(c, NULL, "hwpt", "id", above) ? format("%s_h%s", context, above) :
								    format("%s_i%s", context, value_or(r, "ioas", ""));
		add_edge(g, find_vertex(g, from) ? from : context, id, false);
		free(from);
		free(id);
	}
	for (r = NULL; (r = context_next(c, r, "viommu", NULL, NULL));) {
		from = format("%s_h%s", context, value_or(r, "hwpt", ""));
		v = find_vertex(g, from);
		if (v)
			add_line(v, format("viommu %s", escaped(value_or(r, "id", "?"))));
		free(from);
	}
}

static void add_spaces(struct graph *g, struct context *c, const char *context)
{
	char *id, *line;
	const struct open_file *f;
	struct record *r;
	struct vertex *v;

	for (r = NULL; (r = context_next(c, r, "ioas", NULL, NULL));) {
		id = format("%s_i%s", context, value_or(r, "id", "?"));
		add_edge(g, context, id, false);
		v = add_vertex(g, id, IOAS, format("IOAS %s", escaped(value_or(r, "id", "?"))));
		add_line(v, bytes_in(r, "mapped", "mapped", "areas", "area"));
		add_line(v, bytes_in(r, "pinned", "pinned", "runs", "run"));
	}
	for (r = NULL; (r = context_next(c, r, "access", NULL, NULL));) {
		id = format("%s_i%s", context, value_or(r, "ioas", ""));
		f = context_file_of(c, value_or(r, "id", ""));
		line = f ? copy_string(escaped(f->device)) : format("access %s", escaped(value_or(r, "id", "?")));
		add_line(hanging(g, find_vertex(g, id) ? id : context, "_a", ACCESSES, "emulated devices", false),
			 line);
		free(id);
	}
	for (r = NULL; (r = context_next(c, r, "noiommu", NULL, NULL));) {
		id = format("%s_i%s", context, value_or(r, "ioas", ""));
		line = copy_string(escaped(value_or(r, "name", "?")));
		add_line(hanging(g, find_vertex(g, id) ? id : context, "_n", NO_IOMMU, "without an IOMMU", false),
			 line);
		free(id);
	}
}

/* The vertex of a process, by its id, to be freed. */
static char *process_vertex(struct graph *g, const struct open_file *f)
{
	char *id = format("p%d", f->pid);

	if (!find_vertex(g, id))
		add_vertex(g, copy_string(id), PROCESS, process_name(f));
	return id;
}

static void add_context(struct graph *g, struct context *c)
{
	const struct record *about = context_next(c, NULL, "iommufd", NULL, NULL);
	char *id = format("c%s", c->serial), *process;
	struct vertex *v;
	size_t i, j;

	v = add_vertex(g, copy_string(id), CONTEXT, format("context %s", c->serial));
	if (about && value_of(about, "account"))
		add_line(v, format("charged: %s", escaped(value_of(about, "account"))));
	for (i = 0; i < c->nr_files; i++) {
		/* a line for a process, whatever it holds; dashed if that is devices only */
		for (j = 0; j < i && c->files[j].pid != c->files[i].pid; j++)
			;
		if (j < i)
			continue;
		for (j = i; j < c->nr_files && (c->files[j].pid != c->files[i].pid || c->files[j].device); j++)
			;
		process = process_vertex(g, &c->files[i]);
		add_edge(g, process, id, j == c->nr_files);
		free(process);
	}
	add_spaces(g, c, id);
	add_tables(g, c, id);
	add_devices(g, c, id);
	free(id);
}

static void make_graph(struct graph *g, struct snapshot *s)
{
	const struct open_file *f;
	struct vertex *v;
	char *process;
	size_t i;

	/* dot stacks what is not connected from the bottom up */
	for (i = s->nr_contexts; i--;)
		add_context(g, &s->contexts[i]);
	for (f = s->unbound; f < s->unbound + s->nr_unbound; f++) {
		process = process_vertex(g, f);
		v = hanging(g, process, "_d", DEVICES, "bound to no iommufd", true);
		add_line(v, format("%s\topened by its %s", escaped(f->device), escaped(f->opened)));
		free(process);
	}
	for (f = s->silent; f < s->silent + s->nr_silent; f++) {
		process = process_vertex(g, f);
		v = hanging(g, process, "_s", CONTEXT, "/dev/iommu", false);
		if (!v->nr_lines)
			add_line(v, copy_string("this kernel does not tell what is in it"));
		free(process);
	}
}

/* Text in DOT's HTML; what is not plain ASCII has been escaped before. */
static void put_text(FILE *out, const char *text, size_t length)
{
	for (; length; length--, text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			putc(*text, out);
		}
	}
}

/* A table of as many columns as its longest line has cells. */
static void put_vertex(FILE *out, const struct vertex *v, size_t number)
{
	size_t i, columns = 1, cells, length;
	const char *cell;

	for (i = 0; i < v->nr_lines; i++) {
		for (cells = 1, cell = v->lines[i]; (cell = strchr(cell, '\t')); cell++)
			cells++;
		columns = cells > columns ? cells : columns;
	}
	fprintf(out, "\tn%zu [fillcolor=\"%s\", label=<<TABLE BORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"2\">",
		number, shapes[v->shape].fill);
	fprintf(out, "<TR><TD COLSPAN=\"%zu\" ALIGN=\"LEFT\"><B>", columns);
	put_text(out, v->title, strlen(v->title));
	fputs("</B></TD></TR>", out);
	for (i = 0; i < v->nr_lines; i++) {
		fputs("<TR>", out);
		cell = v->lines[i];
		for (cells = 0; cells < columns; cells++) {
			length = strcspn(cell, "\t");
			fputs("<TD ALIGN=\"LEFT\">", out);
			put_text(out, cell, length);
			fputs("</TD>", out);
			cell += length + (cell[length] == '\t');
		}
		fputs("</TR>", out);
	}
	fputs("</TABLE>>];\n", out);
}

static void put_dot(FILE *out, const struct graph *g)
{
	size_t i;

	fputs("digraph iommufd {\n\trankdir=LR;\n\tranksep=0.6;\n\tnodesep=0.15;\n"
	      "\tgraph [fontname=\"Helvetica\"];\n"
	      "\tnode [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=10, margin=\"0.08,0.04\"];\n"
	      "\tedge [color=\"#555555\", arrowsize=0.6];\n",
	      out);
	for (i = 0; i < g->nr_vertices; i++)
		put_vertex(out, &g->vertices[i], i);
	for (i = 0; i < g->nr_edges; i++)
		fprintf(out, "\tn%td -> n%td%s;\n", find_vertex(g, g->edges[i].from) - g->vertices,
			find_vertex(g, g->edges[i].to) - g->vertices, g->edges[i].dashed ? " [style=dashed]" : "");
	if (!g->nr_vertices)
		fputs("\tnothing [label=\"nothing of iommufd is open\"];\n", out);
	fputs("}\n", out);
}

static struct json_object *graph_json(const struct graph *g)
{
	struct json_object *o = json_object_new_object(), *nodes, *edges, *n, *lines;
	const struct vertex *v;
	const struct edge *e;
	size_t i;

	nodes = json_add_array(o, "nodes");
	for (v = g->vertices; v < g->vertices + g->nr_vertices; v++) {
		n = json_object_new_object();
		json_add_string(n, "id", v->id);
		json_add_string(n, "kind", shapes[v->shape].kind);
		json_object_object_add(n, "title", json_object_new_string(v->title));
		lines = json_add_array(n, "lines");
		for (i = 0; i < v->nr_lines; i++)
			json_object_array_add(lines, json_object_new_string(v->lines[i]));
		json_object_array_add(nodes, n);
	}
	edges = json_add_array(o, "edges");
	for (e = g->edges; e < g->edges + g->nr_edges; e++) {
		n = json_object_new_object();
		json_add_string(n, "from", e->from);
		json_add_string(n, "to", e->to);
		json_add_bool(n, "dashed", e->dashed);
		json_object_array_add(edges, n);
	}
	return o;
}

/* Graphviz's dot reads what we write, and writes to our stdout. */
static void run_dot(const struct graph *g, const char *as)
{
	char *option = format("-T%s", as), *argv[] = { "dot", option, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], rc, status;
	FILE *out;
	pid_t dot;

	if (pipe2(ends, O_CLOEXEC))
		die(FAILED, "no pipe: %s", strerror(errno));
	/* a dot that has ended says so by its status */
	signal(SIGPIPE, SIG_IGN);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
	rc = posix_spawnp(&dot, "dot", &actions, NULL, argv, environ);
	if (rc == ENOENT)
		die(FAILED, "%s needs Graphviz: apt install graphviz, or draw the DOT on another machine", as);
	if (rc)
		die(FAILED, "dot does not start: %s", strerror(rc));
	posix_spawn_file_actions_destroy(&actions);
	free(option);
	close(ends[0]);
	out = fdopen(ends[1], "w");
	if (out) {
		put_dot(out, g);
		fclose(out);
	}
	while (waitpid(dot, &status, 0) < 0 && errno == EINTR)
		;
	signal(SIGPIPE, SIG_DFL);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE)
		return;
	if (status)
		die(FAILED, "dot failed");
}

static bool ends_with(const char *string, const char *end)
{
	size_t length = strlen(string), of_end = strlen(end);

	return length >= of_end && !strcmp(string + length - of_end, end);
}

int cmd_graph(int argc, char **argv)
{
	static const struct option own[] = { { "format", required_argument, NULL, 'f' },
					     { "output", required_argument, NULL, 'o' },
					     {} };
	const char *as = NULL, *path = NULL;
	struct graph g = { 0 };
	struct snapshot s;
	int option;

	while ((option = next_option(argc, argv, own)) != -1) {
		if (option == 'f')
			as = optarg;
		else
			path = optarg;
	}
	if (!as)
		as = path && ends_with(path, ".svg") ? "svg" : path && ends_with(path, ".png") ? "png" : "dot";
	if (strcmp(as, "dot") && strcmp(as, "svg") && strcmp(as, "png"))
		usage_error("--format is dot, svg or png, not %s", escaped(as));
	must_take(&s, what_is_wanted(argc, argv));
	make_graph(&g, &s);
	if (path && !freopen(path, "w", stdout))
		die(status_of(errno), "%s: %s", escaped(path), strerror(errno));
	if (settings.json)
		json_put_out(graph_json(&g), false);
	else if (!strcmp(as, "dot"))
		put_dot(stdout, &g);
	else
		run_dot(&g, as);
	free_graph(&g);
	snapshot_free(&s);
	return DONE;
}
