"""How ids stand in addresses. `/time-entries/me` is no entry: our words beside ids are none."""

from starlette.convertors import Convertor, register_url_convertor


class _ExceptLiterals(Convertor[str]):
    """Whatever isn't a word of ours; whether it can be an id is the parameter's to judge."""

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _EntryConvertor(_ExceptLiterals):
    regex = "(?!(?:me|current|bulk|clock-in|clock-out)(?:/|$))[^/]+"


class _UserConvertor(_ExceptLiterals):
    regex = "(?!(?:import|export)(?:/|$))[^/]+"


register_url_convertor("entry", _EntryConvertor())
register_url_convertor("user", _UserConvertor())

ENTRY_PATH = "/{entry_id:entry}"
USER_PATH = "/{user_id:user}"
