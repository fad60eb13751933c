"""How `submit` gets in, what happens when it does not, and that no secret is ever shown."""

from pathlib import Path

import kfp.client
import pytest
from recorder import recorder

from globe.redactor import Redactor
from pipelines.remote import access, connection
from pipelines.remote.access import Token

from .kfp_api_double import Fault, KfpApiDouble
from .kfp_backend import KfpBackend

TOKEN = "planted-token-4711"
SECRET = "planted-secret-0815"


@pytest.fixture
def token_file(tmp_path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def shown(server: KfpApiDouble) -> set[str | None]:
    return {request.headers.get("authorization") for request in server.backend.received}


def test_the_token_of_a_file_goes_before_that_of_the_environment(command, token_file):
    with KfpApiDouble(tokens={TOKEN}) as server:
        assert command(server, "--token-file", str(token_file), env={"KFP_TOKEN": "another-token"}).code == 0
    assert shown(server) == {f"Bearer {TOKEN}"}


def test_a_pods_service_account_is_used_where_there_is_nothing_else(command, token_file):
    with KfpApiDouble(tokens={TOKEN}) as server:
        assert command(server, env={"KF_PIPELINES_SA_TOKEN_PATH": str(token_file)}).code == 0


def test_the_places_of_the_service_account_token_are_kfps():
    assert access.SERVICE_ACCOUNT_TOKEN_VARIABLE == kfp.client.KF_PIPELINES_SA_TOKEN_ENV
    assert access.SERVICE_ACCOUNT_TOKEN == kfp.client.KF_PIPELINES_SA_TOKEN_PATH


@pytest.mark.parametrize("given", ["--token-file", "KFP_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH"])
def test_a_token_is_not_read_on_its_way_to_a_host_far_off(command, token_file, monkeypatch, given):
    more = (given, str(token_file)) if given.startswith("--") else ()
    with recorder() as proxy:
        env = {"http_proxy": proxy.url} | ({} if more else {given: TOKEN if given == "KFP_TOKEN" else str(token_file)})
        ended = command("http://kfp.example:8888", "--patience", "1s", *more, env=env)
    assert (ended.code, proxy.keys) == (2, [])
    (line,) = ended.err.splitlines()
    assert line.startswith("error: --host http://kfp.example:8888: the token from ")
    assert "would go over plain http" in line
    assert TOKEN not in line


def test_without_a_token_plain_http_will_do(command):
    with recorder(404) as proxy:
        assert command("http://kfp.example:8888", "--patience", "1s", env={"http_proxy": proxy.url}).code == 2
    assert proxy.paths
    assert set(proxy.keys) == {None}


def test_a_redirect_takes_no_token_along(command):
    with recorder() as collector, recorder(302, f"{collector.url}/login") as server:
        ended = command(server.url, env={"KFP_TOKEN": TOKEN})
    assert (ended.code, collector.paths, set(server.keys)) == (2, [], {f"Bearer {TOKEN}"})


def test_without_a_token_none_is_sent(command):
    with KfpApiDouble() as server:
        assert command(server).code == 0
    assert shown(server) == {None}


def test_a_token_that_expires_while_the_run_is_followed_is_read_anew(command, token_file):
    def renew() -> None:
        server.tokens = {"fresh-token-4712"}
        token_file.write_text("fresh-token-4712")

    with KfpApiDouble(tokens={TOKEN}, on_refused=renew) as server:
        server.backend.answer = expiring(server.backend.answer, server)
        ended = command(server, "--wait", "--token-file", str(token_file))
    assert ended.code == 0, ended.err
    assert shown(server) == {f"Bearer {TOKEN}", "Bearer fresh-token-4712"}


def expiring(answer, server: KfpApiDouble):
    """The server's answers; after the first look at the run the token is no longer good."""

    def with_end(request):
        if request.what.startswith("GET /runs/0000-1") and server.tokens == {TOKEN}:
            server.tokens = set()
        return answer(request)

    return with_end


def test_a_token_that_is_refused_for_good_is_asked_for_twice_and_no_more(command, token_file):
    with KfpApiDouble(tokens={"another-token"}) as server:
        ended = command(server, "--token-file", str(token_file))
    assert ended.code == 2
    assert f"the token from --token-file {token_file} is refused (401" in ended.err
    assert len(server.backend.received) == 2


def test_a_token_of_the_environment_cannot_be_renewed_and_is_tried_once(command):
    with KfpApiDouble(tokens={"another-token"}) as server:
        ended = command(server, env={"KFP_TOKEN": TOKEN})
    assert ended.code == 2
    assert "the token from KFP_TOKEN is refused (401" in ended.err
    assert len(server.backend.received) == 1


def test_a_token_that_expires_for_good_while_the_run_is_followed_says_that_the_run_goes_on(command):
    with KfpApiDouble(KfpBackend("RUNNING"), tokens={TOKEN}) as server:
        server.backend.answer = expiring(server.backend.answer, server)
        ended = command(server, "--wait", env={"KFP_TOKEN": TOKEN})
    assert ended.code == 2
    assert f"the run goes on: {server.url}/#/runs/details/0000-1" in ended.err


def test_a_server_that_asks_for_a_token_says_where_to_give_one(command):
    with KfpApiDouble(tokens={TOKEN}) as server:
        ended = command(server)
    assert ended.code == 2
    assert "it asks for a token" in ended.err
    assert "KFP_TOKEN" in ended.err


def test_a_token_without_the_right_is_bad_input(command):
    with KfpApiDouble(faults=[Fault("POST /runs", 403, message="User ada is not authorized")]) as server:
        ended = command(server)
    assert ended.code == 2
    assert "not allowed (403 User ada is not authorized)" in ended.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"one\ntwo", "not a token"),
        (b"planted\xff\xfe", "not a token"),
        ("planted\u20ac".encode(), "not a token"),
        (b"planted\x00", "not a token"),
    ],
)
def test_a_file_that_holds_no_token_is_bad_input_and_not_shown(command, tmp_path, content, said):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with KfpApiDouble() as server:
        ended = command(server, "--token-file", str(path))
    assert ended.code == 2
    assert f"--token-file {path}: {said}" in ended.err
    assert "planted" not in ended.err
    assert not server.backend.received


def test_no_secret_is_shown_whatever_the_server_says(command, tmp_path):
    leak = f"Authorization: Bearer {TOKEN}, key {SECRET}"
    env = {"KFP_TOKEN": TOKEN, "AWS_SECRET_ACCESS_KEY": SECRET}
    summary = tmp_path / "summary.md"
    cases = [
        (KfpApiDouble(tokens={"another-token"}), 2),
        (KfpApiDouble(faults=[Fault("POST /runs", 400, message=leak)]), 2),
        (KfpApiDouble(faults=[Fault("POST /runs", 403, message=leak)]), 2),
        (KfpApiDouble(faults=[Fault("POST /runs", 500, message=leak)]), 3),
        (KfpApiDouble(faults=[Fault("GET /runs/", 503, message=leak, times=1)]), 0),
        (KfpApiDouble(KfpBackend("FAILED", error=leak)), 1),
    ]
    for double, code in cases:
        with double as server:
            ended = command(server, "--wait", "--patience", "1s", "--summary", str(summary), env=env)
        assert ended.code == code
        for text in (ended.out, ended.err, summary.read_text()):
            assert TOKEN not in text
            assert SECRET not in text
    assert "key ***" in summary.read_text()  # the leak did arrive


def test_a_secret_given_as_a_parameter_is_refused_unseen(command):
    for setting in (f"model=s3://{SECRET}@bucket", f"overrides={{a: [{SECRET}]}}"):
        with KfpApiDouble() as server:
            ended = command(server, "--set", setting, env={"HF_TOKEN": SECRET})
        assert ended.code == 2
        assert "it holds the value of HF_TOKEN" in ended.err
        assert SECRET not in ended.err + ended.out
        assert not server.backend.received


def test_a_secret_in_a_setting_that_does_not_fit_is_not_shown(command):
    ended = command("http://127.0.0.1:9", "--set", f"gpus={SECRET}", env={"HF_TOKEN": SECRET})
    assert ended.code == 2
    assert "not '***'" in ended.err


def test_no_exception_holds_a_token(token_file):
    limits = connection.Limits(patience_s=0.1, answer_s=0.2, first_pause_s=0.01)
    redactor = Redactor({})
    with KfpApiDouble(faults=[Fault("GET", 500, message=f"bad {TOKEN}")]) as server:
        link = connection.Connection(server.url, Token("t", token_file), limits=limits, redactor=redactor, say=lambda text: None)
        with pytest.raises(connection.NoAnswer) as ended:
            link.get("/apis/v2beta1/healthz", connection.Nothing)
    error: BaseException | None = ended.value
    while error is not None:
        assert TOKEN not in f"{error!r} {error.__dict__}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
