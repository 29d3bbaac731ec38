"""Constants of CQL, as they stand in the conditions of a view, as Python text of the values that rows hold."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import re
import uuid

from generators import ir

_DAYS_ZERO = 2**31  # what 1970-01-01 is as a number of a `date`
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ITEM = re.compile(r"'(?:[^']|'')*'|[^,()\s]+")
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?")
_SPECIAL = {"nan": 'float("nan")', "infinity": 'float("inf")', "-infinity": 'float("-inf")'}


def python_constant(kind: ir.Type, operator: str, literal: str) -> str:
    """The Python text of a constant in the IR's spelling; of IN a list of them.

    Raises ValueError where it is none of this type, or says what depends on where the server stands.
    """
    if operator == "IN":
        return f"[{', '.join(_python(kind, item) for item in _ITEM.findall(literal[1:-1]))}]"
    return _python(kind, literal)


def _python(kind: ir.Type, literal: str) -> str:
    is_text = literal.startswith("'")
    text = literal[1:-1].replace("''", "'") if is_text else literal
    match kind:
        case ir.Text() | ir.Ascii() if is_text:
            return repr(text)
        case ir.Date() if is_text:
            return repr(datetime.date.fromisoformat(text))
        case ir.Date():
            return repr((_EPOCH + datetime.timedelta(days=int(text) - _DAYS_ZERO)).date())
        case ir.Time() if is_text:
            return repr(_nanoseconds(text))
        case ir.DateTime() if is_text:
            return _moment(datetime.datetime.fromisoformat(text))
        case ir.DateTime():
            return _moment(_EPOCH + datetime.timedelta(milliseconds=int(text)))
        case ir.Inet() if is_text:
            return f"ipaddress.ip_address({str(ipaddress.ip_address(text))!r})"
        case _ if is_text:
            raise ValueError("not a text")
        case ir.Int() | ir.Varint() | ir.Time():
            return repr(int(text))
        case ir.Float():
            return _SPECIAL.get(text) or repr(float(text))
        case ir.Number():
            return f"decimal.Decimal({str(decimal.Decimal(text))!r})"
        case ir.Bool() if text in ("true", "false"):
            return text.capitalize()
        case ir.Uuid():
            return f"uuid.UUID({str(uuid.UUID(text))!r})"
        case ir.Bytes() if text.startswith("0x"):
            return repr(bytes.fromhex(text[2:]))
        case _:
            raise ValueError("no constant of this type")


def _nanoseconds(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("not a time")
    hours, minutes, seconds = (int(part) for part in found.groups()[:3])
    return ((hours * 60 + minutes) * 60 + seconds) * 10**9 + int((found[4] or "0").ljust(9, "0"))


def _moment(value: datetime.datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("without a zone it is in that of the server")
    moment = value.astimezone(datetime.UTC)
    parts = [moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond]
    return f"datetime.datetime({', '.join(map(str, parts))}, tzinfo=datetime.UTC)"
