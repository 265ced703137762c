# SPDX-License-Identifier: GPL-2.0-only
# The guest's programs: every tests/guest/*.c and every kselftest of the subsystem is one static program. Those of tests/vmm
# are for a guest that runs a virtual machine, those of tests/bench for one that counts instructions. samples/iommufd are the
# examples of the documentation, which tests/guest/samples.c runs.
# Called by tests/initramfs with ROOT, LINUX (the patched tree), OBJECTS (its object directory), OUT and CC.
KSELFTESTS := $(LINUX)/tools/testing/selftests
GUEST := $(wildcard $(ROOT)/tests/guest/*.c)
TESTS := $(wildcard $(KSELFTESTS)/iommu/*.c)
VMM := $(wildcard $(ROOT)/tests/vmm/*.c)
BENCH := $(ROOT)/tests/bench/iommu_bench.c
SAMPLES := $(wildcard $(ROOT)/samples/iommufd/*.c)
PROGRAMS := $(patsubst %.c,$(OUT)/%,$(notdir $(GUEST) $(TESTS) $(VMM) $(BENCH))) \
	$(patsubst $(ROOT)/samples/iommufd/%.c,$(OUT)/sample/%,$(SAMPLES))

# the headers of the kernel under test, not those of the machine that builds
CFLAGS := -O2 -g0 -static -pthread -Wall -Wextra -isystem $(OBJECTS)/usr/include -MMD -MP
# the kselftest macros give every test function arguments that not every test uses
KSELFTEST_CFLAGS := -I $(KSELFTESTS) -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare

all: $(PROGRAMS)

$(OUT)/%: $(ROOT)/tests/guest/%.c $(ROOT)/tests/guest.mk
	@echo "  CC      $(notdir $@)"
	@$(CC) $(CFLAGS) -MF $@.d -o $@ $<

$(OUT)/%: $(ROOT)/tests/vmm/%.c $(ROOT)/tests/guest.mk
	@echo "  CC      $(notdir $@)"
	@$(CC) $(CFLAGS) $(KSELFTEST_CFLAGS) -I $(KSELFTESTS)/iommu -MF $@.d -o $@ $<

$(OUT)/%: $(ROOT)/tests/bench/%.c $(ROOT)/tests/guest.mk
	@echo "  CC      $(notdir $@)"
	@$(CC) $(CFLAGS) $(KSELFTEST_CFLAGS) -I $(KSELFTESTS)/iommu -MF $@.d -o $@ $<

$(OUT)/%: $(KSELFTESTS)/iommu/%.c $(ROOT)/tests/guest.mk
	@echo "  CC      $(notdir $@)"
	@$(CC) $(CFLAGS) $(KSELFTEST_CFLAGS) -MF $@.d -o $@ $<

# the examples of the documentation, as a user compiles them
$(OUT)/sample/%: $(ROOT)/samples/iommufd/%.c $(ROOT)/tests/guest.mk
	@echo "  CC      samples/$(notdir $@)"
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -Werror -MF $@.d -o $@ $<

-include $(wildcard $(OUT)/*.d $(OUT)/sample/*.d)
.PHONY: all
.DELETE_ON_ERROR:
