"""The functions that users pass in, each a protocol: its arguments with shapes and ranges, and its result.

Arguments before the slash are passed by position, so a function may name them as it likes; those after it are passed by
name. A mean over the batch is never taken by these functions: losses and penalties return one value a sample.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import jax

PyTree = Any
Key = jax.Array  # a typed PRNG key, jax.random.key(seed)
Images = jax.Array  # [B, H, W, C] float32 in [-1, 1]; [B, 2] for points in the plane
Condition = PyTree  # arrays [B, ...]: vectors, images, masks, several of them in a dict
Labels = jax.Array  # [B] int32, zeros when unconditional; where the data carry a condition, that
Latents = jax.Array  # [B, D] float32
Logits = jax.Array  # [B] float32, higher means more real
Judgement = Any  # what D returns: logits [B], of patches [B, ...], or a tuple of these, one for each scale
TermBatch = Mapping[str, PyTree]  # what a term of G's loss sees of the batch, see `TermFunction`


class NetworkInit(Protocol):
    """First weights of a network."""

    def __call__(self, key: Key, /) -> tuple[PyTree, PyTree]:
        """Draws parameters and statistics.

        Args:
            key: a typed PRNG key.

        Returns:
            `(params, stats)`, plain nested dicts of arrays. Optimizers change the parameters; statistics (running means,
            power iteration's vectors) change as `apply` returns them. Without statistics `stats` is `{}`.
        """
        ...


class NetworkApply(Protocol):
    """A network as a pure function."""

    def __call__(
        self, params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, /, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        """Applies the network.

        Args:
            params: parameters, as `init` returns them.
            stats: statistics, as `init` or the last call returned them.
            x: latents `[B, D]` of a generator, images `[B, ...]` of a discriminator.
            labels: `[B]` int32, zeros when unconditional; or the condition of each sample as the batch holds it, any pytree of
                arrays `[B, ...]`.
            key: draws the network's own noise, such as dropout.
            train: True in every loss; False when samples are drawn.

        Returns:
            `(y, stats)`: images `[B, ...]` in [-1, 1] of a generator, logits `[B]` of a discriminator (`[B / m]` of one that
            judges packs of m; `[B, ...]` of one that judges patches, or a tuple of these, one for each scale); and the new
            statistics, of the structure of the old ones.
        """
        ...


class NetworkFeatures(Protocol):
    """D's features, for terms that compare them."""

    def __call__(self, params: PyTree, stats: PyTree, x: Images, labels: Labels, key: Key, /, *, train: bool) -> PyTree:
        """Maps images to features; arguments as of `NetworkApply`.

        Args:
            params: parameters.
            stats: statistics; new ones are not kept.
            x: `[B, ...]`.
            labels: `[B]` int32, or a condition.
            key: draws the network's own noise.
            train: as of `NetworkApply`.

        Returns:
            Arrays `[B, ...]` in any structure, such as one for each layer.
        """
        ...


class StyleMap(Protocol):
    """The first half of a generator with a mapping: latents to styles."""

    def __call__(
        self,
        params: PyTree,
        stats: PyTree,
        z: Latents,
        labels: Labels,
        key: Key,
        /,
        *,
        train: bool,
        truncation: float | None = None,
    ) -> tuple[jax.Array, PyTree]:
        """Maps latents to styles.

        Args:
            params: parameters.
            stats: statistics.
            z: `[B, D]`.
            labels: `[B]` int32.
            key: draws the network's own noise.
            train: as of `NetworkApply`.
            truncation: psi, which takes styles to `mean + psi (w - mean)`; None for none.

        Returns:
            `(w, stats)`: styles `[B, L, D_w]`, one for each layer, and the new statistics.
        """
        ...


class Synthesis(Protocol):
    """The second half of a generator with a mapping: styles to images."""

    def __call__(self, params: PyTree, stats: PyTree, w: jax.Array, key: Key, /, *, train: bool) -> Images:
        """Maps styles `[B, L, D_w]` to images `[B, H, W, C]`; image i depends on styles i only.

        Args:
            params: parameters.
            stats: statistics.
            w: `[B, L, D_w]`.
            key: draws the network's own noise.
            train: as of `NetworkApply`.

        Returns:
            Images `[B, H, W, C]` in [-1, 1].
        """
        ...


class LossFunction(Protocol):
    """One player's loss."""

    def __call__(self, real_logits: Logits, fake_logits: Logits, /) -> jax.Array:
        """Maps D's logits to the loss of each sample.

        Args:
            real_logits: `[B]`, of real images.
            fake_logits: `[B]`, of generated images.

        Returns:
            `[B]`, to be minimised in the mean. G's loss gets real images of its own when it uses `real_logits`.
        """
        ...


class Critic(Protocol):
    """D with everything but the images held fixed."""

    def __call__(self, images: Images, /) -> Logits:
        """Judges images.

        Args:
            images: `[B, ...]`, or k batches `[kB, ...]` interleaved image by image, `x_0 y_0 x_1 y_1 ..`: so they share the
                labels, and a batch sharded over devices stays where it is.

        Returns:
            Logits `[kB]`, or `[kB / m]` of packs of m.
        """
        ...


class Penalty(Protocol):
    """A penalty on D."""

    def __call__(self, critic: Critic, real: Images, fake: Images, key: Key, /) -> jax.Array:
        """Maps a critic and images to the penalty of each sample, without its weight gamma.

        Args:
            critic: D as a function of images alone.
            real: real images, `[B, ...]`.
            fake: generated images, `[B, ...]`; no gradient flows into G.
            key: for penalties that draw points.

        Returns:
            `[B]`, or `[B / m]` of packs of m.
        """
        ...


class Augment(Protocol):
    """An augmentation of all that D sees."""

    def __call__(self, key: Key, images: Images, strength: jax.Array, /) -> Images:
        """Augments images, each by draws of its own. G's gradient flows through.

        Args:
            key: draws the transformations.
            images: `[B, H, W, C]` in [-1, 1].
            strength: scalar, at least 0; 0 leaves the images as they are.

        Returns:
            Images `[B, H, W, C]`.
        """
        ...


class TermFunction(Protocol):
    """A term of G's loss besides the adversarial one."""

    def __call__(self, fake: Images, batch: TermBatch, key: Key, /) -> jax.Array:
        """Maps generated images and the batch that they belong to to the term of each sample, without its weight.

        Args:
            fake: `[B, ...]`; image i was made with the label or condition of real image i.
            batch: what the step was given, cut to this update: `image [B, ...]`, `label`, `condition` and anything further of
                the user's; where D has `features`, also `real_features` and `fake_features`, of D held fixed and of what it
                sees, augmented images.
            key: for terms that draw.

        Returns:
            `[B]`.
        """
        ...


class LatentDistribution(Protocol):
    """The distribution of z."""

    def __call__(self, key: Key, shape: tuple[int, ...], /) -> Latents:
        """Draws latents.

        Args:
            key: a typed PRNG key.
            shape: `(B, D)` in training, `(D,)` for one latent of a sample.

        Returns:
            `[*shape]` float32.
        """
        ...


class Schedule(Protocol):
    """A hyperparameter as a function of time."""

    def __call__(self, shown: jax.Array, /) -> jax.Array:
        """Evaluates the schedule.

        Args:
            shown: images shown to D so far, scalar float32.

        Returns:
            The value, scalar.
        """
        ...


class FeatureNet(Protocol):
    """A network whose features a metric compares."""

    def __call__(self, images: jax.Array, /) -> jax.Array:
        """Maps images to features.

        Args:
            images: `[B, H, W, C]` uint8.

        Returns:
            Features `[B, F]` float32; those of image i depend on image i only.
        """
        ...


class GPenaltyApply(Protocol):
    """A penalty on G that keeps a running average."""

    def __call__(
        self, params: PyTree, stats: PyTree, z: Latents, labels: Labels, key: Key, average: jax.Array, /
    ) -> tuple[jax.Array, jax.Array]:
        """Maps G's parameters to the penalty.

        Args:
            params: G's parameters.
            stats: G's statistics.
            z: `[B, D]`.
            labels: `[B]` int32.
            key: for penalties that draw directions.
            average: the running average, scalar.

        Returns:
            `(penalty, average)`: `[B']`, weighted, B' at most B; and the new running average.
        """
        ...
