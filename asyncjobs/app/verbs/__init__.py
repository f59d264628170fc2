"""The verbs of an app, by what they are about."""
