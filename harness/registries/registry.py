"""A registry: things of one kind by their names, and the plugins' files that put them there, loaded and blamed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.errors import HarnessError, PluginError, UsageError, is_of_device

T = TypeVar("T")

ENTRY_POINTS = "harness.plugins"
"""The group in which an installed package names its plugins."""


@dataclass(frozen=True)
class Plugin:
    """A file of a user's, loaded.

    Attributes:
        name: as the YAML names it.
        path: the file.
        sha256: of its content, 64 hex digits.
    """

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Registered(Generic[T]):
    """What stands in a registry under a name, and the plugin that put it there; None: the harness itself."""

    name: str
    what: T
    plugin: Plugin | None


class Registry(Generic[T]):
    """Things of one kind by their names.

    Args:
        kind: in a sentence: ``measure``, ``style statistic``, …
        homes: the harness's own modules that register some.
        check: raises ``UsageError`` for what cannot be one.
        own: the names that the homes register, where they can be known without importing these: torch takes seconds.
    """

    def __init__(
        self,
        kind: str,
        homes: tuple[str, ...],
        check: Callable[[str, Any], None] | None = None,
        own: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.own = own
        self._homes = homes
        self._check = check
        self._held: dict[str, Registered[T]] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """The decorator that registers what stands below it.

        Raises:
            UsageError: the name is taken by somebody else, or what stands below cannot be such a thing.
        """
        if not isinstance(name, str) or not name.isidentifier():
            raise UsageError(
                f"{name!r} cannot name a {self.kind}: give letters, digits and underscores in quotes, "
                f'such as @harness.{self.kind.replace(" ", "_")}("mine").'
            )

        def register(what: T) -> T:
            if self._check is not None:
                self._check(name, what)
            if not _loading and not getattr(what, "__module__", "").startswith("harness."):
                return what  # a plugin's file, imported by its user; only what a YAML names is registered
            plugin = _loading[-1] if _loading else None
            held = (self._held if plugin is None or self.own else self._all()).get(name)
            is_ours = name in self.own and plugin is not None
            if is_ours or (held is not None and not _same_source(held.plugin, plugin)):
                owner = "the harness" if is_ours or held is None or held.plugin is None else held.plugin.name
                raise UsageError(f"The {self.kind} {name!r} is {owner}'s already; give yours another name.")
            self._held[name] = Registered(name, what, plugin)
            return what

        return register

    def __getitem__(self, name: str) -> T:
        """What stands under a name.

        Raises:
            UsageError: nothing does.
        """
        return self.registered(name).what

    def __contains__(self, name: object) -> bool:
        return name in tuple(self)

    def __iter__(self) -> Iterator[str]:
        """The names: the harness's own, then those of plugins as they were loaded."""
        return iter(dict.fromkeys((*self.own, *(self._held if self.own else self._all()))))

    def plugin_of(self, name: str) -> Plugin | None:
        """Whose a name is; None: the harness's own, or nobody's. Nothing is imported."""
        held = self._held.get(name)
        return held.plugin if held else None

    def registered(self, name: str) -> Registered[T]:
        """What stands under a name, and whose it is.

        Raises:
            UsageError: nothing does.
        """
        held = self._all()
        if name not in held:
            near = get_close_matches(name, held, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            there = f"there are {', '.join(held)}" if held else "there are none"
            raise UsageError(
                f"There is no {self.kind} {name!r}; {there}.{meant} One of your own is found where the YAML names its "
                "file: plugins: [FILE.py]."
            )
        return held[name]

    def forget(self, plugin: Plugin) -> None:
        """Drop what a plugin registered."""
        self._held = {name: of for name, of in self._held.items() if of.plugin != plugin}

    def _all(self) -> Mapping[str, Registered[T]]:
        for home in self._homes:
            if home not in sys.modules:
                with _own():
                    importlib.import_module(home)
        return self._held


_loading: list[Plugin | None] = []
"""The plugin being loaded, innermost last; None while a module of the harness is."""
_loaded: dict[Path, Plugin] = {}
_failed: dict[tuple[Path, str], PluginError] | None = None
"""What came of files, by their hashes, inside ``each_once``."""
_registries: list[Registry[Any]] = []


def new_registry(
    kind: str, *homes: str, check: Callable[[str, Any], None] | None = None, own: tuple[str, ...] = ()
) -> Registry[Any]:
    """A registry that plugins are taken out of again when their file has changed."""
    registry: Registry[Any] = Registry(kind, homes, check, own)
    _registries.append(registry)
    return registry


@contextmanager
def each_once() -> Iterator[None]:
    """While a file is read with all its profiles, a plugin that fails is carried out once, not for each of them."""
    global _failed
    _failed = {}
    try:
        yield
    finally:
        _failed = None


def load_plugins(names: Iterable[str]) -> tuple[Plugin, ...]:
    """Load plugins, those already loaded only if their files have changed since (a notebook's second call).

    Args:
        names: files, relative to the working directory as images are, or entry points of installed packages.

    Raises:
        UsageError: there is no such file or entry point.
        PluginError: it fails, with its file and line.
    """
    return tuple(_load(name, _path_of(name)) for name in names)


def use_plugins(names: Iterable[str]) -> tuple[Plugin, ...]:
    """Load these plugins and no others: what another file's have registered, in a notebook, is taken out.

    Raises:
        UsageError, PluginError: as of ``load_plugins``.
    """
    names = tuple(names)
    _keep_only(_path_of(name) for name in names)
    return load_plugins(names)


def use_as_read(plugins: Iterable[Plugin]) -> None:
    """Load in a worker, or on a cluster's node, the plugins that its driver has read, and no others.

    Raises:
        UsageError: a file is not there, or another one by now.
        PluginError: it fails here.
    """
    plugins = tuple(plugins)
    _keep_only(plugin.path for plugin in plugins)
    for plugin in plugins:
        if _load(plugin.name, plugin.path).sha256 != plugin.sha256:
            raise UsageError(
                f"The plugin {plugin.name} has changed since this command read it ({plugin.path} was "
                f"{plugin.sha256[:8]}): give the same command again, and it begins with what the file says now."
            )


def _keep_only(paths: Iterable[Path]) -> None:
    kept = set(paths)
    for plugin in [plugin for path, plugin in _loaded.items() if path not in kept]:
        _forget(plugin)


def _load(name: str, path: Path) -> Plugin:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The plugin {name} cannot be read ({error.strerror}). Give a Python file, relative to the working "
            f"directory, or an installed package's entry point of the group {ENTRY_POINTS}."
        ) from None
    plugin = Plugin(name, path, hashlib.sha256(content).hexdigest())
    before = _loaded.get(path)
    if before is not None and before.sha256 == plugin.sha256:
        return before
    if before is not None:
        _forget(before)
    if _failed is not None and (path, plugin.sha256) in _failed:
        raise _failed[path, plugin.sha256]
    # A package's own module under its own name, so that it can import its neighbours.
    module_name = _module_of(name) or f"harness_plugin_{path.stem}_{plugin.sha256[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"The plugin {name} is no Python file; its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    _loading.append(plugin)
    try:
        with blamed(plugin, "while it was loaded"):
            exec(compile(content, str(path), "exec", dont_inherit=True), module.__dict__)  # the bytes that were hashed
    except BaseException as error:
        sys.modules.pop(module_name, None)
        _forget(plugin)
        if isinstance(error, UsageError) and not isinstance(error, PluginError):
            raise PluginError(f"{_line_of(plugin, error)}: {error}") from error  # it may be another's name: not kept
        if isinstance(error, PluginError) and _failed is not None:
            _failed[path, plugin.sha256] = error
        raise
    finally:
        _loading.pop()
    _loaded[path] = plugin
    return plugin


def _path_of(name: str) -> Path:
    """A plugin's file."""
    if is_file(name):
        return Path(os.path.realpath(Path(name).expanduser()))
    if module := _module_of(name):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin:
            return Path(spec.origin)
    from importlib.metadata import entry_points

    named = sorted(point.name for point in entry_points(group=ENTRY_POINTS))
    there = f"installed packages name {', '.join(named)}" if named else "no installed package names one"
    raise UsageError(
        f"There is no plugin {name!r}: give a Python file (plugins: [my_losses.py]) or an entry point of the group "
        f"{ENTRY_POINTS}; {there}."
    )


def is_file(name: str) -> bool:
    """Whether a plugin's name is a file's, not an installed package's."""
    return name.endswith(".py") or "/" in name


def _module_of(name: str) -> str | None:
    """The module of an installed package that a plugin's name stands for; None of a file."""
    if is_file(name):
        return None
    from importlib.metadata import entry_points  # 20 ms, for those who have entry points

    return next((point.module for point in entry_points(group=ENTRY_POINTS, name=name)), None)


def _forget(plugin: Plugin) -> None:
    for registry in _registries:
        registry.forget(plugin)
    _loaded.pop(plugin.path, None)


def _same_source(held: Plugin | None, now: Plugin | None) -> bool:
    """Whether a name is registered again by whom it belongs to."""
    return (held.path if held else None) == (now.path if now else None)


@contextmanager
def _own() -> Iterator[None]:
    """While a module of the harness is imported, what registers is the harness, also in the middle of a plugin."""
    _loading.append(None)
    try:
        yield
    finally:
        _loading.pop()


@contextmanager
def blamed(plugin: Plugin | None, doing: str) -> Iterator[None]:
    """Report what a user's code raises with its own file and line.

    Args:
        plugin: whose code runs; None: the harness's own, whose errors pass as they are.
        doing: how the sentence goes on: ``in the measure 'sharpness'``.

    Raises:
        PluginError: in place of whatever is raised, but for the harness's own errors, and those of memory and device,
            which come to light wherever something next waits for the device.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        is_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        if plugin is None or is_of_memory or is_of_device(error):
            raise
        raise PluginError(f"{_line_of(plugin, error)}: {type(error).__name__}: {error} ({doing})") from error


def blame(plugin: Plugin | None, function: Any, sentence: str) -> PluginError:
    """The error of what a user's function has returned: at the line where it is defined, as far as that is known."""
    code = getattr(function, "__code__", None)
    where = plugin.name if plugin else "the harness's own"
    return PluginError(f"{where}:{code.co_firstlineno}: {sentence}" if code else f"{where}: {sentence}")


def _line_of(plugin: Plugin, error: Exception) -> str:
    """``FILE:LINE``, the innermost line of the plugin's own that the error came through."""
    if isinstance(error, SyntaxError) and error.filename == str(plugin.path):
        return f"{plugin.name}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(plugin.path)]
    return f"{plugin.name}:{lines[-1]}" if lines else plugin.name
