"""`python -m service`: settings -> app -> server. Says in one line what keeps it from starting.

`python -m service models …` and `keys …` are commands on the versions and on the key file on disk instead.
"""

import sys

from pydantic import ValidationError

from service import access
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
    if reason := access.closed(settings):
        return _fail(reason)
    try:
        import onnxruntime  # noqa: F401 - only to say below what to do where it is not there
    except ModuleNotFoundError:
        return _fail("onnxruntime is not installed; install one of the extras: pip install 'modelyard[cpu]' or [gpu].")

    from service import mirror, workers
    from service.app import create_app
    from service.graph import ProviderMissing, choose_provider

    try:
        if settings.is_remote:
            mirror.Mirror(settings.models_dir, settings.repository)
        if settings.workers > 1:
            choose_provider(settings.provider)  # once here, for one clear line, instead of in every worker
        return workers.serve(create_app, settings)
    except ProviderMissing as error:
        return _fail(str(error))
    except mirror.MirrorError as error:
        return _fail(f"MODELYARD_MODELS_DIR: {error}.")
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


def _fail(sentence: str) -> int:
    sys.stderr.write(f"modelyard: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
