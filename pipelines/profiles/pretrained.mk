# pretrained: the study from a float network that comes with the repository: nothing is trained but int8. Three minutes on two cores
# with AVX2. (pipelines/data/PRETRAINED.md says how the network was made; `make pretrained` makes it again.)
PRETRAINED = pipelines/data/pretrained.safetensors
NEEDED     = $(PRETRAINED)
NEEDED_HOW = `make pretrained` trains it

# Its weights are 16 bits wide: the float model is the F32 of the same values.
NETWORK = --init $(PRETRAINED)
EPOCHS  = 0
QAT_EPOCHS = 1
# Fine-tuning starts from the float weights: a part of the images is enough, varied as it was trained on them.
QAT_IMAGES = 12800
AUGMENT_FLAGS  = --crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0 --cutout 8
FINETUNE_FLAGS = --batch 128 --learning-rate 0.001 --label-smoothing 0.1 --precision bf16
# One image at a time, as in the summary, and batches on all processors.
BENCH_BATCHES = 1,64
BENCH_THREADS = 1,$(JOBS)
BENCH_FLAGS = --seconds 3
# A sweep's fine-tunings begin from trained weights at a rate that 3 bits bear.
SWEEP_QAT_IMAGES = 10000
SWEEP_QAT_FLAGS  = $(FINETUNE_FLAGS) --learning-rate 0.0003
