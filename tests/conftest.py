"""What all tests share."""

import gc
import os
from collections.abc import Iterator

# Networks of the tests are small: a second thread costs more than it gives, and much more on a busy machine. Processes
# that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import pytest

from maskstack.allocator import give_back_blocks

# No promise is about the time that an example takes, which on a busy machine is anything.
hypothesis.settings.register_profile(
    "any speed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any speed")


@pytest.fixture(scope="module", autouse=True)
def memory_is_given_back() -> Iterator[None]:
    """Give memory back that the command line, called by many tests, makes its process keep; this process lives long."""
    yield
    give_back_blocks()


@pytest.fixture
def new_objects_alone() -> Iterator[None]:
    """``gc`` sees the objects of this test alone, and not the millions that other tests and packages left."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def small_bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled network takes a third of its usual pixels, in this process, for tests that are not about the map."""
    from maskstack.models.from_bundled import LITES

    monkeypatch.setitem(LITES, "lite0", (128, "demo"))  # type: ignore[arg-type]


@pytest.fixture
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every preset searches in few steps, for tests in which only that something runs is of interest."""
    from maskstack.masks.presets import PRESETS

    for name, settings in PRESETS.items():
        monkeypatch.setitem(PRESETS, name, settings.with_(steps=3, members=min(settings.members, 2)))  # type: ignore[arg-type]


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking again and again at the millions of objects of packages and tests."""
    gc.collect()
    gc.freeze()
