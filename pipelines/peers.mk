# `make peers`: resq beside PyTorch, ONNX Runtime, OpenVINO and XNNPACK (tests/peers/): one network, the same images, all programs in
# turns. It needs PyPI the first time, and is no part of `make test`. MODEL_FLOAT and MODEL_INT8: a fused and an int8 model of
# any width, by default those of a study that was run here (of the first of these names), so that accuracies can stand beside
# times; where there is none, a network of full width as it is initialised, calibrated on a few images, which is as fast as any.
# NETWORK=mobilenetv2: that network, of the study $(RESULTS)/*-mobilenetv2 where `make networks` left one, else as it is initialised.
PEERS_NAMED   := $(if $(filter command,$(origin NETWORK)),$(NETWORK))
ifneq ($(or $(word 2,$(PEERS_NAMED)),$(filter -%,$(PEERS_NAMED))),)
ifneq ($(filter peers%,$(MAKECMDGOALS)),)
$(error NETWORK=$(NETWORK): peers takes a network by its name, or MODEL_FLOAT= and MODEL_INT8=)
endif
PEERS_NAMED   :=
endif
PEERS_HOME    := build/peers
PEERS         := $(PEERS_HOME)$(if $(PEERS_NAMED),/$(PEERS_NAMED))
PEERS_RESULTS  = $(RESULTS)/peers$(if $(PEERS_NAMED),-$(PEERS_NAMED))
PEERS_PYTHON  := $(PEERS_HOME)/venv/bin/python
PEERS_RUN     := $(firstword $(foreach r,$(if $(PEERS_NAMED),$(foreach r,full auto quick small networks,$(r)-$(PEERS_NAMED)),full pretrained auto quick \
	small),$(if $(and $(wildcard $(RESULTS)/$(r)/fused_model.safetensors),\
	$(wildcard $(RESULTS)/$(r)/final_ptq_quantized_model.safetensors)),$(RESULTS)/$(r))))
MODEL_FLOAT    = $(if $(PEERS_RUN),$(PEERS_RUN)/fused_model.safetensors,$(PEERS)/fused.safetensors)
MODEL_INT8     = $(if $(PEERS_RUN),$(PEERS_RUN)/final_ptq_quantized_model.safetensors,$(PEERS)/int8.safetensors)
# What training is compared on: of a network by name the one before it was fused.
MODEL_TRAIN    = $(if $(PEERS_NAMED),$(if $(PEERS_RUN),$(PEERS_RUN)/best_float_model.safetensors,$(PEERS)/float.safetensors),$(MODEL_FLOAT))
PEERS_ROUNDS           = 30
PEERS_TRAINING_ROUNDS  = 8
# About how long each of the two comparisons may take, once packages are installed: fewer rounds where more would not fit.
PEERS_MINUTES          = 8
PEERS_TRAINING_MINUTES = 6
PEERS_FLAGS            =
PEERS_TRAINING_FLAGS   =

$(B)/peers/worker: $(B)/tests/peers/worker.o $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CC) $(SANITIZER) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call archives,$(LAYERS)) $(RESQ_LDLIBS)

# The virtual environment: every package pinned, nothing else resolved.
$(PEERS_HOME)/venv.stamp: tests/peers/requirements.txt
	@mkdir -p $(PEERS_HOME); rm -rf $(PEERS_HOME)/venv; \
	{ python3 -m venv $(PEERS_HOME)/venv && $(PEERS_PYTHON) -m pip install --no-deps -r $<; } > $(PEERS_HOME)/install.log 2>&1 \
		|| { echo "peers: PyTorch, ONNX Runtime and OpenVINO cannot be installed: $$(tail -n 1 $(PEERS_HOME)/install.log)" >&2; exit 1; }; \
	$(PEERS_PYTHON) -c 'import numpy, onnx, onnxruntime, openvino, torch' > $(PEERS_HOME)/install.log 2>&1 \
		|| { echo "peers: what was installed does not run: $$(tail -n 1 $(PEERS_HOME)/install.log)" >&2; exit 1; }; \
	touch $@

# OpenVINO's release notes admit that 2026.4 is slower at convolutions on some processors: the faster of two versions stands for it.
PEERS_OPENVINO_OLDER := openvino==2026.2.1
$(PEERS_HOME)/openvino-older.stamp: pipelines/peers.mk $(PEERS_HOME)/venv.stamp
	@rm -rf $(PEERS_HOME)/openvino-older; \
	$(PEERS_PYTHON) -m pip install --no-deps --target $(PEERS_HOME)/openvino-older $(PEERS_OPENVINO_OLDER) > $(PEERS_HOME)/install.log 2>&1 \
		|| { echo "peers: $(PEERS_OPENVINO_OLDER) cannot be installed: $$(tail -n 1 $(PEERS_HOME)/install.log)" >&2; exit 1; }; \
	touch $@

# XNNPACK, in LiteRT: where it cannot be installed or does not run, a line says so, and the comparison goes on without it.
$(PEERS_HOME)/xnnpack.stamp: tests/peers/requirements-xnnpack.txt $(PEERS_HOME)/venv.stamp
	@rm -rf $(PEERS_HOME)/xnnpack $@; \
	if ! $(PEERS_PYTHON) -m pip install --no-deps --target $(PEERS_HOME)/xnnpack -r $< > $(PEERS_HOME)/install.log 2>&1; then \
		echo "peers: xnnpack is left out: LiteRT cannot be installed: $$(tail -n 1 $(PEERS_HOME)/install.log)" >&2; \
	elif ! PYTHONPATH=$(PEERS_HOME)/xnnpack $(PEERS_PYTHON) -c 'import ai_edge_litert.interpreter' > $(PEERS_HOME)/install.log 2>&1; then \
		echo "peers: xnnpack is left out: LiteRT does not run: $$(tail -n 1 $(PEERS_HOME)/install.log)" >&2; \
	else touch $@; fi

# Brevitas: what few bits cost there, for `make lowbit-peers`.
$(PEERS_HOME)/brevitas.stamp: tests/peers/requirements-brevitas.txt $(PEERS_HOME)/venv.stamp
	@rm -rf $(PEERS_HOME)/brevitas; \
	$(PEERS_PYTHON) -m pip install --no-deps --target $(PEERS_HOME)/brevitas -r $< > $(PEERS_HOME)/install.log 2>&1 \
		|| { echo "peers: Brevitas cannot be installed: $$(tail -n 1 $(PEERS_HOME)/install.log)" >&2; exit 1; }; \
	PYTHONPATH=$(PEERS_HOME)/brevitas $(PEERS_PYTHON) -c 'import brevitas.nn' > $(PEERS_HOME)/install.log 2>&1 \
		|| { echo "peers: Brevitas does not run: $$(tail -n 1 $(PEERS_HOME)/install.log)" >&2; exit 1; }; \
	touch $@

# The models and images.
PEERS_IMAGES := 512
$(PEERS)/float.safetensors: | $(call ours,$(TRAIN))
	@mkdir -p $(@D)
	$(BIN)/train-fp32 $(if $(PEERS_NAMED),--network $(PEERS_NAMED),--width 64) --epochs 0 -o $@ < /dev/null
$(PEERS)/fused.safetensors: $(PEERS)/float.safetensors | $(call ours,$(FUSE))
	$(BIN)/fuse -m $< -o $@
$(PEERS)/int8.safetensors: $(PEERS)/fused.safetensors | $(call ours,$(LOAD) $(CALIBRATE) $(QUANTIZE))
	$(BIN)/cifar-load --part train --shuffle -n $(PEERS_IMAGES) | $(BIN)/calibrate -m $< -n $(PEERS_IMAGES) -j $(JOBS) -o $(PEERS)/ranges.safetensors
	$(BIN)/quantize -m $< -r $(PEERS)/ranges.safetensors -o $@
$(PEERS)/images.batches: | $(call ours,$(LOAD))
	@mkdir -p $(@D)
	$(BIN)/cifar-load --split test -n $(PEERS_IMAGES) -o $@
$(PEERS)/few.batches: | $(call ours,$(LOAD))
	@mkdir -p $(@D)
	$(BIN)/cifar-load --split test -n 64 -o $@
$(PEERS)/test.batches: | $(call ours,$(LOAD))
	@mkdir -p $(@D)
	$(BIN)/cifar-load --split test -o $@
# Which models they are, so that graphs of others are not taken for theirs.
$(PEERS)/models.stamp: FORCE $(MODEL_FLOAT) $(MODEL_INT8)
	@pipelines/stamp $@ $(call quote,models $(MODEL_FLOAT) $(MODEL_INT8))
$(PEERS)/graphs.stamp: tests/peers/export.py tests/peers/record.py $(PEERS)/models.stamp $(PEERS)/images.batches $(PEERS_HOME)/venv.stamp
	$(PEERS_PYTHON) -B tests/peers/export.py $(MODEL_FLOAT) $(MODEL_INT8) $(PEERS)/images.batches $(PEERS)
	@touch $@

# Measured anew each time, alone.
PEERS_FILES = --float $(MODEL_FLOAT) --int8 $(MODEL_INT8) --images $(PEERS)/images.batches --work $(PEERS)
peers-inference: $(B)/peers/worker $(PEERS)/graphs.stamp $(PEERS)/few.batches $(PEERS)/test.batches $(PEERS_HOME)/openvino-older.stamp \
		$(PEERS_HOME)/xnnpack.stamp $(call ours,inspect)
	@mkdir -p $(PEERS_RESULTS)
	network=$$($(BIN)/inspect network $(MODEL_FLOAT)); xnnpack='--packages xnnpack=$(PEERS_HOME)/xnnpack'; \
	[ -f $(PEERS_HOME)/xnnpack.stamp ] || xnnpack='--peers openvino,onnxruntime,torch'; \
	$(PEERS_PYTHON) -B tests/peers/compare.py --worker $< --network "$$network" $(PEERS_FILES) --few $(PEERS)/few.batches --test $(PEERS)/test.batches \
		--packages openvino-older=$(PEERS_HOME)/openvino-older $$xnnpack --minutes $(PEERS_MINUTES) --rounds $(PEERS_ROUNDS) $(PEERS_FLAGS) \
		-o $(PEERS_RESULTS)/peers.tsv
# What quantized training takes its ranges from: of the fused network that is compared, whoever made it.
$(PEERS)/trained-ranges.safetensors: $(PEERS)/graphs.stamp | $(call ours,$(LOAD) $(CALIBRATE))
	$(BIN)/cifar-load --part train --shuffle -n $(PEERS_IMAGES) | $(BIN)/calibrate -m $(MODEL_FLOAT) -n $(PEERS_IMAGES) -j $(JOBS) -o $@
peers-training: $(PEERS)/graphs.stamp $(PEERS)/trained-ranges.safetensors $(MODEL_TRAIN) $(call ours,$(BENCH) inspect)
	@mkdir -p $(PEERS_RESULTS)
	network=$$($(BIN)/inspect network $(MODEL_FLOAT)); \
	$(PEERS_PYTHON) -B tests/peers/compare_training.py --bench $(BIN)/bench --network "$$network" $(PEERS_FILES) --float $(MODEL_TRAIN) \
		--fused $(MODEL_FLOAT) --ranges $(PEERS)/trained-ranges.safetensors \
		--minutes $(PEERS_TRAINING_MINUTES) \
		--rounds $(PEERS_TRAINING_ROUNDS) \
		$(PEERS_TRAINING_FLAGS) -o $(PEERS_RESULTS)/peers-training.tsv
# One after the other, also under `make -j`: they take times.
peers:
	@$(MAKE) --no-print-directory peers-inference
	@$(MAKE) --no-print-directory peers-training
	@$(PEERS_PYTHON) -B tests/peers/chart.py $(PEERS_RESULTS)
	@tests/peers/table $(PEERS_RESULTS)
	@echo "$(PEERS_RESULTS) has the tables and the charts"

# One recipe from several seeds, in both precisions and in PyTorch, on the same augmented images in the same order. Every
# training is a file of its own: an interrupted comparison goes on where it was, and `make -j2` runs two at a time.
CURVES_WIDTH  = 16
CURVES_EPOCHS = 5
CURVES_SEEDS  = 1 2 3
CURVES_KINDS  = resq_fp32 resq_bf16 torch_fp32
CURVES_AUGMENT = --crop 4 --pad reflect --flip 0.5
CURVES_RECIPE = --width $(CURVES_WIDTH) --epochs $(CURVES_EPOCHS) --batch 128 --learning-rate 0.2 --peak 0.25 --label-smoothing 0.1 --ema 0.99
CURVES_THREADS = 1
CURVES := $(PEERS)/curves
CURVES_LOGS = $(foreach k,$(CURVES_KINDS),$(CURVES_SEEDS:%=$(CURVES)/$(k)_%.log.tsv))
curves_batches = $(BIN)/cifar-load --split train --part train --shuffle -b 128 -s $(1) --epochs $(CURVES_EPOCHS) \
	| $(BIN)/augment $(CURVES_AUGMENT) -s $(1) -j 1
curves_options = $(CURVES_RECIPE) -s $(1) -j $(CURVES_THREADS) --validate $(CURVES)/held-out.batches --log $@.new

$(CURVES)/held-out.batches: | $(call ours,$(LOAD))
	@mkdir -p $(@D)
	$(BIN)/cifar-load --part held-out -o $@
$(CURVES)/resq_%.log.tsv: | $(CURVES)/held-out.batches $(call ours,$(LOAD) $(AUGMENT) $(TRAIN))
	$(call curves_batches,$(word 2,$(subst _, ,$*))) | $(BIN)/train-fp32 $(call curves_options,$(word 2,$(subst _, ,$*))) \
		--precision $(word 1,$(subst _, ,$*)) -o $@.model
	@rm $@.model; mv $@.new $@
$(CURVES)/torch_%.log.tsv: | $(CURVES)/held-out.batches $(call ours,$(LOAD) $(AUGMENT)) $(PEERS_HOME)/venv.stamp
	$(call curves_batches,$(word 2,$(subst _, ,$*))) | $(PEERS_PYTHON) -B tests/peers/train.py \
		$(call curves_options,$(word 2,$(subst _, ,$*))) --precision $(word 1,$(subst _, ,$*))
	@mv $@.new $@
peers-curves: $(CURVES_LOGS) $(PEERS_HOME)/venv.stamp
	@mkdir -p $(PEERS_RESULTS)/curves; rm -f $(PEERS_RESULTS)/curves/*; cp $(CURVES_LOGS) $(PEERS_RESULTS)/curves
	$(PEERS_PYTHON) -B tests/peers/curves.py $(PEERS_RESULTS)/curves $(call quote,$(CURVES_AUGMENT) $(CURVES_RECIPE))
	@sed -n '/^|/p' $(PEERS_RESULTS)/curves/curves.md

# The same float network on the same images in Brevitas, of LOWBIT_PEERS: a table of its own beside `make lowbit`'s, and a part of its page.
LOWBIT_PEERS = $(filter-out channel_8_8,$(LOWBIT))
lowbit-peers: $(PEERS_HOME)/brevitas.stamp
	@[[ -n '$(strip $(LOWBIT_PEERS))' ]] || { echo 'peers: LOWBIT_PEERS names no configuration' >&2; exit 2; }
	@$(MAKE) --no-print-directory lowbit
	PYTHONPATH=$(PEERS_HOME)/brevitas $(PEERS_PYTHON) -B tests/peers/lowbit.py --model $(R)/fused_model.safetensors \
		--calibrate $(W)/match.batches --test $(W)/held-out.batches --threads $(JOBS) -o $(R)/lowbit-peers.tsv $(LOWBIT_PEERS)
	@pipelines/lowbit-page $(R)/lowbit.tsv $(R)/lowbit-peers.tsv > $(W)/lowbit.md; mv $(W)/lowbit.md $(R)/lowbit.md
	@sed -n '/^## Beside/,$$ { /^|/p }' $(R)/lowbit.md

# Copies what the last `make peers` and `make peers-curves` left to plots/recorded/peers/ (of NETWORK=NAME to plots/recorded/peers-NAME/),
# a folder a machine's instruction set and network, with a page of each and one of all; measures nothing. A part that was not measured
# stays as it was recorded before.
record-peers:
	@test ! -x $(PEERS_PYTHON) || $(PEERS_PYTHON) -B tests/peers/chart.py $(PEERS_RESULTS)
	@tests/peers/record $(PEERS_RESULTS) $(RECORDED)/peers$(if $(PEERS_NAMED),-$(PEERS_NAMED) $(PEERS_NAMED))
.PHONY: peers peers-inference peers-training peers-curves lowbit-peers record-peers
