"""The checks on data and on the pair, one by one."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch

from l0bayes.infer import MeanFieldELBO
from l0bayes.infer.loop.batch_stream import first_batch
from l0bayes.infer.loop.preflight import check_data, preflight
from l0bayes.sites import spike_and_slab
from tests.infer.fitting import X, Y, guide_of, loader, regression, same_state, state_of

# ---- the first batch ---------------------------------------------------------------------------------


def test_a_tuple_is_the_batch():
    data = (X, Y)
    assert first_batch(data) is data


def test_a_tensor_is_a_batch_of_one_argument():
    assert first_batch(X)[0] is X


def test_the_first_batch_of_a_loader():
    x, y = first_batch(loader(10))
    assert torch.equal(x, X[:10])
    assert torch.equal(y, Y[:10])


@pytest.mark.parametrize("batch", [(X, Y), [X, Y]])
def test_batches_are_tuples_or_lists(batch):
    assert first_batch([batch]) == (X, Y)


def test_a_batch_that_is_one_tensor():
    (x,) = first_batch(torch.utils.data.DataLoader(X, batch_size=5))
    assert torch.equal(x, X[:5])


# ---- finite values -----------------------------------------------------------------------------------


def test_all_bad_values_are_counted_and_the_first_is_located():
    x = X.clone()
    x[2, 1], x[5, 0], x[7, 2] = math.nan, math.inf, -math.inf
    with pytest.raises(ValueError, match=r"^x holds 3 values .* the first at index \(2, 1\)$"):
        check_data(regression, (x, Y))


def test_integers_and_other_objects_are_let_through():
    def model(x, labels, options):
        pass

    check_data(model, (X, torch.arange(24), {"a": math.nan}))


def test_keyword_defaults_need_not_be_given():
    check_data(regression, (X,))


def test_a_models_extra_arguments_are_numbered():
    def model(first, *rest):
        pass

    with pytest.raises(ValueError, match=r"^rest\[1\] holds 1 values"):
        check_data(model, (X, Y, torch.tensor([math.nan])))


def test_a_module_is_named_by_its_forward():
    class Model(torch.nn.Module):
        def forward(self, images):
            pass

    with pytest.raises(ValueError, match=r"^images is empty: its shape is \(0,\)"):
        check_data(Model(), (torch.zeros(0),))
    with pytest.raises(TypeError, match=r"signature \(images\)"):
        check_data(Model(), (X, Y))


class Unsigned:
    """A callable without a signature that could be read."""

    __signature__ = "none"

    def __call__(self, *args):
        pass


def test_without_a_signature_arguments_are_numbered():
    with pytest.raises(ValueError, match=r"^argument 1 holds 1 values"):
        check_data(Unsigned(), (X, torch.tensor([math.inf])))


# ---- the pair ----------------------------------------------------------------------------------------


def test_a_good_pair_passes_and_nothing_is_left_behind():
    guide = guide_of()
    objective = MeanFieldELBO()(regression, guide)
    before, generator = state_of(guide), torch.get_rng_state()
    with pyro.validation_enabled(False):
        preflight(objective, (X, Y))
        dist.Normal(0.0, -1.0)  # validation is off as before
    assert same_state(state_of(guide), before)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(p.grad is None for p in guide.parameters())
    assert not list(pyro.get_param_store())


def test_parameters_of_modules_are_not_loose():
    class Model(pyro.nn.PyroModule):
        def __init__(self):
            super().__init__()
            self.shift = pyro.nn.PyroParam(torch.tensor(1.0), torch.distributions.constraints.positive)

        def forward(self, x, y):
            return regression(x, y - self.shift)

    model = Model()
    preflight(MeanFieldELBO()(model, guide_of(model)), (X, Y))


def test_loose_parameters_of_the_guide_are_named():
    inner = guide_of()

    class Guide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x, y):
            pyro.param("b", torch.tensor(0.0))
            pyro.param("a", torch.tensor(0.0))
            return self.inner(x, y)

    with pytest.raises(ValueError, match=r"the parameters \['a', 'b'\] are made by pyro.param"):
        preflight(MeanFieldELBO()(regression, Guide()), (X, Y))


def test_a_kl_that_is_not_finite():
    def model(x, y):
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1e-30).expand([3]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

    with pytest.raises(ValueError, match=r"the KL is (nan|inf) at the start; check the data and the priors"):
        preflight(MeanFieldELBO()(model, guide_of(model)), (X, Y))
