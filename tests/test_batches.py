"""Many problems are worked through in chunks, and smaller ones when memory runs out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstack.batches import Batches, chunk_size
from maskstack.errors import ModelError

COUNTS, LIMITS = st.integers(0, 300), st.integers(1, 70)


class Memory:
    """Work that fits only so many at a time, and remembers the chunks it was given."""

    def __init__(self, fits: int, error: BaseException | None = None) -> None:
        self.fits, self.error = fits, error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        self.done: list[list[int]] = []
        self.refused: list[int] = []

    def __call__(self, chunk: torch.Tensor) -> int:
        if len(chunk) > self.fits:
            self.refused.append(len(chunk))
            raise self.error
        self.done.append(chunk.tolist())
        return len(self.done)


@given(COUNTS, LIMITS)
@settings(deadline=None)
def test_every_index_is_worked_on_once_in_order_and_within_the_limit(count: int, limit: int) -> None:
    work = Memory(fits=10_000)
    results = Batches(limit).run(torch.arange(count), work)
    assert sum(work.done, []) == list(range(count))  # noqa: RUF017
    assert all(1 <= len(chunk) <= limit for chunk in work.done)
    assert results == list(range(1, len(work.done) + 1))


@given(LIMITS)
@settings(deadline=None, max_examples=30)
def test_there_are_few_sizes_of_chunks_whatever_is_left(limit: int) -> None:
    sizes = {chunk_size(left, limit) for left in range(1, 301)}
    assert all(size == limit or size.bit_count() == 1 for size in sizes)
    assert len(sizes) <= limit.bit_length() + 1


@given(COUNTS, LIMITS, st.integers(1, 70))
@settings(deadline=None)
def test_running_out_of_memory_loses_and_repeats_nothing(count: int, limit: int, fits: int) -> None:
    work = Memory(fits)
    batches = Batches(limit)
    batches.run(torch.arange(count), work)
    assert sum(work.done, []) == list(range(count))  # noqa: RUF017
    assert all(later <= first // 2 for first, later in zip(work.refused, work.refused[1:], strict=False))
    tries = len(work.refused)
    batches.run(torch.arange(count), work)
    assert len(work.refused) == tries, "the limit must stay where memory sufficed"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("could not create a memory object"),
        RuntimeError("MPS backend out of memory"),
    ],
    ids=repr,
)
def test_every_backends_way_of_running_out_is_known(error: BaseException) -> None:
    work = Memory(2, error)
    Batches(8).run(torch.arange(5), work)
    assert work.done == [[0, 1], [2, 3], [4]]
    with pytest.raises(ModelError, match="one image alone does not fit in memory; use a smaller input") as caught:
        Batches(8).run(torch.arange(5), Memory(0, error))
    assert caught.value.__cause__ is error


def test_a_real_allocation_that_cannot_be_made_is_survived() -> None:
    def work(chunk: torch.Tensor) -> int:
        torch.empty(2**60 if len(chunk) > 1 else 1, dtype=torch.uint8)
        return len(chunk)

    assert Batches(4).run(torch.arange(3), work) == [1, 1, 1]


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("out of memory")], ids=repr)
def test_other_errors_come_through_after_one_image_alone_was_tried(error: Exception) -> None:
    work = Memory(0, error)
    with pytest.raises(type(error)) as caught:
        Batches(8).run(torch.arange(8), work)
    assert caught.value is error
    assert work.refused == [8, 1]


def test_a_network_for_one_image_at_a_time_gets_one_at_a_time() -> None:
    work = Memory(1, AssertionError("Guard failed: images.size()[0] == 1"))
    Batches(8).run(torch.arange(11), work)
    assert work.done == [[index] for index in range(11)]
    assert work.refused == [8]


def test_an_error_with_a_sentence_of_its_own_comes_through_at_once() -> None:
    work = Memory(0, ModelError("no gradient reaches the image"))
    with pytest.raises(ModelError, match="no gradient"):
        Batches(8).run(torch.arange(8), work)
    assert work.refused == [8]
