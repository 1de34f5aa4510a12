# The study: `make results` runs the stages in pipelines/stages/, one small file each, and leaves what they make in
# results/$(RUN)/. Variables are set on make's command line, never by the environment, so that a study is what its
# command says:
#
#     make results PROFILE=smoke DATA=official SEED=7 RUN=mine QUANTIZE='quantize --per-tensor'
PROFILE = auto
$(call refuse,PROFILE,the name of a profile or its file,$(MAKE_SPECIAL))
DATA = embedded
SEED = 1
JOBS := $(shell nproc)
# Where stages run: local, slurm or ssh:HOST[,HOST..], and what each gets there: on, CLUSTER.md.
ON        = local
RESOURCES = pipelines/resources.txt
# Processes that share each of the study's two trainings, over MPI: ranks, CLUSTER.md.
RANKS = 1
RESULTS  = results
DATASETS = build/data
# PROFILE=auto: the study that fits into so many minutes here. The first run of that name writes its profile, which decides
# from then on (plan.mk).
MINUTES = 10
ifeq ($(PROFILE),auto)
RUN = auto
PROFILE_FILE := $(RESULTS)/$(RUN)/profile.mk
IS_PLANNED := $(wildcard $(PROFILE_FILE))
else
PROFILE_FILE := $(firstword $(wildcard pipelines/profiles/$(PROFILE).mk $(PROFILE)))
IS_PLANNED := $(PROFILE_FILE)
ifeq ($(PROFILE_FILE),)
$(error no profile '$(PROFILE)': take auto, one of $(basename $(notdir $(wildcard pipelines/profiles/*.mk))), or name a file)
endif
RUN = $(basename $(notdir $(PROFILE_FILE)))
endif

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
REPORT    = report
PLAN      = plan

# What a profile says; 0 images means all.
EPOCHS             = 1
QAT_EPOCHS         = 1
TRAIN_IMAGES       = 0
QAT_IMAGES         = $(TRAIN_IMAGES)
HELD_OUT_IMAGES    = 0
TEST_IMAGES        = 0
CALIBRATION_IMAGES = 8192
MATCH_IMAGES       = 512
# What is trained on: `train`, with every tenth image held out to choose by, or `all`: nothing is held out, nothing chosen, and the
# last epoch is delivered. For when everything is settled (PROFILE=last).
TRAIN_PART         = train
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
# What `make lowbit` tries: see lowbit.mk.
LOWBIT = channel_8_8 channel_4_8 channel_4_4 channel_3_3 channel_2_8 channel_2_4 channel_2_2 tensor_4_4
LOWBIT_MIXED = 4.5 3.2
# Of these, what is trained on besides, on how many images how often and how: at a rate that 2 bits bear.
LOWBIT_QAT        = $(filter-out channel_8_8 channel_4_8,$(LOWBIT))
LOWBIT_QAT_IMAGES = $(QAT_IMAGES)
LOWBIT_QAT_EPOCHS = 2
LOWBIT_QAT_FLAGS  = $(FINETUNE_FLAGS) --learning-rate 0.0002
# And of these, what is reconstructed besides, in its short form.
LOWBIT_RECONSTRUCT       =
LOWBIT_RECONSTRUCT_FLAGS = --steps 200
# What `make ablation` trains: see ablation.mk.
ABLATIONS        = cutout-0 cutout-16 flip-alternate jitter-none jitter-strong rotation-0 rotation-15 rate-0.1 rate-0.4 \
	decay-0.001 smoothing-0 ema-0 momentum-plain bias-rate-16 pad-zero
ABLATION_WIDTH   = 16
ABLATION_IMAGES  = 7500
ABLATION_EPOCHS  = 60
ABLATION_SEEDS   = 1 2
ABLATION_THREADS = 1
# What is trained: ResNet-18 of the profile's width, or any other network: '--graph FILE', '--init MODEL'.
NETWORK = --width $(WIDTH)
# A file that the profile cannot do without, and where it comes from.
NEEDED =
NEEDED_HOW =
# What stages are expected to take, STAGE:SECONDS each, for the time left; nothing where nobody knows.
STAGE_SECONDS =
include $(IS_PLANNED)

$(foreach v,RUN DATA RESULTS DATASETS B BIN ON RESOURCES RANKS,$(call refuse_dollar,$(v)))
$(call refuse,RUN,the name of a folder,/ $(MAKE_SPECIAL))
ifneq ($(filter . ..,$(RUN)),)
$(error RUN='$(RUN)' is not the name of a folder: it is one that is there already)
endif
$(foreach v,RESULTS DATASETS B BIN,$(call refuse,$(v),a path that make can hold,$(MAKE_SPECIAL)))
ifneq ($(findstring :,$(CURDIR)),)
$(error this folder's path, '$(CURDIR)', has ':', which PATH cannot hold: the programs would not be found)
endif
# R: the run's folder. W: its workings: stamps, batch files, checkpoints, times.
R := $(RESULTS)/$(RUN)
W := $(R)/.work

# Stages find our programs by name; $(call ours,COMMANDS) are those of them that make builds first. PREBUILT=1 takes
# what stands in $(BIN) as it is; so do stages, before which all are built.
ours = $(if $(PREBUILT)$(STUDY_STEP),,$(patsubst %,$(BIN)/%,$(filter $(TOOLS),$(1))))
STUDY_PATH := $(abspath $(BIN)):$(PATH)
STUDY_PLOTS := $(CURDIR)/plots
# OpenBLAS rounds by its kernel, so one is named: the same bytes on any machine with AVX2.
OPENBLAS_CORETYPE := $(if $(X86),$(if $(shell grep -sw -m 1 avx2 /proc/cpuinfo),Haswell))

# $(call run_on,NAME,COMMAND): the stage's command, here or where ON says. There programs have as many threads as their job has cores, unless
# JOBS says otherwise, and times are taken on a machine of their own.
ON_LOCKS = $(DATASETS)/on
IS_LOCAL := $(if $(filter-out local,$(ON))$(word 2,$(ON))$(if $(ON),,x),,1)
ifneq ($(IS_LOCAL),)
run_on = $(2)
hold_alone  = source pipelines/locks.bash; hold_alone
share_again = source pipelines/locks.bash; share_again
else
run_on = pipelines/on $(call quote,$(ON)) $(call quote,$(RESOURCES)) $(1) $(W)/on $(ON_LOCKS) $(call quote,$(2))
hold_alone  = :
share_again = :
endif
# What a training is called by, and the threads of each of its processes; JOBS= says how many, or they share the machine's.
IS_ALONE := $(if $(filter-out 1,$(RANKS))$(word 2,$(RANKS))$(if $(RANKS),,x),,1)
ifeq ($(if $(IS_ALONE),1,$(shell [[ $(call quote,$(RANKS)) =~ ^[1-9][0-9]{0,3}$$ ]] && (($(RANKS) <= 1024)) && echo 1)),)
$(error RANKS='$(RANKS)' is no number of processes, 1 to 1024)
endif
ranked = $(if $(IS_ALONE),,pipelines/ranks $(RANKS) )
RANK_JOBS = $(JOBS)
ifeq ($(IS_ALONE)$(filter command,$(origin JOBS)),)
RANK_JOBS = $(shell echo $$(($(JOBS) / $(RANKS) > 0 ? $(JOBS) / $(RANKS) : 1)))
endif
# $(call stage,NAME,COMMAND): shows the command, runs it, and notes how many milliseconds it took: see progress.bash.
stage = @source pipelines/progress.bash; mkdir -p $(@D); stage_begin $(W) $(1) $(call quote,$(STAGE_SECONDS)) $(call quote,$(2)); \
	$(call run_on,$(1),$(2)); stage_end $(W) $(1)
# $(call stamp,TEXT..): the recipe of a stage's stamp, which changes only where the text (up to four lines: commands
# with their flags) or a program or file named in it does. What the machine adds to a result stands there too.
texts = $(foreach i,1 2 3 4,$(if $(strip $($(i))),$(call quote,$(strip $($(i)))))) \
	$(call quote,OPENBLAS_CORETYPE=$(OPENBLAS_CORETYPE) RESQ_ISA=$(RESQ_ISA))
stamp = @pipelines/stamp $@ $(texts)

# Where what is recorded goes, and the command line's variables, but for those that only the recording reads. A space inside of one
# stands as `\ `.
RECORDED = plots/recorded
said = $(subst \_,\$(space),$(filter-out NOTE=% RECORDED=% RECORD_% $(if $(RECORD_ROOT),RUN=% RESULTS=% PEERS=% CURVES=%),$(subst \$(space),\_,$(MAKEOVERRIDES))))
include pipelines/networks.mk

# ---- two makes in one checkout ----
# What people ask for by name is made by a make of its own, which holds locks for as long as it runs: one make at a time works
# in a run's folder, and none while another one takes times. Before it, programs are built and images exported; before any
# stage, the whole study is checked (check-study.mk). STUDY_STEP: data, then stages.
RUN_LOCK = $(DATASETS)/run-$$(printf %s $(call quote,$(abspath $(R))) | sha256sum | head -c 16).lock
ASKED := $(filter $(PARTS) $(RESULTS)/% $(DATASETS)/%,$(MAKECMDGOALS))
ASKED_STAGES := $(filter-out data $(DATASETS)/%,$(ASKED))
ifneq ($(filter command,$(firstword $(origin STUDY_STEP))),)
$(error STUDY_STEP is for calls of make by make)
endif
ifeq ($(MAKELEVEL),0)
STUDY_STEP :=
endif
ifneq ($(STUDY_STEP),)
ifeq ($(IS_LOCAL),)
JOBS = $$THREADS
RANK_JOBS = $(JOBS)
check-study-quiet: JOBS := $(shell nproc)
endif
export PATH := $(abspath $(BIN)):$(PATH)
export RESQ_PLOTS := $(CURDIR)/plots
ifneq ($(OPENBLAS_CORETYPE),)
export OPENBLAS_CORETYPE
endif
# Pages and joined tables are report's (`report --as`), whatever REPORT names.
$(W)/pages.stamp: FORCE $(call ours,report)
	$(call stamp,report --as)
STAGES := data plan train fuse calibrate quantize finetune evaluate charts bench summary tta report
include $(STAGES:%=pipelines/stages/%.mk)
include pipelines/sweep.mk pipelines/lowbit.mk pipelines/ablation.mk pipelines/check-study.mk
else ifneq ($(ASKED),)
HOLD := source pipelines/locks.bash; hold
# What is asked for, and cannot be.
ifneq ($(filter command,$(origin MINUTES)),)
ifneq ($(PLANNED_MINUTES),)
ifneq ($(MINUTES),$(PLANNED_MINUTES))
$(error MINUTES=$(MINUTES): $(PROFILE_FILE) was planned for $(PLANNED_MINUTES), and decides. RUN=$(RUN)-$(MINUTES) plans another study beside \
	it; without the file this one is planned anew)
endif
else ifneq ($(PROFILE),auto)
$(error MINUTES=$(MINUTES): the profile '$(PROFILE)' is as long as it is; PROFILE=auto fits the minutes)
endif
endif
ifeq ($(PROFILE)$(filter command,$(origin NETWORK)),autocommand)
ifneq ($(filter --width%,$(NETWORK)),)
$(error NETWORK=$(NETWORK): PROFILE=auto chooses the width; PROFILE=small, or any other, takes this one)
endif
ifneq ($(IS_PLANNED),)
ifneq ($(strip $(NETWORK)),$(strip $(PLANNED_NETWORK)))
$(error NETWORK=$(NETWORK): $(PROFILE_FILE) was planned for $(or $(PLANNED_NETWORK),ResNet-18), and decides. RUN=$(RUN)-2 plans another study \
	beside it; without the file this one is planned anew)
endif
endif
endif
ifneq ($(TRAIN_PART),train)
ifneq ($(TRAIN_PART),all)
$(error TRAIN_PART='$(TRAIN_PART)' is not train or all)
endif
ifneq ($(filter sweep lowbit ablation,$(ASKED)),)
$(error TRAIN_PART=all has trained on the held-out images: $(filter sweep lowbit ablation,$(ASKED)) would choose by them)
endif
endif
ifneq ($(NEEDED),)
ifeq ($(wildcard $(NEEDED)),)
$(error $(NEEDED) is not there, which the profile '$(PROFILE)' begins from: $(NEEDED_HOW))
endif
endif
BEGAN := $(shell date +%s)
IS_DRY_RUN := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
$(ASKED): study-steps
	@:
study-steps:
	@$(if $(IS_LOCAL)$(IS_DRY_RUN),,pipelines/on --check $(call quote,$(ON)) $(call quote,$(RESOURCES)) $(ON_LOCKS) $(abspath $(BIN)) $(RESULTS) $(DATASETS))
	@$(if $(PREBUILT),,$(HOLD) 7 $(B)/programs.lock 'another make builds the programs' -x; $(MAKE) --no-print-directory study-programs)
	@$(if $(IS_ALONE)$(IS_DRY_RUN),,pipelines/ranks --check $(RANKS) $(abspath $(BIN)) $(if $(IS_LOCAL),local,$(call quote,$(ON))))
	@STUDY_STEP=data $(MAKE) --no-print-directory data
	@$(if $(ASKED_STAGES),$(HOLD) 8 $(RUN_LOCK) 'another make works in $(R)' -x; \
		hold 7 $(DATASETS)/times.lock 'another make takes times' -s; \
		$(if $(IS_DRY_RUN),,pipelines/on --clear $(W)/on;) \
		$(if $(IS_PLANNED),,STUDY_STEP=plan $(MAKE) --no-print-directory -s study-plan STUDY_BEGAN=$(BEGAN);) \
		export STUDY_STEP=stages STUDY_GOALS=$(call quote,$(ASKED_STAGES)); \
		$(if $(IS_DRY_RUN)$(filter check-study,$(ASKED_STAGES)),,$(MAKE) --no-print-directory -s check-study-quiet;) \
		$(if $(IS_LOCAL),,exec 7>&-;) \
		exec $(MAKE) --no-print-directory $(ASKED_STAGES),:)
.PHONY: $(ASKED) study-steps
endif
# From another terminal: how far is it?
status:
	@lock=$(RUN_LOCK); pipelines/status $(R) "$$lock" $(call quote,$(STAGE_SECONDS))
.PHONY: status
# Asked of a make of its own, in which nothing else is.
study-programs: $(call ours,$(TOOLS))
.PHONY: study-programs
