# `make budgets`: what studies of several lengths take and give here, one after the other, on a machine that does nothing else. One
# that is finished is not run again; a table of all goes into pipelines/README.md and $(RESULTS)/budgets.tsv.
BUDGETS = 1 10 30
BUDGET_PROFILES = pretrained
BUDGET_PAGE = pipelines/README.md
BUDGET_RUNS = $(BUDGETS:%=budget-%) $(BUDGET_PROFILES:%=budget-%)
# $(call budget,RUN,FLAGS): a study, and the seconds it took from its command to its end.
define budget
	@[[ -e $(RESULTS)/$(1)/took ]] || { began=$$EPOCHSECONDS; $(MAKE) --no-print-directory results RUN=$(1) $(2); \
		echo $$((EPOCHSECONDS - began)) > $(RESULTS)/$(1)/took; }

endef
budgets:
	$(foreach m,$(BUDGETS),$(call budget,budget-$(m),PROFILE=auto MINUTES=$(m)))
	$(foreach p,$(BUDGET_PROFILES),$(call budget,budget-$(p),PROFILE=$(p)))
	@pipelines/budgets $(call quote,$(BUDGET_PAGE)) $(RESULTS)/budgets.tsv $(BUDGET_RUNS:%=$(RESULTS)/%)
.PHONY: budgets
