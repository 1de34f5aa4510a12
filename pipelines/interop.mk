# `make test-interop`: what onnx-export writes, in ONNX Runtime and OpenVINO (from PyPI, in the environment of `make peers`): a table
# runtime x network x equal classes x largest difference of logits, in INTEROP_TABLE; fails where a runtime should agree and
# does not. INTEROP_IMAGES test images; INTEROP_NETWORKS: NAME=FLOAT, by default a narrow ResNet-18 and a network of each family of
# ops, trained a little, and the network of the study if one was run here.
INTEROP          := build/interop
INTEROP_PYTHON    = $(PEERS_PYTHON)
INTEROP_IMAGES    = 1000
INTEROP_CALIBRATED = 512
INTEROP_TABLE     = $(INTEROP)/interop.tsv
INTEROP_STUDY     = $(if $(PEERS_RUN),$(notdir $(PEERS_RUN))=$(PEERS_RUN)/best_float_model.safetensors)
INTEROP_FAMILIES  = resnet18 lenet5 mobilenetv2 squeezenet densenet-40
INTEROP_NETWORKS  = $(foreach f,$(INTEROP_FAMILIES),$f=$(INTEROP)/$f.safetensors) $(INTEROP_STUDY)

$(INTEROP)/resnet18.safetensors: INTEROP_TRAIN = --width 16
$(INTEROP)/resnet18.safetensors: INTEROP_TRAINED = 4000
$(INTEROP)/%.safetensors: INTEROP_TRAIN = --network $*
$(INTEROP)/%.safetensors: INTEROP_TRAINED = 1000
$(INTEROP)/%.safetensors: | $(call ours,$(LOAD) $(TRAIN))
	@mkdir -p $(@D)
	$(BIN)/cifar-load --part train --shuffle -n $(INTEROP_TRAINED) --epochs 3 | $(BIN)/train-fp32 -q $(INTEROP_TRAIN) --learning-rate 0.02 --epochs 3 -o $@
test-interop: all $(INTEROP_FAMILIES:%=$(INTEROP)/%.safetensors) $(if $(filter $(PEERS_PYTHON),$(INTEROP_PYTHON)),$(PEERS_HOME)/venv.stamp)
	@$(BIN)/cifar-load --part train -n $(INTEROP_CALIBRATED) -o $(INTEROP)/calibration.batches
	@$(BIN)/cifar-load --split test -n $(INTEROP_IMAGES) -o $(INTEROP)/images.batches
	$(INTEROP_PYTHON) -B tests/interop/run.py $(BIN) $(INTEROP)/calibration.batches $(INTEROP)/images.batches $(INTEROP)/work $(INTEROP_NETWORKS) \
		-o $(INTEROP_TABLE)
.PHONY: test-interop
.SECONDARY: $(INTEROP_FAMILIES:%=$(INTEROP)/%.safetensors)
