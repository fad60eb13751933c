"""What is told at the end of a run."""

import pytest

from globe.run.summary import Money, StageUse


def test_gpu_hours_count_every_promised_gpu_for_the_whole_time():
    use = StageUse("sft", "SFT", "failed", attempts=3, seconds=5400, gpus=8)
    assert use.gpu_hours == pytest.approx(12.0)
    assert StageUse("gate", "Gate", "succeeded", 1, 5400, 0).gpu_hours == 0


def test_money_is_printed_with_its_currency_and_cents():
    assert str(Money(12345.678, "EUR")) == "12,345.68 EUR"
