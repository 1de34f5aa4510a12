# Post-training quantization.
$(W)/quantize.stamp: FORCE $(call ours,$(QUANTIZE))
	$(call stamp,$(QUANTIZE) $(QUANTIZE_FLAGS))
$(R)/final_ptq_quantized_model.safetensors: $(R)/fused_model.safetensors $(R)/ranges.safetensors $(W)/quantize.stamp
	$(call stage,quantize,$(QUANTIZE) $(QUANTIZE_FLAGS) -m $(R)/fused_model.safetensors -r $(R)/ranges.safetensors -o $@)
