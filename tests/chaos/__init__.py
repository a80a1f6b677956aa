"""The kill matrix: whatever is killed whenever, the job ends as if nothing had happened."""
