"""What the harness can be given more of, by name: measures, style statistics, terms, networks, methods.

The harness's own are registered by the same decorators as a user's:

    @harness.measure("sharpness")
    def sharpness(picture, *, content, styles, transfer): ...

A user's stand in a file that the YAML names, ``plugins: [my_losses.py]``, or in a module that an installed package
names as an entry point of the group ``harness.plugins``, ``plugins: [their_name]``. Only what the YAML names is loaded:
in the driver before the file is checked, in a worker before its rows are prepared. What a plugin's file says enters the
id of every run that uses something of it, and a fault in it is reported with its own file and line.

Nothing here imports torch; a registry imports the harness's own modules when somebody first looks into it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.errors import HarnessError, PluginError, UsageError

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
        return Path(name).expanduser().resolve()
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
        PluginError: in place of whatever is raised, but for the harness's own errors.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        if plugin is None or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
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


MEASURE_CAN_ASK_FOR: Mapping[str, str] = {
    "content": "the photograph as the run used it, of the picture's size",
    "styles": "the paintings at the picture's area, in the order in which the transfer names them",
    "transfer": "what the run was told: a harness.config.transfer.Transfer",
    "used_styles": "the paintings as the method was given them: at their scale, recoloured",
    "masks": "for each painting its mask over the picture, (H, W), or None",
    "others": "the experiment's other paintings",
    "to": "the painting that a claim names as its `to`",
    "again": "the picture of the same transfer, computed a second time",
}
"""What a measure gets beside the picture, by the names of its parameters; images are (H, W, 3) float64 in [0, 1]."""

WRITTEN_BY_THE_RUN = ("total", "content", "style", "evaluations", "seconds", "heldout_style_optimised")
"""What stands among a run's numbers and is no measure."""

MEASURE_OF_ONE_RUN = ("content", "styles", "transfer")
"""What a run has by itself wherever it is computed: a sweep's objective can ask for no more."""


def asked_by(what: Callable[..., Any]) -> tuple[str, ...]:
    """What of ``MEASURE_CAN_ASK_FOR`` a measure asks for."""
    _, *others = inspect.signature(what).parameters.values()
    named = [parameter.name for parameter in others if parameter.name in MEASURE_CAN_ASK_FOR]
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in others)
    return tuple(dict.fromkeys((*named, *(MEASURE_OF_ONE_RUN if takes_all else ()))))


def is_of_a_set(what: Callable[..., Any]) -> bool:
    """Whether a measure is of several runs' pictures together: ``f(pictures) -> float``."""
    return next(iter(inspect.signature(what).parameters)) == "pictures"


def _check_measure(name: str, what: Any) -> None:
    """Refuse what cannot be called as a measure is."""
    form = f"A measure is a function, {name}(picture, *, content, styles, transfer), that gives a number"
    if name in WRITTEN_BY_THE_RUN:
        raise UsageError(f"A measure cannot be called {name!r}: a run writes a number of that name; give another one.")
    try:
        picture, *others = inspect.signature(what).parameters.values()
    except (TypeError, ValueError):
        raise UsageError(f"{form}; this is {what!r}.") from None
    if picture.kind not in (picture.POSITIONAL_ONLY, picture.POSITIONAL_OR_KEYWORD):
        raise UsageError(f"{form}; the picture comes first, by its place.")
    if is_of_a_set(what) and asked_by(what):
        raise UsageError(f"{form}; one of a set of pictures, {name}(pictures), can ask for nothing else.")
    for parameter in others:
        is_needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if is_needed and (parameter.name not in MEASURE_CAN_ASK_FOR or parameter.kind is parameter.POSITIONAL_ONLY):
            raise UsageError(
                f"{form}; {parameter.name} is none of what it can ask for: {', '.join(MEASURE_CAN_ASK_FOR)}."
            )


measure = new_registry("measure", "harness.measures.of_pictures", "harness.measures.of_features", check=_check_measure)
"""Numbers about a finished picture: ``f(picture, *, content, styles, transfer) -> float``."""


def is_of_one_run(name: str) -> bool:
    """Whether a run has all that a measure asks for, wherever it is computed."""
    return not is_of_a_set(measure[name]) and set(asked_by(measure[name])) <= set(MEASURE_OF_ONE_RUN)


COLUMNS = ("evaluation", "seconds", "total", "content", "style", "size")
"""Columns of history.csv that no term can be called by."""


def _check_form(form: str, *methods: str) -> Callable[[str, Any], None]:
    """Refuse what cannot be called, or has not these methods."""

    def check(name: str, what: Any) -> None:
        if not all(callable(getattr(what, method, None)) for method in methods or ("__call__",)):
            raise UsageError(f"{name!r} is {what!r}; {form}.")

    return check


def _check_term(name: str, what: Any) -> None:
    _check_form("a term is a function, f(images, *, content), that gives a loss for each image")(name, what)
    if name in COLUMNS:
        raise UsageError(f"A term cannot be called {name!r}: history.csv has a column of that name; give another one.")


style_statistic = new_registry(
    "style statistic",
    "harness.objective.style_statistics",
    check=_check_form("a style statistic has statistics(maps) and distance(own, target)", "statistics", "distance"),
    own=("gram",),
)
"""What of a painting's maps is matched: a class with ``statistics`` and ``distance``; see
``harness.objective.style_statistics``."""

term = new_registry("term", "harness.objective.terms", check=_check_term, own=("total_variation", "photorealism"))
"""Further terms of the loss: ``f(images, *, content) -> losses``, one per row; see ``harness.objective.terms``."""

network = new_registry("network", check=_check_form("a network is registered as the function that makes it"))
"""Feature networks: ``f() -> network``, named layers of (B, 3, H, W); see ``harness.features.networks``. The harness's
own are weights in files, VGG-19's and VGG-16's."""

method = new_registry(
    "method",
    "harness.runs.modules",
    check=_check_form("a method is a function, f(content, styles, *, transfer), that gives a picture"),
    own=("gatys", "quilting"),
)
"""Ways to the picture: ``f(content, styles, *, transfer) -> picture``; see ``harness.runs.function_rows``. The
harness's own advance in steps, and make the modules of ``harness.runs.modules``."""
