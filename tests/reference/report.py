"""Makes report.safetensors: what scikit-learn, torchmetrics, PyTorch and statsmodels say of predictions and of counts.

    pip install numpy==2.4.6 torch==2.15.0 safetensors==0.8.0 scikit-learn==1.9.1 torchmetrics==1.9.0 \\
        statsmodels==0.15.0 && python3 tests/reference/report.py
"""
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from torchmetrics.functional.classification import multiclass_calibration_error

rng = np.random.default_rng(11)
out = {}

# Predictions of 7 classes: 5 is never predicted, 6 is never true; some logits are large enough to overflow a plain exp.
n, k = 400, 7
labels = rng.integers(0, 6, n)
logits = rng.normal(0, 1.2, (n, k))
logits[np.arange(n), labels] += rng.normal(1.5, 1.0, n)
logits[:, 5] -= 20
logits[::50] *= 300
logits = logits.astype(np.float32)
wide = torch.tensor(logits, dtype=torch.float64)
target = torch.tensor(labels)
predicted = logits.argmax(1)
precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, labels=range(k), zero_division=0)
out["logits"], out["labels"] = logits, labels.astype(np.uint8)
out["loss"] = np.array(torch.nn.functional.cross_entropy(wide, target).item())
out["calibration_error"] = np.array(multiclass_calibration_error(wide, target, k, n_bins=15, norm="l1").item())
out["top2"] = np.array((wide.topk(2).indices == target[:, None]).any(1).sum().item(), np.int64)
out["probability"] = wide.softmax(1).numpy()
out["confusion"] = confusion_matrix(labels, predicted, labels=range(k)).astype(np.int64)
out["precision"], out["recall"], out["f1"] = precision, recall, f1

# Wilson intervals: successes, trials -> low, high.
counts = [(0, 1), (1, 1), (0, 20), (1, 29), (15, 148), (81, 263), (20, 20), (8123, 10000), (9999, 10000), (5, 10)]
out["wilson.counts"] = np.array(counts, np.int64)
out["wilson"] = np.array([proportion_confint(x, m, 0.05, "wilson") for x, m in counts])

# Exact McNemar: discordant pairs -> p.
pairs = [(0, 0), (1, 0), (0, 5), (5, 0), (6, 2), (3, 3), (59, 6), (10, 25), (121, 59), (300, 340), (1500, 1400), (2, 900)]
out["mcnemar.counts"] = np.array(pairs, np.int64)
out["mcnemar"] = np.array([mcnemar([[0, b], [c, 0]], exact=True).pvalue for b, c in pairs])

save_file(out, pathlib.Path(__file__).with_suffix(".safetensors"))
