# Other processors: built by Debian's cross compilers against Debian's libraries for them, which pipelines/sysroot unpacks under
# build/, and run by qemu, which emulates every instruction set of ARM that there are kernels for.
#   test-aarch64 test-riscv64           unit tests of CROSS_LAYERS; CROSS_TESTS='unit/kernel/test_conv_u8 ..': those alone
CROSS := aarch64 riscv64
CROSS_DEBIAN_aarch64 := arm64
CROSS_DEBIAN_riscv64 := riscv64
# Debian 12 has no riscv64.
CROSS_SUITE_riscv64 := trixie
CROSS_CPU_aarch64 := -cpu max

CROSS_LAYERS = base record kernel graph quant pass exec
CROSS_TESTS = $(foreach l,$(CROSS_LAYERS),$(patsubst $(B)/%,%,$(filter $(B)/unit/$(l)/%,$(UNIT_TESTS))))
cross_sysroot = $(abspath build/sysroot/$(1))
cross_packages = PKG_CONFIG_SYSROOT_DIR=$(cross_sysroot) PKG_CONFIG_LIBDIR=$(cross_sysroot)/usr/lib/$(1)-linux-gnu/pkgconfig

# Where a compiler, the emulator or the libraries are not to be had, one line says so.
$(CROSS:%=test-%): test-%:
	@for program in $*-linux-gnu-gcc qemu-$*; do command -v $$program > /dev/null || \
		{ echo "test-$*: skipped: no $$program here (./setup --develop)"; exit 0; }; done; \
	pipelines/sysroot $(CROSS_DEBIAN_$*) build/sysroot/$* $(CROSS_SUITE_$*) || \
		{ echo "test-$*: skipped: no libraries for it"; exit 0; }; \
	$(call cross_packages,$*) $(MAKE) --no-print-directory B=build/$* CUDA_HOME= \
		CC='$(filter ccache,$(CC)) $*-linux-gnu-gcc --sysroot=$(call cross_sysroot,$*)' $(CROSS_TESTS:%=build/$*/%); \
	env -u MAKEFLAGS -u MAKELEVEL EMULATOR='qemu-$* $(CROSS_CPU_$*) -L $(call cross_sysroot,$*)' \
		tests/run -j $(JOBS) $(CROSS_TESTS:%=build/$*/%)
.PHONY: $(CROSS:%=test-%)
