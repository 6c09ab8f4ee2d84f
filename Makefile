# SPDX-License-Identifier: MIT
# libpool and chaos. `make help` lists what there is; V=1 shows the commands.
# Builds of different kinds live side by side: make BUILD=build-clang CC=clang

BUILD   ?= build
CFLAGS  ?= -O2 -g
WERROR  ?=
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
VERSION := 0.1.0
SOVERSION := 0

WARNINGS := -Wall -Wextra -Wshadow -Wconversion
STRICT   := -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(WERROR) -fPIC -fno-plt -pthread
INCLUDES := -Ilibpool/include -Ilibpool/src -I.
SECCOMP   = $(shell pkg-config --libs libseccomp 2>/dev/null)

Q := $(if $(V),,@)
comma := ,
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# ---- what there is ------------------------------------------------------------------------

find_c = $(filter-out %_test.c,$(sort $(wildcard $(1))))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

lib_src     := $(call find_c,libpool/src/*.c libpool/src/*/*.c)
harness_src := $(filter-out %_main.c,$(call find_c,harness/*.c))
chaos_src   := $(filter-out chaos/main.c,$(call find_c,chaos/*.c))
test_src    := $(sort $(wildcard libpool/src/*_test.c libpool/src/*/*_test.c libpool/bench/*_test.c harness/*_test.c chaos/*_test.c))
sim_src     := $(wildcard harness/sim_main.c)
storm_src   := harness/storm_main.c
edge_src    := harness/edge_main.c
command_src := $(wildcard chaos/main.c)
bench_src   := $(call find_c,libpool/bench/*.c)
bench_tested := libpool/bench/stats.c libpool/bench/json.c
sandbox_src := $(if $(SECCOMP),libpool/sandbox/sandbox.c)
test_src    += $(sandbox_src:.c=_test.c)
all_src     := $(lib_src) $(harness_src) $(chaos_src) $(test_src) $(sim_src) $(storm_src) $(edge_src) $(command_src) \
               $(bench_src) $(sandbox_src) $(wildcard harness/test_main.c libpool/examples/*.c)

lib     := $(BUILD)/libpool.a
shared  := $(BUILD)/libpool.so.$(SOVERSION)
sandbox := $(if $(sandbox_src),$(BUILD)/libpool_sandbox.a)
harness := $(BUILD)/obj/harness.a
chaos   := $(if $(command_src),$(BUILD)/chaos)
sim     := $(if $(sim_src),$(BUILD)/sim)
storm   := $(BUILD)/storm
edge    := $(BUILD)/edge
bench   := $(if $(bench_src),$(BUILD)/bench)

include libpool/install.mk libpool/whole.mk libpool/zygote/zygote.mk libpool/examples/examples.mk harness/mix.mk

.DEFAULT_GOAL := all
include libpool/poolrun/poolrun.mk libpool/remote/remote.mk libpool/tls/tls.mk
.DELETE_ON_ERROR:
.PHONY: all setup setup-ci setup-bench test built chaos-command unit sim examples chaos chaos-full bench peers coverage tidy sanitize \
        asan tsan format install help clean

all: $(lib) $(shared) $(zygote) $(sandbox) $(chaos) $(sim) $(storm) $(edge) $(mix) $(bench) $(examples) ## the libraries, chaos, sim, bench...

# ---- how it is made -----------------------------------------------------------------------

# In `make setup chaos` the compiler and pkg-config may be what setup is about to install.
first := $(if $(filter setup%,$(MAKECMDGOALS)),| $(filter setup%,$(MAKECMDGOALS)))

# Rewritten only when a flag has changed, so that such a change rebuilds what depends on it.
flags := $(CC) $(CFLAGS) $(STRICT) $(LDFLAGS)
$(shell mkdir -p $(BUILD) && echo '$(flags)' | cmp -s - $(BUILD)/flags || echo '$(flags)' >$(BUILD)/flags)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags $(first)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(STRICT) $(INCLUDES) -MMD -MP -c -o $@ $<

# An object whose source is gone must not stay in an archive.
define archive
	$(call say,AR,$@)
	@mkdir -p $(@D) && rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)
endef

link = $(Q)$(CC) $(CFLAGS) -pthread $(LDFLAGS) -Wl,--as-needed -o $@ $(filter %.o %.a,$^)

$(BUILD)/libpool_sandbox.a: $(call objects,$(sandbox_src))
	$(archive)

$(harness): $(call objects,$(harness_src))
	$(archive)

$(BUILD)/obj/chaos.a: $(call objects,$(chaos_src))
	$(archive)

$(shared): $(lib_objects) libpool/libpool.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -pthread -shared $(LDFLAGS) -Wl,--version-script=libpool/libpool.map \
	    -Wl,-soname,libpool.so.$(SOVERSION) -Wl,-z,now,-z,defs -o $@ $(filter %.o,$^)

$(BUILD)/chaos: $(call objects,chaos/main.c) $(BUILD)/obj/chaos.a $(harness) $(sandbox) $(remote) $(lib) | $(zygote) $(chaos_tasks)
	$(call say,LD,$@)
	$(link) $(SECCOMP)

# Tests may replace kernel calls: they have a table of them that can be written (sys/sys.h).
$(call objects,$(test_src)): STRICT += -DLP_TEST
test_sys := $(BUILD)/obj/sys_for_tests.o
$(test_sys): libpool/src/sys/sys.c libpool/src/sys/sys.h $(BUILD)/flags $(first)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(STRICT) -DLP_TEST $(INCLUDES) -c -o $@ $<

$(BUILD)/unit: $(call objects,$(test_src) harness/test_main.c) $(test_sys) $(call objects,$(tested)) \
                 $(BUILD)/obj/chaos.a $(harness) $(sandbox) $(parts) | $(zygote) $(test_object) $(test_openmp)
	$(call say,LD,$@)
	$(link) -fno-lto $(exporting) $(wrapping) -lcunit $(SECCOMP) $(TLS)

$(BUILD)/sim: $(call objects,$(sim_src)) $(harness) $(lib_objects)
	$(call say,LD,$@)
	$(link) $(SECCOMP)

$(storm): $(call objects,$(storm_src)) $(lib)
$(edge): $(call objects,$(edge_src)) $(lib)
$(storm) $(edge):
	$(call say,LD,$@)
	$(link)

$(BUILD)/bench: $(call objects,$(bench_src)) $(lib)
	$(call say,LD,$@)
	$(link) -lm

-include $(patsubst %.o,%.d,$(call objects,$(all_src)))

# ---- what it is made for ------------------------------------------------------------------

setup: ## install from Debian what building, testing and chaos need
	$(Q)ci/setup

setup-ci: ## the same, and what CI checks with
	$(Q)ci/setup ci

test: built $(examples) $(spawn_tasks) $(poolrun) ## unit tests, simulated schedules, examples, poolrun
	$(Q)$(MAKE) --no-print-directory -j1 unit sim examples poolrun

built: $(BUILD)/unit $(sim)
chaos-command: $(chaos) $(storm) $(edge) $(mix)

unit: $(BUILD)/unit
	$(Q)$(BUILD)/unit -j2 $(TESTS)

SCHEDULES ?= 100000
sim: $(sim)
	$(Q)$(if $(sim),$(sim) --schedules $(SCHEDULES),echo 'sim: not there yet')

chaos: chaos-command ## the scenarios against live pools, those that have to fail, a storm of kills, ends at deadlines, a mix
	$(Q)$(BUILD)/chaos run scenarios -j2
	$(Q)$(BUILD)/chaos must-fail scenarios/must-fail -j2
	$(Q)$(storm)
	$(Q)$(edge) && $(mix)

chaos-full: chaos ## the same at length, on a machine kept busy
	$(Q)stress-ng --cpu 2 --vm 1 --vm-bytes 256M --timeout 0 >/dev/null 2>&1 & noise=$$!; \
	    $(BUILD)/chaos run scenarios --repeat 20; verdict=$$?; kill $$noise; exit $$verdict
	$(Q)$(BUILD)/chaos run scenarios/crash scenarios/oom --repeat 100

include libpool/bench/peers.mk

coverage: ## line coverage in build-coverage/html, workers that were killed included
	$(Q)ci/coverage

tidy: $(parts) $(remote) $(tls) ## style, length, includes, banned calls
	$(Q)BUILD=$(BUILD) ci/tidy

format: ## clang-format everything in place
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

sanitize: asan tsan ## unit tests, a short simulation and a mix under ASan+UBSan, then TSan

# One after the other, whatever -j says: tests measure time.
sanitized = $(MAKE) --no-print-directory BUILD=$(BUILD)-$(1) SCHEDULES=5000 LDFLAGS='-fsanitize=$(2)' \
            CFLAGS='-O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize=$(2)'

asan: export ASAN_OPTIONS := detect_stack_use_after_return=1
asan: export UBSAN_OPTIONS := print_stacktrace=1
asan: export TEST_TIME_FACTOR := 4
asan:
	$(Q)$(call sanitized,asan,address$(comma)undefined) built
	$(Q)$(call sanitized,asan,address$(comma)undefined) -j1 unit sim mix

tsan: export TSAN_OPTIONS := die_after_fork=0
tsan: export TEST_TIME_FACTOR := 8
tsan:
	$(Q)$(call sanitized,tsan,thread) built
	$(Q)$(call sanitized,tsan,thread) -j1 unit sim mix

# What tells other tools where libpool is.
describe = sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@LIBEXECDIR@|$(LIBEXECDIR)|; s|@VERSION@|$(VERSION)|; s|@MINOR@|$(basename $(VERSION))|' \
    libpool/$(1).in >$(DESTDIR)$(LIBDIR)/$(2)/$(1) && chmod 644 $(DESTDIR)$(LIBDIR)/$(2)/$(1)

install: $(lib) $(shared) $(sandbox) $(chaos) ## header, libraries, zygote, poolrun, chaos, pkg-config (DESTDIR, PREFIX)
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/bin
	install -m 644 libpool/include/libpool.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(lib) $(sandbox) $(DESTDIR)$(LIBDIR)
	$(if $(sandbox),install -m 644 libpool/include/libpool_sandbox.h $(DESTDIR)$(PREFIX)/include)
	install -m 755 $(shared) $(DESTDIR)$(LIBDIR)/libpool.so.$(VERSION)
	ln -sf libpool.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libpool.so.$(SOVERSION)
	ln -sf libpool.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libpool.so
	$(call describe,libpool.pc,pkgconfig)
	$(if $(sandbox),$(call describe,libpool_sandbox.pc,pkgconfig))
	install -d $(DESTDIR)$(LIBDIR)/cmake/libpool
	$(call describe,libpool-config.cmake,cmake/libpool)
	$(call describe,libpool-config-version.cmake,cmake/libpool)
	$(if $(chaos),install -m 755 $(chaos) $(DESTDIR)$(PREFIX)/bin)
	@[ -n '$(DESTDIR)' ] || [ "$$(id -u)" -ne 0 ] || ldconfig # so that what was just linked starts

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile libpool/poolrun/poolrun.mk libpool/bench/peers.mk | expand -t 14

clean: ## remove this build (BUILD=dir)
	rm -rf $(BUILD)
