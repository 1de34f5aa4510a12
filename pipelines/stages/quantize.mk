# Post-training quantization. QUANTIZATION (observer, bits, granularity) is common to this and to the training that knows of it.
$(W)/quantize.stamp: FORCE $(call ours,$(QUANTIZE))
	$(call stamp,$(QUANTIZE) $(QUANTIZATION) $(QUANTIZE_FLAGS))
$(R)/final_ptq_quantized_model.safetensors: $(R)/fused_model.safetensors $(R)/ranges.safetensors $(W)/quantize.stamp
	$(call stage,quantize,$(QUANTIZE) $(QUANTIZATION) $(QUANTIZE_FLAGS) -m $(R)/fused_model.safetensors \
		-r $(R)/ranges.safetensors -o $@)
