"""Random histories: actions of owners, people and functions in any order and between any two calls of a function."""

from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, invariant, multiple, rule

from tests.model.in_process_aws import InProcessAws
from tests.model.world import GRACE, IT, LOCATIONS, NO_TOKEN, SECRETS, Act, Between, Looked, World

# MediaTailor creates a grant before its location is visible. Latchkey tolerates the grace period and one second.
LONGEST_LAG = GRACE + 1
# Longer than Latchkey waits for KMS to list a grant.
LONG = 700

locations, secrets, keys = st.sampled_from(LOCATIONS), st.sampled_from(sorted(SECRETS)), st.sampled_from(["k0", "k1"])
targets = st.sampled_from([*sorted(SECRETS), NO_TOKEN])
lags = st.sampled_from([0, LONGEST_LAG])
errors = st.sampled_from([("ThrottlingException", 400), ("InternalFailure", 500), ("BadRequestException", 400)])


def _acts(verb: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Act]:
    return st.builds(Act, st.just(verb), st.tuples(*args))


its = st.sampled_from([IT, IT, *LOCATIONS])
acts = st.one_of(
    _acts("create", its, secrets),
    _acts("create", its, secrets),
    _acts("recreate", its, secrets),
    _acts("update", its, targets),
    _acts("delete", its),
    _acts("admit", secrets),
    _acts("refuse", secrets),
    _acts("restore", secrets),
    _acts("execute", its),
    _acts("onboard_in_vain", its, secrets),
    _acts("wait", st.just(1)),
)
failures = st.builds(
    lambda error, times, when: Act("fail", (*error, times, when)),
    errors,
    st.sampled_from([1, 9]),
    st.sampled_from(["before", "after"]),
)
disturbances = st.one_of(acts, acts, failures, st.just(Act("crash")))
places = st.one_of(st.integers(1, 24), st.sampled_from(["RevokeGrant", "DescribeSourceLocation", "UpdateSourceLocation"]))
betweens = st.builds(Between, places, disturbances, st.booleans())
disturbed = st.one_of(st.just(()), st.lists(betweens, min_size=1, max_size=3).map(tuple))
assumptions = st.fixed_dictionaries(
    {
        "grantForm": st.sampled_from(["principal", "service-principal"]),
        "recreatedGrant": st.sampled_from(["same-id", "new-id"]),
        "mediatailorRetires": st.sampled_from(["never", "never", "late", "at-once"]),
        "updateRetires": st.booleans(),
        "missingStatus": st.sampled_from([404, 400]),
        "emptyPages": st.booleans(),
        "grantLagSeconds": st.sampled_from([0, 1]),
    }
)


class GrantHistories(RuleBasedStateMachine):
    """Every step is counted. The two surveys and the sweep are separate steps, so anything can happen between them."""

    aws: ClassVar[InProcessAws]
    steps: ClassVar[int]
    windows: ClassVar[int]
    revoked: ClassVar[int]

    looks = Bundle("looks")

    @initialize(assumed=assumptions)
    def begin(self, assumed: dict[str, Any]) -> None:
        self.world = World(self.aws, **assumed)

    @rule(name=locations, secret=secrets, between=disturbed)
    def onboard(self, name: str, secret: str, between: tuple[Between, ...]) -> None:
        self.world.onboard(name, secret, between)

    @rule(name=locations, secret=secrets, between=disturbed)
    def onboard_in_vain(self, name: str, secret: str, between: tuple[Between, ...]) -> None:
        self.world.onboard_in_vain(name, secret, between)

    @rule(name=locations, secret=targets, lag=lags)
    def create(self, name: str, secret: str, lag: float) -> None:
        self.world.create(name, secret, lag)

    @rule(name=locations)
    def delete(self, name: str) -> None:
        self.world.delete(name)

    @rule(name=locations, secret=secrets)
    def recreate(self, name: str, secret: str) -> None:
        self.world.recreate(name, secret)

    @rule(name=locations, secret=targets)
    def update(self, name: str, secret: str) -> None:
        self.world.update(name, secret)

    @rule(secret=secrets)
    def revoke_secret(self, secret: str) -> None:
        self.world.refuse(secret)

    @rule(secret=secrets)
    def admit_again(self, secret: str) -> None:
        self.world.admit(secret)

    @rule(secret=secrets)
    def delete_secret(self, secret: str) -> None:
        self.world.schedule(secret)

    @rule(secret=secrets)
    def restore_secret(self, secret: str) -> None:
        self.world.restore(secret)

    @rule(secret=secrets, key=keys)
    def move_secret(self, secret: str, key: str) -> None:
        self.world.move(secret, key)

    @rule(name=locations, secret=secrets, key=keys)
    def imitate(self, name: str, secret: str, key: str) -> None:
        self.world.imitate(name, secret, key)

    @rule(seconds=st.sampled_from([1, GRACE, 60, LONG]))
    def pass_time(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule(target=looks, name=locations, between=disturbed)
    def look(self, name: str, between: tuple[Between, ...]) -> MultipleResults[Looked]:
        return self._looked(name, between)

    @rule(target=looks, name=locations, secret=secrets, between=disturbed)
    def lose_and_look(self, name: str, secret: str, between: tuple[Between, ...]) -> MultipleResults[Looked]:
        """The usual case of a clean-up: a location is deleted."""
        self.world.restore_and_allow(secret)
        self.world.create(name, secret)
        self.world.wait(1)
        self.world.delete(name)
        return self._looked(name, between, secret)

    @rule(target=looks, name=locations, secret=secrets)
    def look_while_it_is_made(self, name: str, secret: str) -> MultipleResults[Looked]:
        self.world.restore_and_allow(secret)
        self.world.delete(name)
        self.world.create(name, secret, LONGEST_LAG)
        return self._looked(name, (), secret)

    @rule(looked=looks, between=disturbed)
    def come_back_before_the_clean_up(self, looked: Looked, between: tuple[Between, ...]) -> None:
        self.world.wait(GRACE)
        self.world.restore_and_allow(looked.secret)
        self.world.create(looked.access_id.rpartition("/")[2], looked.secret)
        self.world.clean_up(looked, between)

    @rule(name=locations, secret=secrets, after=st.booleans(), more=disturbed)
    def come_back_around_the_revocation(self, name: str, secret: str, after: bool, more: tuple[Between, ...]) -> None:
        """The location is recreated right before or right after the revocation."""
        self.world.delete(name)
        (looked,) = self.lose_and_look(name, secret, ()).values
        self.world.wait(GRACE)
        self.world.clean_up(looked, (*more, Between("RevokeGrant", Act("create", (name, secret)), after)))

    @rule(looked=looks, wait=st.sampled_from([GRACE, GRACE, GRACE, 0]), between=disturbed)
    def clean_up(self, looked: Looked, wait: int, between: tuple[Between, ...]) -> None:
        self.world.wait(wait)
        self.world.clean_up(looked, between)

    @rule(target=looks, between=disturbed)
    def sweep(self, between: tuple[Between, ...]) -> MultipleResults[Looked]:
        asked = self.world.sweep(between)
        looked = [self.world.look(one["accessId"], tuple(one["keys"])) for one in asked]
        return multiple(*(one for one in looked if one))

    def _looked(self, name: str, between: tuple[Between, ...], secret: str = "s0") -> MultipleResults[Looked]:
        looked = self.world.look(f"mediatailor/sourceLocation/{name}", tuple(self.world.keys.values()), between)
        return multiple(replace(looked, secret=secret)) if looked else multiple()

    @invariant()
    def no_grant_in_use_is_revoked(self) -> None:
        type(self).steps += 1
        if hasattr(self, "world"):
            self.world.oracle.check()

    def teardown(self) -> None:
        if not hasattr(self, "world") or self.world.oracle.wrong:
            return
        self.world.rest()
        type(self).windows += self.world.oracle.windows
        type(self).revoked += self.world.oracle.revoked
        self.world.oracle.check()
