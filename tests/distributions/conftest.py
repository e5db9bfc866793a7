from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """The tensors here are small: more threads would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A battery is run on every case that its subclass lists."""
    for fixture, attribute in (("case", "cases"), ("extreme", "extreme_cases")):
        if fixture in metafunc.fixturenames:
            cases = getattr(metafunc.cls, attribute)
            metafunc.parametrize(fixture, cases, ids=[_name(case) for case in cases])


def _name(case: dict[str, object]) -> str:
    return ",".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{value}" for key, value in case.items()
    )
