"""The server's side of TLS: a certificate from files as a context. When it is read again is not its affair."""

from __future__ import annotations

import ssl
from pathlib import Path


class TlsError(Exception):
    """A certificate, key or list of authorities can't be used; the message is one line that names the file."""


def server_context(certificate: Path, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and newer, in HTTP/1.1 only. With `client_ca` a client must show a certificate that one of it signed.

    All files are PEM; the certificate's may hold its intermediates, and the key where `key` is None. Raises TlsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for file in filter(None, (certificate, key, client_ca)):
        _must_be_readable(file)
    try:
        # Without this, OpenSSL would ask the terminal for the password of an encrypted key.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        files = f"{certificate} and {key}" if key is not None else f"{certificate}"
        raise TlsError(f"{files}: no certificate in PEM with its key, which must have no password: {error}") from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise TlsError(f"{client_ca}: no certificates of authorities in PEM: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _must_be_readable(file: Path) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise TlsError(f"{file}: {error.strerror}") from error
