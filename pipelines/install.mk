# Installation: the programs as resq-NAME, since names such as fuse and plot are taken elsewhere; a man page for each,
# made from its --help; chart styles and the embedded images. DESTDIR stages it.
PREFIX      = /usr/local
prefix      = $(PREFIX)
exec_prefix = $(prefix)
bindir      = $(exec_prefix)/bin
libdir      = $(exec_prefix)/lib/resq
datarootdir = $(prefix)/share
datadir     = $(datarootdir)/resq
mandir      = $(datarootdir)/man
INSTALL     = install
MAN_PAGES   = $(TOOLS:%=$(B)/man/resq-%.1)

man: $(MAN_PAGES)
# help2man asks a program that calls itself resq-NAME, as the installed one is called.
$(B)/man/resq-%.1: $(BIN)/%
	@mkdir -p $(@D)
	@printf '#!/bin/sh\n$(abspath $<) "$$@" | sed "s/^Usage: $* /Usage: resq-$* /; s/^$* (resq)/resq-$* (resq)/"\n' \
		> $(@D)/resq-$*
	@chmod +x $(@D)/resq-$*
	@help2man --no-info --name="$$($< --help | awk 'NR > 1 && /^[^ ]/ { sub(/\.$$/, ""); print; exit }')" --output=$@ $(@D)/resq-$*
	@rm $(@D)/resq-$*

install: all man
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(datadir)/plots $(DESTDIR)$(datadir)/data
	for t in $(TOOLS); do $(INSTALL) -m 755 $(BIN)/$$t $(DESTDIR)$(bindir)/resq-$$t; done
	$(if $(CUDA),$(INSTALL) -d $(DESTDIR)$(libdir) && $(INSTALL) -m 755 $(BIN)/resq-cuda.so $(DESTDIR)$(libdir))
	$(INSTALL) -m 644 $(MAN_PAGES) $(DESTDIR)$(mandir)/man1
	$(INSTALL) -m 644 $(wildcard plots/*.gp) $(DESTDIR)$(datadir)/plots
	$(INSTALL) -m 644 pipelines/data/cifar10-jpeg-q75.tar.xz pipelines/data/SHA256SUMS $(DESTDIR)$(datadir)/data
uninstall:
	rm -f $(TOOLS:%=$(DESTDIR)$(bindir)/resq-%) $(TOOLS:%=$(DESTDIR)$(mandir)/man1/resq-%.1)
	rm -rf $(DESTDIR)$(datadir) $(DESTDIR)$(libdir)
.PHONY: man install uninstall
