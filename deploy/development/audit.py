"""Ask whether a vulnerability is known of what the runtime lock names; fails when one is.

An advisory service that cannot be reached is said aloud and fails nothing: what is known does not
change with the network, and a change must not wait for somebody else's server.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

PATIENCE_SECONDS = 120
UNREACHABLE = ("ConnectionError", "ServiceError", "Could not connect", "Max retries", "timed out")
NOT_DONE = "AUDIT NOT DONE"


def main(program: str, lock: str) -> int:
    """Run pip-audit on a lock with hashes; gives the exit code."""
    line = [program, "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json"]
    try:
        done = subprocess.run(  # noqa: S603 - the program is our own, its arguments are ours
            [*line, "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        print(f"{NOT_DONE}: the advisory service does not answer", file=sys.stderr)
        return 0
    if not done.stdout.strip():
        return _without_answer(done.stderr)
    code = _judge(json.loads(done.stdout)["dependencies"], lock)
    return code or done.returncode


def _without_answer(said: str) -> int:
    """Tell a service that is not there from a fault of ours, which must not pass for one."""
    last = said.strip().rpartition("\n")[2]
    if any(word in said for word in UNREACHABLE):
        print(f"{NOT_DONE}: the advisory service cannot be reached: {last}", file=sys.stderr)
        return 0
    print(f"the audit failed: {last or 'nothing was said'}", file=sys.stderr)
    return 1


def _judge(dependencies: Sequence[Mapping[str, object]], lock: str) -> int:
    skipped = [str(one["name"]) for one in dependencies if "skip_reason" in one]
    found = [one for one in dependencies if one.get("vulns")]
    for one in found:
        for vulnerability in one["vulns"]:  # type: ignore[attr-defined] # JSON of pip-audit
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"{one['name']} {one['version']}: {vulnerability['id']}, mended in {fixed}")
    audited = len(dependencies) - len(skipped)
    if not audited:
        print(f"{NOT_DONE}: the advisory service knows no package of {lock}", file=sys.stderr)
    elif skipped:
        print(f"NOT AUDITED, unknown to the service: {', '.join(skipped)}", file=sys.stderr)
    print(f"{audited} of {len(dependencies)} packages audited, {len(found)} with a known fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
