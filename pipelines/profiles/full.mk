# full: the real thing, ResNet-18 at its full width. Many hours on two cores.

# 64 channels in the first block: 11.2 million parameters.
WIDTH = 64
# Enough for the one-cycle schedule to reach what this network can.
EPOCHS     = 40
QAT_EPOCHS = 4
# All augmentations: a network this size would know the plain images by heart.
AUGMENT_FLAGS = --crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0.02 --rotation 5 --cutout 8
# Large mini-batches at a high peak, Nesterov momentum, the usual weight decay.
TRAIN_FLAGS    = --batch 500 --learning-rate 0.5 --peak 0.2 --momentum 0.9 --nesterov --weight-decay 0.0005 \
	--label-smoothing 0.1 --ema 0.998
FINETUNE_FLAGS = --batch 250 --learning-rate 0.005
# Latency and throughput.
BENCH_BATCHES = 1,16,128
BENCH_THREADS = 1,$(JOBS)
BENCH_FLAGS = --seconds 5
