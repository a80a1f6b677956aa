"""The one way the demo ends early."""


class DemoFailed(Exception):
    """Why the demo could not go on or did not succeed, for the person who started it."""
