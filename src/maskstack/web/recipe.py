"""The Python lines that make the same map again."""

from __future__ import annotations

_LINES = """\
from maskstack import MDM, load_model
from maskstack.models import open_photo

net = load_model({spec!r})
images = net.preprocess(open_photo({photo!r})).unsqueeze(0)
explanation = MDM(net, {settings})(images, {target})  # {name}
explanation.plot(net.picture(images[0])).savefig("figure.png")
explanation.save("explanation.safetensors")
"""


def recipe(*, spec: str, photo: str, preset: str, target: int, name: str, stopped_after: int | None = None) -> str:
    """Lines that make the map again.

    Args:
        spec: Of the network.
        photo: File name of the photo.
        preset: Of the search.
        target: Class index.
        name: Of the class.
        stopped_after: Steps after which the search was stopped; None if it ended by itself.

    >>> print(recipe(spec="bundled", photo="cat.jpg", preset="fast", target=282, name="tiger cat").splitlines()[5])
    explanation = MDM(net, preset='fast')(images, 282)  # tiger cat
    """
    settings = f"preset={preset!r}" + (f", steps={stopped_after}" if stopped_after else "")
    one_line = " ".join(name.split())
    return _LINES.format(spec=spec, photo=photo, settings=settings, target=target, name=one_line)
