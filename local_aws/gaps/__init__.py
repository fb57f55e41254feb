"""What MiniStack 1.5.33 does otherwise than AWS, put right at run time: a module per service, a function per gap."""

from local_aws.gaps import (
    cloudformation,
    conditions,
    delivery,
    event_sources,
    grants,
    iam,
    key_policies,
    keys,
    layers,
    machine_roles,
    metric_math,
    resource_policies,
    secret_keys,
    secrets,
    simulation,
    step_functions,
)


def apply() -> None:
    """Closes every gap; call it once MiniStack may be imported, again at will."""
    for service in (
        conditions,
        iam,
        simulation,
        keys,
        key_policies,
        grants,
        secrets,
        secret_keys,
        resource_policies,
        step_functions,
        machine_roles,
        layers,
        delivery,
        event_sources,
        cloudformation,
        metric_math,
    ):
        service.apply()
