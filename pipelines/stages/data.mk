# The images: exported once to the official binary layout, so that no stage decodes or unpacks them again, and the
# batch files that several stages read.
ifneq ($(or $(findstring $(newline),$(DATA)),$(if $(DATA),,empty)),)
$(error DATA='$(DATA)' is not embedded, official or one path)
endif
ifeq ($(DATA),embedded)
SOURCE := pipelines/data/cifar10-jpeg-q75.tar.xz
SET    := $(DATASETS)/embedded
else ifeq ($(DATA),official)
SOURCE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/resq/cifar-10-binary.tar.gz
SET    := $(DATASETS)/official
else
# A path of the user's own may have any name, and stands in no rule. (./ in front of a relative one: it may begin with '-'.)
SOURCE := $(call at_home,$(DATA))
SOURCE := $(if $(filter /%,$(SOURCE)),,./)$(SOURCE)
# A folder for each: of its name what make can hold, and some of its digest, since names repeat.
SET    := $(DATASETS)/$(shell pipelines/set-name $(call quote,$(SOURCE)))
endif

$(SET).stamp: FORCE $(call ours,$(LOAD))
	@[[ -e $(call quote,$(SOURCE)) ]] || { \
		echo $(call quote,make: $(SOURCE): $(if $(filter official,$(DATA)),'./setup --official' fetches it,there are no such images)) >&2; exit 1; }
	@now=$$(find -L $(call quote,$(SOURCE)) -type f -printf '%P %s %T@\n' | sort | sha256sum); \
	pipelines/stamp $@ $(call quote,$(LOAD)) "$$now"
# Two makes may want the same images: one exports them, the other waits and finds them. What is there is not removed because
# a make that waited was interrupted (precious).
EXPORT = $(LOAD) -d $(call quote,$(SOURCE)) --export $(@D)
$(SET)/dataset.tsv: $(SET).stamp
	@source pipelines/locks.bash; hold 9 $(@D).lock 'another make exports the images to $(@D)' -x; \
	if [[ ! $@ -nt $< ]]; then rm -rf $(@D); echo $(call quote,$(EXPORT)); $(EXPORT); fi
.PRECIOUS: $(SET)/dataset.tsv

$(W)/held-out.stamp: FORCE $(call ours,$(LOAD)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(HELD_OUT_IMAGES),$(SET)/dataset.tsv)
$(W)/held-out.batches: $(W)/held-out.stamp
	$(call stage,held-out,$(LOAD) -d $(SET) --split train --part held-out -n $(HELD_OUT_IMAGES) -o $@)

$(W)/test.stamp: FORCE $(call ours,$(LOAD)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(TEST_IMAGES),$(SET)/dataset.tsv)
$(W)/test.batches: $(W)/test.stamp
	$(call stage,test,$(LOAD) -d $(SET) --split test -n $(TEST_IMAGES) -o $@)
