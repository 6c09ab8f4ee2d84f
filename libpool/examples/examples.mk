# SPDX-License-Identifier: MIT
# The examples: built as a user would, and run by `make examples`.

examples    := $(patsubst libpool/examples/%,$(BUILD)/examples/%,$(basename $(sort $(wildcard libpool/examples/*.c))))
# Those that need what this machine lacks are left out, and `make examples` says so.
example_glib    = $(shell pkg-config --cflags --libs glib-2.0 2>/dev/null)
example_libuv   = $(shell pkg-config --cflags --libs libuv 2>/dev/null)
example_sandbox = $(if $(SECCOMP),$(BUILD)/libpool_sandbox.a)
example_remote_tls = $(shell pkg-config --exists 'openssl >= 3.0' 2>/dev/null && pkg-config --libs openssl)
left_out    := $(foreach name,glib libuv sandbox remote_tls,$(if $(example_$(name)),,$(BUILD)/examples/$(name)))
examples    := $(filter-out $(left_out),$(examples))

# An example is built as a user would: the public header and the library, nothing else.
$(examples): $(BUILD)/examples/%: libpool/examples/%.c $(lib) libpool/include/libpool.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -std=gnu11 $(WARNINGS) $(WERROR) $(LDFLAGS) -Ilibpool/include -o $@ $< \
	    $(filter %_sandbox.a %_tls.a,$^) $(filter %_remote.a,$^) $(lib) -pthread $(filter-out %.a,$(example_$(*F))) $(if $(filter sandbox,$(*F)),$(SECCOMP))
$(BUILD)/examples/sandbox: $(BUILD)/libpool_sandbox.a
$(BUILD)/examples/remote: $(BUILD)/libpool_remote.a
$(BUILD)/examples/remote_tls: $(BUILD)/libpool_remote_tls.a $(BUILD)/libpool_remote.a

examples: $(examples) $(spawn_tasks) $(zygote)
	$(Q)export LIBPOOL_ZYGOTE=$(abspath $(zygote)); for example in $(examples); do \
	    $$example >$$example.out 2>&1 || { cat $$example.out; echo "$$example failed"; exit 1; }; \
	    echo "$$example ok"; done
	$(Q)for example in $(left_out); do echo "$$example skipped: what it needs is not installed"; done
