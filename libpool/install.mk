# SPDX-License-Identifier: MIT
# Where `make install` may install to.

# Before anything is done with them: the shell would take apart what is no plain word, install elsewhere, and
# run what is in it.
plain := a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z \
         0 1 2 3 4 5 6 7 8 9 _ . / + ~ @ : $(comma) = -
plainly := of letters$(comma) digits and _./+~@:$(comma)=-
without = $(if $(2),$(call without,$(subst $(firstword $(2)),,$(1)),$(wordlist 2,$(words $(2)),$(2))),$(1))
is_plain = $(if $(call without,$($(1)),$(plain)),,$(filter 1,$(words x$($(1))x)))
install_path = $(if $(and $(call is_plain,$(1)),$(filter $(2),x$($(1)))),,$(error $(1) is '$($(1))': expected $(3)))
ifneq ($(filter install install-%,$(MAKECMDGOALS)),)
$(foreach name,PREFIX LIBDIR $(if $(filter-out undefined,$(origin LIBEXECDIR)),LIBEXECDIR),\
    $(call install_path,$(name),x/%,an absolute path $(plainly)$(comma) such as /usr/local))
$(call install_path,DESTDIR,x%,a path $(plainly))
endif
