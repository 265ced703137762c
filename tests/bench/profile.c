// SPDX-License-Identifier: GPL-2.0-only
/*
 * profile - a plugin of QEMU: how many instructions of each block of code the guest executed
 *
 * usage: qemu-system-... -plugin profile.so,out=FILE
 *
 * When QEMU ends, FILE gets lines of ADDRESS, in hexadecimal, and INSTRUCTIONS; an address may come more than once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

int qemu_plugin_version = API;

struct block {
	struct block *next;
	unsigned long address, instructions, executed;
};

static struct block *blocks;
static const char *out;

/* The guest has one CPU: nobody else counts */
static void execute(unsigned int cpu, void *data)
{
	struct block *b = data;

	(void)cpu;
	b->executed++;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *b = malloc(sizeof(*b));

	(void)id;
	if (!b)
		abort();
	*b = (struct block) {
		.next = blocks, .address = qemu_plugin_tb_vaddr(tb), .instructions = qemu_plugin_tb_n_insns(tb),
	};
	blocks = b;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, execute, QEMU_PLUGIN_CB_NO_REGS, b);
}

static void write_down(qemu_plugin_id_t id, void *data)
{
	FILE *f = fopen(out, "w");

	(void)id;
	(void)data;
	for (struct block *b = blocks; f && b; b = b->next)
		if (b->executed)
			fprintf(f, "%lx %lu\n", b->address, b->instructions * b->executed);
	if (!f || fclose(f))
		perror(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fputs("profile: out=FILE is missing\n", stderr);
		return -1;
	}
	out = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, write_down, NULL);
	return out ? 0 : -1;
}
