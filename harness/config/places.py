"""Where each field of a configuration was written: a line of the file, or an override."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import Fault

FieldPath = tuple[str, ...]
"""The way to a field from the root of the document; items of lists count from "0"."""


@dataclass
class Located:
    """Maps fields to the place they were written.

    Attributes:
        document: where the document itself stands; what a field with no known ancestor gets.
        places: place of every field, by its path.
    """

    document: str
    places: dict[FieldPath, str] = field(default_factory=dict)

    def where(self, path: str | Sequence[str]) -> str:
        """The place of a field, or of its nearest ancestor that was written anywhere.

        Args:
            path: dotted (``transfer.alpha``, ``axes.alpha.2``) or as a sequence (for keys that have dots themselves).
        """
        names = tuple(path.split(".")) if isinstance(path, str) else tuple(path)
        if isinstance(path, str):
            dotted = {".".join(known): place for known, place in self.places.items()}
            while names and ".".join(names) not in dotted:
                names = names[:-1]
            return dotted.get(".".join(names), self.document)
        while names and names not in self.places:
            names = names[:-1]
        return self.places.get(names, self.document)

    def fault(self, path: str | Sequence[str], message: str) -> Fault:
        """A fault at a field; an item of a list is named by its list, for the sentence shows the item."""
        names = path.split(".") if isinstance(path, str) else list(path)
        named = names[:2] + names[3:] if names[:1] == ["axes"] else names
        while named and named[-1].isdecimal():
            named = named[:-1]
        return Fault(self.where(path), ".".join(named), message)

    def replace(self, path: FieldPath, place: str) -> None:
        """A field was written anew: it and everything inside it now stand at ``place``."""
        self.remove(path)
        self.places[path] = place

    def remove(self, path: FieldPath) -> None:
        """A field was taken away, with everything inside it."""
        self.places = {known: place for known, place in self.places.items() if known[: len(path)] != path}

    def adopt(self, path: FieldPath, source: FieldPath, places: Mapping[FieldPath, str]) -> None:
        """A field was replaced by what stands at ``source`` in the same document (a profile does that)."""
        self.remove(path)
        for known, place in places.items():
            if known[: len(source)] == source:
                self.places[path + known[len(source) :]] = place

    def copy(self) -> Located:
        """An independent copy."""
        return Located(self.document, dict(self.places))
