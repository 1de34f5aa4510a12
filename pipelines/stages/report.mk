# The run as one page and its model card, from all that the run has said. A sweep and a `make tta` that were made since are in it.
$(W)/report.stamp: FORCE $(call ours,$(REPORT))
	$(call stamp,$(REPORT) $(REPORT_FLAGS))
$(R)/report.html $(R)/MODEL_CARD.md &: $(R)/README.md $(MODELS:%=$(R)/%.predictions.safetensors) $(LOGS) $(R)/ranges.safetensors \
		$(W)/test.batches $(W)/report.stamp $(wildcard $(R)/sweep.tsv $(R)/tta.tsv)
	$(call stage,report,$(REPORT) $(REPORT_FLAGS) $(R) --images $(W)/test.batches --model-card $(R)/MODEL_CARD.md -o $(R)/report.html)

results: $(R)/report.html
