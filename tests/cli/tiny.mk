# tiny: the study in seconds, for its own tests; on images of any kind, a few hundred of them.
WIDTH      = 4
EPOCHS     = 2
QAT_EPOCHS = 1
CALIBRATION_IMAGES = 128
AUGMENT_FLAGS  = --crop 2 --flip 0.5 --jitter 0.1,0.1,0.1,0.02
TRAIN_FLAGS    = --batch 32 --learning-rate 0.1
FINETUNE_FLAGS = --batch 32 --learning-rate 0.005
BENCH_BATCHES = 1
BENCH_THREADS = 1
BENCH_FLAGS = --seconds 0.05
SWEEP_OBSERVERS          = min-max mse
SWEEP_BITS               = 8 4
SWEEP_CALIBRATION_IMAGES = 32 128
SWEEP_SEEDS              = 1 2
SWEEP_RANGES             = fixed learned
SWEEP_QAT_BITS           = 4
SWEEP_QAT_IMAGES         = 96
