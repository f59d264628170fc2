"""The dashboard: the pages, made by Jinja2 from what the admin API answers."""
