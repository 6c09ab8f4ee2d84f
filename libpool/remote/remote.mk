# SPDX-License-Identifier: MIT
# libpool_remote.a: one pool for several processes, an application of libpool.h. Included by the Makefile.

remote_src := $(call find_c,libpool/remote/*.c)
remote     := $(BUILD)/libpool_remote.a
test_src   += $(sort $(wildcard libpool/remote/*_test.c))
tested     += $(remote_src)
all_src    += $(remote_src) $(wildcard libpool/remote/*_test.c)
# Their memory is what base_test.c says.
wrapping   := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc free)

all: $(remote)

$(remote): $(call objects,$(remote_src))
	$(archive)

install: install-remote
.PHONY: install-remote
install-remote: $(remote)
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 libpool/include/libpool_remote.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(remote) $(DESTDIR)$(LIBDIR)
	$(call describe,libpool_remote.pc,pkgconfig)
