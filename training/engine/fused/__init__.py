"""Layers of a model computed in fewer passes over memory, on CPUs. Each keeps for the backward pass only what it can't make again cheaply."""
