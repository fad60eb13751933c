"""Whether the model that was meant has answered."""

import pytest

from globe.errors import GlobeError
from globe.served import require_model


def test_the_model_that_was_meant_passes_and_so_does_any_if_nobody_knows_which_it_is():
    require_model("abc", "abc", "http://x/v1")
    require_model("abc", "", "http://x/v1")
    require_model(None, "", "http://x/v1")


@pytest.mark.parametrize("told", ["abd", "", None, "ABC", "abc "])
def test_another_model_or_a_server_that_does_not_say_is_an_error_in_one_line(told):
    with pytest.raises(GlobeError, match=r"^http://x/v1: .* answers there, and model abc was meant; nothing of it is used$"):
        require_model(told, "abc", "http://x/v1")
