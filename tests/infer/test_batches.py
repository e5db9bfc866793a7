"""Minibatches: every example at most once an epoch, the order a function of seed and epoch."""

import pytest
import torch

from l0bayes.infer import Minibatches

X = torch.arange(10.0)[:, None] * torch.ones(3)
Y = torch.arange(10)


def rows(batches):
    return [y.tolist() for _, y in batches]


def test_rows_stay_together_and_none_comes_twice():
    batches = Minibatches(X, Y, batch_size=3)
    assert len(batches) == 3
    for _ in range(2):
        seen = []
        for x, y in batches:
            assert x.shape == (3, 3)
            assert torch.equal(x[:, 0], y.float())
            seen += y.tolist()
        assert len(seen) == len(set(seen)) == 9


def test_every_pass_is_another_epoch_and_every_epoch_can_be_had_again():
    batches = Minibatches(X, Y, batch_size=5, seed=3)
    first, second = rows(batches), rows(batches)
    assert first != second
    assert rows(batches.epoch(0)) == first
    assert rows(batches.epoch(1)) == second
    assert rows(batches.epoch(1, start=1)) == second[1:]
    assert rows(Minibatches(X, Y, batch_size=5, seed=4)) != first


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    rows(Minibatches(X, Y, batch_size=5))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("tensors", "options", "message"),
    [
        ((), {"batch_size": 1}, "at least one"),
        ((X, Y[:9]), {"batch_size": 1}, r"equally many examples, got \[10, 9\]"),
        ((X, Y), {"batch_size": 11}, "between 1 and the number of examples, 10; got 11"),
        ((X, Y), {"batch_size": 0}, "got 0"),
        ((X, torch.tensor(1.0)), {"batch_size": 1}, "argument 1 .* got a scalar"),
        ((X, Y), {"batch_size": 1, "seed": -1}, "seed must not be negative, got -1"),
    ],
)
def test_unusable_arguments_are_named(tensors, options, message):
    with pytest.raises(ValueError, match=message):
        Minibatches(*tensors, **options)


def test_a_list_is_no_tensor():
    with pytest.raises(TypeError, match="argument 1 of tensors must be a Tensor, got list; several"):
        Minibatches(X, [1.0] * 10, batch_size=2)


def test_a_transform_draws_the_same_for_the_same_batch():
    x, y = torch.arange(12.0)[:, None], torch.arange(12)

    def noisy(rows, generator):
        return rows + torch.rand(rows.shape, generator=generator)

    batches = Minibatches(x, y, batch_size=4, seed=3, transform=noisy)
    whole = list(batches.epoch(2))
    for (rows, labels), (again, same) in zip(whole[1:], batches.epoch(2, start=1), strict=True):
        assert torch.equal(rows, again)
        assert torch.equal(labels, same)
        assert torch.equal(rows.floor().flatten().long(), labels)
    noise = torch.cat([rows.frac().flatten() for rows, _ in [*whole, *batches.epoch(3)]])
    assert len(noise.unique()) == len(noise)
