"""The rules that need no database: user names, numbers, hashtags, mentions, limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generated.proto.sun.v1.enums_pb2 import UserNameStatus
from handlers import names, phones, text_entities, user_names
from handlers.limits import Window, window_wait_ms


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Ada_1", "AVAILABLE"),
        ("abcd", "AVAILABLE"),
        ("a" * 32, "AVAILABLE"),
        ("abc", "TOO_SHORT"),
        ("a" * 33, "TOO_LONG"),
        ("1abc", "BAD_CHARACTERS"),
        ("_abc", "BAD_CHARACTERS"),
        ("ab cd", "BAD_CHARACTERS"),
        ("abcd\n", "BAD_CHARACTERS"),
        ("ab-cd", "BAD_CHARACTERS"),
        ("caf\u00e9", "BAD_CHARACTERS"),
        ("\u212aelvin", "BAD_CHARACTERS"),  # lower() makes an ASCII k of it
        ("abc\u0664", "BAD_CHARACTERS"),  # a digit, but no Latin one
        ("ADMIN", "RESERVED"),
        ("a_d_m_i_n_", "RESERVED"),
        ("Sun_Support", "RESERVED"),
        ("sunny", "AVAILABLE"),
    ],
)
def test_a_user_name_keeps_the_rules_or_the_first_broken_one_is_named(name: str, status: str) -> None:
    assert UserNameStatus.Name(user_names.status_of(name)) == f"USER_NAME_STATUS_{status}"


def test_every_reserved_name_is_one_that_the_other_rules_allow() -> None:
    for name in user_names.RESERVED:
        assert name.isascii()
        assert name.isalnum()
        assert name.islower()


@settings(deadline=None)
@given(st.text())
def test_names_for_people_are_tidy_and_their_search_form_fits_its_column(name: str) -> None:
    tidied = names.tidy(name)
    assert names.tidy(tidied) == tidied == tidied.strip()
    assert len(names.searchable(tidied)) <= 64


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+31612345678", "+31612345678"),
        (" +31 (0)6-1234 5678 ", "+31612345678"),
        ("+1 650 253 0000", "+16502530000"),
        ("0612345678", None),
        ("+31612345", None),
        ("+31 900 1234567", None),  # its owner earns on each call
        ("\0", None),
        ("+" * 64, None),
    ],
)
def test_a_phone_number_is_one_that_can_be_called_at_no_extra_cost(text: str, number: str | None) -> None:
    phone = phones.parse(text)
    assert (phone.number if phone is not None else None) == number


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("#One two #THREE", ["one", "three"]),
        ("#one #ONE #One", ["one"]),
        ("(#one), #two! #three's", ["one", "two", "three"]),
        ("#2024 #_ # ## #20s #_x", ["20s", "_x"]),
        ("a#b http://x.org/#part &#39; #a#b ##c", ["a"]),
        ("#caf\u00e9 #cafe\u0301 #\uff23\uff41\uff46\uff45", ["caf\u00e9", "cafe"]),
        ("\uff03wide", ["wide"]),
        (
            "#\u0645\u0647\u0646\u062f\u0633\u06cc #\u0939\u093f\u0928\u094d\u0926\u0940 #\u65e5\u672c\u8a9e\u3002",
            ["\u0645\u0647\u0646\u062f\u0633\u06cc", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u65e5\u672c\u8a9e"],
        ),
        (f"#{'x' * 64} #{'y' * 65}", ["x" * 64]),
    ],
)
def test_hashtags_are_found_as_people_write_them(text: str, tags: list[str]) -> None:
    assert text_entities.hashtags(text) == tags


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@Bob_B, (@alice) .@carol: @alice", ["bob_b", "alice", "carol"]),
        ("bob@example.org @@dave x/@erin @abc @1abc @\u0430lice", []),
        ("@bob\u00e9 @b-ob", []),
        (f"@{'a' * 32} @{'b' * 33}", ["a" * 32]),
    ],
)
def test_mentions_are_user_names_after_an_at_sign(text: str, found: list[str]) -> None:
    assert text_entities.mentions(text) == found


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("#@aA_1 \u0301\u0130\ufb01\uff03/\U0001f600"), max_size=200))
def test_what_a_text_points_at_fits_its_columns(text: str) -> None:
    tags = text_entities.hashtags(text)
    assert len(set(tags)) == len(tags) <= text_entities.MOST_TAGS
    assert all(1 <= len(tag) <= 64 and tag == tag.lower() for tag in tags)
    assert all(user_names.key_of(name) == name for name in text_entities.mentions(text))


def test_a_text_has_at_most_thirty_hashtags_and_mentions() -> None:
    assert len(text_entities.hashtags(" ".join(f"#tag{number}" for number in range(40)))) == 30
    assert len(text_entities.mentions(" ".join(f"@user{number}" for number in range(40)))) == 30


def test_a_window_opens_when_its_oldest_leaves() -> None:
    windows = (Window(1, 10), Window(3, 100))
    assert window_wait_ms(windows, [], 1_000) == 0
    assert window_wait_ms(windows, [995], 1_000) == 5
    assert window_wait_ms(windows, [990, 960, 930], 1_000) == 30
    assert window_wait_ms(windows, [990, 960, 900], 1_000) == 0
