"""How long the program takes to start, compared with an interpreter that does nothing.

    python -m benchmarks.startup [--repeats 5]

Each start is a process of its own. Prints the processor seconds of each command, the median, and its ratio to the bare
interpreter. Ends with an error if a command fails.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

BARE = ("-c", "pass")
COMMANDS = {"--version": ("-m", "maskstack", "--version"), "--help": ("-m", "maskstack", "--help")}


def seconds(arguments: tuple[str, ...]) -> float:
    """Processor seconds of one process of this interpreter.

    Raises:
        SystemExit: The process failed, so there is nothing to measure.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"python {' '.join(arguments)} failed, so its start was not measured: {done.stderr[-500:]}")
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main() -> None:
    """Measure all commands in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="measure each command once")
    arguments = parser.parse_args()
    repeats = 1 if arguments.smoke else arguments.repeats
    taken: dict[str, list[float]] = {"bare": [], **{name: [] for name in COMMANDS}}
    for _ in range(repeats):
        for name, command in {"bare": BARE, **COMMANDS}.items():
            taken[name].append(seconds(command))
    bare = statistics.median(taken["bare"])
    print("| command | processor seconds | relative to a bare interpreter |")
    print("|---|---|---|")
    for name, each in taken.items():
        middle = statistics.median(each)
        print(f"| {name} | {middle:.2f} | {middle / max(bare, 1e-3):.1f} x |")


if __name__ == "__main__":
    main()
