"""Writes the effective settings for people, as TOML.

TOML 1.0; settings hold no secrets, only the names of files that do.
"""

import json
from typing import Any

from smime_proxy.settings.errors import dotted
from smime_proxy.settings.model import Settings


def effective(settings: Settings) -> dict[str, Any]:
    """Give every setting with its effective value, as JSON knows values."""
    tree = settings.model_dump(mode="json")
    tree["service"]["authserv_id"] = settings.service.effective_authserv_id
    for name, listener in settings.listeners.items():
        networks = [str(network) for network in listener.relaying_networks]
        tree["listeners"][name]["trusted_networks"] = networks
    return _without_none(tree)


def to_toml(tree: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """Write tables as TOML; plain keys first, then a section for each table below."""
    plain = {key: value for key, value in tree.items() if not isinstance(value, dict)}
    lines = [
        f"{dotted((key,))} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in plain.items()
    ]
    head = [f"[{dotted(path)}]"] if path and lines else []
    sections = ["\n".join([*head, *lines])] if lines else []
    sections += [
        to_toml(value, (*path, key)) for key, value in tree.items() if isinstance(value, dict)
    ]
    return "\n\n".join(section for section in sections if section)


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    """Leave out overrides that are not set: TOML has no word for them."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }
