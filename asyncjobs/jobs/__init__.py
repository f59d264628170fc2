"""A job as a program sees it: defined, sent, followed, steered."""
