"""The cluster's API: patience, and what a user is told when it refuses or is not there."""

import pytest
from cluster_servers import TOKEN, failure, start
from cluster_servers import place as where

from globe.errors import InputError
from globe.serving import kube
from globe.serving.teardown import teardown


def test_an_api_that_is_away_for_a_moment_is_asked_again(api):
    api.answers = [503, 500, 429, 504]
    assert start()
    api.answers = [502, 503]
    teardown(where("run-1"))
    assert not any(api.objects.values())


def test_an_api_that_stays_away_is_told_with_its_address(api, monkeypatch):
    monkeypatch.setattr(kube, "PATIENCE_S", 0.1)
    api.config.write_text(api.config.read_text().replace(api.url, "http://127.0.0.1:9"))
    assert "the cluster's API at 127.0.0.1:9 does not answer" in failure()


def test_refused_credentials_are_told_without_showing_them(api, capsys):
    api.answers = [401] * 20
    assert "does not accept the credentials (401)" in failure()
    assert TOKEN not in capsys.readouterr().err


def test_a_missing_right_is_told_with_what_grants_it(api):
    message = 'services "x" is forbidden: User "system:serviceaccount:globe:default" cannot patch resource "services"'
    api.answers = [(403, message)] * 20
    text = failure()
    assert message in text
    assert "manifests/overlays" in text


def test_a_refusal_for_another_reason_is_not_told_as_a_missing_right(api):
    api.answers = [(403, 'services "x" is forbidden: exceeded quota: services')]
    text = failure()
    assert "exceeded quota" in text
    assert "manifests/overlays" not in text


def test_a_missing_namespace_is_told_as_such(api):
    api.answers = [(404, 'namespaces "globe" not found')]
    with pytest.raises(InputError, match='namespaces "globe" not found; create the namespace'):
        start()


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "no way into a cluster"), ("not: [yaml", "no way into a cluster"), ("{}", "no way into a cluster")],
    ids=["missing", "malformed", "empty"],
)
def test_an_unusable_kubeconfig_is_told_in_one_line(tmp_path, monkeypatch, content, expected):
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    text = failure()
    assert expected in text
    assert str(file) in text


def test_a_pod_without_a_token_is_told_in_one_line(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert "this pod's service account" in failure()
