"""Writes what scikit-learn, NumPy and Arrow make of small data, for tests/data_sources.rs.

    python scripts/train/data_fixtures.py     (needs scikit-learn, pandas and pyarrow)

Columns scaled to [0, 1] behind each way of filling in missing values; sizes of the folds of cross-validation; words
with their counts; outliers; and the same table in Parquet files of several kinds.
"""

import datetime
import json
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sklearn
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit
from sklearn.preprocessing import MinMaxScaler

FIXTURES = pathlib.Path(__file__).parents[2] / "crates/luthier-train/tests/fixtures"
NUMERIC = ["age", "income", "rooms"]
TRAIN = 60


def scaling():
    data = pd.read_csv(FIXTURES / "preprocess.csv")
    train, cases = data[:TRAIN], {}
    for name, imputer in {
        "\"mean\"": SimpleImputer(strategy="mean"),
        "\"median\"": SimpleImputer(strategy="median"),
        "\"most_frequent\"": SimpleImputer(strategy="most_frequent"),
        "{ constant = 0.0 }": SimpleImputer(strategy="constant", fill_value=0.0),
        "{ constant = -7.5 }": SimpleImputer(strategy="constant", fill_value=-7.5),
    }.items():
        scaler = MinMaxScaler().fit(imputer.fit_transform(train[NUMERIC]))
        cases[name] = scaler.transform(imputer.transform(data[NUMERIC])).round(9).tolist()
    return {"train": TRAIN, "columns": NUMERIC, "normalize": cases}


def folds():
    random = np.random.RandomState(1)
    cases = []
    for n, k in [(20, 5), (23, 5), (11, 10), (100, 3)]:
        sizes = [len(part) for _, part in KFold(k, shuffle=True, random_state=0).split(np.zeros(n))]
        cases.append({"kind": "plain", "rows": n, "folds": k, "sizes": sizes})
        parts = [[len(train), len(part)] for train, part in TimeSeriesSplit(k).split(np.zeros(n))] if n > k else []
        cases.append({"kind": "time", "rows": n, "folds": k, "sizes": parts})
    for counts, k in [([10, 20, 30], 5), ([7, 11, 5], 5), ([101, 3, 12, 9], 3), ([6, 6, 6, 6], 4)]:
        labels = np.repeat(np.arange(len(counts)), counts)
        split = StratifiedKFold(k, shuffle=True, random_state=0).split(labels, labels)
        sizes = [np.bincount(labels[part], minlength=len(counts)).tolist() for _, part in split]
        cases.append({"kind": "stratify", "counts": counts, "folds": k, "sizes": sizes})
    for k in [2, 3, 5]:
        groups = random.choice(12, 90, p=np.arange(1, 13) / 78)
        sizes = sorted(len(part) for _, part in GroupKFold(k).split(groups, groups=groups))
        cases.append({"kind": "group", "groups": groups.tolist(), "folds": k, "sizes": sizes})
    return cases


def vocabulary():
    random = np.random.RandomState(2)
    words = ["the", "The", "film", "Film's", "was", "3.5", "great", "GREAT", "Über", "naïve", "x2", "isn't", "a", "dull"]
    marks = [" ", ", ", ". ", " – ", "! ", " (", ") "]
    texts = ["".join(random.choice(words) + random.choice(marks) for _ in range(random.randint(0, 30))) for _ in range(40)]
    # A word here is letters and digits with single apostrophes or points between them.
    counter = CountVectorizer(token_pattern=r"(?u)\b\w+(?:['.]\w+)*\b").fit(texts)
    counts = np.asarray(counter.transform(texts).sum(axis=0))[0]
    pairs = sorted(zip(counter.get_feature_names_out().tolist(), counts.tolist()), key=lambda pair: (-pair[1], pair[0]))
    return {"texts": texts, "words": pairs}


def outliers():
    values = np.random.RandomState(3).standard_t(1.5, 101).round(6)
    first, third = np.percentile(values, [25, 75])
    far = (values < first - 3 * (third - first)) | (values > third + 3 * (third - first))
    return {"values": values.tolist(), "count": int(far.sum())}


def parquet():
    day, second = datetime.date, datetime.datetime
    table = pa.table({
        "flag": pa.array([True, False, None, True, False, True]),
        "small": pa.array([1, -2, 3, None, 5, 6], pa.int8()),
        "unsigned": pa.array([2**32 - 1, 0, 1, 2, 3, 4], pa.uint32()),
        "long": pa.array([2**40, 1, None, 3, 4, 5], pa.int64()),
        "half": pa.array([np.float16(0.5), np.float16(-2), None, np.float16(1), np.float16(0), np.float16(65504)], pa.float16()),
        "single": pa.array([0.1, 2.5, None, 1, 2, 3], pa.float32()),
        "double": pa.array([0.1, float("nan"), None, 1e-300, 2, 3], pa.float64()),
        "decimal": pa.array([None, "1.25", "-0.05", "3.00", "4.10", "99999.99"]).cast(pa.decimal128(7, 2)),
        "day": pa.array([day(1970, 1, 2), day(2026, 1, 31), None, day(1969, 12, 31), day(2000, 2, 29), day(2000, 3, 1)]),
        "moment": pa.array([second(1970, 1, 1, 0, 1, 0, 500000)] * 5 + [None], pa.timestamp("ns")),
        "text": pa.array(["Zug", "Bern", None, "Zug", "Chur, \"x\"", "Bern"]),
        "dictionary": pa.array(["a", "b", "a", "a", "b", "a"]).dictionary_encode(),
        "price": pa.array([1.5, 2.5, 3.5, 4.5, 5.5, 6.5]),
    })
    for name, options in {
        "snappy": {"compression": "snappy", "row_group_size": 4},
        "zstd": {"compression": "zstd", "data_page_version": "2.0"},
        "gzip": {"compression": "gzip", "use_dictionary": False},
        "plain": {"compression": "none", "use_dictionary": False, "data_page_size": 16, "write_batch_size": 2},
    }.items():
        pq.write_table(table, FIXTURES / f"table_{name}.parquet", **options)
    numbers = {
        "small": [1, -2, 3, None, 5, 6], "unsigned": [2**32 - 1, 0, 1, 2, 3, 4], "long": [2**40, 1, None, 3, 4, 5],
        "half": [0.5, -2, None, 1, 0, 65504], "single": [float(np.float32(0.1)), 2.5, None, 1, 2, 3],
        "double": [0.1, None, None, 1e-300, 2, 3], "decimal": [None, 1.25, -0.05, 3, 4.1, 99999.99],
        "day": [1, 20484, None, -1, 11016, 11017], "moment": [60.5] * 5 + [None],
    }
    nested = pa.table({"x": [1, 2], "tags": pa.array([["a"], ["b", "c"]]), "y": ["a", "b"]})
    pq.write_table(nested, FIXTURES / "table_nested.parquet")
    return numbers


def main():
    fixture = {
        "scikit-learn": sklearn.__version__, "scaling": scaling(), "folds": folds(), "vocabulary": vocabulary(),
        "outliers": outliers(), "parquet": parquet(),
    }
    (FIXTURES / "data.json").write_text(json.dumps(fixture, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
