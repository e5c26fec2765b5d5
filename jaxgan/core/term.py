"""A further term of G's loss as a value; nothing here loads JAX, so that a recipe may hold it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Term:
    """A term that G minimises besides its adversarial loss: `weight * mean f(G(z), batch, key)`.

    A balanced term is also multiplied by `|grad L_adv| / (|grad L_term| + 1e-6)`, at most 1e4, both gradients with respect to
    G's last layer: its pull on that layer is then `weight` times that of the adversarial loss, whatever its own scale.

    References:
        Esser et al. 2021, Taming transformers for high-resolution image synthesis (VQGAN), equation 7, which weighs the
        adversarial loss instead.
    """

    function: Any
    """The term, (fake, batch, key) -> [B] (see `TermFunction`): a function, or in a recipe also l1, l2, feature_matching,
    power_spectrum, or a reference."""
    weight: Any = 1.0
    """Its weight: a number, or a schedule in images shown."""
    starts: int = 0
    """Images shown to D before it acts; until then its weight is 0."""
    balanced: bool = False
    """Balance its gradient against the adversarial one."""
    layer: str = ""
    """Path of G's last layer among its parameters, joined by /, for balancing; by default what its init makes last."""
    name: str = ""
    """Its name in `info` and in the rows of metrics; by default its function's."""

    @property
    def label(self) -> str:
        """Returns the name, or that of the function."""
        if self.name or isinstance(self.function, str):
            return self.name or self.function.rpartition(":")[2].rpartition(".")[2]
        return getattr(self.function, "__name__", "")
