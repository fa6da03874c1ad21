"""Commands run as root act as the owner of the state directory, so that the service can read on.

credentials(7), initgroups(3): supplementary groups go first, the user last.
"""

import errno
import importlib
import os
import pwd
from contextlib import suppress
from pathlib import Path

SERVICE_USER = "smime-proxy"  # the user the packages make
# Else imported when first used, by then perhaps from directories only root may read.
LATE_MODULES = (
    "smime_proxy.stores.migrate",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "concurrent.futures.thread",
)
STATE_MODE = 0o700  # private keys lie there, wrapped


def gives_root_up(state_dir: Path) -> bool:
    """Tell whether `act_as_owner` will make this process somebody else."""
    return os.geteuid() == 0 and state_dir.exists() and state_dir.stat().st_uid != 0


def act_as_owner(state_dir: Path, service_user: str = SERVICE_USER) -> None:
    """Give up root for the owner of `state_dir`; does nothing for anybody but root.

    What only root may read has to be open before. Raises `OSError`.
    """
    ensure(state_dir, service_user)
    owner = state_dir.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for module in LATE_MODULES:
            importlib.import_module(module)
        _become(owner.st_uid, owner.st_gid)
        if not os.access(__file__, os.R_OK):
            reason = "the owner of the state directory may not read the program's own files"
            raise PermissionError(errno.EACCES, reason, str(Path(__file__).parent))


def ensure(state_dir: Path, service_user: str = SERVICE_USER) -> None:
    """Make a state directory that is missing: as root for the service user, if there is one.

    Raises `OSError`.
    """
    if state_dir.exists():
        return
    state_dir.mkdir(mode=STATE_MODE, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        with suppress(KeyError):
            user = pwd.getpwnam(service_user)
            os.chown(state_dir, user.pw_uid, user.pw_gid)


def invoker(environment_user: str) -> str:
    """Name who typed the command, for the audit; `environment_user` is what sudo says, or ""."""
    if environment_user and os.getuid() == 0:
        return environment_user
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _become(uid: int, gid: int) -> None:
    try:
        os.initgroups(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:  # an owner without an entry, as in containers
        os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)
