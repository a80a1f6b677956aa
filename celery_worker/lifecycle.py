"""What a worker does when it starts and stops."""
