# How the programs are built. B: where objects, archives and tests go; BIN: where the tools go.
CC       ?= cc
ifeq ($(origin CC),default)
CC       := gcc
endif
B        ?= build$(if $(SANITIZE),/$(if $(filter thread,$(SANITIZE)),tsan,sanitize))
BIN      ?= $(if $(filter build,$(B)),bin,$(B)/bin)
CFLAGS   ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes
STRICT   := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno $(WARNINGS) $(if $(WERROR),-Werror)
ifdef SANITIZE
SANITIZER := -fsanitize=$(if $(filter thread,$(SANITIZE)),thread,address,undefined -fno-sanitize-recover=all) -fno-omit-frame-pointer
endif
RESQ_CPPFLAGS := -Ilib -I. $(CPPFLAGS)
FONT_LIBRARIES := freetype2 fontconfig
# ONNX files go through protobuf-c, whose compiler makes C of lib/onnx/onnx.proto. Where either is missing, or with ONNX= on the
# command line, onnx-import and onnx-export are not built, which `make` says; everything else is.
ONNX := $(and $(shell command -v protoc-c 2> /dev/null),$(shell pkg-config --exists libprotobuf-c 2> /dev/null && echo yes))
# GSL stands after OpenBLAS, whose cblas is then GSL's too; only where something of it is used.
RESQ_LDLIBS := -lopenblas -Wl,--as-needed -lgsl -Wl,--no-as-needed -ljansson -larchive -ljpeg -lpng \
	$(shell pkg-config --libs $(FONT_LIBRARIES)) $(if $(ONNX),$(shell pkg-config --libs libprotobuf-c)) \
	-lnettle -lz -lpthread -lm $(LDLIBS)

# Layers, top to bottom, and what each folder may include besides itself and base: folders, each for itself (exec/plan
# does not mean what lies below it), of its own layer or of layers below. `make lint` checks it; so does the linker: a
# unit test of a layer links only what that layer's folders see.
LAYERS := page emit train ptq exec pass onnx quant graph report data kernel record ranks base
SEES_tools        := tools/common data emit exec/infer graph onnx page pass ptq quant ranks record report train
SEES_tools/common := data exec/device exec/infer exec/plan graph pass ptq quant ranks record report train

SEES_page := data graph quant record report

SEES_emit := exec/infer exec/plan graph kernel/contract quant record

SEES_train := data exec/infer exec/plan exec/train graph pass quant ranks record

SEES_ptq := exec/infer exec/train graph pass quant ranks record

SEES_exec/plan         := graph kernel/contract quant
SEES_exec/device       := kernel/contract
SEES_exec/infer        := exec/device exec/plan graph kernel/contract
SEES_exec/infer/cpu    := exec/infer exec/plan
SEES_exec/infer/device := exec/device exec/infer exec/plan kernel/contract
SEES_exec/train        := exec/device exec/plan graph kernel/contract quant ranks
SEES_exec/train/image  := exec/train kernel/contract
SEES_exec/train/block  := exec/train exec/train/image
SEES_exec/train/device := exec/device exec/plan exec/train kernel/contract

SEES_pass     := graph quant record
SEES_onnx     := graph quant record
SEES_quant    := graph record
SEES_graph    := record
SEES_graph/op := graph
SEES_report   := record
SEES_data     := ranks record

SEES_kernel                := kernel/contract
SEES_kernel/contract       :=
SEES_kernel/ref            := kernel kernel/contract
SEES_kernel/blas           := kernel kernel/contract kernel/ref
SEES_kernel/template       := kernel kernel/contract
SEES_kernel/x86/template   := kernel kernel/contract kernel/template kernel/x86/avx512bf16
SEES_kernel/x86/avx2       := kernel kernel/contract kernel/ref kernel/template kernel/x86/template
SEES_kernel/x86/avx2vnni   := kernel kernel/contract kernel/template kernel/x86/avx2 kernel/x86/template
SEES_kernel/x86/avx512     := kernel kernel/contract kernel/ref kernel/template kernel/x86/template
SEES_kernel/x86/avx512vnni := kernel kernel/template kernel/x86/avx512 kernel/x86/template
SEES_kernel/x86/avx512bf16 := kernel kernel/contract kernel/x86/avx512 kernel/x86/template
SEES_kernel/x86/amx        := kernel kernel/contract kernel/x86/avx512bf16 kernel/x86/template
SEES_kernel/arm/neon       := kernel kernel/contract kernel/ref kernel/template
SEES_kernel/arm/neondot    := kernel kernel/arm/neon kernel/template
SEES_kernel/arm/neoni8mm   := kernel kernel/arm/neon kernel/template
SEES_kernel/device         := kernel/contract
SEES_kernel/device/host    := kernel kernel/contract
SEES_kernel/device/cuda    := kernel/contract

SEES_record :=
SEES_ranks  :=
SEES_ranks/mpi := ranks
SEES_base   :=

FOLDERS := $(sort $(patsubst SEES_%,%,$(filter SEES_%,$(.VARIABLES))))
# The layers that layer $(1) reaches, itself and base among them; as archives in link order.
seen_by = $(filter-out $(1),$(sort $(foreach f,$(filter $(1) $(1)/%,$(FOLDERS)),$(foreach s,$(SEES_$(f)),$(firstword $(subst /, ,$(s)))))))
reached_by = $(sort base $(1) $(foreach l,$(call seen_by,$(1)),$(call reached_by,$(l))))
links = $(filter $(call reached_by,$(1)),$(LAYERS))
archives = $(patsubst %,$(B)/lib%.a,$(1))

# Instruction-set flags belong to one folder's objects each; OPT_FOLDER is for speed, which under a sanitizer is not asked for.
# What is compiled for, which need not be the machine that compiles.
PROCESSOR := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2> /dev/null || uname -m)))
X86 := $(filter x86_64,$(PROCESSOR))
ARM := $(filter aarch64,$(PROCESSOR))
KERNEL_DIRS := kernel kernel/ref kernel/blas kernel/device kernel/device/host \
	$(if $(X86),$(patsubst %,kernel/x86/%,avx2 avx2vnni avx512 avx512vnni avx512bf16 amx)) \
	$(if $(ARM),$(patsubst %,kernel/arm/%,neon neondot neoni8mm))
ISA_kernel/x86/avx2 := -mavx2 -mfma
ISA_kernel/x86/avx2vnni := $(ISA_kernel/x86/avx2) -mavxvnni
ISA_kernel/x86/avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
ISA_kernel/x86/avx512vnni := $(ISA_kernel/x86/avx512) -mavx512vnni
ISA_kernel/x86/avx512bf16 := $(ISA_kernel/x86/avx512vnni) -mavx512bf16
ISA_kernel/x86/amx := $(ISA_kernel/x86/avx512bf16) -mamx-tile -mamx-int8 -mamx-bf16
ISA_tests/unit/kernel/test_avx2vnni.c := $(if $(X86),$(ISA_kernel/x86/avx2)) # which computes what AVX-VNNI adds
ISA_kernel/arm/neondot := -march=armv8.2-a+dotprod
ISA_kernel/arm/neoni8mm := -march=armv8.2-a+dotprod+i8mm
# gcc, before it assigns registers, moves instructions of a tile until its sums do not fit.
OPT_ARM := -O3 $(if $(findstring clang,$(CC)),,-fno-schedule-insns)
OPT_kernel/arm/neon := $(OPT_ARM)
OPT_kernel/arm/neondot := $(OPT_ARM)
OPT_kernel/arm/neoni8mm := $(OPT_ARM)
# A product's loop of 25 instructions takes up to a sixth longer where the linker happens to lay it across one line more.
OPT_kernel/x86/avx2 := -O3 -falign-loops=64
OPT_kernel/x86/avx2vnni := -O3 -falign-loops=64
OPT_kernel/x86/avx512 := -O3
OPT_kernel/x86/avx512vnni := -O3
OPT_kernel/x86/avx512bf16 := -O3
OPT_kernel/x86/amx := -O3
OPT_kernel/ref := -O3
OPT_quant := -O3
OPT_ptq := -O3
# Not instruction sets, but of one folder alone too: where its libraries' headers lie.
CPPFLAGS_report := $(shell pkg-config --cflags $(FONT_LIBRARIES))
CPPFLAGS_onnx := -I$(B)/generated

sources_kernel := $(foreach d,$(KERNEL_DIRS),$(wildcard lib/$(d)/*.c))
$(foreach l,$(filter-out kernel,$(LAYERS)),$(eval sources_$(l) := $(wildcard lib/$(l)/*.c lib/$(l)/*/*.c lib/$(l)/*/*/*.c)))
objects = $(patsubst %.c,$(B)/%.o,$(1))
# lib/ranks/mpi is a library of its own: mpi.mk.
sources_ranks := $(wildcard lib/ranks/*.c)
ifeq ($(ONNX),)
sources_onnx :=
endif

TOOLS := $(filter-out $(if $(ONNX),,onnx-%),$(patsubst tools/%.c,%,$(wildcard tools/*.c)))
TOOL_COMMON := $(wildcard tools/common/*.c)

all: $(TOOLS:%=$(BIN)/%) $(if $(ONNX),,without-onnx)
without-onnx:
	@echo "onnx-import and onnx-export are left out: protoc-c and libprotobuf-c (./setup installs them) were not found" >&2
.PHONY: all without-onnx

$(B)/%.o: %.c | $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) $(if $(SANITIZER)$(UNOPTIMIZED),,$(OPT_$(patsubst lib/%/,%,$(dir $<)))) $(ISA_$(patsubst lib/%/,%,$(dir $<))) $(ISA_$<) $(CPPFLAGS_$(patsubst lib/%/,%,$(dir $<))) $(SANITIZER) $(RESQ_CPPFLAGS) -MMD -MP -c $< -o $@

# A changed compiler or flag rebuilds everything.
FLAGS_NOW := $(CC) $(STRICT) $(CFLAGS) $(CPPFLAGS) $(SANITIZER) $(LDFLAGS)
$(B)/flags: FORCE
	@mkdir -p $(B); echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@
FORCE:
.PHONY: FORCE

# What an emitted C file is made of, lib/emit/code/*.c99, as strings in one source of the layer.
EMIT_CODE := $(sort $(wildcard lib/emit/code/*.c99))
$(B)/emit_code.c: $(EMIT_CODE) | $(B)/flags
	@for f in $(EMIT_CODE); do name=$${f##*/}; echo "extern const char emit_code_$${name%.c99}[];"; \
		echo "const char emit_code_$${name%.c99}[] ="; sed 's/["\\]/\\&/g; s/.*/    "&\\n"/' $$f; echo "    ;"; done > $@.new
	@mv $@.new $@
$(B)/lib/emit/emit_code.o: $(B)/emit_code.c
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) $(SANITIZER) -c $< -o $@
$(B)/libemit.a: $(B)/lib/emit/emit_code.o

define layer_rule
$(B)/lib$(1).a: $(call objects,$(sources_$(1)))
	@rm -f $$@; ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))
$(B)/libtool.a: $(call objects,$(TOOL_COMMON))
	@rm -f $@; ar rcs $@ $^

# The generated code is protobuf-c's, and held to its warnings.
ONNX_CODE := $(B)/generated/onnx/onnx.pb-c
$(ONNX_CODE).c $(ONNX_CODE).h &: lib/onnx/onnx.proto
	@mkdir -p $(@D)
	protoc-c --c_out=$(B)/generated --proto_path=lib onnx/onnx.proto
$(ONNX_CODE).o: $(ONNX_CODE).c | $(B)/flags
	$(CC) -std=c11 -w $(CFLAGS) $(SANITIZER) $(CPPFLAGS) -I$(B)/generated -c $< -o $@
ifneq ($(ONNX),)
$(call objects,$(sources_onnx)): | $(ONNX_CODE).h
$(B)/libonnx.a: $(ONNX_CODE).o
endif

$(BIN)/%: $(B)/tools/%.o $(B)/libtool.a $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CC) $(SANITIZER) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libtool.a $(call archives,$(LAYERS)) $(RESQ_LDLIBS)
.PRECIOUS: $(B)/%.o

# The device in ordinary memory as a library that RESQ_CUDA may name: for tests of the programs alone.
HOST_SOURCES := $(wildcard lib/kernel/device/host/*.c tests/host/*.c) $(filter-out lib/kernel/ref/block%,$(wildcard lib/kernel/ref/*.c)) \
	$(addprefix lib/base/,memory.c status.c locale.c utf8.c)
$(B)/pic/%.o: %.c | $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) -fPIC $(if $(SANITIZER)$(UNOPTIMIZED),,$(OPT_$(patsubst lib/%/,%,$(dir $<)))) $(SANITIZER) $(RESQ_CPPFLAGS) -MMD -MP -c $< -o $@
$(B)/resq-host.so: $(HOST_SOURCES:%.c=$(B)/pic/%.o)
	$(CC) $(SANITIZER) $(CFLAGS) $(LDFLAGS) -shared -Wl,-Bsymbolic -o $@ $^ -lm

# Preloaded by tests, makes a program's n-th call of some kind fail.
$(B)/resq-faults.so: $(B)/pic/tests/faults/inject.o
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@ $^

# Unit tests: tests/unit/LAYER/test_*.c, one program each, linked with the layers that LAYER may see.
UNIT_SOURCES := $(filter-out $(if $(ONNX),,tests/unit/onnx/%),$(wildcard tests/unit/*/test_*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SOURCES))
define unit_rule
$(B)/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $(call archives,$(call links,$(1)))
	@mkdir -p $$(@D)
	$(CC) $(SANITIZER) $(CFLAGS) $(LDFLAGS) -o $$@ $$< $(call archives,$(call links,$(1))) -lcmocka $(RESQ_LDLIBS)
endef
$(foreach l,$(LAYERS),$(eval $(call unit_rule,$(l))))
units: $(UNIT_TESTS) $(B)/resq-host.so $(B)/resq-faults.so
.PHONY: units
# One layer's: make unit-record
unit-%: FORCE
	$(MAKE) $(filter $(B)/unit/$*/%,$(UNIT_TESTS))
	for t in $(filter $(B)/unit/$*/%,$(UNIT_TESTS)); do $$t; done

clean:
	rm -rf build bin
distclean: clean
	rm -rf results
.PHONY: clean distclean

ifneq ($(MAY_BUILD),)
-include $(shell find $(B) -name sysroot -prune -o -name '*.d' -print 2>/dev/null)
endif
