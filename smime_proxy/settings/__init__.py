"""The settings: frozen, typed, gathered from file, environment and secrets, checked at start."""

from smime_proxy.settings.errors import Fault, SettingsError
from smime_proxy.settings.loading import load
from smime_proxy.settings.model import Settings

__all__ = ["Fault", "Settings", "SettingsError", "load"]
