"""The Hugging Face Hub: what is missing, and how to bring it where it cannot be reached."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import huggingface_hub.constants as hub
from huggingface_hub import try_to_load_from_cache

from sreclip.backbones.checkpoint import short
from sreclip.errors import ConfigError

WEIGHTS = "open_clip_pytorch_model.bin"
SAFE_FORMS = {WEIGHTS: ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")}
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def use_cache_alone() -> None:
    """Ask the Hub nothing in this process."""
    hub.HF_HUB_OFFLINE = True


def is_cached(repository: str, file: str) -> bool:
    """Tell whether the Hub's cache has a file, in one of the forms that open_clip takes."""
    names = {file, *SAFE_FORMS.get(file, ())}
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)


def use_cache_alone_if_unreachable() -> None:
    """Where the Hub's name cannot be looked up, take only what is in its cache.

    Otherwise every file costs half a minute of attempts, even one that is in the cache.
    """
    host = urlsplit(hub.ENDPOINT).hostname
    if hub.HF_HUB_OFFLINE or host is None or any(os.environ.get(name) for name in _PROXIES):
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        use_cache_alone()


@contextlib.contextmanager
def needed_from_hub(what: str, name: str, way_out: str) -> Iterator[None]:
    """In the block, something is taken from the Hub, its cache or a folder.

    Raises `ConfigError` that names it, if it cannot be had.
    """
    use_cache_alone_if_unreachable()
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        said = str(error).lower()
        if not isinstance(error, OSError) and "download" not in said and "hf hub" not in said:
            raise ConfigError(
                f"open_clip: {what} {name} cannot be used ({short(error)})", way_out
            ) from error
        cache = os.environ.get("HF_HOME", hub.HF_HOME)
        raise ConfigError(
            f"open_clip: {what} {name} could not be downloaded, and it is not in the Hub's cache "
            f"{cache} ({short(error)})",
            f"check the network; or copy the cache of a machine that has it, and set HF_HOME to "
            f"it; or {way_out}",
        ) from error
