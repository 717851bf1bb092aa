"""OpenSSH's server on the loopback address, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")


@dataclass(frozen=True)
class SshServer:
    """Where it listens, and the key that it lets in."""

    port: int
    user: str
    key: Path


def find_sshd() -> str | None:
    """Find the server, which is not on every user's path."""
    return shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextmanager
def running_sshd(folder: Path) -> Iterator[SshServer]:
    """Run sshd as this user, for this user, until the block ends."""
    program = find_sshd()
    assert program is not None, "no sshd; on Debian: apt-get install openssh-server"
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    authorized = folder / "authorized_keys"
    shutil.copy(folder / "user.pub", authorized)
    authorized.chmod(0o600)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    sftp = next(
        path for path in (*SFTP_SERVERS, "internal-sftp") if path[0] != "/" or Path(path).exists()
    )
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": authorized,
        "PidFile": folder / "sshd.pid",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxStartups": "100",
        "MaxSessions": "100",
        "Subsystem": f"sftp {sftp}",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd shuts its unprivileged half in
    log = folder / "sshd.log"
    with subprocess.Popen([program, "-D", "-f", str(config), "-E", str(log)]) as server:
        try:
            _wait(server, port, log)
            yield SshServer(port, getpass.getuser(), folder / "user")
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        with closing(socket.socket()) as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not answer: {log.read_text()}")
