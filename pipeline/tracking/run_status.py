"""The status of an MLflow run whose stage was executed once or several times, each execution with a journal.

A stage that was killed is resumed by another execution, and journals reach the store in any order, some of them twice.
The newest execution decides the status, and a finished run stays finished. Executions are compared by the names of
their journals, which begin with the time of their start.
"""

from dataclasses import dataclass, replace

FINISHED = "FINISHED"
RUNNING = "RUNNING"
KILLED = "KILLED"


@dataclass(frozen=True)
class RunStatus:
    """What the store has: MLflow's status, and the newest execution whose journal it has seen."""

    status: str
    execution: str

    def opened(self, execution: str) -> "RunStatus":
        """The status when an execution's journal begins to be sent."""
        if self.status == FINISHED or execution < self.execution:
            return self
        return RunStatus(RUNNING, execution)

    def closed(self, execution: str, status: str) -> "RunStatus":
        """The status when an execution's journal has been sent; `status` is how the execution ended."""
        if self.status == FINISHED:
            return replace(self, execution=max(execution, self.execution))
        if execution < self.execution and status != FINISHED:
            return self
        return RunStatus(status, max(execution, self.execution))
