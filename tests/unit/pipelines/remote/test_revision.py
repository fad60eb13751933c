"""The git revision of a checkout: of a real repository, or nothing."""

import subprocess

import pytest

from pipelines.remote.revision import git_revision


def git(folder, *command):
    told = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", folder, *told, *command], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "a")
    return tmp_path


def test_the_revision_is_the_commit_and_says_whether_files_differ_from_it(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_revision(checkout) == commit[:12]
    (checkout / "a.py").write_text("a = 2\n")
    assert git_revision(checkout) == f"{commit[:12]}-dirty"


def test_files_that_git_does_not_know_change_no_package(checkout):
    (checkout / "notes.txt").write_text("mine")
    assert not git_revision(checkout).endswith("-dirty")


def test_a_folder_within_somebody_elses_repository_has_no_revision(checkout):
    inner = checkout / "unpacked"
    inner.mkdir()
    assert git_revision(inner) == ""


def test_without_git_or_a_repository_there_is_no_revision_and_no_error(checkout, tmp_path_factory, monkeypatch):
    assert git_revision(tmp_path_factory.mktemp("plain")) == ""
    monkeypatch.setenv("PATH", "")
    assert git_revision(checkout) == ""
