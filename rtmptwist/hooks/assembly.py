"""What is configured of a hook, made into one that can be asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from rtmptwist.auth.files import BadFile, SecretFile
from rtmptwist.hooks import hook
from rtmptwist.hooks.carrier import Carrier
from rtmptwist.hooks.execution import ProgramCarrier
from rtmptwist.hooks.hook import Hook
from rtmptwist.hooks.http import HttpCarrier
from rtmptwist.hooks.program import Command, Programs
from rtmptwist.hooks.signature import secret_file
from rtmptwist.net.certificate import CertificateError, pem_certificates
from rtmptwist.net.tls import client_tls


class Settings(hook.Settings, Protocol):
    """All that is configured of a hook; `config.schema.Hook` fits. One of url and run is there."""

    @property
    def url(self) -> str | None:
        """Of a server."""

    @property
    def run(self) -> Sequence[str] | None:
        """A program with its arguments."""

    @property
    def format(self) -> str:
        """`json` or `form`."""

    @property
    def secret(self) -> Path | None:
        """A file."""

    @property
    def ca(self) -> Path | None:
        """A PEM file; None: as this machine trusts."""

    @property
    def verify(self) -> str:
        """`yes` or `no`."""

    @property
    def kill_after(self) -> float:
        """Seconds from SIGTERM to SIGKILL."""


class _BadHook(Exception):
    """A hook cannot be used. Says why."""


class Made(NamedTuple):
    """The hooks of a site."""

    hooks: dict[str, Hook]
    "By their names."

    secrets: list[SecretFile[bytes]]
    "To be watched."


def check_hooks(hooks: Iterable[Settings], folder: Path, problems: list[str]) -> None:
    """Look at the files that hooks need; `problems` gets what is wrong with them."""
    for settings in hooks:
        _look(settings, folder, problems)


def make_hooks(hooks: Iterable[Settings], folder: Path, reactor: Any, problems: list[str]) -> Made:
    """
    All hooks that can be used; `problems` gets what is wrong with the others.

    `folder`: where programs run.
    """
    made = Made({}, [])
    for settings in hooks:
        if (secrets := _look(settings, folder, problems)) is not None:
            carrier = _carrier(settings, folder, secrets, reactor)
            made.hooks[settings.name] = Hook(settings, carrier, reactor)
            made.secrets.extend(secrets)
    return made


def _look(settings: Settings, folder: Path, problems: list[str]) -> list[SecretFile[bytes]] | None:
    """The secret, if there is one; None: something that the hook needs cannot be used."""
    try:
        return _secrets(settings, folder)
    except (_BadHook, BadFile, CertificateError) as error:
        problems += [f"[hook {settings.name}] {line}" for line in str(error).split("\n")]
        return None


def _secrets(settings: Settings, folder: Path) -> list[SecretFile[bytes]]:
    if settings.run is not None:
        program = settings.run[0]
        if shutil.which(folder / program if "/" in program else program) is None:
            raise _BadHook(f"run: there is no program {program} that could be started")
    if settings.ca is not None:
        pem_certificates(settings.ca)
    return [] if settings.secret is None else [secret_file(settings.secret)]


def _carrier(
    settings: Settings, folder: Path, secrets: list[SecretFile[bytes]], reactor: Any
) -> Carrier:
    if settings.run is not None:
        command = Command(settings.run, folder, settings.kill_after)
        # those that are asked, those that are told, and as many that are just being killed
        most = settings.at_once if settings.mode == "keep" else 3 * settings.at_once
        return ProgramCarrier(Programs(settings.name, command, reactor, most))
    assert settings.url is not None
    parts = urlsplit(settings.url)
    tls = None
    if parts.scheme == "https":
        verify = settings.verify == "yes"
        tls = client_tls(parts.hostname or "", ca_file=settings.ca, verify=verify)
    return HttpCarrier(
        settings.url,
        reactor,
        form=settings.format == "form",
        secret=(lambda: secrets[0].value) if secrets else None,
        tls=tls,
        connections=settings.at_once,
    )
