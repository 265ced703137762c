// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommuctl - see which devices programs can have through /dev/iommu, why not, and what those that do have mapped
 *
 * This file knows the commands by name, and nothing of what they do.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl.h"

#ifndef VERSION
#define VERSION "1"
#endif

struct settings settings = { .sysroot = "", .columns = 80 };

const struct command commands[] = {
	{
		.name = "list",
		.run = cmd_list,
		.arguments = "[DEVICE...]",
		.what = "PCI devices with driver, group and node, and whether a program can have them",
	},
	{
		.name = "doctor",
		.run = cmd_doctor,
		.arguments = "[OPTION...] DEVICE...",
		.what = "why a program cannot have a device, and the command that mends it",
		.options = "  --iova START-LAST  can memory be mapped there? Both ends belong to it\n"
			   "  --memory SIZE      can a guest with that much memory (16G) have the device?\n"
			   "  --pid PID          the process whose limits count for --memory\n",
	},
	{
		.name = "bind",
		.run = cmd_bind,
		.arguments = "[OPTION...] DEVICE...",
		.what = "give devices to a VFIO driver, so that programs can have them",
		.options = "  --driver NAME  that driver instead of vfio-pci\n"
			   "  --group        also the other devices of their groups that drivers of the kernel have\n"
			   "  --force        although this machine needs them, or their group stays unusable\n"
			   "  --dry-run      only print what a shell would do\n",
	},
	{
		.name = "unbind",
		.run = cmd_unbind,
		.arguments = "[OPTION...] DEVICE...",
		.what = "give devices back to the drivers that the kernel has for them",
		.options = "  --group        also the other devices of their groups that VFIO has\n"
			   "  --force        although a program has them: it is asked to let go, and waited for\n"
			   "  --dry-run      only print what a shell would do\n",
	},
	{
		.name = "show",
		.run = cmd_show,
		.arguments = "[--areas] [PROCESS|DEVICE]",
		.what = "who has which address spaces, page tables and devices, as a tree",
		.options = "  --areas        also each mapped area; from debugfs, for root only\n",
	},
	{
		.name = "graph",
		.run = cmd_graph,
		.arguments = "[OPTION...] [PROCESS|DEVICE]",
		.what = "the same as a picture",
		.options = "  --output FILE  there instead of to stdout\n"
			   "  --format NAME  dot, or svg or png, which Graphviz draws; otherwise as FILE ends, or dot\n",
	},
	{
		.name = "watch",
		.run = cmd_watch,
		.arguments = "[OPTION...] [PROCESS|DEVICE]",
		.what = "maps, pins and faults while they happen, each second",
		.options = "  --interval SECONDS  that often\n"
			   "  --count N           so many times, not until it is stopped\n",
	},
	{}
};

void put_help(const struct command *c)
{
	if (c) {
		printf("usage: iommuctl %s [--json] [--sysroot DIR] %s\n%s\n", c->name, c->arguments, c->what);
		if (c->options)
			printf("\n%s", c->options);
	} else {
		printf("usage: iommuctl COMMAND [--json] [--sysroot DIR] ...\n\n");
		for (c = commands; c->name; c++)
			printf("  %-8s %s\n", c->name, c->what);
		printf("\n  --json         print JSON\n"
		       "  --sysroot DIR  look at DIR/sys, DIR/proc and DIR/dev instead\n"
		       "  --help         help, also of each command\n"
		       "  --version      version\n\n"
		       "iommuctl(8) explains it, the exit status included.\n");
	}
	finish_output();
	exit(DONE);
}

static void look_at_terminal(void)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return;
	settings.colour = !(no_colour && *no_colour) && term && strcmp(term, "dumb");
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col >= 40)
		settings.columns = size.ws_col;
}

int main(int argc, char **argv)
{
	const struct command *c;
	int status;

	/* a reader that has seen enough ends us, also below a parent that ignores this */
	signal(SIGPIPE, SIG_DFL);
	look_at_terminal();
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("iommuctl " VERSION "\n");
		finish_output();
		return DONE;
	}
	/* options of every command may stand before its name */
	next_option(argc, argv, NULL);
	if (optind >= argc)
		usage_error("which command?");
	argc -= optind;
	argv += optind;
	if (!strcmp(argv[0], "help"))
		put_help(NULL);
	for (c = commands; c->name; c++) {
		if (!strcmp(c->name, argv[0]))
			break;
	}
	if (!c->name)
		usage_error("no command is called %s", escaped(argv[0]));
	/* 0, not 1: glibc's getopt starts anew */
	optind = 0;
	status = c->run(argc, argv);
	finish_output();
	return status;
}
