"""Imported once by the process that forks what tests run: it imports what the program imports."""

import importlib
import pkgutil

import smime_proxy

for module in pkgutil.walk_packages(smime_proxy.__path__, "smime_proxy."):
    if "migrations" not in module.name and "__main__" not in module.name:
        importlib.import_module(module.name)
