# The images: exported once to the official binary layout, so that no stage decodes or unpacks them again, and the
# batch files that several stages read.
OFFICIAL := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/resq/cifar-10-binary.tar.gz
ifneq ($(words $(DATA)),1)
$(error DATA='$(DATA)' is not embedded, official or one path)
endif
ifeq ($(DATA),embedded)
SOURCE := pipelines/data/cifar10-jpeg-q75.tar.xz
else ifeq ($(DATA),official)
SOURCE := $(OFFICIAL)
else
SOURCE := $(DATA)
endif
# A folder for each source: its name, and for a path of the user's own some of its digest, since names repeat.
SET := $(DATASETS)/$(if $(filter embedded official,$(DATA)),$(DATA),$(firstword $(subst ., ,$(notdir \
	$(DATA))))-$(shell printf %s $(call quote,$(abspath $(DATA))) | sha256sum | head -c 8))

$(OFFICIAL):
	@echo "$@ is missing: './setup --official' fetches it" >&2; exit 1

$(SET).stamp: FORCE $(call ours,$(LOAD)) $(SOURCE)
	@pipelines/stamp $@ $(call quote,$(LOAD)) \
		"$$(find -L $(SOURCE) -type f -printf '%P %s %T@\n' | LC_ALL=C sort | sha256sum)"
$(SET)/dataset.tsv: $(SET).stamp
	rm -rf $(@D)
	$(LOAD) -d $(SOURCE) --export $(@D)

$(W)/held-out.stamp: FORCE $(call ours,$(LOAD)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(HELD_OUT_IMAGES),$(SET)/dataset.tsv)
$(W)/held-out.batches: $(W)/held-out.stamp
	$(call stage,held-out,$(LOAD) -d $(SET) --split train --part held-out -n $(HELD_OUT_IMAGES) -o $@)

$(W)/test.stamp: FORCE $(call ours,$(LOAD)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(TEST_IMAGES),$(SET)/dataset.tsv)
$(W)/test.batches: $(W)/test.stamp
	$(call stage,test,$(LOAD) -d $(SET) --split test -n $(TEST_IMAGES) -o $@)
