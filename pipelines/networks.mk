# `make networks`: each network trained, quantized and trained on quantized, briefly, by the profile: a study of its own in
# $(RESULTS)/$(RUN)-NAME; then a page, one table and one chart of all, accuracy over size and over time, in $(RESULTS)/$(RUN)-networks.
#
#     make networks PROFILE=small NETWORKS='lenet5 mobilenetv2'
#
# With PROFILE=auto each network gets MINUTES. One that fails (its training diverges, say) keeps the others from nothing: table, page
# and chart are of those that came through and name it, and the command ends with 1.
NETWORKS = lenet5 resnet20 squeezenet mobilenetv2 densenet-40 vgg16-bn resnet34 resnet50
NETWORKS_RESULTS = $(RESULTS)/$(RUN)-networks
# One after the other: times are taken in each. What a study has made already it does not make again.
networks:
	@failed= summaries=(); for n in $(NETWORKS); do \
		if STUDY_STEP= $(MAKE) --no-print-directory results RUN=$(RUN)-$$n NETWORK=$$n; then \
			summaries+=($(RESULTS)/$(RUN)-$$n/summary.tsv); \
		elif (($$? > 128)); then exit 1; \
		else failed+=" $$n"; fi; \
	done; \
	if ((!$${#summaries[@]})); then echo 'networks: all failed:'"$$failed" >&2; exit 1; fi; \
	mkdir -p $(NETWORKS_RESULTS); table=$(NETWORKS_RESULTS)/networks.tsv; \
	pipelines/networks-table run=$(RUN) failed="$$failed" "$${summaries[@]}" > $$table.new; mv $$table.new $$table; \
	for form in png svg; do pipelines/networks-chart $$table $(NETWORKS_RESULTS)/networks.$$form; done; \
	pipelines/networks-page $$table > $(NETWORKS_RESULTS)/README.md; pipelines/networks-page rows=1 $$table; \
	echo "$(NETWORKS_RESULTS) has the page, the table and the chart"; \
	if [[ $$failed ]]; then echo "networks:$$failed: failed, for the reason above; the table is without" >&2; exit 1; fi
# Copies what the last one left to $(RECORDED)/networks, with a MADE.md.
record-networks:
	@pipelines/record-networks $(NETWORKS_RESULTS) $(RECORDED)/networks $(call quote,$(strip make networks $(said))) $(call quote,$(NOTE))
.PHONY: networks record-networks
