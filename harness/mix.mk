# SPDX-License-Identifier: MIT
# mix: the program, and its tasks once more as an object that is loaded by name.

mix       := $(BUILD)/mix
mix_tasks := $(BUILD)/mix-tasks.so

$(mix): $(call objects,harness/mix_main.c) $(harness) $(lib) | $(zygote) $(mix_tasks)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -pthread $(LDFLAGS) $(exporting) -Wl,--as-needed -o $@ $(filter %.o %.a,$^)

$(mix_tasks): $(call objects,harness/mix_tasks.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -pthread $(LDFLAGS) -shared -o $@ $^

# A short one, where sanitizers look.
.PHONY: mix
mix: $(mix)
	$(Q)$(mix) 2

-include $(BUILD)/obj/harness/mix_main.d
