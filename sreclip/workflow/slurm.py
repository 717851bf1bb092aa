"""What Snakemake's Slurm plugin needs to survive a Slurm that is silent or forgets."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from logging import Logger
from pathlib import Path

from sreclip.errors import ConfigError

# What a shell or Slurm replaces in a job's command, or in the path of its log.
_REPLACED = '%\\"$`'
States = dict[str, str]
Question = Callable[[str, Logger], Awaitable[tuple[States | None, float | None]]]


class PatientQuestion:
    """The plugin's question for the states of its jobs.

    Plugin 2.8.0 loses jobs in three ways, and Snakemake then waits for them for ever:

    - Five failed questions in a row count as an answer without jobs. One is enough where Slurm
      keeps no accounts: when ``scontrol`` fails, the plugin turns to ``sacct``. Here an answer that
      did not come leaves all jobs to be asked about again.
    - A job whose end nobody asked for within Slurm's ``MinJobAge``, as on a suspended machine, is
      in no answer any more. Here a job that ``squeue`` has told of and tells of no more gets the
      state ``UNKNOWN``: the plugin calls it done, and Snakemake looks for its files and sends it
      again if they are not there.
    - ``sacct`` says who cancelled a job, as in ``CANCELLED by 1000``, which is no state that the
      plugin knows. Here the first word is the state.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.told: set[str] = set()

    async def __call__(self, command: str, logger: Logger) -> tuple[States, float]:
        """Ask with a command of Slurm; return the states by job, and the seconds it took."""
        states, seconds = await self.question(command, logger)
        if states is None or seconds is None:
            logger.warning("Slurm does not answer; its jobs are asked about again")
            return {}, 0.0
        states = {job: state.partition(" ")[0] for job, state in states.items()}
        if command.startswith("squeue"):
            self.told |= states.keys()
            states |= dict.fromkeys(self.told - states.keys(), "UNKNOWN")
        return states, seconds


def check_folder(folder: Path) -> None:
    """Raise `ConfigError` if Slurm would wait for ever for jobs in this folder."""
    found = [character for character in _REPLACED if character in str(folder)]
    if found:
        raise ConfigError(
            f"{folder}: Slurm runs no job in a folder with {' '.join(found)} in its path",
            "rename the folder, or run without Slurm",
        )


def ask_patiently() -> None:
    """Have the plugin lose no job; without the plugin there is nothing to do.

    Snakemake loads its plugins, if they are installed, before the first line of a Snakefile.
    """
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    question = getattr(plugin, "query_job_status", None)
    if question is not None and not isinstance(question, PatientQuestion):
        plugin.query_job_status = PatientQuestion(question)  # type: ignore[union-attr]
