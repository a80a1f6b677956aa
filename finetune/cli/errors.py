"""How a command ends early."""


class Failed(Exception):
    """Why, and what to do, for the person at the terminal."""
