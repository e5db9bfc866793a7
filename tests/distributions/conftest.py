import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A battery is run on every case that its subclass lists."""
    if "case" in metafunc.fixturenames:
        cases = metafunc.cls.cases
        metafunc.parametrize("case", cases, ids=[_name(case) for case in cases])
    if "extreme" in metafunc.fixturenames:
        cases = metafunc.cls.extreme_cases
        metafunc.parametrize("extreme", cases, ids=[_name(case) for case in cases])


def _name(case: dict[str, object]) -> str:
    return ",".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{value}" for key, value in case.items()
    )
