# SPDX-License-Identifier: MIT
# libpool_remote_tls.a: sessions of libpool_remote.h over TLS, where OpenSSL 3 is. Included by the Makefile.

TLS     := $(shell pkg-config --exists 'openssl >= 3.0' 2>/dev/null && pkg-config --libs openssl)
tls_src := $(if $(TLS),$(call find_c,libpool/tls/*.c))
tls     := $(if $(tls_src),$(BUILD)/libpool_remote_tls.a)
test_src += $(if $(TLS),$(sort $(wildcard libpool/tls/*_test.c)))
tested   += $(tls_src)
all_src  += $(tls_src) $(if $(TLS),$(wildcard libpool/tls/*_test.c))

all: $(tls)

$(BUILD)/libpool_remote_tls.a: $(call objects,$(tls_src))
	$(archive)

ifneq ($(tls),)
install: install-tls
.PHONY: install-tls
install-tls: $(tls)
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 libpool/include/libpool_remote_tls.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(tls) $(DESTDIR)$(LIBDIR)
	$(call describe,libpool_remote_tls.pc,pkgconfig)
endif
