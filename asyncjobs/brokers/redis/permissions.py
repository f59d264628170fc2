"""Which commands the user of a server may call, of those that asyncjobs needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["NEEDED_COMMANDS", "OTHER_COMMANDS", "WRITES", "permission_questions"]

_NAME, _NUMBER = "x", 1

#: Each command that asyncjobs sends, or that its scripts call, with arguments behind its key. The server checks their
#: number before it checks the user.
NEEDED_COMMANDS: Mapping[str, Sequence[str | int]] = {
    "BLPOP": (_NUMBER,),
    "DEL": (),
    "EXISTS": (),
    "GET": (),
    "GETRANGE": (0, 0),
    "HDEL": (_NAME,),
    "HEXISTS": (_NAME,),
    "HGET": (_NAME,),
    "HGETALL": (),
    "HINCRBY": (_NAME, _NUMBER),
    "HKEYS": (),
    "HLEN": (),
    "HMGET": (_NAME,),
    "HSCAN": (0,),
    "HSET": (_NAME, _NAME),
    "HSETNX": (_NAME, _NAME),
    "HVALS": (),
    "LINDEX": (0,),
    "LLEN": (),
    "LPOS": (_NAME,),
    "LPUSH": (_NAME,),
    "LRANGE": (0, 0),
    "LTRIM": (0, 0),
    "MGET": (),
    "MSET": (_NAME,),
    "PERSIST": (),
    "PEXPIRE": (_NUMBER,),
    "PTTL": (),
    "RPUSH": (_NAME,),
    "SADD": (_NAME,),
    "SET": (_NAME,),
    "SETRANGE": (0, _NAME),
    "SISMEMBER": (_NAME,),
    "XADD": ("*", _NAME, _NAME),
    "XRANGE": ("-", "+"),
    "XREVRANGE": ("+", "-"),
    "ZADD": (_NUMBER, _NAME),
    "ZCARD": (),
    "ZCOUNT": (0, 0),
    "ZMSCORE": (_NAME,),
    "ZRANGE": (0, 0),
    "ZRANGEBYSCORE": (0, 0),
    "ZRANK": (_NAME,),
    "ZREM": (_NAME,),
    "ZREMRANGEBYRANK": (0, 0),
    "ZREMRANGEBYSCORE": (0, 0),
    "ZREVRANGE": (0, 0),
    "ZREVRANGEBYSCORE": (0, 0),
    "ZSCORE": (_NAME,),
}


#: The other commands that scripts call, whose arguments begin with no key of the app's own or name two.
OTHER_COMMANDS = frozenset(("PUBLISH", "RENAME", "TIME"))


#: Those of them that change something, by which keys could be overwritten that a program has no script for.
WRITES = frozenset(
    (
        *(
            "BLPOP",
            "DEL",
            "HDEL",
            "HINCRBY",
            "HSET",
            "HSETNX",
            "LPUSH",
            "LTRIM",
            "MSET",
            "PERSIST",
            "PEXPIRE",
            "PUBLISH",
        ),
        *("RENAME", "RPUSH", "SADD", "SET", "SETRANGE", "XADD", "ZADD", "ZREM", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE"),
    )
)


def permission_questions(key: str, channel: str) -> dict[str, Sequence[str | int]]:
    """Return commands to send over one connection, by name; one that the user may not call gets an error as its reply.

    They stand between ``MULTI`` and ``DISCARD``: the server checks whether it may take each, and carries none out.

    Args:
        key: A key of the app's own, which each user of an app has.
        channel: A channel of the app's own.
    """
    others = {
        "EVAL": ("EVAL", "return 1", 1, key),
        "EVALSHA": ("EVALSHA", "0" * 40, 1, key),
        "PUBLISH": ("PUBLISH", channel, _NAME),
        "RENAME": ("RENAME", key, key),
        "TIME": ("TIME",),
    }
    own = {name: (name, key, *args) for name, args in NEEDED_COMMANDS.items()}
    return {"MULTI": ("MULTI",), **own, **others, "DISCARD": ("DISCARD",)}
