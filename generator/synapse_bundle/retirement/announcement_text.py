"""What people read in the room of announcements, unless the operator has written it."""

from __future__ import annotations

from datetime import date


def write_title(server_name: str, day: date) -> str:
    """Return the name of the room."""
    return f"{server_name} ends on {day:%Y-%m-%d}"


def write_text(server_name: str, day: date) -> str:
    """Return what happens, when, and what to do before."""
    return (
        f"The Matrix server {server_name} will be shut down on {day:%A}, {day.day} {day:%B %Y}. Until"
        " then everything works as it does now.\n\n"
        "From that day on nobody can sign in here, and every account leaves its rooms. Before that:\n\n"
        "- Save what you want to keep. Most apps can export a chat with its pictures (in Element: room"
        " settings, Export chat). Encrypted messages can only be read by your own app, so nobody can do"
        " this for you.\n"
        "- If you have an account on another server, invite it into the rooms you want to stay in, and"
        " make it an administrator of those that are yours.\n"
        "- Tell the people you write with where to find you."
    )


def write_withdrawal(server_name: str) -> tuple[str, str]:
    """Return name and text for a server that goes on after all."""
    return server_name, f"The Matrix server {server_name} will not be shut down. Nothing changes."
