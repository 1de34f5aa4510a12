# The GPU backend: resq-cuda.so, which the programs load when they are asked for a GPU; none of them links it. It is built
# where a CUDA toolkit (nvcc) and cuDNN 9 are found, and everything else builds without.
#   CUDA_HOME=DIR   the toolkit: DIR/bin/nvcc. By default /usr/local/cuda, or where the nvcc in PATH lies. Empty: no backend.
#   CUDNN_HOME=DIR  cuDNN: DIR/include/cudnn.h and DIR/lib or lib64. By default in the toolkit, in /usr, or in the Python
#                   package nvidia-cudnn-cu13 or -cu12.
ifeq ($(origin CUDA_HOME),undefined)
CUDA_HOME := $(patsubst %/bin/nvcc,%,$(firstword $(wildcard /usr/local/cuda/bin/nvcc) \
	$(realpath $(shell command -v nvcc 2> /dev/null))))
endif
NVCC := $(if $(CUDA_HOME),$(wildcard $(CUDA_HOME)/bin/nvcc))

# A cuDNN's header, in the folders that a toolkit, Debian and a wheel put it in; its library beside.
cudnn_header = $(firstword $(wildcard $(1)/include/cudnn.h $(1)/include/$(shell uname -m)-linux-gnu/cudnn.h))
cudnn_library = $(firstword $(wildcard $(foreach d,lib64 lib lib/$(shell uname -m)-linux-gnu,$(1)/$(d)/libcudnn.so.9)))
cudnn_at = $(and $(call cudnn_header,$(1)),$(call cudnn_library,$(1)),$(1))
CUDNN_IN_PYTHON := import importlib.util as u; s = u.find_spec("nvidia.cudnn"); print(*s.submodule_search_locations)
ifneq ($(NVCC),)
ifeq ($(origin CUDNN_HOME),undefined)
CUDNN_HOME := $(firstword $(call cudnn_at,$(CUDA_HOME)) $(call cudnn_at,/usr) \
	$(shell python3 -c '$(CUDNN_IN_PYTHON)' 2> /dev/null))
endif
CUDNN_HEADER := $(if $(CUDNN_HOME),$(call cudnn_header,$(CUDNN_HOME)))
CUDNN_LIBRARY := $(if $(CUDNN_HOME),$(call cudnn_library,$(CUDNN_HOME)))
endif
CUBLASLT_LIBRARY := $(firstword $(foreach d,lib64 lib targets/$(shell uname -m)-linux/lib,$(wildcard $(CUDA_HOME)/$(d)/libcublasLt.so)))

CUDA := $(and $(NVCC),$(CUDNN_HEADER),$(CUDNN_LIBRARY),$(CUBLASLT_LIBRARY))
