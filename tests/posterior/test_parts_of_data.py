"""After minibatches everything is read on all data, or refused with what to do instead."""

import threading

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuideList, AutoNormal

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.infer.whole_plates import whole_plates
from l0bayes.models import SparseRegression
from l0bayes.posterior import importance_weighted, predict
from tests.arviz_versions import group_names

N = 60
GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(N, 3, generator=GENERATOR)
Y = 1.5 * X[:, 0] + 0.5 * torch.randn(N, generator=GENERATOR)


def drawing(size):
    """A plate that draws a part of the data by itself."""

    def model(x, y=None):
        sigma = pyro.sample("sigma", dist.HalfNormal(1.0))
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x), subsample_size=size) as rows:
            pyro.sample("y", dist.Normal(x[rows] @ beta, sigma), obs=None if y is None else y[rows])
        return x @ beta

    return model


def of_rows(size):
    """The same with a gate and a shift of every row, which come with the part that is drawn."""

    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 3.0))
        with pyro.plate("data", N, subsample_size=size) as rows:
            shift = l0bayes.spike_and_slab("shift", 0.1, dist.Normal(0.0, 5.0))
            pyro.sample("y", dist.Normal(mean + shift, 0.5), obs=y[rows])

    return model


CASES = {"global": (drawing, (X, Y)), "local": (of_rows, (Y,))}


def read(model, guide, data):
    fit = l0bayes.Fit.of(model, guide, data)
    posterior = l0bayes.to_arviz(fit, num_draws=20)
    found = {
        f"{group} {name}": np.asarray(values)
        for group in ("posterior", "log_likelihood", "observed_data", "posterior_predictive", "sample_stats")
        for name, values in posterior[group].data_vars.items()
    }
    found["hardened"] = np.asarray(l0bayes.hardened_elbo(model, guide, data, num_draws=10).value)
    found["importance"] = np.asarray(importance_weighted(fit, num_draws=20).log_evidence)
    found["table"] = l0bayes.gate_table(posterior).to_numpy(dtype=float)
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_plate_that_draws_a_part_is_read_with_all_rows(case):
    """Every number is that of the model whose plate draws nothing."""
    make, data = CASES[case]
    guide = AutoHardConcrete(make(20), data, temperature=0.3)
    found, expected = read(make(20), guide, data), read(make(None), guide, data)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
    assert found["log_likelihood y"].shape == (1, 20, N)


def test_verdict_and_refinement_are_of_all_rows():
    found = []
    for size in (20, None):
        fit = l0bayes.Fit.of(fixed_noise(size), guide_of(fixed_noise(20)), (X, Y))
        found.append((l0bayes.trust(fit, num_draws=50).residual, l0bayes.refine(fit, "exact").log_evidence))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def fixed_noise(size):
    def model(x, y):
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x), subsample_size=size) as rows:
            pyro.sample("y", dist.Normal(x[rows] @ beta, 0.5), obs=y[rows])

    return model


def guide_of(model):
    return AutoHardConcrete(model, (X, Y))


def test_a_list_of_guides_is_read_with_all_rows():
    model = of_rows(20)
    sparse = ["shift.gate", "shift.slab"]
    guide = AutoGuideList(model)
    guide.append(AutoHardConcrete(poutine.block(model, expose=sparse), (Y,)))
    guide.append(AutoNormal(poutine.block(model, hide=sparse)))
    posterior = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, (Y,)), num_draws=5)
    assert posterior["posterior"]["shift"].shape == (1, 5, N)
    assert posterior["log_likelihood"]["y"].shape == (1, 5, N)


def test_predictions_are_of_all_rows():
    def returning(y):
        with pyro.plate("data", N, subsample_size=20) as rows:
            shift = l0bayes.spike_and_slab("shift", 0.1, dist.Normal(0.0, 5.0))
            pyro.sample("y", dist.Normal(shift, 0.5), obs=y[rows])
        return shift

    guide = AutoHardConcrete(returning, (Y,), init_active=0.9)
    drawn = predict(returning, guide, (Y,), num_draws=400)
    assert drawn.shape == (400, N)
    laws = guide.laws()
    torch.testing.assert_close(
        drawn.mean(0), (laws["shift.gate"].mean * laws["shift.slab"].mean).detach(), atol=0.2, rtol=0.0
    )


# ---- refused -----------------------------------------------------------------------------------------

READERS = {
    "to_arviz": lambda fit: l0bayes.to_arviz(fit, num_draws=5),
    "table": lambda fit: l0bayes.gate_table(fit),
    "hardened": lambda fit: l0bayes.hardened_elbo(fit.model, fit.guide, fit.data, num_draws=5),
    "importance": lambda fit: importance_weighted(fit, num_draws=5),
    "trust": lambda fit: l0bayes.trust(fit, num_draws=5),
    "refine": lambda fit: l0bayes.refine(fit),
}


@pytest.mark.parametrize("reader", READERS)
def test_rows_that_the_model_is_given_are_refused(reader):
    """All data are not in the arguments, so that they must be given."""
    model = SparseRegression(3, inclusion=0.3, num_data=N)
    fit = l0bayes.Fit.of(model, AutoHardConcrete(model, (X, Y)), (X[:20], Y[:20]))
    message = r"plate 'data' holds 20 of 60 rows, a subsample that it is given; .* give them as data="
    with pytest.raises(ValueError, match=message):
        READERS[reader](fit)


def by_size_of_batch(x, y):
    """The plate draws as many rows as it is given data, and looks at no index."""
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", N, subsample_size=len(x)):
        pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)


@pytest.mark.parametrize("reader", READERS)
def test_a_model_that_does_not_run_with_all_rows_is_refused(reader):
    guide = AutoHardConcrete(by_size_of_batch, (X, Y))
    fit = l0bayes.Fit.of(by_size_of_batch, guide, (X[:20], Y[:20]))
    message = r"plate 'data' holds 20 of 60 rows, a subsample that it draws, and the model does not run with "
    with pytest.raises(ValueError, match=message):
        READERS[reader](fit)
    READERS[reader](l0bayes.Fit.of(by_size_of_batch, guide, (X, Y)))


def test_predictions_of_a_part_are_of_that_part():
    """New inputs are no part of the data, whatever the likelihood's plate holds."""

    def returning(x, y=None):
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", N, subsample_size=len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)
        return x @ beta

    guide = AutoHardConcrete(returning, (X, Y))
    assert predict(returning, guide, (X[:7],), num_draws=3).shape == (3, 7)


def test_a_loader_asks_for_all_data():
    model = SparseRegression(3, inclusion=0.3, num_data=N)
    batches = Minibatches(X, Y, batch_size=20)
    fit = l0bayes.fit(model, AutoHardConcrete(model, (X, Y)), batches, steps=20, progress=False)
    with pytest.raises((TypeError, ValueError), match="data"):
        l0bayes.to_arviz(fit)
    assert l0bayes.to_arviz(fit, (X, Y), num_draws=3)["log_likelihood"]["y"].shape == (1, 3, N)


def test_a_verdict_is_never_good_for_want_of_a_look():
    """A fit of 20 steps with outliers that it has not found: nothing was swallowed, so nothing is praised."""
    shifted = Y + 8.0 * (torch.arange(N) < 6)
    guide = AutoHardConcrete(of_rows(20), (shifted,))
    fit = l0bayes.fit(of_rows(20), guide, (shifted,), steps=20, progress=False)
    verdict = l0bayes.trust(fit)
    assert verdict.k_hat is not None
    assert not verdict


# ---- the mode itself ---------------------------------------------------------------------------------


def rows_of(model):
    return len(poutine.trace(model).get_trace().nodes["data"]["value"])


def plate():
    with pyro.plate("data", 10, subsample_size=4) as rows:
        pyro.sample("z", dist.Normal(0.0, 1.0).expand([len(rows)]))


def test_whole_plates_are_for_a_while_and_for_one_thread():
    found = {}
    with whole_plates():
        with whole_plates():
            assert rows_of(plate) == 10
        assert rows_of(plate) == 10
        other = threading.Thread(target=lambda: found.update(rows=rows_of(plate)))
        other.start()
        other.join()
    assert found == {"rows": 4}
    assert rows_of(plate) == 4
    with pytest.raises(KeyError), whole_plates():
        raise KeyError
    assert rows_of(plate) == 4


def test_whole_plates_leave_rows_that_are_given():
    def given():
        with pyro.plate("data", 10, subsample=torch.arange(3)):
            pass

    with whole_plates():
        assert rows_of(given) == 3


def test_rows_alone_may_be_read_where_nothing_of_all_data_is_wanted():
    """Per-row groups of a part are those rows of the whole."""

    def model(x, y=None):
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
        with pyro.plate("rows", 20, subsample=torch.arange(len(x))):
            pyro.sample("y", dist.Normal(x @ beta, 1.0), obs=y)

    x = torch.randn(20, 2)
    y = x[:, 0]
    fit = l0bayes.Fit.of(model, AutoHardConcrete(model, (x, y)), (x, y))
    part = (x[:5], y[:5])
    with pytest.raises(ValueError, match="5 of 20 rows"):
        l0bayes.to_arviz(fit, part, num_draws=3)
    names = ["posterior", "log_likelihood", "constant_data"]
    few, all_rows = (l0bayes.to_arviz(fit, data, num_draws=3, groups=names) for data in (part, (x, y)))
    assert np.allclose(few["log_likelihood"]["y"], all_rows["log_likelihood"]["y"][:, :, :5])
    assert np.array_equal(few["posterior"]["beta"], all_rows["posterior"]["beta"])
    assert set(names) <= group_names(few)
    assert "sample_stats" not in group_names(few)
    with pytest.raises(ValueError, match="groups must be one of"):
        l0bayes.to_arviz(fit, groups=["prior"])
