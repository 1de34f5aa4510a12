# resq: a ResNet-18 quantization study for CIFAR-10. `make help` lists targets and variables.
SHELL := /bin/bash
# -p: BASH_ENV, CDPATH, shell options and functions of the environment count for nothing.
.SHELLFLAGS := -p -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
# Stated once, for programs and make alike.
VERSION := $(shell sed -n 's/^\#define RESQ_VERSION "\(.*\)"$$/\1/p' lib/base/version.h)

include pipelines/environment.mk pipelines/names.mk
include pipelines/build.mk pipelines/cuda.mk pipelines/mpi.mk
include pipelines/study.mk pipelines/check.mk pipelines/peers.mk pipelines/interop.mk pipelines/pretrained.mk pipelines/budgets.mk
include pipelines/record-all.mk
include pipelines/cross.mk
include pipelines/install.mk pipelines/help.mk
