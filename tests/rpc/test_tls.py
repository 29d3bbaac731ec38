"""The gateway over TLS: versions, client certificates, and a certificate that is replaced."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.server import Gateway
from runtime.rpc.settings import GatewaySettings
from runtime.tls import TlsError, server_context
from tests.rpc.certificates import certificate
from tests.rpc.gateways import Handler, Tokens, asynchronous, read_response


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    for name in ("first", "second", "client"):
        certificate(made, name)
    return made


def trusting(*files: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for file in files:
        context.load_verify_locations(file)
    return context


@asynccontextmanager
async def gateway(context: ssl.SSLContext) -> AsyncIterator[tuple[Gateway, str, int]]:
    made = Gateway(Dispatcher([Handler()], Tokens()), GatewaySettings(port=0, drain_grace_ms=0), tls=context)
    address = await made.start()
    try:
        yield made, address.url, address.port
    finally:
        await made.drain()


async def health(port: int, context: ssl.SSLContext) -> tuple[int, str]:
    """The status of the page, and the name in the server's certificate."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status = (await read_response(reader)).status
        peer = writer.get_extra_info("ssl_object").getpeercert()
        return status, peer["subject"][0][0][1]
    finally:
        writer.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@asynchronous
async def test_the_port_speaks_https(folder: Path) -> None:
    async with gateway(server_context(folder / "first.pem", folder / "first.key", None)) as (_, url, port):
        assert url == f"https://127.0.0.1:{port}"
        assert await health(port, trusting(folder / "first.pem")) == (200, "first")
        old = trusting(folder / "first.pem")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            await health(port, old)


@asynchronous
async def test_new_connections_get_a_new_certificate(folder: Path) -> None:
    both = trusting(folder / "first.pem", folder / "second.pem")
    async with gateway(server_context(folder / "first.pem", folder / "first.key", None)) as (made, _, port):
        assert (await health(port, both))[1] == "first"
        made.use_tls(server_context(folder / "second.pem", folder / "second.key", None))
        assert (await health(port, both))[1] == "second"


@asynchronous
async def test_clients_without_a_certificate_are_refused_where_one_is_asked_for(folder: Path) -> None:
    context = server_context(folder / "first.pem", folder / "first.key", folder / "client.pem")
    async with gateway(context) as (_, _, port):
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            await health(port, trusting(folder / "first.pem"))
        known = trusting(folder / "first.pem")
        known.load_cert_chain(folder / "client.pem", folder / "client.key")
        assert (await health(port, known))[0] == 200
        stranger = trusting(folder / "first.pem")
        stranger.load_cert_chain(folder / "second.pem", folder / "second.key")
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            await health(port, stranger)


def test_files_that_can_not_be_used_are_named(folder: Path) -> None:
    first, key = folder / "first.pem", folder / "first.key"
    locked = folder / "locked.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    for files, named in (
        ((folder / "none.pem", key, None), "none.pem: No such file"),
        ((first, folder / "none.key", None), "none.key: No such file"),
        ((first, folder / "second.key", None), "first.pem and .*second.key: no certificate"),
        ((key, key, None), "first.key: no certificate"),
        ((first, None, None), "first.pem: no certificate"),
        ((first, locked, None), "which must have no password"),
        ((first, key, key), "first.key: no certificates of authorities"),
        ((folder, None, None), "Is a directory"),
    ):
        with pytest.raises(TlsError, match=named) as error:
            server_context(*files)
        assert re.search(r"\n", str(error.value)) is None
