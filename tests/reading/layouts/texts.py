"""Texts of our own for the rows of all layouts, and what a conversation of them is written as."""

HI = "\n\nHuman: Hi\n\nAssistant:"
"""What a conversation with one turn is written as."""
TALK = "\n\nSystem: Be brief.\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Why?\n\nAssistant:"


def say(*contents: str, first: str = "user") -> list[dict[str, str]]:
    """Turns of user and assistant; a system's text comes before."""
    roles = ["user", "assistant"] * len(contents)
    start = 0 if first == "user" else 1
    return [{"role": role, "content": text} for role, text in zip(roles[start:], contents, strict=False)]


SYSTEM = {"role": "system", "content": "Be brief."}
GOOD, BAD = ("Hi", "good", "bad"), ("Hi", "bad", "good")
CHAT = (HI, " good", " bad")
TIE = "tie"
