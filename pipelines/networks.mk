# `make networks`: each network trained, quantized and trained on quantized, briefly, by the profile: a study of its own in
# $(RESULTS)/$(RUN)-NAME; then one table and one chart of all, accuracy over size and over time, in $(RESULTS)/$(RUN)-networks.
#
#     make networks PROFILE=small NETWORKS='lenet5 mobilenetv2'
NETWORKS = lenet5 resnet20 squeezenet mobilenetv2 densenet-40 vgg16-bn resnet34 resnet50
NETWORK_RUNS = $(NETWORKS:%=$(RESULTS)/$(RUN)-%/summary.tsv)
# One after the other: times are taken in each. What a study has made already it does not make again.
networks:
	@for n in $(NETWORKS); do STUDY_STEP= $(MAKE) --no-print-directory results RUN=$(RUN)-$$n NETWORK=$$n || exit 1; done
	@mkdir -p $(RESULTS)/$(RUN)-networks
	@pipelines/networks-table run=$(RUN) $(NETWORK_RUNS) > $(RESULTS)/$(RUN)-networks/networks.tsv
	@for form in png svg; do \
		pipelines/networks-chart $(RESULTS)/$(RUN)-networks/networks.tsv $(RESULTS)/$(RUN)-networks/networks.$$form || exit 1; done
	@grep -v '^#' $(RESULTS)/$(RUN)-networks/networks.tsv | column -t -s "$$(printf '\t')"
	@echo "$(RESULTS)/$(RUN)-networks has the table and the chart"
.PHONY: networks
