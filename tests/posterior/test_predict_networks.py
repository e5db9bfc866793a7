"""Class probabilities of the architectures, all draws at once against one by one."""

import pytest
import torch

from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.objectives.latent_draws import Given, draw_latents
from l0bayes.models import LeNet5Caffe, LeNet300100, SparseNetwork, VisionTransformer, WideResNet
from l0bayes.posterior import predict, predict_probabilities, prediction_scores

NETS = {
    "lenet-300-100": (lambda: LeNet300100(inputs=64, widths=(12, 8)), (1, 8, 8)),
    "lenet-5": (lambda: LeNet5Caffe(widths=(3, 4, 6)), (1, 28, 28)),
    "wrn-10-1": (lambda: WideResNet(10, 1), (3, 8, 8)),
    "vit": (lambda: VisionTransformer(8, 4, 3, dim=12, depth=2, heads=3, hidden=8), (3, 8, 8)),
}


@pytest.fixture(params=NETS)
def fitted(request):
    """A network whose guide has moved off its start, with inputs and labels."""
    make, shape = NETS[request.param]
    x, y = torch.randn(9, *shape), torch.randint(0, 10, (9,))
    model = SparseNetwork(make(), num_data=9, example=x[:2])
    guide = AutoHardConcrete(model, (x, y), init_active=0.6).perturb(0)
    return model, guide, x, y


def test_draws_at_once_are_draws_one_by_one(fitted):
    model, guide, x, _ = fitted
    found = predict(model, guide, (x,), num_draws=3)
    latents = draw_latents(guide, (x,), 3, seed=0)
    model.eval()
    for s in range(3):
        with Given({name: value[s] for name, value in latents.items()}):
            torch.testing.assert_close(found[s], model(x).detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("how", ["posterior", "mean", "deployed"])
def test_every_way_gives_probabilities_that_do_not_hang_on_the_batch(fitted, how):
    model, guide, x, y = fitted
    found = predict_probabilities((model, guide), x, how=how, num_draws=3, batch_size=4, chunk_size=2)
    whole = predict_probabilities((model, guide), x, how=how, num_draws=3)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-4)
    assert prediction_scores(found, y).count == 9
    assert model.training
