from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from preftune.batching import Sampler, fill


@given(st.integers(1, 60), st.integers(1, 17), st.integers(1, 3), st.integers(0, 5))
def test_every_group_is_seen_once_an_epoch(count, per_step, epochs, seed):
    sampler = Sampler(count, per_step, epochs, seed)
    steps = [sampler.step(number) for number in range(sampler.num_steps)]
    seen = [index for step in steps for index in step]
    assert Counter(seen) == {index: epochs for index in range(count)}
    assert all(len(step) == per_step for step in steps[:-1])
    for epoch in range(epochs):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_a_step_depends_on_seed_epoch_and_data_only():
    long, short = Sampler(50, 8, 4, seed=3), Sampler(50, 8, 4, seed=3, max_steps=5)
    assert [long.step(n) for n in range(5)] == [short.step(n) for n in range(5)]
    assert Sampler(50, 4, 4, seed=3).step(0) == long.step(0)[:4]
    assert Sampler(50, 8, 4, seed=4).step(0) != long.step(0)
    second_epoch = [i for n in range(6, 13) for i in long.step(n)][2:52]
    first_epoch = [i for n in range(7) for i in long.step(n)][:50]
    assert sorted(first_epoch) == sorted(second_epoch) == list(range(50))
    assert first_epoch != second_epoch


def test_max_steps_goes_on_past_the_epochs():
    sampler = Sampler(3, 2, 1, seed=0, max_steps=10)
    assert sampler.num_steps == 10
    assert all(len(sampler.step(number)) == 2 for number in range(10))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 80))
def test_micro_batches_hold_everything_once_and_keep_the_budget(lengths, budget):
    batches = fill(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[index] for index in batch) <= budget


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 200))
def test_no_two_micro_batches_could_have_been_one(lengths, budget):
    sizes = sorted(sum(lengths[index] for index in batch) for batch in fill(lengths, budget))
    assert len(sizes) < 2 or sizes[0] + sizes[1] > budget


@given(st.integers(1, 60), st.integers(1, 17), st.integers(1, 8), st.integers(0, 5))
def test_visited_is_what_the_steps_see(count, per_step, steps, seed):
    sampler = Sampler(count, per_step, 1, seed, max_steps=steps)
    assert sampler.visited() == {index for step in range(steps) for index in sampler.step(step)}
