"""The demonstration of ``make demo``: what did a real ImageNet network see in three real photographs?

Usage: python examples/demo.py [FOLDER]
"""

import sys

from maskstack.cli.main import main
from maskstack.samples import sample_files


def demo(out: str) -> int:
    """Explain the cat, the coffee and the cameraman with the bundled network."""
    return main(["explain", *map(str, sample_files()), "--out", out])


if __name__ == "__main__":
    sys.exit(demo(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
