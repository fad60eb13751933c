from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from globe.retry_after import retry_after_s


def test_a_server_names_seconds_or_a_date():
    assert retry_after_s("120") == 120
    assert 50 <= retry_after_s(format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)) <= 60
    assert retry_after_s(format_datetime(datetime.now(UTC) - timedelta(minutes=1), usegmt=True)) == 0


@pytest.mark.parametrize("header", ["", "soon", "-3", "1.5", "9" * 400 + "x", "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_anything_else_names_nothing(header):
    assert retry_after_s(header) is None
