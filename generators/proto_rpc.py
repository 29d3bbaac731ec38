"""Plans the modules of services, clients, declared errors and checks of requests, and the table of permissions."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from generators import ir, proto_names, templates
from generators.artifacts import Artifact
from generators.diagnostics import Diagnostics, Position
from generators.proto_checks import ENOUGH, Planner, written
from generators.proto_imports import Imports
from generators.proto_index import Index
from generators.proto_parser import messages
from generators.proto_text import docstring, literal, paragraphs, row

_CALLERS = {
    "anyone": "Anyone may call.",
    "user": "Every signed-in user may call.",
    "owner": "Only the owner may call.",
    "admin": "Only admins may call.",
}
_HOW_TO_STREAM = "Written as an async generator: `async def` with `yield`."
_KEYED = "A `key` makes it safe to repeat: the server runs the calls of one key once."
_DEFAULTS: dict[type, str] = {ir.Bool: "False", ir.Int: "0", ir.Float: "0.0", ir.Text: '""', ir.Bytes: 'b""'}
_TYPES: dict[type, str] = {ir.Bool: "bool", ir.Int: "int", ir.Float: "float", ir.Text: "str", ir.Bytes: "bytes"}


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    type: str
    default: str


@dataclass(frozen=True, slots=True)
class _Error:
    name: str
    type_name: str
    code: str
    message: str
    detail: str
    parameters: tuple[_Parameter, ...]
    made: str  # the expression that makes the detail
    doc: str


@dataclass(frozen=True, slots=True)
class _Limit:
    constant: str
    name: str
    per: str
    tokens: str
    refill_ms: str
    charge: str  # empty where every call is charged
    doc: str


@dataclass(frozen=True, slots=True)
class _Method:
    attribute: str
    constant: str
    path: str
    request: str
    response: str
    callers: str
    options: tuple[str, ...]
    deprecated: str  # why a caller should not, as a literal; empty for a method that is not deprecated
    streams: bool
    answers: str  # what the handler's method is annotated with
    call: str  # what the client's method returns
    parameters: str  # of the client's method
    arguments: str  # what it hands to the transport
    sync_answers: str  # what the synchronous client's method returns
    doc: str
    client_doc: str


@dataclass(frozen=True, slots=True)
class _Service:
    name: str
    client: str
    sync_client: str
    full_name: str
    methods: tuple[_Method, ...]
    listed: str
    doc: str
    client_doc: str
    sync_client_doc: str


@dataclass(slots=True)
class _Names:
    """The names that one module defines; two parts of a file that ask for the same one are an error."""

    diagnostics: Diagnostics
    owners: dict[str, str] = field(default_factory=dict[str, str])

    def claim(self, name: str, owner: str, position: Position) -> None:
        other = self.owners.setdefault(name, owner)
        if other != owner:
            self.diagnostics.error(position, "name-clash", f"{other} and {owner} are both {name} in Python: rename one")


def has_module(file: ir.ProtoFile, index: Index) -> bool:
    """Whether the file has anything for an rpc module."""
    found = list(messages(file.messages))
    return bool(file.services or file.limits) or any(
        each.error is not None or index.is_checked(each.full_name) for each in found
    )


def claim_names(file: ir.ProtoFile, index: Index, diagnostics: Diagnostics) -> set[str]:
    """The names that the file's rpc module defines. Names that clash are collected as errors."""
    names = _Names(diagnostics)
    for message in messages(file.messages):
        path = index.find(message.full_name).names
        if message.error is not None:
            names.claim(proto_names.error(path), f"error {message.full_name}", message.position)
            parameters = _Names(diagnostics)
            for each in message.fields:
                parameters.claim(proto_names.parameter(each.name), f"field {each.name}", each.position)
        if index.is_checked(message.full_name):
            names.claim(proto_names.check(path), f"the check of {message.full_name}", message.position)
    for limit in file.limits:
        names.claim(proto_names.limit(limit.name), f"limit {limit.name}", limit.position)
    for service in file.services:
        names.claim(service.name, f"service {service.full_name}", service.position)
        for client in (proto_names.client(service.name), proto_names.sync_client(service.name)):
            names.claim(client, f"the client of {service.full_name}", service.position)
        for method in service.methods:
            constant = proto_names.constant(service.name, method.name)
            names.claim(constant, f"method {method.full_name}", method.position)
    return set(names.owners)


def artifact(file: ir.ProtoFile, index: Index, names: set[str]) -> Artifact:
    """The rpc module of a file. `names` are those that `claim_names` returned for it."""
    return _Plan(file, index, names).artifact()


def client_artifact(file: ir.ProtoFile, index: Index, names: set[str]) -> Artifact:
    """The module of a file in a package of clients: its errors and clients, without the server's side."""
    return _Plan(file, index, names, for_client=True).client_artifact()


def services(files: tuple[ir.ProtoFile, ...], index: Index) -> Artifact:
    """The package of the rpc modules, which lists every service and every method."""
    imports = Imports({"METHODS", "SERVICES"})
    listed: list[str] = []
    for file in files:
        if file.services:
            module = index.rpc_module(file.path)
            listed += [imports.name(f"{module.package}.{module.name}", service.name) for service in file.services]
    wanted = (("typing", "Any"), ("runtime.rpc.service", "Method"), ("runtime.rpc.service", "Service"))
    names = {name: imports.name(package, name) for package, name in wanted}
    text = templates.render(
        "proto/services.py.jinja",
        source=f"{index.target.source}/proto",
        imports=imports.lines(),
        names=names,
        services=row(listed),
        methods="{method.path: method for service in SERVICES for method in service.methods}" if listed else "{}",
    )
    return Artifact("rpc/__init__.py", text)


def permissions(files: tuple[ir.ProtoFile, ...], index: Index) -> Artifact:
    """Who may call what, as a table for people who review a change."""
    methods = [method for file in files for service in file.services for method in service.methods]
    rows = [
        (
            method.full_name,
            method.callers,
            "yes, idempotent" if method.idempotent and method.side_effects else "yes" if method.side_effects else "no",
            ", ".join(method.limits) or "-",
            ", ".join(f"{name} ({_rule(name, index).code})" for name in method.errors) or "-",
        )
        for method in sorted(methods, key=lambda method: method.full_name)
    ]
    limits = sorted((limit for file in files for limit in file.limits), key=lambda limit: limit.name)
    text = templates.render(
        "proto/permissions.md.jinja",
        source=f"{index.target.source}/proto",
        rows=rows,
        limits=[
            (limit.name, ", ".join(limit.per), limit.tokens, f"{limit.refill_ms / 1000:g}", limit.charge)
            for limit in limits
        ],
    )
    return Artifact("permissions.md", text)


def _rule(error: str, index: Index) -> ir.ErrorRule:
    rule = index.message(error).error
    if rule is None:
        raise KeyError(error)
    return rule


def _deprecation(method: ir.Method) -> str:
    if not method.deprecated:
        return ""
    return f"Deprecated since {method.deprecated_since}." if method.deprecated_since else "Deprecated."


class _Plan:
    """One rpc module under way."""

    def __init__(self, file: ir.ProtoFile, index: Index, names: set[str], *, for_client: bool = False) -> None:
        self._file = file
        self._index = index
        self._for_client = for_client
        self._library = index.target.library
        fields = {each.name for message in messages(file.messages) if message.error for each in message.fields}
        # Parameters of an exception and methods of a service hide names of their module, so they count as taken.
        parameters = {proto_names.parameter(each) for each in fields}
        attributes = {proto_names.method(method.name) for service in file.services for method in service.methods}
        self._imports = Imports(names | parameters | attributes | {"annotations"})
        self._declares = bool(file.limits) or any(message.error for message in messages(file.messages))

    def artifact(self) -> Artifact:
        file, index = self._file, self._index
        found = list(messages(file.messages))
        errors = [self._error(message, message.error) for message in found if message.error is not None]
        planner = Planner(file, index, self._imports, self._other)
        checks = [planner.check(message) for message in found if index.is_checked(message.full_name)]
        services = [self._service(service) for service in file.services]
        module, proto = index.rpc_module(file.path), index.proto_module(file.path)
        limits = [self._limit(limit) for limit in file.limits]
        names = self._names(errors=bool(errors), limits=bool(limits), checks=bool(checks), services=services)
        if planner.patterns:
            names["re"] = self._imports.module("re")
        text = templates.render(
            "proto/rpc.py.jinja",
            source=f"{index.target.source}/proto/{file.path}",
            path=file.path,
            proto=f"{proto.package}.{proto.name}",
            imports=self._imports.lines(),
            late=self._imports.lines(late=True),
            errors=errors,
            limits=limits,
            patterns=planner.patterns,
            checks=checks,
            enough=ENOUGH,
            services=services,
            names=names,
        )
        return Artifact(f"{index.folder(module)}/{module.name}.py", text)

    def client_artifact(self) -> Artifact:
        file, index = self._file, self._index
        errors = [self._error(message, message.error) for message in messages(file.messages) if message.error]
        services = [self._service(service) for service in file.services]
        wanted: list[tuple[str, str]] = []
        if errors:
            wanted += [(f"{self._library}.errors", "Code"), (f"{self._library}.errors", "DeclaredError")]
        if services:
            wanted += [("typing", "ClassVar"), (f"{self._library}.method", "Method")]
            wanted += [(f"{self._library}.client", name) for name in ("Client", "SyncClient")]
        if any(method.deprecated for service in services for method in service.methods):
            wanted.append(("typing_extensions", "deprecated"))
        names = {name: self._imports.name(package, name) for package, name in wanted}
        module, proto = index.rpc_module(file.path), index.proto_module(file.path)
        text = templates.render(
            "client/python/rpc.py.jinja",
            source=f"{index.target.source}/proto/{file.path}",
            path=file.path,
            proto=f"{proto.package}.{proto.name}",
            imports=self._imports.lines(),
            late=self._imports.lines(late=True),
            errors=errors,
            services=services,
            names=names,
        )
        return Artifact(f"{index.folder(module)}/{module.name}.py", text)

    def _names(self, *, errors: bool, limits: bool, checks: bool, services: Sequence[_Service]) -> dict[str, str]:
        """The local names of what the template itself uses."""
        wanted: list[tuple[str, str]] = []
        if errors:
            wanted += [(f"{self._library}.errors", "Code"), (f"{self._library}.errors", "DeclaredError")]
        if limits:
            wanted += [("runtime.rpc.service", name) for name in ("Charge", "Limit", "Per")]
        if any(method.deprecated for service in services for method in service.methods):
            wanted.append(("typing_extensions", "deprecated"))
        if checks:
            wanted.append(("runtime.rpc.service", "Violation"))
        if services:
            wanted += [("", "abc"), ("typing", "Any"), ("typing", "ClassVar"), ("runtime.rpc.context", "Context")]
            wanted += [("runtime.rpc.client", name) for name in ("Client", "SyncClient")]
            wanted += [("runtime.rpc.service", name) for name in ("Callers", "Method", "Service")]
        return {name: self._imports.name(package, name) for package, name in wanted}

    def _proto(self, full_name: str) -> str:
        """How the module writes a message or an enum."""
        return written(full_name, self._index, self._imports)

    def _other(self, path: str) -> str:
        """The rpc module of another file. It is imported below the errors of this one, which it may name in turn."""
        module = self._index.rpc_module(path)
        return self._imports.name(module.package, module.name, local=f"{module.name}_rpc", late=self._declares)

    def _exception(self, full_name: str) -> str:
        definition = self._index.find(full_name)
        name = proto_names.error(definition.names)
        if definition.file.path == self._file.path:
            return name
        module = self._index.rpc_module(definition.file.path)
        return self._imports.name(f"{module.package}.{module.name}", name, late=self._declares)

    def _error(self, message: ir.Message, rule: ir.ErrorRule) -> _Error:
        detail = self._proto(message.full_name)
        parameters = [self._parameter(field) for field in message.fields]
        arguments = [
            f"{field.name}={parameter.name}"
            for field, parameter in zip(message.fields, parameters, strict=True)
            if proto_names.is_writable(field.name)
        ]
        # A keyword can't be written as an argument, nor be known to the stub.
        keywords = [
            f"{literal(field.name)}: {parameter.name}"
            for field, parameter in zip(message.fields, parameters, strict=True)
            if not proto_names.is_writable(field.name)
        ]
        maker = detail
        if keywords:
            cast, any_type = self._imports.name("typing", "cast"), self._imports.name("typing", "Any")
            maker = f"{cast}({any_type}, {detail})"
            arguments.append(f"**{{{', '.join(keywords)}}}")
        return _Error(
            name=proto_names.error(self._index.find(message.full_name).names),
            type_name=message.full_name,
            code=rule.code.upper(),
            message=literal(rule.message),
            detail=detail,
            parameters=tuple(parameters),
            made=f"{maker}({', '.join(arguments)})",
            doc=docstring(paragraphs(message.comment, f"Code {rule.code}: {rule.message}")),
        )

    def _limit(self, limit: ir.Limit) -> _Limit:
        return _Limit(
            constant=proto_names.limit(limit.name),
            name=limit.name,
            per=row(f"{self._imports.name('runtime.rpc.service', 'Per')}.{each.upper()}" for each in limit.per),
            tokens=f"{limit.tokens:_}",
            refill_ms=f"{limit.refill_ms:_}",
            charge=limit.charge.upper() if limit.charge != "always" else "",
            doc=docstring(limit.comment),
        )

    def _drawn(self, name: str) -> str:
        """How the module writes a limit that a method names."""
        file, constant = self._index.limit_file(name), proto_names.limit(name)
        if file.path == self._file.path:
            return constant
        module = self._index.rpc_module(file.path)
        return self._imports.name(f"{module.package}.{module.name}", constant, late=self._declares)

    def _parameter(self, field: ir.Field) -> _Parameter:
        name = proto_names.parameter(field.name)
        match field.type:
            case ir.List(item):
                iterable = self._imports.name("collections.abc", "Iterable")
                return _Parameter(name, f"{iterable}[{self._type(item)}]", "()")
            case ir.Map(key, value):
                mapping = self._imports.name("collections.abc", "Mapping")
                return _Parameter(name, f"{mapping}[{self._type(key)}, {self._type(value)}] | None", "None")
            case kind if field.presence:
                return _Parameter(name, f"{self._type(kind)} | None", "None")
            case ir.Reference(full_name):
                return _Parameter(name, self._type(field.type), self._zero(full_name))
            case kind:
                return _Parameter(name, self._type(kind), _DEFAULTS[type(kind)])

    def _type(self, kind: ir.Type) -> str:
        return self._proto(kind.full_name) if isinstance(kind, ir.Reference) else _TYPES[type(kind)]

    def _zero(self, enum: str) -> str:
        """The default of an enum without presence: its value 0, which protobuf demands to be the first."""
        node = self._index.find(enum).node
        if not isinstance(node, ir.Enum):
            raise TypeError(f"{enum} is no enum")
        first = node.values[0].name
        return f"{self._proto(enum)}.{first}" if proto_names.is_writable(first) else f"{self._proto(enum)}.ValueType(0)"

    def _service(self, service: ir.Service) -> _Service:
        methods = tuple(self._method(service, method) for method in service.methods)
        return _Service(
            name=service.name,
            client=proto_names.client(service.name),
            sync_client=proto_names.sync_client(service.name),
            full_name=service.full_name,
            methods=methods,
            listed=row(method.constant for method in methods),
            doc=docstring(service.comment),
            client_doc=docstring(f"Calls {service.full_name} over a transport."),
            sync_client_doc=docstring(f"Calls {service.full_name} over a synchronous transport."),
        )

    def _method(self, service: ir.Service, method: ir.Method) -> _Method:
        errors = [self._exception(name) for name in method.errors]
        raised = f"Raises {', '.join(errors)}." if errors else ""
        rules = " ".join(text for text in (_CALLERS[method.callers], raised) if text)
        deprecated = _deprecation(method)
        request, response = self._proto(method.request), self._proto(method.response)
        streams = method.server_streaming
        # A key is of use where a second run would do more than the first.
        keyed = method.side_effects and not method.idempotent and not streams
        options = ["timeout_ms: int | None = None", *(['key: str = ""'] if keyed else [])]
        return _Method(
            attribute=proto_names.method(method.name),
            constant=proto_names.constant(service.name, method.name),
            path=method.full_name,
            request=request,
            response=response,
            callers=method.callers.upper(),
            options=tuple(self._options(method, errors)),
            deprecated=literal(f"{method.full_name} is {deprecated.lower().rstrip('.')}") if deprecated else "",
            streams=streams,
            answers=f"{self._collection('AsyncIterator')}[{response}]"
            if streams and not self._for_client
            else response,
            call=self._imports.name(f"{self._library}.client", "Stream" if streams else "Call"),
            parameters=f"request: {request}, *, {', '.join(options)}",
            arguments=f"request, timeout_ms{', key' if keyed else ''}",
            sync_answers=f"{self._collection('Generator')}[{response}, None, None]" if streams else response,
            doc=docstring(paragraphs(method.comment, deprecated, rules, _HOW_TO_STREAM if streams else "")),
            client_doc=docstring(paragraphs(method.comment, deprecated, raised, _KEYED if keyed else "")),
        )

    def _options(self, method: ir.Method, errors: Sequence[str]) -> Iterator[str]:
        """The arguments of the Method that are not at their defaults."""
        if errors:
            yield f"errors={row(errors)}"
        if not method.side_effects:
            yield "side_effects=False"
        if method.idempotent:
            yield "idempotent=True"
        if self._for_client:
            return
        if method.server_streaming:
            yield "server_streaming=True"
        if self._index.is_checked(method.request):
            yield f"check={self._check(method.request)}"
        if method.limits:
            yield f"limits={row(self._drawn(name) for name in method.limits)}"
        for name in ("timeout_ms", "max_timeout_ms", "max_request_bytes"):
            if value := getattr(method, name):
                yield f"{name}={value:_}"
        if method.deprecated:
            yield "deprecated=True"
        if method.deprecated_since:
            since = datetime.datetime.fromisoformat(f"{method.deprecated_since}T00:00:00Z")
            yield f"deprecated_since_s={int(since.timestamp()):_}"

    def _collection(self, name: str) -> str:
        return self._imports.name("collections.abc", name)

    def _check(self, request: str) -> str:
        definition = self._index.find(request)
        name = proto_names.check(definition.names)
        if definition.file.path == self._file.path:
            return name
        # Looked up when it is called: the other module may still be on its way, if it names an error of this one.
        return f"lambda request: {self._other(definition.file.path)}.{name}(request)"
