"""Attention with gates on heads against torch's own."""

import pytest
import torch
from torch import nn

from l0bayes.network import HeadAttention, prepare
from tests.network.zoo import normal, seeded

pytestmark = pytest.mark.usefixtures("float64")

QUERIES, KEYS, VALUES = normal(3, 4, 8), normal(3, 5, 8, seed=3), normal(3, 5, 8, seed=4)
PADDING = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0]]).bool()
LOOK = torch.rand(4, 5, generator=torch.Generator().manual_seed(0)) < 0.3
EACH = torch.rand(6, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.3
MINUS = torch.ones(4, 5).double().masked_fill(LOOK, -torch.inf)
EACH[..., 0] = LOOK[:, 0] = False


def attention(heads=2, **options):
    module = seeded(nn.MultiheadAttention, 8, heads, batch_first=True, **options)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def swapped(module):
    twin = nn.MultiheadAttention(8, module.num_heads)
    twin.load_state_dict(module.state_dict())
    return twin


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attn_mask": LOOK},
        {"attn_mask": EACH},
        {"attn_mask": 0.3 * MINUS},
        {"key_padding_mask": PADDING},
        {"key_padding_mask": torch.zeros(3, 5).double().masked_fill(PADDING, -torch.inf)},
        {"key_padding_mask": PADDING, "attn_mask": LOOK},
        {"average_attn_weights": False},
    ],
)
def test_it_computes_what_torchs_does(options, need_weights):
    module = attention()
    expected, weights = module(QUERIES, KEYS, VALUES, need_weights=need_weights, **options)
    found, mine = HeadAttention(module)(QUERIES, KEYS, VALUES, need_weights=need_weights, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert (weights is None) == (mine is None) == (not need_weights)
    if need_weights:
        torch.testing.assert_close(mine, weights, rtol=0, atol=1e-12)
    sequence_first = (x.transpose(0, 1) for x in (QUERIES, KEYS, VALUES))
    found, mine = HeadAttention(swapped(module))(*sequence_first, need_weights=need_weights, **options)
    torch.testing.assert_close(found.transpose(0, 1), expected, rtol=0, atol=1e-12)
    if need_weights:
        torch.testing.assert_close(mine, weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"attn_mask": LOOK}, {"key_padding_mask": PADDING[0]}, {"average_attn_weights": False}]
)
def test_one_example_without_a_batch(options, need_weights, batch_first):
    module = attention() if batch_first else swapped(attention())
    data = (QUERIES[0], KEYS[0], VALUES[0])
    expected, weights = module(*data, need_weights=need_weights, **options)
    found, mine = HeadAttention(module)(*data, need_weights=need_weights, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    if need_weights:
        torch.testing.assert_close(mine, weights, rtol=0, atol=1e-12)


def test_causal_attention():
    module = attention()
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    x = (QUERIES, QUERIES, QUERIES)
    for need_weights in (True, False):
        expected = module(*x, attn_mask=mask, is_causal=True, need_weights=need_weights)[0]
        found = HeadAttention(module)(*x, attn_mask=mask, is_causal=True, need_weights=need_weights)[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_without_biases_and_with_gradients():
    module = attention(bias=False)
    mine = HeadAttention(module)
    assert mine.in_proj_bias is None
    for one in (module, mine):
        one(QUERIES, KEYS, VALUES, need_weights=False)[0].square().sum().backward()
    for (name, one), other in zip(mine.named_parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_acts_in_training_alone(need_weights):
    module = HeadAttention(attention(dropout=0.5))
    data = (QUERIES, KEYS, VALUES)
    assert module.training
    draws = [module(*data, need_weights=need_weights)[0] for _ in range(300)]
    assert not torch.equal(draws[0], draws[1])
    exact = module.eval()(*data, need_weights=need_weights)[0]
    assert torch.equal(exact, module(*data, need_weights=need_weights)[0])
    spread = torch.stack(draws).std(0)
    assert ((torch.stack(draws).mean(0) - exact).abs() < 6 * spread / 300**0.5).all()


# ---- heads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("gates", [[1.0, 1, 1, 1], [0, 1, 0.3, 1], [0, 0, 0.5, 0], [0, 0, 0, 0]])
@pytest.mark.parametrize("bias", [True, False])
def test_heads_taken_out(gates, need_weights, bias):
    module = attention(4, bias=bias)
    mine, gates = HeadAttention(module), torch.tensor(gates)
    mine.head_gates = gates
    expected = mine(QUERIES, KEYS, VALUES, PADDING, need_weights)[0]
    mine.head_gates = None
    small = mine.keep_heads(gates)
    assert small is mine
    found = small(QUERIES, KEYS, VALUES, PADDING, need_weights)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    left = int((gates != 0).sum())
    assert small.num_heads == left
    assert small.in_proj_weight.shape == (6 * left, 8)
    assert small.out_proj.weight.shape == (8, 2 * left)
    assert f"num_heads={left}" in repr(small)


def test_gates_multiply_heads_before_the_last_projection():
    module = attention(4)
    mine, gates = HeadAttention(module), torch.tensor([0.2, 0.0, 1.0, 0.7])
    mine.head_gates = gates
    with torch.no_grad():
        module.out_proj.weight.mul_(gates.repeat_interleave(2))
    torch.testing.assert_close(
        mine(QUERIES, KEYS, VALUES)[0], module(QUERIES, KEYS, VALUES)[0], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("batch_first", [True, False])
def test_gates_of_each_example(batch_first):
    module = attention(4) if batch_first else swapped(attention(4))
    data = (QUERIES, KEYS, VALUES) if batch_first else [x.transpose(0, 1) for x in (QUERIES, KEYS, VALUES)]
    mine, gates = HeadAttention(module), torch.rand(3, 4)
    mine.head_gates = gates
    together = mine(*data)[0]
    for i in range(3):
        mine.head_gates = gates[i]
        alone = mine(*data)[0]
        dim = 0 if batch_first else 1
        torch.testing.assert_close(together.select(dim, i), alone.select(dim, i), rtol=0, atol=1e-12)


def test_no_heads_are_left_of_any_shape():
    small = HeadAttention(attention(4)).keep_heads(torch.zeros(4))
    assert torch.equal(small(QUERIES, KEYS, VALUES)[0], small.out_proj.bias.expand(3, 4, 8))
    assert torch.equal(small(QUERIES[0], KEYS[0], VALUES[0])[0], small.out_proj.bias.expand(4, 8))


@pytest.mark.parametrize(
    "options", [{"kdim": 3}, {"vdim": 3}, {"add_bias_kv": True}, {"add_zero_attn": True}]
)
def test_other_forms_of_attention(options):
    with pytest.raises(NotImplementedError, match="attention with kdim, vdim, add_bias_kv or add_zero_attn"):
        HeadAttention(nn.MultiheadAttention(8, 2, **options))


def test_preparing_replaces_attention_wherever_it_stands():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 6, 0.0, batch_first=True), 2).double().eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    new = prepare(net)
    kinds = [type(m) for m in new.modules() if isinstance(m, HeadAttention | nn.MultiheadAttention)]
    assert kinds == [HeadAttention] * 2
    assert new.state_dict().keys() == net.state_dict().keys()
    with torch.no_grad():
        for padding in (None, PADDING[:, :4]):
            expected = net(QUERIES, src_key_padding_mask=padding)
            found = new(QUERIES, src_key_padding_mask=padding)
            if padding is not None:  # torch leaves zeros where nobody looks
                expected, found = expected[~padding], found[~padding]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    assert type(prepare(attention())) is HeadAttention
