"""The generators of random numbers that a training draws from: their states, and putting them back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """States of all generators that a checkpoint holds, on the devices that this process uses."""
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore(states: dict[str, Any]) -> None:
    """Set the generators to states that `random_states` gave."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Put every generator of this process back to where it was."""
    states = random_states()
    try:
        yield
    finally:
        restore(states)
