# SPDX-License-Identifier: MIT
# The program that LIBPOOL_SPAWN executes, and where the library looks for it.

LIBEXECDIR ?= $(PREFIX)/libexec

zygote      := $(BUILD)/libpool-zygote
test_object := $(BUILD)/test_object.so
test_openmp := $(BUILD)/test_openmp.so
chaos_tasks := $(BUILD)/chaos-tasks.so
spawn_tasks := $(BUILD)/examples/spawn-tasks.so
# An object that is loaded finds libpool_reply() in the program, if that shows it.
exporting   := -Wl,--export-dynamic-symbol='libpool_*'

# It has all of the library and shows the public part of it to the objects that it loads.
$(zygote): $(call objects,libpool/zygote/libpool_zygote.c) $(lib_objects)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -pthread $(LDFLAGS) $(exporting) -Wl,-z,now -o $@ $(filter %.o,$^)

# Where the library looks for it; for another PREFIX only that file is compiled again.
$(shell mkdir -p $(BUILD) && echo '$(LIBEXECDIR)' | cmp -s - $(BUILD)/libexecdir || echo '$(LIBEXECDIR)' >$(BUILD)/libexecdir)
$(BUILD)/obj/libpool/src/start.o: STRICT += -DLP_ZYGOTE_PATH='"$(LIBEXECDIR)/libpool-zygote"'
$(BUILD)/obj/libpool/src/start.o: $(BUILD)/libexecdir

# What tests load by name. It asks its program for libpool_reply(), and has no library of its own.
$(test_object): libpool/zygote/test_object.c libpool/include/libpool.h $(BUILD)/flags
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(STRICT) $(LDFLAGS) -shared -Ilibpool/include -o $@ $<

# No sanitizer could look into what OpenMP does. Where the compiler has none the object says so.
openmp_flags = -O1 -std=gnu11 $(WARNINGS) $(WERROR) -fPIC -shared -Ilibpool/include
$(test_openmp): libpool/zygote/test_openmp.c libpool/include/libpool.h $(BUILD)/flags
	$(call say,LD,$@)
	$(Q)$(CC) $(openmp_flags) -fopenmp -o $@ $< 2>/dev/null || $(CC) $(openmp_flags) -o $@ $<

$(spawn_tasks): libpool/examples/spawn/tasks.c libpool/include/libpool.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -std=gnu11 $(WARNINGS) $(WERROR) $(LDFLAGS) -fPIC -shared -Ilibpool/include -o $@ $<

# The target's tasks for pools with a zygote of their own.
$(chaos_tasks): $(call objects,harness/tasks_main.c) $(harness)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -pthread $(LDFLAGS) -shared -o $@ $(filter %.o,$^) $(filter %.a,$^)

install: install-zygote
.PHONY: install-zygote
install-zygote: $(zygote) $(chaos_tasks)
	install -d $(DESTDIR)$(LIBEXECDIR)
	install -m 755 $^ $(DESTDIR)$(LIBEXECDIR)

-include $(BUILD)/obj/libpool/zygote/libpool_zygote.d $(BUILD)/obj/harness/tasks_main.d
