# SPDX-License-Identifier: MIT
# Where `make install` may install to.

# Before anything is built: the shell would take apart what is no single word, and install elsewhere.
install_path = $(if $(and $(filter 1,$(words x$($(1))x)),$(filter $(2),x$($(1)))),,$(error $(1) is '$($(1))': expected $(3)))
ifneq ($(filter install,$(MAKECMDGOALS)),)
$(foreach name,PREFIX LIBDIR,$(call install_path,$(name),x/%,an absolute path without spaces$(comma) such as /usr/local))
$(call install_path,DESTDIR,x%,a path without spaces)
endif
