"""Writes a small table and what scikit-learn makes of it, for tests/data_preprocess.rs.

    python scripts/data/preprocess_fixtures.py     (needs scikit-learn and pandas)

Imputed, standardised and one-hot encoded columns of all rows, fitted on the first rows alone; and the class counts of
stratified splits.
"""

import json
import pathlib

import numpy as np
import pandas as pd
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FIXTURES = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures"
NUMERIC = ["age", "income", "rooms", "constant"]
TRAIN = 60


def table():
    random = np.random.RandomState(0)
    n = 80
    data = pd.DataFrame({
        "age": random.randint(18, 90, n).astype(float),
        "income": np.round(np.exp(random.normal(10, 1, n)), 2),
        "town": random.choice(["Bern", "Chur", "Zug, Stadt", 'the "Capital"'], n),
        "rooms": random.randint(1, 6, n).astype(float),
        "constant": 3.25,
        "price": np.round(random.normal(500, 120, n), 3),
    })
    data.loc[random.choice(n, 12, replace=False), "age"] = np.nan
    data.loc[random.choice(n, 9, replace=False), "rooms"] = np.nan
    data.loc[random.choice(n, 7, replace=False), "town"] = np.nan
    return data


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    data = table()
    data.to_csv(FIXTURES / "preprocess.csv", index=False)
    train = data[:TRAIN]
    numeric = {}
    for rust, strategy in [("mean", "mean"), ("median", "median"), ("most_frequent", "most_frequent")]:
        imputer = SimpleImputer(strategy=strategy).fit(train[NUMERIC])
        scaler = StandardScaler().fit(imputer.transform(train[NUMERIC]))
        numeric[rust] = {
            "fill": imputer.statistics_.tolist(),
            "mean": scaler.mean_.tolist(),
            "std": scaler.scale_.tolist(),
            "encoded": scaler.transform(imputer.transform(data[NUMERIC])).tolist(),
        }
    towns = sorted(train["town"].dropna().unique())
    one_hot = OneHotEncoder(categories=[towns], handle_unknown="ignore", sparse_output=False).fit(
        pd.DataFrame({"town": towns})
    )
    target = StandardScaler().fit(train[["price"]])
    splits = []
    for counts, validation in [([500, 300, 200], 0.1), ([37, 101, 11, 251], 0.2), ([90, 10], 0.25), ([7, 7, 7], 0.33)]:
        labels = np.repeat(np.arange(len(counts)), counts)
        size = int(np.floor(validation * len(labels) + 0.5))
        _, part = train_test_split(labels, test_size=size, stratify=labels, random_state=0)
        splits.append({"counts": counts, "share": validation, "part": np.bincount(part).tolist()})
    fixture = {
        "scikit-learn": sklearn.__version__, "train": TRAIN, "columns": NUMERIC, "numeric": numeric, "towns": towns,
        "one_hot": one_hot.transform(data[["town"]]).tolist(),
        "target": {"mean": target.mean_[0], "std": target.scale_[0],
                   "encoded": target.transform(data[["price"]])[:, 0].tolist()},
        "splits": splits,
    }
    (FIXTURES / "preprocess.json").write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
