"""The plain side of comparisons: every response in a row of its own, all logits, log-softmax."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from preftune.records import TokenGroup

PLAIN = "tests_plain"


def plain_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as the papers write it, in the dtype of its inputs (transformers' is float32)."""
    folds = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(folds, 1) for each in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is None:
        attention_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    scores = scores.masked_fill(~attention_mask, -torch.inf)
    if s_aux is not None:
        sinks = s_aux.to(scores).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sinks], 3)
    weights = scores.softmax(-1)[..., : value.shape[2]]
    return (weights @ value).transpose(1, 2).contiguous(), None


def with_plain_attention(model: PreTrainedModel) -> PreTrainedModel:
    """The model, attending as `plain_attention` does; unchanged where it can't be told to."""
    AttentionInterface.register(PLAIN, plain_attention)
    AttentionMaskInterface.register(PLAIN, AttentionMaskInterface()["sdpa"])
    if model._supports_attention_backend:
        model.set_attn_implementation(PLAIN)
    return model


def plain_log_softmax(model: PreTrainedModel, groups: Sequence[TokenGroup]) -> Tensor:
    """(token, vocab) in the order of the batch, for trained tokens and others."""
    found: list[Tensor] = []
    for group in groups:
        prompt = torch.from_numpy(group.prompt_ids).long()
        for response in group.responses:
            ids = torch.from_numpy(response.ids).long()
            logits = model(input_ids=torch.cat([prompt, ids])[None], use_cache=False).logits[0]
            found.append(logits[len(prompt) - 1 : -1].log_softmax(-1))
    return torch.cat(found)


def plain_log_probs(model: PreTrainedModel, groups: Sequence[TokenGroup]) -> Tensor:
    """(token,) in the order of the batch; 0 where not trained."""
    responses = [response for group in groups for response in group.responses]
    ids = torch.cat([torch.from_numpy(response.ids).long() for response in responses])
    trained = torch.cat([torch.from_numpy(response.trained) for response in responses])
    return plain_log_softmax(model, groups).gather(1, ids[:, None])[:, 0] * trained


class KeepFloat64(TorchFunctionMode):
    """Casts of float64 to float32, as norms, rotations and softmaxes do them, are left out.

    Forward rounds the same way in every layout; backward does not: the gradient of a shared prompt
    is summed over its responses before it is rounded, that of separate rows after.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        settings = dict(kwargs or {})
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if func is Tensor.float:
                return args[0]
            if func is Tensor.to:
                args = tuple(torch.float64 if each is torch.float32 else each for each in args)
            if settings.get("dtype") is torch.float32:
                settings["dtype"] = torch.float64
        return func(*args, **settings)
