"""The configuration of one process: `sun.toml` and `SUN_*` variables, read and checked once at start."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from runtime.rpc.proxies import ForwardedHeader, network
from runtime.sql.urls import each

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class LimitNumbers(BaseModel):
    """Numbers that go before those of a limit's schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    refill_ms: int | None = Field(default=None, ge=1, le=31 * 24 * 3_600_000)


class ConfigError(Exception):
    """A setting is wrong; the message is one line that names it."""


def _split(value: object) -> object:
    """A list as a variable spells it: `a, b`."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        network(text)
    return texts


def _copies(value: object) -> object:
    """Data centres with a number as a variable spells them: `dc1=3, dc2=2`."""
    if not isinstance(value, str):
        return value
    pairs = [part.rpartition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() for name, _, _ in pairs):
        raise ValueError("name each data centre with its number of copies: dc1=3,dc2=3")
    return {name.strip(): count.strip() for name, _, count in pairs}


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Copies = Annotated[dict[str, Annotated[int, Field(ge=1, le=100)]], NoDecode, BeforeValidator(_copies)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_networks)]


class Settings(BaseSettings):
    """Every setting with its default. A variable `SUN_PORT` goes before `port` in `sun.toml`."""

    model_config = SettingsConfigDict(env_prefix="SUN_", extra="forbid", frozen=True)

    project: Path = Path()
    data_dir: Path = Field(default=Path(".sun"), description="where the embedded engines keep their files")
    sql_url: SecretStr = Field(
        default=SecretStr(""),
        description="sqlite:///… or mysql://…, replicas after a comma; empty for the embedded default",
    )
    cql_url: SecretStr = Field(
        default=SecretStr(""),
        description="cassandra://… or embedded:path; empty for the embedded default",
    )
    cql_replication: Copies = Field(
        default_factory=dict[str, int],
        description="copies of new keyspaces in each data centre, `dc1=3,dc2=3`; goes before what the schema says",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8650, ge=0, le=65535, description="0 for a free one")
    origins: Names = Field(default=(), description="browser origins let in besides the server's own")
    workers: int = Field(default=1, ge=1, le=256, description="processes that serve the port")
    admin_host: str = Field(default="127.0.0.1", description="address of the admin pages")
    admin_port: int | None = Field(
        default=None, ge=0, le=65535, description="where /metrics and /readyz are, instead of on the port of the calls"
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file; with it the port speaks HTTPS and WSS")
    tls_key: Path | None = Field(default=None, description="PEM file of the key, where the certificate's has none")
    tls_client_ca: Path | None = Field(default=None, description="PEM file; clients must show a certificate of these")
    trusted_proxies: Networks = Field(default=(), description="networks and addresses whose forwarded_header counts")
    forwarded_header: ForwardedHeader = Field(
        default="x-forwarded-for", description="the header in which they name the client: this or forwarded"
    )
    compress_sockets: bool = Field(
        default=False, description="permessage-deflate on the WebSocket: less traffic for CPU and 300 KB a connection"
    )
    max_connections: int = Field(default=20_000, ge=1, description="open sockets of a process")
    max_calls: int = Field(default=5_000, ge=1, description="calls under way in a process")
    shed_target_ms: int = Field(
        default=100, ge=0, description="how long calls may wait before others are refused; 0 refuses none"
    )
    blocked_loop_ms: int = Field(
        default=200, ge=0, description="a handler that holds the event loop for this long is logged; 0 for none"
    )
    explorer: bool | None = Field(
        default=None,
        description="the page at / that calls methods; by default only on the embedded engine and a loopback address",
    )
    max_message_bytes: int = Field(default=4 << 20, ge=1024, description="of one request or frame, after inflation")
    max_timeout_ms: int = Field(default=30_000, ge=1, description="of one call, whatever its client asks for")
    drain_delay_ms: int = Field(
        default=0, ge=0, description="how long SIGTERM goes on taking connections while /readyz says 503"
    )
    drain_timeout_ms: int = Field(default=10_000, ge=0, description="how long SIGTERM waits for calls under way")
    push_poll_ms: int | None = Field(
        default=None,
        ge=0,
        le=60_000,
        description="between looks for pushes of other processes; 0 for none; by itself 100, embedded 0",
    )
    push_keep_ms: int = Field(default=7 * 86_400_000, ge=0, description="how long pushes are kept for those who resume")
    limit_store: Literal["memory", "sql", "off"] = Field(
        default="memory", description="where rate limits are counted: in each process, shared in SQL, or nowhere"
    )
    limits: dict[str, LimitNumbers] = Field(
        default_factory=dict[str, LimitNumbers], description="other numbers for rate limits of the schema, by name"
    )
    pool_size: int = Field(default=10, ge=1, le=1000, description="connections to the SQL server")
    connect_timeout_ms: int = Field(default=5_000, ge=1, description="to reach an engine")
    log_format: Literal["console", "json"] = Field(default="console", description="console or json")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    log_requests: bool = Field(default=False, description="log the fields of requests at debug, but for secret ones")
    traces: str = Field(default="", description="OpenTelemetry exporter of traces, as otlp_proto_http; empty for none")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        project = init_settings().get("project", Path())
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, project / "sun.toml")

    @property
    def state(self) -> Path:
        """The data folder; a relative one belongs to the project."""
        return self.project / self.data_dir

    def file(self, path: Path | None) -> Path | None:
        """A path of the settings; a relative one belongs to the project."""
        return None if path is None else self.project / path

    @property
    def database_url(self) -> str:
        """The URL of the SQL engine, which may hold a password."""
        return self.sql_url.get_secret_value() or f"sqlite:///{quote(str(self.state / 'sun.db'))}"

    @property
    def wide_url(self) -> str:
        """The URL of the CQL engine, which may hold a password."""
        url = self.cql_url.get_secret_value()
        return f"embedded:{quote(str(self.state / 'cql.db'))}" if url in ("", "embedded:") else url

    @property
    def place(self) -> str:
        """Where the rows are, for people."""
        if not self.sql_url.get_secret_value():
            return f"{self.state}/"
        return self.database_url.partition("///")[2] if self.is_embedded else "in the SQL server"

    @property
    def shows_explorer(self) -> bool:
        """Whether this is development, unless the setting says it."""
        return self.is_embedded and self.host in _LOOPBACK if self.explorer is None else self.explorer

    @property
    def is_embedded(self) -> bool:
        return self.database_url.startswith("sqlite:")


# Not settings of a server: the token of `sun call`, a worker's place, and what the tests and their servers read.
_OTHERS = {"SUN_TOKEN", "SUN_WORKER"}
_OTHER_PREFIXES = ("SUN_TEST_", "SUN_REQUIRE_", "SUN_SERVERS_")


def _refuse_password(file: Path) -> None:
    if not file.exists():
        return
    settings = tomllib.loads(file.read_text("utf-8"))
    for name in ("sql_url", "cql_url"):
        urls = each(settings.get(name, ""))
        if any("@" in one and ":" in one.rpartition("@")[0].partition("://")[2] for one in urls):
            variable = f"SUN_{name.upper()}"
            raise ConfigError(f"{name} (sun.toml): a password does not belong in a file: set {variable} instead")


def _refuse_half_of_tls(settings: Settings) -> None:
    for name in ("tls_key", "tls_client_ca"):
        if settings.tls_certificate is None and getattr(settings, name) is not None:
            raise ConfigError(f"{name} (sun.toml, or SUN_{name.upper()}): it needs a tls_certificate")


def load(project: Path, **given: Any) -> Settings:
    """The settings of a project; `given` (of the command line) go before everything, None standing for not given.

    Raises ConfigError for a value that is wrong or a name that no setting has, in `sun.toml` and among `SUN_*` alike,
    and for a password in `sun.toml`, which is a file that gets committed.
    """
    known = {f"SUN_{name.upper()}" for name in Settings.model_fields if name != "project"}
    for name in sorted(os.environ):
        if name.startswith("SUN_") and name not in known | _OTHERS and not name.startswith(_OTHER_PREFIXES):
            raise ConfigError(f"{name}: there is no such setting; known are {', '.join(sorted(known))}")
    try:
        settings = Settings(project=project, **{name: value for name, value in given.items() if value is not None})
        _refuse_password(project / "sun.toml")
        _refuse_half_of_tls(settings)
        return settings
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        variable = f"SUN_{str(first['loc'][0]).upper()}"
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name} (sun.toml, or {variable}): {reason}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"sun.toml: {error}") from None
