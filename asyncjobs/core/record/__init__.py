"""The record of a job: its header, its body, and what earlier attempts came to."""
