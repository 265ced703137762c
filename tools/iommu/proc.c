// SPDX-License-Identifier: GPL-2.0-only
/*
 * proc - what the processes of a machine hold of /dev/iommu and of VFIO's devices, as the kernel tells in fdinfo
 *
 * First all files are read, then contexts are made of them: whoever holds the context itself tells all of it, the
 * same for each of its holders; debugfs tells it for contexts without one; a device's file knows that device only.
 * Kinds and keys that are not known here stay in the records, and lines of another form are no records.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "pci.h"
#include "proc.h"

/* What was read of one file of one process, or of one context in debugfs (pid 0). */
struct source {
	struct open_file file;
	char *serial; /* NULL: not bound to a context */
	char *text;
	struct record *records;
	size_t nr_records;
};

struct sources {
	struct source *list;
	size_t nr;
};

void *with_room(void *array, size_t nr, size_t size)
{
	/* full whenever there are as many as a power of two */
	return nr & (nr - 1) ? array : grow(array, nr ? 2 * nr : 1, size);
}

const char *value_of(const struct record *r, const char *key)
{
	size_t length = strlen(key);
	const char *word;

	for (word = r->words; word < r->end; word += strlen(word) + 1)
		if (!strncmp(word, key, length) && word[length] == '=')
			return word + length + 1;
	return NULL;
}

const char *value_or(const struct record *r, const char *key, const char *otherwise)
{
	const char *value = value_of(r, key);

	return value ? value : otherwise;
}

bool number_of(const struct record *r, const char *key, unsigned long long *number)
{
	const char *value = value_of(r, key);
	char *end;

	if (!value || !isdigit((unsigned char)*value))
		return false;
	errno = 0;
	*number = strtoull(value, &end, 10);
	return !*end && !errno;
}

bool record_is(const struct record *r, const char *kind, const char *key, const char *value)
{
	const char *found;

	if (strcmp(r->kind, kind))
		return false;
	found = key ? value_of(r, key) : NULL;
	return !key || (found && !strcmp(found, value));
}

struct record *context_next(const struct context *c, const struct record *after, const char *kind, const char *key,
			    const char *value)
{
	struct record *r = after ? c->records + (after - c->records) + 1 : c->records;

	for (; r < c->records + c->nr_records; r++)
		if (record_is(r, kind, key, value))
			return r;
	return NULL;
}

const struct open_file *context_file_of(const struct context *c, const char *id)
{
	size_t i;

	for (i = 0; i < c->nr_files; i++)
		if (c->files[i].id && !strcmp(c->files[i].id, id))
			return &c->files[i];
	return NULL;
}

/* Whether the process of a context's file has one of its devices open too. */
static bool has_devices(const struct context *c, int pid)
{
	size_t i;

	for (i = 0; i < c->nr_files; i++)
		if (c->files[i].device && c->files[i].pid == pid)
			return true;
	return false;
}

const struct open_file *context_owner(const struct context *c)
{
	const struct open_file *f, *owner = NULL;

	for (f = c->files; f < c->files + c->nr_files; f++) {
		if (f->device)
			continue;
		if (has_devices(c, f->pid))
			return f;
		if (!owner)
			owner = f;
	}
	return owner || !c->nr_files ? owner : c->files;
}

/* The kernel writes what would not be a value, blanks for example, as \ooo. */
static bool is_octal(const char *s)
{
	return s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7';
}

/* Moves a word to the left, as it was before the kernel wrote it; the end of what it has become. */
static char *take_word(char *to, const char *from, size_t length)
{
	const char *end = from + length;
	char c;

	while (from < end) {
		c = *from;
		if (is_octal(from)) {
			c = (from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0');
			from += 3;
		}
		from++;
		/* a NUL would end it, and no name has one */
		*to++ = c ? c : '?';
	}
	*to++ = '\0';
	return to;
}

/* The words of a line, each with its NUL instead of what parted it; false when one of them is not "key=value". */
static bool parse_words(char *line, char *end, struct record *r)
{
	char *from, *to = line;
	size_t length;

	r->words = line;
	for (from = line; from < end;) {
		length = strcspn(from, " \t");
		if (length) {
			if (*from == '=' || !memchr(from, '=', length))
				return false;
			to = take_word(to, from, length);
			from += length;
		}
		/* the end of the line is a NUL too */
		from++;
	}
	r->end = to;
	return to > line;
}

/*
 * The records of a text, appended to a list. @kind is that of every line, or NULL when each line begins with its own.
 * The text is cut into pieces that the records point to.
 */
static void parse(char *text, const char *kind, struct record **records, size_t *nr)
{
	char *line, *end, *next, *words;
	struct record r;

	for (line = text; *line; line = next) {
		end = line + strcspn(line, "\n");
		next = *end ? end + 1 : end;
		*end = '\0';
		memset(&r, 0, sizeof(r));
		words = line;
		r.kind = kind;
		if (!kind) {
			words = line + strcspn(line, ": \t");
			if (words == line || *words != ':')
				continue;
			*words++ = '\0';
			r.kind = line;
		}
		if (!parse_words(words, end, &r))
			continue;
		*(struct record *)add_one(*records, *nr) = r;
	}
}

static const struct record *first_of(const struct source *s, const char *kind)
{
	size_t i;

	for (i = 0; i < s->nr_records; i++)
		if (!strcmp(s->records[i].kind, kind))
			return &s->records[i];
	return NULL;
}

static void free_file(struct open_file *file)
{
	free(file->comm);
	free(file->device);
	free(file->opened);
	free(file->id);
}

static void free_source(struct source *s)
{
	free_file(&s->file);
	free(s->serial);
	free(s->text);
	free(s->records);
}

static bool is_number(const char *name)
{
	return *name && !name[strspn(name, "0123456789")];
}

static bool is_refusal(int error)
{
	return error == EACCES || error == EPERM;
}

/* Not every file can be one of ours, and a busy machine has very many. */
static bool is_candidate(const char *link)
{
	static const char *const others[] = { "socket:", "pipe:", "/memfd:" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (!strncmp(link, others[i], strlen(others[i])))
			return false;
	return strncmp(link, "anon_inode:", 11) || strstr(link, "vfio");
}

static bool ends_with(const char *string, const char *end)
{
	size_t length = strlen(string), of_end = strlen(end);

	return length >= of_end && !strcmp(string + length - of_end, end);
}

/* What the device of a file is in the context that it is bound to. */
static const char *id_of_device(const struct source *s)
{
	static const char *const kinds[] = { "device", "access", "noiommu" };
	const struct record *r;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		r = first_of(s, kinds[i]);
		if (r)
			return value_of(r, "id");
	}
	return NULL;
}

/* Takes @s over: it becomes one of @sources if it is a file of ours, or tells that it is of another iommufd. */
static void add_file(struct sources *sources, struct snapshot *snapshot, struct source *s, const char *link)
{
	const struct record *context, *vfio;
	const char *value;

	parse(s->text, NULL, &s->records, &s->nr_records);
	context = first_of(s, "iommufd");
	vfio = first_of(s, "vfio");
	value = context ? value_of(context, "context") : NULL;
	if (value && is_number(value))
		s->serial = copy_string(value);
	if (vfio) {
		s->file.device = copy_string(value_or(vfio, "name", "unknown"));
		s->file.opened = copy_string(value_or(vfio, "opened", "unknown"));
		value = id_of_device(s);
		s->file.id = value ? copy_string(value) : NULL;
	} else if (!s->serial) {
		if (ends_with(link, "/dev/iommu")) {
			*(struct open_file *)add_one(snapshot->silent, snapshot->nr_silent) = s->file;
			memset(&s->file, 0, sizeof(s->file));
		}
		free_source(s);
		return;
	}
	*(struct source *)add_one(sources->list, sources->nr) = *s;
}

/* 0, or -EACCES when this user may not ask the process. One that is gone has no files. */
static int read_process(struct sources *sources, struct snapshot *snapshot, const char *pid)
{
	char **fds, *link, *comm = NULL;
	struct source s;
	int i, nr, rc = 0;

	nr = list_dir(&fds, "/proc/%s/fdinfo", pid);
	if (nr < 0)
		return is_refusal(errno) ? -EACCES : 0;
	for (i = 0; i < nr; i++) {
		link = is_number(fds[i]) ? read_link("/proc/%s/fd/%s", pid, fds[i]) : NULL;
		memset(&s, 0, sizeof(s));
		if (link && is_candidate(link)) {
			s.text = read_file("/proc/%s/fdinfo/%s", pid, fds[i]);
			if (!s.text && is_refusal(errno))
				rc = -EACCES;
		}
		if (s.text) {
			if (!comm)
				comm = read_file("/proc/%s/comm", pid);
			s.file.pid = atoi(pid);
			s.file.fd = atoi(fds[i]);
			s.file.comm = copy_string(comm ? comm : "?");
			add_file(sources, snapshot, &s, link);
		}
		free(link);
	}
	free_names(fds, nr);
	free(comm);
	return rc;
}

static int read_processes(struct sources *sources, struct snapshot *snapshot)
{
	char **pids;
	int i, nr;

	nr = list_dir(&pids, "/proc");
	if (nr < 0)
		return -errno;
	for (i = 0; i < nr; i++)
		if (is_number(pids[i]) && read_process(sources, snapshot, pids[i]))
			snapshot->unreadable++;
	free_names(pids, nr);
	return 0;
}

static void read_debugfs(struct sources *sources, struct snapshot *snapshot)
{
	char **serials;
	struct source s;
	int i, nr;

	nr = list_dir(&serials, DEBUGFS_IOMMUFD);
	for (i = 0; i < nr; i++) {
		if (!is_number(serials[i]))
			continue;
		memset(&s, 0, sizeof(s));
		s.text = read_file(DEBUGFS_IOMMUFD "/%s/objects", serials[i]);
		if (s.text)
			add_file(sources, snapshot, &s, "");
	}
	free_names(serials, nr);
}

static struct context *find_context(struct snapshot *snapshot, const char *serial)
{
	struct context *c;
	size_t i;

	for (i = 0; i < snapshot->nr_contexts; i++)
		if (!strcmp(snapshot->contexts[i].serial, serial))
			return &snapshot->contexts[i];
	c = add_one(snapshot->contexts, snapshot->nr_contexts);
	c->serial = copy_string(serial);
	return c;
}

static void take_text(struct context *c, char *text)
{
	*(char **)add_one(c->texts, c->nr_texts) = text;
}

/* A device that is open twice says the same twice. */
static bool has_record(const struct context *c, const struct record *r)
{
	size_t i, length = r->end - r->words;

	for (i = 0; i < c->nr_records; i++)
		if (!strcmp(c->records[i].kind, r->kind) &&
		    length == (size_t)(c->records[i].end - c->records[i].words) &&
		    !memcmp(c->records[i].words, r->words, length))
			return true;
	return false;
}

static void take_records(struct context *c, struct source *s)
{
	size_t i;

	for (i = 0; i < s->nr_records; i++)
		if (!s->file.device || (strcmp(s->records[i].kind, "vfio") && !has_record(c, &s->records[i])))
			*(struct record *)add_one(c->records, c->nr_records) = s->records[i];
	take_text(c, s->text);
	s->text = NULL;
}

static void make_contexts(struct sources *sources, struct snapshot *snapshot)
{
	struct context *c;
	struct source *s;

	for (s = sources->list; s < sources->list + sources->nr; s++) {
		if (!s->serial)
			continue;
		c = find_context(snapshot, s->serial);
		if (!s->file.device && !c->complete) {
			take_records(c, s);
			c->complete = true;
		}
	}
	for (s = sources->list; s < sources->list + sources->nr; s++) {
		c = s->serial ? find_context(snapshot, s->serial) : NULL;
		if (c && !c->complete)
			take_records(c, s);
		if (!s->file.pid)
			continue;
		if (c)
			*(struct open_file *)add_one(c->files, c->nr_files) = s->file;
		else
			*(struct open_file *)add_one(snapshot->unbound, snapshot->nr_unbound) = s->file;
		memset(&s->file, 0, sizeof(s->file));
	}
}

static int compare_contexts(const void *left, const void *right)
{
	const struct context *a = left, *b = right;
	unsigned long long of_a = strtoull(a->serial, NULL, 10), of_b = strtoull(b->serial, NULL, 10);

	return (of_a > of_b) - (of_a < of_b);
}

static void free_files(struct open_file *files, size_t nr)
{
	while (nr)
		free_file(&files[--nr]);
	free(files);
}

static void free_context(struct context *c)
{
	while (c->nr_texts)
		free(c->texts[--c->nr_texts]);
	free(c->texts);
	free(c->records);
	free_files(c->files, c->nr_files);
	free(c->serial);
}

/* Whether an open file is what was asked for: a process, or a device. */
static bool is_wanted(const struct open_file *f, const char *what)
{
	return is_number(what) ? f->pid == atoi(what) : f->device && !strcmp(f->device, what);
}

static bool is_wanted_context(const struct context *c, const char *what)
{
	size_t i;

	for (i = 0; i < c->nr_files; i++)
		if (is_wanted(&c->files[i], what))
			return true;
	return context_next(c, NULL, "device", "name", what) || context_next(c, NULL, "noiommu", "name", what);
}

static void keep_files(struct open_file *files, size_t *nr, const char *what)
{
	size_t i, kept = 0;

	for (i = 0; i < *nr; i++) {
		if (is_wanted(&files[i], what))
			files[kept++] = files[i];
		else
			free_file(&files[i]);
	}
	*nr = kept;
}

static void keep(struct snapshot *s, const char *what)
{
	size_t i, kept = 0;

	for (i = 0; i < s->nr_contexts; i++) {
		if (is_wanted_context(&s->contexts[i], what))
			s->contexts[kept++] = s->contexts[i];
		else
			free_context(&s->contexts[i]);
	}
	s->nr_contexts = kept;
	keep_files(s->unbound, &s->nr_unbound, what);
	keep_files(s->silent, &s->nr_silent, what);
}

int snapshot_take(struct snapshot *s, const char *what)
{
	struct sources sources = { 0 };
	char address[32];
	size_t i;
	int rc;

	memset(s, 0, sizeof(*s));
	rc = read_processes(&sources, s);
	if (!rc)
		read_debugfs(&sources, s);
	make_contexts(&sources, s);
	for (i = 0; i < sources.nr; i++)
		free_source(&sources.list[i]);
	free(sources.list);
	if (s->nr_contexts)
		qsort(s->contexts, s->nr_contexts, sizeof(*s->contexts), compare_contexts);
	if (what && !is_number(what) && pci_address(what, address))
		what = address;
	if (what)
		keep(s, what);
	return rc;
}

bool snapshot_is_empty(const struct snapshot *s)
{
	return !s->nr_contexts && !s->nr_unbound && !s->nr_silent;
}

void snapshot_free(struct snapshot *s)
{
	while (s->nr_contexts)
		free_context(&s->contexts[--s->nr_contexts]);
	free(s->contexts);
	free_files(s->unbound, s->nr_unbound);
	free_files(s->silent, s->nr_silent);
	memset(s, 0, sizeof(*s));
}

int context_read_areas(struct context *c)
{
	char *text = read_file(DEBUGFS_IOMMUFD "/%s/areas", c->serial);

	if (!text)
		return is_refusal(errno) ? -EACCES : -errno;
	parse(text, "area", &c->records, &c->nr_records);
	take_text(c, text);
	return 0;
}
