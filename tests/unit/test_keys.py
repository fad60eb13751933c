"""Where a key goes: whoever listens on the way, or fills in a form, gets none."""

import pytest

from globe import keys
from globe.console import tell_once
from globe.keys import FORM_VARIABLE, SERVER_KEY, TEACHER_KEY, hosts_of, is_inside, key_for, may_carry_secrets, why_withheld

KEY = "sk-planted-4711"


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in (*vars(TEACHER_KEY).values(), *vars(SERVER_KEY).values(), FORM_VARIABLE, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    tell_once.cache_clear()
    keys._is_service.cache_clear()


@pytest.fixture
def key(monkeypatch) -> str:
    monkeypatch.setenv(TEACHER_KEY.variable, f" {KEY}\n")
    return KEY


@pytest.fixture
def form(key, monkeypatch):
    """A task of a run on a cluster, whose form somebody else has filled in."""
    monkeypatch.setenv(FORM_VARIABLE, "1")

    def named(hosts: str) -> None:
        monkeypatch.setenv(TEACHER_KEY.hosts_variable, hosts)

    return named


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "[::1]", "gpu1", "ml-pipeline", "gateway.ml.svc",
     "gateway.ml.svc.cluster.local", "10.1.2.3", "172.31.0.1", "192.168.1.5", "[fd00::1]"],
)  # fmt: skip
def test_plain_http_goes_to_this_machine_and_the_cluster(host):
    assert may_carry_secrets(f"http://{host}:8000/v1")
    assert may_carry_secrets(f"http://{host}")


@pytest.mark.parametrize(
    "host",
    ["api.example.org", "gpu1.lab.example.org", "8.8.8.8", "172.32.0.1", "[2001:db8::1]", "[::ffff:8.8.8.8]",
     # what looks like one of the above
     "134744072", "0x08080808", "0x8.8.8.8", "010.8.8.8", "127.1", "8.8", "127.0.0.1.example.org", "localhost.example.org",
     "localhost.", "gateway.ml.svc.example.org", "gateway.ml.svc.", "a.b.ml.svc", ".svc", "example.svc", "ml-pipeline.kubeflow",
     "example.org",
     "127.0.0.1@example.org", "127.0.0.1:80@example.org", r"127.0.0.1\@example.org", r"example.org\.ml.svc", "example%2eorg",
     "еxample", "example。org", "１３４７４４０７２", "gpu1 ", "gpu1\n.example.org", "gpu1\t", "", "169.254.169.254", "0.0.0.0"],
)  # fmt: skip
def test_plain_http_goes_nowhere_else(host):
    assert not may_carry_secrets(f"http://{host}:8000/v1")
    assert not is_inside(f"http://{host}/v1")


def test_anything_may_go_over_https():
    assert may_carry_secrets("https://api.example.org/v1")
    assert may_carry_secrets("HTTPS://münchen.example/v1")
    assert not may_carry_secrets("httpsx://api.example.org")
    assert not may_carry_secrets("ftp://gpu1")


def test_a_name_of_two_parts_is_a_service_only_where_the_clusters_resolver_knows_it(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    asked = []

    def resolver(name, port):
        asked.append(name)
        if name != "ml-pipeline.kubeflow.svc":
            raise OSError("no such name")
        return [name]

    monkeypatch.setattr("socket.getaddrinfo", resolver)
    assert may_carry_secrets("http://ml-pipeline.kubeflow:8888")
    assert not may_carry_secrets("http://example.org:8888")
    assert asked == ["ml-pipeline.kubeflow.svc", "example.org.svc"]


def test_who_types_url_and_key_names_no_hosts(key):
    for url in ("https://api.example.org/v1", "http://gpu1:8000/v1", "http://127.0.0.1:8700/v1"):
        assert key_for(url, TEACHER_KEY) == key
        assert key_for(url, SERVER_KEY) == ""


def test_a_key_in_the_clear_is_withheld_and_told_once(key, capsys):
    url = "http://api.example.org/v1"
    assert [key_for(url, TEACHER_KEY), key_for(url, TEACHER_KEY)] == ["", ""]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"globe: GLOBE_TEACHER_API_KEY is not sent to {url}: whoever is on the way could read it; give an https://"
    )
    assert key not in line


@pytest.mark.parametrize(
    "url", ["https://evil.example/v1", "http://gpu1:8000/v1", "http://collector.mine.svc/v1", "http://127.0.0.1:1/v1"]
)
def test_in_a_run_of_a_cluster_nobody_gets_a_key_by_being_named_in_the_form(form, url):
    assert key_for(url, TEACHER_KEY) == ""
    form("")
    assert key_for(url, TEACHER_KEY) == ""
    form("api.example.org")
    assert key_for(url, TEACHER_KEY) == ""


def test_the_line_says_what_whoever_owns_the_secret_may_add(form):
    told = why_withheld("http://gateway.ml.svc:8000/v1", TEACHER_KEY)
    assert "GLOBE_TEACHER_HOSTS does not name that host" in told
    assert "add gateway.ml.svc:8000 there" in told
    assert "add api.example.org there" in why_withheld("https://API.example.org:443/v1", TEACHER_KEY)
    assert "plain form" in why_withheld("https://münchen.example/v1", TEACHER_KEY)
    form("gateway.ml.svc:8000")
    assert why_withheld("http://gateway.ml.svc:8000/v1", TEACHER_KEY) == ""


NAMED = "api.example.org, gateway.ml.svc:8000 ,, [fd00::1]:81,not a host,https://x.example,*.example,y.example:port"


@pytest.mark.parametrize(
    "url",
    ["https://api.example.org/v1", "https://API.Example.org:443/v1", "https://api.example.org?x", "https://api.example.org",
     "http://gateway.ml.svc:8000/v1", "https://gateway.ml.svc:8000/v1", "http://[fd00::1]:81/v1"],
)  # fmt: skip
def test_a_host_that_the_secret_names_gets_the_key(form, key, url):
    form(NAMED)
    assert key_for(url, TEACHER_KEY) == key


@pytest.mark.parametrize(
    "url",
    [
        *("https://evil.example/v1", "https://api.example.org.evil.example/v1", "https://evilapi.example.org/v1"),
        *(
            "https://sub.api.example.org/v1",
            "https://example.org/v1",
            "https://api.example.org./v1",
            "https://api.example.org:8443/v1",
        ),
        *("http://api.example.org/v1", "http://api.example.org:443/v1"),  # named, but in the clear
        *(
            "https://api.example.org@evil.example/v1",
            "https://api.example.org:443@evil.example/v1",
            "https://u:p@api.example.org/v1",
        ),
        *(r"https://evil.example\@api.example.org/v1", r"https://api.example.org\.evil.example/v1", r"https://evil.example\.x"),
        *(
            "https://evil.example#@api.example.org/v1",
            "https://evil.example/?https://api.example.org/v1",
            "https:/api.example.org",
        ),
        *("https://api.example.org\n.evil.example/v1", "https://api.example.org\t/v1", "https://api.example.org /v1"),
        *("https://\u0430pi.example.org/v1", "https://api\u3002example.org/v1", "https://api.example.or\uff47/v1"),
        *("https://api%2eexample.org/v1", "https://[api.example.org]/v1", "https://api.example.org:99999999/v1"),
        *("http://gateway.ml.svc/v1", "http://gateway.ml.svc:80/v1", "http://gateway.ml.svc.cluster.local:8000/v1"),
        *("https://x.example/v1", "https://anything.example/v1", "https://*.example/v1", "https://y.example/v1", ""),
    ],
)
def test_no_other_host_gets_it(form, url):
    form(NAMED)
    assert key_for(url, TEACHER_KEY) == ""


def test_where_hosts_are_named_that_holds_in_any_shell(key, monkeypatch):
    monkeypatch.setenv(TEACHER_KEY.hosts_variable, "api.example.org")
    assert key_for("https://api.example.org/v1", TEACHER_KEY) == key
    assert key_for("https://evil.example/v1", TEACHER_KEY) == ""


def test_each_key_has_hosts_of_its_own(form, monkeypatch):
    form("teacher.example")
    monkeypatch.setenv(SERVER_KEY.variable, "sk-other")
    monkeypatch.setenv(SERVER_KEY.hosts_variable, "hosted.example")
    assert (key_for("https://hosted.example/v1", SERVER_KEY), key_for("https://teacher.example/v1", SERVER_KEY)) == (
        "sk-other",
        "",
    )
    assert key_for("https://hosted.example/v1", TEACHER_KEY) == ""
    assert hosts_of(SERVER_KEY) == {("hosted.example", 80), ("hosted.example", 443)}
