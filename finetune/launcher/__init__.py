"""`make run`: every process of an installation under one roof, on one machine, started and stopped by one command."""
