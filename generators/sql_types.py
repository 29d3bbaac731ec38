"""MySQL's column types, and the constants of their columns, as IR values. The caller has cut the words."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re
from collections.abc import Callable, Sequence

from generators import ir

MAX_CHARACTERS = 16_383  # of a VARCHAR in utf8mb4: 65,535 bytes of a row, 4 a character
_INTS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "MIDDLEINT": 24, "INT": 32, "INTEGER": 32, "BIGINT": 64}
_INTS.update({"INT1": 8, "INT2": 16, "INT3": 24, "INT4": 32, "INT8": 64})
_TEXTS = {"TINYTEXT": 255, "TEXT": 65_535, "MEDIUMTEXT": 2**24 - 1, "LONGTEXT": 2**32 - 1}
_BLOBS = {"TINYBLOB": 255, "BLOB": 65_535, "MEDIUMBLOB": 2**24 - 1, "LONGBLOB": 2**32 - 1}
_DECIMALS = ("DECIMAL", "DEC", "NUMERIC", "FIXED")
_SPATIAL = frozenset(
    """
    GEOMETRY POINT LINESTRING POLYGON MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION GEOMCOLLECTION
    """.split()
)
_OTHERS = """
    BOOL BOOLEAN FLOAT DOUBLE REAL CHAR CHARACTER VARCHAR NCHAR NVARCHAR BINARY VARBINARY DATE TIME DATETIME TIMESTAMP
    YEAR JSON BIT ENUM SET SERIAL
"""
KNOWN = frozenset([*_INTS, *_TEXTS, *_BLOBS, *_DECIMALS, *_OTHERS.split()])


# Text of these fits in utf8mb4; their sort orders become its nearest one that both MySQL and MariaDB have.
CHARSETS = ("utf8mb4", "utf8mb3", "utf8", "latin1", "ascii")
_COLLATIONS = {"0900_ai_ci": "unicode_520_ci", "0900_as_cs": "bin", "0900_bin": "bin"}
_LANGUAGES = (
    "croatian czech danish esperanto estonian german2 hungarian icelandic latvian lithuanian persian polish roman "
    "romanian sinhala slovak slovenian spanish spanish2 swedish turkish vietnamese general unicode unicode_520"
)
_ORDERS = frozenset(["bin", *(f"{language}_ci" for language in _LANGUAGES.split())])


class BadType(Exception):
    """The arguments of a type are wrong; the text says what to write."""


class BadConstant(Exception):
    """A DEFAULT does not fit its column; the text says why."""


def unknown_type(name: str) -> str:
    """The message for a type that is not in KNOWN."""
    if name.upper() in _SPATIAL:
        return f"{name} is a spatial type, which has no form in Python here: store two DOUBLE columns or a VARBINARY"
    return f"there is no type `{name}`: use one of MySQL's numeric, string, date, JSON, BIT, ENUM or SET types"


def column_type(name: str, numbers: Sequence[int], values: Sequence[str], *, unsigned: bool) -> ir.Type:
    """The type of `NAME(numbers or values)`; `name` is upper case and in KNOWN. Raises BadType."""
    if values and name not in ("ENUM", "SET"):
        raise BadType(f"{name} takes a number in its parentheses, not a string")
    if unsigned and name not in _INTS and name not in (*_DECIMALS, "FLOAT", "DOUBLE", "REAL", "SERIAL"):
        raise BadType(f"{name} can't be UNSIGNED: only numbers can")
    if name in _INTS:
        (width,) = _numbers(name, numbers, (255,), (None,))
        if name == "TINYINT" and width == 1 and not unsigned:
            return ir.Bool()
        return ir.Int(_INTS[name], not unsigned)
    if name in _DECIMALS:
        precision, scale = _numbers(name, numbers, (65, 30), (10, 0))
        assert precision is not None
        assert scale is not None
        if scale > precision or precision == 0:
            raise BadType(f"{name}({precision},{scale}): the precision must be positive and no less than the scale")
        return ir.Decimal(precision, scale)
    if name in ("FLOAT", "DOUBLE", "REAL"):
        return _float(name, numbers)
    if name in ("CHAR", "CHARACTER", "NCHAR", "BINARY"):
        (length,) = _numbers(name, numbers, (255,), (1,))
        return ir.Bytes(length, fixed=True) if name == "BINARY" else ir.Text(length, fixed=True)
    if name in ("VARCHAR", "NVARCHAR", "VARBINARY"):
        most = 65_535 if name == "VARBINARY" else MAX_CHARACTERS
        (length,) = _numbers(name, numbers, (most,), (None,))
        if length is None:
            raise BadType(f"{name} needs a length: write {name}(255)")
        return ir.Bytes(length) if name == "VARBINARY" else ir.Text(length)
    if name in ("TEXT", "BLOB") and numbers:
        return _sized(name, numbers)
    if name in _TEXTS or name in _BLOBS:
        _numbers(name, numbers, (), ())
        return ir.Text(max_bytes=_TEXTS[name]) if name in _TEXTS else ir.Bytes(_BLOBS[name], blob=True)
    if name in ("TIME", "DATETIME", "TIMESTAMP"):
        (fraction,) = _numbers(name, numbers, (6,), (0,))
        assert fraction is not None
        return ir.Time(fraction) if name == "TIME" else ir.DateTime(fraction, instant=name == "TIMESTAMP")
    if name == "BIT":
        (width,) = _numbers(name, numbers, (64,), (1,))
        if not width:
            raise BadType("BIT(0): the width must be 1 to 64")
        return ir.Bits(width)
    if name in ("ENUM", "SET"):
        return _choices(name, numbers, values)
    if name == "YEAR":
        (width,) = _numbers(name, numbers, (4,), (4,))
        if width != 4:
            raise BadType(f"YEAR({width}): years have four digits")
        return ir.Year()
    _numbers(name, numbers, (), ())
    simple: dict[str, ir.Type] = {"DATE": ir.Date(), "JSON": ir.Json(), "SERIAL": ir.Int(64, signed=False)}
    return simple.get(name, ir.Bool())


def _numbers(
    name: str, numbers: Sequence[int], limits: Sequence[int], defaults: Sequence[int | None]
) -> Sequence[int | None]:
    """The numbers in a type's parentheses, filled up with its defaults."""
    shown = ",".join(str(number) for number in numbers)
    if len(numbers) > len(limits):
        least = f"at most {len(limits)} number{'s' if len(limits) > 1 else ''}" if limits else "nothing"
        raise BadType(f"{name}({shown}): {name} takes {least} in parentheses")
    for number, limit in zip(numbers, limits, strict=False):
        if number > limit:
            raise BadType(f"{name}({shown}): {number} is more than the {limit} that {name} allows")
    return [*numbers, *defaults[len(numbers) :]]


def _float(name: str, numbers: Sequence[int]) -> ir.Type:
    # FLOAT(p) chooses the width by the bits of the mantissa.
    if len(numbers) == 2:
        shown = f"({numbers[0]},{numbers[1]})"
        raise BadType(f"{name}{shown} rounds on some engines only: write {name}, or DECIMAL{shown}")
    (bits,) = _numbers(name, numbers, (53,) if name == "FLOAT" else (), (24,) if name == "FLOAT" else (53,))[:1]
    assert bits is not None
    return ir.Float(32 if bits <= 24 else 64)


def _sized(name: str, numbers: Sequence[int]) -> ir.Type:
    """TEXT(n) and BLOB(n) stand for the smallest of their family that holds n characters or bytes."""
    (size,) = _numbers(name, numbers, (2**32 - 1,), (0,))
    assert size is not None
    need = size * 4 if name == "TEXT" else size
    family = _TEXTS if name == "TEXT" else _BLOBS
    most = next((most for most in family.values() if most >= need), 2**32 - 1)
    return ir.Text(max_bytes=most) if name == "TEXT" else ir.Bytes(most, blob=True)


def _choices(name: str, numbers: Sequence[int], values: Sequence[str]) -> ir.Type:
    if numbers or not values:
        raise BadType(f"{name} needs its values as strings: write {name}('a','b')")
    if name == "SET" and len(values) > 64:
        raise BadType(f"SET has {len(values)} values, but 64 is the most")
    seen: set[str] = set()
    for value in values:
        if value.endswith(" "):
            raise BadType(f"{name} value '{value}' ends in a blank, which the server cuts off")
        if name == "SET" and ("," in value or not value):
            raise BadType(f"SET value '{value}' is empty or holds a comma, which parts the values of a SET")
        if value in seen:
            raise BadType(f"{name} value '{value}' is given twice")
        seen.add(value)
    return ir.Choice(tuple(values)) if name == "ENUM" else ir.Choices(tuple(values))


def portable_collation(name: str) -> str | None:
    """The collation of utf8mb4 that stands for one of MySQL's on every server; None for one that none does."""
    charset, _, order = name.partition("_")
    order = _COLLATIONS.get(order, order)
    if charset in ("latin1", "ascii") and order != "bin":
        order = "general_ci"
    return f"utf8mb4_{order}" if charset in CHARSETS and order in _ORDERS else None


# --- constants -------------------------------------------------------------------------------------------------------

Constant = bool | int | float | str | bytes


def constant(column: ir.Type, value: Constant) -> Constant:
    """A DEFAULT's constant as the column holds it. Raises BadConstant.

    `value` is a str for strings and numbers alike, bytes for bit and hex literals, a bool for TRUE and FALSE.

    Text of dates is normalized: `2020-01-31`, `2020-01-31 10:00:00` or `… 10:00:00.000000`, `-01:02:03.500000`.
    """
    for kind, convert in _CONVERT.items():
        if isinstance(column, kind):
            return convert(column, value)
    raise BadConstant("a column of this type can't have a constant default")


def _integer(value: Constant) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,25}(\.0*)?", value.strip(" ")):
        return int(value.partition(".")[0])
    raise BadConstant(f"{_shown(value)} is no integer")


def _between(value: Constant, low: int, high: int) -> int:
    number = _integer(value)
    if not low <= number <= high:
        raise BadConstant(f"{number} is not within {low} and {high}")
    return number


def _bool(_: ir.Type, value: Constant) -> bool:
    number = _integer(value)
    if number not in (0, 1):
        raise BadConstant(f"{number} is neither 0 nor 1, and TINYINT(1) is a boolean: write TINYINT for a number")
    return bool(number)


def int_range(column: ir.Int) -> tuple[int, int]:
    """The least and the greatest value."""
    if column.signed:
        return -(2 ** (column.bits - 1)), 2 ** (column.bits - 1) - 1
    return 0, 2**column.bits - 1


def _int(column: ir.Type, value: Constant) -> int:
    assert isinstance(column, ir.Int)
    return _between(value, *int_range(column))


def _bits(column: ir.Type, value: Constant) -> int:
    assert isinstance(column, ir.Bits)
    return _between(value, 0, 2**column.width - 1)


def _year(_: ir.Type, value: Constant) -> int:
    year = _integer(value)
    if year != 0 and not 1901 <= year <= 2155:
        raise BadConstant(f"{year} is not within 1901 and 2155")
    return year


def _number(_: ir.Type, value: Constant) -> float:
    try:
        number = float(_integer(value) if isinstance(value, bytes) else value)
    except (ValueError, OverflowError):
        raise BadConstant(f"{_shown(value)} is no number") from None
    if not math.isfinite(number):
        raise BadConstant(f"{_shown(value)} is no finite number")
    return number


def _decimal(column: ir.Type, value: Constant) -> str:
    assert isinstance(column, ir.Decimal)
    try:
        number = decimal.Decimal(value if isinstance(value, str) else _integer(value))
    except decimal.InvalidOperation:
        raise BadConstant(f"{_shown(value)} is no number") from None
    if not number.is_finite():
        raise BadConstant(f"{_shown(value)} is no finite number")
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    whole = len(digits) + exponent if any(digits) else 0
    if whole > column.precision - column.scale or -exponent > column.scale:
        raise BadConstant(f"{_shown(value)} does not fit DECIMAL({column.precision},{column.scale})")
    return f"{number:.{column.scale}f}"


def _text(column: ir.Type, value: Constant) -> str:
    assert isinstance(column, ir.Text)
    text = _string(value)
    if column.max_length is not None and len(text) > column.max_length:
        raise BadConstant(f"{_shown(value)} has {len(text)} characters, more than {column.max_length}")
    if column.max_bytes is not None and len(text.encode()) > column.max_bytes:
        raise BadConstant(f"{_shown(value)} has {len(text.encode())} bytes, more than {column.max_bytes}")
    return text


def _string(value: Constant) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadConstant(f"{_shown(value)} is not UTF-8") from None
    return str(int(value)) if isinstance(value, bool) else str(value)


def _bytes(column: ir.Type, value: Constant) -> bytes:
    assert isinstance(column, ir.Bytes)
    data = value if isinstance(value, bytes) else _string(value).encode()
    if column.max_length is not None and len(data) > column.max_length:
        raise BadConstant(f"{_shown(value)} has {len(data)} bytes, more than {column.max_length}")
    return data


def _date(_: ir.Type, value: Constant) -> str:
    return _moment(value, r"\d{4}-\d{2}-\d{2}", "a date like 2020-01-31").date().isoformat()


def _datetime(_: ir.Type, value: Constant) -> str:
    pattern = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?)?"
    return _moment(value, pattern, "a time like 2020-01-31 10:00:00").isoformat(" ")


def _moment(value: Constant, pattern: str, example: str) -> datetime.datetime:
    text = _string(value)
    try:
        if re.fullmatch(pattern, text, re.ASCII):
            return datetime.datetime.fromisoformat(text)
    except ValueError:
        pass
    raise BadConstant(f"{_shown(value)} is not {example}")


_TIME = re.compile(r"(-?)(\d{1,3}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?", re.ASCII)


def microseconds(text: str) -> int:
    """A TIME's text as microseconds. Raises BadConstant."""
    match = _TIME.fullmatch(text)
    if match is None or int(match[2]) > 838 or int(match[3]) > 59 or int(match[4]) > 59:
        raise BadConstant(f"'{text}' is not a time like 10:30:00, up to 838:59:59")
    seconds = (int(match[2]) * 60 + int(match[3])) * 60 + int(match[4])
    total = seconds * 1_000_000 + int((match[5] or "").ljust(6, "0"))
    return -total if match[1] else total


def _time(_: ir.Type, value: Constant) -> str:
    total = microseconds(_string(value))
    seconds, fraction = divmod(abs(total), 1_000_000)
    text = f"{'-' if total < 0 else ''}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + (f".{fraction:06}" if fraction else "")


def _json(_: ir.Type, value: Constant) -> str:
    text = _string(value)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise BadConstant(f"{_shown(value)} is not JSON") from None
    return text


def _choice(column: ir.Type, value: Constant) -> str:
    assert isinstance(column, ir.Choice)
    text = _string(value)
    if text not in column.values:
        raise BadConstant(f"{_shown(value)} is not one of {_list(column.values)}")
    return text


def _set(column: ir.Type, value: Constant) -> str:
    assert isinstance(column, ir.Choices)
    chosen = [part for part in _string(value).split(",") if part]
    for part in chosen:
        if part not in column.values:
            raise BadConstant(f"'{part}' is not one of {_list(column.values)}")
    return ",".join(choice for choice in column.values if choice in chosen)


def _list(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _shown(value: Constant) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return f"'{value}'" if isinstance(value, str) and not re.fullmatch(r"[+-]?[0-9.]+", value) else str(value)


_CONVERT: dict[type[ir.Type], Callable[[ir.Type, Constant], Constant]] = {
    ir.Bool: _bool,
    ir.Int: _int,
    ir.Float: _number,
    ir.Decimal: _decimal,
    ir.Text: _text,
    ir.Bytes: _bytes,
    ir.Date: _date,
    ir.Time: _time,
    ir.DateTime: _datetime,
    ir.Year: _year,
    ir.Json: _json,
    ir.Bits: _bits,
    ir.Choice: _choice,
    ir.Choices: _set,
}
