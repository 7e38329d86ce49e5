from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.compact import Numbering, Places


@given(st.lists(st.binary(min_size=8, max_size=8), max_size=50))
def test_keys_are_numbered_in_the_order_of_first_sight(keys):
    numbering, seen = Numbering(), {}
    for key in keys:
        assert numbering.number(key) == seen.setdefault(key, len(seen))
    assert len(numbering) == len(seen)


def test_a_table_that_grows_keeps_its_numbers_and_keys_that_collide_stay_apart():
    keys = [(number << 40).to_bytes(8, "little") for number in range(600)]  # the same low bits
    keys += [(number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "little") for number in range(9000)]
    expected = {}
    for key in keys:
        expected.setdefault(key, len(expected))
    numbering = Numbering()
    assert [numbering.number(key) for key in keys] == [expected[key] for key in keys]
    assert [numbering.number(key) for key in expected] == list(expected.values())


place = st.one_of(
    st.text(max_size=8),
    st.builds("{}:{}".format, st.text(max_size=5), st.integers(-5, 10**21)),
)


@given(st.lists(place, max_size=30))
def test_places_come_back_as_they_were(places):
    kept = Places()
    for one in places:
        kept.append(one)
    assert list(kept) == places
    assert kept[:] == places
    assert len(kept) == len(places)
