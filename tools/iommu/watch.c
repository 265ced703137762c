// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch - what is mapped and pinned while it changes, and how much of it each second
 *
 * The kernel counts what happened since an object was made; what happened in a second is the difference between two
 * snapshots. An object of the second snapshot that is not in the first one began in between.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "snapshot.h"

struct sample {
	struct snapshot snapshot;
	struct timespec when;
	double seconds; /* since the one before; 0 for the first */
};

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
	return to->tv_sec - from->tv_sec + (to->tv_nsec - from->tv_nsec) / 1e9;
}

static const struct context *same_context(const struct snapshot *s, const char *serial)
{
	size_t i;

	for (i = 0; i < s->nr_contexts; i++)
		if (!strcmp(s->contexts[i].serial, serial))
			return &s->contexts[i];
	return NULL;
}

/* What a counter grew by in a second; negative when that is not known. */
static double rate(const struct sample *before, const struct sample *now, const struct context *c,
		   const struct record *r, const char *key)
{
	unsigned long long new, old = 0;
	const struct context *then;
	const struct record *was;

	if (!now->seconds || !number_of(r, key, &new))
		return -1;
	then = same_context(&before->snapshot, c->serial);
	was = then ? context_next(then, NULL, r->kind, "id", value_or(r, "id", "")) : NULL;
	/* a number that is smaller than before is that of a new object with an old id */
	if (was && number_of(was, key, &old) && old > new)
		old = 0;
	return (new - old) / now->seconds;
}

/* Five columns at most. */
static char *rate_text(double rate)
{
	static const char units[] = " kMGTP";
	const char *unit = units;

	if (rate < 0)
		return copy_string("-");
	while (rate >= 9999.5 && unit[1]) {
		rate /= 1000;
		unit++;
	}
	return format("%.*f%.*s", rate < 9.95 && rate != (int)rate, rate, *unit != ' ', unit);
}

static char *bytes_or_dash(const struct record *r, const char *key)
{
	unsigned long long n;

	return number_of(r, key, &n) ? copy_string(bytes_text(n)) : copy_string("-");
}

static char *owner_name(const struct context *c)
{
	const struct open_file *f = context_owner(c);

	return f ? process_name(f) : copy_string("?");
}

/* Lines that still fit; what is not a terminal takes any number. */
static int lines_left;
static size_t left_out;

static bool line_fits(void)
{
	if (lines_left > 0) {
		lines_left--;
		return true;
	}
	left_out++;
	return false;
}

static void put_ioas(const struct sample *before, const struct sample *now, const struct context *c,
		     const struct record *r)
{
	static const char *const counters[] = { "maps", "unmaps", "pins" };
	char *name = owner_name(c), *mapped = bytes_or_dash(r, "mapped"), *pinned = bytes_or_dash(r, "pinned"), *text;
	size_t i;

	printf("%-20.20s %4s %4s %9s %7s %9s", name, c->serial, escaped(value_or(r, "id", "?")), mapped,
	       escaped(value_or(r, "areas", "-")), pinned);
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		text = rate_text(rate(before, now, c, r, counters[i]));
		printf(" %6s", text);
		free(text);
	}
	putchar('\n');
	free(name);
	free(mapped);
	free(pinned);
}

static void put_device(const struct sample *before, const struct sample *now, const struct context *c,
		       const struct record *r)
{
	static const char *const counters[] = { "faults", "dma_faults" };
	char *name = owner_name(c), *text;
	size_t i;

	printf("%-20.20s %4s %4s %-16.16s", name, c->serial, escaped(value_or(r, "id", "?")),
	       escaped(value_or(r, "name", "?")));
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		text = rate_text(rate(before, now, c, r, counters[i]));
		printf(" %8s %6s", escaped(value_or(r, counters[i], "-")), text);
		free(text);
	}
	putchar('\n');
	free(name);
}

static void put_table(const struct sample *before, const struct sample *now)
{
	const struct snapshot *s = &now->snapshot;
	const struct record *r;
	bool devices = false;
	size_t i;

	printf("%s%-20s %4s %4s %9s %7s %9s %6s %6s %6s%s\n", colour(BOLD), "PROCESS", "CTX", "IOAS", "MAPPED", "AREAS",
	       "PINNED", "MAP/s", "UNM/s", "PIN/s", colour(PLAIN));
	for (i = 0; i < s->nr_contexts; i++)
		for (r = NULL; (r = context_next(&s->contexts[i], r, "ioas", NULL, NULL));)
			if (line_fits())
				put_ioas(before, now, &s->contexts[i], r);
	for (i = 0; i < s->nr_contexts; i++) {
		for (r = NULL; (r = context_next(&s->contexts[i], r, "device", NULL, NULL));) {
			if (!devices && lines_left > 2) {
				printf("\n%s%-20s %4s %4s %-16s %8s %6s %8s %6s%s\n", colour(BOLD), "PROCESS", "CTX",
				       "DEV", "DEVICE", "PAGE-REQ", "/s", "DMAFAULT", "/s", colour(PLAIN));
				lines_left -= 2;
				devices = true;
			}
			if (line_fits())
				put_device(before, now, &s->contexts[i], r);
		}
	}
	if (left_out)
		printf("... and %zu more\n", left_out);
	if (!s->nr_contexts)
		printf(s->nr_silent ? "this kernel does not tell what is in /dev/iommu\n" :
				      "nobody has /dev/iommu open\n");
}

static void put_screen(const struct sample *before, const struct sample *now, bool terminal)
{
	struct winsize size;

	lines_left = INT_MAX;
	left_out = 0;
	if (terminal) {
		/* two headings, what was left out, and where the cursor stays */
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row > 5)
			lines_left = size.ws_row - 3;
		printf("\033[H\033[J");
	}
	put_table(before, now);
	if (!terminal)
		putchar('\n');
}

static void add_rate(struct json_object *o, const char *key, double rate)
{
	json_object_object_add(o, key, rate < 0 ? NULL : json_object_new_double(rate));
}

static struct json_object *about_json(const struct context *c, const struct record *r)
{
	struct json_object *o = record_json(r);
	const struct open_file *f = context_owner(c);

	json_add_number(o, "context", strtoull(c->serial, NULL, 10));
	json_object_object_add(o, "pid", f ? json_object_new_int(f->pid) : NULL);
	json_add_string(o, "process", f ? f->comm : NULL);
	return o;
}

static struct json_object *sample_json(const struct sample *before, const struct sample *now)
{
	struct json_object *all = json_object_new_object(), *ioas, *devices, *o;
	const struct snapshot *s = &now->snapshot;
	const struct record *r;
	size_t i;

	add_rate(all, "seconds", now->seconds ? now->seconds : -1);
	ioas = json_add_array(all, "ioas");
	devices = json_add_array(all, "devices");
	for (i = 0; i < s->nr_contexts; i++) {
		for (r = NULL; (r = context_next(&s->contexts[i], r, "ioas", NULL, NULL));) {
			o = about_json(&s->contexts[i], r);
			add_rate(o, "maps_per_second", rate(before, now, &s->contexts[i], r, "maps"));
			add_rate(o, "unmaps_per_second", rate(before, now, &s->contexts[i], r, "unmaps"));
			add_rate(o, "pins_per_second", rate(before, now, &s->contexts[i], r, "pins"));
			json_object_array_add(ioas, o);
		}
		for (r = NULL; (r = context_next(&s->contexts[i], r, "device", NULL, NULL));) {
			o = about_json(&s->contexts[i], r);
			add_rate(o, "faults_per_second", rate(before, now, &s->contexts[i], r, "faults"));
			add_rate(o, "dma_faults_per_second", rate(before, now, &s->contexts[i], r, "dma_faults"));
			json_object_array_add(devices, o);
		}
	}
	return all;
}

static void wait_until(struct timespec *next, double interval)
{
	time_t whole = interval;

	next->tv_sec += whole;
	next->tv_nsec += (interval - whole) * 1e9;
	if (next->tv_nsec >= 1000000000) {
		next->tv_sec++;
		next->tv_nsec -= 1000000000;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}

static double positive(const char *text, const char *option, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most))
		usage_error("%s is a number from %g to %g, not %s", option, least, most, escaped(text));
	return value;
}

int cmd_watch(int argc, char **argv)
{
	static const struct option own[] = { { "interval", required_argument, NULL, 'i' },
					     { "count", required_argument, NULL, 'c' },
					     {} };
	struct sample now = { 0 }, before = { 0 };
	double interval = 1;
	unsigned long long count = ULLONG_MAX;
	const char *what, *term = getenv("TERM");
	struct timespec next;
	bool terminal;
	int option;

	while ((option = next_option(argc, argv, own)) != -1) {
		if (option == 'i')
			interval = positive(optarg, "--interval", 0.01, 86400);
		else
			count = positive(optarg, "--count", 1, 1e9);
	}
	what = what_is_wanted(argc, argv);
	terminal = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb");
	/* a screen is drawn at once */
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	must_take(&now.snapshot, what);
	clock_gettime(CLOCK_MONOTONIC, &now.when);
	next = now.when;
	for (;;) {
		if (settings.json)
			json_put_out(sample_json(&before, &now), true);
		else
			put_screen(&before, &now, terminal);
		/* who reads along, and may have gone, gets each table when it is made */
		finish_output();
		snapshot_free(&before.snapshot);
		before = now;
		if (!--count)
			break;
		wait_until(&next, interval);
		if (snapshot_take(&now.snapshot, what))
			break;
		clock_gettime(CLOCK_MONOTONIC, &now.when);
		now.seconds = seconds_between(&before.when, &now.when);
		if (what && snapshot_is_empty(&now.snapshot)) {
			warn_line("%s has closed everything of iommufd", escaped(what));
			snapshot_free(&now.snapshot);
			break;
		}
	}
	snapshot_free(&before.snapshot);
	return DONE;
}
