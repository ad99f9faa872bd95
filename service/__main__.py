"""`python -m service`: settings -> app -> server. Says in one line what keeps it from starting.

`python -m service models …` and `keys …` are commands on the versions and on the key file on disk instead.
"""

import sys

from pydantic import ValidationError

from service import keys
from service.settings import Settings


def main() -> int:
    """The exit code: 0 after a drain, 2 where the settings or this machine do not allow a start."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"MODELYARD_{'_'.join(str(part) for part in first['loc'])}".upper()
        return _fail(f"{name} is {first['input']!r}: {first['msg']}.")
    if sys.argv[1:]:
        return _command(sys.argv[1], sys.argv[2:], settings)
    if reason := _not_to_be_opened(settings):
        return _fail(reason)
    try:
        import onnxruntime  # noqa: F401 - only to say below what to do where it is not there
    except ModuleNotFoundError:
        return _fail("onnxruntime is not installed; install one of the extras: pip install 'modelyard[cpu]' or [gpu].")

    from service import workers
    from service.app import create_app
    from service.graph import ProviderMissing, choose_provider

    try:
        if settings.workers > 1:
            choose_provider(settings.provider)  # once here, for one clear line, instead of in every worker
        return workers.serve(create_app, settings)
    except ProviderMissing as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.")


def _command(name: str, arguments: list[str], settings: Settings) -> int:
    if name == "models":
        from service import commands

        return commands.main(arguments, settings)
    if name == "keys":
        from service import key_commands

        return key_commands.main(arguments, settings)
    return _fail(f"{name!r} is no command; expected none, to serve, or 'models', or 'keys'.")


def _not_to_be_opened(settings: Settings) -> str:
    """Why the service does not begin to listen: no keys where others can reach it, or keys that cannot be used."""
    if settings.keys is None:
        if settings.is_loopback or settings.open:
            return ""
        return (
            f"MODELYARD_HOST is '{settings.host}', which others can reach, and there are no keys; expected MODELYARD_KEYS, "
            "a file that `python -m service keys add` makes, or MODELYARD_OPEN=true to let everybody in."
        )
    try:
        keys.read(settings.keys)
    except OSError as error:
        return f"MODELYARD_KEYS is '{settings.keys}', which cannot be read: {error.strerror}."
    except ValueError as error:
        return f"MODELYARD_KEYS is '{settings.keys}', which cannot be used: {error}."
    return ""


def _fail(sentence: str) -> int:
    sys.stderr.write(f"modelyard: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
