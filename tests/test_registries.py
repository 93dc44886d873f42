"""Registries and plugins: whose a name is, files that change, faults with their own file and line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registries
from harness.errors import PluginError, UsageError
from harness.registries import Plugin, Registry, blamed, load_plugins, new_registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[object]]:
    """A registry of its own, under a name that a plugin can import."""
    made = new_registry("thing")
    monkeypatch.setattr(registries, "thing", made, raising=False)
    yield made
    registries.registry._registries.remove(made)


def plugin(folder: Path, text: str, name: str = "mine.py") -> str:
    """A plugin's file."""
    (folder / name).write_text("from harness.registries import thing\n" + text)
    return str(folder / name)


def test_a_plugin_registers_and_is_known_by_its_content(tmp_path: Path, registry: Registry[object]) -> None:
    name = plugin(tmp_path, "thing('answer')(42)")
    (loaded,) = load_plugins([name])
    assert registry["answer"] == 42
    assert registry.registered("answer").plugin == loaded
    assert load_plugins([name]) == (loaded,)


def test_a_changed_plugin_is_loaded_again_and_its_former_names_are_gone(
    tmp_path: Path, registry: Registry[object]
) -> None:
    (before,) = load_plugins([plugin(tmp_path, "thing('answer')(42)")])
    (after,) = load_plugins([plugin(tmp_path, "thing('reply')(43)")])
    assert before.sha256 != after.sha256
    assert list(registry) == ["reply"]


def test_two_plugins_cannot_have_one_name(tmp_path: Path, registry: Registry[object]) -> None:
    load_plugins([plugin(tmp_path, "thing('answer')(42)", "one.py")])
    with pytest.raises(UsageError, match=r"The thing 'answer' is .*one\.py's already; give yours another name"):
        load_plugins([plugin(tmp_path, "thing('answer')(43)", "two.py")])
    assert registry["answer"] == 42


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = 1\nx.y", 3, "AttributeError"),
        ("def broken(:\n", 2, "SyntaxError"),
        ("def f():\n    raise ValueError('no')\n\nf()", 3, "ValueError: no"),
    ],
)
def test_a_fault_has_the_plugins_own_line(
    tmp_path: Path, registry: Registry[object], text: str, line: int, what: str
) -> None:
    name = plugin(tmp_path, text)
    with pytest.raises(PluginError) as error:
        load_plugins([name])
    assert str(error.value).startswith(f"{name}:{line}: {what}")


def test_what_a_failing_plugin_registered_is_gone(tmp_path: Path, registry: Registry[object]) -> None:
    with pytest.raises(PluginError):
        load_plugins([plugin(tmp_path, "thing('early')(1)\n1 / 0")])
    assert "early" not in registry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import harness\nharness.style_statistic('x')(len)", r":3: 'x' is <.*len>; a style statistic has statistics"),
        ("import harness\nharness.term('x')(3)", r":3: 'x' is 3; a term is a function, f\(images, \*, content\)"),
        ("import harness\nharness.network('x')(3)", ":3: 'x' is 3; a network is registered as the function"),
        ("import harness\nharness.method('x')(3)", ":3: 'x' is 3; a method is a function"),
    ],
)
def test_what_can_be_none_is_refused_where_it_is_registered(
    tmp_path: Path, registry: Registry[object], text: str, message: str
) -> None:
    with pytest.raises(PluginError, match=message):
        load_plugins([plugin(tmp_path, text)])


@pytest.mark.parametrize("name", ["nowhere.py", "no_such_entry_point"])
def test_a_plugin_that_is_not_there(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="Give a Python file|give a Python file"):
        load_plugins([name])


def test_an_unknown_name_is_answered_with_those_that_are_there(tmp_path: Path, registry: Registry[object]) -> None:
    load_plugins([plugin(tmp_path, "thing('answer')(42)")])
    with pytest.raises(UsageError, match=r"no thing 'anser'; there are answer\. Did you mean answer\?"):
        registry["anser"]


def test_an_entry_point_of_an_installed_package(
    tmp_path: Path, registry: Registry[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module imports a neighbour, and the package imports the module."""
    package = tmp_path / "their_package"
    package.mkdir()
    (package / "__init__.py").write_text("from . import losses\n")
    (package / "number.py").write_text("SEVEN = 7\n")
    (package / "losses.py").write_text(
        "from harness.registries import thing\nfrom .number import SEVEN\nthing('theirs')(SEVEN)\n"
    )
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.plugins]\ntheirs = their_package.losses\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (loaded,) = load_plugins(["theirs"])
    assert registry["theirs"] == 7 and registry.registered("theirs").plugin == loaded


def test_a_plugin_that_its_user_imports_is_not_the_harness_own(
    tmp_path: Path, registry: Registry[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = plugin(tmp_path, "@thing('answer')\ndef answer(): return 42\n", "imported_by_its_user.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    import imported_by_its_user  # type: ignore[import-not-found]

    assert imported_by_its_user.answer() == 42 and "answer" not in registry
    load_plugins([name])
    assert "answer" in registry


@pytest.mark.parametrize("error", [MemoryError("no room"), type("OutOfMemoryError", (RuntimeError,), {})("CUDA")])
def test_memory_that_runs_out_is_not_the_plugins_fault(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), blamed(Plugin("mine.py", tmp_path / "mine.py", ""), "in the term 'mine'"):
        raise error
