# The charts: PNG and SVG from the tables, and PNG grids of images. Those that need no timing come before it.
CHARTS     := $(R)/charts
# A training of no epochs has no curve.
CURVED     := $(if $(filter-out 0,$(EPOCHS)),float) $(if $(filter-out 0,$(QAT_EPOCHS)),qat)
LOGS       := $(CURVED:%=$(R)/%.log.tsv)
CURVE_CHARTS := $(if $(LOGS),loss accuracy)
CONFUSIONS := $(MODELS:%=confusion-%)
BARS       := compare-accuracy compare-size compare-time
SAMPLES    := $(MODELS:%=samples-%)
chart_files = $(foreach c,$(1),$(CHARTS)/$(c).png $(CHARTS)/$(c).svg)
EARLY_CHARTS := $(call chart_files,$(CURVE_CHARTS) $(CONFUSIONS)) $(SAMPLES:%=$(CHARTS)/%.png) $(CHARTS)/augmented.png
LATE_CHARTS  := $(call chart_files,$(BARS))

$(W)/plot.stamp: FORCE $(call ours,$(PLOT))
	$(call stamp,$(PLOT) $(PLOT_FLAGS),$(sort $(wildcard plots/*.gp)))
$(EARLY_CHARTS) $(LATE_CHARTS): $(W)/plot.stamp

# $(call chart,KIND INPUTS): the rule's chart.
chart = $(call stage,plot-$(@F),$(PLOT) $(1) $(PLOT_FLAGS) -o $@)

ifneq ($(LOGS),)
# Which curves there are, so that another number of epochs draws them again.
$(W)/curves.stamp: FORCE
	$(call stamp,curves of $(CURVED))
$(call chart_files,$(CURVE_CHARTS)): $(LOGS) $(W)/curves.stamp
	$(call chart,$(basename $(@F)) $(LOGS) $(CURVED:%=--label %))
endif
$(CHARTS)/confusion-%.png: $(R)/%.metrics.tsv
	$(call chart,confusion $<)
$(CHARTS)/confusion-%.svg: $(R)/%.metrics.tsv
	$(call chart,confusion $<)
$(call chart_files,$(BARS)): $(R)/summary.tsv
	$(call chart,$(basename $(@F)) $<)
$(CHARTS)/samples-%.png: $(R)/%.predictions.safetensors $(W)/test.batches
	$(call chart,samples $< --images $(W)/test.batches)

# Training images as they were, and as the first epochs see them.
SHOWN = $(LOAD) -d $(SET) --split train --part train -n 8
$(W)/shown.stamp: FORCE $(call ours,$(LOAD)) $(SET)/dataset.tsv
	$(call stamp,$(SHOWN),$(SET)/dataset.tsv)
$(W)/shown.batches: $(W)/shown.stamp
	$(call stage,shown,$(SHOWN) -o $@)
$(W)/augmented.stamp: FORCE $(call ours,$(AUGMENT))
	$(call stamp,$(AUGMENT) $(AUGMENT_FLAGS) -s $(SEED))
$(CHARTS)/augmented.png: $(W)/shown.batches $(W)/augmented.stamp
	$(call stage,plot-$(@F),$(SHOWN) --epochs 7 | $(AUGMENT) $(AUGMENT_FLAGS) -s $(SEED) \
		| $(PLOT) augmented $(PLOT_FLAGS) --originals $(W)/shown.batches -o $@)
