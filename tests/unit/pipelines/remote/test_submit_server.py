"""`submit` against a server that is slow, gone, broken, or not a KFP server at all. A run is never started twice."""

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from globe.redactor import Redactor
from pipelines.remote.access import Token, endpoint
from pipelines.remote.client import KfpApi
from pipelines.remote.connection import Connection, Limits

from .kfp_api_double import Fault, KfpApiDouble
from .kfp_backend import KfpBackend


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("what", "how"),
    [("POST /runs", how) for how in (500, 503, 429, 408, "lost", "cut", "gateway")]
    + [("GET /runs/", how) for how in (502, 429, "lost", "cut")]
    + [("POST /experiments", "lost"), ("POST /experiments", "gateway"), ("GET /healthz", 503)],
)
def test_trouble_that_passes_is_survived_and_nothing_is_made_twice(command, what, how):
    with KfpApiDouble(faults=[Fault(what, how, times=1)]) as server:
        ended = command(server, "--wait")
    assert ended.code == 0, ended.err
    assert "asking again for up to 300 s" in ended.out
    assert f"{server.url} answers again" in ended.out
    assert len(server.backend.experiments) == 1
    assert len(server.backend.runs) == 1


@pytest.mark.parametrize("how", ["lost", "gateway"])
def test_an_upload_whose_answer_got_lost_is_not_made_twice(command, how):
    faults = [Fault("POST /pipelines/upload_version", how, times=1), Fault("POST /pipelines", how, times=1, skip=0)]
    with KfpApiDouble(faults=faults) as server:
        assert command(server, "--upload").code == 0
    assert (len(server.backend.pipelines), len(server.backend.versions), len(server.backend.runs)) == (1, 1, 1)


def test_a_run_that_starts_only_after_the_gateway_gave_up_is_found(command):
    with KfpApiDouble(faults=[Fault("POST /runs", "after", times=1, seconds=2)]) as server:
        ended = command(server, "--wait")
    assert ended.code == 0, ended.err
    assert len(server.backend.runs) == 1
    assert len(server.received("POST /runs")) == 1


def test_a_lost_answer_is_not_mistaken_for_an_older_run_of_the_same_name(command):
    with KfpApiDouble() as server:
        assert command(server, "--name", "nightly").code == 0
        server.faults.append(Fault("POST /runs", "lost", times=1))
        ended = command(server, "--name", "nightly")
    assert ended.code == 0
    assert list(server.backend.runs) == ["0000-1", "0000-2"]
    assert f"page {server.url}/#/runs/details/0000-2" in ended.lines


def test_a_server_that_asks_for_time_gets_it(command):
    with KfpApiDouble(faults=[Fault("GET /healthz", "busy", times=2, seconds=1.5)]) as server:
        assert command(server).code == 0


def test_a_server_that_only_fails_ends_with_3_and_what_it_says(command):
    with KfpApiDouble(faults=[Fault("GET", 503, message="no healthy upstream")]) as server:
        ended = command(server, "--patience", "1s")
    assert ended.code == 3
    assert f"no usable answer from {server.url}: 503 no healthy upstream" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_server_that_never_finishes_its_answer_ends_with_3(command, how):
    with KfpApiDouble(faults=[Fault("GET", how)]) as server:
        ended = command(server, "--patience", "1s")
    assert ended.code == 3
    assert server.url in ended.err


def test_a_server_that_hangs_while_the_run_is_followed_ends_with_3_and_the_run_goes_on(command):
    with KfpApiDouble(KfpBackend("RUNNING"), faults=[Fault("GET /runs/", "hang", skip=3)]) as server:
        ended = command(server, "--wait", "--patience", "1s")
    assert ended.code == 3
    assert f"no answer; the run goes on: {server.url}/#/runs/details/0000-1" in ended.err


@pytest.mark.timeout(60)  # its patience alone would be five minutes
def test_the_time_to_wait_counts_also_while_the_server_hangs(command):
    with KfpApiDouble(KfpBackend("RUNNING"), faults=[Fault("GET /runs/", "hang", skip=1)]) as server:
        assert command(server, "--wait", "--timeout", "1s").code == 3


def test_one_answer_that_hangs_is_asked_for_again(package):
    lines = []
    with KfpApiDouble(faults=[Fault("GET /healthz", "hang", times=1)]) as server:
        api = KfpApi(connection(server.url, Limits(answer_s=0.3, first_pause_s=0.01), lines))
        assert api.health().multi_user is False
    assert lines == [f"{server.url}: no answer; asking again for up to 300 s", f"{server.url} answers again"]


def connection(url: str, limits: Limits, lines: list[str]) -> Connection:
    return Connection(url, Token("none"), limits=limits, redactor=Redactor({}), say=lines.append)


def test_a_server_that_is_gone_for_less_than_the_patience_is_waited_for(command):
    first = KfpApiDouble(KfpBackend("RUNNING"), port=free_port())

    def go_and_come_back() -> None:
        with first:
            wait_for(lambda: len(first.received("GET /runs/")) > 2)
        time.sleep(1.5)  # nobody listens: connections are refused
        with KfpApiDouble(KfpBackend(runs=first.backend.runs), port=first.http.server_port):
            ended.wait(60)

    ended = threading.Event()
    server = threading.Thread(target=go_and_come_back)
    server.start()
    try:
        result = command(first.url, "--wait", "--patience", "30s")
    finally:
        ended.set()
        server.join()
    assert result.code == 0, result.err
    assert "asking again for up to 30 s" in result.out
    assert f"server {first.url} answers again" in result.lines


def test_a_server_that_is_gone_for_longer_than_the_patience_ends_with_3(command):
    url = f"http://127.0.0.1:{free_port()}"
    ended = command(url, "--patience", "1s")
    assert ended.code == 3
    assert "refused" in ended.err


def wait_for(what) -> None:
    while not what():
        time.sleep(0.01)


def test_a_name_that_no_host_has_is_bad_input(command):
    try:
        socket.getaddrinfo("kfp.invalid", 443)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            pytest.skip("this machine cannot tell a host that does not exist from a name service that is down")
    ended = command("https://kfp.invalid", "--patience", "5s")
    assert ended.code == 2
    assert "no host of that name" in ended.err


@pytest.mark.parametrize("what", ["GET /healthz", "POST /runs", "GET /runs/"])
def test_a_login_page_is_not_an_answer(command, what):
    with KfpApiDouble(faults=[Fault(what, "html")]) as server:
        ended = command(server, "--wait")
    assert ended.code == 2
    assert "a web page instead of the API's answer, probably a login page" in ended.err


def test_a_server_that_sends_to_its_login_is_not_followed_there(command):
    with KfpApiDouble(faults=[Fault("GET /healthz", "redirect")]) as server:
        ended = command(server, env={"KFP_TOKEN": "planted-token"})
    assert ended.code == 2
    assert "302 to https://login.example.org/auth" in ended.err
    assert "secret-state" not in ended.err


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("half", "Invalid JSON"),
        ("nonsense", "run_id: Input should be a valid string"),
        ("empty", "run_id: Field required"),
    ],
)
def test_an_answer_that_is_none_is_named_after_three_tries(command, how, said):
    with KfpApiDouble(KfpBackend("RUNNING"), faults=[Fault("GET /runs/", how)]) as server:
        ended = command(server, "--wait")
    assert ended.code == 3
    assert f"not an answer of the KFP API: {said}" in ended.err
    assert f"the run goes on: {server.url}/#/runs/details/0000-1" in ended.err
    assert len(server.received("GET /runs/")) == 3


@pytest.mark.parametrize("how", ["half", "nonsense", "empty"])
@pytest.mark.parametrize("what", ["POST /experiments", "POST /runs"])
def test_what_was_made_is_found_if_the_answer_that_tells_of_it_is_none(command, what, how):
    with KfpApiDouble(faults=[Fault(what, how)]) as server:
        assert command(server).code == 0
    assert (len(server.backend.experiments), len(server.backend.runs)) == (1, 1)


def test_an_answer_that_is_nonsense_once_is_asked_for_again(command):
    with KfpApiDouble(faults=[Fault("GET /runs/", "nonsense", times=1, skip=1)]) as server:
        assert command(server, "--wait").code == 0


def test_something_that_is_no_kfp_server_is_bad_input(command):
    with KfpApiDouble() as server:
        ended = command(f"{server.url}/elsewhere")
    assert ended.code == 2
    assert "404" in ended.err


def test_a_run_that_the_server_does_not_want_is_bad_input_with_its_reason(command):
    with KfpApiDouble(faults=[Fault("POST /runs", 400, message="Invalid input error: unknown component")]) as server:
        ended = command(server)
    assert ended.code == 2
    assert "400 Invalid input error: unknown component" in ended.err
    assert len(server.received("POST /runs")) == 1


def test_what_a_server_says_cannot_draw_on_the_terminal_or_command_the_ci(command):
    message = "\x1b[2J\r\n::add-mask::x\n##[add-path]/tmp/evil\u202e" + "x" * 5000
    with KfpApiDouble(faults=[Fault("POST /runs", 400, message=message)]) as server:
        ended = command(server)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert not set("\x1b\r\u202e") & set(ended.err)
    assert "##[" not in ended.err
    assert len(ended.err) < 1000


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("kfp.example", "https://kfp.example"),
        (" https://kfp.example/ ", "https://kfp.example"),
        ("http://10.0.0.1:8888/pipeline/", "http://10.0.0.1:8888/pipeline"),
        ("http://[::1]:8888", "http://[::1]:8888"),
    ],
)
def test_an_address_is_understood(given, meant):
    assert endpoint(given) == meant


@pytest.mark.parametrize(
    "given",
    ["", "https://", "ftp://kfp.example", "kfp example", "https://kfp.example:port", "https://kfp.example:99999", "https://a<b>"],
)
def test_what_is_no_address_is_bad_input(command, given):
    ended = command(given)
    assert ended.code == 2
    assert "--host" in ended.err


@pytest.mark.parametrize(
    "given", ["https://ada:planted-password@kfp.example", "https://kfp.example/#/runs", "https://kfp.example?a=b"]
)
def test_an_address_with_more_in_it_is_refused_without_being_shown(command, given):
    ended = command(given)
    assert ended.code == 2
    assert "--host" in ended.err
    assert "planted" not in ended.err + ended.out


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that only itself vouches for, and its key."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_a_certificate_is_checked_and_an_authority_of_ones_own_can_be_named(command, certificate):
    with KfpApiDouble(tls=certificate) as server:
        refused = command(server)
        taken = command(server, "--ca-file", str(certificate[0]))
    assert refused.code == 2
    assert "certificate is not trusted (self-signed certificate)" in refused.err
    assert "--ca-file" in refused.err
    assert taken.code == 0


def test_an_http_server_behind_an_https_address_is_recognized(command):
    with KfpApiDouble() as server:
        ended = command(server.url.replace("http:", "https:"))
    assert ended.code == 2
    assert "no TLS there" in ended.err


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_without_certificates_is_bad_input(command, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    ended = command("https://127.0.0.1:9", "--ca-file", str(path))
    assert ended.code == 2
    assert f"--ca-file {path}" in ended.err
