// SPDX-License-Identifier: GPL-2.0-only
/*
 * doctor - why a program cannot have a device, in plain words, and the command that mends it
 *
 * The checks go the way that a program goes: from the IOMMU to the group, the driver, the node, the rights, and at
 * last the device itself, which is opened, bound and attached if nobody uses it. A check whose ground is missing is
 * left out. The first problem is the one to mend; those after it are told when they can be seen already.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ctl.h"
#include "host_use.h"
#include "pci.h"
#include "probe.h"

#define GIB 0x40000000ULL

enum verdict { OK, NOTE, PROBLEM };

struct finding {
	enum verdict verdict;
	const char *check; /* a word for programs, and for the manual page */
	char *text;
	char **mends;
	int mend_count;
};

struct region {
	unsigned long long start, last;
	char type[32];
};

struct patient {
	struct pci_device d;
	char *iommu; /* dmar0: the one that translates for it */
	struct region *regions;
	int region_count;
	struct probe probe;
	bool probed;
	struct finding *findings;
	int count, problems;
};

/* what is asked for beside the device */
static struct {
	bool has_iova;
	unsigned long long start, last;
	unsigned long long memory;
	const char *pid; /* of the process that is to map it */
} want = { .pid = "self" };

static char *vformat(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		die(FAILED, "out of memory");
	return text;
}

__attribute__((format(printf, 4, 5)))
static void tell(struct patient *p, enum verdict v, const char *check, const char *fmt, ...)
{
	struct finding *f;
	va_list ap;

	p->findings = grow(p->findings, p->count + 1, sizeof(*p->findings));
	f = &p->findings[p->count++];
	va_start(ap, fmt);
	*f = (struct finding){ .verdict = v, .check = check, .text = vformat(fmt, ap) };
	va_end(ap);
	p->problems += v == PROBLEM;
}

/* One more sentence to what was told last */
__attribute__((format(printf, 2, 3)))
static void also(struct patient *p, const char *fmt, ...)
{
	struct finding *f = &p->findings[p->count - 1];
	char *before = f->text, *sentence;
	va_list ap;

	va_start(ap, fmt);
	sentence = vformat(fmt, ap);
	va_end(ap);
	f->text = format("%s %s", before, sentence);
	free(before);
	free(sentence);
}

/* A command that mends what was told last; several are done in their order */
__attribute__((format(printf, 2, 3)))
static void mend(struct patient *p, const char *fmt, ...)
{
	struct finding *f = &p->findings[p->count - 1];
	va_list ap;

	f->mends = grow(f->mends, f->mend_count + 1, sizeof(*f->mends));
	va_start(ap, fmt);
	f->mends[f->mend_count++] = vformat(fmt, ap);
	va_end(ap);
}

static bool on_command_line(const char *word)
{
	char *line = read_file("/proc/cmdline"), *rest = line, *w;
	bool found = false;

	while (!found && (w = strsep(&rest, " ")))
		found = !strcmp(w, word);
	free(line);
	return found;
}

static void mend_boot_options(struct patient *p, const char *without, const char *with)
{
	if (without)
		mend(p, "sed -i 's/ *%s//' /etc/default/grub && update-grub && reboot", without);
	else
		mend(p, "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&%s /' /etc/default/grub && update-grub && reboot", with);
}

/* An IOMMU that translates for PCI devices, to be freed; NULL for none */
static char *iommu_of_others(void)
{
	char **iommus, **devices, address[32], *found = NULL;
	int n = list_dir(&iommus, "/sys/class/iommu"), m, i, j;

	for (i = 0; i < n && !found; i++) {
		m = list_dir(&devices, "/sys/class/iommu/%s/devices", iommus[i]);
		for (j = 0; j < m && !found; j++) {
			if (pci_address(devices[j], address))
				found = copy_string(iommus[i]);
		}
		free_names(devices, m);
	}
	free_names(iommus, n);
	return found;
}

static void check_iommu(struct patient *p)
{
	bool intel = path_exists("/sys/firmware/acpi/tables/DMAR"), amd = path_exists("/sys/firmware/acpi/tables/IVRS");
	char *other = iommu_of_others();

	if (other) {
		tell(p, PROBLEM, "no-iommu", "No IOMMU translates for this device, though the machine has %s:",
		     escaped(other));
		also(p, "the firmware's tables leave it out.");
		also(p, "Without one it could reach all memory, so programs do not get it.");
	} else if (intel && on_command_line("intel_iommu=off")) {
		tell(p, PROBLEM, "no-iommu", "The IOMMU is switched off on the kernel's command line.");
		mend_boot_options(p, "intel_iommu=off", NULL);
	} else if (amd && on_command_line("amd_iommu=off")) {
		tell(p, PROBLEM, "no-iommu", "The IOMMU is switched off on the kernel's command line.");
		mend_boot_options(p, "amd_iommu=off", NULL);
	} else if (on_command_line("iommu=off")) {
		tell(p, PROBLEM, "no-iommu", "The IOMMU is switched off on the kernel's command line.");
		mend_boot_options(p, "iommu=off", NULL);
	} else if (intel) {
		tell(p, PROBLEM, "no-iommu", "The machine has an IOMMU (VT-d), and the kernel does not use it.");
		mend_boot_options(p, NULL, "intel_iommu=on");
	} else {
		tell(p, PROBLEM, "no-iommu", "The machine has no IOMMU, or its firmware hides it: look for VT-d,");
		also(p, "AMD-Vi, IOMMU or SMMU in the firmware's setup and switch it on. A virtual machine gets");
		also(p, "one from its monitor: -device intel-iommu,intremap=on or -machine virt,iommu=smmuv3 of QEMU.");
	}
	free(other);
}

/* Without an IOMMU there is one way left, for whoever has all rights anyhow */
static void check_noiommu(struct patient *p)
{
	tell(p, NOTE, "noiommu", "No IOMMU translates for this device, and the unsafe mode is on:");
	also(p, "a program with CAP_SYS_RAWIO can have it, and the device reaches all memory.");
}

static void check_group(struct patient *p)
{
	char **names, *driver, *list = copy_string(""), *longer;
	int n = pci_group_foreign(&p->d, &names), i;

	if (!n) {
		tell(p, OK, "group", "No driver of the kernel has another device of its group, %s.",
		     escaped(p->d.group));
	} else {
		for (i = 0; i < n; i++) {
			driver = group_member_driver(p->d.group, names[i]);
			longer = format("%s%s%s (driver %s)", list, i ? ", " : "", names[i], driver ? driver : "?");
			free(list);
			free(driver);
			list = longer;
		}
		tell(p, PROBLEM, "foreign-driver", "The IOMMU cannot tell it from others of group %s, and the kernel's",
		     escaped(p->d.group));
		also(p, "drivers have some of them: %s. A program gets all of a group or nothing.", escaped(list));
		mend(p, "iommuctl bind --group %s", p->d.address);
	}
	free(list);
	free_names(names, n);
}

static void check_driver(struct patient *p)
{
	char *use;

	if (pci_is_vfio(&p->d)) {
		tell(p, OK, "driver", "Driver %s has it.", escaped(p->d.driver ? p->d.driver : "of VFIO"));
		return;
	}
	use = host_use(&p->d);
	if (use)
		tell(p, PROBLEM, "not-bound", "Driver %s has it, and this machine needs it: %s. Take another device.",
		     escaped(p->d.driver ? p->d.driver : "?"), escaped(use));
	else if (p->d.driver)
		tell(p, PROBLEM, "not-bound", "Driver %s has it: a program can once it belongs to vfio-pci.",
		     escaped(p->d.driver));
	else
		tell(p, PROBLEM, "not-bound", "It has no driver: a program can have it once it belongs to vfio-pci.");
	if (!use)
		mend(p, "iommuctl bind %s", p->d.address);
	free(use);
}

static void check_node(struct patient *p)
{
	unsigned int major, minor;
	char *numbers;

	if (!p->d.node) {
		tell(p, PROBLEM, "no-node", "Its driver has made no device node: it failed, which dmesg tells, or the");
		also(p, "kernel has VFIO's groups only.");
		return;
	}
	if (path_exists("/dev/vfio/devices/%s", p->d.node)) {
		tell(p, OK, "node", "Its node is /dev/vfio/devices/%s.", escaped(p->d.node));
		return;
	}
	tell(p, PROBLEM, "no-node", "The file /dev/vfio/devices/%s is missing: this /dev is not the kernel's own.",
	     escaped(p->d.node));
	numbers = read_file("/sys/class/vfio-dev/%s/dev", p->d.node);
	if (numbers && sscanf(numbers, "%u:%u", &major, &minor) == 2)
		mend(p, "mkdir -p /dev/vfio/devices && mknod -m 600 /dev/vfio/devices/%s c %u %u",
		     escaped(p->d.node), major, minor);
	free(numbers);
}

/* Somebody uses the device, or another one of its group in a way that excludes others */
static bool check_users(struct patient *p)
{
	struct holder *holders;
	int n = pci_holders(&p->d, &holders);

	if (n)
		tell(p, PROBLEM, "in-use", "Process %d (%s) has it%s, until it closes it or ends.", holders[0].pid,
		     escaped(holders[0].name), n > 1 ? ", among others" : "");
	if (n)
		mend(p, "iommuctl show %d", holders[0].pid);
	free_holders(holders, n);
	return n;
}

static bool may_open(const char *path)
{
	char *real = path_of("%s", path);
	bool may = !euidaccess(real, R_OK | W_OK);

	free(real);
	return may;
}

static bool check_rights(struct patient *p)
{
	struct passwd *user = getpwuid(geteuid());
	char *node = format("/dev/vfio/devices/%s", p->d.node), *name;
	bool iommu_ok = may_open("/dev/iommu"), node_ok = may_open(node);

	name = user ? copy_string(user->pw_name) : format("%u", geteuid());
	if (iommu_ok && node_ok) {
		tell(p, OK, "permission", "User %s may open /dev/iommu and the node.", escaped(name));
	} else {
		tell(p, PROBLEM, "permission", "User %s may not open %s%s%s.", escaped(name),
		     iommu_ok ? "" : "/dev/iommu", iommu_ok || node_ok ? "" : " and ", node_ok ? "" : escaped(node));
		also(p, "The first command allows it until the next boot. The second does for good, after the next");
		also(p, "login, where the udev rules of iommuctl are installed.");
		mend(p, "sudo setfacl -m u:%s:rw%s%s%s", escaped(name), iommu_ok ? "" : " /dev/iommu",
		     node_ok ? "" : " ", node_ok ? "" : escaped(node));
		mend(p, "sudo usermod -a -G vfio %s", escaped(name));
	}
	free(node);
	free(name);
	return iommu_ok && node_ok;
}

static bool is_noiommu(const struct pci_device *d)
{
	return !d->group || (d->node && !strncmp(d->node, "noiommu-", 8));
}

static bool unsafe_interrupts_allowed(void)
{
	char *value = read_file("/sys/module/iommufd/parameters/allow_unsafe_interrupts");
	bool allowed = value && *value == 'Y';

	free(value);
	return allowed;
}

static bool has_iommu_of_x86(const struct patient *p)
{
	return p->iommu && (!strncmp(p->iommu, "dmar", 4) || !strncmp(p->iommu, "ivhd", 4));
}

/* On x86 interrupt controllers have names that begin with IR- when the IOMMU remaps what devices send */
static bool remapping_is_off(const struct patient *p)
{
	char *interrupts;
	bool off;

	if (!has_iommu_of_x86(p))
		return false;
	interrupts = read_file("/proc/interrupts");
	off = interrupts && !strstr(interrupts, " IR-");
	free(interrupts);
	return off;
}

static void tell_unsafe_interrupts(struct patient *p)
{
	const char *option = on_command_line("intremap=off") ? "intremap=off" :
			     on_command_line("nointremap") ? "nointremap" : NULL;

	tell(p, PROBLEM, "unsafe-interrupts", "Its interrupts are not isolated: the IOMMU does not remap them, and a");
	also(p, "program that has the device could raise any interrupt of this machine by DMA.");
	if (option) {
		also(p, "Remapping is switched off on the kernel's command line.");
		mend_boot_options(p, option, NULL);
	} else {
		also(p, "Switch interrupt remapping on in the firmware's setup, where it may be called x2APIC. The");
		also(p, "command allows it as it is, for devices of programs that are trusted.");
		mend(p, "echo Y > /sys/module/iommufd/parameters/allow_unsafe_interrupts");
	}
}

static void check_interrupts(struct patient *p)
{
	bool allowed = unsafe_interrupts_allowed();
	bool refused = p->probed && p->probe.step == PROBE_BIND && p->probe.error == EPERM;
	/* a bind that succeeds is the proof, unless it may succeed without */
	bool off = refused || ((!p->probed || allowed) && remapping_is_off(p));

	/* whoever has such a device raises what it likes, by any write to memory */
	if (is_noiommu(&p->d))
		return;
	if (off && !allowed)
		tell_unsafe_interrupts(p);
	else if (off)
		tell(p, NOTE, "interrupts", "Its interrupts are not isolated, which is allowed here.");
	else if (p->probed)
		tell(p, OK, "interrupts", "Its interrupts are isolated.");
}

static void read_regions(struct patient *p)
{
	char *text = p->d.group ? read_file("/sys/kernel/iommu_groups/%s/reserved_regions", p->d.group) : NULL;
	char *rest = text, *line;
	struct region r;

	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%llx %llx %31s", &r.start, &r.last, r.type) != 3)
			continue;
		p->regions = grow(p->regions, p->region_count + 1, sizeof(*p->regions));
		p->regions[p->region_count++] = r;
	}
	free(text);
}

static bool is_relaxable(const struct region *r)
{
	return !strcmp(r->type, "direct-relaxable");
}

static void explain_rmrr(struct patient *p, enum verdict v, const struct region *r)
{
	tell(p, v, "rmrr", "The firmware has an RMRR for it, at 0x%llx-0x%llx: memory that it uses through the",
	     r->start, r->last);
	also(p, "device, behind the kernel's back, for a management controller or for USB keyboards as old ones.");
}

static void check_firmware_regions(struct patient *p)
{
	int i;

	for (i = 0; i < p->region_count; i++) {
		const struct region *r = &p->regions[i];

		if (is_relaxable(r)) {
			explain_rmrr(p, NOTE, r);
			also(p, "With this kind of device that is over once the kernel runs, so it is not in the way.");
		} else if (!strcmp(r->type, "direct") && p->iommu && !strncmp(p->iommu, "dmar", 4)) {
			explain_rmrr(p, PROBLEM, r);
			also(p, "It would have to stay reachable in every address space, so no program gets it.");
			also(p, "Only the firmware can end that: look in its setup for legacy USB, or for memory that");
			also(p, "is shared with the management controller, or ask the vendor.");
		}
	}
}

static void tell_probe_error(struct patient *p)
{
	static const char * const steps[] = {
		[PROBE_OPEN_IOMMU] = "open /dev/iommu",	  [PROBE_OPEN_NODE] = "open the node",
		[PROBE_BIND] = "bind the device",	  [PROBE_ATTACH] = "attach the device",
		[PROBE_RANGES] = "ask for usable ranges",
	};
	const struct probe *r = &p->probe;

	if (r->step == PROBE_BIND && r->error == EPERM && !unsafe_interrupts_allowed() &&
	    (remapping_is_off(p) || !has_iommu_of_x86(p)))
		check_interrupts(p);
	else if (r->step == PROBE_BIND && r->error == EPERM)
		tell(p, PROBLEM, "in-use", "Another user of /dev/iommu has a device of its group, %s.",
		     escaped(p->d.group ? p->d.group : "?"));
	else if (r->step == PROBE_BIND && (r->error == EBUSY || r->error == EINVAL))
		tell(p, PROBLEM, "in-use",
		     "A process that this user cannot see has it, or its group%s. Ask as root which one it is.",
		     r->error == EINVAL ? "; or its IOMMU does not keep DMA and caches coherent" : "");
	else if (r->step == PROBE_BIND && r->error == EACCES)
		tell(p, PROBLEM, "token",
		     "It is a virtual function whose physical function asks for a token: whoever has that one gives it.");
	else if (r->step == PROBE_OPEN_NODE && r->error == EPERM)
		tell(p, PROBLEM, "permission", "A device without an IOMMU is for processes with CAP_SYS_RAWIO.");
	else
		tell(p, PROBLEM, "refused", "The kernel refused to %s: %s. dmesg may tell why.", steps[r->step],
		     strerror(r->error));
}

static void check_by_trying(struct patient *p)
{
	probe(&p->d, &p->probe);
	p->probed = true;
	if (p->probe.step != PROBE_ALL) {
		/* that of an RMRR was explained before */
		if (!p->problems)
			tell_probe_error(p);
		return;
	}
	check_interrupts(p);
	tell(p, OK, "tried", "It was opened, bound and attached to an address space.");
}

/* Whether device can reach start...last; where it cannot, the first region in the way if one is known */
static bool reachable(const struct patient *p, unsigned long long start, unsigned long long last,
		      const struct region **in_the_way)
{
	int i;

	*in_the_way = NULL;
	for (i = 0; i < p->region_count && !*in_the_way; i++) {
		const struct region *r = &p->regions[i];

		if (!is_relaxable(r) && r->start <= last && r->last >= start)
			*in_the_way = r;
	}
	if (!p->probed || p->probe.step != PROBE_ALL)
		return !*in_the_way;
	for (i = 0; i < p->probe.count; i++) {
		if (p->probe.ranges[i].start <= start && p->probe.ranges[i].last >= last)
			return true;
	}
	return false;
}

static void check_range(struct patient *p, unsigned long long start, unsigned long long last, const char *whose)
{
	unsigned long long size = last - start, place;
	const struct region *r;
	int i;

	if (reachable(p, start, last, &r)) {
		tell(p, OK, "iova", "%s at 0x%llx-0x%llx: nothing is in the way.", whose, start, last);
		return;
	}
	if (r)
		tell(p, PROBLEM, "reserved", "%s at 0x%llx-0x%llx meets 0x%llx-0x%llx, which is reserved (%s): %s.",
		     whose, start, last, r->start, r->last, escaped(r->type),
		     !strcmp(r->type, "msi") ? "what devices write there are interrupts" :
		     !strcmp(r->type, "direct") ? "the firmware uses it" : "the hardware does something else with it");
	else
		tell(p, PROBLEM, "reserved", "%s at 0x%llx-0x%llx is beyond what the IOMMU translates, up to 0x%llx.",
		     whose, start, last, p->probe.count ? p->probe.ranges[p->probe.count - 1].last : 0);
	if (!want.has_iova)
		return;
	/* another place for as much, aligned so that huge pages are possible */
	for (i = 0; p->probed && i < p->probe.count; i++) {
		place = (p->probe.ranges[i].start + 0x1fffff) & ~0x1fffffULL;
		if (place >= p->probe.ranges[i].start && place <= p->probe.ranges[i].last &&
		    p->probe.ranges[i].last - place >= size) {
			mend(p, "iommuctl doctor %s --iova 0x%llx-0x%llx", p->d.address, place, place + size);
			return;
		}
	}
}

/* Where monitors put the memory of a guest: with a hole below 4 GiB on x86, above 1 GiB on arm64 */
static void check_guest_memory(struct patient *p)
{
	struct utsname name;
	bool arm = p->iommu ? !strncmp(p->iommu, "smmu", 4) || !strncmp(p->iommu, "arm-smmu", 8) :
			      !uname(&name) && !strncmp(name.machine, "aarch64", 7);
	unsigned long long low = want.memory < 2 * GIB ? want.memory : 2 * GIB;

	if (arm) {
		check_range(p, GIB, GIB + want.memory - 1, "The memory of a guest");
		return;
	}
	check_range(p, 0, low - 1, "The memory of a guest");
	if (want.memory > low)
		check_range(p, 4 * GIB, 4 * GIB + want.memory - low - 1, "The memory of a guest above 4 GiB");
}

/* The number behind a key in /proc/PID/status; hexadecimal ones as such */
static bool status_value(const char *status, const char *key, int base, unsigned long long *value)
{
	const char *line = strstr(status, key);

	if (!line)
		return false;
	*value = strtoull(line + strlen(key), NULL, base);
	return true;
}

static bool has_no_limit(const char *status)
{
	unsigned long long capabilities;

	/* CAP_IPC_LOCK */
	return status_value(status, "\nCapEff:", 16, &capabilities) && capabilities >> 14 & 1;
}

/* What all processes of a user that have a limit have pinned: the limit is for all of it */
static unsigned long long pinned_by(unsigned long long uid)
{
	unsigned long long sum = 0, owner, kib;
	char **pids, *status;
	int n, i;

	n = list_dir(&pids, "/proc");
	for (i = 0; i < n; i++) {
		status = pids[i][0] >= '0' && pids[i][0] <= '9' ? read_file("/proc/%s/status", pids[i]) : NULL;
		if (status && status_value(status, "\nUid:", 10, &owner) && owner == uid && !has_no_limit(status) &&
		    status_value(status, "\nVmPin:", 10, &kib))
			sum += kib << 10;
		free(status);
	}
	free_names(pids, n);
	return sum;
}

/* "Max locked memory   8388608   8388608   bytes" */
static bool memlock_limit(unsigned long long *soft, unsigned long long *hard)
{
	static const char key[] = "Max locked memory";
	char *text = read_file("/proc/%s/limits", want.pid), *line = text ? strstr(text, key) : NULL;
	char words[2][32];
	bool found = line && sscanf(line + strlen(key), "%31s %31s", words[0], words[1]) == 2;

	if (found) {
		*soft = *words[0] == 'u' ? ~0ULL : strtoull(words[0], NULL, 10);
		*hard = *words[1] == 'u' ? ~0ULL : strtoull(words[1], NULL, 10);
	}
	free(text);
	return found;
}

static void check_memlock(struct patient *p)
{
	char *status = read_file("/proc/%s/status", want.pid);
	unsigned long long soft, hard, uid, pinned, needed;

	if (!status || !memlock_limit(&soft, &hard) || !status_value(status, "\nUid:", 10, &uid))
		die(NOT_USABLE, "there is no process %s", escaped(want.pid));
	if (has_no_limit(status)) {
		tell(p, OK, "memlock", "A process with CAP_IPC_LOCK may pin as much memory as there is.");
	} else {
		pinned = pinned_by(uid);
		needed = pinned + want.memory;
		if (soft >= needed) {
			tell(p, OK, "memlock", "%s may be pinned.", bytes_text(want.memory));
		} else {
			tell(p, PROBLEM, "memlock",
			     "RLIMIT_MEMLOCK lets this user pin %s, of which %s are in use: %s more are too much.",
			     bytes_text(soft), bytes_text(pinned), bytes_text(want.memory));
			if (!strcmp(want.pid, "self") && hard >= needed)
				mend(p, "ulimit -l %llu", (needed + 1023) >> 10);
			else
				mend(p, "sudo prlimit --memlock=%llu --pid %s", needed,
				     strcmp(want.pid, "self") ? want.pid : "$$");
		}
	}
	free(status);
}

static void examine(struct patient *p)
{
	struct pci_device *d = &p->d;
	bool used = false, allowed = false;

	p->iommu = link_name("/sys/bus/pci/devices/%s/iommu", d->address);
	read_regions(p);
	if (pci_is_bridge(d)) {
		tell(p, PROBLEM, "bridge", "It is a bridge. VFIO drives none, and programs need none.");
	} else if (!d->group && !d->node && !pci_unsafe_mode()) {
		check_iommu(p);
	} else {
		if (is_noiommu(d))
			check_noiommu(p);
		else
			check_group(p);
		check_driver(p);
		check_firmware_regions(p);
		if (pci_is_vfio(d))
			check_node(p);
		if (d->node && path_exists("/dev/vfio/devices/%s", d->node)) {
			used = check_users(p);
			allowed = check_rights(p);
		}
		/* a copy of another machine has its devices elsewhere */
		if (allowed && !used && !*settings.sysroot)
			check_by_trying(p);
		else
			check_interrupts(p);
	}
	if (want.has_iova)
		check_range(p, want.start, want.last, "The range");
	if (want.memory) {
		check_guest_memory(p);
		check_memlock(p);
	}
}

static void put_findings(const struct patient *p)
{
	static const struct {
		const char *word;
		enum colour colour;
	} verdicts[] = {
		[OK] = { "ok", GREEN },
		[NOTE] = { "note", BLUE },
		[PROBLEM] = { "problem", RED },
	};
	char *what = format("%s: %s", pci_class_name(&p->d), pci_device_name(&p->d));
	int i, j;

	printf("%s%s%s  ", colour(BOLD), p->d.address, colour(PLAIN));
	put_wrapped(escaped(what), strlen(p->d.address) + 2, false);
	free(what);
	for (i = 0; i < p->count; i++) {
		const struct finding *f = &p->findings[i];

		printf("  %s%-8s%s ", colour(verdicts[f->verdict].colour), verdicts[f->verdict].word, colour(PLAIN));
		put_wrapped(f->text, 11, false);
		for (j = 0; j < f->mend_count; j++)
			printf("           %s$ %s%s\n", colour(BOLD), f->mends[j], colour(PLAIN));
	}
	printf("  %s\n", p->problems ? "A program cannot have it." : "A program can have it.");
}

static struct json_object *as_json(const struct patient *p)
{
	static const char * const verdicts[] = { [OK] = "ok", [NOTE] = "note", [PROBLEM] = "problem" };
	struct json_object *o = json_object_new_object(), *findings, *one, *mends;
	int i, j;

	json_add_string(o, "address", p->d.address);
	json_add_bool(o, "usable", !p->problems);
	findings = json_add_array(o, "findings");
	for (i = 0; i < p->count; i++) {
		one = json_object_new_object();
		json_add_string(one, "check", p->findings[i].check);
		json_add_string(one, "verdict", verdicts[p->findings[i].verdict]);
		/* names in it are escaped already */
		json_object_object_add(one, "text", json_object_new_string(p->findings[i].text));
		mends = json_add_array(one, "mend");
		for (j = 0; j < p->findings[i].mend_count; j++)
			json_object_array_add(mends, json_object_new_string(p->findings[i].mends[j]));
		json_object_array_add(findings, one);
	}
	return o;
}

static void dismiss(struct patient *p)
{
	int i, j;

	for (i = 0; i < p->count; i++) {
		for (j = 0; j < p->findings[i].mend_count; j++)
			free(p->findings[i].mends[j]);
		free(p->findings[i].mends);
		free(p->findings[i].text);
	}
	free(p->findings);
	free(p->regions);
	free(p->iommu);
	probe_free(&p->probe);
	pci_free(&p->d);
}

static bool parse_range(const char *text)
{
	const char *dash = strchr(text, '-');
	char *first = dash ? strndup(text, dash - text) : NULL;
	bool good = first && parse_size(first, &want.start) && parse_size(dash + 1, &want.last) &&
		    want.start <= want.last;

	free(first);
	want.has_iova = good;
	return good;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option own[] = {
		{ "iova", required_argument, NULL, 'i' },
		{ "memory", required_argument, NULL, 'm' },
		{ "pid", required_argument, NULL, 'p' },
		{}
	};
	struct json_object *o = NULL, *array = NULL;
	int problems = 0, i, c;

	while ((c = next_option(argc, argv, own)) != -1) {
		switch (c) {
		case 'i':
			if (!parse_range(optarg))
				usage_error("--iova wants START-LAST, as in 0x100000-0x1fffff, not %s",
					    escaped(optarg));
			break;
		case 'm':
			if (!parse_size(optarg, &want.memory) || !want.memory || want.memory >> 60)
				usage_error("--memory wants a size, such as 16G, not %s", escaped(optarg));
			break;
		case 'p':
			if (!*optarg || strspn(optarg, "0123456789") != strlen(optarg))
				usage_error("--pid wants the number of a process, not %s", escaped(optarg));
			want.pid = optarg;
			break;
		}
	}
	if (optind >= argc)
		usage_error("doctor: which device?");
	need_iommufd();
	if (settings.json) {
		o = json_object_new_object();
		array = json_add_array(o, "devices");
	}
	for (i = optind; i < argc; i++) {
		struct patient p = { };

		pci_must_read(&p.d, argv[i]);
		examine(&p);
		if (array)
			json_object_array_add(array, as_json(&p));
		else
			put_findings(&p);
		problems += p.problems;
		dismiss(&p);
	}
	if (o)
		json_put_out(o, false);
	return problems ? NOT_USABLE : DONE;
}
