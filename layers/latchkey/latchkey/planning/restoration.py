"""Plans a restoration: the deletion that would be canceled, and the steps of an onboarding afterwards."""

from __future__ import annotations

from dataclasses import replace

from latchkey.access.bounds import Bounds
from latchkey.access.desired import Desired
from latchkey.onboarding.check_request import CheckRequestInput, FunctionRoles, apply_rules
from latchkey.onboarding.restore_access import StepInput, restore_access
from latchkey.onboarding.rules.read_evidence import EvidenceReader
from latchkey.planning.draft import Draft, World
from latchkey.planning.onboarding import plan_steps
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.planned import PLAN
from latchkey.requests.lifecycle import RestorationRequested


def plan_restoration(desired: Desired, asked: RestorationRequested, event: ExecutionInput, world: World) -> Draft:
    """The plan of a restoration that is possible. Raises InvalidRequest if the restored access would break a rule.

    The value of a secret that is scheduled for deletion cannot be read. Whether it differs from the secret that it was copied
    from is unknown, so the plan copies the value again.
    """
    settings, registry, roles = world.settings, world.registry, world.roles
    offboarded = registry.offboardings.get(desired.access_id)
    changes = world.no_changes()
    step = StepInput(request=desired.request, tenant=desired.tenant, executionArn=PLAN)
    restore_access(step, settings, registry, changes.clients(roles.restore_access).secretsmanager)
    restored = replace(world, clients=changes.clients(""))
    members = event.model_dump(include=set(ExecutionInput.model_fields)) | {"request": event.request, "asked": asked}
    copies = desired.request.secret.value.copy_from is not None
    check = CheckRequestInput.model_construct(
        **members, execution_arn=PLAN, findings=(), follows_plan=True, replaces_value=copies or None, unreadable=False
    )
    bounds = Bounds(settings, world.tenants.document(desired.tenant))
    reader = EvidenceReader(bounds, registry, restored.clients, world.secretsmanager_in)
    functions = FunctionRoles(
        attach=settings.attach_role_arn,
        configure=settings.configure_role_arn,
        create_secret=roles.create_secret,
        undo=settings.undo_role_arn,
        validate=roles.validate_access,
    )
    checked = apply_rules(check, desired, reader, lambda _: False, registry, functions)
    content = {"kind": asked.kind, "tenant": desired.tenant, "request": asked.content}
    draft = plan_steps(desired, checked, restored, content, changes)
    return replace(draft, reads={**draft.reads, "the offboarding": offboarded})
