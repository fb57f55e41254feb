"""Patches for MiniStack 1.5.33 where it differs from AWS: one module per service or subject, one function per gap.

A docstring that starts with `Gap:` describes what MiniStack does without the patch.
"""

from local_aws.emulator.gaps import (
    buckets,
    cloudformation,
    cold_starts,
    conditions,
    delivery,
    distributed_map,
    event_sources,
    grants,
    iam,
    key_policies,
    keys,
    layers,
    machine_roles,
    metric_math,
    nested_executions,
    other_accounts,
    policy_reads,
    resource_policies,
    response_headers,
    secret_keys,
    secrets,
    simulation,
    step_functions,
)


def apply() -> None:
    """Applies all patches. Call it when the environment of MiniStack is set. Repeated calls have no effect."""
    for service in (
        conditions,
        other_accounts,
        iam,
        simulation,
        keys,
        key_policies,
        grants,
        secrets,
        secret_keys,
        resource_policies,
        policy_reads,
        step_functions,
        machine_roles,
        distributed_map,
        nested_executions,
        layers,
        cold_starts,
        delivery,
        event_sources,
        cloudformation,
        buckets,
        metric_math,
        response_headers,
    ):
        service.apply()
