# `make ablation`: what each choice of the recipe is worth. The profile's recipe is trained small, once as it is and once for
# each variant, which changes one thing; the same images, the same seeds, measured on the held-out images after the last
# epoch. Leaves ablation.tsv, ablation.md and a chart in $(R)/. A few images, seen often, stand for the whole study's regime:
# a network large enough to know its images by heart.
#
#     make -j2 ablation PROFILE=full ABLATIONS='cutout-16 mine' ABLATION_mine='train --momentum 0.95'
#
# A variant is `augment FLAGS` or `train FLAGS`, which are put after the profile's own: the last of an option counts. Every
# training is a file of its own, NAME_SEED.row in $(A)/: an interrupted comparison goes on where it was.
A := $(W)/ablation

ABLATION_cutout-0       = augment --cutout 0
ABLATION_cutout-8       = augment --cutout 8
ABLATION_cutout-16      = augment --cutout 16
# Images mixed, in place of cutout.
ABLATION_cutmix-0.5     = augment --cutout 0 --cutmix 0.5
ABLATION_mixup-0.2      = augment --cutout 0 --mixup 0.2
ABLATION_ricap-0.3      = augment --cutout 0 --ricap 0.3
# Others.
ABLATION_flip-alternate = augment --flip-alternate
ABLATION_jitter-none    = augment --jitter 0,0,0,0
ABLATION_jitter-strong  = augment --jitter 0.2,0.2,0.2,0.05
ABLATION_pad-zero       = augment --pad zero
ABLATION_rotation-0     = augment --rotation 0
ABLATION_rotation-15    = augment --rotation 15
ABLATION_batch-128      = train --batch 128 --learning-rate 0.1
ABLATION_bias-no-decay  = train --no-decay-all
ABLATION_bias-rate-16   = train --bias-rate 16
ABLATION_decay-0.001    = train --weight-decay 0.001
ABLATION_decay-0.0002   = train --weight-decay 0.0002
ABLATION_ema-0          = train --ema 0
ABLATION_fp32           = train --precision fp32
ABLATION_momentum-plain = train --no-nesterov
ABLATION_rate-0.1       = train --learning-rate 0.1
ABLATION_rate-0.4       = train --learning-rate 0.4
ABLATION_rate-decay     = train --learning-rate 0.4 --weight-decay 0.001
ABLATION_teacher        = train --teacher pipelines/data/pretrained.safetensors
ABLATION_smoothing-0    = train --label-smoothing 0

ablation_flags = $(if $(filter $(1),$(firstword $(ABLATION_$(2)))),$(wordlist 2,99,$(ABLATION_$(2))))
ifneq ($(strip $(foreach v,$(ABLATIONS),$(if $(filter augment train,$(firstword $(ABLATION_$(v)))),,$(v)))),)
$(error ABLATIONS: ABLATION_NAME is to be `augment FLAGS` or `train FLAGS` for each of: $(strip \
	$(foreach v,$(ABLATIONS),$(if $(filter augment train,$(firstword $(ABLATION_$(v)))),,$(v)))))
endif

define ablation_rules
$(A)/$(1).stamp: FORCE $(call ours,$(LOAD) $(AUGMENT) $(TRAIN)) $(SET)/dataset.tsv
	$$(call stamp,$(LOAD) -n $(ABLATION_IMAGES) --epochs $(ABLATION_EPOCHS),$(AUGMENT) $$(AUGMENT_FLAGS) \
		$$(call ablation_flags,augment,$(1)),$(TRAIN) --width $(ABLATION_WIDTH) $$(TRAIN_FLAGS) $$(call ablation_flags,train,$(1)),\
		$(SET)/dataset.tsv)
$(foreach s,$(ABLATION_SEEDS),$(call ablation_rule,$(1),$(s)))
endef
# Only the last epoch is tested: nothing is chosen by what is measured.
define ablation_rule

$(A)/$(1)_$(2).row: $(A)/$(1).stamp $(W)/held-out.batches
	$$(call stage,ablation/$(1)_$(2),$$(LOAD) -d $(SET) --split train --part train -n $(ABLATION_IMAGES) --shuffle -s $(2) \
		--epochs $(ABLATION_EPOCHS) | $$(AUGMENT) $$(AUGMENT_FLAGS) $$(call ablation_flags,augment,$(1)) -s $(2) \
		-j $(ABLATION_THREADS) | $$(TRAIN) --width $(ABLATION_WIDTH) $$(TRAIN_FLAGS) $$(call ablation_flags,train,$(1)) \
		--epochs $(ABLATION_EPOCHS) -s $(2) -j $(ABLATION_THREADS) --validate $(W)/held-out.batches \
		--validate-every $(ABLATION_EPOCHS) --checkpoint $$(call CHECKPOINT,ablation/$(1)_$(2)) --resume \
		--log $(A)/$(1)_$(2).log -o $(A)/$(1)_$(2).model)
	@pipelines/ablation-row $(1) $(2) $$(call quote,$$(or $$(strip $$(ABLATION_$(1))),-)) $(A)/$(1)_$(2).log > $$@.new; mv $$@.new $$@
	@rm -f $(A)/$(1)_$(2).model $(A)/$(1)_$(2)-*.checkpoint
endef
$(foreach v,base $(ABLATIONS),$(eval $(call ablation_rules,$(v))))
ABLATION_base =

ABLATION_ROWS := $(foreach v,base $(ABLATIONS),$(ABLATION_SEEDS:%=$(A)/$(v)_%.row))
$(A)/rows.stamp: FORCE
	$(call stamp,$(ABLATION_ROWS),$(AUGMENT_FLAGS),$(TRAIN_FLAGS))
$(R)/ablation.tsv: $(ABLATION_ROWS) $(A)/rows.stamp pipelines/ablation-row
	@pipelines/ablation-row --join $(A)/base_$(firstword $(ABLATION_SEEDS)).log $(call quote,$(AUGMENT_FLAGS)) \
		$(call quote,$(TRAIN_FLAGS)) $(call quote,--width $(ABLATION_WIDTH) --epochs $(ABLATION_EPOCHS)) $(ABLATION_ROWS) \
		> $(W)/$(@F); mv $(W)/$(@F) $@
$(call chart_files,ablation): $(R)/ablation.tsv $(W)/plot.stamp
	$(call stage,ablation/plot-$(@F),$(PLOT) ablation $< $(PLOT_FLAGS) -o $@)
$(R)/ablation.md: $(R)/ablation.tsv $(W)/pages.stamp $(call chart_files,ablation)
	$(call stage,ablation/page,report --as ablation $< -o $@)

ablation: $(R)/ablation.md
	@sed -n '/^|/p' $<
	@echo "$< has the table and the chart"
.PHONY: ablation
