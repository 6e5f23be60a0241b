"""The status of an MLflow run whose stage was executed once or several times, each execution with a journal.

A stage that was killed goes on in another execution, and journals reach the store in any order, some of them twice:
the newest execution decides, and a run that has finished stays so. Executions are compared by the names of their
journals, which begin with the time of their start.
"""

from dataclasses import dataclass, replace

FINISHED = "FINISHED"
RUNNING = "RUNNING"
KILLED = "KILLED"


@dataclass(frozen=True)
class RunStatus:
    """What the store says: MLflow's status, and the newest execution that it knows of."""

    status: str
    execution: str

    def opened(self, execution: str) -> "RunStatus":
        """Once an execution's journal is being sent."""
        if self.status == FINISHED or execution < self.execution:
            return self
        return RunStatus(RUNNING, execution)

    def closed(self, execution: str, status: str) -> "RunStatus":
        """Once it has been sent; `status` is that of the execution."""
        if self.status == FINISHED:
            return replace(self, execution=max(execution, self.execution))
        if execution < self.execution and status != FINISHED:
            return self
        return RunStatus(status, max(execution, self.execution))
