# `make check-study`, and by itself in front of every other part of the study: what cannot end well is said before anything is
# trained (pipelines/check-study). A study that passed is not checked again until something about it changes.
#
# $(call checked,STAGE,OURS,FLAGS): the stage as it will be called. A program of the user's own is only looked for: it may take
# long, or do more than write its output; ours stands for it, so that the stages behind it can be checked.
checked = $(if $(filter $(TOOLS),$(firstword $($(1)))),$(strip $($(1)) $(3)),$(2))
CHECKED_STAGES := LOAD AUGMENT TRAIN FUSE CALIBRATE QUANTIZE FINETUNE EVALUATE BENCH PLOT REPORT
CHECKED_NUMBERS := SEED JOBS EPOCHS QAT_EPOCHS TRAIN_IMAGES QAT_IMAGES HELD_OUT_IMAGES TEST_IMAGES CALIBRATION_IMAGES \
	MATCH_IMAGES
CHECKED_SWEEP_NUMBERS := SWEEP_BITS SWEEP_CALIBRATION_IMAGES SWEEP_SEEDS SWEEP_QAT_BITS SWEEP_QAT_IMAGES SWEEP_QAT_EPOCHS
CHECKED_ABLATION_NUMBERS := ABLATION_WIDTH ABLATION_IMAGES ABLATION_EPOCHS ABLATION_SEEDS ABLATION_THREADS

# What of the study is asked for: train, models, results, sweep, ablation.
CHECK_GOALS := $(or $(STUDY_GOALS),check-study)
CHECK_PARTS := train $(if $(filter-out train ablation,$(CHECK_GOALS)),models) \
	$(if $(filter-out train models ablation sweep lowbit,$(CHECK_GOALS)),results) \
	$(if $(filter sweep check-study,$(CHECK_GOALS)),sweep) $(if $(filter ablation check-study,$(CHECK_GOALS)),ablation)
# 'NAME=TEXT' each, for a shell.
check_text = $(call quote,$(1)=$(strip $(2)))
CHECK = pipelines/check-study $(W)/checked $(SET) $(R) $(call quote,$(strip $(CHECK_PARTS))) \
	$(foreach n,$(CHECKED_NUMBERS) $(if $(filter sweep,$(CHECK_PARTS)),$(CHECKED_SWEEP_NUMBERS)) \
		$(if $(filter ablation,$(CHECK_PARTS)),$(CHECKED_ABLATION_NUMBERS)),$(call check_text,$(n),$($(n)))) -- \
	$(call check_text,PROGRAMS,$(foreach s,$(CHECKED_STAGES),$(firstword $($(s))))) \
	$(call check_text,LOAD,$(call checked,LOAD,cifar-load)) \
	$(call check_text,AUGMENT,$(call checked,AUGMENT,augment,$(AUGMENT_FLAGS))) \
	$(call check_text,TRAIN,$(if $(IS_LOCAL),$(ranked))$(call checked,TRAIN,train-fp32 --width 4,$(network_flags) $(TRAIN_FLAGS))) \
	$(call check_text,FUSE,$(call checked,FUSE,fuse,$(FUSE_FLAGS))) \
	$(call check_text,CALIBRATE,$(call checked,CALIBRATE,calibrate,$(CALIBRATE_FLAGS))) \
	$(call check_text,QUANTIZE,$(call checked,QUANTIZE,quantize,$(QUANTIZATION) $(QUANTIZE_FLAGS))) \
	$(call check_text,FINETUNE,$(if $(IS_LOCAL),$(ranked))$(call checked,FINETUNE,qat-finetune,$(QUANTIZATION) $(FINETUNE_FLAGS))) \
	$(call check_text,EVALUATE,$(call checked,EVALUATE,evaluate,$(EVALUATE_FLAGS))) \
	$(call check_text,EVALUATE_INT8,$(call checked,EVALUATE,evaluate,$(call no_precision,$(EVALUATE_FLAGS)))) \
	$(call check_text,BENCH,$(call checked,BENCH,bench,$(BENCH_FLAGS) $(BENCH_PRECISION))) \
	$(call check_text,BENCH_LISTS,$(if $(filter $(TOOLS),$(firstword $(BENCH))),-b $(BENCH_BATCHES) -j $(BENCH_THREADS))) \
	$(call check_text,PLOT,$(call checked,PLOT,plot,)) \
	$(call check_text,PLOT_FLAGS,$(if $(filter $(TOOLS),$(firstword $(PLOT))),$(PLOT_FLAGS))) \
	$(if $(filter sweep,$(CHECK_PARTS)),$(call check_text,OBSERVERS,$(SWEEP_OBSERVERS)) $(call check_text,RANGES,$(SWEEP_RANGES)) \
		$(call check_text,SWEEP_QUANTIZE,$(call checked,QUANTIZE,quantize,$(QUANTIZE_FLAGS))) \
		$(call check_text,SWEEP_FINETUNE,$(call checked,FINETUNE,qat-finetune,$(SWEEP_QAT_FLAGS)))) \
	$(if $(filter ablation,$(CHECK_PARTS)),$(foreach v,base $(ABLATIONS),\
		$(call check_text,VARIANT_AUGMENT,$(call checked,AUGMENT,augment,$(AUGMENT_FLAGS) $(call ablation_flags,augment,$(v)))) \
		$(call check_text,VARIANT_TRAIN,$(call checked,TRAIN,train-fp32,--width $(ABLATION_WIDTH) $(TRAIN_FLAGS) \
			$(call ablation_flags,train,$(v))))))

check-study-quiet: $(SET)/dataset.tsv
	@$(CHECK)
check-study: check-study-quiet
	@echo "check-study: $(R): every stage takes its flags, the network and the images"
.PHONY: check-study check-study-quiet
