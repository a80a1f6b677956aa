"""The doctor's checks: a module each, with one function `examine` that gives findings. It may raise: then that is the finding."""
