/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * snapshot - what show, graph and watch share
 */
#ifndef IOMMUCTL_SNAPSHOT_H
#define IOMMUCTL_SNAPSHOT_H

#include "proc.h"

/* Text, to be freed: "name[pid]"; "4 MiB mapped in 12 areas"; "512 x 2 MiB, 3 x 4 KiB". Unknown is "". */
char *process_name(const struct open_file *f);
char *bytes_in(const struct record *r, const char *bytes, const char *what, const char *count, const char *pieces);
char *leaves_text(const struct record *r);

/* How a page table came about. */
const char *table_kind(const struct record *table);
const char *plural(unsigned long long n);

/* Appends to a sentence, behind a comma when it has begun; takes both over. */
void say(char **sentence, char *more);

/**
 * must_take() - Take a snapshot, or end the program with the status that fits
 * @what: as snapshot_take() has it
 *
 * That there are processes which may not be asked is mentioned on stderr.
 */
void must_take(struct snapshot *s, const char *what);

/* The one argument that these commands have, or NULL. */
const char *what_is_wanted(int argc, char **argv);

struct json_object *record_json(const struct record *r);
/* All of it, each kind of object an array. */
struct json_object *snapshot_json(const struct snapshot *s);

#endif
