# Timing: last and alone. Everything else that a run makes comes first (order-only: being remade does not make the timing
# stale), so that nothing runs beside it whatever -j says.
$(W)/bench.stamp: FORCE $(call ours,$(BENCH))
	$(call stamp,$(BENCH) $(BENCH_FLAGS) -b $(BENCH_BATCHES) -j $(BENCH_THREADS))
