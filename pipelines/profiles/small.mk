# small: quick for machines without AMX. Ten minutes on two cores with AVX2: all images, a narrower network, few epochs.

# 16 channels in the first block: 1/15 of full's arithmetic an image.
WIDTH = 16
# As many as fit; of all 45,000 training images. 5,000 are held out, 10,000 test.
EPOCHS     = 4
QAT_EPOCHS = 1
# Fine-tuning starts from the float weights: a part of the images is enough.
QAT_IMAGES = 12800
# Crop, flip and a little colour: in so few epochs, rotation and strong colour cost more than they teach.
AUGMENT_FLAGS = --crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0
# One cycle to a high peak is the fastest way there in few epochs; averaging the weights takes the last noise out.
TRAIN_FLAGS    = --batch 128 --learning-rate 0.2 --peak 0.25 --label-smoothing 0.1 --ema 0.99
# A small rate and the same loss: the weights are there already, they settle on what int8 can hold.
FINETUNE_FLAGS = --batch 128 --learning-rate 0.001 --label-smoothing 0.1
# One image at a time, as in the summary, and batches on all processors.
BENCH_BATCHES = 1,64
BENCH_THREADS = 1,$(JOBS)
BENCH_FLAGS = --seconds 3
