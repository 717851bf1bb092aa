"""snakemake, but it looks every second how its jobs are; the plugin would wait ever longer."""

import asyncio

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def a_second(self: RemoteExecutor) -> None:
    """Wait for the next look."""
    await asyncio.sleep(1)


RemoteExecutor.sleep = a_second

if __name__ == "__main__":
    main()
