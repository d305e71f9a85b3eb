import os

os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
from hypothesis import settings

settings.register_profile("spinelift", deadline=None, max_examples=60, derandomize=True, database=None)
settings.load_profile("spinelift")


@pytest.fixture(scope="session")
def prior():
    from spinelift.simulate.body.prior import ShapePrior

    return ShapePrior.load()


@pytest.fixture(scope="session")
def body(prior):
    """One whole simulated person; building takes a second the first time."""
    import numpy as np

    from spinelift.simulate.body.body import sample_body

    return sample_body(prior, np.random.default_rng(11))
