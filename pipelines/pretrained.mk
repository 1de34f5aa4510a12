# `make pretrained`: the float network of PROFILE=pretrained, trained again: about an hour on two cores with AVX2. It is stopped
# and gone on with. A network that was trained by this recipe elsewhere is taken instead where it is named:
#
#     make pretrained PRETRAINED_MODEL=float.safetensors PRETRAINED_LOG=float.log.tsv PRETRAINED_COMMIT=0a1b2c3
#
# Its weights are rounded once to 16 bits, so that the file is the network: what is said of it, in PRETRAINED.md beside it, was
# measured with the rounded one.
PRETRAINED_WORK    := $(B)/pretrained
PRETRAINED_FOLDER   = pipelines/data
PRETRAINED_DATA     = pipelines/data/cifar10-jpeg-q75.tar.xz
PRETRAINED_EPOCHS   = 16
PRETRAINED_AUGMENT  = --crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0 --cutout 8
PRETRAINED_TRAIN    = --width 32 --batch 128 --learning-rate 0.2 --peak 0.2 --label-smoothing 0.1 --ema 0.998 --precision bf16 \
	--validate-every 4
PRETRAINED_MODEL    = $(PRETRAINED_WORK)/float.safetensors
PRETRAINED_LOG      = $(PRETRAINED_WORK)/float.log.tsv
PRETRAINED_COMMIT   =
PRETRAINED_PATH     = PATH=$(call quote,$(abspath $(BIN))):$$PATH $(if $(OPENBLAS_CORETYPE),OPENBLAS_CORETYPE=$(OPENBLAS_CORETYPE))

$(PRETRAINED_WORK)/float.safetensors $(PRETRAINED_WORK)/float.log.tsv &: | $(call ours,$(TOOLS))
	@mkdir -p $(@D)
	export $(PRETRAINED_PATH); cifar-load -d $(PRETRAINED_DATA) --part held-out -s 1 -o $(@D)/held-out.batches; \
	cifar-load -d $(PRETRAINED_DATA) --part train --epochs $(PRETRAINED_EPOCHS) --shuffle -s 1 -b 128 \
		| augment -s 1 $(PRETRAINED_AUGMENT) -j 1 | train-fp32 $(PRETRAINED_TRAIN) -s 1 -j $(JOBS) --epochs $(PRETRAINED_EPOCHS) \
			--validate $(@D)/held-out.batches --checkpoint $(@D)/checkpoint --checkpoint-every 200 --resume \
			--log $(@D)/float.log.tsv -o $(@D)/float.safetensors
pretrained: $(if $(PREBUILT),,$(call ours,$(TOOLS))) $(PRETRAINED_MODEL) $(PRETRAINED_LOG)
	@export $(PRETRAINED_PATH); pipelines/pretrain $(call quote,$(PRETRAINED_MODEL)) $(call quote,$(PRETRAINED_LOG)) \
		$(call quote,$(PRETRAINED_DATA)) $(call quote,$(PRETRAINED_FOLDER)) $(call quote,$(PRETRAINED_COMMIT))
.PHONY: pretrained
