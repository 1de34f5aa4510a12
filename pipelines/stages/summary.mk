# What a person reads: the joined table, the run's page; and the targets.
results: $(R)/summary.tsv
.PHONY: results
