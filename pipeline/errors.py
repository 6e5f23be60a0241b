"""The one exception for mistakes that a user can mend."""


class PipelineError(Exception):
    """Something a user can mend: the message names the file, row or key and the fix.

    A stage that raises it stops with the message alone, without a traceback, and exit code 1.
    """
