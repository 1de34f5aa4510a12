# smoke: under a minute on two cores. Shows that everything works, not how well.

# 8 channels in the first block: 1/60 of full's arithmetic an image.
WIDTH = 8
# Enough to be far from guessing, so that a broken stage shows in the numbers.
EPOCHS          = 3
QAT_EPOCHS      = 1
TRAIN_IMAGES    = 4000
HELD_OUT_IMAGES = 500
TEST_IMAGES     = 1000
CALIBRATION_IMAGES = 1024
# Few images are learnt faster when they are varied little.
AUGMENT_FLAGS = --crop 4 --pad reflect --flip 0.5
# Small mini-batches: more steps from few images.
TRAIN_FLAGS    = --batch 64 --learning-rate 0.1
FINETUNE_FLAGS = --batch 64 --learning-rate 0.005
# The rows of summary.tsv and no more.
BENCH_BATCHES = 1
BENCH_THREADS = 1
# A sweep of a few of each.
SWEEP_OBSERVERS          = min-max mse
SWEEP_BITS               = 8 4
SWEEP_CALIBRATION_IMAGES = 64 1024
SWEEP_SEEDS              = 1 2
SWEEP_QAT_BITS           = 8 4
SWEEP_QAT_IMAGES         = 1000
