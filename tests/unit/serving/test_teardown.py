"""Ending a run's servers: all of them, to the last pod, and again when there is nothing left."""

import pytest
from cluster_servers import asked, start
from cluster_servers import place as where

from globe.errors import GlobeError
from globe.serving import cleanup, kube
from globe.serving.teardown import teardown


def test_tear_down_waits_until_the_pods_are_gone(api, capsys):
    start()
    api.lingering = 3
    teardown(where("run-1"))
    assert api.lingering == 0
    assert "ended the servers of grpo" in capsys.readouterr().err


def test_tear_down_tells_of_pods_that_do_not_go(api, monkeypatch):
    start()
    monkeypatch.setattr(cleanup, "DELETION_TIMEOUT_S", 0.05)
    api.lingering = 10**6
    with pytest.raises(GlobeError, match="still there 0 s after they were deleted: old"):
        teardown(where("run-1"))


def test_tear_down_is_content_with_what_is_gone_already_or_was_never_made(api):
    place = where("run-1")
    teardown(place)
    assert asked(api, "DELETE") == []
    start()
    api.objects["deployments"].clear()  # only the service is left, as after a stage that was killed
    teardown(place)
    assert api.objects["services"] == {}
    assert kube.connect().delete("Deployment", "gone-between-list-and-delete") is False
