"""The rules of the house, as tables, and the functions that read them out of source text.

A new rule is a line in LAYERS or RULES; test_architecture.py then demands a snippet that breaks it.
Imports count wherever they stand: in functions, under TYPE_CHECKING, and by name through importlib.
"""

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "flywheel_assets"


@dataclass(frozen=True)
class Module:
    """A module as rules see it: its name below the package ("" for the package itself) and its tree."""

    name: str
    tree: ast.Module
    is_package: bool = False

    def is_in(self, *layers: str) -> bool:
        return any(within(self.name, layer) for layer in layers)


@dataclass(frozen=True)
class Violation:
    """A broken rule, with the place."""

    rule: str
    module: str
    line: int
    text: str


@dataclass(frozen=True)
class Import:
    """What is imported, by its absolute name; lazily when within a function."""

    target: str
    line: int
    lazy: bool


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


# --- layers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """What modules under a name may import: inner layers, and libraries beyond the standard one."""

    name: str
    layers: tuple[str, ...] = ()
    lazily: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    any_library_but: tuple[str, ...] | None = None

    def allows_library(self, top: str) -> bool:
        if top in sys.stdlib_module_names:
            return True
        if self.any_library_but is not None:
            return top not in self.any_library_but
        return top in self.libraries


PYDANTIC = ("pydantic", "pydantic_core")
DAGSTER = ("dagster", "dagster_webserver", "dagster_graphql", "dagster_shared", "dagster_pipes")
CORE = ("domain", "catalog", "gate", "ports", "promotion")
# What every adapter may use; any other two adapters know nothing of each other.
SHARED_ADAPTERS = ("adapters.http", "adapters.files", "adapters.s3", "adapters.writing")

# The longest matching name counts. A module below `adapters` is a layer of its own: see layer_of.
LAYERS = (
    Layer(""),
    Layer("__main__", layers=("cli",)),
    Layer("domain", libraries=(*PYDANTIC, "rfc8785")),
    Layer("catalog", layers=("domain",), libraries=(*PYDANTIC, "ruamel")),
    Layer("gate", layers=("domain", "catalog"), libraries=(*PYDANTIC, "rfc8785")),
    Layer("ports", layers=("domain",)),
    Layer("promotion", layers=("domain", "catalog", "gate", "ports"), libraries=(*PYDANTIC, "rfc8785")),
    Layer("adapters", layers=("domain", "ports", *SHARED_ADAPTERS), any_library_but=DAGSTER),
    Layer("wiring", layers=(*CORE, "adapters"), any_library_but=DAGSTER),
    Layer("orchestration", layers=CORE, any_library_but=()),
    Layer("orchestration.resources", layers=(*CORE, "wiring"), any_library_but=()),
    Layer("sample"),
    Layer("definitions", layers=("orchestration",), libraries=("dagster",)),
    Layer("cli", layers=("domain", "catalog", "promotion", "orchestration", "wiring", "sample"), any_library_but=()),
    Layer(
        "cli.run",
        layers=("domain", "catalog", "promotion", "orchestration", "wiring"),
        lazily=("definitions",),
        any_library_but=(),
    ),
)


def layer_of(name: str, layers: Iterable[Layer] = LAYERS) -> tuple[Layer, str] | None:
    """The layer whose rules hold for a module, and the name under which modules import each other freely."""
    matching = [layer for layer in layers if layer.name and within(name, layer.name)]
    if name == "":
        matching = [layer for layer in layers if layer.name == ""]
    if not matching:
        return None
    layer = max(matching, key=lambda each: len(each.name))
    home = layer.name
    if layer.name == "adapters":
        home = ".".join(name.split(".")[:2])
    elif "." in layer.name:
        home = name.split(".", maxsplit=1)[0]
    return layer, home


def imports(module: Module) -> Iterator[Import]:
    """Every import; `from a import b` is an import of a.b, for b may be a module."""
    lazy = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
    }
    for node in ast.walk(module.tree):
        for target in _targets(module, node):
            yield Import(target, getattr(node, "lineno", 0), id(node) in lazy)


def _targets(module: Module, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = [PACKAGE, *filter(None, module.name.split("."))]
            kept = parts[: len(parts) - node.level + module.is_package]
            base = ".".join([*kept, *filter(None, [node.module])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and _name(node.func) in {"import_module", "__import__"}:
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return [first.value]
    return []


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def layer_violations(module: Module, layers: Iterable[Layer] = LAYERS) -> Iterator[Violation]:
    """Imports that the module's layer does not allow."""
    layers = tuple(layers)
    mine = layer_of(module.name, layers)
    if mine is None:
        yield Violation("layers", module.name, 1, "belongs to no layer: LAYERS needs a line for it")
        return
    layer, home = mine
    for each in imports(module):
        top, _, below = each.target.partition(".")
        if top != PACKAGE:
            allowed = layer.allows_library(top)
        elif below == "" or (home and within(below, home)):
            allowed = True
        else:
            names = layer.layers + (layer.lazily if each.lazy else ())
            allowed = any(within(below, name) for name in names)
            # A name defined in the package's own __init__, such as __version__, is of no layer.
            allowed = allowed or (layer_of(below, layers) is None and below.startswith("__"))
        if not allowed:
            yield Violation(
                f"layer {layer.name}",
                module.name,
                each.line,
                f"{layer.name or PACKAGE} may not import {each.target}",
            )


# --- rules on source ----------------------------------------------------------------------------

Finding = tuple[int, str]


@dataclass(frozen=True)
class Rule:
    """A rule on the text of modules: everywhere, or only in, or outside, some of them."""

    name: str
    find: Callable[[Module], Iterable[Finding]]
    only_in: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    def violations(self, module: Module) -> Iterator[Violation]:
        if (self.only_in and not module.is_in(*self.only_in)) or module.is_in(*self.outside):
            return
        for line, text in self.find(module):
            yield Violation(self.name, module.name, line, text)


def private_dagster(module: Module) -> Iterator[Finding]:
    for each in imports(module):
        top, *rest = each.target.split(".")
        if top in DAGSTER and any(part.startswith("_") for part in rest):
            yield each.line, each.target
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and _name(node.value) in {"dg", "dagster"} and node.attr.startswith("_"):
            yield node.lineno, ast.unparse(node)


ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})


def environment_reads(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from ((node.lineno, f"os.{a.name}") for a in node.names if a.name in {*ENVIRONMENT, "*"})


def prints(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id == "print":
            yield node.lineno, "print"


def postponed_annotations(module: Module) -> Iterator[Finding]:
    return ((each.line, each.target) for each in imports(module) if each.target == "__future__.annotations")


BROAD = frozenset({"Exception", "BaseException"})


def swallowed_exceptions(module: Module) -> Iterator[Finding]:
    """Broad handlers that can end without raising; contextlib.suppress counts as one."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _always_raises(node):
            yield node.lineno, "except " + (ast.unparse(node.type) if node.type else "everything")
        if isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(map(_is_broad, node.args)):
            yield node.lineno, ast.unparse(node)


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(_is_broad, caught.elts))
    return caught is None or _name(caught) in BROAD


def _always_raises(handler: ast.ExceptHandler) -> bool:
    escapes = (ast.Return, ast.Break, ast.Continue)
    return _ends_raising(handler.body) and not any(isinstance(node, escapes) for node in ast.walk(handler))


def _ends_raising(body: list[ast.stmt]) -> bool:
    last = body[-1] if body else None
    if isinstance(last, ast.If):
        return _ends_raising(last.body) and _ends_raising(last.orelse)
    if isinstance(last, ast.With):
        return _ends_raising(last.body)
    return isinstance(last, ast.Raise)


def httpx_imports(module: Module) -> Iterator[Finding]:
    return ((each.line, each.target) for each in imports(module) if within(each.target, "httpx"))


# What goes past adapters.http goes past its checks of where a surface may lead and who sees a credential.
NETWORK = ("socket", "ssl", "http.client", "urllib.request", "urllib3", "requests", "aiohttp")


def network_imports(module: Module) -> Iterator[Finding]:
    for each in imports(module):
        if any(within(each.target, name) for name in NETWORK):
            yield each.line, each.target


RULES = (
    Rule("no private part of dagster is used", private_dagster),
    Rule(
        "the environment is read at the edges",
        environment_reads,
        outside=("wiring", "orchestration.resources", "cli"),
    ),
    Rule("only the command line prints", prints, outside=("cli",)),
    Rule("orchestration postpones no annotations", postponed_annotations, only_in=("orchestration",)),
    Rule("no broad except swallows", swallowed_exceptions),
    Rule("only adapters.http imports httpx", httpx_imports, outside=("adapters.http",)),
    # The command line looks for free ports.
    Rule("only adapters.http opens connections", network_imports, outside=("adapters.http", "cli")),
)


def violations(module: Module) -> list[Violation]:
    """All that the module breaks."""
    return [*layer_violations(module), *(found for rule in RULES for found in rule.violations(module))]


# --- files --------------------------------------------------------------------------------------

# The code serves any such platform: what is said of this one is data.
UNSPOKEN = ("gloriousflywheel", "tinyland")


def modules(root: Path) -> Iterator[Module]:
    """The modules of the package in the folder `root`."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        yield Module(name, ast.parse(path.read_bytes(), str(path)), is_package)


def files_that_name_the_platform(root: Path) -> list[str]:
    """Files whose name or content names the platform, other than the catalogue's and the sample's."""
    found = []
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        is_catalogue = place.parent == Path("catalog") and place.suffix == ".yaml"
        is_data = is_catalogue or place.parts[0] == "sample"
        if is_data or "__pycache__" in place.parts or not path.is_file():
            continue
        text = f"{place}\n".encode() + path.read_bytes()
        if any(word.encode() in text.lower() for word in UNSPOKEN):
            found.append(str(place))
    return found
