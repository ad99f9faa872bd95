"""`python -m service`: settings -> app -> server. Says in one line what keeps it from starting.

`python -m service models …` are commands on the versions on disk instead.
"""

import sys

from pydantic import ValidationError

from service.settings import Settings


def main() -> int:
    """The exit code: 0 after a drain, 2 where the settings or this machine do not allow a start."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"MODELYARD_{'_'.join(str(part) for part in first['loc'])}".upper()
        return _fail(f"{name} is {first['input']!r}: {first['msg']}.")
    if sys.argv[1:2] == ["models"]:
        from service import commands

        return commands.main(sys.argv[2:], settings)
    if sys.argv[1:]:
        return _fail(f"{sys.argv[1]!r} is no command; expected none, to serve, or 'models'.")
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


def _fail(sentence: str) -> int:
    sys.stderr.write(f"modelyard: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
