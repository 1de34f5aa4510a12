# The float network. A checkpoint is keyed by all that the training depends on, so that only the same training goes on
# from it; outputs get their names when the training is over.
LOAD_TRAIN = $(LOAD) -d $(SET) --split train --part train -n $(TRAIN_IMAGES) --shuffle -s $(SEED)
CHECKPOINT = key=$$(cat $^ | sha256sum | head -c 16); checkpoint=$(W)/$(1)-$$key.checkpoint; \
	if [ -e $$checkpoint ]; then resume=--resume; else resume=; fi

$(W)/train.stamp: FORCE $(call ours,$(LOAD) $(AUGMENT) $(TRAIN)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(TRAIN_IMAGES) --epochs $(EPOCHS),$(AUGMENT) $(AUGMENT_FLAGS),$(TRAIN) \
		$(TRAIN_FLAGS) -s $(SEED),$(SET)/dataset.tsv)
$(R)/best_float_model.safetensors $(R)/float.log.tsv &: $(W)/train.stamp $(W)/held-out.batches
	$(call stage,train,$(call CHECKPOINT,train); $(LOAD_TRAIN) --epochs $(EPOCHS) \
		| $(AUGMENT) $(AUGMENT_FLAGS) -s $(SEED) -j $(JOBS) \
		| $(TRAIN) $(TRAIN_FLAGS) --epochs $(EPOCHS) -s $(SEED) -j $(JOBS) --validate $(W)/held-out.batches \
		--checkpoint $$checkpoint $$resume --log $(W)/float.log.tsv -o $(W)/float.safetensors)
	@mv $(W)/float.log.tsv $(R)/; mv $(W)/float.safetensors $(R)/best_float_model.safetensors
	@rm -f $(W)/train-*.checkpoint
