"""The public names of Python, from their signatures and docstrings; and what they take and return, as far as that is ours."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import energy_rating
from reference.markdown import cell, code, table

HEAD = """# The Python interface

The names that `energy_rating` promises, with their signatures, and the values that they take and return.
Everything else inside the package may move from one version to the next.

```python
import time

from energy_rating import load, measure, rate

with measure("inference", model="org/name", output_dir="reports/answers") as run:
    with run.window("answers") as window:
        time.sleep(1)  # your own work
        window.count(request=1, token=212)

energy = run.record["answers"].energy_per("token")  # without a GPU: energy_per("token", "cpu")
print(energy, energy.interval())
print(rate(load("reports/answers")).reasons)
```

> - Measure your own code: [`measure`](#measure) and the [`Run`](#run) that it gives. Benchmark any function: [`benchmark`](#benchmark).
> - Judge a run: [`load`](#load), [`summarise`](#summarise), [`rate`](#rate), [`compare`](#compare), [`normalise`](#normalise),
>   [`footprint`](#footprint), [`verify`](#verify).
> - Publish it: [`update_card`](#update_card).
> - Values are frozen, and their units stand in their names (`_j` joules, `_w` watts, `_s` seconds, `_g` grams). What the keys of a
>   record mean: [the measured variables](variables.md).
> - The same on the command line: [the command line](cli.md). Words: [glossary](glossary.md).
"""

# The order of the page; the rest follows by name.
FIRST = (
    "measure",
    "Run",
    "Window",
    "benchmark",
    "load",
    "summarise",
    "rate",
    "compare",
    "normalise",
    "footprint",
)
LONGEST_LINE = 90


def public() -> dict[str, Any]:
    """The promised names and what they stand for, in the order of the page."""
    rest = [name for name in energy_rating.__all__ if name not in FIRST]
    return {name: getattr(energy_rating, name) for name in (*FIRST, *rest)}


def page() -> str:
    """The whole page."""
    promised = public()
    kinds: dict[str, list[str]] = {"Functions": [], "Values": [], "Errors": []}
    for name, thing in promised.items():
        kinds[kind(thing)].append(name)
    parts = [HEAD]
    rows = [
        (f"[`{name}`](#{name.lower()})", cell(first_sentence(docstring(thing))))
        for names in kinds.values()
        for name, thing in ((name, promised[name]) for name in names)
    ]
    parts.append(table(("name", "what it is"), rows))
    for title, names in kinds.items():
        parts.append(f"\n## {title}\n")
        parts += [section(name, promised[name]) for name in names]
    reached, words = beyond(promised)
    parts.append("\n## What they take and return\n")
    parts.append(
        "These are no promised names of the package, but their members are: whoever is handed one may use them.\n"
    )
    parts += [section(name, thing) for name, thing in sorted(reached.items())]
    parts.append("\n## Closed sets of words\n")
    parts.append(
        table(
            ("type", "its values"),
            (
                (cell(name), ", ".join(code(str(value)) for value in get_args(word)))
                for name, word in sorted(words.items())
            ),
        )
    )
    return "\n".join(parts)


def kind(thing: object) -> str:
    if inspect.isclass(thing):
        return "Errors" if issubclass(thing, BaseException) else "Values"
    return "Functions"


def docstring(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def first_sentence(told: str) -> str:
    return prose(" ".join(told.split("\n\n")[0].split()))


def prose(text: str) -> str:
    """A docstring's words as Markdown."""
    return re.sub(r"``(.+?)``", r"`\1`", text)


# ------------------------------------------------------------------------------------------------------------ a section


def section(name: str, thing: Any) -> str:
    """All that is told of one name."""
    parts = [f"### {name}\n"]
    if not inspect.isclass(thing):
        return "\n".join([*parts, fenced(signature(name, thing)), told(docstring(thing))])
    if issubclass(thing, BaseException):
        bases = ", ".join(base.__name__ for base in thing.__bases__)
        return "\n".join([*parts, fenced(f"class {name}({bases})"), told(docstring(thing))])
    parts += [told(docstring(thing))]
    above = [base.__name__ for base in thing.__bases__ if base in public().values()]
    if above:
        parts.append(f"It has all that [`{above[0]}`](#{above[0].lower()}) has, and:\n")
    if dataclasses.is_dataclass(thing):
        own = [item for item in dataclasses.fields(thing) if not item.name.startswith("_")]
        rows = [(code(item.name), code(annotation(item.type)), default(item)) for item in own]
        parts.append(table(("field", "type", "default"), rows))
    for member, value in members(thing):
        parts.append(f"#### {name}.{member}\n")
        if isinstance(value, property):
            returned = annotation(value.fget.__annotations__.get("return", "")) if value.fget else ""
            parts.append(fenced(f"{member}: {returned}" if returned else member))
        else:
            parts.append(fenced(signature(member, value, method=True)))
        parts.append(told(docstring(value)))
    return "\n".join(parts)


# What Python calls by itself, and people write in another way.
SPOKEN = ("__getitem__", "__contains__", "__iter__", "__call__", "__str__")


def members(thing: type) -> Iterator[tuple[str, Any]]:
    """The public properties and methods that are ours, those of the classes above it too."""
    fields = {item.name for item in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
    seen: dict[str, Any] = {}
    promised = set(public().values()) - {thing}
    for one in thing.__mro__:
        if one in promised:
            break  # it stands on this page already
        if not one.__module__.startswith("energy_rating"):
            continue
        for name, value in vars(one).items():
            said = name in SPOKEN and bool(value.__doc__)
            if name in fields or name in seen or (name.startswith("_") and not said) or name in HIDDEN:
                continue
            if isinstance(value, property) or inspect.isfunction(value):
                seen[name] = value
    yield from seen.items()


# Between our own rooms: how a value is stored, how a window's work goes up, what a benchmark tells its run.
HIDDEN = {
    *(
        "stored",
        "closed",
        "told",
        "rises",
        "figure",
        "contradicted",
        "counted_here",
        "has_any",
        "count_through",
        "faults",
    ),
    *("left", "leave", "drain", "loop_begins", "loop_ends", "ended_as", "judged", "tell"),
}


def signature(name: str, function: Callable[..., Any], *, method: bool = False) -> str:
    """``name(...) -> ...``, in one line or with a parameter on each."""
    found = inspect.signature(function)
    parameters = list(found.parameters.values())[1 if method else 0 :]
    pieces: list[str] = []
    starred = False
    for item in parameters:
        if item.kind is item.KEYWORD_ONLY and not starred:
            pieces.append("*")
            starred = True
        starred = starred or item.kind is item.VAR_POSITIONAL
        stars = {item.VAR_POSITIONAL: "*", item.VAR_KEYWORD: "**"}.get(item.kind, "")
        piece = f"{stars}{item.name}"
        if item.annotation is not item.empty:
            piece += f": {annotation(item.annotation)}"
        if item.default is not item.empty:
            equals = " = " if item.annotation is not item.empty else "="
            piece += f"{equals}{_default_of(item.default)}"
        pieces.append(piece)
        if item.kind is item.POSITIONAL_ONLY and not any(
            other.kind is item.POSITIONAL_ONLY for other in parameters[parameters.index(item) + 1 :]
        ):
            pieces.append("/")
    returned = "" if found.return_annotation is found.empty else f" -> {annotation(found.return_annotation)}"
    line = f"{name}({', '.join(pieces)}){returned}"
    if len(line) <= LONGEST_LINE:
        return line
    return f"{name}(\n" + "".join(f"    {piece},\n" for piece in pieces) + f"){returned}"


def annotation(given: object) -> str:
    text = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    return text.strip("'\"")


def _default_of(value: object) -> str:
    # Of a function that is a default only what it does matters, and its line says that.
    if inspect.isroutine(value):
        return "..."
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def default(item: dataclasses.Field[Any]) -> str:
    if item.default is not dataclasses.MISSING:
        return code(_default_of(item.default))
    if item.default_factory is not dataclasses.MISSING:
        return code(repr(item.default_factory()))
    return ""


def fenced(text: str) -> str:
    # No language: what stands here is no program, and is not run.
    return f"```text\n{text}\n```\n"


PARTS = {"Args": "Arguments", "Returns": "Returns", "Raises": "Raises"}


def told(doc: str) -> str:
    """A docstring as Markdown: paragraphs, and lists where it lists arguments, what is returned, what is raised."""
    parts: list[str] = []
    lines = doc.splitlines()
    head: list[str] = []
    while lines and lines[0].rstrip(":") not in PARTS:
        head.append(lines.pop(0))
    parts.append(prose("\n".join(head).strip()))
    listed: list[str] = []
    for line in lines:
        word = line.rstrip(":")
        if word in PARTS:
            listed.append(f"\n*{PARTS[word]}*\n" if word != "Returns" else "\n*Returns*:")
        elif not line.strip():
            continue
        elif match := re.match(r"    (\w+): (.+)", line):
            listed.append(f"- `{match[1]}`: {prose(match[2])}")
        elif listed:
            listed[-1] += f" {prose(line.strip())}"
    return "\n".join([*parts, *listed]).strip() + "\n"


# ------------------------------------------------------------------------------------------- what a signature leads to


def beyond(promised: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The classes of ours that the promised names take or return, and so on; and the closed sets of words among them.

    What is handed out is followed to its end; what is only taken is shown, and not what it is made of: for profiles and schemes that
    is a file, which has a schema of its own.
    """
    known = nouns()
    reached: dict[type, str] = {}
    words: dict[Any, tuple[str, str]] = {}
    done: set[tuple[Any, bool]] = set()
    todo: list[tuple[Any, bool]] = [(thing, True) for thing in promised.values()]
    while todo:
        thing, handed_out = todo.pop()
        scope = vars(importlib.import_module(thing.__module__))
        for text, given in _annotations(thing):
            for name in re.findall(r"[A-Za-z_]\w*", text):
                found = scope.get(name, known.get(name))
                if get_origin(found) is Literal:
                    words.setdefault(found, (name, thing.__module__.rpartition(".")[2]))
                    continue
                ours = inspect.isclass(found) and found.__module__.startswith("energy_rating")
                if not ours or name.startswith("_"):
                    continue
                if not dataclasses.is_dataclass(found) and name not in HANDLES:
                    continue
                if found not in promised.values():
                    reached[found] = name
                follow = (found, given and handed_out)
                if given and handed_out and follow not in done:
                    done.add(follow)
                    todo.append(follow)
    names, said = list(reached.values()), [name for name, _ in words.values()]
    return {
        name if names.count(name) == 1 else f"{name} ({found.__module__.rpartition('.')[2]})": found
        for found, name in reached.items()
    }, {
        name if said.count(name) == 1 else f"{name} ({module})": found
        for found, (name, module) in words.items()
    }


# What a run hands out to be opened and closed.
HANDLES = {"OpenWindow": "windows", "RequestWindow": "steps", "Steps": "steps"}


def nouns() -> Mapping[str, Any]:
    """What a signature may name that its module imports for types only: all public values and words of the nouns and of what judges."""
    found: dict[str, Any] = {}
    for wing in ("nouns", "judging", "publishing"):
        package = importlib.import_module(f"energy_rating.{wing}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, thing in vars(importlib.import_module(module.name)).items():
                if not name.startswith("_") and (inspect.isclass(thing) or get_origin(thing) is Literal):
                    found.setdefault(name, thing)
    for name, room in HANDLES.items():
        found[name] = getattr(importlib.import_module(f"energy_rating.measuring.{room}"), name)
    return found


def _annotations(thing: Any) -> Iterator[tuple[str, bool]]:
    """What stands in a signature or in fields, and whether it is handed out."""
    for function in [thing] if not inspect.isclass(thing) else [value for _, value in members(thing)]:
        plain = function.fget if isinstance(function, property) else function
        for name, text in getattr(plain, "__annotations__", {}).items():
            yield str(text), name == "return"
    if inspect.isclass(thing) and dataclasses.is_dataclass(thing):
        for item in dataclasses.fields(thing):
            yield str(item.type), True
