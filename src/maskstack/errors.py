"""The errors a user can cause: each says in one sentence what was wrong and what to do."""


class MaskstackError(Exception):
    """Something the caller can put right. The command line prints its sentence and exits with 2."""


class InputError(MaskstackError, ValueError):
    """An image, a target, a setting or a file that cannot be used as it is."""


class ModelError(MaskstackError, RuntimeError):
    """A network that cannot be loaded, or whose answer cannot be explained."""


class OutputError(MaskstackError, OSError):
    """A result that could not be written."""


class MissingExtraError(MaskstackError, ImportError):
    """A package that only an optional extra installs is not there."""
