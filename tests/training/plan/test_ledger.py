"""The count of live bytes, with real tensors and with ones that only know their shapes."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from preftune.training.plan.ledger import Ledger

KIB = torch.Size([256])  # of float32


def test_a_storage_counts_once_and_for_as_long_as_it_lives():
    ledger = Ledger()
    with ledger:
        ledger.enter("first", "a")
        one = torch.ones(KIB)
        views = one.view(16, 16), one[3:], one.view(2, -1).mT
        two = one + 1
        ledger.enter("second", "b")
        del two
        three = one.exp()
    del views, three
    assert ledger.peaks["first"] == {"a": 2048}
    assert ledger.peaks["second"].total() == 2048  # when it began; then one went and one came
    assert one.sum() == 256


def test_the_fullest_moment_is_kept_by_part():
    ledger = Ledger()
    with ledger:
        ledger.enter("stage", "a")
        one = torch.ones(KIB)
        ledger.enter("stage", "b")
        two, three = one + 1, one + 2
        del two, three
        four = one + 3
    del four
    assert ledger.peaks == {"stage": {"a": 1024, "b": 2048}}


def test_tensors_from_before_and_their_views_are_left_out():
    weight = torch.ones(KIB)
    ledger = Ledger()
    with ledger:
        ledger.ignore(weight)
        ledger.enter("stage", "a")
        made = weight[2:], weight.view(2, -1), weight + 1
    del made
    assert ledger.peaks["stage"].total() == 1024


def test_a_tensor_can_be_booked_under_another_part():
    ledger = Ledger()
    with ledger:
        ledger.enter("stage", "a")
        one = torch.ones(KIB)
        ledger.rebook(one, "b")
        two = one + 1
    del two
    assert +ledger.peaks["stage"] == {"b": 1024, "a": 1024}


def test_fake_tensors_count_like_real_ones():
    def work():
        a = torch.ones(64, 64, requires_grad=True)
        b = (a @ a).relu().softmax(-1)
        (b @ a).sum().backward()
        return a

    counts = []
    for fake in (False, True):
        ledger = Ledger()
        if fake:
            with FakeTensorMode(), ledger:
                ledger.enter("all", "a")
                work()
        else:
            with ledger:
                ledger.enter("all", "a")
                work()
        counts.append((ledger.peaks["all"].total(), ledger.flops))
    assert counts[0] == counts[1]
    assert counts[0][1] == 6 * 2 * 64**3
