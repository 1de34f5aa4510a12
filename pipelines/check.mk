# The checks: tests, lint, fuzzing. TESTS='tests/cli/fuse.bats build/unit/base/test_text' runs those alone.
TESTS = $(UNIT_TESTS) $(EMULATED_TESTS) $(wildcard tests/cli/*.bats)

test: all units
	@$(MAKE) --no-print-directory test-built
test-built:
	@env -u MAKEFLAGS -u MAKELEVEL BIN=$(call quote,$(abspath $(BIN))) SANITIZE=$(SANITIZE) \
		$(if $(OPENBLAS_CORETYPE),OPENBLAS_CORETYPE=$(OPENBLAS_CORETYPE)) \
		ASAN_OPTIONS=allocator_may_return_null=1:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1 \
		TSAN_OPTIONS=halt_on_error=1:exitcode=66:allocator_may_return_null=1 \
		tests/run -j $(JOBS) $(TESTS)
.PHONY: test test-built

# ---- browser: the report of a tiny study as people see it, in Debian's chromium (./setup --develop) ----
CHROMIUM = chromium
test-browser: all
	@BIN=$(abspath $(BIN)) CHROMIUM=$(CHROMIUM) tests/browser/run $(B)/browser
.PHONY: test-browser

# ---- cluster: studies on a Slurm of this machine's own, from Debian's packages (./setup --develop), within minutes ----
test-cluster: all
	@env -u MAKEFLAGS -u MAKELEVEL BIN=$(call quote,$(abspath $(BIN))) $(if $(OPENBLAS_CORETYPE),OPENBLAS_CORETYPE=$(OPENBLAS_CORETYPE)) tests/cluster/run
.PHONY: test-cluster

# ---- network: steps of several processes over networks that the kernel slows down; as root, on a machine that does nothing else ----
test-network: all
	@BIN=$(call quote,$(abspath $(BIN))) tests/cluster/network
.PHONY: test-network

# ---- lint: one target a rule, each printing what breaks it ----
LINTS := lint-rules lint-format lint-scripts lint-build lint-sizes
# LINT_COMPILERS: those whose warnings are wanted.
LINT_COMPILERS = gcc clang
# What the scripts in tests/reference print is theirs.
C_FILES = $(sort $(filter-out tests/reference/%,$(shell find lib tools tests -name '*.[ch]' -o -name '*.cc' -o -name '*.cu')))
SCRIPTS = $(sort setup .ci/run $(shell find tests pipelines -name '*.bats' -o -name '*.bash' -o -name '*.sh') \
	$(shell grep -lsE '^\#!.*bash' tests/* tests/*/* pipelines/*))

lint: $(LINTS)
	@echo "lint: clean"
.PHONY: lint $(LINTS) $(LINT_COMPILERS:%=lint-build-%)

# What folders include, as build.mk states it, and words and calls that have no place.
lint-rules:
	@pipelines/lint '$(LAYERS)' $(foreach f,$(FOLDERS),'$(f): $(SEES_$(f))')
lint-format:
	@clang-format --dry-run -Werror $(C_FILES)
# In bats a failed cd fails the test, and `run` sets status and stderr; a file may be called cut.
lint-scripts:
	@if ! command -v shellcheck > /dev/null; then echo "lint: no shellcheck here"; exit 0; fi; \
	shellcheck -s bash -S warning $(filter-out %.bats %.bash,$(SCRIPTS)); \
	shellcheck -S warning -e SC2154,SC2164,SC2238 $(filter %.bats %.bash,$(SCRIPTS))
lint-build: $(LINT_COMPILERS:%=lint-build-%)
# Clang's warnings need no optimization, gcc's do.
$(LINT_COMPILERS:%=lint-build-%): lint-build-%:
	@$(MAKE) --no-print-directory -s B=build/lint-$* CC=$* WERROR=1 $(if $(filter clang%,$*),CFLAGS=-O0 UNOPTIMIZED=1) all units
# Shown, not enforced: files longer than a reader holds in mind.
lint-sizes:
	@wc -l $(C_FILES) $(SCRIPTS) | awk '$$2 != "total" && $$1 > ($$2 ~ /^tools\/[^\/]*$$/ ? 200 : 500) \
		{ print "lint: long: " $$2 ": " $$1 " lines" }'

# ---- fuzzing: tests/fuzz/NAME.c, each a reader, FUZZ_SECONDS each; its seeds stand in tests/fuzz/NAME/ or seeds.py makes them ----
FUZZ_SECONDS = 60
FUZZ_B := build/fuzz
FUZZ_CC = clang
FUZZERS := $(filter-out $(if $(ONNX),,fuzz_onnx),$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
FUZZ_FLAGS := address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# A recipe calls it with a +, or make does not know that it is a make, and gives it one core.
FUZZ_MAKE = $(MAKE) --no-print-directory B=$(FUZZ_B) CC='$(FUZZ_CC)' CFLAGS='-O1 -g' SANITIZER='-fsanitize=fuzzer-no-link,$(FUZZ_FLAGS)'

fuzz:
	+@$(FUZZ_MAKE) $(FUZZERS:%=fuzz-%)
# What reads files, in a few minutes: unit tests of the layers below the kernels, and the fuzzers that link no more, from one build.
READER_LAYERS := base record report data graph quant pass onnx
check-readers:
	+@$(FUZZ_MAKE) reader-programs
	+@$(FUZZ_MAKE) $(READER_LAYERS:%=unit-%) $(patsubst %,fuzz-%,$(filter $(READER_FUZZERS),$(FUZZERS)))
$(FUZZERS:%=fuzz-%): fuzz-%: $(FUZZ_B)/fuzz/%
	@mkdir -p $(FUZZ_B)/corpus/$* $(FUZZ_B)/found
	@python3 tests/fuzz/seeds.py $(FUZZ_B)/seeds/$* $*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 -artifact_prefix=$(FUZZ_B)/found/$*- \
		$(FUZZ_B)/corpus/$* $(FUZZ_B)/seeds/$* $(wildcard tests/fuzz/$* tests/bad $(FUZZ_MORE_$*))
# Each links the layers that its own sees, as a unit test does; all where it names none.
FUZZ_LAYER_fuzz_record := record
FUZZ_LAYER_fuzz_cifar := data
FUZZ_LAYER_fuzz_pictures := data
FUZZ_LAYER_fuzz_raw := data
FUZZ_LAYER_fuzz_graph := pass
FUZZ_LAYER_fuzz_ranges := quant
FUZZ_LAYER_fuzz_predictions := report
FUZZ_LAYER_fuzz_table := report
FUZZ_LAYER_fuzz_onnx := onnx
READER_FUZZERS = $(patsubst FUZZ_LAYER_%,%,$(filter FUZZ_LAYER_%,$(.VARIABLES)))
FUZZ_MORE_fuzz_onnx := tests/bad/onnx tests/reference/onnx
reader-programs: $(foreach l,$(READER_LAYERS),$(filter $(B)/unit/$(l)/%,$(UNIT_TESTS))) $(patsubst %,$(FUZZ_B)/fuzz/%,$(filter $(READER_FUZZERS),$(FUZZERS)))
define fuzz_rule
$(FUZZ_B)/fuzz/$(1): $(B)/tests/fuzz/$(1).o $(call archives,$(if $(FUZZ_LAYER_$(1)),$(call links,$(FUZZ_LAYER_$(1))),$(LAYERS)))
	@mkdir -p $$(@D)
	$(CC) -fsanitize=fuzzer,$(FUZZ_FLAGS) -g -o $$@ $$^ $(RESQ_LDLIBS)
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzz_rule,$(f))))
.PHONY: fuzz check-readers reader-programs $(FUZZERS:%=fuzz-%)

# ---- faults: each program's small runs (tests/faults/runs) with their n-th allocation, write, read.. made to fail; every n
# that FAULT_SECONDS are enough for, of each run and kind of call (0: all); FAULT_RUNS: some of them ----
FAULT_SECONDS = 10
FAULT_RUNS =
check-faults: all $(B)/resq-faults.so
	python3 tests/faults/campaign.py --bin $(BIN) --library $(B)/resq-faults.so --seconds $(FAULT_SECONDS) -j $(JOBS) $(FAULT_RUNS)
.PHONY: check-faults

# ---- threads: what shares memory between threads, under ThreadSanitizer; SANITIZE=thread with any other target does so too ----
THREAD_TESTS = base/test_threads train/test_feed exec/test_device_exec exec/test_device_train train/test_device
check-threads:
	@$(MAKE) --no-print-directory SANITIZE=thread $(THREAD_TESTS:%=build/tsan/unit/%)
	@$(MAKE) --no-print-directory SANITIZE=thread test-built TESTS='$(THREAD_TESTS:%=build/tsan/unit/%)'

# ---- memory: the unit tests of record and data and the programs that read formats, under valgrind ----
check-valgrind: all units
	BIN=$(abspath $(BIN)) tests/memcheck $(B)

# ---- coverage of what reads and writes formats: by its unit tests ----
COVERAGE_B := build/coverage
coverage:
	@$(MAKE) --no-print-directory -s B=$(COVERAGE_B) CFLAGS='-O0 -g --coverage' \
		$(patsubst tests/unit/%.c,$(COVERAGE_B)/unit/%,$(filter tests/unit/record/% tests/unit/data/%,$(UNIT_SOURCES)))
	@find $(COVERAGE_B) -name '*.gcda' -delete
	@tests/run -j $(JOBS) $(patsubst tests/unit/%.c,$(COVERAGE_B)/unit/%,$(filter tests/unit/record/% tests/unit/data/%,$(UNIT_SOURCES)))
	@python3 tests/coverage.py $(COVERAGE_B) lib/record lib/data
.PHONY: check-threads check-valgrind coverage

# ---- verify: all 10,000 test images at full width; every instruction set and algorithm gives the logits of ref ----
# Half an hour or more, since ref is slow: no part of `make test`.
verify: all
	BIN=$(call quote,$(abspath $(BIN))) tests/verify -j $(JOBS)
.PHONY: verify
