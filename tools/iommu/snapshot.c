// SPDX-License-Identifier: GPL-2.0-only
/*
 * snapshot - what show, graph and watch share: a snapshot of what the user asked for or a line that tells why there
 * is none, and JSON of it
 *
 * In JSON the names are those of the kernel's lines: a kind is an array, a line in it an object, a key a member.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "snapshot.h"

char *process_name(const struct open_file *f)
{
	return format("%s[%d]", escaped(f->comm), f->pid);
}

const char *what_is_wanted(int argc, char **argv)
{
	if (argc - optind > 1)
		usage_error("one process or device at a time");
	return optind < argc ? argv[optind] : NULL;
}

void must_take(struct snapshot *s, const char *what)
{
	int rc;

	need_iommufd();
	rc = snapshot_take(s, what);
	if (rc)
		die(status_of(-rc), "/proc cannot be read: %s", strerror(-rc));
	if (!snapshot_is_empty(s)) {
		if (s->unreadable)
			warn_line("root may see more: this user may not ask %zu of the processes", s->unreadable);
	} else if (s->unreadable) {
		die(NOT_PERMITTED,
		    "nothing of iommufd is open, but this user may not ask %zu of the processes: try as root",
		    s->unreadable);
	} else if (what) {
		die(NOT_USABLE, "nothing of iommufd is open in a process %s, or for a device of that name",
		    escaped(what));
	}
}

void say(char **sentence, char *more)
{
	char *longer = format("%s%s%s", *sentence, **sentence && *more ? ", " : "", more);

	free(*sentence);
	free(more);
	*sentence = longer;
}

const char *plural(unsigned long long n)
{
	return n == 1 ? "" : "s";
}

char *bytes_in(const struct record *r, const char *bytes, const char *what, const char *count, const char *pieces)
{
	unsigned long long n, of;

	if (!number_of(r, bytes, &n))
		return copy_string("");
	if (!n || !number_of(r, count, &of))
		return format("%s %s", n ? bytes_text(n) : "nothing", what);
	return format("%s %s in %llu %s%s", bytes_text(n), what, of, pieces, plural(of));
}

const char *table_kind(const struct record *table)
{
	if (!strcmp(value_or(table, "type", ""), "nested"))
		return "nested";
	return strcmp(value_or(table, "auto", "0"), "1") ? "by request" : "automatic";
}

char *leaves_text(const struct record *r)
{
	const char *leaves = value_of(r, "leaves");
	unsigned long long size, count;
	char *text = copy_string("");
	int length;

	if (!leaves)
		return text;
	while (sscanf(leaves, "%llu:%llu%n", &size, &count, &length) == 2) {
		if (count)
			say(&text, format("%llu x %s", count, bytes_text(size)));
		leaves += length + strspn(leaves + length, ",");
	}
	if (!*text)
		say(&text, copy_string("empty"));
	return text;
}

/* A value as its key wants it: what is a number to the kernel is one to the reader. */
static struct json_object *value_json(const struct record *r, const char *key, const char *value)
{
	static const char *const names[] = { "name", "account", "type", "opened", "state", "source", "prot" };
	unsigned long long n, size, count;
	struct json_object *leaves;
	int length;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(key, names[i]))
			return json_object_new_string(escaped(value));
	if (!strcmp(key, "auto") || !strcmp(key, "busy"))
		return json_object_new_boolean(!strcmp(value, "1"));
	if (!strcmp(key, "leaves")) {
		leaves = json_object_new_object();
		for (; sscanf(value, "%llu:%llu%n", &size, &count, &length) == 2;) {
			char *of_size = format("%llu", size);

			json_add_number(leaves, of_size, count);
			free(of_size);
			value += length + strspn(value + length, ",");
		}
		return leaves;
	}
	if (!strcmp(value, "none"))
		return NULL;
	if (number_of(r, key, &n))
		return json_object_new_uint64(n);
	return json_object_new_string(escaped(value));
}

struct json_object *record_json(const struct record *r)
{
	struct json_object *o = json_object_new_object();
	const char *word;
	size_t length;
	char *key;

	for (word = r->words; word < r->end; word += strlen(word) + 1) {
		length = strcspn(word, "=");
		key = format("%.*s", (int)length, word);
		json_object_object_add(o, escaped(key), value_json(r, key, word + length + 1));
		free(key);
	}
	return o;
}

static void add_files(struct json_object *o, const char *key, const struct open_file *files, size_t nr)
{
	struct json_object *array = json_add_array(o, key), *file;
	size_t i;

	for (i = 0; i < nr; i++) {
		file = json_object_new_object();
		json_add_number(file, "pid", files[i].pid);
		json_add_string(file, "process", files[i].comm);
		json_add_number(file, "fd", files[i].fd);
		json_add_string(file, "device", files[i].device);
		json_add_string(file, "opened", files[i].opened);
		json_object_object_add(file, "object", files[i].id ? json_object_new_int64(atoll(files[i].id)) : NULL);
		json_object_array_add(array, file);
	}
}

static struct json_object *context_json(const struct context *c)
{
	static const char *const kinds[] = {
		"ioas", "hwpt", "device", "attach", "access", "fault", "viommu", "noiommu", "area",
	};
	const struct record *about = context_next(c, NULL, "iommufd", NULL, NULL), *r;
	struct json_object *o = about ? record_json(about) : json_object_new_object(), *array;
	size_t i;

	json_add_number(o, "context", strtoull(c->serial, NULL, 10));
	json_add_bool(o, "complete", c->complete);
	add_files(o, "files", c->files, c->nr_files);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		array = json_add_array(o, kinds[i]);
		for (r = NULL; (r = context_next(c, r, kinds[i], NULL, NULL));)
			json_object_array_add(array, record_json(r));
	}
	return o;
}

struct json_object *snapshot_json(const struct snapshot *s)
{
	struct json_object *o = json_object_new_object(), *contexts = json_add_array(o, "contexts");
	size_t i;

	for (i = 0; i < s->nr_contexts; i++)
		json_object_array_add(contexts, context_json(&s->contexts[i]));
	add_files(o, "unbound", s->unbound, s->nr_unbound);
	add_files(o, "silent", s->silent, s->nr_silent);
	json_add_number(o, "unreadable", s->unreadable);
	return o;
}
