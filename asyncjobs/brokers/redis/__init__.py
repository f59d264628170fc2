"""The broker on Redis: lists, sorted sets and Lua scripts."""
