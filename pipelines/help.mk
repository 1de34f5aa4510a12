# `make help`.
define HELP
resq $(VERSION)

Targets
  all            the programs, in $(BIN)/
  results        the whole study: models, tables, charts and a page to read, $(R)/report.html
  data train models charts
                 parts of it: images exported; the float network; all three models; the charts
  tta            what the models say with every image's mirror image too, and its time: $(R)/tta.tsv
  status         from another terminal: which stages of $(R) are done, which runs and how far it is, the time left
  check-study    does every stage take its flags, the network, the images? In seconds, in a scratch folder; runs by itself in
                 front of every part of the study, and again only after something has changed
  sweep          observers, bits, calibration images and kinds of range, tried on the held-out images: $(R)/sweep.md
  lowbit         what 8 to 2 bits cost after training and trained on, method by method, on the held-out images: $(R)/lowbit.md
  lowbit-peers   beside it the same network in Brevitas, from PyPI
  networks       a study of each of NETWORKS, and accuracy over size and time of all: $(RESULTS)/$(RUN)-networks
  ablation       the recipe trained small, one choice changed at a time: $(R)/ablation.md; -j2: two at a time
  pretrained     trains the float network of PROFILE=pretrained again (an hour), or takes PRETRAINED_MODEL, and says what it is worth
  budgets        studies of $(BUDGETS) minutes and PROFILE=$(BUDGET_PROFILES), one after the other; what they took and gave into pipelines/README.md
  record         a finished run's tables and charts to plots/recorded/$(RUN)/, its table into the README or pipelines/README.md
  record-all     from one commit: RECORD_PARTS (of RECORD_PROFILE's run, and others), made, resumed and recorded; make -n record-all: the list
  record-networks
                 what the last `make networks` left to $(RECORDED)/networks/, its table into a page that has a place for it
  peers          times us beside OpenVINO, ONNX Runtime, PyTorch and XNNPACK (from PyPI), in turns; MODEL_FLOAT, MODEL_INT8, PEERS_ROUNDS
  peers-curves   trains one recipe from three seeds in fp32, in bf16 and in PyTorch: are they alike? CURVES_WIDTH, CURVES_EPOCHS, ...
  record-peers   what it found to plots/recorded/peers/, with a page
  test-interop   ONNX files of ours in ONNX Runtime and OpenVINO (from PyPI): equal classes, logits; INTEROP_IMAGES, INTEROP_NETWORKS
  test           unit tests and tests of the programs; SANITIZE=1: under sanitizers; TESTS='FILE..': some of them
  test-aarch64 test-riscv64
                 unit tests built by cross compilers, run by qemu (./setup --develop); CROSS_TESTS='unit/kernel/test_conv_u8 ..': some
  test-browser   a tiny study's report.html in a headless Chromium; screenshots in $(B)/browser/
  test-cluster   studies on a Slurm of two nodes that is set up here for it (./setup --develop) and ends with it
  test-network   training steps of several processes over slow networks, beside a model of them: a table (root; alone on its machine)
  verify         int8 at full width on all test images: every instruction set and algorithm against ref (half an hour)
  test-cuda      every operation on a GPU beside the CPU's, then steps of training; one line where there is no GPU
  carry          programs, tests and what they link in one archive, for a machine where nothing can be installed: $(CARRY).tar.xz
  lint           layers, words, format, scripts, and both compilers without a warning
  check-faults check-threads check-valgrind coverage
                 calls that fail one by one, FAULT_SECONDS ($(FAULT_SECONDS)) a run and kind; threads; memory; what unit tests run
  fuzz           every reader for FUZZ_SECONDS ($(FUZZ_SECONDS)) under clang's libFuzzer
  install uninstall
                 resq-NAME in $(bindir), man pages, chart styles and images; PREFIX, DESTDIR
  clean          what was built, exported images included; results stay
  distclean      results too

Variables of the study, now:
  PROFILE        $(PROFILE)  (auto, one of $(sort $(basename $(notdir $(wildcard pipelines/profiles/*.mk)))), or a file like them)
  MINUTES        $(MINUTES)  (of PROFILE=auto: what the study may take, from the command on; the plan is $(RESULTS)/RUN/profile.mk)
  RUN            $(RUN)  (the folder in $(RESULTS)/: letters, digits and . _ + -)
  DATA           $(DATA)  (embedded, official, or a path: CIFAR-10 or an ImageFolder)
  SEED           $(SEED)
  JOBS           $(JOBS)  (threads of each program; changes no result)
  RANKS          $(RANKS)  (processes that share each of the two trainings, over MPI; changes no result: pipelines/CLUSTER.md)
  ON             $(ON)  (where stages run: local, slurm or ssh:HOST[,HOST..]; changes no result: pipelines/CLUSTER.md)
  RESOURCES      $(RESOURCES)  (what each stage gets there)
  TRAIN_PART     $(TRAIN_PART)  (train: some images are held out to choose by; all: the last epoch of all 50,000, nothing chosen)
  WIDTH $(or $(WIDTH),as planned), EPOCHS $(EPOCHS), QAT_EPOCHS $(QAT_EPOCHS)
  TRAIN_IMAGES $(TRAIN_IMAGES), HELD_OUT_IMAGES $(HELD_OUT_IMAGES), TEST_IMAGES $(TEST_IMAGES), CALIBRATION_IMAGES $(CALIBRATION_IMAGES), MATCH_IMAGES $(MATCH_IMAGES)  (at most; 0: all)
  SWEEP_OBSERVERS $(SWEEP_OBSERVERS), SWEEP_BITS $(SWEEP_BITS), SWEEP_CALIBRATION_IMAGES $(SWEEP_CALIBRATION_IMAGES),
  SWEEP_SEEDS $(SWEEP_SEEDS), SWEEP_RANGES $(SWEEP_RANGES), SWEEP_QAT_BITS $(SWEEP_QAT_BITS), SWEEP_QAT_IMAGES $(SWEEP_QAT_IMAGES),
  SWEEP_QAT_EPOCHS $(SWEEP_QAT_EPOCHS), SWEEP_QAT_FLAGS $(SWEEP_QAT_FLAGS)
  LOWBIT $(LOWBIT), LOWBIT_MIXED $(LOWBIT_MIXED)
  LOWBIT_QAT $(LOWBIT_QAT)
  LOWBIT_RECONSTRUCT $(LOWBIT_RECONSTRUCT), LOWBIT_RECONSTRUCT_FLAGS $(LOWBIT_RECONSTRUCT_FLAGS)
  ABLATIONS $(ABLATIONS),
  ABLATION_WIDTH $(ABLATION_WIDTH), ABLATION_IMAGES $(ABLATION_IMAGES), ABLATION_EPOCHS $(ABLATION_EPOCHS), ABLATION_SEEDS $(ABLATION_SEEDS), ABLATION_THREADS $(ABLATION_THREADS)
  RECORD_PROFILE $(RECORD_PROFILE), RECORD_NETWORKS_PROFILE $(RECORD_NETWORKS_PROFILE), RECORD_PARTS $(RECORD_PARTS)
  BENCH_BATCHES $(BENCH_BATCHES), BENCH_THREADS $(BENCH_THREADS)

Stages: any program called the same way; STAGE_FLAGS are its options, QUANTIZATION and NETWORK what stages share.
  LOAD = $(LOAD)
$(subst $(newline) ,$(newline),$(foreach s,$(COMMANDS),  $(s) = $($(s)), $(s)_FLAGS = $($(s)_FLAGS)$(newline)))  QUANTIZATION = $(QUANTIZATION)
  NETWORK = $(NETWORK)

Building: CC=$(CC), CFLAGS=$(CFLAGS), CPPFLAGS, LDFLAGS, B=$(B), BIN=$(BIN), WERROR=1,
  CUDA_HOME=$(CUDA_HOME), CUDNN_HOME=$(CUDNN_HOME) (empty: without a GPU's backend).
endef
COMMANDS := AUGMENT TRAIN FUSE CALIBRATE QUANTIZE FINETUNE EVALUATE BENCH PLOT REPORT
help:
	$(info $(HELP))
	@:
.PHONY: help
