# `make lowbit`: what few bits cost the run's fused float network after training and by training on, method by method, on the
# held-out images. Leaves lowbit.md and lowbit.tsv in $(R)/, and the models of the default methods in $(R)/lowbit/;
# of each number of LOWBIT_MIXED a model whose layers have different bits, at most so many on average, its plan, and charts of how
# it was chosen.
#
#     make lowbit PROFILE=full LOWBIT='channel_4_4 tensor_4_4' LOWBIT_QAT=channel_4_4
#     make lowbit PROFILE=full LOWBIT_RECONSTRUCT='channel_3_3 channel_2_4' LOWBIT_RECONSTRUCT_FLAGS='--steps 1000'
#
# A configuration is GRANULARITY_WEIGHT-BITS_ACTIVATION-BITS; each with each method has a file of its own in $(W)/lowbit/, so that an
# interrupted table goes on where it was. The images that choose are not those that count: the test split stays shut.
L := $(W)/lowbit
LOWBIT_METHODS := max mse bias all
# Ends, weight scales and matching: as before there were any; 8-bit ends and searched scales; with that, means matched; the default.
LOWBIT_max  := --ends same --weight-observer max --match off
LOWBIT_mse  := --match off
LOWBIT_bias := --match bias
LOWBIT_all  := --match all
LOWBIT_NAMES := $(foreach c,$(LOWBIT),$(foreach m,$(LOWBIT_METHODS),$(c)_$(m)))
# Trained on, those of LOWBIT_QAT, the last epoch counts, so that the images that are held out choose nothing: only ranges and
# searched scales as they are at first, as before they were learned; from the matched model, all scales learned; with the float
# network as teacher besides.
LOWBIT_QAT_METHODS := fixed learned taught
LOWBIT_QAT_fixed   := --range-mode fixed --weight-scales fixed
LOWBIT_QAT_learned := --range-mode learned --weight-scales learned
LOWBIT_QAT_taught  := $(LOWBIT_QAT_learned) --teacher $(R)/fused_model.safetensors
LOWBIT_QAT_NAMES := $(foreach c,$(filter $(LOWBIT),$(LOWBIT_QAT)),$(foreach m,$(LOWBIT_QAT_METHODS),$(c)_$(m)))
lowbit_field = $(word $(2),$(subst _, ,$(1)))

$(L)/quantize.stamp: FORCE $(call ours,$(QUANTIZE))
	$(call stamp,$(QUANTIZE) $(QUANTIZE_FLAGS) --match-images $(MATCH_IMAGES))
$(W)/lowbit.stamp: FORCE
	$(call stamp,$(LOWBIT),$(LOWBIT_QAT),$(LOWBIT_MIXED),$(LOWBIT_RECONSTRUCT))

$(L)/float.row: $(R)/fused_model.safetensors $(W)/held-out.batches $(W)/evaluate.stamp
	$(call stage,lowbit/float,$(call measure,$<))
	@pipelines/lowbit-row float $< $(@:.row=.metrics) > $@.new; mv $@.new $@

define lowbit_rule
$(L)/$(1).row: $(R)/fused_model.safetensors $(R)/ranges.safetensors $(W)/match.batches $(W)/held-out.batches $(L)/quantize.stamp \
		$(W)/evaluate.stamp
	@mkdir -p $(R)/lowbit
	$$(call stage,lowbit/$(1),$$(QUANTIZE) --weight-bits $(call lowbit_field,$(1),2) --activation-bits $(call lowbit_field,$(1),3) \
		$(if $(filter tensor,$(call lowbit_field,$(1),1)),--per-tensor) $(LOWBIT_$(call lowbit_field,$(1),4)) $$(QUANTIZE_FLAGS) \
		-j $$(JOBS) -m $$< -r $(R)/ranges.safetensors -o $(L)/$(1).model < $(W)/match.batches; $$(call measure,$(L)/$(1).model))
	@pipelines/lowbit-row $(1) $(L)/$(1).model $$(@:.row=.metrics) > $$@.new
	@$(if $(filter %_all,$(1)),mv $(L)/$(1).model $(R)/lowbit/$(1:_all=).safetensors,rm $(L)/$(1).model); mv $$@.new $$@
endef
$(foreach c,$(LOWBIT_NAMES),$(eval $(call lowbit_rule,$(c))))

# Mixed: what each layer's bits cost, the plan that keeps the average, its model.
ANALYSE = analyse
ALLOT   = allot
LOWBIT_MIXED_NAMES := $(LOWBIT_MIXED:%=mixed_%_8_all)
$(L)/allot.stamp: FORCE $(call ours,$(ANALYSE)) $(call ours,$(ALLOT)) $(call ours,$(PLOT))
	$(call stamp,$(ANALYSE) $(ANALYSE_FLAGS),$(ALLOT) $(ALLOT_FLAGS) --match-images $(MATCH_IMAGES),$(PLOT))
$(L)/analyse.tsv: $(R)/fused_model.safetensors $(R)/ranges.safetensors $(W)/held-out.batches $(L)/allot.stamp
	$(call stage,lowbit/analyse,$(ANALYSE) $(ANALYSE_FLAGS) -m $< -r $(R)/ranges.safetensors -j $(JOBS) -o $@ < $(W)/held-out.batches)
	@mkdir -p $(R)/lowbit; $(PLOT) sensitivity $@ -o $(R)/lowbit/sensitivity.png

define lowbit_mixed_rule
$(L)/$(1).row: $(L)/analyse.tsv $(W)/match.batches $(L)/quantize.stamp $(W)/evaluate.stamp
	@mkdir -p $(R)/lowbit
	$$(call stage,lowbit/$(1),$$(ALLOT) $$(ALLOT_FLAGS) --average $(call lowbit_field,$(1),2) -m $(R)/fused_model.safetensors \
		-r $(R)/ranges.safetensors --table $$< --match-images $(MATCH_IMAGES) --validate $(W)/held-out.batches \
		--frontier $(L)/$(1).frontier -j $$(JOBS) -o $(R)/lowbit/$(1:_8_all=).bits.txt < $(W)/match.batches; \
		$$(QUANTIZE) --plan $(R)/lowbit/$(1:_8_all=).bits.txt $$(QUANTIZE_FLAGS) --match-images $(MATCH_IMAGES) -j $$(JOBS) \
		-m $(R)/fused_model.safetensors -r $(R)/ranges.safetensors -o $(R)/lowbit/$(1:_8_all=).safetensors \
		< $(W)/match.batches; $$(call measure,$(R)/lowbit/$(1:_8_all=).safetensors))
	@$$(PLOT) frontier $(L)/$(1).frontier -o $(R)/lowbit/$(1:_8_all=).frontier.png
	@pipelines/lowbit-row $(1) $(R)/lowbit/$(1:_8_all=).safetensors $$(@:.row=.metrics) > $$@.new; mv $$@.new $$@
endef
$(foreach c,$(LOWBIT_MIXED_NAMES),$(eval $(call lowbit_mixed_rule,$(c))))

# Codes learned block by block: those of LOWBIT_RECONSTRUCT, none unless it is said.
RECONSTRUCT = reconstruct
LOWBIT_RECONSTRUCT_NAMES := $(LOWBIT_RECONSTRUCT:%=%_reconstructed)
$(L)/reconstruct.stamp: FORCE $(call ours,$(RECONSTRUCT))
	$(call stamp,$(RECONSTRUCT) $(LOWBIT_RECONSTRUCT_FLAGS) -s $(SEED) --images $(MATCH_IMAGES))

define lowbit_reconstruct_rule
$(L)/$(1).row: $(R)/fused_model.safetensors $(R)/ranges.safetensors $(W)/match.batches $(W)/held-out.batches $(L)/reconstruct.stamp \
		$(W)/evaluate.stamp
	@mkdir -p $(R)/lowbit
	$$(call stage,lowbit/$(1),$$(RECONSTRUCT) --weight-bits $(call lowbit_field,$(1),2) --activation-bits $(call lowbit_field,$(1),3) \
		$(if $(filter tensor,$(call lowbit_field,$(1),1)),--per-tensor) --images $(MATCH_IMAGES) $$(LOWBIT_RECONSTRUCT_FLAGS) -s $$(SEED) \
		--checkpoint $$(call CHECKPOINT,lowbit/$(1)) --resume -j $$(JOBS) -m $$< -r $(R)/ranges.safetensors -o $(R)/lowbit/$(1).safetensors \
		< $(W)/match.batches; $$(call measure,$(R)/lowbit/$(1).safetensors))
	@rm -f $(L)/$(1)-*.checkpoint
	@pipelines/lowbit-row $(1) $(R)/lowbit/$(1).safetensors $$(@:.row=.metrics) > $$@.new; mv $$@.new $$@
endef
$(foreach c,$(LOWBIT_RECONSTRUCT_NAMES),$(eval $(call lowbit_reconstruct_rule,$(c))))

$(L)/finetune.stamp: FORCE $(call ours,$(LOAD) $(AUGMENT) $(FINETUNE)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(LOWBIT_QAT_IMAGES) --epochs $(LOWBIT_QAT_EPOCHS),$(AUGMENT) $(AUGMENT_FLAGS),$(FINETUNE) \
		$(LOWBIT_QAT_FLAGS) -s $(SEED),$(SET)/dataset.tsv)
lowbit_config = $(call lowbit_field,$(1),1)_$(call lowbit_field,$(1),2)_$(call lowbit_field,$(1),3)

define lowbit_qat_rule
$(L)/$(1).row: $(R)/fused_model.safetensors $(R)/ranges.safetensors $(L)/$(call lowbit_config,$(1))_all.row $(W)/held-out.batches \
		$(L)/finetune.stamp $(W)/evaluate.stamp
	$$(call stage,lowbit/$(1),$$(call images,$$(LOWBIT_QAT_EPOCHS),$$(LOWBIT_QAT_IMAGES))$$(FINETUNE) $$(LOWBIT_QAT_FLAGS) \
		--weight-bits $(call lowbit_field,$(1),2) --activation-bits $(call lowbit_field,$(1),3) \
		$(if $(filter tensor,$(call lowbit_field,$(1),1)),--per-tensor) $(LOWBIT_QAT_$(call lowbit_field,$(1),4)) \
		$(if $(filter-out fixed,$(call lowbit_field,$(1),4)),--init $(R)/lowbit/$(call lowbit_config,$(1)).safetensors) \
		--epochs $$(LOWBIT_QAT_EPOCHS) -s $$(SEED) -j $$(JOBS) -m $$< -r $(R)/ranges.safetensors \
		--checkpoint $$(call CHECKPOINT,lowbit/$(1)) --resume -o $(L)/$(1).model; $$(call measure,$(L)/$(1).model))
	@rm -f $(L)/$(1)-*.checkpoint
	@pipelines/lowbit-row $(1) $(L)/$(1).model $$(@:.row=.metrics) > $$@.new
	@$(if $(filter %_taught,$(1)),mv $(L)/$(1).model $(R)/lowbit/$(1:_taught=_qat).safetensors,rm $(L)/$(1).model); mv $$@.new $$@
endef
$(foreach c,$(LOWBIT_QAT_NAMES),$(eval $(call lowbit_qat_rule,$(c))))

LOWBIT_ROWS := $(L)/float.row $(LOWBIT_NAMES:%=$(L)/%.row) $(LOWBIT_QAT_NAMES:%=$(L)/%.row) \
	$(LOWBIT_MIXED_NAMES:%=$(L)/%.row) $(LOWBIT_RECONSTRUCT_NAMES:%=$(L)/%.row)
$(R)/lowbit.tsv: $(LOWBIT_ROWS) $(W)/lowbit.stamp pipelines/lowbit-row
	@pipelines/lowbit-row --join $(L)/float.metrics $(LOWBIT_ROWS) > $(W)/$(@F); mv $(W)/$(@F) $@
# Beside it stands what `make lowbit-peers` measured (peers.mk), where it did.
$(R)/lowbit.md: $(R)/lowbit.tsv pipelines/lowbit-page
	$(call stage,lowbit/page,pipelines/lowbit-page $< $(wildcard $(R)/lowbit-peers.tsv) > $(W)/$(@F); mv $(W)/$(@F) $@)

lowbit: $(R)/lowbit.md
	@sed -n '/^|/p' $<
	@echo "$< has the table, $(R)/lowbit/ the models"
.PHONY: lowbit
