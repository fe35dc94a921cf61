"""How the passes of a network are run: the user's choice of a speed, and what follows from it on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Speed = Literal["auto", "plain", "half", "compiled", "half_compiled"]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How passes are run.

    Attributes:
        half: bf16 autocast around the network.
        channels_last: Give the network images in the channels-last memory format.
        fold: Run a view of the network with its batch norms folded into convolutions, if its output agrees.
        compile: Run the network through ``torch.compile``, which fuses batch norms itself, so nothing is folded.
        graphs: Record the compiled passes as CUDA graphs, which are then started as a whole.
    """

    half: bool = False
    channels_last: bool = False
    fold: bool = False
    compile: bool = False
    graphs: bool = False


PLAIN = Way()


def way_for(speed: Speed, device: str, *, fold: bool = True) -> Way:
    """How passes are run for a speed, on a type of device.

    - ``auto``: the fastest way on the CPU that starts at once and changes the output by no more than rounding.
    - ``plain``: the network as it is.
    - ``half``: as auto, but in half precision (bf16 autocast). The map may change.
    - ``compiled``: ``torch.compile``, on CUDA with CUDA graphs. It takes about a minute to start, for each batch size.
    - ``half_compiled``: both.

    ``auto`` is the same on every run, since timing the alternatives would make maps depend on the load of the machine.

    Args:
        speed: The choice.
        device: Type of the images' device, such as ``cpu`` or ``cuda``.
        fold: False for what looks at the network's own modules, which folding replaces.

    >>> way_for("auto", "cpu")
    Way(half=False, channels_last=True, fold=True, compile=False, graphs=False)
    >>> way_for("compiled", "cuda").graphs
    True
    """
    if speed == "plain":
        return PLAIN
    compiled = speed in ("compiled", "half_compiled")
    return Way(
        half=speed in ("half", "half_compiled"),
        # On mps, gradients of such images are slow, and were wrong in places (pytorch issues 193349 and 180984).
        channels_last=device != "mps",
        fold=fold and not compiled,
        compile=compiled,
        graphs=compiled and device == "cuda",
    )
