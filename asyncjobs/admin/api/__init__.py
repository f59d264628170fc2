"""The routes of the admin API, and the ASGI app that serves them."""
