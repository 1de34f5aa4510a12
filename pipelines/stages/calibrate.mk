# What the activations' values are, over training images as they are loaded.
$(W)/calibrate.stamp: FORCE $(call ours,$(LOAD) $(CALIBRATE)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(CALIBRATION_IMAGES) -s $(SEED),$(CALIBRATE) $(CALIBRATE_FLAGS),$(SET)/dataset.tsv)
$(R)/ranges.safetensors: $(R)/fused_model.safetensors $(W)/calibrate.stamp
	$(call stage,calibrate,$(LOAD) -d $(SET) --split train --part train -n $(CALIBRATION_IMAGES) --shuffle -s $(SEED) \
		| $(CALIBRATE) $(CALIBRATE_FLAGS) -m $< -j $(JOBS) -o $@)
