# `make record-all`: everything that stands in plots/recorded, made from one commit on one machine, and recorded when all of it is there.
# It says first what it will make, what stands already and what it is expected to take; `make -n record-all` says no more.
#
#     make record-all RECORD_PROFILE=quick RECORD_PARTS='quick sweep tta'
#
# All is made in $(RESULTS)/record/COMMIT, so that one commit's is never mixed with another's: what stands there is not made again, what
# was interrupted goes on, and what another commit left is neither taken nor touched. A checkout that is not its commit's (recorded pages
# and tables aside), or a folder that another machine began, is refused in one line. Nothing is recorded before every part stands.
RECORD_PROFILE          = full
RECORD_NETWORKS_PROFILE = small
RECORD_RUN             := $(basename $(notdir $(RECORD_PROFILE)))
# sweep, lowbit, ablation and tta are of RECORD_PROFILE's run; any other name is a profile, in a run of its own.
RECORD_PARTS            = $(RECORD_RUN) quick auto sweep lowbit ablation tta networks peers curves
RECORD_DRY             := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
ifneq ($(filter record-all,$(MAKECMDGOALS)),)
ifneq ($(filter command,$(origin RUN) $(origin PROFILE)),)
$(error record-all names its runs itself: RECORD_PROFILE=, RECORD_PARTS=)
endif
ifeq ($(strip $(RECORD_PARTS)),)
$(error RECORD_PARTS is empty)
endif
endif
record-all:
	@MAKE=$(call quote,$(MAKE)) pipelines/record-all $(call quote,$(RESULTS)/record) $(call quote,$(RECORDED)) \
		$(call quote,$(RECORD_PROFILE)) $(call quote,$(RECORD_NETWORKS_PROFILE)) $(call quote,$(RECORD_DRY)) $(call quote,$(strip $(said))) \
		'auto:$(MINUTES) peers:$(PEERS_MINUTES) peers:$(PEERS_TRAINING_MINUTES)' $(RECORD_PARTS)
.PHONY: record-all
