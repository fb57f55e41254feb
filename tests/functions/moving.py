"""Active accesses, and the requests that move them to another key."""

import json
from collections.abc import Callable
from typing import Any

from tests.functions.account import ADOPT, Account
from tests.functions.onboarding_requests import SECRET_KEY, Run, existing
from tests.functions.onboarding_steps import Onboarding

ALIAS = "alias/latchkey/new"


class Moved:
    """An active access, and the request that moves it."""

    def __init__(self, run: Run, account: Account, system: str = "mediatailor", **key: Any) -> None:
        self.run, self.account = run, account
        account.add_resources()
        self.first = Onboarding(run, account, system=system, key=key).run_through("record_access")
        self.access_id = self.first.checked["accessId"]

    def request(self, **key: Any) -> Onboarding:
        system = self.first.request["system"]
        return Onboarding(self.run, self.account, system=system, requestId="move", key={"alias": ALIAS, "move": True} | key)

    def move(self, **key: Any) -> Onboarding:
        return self.request(**key).run_through("record_access")

    def leave(self, moved: Onboarding) -> dict[str, Any]:
        return self.run("leave_key", {"accessIds": moved.checked["movedIds"]})


class Sharing(Moved):
    """Two active accesses that read one secret."""

    def __init__(self, run: Run, account: Account, stack: Callable[..., None]) -> None:
        stack(ALLOWED_ORIGIN_HOSTS="*")
        self.run, self.account = run, account
        self.key = account.key(tags=ADOPT)
        self.secret = account.secret("origin/token", json.dumps({SECRET_KEY: "a" * 20}), ADOPT, key=self.key)
        members = {"key": {"arn": self.key}, "secret": existing(self.secret)}
        self.first = Onboarding(run, account, **members).run_through("record_access")
        self.access_id = self.first.checked["accessId"]
        news, readers = {"sourceLocation": "news-origin"}, [account.role("Reader", "/media/")]
        members["secret"] = existing(self.secret, originReaders=readers)
        self.news = Onboarding(run, account, requestId="news", resource=news, **members).run_through("record_access")

    def request(self, **key: Any) -> Onboarding:
        asked = {"alias": ALIAS, "move": True} | key
        return Onboarding(self.run, self.account, requestId="move", key=asked, secret=existing(self.secret))
