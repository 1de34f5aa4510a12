# The comparison with other programs.
PEERS_WORK = build/peers
$(B)/peers/worker: $(B)/tests/peers/worker.o $(call archives,$(LAYERS))
	@mkdir -p $(@D)
	$(CC) $(SANITIZER) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call archives,$(LAYERS)) $(RESQ_LDLIBS)
