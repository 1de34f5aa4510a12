# Post-training quantization. QUANTIZATION (observer, bits, granularity) is common to this and to the training that knows of it.
$(W)/quantize.stamp: FORCE $(call ours,$(QUANTIZE))
	$(call stamp,$(QUANTIZE) $(QUANTIZATION) $(QUANTIZE_FLAGS))
# What outputs are matched by, below 8 bits; a file, since at 8 bits nothing reads it.
$(W)/match.batches: $(W)/calibrate.stamp
	$(call stage,match-images,$(LOAD) -d $(SET) --split train --part train --shuffle -s $(SEED) -n $(MATCH_IMAGES) -o $@)
$(R)/final_ptq_quantized_model.safetensors: $(R)/fused_model.safetensors $(R)/ranges.safetensors $(W)/quantize.stamp \
		$(W)/match.batches
	$(call stage,quantize,$(QUANTIZE) $(QUANTIZATION) $(QUANTIZE_FLAGS) -m $(R)/fused_model.safetensors \
		-r $(R)/ranges.safetensors -o $@ < $(W)/match.batches)
