"""Shifted images."""

import pytest
import torch

from l0bayes.datasets import Shifts

IMAGES = torch.rand(400, 2, 5, 6, generator=torch.Generator().manual_seed(0)) + 1.0


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def places(images, shifted, pixels):
    """The shift of every image, found by trying all."""
    padded = torch.nn.functional.pad(images, (pixels,) * 4)
    height, width = images.shape[2:]
    found = []
    for padding, image in zip(padded, shifted, strict=True):
        matches = [
            (down, right)
            for down in range(2 * pixels + 1)
            for right in range(2 * pixels + 1)
            if torch.equal(padding[:, down : down + height, right : right + width], image)
        ]
        assert len(matches) == 1
        found.append(matches[0])
    return found


@pytest.mark.parametrize("pixels", [1, 2])
def test_every_shift_comes_up_and_moves_all_channels(pixels):
    found = places(IMAGES, Shifts(pixels)(IMAGES, seeded()), pixels)
    assert len(set(found)) == (2 * pixels + 1) ** 2


def test_the_generator_decides():
    shifts = Shifts(2)
    assert torch.equal(shifts(IMAGES, seeded()), shifts(IMAGES, seeded()))
    assert not torch.equal(shifts(IMAGES, seeded()), shifts(IMAGES, seeded(2)))


def test_what_is_no_image():
    with pytest.raises(ValueError, match=r"images must have shape \(batch, channels, height, width\), got"):
        Shifts(1)(torch.zeros(3, 4), seeded())
    with pytest.raises(ValueError, match="pixels must be at least 1, got 0"):
        Shifts(0)
