# full: the real thing, ResNet-18 at its full width. Less than two hours on two cores with AMX, many hours on others.
#
# Figures are points of held-out accuracy that a choice is worth, from `make ablation PROFILE=full`: two seeds at width 16, 7,500
# images seen 60 times (plots/recorded/full/ablation.md); where there are none, it was within chance (0.7 for two seeds).

# 64 channels in the first block: 11.2 million parameters.
WIDTH = 64
# Held-out accuracy of 30 epochs (with cutout 8) was 91.1 %, of these 60 it was 92.8 %.
EPOCHS     = 60
QAT_EPOCHS = 1
# The weights are there already: a part of the images settles them on what int8 can hold.
QAT_IMAGES = 12800
# All augmentations: a network this size would know the plain images by heart. Cutout: +0.96; 16 pixels instead of 12: nothing
# gained. Images mixed in its place, of 40 epochs (plots/recorded/ablation): CutMix +0.58, within chance, mixup -0.56, RICAP -3.74.
# Colour and rotation stay mild, every rotated image is resampled to its nearest pixels, which no test image is: no loss by either.
AUGMENT_FLAGS = --crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0.02 --rotation 3 --cutout 12
# Large mini-batches (whole blocks of 32 images), products in bfloat16 where the machine has them (images/s: 3.4 times fp32's).
# A high peak, Nesterov momentum. Averaged weights: +0.88. Softened targets: 0. Twice the rate and twice the weight decay, which
# shorten the same memory, gained 0.86 each there, of a sixth of the steps, and both together 1.92 (of a ninth of them, one seed:
# plots/recorded/ablation); at this size they are still to be tried, where thirteen epochs of width 16 lost 0.54 by the decay.
TRAIN_FLAGS    = --batch 256 --learning-rate 0.2 --peak 0.2 --momentum 0.9 --nesterov --weight-decay 0.0005 \
	--label-smoothing 0.1 --ema 0.998 --precision bf16 --validate-every 5
FINETUNE_FLAGS = --batch 256 --learning-rate 0.002 --label-smoothing 0.1 --precision bf16
# Latency and throughput.
BENCH_BATCHES = 1,16,128
BENCH_THREADS = 1,$(JOBS)
BENCH_FLAGS = --seconds 5
# A sweep's fine-tunings: a quarter of an epoch's images each, at a rate that 3 bits bear: 0.002 takes them from 86.2 % to 10,
# 0.0005 to 89.4, 0.0002 to 89.8.
SWEEP_QAT_IMAGES = 10000
SWEEP_QAT_FLAGS  = $(FINETUNE_FLAGS) --learning-rate 0.0003
