"""The one error that is the user's to mend: it says what is wrong, where, and what to do, in one line."""


class UserError(Exception):
    """Shown as one line without a traceback; the command line then exits with 2."""
