"""What is shown on a page, as a command for a shell and as Python, to be copied."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

__all__ = ["command", "python_call", "quoted"]


def quoted(text: str) -> str:
    """Return ``text`` as one word for bash and zsh, without a character that a terminal would act on."""
    if text.isprintable():
        return shlex.quote(text)
    # A control character could end what is pasted, or be a key of its own: ANSI-C quoting writes it out.
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(one: str) -> str:
    if one in "\\'":
        return f"\\{one}"
    return one if one.isprintable() else "".join(f"\\{byte:03o}" for byte in one.encode(errors="surrogatepass"))


def command(name: str, *words: str, options: Mapping[str, str | None]) -> str:
    """Return a line for a shell.

    Args:
        name: The command of ``asyncjobs``, and what else is known to be harmless.
        *words: Its arguments, which may begin with a dash.
        options: Its options, without the dashes; those without a value are left out.
    """
    given = [f"--{option}={quoted(value)}" for option, value in options.items() if value]
    end = ["--"] if any(word.startswith("-") for word in words) else []
    return " ".join(["asyncjobs", name, *given, *end, *map(quoted, words)])


def python_call(verb: str, *words: str, options: Mapping[str, str | None]) -> str:
    """Return a call of a verb of the app; arguments as of ``command``."""
    given = [repr(word) for word in words] + [f"{name}={value!r}" for name, value in options.items() if value]
    return f"await app.{verb}({', '.join(given)})"
