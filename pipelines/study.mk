# The study: `make results` runs the stages in pipelines/stages/, one small file each, and leaves what they make in
# results/$(RUN)/. Variables are set on make's command line, never by the environment, so that a study is what its
# command says:
#
#     make results PROFILE=smoke DATA=official SEED=7 RUN=mine QUANTIZE='quantize --per-tensor'
PROFILE = quick
PROFILE_FILE := $(firstword $(wildcard pipelines/profiles/$(PROFILE).mk $(PROFILE)))
ifeq ($(PROFILE_FILE),)
$(error no profile '$(PROFILE)': take one of $(basename $(notdir $(wildcard pipelines/profiles/*.mk))), or name a file)
endif
RUN  = $(basename $(notdir $(PROFILE_FILE)))
DATA = embedded
SEED = 1
JOBS := $(shell nproc)
RESULTS  = results
DATASETS = build/data

# The stages: any program that is called the same way may stand for ours.
LOAD      = cifar-load
AUGMENT   = augment
TRAIN     = train-fp32
FUSE      = fuse
CALIBRATE = calibrate
QUANTIZE  = quantize
FINETUNE  = qat-finetune
EVALUATE  = evaluate
BENCH     = bench
PLOT      = plot

# What a profile says; 0 images means all.
EPOCHS             = 1
QAT_EPOCHS         = 1
TRAIN_IMAGES       = 0
QAT_IMAGES         = $(TRAIN_IMAGES)
HELD_OUT_IMAGES    = 0
TEST_IMAGES        = 0
CALIBRATION_IMAGES = 8192
# What `make sweep` tries: see sweep.mk.
SWEEP_OBSERVERS          = min-max percentile mse entropy
SWEEP_BITS               = 8 6 4 3 2
SWEEP_CALIBRATION_IMAGES = 64 256 1024 4096 8192
SWEEP_SEEDS              = 1 2 3
SWEEP_RANGES             = fixed average learned
SWEEP_QAT_BITS           = 8 6 4 3 2
SWEEP_QAT_IMAGES         = $(QAT_IMAGES)
SWEEP_QAT_EPOCHS         = 1
SWEEP_QAT_FLAGS          = $(FINETUNE_FLAGS)
# What `make ablation` trains: see ablation.mk.
ABLATIONS        = cutout-0 cutout-16 flip-alternate jitter-none jitter-strong rotation-0 rotation-15 rate-0.1 rate-0.4 \
	decay-0.001 smoothing-0 ema-0 momentum-plain bias-rate-16 pad-zero
ABLATION_WIDTH   = 16
ABLATION_IMAGES  = 7500
ABLATION_EPOCHS  = 60
ABLATION_SEEDS   = 1 2
ABLATION_THREADS = 1
include $(PROFILE_FILE)

ifneq ($(words $(RUN))$(findstring /,$(RUN)),1)
$(error RUN='$(RUN)' is not the name of a folder)
endif
# R: the run's folder. W: its workings: stamps, batch files, checkpoints, times.
R := $(RESULTS)/$(RUN)
W := $(R)/.work

# Stages find our programs by name; $(call ours,COMMANDS) are those of them that make builds first. PREBUILT=1 takes
# what stands in $(BIN) as it is.
ours = $(if $(PREBUILT),,$(patsubst %,$(BIN)/%,$(filter $(TOOLS),$(1))))
$(RESULTS)/% $(DATASETS)/%: export PATH := $(abspath $(BIN)):$(PATH)
$(RESULTS)/% $(DATASETS)/%: export LC_ALL := C
$(RESULTS)/% $(DATASETS)/%: export RESQ_PLOTS := $(CURDIR)/plots
# OpenBLAS rounds by its kernel, so one is named: the same bytes on any machine with AVX2.
OPENBLAS_CORETYPE := $(if $(X86),$(if $(shell grep -sw -m 1 avx2 /proc/cpuinfo),Haswell))
ifneq ($(OPENBLAS_CORETYPE),)
$(RESULTS)/% $(DATASETS)/%: export OPENBLAS_CORETYPE := $(OPENBLAS_CORETYPE)
endif

quote = '$(subst ','\'',$(1))'
# $(call stage,NAME,COMMAND): shows the command, runs it, and notes how many milliseconds it took.
stage = @echo $(call quote,$(2)); mkdir -p $(@D); began=$${EPOCHREALTIME/./}; $(2); \
	echo $$((($${EPOCHREALTIME/./} - began) / 1000)) > $(W)/$(1).ms
# $(call stamp,TEXT..): the recipe of a stage's stamp, which changes only where the text (up to four lines: commands
# with their flags) or a program or file named in it does. What the machine adds to a result stands there too.
stamp = @pipelines/stamp $@ $(foreach i,1 2 3 4,$(if $(strip $($(i))),$(call quote,$(strip $($(i)))))) \
	$(call quote,OPENBLAS_CORETYPE=$(OPENBLAS_CORETYPE) RESQ_ISA=$(RESQ_ISA))

STAGES := data train fuse calibrate quantize finetune evaluate charts bench summary report
include $(STAGES:%=pipelines/stages/%.mk)
include pipelines/sweep.mk pipelines/ablation.mk
