"""The metrics beside the packages that papers quote, on the same features: what each gives, and how far apart they are.

    python tests/benchmarks/metrics_against_others.py [--real 1200] [--fake 1000] [--features 256]

Needs the packages torch-fidelity, pytorch-fid, clean-fid and prdc, with torch. Prints rows of a Markdown table.
"""

import argparse
import contextlib
import io
from collections.abc import Iterator
from typing import Any

import cleanfid.fid
import numpy as np
import prdc as authors
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

from jaxgan.evaluation.metrics.frechet import frechet_distance
from jaxgan.evaluation.metrics.inception_score import inception_score
from jaxgan.evaluation.metrics.kernel import kernel_distance
from jaxgan.evaluation.metrics.moments import moments
from jaxgan.evaluation.metrics.prdc import prdc
from jaxgan.evaluation.metrics.precision_recall import precision_recall

Row = tuple[str, float, float]


def features(seed: int, n: int, size: int, scale: float) -> np.ndarray:
    """Not negative and of about 64 dimensions with some noise, as a network's last layer has them."""
    mixing = np.random.default_rng(0).standard_normal((64, size), dtype=np.float32) / 8.0
    draw = np.random.default_rng(seed)
    latent = scale * draw.standard_normal((n, 64), dtype=np.float32)
    return np.maximum(latent @ mixing + 0.3 * draw.standard_normal((n, size), dtype=np.float32), 0.0)


def frechet(real: np.ndarray, fake: np.ndarray) -> Iterator[Row]:
    found = frechet_distance(moments(real), moments(fake))
    statistics = [(np.mean(x, axis=0), np.cov(x, rowvar=False)) for x in (real.astype(np.float64), fake.astype(np.float64))]
    yield "FID, pytorch-fid", found, float(calculate_frechet_distance(*statistics[0], *statistics[1]))
    yield "FID, clean-fid", found, float(cleanfid.fid.fid_from_feats(real, fake))
    theirs = [metric_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake)]
    yield (
        "FID, torch-fidelity",
        found,
        metric_fid.fid_statistics_to_metric(*theirs, verbose=False)["frechet_inception_distance"],
    )


def kernel(real: np.ndarray, fake: np.ndarray) -> Iterator[Row]:
    size = min(len(real), len(fake), 1000)
    options: dict[str, Any] = {"kid_subsets": 20, "kid_subset_size": size, "rng_seed": 2020, "verbose": False}
    theirs = metric_kid.kid_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), **options)
    found = kernel_distance(fake, real, subsets=20)  # both draw generated samples first
    yield "KID mean, torch-fidelity", found.mean, theirs["kernel_inception_distance_mean"]
    yield "KID deviation, torch-fidelity", found.deviation, theirs["kernel_inception_distance_std"]
    # It draws with numpy's global state: of sets of equal size all samples, and which does not matter.
    x, y = real[:size], fake[:size]
    yield "KID, clean-fid", kernel_distance(y, x, subsets=1).mean, cleanfid.fid.kernel_distance(x, y, num_subsets=1)


def score(logits: np.ndarray) -> Iterator[Row]:
    for shuffled in (True, False):
        theirs = metric_isc.isc_features_to_metric(torch.from_numpy(logits), 10, shuffled, 2020)
        found = inception_score(logits, seed=2020 if shuffled else None)
        name = f"torch-fidelity, {'permuted' if shuffled else 'in order'}"
        yield f"IS mean, {name}", found.mean, theirs["inception_score_mean"]
        yield f"IS deviation, {name}", found.deviation, theirs["inception_score_std"]


def neighbourhoods(real: np.ndarray, fake: np.ndarray) -> Iterator[Row]:
    options: dict[str, Any] = {"prc_neighborhood": 3, "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False}
    theirs = metric_prc.prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), **options)
    for name, value in precision_recall(real, fake)._asdict().items():
        yield f"{name}, k = 3, torch-fidelity", value, float(theirs[name])
    with contextlib.redirect_stdout(io.StringIO()):
        published = authors.compute_prdc(real_features=real, fake_features=fake, nearest_k=5)
    for name, value in prdc(real, fake)._asdict().items():
        yield f"{name}, k = 5, prdc", value, float(published[name])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", type=int, default=1200)
    parser.add_argument("--fake", type=int, default=1000)
    parser.add_argument("--features", type=int, default=256)
    arguments = parser.parse_args()
    real, fake = features(1, arguments.real, arguments.features, 1.0), features(2, arguments.fake, arguments.features, 1.05)
    logits = 3.0 * np.random.default_rng(3).standard_normal((arguments.fake, 100), dtype=np.float32)
    print(f"{arguments.real} real and {arguments.fake} generated samples of {arguments.features} features\n")
    print("| figure, package | jaxgan | the package | relative difference |\n|---|---|---|---|")
    for rows in (frechet(real, fake), kernel(real, fake), score(logits), neighbourhoods(real, fake)):
        for name, ours, theirs in rows:
            print(f"| {name} | {ours:.9g} | {theirs:.9g} | {abs(ours - theirs) / max(abs(theirs), 1e-300):.1e} |", flush=True)


if __name__ == "__main__":
    main()
