import pytest
import torch
from torch import nn

from preftune.errors import RunError
from preftune.training.checkpoint import (
    Progress,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from preftune.training.config import OptimizerSettings
from preftune.training.optimizer import make_optimizer


class Tied(nn.Module):
    """Two names for one weight, as in language models with tied embeddings."""

    def __init__(self, width=4):
        super().__init__()
        self.embedding = nn.Embedding(5, width)
        self.head = nn.Linear(width, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.norm = nn.LayerNorm(width)


def trained(seed, steps=2):
    torch.manual_seed(seed)
    model = Tied()
    optimizer = make_optimizer(model, OptimizerSettings(weight_decay=0.1))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for _ in range(steps):
        model.head(model.norm(model.embedding(torch.arange(5)))).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def test_weights_moments_and_random_state_come_back_bit_for_bit(tmp_path):
    model, optimizer = trained(0)
    path = save_checkpoint(tmp_path, model, optimizer, Progress(3, 24, 999))
    drawn = torch.rand(4)
    other, fresh = trained(1, steps=1)
    assert load_checkpoint(path, other, fresh) == Progress(3, 24, 999)
    assert torch.equal(torch.rand(4), drawn)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    before, after = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert before.keys() == after.keys()
    for index, entry in before.items():
        assert entry.keys() == after[index].keys()
        for name, value in entry.items():
            assert torch.equal(value, after[index][name])
            assert value.dtype == after[index][name].dtype


def test_only_the_newest_are_kept(tmp_path):
    model, optimizer = trained(0)
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, model, optimizer, Progress(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000010"]


def files(path):
    return sorted(part.name for part in path.iterdir())


@pytest.mark.parametrize("what", ["delete", "cut", "flip", "empty"])
def test_every_damaged_file_is_found_and_the_checkpoint_before_is_used(tmp_path, what):
    model, optimizer = trained(0)
    older = save_checkpoint(tmp_path, model, optimizer, Progress(1))
    names = files(older)
    assert len(names) == 5
    for name in names:
        newer = save_checkpoint(tmp_path, model, optimizer, Progress(2))
        victim = newer / name
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        if what == "delete":
            victim.unlink()
        else:
            cut = victim.read_bytes()[: len(content) // 2]
            victim.write_bytes({"cut": cut, "flip": content, "empty": b""}[what])
        found, faults = latest_checkpoint(tmp_path)
        assert found == older
        assert len(faults) == 1
        assert str(newer) in faults[0]


def test_a_leftover_of_a_killed_save_is_no_checkpoint(tmp_path):
    model, optimizer = trained(0)
    (tmp_path / ".step-00000009.123.tmp").mkdir(parents=True)
    assert latest_checkpoint(tmp_path) == (None, [])
    path = save_checkpoint(tmp_path, model, optimizer, Progress(9))
    assert latest_checkpoint(tmp_path) == (path, [])
    assert [part.name for part in tmp_path.iterdir()] == [path.name]


def test_another_models_checkpoint_is_refused(tmp_path):
    model, optimizer = trained(0)
    path = save_checkpoint(tmp_path, model, optimizer, Progress(1))
    other = nn.Linear(2, 2)
    with pytest.raises(RunError, match="not this model's") as caught:
        load_checkpoint(path, other, make_optimizer(other, OptimizerSettings()))
    assert caught.value.code == "PT501"


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path):
    model, optimizer = trained(0)
    path = save_checkpoint(tmp_path, model, optimizer, Progress(1))
    assert {part.suffix for part in path.iterdir()} == {".safetensors", ".json"}


def test_damaged_checkpoints_never_push_out_good_ones(tmp_path):
    """Damaged ones of later steps are set aside: they must not count as the newest."""
    model, optimizer = trained(0)
    for step in (5, 8):
        path = save_checkpoint(tmp_path, model, optimizer, Progress(step))
        (path / "optimizer.safetensors").write_bytes(b"torn")
    found, faults = latest_checkpoint(tmp_path)
    assert found is None
    assert len(faults) == 2
    for step in (3, 4):
        save_checkpoint(tmp_path, model, optimizer, Progress(step))
    assert latest_checkpoint(tmp_path) == (tmp_path / "step-00000004", [])
    assert (tmp_path / "step-00000003").is_dir()
