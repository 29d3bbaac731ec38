"""How many examples hypothesis draws."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings


def drawn(examples: int) -> settings:
    """`examples`, the same in every run; or, where SUN_TEST_EXAMPLES says how many, as many new ones.

    A failure then ends with the `@reproduce_failure` that repeats it.
    """
    wanted = int(os.environ.get("SUN_TEST_EXAMPLES") or 0)
    return settings(
        max_examples=wanted or examples,
        derandomize=not wanted,
        print_blob=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
    )
