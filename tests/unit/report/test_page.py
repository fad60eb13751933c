"""A page is whole or not there; `test_run_report.py` has what it escapes."""

import pytest
from jinja2 import UndefinedError

from globe.report.page import write_page


def test_a_value_that_is_missing_is_an_error_and_leaves_no_page(tmp_path):
    with pytest.raises(UndefinedError):
        write_page(tmp_path / "page.html", "page.html", {})
    assert list(tmp_path.iterdir()) == []
