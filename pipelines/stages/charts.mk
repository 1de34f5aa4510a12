# The charts: PNG and SVG from the tables, PNG grids of images.
CHARTS := $(R)/charts
CURVES := loss accuracy
CONFUSIONS := $(MODELS:%=confusion-%)
BARS := compare-accuracy compare-size compare-time
GRIDS := augmented $(MODELS:%=samples-%)
chart_files = $(foreach c,$(1),$(CHARTS)/$(c).png $(CHARTS)/$(c).svg)
# Those that need no timing, and so come before it.
EARLY_CHARTS := $(call chart_files,$(CURVES) $(CONFUSIONS)) $(GRIDS:%=$(CHARTS)/%.png)
LATE_CHARTS := $(call chart_files,$(BARS))

$(W)/plot.stamp: FORCE $(call ours,$(PLOT)) $(wildcard plots/*.gp)
	$(call stamp,$(PLOT) $(PLOT_FLAGS),$(sort $(wildcard plots/*.gp)))
