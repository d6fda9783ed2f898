"""The script that brings up Prism: what it says when it cannot."""

import pytest

from tools import prism


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(prism, "FOLDER", tmp_path / "prism")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_go_it_says_what_to_install(nothing_installed):
    with pytest.raises(prism.PrismError, match="Go is not installed"):
        prism.install()


def test_what_go_says_is_passed_on(nothing_installed):
    go = nothing_installed / "go"
    go.write_text("#!/bin/sh\necho 'go: no such version' >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(prism.PrismError, match=f"prism@v{prism.VERSION}: go: no such version"):
        prism.install()
