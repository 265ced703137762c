# SPDX-License-Identifier: GPL-2.0-only
# iommufd for Linux 6.1: the commands of this repository. "make help" lists them; the work is done by tests/*.
include base.mk

ARCH ?= x86_64
DEBUG ?= 0
MODES_x86_64 := legacy scalable
MODES_arm64 := nested stage1 stage2
MODE ?= $(firstword $(MODES_$(ARCH)))
T ?=
LONG ?=
ABI_TABLES ?=
PATCH ?=
PROFILE ?=
RELEASE ?=
CONFIG ?=
export ARCH DEBUG MODE T LONG ABI_TABLES CONFIG

# ARCH, MODE and DEBUG given by the user restrict "make check" to them; tests/check knows what it does without them
given = $(if $(filter command line environment,$(origin $(1))),$($(1)))
CHECK_ARCHES := $(call given,ARCH)
CHECK_MODES := $(call given,MODE)
CHECK_KERNELS := $(call given,DEBUG)
export CHECK_ARCHES CHECK_MODES CHECK_KERNELS
CHECK_GROUPS := harness patches static docs abi iommuctl doctor kunit guest vmm bench deb drivers

help:
	@echo 'make run         the demonstration: an emulated device does DMA through /dev/iommu, every line checked'
	@echo 'make check       every test; the last line is "N passed, N failed, N skipped"; T=name selects'
	@echo 'make check-full  make check and what is too long for it: random runs (1,000,000 steps of the walker, not 200,000),'
	@echo '                 DEBUG on arm64, every machine of check-vmm, all drivers of VFIO, a kernel without iommufd'
	@echo 'make check-vmm   virtual machines inside the guest: QEMU as the client, devices passed through; LONG=1 all of them'
	@echo 'make conformance upstream'"'"'s own selftests, from the newest kernel source that Debian has, on this kernel: a table'
	@echo 'make bench       what address spaces cost, in guest instructions, beside type1 and other kernels: text, JSON, SVG;'
	@echo '                 T=table or T=growth is half of it, PROFILE=huge tells which functions cost what'
	@echo 'make bench-record    keep the last run in Documentation/iommufd-bench; RELEASE= names it'
	@echo 'make bench-expected  write down anew what "make check T=bench" expects'
	@echo 'make htmldocs    the documentation as HTML, in build/html'
	@echo 'make kernel      build the test kernel; "make -s kernel" prints the path of its image as the last line'
	@echo 'make shell       a guest with a shell on this terminal'
	@echo 'make gdb         a guest that waits for a debugger, and the command line for gdb'
	@echo 'make deb         Debian packages: the kernel with Debian'"'"'s configuration, its headers, iommuctl'
	@echo 'make refresh     turn edits made in build/linux back into patches/ and files of this repository'
	@echo 'make deps        install the Debian packages that are missing (every command does so by itself)'
	@echo 'make clean       remove build/'
	@echo
	@echo 'Settings:'
	@echo '  ARCH=$(ARCH)                 architecture: x86_64 or arm64'
	@echo '  DEBUG=$(DEBUG)                     1: the kernel with KASAN, lockdep, leak and hang checks'
	@echo '  MODE=$(MODE)                 how the IOMMU works: legacy or scalable VT-d, nested, stage1 or stage2 SMMUv3'
	@echo '  T=$(T)                          make check: a group ($(CHECK_GROUPS)),'
	@echo '                              or one program of the guest; check without ARCH=, DEBUG=, MODE= covers all'
	@echo '  PATCH=$(PATCH)                      make refresh: the patch that takes kernel files of no patch yet'
	@echo '  PROFILE=$(PROFILE)                    make bench: 4k, scattered, thp, huge, one, chosen, copy, table-scattered or'
	@echo '                              table-huge; WAY=type1 for that container'
	@echo '  CONFIG=$(CONFIG)                     make deb: debian, or reduced: boots in a virtual machine, built in minutes'
	@echo '  ABI_TABLES=$(ABI_TABLES)                 make check: directory with the ABI tables and their check'
	@echo 'Base: $(BASE_PACKAGE), last tested with $(BASE_TESTED). Everything built is in build/, logs in build/log/.'

run:
	@tests/prepare guest
	@tests/demo

kernel:
	@tests/prepare kernel

shell gdb:
	@tests/prepare guest
	@tests/qemu $@

check:
	@tests/check $(T)

check-full:
	@LONG=1 tests/check $(T)

check-vmm:
	@tests/check-vmm $(T)

conformance:
	@tests/conformance

bench:
	@tests/bench/run $(if $(PROFILE),profile $(PROFILE),$(T))

bench-record:
	@tests/bench/run record $(RELEASE)

bench-expected:
	@tests/bench/run expected

deb:
	@tests/deb/build

htmldocs:
	@tests/htmldocs

refresh:
	@tests/tree refresh $(PATCH)

deps:
	@tests/deps

clean:
	rm -rf build

.PHONY: help run kernel shell gdb check check-full check-vmm conformance bench bench-record bench-expected deb htmldocs refresh deps clean
