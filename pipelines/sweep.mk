# `make sweep`: what quantization does to the run's fused float model, over observers, bits, calibration images and kinds of
# range, measured on the held-out images: it is for choosing by, so the test split stays shut. Leaves sweep.tsv, charts
# and sweep.md in $(R)/.
#
#     make sweep PROFILE=full SWEEP_QAT_IMAGES=10000 SWEEP_BITS='8 4'
#
# Each configuration has a file of its own, one row, in $(S)/: an interrupted sweep goes on where it was, and a wider one
# adds only what is new. Its name says what it is, between underlines:
#
#     ptq_OBSERVER_GRANULARITY_WEIGHT-BITS_ACTIVATION-BITS_CALIBRATION-IMAGES_SEED
#     qat_OBSERVER_GRANULARITY_WEIGHT-BITS_ACTIVATION-BITS_CALIBRATION-IMAGES_SEED_RANGES
#
# The SWEEP_ variables stand in study.mk. QUANTIZATION does not count here: it is what the sweep chooses.
# QUANTIZE_FLAGS, CALIBRATE_FLAGS and EVALUATE_FLAGS count as in the study.
S := $(W)/sweep

# Observers by granularity by bits; bits of the weights or of the activations alone; calibration images: 8 bits.
PER := channel tensor
SWEEP_LOW_BITS = $(filter-out 8,$(SWEEP_BITS))
SWEEP_PTQ := $(sort $(foreach s,$(SWEEP_SEEDS),\
	$(foreach o,$(SWEEP_OBSERVERS),\
		$(foreach p,$(PER),$(foreach b,$(SWEEP_BITS),ptq_$(o)_$(p)_$(b)_$(b)_$(CALIBRATION_IMAGES)_$(s)))\
		$(foreach n,$(SWEEP_CALIBRATION_IMAGES),ptq_$(o)_channel_8_8_$(n)_$(s)))\
	$(foreach b,$(SWEEP_LOW_BITS),ptq_mse_channel_$(b)_8_$(CALIBRATION_IMAGES)_$(s) \
		ptq_mse_channel_8_$(b)_$(CALIBRATION_IMAGES)_$(s))))
# Training is dear: one seed, one observer to start from.
SWEEP_QAT := $(foreach b,$(SWEEP_QAT_BITS),$(foreach k,$(SWEEP_RANGES),\
	qat_mse_channel_$(b)_$(b)_$(CALIBRATION_IMAGES)_$(firstword $(SWEEP_SEEDS))_$(k)))
SWEEP_CALIBRATIONS := $(sort $(foreach c,$(SWEEP_PTQ) $(SWEEP_QAT),$(word 6,$(subst _, ,$(c)))_$(word 7,$(subst _, ,$(c)))))

field  = $(word $(2),$(subst _, ,$(1)))
ranges = $(S)/ranges_$(call field,$(1),6)_$(call field,$(1),7).safetensors
lowering = --observer $(call field,$(1),2) $(if $(filter tensor,$(call field,$(1),3)),--per-tensor) \
	--weight-bits $(call field,$(1),4) --activation-bits $(call field,$(1),5)
# $(call measure,MODEL), $(call row,MODEL,RANGES): the recipe's row. Of the model its size stays, of the ranges how many images
# they saw, which are fewer than were asked for where there are no more.
measure = $(EVALUATE) $(EVALUATE_FLAGS_$(or $(filter float,$(basename $(@F))),ptq)) -m $(1) -j $(JOBS) -o $(@:.row=.metrics) < $(W)/held-out.batches
row     = @pipelines/sweep-row $(basename $(@F)) $(1) $(@:.row=.metrics) $(2) > $@.new; mv $@.new $@

$(S)/calibrate.stamp: FORCE $(call ours,$(LOAD) $(CALIBRATE)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD),$(CALIBRATE) $(CALIBRATE_FLAGS),$(SET)/dataset.tsv)
$(S)/quantize.stamp: FORCE $(call ours,$(QUANTIZE))
	$(call stamp,$(QUANTIZE) $(QUANTIZE_FLAGS))
$(S)/finetune.stamp: FORCE $(call ours,$(LOAD) $(AUGMENT) $(FINETUNE)) $(SET)/dataset.tsv
	$(call stamp,$(LOAD) -n $(SWEEP_QAT_IMAGES) --epochs $(SWEEP_QAT_EPOCHS) -s $(SEED),$(AUGMENT) $(AUGMENT_FLAGS),\
		$(FINETUNE) $(SWEEP_QAT_FLAGS),$(SET)/dataset.tsv)
# Which configurations there are.
$(W)/sweep.stamp: FORCE
	$(call stamp,$(SWEEP_PTQ),$(SWEEP_QAT))

define sweep_calibrate_rule
$(S)/ranges_$(1).safetensors: $(R)/fused_model.safetensors $(S)/calibrate.stamp
	$$(call stage,sweep/calibrate_$(1),$$(LOAD) -d $(SET) --split train --part train --shuffle -s $(call field,$(1),2) \
		| $$(CALIBRATE) $$(CALIBRATE_FLAGS) -m $$< -n $(call field,$(1),1) -j $$(JOBS) -o $$@)
endef
$(foreach c,$(SWEEP_CALIBRATIONS),$(eval $(call sweep_calibrate_rule,$(c))))

$(S)/float.row: $(R)/fused_model.safetensors $(W)/held-out.batches $(W)/evaluate.stamp
	$(call stage,sweep/float,$(call measure,$<))
	$(call row,$<)

define sweep_ptq_rule
$(S)/$(1).row: $(R)/fused_model.safetensors $(call ranges,$(1)) $(W)/held-out.batches $(S)/quantize.stamp $(W)/evaluate.stamp
	$$(call stage,sweep/$(1),$$(QUANTIZE) $(call lowering,$(1)) $$(QUANTIZE_FLAGS) -m $$< -r $(call ranges,$(1)) \
		-o $(S)/$(1).model; $$(call measure,$(S)/$(1).model))
	$$(call row,$(S)/$(1).model,$(call ranges,$(1)))
	@rm $(S)/$(1).model
endef
$(foreach c,$(SWEEP_PTQ),$(eval $(call sweep_ptq_rule,$(c))))

# The last epoch's model, whatever the held-out images say of the others: the row's accuracy was not chosen by.
define sweep_qat_rule
$(S)/$(1).row: $(R)/fused_model.safetensors $(call ranges,$(1)) $(W)/held-out.batches $(S)/finetune.stamp $(W)/evaluate.stamp
	$$(call stage,sweep/$(1),$$(call images,$$(SWEEP_QAT_EPOCHS),$$(SWEEP_QAT_IMAGES))$$(FINETUNE) $(call lowering,$(1)) \
		--range-mode $(call field,$(1),8) $$(SWEEP_QAT_FLAGS) --epochs $$(SWEEP_QAT_EPOCHS) -s $$(SEED) -j $$(JOBS) \
		-m $$< -r $(call ranges,$(1)) --checkpoint $$(call CHECKPOINT,sweep/$(1)) --resume -o $(S)/$(1).model; \
		$$(call measure,$(S)/$(1).model))
	$$(call row,$(S)/$(1).model,$(call ranges,$(1)))
	@rm -f $(S)/$(1).model $(S)/$(1)-*.checkpoint
endef
$(foreach c,$(SWEEP_QAT),$(eval $(call sweep_qat_rule,$(c))))

SWEEP_ROWS := $(S)/float.row $(SWEEP_PTQ:%=$(S)/%.row) $(SWEEP_QAT:%=$(S)/%.row)
$(R)/sweep.tsv: $(SWEEP_ROWS) $(W)/sweep.stamp pipelines/sweep-row
	@pipelines/sweep-row --join $(S)/float.metrics $(SWEEP_ROWS) > $(W)/$(@F); mv $(W)/$(@F) $@

SWEEP_CHARTS := sweep-bits sweep-parts sweep-calibration $(patsubst %,sweep-observers-%,$(filter 8 4,$(SWEEP_BITS)))
$(call chart_files,$(SWEEP_CHARTS)): $(R)/sweep.tsv $(W)/plot.stamp
	$(call stage,sweep/plot-$(@F),$(PLOT) $(patsubst sweep-observers-%,sweep-observers $< %,$(filter sweep-observers-%,$(basename $(@F)))) \
		$(patsubst %,% $<,$(filter-out sweep-observers-%,$(basename $(@F)))) $(PLOT_FLAGS) -o $@)

$(R)/sweep.md: $(R)/sweep.tsv $(W)/pages.stamp $(call chart_files,$(SWEEP_CHARTS))
	$(call stage,sweep/page,report --as sweep $< $(SWEEP_CHARTS) -o $@)

sweep: $(R)/sweep.md
	@sed -n '/^## Chosen/,/^## [^C]/p' $< | sed '/^## [^C]/d'
	@echo "$< has the tables and the charts"
.PHONY: sweep
