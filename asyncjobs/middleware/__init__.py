"""The onion around sending and around running: small classes, each with one concern."""
