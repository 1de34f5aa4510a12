# What the activations' values are, over training images as they are loaded.
$(W)/calibrate.stamp: FORCE $(call ours,$(LOAD) $(CALIBRATE)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -s $(SEED),$(CALIBRATE) $(CALIBRATE_FLAGS) -n $(CALIBRATION_IMAGES),$(SET)/dataset.tsv)
$(R)/ranges.safetensors: $(R)/fused_model.safetensors $(W)/calibrate.stamp
	$(call stage,calibrate,$(LOAD) -d $(SET) --split train --part train --shuffle -s $(SEED) \
		| $(CALIBRATE) $(CALIBRATE_FLAGS) -m $< -n $(CALIBRATION_IMAGES) -j $(JOBS) -o $@)
