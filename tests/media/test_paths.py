"""Which files a graph may read and write."""

import os

import pytest

from stereoreel.media import paths
from stereoreel.media.paths import confine, confine_prefix


@pytest.fixture(autouse=True)
def no_listed_roots(monkeypatch, tmp_path):
    monkeypatch.delenv(paths.ROOTS_VARIABLE, raising=False)
    monkeypatch.setattr(paths, "ROOTS_FILE", tmp_path / "media_roots.txt")


@pytest.fixture
def roots(tmp_path):
    for name in ("input", "output", "secret", "input-more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").write_bytes(b"x")
    return tmp_path


def link(at, to):
    try:
        at.symlink_to(to, target_is_directory=to.is_dir())
    except OSError:
        pytest.skip("this user may not make symbolic links")


def test_files_inside_a_root_are_allowed(roots):
    wanted = (roots / "input" / "a.mp4").resolve()
    assert confine(roots / "input" / "a.mp4", [roots / "output", roots / "input"]) == wanted
    assert confine(roots / "input" / "sub" / ".." / "a.mp4", [roots / "input"]) == wanted
    assert confine(roots / "input" / "not-yet.mp4", [roots / "input"]).name == "not-yet.mp4"


@pytest.mark.parametrize(
    "path", ["secret/a.mp4", "input/../secret/a.mp4", "input-more/a.mp4", "input/../../etc/passwd", "."]
)
def test_files_outside_the_roots_are_refused(roots, path):
    with pytest.raises(PermissionError, match=paths.ROOTS_VARIABLE):
        confine(roots / path, [roots / "input", roots / "output"])


def test_links_leaving_a_root_are_refused(roots):
    link(roots / "input" / "door", roots / "secret")
    link(roots / "input" / "key.mp4", roots / "secret" / "a.mp4")
    for name in ("door/a.mp4", "key.mp4"):
        with pytest.raises(PermissionError):
            confine(roots / "input" / name, [roots / "input"])


def test_root_may_be_a_link(roots):
    link(roots / "alias", roots / "input")
    assert confine(roots / "alias" / "a.mp4", [roots / "alias"]) == (roots / "input" / "a.mp4").resolve()


def test_roots_are_configurable(roots, monkeypatch):
    monkeypatch.setenv(
        paths.ROOTS_VARIABLE, os.pathsep.join([str(roots / "elsewhere"), str(roots / "secret")])
    )
    assert confine(roots / "secret" / "a.mp4", [roots / "input"]).is_file()
    monkeypatch.delenv(paths.ROOTS_VARIABLE)
    with pytest.raises(PermissionError):
        confine(roots / "secret" / "a.mp4", [roots / "input"])
    paths.ROOTS_FILE.write_text(f"# the archive\n\n{roots / 'secret'}\n")
    assert confine(roots / "secret" / "a.mp4", [roots / "input"]).is_file()


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_malformed_paths_are_refused(roots, path):
    with pytest.raises(ValueError, match="malformed"):
        confine(path, [roots])


@pytest.mark.parametrize("prefix", ["clip", "video/clip", "video/../clip", "a/b/c"])
def test_prefixes_inside_the_output_folder(roots, prefix):
    full = confine_prefix(prefix, roots / "output")
    assert str(full).startswith(str((roots / "output").resolve()) + os.sep)


@pytest.mark.parametrize(
    "prefix",
    [
        "../clip",
        "video/../../clip",
        "..\\clip",
        "/tmp/clip",
        "",
        "video/",
        "..",
        "a/..",
        "a\0b",
        "../output-2/clip",
    ],
)
def test_prefixes_leaving_the_output_folder_are_refused(roots, prefix):
    with pytest.raises(ValueError, match="prefix"):
        confine_prefix(prefix, roots / "output")


def test_prefixes_through_a_link_are_refused(roots):
    link(roots / "output" / "door", roots / "secret")
    with pytest.raises(ValueError, match="leads out"):
        confine_prefix("door/clip", roots / "output")
