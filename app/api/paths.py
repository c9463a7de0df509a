"""How ids stand in addresses. `/time-entries/me` is no entry: our words beside ids are none."""

from starlette.convertors import Convertor, register_url_convertor

WORDS = ("me", "current", "bulk", "clock-in", "clock-out")


class _EntryConvertor(Convertor[str]):
    """Whatever isn't a word of ours; whether it can be an id is the parameter's to judge."""

    regex = f"(?!(?:{'|'.join(WORDS)})(?:/|$))[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("entry", _EntryConvertor())

ENTRY = "/{entry_id:entry}"
