"""What people write as cron, in the six fields that KFP reads."""

import pytest

from globe.errors import InputError
from pipelines.remote.cron import six_fields


@pytest.mark.parametrize(
    ("given", "six"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("  30  2 * *  1-5 ", "0 30 2 * * 1-5"),
        ("*/15 0-5 1,15 jan mon-fri", "0 */15 0-5 1,15 jan mon-fri"),
        ("15 0 3 * * 1", "15 0 3 * * 1"),
        ("0 0 9 ? * 2-6", "0 0 9 ? * 2-6"),  # as in the help of KFP's own client
        ("0 3 * * 7", "0 0 3 * * 0"),  # Sunday
        ("0 3 * * SUN", "0 0 3 * * SUN"),
        ("0 8-20/4 31 12 *", "0 0 8-20/4 31 12 *"),
    ],
)
def test_five_fields_get_the_second_that_kfp_expects_and_six_stay(given, six):
    assert six_fields(given) == six


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "give five fields"),
        ("3", "give five fields"),
        ("0 0 3 * * * 2027", "give five fields"),
        ("@daily", "give five fields"),
        ("0 24 * * *", "hour: '24' is not within 0 to 23"),
        ("60 3 * * *", "minute: '60' is not within 0 to 59"),
        ("0 3 0 * *", "day of month: '0' is not within 1 to 31"),
        ("0 3 * 13 *", "month: '13' is not within"),
        ("0 3 * * 5-7", "day of week: '5-7' is not within 0 to 6"),
        ("0 3 * * mon#1", "is no value, range"),
        ("0 3 L * *", "day of month: 'L' is not within"),
        ("0 5-3 * * *", "hour: '5-3' is no range"),
        ("*/0 3 * * *", "its step is 0"),
        ("0 3 * * fri-mon", "is no range"),
        ("0 3 , * *", "is no value"),
        ("² 3 * * *", "minute: '²' is no value"),
        ("٣ 3 * * *", "minute: '٣' is no value"),
    ],
)
def test_what_is_no_time_is_refused_with_the_field(given, says):
    with pytest.raises(InputError, match="--cron") as refused:
        six_fields(given)
    assert says in str(refused.value)
