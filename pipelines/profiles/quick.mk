# quick: at most ten minutes on two cores with AMX (elsewhere see small). All images, half the width, few epochs: numbers
# that mean something.

# 32 channels in the first block: a whole block of the training kernels, a quarter of full's arithmetic an image.
WIDTH = 32
# As many as fit; of all 45,000 training images. 5,000 are held out, 10,000 test.
EPOCHS     = 16
QAT_EPOCHS = 1
# Fine-tuning starts from the float weights: a part of the images is enough.
QAT_IMAGES = 12800
# Crop, flip and a little colour: in so few epochs, rotation and strong colour cost more than they teach.
AUGMENT_FLAGS = --crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0
# One cycle to a high peak is the fastest way there in few epochs; averaging the weights takes the last noise out. Products
# in bfloat16: 3.4 times the images a second of fp32. Testing an epoch on the held-out images takes a tenth of it: every other
# one does.
TRAIN_FLAGS    = --batch 128 --learning-rate 0.1 --peak 0.2 --label-smoothing 0.1 --ema 0.995 --precision bf16 --validate-every 2
# A small rate and the same loss: the weights are there already, they settle on what int8 can hold.
FINETUNE_FLAGS = --batch 128 --learning-rate 0.001 --label-smoothing 0.1 --precision bf16
# One image at a time, as in the summary, and batches on all processors.
BENCH_BATCHES = 1,64
BENCH_THREADS = 1,$(JOBS)
BENCH_FLAGS = --seconds 3
