# Timing: last and alone. All else that a run makes comes first (order-only: being remade makes no timing stale), so
# that nothing runs beside it whatever -j says, nor another make of this checkout. The float network is timed as it is deployed: fused.
$(W)/bench.stamp: FORCE $(call ours,$(BENCH))
	$(call stamp,$(BENCH) $(BENCH_FLAGS) $(BENCH_PRECISION) -b $(BENCH_BATCHES) -j $(BENCH_THREADS))
$(R)/bench.tsv: $(R)/fused_model.safetensors $(MODEL_ptq) $(MODEL_qat) $(W)/bench.stamp \
		| $(call ours,$(TOOLS)) $(EARLY_CHARTS) $(PAIRS:%=$(R)/%.pair.tsv) $(MODELS:%=$(R)/%.metrics.tsv)
	@$(hold_alone)
	$(call stage,bench,$(BENCH) $(BENCH_FLAGS) $(BENCH_PRECISION) -b $(BENCH_BATCHES) -j $(BENCH_THREADS) \
		-m $(R)/fused_model.safetensors -m $(MODEL_ptq) -m $(MODEL_qat) -o $@)
	@$(share_again)
