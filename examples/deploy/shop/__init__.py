"""A small program to deploy: a web app that sends jobs of three queues, and their workers."""
