"""Where settings come from, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.config import ConfigError, load


def test_the_defaults_are_embedded(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.is_embedded
    assert settings.database_url == f"sqlite:///{tmp_path}/.sun/sun.db"
    assert settings.port == 8650


def test_a_folder_with_odd_characters_is_quoted(tmp_path: Path) -> None:
    settings = load(tmp_path / "50% off?#")
    assert settings.database_url.endswith("/50%25%20off%3F%23/.sun/sun.db")


def test_the_command_line_goes_before_variables_and_those_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sun.toml").write_text("port = 1\nhost = 'h'\nlog_level = 'error'\n")
    monkeypatch.setenv("SUN_PORT", "2")
    monkeypatch.setenv("SUN_HOST", "h2")
    settings = load(tmp_path, port=3, host=None)
    assert (settings.port, settings.host, settings.log_level) == (3, "h2", "error")


def test_a_worker_is_told_its_place_and_its_settings_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUN_WORKER", "{}")
    assert load(tmp_path).workers == 1


def test_files_belong_to_the_project(tmp_path: Path) -> None:
    settings = load(tmp_path, tls_certificate=Path("a.pem"), tls_key=Path("/etc/b.pem"))
    assert settings.file(settings.tls_certificate) == tmp_path / "a.pem"
    assert settings.file(settings.tls_key) == Path("/etc/b.pem")
    assert settings.file(settings.tls_client_ca) is None


def test_lists_are_split_at_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUN_ORIGINS", "https://a.example, https://b.example")
    assert load(tmp_path).origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SUN_PORT", "x", "SUN_PORT.*valid integer"),
        ("SUN_PORT", "70000", "SUN_PORT.*less than or equal to 65535"),
        ("SUN_LOG_FORMAT", "xml", "SUN_LOG_FORMAT.*'console' or 'json'"),
        ("SUN_PROT", "1", "SUN_PROT: there is no such setting"),
        ("SUN_WORKERS", "0", "SUN_WORKERS.*greater than or equal to 1"),
        ("SUN_TRUSTED_PROXIES", "10.0.0.0/8, proxy", "SUN_TRUSTED_PROXIES.*'proxy' does not appear to be"),
        ("SUN_TRUSTED_PROXIES", "10.0.0.1/8", "SUN_TRUSTED_PROXIES.*host bits set"),
        ("SUN_FORWARDED_HEADER", "x-real-ip", "SUN_FORWARDED_HEADER.*'x-forwarded-for' or 'forwarded'"),
        ("SUN_ADMIN_PORT", "-1", "SUN_ADMIN_PORT.*greater than or equal to 0"),
        ("SUN_TLS_KEY", "key.pem", "SUN_TLS_KEY.*it needs a tls_certificate"),
        ("SUN_TLS_CLIENT_CA", "ca.pem", "SUN_TLS_CLIENT_CA.*it needs a tls_certificate"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "prot"),
        ("port = ", "sun.toml"),
        ("sql_url = 'mysql://sun:secret@host/'", "a password does not belong in a file"),
        ("sql_url = 'mysql://sun@host/,mysql://sun:secret@replica/'", "a password does not belong in a file"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sun.toml").write_text(text)
    with pytest.raises(ConfigError, match=words) as error:
        load(tmp_path)
    assert "secret" not in str(error.value)


def test_a_url_without_a_password_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "sun.toml").write_text("sql_url = 'mysql://sun@host:3306/'")
    assert load(tmp_path).database_url == "mysql://sun@host:3306/"
    (tmp_path / "sun.toml").write_text("sql_url = 'mysql://sun@host/,mysql://sun@replica/'")
    assert load(tmp_path).database_url == "mysql://sun@host/,mysql://sun@replica/"


def test_the_url_is_not_in_the_representation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUN_SQL_URL", "mysql://sun:secret@host/")
    assert "secret" not in repr(load(tmp_path))


def test_numbers_of_limits_come_from_the_file_and_from_json_in_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sun.toml").write_text('limit_store = "sql"\n[limits.post]\ntokens = 5\n')
    found = load(tmp_path)
    assert (found.limit_store, found.limits["post"].tokens, found.limits["post"].refill_ms) == ("sql", 5, None)
    monkeypatch.setenv("SUN_LIMITS", '{"post": {"refill_ms": 9}}')
    assert load(tmp_path).limits["post"].refill_ms == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits.post]\ntokens = 0\n", "limits.post.tokens (sun.toml, or SUN_LIMITS): "),
        ("[limits.post]\nburst = 3\n", "limits.post.burst (sun.toml, or SUN_LIMITS): "),
        ('limit_store = "redis"\n', "limit_store (sun.toml, or SUN_LIMIT_STORE): "),
    ],
)
def test_a_wrong_number_of_a_limit_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "sun.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load(tmp_path)
    assert str(error.value).startswith(said)
