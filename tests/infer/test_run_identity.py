"""A file is of one guide, one model and one set of data: another of the same shapes is refused."""

import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.guides import AutoConcrete, AutoHardConcrete
from l0bayes.infer import CheckpointError, Minibatches, SavedFitError
from l0bayes.infer.loop.run_identity import differs
from l0bayes.sites import spike_and_slab

torch.manual_seed(0)
X = torch.randn(40, 3)
Y = X[:, 0] + 0.1 * torch.randn(40)


class Linear(pyro.nn.PyroModule):
    """A regression with a layer before it that starts anywhere, and a scale with a prior."""

    def __init__(self, inclusion=0.3, scale=1.0, likelihood=dist.Normal, noise=0.5):
        super().__init__()
        self.layer = pyro.nn.PyroModule[torch.nn.Linear](3, 3)
        self.inclusion, self.scale, self.likelihood, self.noise = inclusion, scale, likelihood, noise

    def forward(self, x, y=None):
        sigma = pyro.sample("sigma", dist.HalfNormal(self.noise))
        w = spike_and_slab("w", self.inclusion, dist.Normal(torch.zeros(3), self.scale).to_event(1))
        noise = (3.0, 1.0) if self.likelihood is dist.StudentT else ()
        with pyro.plate("rows", len(x)):
            mean = self.layer(x) @ w
            law = self.likelihood(*noise[:1], mean, sigma)
            pyro.sample("y", law, obs=y)


def fit(path=None, data=(X, Y), model=None, guide=None, **options):
    model = Linear() if model is None else model
    guide = AutoHardConcrete(model, (X, Y)) if guide is None else guide(model)
    return l0bayes.fit(model, guide, data, steps=3, log_every=1, progress=False, checkpoint=path, **options)


def hard(**options):
    return lambda model: AutoHardConcrete(model, (X, Y), **options)


OTHERS = {
    "inclusion": (
        {"model": Linear(inclusion=0.01)},
        r"its site 'w\.gate' is .*0\.3.*, that of this run .*0\.01",
    ),
    "slab": (
        {"model": Linear(scale=3.0)},
        r"its site 'w.slab' is Normal\(loc=0, scale=1\), .* Normal\(loc=0, scale=3",
    ),
    "hyperprior": ({"model": Linear(noise=2.0)}, "its site 'sigma' is HalfNormal"),
    "likelihood": ({"model": Linear(likelihood=dist.StudentT)}, "its site 'y' is Normal, .* StudentT"),
    "values": ({"data": (X, Y + 1.0)}, r"its argument 1 of the data is \(40,\) of float32 with checksum"),
    "rows": ({"data": (X[:30], Y[:30])}, r"its argument 0 of the data is \(40, 3\).*is \(30, 3\)"),
    "dtype": ({"data": (X.double().float(), Y.bfloat16().float())}, "its argument 1 of the data"),
    "stretch": ({"guide": hard(stretch=(-0.2, 1.3))}, "its guide is .*-0.1, 1.1.*-0.2, 1.3"),
    "guide": (
        {"guide": lambda model: AutoConcrete(model, (X, Y))},
        "its guide is AutoHardConcrete.*AutoConcrete",
    ),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("identity") / "run.safetensors"
    return path, fit(path)


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_of_something_else_is_not_gone_on_with(kept, name):
    options, told = OTHERS[name]
    before = kept[0].read_bytes()
    with pytest.raises(CheckpointError, match=told):
        fit(kept[0], resume=True, **options)
    assert kept[0].read_bytes() == before


def test_starts_that_differ_do_not_matter(kept):
    """Weights that start at random, and latents that are drawn, are no part of what it is."""
    torch.manual_seed(99)
    pyro.set_rng_seed(7)
    again = fit(kept[0], resume=True)
    assert again.history == kept[1].history


def test_data_that_are_read_as_they_are_asked_for_are_not_compared(tmp_path):
    path = tmp_path / "run.safetensors"
    batches = [(X, Y)]
    first = fit(path, batches)
    assert fit(path, batches, resume=True).history == first.history


@pytest.mark.parametrize("changed", [0, 1])
def test_minibatches_are_compared(tmp_path, changed):
    path = tmp_path / "run.safetensors"
    fit(path, Minibatches(X, Y, batch_size=20))
    data = [X, Y]
    data[changed] = data[changed].flip(0)
    with pytest.raises(CheckpointError, match=f"argument {changed} of the data"):
        fit(path, Minibatches(*data, batch_size=20), resume=True)


@pytest.mark.parametrize("guide", [hard(stretch=(-0.2, 1.3)), lambda model: AutoConcrete(model, (X, Y))])
def test_a_saved_fit_is_of_its_guide(tmp_path, guide):
    done = fit()
    done.save(tmp_path / "fit")
    model = Linear()
    other = guide(model)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(
        SavedFitError, match=r"made with the guide AutoHardConcrete\(.*can't be read into Auto"
    ):
        l0bayes.load_fit(tmp_path / "fit", model, other)
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())
    again = l0bayes.load_fit(tmp_path / "fit", model, AutoHardConcrete(model, (X, Y)))
    kept = done.guide.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in again.guide.state_dict().items())


@pytest.mark.parametrize(
    ("name", "one", "other", "wanted"),
    [
        ("site 'w'", "Normal(loc=0, scale=3.1416)", "Normal(loc=0, scale=3.1417)", False),
        ("site 'w'", "Normal(loc=0, scale=3.1416)", "Normal(loc=0, scale=3.2)", True),
        ("site 'w'", "Normal(loc=0, scale=1e-05)", "Normal(loc=0, scale=1e-06)", True),
        ("site 'w'", "Normal(loc=0, scale=1)", "Laplace(loc=0, scale=1)", True),
        ("site 'w'", "Normal(loc=(3,) numbers of sum 1)", "Normal(loc=(4,) numbers of sum 1)", True),
        ("argument 0 of the data", "(3,) with checksum 00000001", "(3,) with checksum 00000002", True),
        ("guide", "A(stretch=(-0.1, 1.1))", "A(stretch=(-0.1, 1.1001))", True),
    ],
)  # fmt: skip
def test_numbers_of_sites_may_be_rounded_otherwise_elsewhere(name, one, other, wanted):
    assert differs(name, one, other) is differs(name, other, one) is wanted
    assert not differs(name, one, one)
