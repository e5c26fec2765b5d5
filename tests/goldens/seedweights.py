"""Name-seeded weights (own code, numpy only; safe to copy into a project's tests).

w(name, shape) = transform( default_rng(int(sha256(name).hexdigest()[:8], 16)).standard_normal(shape) ),
computed in float64 with C order over the *PyTorch* shape, then cast to float32.
The transform is picked by name and shape:
  *.num_batches_tracked        -> int64 zero
  *running_var / *stored_var   -> exp(0.2 n)
  *running_mean / *stored_mean -> 0.1 n
  *.bn.weight / 1-D 'weight'   -> 1 + 0.1 n
  1-D 'bias' (any case)        -> 0.1 n
  2-D weight (out, in)         -> n / sqrt(in)
  >=3-D weight (out, in/g, k*) -> n * sqrt(2 / prod(shape[1:]))
"""

import hashlib

import numpy as np


def raw(name, shape):
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).standard_normal(tuple(shape))


def make(name, shape):
    last = name.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(tuple(shape), np.int64)
    n = raw(name, shape)
    if last in ("running_var", "stored_var"):
        w = np.exp(0.2 * n)
    elif last in ("running_mean", "stored_mean") or last.lower() == "bias":
        w = 0.1 * n
    elif len(shape) == 1:
        w = 1 + 0.1 * n
    elif len(shape) == 2:
        w = n / np.sqrt(shape[1])
    else:
        w = n * np.sqrt(2.0 / np.prod(shape[1:]))
    return w.astype(np.float32)
