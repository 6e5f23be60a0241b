"""The whole plan: models by their configs, data as it is or as it may be, and the machine."""

import shutil
from pathlib import Path

from pipeline.check.findings import Findings
from pipeline.check.models import check_models
from pipeline.check.pairs import check_pairs
from pipeline.check.settings import Settings, settings_of
from pipeline.check.sources import check_sources, read_data
from pipeline.memory.conditions import Conditions, Machine
from pipeline.memory.fitting import usable_memory
from pipeline.models.compute import usable_cores
from pipeline.params.schema import Params
from pipeline.plan.amounts import Amounts, assumed, measured
from pipeline.plan.models import PlannedModels
from pipeline.plan.speed import Clock, GivenRates, MeasuredRates
from pipeline.plan.stages import plan_stages
from pipeline.plan.text import Plan


def plan_project(
    params: Params, root: Path, *, machine: Machine | None = None, teraflops: float | None = None, read: bool = True
) -> Plan:
    """Plan a run.

    Args:
        root: of the project.
        machine: that it will run on; None is this one.
        teraflops: how fast that multiplies matrices; None measures this one, and says nothing of another.
        read: the data is read, as `make check` reads it.

    Raises:
        PipelineError: a model's config cannot be had, or the device is not there.
    """
    conditions = Conditions.of(params.runtime, machine)
    models, settings = PlannedModels.of(params), settings_of(params)
    amounts = _amounts(models, settings, root / ".state/plan/policy", read=read)
    limit = usable_memory(conditions.device) if machine is None else machine.memory
    stages = plan_stages(params, models, amounts, conditions, limit=limit)
    clock = None
    if teraflops is not None:
        clock = Clock(GivenRates(teraflops * 1e12))
    elif machine is None:
        threads = usable_cores() if params.runtime.threads == "auto" else params.runtime.threads
        clock = Clock(MeasuredRates(conditions.device, threads))
    here = "this machine" if machine is None else "another machine"
    precision = "bf16" if conditions.number == 2 else "fp32"
    free = shutil.disk_usage(root).free if machine is None else None
    return Plan(stages, clock, f"{here}, {conditions.device.type}, {precision}", limit, free, amounts.note)


def _amounts(models: PlannedModels, settings: Settings, scratch: Path, *, read: bool) -> Amounts:
    """The amounts of the data, or where data or a tokenizer is not there yet, those that params.yaml allows."""
    if not read:
        return assumed(models, settings, note="the data was not to be read.")
    findings = Findings()
    intake = check_sources(settings, findings)
    readers = check_models(settings, findings, scratch) if intake is not None else None
    if intake is not None and readers is not None:
        data = read_data(intake, readers.folder, settings, findings)
        if data is not None:
            pairs = check_pairs(data, readers, settings, findings, counted=True)
            return measured(data, pairs, readers, models, settings)
    why = findings.errors[0].message if findings.errors else "no row of the data is used."
    return assumed(models, settings, note=why)
