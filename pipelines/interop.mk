# `make test-interop`: what onnx-export writes, in ONNX Runtime and OpenVINO (from PyPI, in the environment of `make peers`): a table
# runtime x network x equal classes x largest difference of logits, in INTEROP_TABLE; fails where a runtime should agree and
# does not. INTEROP_IMAGES test images; INTEROP_NETWORKS: NAME=FUSED,RANGES, by default a narrow ResNet-18, trained a little, and
# the networks of the study if one was run here.
INTEROP          := build/interop
INTEROP_PYTHON    = $(PEERS_PYTHON)
INTEROP_IMAGES    = 1000
INTEROP_TABLE     = $(INTEROP)/interop.tsv
INTEROP_STUDY     = $(if $(PEERS_RUN),$(notdir $(PEERS_RUN))=$(MODEL_FLOAT)$(comma)$(PEERS_RUN)/ranges.safetensors)
INTEROP_NETWORKS  = resnet18-width16=$(INTEROP)/fused.safetensors,$(INTEROP)/ranges.safetensors $(INTEROP_STUDY)

$(INTEROP)/fused.safetensors: | $(call ours,$(LOAD) $(TRAIN) $(FUSE))
	@mkdir -p $(@D)
	$(BIN)/cifar-load --part train --shuffle -n 4000 --epochs 3 | $(BIN)/train-fp32 -q --width 16 --epochs 3 -o $(INTEROP)/float.safetensors
	$(BIN)/fuse -m $(INTEROP)/float.safetensors -o $@
$(INTEROP)/ranges.safetensors: $(INTEROP)/fused.safetensors | $(call ours,$(LOAD) $(CALIBRATE))
	$(BIN)/cifar-load --part train -n 512 | $(BIN)/calibrate -m $< -o $@
test-interop: all $(INTEROP)/ranges.safetensors $(if $(filter $(PEERS_PYTHON),$(INTEROP_PYTHON)),$(PEERS_HOME)/venv.stamp)
	@$(BIN)/cifar-load --split test -n $(INTEROP_IMAGES) -o $(INTEROP)/images.batches
	$(INTEROP_PYTHON) -B tests/interop/run.py $(BIN) $(INTEROP)/images.batches $(INTEROP)/work $(INTEROP_NETWORKS) -o $(INTEROP_TABLE)
.PHONY: test-interop
