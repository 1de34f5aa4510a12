# With mirror images (test-time augmentation, `make tta`): what the run's models say where they see every image and its mirror image,
# and how long that takes: tta.tsv, apart from summary.tsv, since it is another use of the same files.
define tta_rule
$(W)/tta/$(1).metrics.tsv: $(MODEL_$(1)) $(W)/test.batches $(W)/evaluate.stamp
	$$(call stage,tta-$(1),$$(EVALUATE) $$(EVALUATE_FLAGS_$(1)) --tta flip -m $(MODEL_$(1)) -j $$(JOBS) -o $$@ < $(W)/test.batches)
endef
$(foreach m,$(MODELS),$(eval $(call tta_rule,$(m))))
TTA_METRICS := $(MODELS:%=$(W)/tta/%.metrics.tsv)

$(W)/tta/bench.tsv: $(R)/fused_model.safetensors $(MODEL_ptq) $(MODEL_qat) $(W)/bench.stamp | $(TTA_METRICS)
	@$(hold_alone)
	$(call stage,tta-bench,$(BENCH) $(BENCH_FLAGS) $(BENCH_PRECISION) --tta flip -m $(R)/fused_model.safetensors -m $(MODEL_ptq) \
		-m $(MODEL_qat) -o $@)
	@$(share_again)
$(R)/tta.tsv: $(TTA_METRICS) $(W)/tta/bench.tsv $(W)/pages.stamp
	$(call stage,tta-summary,report --as summary $(TTA_METRICS) $(W)/tta/bench.tsv \
		$(foreach m,$(MODELS),$(m)=$$(stat -c %s $(MODEL_$(m)))) -o $@)
tta: $(R)/tta.tsv
	@report --as table $(R)/tta.tsv
.PHONY: tta
