"""What a state says about itself, read while its bytes pass.

Terraform's format 4 (terraform: internal/states/statefile/version4.go): `version`, `serial`, `lineage`, `terraform_version`,
`outputs` by name and a list of `resources` with their `instances`. Older formats and OpenTofu's encrypted states have the first
members only, and get no outputs and no summaries.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from terrapod_core.states.scanner import Scanner, Steps

MAX_SERIAL: Final = 2**63 - 1
MAX_FORMAT: Final = 2**31 - 1
OUTPUT_BYTES: Final = 16 << 20
"""Values of outputs that are kept beside the state; of those beyond, clients read the state itself."""
RESOURCES_SHOWN: Final = 1000
"""Entries of the attribute `resources`; the counts go over all of them."""
MODULES_SHOWN: Final = 1000
INDICES_SHOWN: Final = 10_000
"""Instances of `count` and `for_each` that are told apart; the counts go over all of them."""
INDEX_CHARACTERS: Final = 255
INDICES: Final = "indices"
"""Member of an entry of `resources` that is kept and not shown: the indices of its instances."""

_INTEGER: Final = msgspec.json.Decoder(int)
_TEXT: Final = msgspec.json.Decoder(str | None)
_ANY: Final = msgspec.json.Decoder()


class _Output(msgspec.Struct):
    value: msgspec.Raw = msgspec.Raw(b"null")
    type: Any = None
    sensitive: bool = False


@dataclass(frozen=True)
class OutputValue:
    """One output. `value` is its JSON, and `None` together with `type` when it is too large to be kept."""

    name: str
    sensitive: bool
    type: Any
    """cty's JSON for the type: `"string"`, `["object", {…}]`."""
    value: bytes | None


@dataclass
class State:
    """What was read. The counts are of instances."""

    serial: int = -1
    serial_span: tuple[int, int] = (0, 0)
    """Where in the document the serial stands."""
    lineage: str = ""
    format: int | None = None
    terraform_version: str | None = None
    encrypted: bool = False
    outputs: dict[str, OutputValue] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    modules: dict[str, dict[str, int]] = field(default_factory=dict)
    providers: dict[str, dict[str, int]] = field(default_factory=dict)
    resource_count: int = 0
    """Instances of managed resources, those of data sources left out."""


class _Instance(msgspec.Struct, gc=False):
    """Of all there is in it, what tells it from its brothers."""

    index_key: Any = None


class _Resource(msgspec.Struct):
    mode: str | None = None
    type: str | None = None
    name: str | None = None
    module: str | None = None
    provider: str | None = None
    instances: list[_Instance] | None = None


class StateReader(Scanner):
    """Reads a state as it streams past; `state` is whole after `finish`, which raises `Invalid` for what is no state."""

    what = "state"

    def __init__(self) -> None:
        self.state = State()
        self._output_bytes = 0
        self._resource = _Resource()
        self._instances = 0
        self._indices: list[Any] = []
        self._indices_left = INDICES_SHOWN
        super().__init__()

    def finish(self) -> None:
        if not self.seen:
            raise self.refused("it is empty (0 bytes); to record that nothing is left, send a state without resources")
        super().finish()
        if self.state.format is None and not self.state.encrypted:
            raise self.refused("it has no version, so it is no Terraform state")
        if self.state.serial < 0:
            raise self.refused("it has no serial")

    def member(self, name: str) -> Steps:
        state = self.state
        if name == "resources" and (yield from self.is_list()):
            yield from self.items(self._read_resource)
        elif name == "outputs" and (yield from self.is_object()):
            yield from self.members(self._read_output)
        elif name == "serial":
            start = self.position()
            state.serial = self._checked((yield from self.leaf(_INTEGER.decode)), name, MAX_SERIAL)
            state.serial_span = (start, self.position())
        elif name == "version":
            state.format = self._checked((yield from self.leaf(_INTEGER.decode)), name, MAX_FORMAT)
        elif name == "lineage":
            state.lineage = (yield from self._short_text(name)) or ""
        elif name == "terraform_version":
            state.terraform_version = yield from self._short_text(name)
        else:
            state.encrypted = state.encrypted or name == "encrypted_data"
            yield from self.leaf()

    def _checked(self, number: int, name: str, most: int) -> int:
        if not 0 <= number <= most:
            raise self.refused(f"its {name} {number} is not between 0 and {most}")
        return number

    def _short_text(self, name: str) -> Generator[None, None, str | None]:
        text: str | None = yield from self.leaf(_TEXT.decode)
        if text is not None and (len(text) > 255 or "\0" in text):
            raise self.refused(f"its {name} is not one")
        return text

    # -- outputs

    def _read_output(self, name: str) -> Steps:
        if "\0" in name:
            raise self.refused("the name of an output holds a zero character")
        output: _Output | None = yield from self.leaf(_OUTPUT.decode)
        size = len(memoryview(output.value)) if output is not None else 0
        if output is None or self._output_bytes + size > OUTPUT_BYTES:
            # Unknown means secret: nobody is shown more for an output being large.
            self.state.outputs[name] = OutputValue(name, output.sensitive if output is not None else True, None, None)
            return
        self._output_bytes += size
        self.state.outputs[name] = OutputValue(name, output.sensitive, output.type, bytes(output.value))

    # -- resources

    def _read_resource(self) -> Steps:
        if not (yield from self.is_object()):
            raise self.refused("one of its resources is not an object")
        whole = self.near()
        if whole is not None:
            resource: _Resource = self.decoded(whole, _RESOURCE.decode)
            instances = resource.instances or []
            return self._note(resource, len(instances), [each.index_key for each in instances])
        self._resource, self._instances, self._indices = _Resource(), 0, []
        yield from self.members(self._read_resource_member)
        return self._note(self._resource, self._instances, self._indices)

    def _read_resource_member(self, name: str) -> Steps:
        if name == "instances" and (yield from self.is_list()):
            yield from self.items(self._read_instance)
        elif name in ("mode", "type", "name", "module", "provider"):
            setattr(self._resource, name, (yield from self.leaf(_TEXT.decode)))
        else:
            yield from self.leaf()

    def _read_instance(self) -> Steps:
        self._instances += 1
        if (yield from self.is_object()):
            yield from self.members(self._read_instance_member)
        else:
            yield from self.leaf()

    def _read_instance_member(self, name: str) -> Steps:
        if name == "index_key" and len(self._indices) < self._indices_left:
            self._indices.append((yield from self.leaf(_ANY.decode)))
        else:
            yield from self.leaf()

    def _note(self, resource: _Resource, instances: int, indices: list[Any]) -> None:
        state, name, provider = self.state, resource.type or "", resource.provider or ""
        module = resource.module or "root"
        if resource.mode == "data":
            name = f"data.{name}"
        else:
            state.resource_count += instances
        if len(state.resources) < RESOURCES_SHOWN:
            shown: dict[str, Any] = {
                "name": resource.name or "",
                "type": name,
                "count": instances,
                "module": module,
                "provider": provider,
            }
            known = [each for each in indices if _is_index(each)][: self._indices_left]
            self._indices_left -= len(known)
            state.resources.append(shown | ({INDICES: known} if known else {}))
        wire = name.replace("_", "-")
        for counts, key in ((state.modules, module), (state.providers, provider)):
            if key in counts or len(counts) < MODULES_SHOWN:
                types = counts.setdefault(key, {})
                types[wire] = types.get(wire, 0) + instances


def _is_index(found: Any) -> bool:
    return type(found) is int or (isinstance(found, str) and len(found) <= INDEX_CHARACTERS and "\0" not in found)


_RESOURCE: Final = msgspec.json.Decoder(_Resource)
_OUTPUT: Final = msgspec.json.Decoder(_Output)

_SIMPLE: Final = {
    "string": "string",
    "number": "number",
    "bool": "boolean",
    "list": "array",
    "set": "array",
    "tuple": "array",
    "map": "object",
    "object": "object",
}


def simple_type(cty: Any, value: bytes | None) -> str:
    """go-tfe's `type` of an output: string, number, boolean, array or object; told from the value where cty leaves it open."""
    name = cty[0] if isinstance(cty, list) and cty else cty
    if isinstance(name, str) and name in _SIMPLE:
        return _SIMPLE[name]
    first = (value or b"null").lstrip()[:1]
    return {b'"': "string", b"n": "string", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean"}.get(first, "number")
