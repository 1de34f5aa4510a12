# Batch norm folded into the convolutions: the float network as it is deployed, which the int8 ones are made from.
$(W)/fuse.stamp: FORCE $(call ours,$(FUSE))
	$(call stamp,$(FUSE) $(FUSE_FLAGS))
$(R)/fused_model.safetensors: $(R)/best_float_model.safetensors $(W)/fuse.stamp
	$(call stage,fuse,$(FUSE) $(FUSE_FLAGS) -m $< -o $@)
