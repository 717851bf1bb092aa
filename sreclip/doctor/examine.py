"""All that the doctor looks at, in order: what needs torch comes last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sreclip.doctor.finding import Finding, of_error, problem
from sreclip.errors import SreclipError

Check = Callable[[], Iterator[Finding]]


class Section(NamedTuple):
    """Findings that belong together, made one by one."""

    title: str
    findings: Iterator[Finding]


def examine(params: Path, *, network: bool = False) -> Iterator[Section]:
    """Yield what is found of the machine, the software, the project and its model.

    Each section's findings are to be taken before the next section. ``network`` allows to ask the
    Hub.
    """
    from sreclip.doctor import machine, software

    checks: list[Check] = [machine.system, machine.processors, machine.memory_at_hand]
    yield Section("Machine", _run([*checks, machine.threads]))
    checks = [software.versions, software.packages, software.programs]
    yield Section("Software", _run(checks))
    yield from _of_project(params, network=network)


def _of_project(params: Path, *, network: bool) -> Iterator[Section]:
    try:
        from sreclip.doctor import model, project
    except ImportError as error:
        yield Section("Project", iter([_missing(error)]))
        return
    plan, finding = project.parameters(params)
    checks: list[Check] = [lambda: iter([finding])]
    if plan is not None:
        checks.append(partial(project.task, plan))
    checks.append(partial(project.disk, plan))
    if plan is not None:
        checks.append(partial(project.memory_of_fits, plan))
    yield Section("Project", _run(checks))
    checks = []
    if plan is not None:
        checks.append(partial(model.weights, plan, network=network))
    if network:
        checks.append(model.hub_reached)
    checks.append(partial(model.gpus, plan))
    if plan is not None:
        checks += [partial(each, plan) for each in (model.devices, model.decoders)]
        checks.append(partial(model.shared_memory, plan))
    checks.append(partial(model.speed, plan))
    yield Section("Model", _run(checks))


def _run(checks: list[Check]) -> Iterator[Finding]:
    """Make the findings; what stops a check is one, too, and a missing package only once."""
    missing: set[str | None] = set()
    for check in checks:
        try:
            yield from check()
        except SreclipError as error:
            what = getattr(check, "func", check).__name__
            yield of_error(what.replace("_", " "), error)
        except ImportError as error:
            if error.name not in missing:
                yield _missing(error)
            missing.add(error.name)


def _missing(error: ImportError) -> Finding:
    return problem(
        error.name or "packages",
        f"cannot be imported ({error}), so that what needs it is not looked at",
        "install it, or install it again",
    )
