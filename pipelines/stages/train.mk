# The float network. A checkpoint is keyed by all that the training depends on, so that only the same training goes on
# from it; outputs get their names when the training is over. NETWORK is ResNet-18 at the profile's width, or any other
# (NETWORK=mobilenetv2, NETWORK='--graph my-network.txt').
network_flags = $(if $(filter-out -%,$(firstword $(NETWORK))),--network )$(NETWORK)
# After the profile's: its rate leaves nothing alive of a network that is deep and has no batch norm.
NETWORK_TRAIN_FLAGS_squeezenet = --learning-rate 0.02
network_train_flags = $(TRAIN_FLAGS)$(if $(NETWORK_TRAIN_FLAGS_$(strip $(NETWORK))), $(NETWORK_TRAIN_FLAGS_$(strip $(NETWORK))))
# What is held out is chosen by; of all images none is.
VALIDATED  = $(if $(filter train,$(TRAIN_PART)),--validate $(W)/held-out.batches )
TRAINED_ON = $(if $(filter-out train,$(TRAIN_PART)),--part $(TRAIN_PART) )
# $(call images,EPOCHS,COUNT): what is trained on; no epochs read nothing.
images = $(if $(filter 0,$(1)),,$(LOAD) -d $(SET) --split train --part $(TRAIN_PART) -n $(2) --shuffle -s $(SEED) \
	--epochs $(1) | $(AUGMENT) $(AUGMENT_FLAGS) -s $(SEED) -j $(JOBS) | )
CHECKPOINT = $(W)/$(1)-$$(cat $^ | sha256sum | head -c 16).checkpoint

$(W)/train.stamp: FORCE $(call ours,$(LOAD) $(AUGMENT) $(TRAIN)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) $(TRAINED_ON)-n $(TRAIN_IMAGES) --epochs $(EPOCHS),$(AUGMENT) $(AUGMENT_FLAGS),$(TRAIN) \
		$(network_flags) $(network_train_flags) -s $(SEED),$(SET)/dataset.tsv)
$(R)/best_float_model.safetensors $(R)/float.log.tsv &: $(W)/train.stamp $(W)/held-out.batches
	$(call stage,train,$(call images,$(EPOCHS),$(TRAIN_IMAGES))$(ranked)$(TRAIN) $(network_flags) $(network_train_flags) \
		--epochs $(EPOCHS) -s $(SEED) -j $(RANK_JOBS) $(VALIDATED)\
		--checkpoint $(call CHECKPOINT,train) --resume --log $(W)/float.log.tsv -o $(W)/float.safetensors)
	@mv $(W)/float.log.tsv $(R)/; mv $(W)/float.safetensors $(R)/best_float_model.safetensors
	@rm -f $(W)/train-*.checkpoint
