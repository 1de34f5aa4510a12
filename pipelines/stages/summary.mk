# What a person reads: the joined table and the run's page; and the targets.
SUMMARISED := $(MODELS:%=$(R)/%.metrics.tsv) $(R)/bench.tsv
$(R)/summary.tsv: $(SUMMARISED) $(W)/pages.stamp $(foreach m,$(MODELS),$(MODEL_$(m)))
	$(call stage,summary,report --as summary $(SUMMARISED) \
		$(foreach m,$(MODELS),$(m)=$$(stat -c %s $(MODEL_$(m)))) -o $@)
$(R)/README.md: $(R)/summary.tsv $(PAIRS:%=$(R)/%.pair.tsv) $(LATE_CHARTS) $(W)/pages.stamp
	$(if $(CURVE_CHARTS),,@rm -f $(call chart_files,loss accuracy))
	$(call stage,page,report --as run $(R) -o $@)

results: $(R)/README.md
	@report --as table $(R)/summary.tsv
	@echo "$(R)/README.md has the table and the charts; open $(R)/report.html for all of it"
# The parts by name, for those who want less than all.
train: $(R)/best_float_model.safetensors
models: $(foreach m,$(MODELS),$(MODEL_$(m)))
charts: $(EARLY_CHARTS) $(LATE_CHARTS)
data: $(SET)/dataset.tsv
.PHONY: results train models charts data

# Copies what a finished run says of itself, but no model, to plots/recorded/ and into the README: its sweep too, where it
# had one. NOTE='what a reader must know' goes into MADE.md.
recorded_parts = $(foreach p,sweep lowbit ablation,$(if $(wildcard $(R)/$(p).md),$(p))) $(if $(wildcard $(R)/tta.tsv),tta)
record: results $(wildcard $(R)/sweep.md)
	@pipelines/record $(R) $(RECORDED)/$(RUN) $(call quote,$(strip make results $(recorded_parts) $(said))) $(call quote,$(NOTE))
.PHONY: record
