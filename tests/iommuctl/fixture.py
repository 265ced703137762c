#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Trees for iommuctl --sysroot: /proc, /dev and debugfs of machines that nobody has at hand."""
import os


class Failure(Exception):
    pass


def expect(condition, why):
    if not condition:
        raise Failure(why)


class Machine:
    """A tree below a directory. Processes and contexts are added, and files written, one after the other."""

    def __init__(self, root, iommufd=True):
        self.root = root
        for directory in ("proc", "dev", "sys"):
            os.makedirs(os.path.join(root, directory))
        if iommufd:
            self.write("dev/iommu", "")

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write(self, path, text):
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())

    def process(self, pid, comm=b"vmm"):
        self.write(f"proc/{pid}/comm", (comm if isinstance(comm, bytes) else comm.encode()) + b"\n")
        os.makedirs(self.path("proc", str(pid), "fd"))
        os.makedirs(self.path("proc", str(pid), "fdinfo"))

    def file(self, pid, fd, link, lines=""):
        os.symlink(link, self.path("proc", str(pid), "fd", str(fd)))
        self.write(f"proc/{pid}/fdinfo/{fd}", f"pos:\t0\nflags:\t02000002\nmnt_id:\t24\nino:\t87\n{lines}")

    def context(self, pid, fd, text):
        self.file(pid, fd, "/dev/iommu", text)

    def device(self, pid, fd, number, text):
        self.file(pid, fd, f"/dev/vfio/devices/vfio{number}", text)

    def debugfs(self, serial, objects="", areas=""):
        self.write(f"sys/kernel/debug/iommufd/{serial}/objects", objects)
        self.write(f"sys/kernel/debug/iommufd/{serial}/areas", areas)


def line(kind, **values):
    return kind + ":\t" + " ".join(f"{key}={value}" for key, value in values.items()) + "\n"


def head(serial, objects, account="process"):
    return line("iommufd", version=1, context=serial, account=account, objects=objects)


def ioas(number, mapped=1 << 30, areas=4, pinned=1 << 30, runs=9, tables=1, **more):
    values = {"accesses": 0, "maps": areas, "unmaps": 0, "pins": pinned >> 12}
    values.update(more)
    return line("ioas", id=number, mapped=mapped, areas=areas, pinned=pinned, runs=runs, tables=tables, **values)


def hwpt(number, ioas_id, leaves="2097152:512", **more):
    values = {"type": "paging", "auto": 1}
    values.update(more)
    return line("hwpt", id=number, ioas=ioas_id, **values, leaves=leaves)


def vm():
    """A virtual machine's context: what most people see."""
    return (head(3, 9)
            + ioas(1, mapped=4294967296 + 8192, areas=12, pinned=4294967296, runs=33, tables=2, accesses=1)
            + ioas(2, mapped=0, areas=0, pinned=0, runs=0, tables=0)
            + hwpt(3, 1, "4096:123,2097152:2047")
            + line("device", id=4, name="0000:00:03.0", group=5, faults=0)
            + line("fault", id=5, waiting=1, given=2, total=88)
            + line("access", id=6, ioas=1)
            + hwpt(7, 1, "4096:2", auto=0, fault=5)
            + line("device", id=8, name="0000:00:04.0", group=6, faults=88, dma_faults=1)
            + line("device", id=9, name="0000:00:05.0", group=7, faults=0)
            + line("noiommu", id=10, name="0000:80:01.0", ioas=2)
            + line("viommu", id=11, hwpt=7)
            + line("hwpt", id=12, type="nested", auto=0, parent=7)
            + line("attach", device=4, **{"pasid": "none"}, hwpt=3)
            + line("attach", device=4, pasid=5, hwpt=7)
            + line("attach", device=8, **{"pasid": "none"}, hwpt=12))


def vm_machine(root):
    m = Machine(root)
    m.process(1, "systemd")
    m.file(1, 0, "/dev/null")
    m.process(1234, "qemu-system-x86")
    m.file(1234, 0, "/dev/null")
    m.file(1234, 5, "socket:[12345]")
    m.context(1234, 7, vm())
    bound = line("iommufd", context=3)
    m.device(1234, 12, 0, line("vfio", name="0000:00:03.0", opened="node") + bound
             + line("device", id=4, name="0000:00:03.0", group=5, faults=0)
             + line("attach", device=4, pasid="none", hwpt=3))
    m.device(1234, 13, 1, line("vfio", name="8a6f0001-mdev", opened="node") + bound + line("access", id=6, ioas=1))
    m.process(88, "swtpm")
    m.context(88, 4, vm())
    m.context(88, 5, vm())
    m.process(99, "dpdk")
    m.device(99, 3, 4, line("vfio", name="0000:00:06.0", opened="group"))
    return m


def crowd(root, contexts, devices):
    """Virtual machines with devices each; three functions make a group."""
    m = Machine(root)
    number = 0
    for c in range(1, contexts + 1):
        text = head(c, 3 + devices) + ioas(1, mapped=c << 30, pinned=c << 30, runs=c) + hwpt(2, 1)
        attached = ""
        for d in range(devices):
            name = f"0000:{number // 24:02x}:{number // 3 % 8:02x}.{number % 3}"
            text += line("device", id=3 + d, name=name, group=number // 3, faults=0)
            attached += line("attach", device=3 + d, pasid="none", hwpt=2)
            number += 1
        m.process(1000 + c, f"qemu-{c}")
        m.context(1000 + c, 9, text + attached)
    return m
