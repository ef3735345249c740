"""The app apart from the world: no network but loopback, every disk read-only bar those named, a
user without name or home. Only root can take all that away (util-linux, iproute2)."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, START_SECONDS, free_port
from tests.reliability.host import Host

needs_root = pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "ip"))),
    reason="only root may take rights, disks and networks away (util-linux, iproute2)",
)

# May read what root may, since the tests' own libraries may be root's.
STRANGER = (
    *("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    "--bounding-set=-all,+dac_read_search",
)
_APART = f"""
ip link set lo up
[ -z "$WITHOUT_IPV4" ] || ip addr del 127.0.0.1/8 dev lo
mount --make-rprivate /
for disk in $(awk '$3 !~ /^(proc|sysfs|devpts|cgroup2?)$/ {{print $2}}' /proc/mounts | sort -u); do
    mount -o remount,bind,ro "$disk" 2>/dev/null
done
[ -z "$ROOM" ] || mount -t tmpfs -o size=$ROOM,mode=1777 tmpfs /tmp
exec {" ".join(STRANGER)} env -i PATH="$PATH" "$@"
"""


def apart(room: str = "", *, ipv4: bool = True) -> tuple[str, ...]:
    """Return the beginning of a command that runs the rest of it apart from the world, with so much
    `room` in /tmp, without any where it is ""."""
    setting = ("env", f"ROOM={room}", f"WITHOUT_IPV4={'' if ipv4 else 'yes'}")
    return (*setting, "unshare", "--mount", "--net", "sh", "-c", _APART, "sh")


@contextmanager
def running_apart(
    folder: Path,
    *arguments: str,
    room: str,
    ipv4: bool = True,
    tracer: tuple[str, ...] = (),
) -> Iterator[Host]:
    """Run app.py apart until the end of the block, watched by `tracer`. Talk to it by `within`."""
    port, address = free_port(), "127.0.0.1" if ipv4 else "[::1]"
    command = [*tracer, *apart(room, ipv4=ipv4), sys.executable, "app.py"]
    flags = ["--port", str(port), "--host", address.strip("[]"), *arguments]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, *flags], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
    host = Host(address, port, process, folder / "output")
    with process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while "Verbatim is at" not in host.wrote():
                assert process.poll() is None, host.wrote()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield host
        finally:
            process.kill()


def within(host: Host, script: str) -> Any:
    """Run Python in the network of an app that is apart, where `host` is that app; return the value
    of its last line's `told`."""
    preparation = (
        "import json\nfrom pathlib import Path\nfrom tests.reliability.host import Host\n"
        f"host = Host({host.address!r}, {host.port}, None, Path('/dev/null'))\n"
    )
    done = subprocess.run(
        [
            *("nsenter", "--net", "--target", str(_innermost(host.process.pid))),
            *(sys.executable, "-c", f"{preparation}{script}\nprint(json.dumps(told))"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return json.loads(done.stdout)


def stop(host: Host) -> int:
    """Ask the app, not what watches it, to stop; return the exit code."""
    os.kill(_innermost(host.process.pid), 15)
    return host.process.wait(60)


def _innermost(process: int) -> int:
    """Return the first child of the first child, and so on, of a process."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return _innermost(int(children[0])) if children else process
