"""Phone numbers: from what people type to E.164, by the rules of each country."""

from __future__ import annotations

from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberType, carrier

# Numbers that cost their caller money or lead nowhere: codes to them would be bought by those who own them.
_REFUSED = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
        PhoneNumberType.PAGER,
    }
)


@dataclass(frozen=True, slots=True)
class Phone:
    """`number` is in E.164 form, `country` in ISO 3166-1; `carrier` is the first holder of it, if known."""

    number: str
    country: str
    carrier: str


def parse(text: str) -> Phone | None:
    """The number that the text spells with its country, as `+31 6 12345678`; None for anything else."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) in _REFUSED:
        return None
    return Phone(
        number=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        country=phonenumbers.region_code_for_number(number) or "",
        carrier=carrier.name_for_number(number, "en")[:64],
    )
