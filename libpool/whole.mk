# SPDX-License-Identifier: MIT
# libpool.a and libpool.so. Where gcc can, the library is one object that was optimised as a whole: a tiny
# task costs a tenth less, and whoever links it needs nothing for that. Tests replace a part of it, and what
# instruments code takes it part by part.
#
# In libpool.a that object shows libpool_* and nothing else, so that it shares no name with the application.
# Where there is no such object (clang, sanitizers) the parts have to find each other: lp_* is global there.

merge  = -flto -flto-partition=one -r -nostdlib -flinker-output=nolto-rel
whole := $(if $(filter -fsanitize% --coverage,$(CFLAGS)),,$(shell echo 'int part;' | \
             $(CC) -fPIC $(merge) -x c - -o /dev/null 2>/dev/null && echo $(BUILD)/obj/libpool.o))
parts := $(BUILD)/obj/libpool_parts.a
lib_objects := $(or $(whole),$(call objects,$(lib_src)))

$(call objects,$(lib_src)): STRICT += -fno-semantic-interposition $(if $(whole),-flto -ffat-lto-objects)

$(BUILD)/obj/libpool.o: $(call objects,$(lib_src))
	$(call say,LTO,$@)
	$(Q)$(CC) $(CFLAGS) $(STRICT) -fno-semantic-interposition $(merge) -o $@ $(filter %.o,$^)

OBJCOPY ?= objcopy
$(BUILD)/obj/libpool_public.o: $(BUILD)/obj/libpool.o
	$(call say,HIDE,$@)
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='libpool_*' $< $@

$(lib): $(if $(whole),$(BUILD)/obj/libpool_public.o,$(lib_objects))
	$(archive)

$(parts): $(call objects,$(lib_src))
	$(archive)
