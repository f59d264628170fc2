"""``asyncjobs demo --dashboard``: a small shop that goes on for as long as one looks at it in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

from asyncjobs.app import App
from asyncjobs.cli.dashboard import DEFAULT_PORT, address_of
from asyncjobs.cli.demo_traffic import QUEUES, BusyShop
from asyncjobs.cli.output import flush, print_text
from asyncjobs.errors import ConfigurationError

__all__ = ["show_dashboard"]

# Jobs at once: few, so that some are seen to wait.
_CONCURRENCY = 12


async def show_dashboard(app: App) -> int:
    """Run the shop, its worker and the dashboard in this process, until it is told to end.

    Args:
        app: An open app on the embedded broker.
    """
    # Needs packages that no other command needs, so it is imported here.
    from asyncjobs.admin import Access
    from asyncjobs.admin.link import link_auth
    from asyncjobs.admin.server import bound, serve

    shop = BusyShop(app)
    token = secrets.token_urlsafe(24)
    try:
        listening = bound("127.0.0.1", DEFAULT_PORT)
    except ConfigurationError:
        listening = bound("127.0.0.1", 0)
    with listening:
        async with app.worker(queues=QUEUES, concurrency=_CONCURRENCY):
            await shop.open()
            print_text("A small shop's jobs, on the embedded broker (memory://), no server needed.", "")
            print_text(f"  {address_of(listening)}?token={token}", "")
            print_text("Open this link. It is for you alone, and works until Ctrl-C ends the demo.")
            flush()
            trading = asyncio.ensure_future(shop.trade())
            try:
                authorize = link_auth(token, Access("you", "admin"))
                await serve(app, listening, authorize=authorize, title="demo shop")
            finally:
                trading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await trading
    return 0
