# last: full's recipe once more, on all 50,000 training images: when everything is settled, and nothing is left to choose by the
# held-out ones. Its accuracies are rows of their own, beside full's: their models have seen a ninth more images.
include pipelines/profiles/full.mk
TRAIN_PART = all
