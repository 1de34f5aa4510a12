# The test split is looked at once, at the end, by the three models alike; then their predictions are compared.
MODELS := float ptq qat
MODEL_float := $(R)/best_float_model.safetensors
MODEL_ptq   := $(R)/final_ptq_quantized_model.safetensors
MODEL_qat   := $(R)/best_qat_model.safetensors

$(W)/evaluate.stamp: FORCE $(call ours,$(EVALUATE))
	$(call stamp,$(EVALUATE) $(EVALUATE_FLAGS))

# Integer layers have a precision of their own, which --precision is not said to. Timed is what is measured, unless
# BENCH_FLAGS say otherwise.
precision    = $(filter --precision=%,$(subst --precision ,--precision=,$(1)))
no_precision = $(filter-out --precision=%,$(subst --precision ,--precision=,$(1)))
BENCH_PRECISION = $(if $(findstring --precision,$(BENCH_FLAGS)),,$(call precision,$(EVALUATE_FLAGS)))
EVALUATE_FLAGS_float = $(EVALUATE_FLAGS)
EVALUATE_FLAGS_ptq   = $(call no_precision,$(EVALUATE_FLAGS))
EVALUATE_FLAGS_qat   = $(call no_precision,$(EVALUATE_FLAGS))

define evaluate_rule
$(R)/$(1).metrics.tsv $(R)/$(1).predictions.safetensors &: $(MODEL_$(1)) $(W)/test.batches $(W)/evaluate.stamp
	$$(call stage,evaluate-$(1),$$(EVALUATE) $$(EVALUATE_FLAGS_$(1)) -m $(MODEL_$(1)) -j $$(JOBS) \
		--predictions $(R)/$(1).predictions.safetensors -o $(R)/$(1).metrics.tsv < $(W)/test.batches)
endef
$(foreach m,$(MODELS),$(eval $(call evaluate_rule,$(m))))

PAIRS := float-ptq float-qat ptq-qat
pair_files = $(patsubst %,$(R)/%.predictions.safetensors,$(subst -, ,$(1)))
define pair_rule
$(R)/$(1).pair.tsv: $(call pair_files,$(1)) $(W)/evaluate.stamp
	$$(call stage,pair-$(1),$$(EVALUATE) --pair $(call pair_files,$(1)) -o $$@)
endef
$(foreach p,$(PAIRS),$(eval $(call pair_rule,$(p))))
