# The checks: tests, lint, fuzzing. TESTS='tests/cli/fuse.bats build/unit/base/test_text' runs those alone.
TESTS = $(UNIT_TESTS) $(EMULATED_TESTS) $(wildcard tests/cli/*.bats)

test: all units
	@env -u MAKEFLAGS -u MAKELEVEL BIN=$(call quote,$(abspath $(BIN))) SANITIZE=$(SANITIZE) \
		$(if $(OPENBLAS_CORETYPE),OPENBLAS_CORETYPE=$(OPENBLAS_CORETYPE)) \
		ASAN_OPTIONS=allocator_may_return_null=1:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1 \
		tests/run -j $(JOBS) $(TESTS)
.PHONY: test

# ---- lint: one target a rule, each printing what breaks it ----
LINTS := lint-rules lint-format lint-scripts lint-build lint-sizes
# What the scripts in tests/reference print is theirs.
C_FILES = $(sort $(filter-out tests/reference/%,$(shell find lib tools tests -name '*.[ch]' -o -name '*.cc' -o -name '*.cu')))
SCRIPTS = $(sort setup .ci/run $(shell find tests pipelines -name '*.bats' -o -name '*.bash' -o -name '*.sh') \
	$(shell grep -lsE '^\#!.*bash' tests/* tests/*/* pipelines/*))

lint: $(LINTS)
	@echo "lint: clean"
.PHONY: lint $(LINTS)

# The layers as build.mk states them, and words and calls that have no place.
lint-rules:
	@pipelines/lint $(foreach l,$(LAYERS),'$(l): base $(l) $(SEES_$(l))') \
		'tools: tools base $(filter-out kernel,$(LAYERS))'
lint-format:
	@clang-format --dry-run -Werror $(C_FILES)
# In bats a failed cd fails the test, and `run` sets status and stderr; a file may be called cut.
lint-scripts:
	@if ! command -v shellcheck > /dev/null; then echo "lint: no shellcheck here"; exit 0; fi; \
	shellcheck -s bash -S warning $(filter-out %.bats %.bash,$(SCRIPTS)); \
	shellcheck -S warning -e SC2154,SC2164,SC2238 $(filter %.bats %.bash,$(SCRIPTS))
lint-build:
	@$(MAKE) --no-print-directory -s B=build/lint-gcc CC=gcc WERROR=1 all units
	@$(MAKE) --no-print-directory -s B=build/lint-clang CC=clang WERROR=1 all units
# Shown, not enforced: files longer than a reader holds in mind.
lint-sizes:
	@wc -l $(C_FILES) $(SCRIPTS) | awk '$$2 != "total" && $$1 > ($$2 ~ /^tools\/[^\/]*$$/ ? 200 : 500) \
		{ print "lint: long: " $$2 ": " $$1 " lines" }'

# ---- fuzzing: tests/fuzz/NAME.c, each a reader, FUZZ_SECONDS each; tests/fuzz/NAME/ holds its seeds where it has any ----
FUZZ_SECONDS = 60
FUZZ_B := build/fuzz
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_FLAGS := address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

fuzz:
	@$(MAKE) --no-print-directory B=$(FUZZ_B) CC=clang SANITIZER='-fsanitize=fuzzer-no-link,$(FUZZ_FLAGS)' $(FUZZERS:%=fuzz-%)
$(FUZZERS:%=fuzz-%): fuzz-%: $(FUZZ_B)/fuzz/%
	@mkdir -p $(FUZZ_B)/corpus/$* $(FUZZ_B)/found
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 -artifact_prefix=$(FUZZ_B)/found/$*- \
		$(FUZZ_B)/corpus/$* $(wildcard tests/fuzz/$* tests/bad)
$(FUZZ_B)/fuzz/%: $(B)/tests/fuzz/%.o $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CC) -fsanitize=fuzzer,$(FUZZ_FLAGS) -g -o $@ $< $(call archives,$(LAYERS)) $(RESQ_LDLIBS)
.PHONY: fuzz $(FUZZERS:%=fuzz-%)

# ---- verify: all 10,000 test images at full width; every instruction set and algorithm gives the logits of ref ----
# Half an hour or more, since ref is slow: no part of `make test`.
verify: all
	BIN=$(call quote,$(abspath $(BIN))) tests/verify -j $(JOBS)
.PHONY: verify
