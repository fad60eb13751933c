"""The process in which KFP runs a pipeline locally: which keys its stages need."""

import pytest

from pipelines.local.worker import is_on_s3


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ({"store": "/home/store", "source": "toy"}, {}, False),
        ({"source": "s3://bucket/photos"}, {}, True),
        ({"source": "im2gps3k@s3://bucket/photos"}, {}, True),
        ({"start_from": {"sft": "s3://bucket/sft"}}, {}, True),
        ({"source": "im2gps3k"}, {"GLOBE_DATASETS": "s3://bucket/sets"}, True),
        ({"source": "im2gps3k"}, {"GLOBE_DATASETS": "/data"}, False),
    ],
)
def test_a_run_needs_the_keys_to_s3_where_something_of_it_lies_there(arguments, environment, expected):
    assert is_on_s3(arguments, environment) is expected
