"""StyleGAN2 as it is defined: every convolution on the zero-inserted, padded, filtered image, with weights of its own for each
sample, in PyTorch's names and layouts (NCHW). Slow, and nothing of it shared with the library.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def correlate(x, w, stride=1):
    return lax.conv_general_dilated(x, w, (stride, stride), "VALID")


def padded(x, before, after):
    return jnp.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))


def zeros_between(x):
    n, c, h, w = x.shape
    return jnp.zeros((n, c, 2 * h, 2 * w), x.dtype).at[:, :, ::2, ::2].set(x)


def filtered(x, taps, gain=1.0):
    """A true convolution of each channel with the taps, where they fit."""
    n, c, h, w = x.shape
    kernel = jnp.asarray(taps[::-1, ::-1] * gain, x.dtype)[None, None]
    y = correlate(x.reshape(n * c, 1, h, w), kernel)
    return y.reshape(n, c, *y.shape[2:])


def resampled_conv(x, w, up=1, down=1, flip_weight=True, taps=FILTER):
    """`flip_weight=True` is correlation. Padding once, before the filter."""
    p, n = w.shape[-1] // 2, taps.shape[0]
    w = w if flip_weight else w[:, :, ::-1, ::-1]
    if up == 2:
        return correlate(filtered(padded(zeros_between(x), p + (n + 1) // 2, p + (n - 2) // 2), taps, 4.0), w)
    if down == 2:
        return correlate(filtered(padded(x, p + (n - 1) // 2, p + (n - 2) // 2), taps), w, 2)
    return correlate(padded(x, p, p), w)


def act(x, bias, linear=False, gain=1.0, clamp=None):
    x = x + bias.reshape((1, -1) + (1,) * (x.ndim - 2))
    x = gain * (x if linear else jnp.sqrt(2.0) * jnp.where(x > 0, x, 0.2 * x))
    return x if clamp is None else jnp.clip(x, -clamp * gain, clamp * gain)


def dense(t, name, x, multiplier=1.0, linear=False):
    w = t[f"{name}.weight"]
    return act(x @ (w * multiplier / np.sqrt(w.shape[1])).T, t[f"{name}.bias"] * multiplier, linear)


def unit(x):
    return x / jnp.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)


def mapping(t, z, one_hot):
    x = [] if z is None else [unit(z)]
    if one_hot is not None:
        x.append(unit(dense(t, "mapping.embed", one_hot, linear=True)))
    x = jnp.concatenate(x, axis=1)
    for i in range(sum(name.startswith("mapping.fc") for name in t) // 2):
        x = dense(t, f"mapping.fc{i}", x, 0.01)
    return x


def modulated(x, w, s, demodulate, up=1):
    w = w[None] * s[:, None, :, None, None]
    if demodulate:
        w = w / jnp.sqrt((w**2).sum(axis=(2, 3, 4), keepdims=True) + 1e-8)
    return jax.vmap(lambda x, w: resampled_conv(x[None], w, up, flip_weight=up == 1)[0])(x, w)


def synthesis(t, ws, noise, architecture, clamp=None):
    """`ws [B, num_ws, W]`; `noise` takes a layer's name to what is added, `[B or 1, 1, H, W]` or 0."""
    sides = sorted({int(name.split(".")[1][1:]) for name in t if name.startswith("synthesis.")})
    x, image, place = None, 0.0, 0

    def layer(name, x, w, up=1, gain=1.0):
        s = dense(t, f"{name}.affine", w, linear=True)
        x = modulated(x, t[f"{name}.weight"], s, True, up) + t[f"{name}.noise_strength"] * noise(name)
        return act(x, t[f"{name}.bias"], gain=gain, clamp=clamp)

    for side in sides:
        name = f"synthesis.b{side}"
        if x is None:
            x = layer(f"{name}.conv1", jnp.stack([t[f"{name}.const"]] * len(ws)), ws[:, 0])
            place = 1
        else:
            gain = np.sqrt(0.5) if architecture == "resnet" else 1.0
            y = 0.0
            if architecture == "resnet":
                w = t[f"{name}.skip.weight"]
                y = gain * resampled_conv(x, w / np.sqrt(w.shape[1]), up=2, flip_weight=False)
            x = layer(f"{name}.conv0", x, ws[:, place], up=2)
            x = layer(f"{name}.conv1", x, ws[:, place + 1], gain=gain) + y
            place += 2
            if architecture == "skip":
                image = filtered(padded(zeros_between(image), 2, 1), FILTER, 4.0)
        if architecture == "skip" or side == sides[-1]:
            w = t[f"{name}.torgb.weight"]
            s = dense(t, f"{name}.torgb.affine", ws[:, place], linear=True) / np.sqrt(w.shape[1])
            image = image + act(modulated(x, w, s, False), t[f"{name}.torgb.bias"], True, clamp=clamp)
    return image


def constant_noise(t):
    return lambda name: t[f"{name}.noise_const"][None, None]


def deviation(x, group, features):
    n, c, h, w = x.shape
    group = n if group is None else min(group, n)
    rows = []
    for i in range(n // group):
        members = x[i :: n // group].reshape(group, features, c // features, h, w)
        rows.append(jnp.sqrt(members.var(axis=0) + 1e-8).mean(axis=(1, 2, 3)))
    of_each = jnp.stack(rows * group)  # sample i is of group i % (n // group)
    return jnp.concatenate([x, jnp.broadcast_to(of_each[:, :, None, None], (n, features, h, w))], axis=1)


def discriminator(t, image, one_hot, architecture, group, features, clamp=None):
    def conv(name, x, down=1, gain=1.0, clamp=clamp):
        w = t[f"{name}.weight"]
        return act(resampled_conv(x, w / np.sqrt(np.prod(w.shape[1:])), down=down), t[f"{name}.bias"], False, gain, clamp)

    sides = sorted({int(name.split(".")[0][1:]) for name in t if name.startswith("b")}, reverse=True)
    x = 0.0
    for side in sides[:-1]:
        name = f"b{side}"
        if architecture == "skip" or side == sides[0]:
            x = x + conv(f"{name}.fromrgb", image)
        if architecture == "skip":
            image = filtered(padded(image, 1, 1), FILTER)[:, :, ::2, ::2]
        gain, y = 1.0, 0.0
        if architecture == "resnet":
            gain, w = np.sqrt(0.5), t[f"{name}.skip.weight"]
            y = gain * resampled_conv(x, w / np.sqrt(w.shape[1]), down=2)
        x = conv(f"{name}.conv1", conv(f"{name}.conv0", x), 2, gain) + y
    if architecture == "skip":
        x = x + conv("b4.fromrgb", image, clamp=None)
    x = conv("b4.conv", deviation(x, group, features))
    x = dense(t, "b4.out", dense(t, "b4.fc", x.reshape(len(x), -1)), linear=True)
    if one_hot is None:
        return x[:, 0]
    return (x * mapping(t, None, one_hot)).sum(axis=1) / np.sqrt(x.shape[1])
