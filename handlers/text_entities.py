"""What a text points at: hashtags and mentions. Finds them by how they are written, not whether they exist."""

from __future__ import annotations

import re
import unicodedata

from handlers.user_names import LONGEST, SHORTEST

MOST_TAGS = 30
LONGEST_TAG = 64
MOST_MENTIONS = 30

_MENTION = re.compile(rf"(?<![\w@/])@([A-Za-z][A-Za-z0-9_]{{{SHORTEST - 1},{LONGEST - 1}}})(?!\w)")


def hashtags(text: str) -> list[str]:
    """The first MOST_TAGS different hashtags, in lower case without the #, compatibility forms unified (NFKC).

    A hashtag is a run of letters, their marks, digits and underscores with a letter in it, after a # that does not
    stand within a word or an address. One that is longer than LONGEST_TAG characters is none.
    """
    found: dict[str, None] = {}
    plain = unicodedata.normalize("NFKC", text)
    end = 0
    while len(found) < MOST_TAGS and (start := plain.find("#", end)) >= 0:
        end = start + 1
        while end < len(plain) and _is_of_tag(plain[end]):
            end += 1
        tag = unicodedata.normalize("NFKC", plain[start + 1 : end].lower())
        stands_free = start == 0 or not (_is_of_tag(plain[start - 1]) or plain[start - 1] in "#&/")
        if stands_free and len(tag) <= LONGEST_TAG and any(each.isalpha() for each in tag):
            found[tag] = None
    return [*found]


def _is_of_tag(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LMN"


def mentions(text: str) -> list[str]:
    """The first MOST_MENTIONS different user names after an @, in lower case."""
    found = (match[1].lower() for match in _MENTION.finditer(unicodedata.normalize("NFKC", text)))
    return [*dict.fromkeys(found)][:MOST_MENTIONS]
