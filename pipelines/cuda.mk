# The GPU backend: resq-cuda.so, which the programs load when they are asked for a GPU; none of them links it. It is built
# where a CUDA toolkit (nvcc) and cuDNN 9 are found, and everything else builds without.
#   CUDA_HOME=DIR   the toolkit: DIR/bin/nvcc. By default /usr/local/cuda, or where the nvcc in PATH lies. Empty: no backend.
#   NCCL_HOME=DIR   NCCL's header, DIR/include/nccl.h, by which several GPUs train: by default in the toolkit, in /usr, or in
#                   the Python package nvidia-nccl-cu13 or -cu12. Its library, libnccl.so.2, is loaded where one trains so. Empty:
#                   without; they then tell each other through the host's memory.
#   CUDNN_HOME=DIR  cuDNN: DIR/include/cudnn.h and DIR/lib or lib64. By default in the toolkit, in /usr, or in the Python
#                   package nvidia-cudnn-cu13 or -cu12.
ifeq ($(origin CUDA_HOME),undefined)
CUDA_HOME := $(patsubst %/bin/nvcc,%,$(firstword $(wildcard /usr/local/cuda/bin/nvcc) \
	$(realpath $(shell command -v nvcc 2> /dev/null))))
endif
NVCC := $(if $(and $(CUDA_HOME),$(MAY_BUILD)),$(wildcard $(CUDA_HOME)/bin/nvcc))

# A cuDNN's header, in the folders that a toolkit, Debian and a wheel put it in; its library beside.
cudnn_header = $(firstword $(wildcard $(1)/include/cudnn.h $(1)/include/$(PROCESSOR)-linux-gnu/cudnn.h))
cudnn_library = $(firstword $(wildcard $(foreach d,lib64 lib lib/$(PROCESSOR)-linux-gnu,$(1)/$(d)/libcudnn.so.9)))
cudnn_at = $(and $(call cudnn_header,$(1)),$(call cudnn_library,$(1)),$(1))
CUDNN_IN_PYTHON := import importlib.util as u; s = u.find_spec("nvidia.cudnn"); print(*s.submodule_search_locations)
ifneq ($(NVCC),)
ifeq ($(origin CUDNN_HOME),undefined)
CUDNN_HOME := $(or $(call cudnn_at,$(CUDA_HOME)),$(call cudnn_at,/usr),$(firstword \
	$(shell python3 -c '$(CUDNN_IN_PYTHON)' 2> /dev/null)))
endif
ifeq ($(origin NCCL_HOME),undefined)
NCCL_IN_PYTHON := import importlib.util as u; s = u.find_spec("nvidia.nccl"); print(*s.submodule_search_locations)
NCCL_HOME := $(firstword $(foreach d,$(CUDA_HOME) /usr,$(if $(wildcard $(d)/include/nccl.h),$(d))) \
	$(shell python3 -c '$(NCCL_IN_PYTHON)' 2> /dev/null))
endif
NCCL_HEADER := $(if $(NCCL_HOME),$(wildcard $(NCCL_HOME)/include/nccl.h))
CUDNN_HEADER := $(if $(CUDNN_HOME),$(call cudnn_header,$(CUDNN_HOME)))
CUDNN_LIBRARY := $(if $(CUDNN_HOME),$(call cudnn_library,$(CUDNN_HOME)))
endif
CUBLASLT_LIBRARY := $(firstword $(foreach d,lib64 lib targets/$(PROCESSOR)-linux/lib,$(wildcard $(CUDA_HOME)/$(d)/libcublasLt.so)))

CUDART_LIBRARY := $(wildcard $(dir $(CUBLASLT_LIBRARY))libcudart_static.a)

CUDA := $(and $(NVCC),$(CUDNN_HEADER),$(CUDNN_LIBRARY),$(CUBLASLT_LIBRARY),$(CUDART_LIBRARY))

# Code for Hopper, and a portable form that the driver of any GPU since Turing compiles when it loads it.
CUDA_TARGETS ?= -gencode arch=compute_90,code=sm_90 -gencode arch=compute_75,code=compute_75
# Products and sums are not contracted, as everywhere else: integers and their epilogue must give the bits of kernel/ref.
NVCC_FLAGS = -std=c++17 -O2 -fmad=false $(CUDA_TARGETS) -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra,-Wshadow,-Wconversion \
	$(if $(WERROR),-Werror all-warnings -Xcompiler -Werror)
CUDA_INCLUDES := -isystem $(CUDA_HOME)/include -isystem $(dir $(CUDNN_HEADER))
$(B)/cuda/lib/kernel/device/cuda/nccl.o $(B)/emulated/lib/kernel/device/cuda/nccl.o: private CUDA_INCLUDES += \
	$(if $(NCCL_HEADER),-DRESQ_NCCL -isystem $(dir $(NCCL_HEADER)))
# What the library takes of the lower layers is compiled into it once more: it shows one symbol and needs none.
CUDA_C := $(wildcard lib/kernel/device/cuda/*.c) $(addprefix lib/base/,status.c memory.c locale.c utf8.c)
CUDA_CU := $(wildcard lib/kernel/device/cuda/*.cu)
CUDA_RUNPATH = $(patsubst %,-Wl$(comma)-rpath$(comma)%,'$$ORIGIN' $(sort $(dir $(CUDNN_LIBRARY)) $(dir $(CUBLASLT_LIBRARY)) \
	$(if $(NCCL_HEADER),$(dir $(firstword $(foreach d,lib lib64,$(wildcard $(NCCL_HOME)/$(d)/libnccl.so.2)))))))

ifneq ($(CUDA),)
all: $(BIN)/resq-cuda.so

$(B)/cuda/%.o: %.c | $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) -fPIC -fvisibility=hidden $(CUDA_INCLUDES) $(RESQ_CPPFLAGS) -MMD -MP -c $< -o $@
$(B)/cuda/%.o: %.cu | $(B)/flags
	@mkdir -p $(@D)
	$(NVCC) $(NVCC_FLAGS) $(CUDA_INCLUDES) $(RESQ_CPPFLAGS) -MMD -MP -c $< -o $@

# The CUDA runtime is linked statically; the driver, which it looks for itself, is the one thing that a machine must bring.
$(BIN)/resq-cuda.so: $(CUDA_C:%.c=$(B)/cuda/%.o) $(CUDA_CU:%.cu=$(B)/cuda/%.o)
	@mkdir -p $(@D)
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,--enable-new-dtags,-z,defs $(CUDA_RUNPATH) -o $@ $^ \
		$(CUDNN_LIBRARY) $(CUBLASLT_LIBRARY) $(CUDART_LIBRARY) -lstdc++ -ldl -lrt -lpthread -lm

# ---- tests: tests/cuda/test_NAME.c, each run on a GPU by `make test-cuda`, and by `make test` on an emulated one: the same
# .cu files as C++, on stand-ins for NVIDIA's libraries (tests/cuda/emulation) ----
EMULATION := $(B)/emulated
EMULATED := $(EMULATION)/resq-cuda.so
EMULATION_CC := $(wildcard tests/cuda/emulation/*.cc)
EMULATION_CXX = $(if $(findstring clang,$(CC)),clang++,g++) -std=c++17 -ffp-contract=off $(filter-out -Wstrict-prototypes -Wmissing-prototypes,$(WARNINGS)) \
	-Wno-conversion $(if $(WERROR),-Werror) $(CFLAGS) -O1 $(SANITIZER) -fPIC -fvisibility=hidden $(CUDA_INCLUDES) $(RESQ_CPPFLAGS) -MMD -MP
CUDA_TEST_SOURCES := $(wildcard tests/cuda/test_*.c)
CUDA_TESTS := $(CUDA_TEST_SOURCES:tests/cuda/%.c=$(B)/cuda-tests/%)
EMULATED_TESTS := $(CUDA_TEST_SOURCES:tests/cuda/%.c=$(EMULATION)/%)

$(EMULATION)/%.o: %.c | $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) $(SANITIZER) -fPIC -fvisibility=hidden $(CUDA_INCLUDES) $(RESQ_CPPFLAGS) -MMD -MP -c $< -o $@
$(EMULATION)/%.o: %.cu | $(B)/flags
	@mkdir -p $(@D)
	$(EMULATION_CXX) -include tests/cuda/emulation/emulate.h -x c++ -c $< -o $@
$(EMULATION)/%.o: %.cc | $(B)/flags
	@mkdir -p $(@D)
	$(EMULATION_CXX) -c $< -o $@
$(EMULATED): $(CUDA_C:%.c=$(EMULATION)/%.o) $(CUDA_CU:%.cu=$(EMULATION)/%.o) $(EMULATION_CC:%.cc=$(EMULATION)/%.o)
	$(CC) -shared $(CFLAGS) $(SANITIZER) $(LDFLAGS) -Wl,-Bsymbolic $(if $(SANITIZER),,-Wl$(comma)-z$(comma)defs) -o $@ $^ -lstdc++ -lpthread -lm

$(B)/cuda-tests/%: $(B)/tests/cuda/%.o $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CC) $(SANITIZER) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call archives,$(LAYERS)) -lcmocka $(RESQ_LDLIBS)
$(EMULATION)/test_%: $(B)/cuda-tests/test_% $(EMULATED)
	@printf '#!/bin/bash\nRESQ_CUDA_EMULATED=1 RESQ_CUDA=%q exec %q "$$@"\n' $(call quote,$(abspath $(EMULATED))) $(call quote,$(abspath $<)) > $@; chmod +x $@
units: $(CUDA_TESTS) $(EMULATED_TESTS)

# On a GPU: every operation against the CPU's definition, then steps of training. Says why and fails where there is no GPU.
test-cuda: $(BIN)/resq-cuda.so $(B)/cuda-tests/probe $(CUDA_TESTS)
	@tests/cuda/run $(call quote,$(abspath $(BIN)/resq-cuda.so)) $(call quote,$(abspath $(B)/cuda-tests/probe)) $(foreach t,$(CUDA_TESTS),$(call quote,$(abspath $(t))))
else
test-cuda:
	@echo "test-cuda: no CUDA toolkit with cuDNN 9 was found: set CUDA_HOME and CUDNN_HOME" >&2; exit 1
endif
.PHONY: test-cuda

# ---- carry: what a machine without our Debian packages needs to run everything, in one folder and one archive. Programs and
# tests look for their libraries in ../lib; cuDNN, cublasLt and the driver are the machine's own, which with-cuda finds. So are the
# images and the float network: they are the repository's, and not carried twice. ----
CARRY := $(B)/carry
CARRY_TOOLS := $(TOOLS:%=$(CARRY)/bin/%)
CARRY_TESTS := $(CUDA_TESTS:$(B)/cuda-tests/%=$(CARRY)/cuda-tests/%) $(CARRY)/cuda-tests/probe
CARRY_LINK = $(CC) $(CFLAGS) $(LDFLAGS) -s -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/../lib'
# Part of every system, and of one piece with its driver's libraries.
CARRY_NOT := linux-vdso|ld-linux|libc\.so|libm\.so|libdl\.so|librt\.so|libpthread\.so|libgcc_s|libstdc\+\+

$(CARRY)/bin/%: $(B)/tools/%.o $(B)/libtool.a $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CARRY_LINK) -o $@ $< $(B)/libtool.a $(call archives,$(LAYERS)) $(RESQ_LDLIBS)
$(CARRY)/cuda-tests/%: $(B)/tests/cuda/%.o $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CARRY_LINK) -o $@ $< $(call archives,$(LAYERS)) -lcmocka $(RESQ_LDLIBS)
$(CARRY)/bin/resq-cuda.so: $(BIN)/resq-cuda.so
	@mkdir -p $(@D)
	strip --strip-unneeded -o $@ $<
# What the programs as built find, not what was carried before.
$(CARRY)/libraries: $(TOOLS:%=$(BIN)/%) $(CUDA_TESTS)
	@rm -rf $(CARRY)/lib; mkdir -p $(CARRY)/lib
	ldd $^ | awk '$$2 == "=>" && $$1 !~ /$(CARRY_NOT)/ && !seen[$$1]++ { print $$1, $$3 }' > $@
	while read -r name file; do cp -L "$$file" "$(CARRY)/lib/$$name"; done < $@
carry: $(CARRY).tar.xz
$(CARRY).tar.xz: $(CARRY)/libraries $(CARRY_TOOLS) $(CARRY_TESTS) $(if $(CUDA),$(CARRY)/bin/resq-cuda.so) tests/cuda/run tests/cuda/speed tests/cuda/study pipelines/with-cuda
	cp tests/cuda/run tests/cuda/speed tests/cuda/study $(CARRY)/cuda-tests
	cp pipelines/with-cuda $(CARRY)/with-cuda
	printf '#!/bin/sh\n# Every test on a GPU.\ncd "$$(dirname "$$0")"\nexec ./with-cuda cuda-tests/run "$$PWD/bin/resq-cuda.so" "$$PWD/cuda-tests/probe" "$$PWD"/cuda-tests/test_*\n' > $(CARRY)/test-cuda
	chmod +x $(CARRY)/test-cuda
	tar --sort=name --owner=0 --group=0 --numeric-owner -C $(B) -c carry | xz -T0 -3 > $@
	@ls -l $@
.PHONY: carry
