"""What an operator needs to look after an installation: doctor, backup, retention, metrics, keys (docs/operations.md)."""
