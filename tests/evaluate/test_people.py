import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.errors import ConfigError
from spinelift.evaluate.people import count_people, hash_people, join_people, refuse_seen

EIDS = st.sets(st.integers(1, 10**18 - 1), max_size=40)


@given(EIDS, EIDS)
def test_people_are_refused_if_and_only_if_they_were_seen(one, other):
    seen = hash_people(np.array(sorted(one), np.int64))
    asked = np.array([*other, *other], np.int64)
    if shared := one & other:
        with pytest.raises(ConfigError, match=f"Found {len(shared)} people who are both in training"):
            refuse_seen(asked, seen, "training and test")
    else:
        refuse_seen(asked, seen, "training and test")


@given(EIDS, EIDS)
def test_hashes_are_a_set_of_eight_bytes_that_tells_real_from_simulated(one, other):
    first, second = (hash_people(np.array(sorted(e), np.int64)) for e in (one, other))
    both = join_people(first, second, first)
    assert both == join_people(second, first) == hash_people(np.array(sorted(one | other), np.int64))
    assert len(both) == 8 * len(one | other)
    assert count_people(both) == (len(one | other), sum(e < 10**7 for e in one | other))


def test_no_number_is_in_the_hashes():
    eid = np.array([1234567, 7654321])
    seen = hash_people(eid)
    assert not any(str(e).encode() in seen or int(e).to_bytes(4, "big") in seen for e in eid)
