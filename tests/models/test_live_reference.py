"""A live reference beside the policy, and the whole vocabulary's statistics, from root modules."""

import math

import numpy as np
import pytest
import torch
from transformers import AutoConfig

from preftune.batching import pack
from preftune.models import LogProbModel, load_model, load_tokenizer
from preftune.records import TokenGroup, TokenResponse
from tests.models.plain import KeepFloat64, plain_log_softmax, with_plain_attention
from tests.models.test_route import Tilted
from tests.models.tiny import SHAPE, VOCABULARY, random_groups, tiny_model

RESPONSES = [2, 4, 1, 2]
LAYOUTS = {"llama": "packed", "gemma2": "packed", "cohere": "packed", "phi": "packed"} | {
    "mamba": "padded",
    "gpt_oss": "padded",
    "tilted": "packed",
}


def model_of(kind, seed=0, **settings):
    """A tiny model; `tilted` makes its logits in a way of its own, so all at once."""
    if kind != "tilted":
        return tiny_model(kind, seed=seed, **settings)
    torch.manual_seed(seed)
    model = Tilted(AutoConfig.for_model("llama", **SHAPE)).eval()
    return model.to(settings.get("dtype", torch.float64))


def plain_model(kind, seed=0):
    model = model_of(kind, seed)
    return with_plain_attention(model)


def root_of(kind, seed=0, **settings):
    model = model_of(kind, seed, **settings)
    if LAYOUTS[kind] == "padded":
        with_plain_attention(model)  # what runs it then keeps the model's own attention
    root = LogProbModel(model)
    assert root.layout == LAYOUTS[kind]
    assert (root.route.logit_rule is None) == (kind == "tilted")
    return root


def trained_of(groups):
    return torch.cat([torch.from_numpy(one.trained) for group in groups for one in group.responses])


def statistics(policy, reference, groups):
    """Collision, KL and the reference's log-probs from all logits, 0 where not trained."""
    log_p, log_r = (plain_log_softmax(model, groups) for model in (policy, reference))
    trained = trained_of(groups)
    ids = torch.cat([torch.from_numpy(one.ids) for group in groups for one in group.responses])
    kl = (log_r.exp() * (log_r - log_p)).sum(1)
    frozen = log_r.gather(1, ids.long()[:, None])[:, 0]
    return (
        (log_p.exp().square().sum(1).log() * trained).detach(),
        kl * trained,
        (frozen * trained).detach(),
    )


@pytest.mark.parametrize(
    ("kind", "frozen"),
    [
        *((kind, kind) for kind in LAYOUTS),
        ("llama", "mamba"),
        ("mamba", "llama"),
        ("llama", "tilted"),
        ("tilted", "llama"),
        ("mamba", "tilted"),
        ("tilted", "gpt_oss"),
    ],
)
def test_whatever_the_layouts_and_heads_the_statistics_are_those_of_plain_rows(kind, frozen):
    """Values within 1e-9, the gradient of every parameter (tied ones too) within 1e-8."""
    groups = random_groups(RESPONSES)
    policy, reference = root_of(kind), root_of(frozen, seed=1)
    plain, plain_reference = plain_model(kind), plain_model(frozen, seed=1)
    with KeepFloat64():
        found = policy(pack(groups), collision=True, reference=reference, kl=True)
        collision, kl, log_probs = statistics(plain, plain_reference, groups)
    for ours, theirs in (
        (found.collision, collision),
        (found.kl, kl),
        (found.reference, log_probs),
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    assert found.kl[found.mask].min() > 1e-3
    weights = torch.randn(len(found.kl), generator=torch.Generator().manual_seed(0)).double()
    (found.kl * weights).sum().backward()
    (kl * weights).sum().backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in policy.model.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=0, atol=1e-8)
    assert all(parameter.grad is None for parameter in reference.parameters())


def test_a_tied_weight_gets_its_gradient_as_embedding_and_as_head():
    batch = pack(random_groups(RESPONSES))
    reference = root_of("llama", seed=1)

    def gradients(model):
        LogProbModel(model)(batch, reference=reference, kl=True).kl.sum().backward()
        return model.model.embed_tokens.weight.grad, model.lm_head.weight.grad

    together, same = gradients(tiny_model("llama"))
    assert together is same
    untied = tiny_model("llama")
    untied.lm_head.weight = torch.nn.Parameter(untied.lm_head.weight.detach().clone())
    embedding, head = gradients(untied)
    assert embedding.norm() > 0.1
    assert head.norm() > 0.1
    torch.testing.assert_close(together, embedding + head, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_at_the_start_policy_and_reference_are_one(kind, dtype):
    """To the last bit: no divergence, and no gradient of it."""
    batch = pack(random_groups(RESPONSES))
    policy, reference = (root_of(kind, dtype=dtype) for _ in range(2))
    found = policy(batch, reference=reference, kl=True)
    assert torch.equal(found.reference, found.tokens)
    assert torch.equal(found.kl, torch.zeros_like(found.kl))
    found.kl.sum().backward()
    assert not any(parameter.grad.any() for parameter in policy.parameters())


@pytest.mark.parametrize("frozen", ["llama", "mamba", "tilted"])
def test_a_reference_without_divergence_is_scored_alone(frozen):
    batch = pack(random_groups(RESPONSES))
    policy, reference = root_of("llama"), root_of(frozen, seed=1, dtype=torch.float32)
    found = policy(batch, reference=reference)
    assert found.reference.dtype == found.tokens.dtype == torch.float64
    assert torch.equal(found.reference, reference(batch).tokens.double())
    assert not found.reference.requires_grad
    assert found.kl is None
    assert found.collision is None
    assert torch.equal(found.tokens, policy(batch).tokens)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_what_is_asked_for_besides_does_not_change_the_log_probs(kind):
    batch = pack(random_groups(RESPONSES))
    policy, reference = root_of(kind), root_of(kind, seed=1)
    plain = policy(batch)
    assert plain.reference is plain.collision is plain.kl is None
    found = policy(batch, collision=True, reference=reference, kl=True)
    assert torch.equal(found.tokens, plain.tokens)
    torch.testing.assert_close(found.reference, reference(batch).tokens, rtol=0, atol=1e-12)
    gradients = [
        torch.autograd.grad(record.tokens.sum(), list(policy.parameters()))
        for record in (plain, found)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_reference_is_run_without_gradient(kind):
    batch = pack(random_groups([2]))
    found = root_of(kind).predictions(batch)
    logits = found if kind == "tilted" else found.in_full()
    assert logits.shape == (len(batch.mask), VOCABULARY)
    assert not logits.requires_grad
    assert kind == "tilted" or not found.hidden.requires_grad


def test_neither_collision_nor_reference_carries_a_gradient():
    found = root_of("llama")(
        pack(random_groups([2])), collision=True, reference=root_of("llama", seed=1), kl=True
    )
    assert not found.collision.requires_grad
    assert not found.reference.requires_grad
    assert found.kl.requires_grad


@pytest.mark.parametrize("kind", LAYOUTS)
def test_untrained_tokens_are_zero(kind):
    batch = pack(random_groups(RESPONSES))
    found = root_of(kind)(batch, collision=True, reference=root_of(kind, seed=1), kl=True)
    for values in (found.collision, found.kl, found.reference):
        assert not values[~batch.mask].any()
        assert values[batch.mask].all()


@pytest.mark.parametrize("kind", ["llama", "mamba", "tilted"])
@pytest.mark.parametrize("frozen", ["llama", "mamba", "tilted"])
def test_a_batch_with_nothing_to_train_gives_zeros(kind, frozen):
    side = TokenResponse(np.array([5, 6], np.int32), np.zeros(2, bool))
    batch = pack([TokenGroup(np.array([4], np.int32), (side,))])
    found = root_of(kind)(batch, collision=True, reference=root_of(frozen, seed=1), kl=True)
    for values in (found.tokens, found.collision, found.kl, found.reference):
        assert values.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["llama", "mamba", "tilted"])
def test_bfloat16_gives_float32_statistics_near_the_exact_ones(kind):
    groups = random_groups(RESPONSES)
    collision, kl, _ = statistics(plain_model(kind), plain_model(kind, seed=1), groups)
    policy, reference = (LogProbModel(model_of(kind, seed).float()) for seed in (0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        found = policy(pack(groups), collision=True, reference=reference, kl=True)
        found.kl.sum().backward()
    for ours, theirs in ((found.collision, collision), (found.kl, kl)):
        assert ours.dtype == torch.float32
        error = (ours - theirs).abs()
        assert 1e-6 < error.max() < 0.1
        assert error.mean() < 0.02
    assert all(parameter.grad.isfinite().all() for parameter in policy.parameters())


def test_a_reference_that_shares_the_policys_weights_leaves_their_gradient_alone():
    """Autocast keeps narrow copies of weights: one made without gradient must not be used again."""
    batch = pack(random_groups(RESPONSES))
    gradients = []
    for live in (False, True):
        root = root_of("llama", dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            settings = {"reference": LogProbModel(root.model), "kl": True} if live else {}
            root(batch, **settings).tokens.sum().backward()
        gradients.append([parameter.grad for parameter in root.parameters()])
    for alone, beside in zip(*gradients, strict=True):
        torch.testing.assert_close(beside, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_only_the_gradient_of_the_policy_is_kept_and_every_mode(kind):
    policy, reference = root_of(kind), root_of(kind, seed=1)
    policy.train()
    reference.model.requires_grad_(False)
    policy(pack(random_groups([2])), reference=reference, kl=True).kl.sum().backward()
    assert policy.training
    assert not reference.model.training
    assert all(parameter.grad is not None for parameter in policy.parameters())
    assert not any(parameter.requires_grad for parameter in reference.parameters())


def test_a_divergence_needs_a_reference_with_the_same_vocabulary():
    batch = pack(random_groups([2]))
    with pytest.raises(ValueError, match="A KL needs a reference"):
        root_of("llama")(batch, kl=True)
    for frozen in (
        LogProbModel(tiny_model("llama", vocab_size=101)),
        LogProbModel(tiny_model("mamba", vocab_size=101)),
    ):
        for kind in ("llama", "tilted"):
            with pytest.raises(ValueError, match="over a vocabulary of 101, the policy"):
                root_of(kind)(batch, reference=frozen, kl=True)
            assert root_of(kind)(batch, reference=frozen).reference is not None


def test_a_real_model_and_its_neighbour(shared):
    folder = str(shared / "models" / "stories260k")
    tokenizer = load_tokenizer(folder)
    prompt = np.array(tokenizer("Once upon a time")["input_ids"], np.int32)
    sides = [
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (" there was a little girl named Lily.", " stone window because of of", " a")
    ]
    responses = tuple(
        TokenResponse(np.array(ids, np.int32), np.ones(len(ids), bool)) for ids in sides
    )
    groups = [TokenGroup(prompt, responses), TokenGroup(prompt[:2], responses[1:])]

    def moved(model):
        """The real model a step of noise away, about 2 % of each weight."""
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                size = 0.02 * parameter.std()
                parameter.add_(size * torch.randn(parameter.shape, generator=generator))
        return model

    policy, reference = LogProbModel(moved(load_model(folder))), LogProbModel(load_model(folder))
    found = policy(pack(groups), collision=True, reference=reference, kl=True)
    plain = with_plain_attention(moved(load_model(folder)))
    collision, kl, log_probs = statistics(plain, with_plain_attention(load_model(folder)), groups)
    torch.testing.assert_close(found.collision, collision, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.kl, kl, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.reference, log_probs, rtol=0, atol=1e-4)
    assert found.kl.min() > -1e-5
    assert 1e-4 < found.kl.mean() < 0.1, "a near neighbour"
    # p = 1 on one token gives 0, a uniform p -log V.
    assert -math.log(policy.model.config.vocab_size) < found.collision.min()
    assert found.collision.max() < 0
    found.kl.sum().backward()
    kl.sum().backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in policy.model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-3, atol=1e-4)
    again = LogProbModel(load_model(folder))(pack(groups), reference=reference, kl=True)
    assert not again.kl.any()
