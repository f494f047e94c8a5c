"""A change is seen by what a file holds."""

from __future__ import annotations

import os
from pathlib import Path

from relay.config.watch import Watcher


def test_a_change_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("a")
    watcher = Watcher(file)
    assert watcher.changed() == ()
    file.write_text("b")
    assert watcher.changed() == (file,)
    assert watcher.changed() == ()


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("a")
    os.utime(file, (1, 1))
    watcher = Watcher(file)
    file.write_text("b")
    os.utime(file, (1, 1))
    assert watcher.changed() == (file,)


def test_a_touch_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("a")
    watcher = Watcher(file)
    os.utime(file, (9, 9))
    file.write_text("a")
    assert watcher.changed() == ()


def test_a_config_map_swapped_behind_its_link_is_seen(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "relay.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "relay.yaml").symlink_to("..data/relay.yaml")
    watcher = Watcher(tmp_path / "relay.yaml")
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").rename(tmp_path / "..data")
    assert watcher.changed() == (tmp_path / "relay.yaml",)


def test_a_file_that_is_gone_for_a_moment_has_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("a")
    watcher = Watcher(file)
    file.unlink()
    assert watcher.changed() == ()
    file.write_text("a")
    assert watcher.changed() == ()
    file.write_text("b")
    assert watcher.changed() == (file,)


def test_a_folder_changes_with_its_yaml_files(tmp_path: Path) -> None:
    tree = tmp_path / "a.yaml"
    tree.write_text("a")
    watcher = Watcher(tmp_path)
    (tmp_path / "README.md").write_text("x")
    assert watcher.changed() == ()
    tree.rename(tmp_path / "b.yaml")
    assert watcher.changed() == (tmp_path,)
    (tmp_path / "b.yaml").write_text("b")
    assert watcher.changed() == (tmp_path,)
    (tmp_path / "c.yml").write_text("c")
    assert watcher.changed() == (tmp_path,)
    (tmp_path / "c.yml").unlink()
    assert watcher.changed() == (tmp_path,)
