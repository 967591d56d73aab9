"""Writes what scikit-learn's make_classification yields, averaged over seeds, for tests/data_classification.rs.

    python scripts/data/classification_fixtures.py     (needs scikit-learn)

For each set of parameters and each statistic: its mean and standard deviation over the seeds. The Rust test computes
the same over seeds of its own and compares the means within five standard errors.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.datasets import make_classification

SEEDS = 300
CASES = {
    "defaults": dict(n_samples=400),
    "three_uneven_classes": dict(
        n_samples=500, n_features=12, n_informative=5, n_redundant=3, n_repeated=2, n_classes=3,
        n_clusters_per_class=1, weights=[0.6, 0.3], flip_y=0.0, class_sep=1.5,
    ),
    "polytope_with_flips": dict(
        n_samples=300, n_features=8, n_informative=4, n_redundant=2, n_classes=4, n_clusters_per_class=3,
        flip_y=0.2, class_sep=2.0, hypercube=False, shift=0.5, scale=3.0,
    ),
    "many_dimensions": dict(
        n_samples=200, n_features=45, n_informative=40, n_redundant=0, n_classes=2, class_sep=0.5, shuffle=False,
    ),
}


def accuracies(x, y):
    """Nearest centroid and 1-NN: learnt from the even rows, tested on the odd ones, columns as they are."""
    train_x, train_y, test_x, test_y = x[::2], y[::2], x[1::2], y[1::2]
    present = np.unique(train_y)
    centroids = np.stack([train_x[train_y == label].mean(axis=0) for label in present])
    distance = lambda points: ((test_x[:, None, :] - points[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)
    return (present[distance(centroids)] == test_y).mean(), (train_y[distance(train_x)] == test_y).mean()


def statistics(x, y, classes):
    variances = np.sort(x.var(axis=0))
    centroid, neighbour = accuracies(x, y)
    result = {f"share_{label}": (y == label).mean() for label in range(classes)}
    result |= {"variance_min": variances[0], "variance_median": np.median(variances), "variance_max": variances[-1]}
    return result | {"mean": x.mean(), "nearest_centroid": centroid, "nearest_neighbour": neighbour}


def main():
    cases = {}
    for name, parameters in CASES.items():
        rows = []
        for seed in range(SEEDS):
            x, y = make_classification(**parameters, random_state=seed)
            if not parameters.get("shuffle", True):  # in clusters: interleave them for the accuracies
                order = np.random.RandomState(seed).permutation(len(y))
                x, y = x[order], y[order]
            rows.append(statistics(x, y, parameters.get("n_classes", 2)))
        values = {key: [row[key] for row in rows] for key in rows[0]}
        cases[name] = {
            "statistics": {k: {"mean": float(np.mean(v)), "std": float(np.std(v, ddof=1))} for k, v in values.items()},
        }
    out = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures/classification.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    fixture = {"scikit-learn": sklearn.__version__, "seeds": SEEDS, "cases": cases}
    out.write_text(json.dumps(fixture, indent=1) + "\n")


if __name__ == "__main__":
    main()
