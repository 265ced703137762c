#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""PCI devices of machines that are trees of files: list, doctor, bind and unbind."""
import os
import pwd
import re
import subprocess

from fixture import Machine, expect

MSI = "0x00000000fee00000 0x00000000feefffff msi\n"


class Computer(Machine):
    """A machine with PCI devices, an IOMMU of Intel, and a user without limits."""

    def __init__(self, root, iommu="dmar0", remapping=True, **more):
        super().__init__(root, **more)
        self.iommu = iommu
        os.makedirs(self.path("sys/bus/pci/devices"))
        os.makedirs(self.path("sys/class/iommu"))
        self.command_line("quiet")
        prefix = "IR-" if remapping else ""
        self.write("proc/interrupts", f"           CPU0\n  0:          2  {prefix}IO-APIC    2-edge      timer\n"
                   "  24:          0  DMAR-MSI    0-edge      dmar0\n")
        self.process("self", "iommuctl")
        self.user()

    def command_line(self, text):
        self.write("proc/cmdline", f"BOOT_IMAGE=/vmlinuz root=/dev/vda1 {text}\n")

    def user(self, pid="self", soft="unlimited", hard="unlimited", pinned=0, capabilities=0, uid=1000):
        self.write(f"proc/{pid}/limits", "Limit                     Soft Limit           Hard Limit           Units\n"
                   f"Max locked memory         {soft:<20} {hard:<20} bytes\n")
        self.write(f"proc/{pid}/status", f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nVmPin:\t{pinned:8} kB\n"
                   f"CapEff:\t{capabilities:016x}\n")

    def driver(self, name):
        for control in ("bind", "unbind"):
            self.write(f"sys/bus/pci/drivers/{name}/{control}", "")
        self.write("sys/bus/pci/drivers_probe", "")

    def device_at(self, address, driver=None, group=None, node=None, klass=0x020000, regions=MSI):
        top = f"sys/devices/pci0000:00/{address}"
        for name, value in (("vendor", 0x8086), ("device", 0x10c9), ("class", klass)):
            self.write(f"{top}/{name}", f"0x{value:04x}\n")
        self.write(f"{top}/driver_override", "(null)\n")
        os.symlink(f"../../../devices/pci0000:00/{address}", self.path("sys/bus/pci/devices", address))
        if driver:
            self.driver(driver)
            os.symlink(f"../../../bus/pci/drivers/{driver}", self.path(top, "driver"))
        if group is not None:
            os.symlink(f"../../../kernel/iommu_groups/{group}", self.path(top, "iommu_group"))
            os.symlink(f"../../../class/iommu/{self.iommu}", self.path(top, "iommu"))
            self.write(f"sys/class/iommu/{self.iommu}/devices/{address}", "")
            os.makedirs(self.path(f"sys/kernel/iommu_groups/{group}/devices"), exist_ok=True)
            os.symlink(f"../../../../devices/pci0000:00/{address}",
                       self.path(f"sys/kernel/iommu_groups/{group}/devices/{address}"))
            self.write(f"sys/kernel/iommu_groups/{group}/reserved_regions", regions)
        if node:
            self.write(f"{top}/vfio-dev/{node}/dev", "511:0\n")
            self.write(f"sys/class/vfio-dev/{node}/dev", "511:0\n")
            os.symlink(f"../../../devices/pci0000:00/{address}", self.path(f"sys/class/vfio-dev/{node}/device"))
            self.write(f"dev/vfio/devices/{node}", "")
        return self.path(top)


def states(t, **more):
    return {d["address"]: d["state"] for d in t.json("list", **more)["devices"]}


def problems(t, *arguments, status=1, **more):
    """The checks that found a problem, each with its text and commands."""
    device = t.json("doctor", *arguments, status=status, **more)["devices"][0]
    expect(device["usable"] == (status == 0), f"usable is {device['usable']} with status {status}")
    return {f["check"]: (f["text"], f["mend"]) for f in device["findings"] if f["verdict"] == "problem"}


def only_problem(t, check, words, mends, *arguments, **more):
    """Doctor finds this problem and no other, says these words, and a command that contains each of these."""
    found = problems(t, *arguments, **more)
    expect(list(found) == [check], f"found {list(found)}, not {check} alone")
    text, commands = found[check]
    for word in words:
        expect(word in text, f"{word!r} is not in {text!r}")
    for wanted in mends:
        expect(any(wanted in command for command in commands), f"no command with {wanted!r}: {commands}")
    expect(mends or not commands, f"commands that nobody expected: {commands}")


def test_pci_states(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    m.device_at("0000:00:02.0", "e1000e", 2)
    m.device_at("0000:00:03.0", None, 3)
    m.device_at("0000:00:04.0", "vfio-pci", 4, "vfio1")
    m.device_at("0000:00:04.1", "ahci", 4)
    m.device_at("0000:00:05.0", "pcieport", 5, klass=0x060400)
    m.device_at("0000:01:00.0", "vfio-pci", 5, "vfio2")
    m.device_at("0000:00:06.0", "e1000e")
    m.device_at("0000:00:07.0", "vfio-pci", 7)
    m.device_at("0000:00:08.0", "vfio-pci", 8, "vfio3")
    m.process(77, "vmm")
    m.file(77, 3, "/dev/vfio/devices/vfio3")
    m.device_at("0000:00:09.0", "vfio-pci", 9, "vfio4")
    m.process(78, "vmm")
    m.file(78, 3, "/dev/vfio/9")
    m.device_at("0000:00:0a.0", "nvidia-vfio", 10, "vfio31")
    m.device_at("0000:00:0b.0", "vfio-pci", 11, "vfio5")
    m.process(79, "closed, and still mapped")
    m.write("proc/79/maps", "7f00-7f01 r--p 0000 fe:00 9  /usr/bin/vmm\n7f01-7f02 rw-s 0000 00:05 8  /dev/vfio/devices/vfio5\n")
    expect(states(t) == {
        "0000:00:01.0": "ready", "0000:00:02.0": "not-bound", "0000:00:03.0": "not-bound", "0000:00:04.0": "group",
        "0000:00:04.1": "not-bound", "0000:00:05.0": "bridge", "0000:01:00.0": "ready", "0000:00:06.0": "no-iommu",
        "0000:00:07.0": "no-node", "0000:00:08.0": "in-use", "0000:00:09.0": "in-use", "0000:00:0a.0": "ready",
        "0000:00:0b.0": "in-use",
    }, f"states: {states(t)}")
    os.chmod(m.path("dev/vfio/devices/vfio0"), 0)
    expect(states(t, user=65534)["0000:00:01.0"] == "no-access", "a user without rights may open the node")


def test_pci_table(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    m.device_at("0000:00:02.0", "a driver\n\x1b[31mred", 2)
    out, _ = t.run("list")
    lines = out.splitlines()
    expect(len(lines) == 3, f"three lines expected: {out}")
    expect(re.search(r"^0000:00:01\.0 +1 vfio-pci +vfio0 yes +Ethernet", lines[1]), lines[1])
    expect(r"a driver\x0a\x1b[31mred" in lines[2] and "\x1b" not in out, lines[2])
    screen = t.on_terminal("list")
    expect("\x1b[32m" in screen, "no colour on a terminal")
    plain = re.sub(r"\x1b\[\d*m", "", screen)
    expect(all(len(one) <= 80 for one in plain.splitlines()[:2]), f"wider than the terminal: {plain}")
    expect("\x1b" not in t.on_terminal("list", env={"NO_COLOR": "1"}), "colour although NO_COLOR is set")
    for name in ("00:01.0", "0000:00:01.0", "vfio0", "/dev/vfio/devices/vfio0", "/dev/vfio/by-path/pci-0000:00:01.0"):
        found = t.json("list", name)["devices"]
        expect([d["address"] for d in found] == ["0000:00:01.0"], f"{name}: {found}")


def test_pci_bad_input(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    os.makedirs(m.path("sys/bus/pci/devices/not an address"))
    expect(list(states(t)) == ["0000:00:01.0"], "a directory that is no device is listed")
    t.fails(1, "list", "00:1f.7", says="there is no PCI device 0000:00:1f.7")
    for bad in ("", "x", "00:01", "00:01.8", "00:20.0", "00:01.0 ", "0000:00:01.0x", "\x1b[0m", "vfio9", "../../etc"):
        t.fails(2, "list", bad, says="is no PCI address")
    t.fails(2, "list", "-1:00:01.0", says="there is no option -1")
    for command in (("doctor",), ("bind",), ("unbind",), ("list", "--nothing"), ("doctor", "00:01.0", "--iova", "5"),
                    ("doctor", "00:01.0", "--iova", "0x2000-0x1000"), ("doctor", "00:01.0", "--iova", "0-0x10000000000000000"),
                    ("doctor", "00:01.0", "--memory", "0"), ("doctor", "00:01.0", "--memory", "-1"),
                    ("doctor", "00:01.0", "--memory", "16X"), ("doctor", "00:01.0", "--memory", "99999999T"),
                    ("doctor", "00:01.0", "--memory"), ("doctor", "00:01.0", "--pid", "self"),
                    ("bind", "00:01.0", "--driver", "../x"), ("bind", "00:01.0", "--driver", "")):
        t.fails(2, *command)
    t.fails(1, "doctor", "00:01.0", "--memory", "1G", "--pid", "4711", says="there is no process 4711")


def test_pci_no_bus(t):
    Machine(t.root())
    t.fails(1, "list", says="PCI bus")


def test_doctor_without_iommufd(t):
    Computer(t.root(), iommufd=False).device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    t.fails(4, "doctor", "00:01.0", says="no iommufd")


def test_doctor_well(t):
    Computer(t.root()).device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    expect(not problems(t, "00:01.0", "--memory", "2G", "--iova", "0x1000-0x1fff", status=0), "problems of a device without any")
    out, _ = t.run("doctor", "00:01.0")
    expect("A program can have it." in out and all(len(one) <= 80 for one in out.splitlines()), out)


def test_doctor_no_iommu(t):
    m = Computer(t.root(), iommu=None)
    m.device_at("0000:00:01.0", "e1000e")
    only_problem(t, "no-iommu", ["firmware's setup"], [], "00:01.0")
    m.write("sys/firmware/acpi/tables/DMAR", "")
    only_problem(t, "no-iommu", ["does not use it"], ["intel_iommu=on"], "00:01.0")
    m.command_line("intel_iommu=off")
    only_problem(t, "no-iommu", ["switched off"], ["s/ *intel_iommu=off//"], "00:01.0")


def test_doctor_device_left_out(t):
    m = Computer(t.root())
    m.write("sys/class/iommu/another/devices/no-pci-device", "")
    m.device_at("0000:00:01.0", "e1000e")
    only_problem(t, "no-iommu", ["firmware's setup"], [], "00:01.0")
    m.device_at("0000:00:02.0", "e1000e", 2)
    only_problem(t, "no-iommu", ["dmar0", "leave it out"], [], "00:01.0")


def test_doctor_noiommu_mode(t):
    m = Computer(t.root(), iommu=None)
    m.device_at("0000:00:01.0", "vfio-pci", None, "noiommu-vfio0")
    m.device_at("0000:00:02.0", "e1000e")
    m.driver("vfio-pci")
    expect(not problems(t, "00:01.0", status=0), "problems in the mode without an IOMMU")
    t.fails(1, "bind", "00:02.0", says="no IOMMU translates for 0000:00:02.0")
    m.write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n")
    only_problem(t, "not-bound", [], ["iommuctl bind 0000:00:02.0"], "00:02.0")
    t.run("bind", "--dry-run", "00:02.0")


def test_doctor_group(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    m.device_at("0000:00:01.1", "ahci", 1)
    m.device_at("0000:00:01.2", "pci-stub", 1)
    m.device_at("0000:00:01.3", None, 1)
    m.device_at("0000:00:01.4", "e1000e", 1)
    only_problem(t, "foreign-driver", ["0000:00:01.1 (driver ahci), 0000:00:01.4 (driver e1000e)."],
                 ["iommuctl bind --group 0000:00:01.0"], "00:01.0")


def test_doctor_not_bound(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "e1000e", 1)
    m.device_at("0000:00:02.0", None, 2)
    only_problem(t, "not-bound", ["Driver e1000e"], ["iommuctl bind 0000:00:01.0"], "00:01.0")
    only_problem(t, "not-bound", ["no driver"], ["iommuctl bind 0000:00:02.0"], "00:02.0")


def test_doctor_bridge(t):
    Computer(t.root()).device_at("0000:00:01.0", "pcieport", 1, klass=0x060400)
    only_problem(t, "bridge", [], [], "00:01.0")


def test_doctor_no_node(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    os.remove(m.path("dev/vfio/devices/vfio0"))
    only_problem(t, "no-node", ["/dev/vfio/devices/vfio0"], ["mknod -m 600 /dev/vfio/devices/vfio0 c 511 0"], "00:01.0")


def test_doctor_interrupts(t):
    m = Computer(t.root(), remapping=False)
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    only_problem(t, "unsafe-interrupts", ["not isolated"], ["allow_unsafe_interrupts"], "00:01.0")
    m.command_line("intremap=off")
    only_problem(t, "unsafe-interrupts", ["command line"], ["s/ *intremap=off//"], "00:01.0")
    m.write("sys/module/iommufd/parameters/allow_unsafe_interrupts", "Y\n")
    expect(not problems(t, "00:01.0", status=0), "what was allowed is a problem")


def test_doctor_permission(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    os.chmod(m.path("dev/iommu"), 0)
    os.chmod(m.path("dev/vfio/devices/vfio0"), 0)
    if not os.geteuid():
        expect(not problems(t, "00:01.0", status=0), "root may not")
    user = pwd.getpwuid(os.geteuid() or 65534).pw_name
    only_problem(t, "permission", [f"User {user} may not open /dev/iommu and /dev/vfio/devices/vfio0."],
                 [f"setfacl -m u:{user}:rw /dev/iommu /dev/vfio/devices/vfio0", f"usermod -a -G vfio {user}"], "00:01.0",
                 user=65534)
    os.chmod(m.path("dev/iommu"), 0o666)
    only_problem(t, "permission", ["may not open /dev/vfio/devices/vfio0."], ["rw /dev/vfio/devices/vfio0"], "00:01.0",
                 user=65534)


def test_doctor_in_use(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    m.process(77, "a\x1bb")
    m.file(77, 3, "/dev/vfio/devices/vfio0")
    only_problem(t, "in-use", [r"Process 77 (a\x1bb)"], ["iommuctl show 77"], "00:01.0")


def test_doctor_memlock(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    m.user(soft=8 << 20, hard=1 << 40)
    expect(not problems(t, "00:01.0", "--memory", "8M", status=0), "exactly the limit is too much")
    only_problem(t, "memlock", ["8 MiB", "16 GiB more"], [f"ulimit -l {16 << 20}"], "00:01.0", "--memory", "16G")
    # what the same user's other processes have pinned counts too; not what another user's have, or those without a limit
    for pid, more in ((90, {}), (91, {"uid": 1}), (92, {"capabilities": 1 << 14})):
        m.process(pid, "vmm")
        m.user(pid, pinned=4096, **more)
    only_problem(t, "memlock", ["4 MiB are in use"], [f"ulimit -l {(4 << 10) + (8 << 10)}"], "00:01.0", "--memory", "8M")
    m.user(soft=8 << 20, hard=8 << 20)
    only_problem(t, "memlock", [], ["prlimit --memlock="], "00:01.0", "--memory", "16G")
    m.user(soft=8 << 20, hard=8 << 20, capabilities=1 << 14)
    expect(not problems(t, "00:01.0", "--memory", "16G", status=0), "CAP_IPC_LOCK has a limit")
    only_problem(t, "memlock", [], ["--pid 93"], "00:01.0", "--memory", "16G", "--pid", "93") if not m.process(93) and \
        not m.user(93, soft=1, hard=1) else None


def test_doctor_reserved(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0")
    m.device_at("0000:00:02.0", "vfio-pci", 2, "vfio1",
                regions=MSI + "0x000000fd00000000 0x000000ffffffffff reserved\n")
    for iova in ("0xfee00000-0xfee00000", "0xfeefffff-0xff000000", "0-0xffffffffffffffff"):
        only_problem(t, "reserved", ["0xfee00000-0xfeefffff", "(msi)"], [], "00:01.0", "--iova", iova)
    for iova in ("0-0xfedfffff", "0xfef00000-0xffffffff", "4G-16T"):
        expect(not problems(t, "00:01.0", "--iova", iova, status=0), iova)
    # a guest has no memory where a PC has its interrupts, and only a very large one where AMD's machines have a hole
    expect(not problems(t, "00:02.0", "--memory", "512G", status=0), "512 GiB")
    only_problem(t, "reserved", ["above 4 GiB", "0xfd00000000-0xffffffffff"], [], "00:02.0", "--memory", "1T")


def test_doctor_rmrr(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "vfio-pci", 1, "vfio0", regions="0x0000000079000000 0x00000000790fffff direct\n" + MSI)
    m.device_at("0000:00:02.0", "vfio-pci", 2, "vfio1",
                regions="0x0000000000000000 0x0000000000ffffff direct-relaxable\n" + MSI)
    only_problem(t, "rmrr", ["RMRR", "0x79000000-0x790fffff", "firmware"], [], "00:01.0")
    expect(not problems(t, "00:02.0", "--memory", "1G", status=0), "a region that is over by now is in the way")
    expect("RMRR" in t.run("doctor", "00:02.0")[0], "the region that is over by now is not told")


def test_bind_dry_run(t):
    m = Computer(t.root())
    m.driver("vfio-pci")
    m.device_at("0000:00:01.0", "e1000e", 1)
    m.device_at("0000:00:01.1", None, 1)
    out, _ = t.run("bind", "--dry-run", "00:01.0")
    expect(out == "echo vfio-pci > /sys/bus/pci/devices/0000:00:01.0/driver_override\n"
           "echo 0000:00:01.0 > /sys/bus/pci/drivers/e1000e/unbind\n"
           "echo 0000:00:01.0 > /sys/bus/pci/drivers_probe\n", out)
    m.device_at("0000:00:02.0", "vfio-pci", 2, "vfio0")
    expect(t.run("bind", "--dry-run", "00:02.0")[0] == "", "a device that has its driver is moved")
    m.device_at("0000:00:03.0", "nvidia-vfio", 3, "vfio1")
    expect(t.run("bind", "--dry-run", "00:03.0")[0] == "", "a device that has another driver of VFIO is moved")
    expect("vfio-pci" in t.run("bind", "--dry-run", "--driver", "vfio-pci", "00:03.0")[0], "--driver does nothing")
    expect("vfio-pci/unbind" in t.run("unbind", "--dry-run", "00:02.0")[0], "unbind does not unbind")


def test_bind_group(t):
    m = Computer(t.root())
    m.driver("vfio-pci")
    m.device_at("0000:00:01.0", "e1000e", 1)
    m.device_at("0000:00:01.1", "ahci", 1)
    m.device_at("0000:00:01.2", "pcieport", 1, klass=0x060400)
    t.fails(1, "bind", "--dry-run", "00:01.0", says="shares group 1 with 0000:00:01.1 of driver ahci")
    for arguments in (("--group", "00:01.0"), ("00:01.0", "00:01.1", "00:01.0")):
        out, _ = t.run("bind", "--dry-run", *arguments)
        expect(len(out.splitlines()) == 6 and "00:01.1/driver_override" in out and "00:01.2" not in out, out)
    expect("00:01.1" not in t.run("bind", "--dry-run", "--force", "00:01.0")[0], "--force is --group")


def test_bind_what_the_machine_needs(t):
    m = Computer(t.root())
    m.driver("vfio-pci")
    disk = m.device_at("0000:00:01.0", "ahci", 1)
    m.device_at("0000:00:02.0", "e1000e", 2)
    m.write("sys/class/block/sda1/dev", "8:1\n")
    os.makedirs(m.path("sys/dev/block"))
    os.symlink("../../devices/pci0000:00/0000:00:01.0/ata1/block/sda/sda1", m.path("sys/dev/block/8:1"))
    mounts = "22 1 {} / / rw - {} {} rw\n"
    m.write("proc/self/mountinfo", mounts.format("8:1", "ext4", "/dev/sda1"))
    t.fails(1, "bind", "00:01.0", says="/ is mounted from /dev/sda1")
    only_problem(t, "not-bound", ["this machine needs it", "/dev/sda1"], [], "00:01.0")
    # through a volume, and with the number of a file system that spans devices
    m.write("sys/devices/virtual/block/dm-0/slaves/sda1/x", "")
    os.symlink("../../devices/virtual/block/dm-0", m.path("sys/dev/block/253:0"))
    m.write("proc/self/mountinfo", mounts.format("253:0", "ext4", "/dev/mapper/root"))
    t.fails(1, "bind", "00:01.0", says="/ is mounted from /dev/mapper/root")
    m.write("proc/self/mountinfo", mounts.format("0:31", "btrfs", "/dev/sda1"))
    t.fails(1, "bind", "00:01.0", says="/ is mounted from /dev/sda1")
    m.write("proc/self/mountinfo", mounts.format("0:31", "tmpfs", "tmpfs"))
    t.run("bind", "--dry-run", "00:01.0")
    m.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/sda1\tpartition\t1\t0\t-2\n")
    t.fails(1, "bind", "00:01.0", says="swaps to /dev/sda1")
    t.run("bind", "--dry-run", "--force", "00:01.0")
    expect(os.path.exists(disk), disk)
    os.makedirs(m.path("sys/class/net"))
    m.write("sys/devices/pci0000:00/0000:00:02.0/net/eth0/flags", "0x1002\n")
    os.symlink("../../devices/pci0000:00/0000:00:02.0/net/eth0", m.path("sys/class/net/eth0"))
    t.run("bind", "--dry-run", "00:02.0")
    m.write("sys/devices/pci0000:00/0000:00:02.0/net/eth0/flags", "0x1003\n")
    t.fails(1, "bind", "00:02.0", says="network interface eth0 is up")


def test_bind_refused(t):
    m = Computer(t.root())
    m.device_at("0000:00:01.0", "e1000e", 1)
    t.fails(1, "bind", "00:01.0", says="no PCI driver vfio-pci")
    m.driver("vfio-pci")
    m.device_at("0000:00:02.0", "pcieport", 2, klass=0x060400)
    t.fails(1, "bind", "00:02.0", says="bridge")
    t.fails(1, "unbind", "00:01.0", says="driver e1000e has it")
    m.device_at("0000:00:03.0", "vfio-pci", 3, "vfio0")
    m.device_at("0000:00:03.1", "vfio-pci", 3, "vfio1")
    m.process(77, "vmm")
    m.file(77, 3, "/dev/vfio/devices/vfio1")
    t.fails(1, "unbind", "00:03.0", says="0000:00:03.1 is in use by process 77 (vmm)")
    os.chmod(m.path("sys/bus/pci/devices/0000:00:01.0/driver_override"), 0o444)
    t.fails(3, "bind", "00:01.0", user=65534, says="sysfs may not be written")


def test_bind_that_fails_is_undone(t):
    """A tree of files has no kernel: no driver takes the device, so that it gets back what it had."""
    m = Computer(t.root())
    m.driver("vfio-pci")
    device = m.device_at("0000:00:01.0", "e1000e", 1)
    m.write("sys/devices/pci0000:00/0000:00:01.0/driver_override", "mine\n")
    t.fails(5, "bind", "00:01.0", says="vfio-pci did not take it; dmesg")
    with open(os.path.join(device, "driver_override"), encoding="utf-8") as override:
        text = override.read()
    expect(text.startswith("mine"), f"driver_override is {text!r}")


def test_every_option_is_documented(t):
    """What --help names stands in the manual page, and bash completes it."""
    Machine(t.root())
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "iommu")
    with open(os.path.join(top, "iommuctl.8"), encoding="utf-8") as page:
        manual = page.read().replace("\\-", "-")

    def completions(line):
        words = line.split(" ")
        script = (f'. "{top}/iommuctl.bash"; COMP_LINE="{line}"; COMP_POINT={len(line)}; COMP_WORDS=({line}); '
                  f'COMP_CWORD={len(words) - 1}; _iommuctl; echo "${{COMPREPLY[*]}}"')
        done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=True, timeout=60)
        return done.stdout.decode().split()

    names = re.findall(r"^  (\w+) ", t.run("--help")[0], re.M)
    expect(len(names) == 7 and names[0] == "list", f"commands: {names}")
    expect(set(names) <= set(completions("iommuctl ")), f"bash completes {completions('iommuctl ')}")
    expect(completions("iommuctl doc") == ["doctor"], "bash does not complete doctor")
    for name in names:
        expect(f".SS {name}\n" in manual and f".B iommuctl {name}\n" in manual, f"{name} is not in the manual page")
        options = set(re.findall(r"--[a-z-]+", t.run(name, "--help")[0]))
        for option in options:
            expect(option in manual, f"{option} of {name} is not in the manual page")
        found = set(completions(f"iommuctl {name} --")) - {"--help"}
        expect(found == options, f"bash completes {found} of {name}, which has {options}")
