"""Writes what PyTorch computes of losses and scikit-learn of metrics, for the tests of crates/luthier-train.

    python scripts/train/metric_fixtures.py     (needs torch, numpy and scikit-learn)

Inputs are single precision; what is computed from them is double precision. Written with torch 2.15.0,
numpy 2.4.6 and scikit-learn 1.9.1; each fixture names its versions.
"""

import json
import pathlib
import warnings

import numpy as np
import sklearn
import torch
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

FIXTURES = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures"


def short(value, digits):
    return [short(item, digits) for item in value] if isinstance(value, list) else float(f"{value:.{digits}g}")


def singles(values):
    """Single-precision numbers; nine digits tell them apart."""
    return short(np.asarray(values, dtype=np.float32).flatten().tolist(), 9)


def doubles(values, digits=12):
    return short(np.asarray(values, dtype=np.float64).flatten().tolist(), digits)


# Losses. Each is a function of outputs and targets that gives (sums, weights): the loss of a batch is
# sum(sums) / sum(weights).

def cross_entropy(weights=None, smoothing=0.0):
    def loss(outputs, targets):
        weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        each = F.cross_entropy(
            outputs, targets.long(), weight=weight, label_smoothing=smoothing, reduction="none")
        of = torch.ones(len(targets)).double() if weight is None else weight[targets.long()]
        whole = F.cross_entropy(outputs, targets.long(), weight=weight, label_smoothing=smoothing)
        assert torch.isclose(whole, each.sum() / of.sum(), rtol=1e-12)
        return each, of
    return loss


def even(each):
    return lambda outputs, targets: (each(outputs, targets), torch.ones(len(targets)).double())


def binary(positive=1.0, smoothing=0.0):
    return even(lambda outputs, targets: F.binary_cross_entropy_with_logits(
        outputs[:, 0], targets * (1 - smoothing) + smoothing / 2, reduction="none",
        pos_weight=torch.tensor(positive, dtype=torch.float64)))


def focal(gamma=2.0, weights=None):
    """Lin et al. 2017, equation 5, over a softmax."""
    def each(outputs, targets):
        log = F.log_softmax(outputs, 1).gather(1, targets.long()[:, None])[:, 0]
        alpha = 1.0 if weights is None else torch.tensor(weights, dtype=torch.float64)[targets.long()]
        return -alpha * (1 - log.exp()) ** gamma * log
    return even(each)


def binary_focal(gamma=2.0, alpha=0.25):
    """As torchvision.ops.sigmoid_focal_loss."""
    def each(outputs, targets):
        x = outputs[:, 0]
        p = torch.sigmoid(x)
        entropy = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
        p_t = p * targets + (1 - p) * (1 - targets)
        return (alpha * targets + (1 - alpha) * (1 - targets)) * entropy * (1 - p_t) ** gamma
    return even(each)


def error(of, **how):
    return even(lambda outputs, targets: of(outputs[:, 0], targets, reduction="none", **how))


def losses():
    random = np.random.RandomState(7)
    labels = random.choice(5, 24, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    labels[:5] = range(5)
    balanced = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    second = random.randint(0, 2, 24)
    ratio = (second == 0).sum() / (second == 1).sum()
    weights = [0.5, 2.0, 0.0, 1.0, 3.5]
    # (setting, classes, loss)
    plan = [
        ('"cross_entropy"', 5, cross_entropy()),
        ('{ kind = "cross_entropy", smoothing = 0.1 }', 5, cross_entropy(smoothing=0.1)),
        ('{ kind = "cross_entropy", class_weights = [0.5, 2, 0, 1.0, 3.5] }', 5, cross_entropy(weights)),
        ('{ kind = "cross_entropy", class_weights = [0.5, 2, 0, 1.0, 3.5], smoothing = 0.25 }', 5,
         cross_entropy(weights, 0.25)),
        ('{ kind = "cross_entropy", class_weights = "balanced" }', 5, cross_entropy(balanced)),
        ('{ kind = "focal", class_weights = "balanced" }', 5, focal(2.0, balanced)),
        ('"focal"', 5, focal()),
        ('{ kind = "focal", gamma = 0.5, class_weights = [0.5, 2, 0, 1.0, 3.5] }', 5, focal(0.5, weights)),
        ('{ kind = "focal", gamma = 0 }', 5, cross_entropy()),
        ('"binary_cross_entropy"', 2, binary()),
        ('{ kind = "binary_cross_entropy", smoothing = 0.2, positive_weight = 3 }', 2, binary(3.0, 0.2)),
        ('{ kind = "binary_cross_entropy", positive_weight = "balanced" }', 2, binary(ratio)),
        ('"binary_focal"', 2, binary_focal()),
        ('{ kind = "binary_focal", gamma = 0.7, alpha = 0.6 }', 2, binary_focal(0.7, 0.6)),
        ('"mse"', 0, error(F.mse_loss)),
        ('"mae"', 0, error(F.l1_loss)),
        ('"huber"', 0, error(F.huber_loss)),
        ('{ kind = "huber", delta = 0.3 }', 0, error(F.huber_loss, delta=0.3)),
    ]
    cases = []
    for setting, classes, loss in plan:
        width = classes if classes > 2 else 1
        outputs = np.float32(random.normal(0, 2.5, (24, width)))
        # Extreme ones: surely right and surely wrong.
        outputs[-1, 0], outputs[-2, 0] = 18.0, -18.0
        targets = {5: labels, 2: second, 0: np.float32(random.normal(0, 1, 24))}[classes]
        other = {5: np.roll(labels, 3), 2: np.roll(second, 3), 0: np.roll(targets, 3)}[classes]
        share = np.float32(random.uniform(0, 1, 24))
        for mixed in [False, True]:
            x = torch.tensor(outputs, dtype=torch.float64, requires_grad=True)
            sums, of = loss(x, torch.tensor(targets).double())
            if mixed:
                part = torch.tensor(share).double()
                sums_other, of_other = loss(x, torch.tensor(other).double())
                sums, of = part * sums + (1 - part) * sums_other, part * of + (1 - part) * of_other
            value = sums.sum() / of.sum()
            value.backward()
            case = {
                "loss": setting, "outputs": singles(outputs), "targets": singles(targets),
                "counts": np.bincount(targets, minlength=classes).tolist() if classes else [],
                "each": doubles(sums.detach()), "weights": doubles(of), "value": value.item(),
                "gradient": doubles(x.grad, 8),
            }
            if mixed:
                case |= {"second": singles(other), "share": singles(share)}
            cases.append(case)
    return {"cases": cases}


# Metrics

def averages(labels, called, two):
    found = {}
    for name, score in [("precision", metrics.precision_score), ("recall", metrics.recall_score),
                        ("f1", metrics.f1_score)]:
        for average in ["macro", "micro", "weighted"] + (["binary"] if two else []):
            key = name if average == "binary" else f"{name}_{average}"
            found[key] = score(labels, called, average=average, zero_division=0)
    return found


def of_classes(name, outputs, labels):
    """`outputs` has a column for each class, or one for two classes."""
    outputs, labels = np.float32(outputs), np.asarray(labels)
    exact = outputs.astype(np.float64)
    two = exact.shape[1] <= 2
    classes = max(2, exact.shape[1])
    if exact.shape[1] == 1:
        positive = 1 / (1 + np.exp(-exact[:, 0]))
        shares = np.stack([1 - positive, positive], 1)
        called = (exact[:, 0] > 0).astype(int)
    else:
        shares = np.exp(exact - exact.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        called = exact.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = averages(labels, called, two) | {
            "accuracy": metrics.accuracy_score(labels, called),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels, called),
            "log_loss": metrics.log_loss(labels, shares, labels=range(classes)),
        }
    for k in {2, 3, 5}:
        if k < classes:
            found[f"top{k}"] = metrics.top_k_accuracy_score(labels, exact, k=k, labels=range(classes))
    every = len(np.unique(labels)) == classes
    if two and every:
        found["auroc"] = found["auroc_weighted"] = metrics.roc_auc_score(labels, shares[:, 1])
        found["average_precision"] = metrics.average_precision_score(labels, shares[:, 1])
        found["average_precision_weighted"] = found["average_precision"]
    elif every:
        for average, suffix in [("macro", ""), ("weighted", "_weighted")]:
            found[f"auroc{suffix}"] = metrics.roc_auc_score(labels, shares, multi_class="ovr", average=average)
            found[f"average_precision{suffix}"] = metrics.average_precision_score(
                np.eye(classes)[labels], shares, average=average)
    return {
        "name": name, "loss": "binary_cross_entropy" if outputs.shape[1] == 1 else "cross_entropy",
        "outputs": singles(outputs), "targets": singles(labels),
        "metrics": {key: float(value) for key, value in found.items()},
        "confusion": metrics.confusion_matrix(labels, called, labels=range(classes)).tolist(),
    }


def of_numbers(name, predicted, targets, mean=0.0, std=1.0):
    predicted, targets = np.float32(predicted), np.float32(targets)
    before = [values.astype(np.float64) * std + mean for values in (targets, predicted)]
    found = {
        "rmse": metrics.root_mean_squared_error(*before),
        "mae": metrics.mean_absolute_error(*before),
        "r2": metrics.r2_score(targets.astype(np.float64), predicted.astype(np.float64)),
    }
    return {
        "name": name, "loss": "mse", "mean": mean, "std": std, "outputs": singles(predicted),
        "targets": singles(targets), "metrics": {key: float(value) for key, value in found.items()},
    }


def measures():
    random = np.random.RandomState(11)
    skewed = random.choice(6, 90, p=[0.45, 0.25, 0.12, 0.08, 0.06, 0.04])
    skewed[:6] = range(6)
    helped = random.normal(0, 1.5, (90, 6)) + 1.2 * np.eye(6)[skewed]
    # Nine different rows with equal outputs in them, each of a scale of its own: probabilities are equal
    # exactly where rows are, whatever the order of sums.
    ties = (random.randint(-2, 3, (9, 4)) * np.linspace(0.5, 1.7, 9)[:, None])[random.randint(0, 9, 80)]
    four = random.randint(0, 4, 80)
    two = random.randint(0, 2, 70)
    one = random.normal(0, 1, (70, 1)) + two[:, None]
    numbers = random.normal(0, 1, 40)
    return {"cases": [
        of_classes("six classes of very different size", helped, skewed),
        of_classes("four classes with many equal outputs", ties, four),
        # Of five classes one has no example and another is never called.
        of_classes("a class without examples and one never called",
                   random.normal(0, 1, (50, 5)) - [0, 0, 0, 0, 99], random.choice([0, 1, 2, 4], 50)),
        of_classes("a class that neither occurs nor is called",
                   random.normal(0, 1, (50, 4)) - [0, 0, 0, 99], random.choice([0, 1, 2], 50)),
        of_classes("surely wrong", [[60, -60, 0], [-60, 60, 0], [0, 1, 2], [3, 0, 0]], [1, 1, 2, 0]),
        of_classes("two classes, one output", one, two),
        of_classes("two classes, one output, ties", np.round(one), two),
        of_classes("two classes, two outputs, ties", np.round(np.hstack([one[::-1], one])), two),
        of_classes("two classes, nothing called the second", np.full((9, 1), -1.0), [0, 1, 0, 0, 1, 0, 1, 0, 0]),
        of_classes("two classes, one of them alone", one[:5], np.zeros(5, int)),
        of_numbers("numbers", numbers + random.normal(0, 0.4, 40), numbers, 250.5, 31.25),
        of_numbers("a worse guess than the mean", -numbers, numbers),
        of_numbers("targets without spread", np.linspace(0, 1, 6), np.full(6, 0.5)),
        of_numbers("perfect on targets without spread", np.full(6, 0.5), np.full(6, 0.5)),
    ]}


def main():
    versions = {"torch": torch.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__}
    for name, fixture in [("losses", losses()), ("metrics", measures())]:
        path = FIXTURES / f"{name}.json"
        path.write_text(json.dumps({"versions": versions} | fixture, separators=(",", ":")) + "\n")
        print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
