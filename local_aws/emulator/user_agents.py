"""The user agent, which botocore builds from the same parts for every call. That is a tenth of the CPU time of a call."""

import functools
from typing import Any


def remember() -> None:
    """Lets botocore build each part of a user agent once in this process. Raises ImportError without botocore."""
    from botocore.useragent import UserAgentComponent  # the workers of functions import it from their layer

    if not hasattr(UserAgentComponent.to_string, "cache_info"):
        component: Any = UserAgentComponent
        component.to_string = functools.lru_cache(1000)(UserAgentComponent.to_string)
