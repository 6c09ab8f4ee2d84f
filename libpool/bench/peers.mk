# SPDX-License-Identifier: MIT
# The peers of `make bench`: small programs beside it, each made only where what it needs is installed
# (make setup-bench). A peer that is not there is named by bench; nothing fails.
# BENCH_OPTIONS=--quick: does all of it work?

peers := $(BUILD)/peers

# $(call has,PACKAGE): pkg-config knows it.
has = $(shell pkg-config --exists $(1) 2>/dev/null && echo yes)

peer_programs := $(peers)/condition $(peers)/pools.py \
                 $(if $(call has,libuv),$(peers)/libuv) \
                 $(if $(call has,glib-2.0),$(peers)/glib) \
                 $(if $(and $(call has,tbb),$(shell command -v $(CXX))),$(peers)/onetbb)

$(BUILD)/obj/libpool/bench/peers/libuv.o: INCLUDES += $(shell pkg-config --cflags libuv)
$(BUILD)/obj/libpool/bench/peers/glib.o: INCLUDES += $(shell pkg-config --cflags glib-2.0)
$(peers)/libuv: peer_libs = $(shell pkg-config --libs libuv)
$(peers)/glib: peer_libs = $(shell pkg-config --libs glib-2.0)
$(peers)/onetbb: peer_libs = $(shell pkg-config --libs tbb) -lstdc++

$(peers)/pools.py: libpool/bench/peers/pools.py
	@mkdir -p $(@D)
	$(Q)install -m 755 $< $@

$(peers)/%: $(BUILD)/obj/libpool/bench/peers/%.o $(BUILD)/obj/libpool/bench/peers/peer.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(link) $(peer_libs)

$(BUILD)/obj/%.o: %.cpp $(BUILD)/flags $(first)
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CFLAGS) -D_GNU_SOURCE -pthread -Wall -Wextra -MMD -MP -c -o $@ $<

.SECONDARY: $(patsubst %,$(BUILD)/obj/libpool/bench/peers/%.o,peer condition libuv glib onetbb)

-include $(wildcard $(BUILD)/obj/libpool/bench/peers/*.d)

peers: $(peer_programs)

# In `make setup-bench bench` only a second make sees what the first has installed.
bench: $(bench) ## measure, beside floors and peers: build/bench.json, build/bench.html
	$(Q)$(MAKE) --no-print-directory peers
	$(Q)$(BUILD)/bench $(BENCH_OPTIONS)

setup-bench: ## install the peers that make bench measures beside the pool
	$(Q)ci/setup bench
