# SPDX-License-Identifier: MIT
# poolrun, the command: an application of the public API. Included by the Makefile.

poolrun_src := $(call find_c,libpool/poolrun/*.c)
poolrun     := $(BUILD)/poolrun
test_src    += $(sort $(wildcard libpool/poolrun/*_test.c))
tested      := $(bench_tested) $(filter-out libpool/poolrun/main.c,$(poolrun_src))
all_src     += $(poolrun_src) $(wildcard libpool/poolrun/*_test.c)

all: $(poolrun)

$(poolrun): $(call objects,$(poolrun_src)) $(lib)
	$(call say,LD,$@)
	$(link)

.PHONY: poolrun install-poolrun
poolrun: $(poolrun) ## the command poolrun, tried from end to end
	$(Q)ci/poolrun $(poolrun)

install: install-poolrun
install-poolrun: $(poolrun)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(poolrun) $(DESTDIR)$(PREFIX)/bin
