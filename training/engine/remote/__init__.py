"""The engine on somebody else's machine: fetch the run directory, train in it, tell what happens, bring back what came of it.

It ships with the engine's source in the run's own code and knows no Django. What differs between providers is how the
events leave (`voices.py`) and how a wish to stop arrives; everything else is `runner.py`.
"""
