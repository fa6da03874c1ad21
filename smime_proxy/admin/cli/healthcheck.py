"""`healthcheck`: asks the local service whether it is ready, for container probes.

RFC 9110 15 (status codes).
"""

import http.client

import typer

from smime_proxy.admin.cli.adapters import settings
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.program import noun

PATIENCE = 5  # seconds; probes are cut after 10 by common defaults
READY = 200
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound

app = noun()


@app.command()
def healthcheck(context: typer.Context) -> None:
    """Exit 0 when the local service is ready."""
    bind = settings(context).status.bind
    if bind is None:
        raise CommandError("status.bind is empty: the service cannot be asked")
    connection = http.client.HTTPConnection(
        EVERYWHERE.get(bind.host, bind.host), bind.port, timeout=PATIENCE
    )
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"no answer from {bind}: {error}") from None
    finally:
        connection.close()
    if status != READY:
        raise CommandError(f"the service is not ready: {bind} answers {status}")
