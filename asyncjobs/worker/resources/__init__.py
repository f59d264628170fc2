"""Resources for handlers: declared as defaults of parameters, resolved at the worker's start, closed in any case."""
