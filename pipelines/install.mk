# Installation: the programs as resq-NAME, since names such as fuse and plot are taken elsewhere; a man page for each,
# made from its --help; chart styles and the embedded images. DESTDIR stages it.
# Folders may have any name: they stand in no rule, and quoted in every recipe.
PREFIX      = /usr/local
prefix      = $(PREFIX)
exec_prefix = $(prefix)
bindir      = $(exec_prefix)/bin
libdir      = $(exec_prefix)/lib
datarootdir = $(prefix)/share
datadir     = $(datarootdir)
mandir      = $(datarootdir)/man
INSTALL     = install
MAN_PAGES   = $(TOOLS:%=$(B)/man/resq-%.1)

# $(call staged,FOLDER): the folder, under DESTDIR, as one word of a shell.
staged = $(call quote,$(call at_home,$(DESTDIR))$(call at_home,$(1)))
STAGED_BIN  = $(call staged,$(bindir))
STAGED_LIB  = $(call staged,$(libdir)/resq)
STAGED_DATA = $(call staged,$(datadir)/resq)
STAGED_MAN  = $(call staged,$(mandir)/man1)
INSTALLED_PLOTS = $(wildcard plots/*.gp)
INSTALLED_NETWORKS = $(wildcard pipelines/networks/*.net)
INSTALLED_DATA  = pipelines/data/cifar10-jpeg-q75.tar.xz pipelines/data/SHA256SUMS

man: $(MAN_PAGES)
# help2man asks the program as it is called where it is installed. PREBUILT=1 takes the programs as they are.
$(MAN_PAGES): $(B)/man/resq-%.1: $(if $(PREBUILT),,$(BIN)/%)
	@mkdir -p $(@D)
	@ln -sf $(call quote,$(abspath $(BIN)/$*)) $(@D)/resq-$*
	@purpose=$$($(@D)/resq-$* --help | awk 'NR > 1 && /^[^ ]/ && !n++ { sub(/\.$$/, ""); print }'); \
	help2man --no-info --name="$$purpose" --output=$@ $(@D)/resq-$*
	@rm $(@D)/resq-$*

PLACES = $(foreach v,PREFIX DESTDIR prefix exec_prefix bindir libdir datarootdir datadir mandir,$(call refuse_dollar,$(v)))
install: $(if $(PREBUILT),,all) man
	$(PLACES)$(INSTALL) -d -- $(STAGED_BIN) $(STAGED_MAN) $(STAGED_DATA)/plots $(STAGED_DATA)/networks $(STAGED_DATA)/data
	for t in $(TOOLS); do $(INSTALL) -m 755 -- $(BIN)/$$t $(STAGED_BIN)/resq-$$t; done
	$(if $(CUDA),$(INSTALL) -d -- $(STAGED_LIB) && $(INSTALL) -m 755 -- $(BIN)/resq-cuda.so $(STAGED_LIB))
	$(if $(MPI_FOUND),$(INSTALL) -d -- $(STAGED_LIB) && $(INSTALL) -m 755 -- $(MPI_LIBRARIES) $(STAGED_LIB))
	$(INSTALL) -m 644 -- $(MAN_PAGES) $(STAGED_MAN)
	$(INSTALL) -m 644 -- $(INSTALLED_PLOTS) $(STAGED_DATA)/plots
	$(INSTALL) -m 644 -- $(INSTALLED_NETWORKS) $(STAGED_DATA)/networks
	$(INSTALL) -m 644 -- $(INSTALLED_DATA) $(STAGED_DATA)/data
# What install put there, by name, and the folders that are empty then; never a folder with what is in it.
uninstall:
	$(PLACES)for t in $(TOOLS); do rm -f -- $(STAGED_BIN)/resq-$$t $(STAGED_MAN)/resq-$$t.1; done
	rm -f -- $(STAGED_LIB)/resq-cuda.so $(STAGED_LIB)/resq-openmpi.so $(STAGED_LIB)/resq-mpich.so $(foreach f,$(notdir $(INSTALLED_PLOTS)),$(STAGED_DATA)/plots/$(f)) \
		$(foreach f,$(notdir $(INSTALLED_NETWORKS)),$(STAGED_DATA)/networks/$(f)) \
		$(foreach f,$(notdir $(INSTALLED_DATA)),$(STAGED_DATA)/data/$(f))
	for d in $(STAGED_DATA)/plots $(STAGED_DATA)/networks $(STAGED_DATA)/data $(STAGED_DATA) $(STAGED_LIB); do \
		[[ ! -d $$d ]] || rmdir --ignore-fail-on-non-empty -- "$$d"; done
.PHONY: man install uninstall
