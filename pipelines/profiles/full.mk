# smoke: under a minute on two cores. Says that everything works, not how well.
WIDTH              = 8    # channels of the first block: 1/60 of full's work
EPOCHS             = 3
QAT_EPOCHS         = 1
TRAIN_IMAGES       = 4000
HELD_OUT_IMAGES    = 500
TEST_IMAGES        = 1000
CALIBRATION_IMAGES = 1024
