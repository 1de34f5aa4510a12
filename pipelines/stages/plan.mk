# PROFILE=auto: the study that fits into MINUTES on this machine, as a profile like any other, in the run's folder. It is written
# once, by the first make of that run, behind the programs and the images, whose seconds since that make began count too.
STUDY_BEGAN = $(shell date +%s)
study-plan: $(SET)/dataset.tsv
	@mkdir -p $(R); [[ -e $(PROFILE_FILE) ]] || $(call run_on,plan,$(PLAN) $(PLAN_FLAGS) $(if $(filter command,$(origin NETWORK)),$(network_flags)) \
		--minutes $(call quote,$(MINUTES)) --spent $$(($$(date +%s) - $(STUDY_BEGAN))) -d $(SET) -j $(JOBS) --run $(RUN) -o $(PROFILE_FILE))
	@echo "$(PROFILE_FILE) says what, and decides from now on"
.PHONY: study-plan
