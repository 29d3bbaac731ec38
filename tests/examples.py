"""How many examples are drawn, by hypothesis and by tests with dice of their own."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings


def wanted(examples: int) -> int:
    """`examples`, or as many as SUN_TEST_EXAMPLES says."""
    return int(os.environ.get("SUN_TEST_EXAMPLES") or 0) or examples


def drawn(examples: int) -> settings:
    """`examples`, the same in every run; or, where SUN_TEST_EXAMPLES says how many, as many new ones.

    A failure then ends with the `@reproduce_failure` that repeats it.
    """
    return settings(
        max_examples=wanted(examples),
        derandomize=not os.environ.get("SUN_TEST_EXAMPLES"),
        print_blob=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
    )
