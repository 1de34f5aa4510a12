# Quantization-aware training: from the same fused model and ranges as post-training quantization. See train.mk for the
# checkpoint.
$(W)/finetune.stamp: FORCE $(call ours,$(LOAD) $(AUGMENT) $(FINETUNE)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) $(TRAINED_ON)-n $(QAT_IMAGES) --epochs $(QAT_EPOCHS),$(AUGMENT) $(AUGMENT_FLAGS),$(FINETUNE) \
		$(QUANTIZATION) $(FINETUNE_FLAGS) -s $(SEED),$(SET)/dataset.tsv)
$(R)/best_qat_model.safetensors $(R)/qat.log.tsv &: $(R)/fused_model.safetensors $(R)/ranges.safetensors \
		$(W)/finetune.stamp $(W)/held-out.batches
	$(call stage,finetune,$(call images,$(QAT_EPOCHS),$(QAT_IMAGES))$(ranked)$(FINETUNE) $(QUANTIZATION) $(FINETUNE_FLAGS) \
		--epochs $(QAT_EPOCHS) -s $(SEED) -j $(RANK_JOBS) \
		-m $(R)/fused_model.safetensors -r $(R)/ranges.safetensors $(VALIDATED)\
		--checkpoint $(call CHECKPOINT,qat) --resume --log $(W)/qat.log.tsv -o $(W)/qat.safetensors)
	@mv $(W)/qat.log.tsv $(R)/; mv $(W)/qat.safetensors $(R)/best_qat_model.safetensors
	@rm -f $(W)/qat-*.checkpoint
