# `make peers`: resq beside PyTorch, ONNX Runtime and OpenVINO (tests/peers/): one network, the same images, all programs in
# turns. It needs PyPI the first time, and is no part of `make test`. MODEL_FLOAT and MODEL_INT8: a fused and an int8 model of
# any width; by default a network of full width as it is initialised, calibrated on a few images, which is as fast as any.
PEERS         := build/peers
PEERS_RESULTS  = $(RESULTS)/peers
PEERS_PYTHON  := $(PEERS)/venv/bin/python
MODEL_FLOAT    = $(PEERS)/fused.safetensors
MODEL_INT8     = $(PEERS)/int8.safetensors
PEERS_ROUNDS           = 30
PEERS_TRAINING_ROUNDS  = 8
PEERS_FLAGS            =
PEERS_TRAINING_FLAGS   =

$(B)/peers/worker: $(B)/tests/peers/worker.o $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CC) $(SANITIZER) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call archives,$(LAYERS)) $(RESQ_LDLIBS)

# The virtual environment: every package pinned, nothing else resolved.
$(PEERS)/venv.stamp: tests/peers/requirements.txt
	@mkdir -p $(PEERS); rm -rf $(PEERS)/venv; \
	{ python3 -m venv $(PEERS)/venv && $(PEERS_PYTHON) -m pip install --no-deps -r $<; } > $(PEERS)/install.log 2>&1 \
		|| { echo "peers: PyTorch, ONNX Runtime and OpenVINO cannot be installed: $$(tail -n 1 $(PEERS)/install.log)" >&2; exit 1; }; \
	$(PEERS_PYTHON) -c 'import numpy, onnx, onnxruntime, openvino, torch' > $(PEERS)/install.log 2>&1 \
		|| { echo "peers: what was installed does not run: $$(tail -n 1 $(PEERS)/install.log)" >&2; exit 1; }; \
	touch $@

# The models and images.
PEERS_IMAGES := 512
$(PEERS)/float.safetensors: | $(call ours,$(TRAIN))
	@mkdir -p $(@D)
	$(BIN)/train-fp32 --width 64 --epochs 0 -o $@ < /dev/null
$(PEERS)/fused.safetensors: $(PEERS)/float.safetensors | $(call ours,$(FUSE))
	$(BIN)/fuse -m $< -o $@
$(PEERS)/int8.safetensors: $(PEERS)/fused.safetensors | $(call ours,$(LOAD) $(CALIBRATE) $(QUANTIZE))
	$(BIN)/cifar-load --part train --shuffle -n $(PEERS_IMAGES) | $(BIN)/calibrate -m $< -n $(PEERS_IMAGES) -j $(JOBS) -o $(PEERS)/ranges.safetensors
	$(BIN)/quantize -m $< -r $(PEERS)/ranges.safetensors -o $@
$(PEERS)/images.batches: | $(call ours,$(LOAD))
	@mkdir -p $(@D)
	$(BIN)/cifar-load --split test -n $(PEERS_IMAGES) -o $@
$(PEERS)/graphs.stamp: tests/peers/export.py tests/peers/record.py $(MODEL_FLOAT) $(MODEL_INT8) $(PEERS)/images.batches $(PEERS)/venv.stamp
	$(PEERS_PYTHON) -B tests/peers/export.py $(MODEL_FLOAT) $(MODEL_INT8) $(PEERS)/images.batches $(PEERS)
	@touch $@

# Measured anew each time, alone.
PEERS_FILES = --float $(MODEL_FLOAT) --int8 $(MODEL_INT8) --images $(PEERS)/images.batches --work $(PEERS)
peers-inference: $(B)/peers/worker $(PEERS)/graphs.stamp
	@mkdir -p $(PEERS_RESULTS)
	$(PEERS_PYTHON) -B tests/peers/compare.py --worker $< $(PEERS_FILES) --rounds $(PEERS_ROUNDS) $(PEERS_FLAGS) \
		-o $(PEERS_RESULTS)/peers.tsv
peers-training: $(PEERS)/graphs.stamp $(call ours,$(BENCH)) | peers-inference
	@mkdir -p $(PEERS_RESULTS)
	$(PEERS_PYTHON) -B tests/peers/compare_training.py --bench $(BIN)/bench $(PEERS_FILES) --rounds $(PEERS_TRAINING_ROUNDS) \
		$(PEERS_TRAINING_FLAGS) -o $(PEERS_RESULTS)/peers-training.tsv
peers: peers-inference peers-training
	@$(PEERS_PYTHON) -B tests/peers/chart.py $(PEERS_RESULTS)
	@tests/peers/table $(PEERS_RESULTS)
	@echo $(call quote,make $@$(if $(MAKEOVERRIDES), $(MAKEOVERRIDES))) > $(PEERS_RESULTS)/command
	@{ git describe --always --dirty --abbrev=40 2> /dev/null || echo none; } > $(PEERS_RESULTS)/commit
	@echo "$(PEERS_RESULTS) has the tables and the charts"

# Copies what the last `make peers` left to plots/recorded/peers/ and into the README; measures nothing.
record-peers:
	@tests/peers/record $(PEERS_RESULTS) plots/recorded/peers
.PHONY: peers peers-inference peers-training record-peers
