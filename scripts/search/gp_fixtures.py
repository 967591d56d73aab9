"""Writes what SciPy and scikit-learn say of the parts of the Gaussian process sampler.

    python -m venv VENV && VENV/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 mpmath==1.4.1
    VENV/bin/python scripts/search/gp_fixtures.py
"""

import json
import pathlib

import mpmath
import numpy as np
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

FOLDER = pathlib.Path(__file__).parents[2] / "crates/luthier-search/tests/fixtures"


def process():
    """Rows of two scaled columns and one of three options, which is one-hot with 1/sqrt(2) for scikit-learn."""
    rng = np.random.default_rng(3)
    n, lengths, scale, noise = 25, [0.3, 0.7, 1.5], 1.7, 0.05
    rows = np.column_stack([rng.random((n, 2)), rng.integers(0, 3, n)])
    y = np.sin(5 * rows[:, 0]) + rows[:, 1] ** 2 + 0.3 * rows[:, 2] + 0.1 * rng.standard_normal(n)
    # Luthier keeps coordinates off 0 and 1 by 1e-4, where slopes of its warp may be infinite.
    inner = lambda u: 1e-4 + (1 - 2e-4) * u
    one_hot = lambda rows: np.column_stack([inner(rows[:, :2]), np.eye(3)[rows[:, 2].astype(int)] / np.sqrt(2)])
    kernel = ConstantKernel(scale) * Matern(lengths[:2] + [lengths[2]] * 3, nu=2.5) + WhiteKernel(scale * noise)
    # The mean of the largest likelihood, which scikit-learn does not estimate.
    inverse = np.linalg.inv(kernel(one_hot(rows)))
    mean = inverse.sum(0) @ y / inverse.sum()
    model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(one_hot(rows), y - mean)
    at = np.column_stack([rng.random((5, 2)), rng.integers(0, 3, 5)])
    means, deviations = model.predict(one_hot(at), return_std=True)
    # Of the function, without the noise of an observation.
    deviations = np.sqrt(deviations**2 - scale * noise)
    return {
        "lengths": lengths, "scale": scale, "noise": noise, "rows": rows.tolist(), "y": y.tolist(),
        "log_likelihood": model.log_marginal_likelihood_value_, "at": at.tolist(),
        "means": (means + mean).tolist(), "deviations": deviations.tolist(),
    }  # fmt: skip


def yeo_johnson():
    rng = np.random.default_rng(5)
    cases = []
    for y in (rng.exponential(1, 30), -rng.gamma(2, 1, 30), rng.standard_normal(30)):
        y = (y - y.mean()) / y.std()
        images, best = stats.yeojohnson(y)
        cases.append({"y": y.tolist(), "lambda": best, "images": images.tolist()})
    return cases


def log_h(z):
    """log(phi(z) + z Phi(z)) in 60 digits."""
    mpmath.mp.dps = 60
    z = mpmath.mpf(z)
    return float(mpmath.log(mpmath.npdf(z) + z * mpmath.ncdf(z)))


def main():
    z = [-1e4, -300.0, -40.0, -25.5, -24.5, -10.0, -3.0, -1.01, -0.99, -0.5, 0.0, 0.7, 3.0, 20.0]
    p = [1e-12, 1e-5, 0.01, 0.024, 0.025, 0.3, 0.5, 0.9, 0.976, 0.999999]
    u = [0.0, 0.1, 0.5, 0.93, 1.0]
    fixture = {
        "process": process(),
        "yeo_johnson": yeo_johnson(),
        "log_h": [[x, log_h(x)] for x in z],
        "normal_quantile": [[x, float(stats.norm.ppf(x))] for x in p],
        "kumaraswamy": [[x, a, b, 1 - (1 - (1e-4 + (1 - 2e-4) * x)**a) ** b] for x in u for a, b in ((0.5, 2.0), (3.0, 0.7), (1.0, 1.0))],
    }
    (FOLDER / "gaussian_process.json").write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
